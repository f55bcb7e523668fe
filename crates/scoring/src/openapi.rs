//! The OpenAPI 3.1 document of a server, typed by its model's own signature; made once, at start.

use mlrs_mlmodel::signature::{
    ColumnSpec, ColumnType, DataType, ParamSpec, Property, Schema, TensorSpec, TensorType,
};
use mlrs_payload::TensorInfo;
use serde_json::{Map, Value, json};

use crate::routes::MLFLOW_VERSION;
use crate::state::ModelInfo;
use crate::{example, model_schema};

/// The document for a model.
pub fn document(info: &ModelInfo, engine: &[TensorInfo], root_path: &str) -> Value {
    let inputs = model_schema::inputs(info, engine);
    let sample = example::request(info.serving_example.as_deref(), &inputs);
    let mut schemas = Map::new();
    schemas.insert("Request".to_owned(), request(info, &inputs));
    schemas.insert("Predictions".to_owned(), predictions(info));
    schemas.insert("Error".to_owned(), error());
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": info.name,
            "version": info.version.as_deref().unwrap_or("0"),
            "description": format!(
                "Scoring server of a model of flavor `{}`, protocol of MLflow {MLFLOW_VERSION}.",
                info.flavor
            ),
        },
        "paths": paths(&sample, &inputs),
        "components": { "schemas": schemas },
    });
    if !root_path.is_empty() {
        document["servers"] = json!([{ "url": root_path }]);
    }
    document
}

fn paths(sample: &Value, inputs: &Schema) -> Value {
    let mut content = json!({
        "application/json": {
            "schema": { "$ref": "#/components/schemas/Request" },
            "example": sample,
        },
    });
    if matches!(inputs, Schema::Columns(_)) {
        content["text/csv"] = json!({
            "schema": { "type": "string", "description": "One header line, then one line a row." },
        });
    }
    content["application/jsonlines"] = json!({
        "schema": { "type": "string", "description": "A record or a list for each row." },
    });
    let mut responses = json!({ "200": {
        "description": "The predictions.",
        "content": {
            "application/json": { "schema": { "$ref": "#/components/schemas/Predictions" } },
            "text/csv": { "schema": { "type": "string" } },
            "application/jsonlines": { "schema": { "type": "string" } },
        },
    } });
    for (status, meaning) in REFUSALS {
        responses[*status] = refusal(meaning);
    }
    json!({
        "/invocations": { "post": {
            "operationId": "invocations",
            "summary": "Predict",
            "parameters": [{
                "name": "outputs",
                "in": "query",
                "required": false,
                "description": "The outputs to answer with, divided by commas; all of them unless said.",
                "schema": { "type": "string" },
            }],
            "requestBody": { "required": true, "content": content },
            "responses": responses,
        } },
        "/ping": probe("ping", "200 while the server runs."),
        "/health": probe("health", "200 while the server runs."),
        "/version": probe("version", "The MLflow version whose protocol is spoken."),
        "/ready": probe("ready", "200 when the model takes requests, else 503."),
        "/metrics": probe("metrics", "Metrics in the text format of Prometheus."),
    })
}

const REFUSALS: &[(&str, &str)] = &[
    (
        "400",
        "The body is malformed, against the signature, or refused by the model.",
    ),
    ("408", "The body did not arrive in time."),
    ("413", "The body is too large."),
    ("415", "The content type or encoding is not supported."),
    ("429", "The queue of the model is full."),
    ("500", "The model failed."),
    ("503", "The server is overloaded or stopping."),
    ("504", "No prediction in time."),
];

fn refusal(meaning: &str) -> Value {
    json!({
        "description": meaning,
        "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } },
    })
}

fn probe(id: &str, summary: &str) -> Value {
    json!({ "get": {
        "operationId": id,
        "summary": summary,
        "responses": { "200": { "description": summary } },
    } })
}

fn error() -> Value {
    let text = json!({ "type": "string" });
    json!({
        "type": "object",
        "required": ["error_code", "message", "request_id"],
        "properties": {
            "error_code": text, "message": text, "sqlstate": text,
            "error_class": text, "request_id": text,
        },
    })
}

/// Exactly one of MLflow's four keys, and `params` beside it when the model has some.
fn request(info: &ModelInfo, inputs: &Schema) -> Value {
    let params = info
        .signature
        .as_ref()
        .and_then(|signature| signature.params.as_deref());
    let params = params.filter(|params| !params.is_empty()).map(parameters);
    let forms = match inputs {
        Schema::Columns(columns) => column_forms(columns),
        Schema::Tensors(tensors) => tensor_forms(tensors),
    };
    let forms: Vec<Value> = forms
        .into_iter()
        .map(|(key, schema)| {
            let mut properties = Map::from_iter([(key.to_owned(), schema)]);
            if let Some(params) = &params {
                properties.insert("params".to_owned(), params.clone());
            }
            json!({ "title": key, "type": "object", "required": [key], "properties": properties })
        })
        .collect();
    json!({ "oneOf": forms })
}

fn column_forms(columns: &[ColumnSpec]) -> Vec<(&'static str, Value)> {
    let names: Vec<&str> = columns
        .iter()
        .filter_map(|column| column.name.as_deref())
        .collect();
    let rows = json!({ "type": "array", "items": { "type": "array" } });
    if names.len() < columns.len() {
        let items: Vec<Value> = columns.iter().map(column).collect();
        let typed = json!({ "type": "array", "items": { "type": "array", "prefixItems": items } });
        let split =
            json!({ "type": "object", "required": ["data"], "properties": { "data": typed } });
        return vec![
            ("dataframe_split", split),
            ("inputs", typed.clone()),
            ("instances", typed),
        ];
    }
    let names = json!({ "type": "array", "items": { "type": "string" }, "default": names });
    let index = json!({ "type": "array" });
    let split = json!({
        "type": "object",
        "required": ["columns", "data"],
        "properties": { "columns": names, "data": rows, "index": index },
    });
    let records = json!({ "type": "array", "items": record(columns) });
    let lists = columns.iter().map(|spec| {
        let list = json!({ "type": "array", "items": column(spec) });
        (spec.name.clone().unwrap_or_default(), list)
    });
    let lists = json!({ "type": "object", "properties": lists.collect::<Map<_, _>>() });
    vec![
        ("dataframe_split", split),
        ("dataframe_records", records.clone()),
        ("inputs", json!({ "oneOf": [lists, records] })),
        ("instances", records),
    ]
}

fn tensor_forms(tensors: &[TensorSpec]) -> Vec<(&'static str, Value)> {
    let whole = match tensors {
        [single] if single.name.is_none() => tensor(single),
        _ => named_tensors(tensors),
    };
    vec![("inputs", whole.clone()), ("instances", whole)]
}

fn named_tensors(tensors: &[TensorSpec]) -> Value {
    let name = |spec: &TensorSpec| spec.name.clone().unwrap_or_default();
    let properties = tensors
        .iter()
        .map(|spec| (name(spec), tensor(spec)))
        .collect::<Map<_, _>>();
    let required: Vec<String> = tensors.iter().map(name).collect();
    json!({ "type": "object", "required": required, "properties": properties })
}

fn record(columns: &[ColumnSpec]) -> Value {
    let name = |spec: &ColumnSpec| spec.name.clone().unwrap_or_default();
    let properties = columns
        .iter()
        .map(|spec| (name(spec), column(spec)))
        .collect::<Map<_, _>>();
    let required: Vec<String> = columns
        .iter()
        .filter(|spec| spec.required)
        .map(name)
        .collect();
    json!({ "type": "object", "required": required, "properties": properties })
}

fn column(spec: &ColumnSpec) -> Value {
    if spec.required {
        kind(&spec.kind)
    } else {
        nullable(&kind(&spec.kind))
    }
}

fn nullable(schema: &Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

fn kind(kind_of: &ColumnType) -> Value {
    match kind_of {
        ColumnType::Scalar(scalar) => self::scalar(*scalar),
        ColumnType::Array(items) => json!({ "type": "array", "items": kind(items) }),
        ColumnType::SparkVector => json!({ "type": "array", "items": { "type": "number" } }),
        ColumnType::Map(values) => {
            json!({ "type": "object", "additionalProperties": kind(values) })
        }
        ColumnType::Any => json!({}),
        ColumnType::Object(properties) => object(properties),
    }
}

fn object(fields: &[Property]) -> Value {
    let properties = fields.iter().map(|field| {
        let schema = kind(&field.kind);
        (
            field.name.clone(),
            if field.required {
                schema
            } else {
                nullable(&schema)
            },
        )
    });
    let required: Vec<&str> = fields
        .iter()
        .filter(|field| field.required)
        .map(|field| field.name.as_str())
        .collect();
    json!({ "type": "object", "required": required, "properties": properties.collect::<Map<_, _>>() })
}

fn scalar(data_type: DataType) -> Value {
    match data_type {
        DataType::Boolean => json!({ "type": "boolean" }),
        DataType::Integer => json!({ "type": "integer", "format": "int32" }),
        DataType::Long => json!({ "type": "integer", "format": "int64" }),
        DataType::Float => json!({ "type": "number", "format": "float" }),
        DataType::Double => json!({ "type": "number", "format": "double" }),
        DataType::String => json!({ "type": "string" }),
        DataType::Binary => json!({ "type": "string", "contentEncoding": "base64" }),
        // No `format`: `date-time` demands a zone, and MLflow refuses one.
        DataType::Datetime => {
            json!({ "type": "string", "description": "ISO 8601 without a time zone." })
        }
    }
}

fn tensor(spec: &TensorSpec) -> Value {
    let element = match spec.dtype {
        TensorType::Bool => json!({ "type": "boolean" }),
        TensorType::Float16 | TensorType::Float32 | TensorType::Float64 => {
            json!({ "type": "number", "description": spec.dtype.name() })
        }
        TensorType::Str | TensorType::Bytes => json!({ "type": "string" }),
        TensorType::Object | TensorType::Other(_) => json!({ "description": spec.dtype.name() }),
        _ => json!({ "type": "integer", "description": spec.dtype.name() }),
    };
    spec.shape
        .iter()
        .rev()
        .fold(element, |items, length| match length {
            Some(length) => {
                json!({ "type": "array", "items": items, "minItems": length, "maxItems": length })
            }
            None => json!({ "type": "array", "items": items }),
        })
}

fn parameters(params: &[ParamSpec]) -> Value {
    let properties = params.iter().map(|param| {
        let mut schema = kind(&param.kind);
        if param.shape.is_some() {
            schema = json!({ "type": "array", "items": schema });
        }
        schema["default"] = param.default.clone();
        (param.name.clone(), schema)
    });
    json!({ "type": "object", "properties": properties.collect::<Map<_, _>>() })
}

/// The answer's shape follows the request's: rows for a data frame, arrays by name for tensors.
fn predictions(info: &ModelInfo) -> Value {
    let outputs = info
        .signature
        .as_ref()
        .and_then(|signature| signature.outputs.as_ref());
    let typed = match outputs {
        Some(Schema::Columns(columns)) if columns.iter().all(|spec| spec.name.is_some()) => {
            json!({ "type": "array", "items": record(columns) })
        }
        Some(Schema::Columns(columns)) => match columns.as_slice() {
            [single] => json!({ "type": "array", "items": column(single) }),
            _ => json!({ "type": "array", "items": { "type": "array" } }),
        },
        Some(Schema::Tensors(tensors)) => match tensors.as_slice() {
            [single] if single.name.is_none() => tensor(single),
            _ => named_tensors(tensors),
        },
        None => json!({}),
    };
    let other = json!({ "type": ["array", "object"] });
    json!({
        "type": "object",
        "required": ["predictions"],
        "properties": { "predictions": { "anyOf": [typed, other] } },
    })
}

#[cfg(test)]
mod tests {
    use mlrs_mlmodel::signature::Signature;
    use mlrs_payload::{DType, Dim};

    use super::*;

    fn info(inputs: &str, outputs: &str) -> ModelInfo {
        let signature = Signature {
            inputs: Some(Schema::parse(inputs).unwrap()),
            outputs: Some(Schema::parse(outputs).unwrap()),
            params: None,
        };
        ModelInfo {
            name: "iris".to_owned(),
            version: Some("3".to_owned()),
            flavor: "onnx".to_owned(),
            signature: Some(signature),
            ..ModelInfo::default()
        }
    }

    #[test]
    fn columns() {
        let info = info(
            r#"[{"type": "double", "name": "width", "required": true},
                {"type": "string", "name": "note", "required": false},
                {"type": "object", "name": "extra", "required": false,
                 "properties": {"when": {"type": "datetime", "required": true}}}]"#,
            r#"[{"type": "long", "required": true}]"#,
        );
        insta::assert_json_snapshot!(document(&info, &[], ""));
    }

    #[test]
    fn tensors_of_the_engine_stand_in_for_a_missing_signature() {
        let engine = [TensorInfo {
            name: "x".to_owned(),
            dtype: DType::F32,
            shape: Some(vec![Dim::Symbolic("rows".to_owned()), Dim::Fixed(2)]),
        }];
        let document = document(&ModelInfo::default(), &engine, "");
        insta::assert_json_snapshot!(document["components"]["schemas"]["Request"]);
        assert!(
            document["paths"]["/invocations"]["post"]["requestBody"]["content"]["text/csv"]
                .is_null()
        );
    }

    #[test]
    fn parameters_carry_type_and_default() {
        let mut info = info(
            r#"[{"type": "long", "required": true}]"#,
            r#"[{"type": "long", "required": true}]"#,
        );
        let params = vec![
            ParamSpec {
                name: "temperature".to_owned(),
                kind: ColumnType::Scalar(DataType::Double),
                default: json!(0.5),
                shape: None,
            },
            ParamSpec {
                name: "tags".to_owned(),
                kind: ColumnType::Scalar(DataType::String),
                default: json!(["a"]),
                shape: Some(vec![-1]),
            },
        ];
        info.signature.as_mut().unwrap().params = Some(params);
        let document = document(&info, &[], "");
        let form = &document["components"]["schemas"]["Request"]["oneOf"][0]["properties"];
        assert_eq!(
            form["params"]["properties"],
            json!({
                "temperature": { "type": "number", "format": "double", "default": 0.5 },
                "tags": { "type": "array", "items": { "type": "string" }, "default": ["a"] },
            })
        );
    }
}
