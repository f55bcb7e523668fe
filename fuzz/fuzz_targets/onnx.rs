//! The places of tensors in an ONNX file: whatever is found stays in the folder of the file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mlrs_mlmodel::onnx::locations;

fuzz_target!(|content: &[u8]| {
    let Ok(found) = locations(content) else {
        return;
    };
    for location in found.keys() {
        assert!(!location.is_empty() && !location.contains(['\\', '\0']));
        assert!(
            location
                .split('/')
                .all(|name| !["", ".", ".."].contains(&name))
        );
    }
});
