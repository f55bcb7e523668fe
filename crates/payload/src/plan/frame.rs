//! Frames laid over the engine's inputs.

use crate::inferred::{Whole, depends};

use super::{
    Casts, Column, ColumnSpec, ColumnType, Compat, DType, Declared, Dim, FramePlan, Rule, Target,
    TensorInfo, TensorSpec, declared_for, mismatch, reaches,
};

/// A signature of columns.
pub(super) fn of_columns(
    columns: &[ColumnSpec],
    inputs: &[TensorInfo],
    compat: Compat,
    casts: Casts,
) -> FramePlan {
    let mut plan = FramePlan {
        extra: true,
        ..FramePlan::default()
    };
    let mut declared = Vec::with_capacity(columns.len());
    for (position, column) in columns.iter().enumerate() {
        let name: Box<str> = column
            .name
            .clone()
            .unwrap_or_else(|| position.to_string())
            .into();
        let kind = match &column.kind {
            ColumnType::Scalar(scalar) => Declared::column(*scalar),
            _ => None,
        };
        let (tensor, offset) = place(&name, position, inputs);
        // Bytes go to an engine as text: ONNX has no type for them.
        let bytes_of = |tensor: Option<usize>| tensor.and_then(|index| inputs.get(index));
        let kind = kind.filter(|kind| {
            *kind != Declared::Binary
                || bytes_of(tensor).is_none_or(|input| input.dtype == DType::Str)
        });
        if kind.is_none() || tensor.is_none() {
            let what = if kind.is_none() {
                "has a type that the model cannot take"
            } else {
                "is no input of the model"
            };
            // A column that no input takes is dropped by name, as MLflow's wrapper does.
            if kind.is_none() || inputs.len() == 1 {
                plan.rejection = Some(format!("the column `{name}` of the signature {what}"));
            }
        }
        declared.push((name, column.required, kind, tensor, offset));
    }
    plan.positional = columns.iter().all(|column| column.name.is_none());
    targets(&mut plan, inputs, columns.len(), compat);
    let kinds: Vec<Option<Declared>> = declared.iter().map(|entry| entry.2).collect();
    check_types(&mut plan, &kinds, inputs, compat, |index| declared[index].3);
    for (name, required, kind, tensor, offset) in declared {
        let Some(index) = tensor else {
            continue_unused(&mut plan, name, required, casts);
            continue;
        };
        let rule = Rule::new(
            kind.unwrap_or(Declared::Nothing),
            casts,
            inputs[index].dtype,
        );
        plan.columns.push(Column {
            name,
            required,
            rule,
            tensor: index,
            offset,
            list: None,
        });
    }
    for input in inputs.iter().filter(|_| inputs.len() > 1) {
        if !plan
            .columns
            .iter()
            .any(|column| *column.name == *input.name)
        {
            plan.rejection = Some(format!(
                "the model's input `{}` is no column of the signature",
                input.name
            ));
        }
    }
    finish(plan)
}

/// A column that must be there, and goes nowhere.
fn continue_unused(plan: &mut FramePlan, name: Box<str>, required: bool, casts: Casts) {
    let rule = Rule::new(Declared::Nothing, casts, DType::F64);
    plan.columns.push(Column {
        name,
        required,
        rule,
        tensor: usize::MAX,
        offset: 0,
        list: None,
    });
}

/// A signature of tensors, and a frame: columns by position for one unnamed tensor, else by name.
pub(super) fn of_tensors(
    specs: &[TensorSpec],
    inputs: &[TensorInfo],
    compat: Compat,
    casts: Casts,
) -> FramePlan {
    let mut plan = FramePlan {
        extra: true,
        tensor_answer: true,
        ..FramePlan::default()
    };
    let unnamed = matches!(specs, [only] if only.name.is_none());
    for (index, input) in inputs.iter().enumerate() {
        let Some((spec, declared)) =
            declared_for(specs, input, inputs.len(), compat, &mut plan.rejection)
        else {
            continue;
        };
        let rule = Rule::new(declared, casts, input.dtype);
        add_tensor(&mut plan, index, spec, input, rule, unnamed);
    }
    finish(plan)
}

/// The columns that fill one tensor of a signature.
fn add_tensor(
    plan: &mut FramePlan,
    index: usize,
    spec: &TensorSpec,
    input: &TensorInfo,
    rule: Rule,
    unnamed: bool,
) {
    let tail: Option<Vec<usize>> = match spec.shape.split_first() {
        Some((None, tail)) => tail.iter().copied().collect(),
        _ => None,
    };
    let Some(tail) = tail else {
        plan.rejection = Some(format!(
            "a data frame needs a shape with a variable first dimension and fixed others for `{}`",
            input.name
        ));
        return;
    };
    let width: usize = tail.iter().product();
    plan.targets.push(Target {
        dtype: input.dtype,
        width,
        tail: tail.clone(),
    });
    let name = spec.name.as_deref().unwrap_or(&input.name);
    if unnamed && tail.len() == 1 && width > 1 {
        plan.positional = true;
        plan.extra = false;
        for offset in 0..width {
            let name = offset.to_string().into();
            plan.columns.push(Column {
                name,
                required: true,
                rule,
                tensor: index,
                offset,
                list: None,
            });
        }
        return;
    }
    plan.positional = unnamed;
    plan.extra = !unnamed;
    let list = (width != 1 || tail.len() > 1).then_some(width);
    let mut rule = rule;
    if list.is_some() && rule.casts == Casts::NumpyFrame {
        rule.whole = Whole::Array;
    }
    plan.columns.push(Column {
        name: name.into(),
        required: true,
        rule,
        tensor: index,
        offset: 0,
        list,
    });
}

/// No signature: the payload's columns decide for one input, its names for several.
pub(super) fn of_inputs(inputs: &[TensorInfo], compat: Compat, casts: Casts) -> FramePlan {
    let mut plan = FramePlan {
        observe: compat == Compat::Mlflow,
        open: inputs.len() == 1,
        positional: inputs.len() == 1,
        extra: inputs.len() > 1,
        ..FramePlan::default()
    };
    targets(&mut plan, inputs, 1, compat);
    for (index, input) in inputs.iter().enumerate() {
        let rule = Rule::new(Declared::Nothing, casts, input.dtype);
        let name = input.name.as_str().into();
        plan.columns.push(Column {
            name,
            required: true,
            rule,
            tensor: index,
            offset: 0,
            list: None,
        });
    }
    if plan.open {
        // The width comes with the payload; what the engine says of it is the engine's to check.
        plan.rejection = inputs
            .first()
            .and_then(|input| rank_fault(input, None, compat));
    }
    finish(plan)
}

/// Where a column goes: its place in the one input, or the input of its name.
fn place(name: &str, position: usize, inputs: &[TensorInfo]) -> (Option<usize>, usize) {
    match inputs {
        [_] => (Some(0), position),
        _ => (inputs.iter().position(|input| input.name == name), 0),
    }
}

/// The tensors that `columns` columns fill.
fn targets(plan: &mut FramePlan, inputs: &[TensorInfo], columns: usize, compat: Compat) {
    if let [input] = inputs {
        if plan.rejection.is_none() {
            plan.rejection = rank_fault(input, Some(columns), compat);
        }
        let flat = columns == 1 && rank(input) == Some(1) && compat == Compat::Strict;
        let tail = if flat { Vec::new() } else { vec![columns] };
        plan.targets.push(Target {
            dtype: input.dtype,
            width: columns,
            tail,
        });
        return;
    }
    for input in inputs {
        let mut tail = Vec::new();
        match rank(input) {
            None | Some(1) => {}
            // One column is a matrix of one column; MLflow passes a vector, and the engine refuses.
            Some(2) if compat == Compat::Strict => tail.push(1),
            Some(rank) => {
                plan.rejection = Some(format!(
                    "the model's input `{}` has {rank} dimensions, and a column has one",
                    input.name
                ));
            }
        }
        plan.targets.push(Target {
            dtype: input.dtype,
            width: 1,
            tail,
        });
    }
}

fn rank(input: &TensorInfo) -> Option<usize> {
    input.shape.as_ref().map(Vec::len)
}

/// Why a matrix of `columns` columns is no value for an input.
fn rank_fault(input: &TensorInfo, columns: Option<usize>, compat: Compat) -> Option<String> {
    let shape = input.shape.as_ref()?;
    match (shape.as_slice(), columns) {
        ([_], Some(1)) if compat == Compat::Strict => None,
        ([_, Dim::Fixed(width)], Some(columns)) if *width != columns => Some(format!(
            "the signature has {columns} columns, and the model's input `{}` takes {width}",
            input.name
        )),
        ([_, _], _) => None,
        (other, _) => Some(format!(
            "the model's input `{}` has {} dimensions, and a data frame has two",
            input.name,
            other.len()
        )),
    }
}

/// What numpy would make of the columns, against what the engine takes. Only where casts are
/// numpy's: otherwise each value is converted to the engine's type, or refused, on its own.
fn check_types(
    plan: &mut FramePlan,
    kinds: &[Option<Declared>],
    inputs: &[TensorInfo],
    compat: Compat,
    tensor: impl Fn(usize) -> Option<usize>,
) {
    if compat == Compat::Strict || plan.rejection.is_some() {
        return;
    }
    for (index, input) in inputs.iter().enumerate() {
        let mut columns = kinds
            .iter()
            .enumerate()
            .filter(|(column, _)| tensor(*column) == Some(index))
            .map(|(_, kind)| *kind);
        let Some(first) = columns.next().flatten().and_then(Declared::dtype) else {
            continue;
        };
        let common = columns.try_fold(first, |common, kind| {
            promote(common, kind.and_then(Declared::dtype)?)
        });
        let declared = common.map_or(Declared::Nothing, Declared::Type);
        if common.is_none() || !reaches(declared, input.dtype) {
            plan.rejection = Some(mismatch(&input.name, declared, input.dtype));
        }
    }
}

/// The type that pandas gives a matrix of columns of two types; `None` is numpy's `object`.
pub(crate) fn promote(left: DType, right: DType) -> Option<DType> {
    match (left, right) {
        (left, right) if left == right => Some(left),
        (DType::I32, DType::I64) | (DType::I64, DType::I32) => Some(DType::I64),
        (DType::Bool | DType::Str, _) | (_, DType::Bool | DType::Str) => None,
        _ => Some(DType::F64),
    }
}

fn finish(mut plan: FramePlan) -> FramePlan {
    plan.plain = plan.targets.len() == 1
        && !plan.observe
        && !plan.open
        && plan.columns.iter().enumerate().all(|(position, column)| {
            column.rule.plain_float
                && column.offset == position
                && column.list.is_none()
                && column.tensor == 0
        });
    let target = |column: &Column| plan.targets.get(column.tensor).map(|target| target.dtype);
    plan.watch = plan
        .columns
        .iter()
        .any(|column| depends(column.rule, target(column)));
    if !plan.positional {
        plan.names = plan
            .columns
            .iter()
            .enumerate()
            .map(|(index, column)| (column.name.clone(), index))
            .collect();
    }
    plan
}
