//! Passwords of databases, off the command line that everybody on the machine can read.
//!
//! A process that was started with one begins again, as the same process, without it: the address
//! moves into the environment, which only its owner and root can read. Until then, a few milliseconds,
//! it can be seen; so there is a warning, which names the ways that show it to nobody.

use std::ffi::{OsStr, OsString};

/// The variable of `--backend-store-uri`.
const MLFLOW_BACKEND_STORE_URI: &str = "MLFLOW_BACKEND_STORE_URI";
/// The variable of `--registry-store-uri`.
const MLFLOW_REGISTRY_STORE_URI: &str = "MLFLOW_REGISTRY_STORE_URI";

/// Options whose value may hold a password, and the variable that does the same.
const OPTIONS: [(&str, &str); 2] = [
    ("--backend-store-uri", MLFLOW_BACKEND_STORE_URI),
    ("--registry-store-uri", MLFLOW_REGISTRY_STORE_URI),
];

/// A command line without passwords, and what goes into the environment instead.
#[derive(Debug, PartialEq, Eq)]
struct Hidden {
    arguments: Vec<OsString>,
    variables: Vec<(&'static str, String)>,
}

/// Begins again without passwords, if there are any; otherwise, and where that cannot be done, it
/// returns.
pub(crate) fn hide_passwords() {
    let mut arguments = std::env::args_os();
    let program = arguments.next().unwrap_or_default();
    if let Some(hidden) = hide(arguments) {
        warn();
        begin_again(&program, hidden);
    }
}

#[allow(
    clippy::print_stderr,
    reason = "a warning to the person who typed the command"
)]
fn warn() {
    eprintln!(
        "warning: the password of the database was on the command line, where others on this machine can \
         read it until the process has hidden it: set {MLFLOW_BACKEND_STORE_URI} or PGPASSWORD instead, or \
         keep the password in the file that PGPASSFILE names"
    );
}

#[cfg(unix)]
fn begin_again(program: &OsStr, hidden: Hidden) {
    use std::os::unix::process::CommandExt as _;
    if let Ok(this) = std::env::current_exe() {
        // It returns only when it fails, and then the command goes on as it is.
        let _ = std::process::Command::new(this)
            .arg0(program)
            .args(hidden.arguments)
            .envs(hidden.variables)
            .exec();
    }
}

#[cfg(not(unix))]
fn begin_again(_program: &OsStr, _hidden: Hidden) {}

/// The command line without its passwords; none when it has none.
fn hide(arguments: impl Iterator<Item = OsString>) -> Option<Hidden> {
    let mut hidden = Hidden {
        arguments: Vec::new(),
        variables: Vec::new(),
    };
    let mut arguments = arguments.peekable();
    while let Some(argument) = arguments.next() {
        let text = argument.to_str().unwrap_or_default();
        let (name, inline) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        let option = OPTIONS.iter().find(|(option, _)| *option == name);
        let next = arguments.peek().and_then(|next| next.to_str());
        if let Some((_, variable)) = option
            && let Some(value) = inline.or_else(|| next.map(str::to_owned))
            && has_password(&value)
        {
            if !text.contains('=') {
                arguments.next();
            }
            hidden.variables.push((variable, value));
            continue;
        }
        // `mlrs db check URI` takes the variable as well.
        let is_db = hidden.arguments.first().is_some_and(|first| first == "db");
        if is_db && has_password(text) {
            hidden
                .variables
                .push((MLFLOW_BACKEND_STORE_URI, text.to_owned()));
            continue;
        }
        hidden.arguments.push(argument);
    }
    (!hidden.variables.is_empty()).then_some(hidden)
}

/// Whether an address of a database has a password: `scheme://user:password@host`, or as an argument.
fn has_password(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let user = authority.rsplit_once('@').map(|(user, _)| user);
    let in_user = user.is_some_and(|user| user.contains(':'));
    scheme.starts_with("postgres") && (in_user || rest.contains("password="))
}

#[cfg(test)]
mod tests {
    use super::*;

    const URI: &str = "postgresql://u:secret@h/d";

    fn hidden(line: &str) -> Option<(String, Vec<(&'static str, String)>)> {
        let hidden = hide(line.split_whitespace().map(OsString::from))?;
        let arguments: Vec<_> = hidden
            .arguments
            .iter()
            .filter_map(|one| one.to_str())
            .collect();
        Some((arguments.join(" "), hidden.variables))
    }

    #[test]
    fn passwords_move_into_the_environment() {
        let backend = || vec![("MLFLOW_BACKEND_STORE_URI", URI.to_owned())];
        for (line, rest) in [
            (
                format!("server --backend-store-uri {URI} -p 1"),
                "server -p 1",
            ),
            (format!("server --backend-store-uri={URI}"), "server"),
            (
                format!("gc --backend-store-uri {URI} --dry-run"),
                "gc --dry-run",
            ),
            (format!("db check {URI}"), "db check"),
        ] {
            assert_eq!(hidden(&line), Some((rest.to_owned(), backend())), "{line}");
        }
        let (rest, variables) = hidden(&format!("server --registry-store-uri {URI}")).unwrap();
        assert_eq!(
            (rest.as_str(), variables[0].0),
            ("server", "MLFLOW_REGISTRY_STORE_URI")
        );
    }

    #[test]
    fn a_line_without_a_password_stays_as_it_is() {
        for line in [
            "server",
            "server --backend-store-uri",
            "server --backend-store-uri postgresql://u@h/d?sslmode=require",
            "server --backend-store-uri sqlite:///a:b@c.db",
            "predict postgresql://u:secret@h/d",
        ] {
            assert_eq!(hidden(line), None, "{line}");
        }
        assert!(has_password("postgresql+psycopg2://u@h/d?password=secret"));
    }
}
