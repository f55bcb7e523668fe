//! `~/.mlflow/credentials`: user name and password where no variable holds them.
//!
//! An INI file with a section `[mlflow]`, as `configparser` reads it; other sections are ignored.

use std::path::Path;

use crate::variables::{MLFLOW_TRACKING_PASSWORD, MLFLOW_TRACKING_USERNAME};

/// Largest file that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// User name and password from the file, each where it is there.
#[derive(Default, PartialEq, Eq)]
pub struct FileCredentials {
    /// `mlflow_tracking_username`
    pub username: Option<String>,
    /// `mlflow_tracking_password`
    pub password: Option<String>,
}

impl FileCredentials {
    /// Reads the file below a home folder; nothing when there is none.
    pub fn read(home: &Path) -> std::io::Result<Self> {
        let path = home.join(".mlflow").join("credentials");
        match std::fs::metadata(&path) {
            Ok(metadata) if metadata.len() <= MAX_BYTES => {}
            _ => return Ok(Self::default()),
        }
        Ok(Self::parse(&std::fs::read_to_string(&path)?))
    }

    fn parse(text: &str) -> Self {
        let mut found = Self::default();
        let mut inside = false;
        for line in text.lines().map(str::trim) {
            if line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(section) = line
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
            {
                inside = section == "mlflow";
            } else if let (true, Some((name, value))) = (inside, line.split_once(['=', ':'])) {
                let name = name.trim();
                let value = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
                if name.eq_ignore_ascii_case(MLFLOW_TRACKING_USERNAME) {
                    found.username = value;
                } else if name.eq_ignore_ascii_case(MLFLOW_TRACKING_PASSWORD) {
                    found.password = value;
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_section_of_mlflow_counts() {
        let text = "[other]\nmlflow_tracking_username = no\n# x\n[mlflow]\n\
                    mlflow_tracking_username = anna\nMLFLOW_TRACKING_PASSWORD: a=b:c\n[z]\n";
        let found = FileCredentials::parse(text);
        assert_eq!(found.username.as_deref(), Some("anna"));
        assert_eq!(found.password.as_deref(), Some("a=b:c"));
        assert!(
            FileCredentials::parse("mlflow_tracking_username = x")
                .username
                .is_none()
        );
    }

    #[test]
    fn no_file_is_no_credentials() {
        let home = tempfile::tempdir().unwrap();
        assert!(FileCredentials::read(home.path()).unwrap() == FileCredentials::default());
    }
}
