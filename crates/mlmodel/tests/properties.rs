//! Codecs give back what they were given, for any signature and any content of a manifest.

// clippy allows these in test functions only, not in what they call.
#![allow(clippy::panic, clippy::unwrap_used)]

use mlrs_mlmodel::onnx::locations;
use mlrs_mlmodel::requirement::Requirement;
use mlrs_mlmodel::signature::{
    ColumnSpec, ColumnType, DataType, ParamSpec, Property, Schema, TensorSpec, TensorType,
};
use mlrs_mlmodel::{Manifest, Signature};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn scalar() -> impl Strategy<Value = DataType> {
    prop::sample::select(DataType::ALL.to_vec())
}

fn kind() -> impl Strategy<Value = ColumnType> {
    let leaf = prop_oneof![scalar().prop_map(ColumnType::Scalar), Just(ColumnType::Any)];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let property = (inner.clone(), any::<bool>());
        prop_oneof![
            inner
                .clone()
                .prop_map(|kind| ColumnType::Array(Box::new(kind))),
            inner.prop_map(|kind| ColumnType::Map(Box::new(kind))),
            prop::collection::btree_map(any::<String>(), property, 1..4).prop_map(|properties| {
                let property = |(name, (kind, required))| Property {
                    name,
                    kind,
                    required,
                };
                ColumnType::Object(properties.into_iter().map(property).collect())
            }),
        ]
    })
}

fn columns() -> impl Strategy<Value = Schema> {
    let named =
        prop::collection::vec((any::<String>(), kind(), any::<bool>()), 1..6).prop_map(|all| {
            all.into_iter()
                .map(|(name, kind, required)| ColumnSpec {
                    name: Some(name),
                    kind,
                    required,
                })
                .collect()
        });
    let unnamed = prop::collection::vec(kind(), 1..6).prop_map(|all| {
        all.into_iter()
            .map(|kind| ColumnSpec {
                name: None,
                kind,
                required: true,
            })
            .collect()
    });
    prop_oneof![named, unnamed].prop_map(Schema::Columns)
}

fn tensors() -> impl Strategy<Value = Schema> {
    let dtype = prop::sample::select(vec![
        "bool",
        "int8",
        "uint64",
        "float16",
        "str",
        "bytes",
        "object",
        "complex64",
    ])
    .prop_map(TensorType::from_name);
    let shape = prop::collection::vec(prop::option::of(0_usize..1000), 0..5);
    prop::collection::vec((any::<String>(), dtype, shape), 1..5).prop_map(|all| {
        let single = all.len() == 1;
        let tensor = |(name, dtype, shape)| TensorSpec {
            name: (!single).then_some(name),
            dtype,
            shape,
        };
        Schema::Tensors(all.into_iter().map(tensor).collect())
    })
}

fn param() -> impl Strategy<Value = (ColumnType, Value)> {
    prop_oneof![
        any::<i64>().prop_map(|value| (DataType::Long, json!(value))),
        any::<f64>().prop_map(|value| (DataType::Double, json!(value))),
        Just((DataType::Double, json!("NaN"))),
        any::<String>().prop_map(|value| (DataType::String, json!(value))),
        Just((DataType::String, json!("\u{0}NaN"))),
        any::<bool>().prop_map(|value| (DataType::Boolean, json!(value))),
    ]
    .prop_map(|(scalar, value)| (ColumnType::Scalar(scalar), value))
}

fn params() -> impl Strategy<Value = Vec<ParamSpec>> {
    prop::collection::btree_map(any::<String>(), (param(), any::<bool>()), 1..5).prop_map(|all| {
        let param =
            |(name, ((kind, value), listed)): (String, ((ColumnType, Value), bool))| ParamSpec {
                name,
                kind,
                default: if listed { json!([value, value]) } else { value },
                shape: listed.then(|| vec![-1]),
            };
        all.into_iter().map(param).collect()
    })
}

fn content() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e300_f64..1e300).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[-+.0-9eExob_:~ynt#&*!|>'\" ]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[^\u{0}]{0,12}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

proptest! {
    #[test]
    fn a_signature_survives(
        inputs in prop::option::of(prop_oneof![columns(), tensors()]),
        outputs in prop::option::of(prop_oneof![columns(), tensors()]),
        params in prop::option::of(params()),
    ) {
        let signature = Signature { inputs, outputs, params };
        prop_assert_eq!(Signature::from_map(&signature.to_map()).unwrap(), signature);
    }

    #[test]
    fn a_manifest_survives(metadata in content()) {
        let mut manifest = Manifest { metadata: Some(metadata), ..Manifest::default() };
        if manifest.metadata == Some(Value::Null) {
            manifest.metadata = None;
        }
        let text = manifest.to_yaml();
        prop_assert_eq!(Manifest::parse(&text).unwrap(), manifest, "{}", text);
    }

    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = Manifest::parse(&text);
        let _ = Schema::parse(&text);
    }
}

fn identifier() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9]([a-zA-Z0-9._-]{0,6}[a-zA-Z0-9])?"
}

fn requirement() -> impl Strategy<Value = String> {
    let clause = "(==|!=|>=|<=|<|>|~=) ?[0-9]{1,2}\\.[0-9]{1,2}(rc1|\\.post2|\\.dev0)?";
    let versions = prop::collection::vec(clause, 0..4).prop_map(|all| all.join(" , "));
    let extras = prop::collection::vec(identifier(), 0..3).prop_map(|all| match all.as_slice() {
        [] => String::new(),
        all => format!("[{}]", all.join(", ")),
    });
    let item =
        "(python_version|os\\.name|extra) (<|==|in|not in) ('[a-z0-9._-]{0,5}'|\"[a-z0-9]{0,5}\")";
    let marker = prop::collection::vec((item, any::<bool>()), 0..3).prop_map(|items| {
        let item =
            |(item, enclosed): (String, bool)| if enclosed { format!("({item})") } else { item };
        let items: Vec<String> = items.into_iter().map(item).collect();
        items.join(" and ")
    });
    (identifier(), extras, versions, marker).prop_map(|(name, extras, versions, marker)| {
        let end = if marker.is_empty() {
            String::new()
        } else {
            format!(" ; {marker}")
        };
        format!("{name}{extras} {versions}{end}")
    })
}

proptest! {
    #[test]
    fn requirements_that_were_written_are_read_as_they_were(text in requirement()) {
        let read = Requirement::parse(&text).unwrap();
        let written = read.to_string();
        prop_assert_eq!(&Requirement::parse(&written).unwrap(), &read, "{}", written);
    }

    #[test]
    fn no_text_makes_a_requirement_panic(text in "[a-z=<>~!.,;@()'\" \\[\\]0-9+*-]{0,40}") {
        if let Ok(read) = Requirement::parse(&text) {
            let written = read.to_string();
            prop_assert_eq!(Requirement::parse(&written).unwrap().to_string(), written);
        }
    }

    #[test]
    fn no_bytes_make_an_onnx_file_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(found) = locations(&bytes) {
            for location in found.keys() {
                prop_assert!(!location.starts_with('/') && !location.split('/').any(|name| name == ".."));
            }
        }
    }
}
