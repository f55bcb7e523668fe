//! The operators of `ai.onnx.ml`: scalers, encoders, trees, linear models and support vectors.

use super::extent::Extent;
use super::fact::Fact;
use super::{Mixing, Step, mixing};

impl Step<'_> {
    pub(super) fn learned(&mut self) -> Option<Result<Vec<Fact>, Mixing>> {
        Some(match self.node.op_type.as_str() {
            "Binarizer" | "CategoryMapper" | "Imputer" | "LabelEncoder" | "Scaler" => self.mapped(),
            "Normalizer" => self.table().and_then(|_| self.mapped()),
            "OneHotEncoder" => self.encoded(),
            "FeatureVectorizer" => self.joined(),
            "ArrayFeatureExtractor" => self.extracted(),
            "LinearRegressor"
            | "SVMRegressor"
            | "TreeEnsembleRegressor"
            | "TreeEnsemble"
            | "TfIdfVectorizer" => self.regressed(),
            "LinearClassifier" | "SVMClassifier" | "TreeEnsembleClassifier" => self.classified(),
            "ZipMap" => self.labelled(),
            _ => return None,
        })
    }

    fn mapped(&mut self) -> Result<Vec<Fact>, Mixing> {
        self.counts_nothing()?;
        Ok(vec![Fact::shaped(self.input(0)?.dims()?.to_vec())?])
    }

    /// The rows of a table with a row for each row of the batch.
    fn table(&mut self) -> Result<Extent, Mixing> {
        self.counts_nothing()?;
        let first = self.input(0)?;
        match first.dims()? {
            [rows, _] if first.row_axis() == Some(0) => Ok(rows.clone()),
            _ => Err(mixing("its input is not a table of the rows")),
        }
    }

    fn encoded(&mut self) -> Result<Vec<Fact>, Mixing> {
        self.counts_nothing()?;
        let mut shape = self.input(0)?.dims()?.to_vec();
        let categories = self.listed(&["cats_int64s", "cats_strings"]);
        shape.push(categories.map_or_else(|| self.fresh(), Extent::fixed));
        Ok(vec![Fact::shaped(shape)?])
    }

    /// How many elements the lists of categories or labels have, of which one is used.
    fn listed(&self, names: &[&str]) -> Option<u64> {
        let attributes = names.iter().filter_map(|name| self.node.attribute(name));
        let lengths = attributes.map(|each| each.ints.len().max(each.strings.len()) as u64);
        lengths.max().filter(|length| *length > 0)
    }

    /// Columns side by side.
    fn joined(&mut self) -> Result<Vec<Fact>, Mixing> {
        let rows = self.table()?;
        for fact in self.inputs.iter().flatten() {
            if fact.dims()?.first() != Some(&rows) {
                return Err(mixing("rows meet a dimension that is not of the rows"));
            }
        }
        let width = self.fresh();
        Ok(vec![Fact::shaped(vec![rows, width])?])
    }

    /// Picks along the last dimension; the picks of one dimension are a row of their own.
    fn extracted(&mut self) -> Result<Vec<Fact>, Mixing> {
        self.counts_nothing()?;
        let (data, places) = (self.input(0)?, self.input(1)?);
        let (dims, places_dims) = (data.dims()?, places.dims()?);
        let (last, lead) = dims
            .split_last()
            .ok_or_else(|| mixing("an input has no dimension"))?;
        let picks = super::extent::product(places_dims)?;
        if last.rows || (picks.rows && data.row_axis().is_some()) {
            return Err(mixing("rows are picked"));
        }
        let shape = if lead.is_empty() {
            vec![Extent::fixed(1), picks]
        } else {
            [lead, &[picks]].concat()
        };
        Ok(vec![Fact::shaped(shape)?])
    }

    fn regressed(&mut self) -> Result<Vec<Fact>, Mixing> {
        let rows = self.table()?;
        let width = self.fresh();
        Ok(vec![Fact::shaped(vec![rows, width])?])
    }

    fn classified(&mut self) -> Result<Vec<Fact>, Mixing> {
        let rows = self.table()?;
        // Support vectors give a score for each pair of classes, where they give no probability.
        let labels = match self.node.op_type.as_str() {
            "LinearClassifier" => self.listed(&["classlabels_ints", "classlabels_strings"]),
            "TreeEnsembleClassifier" => self.listed(&["classlabels_int64s", "classlabels_strings"]),
            _ => None,
        };
        let labels = labels.filter(|labels| *labels > 1);
        let classes = labels.map_or_else(|| self.fresh(), Extent::fixed);
        Ok(vec![
            Fact::shaped(vec![rows.clone()])?,
            Fact::shaped(vec![rows, classes])?,
        ])
    }

    /// A map for each row.
    fn labelled(&mut self) -> Result<Vec<Fact>, Mixing> {
        let rows = self.table()?;
        Ok(vec![Fact::shaped(vec![rows])?])
    }
}
