//! A real Azure blob store for tests: Azurite, with one empty container.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::{AddressedProcess, Error, home, python};

/// The account that Azurite has; it and its key are the same everywhere and no secret.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// The container that is there.
const CONTAINER: &str = "box";

/// Makes a container: address of the account, account, key, name.
const MAKE_CONTAINER: &str = r#"
import base64, hashlib, hmac, sys, urllib.request
from email.utils import formatdate
address, account, key, name = sys.argv[1:]
headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2023-11-03"}
said = "".join(f"{header}:{value}\n" for header, value in sorted(headers.items()))
text = "PUT" + "\n" * 12 + said + f"/{account}/{account}/{name}\nrestype:container"
mark = hmac.digest(base64.b64decode(key), text.encode(), "sha256")
headers["Authorization"] = f"SharedKey {account}:{base64.b64encode(mark).decode()}"
url = f"{address}/{name}?restype=container"
urllib.request.urlopen(urllib.request.Request(url, method="PUT", headers=headers))
"#;

/// An Azure blob store, which ends with this value.
#[derive(Debug)]
pub struct AzureServer {
    _process: AddressedProcess,
    connection: String,
}

impl AzureServer {
    /// Starts it, with the empty container `box`.
    ///
    /// # Errors
    /// When there is no Azurite, no Python, or it does not start.
    pub fn start() -> Result<Self, Error> {
        let mut command = Command::new(azurite()?);
        // It takes any free port, and keeps nothing on the disk.
        command.args(["--blobPort", "0", "--inMemoryPersistence", "--silent"]);
        command.args(["--disableTelemetry"]);
        let process = AddressedProcess::start(&mut command, Duration::from_mins(1))?;
        let address = format!("{}/{ACCOUNT}", process.address());
        let made = Command::new(python()?)
            .args(["-c", MAKE_CONTAINER, &address, ACCOUNT, KEY, CONTAINER])
            .output()
            .map_err(|source| Error::io("make a container", source))?;
        if !made.status.success() {
            return Err(Error::NoAnswer {
                url: address,
                reason: String::from_utf8_lossy(&made.stderr).into_owned(),
            });
        }
        Ok(Self {
            _process: process,
            connection: format!(
                "DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};\
                 BlobEndpoint={address};"
            ),
        })
    }

    /// The container, as a URI of artifacts.
    pub fn uri(&self) -> String {
        format!("wasbs://{CONTAINER}@{ACCOUNT}.blob.core.windows.net")
    }

    /// The variables that point a program here.
    pub fn variables(&self) -> [(&'static str, &str); 1] {
        [("AZURE_STORAGE_CONNECTION_STRING", &self.connection)]
    }
}

/// Azurite's blob store: `MLRS_TEST_AZURITE`, else the one that `cargo xtask test` installed.
fn azurite() -> Result<PathBuf, Error> {
    let path = std::env::var_os("MLRS_TEST_AZURITE").map_or_else(
        || home().join("azurite/node_modules/.bin/azurite-blob"),
        PathBuf::from,
    );
    if path.exists() {
        return Ok(path);
    }
    Err(Error::Missing(format!(
        "there is no Azurite at `{}`; `cargo xtask test` installs it",
        path.display()
    )))
}
