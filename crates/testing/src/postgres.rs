//! A PostgreSQL server of a test's own: Debian's package, a fresh cluster in a temporary folder.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::{Error, python, workspace_root};

/// Who runs the server when the test runs as root, which PostgreSQL refuses.
const USER: &str = "postgres";

/// How long the server may take to be startable again after a kill.
const PATIENCE: Duration = Duration::from_secs(20);

/// Between two attempts to start it.
const PAUSE: Duration = Duration::from_millis(200);

/// A cluster, which ends with this value.
#[derive(Debug)]
pub struct Postgres {
    programs: PathBuf,
    folder: tempfile::TempDir,
    port: u16,
    encrypted: bool,
}

impl Postgres {
    /// Makes a cluster and starts it on a free port of loopback.
    ///
    /// Texts are ordered by their bytes, as in SQLite. Nothing waits for the disk: a cluster lives
    /// as long as its test.
    ///
    /// # Errors
    /// When the programs are missing, or the server does not start.
    pub fn start() -> Result<Self, Error> {
        Self::start_with(false)
    }

    /// Starts a cluster that takes encrypted connections only, with a certificate for `localhost`.
    ///
    /// # Errors
    /// As [`Postgres::start`], and when there is no Python to make the certificate.
    pub fn start_encrypted() -> Result<Self, Error> {
        Self::start_with(true)
    }

    fn start_with(encrypted: bool) -> Result<Self, Error> {
        let programs = programs()?;
        let folder = tempfile::tempdir().map_err(|source| Error::io("make a folder", source))?;
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = port
            .map_err(|source| Error::io("find a free port", source))?
            .port();
        if is_root() {
            run(Command::new("chown").arg(USER).arg(folder.path()))?;
        }
        let cluster = Self {
            programs,
            folder,
            port,
            encrypted,
        };
        run(cluster
            .program("initdb")
            .args(["--encoding=UTF8", "--locale=C", "--auth=trust", "-U", USER])
            .arg("-D")
            .arg(cluster.data()))?;
        if encrypted {
            cluster.encrypt()?;
        }
        cluster.resume()?;
        Ok(cluster)
    }

    /// The certificate of who signed the server's.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn encrypt(&self) -> Result<(), Error> {
        run(Command::new(python()?)
            .arg(workspace_root().join("tests/python/make_certificates.py"))
            .arg(self.folder.path()))?;
        if is_root() {
            run(Command::new("chown")
                .arg(USER)
                .arg(self.folder.path().join("server.key")))?;
        }
        let rules = "hostssl all all 127.0.0.1/32 trust\nlocal all all trust\n";
        std::fs::write(self.data().join("pg_hba.conf"), rules)
            .map_err(|source| Error::io("write `pg_hba.conf`", source))
    }

    /// Starts the server again after [`Postgres::stop`] or [`Postgres::kill`].
    ///
    /// # Errors
    /// When it does not start.
    pub fn resume(&self) -> Result<(), Error> {
        let begin = Instant::now();
        loop {
            match self.start_server() {
                // Processes of a server that was killed end a moment later, and keep the next from
                // starting until then.
                Err(_) if begin.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
                done => return done,
            }
        }
    }

    fn start_server(&self) -> Result<(), Error> {
        let folder = self.folder.path().display();
        let encryption = if self.encrypted {
            format!(
                " -c ssl=on -c ssl_cert_file={folder}/server.pem -c ssl_key_file={folder}/server.key"
            )
        } else {
            String::new()
        };
        let options = format!(
            "-p {} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=50{encryption}",
            self.port,
        );
        run(self.control().args(["-o", &options, "-w", "start"]))
    }

    /// Ends the server at once, as a crash would.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub fn stop(&self) -> Result<(), Error> {
        run(self.control().args(["-m", "immediate", "-w", "stop"]))
    }

    /// Kills the server's first process, which gets no chance to tell the others or to write
    /// anything.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&self) -> Result<(), Error> {
        run(Command::new("kill").args(["-KILL", &self.first_process()?]))
    }

    /// Stops every process of the server where it is, until [`Postgres::thaw`]: connections stay
    /// open, and nothing is answered.
    ///
    /// # Errors
    /// When it does not run.
    pub fn freeze(&self) -> Result<(), Error> {
        self.signal_all("-STOP")
    }

    /// Lets the server go on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn thaw(&self) -> Result<(), Error> {
        self.signal_all("-CONT")
    }

    fn signal_all(&self, signal: &str) -> Result<(), Error> {
        let first = self.first_process()?;
        // Its children first would let it start new ones.
        let children = Command::new("ps")
            .args(["-o", "pid=", "--ppid", &first])
            .output()
            .map_err(|source| Error::io("list the processes of PostgreSQL", source))?;
        let children = String::from_utf8_lossy(&children.stdout).into_owned();
        let mut kill = Command::new("kill");
        run(kill
            .args([signal, &first])
            .args(children.split_whitespace()))
    }

    fn first_process(&self) -> Result<String, Error> {
        let path = self.data().join("postmaster.pid");
        let text = std::fs::read_to_string(&path)
            .map_err(|source| Error::io("read `postmaster.pid`", source))?;
        Ok(text.lines().next().unwrap_or_default().to_owned())
    }

    /// Makes a database, and gives its address.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn database(&self, name: &str) -> Result<String, Error> {
        let port = self.port.to_string();
        run(self
            .program("createdb")
            .arg("-h")
            .arg(self.folder.path())
            .args(["-p", &port, "-U", USER, name]))?;
        Ok(format!("postgresql://{USER}@127.0.0.1:{port}/{name}"))
    }

    /// The statements that make the tables of a database, as `pg_dump` writes them.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn schema(&self, uri: &str) -> Result<String, Error> {
        let mut dump = self.program("pg_dump");
        dump.args(["--schema-only", "--no-owner", "--no-privileges", uri]);
        let output = dump
            .output()
            .map_err(|source| Error::io("run `pg_dump`", source))?;
        if !output.status.success() {
            return Err(failed("pg_dump", &output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn control(&self) -> Command {
        let mut control = self.program("pg_ctl");
        control.arg("-D").arg(self.data());
        control.arg("-l").arg(self.folder.path().join("server.log"));
        control
    }

    fn program(&self, name: &str) -> Command {
        let path = self.programs.join(name);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", USER, "--regid", USER, "--clear-groups"]);
            command.arg(path);
            command
        } else {
            Command::new(path)
        };
        // The server inherits what it is started from, and a pipe would never end.
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

fn is_root() -> bool {
    Path::new("/proc/self")
        .metadata()
        .is_ok_and(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata) == 0)
}

/// Debian keeps them off the path, in a folder for each version; the newest is taken.
fn programs() -> Result<PathBuf, Error> {
    let versions = std::fs::read_dir("/usr/lib/postgresql");
    let versions = versions.into_iter().flatten().filter_map(Result::ok);
    versions
        .map(|version| version.path().join("bin"))
        .filter(|folder| folder.join("initdb").exists())
        .max()
        .ok_or_else(|| {
            Error::Missing(
                "there is no PostgreSQL server in `/usr/lib/postgresql` (Debian: `postgresql`)"
                    .to_owned(),
            )
        })
}

/// Runs a program to its end; what it writes goes to a file, because the server keeps it open.
fn run(command: &mut Command) -> Result<(), Error> {
    let program = format!("{command:?}");
    let log = tempfile::NamedTempFile::new().map_err(|source| Error::io("make a file", source))?;
    let output = || {
        log.reopen()
            .map_err(|source| Error::io("write a log", source))
    };
    let status = command
        .stdout(output()?)
        .stderr(output()?)
        .status()
        .map_err(|source| Error::io(format!("run `{program}`"), source))?;
    if status.success() {
        return Ok(());
    }
    Err(failed(
        &program,
        &std::fs::read(log.path()).unwrap_or_default(),
    ))
}

fn failed(program: &str, errors: &[u8]) -> Error {
    Error::NotStarted {
        program: program.to_owned(),
        reason: String::from_utf8_lossy(errors).into_owned(),
    }
}
