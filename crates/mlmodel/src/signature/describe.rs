//! A signature as rows of a table: [`ColumnRow`] for inputs and outputs, [`ParameterRow`] for
//! parameters. It only makes texts; nothing here prints.

use super::{ParamSpec, Schema, Signature, TensorSpec};

/// One column or tensor, ready for a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnRow {
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Its type: `long`, `array(long)`, `tensor(float32, [-1, 4])`.
    pub type_text: String,
    /// Whether a request must carry it.
    pub required: bool,
}

/// One parameter, ready for a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterRow {
    /// Its name.
    pub name: String,
    /// Its type: `double`, `array(string)`.
    pub type_text: String,
    /// Its default, as JSON.
    pub default: String,
}

impl Schema {
    /// One row for each column or tensor, in order.
    pub fn describe(&self) -> Vec<ColumnRow> {
        match self {
            Self::Columns(columns) => columns
                .iter()
                .map(|column| ColumnRow {
                    name: column.name.clone(),
                    type_text: column.kind.to_string(),
                    required: column.required,
                })
                .collect(),
            Self::Tensors(tensors) => tensors.iter().map(TensorSpec::describe).collect(),
        }
    }
}

impl TensorSpec {
    fn describe(&self) -> ColumnRow {
        let sizes: Vec<String> = self
            .shape
            .iter()
            .map(|size| size.map_or_else(|| "-1".to_owned(), |size| size.to_string()))
            .collect();
        ColumnRow {
            name: self.name.clone(),
            type_text: format!("tensor({}, [{}])", self.dtype, sizes.join(", ")),
            required: true,
        }
    }
}

impl ParamSpec {
    /// Its row.
    pub fn describe(&self) -> ParameterRow {
        let type_text = match self.shape {
            Some(_) => format!("array({})", self.kind),
            None => self.kind.to_string(),
        };
        ParameterRow {
            name: self.name.clone(),
            type_text,
            default: self.default.to_string(),
        }
    }
}

impl Signature {
    /// One row for each parameter, in order; none when there are no parameters.
    pub fn describe_params(&self) -> Vec<ParameterRow> {
        self.params
            .iter()
            .flatten()
            .map(ParamSpec::describe)
            .collect()
    }
}
