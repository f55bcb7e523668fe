//! A program or a library: what it needs is told, and found in no other folder than the one for it.
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use mlrs_image::elf::{ElfFile, closure};

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = folder.path().join("program");
    fs::write(&program, bytes).expect("the program is written");
    let Ok(file) = ElfFile::read(&program) else {
        return;
    };
    // Every library that it may need is the program itself.
    let root = folder.path().join("root");
    let libraries = root.join("usr/lib");
    fs::create_dir_all(&libraries).expect("a folder is made");
    for name in file.needed.iter().filter(|name| is_name(name)).take(8) {
        let _ = fs::write(libraries.join(name), bytes);
    }
    let Ok(found) = closure(&[&program], file.platform, &root) else {
        return;
    };
    for (name, path) in &found.libraries {
        assert!(is_name(name), "{name:?}");
        assert!(path.starts_with(folder.path()), "{path:?}");
    }
    if let Some((loader, path)) = &found.loader {
        assert!(loader.starts_with('/') && path.starts_with(&root));
        assert!(!loader.split('/').any(|part| part == ".."), "{loader:?}");
    }
});

fn is_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains('/')
}
