//! The example of a model that is packaged: read, run on the model, kept.

use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use mlrs_backend::Model;
use mlrs_mlmodel::Signature;
use mlrs_mlmodel::directory::EXAMPLE_LIMIT;
use mlrs_payload::{Compat, Format, InputPlan, check_output, encode};

use crate::failure::hinted;

/// An example that was read.
pub(super) struct Example {
    file: String,
    format: Format,
    body: Vec<u8>,
}

/// Reads an example: CSV by its name, JSON otherwise.
pub(super) fn read(path: &Path) -> anyhow::Result<Example> {
    let extension = path.extension().unwrap_or_default();
    let format = if extension.eq_ignore_ascii_case("csv") {
        Format::Csv
    } else {
        Format::Json
    };
    Ok(Example {
        file: path.display().to_string(),
        format,
        body: read_file(path, EXAMPLE_LIMIT)?,
    })
}

impl Example {
    /// Runs the example on the model, by the way of a request.
    pub(super) fn run(
        &self,
        signature: Option<&Signature>,
        model: &dyn Model,
    ) -> anyhow::Result<()> {
        let file = &self.file;
        let plan = InputPlan::compile(signature, model.inputs(), Compat::Strict);
        let decoded = plan
            .decode(self.format, &self.body)
            .with_context(|| format!("the example `{file}` does not fit the model"))?;
        let rows = decoded.batch.rows;
        let mut session = model.session()?;
        let output = session
            .predict(decoded.batch)
            .with_context(|| format!("the model cannot predict the example `{file}`"))?;
        if let Some(signature) = signature {
            check_output(signature, model.outputs(), &output).with_context(|| {
                format!("the model's answer to the example `{file}` does not fit the signature")
            })?;
        }
        let mut answer = Vec::new();
        encode(
            &output,
            0..rows,
            true,
            model.outputs(),
            decoded.answer,
            Compat::Strict,
            &mut answer,
        )
        .with_context(|| format!("the model's answer to the example `{file}` cannot be sent"))
    }

    /// The example as MLflow keeps examples.
    pub(super) fn kept(
        &self,
        signature: Option<&Signature>,
    ) -> anyhow::Result<mlrs_mlmodel::package::Example> {
        mlrs_payload::example(self.format, &self.body, signature)
            .with_context(|| format!("the example `{}` cannot be kept", self.file))
    }
}

/// The bytes of a file of bounded size.
pub(super) fn read_file(path: &Path, limit: u64) -> anyhow::Result<Vec<u8>> {
    let unreadable = || format!("cannot read `{}`", path.display());
    let metadata = std::fs::metadata(path).with_context(unreadable)?;
    // A named pipe would block for ever.
    if !metadata.is_file() {
        return Err(hinted(
            format!("`{}` is not a file", path.display()),
            "name a file",
        ));
    }
    let mut content = Vec::new();
    let file = std::fs::File::open(path).with_context(unreadable)?;
    file.take(limit + 1)
        .read_to_end(&mut content)
        .with_context(unreadable)?;
    if content.len() as u64 > limit {
        return Err(hinted(
            format!("`{}` has more than {limit} bytes", path.display()),
            "a few rows are enough",
        ));
    }
    Ok(content)
}
