//! Compares the grammar with MLflow's own parsers on a table that they made
//! (`data/make_uris.py` writes `data/model_uris.json`).

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use mlrs_client::{ModelUri, Selector};
use serde::Deserialize;

/// Where this reader refuses on purpose what MLflow lets pass, and why.
const REFUSED_HERE: &[(&str, &str)] = &[
    ("models:/@alias", "a registered model has a name"),
    ("models:/a/1//b", "a path inside a model is relative"),
];

#[derive(Deserialize)]
struct Table {
    models: Vec<Case<Model>>,
    runs: Vec<Case<Run>>,
}

#[derive(Deserialize)]
struct Case<T> {
    uri: String,
    expected: Option<T>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Model {
    #[serde(rename = "model_id")]
    id: Option<String>,
    name: Option<String>,
    version: Option<String>,
    stage: Option<String>,
    alias: Option<String>,
    path: String,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Run {
    run_id: String,
    path: Option<String>,
}

fn table() -> Table {
    serde_json::from_str(include_str!("data/model_uris.json")).unwrap()
}

/// What this reader makes of a text, in MLflow's words; none for anything but `models:`.
fn model(uri: &str) -> Option<Model> {
    let empty = |path: String| Model {
        id: None,
        name: None,
        version: None,
        stage: None,
        alias: None,
        path,
    };
    match ModelUri::parse(uri).ok()? {
        ModelUri::LoggedModel { model_id, path } => Some(Model {
            id: Some(model_id),
            ..empty(path.to_string())
        }),
        ModelUri::Registered {
            name,
            selector,
            path,
        } => {
            let named = Model {
                name: Some(name),
                ..empty(path.to_string())
            };
            Some(match selector {
                Selector::Version(version) => Model {
                    version: Some(version),
                    ..named
                },
                Selector::Stage(stage) => Model {
                    stage: Some(stage),
                    ..named
                },
                Selector::Alias(alias) => Model {
                    alias: Some(alias),
                    ..named
                },
                Selector::Latest => named,
            })
        }
        _ => None,
    }
}

#[test]
fn models_uris_mean_what_they_mean_to_mlflow() {
    let cases = table().models;
    assert!(cases.len() >= 60);
    let mut refused = Vec::new();
    for Case { uri, expected } in cases {
        if REFUSED_HERE.iter().any(|(known, _)| *known == uri) {
            assert!(
                expected.is_some() && ModelUri::parse(&uri).is_err(),
                "{uri:?}"
            );
            refused.push(uri);
        } else {
            assert_eq!(model(&uri), expected, "{uri:?}");
        }
    }
    assert_eq!(refused.len(), REFUSED_HERE.len());
}

#[test]
fn runs_uris_mean_what_they_mean_to_mlflow() {
    for Case { uri, expected } in table().runs {
        let found = match ModelUri::parse(&uri) {
            Ok(ModelUri::Run { run_id, path }) => Some(Run {
                run_id,
                path: (!path.is_root()).then(|| path.to_string()),
            }),
            _ => None,
        };
        // A slash at the end means the same folder.
        let expected = expected.map(|run| Run {
            path: run.path.map(|path| path.trim_end_matches('/').to_owned()),
            ..run
        });
        assert_eq!(found, expected, "{uri:?}");
    }
}
