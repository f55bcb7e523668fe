//! The databases of the subjects: fresh ones, and copies of those that were filled once.
//!
//! mlrs fills one SQLite file through its API, and the same file, without the indexes that mlrs adds
//! and in the journal mode that MLflow leaves, is MLflow's. `FastTrackML` has a schema of its own and
//! is filled through its own API. Filled files are kept in the tests' home.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail};
use mlrs_testing::{home, workspace_root};

use super::filling::{self, Sizes};
use super::servers::{Programs, Server};
use crate::bench::figures::median;
use crate::environment;

/// To be counted up when the contents of filled databases change.
const VERSION: u32 = 1;

/// Where databases come from.
pub trait Databases {
    /// The address of an empty database.
    fn fresh(&mut self, server: Server, folder: &Path) -> anyhow::Result<String>;
    /// The address of a filled one; none where that cannot be had.
    fn filled(&mut self, server: Server, folder: &Path) -> anyhow::Result<Option<String>>;
}

/// SQLite files.
pub struct Files {
    /// Where the filled ones are kept.
    kept: PathBuf,
    programs: Programs,
    sizes: Sizes,
}

impl Files {
    /// Keeps filled files of these sizes in a folder.
    pub fn new(programs: Programs, sizes: Sizes, folder: Option<&Path>) -> Self {
        let folder = folder.map_or_else(|| home().join("bench-tracking"), Path::to_path_buf);
        Self {
            kept: folder.join(format!("v{VERSION}-{}-{}", sizes.runs, sizes.points)),
            programs,
            sizes,
        }
    }

    /// The filled file of a server, made when it is not there.
    fn kept(&self, server: Server) -> anyhow::Result<PathBuf> {
        let file = self.kept.join(format!("{}.db", server.title()));
        if file.exists() {
            return Ok(file);
        }
        std::fs::create_dir_all(&self.kept)?;
        let folder = tempfile::tempdir_in(&self.kept)?;
        let new = folder.path().join("new.db");
        if server == Server::Mlflow {
            let python = self.programs.mlflow.as_deref();
            environment::run(
                Command::new(python.context("there is no MLflow")?)
                    .arg(workspace_root().join("crates/xtask/bench/as_mlflow_keeps_it.py"))
                    .arg(self.kept(Server::Mlrs)?)
                    .arg(&new),
            )?;
        } else {
            println!("filling a database of {}", server.title());
            let begin = Instant::now();
            let subject = self
                .programs
                .start(server, &address_of(&new), folder.path())?;
            filling::fill(&subject.address, self.sizes, server.offers_all())?;
            subject.stop()?;
            println!("filled in {:.0} s", begin.elapsed().as_secs_f64());
        }
        // What a server leaves beside a file when it ends belongs to the contents.
        if new
            .with_extension("db-wal")
            .metadata()
            .is_ok_and(|log| log.len() > 0)
        {
            bail!("{} left a log beside its database", server.title());
        }
        std::fs::rename(&new, &file)?;
        Ok(file)
    }
}

impl Databases for Files {
    fn fresh(&mut self, _: Server, folder: &Path) -> anyhow::Result<String> {
        Ok(address_of(&folder.join("fresh.db")))
    }

    fn filled(&mut self, server: Server, folder: &Path) -> anyhow::Result<Option<String>> {
        let copy = folder.join("filled.db");
        std::fs::copy(self.kept(server)?, &copy)?;
        Ok(Some(address_of(&copy)))
    }
}

fn address_of(file: &Path) -> String {
    format!("sqlite:///{}", file.display())
}

/// The type of the file system that a folder lies on.
pub fn file_system(folder: &Path) -> anyhow::Result<String> {
    let folder = folder.canonicalize()?;
    let mounts = std::fs::read_to_string("/proc/mounts")?;
    let kind = file_system_in(&mounts, &folder).context("the folder lies on no file system")?;
    Ok(kind.to_owned())
}

/// Refuses a folder in memory, where nothing is durable and everything is fast.
pub fn require_disk(folder: &Path) -> anyhow::Result<()> {
    if ["tmpfs", "ramfs"].contains(&file_system(folder)?.as_str()) {
        bail!(
            "`{}` lies in memory; set MLRS_TEST_HOME to a folder on a disk",
            folder.display()
        );
    }
    Ok(())
}

/// How long it takes to make a page durable on the file system of a folder, in milliseconds: the
/// median of some.
pub fn page_sync(folder: &Path) -> anyhow::Result<f64> {
    const PAGES: usize = 50;
    let mut file = tempfile::tempfile_in(folder)?;
    let mut times = Vec::with_capacity(PAGES);
    for _ in 0..PAGES {
        let begin = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        times.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    Ok(median(&times, |time| *time))
}

/// The type of the innermost mount above a folder, from lines as `/proc/mounts` has them.
fn file_system_in<'m>(mounts: &'m str, folder: &Path) -> Option<&'m str> {
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((Path::new(words.next()?), words.next()?))
    });
    mounts
        .filter(|(place, _)| folder.starts_with(place))
        .max_by_key(|(place, _)| place.components().count())
        .map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_mount_counts() {
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/b /tmp/disk xfs rw 0 0\n";
        let kind = |folder: &str| file_system_in(mounts, Path::new(folder));
        assert_eq!(kind("/home"), Some("ext4"));
        assert_eq!(kind("/tmp/x"), Some("tmpfs"));
        assert_eq!(kind("/tmpfiles"), Some("ext4"));
        assert_eq!(kind("/tmp/disk/x"), Some("xfs"));
    }

    #[test]
    fn a_folder_in_memory_is_refused() {
        let error = require_disk(Path::new("/dev/shm")).unwrap_err();
        assert!(error.to_string().contains("lies in memory"), "{error}");
    }
}
