//! Decoding and encoding apart from everything else: `cargo bench -p mlrs-payload`.
//!
//! The table has 30 columns of doubles with all their digits, for a model of single precision, as
//! in `cargo xtask bench serve`.

use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{Criterion, Throughput};
use mlrs_mlmodel::signature::{Schema, Signature};
use mlrs_payload::{
    AnswerShape, Compat, DType, Dim, Format, InputPlan, Output, Tensor, TensorData, TensorInfo,
    Value, ValueInfo, ValueKind, encode,
};

const COLUMNS: usize = 30;

/// A number between -3 and 3 with the digits of a double, and the state for the next one.
fn next(state: &mut u64) -> f64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*state >> 11) as f64 / (1u64 << 53) as f64 * 6.0 - 3.0
}

fn rows(rows: usize) -> Vec<Vec<f64>> {
    let mut state = 1;
    let mut row = || (0..COLUMNS).map(|_| next(&mut state)).collect();
    (0..rows).map(|_| row()).collect()
}

fn names() -> Vec<String> {
    (0..COLUMNS)
        .map(|column| format!("column_{column}"))
        .collect()
}

/// As `json.dumps` of Python writes it.
fn split(table: &[Vec<f64>]) -> String {
    format!(
        "{{\"dataframe_split\": {{\"columns\": {:?}, \"data\": {table:?}}}}}",
        names()
    )
}

fn records(table: &[Vec<f64>]) -> String {
    let mut text = "{\"dataframe_records\": [".to_owned();
    for (index, row) in table.iter().enumerate() {
        let fields: Vec<String> = names()
            .iter()
            .zip(row)
            .map(|(name, value)| format!("\"{name}\": {value}"))
            .collect();
        let comma = if index == 0 { "" } else { ", " };
        let _ = write!(text, "{comma}{{{}}}", fields.join(", "));
    }
    text + "]}"
}

fn csv(table: &[Vec<f64>]) -> String {
    let mut text = names().join(",") + "\n";
    for row in table {
        let fields: Vec<String> = row.iter().map(ToString::to_string).collect();
        text += &(fields.join(",") + "\n");
    }
    text
}

fn plan(schema: &str) -> InputPlan {
    let signature = Signature {
        inputs: Schema::parse(schema).ok(),
        ..Signature::default()
    };
    let input = TensorInfo {
        name: "X".into(),
        dtype: DType::F32,
        shape: Some(vec![Dim::Unknown, Dim::Fixed(COLUMNS)]),
    };
    InputPlan::compile(Some(&signature), &[input], Compat::Strict)
}

fn decode(criterion: &mut Criterion) {
    let columns: Vec<String> = names()
        .iter()
        .map(|name| format!("{{\"name\": \"{name}\", \"type\": \"double\"}}"))
        .collect();
    let frame = plan(&format!("[{}]", columns.join(", ")));
    let tensor =
        plan(r#"[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 30]}}]"#);
    for count in [1, 1000] {
        let table = rows(count);
        let cases = [
            ("split", &frame, Format::Json, split(&table)),
            ("records", &frame, Format::Json, records(&table)),
            ("csv", &frame, Format::Csv, csv(&table)),
            (
                "inputs",
                &tensor,
                Format::Json,
                format!("{{\"inputs\": {table:?}}}"),
            ),
        ];
        let mut group = criterion.benchmark_group(format!("decode, {count} rows"));
        for (name, plan, format, body) in cases {
            group.throughput(Throughput::Bytes(body.len() as u64));
            group.bench_function(name, |bencher| {
                bencher.iter(|| plan.decode(format, black_box(body.as_bytes())));
            });
        }
        group.finish();
    }
}

/// What a classifier of three classes answers: a label and its probabilities.
fn classified(rows: usize) -> (Output, Vec<ValueInfo>) {
    let mut state = 1;
    let labels = (0..rows).map(|row| (row % 3) as i64).collect();
    let probabilities = (0..rows * 3).map(|_| next(&mut state) as f32).collect();
    let values = vec![
        Value::Tensor(Tensor {
            shape: vec![rows],
            data: TensorData::I64(labels),
        }),
        Value::Tensor(Tensor {
            shape: vec![rows, 3],
            data: TensorData::F32(probabilities),
        }),
    ];
    let info = |name: &str, dtype, shape: &[Dim]| ValueInfo {
        name: name.into(),
        kind: ValueKind::Tensor {
            dtype,
            shape: Some(shape.to_vec()),
        },
    };
    let infos = vec![
        info("label", DType::I64, &[Dim::Unknown]),
        info("probabilities", DType::F32, &[Dim::Unknown, Dim::Fixed(3)]),
    ];
    (Output { values }, infos)
}

fn write(criterion: &mut Criterion) {
    for count in [1, 1000] {
        let (output, infos) = classified(count);
        let mut group = criterion.benchmark_group(format!("encode, {count} rows"));
        for (name, shape) in [
            ("records", AnswerShape::Records),
            ("tensors", AnswerShape::Tensors),
        ] {
            group.throughput(Throughput::Elements(count as u64));
            let mut json = Vec::new();
            group.bench_function(name, |bencher| {
                bencher.iter(|| {
                    json.clear();
                    encode(
                        black_box(&output),
                        0..count,
                        true,
                        &infos,
                        shape,
                        Compat::Strict,
                        &mut json,
                    )
                });
            });
        }
        group.finish();
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    decode(&mut criterion);
    write(&mut criterion);
    criterion.final_summary();
}
