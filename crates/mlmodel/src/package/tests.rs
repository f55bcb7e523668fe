use super::*;

fn stamp() -> Stamp {
    Stamp {
        model_uuid: "0123456789abcdef0123456789abcdef".to_owned(),
        utc_time_created: "2026-01-02 03:04:05.000006".to_owned(),
    }
}

/// An ONNX file of a graph without anything, with these files beside it.
fn onnx(folder: &Path, external: &[&str]) -> OnnxFile {
    let path = folder.join("net.onnx");
    fs::write(&path, b"\x08\x0a\x3a\x00").unwrap();
    let mut file = OnnxFile::open(&path).unwrap();
    for location in external {
        let path = folder.join(location);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, location).unwrap();
        file.external.push(crate::onnx::ExternalFile {
            location: (*location).to_owned(),
            bytes: location.len() as u64,
            path,
        });
    }
    file
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_directory_is_whole_or_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let source = tempfile::tempdir().unwrap();
    let destination = folder.path().join("a/b");
    let file = onnx(source.path(), &["w", "deep/v"]);
    let mut new = NewModel::begin(&destination, stamp()).unwrap();
    let mut seen = Vec::new();
    new.add_onnx(&file, &mut |progress| {
        seen.push((progress.done_bytes, progress.total_bytes));
    })
    .unwrap();
    assert_eq!(seen, [(4, 11), (5, 11), (11, 11)]);
    new.set_signature(&Signature::default());
    assert!(!destination.exists());
    let made = new.finish().unwrap();
    assert_eq!(
        names(&destination),
        [
            "MLmodel",
            "conda.yaml",
            "deep",
            "model.onnx",
            "python_env.yaml",
            "requirements.txt",
            "w"
        ]
    );
    assert_eq!(names(&folder.path().join("a")), ["b"]);
    let read = ModelDirectory::open(&destination).unwrap();
    assert_eq!(read.manifest.to_map(), made.manifest.to_map());
    assert_eq!(read.manifest.model_size_bytes, Some(11));
    assert_eq!(read.requirements().unwrap().unwrap().len(), 4);
    assert_eq!(
        read.python_env().unwrap().unwrap().python.as_deref(),
        Some(PYTHON_VERSION)
    );
}

#[test]
fn what_is_given_up_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let source = tempfile::tempdir().unwrap();
    let destination = folder.path().join("m");
    let begin = || NewModel::begin(&destination, stamp()).unwrap();
    let mut taken = begin();
    let refused = taken.add_onnx(&onnx(source.path(), &["conda.YAML"]), &mut |_| ());
    assert!(matches!(refused, Err(PackageError::Taken { .. })));
    drop(taken);
    let mut changed = begin();
    let mut file = onnx(source.path(), &[]);
    file.bytes += 1;
    let refused = changed.add_onnx(&file, &mut |_| ());
    assert!(matches!(refused, Err(PackageError::Changed { .. })));
    drop(changed);
    assert!(names(folder.path()).is_empty());
}

#[test]
fn what_is_there_stays() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("m");
    fs::create_dir(&place).unwrap();
    NewModel::begin(&place, stamp()).unwrap().finish().unwrap();
    let refused = NewModel::begin(&place, stamp()).unwrap_err();
    assert!(matches!(refused, PackageError::Exists { .. }));
    let file = folder.path().join("f");
    fs::write(&file, "x").unwrap();
    assert!(matches!(
        NewModel::begin(&file, stamp()),
        Err(PackageError::Exists { .. })
    ));
    assert!(matches!(
        NewModel::begin(Path::new("."), stamp()),
        Err(PackageError::Unnamed { .. })
    ));
}

#[test]
fn examples_have_both_forms() {
    let frame = Example {
        data: ExampleData::Frame {
            columns: Some(vec![json!("a")]),
            rows: vec![json!([1.5])],
        },
        params: None,
    };
    assert_eq!(frame.input_text(), r#"{"columns": ["a"], "data": [[1.5]]}"#);
    assert_eq!(
        frame.serving(),
        json!({"dataframe_split": {"columns": ["a"], "data": [[1.5]]}})
    );
    assert_eq!(frame.info().pandas_orient.as_deref(), Some("split"));
    let tensors = Example {
        data: ExampleData::Tensors(json!([[1]])),
        params: Some(metadata_of([("k", "v")])),
    };
    assert_eq!(
        tensors.input(),
        json!({"inputs": [[1]], "params": {"k": "v"}})
    );
    assert_eq!(
        tensors.serving(),
        json!({"inputs": [[1]], "params": {"k": "v"}})
    );
    assert!(tensors.info().has_params);
}
