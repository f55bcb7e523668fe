//! What can be wrong with a signature: [`SignatureError`], which names the part, the column and
//! the JSON path.

/// Why a signature was refused.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// The text is not JSON.
    #[error("`{part}` is not JSON")]
    NotJson {
        /// `schema`, or the part of the signature: `inputs`, `outputs`, `params`.
        part: &'static str,
        /// Where it stops being JSON.
        source: serde_json::Error,
    },
    /// The text is longer than a schema can be.
    #[error("`{part}` has {bytes} bytes, over the limit of {limit}")]
    TooLarge {
        /// `schema`, or the part of the signature.
        part: &'static str,
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The JSON breaks the grammar, or a rule about schemas.
    #[error("`{part}`{}: {problem} (at `{path}`)", column_text(column.as_deref()))]
    Invalid {
        /// `schema`, or the part of the signature.
        part: &'static str,
        /// The name of the column, tensor or parameter, when it is known.
        column: Option<String>,
        /// The JSON path inside the part: `$[2].items.type`.
        path: String,
        /// What is wrong there.
        problem: String,
    },
}

impl SignatureError {
    pub(crate) fn invalid(path: &str, problem: impl Into<String>) -> Self {
        Self::Invalid {
            part: "schema",
            column: None,
            path: path.to_owned(),
            problem: problem.into(),
        }
    }

    pub(crate) fn in_part(mut self, name: &'static str) -> Self {
        match &mut self {
            Self::NotJson { part, .. }
            | Self::TooLarge { part, .. }
            | Self::Invalid { part, .. } => {
                *part = name;
            }
        }
        self
    }

    pub(crate) fn in_column(mut self, name: Option<&str>) -> Self {
        if let Self::Invalid { column, .. } = &mut self {
            *column = name.map(shorten);
        }
        self
    }
}

fn column_text(column: Option<&str>) -> String {
    column.map_or_else(String::new, |name| format!(", `{name}`"))
}

/// Foreign text that goes into a message: at most 60 characters, nothing that controls a terminal.
pub(crate) fn shorten(text: &str) -> String {
    let clean = |character: char| {
        if character.is_control() {
            '\u{fffd}'
        } else {
            character
        }
    };
    let mut short: String = text.chars().take(60).map(clean).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
