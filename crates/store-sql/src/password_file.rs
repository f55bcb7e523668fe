//! The password file of PostgreSQL's own programs, `~/.pgpass`: lines of
//! `host:port:database:user:password`, in which `*` stands for anything and `\` takes the meaning from
//! the next character.
//!
//! Source: PostgreSQL's documentation of libpq, "The Password File".

use tokio_postgres::Config;
use tokio_postgres::config::Host;

/// The port of PostgreSQL.
const DEFAULT_PORT: u16 = 5432;

/// The password that the first fitting line has for a connection.
pub(crate) fn password_for(config: &Config, content: &str) -> Option<String> {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.as_str(),
        _ => "localhost",
    };
    let port = config.get_ports().first().copied().unwrap_or(DEFAULT_PORT);
    let user = config.get_user().unwrap_or_default();
    let database = config.get_dbname().unwrap_or(user);
    let asked = [host, &port.to_string(), database, user];
    content
        .lines()
        .filter(|line| !line.starts_with('#'))
        .find_map(|line| {
            let mut fields = fields(line);
            let password = fields.pop().filter(|_| fields.len() == asked.len())?;
            let fits = |(field, asked): (&String, &str)| field == "*" || field == asked;
            fields.iter().zip(asked).all(fits).then_some(password)
        })
}

/// The fields of a line, without their backslashes.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        let literal = match character {
            ':' => {
                fields.push(String::new());
                continue;
            }
            '\\' => characters.next(),
            other => Some(other),
        };
        if let Some(field) = fields.last_mut() {
            field.extend(literal);
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits_has_the_password() {
        let content = "# host:port:database:user:password\n\
            other:5432:d:u:one\n\
            short:line\n\
            h:5432:d:ann:tw\\:o\\\\\n\
            h:*:d:*:three\n\
            localhost:5432:*:u:four\n";
        for (uri, password) in [
            ("postgresql://ann@h/d", Some("tw:o\\")),
            ("postgresql://ann@h:6432/d", Some("three")),
            ("postgresql://u@h/d", Some("three")),
            ("postgresql://u@h/e", None),
            ("postgresql://u@/x?host=/run/postgresql", Some("four")),
        ] {
            let config = uri.parse().unwrap();
            let found = password_for(&config, content);
            assert_eq!(found.as_deref(), password, "{uri}");
        }
    }
}
