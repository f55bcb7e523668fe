//! Variables of the server, which are no secrets.

use std::str::FromStr;

use super::SettingsError;
use super::model::holds_credentials;

/// A variable of the server, which everyone may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// Variables that the objects set themselves.
const TAKEN: [&str; 4] = ["MLFLOW_HOST", "MLFLOW_PORT", "MLRS_CACHE_DIR", "MLRS_DRAIN"];

/// Ends of names whose values are secrets.
const SECRET_ENDS: [&str; 8] = [
    "PASSWORD",
    "SECRET",
    "TOKEN",
    "ACCESS_KEY",
    "ACCOUNT_KEY",
    "API_KEY",
    "PRIVATE_KEY",
    "CONNECTION_STRING",
];

impl FromStr for Variable {
    type Err = SettingsError;

    fn from_str(text: &str) -> Result<Self, SettingsError> {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| SettingsError::NotAVariable(text.to_owned()))?;
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        if name.is_empty()
            || !name.bytes().all(letter)
            || name.starts_with(|first: char| first.is_ascii_digit())
            || [".", ".."].contains(&name)
        {
            return Err(SettingsError::VariableName(name.to_owned()));
        }
        if TAKEN.contains(&name) {
            return Err(SettingsError::VariableTaken(name.to_owned()));
        }
        let upper = name.to_ascii_uppercase();
        let is_secret = SECRET_ENDS.iter().any(|end| {
            let before = upper.strip_suffix(end);
            before.is_some_and(|before| before.is_empty() || before.ends_with('_'))
        });
        if is_secret || holds_credentials(value) {
            return Err(SettingsError::SecretVariable(name.to_owned()));
        }
        Ok(Self {
            name: name.to_owned(),
            value: value.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_no_secret() {
        let variable: Variable = "MLRS_LOG=a=b".parse().unwrap();
        assert_eq!(
            (variable.name.as_str(), variable.value.as_str()),
            ("MLRS_LOG", "a=b")
        );
        assert!("TOKENIZERS_PARALLELISM=1".parse::<Variable>().is_ok());
        assert!("AWS_ACCESS_KEY_ID=x".parse::<Variable>().is_ok());
        for (text, error) in [
            ("A", SettingsError::NotAVariable("A".to_owned())),
            ("1A=x", SettingsError::VariableName("1A".to_owned())),
            ("A B=x", SettingsError::VariableName("A B".to_owned())),
            ("=x", SettingsError::VariableName(String::new())),
            (
                "MLRS_DRAIN=1",
                SettingsError::VariableTaken("MLRS_DRAIN".to_owned()),
            ),
            (
                "AWS_SECRET_ACCESS_KEY=hush",
                SettingsError::SecretVariable("AWS_SECRET_ACCESS_KEY".to_owned()),
            ),
            (
                "token=hush",
                SettingsError::SecretVariable("token".to_owned()),
            ),
            (
                "MLFLOW_TRACKING_URI=https://me:hush@host",
                SettingsError::SecretVariable("MLFLOW_TRACKING_URI".to_owned()),
            ),
        ] {
            let found = text.parse::<Variable>().unwrap_err();
            assert!(!found.to_string().contains("hush"));
            assert_eq!(found, error);
        }
    }
}
