//! Adds requirements to a model's lists and removes them, as MLflow's `update_model_requirements` does.

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use super::{Requirement, RequirementError};
use crate::yaml::{self, YamlError};
use crate::yaml_text;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Add, or put in the place of what is there of the same package.
    Add,
    /// Remove whatever is there of the packages.
    Remove,
}

/// The lists after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Updated {
    /// The text of `requirements.txt`.
    pub requirements: String,
    /// The text of `conda.yaml`.
    pub conda: String,
    /// What `conda.yaml` had.
    pub before: Vec<String>,
    /// What it has now.
    pub after: Vec<String>,
    /// Packages to remove that were in none of the two.
    pub absent: Vec<String>,
}

/// Why the lists were not changed.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// A requirement that was given is none.
    #[error(transparent)]
    Given(#[from] RequirementError),
    /// Two that were given cannot both be met.
    #[error("`{first}` and `{second}` cannot both be met")]
    Contradiction {
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
    /// A line of a list is no requirement.
    #[error("cannot understand `{file}`")]
    Line {
        /// The name of the file.
        file: &'static str,
        /// Why.
        source: RequirementError,
    },
    /// The Conda file is no YAML map.
    #[error("cannot understand `conda.yaml`")]
    Conda(#[source] YamlError),
    /// The Conda file is a map of another kind.
    #[error("`conda.yaml` is no Conda environment: {0}")]
    NotAnEnvironment(&'static str),
}

impl UpdateError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Given(_) => {
                "write requirements as pip takes them: `pandas`, `pandas==2.3`, `pandas>=2,<3`"
            }
            Self::Contradiction { .. } => "give one version of a package",
            Self::Line { .. } | Self::Conda(_) | Self::NotAnEnvironment(_) => {
                "mend the file by hand first, or log the model again"
            }
        })
    }
}

/// Changes both lists. Packages are the same where their names are; names that are given are put in
/// lower case, names in the files stay. Comments and options (`-c constraints.txt`) in the lists stay.
///
/// # Errors
/// When something that is given, or that is in a list, is no requirement; then nothing is to be written.
pub fn update(
    requirements: &str,
    conda: &str,
    operation: Operation,
    given: &[String],
) -> Result<Updated, UpdateError> {
    let given: Vec<Requirement> = given
        .iter()
        .map(|text| Requirement::parse(&text.trim().to_lowercase()))
        .collect::<Result<_, _>>()?;
    let mut environment = yaml::read_map(conda, &[]).map_err(UpdateError::Conda)?;
    let pip = pip_of(&mut environment)?;
    let in_conda = List::read("conda.yaml", pip.iter().map(String::as_str))?;
    let in_text = List::read("requirements.txt", requirements.lines())?;
    let before = in_conda.texts();
    let known = |name: &str| in_conda.has(name) || in_text.has(name);
    let absent = match operation {
        Operation::Add => Vec::new(),
        Operation::Remove => given
            .iter()
            .filter(|requirement| !known(&requirement.name))
            .map(|requirement| requirement.name.clone())
            .collect(),
    };
    let change = |list: List| match operation {
        Operation::Add => list.with(&given),
        Operation::Remove => Ok(list.without(&given)),
    };
    let in_conda = change(in_conda)?;
    let in_text = change(in_text)?;
    let after = in_conda.texts();
    set_pip(&mut environment, &after);
    Ok(Updated {
        requirements: in_text.texts().join("\n"),
        conda: yaml_text::write_map(&environment),
        before,
        after,
        absent,
    })
}

/// Lines of a list by what they are about.
struct List(IndexMap<String, String>);

impl List {
    fn read<'a>(
        file: &'static str,
        lines: impl Iterator<Item = &'a str>,
    ) -> Result<Self, UpdateError> {
        let mut list = IndexMap::new();
        for line in lines.filter(|line| !line.trim().is_empty()) {
            if line.trim_start().starts_with(['#', '-']) {
                list.insert(line.to_owned(), line.to_owned());
                continue;
            }
            let bare = line.split(" #").next().unwrap_or(line).trim_end();
            let requirement =
                Requirement::parse(bare).map_err(|source| UpdateError::Line { file, source })?;
            list.insert(requirement.name.clone(), requirement.to_string());
        }
        Ok(Self(list))
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn texts(&self) -> Vec<String> {
        self.0.values().cloned().collect()
    }

    fn with(mut self, given: &[Requirement]) -> Result<Self, UpdateError> {
        for requirement in joined(given)? {
            let text = requirement.to_string();
            self.0.insert(requirement.name, text);
        }
        Ok(self)
    }

    fn without(mut self, given: &[Requirement]) -> Self {
        for requirement in given {
            self.0.shift_remove(&requirement.name);
        }
        self
    }
}

/// Requirements of the same package for the same machines become one, with all their clauses.
fn joined(given: &[Requirement]) -> Result<Vec<Requirement>, UpdateError> {
    let mut found: IndexMap<(String, Option<String>), Requirement> = IndexMap::new();
    for requirement in given {
        let key = (requirement.name.clone(), requirement.marker.clone());
        let Some(other) = found.get_mut(&key) else {
            found.insert(key, requirement.clone());
            continue;
        };
        let mut both = requirement.clone();
        both.versions.extend(other.versions.iter().cloned());
        both.extras.extend(other.extras.iter().cloned());
        if pins(&both) > 1 {
            return Err(UpdateError::Contradiction {
                first: other.to_string(),
                second: requirement.to_string(),
            });
        }
        *other = both;
    }
    Ok(found.into_values().collect())
}

/// How many versions a requirement names as the only one.
fn pins(requirement: &Requirement) -> usize {
    let pins = |clause: &&String| clause.starts_with("==") && !clause.ends_with(".*");
    requirement.versions.iter().filter(pins).count()
}

/// The requirements below `pip` among the dependencies of a Conda environment.
fn pip_of(environment: &mut Map<String, Value>) -> Result<Vec<String>, UpdateError> {
    let dependencies = match environment.get("dependencies") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(dependencies)) => dependencies,
        Some(_) => {
            return Err(UpdateError::NotAnEnvironment("`dependencies` is no list"));
        }
    };
    let Some(pip) = dependencies.iter().find_map(|entry| entry.get("pip")) else {
        return Ok(Vec::new());
    };
    let texts = pip.as_array().and_then(|list| {
        let texts = list.iter().map(|entry| entry.as_str().map(str::to_owned));
        texts.collect::<Option<Vec<String>>>()
    });
    texts.ok_or(UpdateError::NotAnEnvironment("`pip` is no list of texts"))
}

fn set_pip(environment: &mut Map<String, Value>, requirements: &[String]) {
    let entry = environment
        .entry("dependencies")
        .or_insert_with(|| json!([]));
    if !entry.is_array() {
        *entry = json!([]);
    }
    let Value::Array(dependencies) = entry else {
        return;
    };
    let pip = json!({"pip": requirements});
    let place = dependencies
        .iter_mut()
        .find(|entry| entry.get("pip").is_some());
    match place {
        Some(place) => *place = pip,
        None => dependencies.push(pip),
    }
}
