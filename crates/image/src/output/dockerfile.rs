//! A folder to build the image from with Docker: a Dockerfile, and what it copies.
//!
//! For those whose pipeline is built around `docker build`. The last stage begins from nothing and
//! gets the same files at the same paths, the same variables, user and commands as an image that is
//! assembled here; both come from one [`crate::config`].

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use mlrs_mlmodel::archive;
use mlrs_mlmodel::disk::{FileError, create_folder, failed};
use mlrs_mlmodel::staging::Partial;

use super::WriteError;
use crate::build::{BuildError, BuildSettings, locale_files};
use crate::config::{RunConfig, run_config_of};
use crate::elf::ElfFile;
use crate::files::write_whole;
use crate::locale::LOCALE_FOLDER;
use crate::parts::{BINARY_PATH, LIBRARY_FOLDER, MODEL_PATH, NAME_SERVICES, users};
use crate::plan::Content;

/// The first line, by which a folder of ours is known.
const FIRST_LINE: &str =
    "# Made by mlrs: an image that serves a model. Build it with `docker build`.\n";

/// What is sent to Docker, and nothing else that may lie in the folder.
const IGNORED: &str = "*\n!bin\n!lib\n!locale\n!model\n";

/// What the folder holds, in the order in which it is put there.
const PARTS: [&str; 6] = [
    "bin",
    "lib",
    "locale",
    "model",
    ".dockerignore",
    "Dockerfile",
];

/// Writes the folder; what was written here before is replaced, and nothing else in it is touched.
///
/// # Errors
/// When there is a Dockerfile of somebody else in the folder, or something and no Dockerfile, or a
/// file cannot be read or written. What was there stays then, and a folder that was made is removed.
pub fn write_context(settings: &BuildSettings, folder: &Path) -> Result<(), BuildError> {
    refuse_others(folder)?;
    let is_new = !folder.exists();
    let written = write_parts(settings, folder);
    if written.is_err() && is_new {
        // Only while nothing is in it.
        let _ = std::fs::remove_dir(folder);
    }
    written
}

fn write_parts(settings: &BuildSettings, folder: &Path) -> Result<(), BuildError> {
    create_folder(folder).map_err(WriteError::from)?;
    let staged = Partial::beside(&folder.join("parts"));
    let staged = staged.map_err(|error| WriteError::from(FileError::from(error)))?;
    fill(settings, &staged.path)?;
    for part in PARTS {
        let (from, to) = (staged.path.join(part), folder.join(part));
        put(&from, &to).map_err(|error| WriteError::from(failed("write", &to)(error)))?;
    }
    Ok(())
}

/// Puts a part in the place of the one before; a part that is not there any more goes.
fn put(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(to) {
        Ok(facts) if facts.is_dir() => std::fs::remove_dir_all(to)?,
        Ok(_) => std::fs::remove_file(to)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    if from.exists() {
        std::fs::rename(from, to)?;
    }
    Ok(())
}

fn refuse_others(folder: &Path) -> Result<(), WriteError> {
    let mut entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("read", folder)(error).into()),
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
    copy(&settings.binary, &folder.join("bin/mlrs"), 0o755)?;
    if let Some(engine) = &settings.engine {
        copy(
            &engine.library,
            &folder.join("lib/libonnxruntime.so"),
            0o755,
        )?;
        // Docker copies no folder that is not there.
        if !settings.locales.is_empty() {
            readable_folder(&folder.join("locale"))?;
        }
        for (path, content) in locale_files(settings)? {
            let to = folder.join("locale").join(path);
            match content {
                Content::File(file) => copy(&file, &to, 0o644)?,
                Content::Bytes(bytes) => write(&bytes, &to, 0o644)?,
            }
        }
    }
    if let Some(model) = &settings.model {
        for item in archive::items(model)? {
            let to = folder.join("model").join(&item.name);
            if item.is_directory {
                readable_folder(&to)?;
            } else {
                copy(&item.path, &to, 0o644)?;
            }
        }
    }
    let config = run_config_of(platform, &settings.description, settings.engine.is_some());
    let text = dockerfile(settings, binary.interpreter.as_deref(), &config);
    for (name, text) in [("Dockerfile", text.as_str()), (".dockerignore", IGNORED)] {
        let path = folder.join(name);
        write_whole(&path, text.as_bytes()).map_err(WriteError::from)?;
    }
    Ok(())
}

/// Copies a file, with permissions of its own: Docker keeps those that it finds, and whoever runs the
/// image is not who built it.
fn copy(from: &Path, to: &Path, mode: u32) -> Result<(), WriteError> {
    if let Some(above) = to.parent() {
        readable_folder(above)?;
    }
    std::fs::copy(from, to).map_err(failed("write", to))?;
    set_mode(to, mode).map_err(failed("write", to))?;
    Ok(())
}

/// Writes a file, with permissions of its own.
fn write(bytes: &[u8], to: &Path, mode: u32) -> Result<(), WriteError> {
    if let Some(above) = to.parent() {
        readable_folder(above)?;
    }
    std::fs::write(to, bytes).map_err(failed("write", to))?;
    set_mode(to, mode).map_err(failed("write", to))?;
    Ok(())
}

/// Makes a folder that everybody may look into.
fn readable_folder(path: &Path) -> Result<(), WriteError> {
    create_folder(path)?;
    set_mode(path, 0o755).map_err(failed("write", path))?;
    Ok(())
}

fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    let _ = (path, mode);
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
        if !settings.locales.is_empty() {
            let _ = writeln!(text, "COPY locale/ {LOCALE_FOLDER}/");
        }
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
    let services = NAME_SERVICES.join(" ");
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
             done; \\\n    \
             for library in {services}; do \\\n        \
                 library=\"$(dirname \"$(ldd /from/mlrs | sed -n 's/.*=> \\(.*libc[.]so[.]6\\) .*/\\1/p')\")/$library\"; \\\n        \
                 if [ -e \"$library\" ]; then cp -L \"$library\" /rootfs{LIBRARY_FOLDER}/; fi; \\\n    \
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
