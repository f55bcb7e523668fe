//! The grammar of model URIs.
//!
//! [`ModelUri`] is what a text means, without asking anybody. `models:` and `runs:` are read as
//! MLflow's `split_models_uri`, `_parse_model_uri` and `parse_runs_uri` read them, down to their
//! treatment of slashes, `?` and `#`; names are not percent-decoded. Where this reader differs on
//! purpose, the variant says so.

use std::fmt;
use std::path::PathBuf;

use mlrs_artifacts::{
    ArtifactPath, KNOWN_SCHEMES, PathError, local_path_of_file_uri, without_secrets,
};

/// Which version of a registered model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// `models:/name/3`; the digits as written.
    Version(String),
    /// `models:/name/Production`; as written, the server knows which stages exist.
    Stage(String),
    /// `models:/name@champion`
    Alias(String),
    /// `models:/name/latest`
    Latest,
}

impl fmt::Display for Selector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(formatter, "version `{version}`"),
            Self::Stage(stage) => write!(formatter, "stage `{stage}`"),
            Self::Alias(alias) => write!(formatter, "alias `{alias}`"),
            Self::Latest => formatter.write_str("the latest version"),
        }
    }
}

/// What a model URI means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelUri {
    /// A version of a registered model.
    Registered {
        /// Name in the registry.
        name: String,
        /// Which version.
        selector: Selector,
        /// A file or folder of the model; the root for the model itself.
        path: ArtifactPath,
    },
    /// A logged model. Unlike MLflow, which takes the path for a stage,
    /// `models:/m-<32 hexadecimal digits>/path` is a path in the model.
    LoggedModel {
        /// `m-…`; anything with a single part is taken for an id, as in MLflow.
        model_id: String,
        /// A file or folder of the model; the root for the model itself.
        path: ArtifactPath,
    },
    /// Artifacts of a run, or a model that it logged under this name.
    Run {
        /// Id of the run.
        run_id: String,
        /// Path from the root of the run's artifacts.
        path: ArtifactPath,
    },
    /// A place in an artifact store, as an URI with a known scheme.
    Store(String),
    /// A folder or a file, such as a ZIP archive, on this machine.
    Local(PathBuf),
}

/// Why a text is not a model URI.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// It begins with `models:` but does not go on as it must.
    #[error("`{0}` is not a model in a registry")]
    Models(String),
    /// It begins with `runs:` but does not go on as it must.
    #[error("`{0}` is not an artifact of a run")]
    Runs(String),
    /// It names a profile of a registry, as Databricks does.
    #[error("`{uri}` names the registry `{profile}`, and profiles are not supported")]
    Profile {
        /// The text.
        uri: String,
        /// What stands between `//` and the next slash.
        profile: String,
    },
    /// Nothing here reads this scheme.
    #[error("the scheme `{scheme}` of `{uri}` is not one of models, runs, {}", KNOWN_SCHEMES.join(", "))]
    UnknownScheme {
        /// The text without secrets.
        uri: String,
        /// Its scheme.
        scheme: String,
    },
    /// A `file:` URI that means no local path.
    #[error("`{uri}` is not a local path: {reason}")]
    File {
        /// The text.
        uri: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// The path behind the model could lead out of it.
    #[error("`{uri}` does not name a path inside the model")]
    Path {
        /// The text.
        uri: String,
        /// The rule that it breaks.
        #[source]
        source: PathError,
    },
    /// Nothing at all.
    #[error("the model URI is empty")]
    Empty,
}

impl UriError {
    /// What to write instead, where that is known.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Models(_) => {
                "write `models:/<name>/<version>`, `models:/<name>/<stage>`, \
                 `models:/<name>/latest`, `models:/<name>@<alias>` or `models:/m-<id>`"
            }
            Self::Runs(_) => "write `runs:/<run id>/<path>`",
            Self::Profile { .. } => {
                "leave the profile out and set MLFLOW_REGISTRY_URI to the address of the registry"
            }
            Self::UnknownScheme { .. } => {
                "write a local path that holds a colon with `./` before it"
            }
            _ => return None,
        };
        Some(text.to_owned())
    }
}

impl ModelUri {
    /// Reads a text.
    ///
    /// # Errors
    /// When it follows no rule of the grammar.
    pub fn parse(text: &str) -> Result<Self, UriError> {
        // Python's urlparse drops these everywhere, so an URI that came with a line end works.
        let cleaned: String = text
            .chars()
            .filter(|c| !matches!(c, '\t' | '\r' | '\n'))
            .collect();
        let cleaned = cleaned.trim_start_matches(|letter: char| letter <= ' ');
        if cleaned.is_empty() {
            return Err(UriError::Empty);
        }
        let Some((scheme, rest)) = split_scheme(cleaned) else {
            return Ok(Self::Local(text.into()));
        };
        match scheme.as_str() {
            "models" => models(cleaned, rest),
            "runs" => runs(cleaned, rest),
            "file" => local_path_of_file_uri(cleaned)
                .map(Self::Local)
                .map_err(|reason| UriError::File {
                    uri: cleaned.to_owned(),
                    reason,
                }),
            "s3a" | "abfs" => Ok(Self::Store(cleaned.to_owned())),
            known if KNOWN_SCHEMES.contains(&known) => Ok(Self::Store(cleaned.to_owned())),
            _ => Err(UriError::UnknownScheme {
                uri: without_secrets(cleaned),
                scheme,
            }),
        }
    }
}

/// Scheme in lower case and what follows the colon; none for a path. One letter is a drive.
fn split_scheme(text: &str) -> Option<(String, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let valid = scheme.len() > 1
        && scheme.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    valid.then(|| (scheme.to_ascii_lowercase(), rest))
}

/// What stands between `//` and the next slash, and the rest.
fn split_authority(rest: &str) -> (&str, &str) {
    match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len())),
        None => ("", rest),
    }
}

fn until<'a>(text: &'a str, ends: &[char]) -> &'a str {
    text.split(ends).next().unwrap_or_default()
}

fn models(uri: &str, rest: &str) -> Result<ModelUri, UriError> {
    let improper = || UriError::Models(uri.to_owned());
    let (authority, rest) = split_authority(rest.trim_end_matches('/'));
    if !authority.is_empty() {
        return Err(UriError::Profile {
            uri: uri.to_owned(),
            profile: authority.to_owned(),
        });
    }
    // MLflow cuts a fragment off only where it also splits a path behind the model off.
    let short = until(rest, &['#', '?']);
    let (model, path) = if short.matches('/').count() >= 2 && !short.ends_with('/') {
        let cut = split_point(short);
        (
            &short[..cut],
            short[cut..].strip_prefix('/').unwrap_or_default(),
        )
    } else {
        (until(rest, &['?']), "")
    };
    if model.starts_with("//") {
        return Err(improper());
    }
    let model = model
        .strip_prefix('/')
        .filter(|model| !model.is_empty())
        .ok_or_else(improper)?;
    let path = ArtifactPath::parse(path).map_err(|source| UriError::Path {
        uri: uri.to_owned(),
        source,
    })?;
    let parts: Vec<&str> = model.trim_start_matches('/').split('/').collect();
    match parts.as_slice() {
        [name, suffix] if !name.trim().is_empty() && !suffix.trim().is_empty() => {
            suffixed(uri, name, suffix, path)
        }
        [only] if !only.trim().is_empty() => match only.rsplit_once('@') {
            None => Ok(ModelUri::LoggedModel {
                model_id: (*only).to_owned(),
                path,
            }),
            Some((name, alias)) if !name.is_empty() && !alias.trim().is_empty() => {
                let selector = Selector::Alias(alias.to_owned());
                Ok(ModelUri::Registered {
                    name: name.to_owned(),
                    selector,
                    path,
                })
            }
            Some(_) => Err(improper()),
        },
        _ => Err(improper()),
    }
}

/// Where the model ends and a path in it begins: after the first part when that has an `@`, else
/// after the second.
fn split_point(path: &str) -> usize {
    let mut slashes = path.match_indices('/').map(|(index, _)| index).skip(1);
    let first_end = slashes.next().unwrap_or(path.len());
    if path[..first_end].contains('@') {
        first_end
    } else {
        slashes.next().unwrap_or(path.len())
    }
}

fn suffixed(uri: &str, name: &str, suffix: &str, path: ArtifactPath) -> Result<ModelUri, UriError> {
    let selector = if suffix.bytes().all(|byte| byte.is_ascii_digit()) {
        Selector::Version(suffix.to_owned())
    } else if suffix.eq_ignore_ascii_case("latest") {
        Selector::Latest
    } else if is_logged_model_id(name) && !is_stage(suffix) {
        let whole = ArtifactPath::parse(suffix)
            .and_then(|first| first.join(&path))
            .map_err(|source| UriError::Path {
                uri: uri.to_owned(),
                source,
            })?;
        return Ok(ModelUri::LoggedModel {
            model_id: name.to_owned(),
            path: whole,
        });
    } else {
        Selector::Stage(suffix.to_owned())
    };
    Ok(ModelUri::Registered {
        name: name.to_owned(),
        selector,
        path,
    })
}

fn is_stage(text: &str) -> bool {
    ["none", "staging", "production", "archived"]
        .iter()
        .any(|stage| text.eq_ignore_ascii_case(stage))
}

/// Whether a text is `m-` and 32 hexadecimal digits in lower case, as MLflow makes ids.
pub fn is_logged_model_id(text: &str) -> bool {
    text.strip_prefix("m-").is_some_and(|digits| {
        digits.len() == 32
            && digits
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

fn runs(uri: &str, rest: &str) -> Result<ModelUri, UriError> {
    let improper = || UriError::Runs(uri.to_owned());
    let (authority, rest) = split_authority(rest);
    if !authority.is_empty() {
        return Err(UriError::Profile {
            uri: uri.to_owned(),
            profile: authority.to_owned(),
        });
    }
    let path = until(rest, &['#', '?'])
        .strip_prefix('/')
        .ok_or_else(improper)?;
    let (run_id, path) = path.split_once('/').unwrap_or((path, ""));
    if run_id.is_empty() {
        return Err(improper());
    }
    let path =
        ArtifactPath::parse(path.trim_end_matches('/')).map_err(|source| UriError::Path {
            uri: uri.to_owned(),
            source,
        })?;
    Ok(ModelUri::Run {
        run_id: run_id.to_owned(),
        path,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_other_schemes_are_told_apart() {
        for uri in [
            "mlflow-artifacts:/1/x",
            "mlflow-artifacts://host:5000/1/x",
            "s3://bucket/key",
            "S3://bucket/key",
            "gs://bucket/key",
            "abfss://c@a.dfs.core.windows.net/x",
            "wasbs://c@a.blob.core.windows.net/x",
            "https://host/api/2.0/mlflow-artifacts/artifacts/x",
        ] {
            assert_eq!(ModelUri::parse(uri), Ok(ModelUri::Store(uri.into())));
        }
        for (uri, path) in [
            ("file:///a/b", "/a/b"),
            ("/a/b", "/a/b"),
            ("model.zip", "model.zip"),
            ("./a:b", "./a:b"),
            ("C:\\models", "C:\\models"),
            (
                "m-0123456789abcdef0123456789abcdef",
                "m-0123456789abcdef0123456789abcdef",
            ),
        ] {
            assert_eq!(ModelUri::parse(uri), Ok(ModelUri::Local(path.into())));
        }
        assert_eq!(ModelUri::parse(""), Err(UriError::Empty));
        let unknown = ModelUri::parse("dbfs:/x?token=geheim")
            .unwrap_err()
            .to_string();
        assert!(unknown.contains("models, runs, file") && !unknown.contains("geheim"));
    }

    #[test]
    fn a_profile_is_refused_by_name() {
        for uri in [
            "models://databricks/name/3",
            "models://p",
            "runs://profile/id/x",
        ] {
            assert!(
                matches!(ModelUri::parse(uri), Err(UriError::Profile { .. })),
                "{uri}"
            );
        }
    }

    #[test]
    fn a_path_in_a_logged_model_is_a_path() {
        let id = "m-0123456789abcdef0123456789abcdef";
        let parsed = ModelUri::parse(&format!("models:/{id}/data/model.onnx")).unwrap();
        let path = ArtifactPath::parse("data/model.onnx").unwrap();
        assert_eq!(
            parsed,
            ModelUri::LoggedModel {
                model_id: id.into(),
                path
            }
        );
        let staged = ModelUri::parse(&format!("models:/{id}/Production")).unwrap();
        assert!(matches!(
            staged,
            ModelUri::Registered {
                selector: Selector::Stage(_),
                ..
            }
        ));
    }

    #[test]
    fn a_path_out_of_the_model_is_refused() {
        for uri in [
            "models:/a/1/../x",
            "models:/a@b/..",
            "runs:/id/../x",
            "runs:/id/%2e%2e/x",
        ] {
            assert!(
                matches!(ModelUri::parse(uri), Err(UriError::Path { .. })),
                "{uri}"
            );
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "(models|runs|file|s3|x)?:?[/@#?a1. %\\\\:\\PC]{0,24}") {
            let _ = ModelUri::parse(&text);
        }

        #[test]
        fn versions_aliases_and_paths_come_back(
            name in "[a-z][a-z0-9 ._-]{0,12}[a-z0-9]",
            version in 0_u32..100_000,
            alias in "[a-z][a-z0-9_-]{0,8}",
            file in "[a-z]{1,8}(/[a-z]{1,8}){0,3}",
        ) {
            let path = ArtifactPath::parse(&file).unwrap();
            let numbered = ModelUri::parse(&format!("models:/{name}/{version}/{file}")).unwrap();
            let selector = Selector::Version(version.to_string());
            let expected = ModelUri::Registered { name: name.clone(), selector, path: path.clone() };
            prop_assert_eq!(numbered, expected);
            let named = ModelUri::parse(&format!("models:/{name}@{alias}/{file}")).unwrap();
            let selector = Selector::Alias(alias);
            prop_assert_eq!(named, ModelUri::Registered { name, selector, path });
        }
    }
}
