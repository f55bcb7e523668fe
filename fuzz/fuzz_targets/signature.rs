//! The JSON of a schema and of parameters: whatever is accepted survives being written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mlrs_mlmodel::Signature;
use mlrs_mlmodel::signature::Schema;
use serde_json::json;

fuzz_target!(|text: &str| {
    if let Ok(schema) = Schema::parse(text) {
        assert_eq!(schema.describe().len(), schema.len());
        assert_eq!(
            Schema::parse(&schema.to_json()).expect("what was written"),
            schema
        );
    }
    let map = json!({ "params": text });
    if let Some(Ok(signature)) = map.as_object().map(Signature::from_map) {
        let again = Signature::from_map(&signature.to_map()).expect("what was written");
        // No parameters and an empty list of them are written alike.
        let some =
            |signature: &Signature| signature.params.clone().filter(|params| !params.is_empty());
        assert_eq!(some(&again), some(&signature));
    }
});
