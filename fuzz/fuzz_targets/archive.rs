//! A zip archive: unpacked within small limits, into its own folder, or refused without a trace.
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use mlrs_mlmodel::archive::{Limits, unpack};

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let archive = folder.path().join("model.zip");
    fs::write(&archive, bytes).expect("the archive is written");
    let limits = Limits {
        entries: 16,
        total_bytes: 1 << 16,
        ratio: 100,
        ratio_free_bytes: 1 << 12,
    };
    let out = folder.path().join("out");
    let unpacked = unpack(&archive, &out, &limits, &mut |_| {});
    let left = fs::read_dir(folder.path())
        .expect("the folder is listed")
        .count();
    match unpacked {
        Ok(done) => {
            assert!(done.bytes <= limits.total_bytes && done.files <= limits.entries);
            assert!(out.join("MLmodel").is_file());
            assert_eq!(left, 2);
        }
        Err(_) => assert_eq!(left, 1),
    }
});
