//! Archives of models: packed, unpacked, and the hostile ones refused without a trace.

// clippy allows these in test functions only, not in what they call.
#![allow(clippy::panic, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fmt::Write as _;
use std::fs;
use std::io::{Cursor, Write as _};
use std::path::Path;

use mlrs_mlmodel::archive::{ArchiveError, Limits, pack, unpack};
use mlrs_mlmodel::{ModelDirectory, open_model};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

type Writer = ZipWriter<Cursor<Vec<u8>>>;

fn limits() -> Limits {
    Limits {
        entries: 20,
        total_bytes: 1 << 20,
        ratio: 50,
        ratio_free_bytes: 1 << 16,
    }
}

fn options() -> SimpleFileOptions {
    SimpleFileOptions::default().compression_method(CompressionMethod::Deflated)
}

fn zipped(fill: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    fill(&mut writer);
    writer.finish().unwrap().into_inner()
}

fn with_entry(name: &str, content: &[u8]) -> Vec<u8> {
    zipped(|writer| {
        add(writer, "MLmodel", b"flavors: {}\n");
        add(writer, name, content);
    })
}

fn add(writer: &mut Writer, name: &str, content: &[u8]) {
    writer.start_file(name, options()).unwrap();
    writer.write_all(content).unwrap();
}

fn patched(mut bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut hits = 0;
    for start in 0..=bytes.len() - from.len() {
        if bytes[start..].starts_with(from) {
            bytes[start..start + to.len()].copy_from_slice(to);
            hits += 1;
        }
    }
    assert!(hits > 0);
    bytes
}

/// Sets bytes of the last entry of the central directory, at an offset from its signature.
fn last_central(mut bytes: Vec<u8>, offset: usize, value: &[u8]) -> Vec<u8> {
    let start = bytes
        .windows(4)
        .rposition(|window| window == b"PK\x01\x02")
        .unwrap();
    bytes[start + offset..start + offset + value.len()].copy_from_slice(value);
    bytes
}

fn refused(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("a.zip");
    fs::write(&archive, bytes).unwrap();
    let error = unpack(
        &archive,
        &folder.path().join("out/model"),
        &limits(),
        &mut |_| {},
    )
    .unwrap_err();
    let left: Vec<_> = fs::read_dir(folder.path().join("out"))
        .into_iter()
        .flatten()
        .collect();
    assert!(left.is_empty(), "left behind: {left:?}");
    assert_eq!(
        fs::read_dir(folder.path().parent().unwrap())
            .unwrap()
            .filter(|entry| { entry.as_ref().unwrap().file_name() == "evil" })
            .count(),
        0
    );
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let _ = write!(text, "\n  because: {inner}");
        cause = inner.source();
    }
    if let Some(hint) = error.hint() {
        let _ = write!(text, "\n  hint: {hint}");
    }
    text.replace(&folder.path().display().to_string(), "DIR")
}

/// Names of the same length, so that they can be written over a harmless one.
fn bad_names() -> Vec<(&'static str, Vec<u8>)> {
    let named = |name: &str| {
        let harmless = "X".repeat(name.len());
        patched(
            with_entry(&harmless, b"x"),
            harmless.as_bytes(),
            name.as_bytes(),
        )
    };
    vec![
        ("absolute", named("/etc/evil")),
        ("parent", named("../evil")),
        ("parent inside", named("a/../../evil")),
        ("backslash", named("..\\evil")),
        ("drive", named("C:/evil")),
        ("empty part", named("a//evil")),
        ("dot part", named("./evil")),
        ("control characters", named("e\u{1b}il")),
        ("same name twice", named("MLmodel")),
    ]
}

fn bad_structure() -> Vec<(&'static str, Vec<u8>)> {
    let plain = || with_entry("data.bin", b"some content");
    let symlink = zipped(|writer| {
        add(writer, "MLmodel", b"flavors: {}\n");
        writer
            .add_symlink("link", "/etc/passwd", options())
            .unwrap();
    });
    let many = zipped(|writer| (0..30).for_each(|index| add(writer, &format!("f{index}"), b"")));
    let stored = zipped(|writer| {
        writer
            .start_file(
                "MLmodel",
                options().compression_method(CompressionMethod::Stored),
            )
            .unwrap();
        writer.write_all(b"flavors: {}\n").unwrap();
    });
    let mode = |bits: u32| (bits << 16).to_le_bytes();
    let two_tops = zipped(|writer| {
        add(writer, "a/MLmodel", b"flavors: {}\n");
        add(writer, "b/MLmodel", b"flavors: {}\n");
    });
    let conflict = zipped(|writer| {
        add(writer, "MLmodel", b"flavors: {}\n");
        add(writer, "data", b"x");
        add(writer, "data/inner", b"x");
    });
    vec![
        ("empty file", Vec::new()),
        ("not a zip", b"PK\x03\x04 but nothing else".to_vec()),
        ("cut short", plain()[..60].to_vec()),
        ("no entries", zipped(|_| {})),
        (
            "no MLmodel",
            zipped(|writer| add(writer, "model.onnx", b"x")),
        ),
        ("two top folders", two_tops),
        ("symbolic link", symlink),
        ("named pipe", last_central(plain(), 38, &mode(0o010_644))),
        ("device", last_central(plain(), 38, &mode(0o020_644))),
        ("file and folder", conflict),
        ("too many entries", many),
        ("too large", with_entry("zeros", &vec![7; 2 << 20])),
        ("bomb", with_entry("zeros", &vec![0; 1 << 19])),
        (
            "declares less than it has",
            last_central(plain(), 24, &3_u32.to_le_bytes()),
        ),
        (
            "declares far more",
            last_central(plain(), 24, &u32::MAX.to_le_bytes()[..3]),
        ),
        ("encrypted", last_central(plain(), 8, &1_u16.to_le_bytes())),
        (
            "unknown method",
            last_central(plain(), 10, &12_u16.to_le_bytes()),
        ),
        (
            "wrong checksum",
            patched(stored, b"flavors: {}\n", b"flavors: {x\n"),
        ),
        (
            "overlapping",
            last_central(plain(), 42, &0_u32.to_le_bytes()),
        ),
        (
            "bytes before it",
            [b"#!/bin/sh\n".to_vec(), plain()].concat(),
        ),
        (
            "offset outside",
            last_central(plain(), 42, &0x00ff_ffff_u32.to_le_bytes()),
        ),
    ]
}

#[test]
fn hostile_archives() {
    let mut all = String::new();
    for (name, bytes) in bad_names().into_iter().chain(bad_structure()) {
        let _ = writeln!(all, "{name}: {}\n", refused(&bytes));
    }
    insta::assert_snapshot!(all);
}

/// A ZIP64 end record that declares a number of entries for which no memory is allocated.
#[test]
fn a_huge_declared_number_is_refused_before_memory_is_taken() {
    let mut bytes = with_entry("a", b"x");
    let end = bytes
        .windows(4)
        .rposition(|window| window == b"PK\x05\x06")
        .unwrap();
    let (tail, at) = (bytes.split_off(end), end as u64);
    let mut record = b"PK\x06\x06".to_vec();
    record.extend(44_u64.to_le_bytes());
    record.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for number in [1_u64 << 40, 1 << 40, 1 << 50, 0] {
        record.extend(number.to_le_bytes());
    }
    record.extend(b"PK\x06\x07\0\0\0\0");
    record.extend(at.to_le_bytes());
    record.extend(1_u32.to_le_bytes());
    bytes.extend(record);
    bytes.extend(tail);
    assert!(refused(&bytes).starts_with("1099511627776 entries"));
}

fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let name = path
                    .strip_prefix(root)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

fn model(folder: &TempDir) -> std::path::PathBuf {
    let model = folder.path().join("model");
    fs::create_dir_all(model.join("data/ä")).unwrap();
    fs::create_dir(model.join("empty")).unwrap();
    fs::write(model.join("MLmodel"), "flavors: {}\n").unwrap();
    fs::write(model.join("data/ä/weights"), vec![1; 300_000]).unwrap();
    fs::write(model.join("data/none"), "").unwrap();
    model
}

#[test]
fn a_model_survives_packing_and_the_bytes_are_always_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(&folder);
    let (one, two) = (folder.path().join("1.zip"), folder.path().join("2.zip"));
    let mut last = None;
    let packed = pack(&model, &one, &mut |step| {
        last = Some((step.done_bytes, step.total_bytes));
    })
    .unwrap();
    assert_eq!((packed.files, packed.bytes), (3, 300_012));
    assert_eq!(last.map(|(_, total)| total), Some(300_012));
    fs::write(&two, "replaced").unwrap();
    fs::write(model.join("data/none"), "").unwrap();
    pack(&model, &two, &mut |_| {}).unwrap();
    assert_eq!(fs::read(&one).unwrap(), fs::read(&two).unwrap());
    assert_eq!(packed.archive_bytes, fs::metadata(&one).unwrap().len());

    let out = folder.path().join("out");
    let mut limits = limits();
    limits.ratio = 1000;
    let unpacked = unpack(&one, &out, &limits, &mut |_| {}).unwrap();
    assert_eq!((unpacked.files, unpacked.bytes), (3, 300_012));
    assert_eq!(files(&out), files(&model));
    assert!(out.join("empty").is_dir());
    assert!(matches!(
        unpack(&one, &out, &limits, &mut |_| {}),
        Err(ArchiveError::Exists { .. })
    ));
    let names: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names.len(), 4, "{names:?}");
}

#[test]
fn an_archive_with_a_single_folder_is_opened_as_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("iris.zip");
    let bytes = zipped(|writer| {
        writer.add_directory("iris/", options()).unwrap();
        add(
            writer,
            "iris/MLmodel",
            b"flavors: {onnx: {data: model.onnx}}\n",
        );
        add(writer, "iris/model.onnx", b"x");
        add(writer, "__MACOSX/iris/._MLmodel", b"x");
    });
    fs::write(&archive, bytes).unwrap();
    let scratch = folder.path().join("scratch");
    for name in ["iris", "iris-2"] {
        let model = open_model(&archive, &scratch, &Limits::default(), &mut |_| {}).unwrap();
        assert_eq!(model.path, scratch.join(name));
        assert!(model.data_path("model.onnx").is_ok());
        assert!(!scratch.join(name).join("__MACOSX").exists());
    }
    let direct = open_model(
        &scratch.join("iris"),
        &scratch,
        &Limits::default(),
        &mut |_| {},
    )
    .unwrap();
    assert_eq!(
        direct.manifest,
        ModelDirectory::open(scratch.join("iris-2"))
            .unwrap()
            .manifest
    );
}

#[cfg(unix)]
#[test]
fn what_cannot_be_packed_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(&folder);
    let archive = folder.path().join("a.zip");
    let inside = pack(&model, &model.join("a.zip"), &mut |_| {}).unwrap_err();
    assert!(matches!(inside, ArchiveError::InsideItself { .. }));
    std::os::unix::fs::symlink("/etc/passwd", model.join("link")).unwrap();
    let error = pack(&model, &archive, &mut |_| {}).unwrap_err();
    assert!(
        error.to_string().ends_with("link`: it is a symbolic link"),
        "{error}"
    );
    assert!(!archive.exists());
    let nothing = pack(folder.path(), &archive, &mut |_| {}).unwrap_err();
    assert!(matches!(nothing, ArchiveError::NoManifest { .. }));
}
