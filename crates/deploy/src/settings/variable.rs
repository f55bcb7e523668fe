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

/// Last words of names whose values are secrets. `AWS_ACCESS_KEY_ID` ends in none of them.
const SECRET_WORDS: [&str; 15] = [
    "AUTH",
    "CREDENTIAL",
    "CREDENTIALS",
    "KEY",
    "KEYS",
    "PASS",
    "PASSPHRASE",
    "PASSWD",
    "PASSWORD",
    "PASSWORDS",
    "PWD",
    "SAS",
    "SECRET",
    "SECRETS",
    "TOKEN",
];
/// Ends of such names that need no `_` before them, as in `PGPASSWORD`.
const SECRET_ENDS: [&str; 6] = [
    "ACCESSKEY",
    "APIKEY",
    "CONNECTION_STRING",
    "PASSWD",
    "PASSWORD",
    "SECRET",
];

impl FromStr for Variable {
    type Err = SettingsError;

    fn from_str(text: &str) -> Result<Self, SettingsError> {
        let (name, value) = text.split_once('=').ok_or(SettingsError::NotAVariable)?;
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
        if is_secret(name) || holds_credentials(value) {
            return Err(SettingsError::SecretVariable(name.to_owned()));
        }
        Ok(Self {
            name: name.to_owned(),
            value: value.to_owned(),
        })
    }
}

/// Whether a variable with this name holds a secret. A number at the end is no part of the name.
fn is_secret(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    let apart = |letter: char| "_-.".contains(letter);
    let upper = upper.trim_end_matches(|last: char| last.is_ascii_digit() || apart(last));
    let last = upper.rsplit(apart).next().unwrap_or_default();
    // `PWD` alone is the working folder.
    (SECRET_WORDS.contains(&last) && upper != "PWD")
        || SECRET_ENDS.iter().any(|end| upper.ends_with(end))
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
            ("hush", SettingsError::NotAVariable),
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

    #[test]
    fn names_of_secrets_are_known() {
        for name in [
            "DB_PASS",
            "DB_PASSWD",
            "PGPASSWORD",
            "DB_PASSWORD_2",
            "MYSQL_PWD",
            "OPENAI_APIKEY",
            "OPENAI_API_KEY",
            "api-key",
            "SIGNING_KEY",
            "AZURE_STORAGE_SAS",
            "AZURE_STORAGE_CONNECTION_STRING",
            "GOOGLE_CREDENTIALS",
            "PROXY_AUTH",
            "HF_TOKEN",
            "spring.datasource.password",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "AWS_ACCESS_KEY_ID",
            "AZURE_CLIENT_ID",
            "PWD",
            "MONKEY",
            "COMPASS",
            "AUTHOR",
            "KEYBOARD",
            "TOKENIZERS_PARALLELISM",
            "MLRS_LOG",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
