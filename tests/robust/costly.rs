//! Requests of a few bytes that would cost any time or any memory.

use std::path::Path;
use std::time::{Duration, Instant};

use mlrs_testing::{Answer, Mlrs, onnxruntime_library};

use crate::models::{Signature, directory};

fn serve(model: &Path, arguments: &[&str]) -> Mlrs {
    let library = onnxruntime_library().unwrap().display().to_string();
    Mlrs::serve_with(model, arguments, &[("ORT_DYLIB_PATH", &library)]).unwrap()
}

fn ask(served: &Mlrs, numbers: &[u64]) -> Answer {
    let body = format!("{{\"inputs\": {numbers:?}}}");
    served
        .invoke(Some("application/json"), body.as_bytes())
        .unwrap()
}

#[test]
fn a_loop_without_end_ends_at_the_deadline() {
    let model = directory("loop", Signature::default());
    let arguments = [
        "--backend",
        "onnxruntime",
        "--workers",
        "1",
        "--timeout",
        "2",
    ];
    let served = serve(model.path(), &arguments);
    for _ in 0..20 {
        let answer = ask(&served, &[5]);
        assert_eq!(
            (answer.status, answer.body.contains("2.5")),
            (200, true),
            "{}",
            answer.body
        );
    }
    std::thread::scope(|scope| {
        let endless = scope.spawn(|| {
            let begin = Instant::now();
            (ask(&served, &[1_000_000_000_000]).status, begin.elapsed())
        });
        std::thread::sleep(Duration::from_millis(500));
        // A server that runs it in place of other work would not say this.
        let begin = Instant::now();
        assert_eq!(served.get("/ping").unwrap().status, 200);
        assert!(begin.elapsed() < Duration::from_secs(1));
        let (status, took) = endless.join().unwrap();
        assert_eq!(status, 504);
        assert!(took < Duration::from_secs(10), "{took:?}");
    });
    // The only worker is free again.
    let begin = Instant::now();
    while ask(&served, &[5]).status != 200 {
        assert!(begin.elapsed() < Duration::from_secs(10));
    }
}

#[test]
fn outputs_beyond_the_limit_are_refused() {
    let long = [vec![1; 250], vec![1; 251]];
    let cases = [
        ("onnxruntime", "filled", [vec![250], vec![251]]),
        ("onnxruntime", "identity_float32", long.clone()),
        ("tract", "identity_float32", long),
    ];
    for (backend, name, [within, beyond]) in cases {
        let model = directory(name, Signature::default());
        let served = serve(
            model.path(),
            &["--backend", backend, "--output-limit", "1000"],
        );
        assert_eq!(ask(&served, &within).status, 200, "{name} on {backend}");
        let answer = ask(&served, &beyond);
        assert_eq!(answer.status, 400, "{name} on {backend}: {}", answer.body);
        for words in ["1004 bytes", "`--output-limit`"] {
            assert!(
                answer.body.contains(words),
                "{name} on {backend}: {}",
                answer.body
            );
        }
    }
}
