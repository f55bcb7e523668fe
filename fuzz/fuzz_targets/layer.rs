//! A layer of a base image, compressed or not: its libraries are told by their names, or it is refused.
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use mlrs_image::layer::scan::{LayerLibraries, LoaderFolders};

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let layer = folder.path().join("layer");
    fs::write(&layer, bytes).expect("the layer is written");
    let platform = "linux/amd64".parse().expect("a platform");
    let folders = LoaderFolders::new(platform, Some("/opt/lib:lib//../x:"));
    let mut libraries = LayerLibraries::default();
    // What a layer adds stays when the same one comes again.
    if libraries.add(&layer, &folders).is_ok() {
        let names = libraries.names();
        assert!(
            names
                .iter()
                .all(|name| !name.is_empty() && !name.contains('/'))
        );
        assert!(libraries.add(&layer, &folders).is_ok());
        assert_eq!(libraries.names(), names);
    }
});
