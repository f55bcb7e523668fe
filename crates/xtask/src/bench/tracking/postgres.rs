//! PostgreSQL databases: in a cluster that is made for the run, or on a server that is given.
//!
//! The cluster is made with Debian's programs and its defaults, with every commit durable. Only
//! mlrs can fill a database quickly, so the filled ones are copies of one that mlrs filled.

use std::cell::OnceCell;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::databases::{Databases, require_disk};
use super::filling::{self, Sizes};
use super::servers::{Programs, Server};
use crate::bench::subject::free_port;
use crate::environment::run;

/// How long a cluster may take to start.
const PATIENCE: Duration = Duration::from_secs(30);
/// The user that PostgreSQL runs as when this runs as root, which it refuses.
const USER: &str = "postgres";
/// Drops the indexes that mlrs adds to MLflow's schema.
const WITHOUT_INDEXES: &str = "DO $$ DECLARE found record; BEGIN \
     FOR found IN SELECT indexname FROM pg_indexes WHERE indexname LIKE 'mlrs\\_%' LOOP \
     EXECUTE format('DROP INDEX %I', found.indexname); END LOOP; END $$";

/// A cluster of its own, ended and removed with this value.
struct Cluster {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // SIGINT: end now, but in order.
        let id = self.child.id().to_string();
        drop(Command::new("kill").args(["-INT", &id]).status());
        drop(self.child.wait());
    }
}

impl Cluster {
    fn start() -> anyhow::Result<Self> {
        // Where the user `postgres` may go, and which outlives a restart, so that it is on a disk.
        let folder = tempfile::Builder::new()
            .prefix("mlrs-bench-postgres-")
            .tempdir_in("/var/tmp")?;
        require_disk(folder.path())?;
        let other = other_user()?;
        if let Some((user, group)) = other {
            std::os::unix::fs::chown(folder.path(), Some(user), Some(group))?;
        }
        let program = |name: &str| -> anyhow::Result<Command> {
            let mut command = Command::new(program(name)?);
            command.current_dir(folder.path());
            if let Some((user, group)) = other {
                command.uid(user).gid(group);
            }
            Ok(command)
        };
        let data = folder.path().join("data");
        run(program("initdb")?
            .args([
                "--username",
                "mlrs",
                "--auth",
                "trust",
                "--encoding",
                "UTF8",
            ])
            .args(["--locale", "C", "--pgdata"])
            .arg(&data)
            .stdout(Stdio::null()))?;
        let port = free_port()?;
        let child = program("postgres")?
            .arg("-D")
            .arg(&data)
            .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "unix_socket_directories="])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot run `postgres`")?;
        let cluster = Self {
            child,
            port,
            _folder: folder,
        };
        let begin = Instant::now();
        while statement(&cluster.prefix(), "postgres", "SELECT 1", true).is_err() {
            ensure!(begin.elapsed() < PATIENCE, "PostgreSQL did not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(cluster)
    }

    fn prefix(&self) -> String {
        format!("postgresql://mlrs@127.0.0.1:{}", self.port)
    }
}

/// The databases of one PostgreSQL server, dropped with this value.
pub struct Postgres {
    prefix: String,
    made: Vec<String>,
    /// The filled database, once it is known whether it can be had.
    filled: OnceCell<Option<String>>,
    programs: Programs,
    sizes: Sizes,
    _cluster: Option<Cluster>,
}

impl Postgres {
    /// On the server of which this is the start of addresses, or on a cluster of its own when it is
    /// empty.
    pub fn start(prefix: &str, programs: Programs, sizes: Sizes) -> anyhow::Result<Self> {
        let cluster = prefix.is_empty().then(Cluster::start).transpose()?;
        let prefix = cluster
            .as_ref()
            .map_or_else(|| prefix.trim_end_matches('/').to_owned(), Cluster::prefix);
        Ok(Self {
            prefix,
            made: Vec::new(),
            filled: OnceCell::new(),
            programs,
            sizes,
            _cluster: cluster,
        })
    }

    /// A new database, empty or a copy of another one.
    fn create(&mut self, template: &str) -> anyhow::Result<String> {
        let name = format!("mlrs_bench_{}_{}", std::process::id(), self.made.len());
        let text = format!("CREATE DATABASE {name} TEMPLATE {template}");
        statement(&self.prefix, "postgres", &text, false)?;
        self.made.push(name.clone());
        Ok(name)
    }

    fn address(&self, database: &str) -> String {
        format!("{}/{database}", self.prefix)
    }

    /// A database that mlrs filled.
    fn fill(&mut self, folder: &Path) -> anyhow::Result<String> {
        println!("filling a PostgreSQL database");
        let name = self.create("template0")?;
        let subject = self
            .programs
            .start(Server::Mlrs, &self.address(&name), folder)?;
        filling::fill(&subject.address, self.sizes, true)?;
        subject.stop()?;
        statement(&self.prefix, &name, "VACUUM ANALYZE", false)?;
        Ok(name)
    }
}

impl Databases for Postgres {
    fn fresh(&mut self, _: Server, _: &Path) -> anyhow::Result<String> {
        let name = self.create("template0")?;
        Ok(self.address(&name))
    }

    fn filled(&mut self, server: Server, folder: &Path) -> anyhow::Result<Option<String>> {
        let filled = if let Some(known) = self.filled.get() {
            known.clone()
        } else {
            let made = self.fill(folder);
            let made = made.inspect_err(|error| println!("nothing to search: {error:#}"));
            self.filled.get_or_init(|| made.ok()).clone()
        };
        let Some(filled) = filled else {
            return Ok(None);
        };
        let name = self.create(&filled)?;
        if server == Server::Mlflow {
            statement(&self.prefix, &name, WITHOUT_INDEXES, false)?;
        }
        Ok(Some(self.address(&name)))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        for name in &self.made {
            let text = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
            if let Err(error) = statement(&self.prefix, "postgres", &text, false) {
                println!("{error:#}");
            }
        }
    }
}

/// Runs a statement in a database.
fn statement(prefix: &str, database: &str, text: &str, quiet: bool) -> anyhow::Result<()> {
    let mut command = Command::new(program("psql")?);
    command
        .args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1"])
        .args(["--command", text])
        .arg(format!("{prefix}/{database}"))
        .stdout(Stdio::null());
    if quiet {
        command.stderr(Stdio::null());
    }
    run(&mut command)
}

/// A program of PostgreSQL: of Debian's newest version, else found by its name.
fn program(name: &str) -> anyhow::Result<PathBuf> {
    let folder = Path::new("/usr/lib/postgresql");
    let versions = match std::fs::read_dir(folder) {
        Ok(versions) => versions,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(name.into()),
        Err(error) => return Err(error.into()),
    };
    let newest = versions
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.join("bin").join(name).exists())
        .max_by_key(|path| {
            let version = path.file_name().unwrap_or_default().to_string_lossy();
            version.parse::<u32>().unwrap_or_default()
        });
    Ok(newest.map_or_else(|| name.into(), |path| path.join("bin").join(name)))
}

/// User and group to run PostgreSQL as; none when this does not run as root.
fn other_user() -> anyhow::Result<Option<(u32, u32)>> {
    use std::os::unix::fs::MetadataExt as _;
    if std::fs::metadata("/proc/self")?.uid() != 0 {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd")?;
    let Some(found) = user_in(&users, USER) else {
        bail!("there is no user `{USER}`, and PostgreSQL does not run as root");
    };
    Ok(Some(found))
}

/// The numbers of a user and its group, from lines as `/etc/passwd` has them.
fn user_in(users: &str, name: &str) -> Option<(u32, u32)> {
    let mut fields = users
        .lines()
        .map(|line| line.split(':'))
        .find(|fields| fields.clone().next() == Some(name))?
        .skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::user_in;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let users = "postgresql:x:1:2::/:/bin/sh\npostgres:x:101:104:,,,:/:/bin/bash\n";
        assert_eq!(user_in(users, "postgres"), Some((101, 104)));
        assert_eq!(user_in(users, "root"), None);
    }
}
