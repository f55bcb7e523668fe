//! Turns a panic of tract into an error.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tract_onnx::prelude::{TractError, TractResult};

/// Runs `work`; a panic becomes an error. What `work` was changing must not be used after an error.
pub(crate) fn caught<T>(work: impl FnOnce() -> TractResult<T>) -> TractResult<T> {
    let result = catch_unwind(AssertUnwindSafe(work));
    result.unwrap_or_else(|panic| {
        Err(TractError::msg(format!(
            "tract panicked: {}",
            words(&*panic)
        )))
    })
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error() {
        assert_eq!(caught(|| Ok(1)).unwrap(), 1);
        let error = caught::<()>(|| panic!("what {}", "ever")).unwrap_err();
        assert_eq!(error.to_string(), "tract panicked: what ever");
        let error = caught::<()>(|| std::panic::panic_any(3)).unwrap_err();
        assert_eq!(error.to_string(), "tract panicked: no message");
    }
}
