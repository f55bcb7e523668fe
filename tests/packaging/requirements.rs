//! `mlrs models update-pip-requirements` and `mlflow models update-pip-requirements`, asked the same
//! about copies of the same model: the files are the same afterwards.

use mlrs_testing::{MlrsServer, copy_files, workspace_root};
use serde_json::{Value, json};

use crate::workshop::Workshop;

/// What a model needs before it is changed.
const BEFORE: [&str; 6] = [
    "mlflow==3.17.2",
    "onnx==1.23.2",
    "torch[b,a] ~= 2.0",
    "scikit_learn<2",
    "Pandas",
    "x; python_version < '3.9'",
];

/// What is asked of both, each about a copy of its own. Not two pins of one package: MLflow asks pip
/// about them.
const CHANGES: [&[&str]; 15] = [
    &["add"],
    &["add", "pandas==2.0"],
    &["add", "Torch >= 2.1, != 2.2", "scikit-learn"],
    &["add", "torch[c]", "numpy", "numpy[z]<3"],
    &[
        "add",
        "scikit_learn>1",
        "x;python_version<'3.9' and (os.name=='nt' or extra=='A_b')",
    ],
    &[
        "add",
        "y; ((os_name == 'a') or os_name == 'b') and sys.platform not in 'c'",
    ],
    &[
        "add",
        "wheel @ https://example.org/w.whl ; sys_platform == 'linux'",
    ],
    &["add", "six (>=1.0 , <2)", "v>=1!2.0rc1", "l==1.0+cpu.1"],
    &[
        "add",
        "s==1.*",
        "e===odd",
        "p>1.0-1,<=2.post3",
        "d~=1.0.dev4",
    ],
    &["add", "a>=1", "a<2", "a; os_name=='b'"],
    &["remove", "torch", "absent"],
    &["remove", "PANDAS==1", "scikit-learn[all]", "pandas"],
    &["remove", "mlflow", "onnx", "torch", "scikit_learn", "x"],
    &["remove"],
    &["add", "mlflow"],
];

/// What both refuse.
const REFUSED: [&[&str]; 7] = [
    &["add", "numpy = 1"],
    &["add", "-r x"],
    &["add", "a", "b=="],
    &["remove", "a b"],
    &["add", "a>=1.*"],
    &["add", "a; b == 'c'"],
    &["replace", "a"],
];

/// `requirements.txt` as it is, `conda.yaml` as a value.
fn files(workshop: &Workshop, model: &str) -> Value {
    let read = workshop.python("packaged.py", &json!([{"do": "read", "model": model}]));
    let files = &read[0]["files"];
    json!([files["requirements.txt"], files["conda.yaml"]])
}

/// A copy of a model with more requirements, as a path.
fn copy(workshop: &Workshop, name: &str) -> String {
    let place = workshop.path(name);
    copy_files(&workspace_root().join("examples/iris"), &place).unwrap();
    std::fs::write(place.join("requirements.txt"), BEFORE.join("\n")).unwrap();
    let pip = BEFORE.map(|line| format!("\n  - {line}")).concat();
    let conda =
        format!("channels:\n- conda-forge\ndependencies:\n- python=3.11.7\n- pip:{pip}\nname: e\n");
    std::fs::write(place.join("conda.yaml"), conda).unwrap();
    workshop.text(name)
}

#[test]
fn requirements_become_those_that_mlflow_writes() {
    let Some(workshop) = Workshop::open("changes of requirements against MLflow's") else {
        return;
    };
    let asked = || CHANGES.iter().chain(&REFUSED).enumerate();
    let words = |model: String, change: &[&str]| {
        let head = ["models", "update-pip-requirements", "-m", &model];
        let words = head.iter().chain(change).map(|&word| word.to_owned());
        words.collect::<Vec<String>>()
    };
    let commands: Vec<Vec<String>> = asked()
        .map(|(index, change)| words(copy(&workshop, &format!("theirs{index}")), change))
        .collect();
    let answers = workshop.python("run_commands.py", &json!(commands));
    let mut read = Vec::new();
    for ((index, change), answer) in asked().zip(answers) {
        let typed = words(copy(&workshop, &format!("ours{index}")), change);
        let typed: Vec<&str> = typed.iter().map(String::as_str).collect();
        let ended = workshop.mlrs(&typed);
        let refused = index >= CHANGES.len();
        assert_eq!(answer["code"] != 0, refused, "{change:?}: {answer}");
        assert_eq!(ended.code != 0, refused, "{change:?}: {}", ended.errors);
        for side in ["ours", "theirs"] {
            let model = workshop.text(&format!("{side}{index}"));
            read.push(json!({"do": "read", "model": model}));
        }
    }
    let read = workshop.python("packaged.py", &json!(read));
    for ((_, change), pair) in asked().zip(read.chunks(2)) {
        for file in ["requirements.txt", "conda.yaml"] {
            assert_eq!(pair[0]["files"][file], pair[1]["files"][file], "{change:?}");
        }
    }
}

#[test]
fn requirements_of_logged_models_are_changed_where_they_are() {
    let Some(mut workshop) = Workshop::open("changes of requirements on a server") else {
        return;
    };
    let server = MlrsServer::start(&[]).unwrap();
    workshop.server = Some(server.address().to_owned());
    let iris = workspace_root().join("examples/iris").display().to_string();
    let run = workshop.json(&["runs", "create", "--experiment-name", "e"]);
    let run_id = run["run_id"].as_str().unwrap();
    for folder in ["ours", "theirs"] {
        workshop.said(&[
            "artifacts",
            "log-artifacts",
            "-l",
            &iris,
            "-r",
            run_id,
            "-a",
            folder,
        ]);
    }
    let made = workshop.json(&[
        "register", &iris, "--name", "iris", "--run-id", run_id, "--output", "json",
    ]);
    let uri = |folder: &str| format!("runs:/{run_id}/{folder}");
    let change = |uri: &str| {
        [
            "models",
            "update-pip-requirements",
            "-m",
            uri,
            "add",
            "pandas >=2,<3",
        ]
        .map(str::to_owned)
    };
    let answer = workshop
        .python("run_commands.py", &json!([change(&uri("theirs"))]))
        .remove(0);
    assert_eq!(answer["code"], 0, "{answer}");
    let logged = format!("models:/{}", made["model_id"].as_str().unwrap());
    for uri in [uri("ours"), logged.clone()] {
        let typed = change(&uri);
        let typed: Vec<&str> = typed.iter().map(String::as_str).collect();
        let said = workshop.said(&typed);
        assert_eq!(
            said,
            format!(
                "+ pandas<3,>=2\nSuccessfully updated the requirements for the model at {uri}!\n"
            )
        );
    }
    let fetched = |uri: &str, name: &str| {
        workshop.said(&[
            "artifacts",
            "download",
            "-u",
            uri,
            "-d",
            &workshop.text(name),
        ]);
    };
    fetched(&uri("ours"), "a");
    fetched(&uri("theirs"), "b");
    fetched(&logged, "c");
    let ours = files(&workshop, &workshop.text("a/ours"));
    assert_eq!(ours, files(&workshop, &workshop.text("b/theirs")));
    assert_eq!(ours, files(&workshop, &workshop.text("c")));

    for (uri, expected) in [
        (
            "models:/iris/1".to_owned(),
            "what is registered stays as it is",
        ),
        (uri("absent"), "there is no `conda.yaml` in"),
        ("absent".to_owned(), "no model directory at `absent`"),
    ] {
        let ended = workshop.mlrs(&["models", "update-pip-requirements", "-m", &uri, "add", "a"]);
        assert_eq!(ended.code, 1, "{uri}");
        assert!(ended.errors.contains(expected), "{uri}: {}", ended.errors);
    }
}

#[test]
fn a_refused_requirement_changes_nothing() {
    let Some(workshop) = Workshop::open("refused requirements") else {
        return;
    };
    let iris = workspace_root().join("examples/iris");
    copy_files(&iris, &workshop.path("m")).unwrap();
    let ended = workshop.mlrs(&[
        "models",
        "update-pip-requirements",
        "-m",
        "m",
        "add",
        "good",
        "bad =",
    ]);
    assert_eq!(ended.code, 1);
    assert!(
        ended.errors.contains("`bad =` is no requirement") && ended.errors.contains("hint:"),
        "{}",
        ended.errors
    );
    for file in ["requirements.txt", "conda.yaml"] {
        let text = std::fs::read_to_string(workshop.path("m").join(file)).unwrap();
        assert_eq!(text, std::fs::read_to_string(iris.join(file)).unwrap());
    }
    let told = workshop.json(&[
        "models",
        "update-pip-requirements",
        "-m",
        "m",
        "--output",
        "json",
        "remove",
        "onnx",
        "x",
    ]);
    assert_eq!(told["not_found"], json!(["x"]));
    assert_eq!(
        told["after"],
        json!(["mlflow==3.17.2", "onnxruntime==1.31.1"])
    );
}
