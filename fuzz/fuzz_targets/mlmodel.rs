//! An `MLmodel` file: whatever is accepted is written as something that reads the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mlrs_mlmodel::Manifest;

fuzz_target!(|text: &str| {
    let Ok(manifest) = Manifest::parse(text) else {
        return;
    };
    let _ = manifest.signature();
    let _ = manifest.python_function();
    let written = manifest.to_yaml();
    match Manifest::parse(&written) {
        Ok(again) => assert_eq!(again, manifest, "{written}"),
        Err(error) => panic!("{error:?}: {written}"),
    }
});
