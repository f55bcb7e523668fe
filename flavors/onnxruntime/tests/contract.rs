//! The contract suite on ONNX Runtime, and what is particular to this backend.
//!
//! The library is found through `ORT_DYLIB_PATH`. Without it the tests say that they are skipped;
//! with `MLRS_REQUIRE_ALL` they fail instead.

use std::path::{Path, PathBuf};

use mlrs_backend::contract::{self, Gap};
use mlrs_backend::{Backend, MissingProvider};
use mlrs_onnxruntime::{Locator, OnnxRuntime, Origin};
use serde_json::json;

/// Nothing that the suite asks for is beyond ONNX Runtime.
const GAPS: [Gap; 0] = [];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/onnx")
}

#[expect(clippy::print_stderr, reason = "a test that does not run says so")]
fn backend(test: &str) -> Option<OnnxRuntime> {
    let Some(path) = std::env::var_os("ORT_DYLIB_PATH") else {
        assert!(
            std::env::var_os("MLRS_REQUIRE_ALL").is_none(),
            "{test} needs ORT_DYLIB_PATH"
        );
        eprintln!("SKIPPED {test}: ORT_DYLIB_PATH is not set");
        return None;
    };
    let locator = Locator {
        environment: Some(path.into()),
        ..Locator::default()
    };
    Some(OnnxRuntime::new(locator))
}

#[test]
fn keeps_the_contract() {
    let Some(backend) = backend("keeps_the_contract") else {
        return;
    };
    backend.library().unwrap();
    let failures = contract::check(&backend, &fixtures(), &GAPS).unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn says_what_it_runs_on() {
    let Some(backend) = backend("says_what_it_runs_on") else {
        return;
    };
    let mut source = contract::source(&fixtures(), "logistic.onnx");
    source.configuration.insert(
        "providers".to_owned(),
        json!(["CUDAExecutionProvider", "CPUExecutionProvider"]),
    );
    source.configuration.insert(
        "onnx_session_options".to_owned(),
        json!({"intra_op_num_threads": 2}),
    );
    let model = backend.load(&source, &contract::options()).unwrap();
    let facts = model.facts();
    let fact = |name| {
        facts
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.as_str())
    };
    assert!(fact("engine").unwrap().starts_with("ONNX Runtime 1."));
    assert!(fact("library").unwrap().ends_with("(environment)"));
    assert_eq!(fact("threads_per_session"), Some("2"));
    assert!(fact("providers").unwrap().ends_with("CPUExecutionProvider"));
}

#[test]
fn refuses_a_missing_provider_when_told_to() {
    let Some(backend) = backend("refuses_a_missing_provider_when_told_to") else {
        return;
    };
    let mut source = contract::source(&fixtures(), "logistic.onnx");
    source
        .configuration
        .insert("providers".to_owned(), json!(["NoSuchExecutionProvider"]));
    let mut options = contract::options();
    assert!(backend.load(&source, &options).is_ok());
    options.missing_provider = MissingProvider::Refuse;
    let refusal = backend.load(&source, &options).err().unwrap();
    assert_eq!(
        refusal.reason,
        "the model asks for `NoSuchExecutionProvider`, which is not there"
    );
}

#[test]
fn takes_the_options_of_the_model() {
    let Some(backend) = backend("takes_the_options_of_the_model") else {
        return;
    };
    let mut source = contract::source(&fixtures(), "perceptron.onnx");
    let options = json!({
        "inter_op_num_threads": 1, "execution_mode": "parallel", "graph_optimization_level": 1,
        "extra_session_config": {"session.disable_prepacking": "1"},
    });
    source
        .configuration
        .insert("onnx_session_options".to_owned(), options);
    assert!(backend.load(&source, &contract::options()).is_ok());
    source.configuration.insert(
        "onnx_session_options".to_owned(),
        json!({"execution_mode": 3}),
    );
    let refusal = backend.load(&source, &contract::options()).err().unwrap();
    assert!(refusal.reason.contains("execution_mode"));
}

#[test]
fn a_library_that_is_not_there_is_a_refusal() {
    let locator = Locator {
        explicit: Some("/nowhere/libonnxruntime.so".into()),
        ..Locator::default()
    };
    let refusal = OnnxRuntime::new(locator).library().unwrap_err();
    assert!(
        refusal.reason.contains("`/nowhere/libonnxruntime.so`"),
        "{}",
        refusal.reason
    );
    assert!(refusal.hint.is_some());
    let locator = Locator {
        explicit: Some(fixtures().join("cases.json")),
        ..Locator::default()
    };
    let refusal = OnnxRuntime::new(locator).library().unwrap_err();
    assert!(
        refusal.reason.contains("is not an ELF file"),
        "{}",
        refusal.reason
    );
}

/// `MLRS_ONNXRUNTIME_WHEEL` names an official wheel for this machine.
#[test]
#[ignore = "needs a wheel of 20 MB"]
fn installs_from_an_official_wheel() {
    let wheel = std::env::var_os("MLRS_ONNXRUNTIME_WHEEL").expect("MLRS_ONNXRUNTIME_WHEEL");
    let cache = tempfile::tempdir().unwrap();
    let done =
        mlrs_onnxruntime::install::from_wheel(wheel.as_ref(), cache.path(), None, &mut |_, _| {})
            .unwrap();
    let locator = Locator {
        cache: Some(cache.path().to_path_buf()),
        ..Locator::default()
    };
    let located = locator.locate().unwrap();
    assert_eq!(
        (&located.path, located.origin),
        (&done.path, Origin::Installed)
    );
    assert_eq!(
        mlrs_onnxruntime::inspect(&located.path).unwrap(),
        done.version
    );
}
