//! URIs of models, databases and artifacts, and the rules for hosts: whatever is accepted stays what it is,
//! and no error has a password in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mlrs_client::{ConnectionSettings, ModelUri};
use mlrs_image::ImageName;
use mlrs_store::rules::locations::check_root;
use mlrs_store::rules::{HostPolicy, SourcePattern};
use mlrs_store_sql::DatabaseUri;

fuzz_target!(|text: &str| {
    let _ = ModelUri::parse(text);
    let _ = ConnectionSettings::for_server(text);
    if let Ok(name) = text.parse::<ImageName>() {
        let again = name
            .to_string()
            .parse::<ImageName>()
            .expect("what was written");
        assert_eq!(again.to_string(), name.to_string());
    }
    match DatabaseUri::parse(text) {
        Ok(database) => assert!(
            !database.name().contains("s3cr3t-password"),
            "{}",
            database.name()
        ),
        Err(error) => assert!(!error.to_string().contains("s3cr3t-password"), "{error}"),
    }
    let roots = ["s3://bucket/root", "https://models.example:8443/root"];
    let policy = HostPolicy::new(["hdfs"], roots);
    for uri in [
        text.to_owned(),
        format!("https://{text}"),
        format!("mlflow-artifacts://{text}"),
    ] {
        let _ = check_root(&uri, &policy);
        let _ = policy.check_field(&uri, "source");
    }
    let (pattern, source) = text.split_once('\n').unwrap_or((text, ""));
    if let Ok(pattern) = SourcePattern::parse(pattern) {
        let _ = pattern.check(source);
    }
});
