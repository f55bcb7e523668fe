//! Bodies beside JSON and CSV with a header: rows of CSV, JSON lines, `.npy` files.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use mlrs_payload::{Format, InputPlan};

static PLANS: LazyLock<Vec<InputPlan>> = LazyLock::new(mlrs_fuzz::plans);

fuzz_target!(|body: &[u8]| {
    for plan in PLANS.iter() {
        for format in [Format::CsvRows, Format::Lines, Format::Npy] {
            if let Ok(decoded) = plan.decode(format, body) {
                mlrs_fuzz::check(&decoded);
            }
        }
    }
});
