//! Settings of the object stores, under the names that MLflow, boto3 and the clouds' SDKs use.
//!
//! [`CloudSettings::from_variables`] takes a lookup function, so that only the command line reads
//! the environment. `Debug` shows names, never values, because most of them are secrets.

use std::collections::BTreeMap;
use std::fmt;

/// Address of an S3 store that is not AWS.
pub const MLFLOW_S3_ENDPOINT_URL: &str = "MLFLOW_S3_ENDPOINT_URL";
/// `true` accepts any certificate of an S3 store.
pub const MLFLOW_S3_IGNORE_TLS: &str = "MLFLOW_S3_IGNORE_TLS";
/// `path`, `virtual` or `auto`: where the bucket's name goes in an address.
pub const MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE: &str = "MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE";
/// `unsigned` reads public buckets without credentials.
pub const MLFLOW_EXPERIMENTAL_S3_SIGNATURE_VERSION: &str =
    "MLFLOW_EXPERIMENTAL_S3_SIGNATURE_VERSION";

/// Address of a store that stands in for Google's, as with Google's own libraries.
pub const STORAGE_EMULATOR_HOST: &str = "STORAGE_EMULATOR_HOST";

/// Variables of boto3 that are passed on as they are.
const AWS_VARIABLES: &[&str] = &[
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_STS",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_SKIP_SIGNATURE",
    "AWS_REQUEST_PAYER",
];

/// Variables of Google's libraries that are passed on as they are.
const GOOGLE_VARIABLES: &[&str] = &["GOOGLE_APPLICATION_CREDENTIALS", STORAGE_EMULATOR_HOST];

/// Variables of Azure's libraries that are passed on as they are.
const AZURE_VARIABLES: &[&str] = &[
    "AZURE_STORAGE_CONNECTION_STRING",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_ENDPOINT",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_TENANT_ID",
    "AZURE_AUTHORITY_HOST",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_USE_AZURE_CLI",
];

/// How S3 is reached; MLflow's own variables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct S3Settings {
    /// Address of the store; AWS when there is none.
    pub endpoint: Option<String>,
    /// Accept any certificate.
    pub ignore_tls: bool,
    /// `path`, `virtual` or `auto`.
    pub addressing_style: Option<String>,
    /// Send no credentials.
    pub unsigned: bool,
}

/// Settings of all object stores.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CloudSettings {
    /// How S3 is reached.
    pub s3: S3Settings,
    /// Values of the clouds' own variables, by the variable's name.
    pub variables: BTreeMap<String, String>,
}

impl fmt::Debug for CloudSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CloudSettings")
            .field("s3", &self.s3)
            .field("variables", &self.variables.keys().collect::<Vec<_>>())
            .finish()
    }
}

impl CloudSettings {
    /// Asks `variable` for each name that matters; an empty value counts as not set.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let is_true = |name: &str| {
            set(name).is_some_and(|value| matches!(value.to_lowercase().as_str(), "true" | "1"))
        };
        let variables = AWS_VARIABLES
            .iter()
            .chain(GOOGLE_VARIABLES)
            .chain(AZURE_VARIABLES)
            .filter_map(|name| set(name).map(|value| ((*name).to_owned(), value)))
            .collect();
        let s3 = S3Settings {
            endpoint: set(MLFLOW_S3_ENDPOINT_URL),
            ignore_tls: is_true(MLFLOW_S3_IGNORE_TLS),
            addressing_style: set(MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE),
            unsigned: set(MLFLOW_EXPERIMENTAL_S3_SIGNATURE_VERSION)
                .is_some_and(|value| value.eq_ignore_ascii_case("unsigned")),
        };
        Self { s3, variables }
    }

    /// The values whose names begin with `prefix`.
    pub(crate) fn with_prefix<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.variables
            .iter()
            .filter(move |(name, _)| name.starts_with(prefix))
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// One value.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_taken_by_name_and_not_shown() {
        let settings = CloudSettings::from_variables(|name| match name {
            "AWS_SECRET_ACCESS_KEY" => Some("geheim".to_owned()),
            "AWS_REGION" => Some(String::new()),
            MLFLOW_S3_IGNORE_TLS => Some("True".to_owned()),
            MLFLOW_S3_ENDPOINT_URL => Some("http://127.0.0.1:9000".to_owned()),
            _ => None,
        });
        assert_eq!(settings.get("AWS_SECRET_ACCESS_KEY"), Some("geheim"));
        assert_eq!(settings.get("AWS_REGION"), None);
        assert!(settings.s3.ignore_tls && !settings.s3.unsigned);
        let shown = format!("{settings:?}");
        assert!(
            !shown.contains("geheim") && shown.contains("AWS_SECRET_ACCESS_KEY"),
            "{shown}"
        );
    }
}
