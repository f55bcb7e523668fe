//! Requirements of Python packages: whatever is accepted survives being written, and lists that were
//! changed can be changed again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mlrs_mlmodel::requirement::{Operation, Requirement, update};

fuzz_target!(|text: &str| {
    if let Ok(requirement) = Requirement::parse(text) {
        let written = requirement.to_string();
        let again = Requirement::parse(&written).expect("what was written");
        assert_eq!(again.to_string(), written);
    }
    let (conda, lines) = text.split_once('\0').unwrap_or((text, ""));
    let given = ["numpy>=2".to_owned()];
    if let Ok(updated) = update(lines, conda, Operation::Add, &given) {
        let again = update(
            &updated.requirements,
            &updated.conda,
            Operation::Add,
            &given,
        );
        let again = again.expect("what was written");
        assert_eq!(again.requirements, updated.requirements);
        assert_eq!(again.after, updated.after);
    }
});
