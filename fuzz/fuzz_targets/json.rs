//! Bodies in JSON, decoded by the plans of models of different kinds.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use mlrs_payload::{Format, InputPlan};

static PLANS: LazyLock<Vec<InputPlan>> = LazyLock::new(mlrs_fuzz::plans);

fuzz_target!(|body: &[u8]| {
    for plan in PLANS.iter() {
        if let Ok(decoded) = plan.decode(Format::Json, body) {
            mlrs_fuzz::check(&decoded);
        }
    }
});
