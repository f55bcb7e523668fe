use std::collections::BTreeMap;

use prost::Message as _;

use super::*;

fn entry<T: std::fmt::Display + ?Sized>(key: &str, value: &T) -> wire::Entry {
    wire::Entry {
        key: key.to_owned(),
        value: value.to_string(),
    }
}

/// A tensor of `floats` 32-bit numbers in another file.
fn tensor(name: &str, floats: i64, entries: Vec<wire::Entry>) -> wire::Tensor {
    wire::Tensor {
        dims: vec![floats],
        data_type: 1,
        name: name.to_owned(),
        external_data: entries,
        data_location: wire::EXTERNAL,
    }
}

fn model(initializers: Vec<wire::Tensor>) -> wire::Model {
    wire::Model {
        ir_version: 10,
        graph: Some(wire::Graph {
            initializers,
            ..wire::Graph::default()
        }),
        ..wire::Model::default()
    }
}

fn found(model: &wire::Model) -> BTreeMap<String, u64> {
    let found = locations(&model.encode_to_vec()).unwrap();
    found
        .into_iter()
        .map(|(location, needed)| (location, needed.bytes))
        .collect()
}

#[test]
fn tensors_are_found_wherever_they_are() {
    let place = |name: &str| tensor(name, 2, vec![entry("location", &format!("{name}.bin"))]);
    let attribute = |attribute| wire::Node {
        attributes: vec![attribute],
        ..wire::Node::default()
    };
    let sparse = wire::SparseTensor {
        values: Some(place("values")),
        indices: Some(place("indices")),
    };
    let inner = wire::Graph {
        initializers: vec![place("inner")],
        ..wire::Graph::default()
    };
    let graph = wire::Graph {
        nodes: vec![
            attribute(wire::Attribute {
                tensor: Some(place("constant")),
                sparse_tensors: vec![sparse.clone()],
                ..wire::Attribute::default()
            }),
            attribute(wire::Attribute {
                graphs: vec![inner],
                ..wire::Attribute::default()
            }),
        ],
        initializers: vec![place("weights")],
        sparse_initializers: Vec::new(),
    };
    let function = wire::Function {
        nodes: vec![attribute(wire::Attribute {
            tensors: vec![place("in_function")],
            ..wire::Attribute::default()
        })],
        attributes: Vec::new(),
    };
    let trained = wire::Graph {
        initializers: vec![place("trained")],
        ..wire::Graph::default()
    };
    let model = wire::Model {
        ir_version: 10,
        graph: Some(graph),
        training: vec![wire::Training {
            initialization: None,
            algorithm: Some(trained),
        }],
        functions: vec![function],
    };
    let names: Vec<String> = found(&model).into_keys().collect();
    assert_eq!(
        names,
        [
            "constant.bin",
            "in_function.bin",
            "indices.bin",
            "inner.bin",
            "trained.bin",
            "values.bin",
            "weights.bin"
        ]
    );
}

#[test]
fn the_last_byte_that_is_needed_counts() {
    let at = |offset: u64, length: Option<u64>| {
        let mut entries = vec![entry("location", "./w//data"), entry("offset", &offset)];
        entries.extend(length.map(|length| entry("length", &length)));
        tensor("w", 3, entries)
    };
    let two = model(vec![at(4, None), at(64, Some(12)), at(0, Some(8))]);
    assert_eq!(found(&two), BTreeMap::from([("w/data".to_owned(), 76)]));
    let inside = wire::Tensor {
        data_location: 0,
        ..at(4, None)
    };
    assert!(found(&model(vec![inside])).is_empty());
}

#[test]
fn locations_that_lead_out_are_refused() {
    for location in [
        "",
        ".",
        "..",
        "../w",
        "a/../../w",
        "/etc/passwd",
        "a\\..\\w",
        "a\0b",
        "\u{1b}[2J",
        "/",
    ] {
        let bad = model(vec![tensor("w", 1, vec![entry("location", location)])]);
        let refused = locations(&bad.encode_to_vec());
        assert!(
            matches!(refused, Err(Malformed::Location { .. })),
            "{location:?}: {refused:?}"
        );
    }
    let nowhere = model(vec![tensor("w", 1, Vec::new())]);
    assert!(matches!(
        locations(&nowhere.encode_to_vec()),
        Err(Malformed::Location { .. })
    ));
}

#[test]
fn extents_that_are_none_are_refused() {
    for (key, value) in [
        ("offset", "-1"),
        ("offset", "x"),
        ("length", "1e3"),
        ("offset", "18446744073709551615"),
    ] {
        let bad = model(vec![tensor(
            "w",
            1,
            vec![entry("location", "w"), entry(key, value)],
        )]);
        let refused = locations(&bad.encode_to_vec());
        assert!(
            matches!(refused, Err(Malformed::Extent { .. })),
            "{key} {value}: {refused:?}"
        );
    }
}

#[test]
fn what_is_no_model_is_refused() {
    let not = |content: &[u8]| locations(content).unwrap_err();
    assert!(matches!(not(b"\x89PNG\r\n"), Malformed::Message(_)));
    assert!(matches!(not(b"{\"a\": 1}"), Malformed::Message(_)));
    assert!(matches!(not(b""), Malformed::NoModel));
    let whole = model(vec![tensor("w", 1, vec![entry("location", "w")])]).encode_to_vec();
    assert!(matches!(
        not(&whole[..whole.len() - 1]),
        Malformed::Message(_)
    ));
}

#[test]
fn graphs_in_graphs_end_somewhere() {
    let mut graph = wire::Graph::default();
    for _ in 0..10_000 {
        let attribute = wire::Attribute {
            graph: Some(std::mem::take(&mut graph)),
            ..wire::Attribute::default()
        };
        graph.nodes.push(wire::Node {
            attributes: vec![attribute],
            ..wire::Node::default()
        });
        // Written from the inside out by hand would be shorter; the encoder itself recurses.
        if graph.encoded_len() > 4_000 {
            break;
        }
    }
    let deep = wire::Model {
        ir_version: 10,
        graph: Some(graph),
        ..wire::Model::default()
    };
    assert!(matches!(
        locations(&deep.encode_to_vec()),
        Err(Malformed::Message(_))
    ));
}

#[test]
fn files_are_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("model");
    fs::create_dir(&inside).unwrap();
    fs::write(folder.path().join("secret"), [0; 64]).unwrap();
    let path = inside.join("net.onnx");
    let write = |location: &str| {
        let model = model(vec![tensor("w", 4, vec![entry("location", location)])]);
        fs::write(&path, model.encode_to_vec()).unwrap();
        OnnxFile::open(&path)
    };
    assert!(matches!(write("w"), Err(OnnxError::NoExternal { .. })));
    fs::write(inside.join("w"), [0; 15]).unwrap();
    let short = write("w").unwrap_err().to_string();
    assert!(
        short.contains("has 15 bytes, but the tensor `w` ends at 16"),
        "{short}"
    );
    fs::write(inside.join("w"), [0; 20]).unwrap();
    let whole = write("w").unwrap();
    assert_eq!(
        (whole.external[0].location.as_str(), whole.external[0].bytes),
        ("w", 20)
    );
    assert_eq!(whole.total_bytes(), whole.bytes + 20);
    fs::create_dir(inside.join("d")).unwrap();
    assert!(matches!(write("d"), Err(OnnxError::NotAFile { .. })));
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("../secret", inside.join("out")).unwrap();
        assert!(matches!(write("out"), Err(OnnxError::Outside { .. })));
        std::os::unix::fs::symlink("w", inside.join("in")).unwrap();
        assert!(write("in").is_ok());
    }
    assert!(matches!(
        OnnxFile::open(&inside.join("absent")),
        Err(OnnxError::Absent { .. })
    ));
    assert!(matches!(
        OnnxFile::open(&inside),
        Err(OnnxError::NotAFile { .. })
    ));
    fs::write(&path, b"").unwrap();
    assert!(matches!(
        OnnxFile::open(&path),
        Err(OnnxError::Empty { .. })
    ));
}
