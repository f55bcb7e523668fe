//! An image in a registry: blobs that are not there yet, then the manifest.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use http::{HeaderValue, StatusCode};
use mlrs_mlmodel::disk::FileError;
use oci_client::RegistryOperation;
use oci_client::errors::OciDistributionError;
use oci_client::manifest::OCI_IMAGE_MEDIA_TYPE;
use tokio_util::io::ReaderStream;

use super::{Blob, blobs};
use crate::build::Image;
use crate::layer::Layer;
use crate::reference::ImageName;
use crate::registry::{Registry, RegistryError, RegistrySettings};
use crate::{Progress, Report};

/// What is being done.
const ACTION: &str = "push";

/// How many bytes are sent at a time.
const PIECE: usize = 64 << 10;

/// What was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Blobs that were sent.
    pub sent: usize,
    /// Blobs that were there.
    pub there: usize,
    /// Bytes that were sent.
    pub bytes: u64,
}

/// Pushes an image. Its tag is set last, so a push that fails changes nothing that has a name.
///
/// # Errors
/// When the registry cannot be reached or refuses, or a layer cannot be read.
pub async fn push(
    image: &Image,
    name: &ImageName,
    settings: &RegistrySettings,
    report: &Report,
) -> Result<Pushed, RegistryError> {
    let registry = Registry::connect(name, settings, RegistryOperation::Push, ACTION).await?;
    let sender = Sender {
        failed: Box::new(registry.failed(ACTION)),
        registry,
        patience: settings.patience,
        total_bytes: blobs(image).iter().map(|blob| blob.1.bytes()).sum(),
        done_bytes: Arc::new(AtomicU64::new(0)),
        report,
    };
    let mut pushed = Pushed::default();
    for (digest, blob) in blobs(image) {
        if digest == image.digest() {
            continue;
        }
        if sender.is_there(digest).await? {
            pushed.there += 1;
            sender.done_bytes.fetch_add(blob.bytes(), Ordering::Relaxed);
            continue;
        }
        match &blob {
            Blob::Text(text) => sender.send_text(digest, text).await?,
            Blob::Layer(layer) => sender.send_layer(layer).await?,
        }
        pushed.sent += 1;
        pushed.bytes += blob.bytes();
    }
    let manifest = image.manifest().to_vec();
    let media_type = HeaderValue::from_static(OCI_IMAGE_MEDIA_TYPE);
    let client = &sender.registry.client;
    client
        .push_manifest_raw(name.reference(), manifest, media_type)
        .await
        .map_err(&sender.failed)?;
    Ok(pushed)
}

/// Sends the parts of one image.
struct Sender<'a> {
    registry: Registry<'a>,
    failed: Box<dyn Fn(OciDistributionError) -> RegistryError + Send + Sync>,
    patience: Duration,
    total_bytes: u64,
    done_bytes: Arc<AtomicU64>,
    report: &'a Report,
}

impl Sender<'_> {
    /// Whether the registry has a part.
    async fn is_there(&self, digest: &str) -> Result<bool, RegistryError> {
        let reference = self.registry.image.reference();
        match self.registry.client.blob_exists(reference, digest).await {
            // Whoever may push need not be allowed to look, and some registries hide like this what is
            // not there yet.
            Err(OciDistributionError::RequestError(error))
                if matches!(
                    error.status(),
                    Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
                ) =>
            {
                Ok(false)
            }
            found => found.map_err(&self.failed),
        }
    }

    async fn send_text(&self, digest: &str, text: &[u8]) -> Result<(), RegistryError> {
        let reference = self.registry.image.reference();
        let content = bytes::Bytes::copy_from_slice(text);
        let sent = self.registry.client.push_blob(reference, content, digest);
        sent.await.map_err(&self.failed)?;
        self.count()(text.len() as u64);
        Ok(())
    }

    async fn send_layer(&self, layer: &Layer) -> Result<(), RegistryError> {
        let watch = Arc::new(Watch::new(layer.bytes));
        let (counted, watched) = (self.count(), Arc::clone(&watch));
        let content = content(&layer.path).await?.map(move |piece| {
            let piece = piece.map_err(OciDistributionError::from)?;
            watched.moved(piece.len() as u64);
            counted(piece.len() as u64);
            Ok(piece)
        });
        let sent = self.registry.uploads.push_blob_stream(
            self.registry.image.reference(),
            content,
            &layer.digest,
            Some(layer.bytes),
        );
        tokio::select! {
            sent = sent => sent.map(drop).map_err(&self.failed),
            patience = watch.stalled(self.patience) => Err(RegistryError::Stalled {
                image: self.registry.image.to_string(),
                registry: self.registry.image.registry().to_owned(),
                patience,
            }),
        }
    }

    /// Tells of bytes that were sent.
    fn count(&self) -> impl Fn(u64) + Send + use<> {
        let (done, report) = (Arc::clone(&self.done_bytes), Arc::clone(self.report));
        let total_bytes = self.total_bytes;
        move |bytes| {
            let done_bytes = done.fetch_add(bytes, Ordering::Relaxed) + bytes;
            report(Progress {
                what: "push",
                done_bytes,
                total_bytes,
            });
        }
    }
}

/// How an upload goes. It may take as long as it takes, if it goes on.
struct Watch {
    state: Mutex<State>,
}

#[derive(Clone, Copy)]
struct State {
    moved: Instant,
    left_bytes: u64,
}

impl Watch {
    fn new(left_bytes: u64) -> Self {
        let state = State {
            moved: Instant::now(),
            left_bytes,
        };
        Self {
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn moved(&self, bytes: u64) {
        let mut state = self.state();
        state.moved = Instant::now();
        state.left_bytes = state.left_bytes.saturating_sub(bytes);
    }

    /// Ends when nothing went on for too long; gives how long that was.
    async fn stalled(&self, patience: Duration) -> Duration {
        loop {
            let State { moved, left_bytes } = *self.state();
            let limit = match left_bytes {
                0 => patience * 20,
                _ => patience * 4,
            };
            let still = moved.elapsed();
            if still >= limit {
                return limit;
            }
            tokio::time::sleep(limit.saturating_sub(still)).await;
        }
    }
}

async fn content(path: &Path) -> Result<ReaderStream<tokio::fs::File>, RegistryError> {
    let file = tokio::fs::File::open(path).await.map_err(|source| {
        RegistryError::File(FileError {
            action: "read",
            path: path.to_owned(),
            source,
        })
    })?;
    Ok(ReaderStream::with_capacity(file, PIECE))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::config::{self, Description};
    use crate::layer::{GZIP_LAYER, digest_of};
    use crate::plan::LayerKind;

    /// More than all buffers between two sockets hold.
    const BYTES: usize = 24 << 20;

    /// How a registry takes the content of parts.
    #[derive(Clone, Copy)]
    struct Manner {
        /// It rests so long after each quarter of a mebibyte.
        rest: Duration,
        /// It takes no more than this.
        takes: usize,
        /// What it answers to those who ask whether a part is there.
        looked: &'static str,
    }

    /// Answers one request, and hangs up.
    async fn answer(stream: TcpStream, manner: Manner) -> std::io::Result<()> {
        let mut stream = BufReader::with_capacity(256 << 10, stream);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await?;
            if line.trim().is_empty() {
                break;
            }
            lines.push(line.to_lowercase());
        }
        let request = lines.first().cloned().unwrap_or_default();
        let length = lines
            .iter()
            .find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
        let mut taken = 0;
        let mut piece = vec![0; 256 << 10];
        while taken < length {
            if taken > manner.takes {
                std::future::pending::<()>().await;
            }
            let wanted = piece.len().min(length - taken);
            stream.read_exact(&mut piece[..wanted]).await?;
            taken += wanted;
            tokio::time::sleep(manner.rest).await;
        }
        let status = match request.split(' ').next().unwrap_or_default() {
            "head" => manner.looked,
            "post" => "202 Accepted",
            "put" => "201 Created",
            _ => "200 OK",
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nlocation: /v2/iris/there\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await
    }

    /// Pushes an image of one large layer to a registry of this manner.
    async fn pushed(manner: Manner, patience: Duration) -> Result<Pushed, RegistryError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, manner));
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("layer");
        let content = vec![7; BYTES];
        std::fs::write(&path, &content).unwrap();
        let layer = Layer {
            kind: LayerKind::Model,
            comment: String::new(),
            media_type: GZIP_LAYER.to_owned(),
            digest: digest_of(&content),
            diff_id: digest_of(&content),
            bytes: BYTES as u64,
            unpacked_bytes: BYTES as u64,
            path,
        };
        let platform = "linux/amd64".parse().unwrap();
        let layers = vec![layer];
        let image = Image {
            platform,
            texts: config::texts(platform, &Description::default(), &layers, None, false).unwrap(),
            layers,
            plans: Vec::new(),
            warnings: Vec::new(),
            created: String::new(),
        };
        let name = format!("{address}/iris:1").parse().unwrap();
        let settings = RegistrySettings {
            patience,
            ..RegistrySettings::default()
        };
        let pushed = push(&image, &name, &settings, &crate::silent()).await;
        serving.abort();
        pushed
    }

    #[tokio::test]
    async fn an_upload_may_take_longer_than_an_answer() {
        let manner = Manner {
            rest: Duration::from_millis(20),
            takes: usize::MAX,
            looked: "404 Not Found",
        };
        let patience = Duration::from_millis(500);
        let begun = Instant::now();
        let sent = pushed(manner, patience).await.unwrap();
        assert_eq!((sent.sent, sent.there), (2, 0));
        assert!(begun.elapsed() > patience * 2, "the registry was too fast");
    }

    #[tokio::test]
    async fn an_upload_that_stands_still_is_given_up() {
        let manner = Manner {
            rest: Duration::ZERO,
            takes: 1 << 20,
            looked: "404 Not Found",
        };
        let patience = Duration::from_millis(500);
        let error = pushed(manner, patience).await.unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("took nothing more for 2 seconds"),
            "{error}"
        );
        assert!(error.hint().unwrap().starts_with("check the network"));
    }

    #[tokio::test]
    async fn who_may_not_look_may_push() {
        for looked in ["401 Unauthorized", "403 Forbidden"] {
            let manner = Manner {
                rest: Duration::ZERO,
                takes: usize::MAX,
                looked,
            };
            let sent = pushed(manner, Duration::from_secs(10)).await.unwrap();
            assert_eq!((sent.sent, sent.there), (2, 0));
        }
    }
}
