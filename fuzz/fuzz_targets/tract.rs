//! ONNX files of strangers on tract: loaded and asked, or refused; a panic of tract is caught.
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use mlrs_backend::{Backend as _, LoadOptions, MissingProvider, ModelSource};
use mlrs_tract::Tract;

fuzz_target!(|bytes: &[u8]| {
    // What libFuzzer takes for the end of the program, the backend catches.
    std::panic::set_hook(Box::new(|_| ()));
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("model.onnx"), bytes).expect("a file");
    let source = ModelSource {
        directory: folder.path().to_owned(),
        flavor: "onnx".to_owned(),
        configuration: serde_json::Map::new(),
    };
    let options = LoadOptions {
        sessions: 1,
        threads_per_session: 1,
        missing_provider: MissingProvider::UseCpu,
        output_bytes: 64 << 20,
    };
    if let Ok(model) = Tract.load(&source, &options) {
        assert!(
            model
                .inputs()
                .iter()
                .all(|input| !input.name.contains('\0'))
        );
        let _ = model.session();
    }
});
