//! Layers of others: what their libraries are, and what is refused.

use std::io::Write as _;

use super::*;

/// A tar archive: paths with contents; one that ends with a slash is a folder.
pub(crate) fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        if path.ends_with('/') {
            header.set_entry_type(tar::EntryType::Directory);
        }
        archive.append_data(&mut header, path, *content).unwrap();
    }
    archive.into_inner().unwrap()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The libraries that the loader finds in these layers.
fn libraries(layers: &[Vec<u8>]) -> Vec<String> {
    let folders = LoaderFolders::new(
        "linux/amd64".parse().unwrap(),
        Some("/opt/lib:/usr/lib/mlrs/"),
    );
    let folder = tempfile::tempdir().unwrap();
    let mut libraries = LayerLibraries::default();
    for layer in layers {
        let path = folder.path().join("layer");
        std::fs::write(&path, gzip(layer)).unwrap();
        libraries.add(&path, &folders).unwrap();
    }
    libraries.names().into_iter().collect()
}

#[test]
fn libraries_count_where_the_loader_looks() {
    let layer = archive(&[
        ("lib64/a.so", b""),
        ("./usr/lib/x86_64-linux-gnu/b.so", b""),
        ("opt/lib/c.so", b""),
        ("usr/lib/mlrs/d.so", b""),
        ("usr/lib/aarch64-linux-gnu/other.so", b""),
        ("usr/share/other.so", b""),
        ("other.so", b""),
        ("usr/lib/folder.so/", b""),
    ]);
    assert_eq!(libraries(&[layer]), ["a.so", "b.so", "c.so", "d.so"]);
    // A name that no header has room for.
    let long = format!("{}.so", "x".repeat(200));
    let path = format!("usr/lib/x86_64-linux-gnu/{long}");
    assert_eq!(libraries(&[archive(&[(&path, b"")])]), [long]);
}

#[test]
fn upper_layers_take_away_what_lower_ones_have() {
    let lower = || {
        archive(&[
            ("lib/a.so", b""),
            ("usr/lib/b.so", b""),
            ("usr/lib/x86_64-linux-gnu/c.so", b""),
        ])
    };
    let whole = ["a.so", "b.so", "c.so"];
    for (upper, expected) in [
        (vec!["usr/lib/.wh.b.so"], vec!["a.so", "c.so"]),
        (vec!["usr/lib/.wh.x86_64-linux-gnu"], vec!["a.so", "b.so"]),
        (
            vec!["usr/.wh..wh..opq", "usr/lib/new.so"],
            vec!["a.so", "new.so"],
        ),
        (vec![".wh..wh..opq"], vec![]),
        (vec![".wh.usr"], vec!["a.so"]),
        // The folder is a link now.
        (vec!["lib"], vec!["b.so", "c.so"]),
        // What the same layer adds stays, and other folders are not meant.
        (vec!["lib/.wh.a.so", "lib/a.so"], whole.to_vec()),
        (vec!["usr/.wh.li", "var/.wh..wh..opq"], whole.to_vec()),
    ] {
        let files: Vec<(&str, &[u8])> = upper.iter().map(|path| (*path, &b""[..])).collect();
        assert_eq!(
            libraries(&[lower(), archive(&files)]),
            expected,
            "{upper:?}"
        );
    }
}

/// Why an archive cannot be read.
fn unreadable(layer: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer");
    std::fs::write(&path, layer).unwrap();
    let folders = LoaderFolders::new("linux/amd64".parse().unwrap(), None);
    let error = LayerLibraries::default().add(&path, &folders);
    error.unwrap_err().to_string()
}

#[test]
fn hostile_archives_cost_nothing() {
    let claim = |kind: tar::EntryType, bytes: u64| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(bytes);
        header.set_cksum();
        header.as_bytes().to_vec()
    };
    for kind in [tar::EntryType::GNULongName, tar::EntryType::XHeader] {
        assert_eq!(
            unreadable(&claim(kind, 1 << 40)),
            "a name in it is too long"
        );
        assert_eq!(
            unreadable(&gzip(&claim(kind, 8 << 20))),
            "a name in it is too long"
        );
    }
    let file = tar::EntryType::Regular;
    assert_eq!(unreadable(&claim(file, 1 << 40)), "it unpacks to too much");
    assert_eq!(
        unreadable(&claim(file, u64::MAX)),
        "a size in it is too large"
    );
    assert!(unreadable(&claim(file, 4096)).contains("unexpected end"));
    assert_eq!(unreadable(&[b'x'; 4096]), "it is no tar archive");
}
