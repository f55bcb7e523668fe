//! A folder to build the image from with Docker: a Dockerfile, and what it copies.
//!
//! For those whose pipeline is built around `docker build`. The last stage begins from nothing and
//! gets the same files at the same paths, the same variables, user and commands as an image that is
//! assembled here; both come from one [`crate::config`].

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use mlrs_mlmodel::archive;

use super::{WriteError, failed};
use crate::build::{BuildError, BuildSettings};
use crate::config::{RunConfig, run_config_of};
use crate::elf::ElfFile;
use crate::parts::{BINARY_PATH, LIBRARY_FOLDER, MODEL_PATH, users};

/// The first line, by which a folder of ours is known.
const FIRST_LINE: &str =
    "# Made by mlrs: an image that serves a model. Build it with `docker build`.\n";

/// What is sent to Docker, and nothing else that may lie in the folder.
const IGNORED: &str = "*\n!bin\n!lib\n!model\n";

/// Writes the folder; one that was made here before is replaced.
///
/// # Errors
/// When something else is in the folder, or a file cannot be read or written. What was there stays.
pub fn write_context(settings: &BuildSettings, folder: &Path) -> Result<(), BuildError> {
    refuse_others(folder)?;
    let parent = folder
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let staged = tempfile::Builder::new()
        .prefix(".mlrs-dockerfile-")
        .tempdir_in(parent)
        .map_err(failed("write into", parent))?;
    fill(settings, staged.path())?;
    let unwritable = failed("write", folder);
    readable(staged.path()).map_err(&unwritable)?;
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(&unwritable)?;
    }
    std::fs::rename(staged.path(), folder).map_err(&unwritable)?;
    Ok(())
}

/// Temporary folders are for their owner only.
fn readable(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))?;
    }
    let _ = folder;
    Ok(())
}

fn refuse_others(folder: &Path) -> Result<(), WriteError> {
    let mut entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("read", folder)(error)),
    };
    let ours = std::fs::read_to_string(folder.join("Dockerfile"))
        .is_ok_and(|text| text.starts_with(FIRST_LINE));
    if ours || entries.next().is_none() {
        Ok(())
    } else {
        Err(WriteError::NotOurs(folder.to_owned()))
    }
}

fn fill(settings: &BuildSettings, folder: &Path) -> Result<(), BuildError> {
    let binary = ElfFile::read(&settings.binary)?;
    let platform = settings.platform.unwrap_or(binary.platform);
    let copy = |from: &Path, to: &str| -> Result<(), WriteError> {
        let to = folder.join(to);
        if let Some(above) = to.parent() {
            std::fs::create_dir_all(above).map_err(failed("create the folder", above))?;
        }
        std::fs::copy(from, &to).map_err(failed("write", &to))?;
        Ok(())
    };
    copy(&settings.binary, "bin/mlrs")?;
    if let Some(engine) = &settings.engine {
        copy(&engine.library, "lib/libonnxruntime.so")?;
    }
    if let Some(model) = &settings.model {
        for item in archive::items(model)? {
            if !item.is_directory {
                copy(&item.path, &format!("model/{}", item.name))?;
            }
        }
    }
    let config = run_config_of(platform, &settings.description, settings.engine.is_some());
    let text = dockerfile(settings, binary.interpreter.as_deref(), &config);
    for (name, text) in [("Dockerfile", text.as_str()), (".dockerignore", IGNORED)] {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(failed("write", &path))?;
    }
    Ok(())
}

/// The Dockerfile. Layers come in the order of how rarely they change.
fn dockerfile(settings: &BuildSettings, loader: Option<&str>, config: &RunConfig) -> String {
    let mut text = FIRST_LINE.to_owned();
    let has_engine = settings.engine.is_some();
    system_stage(&mut text, loader, has_engine);
    text.push_str("\n# What runs: no shell, no package manager, no root.\nFROM scratch\n");
    text.push_str("COPY --from=system /rootfs/ /\n");
    let _ = writeln!(text, "COPY bin/mlrs {BINARY_PATH}");
    if has_engine {
        let _ = writeln!(text, "COPY lib/ {LIBRARY_FOLDER}/");
    }
    if settings.model.is_some() {
        let _ = writeln!(text, "COPY model/ {MODEL_PATH}/");
    }
    text.push_str(&config.instructions());
    text
}

/// The stage that collects the loader, libraries, certificates and time zones.
fn system_stage(text: &mut String, loader: Option<&str>, has_engine: bool) {
    text.push_str(
        "\n# A Debian, or a system like it, that is no older than the one that mlrs was built on.\n\
         ARG BASE=debian:bookworm-slim\n\n\
         # What every program needs of a system.\n\
         FROM ${BASE} AS system\n\
         COPY bin/ /from/\n",
    );
    if has_engine {
        text.push_str("COPY lib/ /from/\n");
    }
    let _ = write!(
        text,
        "RUN set -eu; \\\n    \
             if ! [ -e /etc/ssl/certs/ca-certificates.crt -a -e /usr/share/zoneinfo/UTC ] || \\\n       \
                ldd /from/* | grep -q 'not found'; then \\\n        \
                 apt-get update; \\\n        \
                 apt-get install -y --no-install-recommends ca-certificates libstdc++6 tzdata; \\\n    \
             fi; \\\n    \
             mkdir -p /rootfs{LIBRARY_FOLDER} /rootfs/etc/ssl/certs /rootfs/usr/share /rootfs{MODEL_PATH}; \\\n    \
             mkdir -m 1777 /rootfs/tmp; \\\n    \
             for library in $(ldd /from/* | sed -n 's/.*=> \\(\\/[^ ]*\\) .*/\\1/p' | sort -u); do \\\n        \
                 cp -L \"$library\" /rootfs{LIBRARY_FOLDER}/; \\\n    \
             done; \\\n"
    );
    if let Some(loader) = loader {
        let _ = writeln!(text, "    cp -L --parents {loader} /rootfs/; \\");
    }
    text.push_str("    cp /etc/ssl/certs/ca-certificates.crt /rootfs/etc/ssl/certs/; \\\n");
    for (path, content) in users() {
        let content = content.replace('\n', "\\n");
        let _ = writeln!(text, "    printf '{content}' > /rootfs{path}; \\");
    }
    text.push_str("    cp -R /usr/share/zoneinfo /rootfs/usr/share/; \\\n");
    text.push_str("    rm -rf /rootfs/usr/share/zoneinfo/posix /rootfs/usr/share/zoneinfo/right\n");
}
