//! Blobs in and out, and filler bytes for measuring a line.

use std::fs::File;
use std::io::Read;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use bytes::Bytes;
use http_body_util::BodyExt;
use protocol::id::{Hash, Nonce, PublisherId};
use protocol::sign::Signed;
use protocol::wire::{RefusalCode, Upload};
use tokio::sync::mpsc;

use super::{Api, LARGE_WITHIN, SMALL_WITHIN};
use crate::blobs::{BlobError, Incoming};
use crate::coordinator::{Failure, Refused};

type Shared = State<Arc<Api>>;
type Answer = Result<Response, Refused>;

/// Most bytes of one measurement, each way (DESIGN.md §7).
const MAX_MEASURED_BYTES: u64 = 25_000_000;
/// Bytes read from a file at a time.
const CHUNK_BYTES: usize = 256 * 1024;

pub(super) async fn blob(State(api): Shared, Path(hash): Path<String>) -> Answer {
    let hash = parse_hash(&hash)?;
    let blobs = api.blobs.clone();
    let (file, bytes) = super::doors::blocking(move || blobs.reader(&hash).map_err(refused)).await?;
    let Ok(turn) = Arc::clone(&api).transfer().await else { return Err(busy()) };
    let (sender, receiver) = mpsc::channel(4);
    tokio::task::spawn_blocking(move || {
        send(file, &sender);
        drop(turn);
    });
    let body = Body::new(Chunks { receiver, left: bytes });
    Ok(([(header::CONTENT_LENGTH, bytes.to_string())], body).into_response())
}

/// Reads a file into the channel until it ends or nobody listens any more.
fn send(mut file: File, sender: &mpsc::Sender<std::io::Result<Bytes>>) {
    loop {
        let mut chunk = vec![0; CHUNK_BYTES];
        let next = match file.read(&mut chunk) {
            Ok(0) => return,
            Ok(n) => {
                chunk.truncate(n);
                Ok(Bytes::from(chunk))
            }
            Err(error) => Err(error),
        };
        let ended = next.is_err();
        if sender.blocking_send(next).is_err() || ended {
            return;
        }
    }
}

pub(super) async fn upload(
    State(api): Shared,
    Path(hash): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let hash = parse_hash(&hash)?;
    let refuse = |code, detail: &str| Refused::new(code, detail);
    let permission = headers
        .get("hearth-publisher")
        .and_then(|value| base64::engine::general_purpose::STANDARD.decode(value.as_bytes()).ok())
        .ok_or_else(|| {
            refuse(RefusalCode::Malformed, "the header hearth-publisher is missing or not base64")
        })?;
    let signed: Signed<Upload> = api.open(&permission)?;
    let publisher = PublisherId(*signed.signer());
    let upload = signed.message();
    api.check_addressee(&upload.coordinator)?;
    if !api.profile.publishers.values().any(|known| *known == publisher) {
        return Err(refuse(RefusalCode::Publisher, "this publisher is not let in by the network's profile"));
    }
    if upload.blob != hash {
        return Err(refuse(RefusalCode::Malformed, "the permission is for another blob"));
    }
    if api.blobs.size(&hash).map_err(refused)? == Some(upload.bytes) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let Ok(_turn) = Arc::clone(&api).transfer().await else { return Err(busy()) };
    let incoming = api.blobs.receive(hash, upload.bytes, Nonce((api.randomness)())).map_err(refused)?;
    receive(incoming, body).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Writes a body to the disk as it arrives; what breaks off leaves nothing.
async fn receive(mut incoming: Incoming, mut body: Body) -> Result<(), Refused> {
    loop {
        let frame = match tokio::time::timeout(SMALL_WITHIN, body.frame()).await {
            Ok(None) => break,
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(_))) => return Err(Refused::new(RefusalCode::Malformed, "the upload broke off")),
            Err(_) => return Err(Refused::new(RefusalCode::Malformed, "the upload stood still")),
        };
        let Ok(chunk) = frame.into_data() else { continue };
        incoming = super::doors::blocking(move || {
            incoming.write(&chunk).map_err(refused)?;
            Ok(incoming)
        })
        .await?;
    }
    super::doors::blocking(move || incoming.finish().map_err(refused)).await
}

/// Takes filler bytes and says how many arrived.
pub(super) async fn measure_up(State(api): Shared, mut body: Body) -> Answer {
    let Ok(_turn) = Arc::clone(&api).transfer().await else { return Err(busy()) };
    let mut bytes = 0u64;
    let counted = tokio::time::timeout(LARGE_WITHIN, async {
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { break };
            bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
            if bytes > MAX_MEASURED_BYTES {
                return Err(Refused::new(RefusalCode::Malformed, "a measurement is at most 25 MB"));
            }
        }
        Ok(bytes)
    })
    .await
    .map_err(|_| Refused::new(RefusalCode::Malformed, "the measurement took too long"))??;
    super::json(&counted)
}

/// Gives filler bytes. They do not compress, so no box on the way makes the line look faster.
pub(super) async fn measure_down(State(api): Shared, Path(bytes): Path<String>) -> Answer {
    let bytes: u64 = bytes.parse().map_err(|_| Refused::new(RefusalCode::Malformed, "a size is a number"))?;
    if bytes > MAX_MEASURED_BYTES {
        return Err(Refused::new(RefusalCode::Malformed, "a measurement is at most 25 MB"));
    }
    let Ok(turn) = Arc::clone(&api).transfer().await else { return Err(busy()) };
    let (sender, receiver) = mpsc::channel(4);
    let seed = (api.randomness)();
    tokio::task::spawn_blocking(move || {
        let mut filler = blake3::Hasher::new_keyed(&seed).finalize_xof();
        let mut left = bytes;
        while left > 0 {
            let mut chunk = vec![0; CHUNK_BYTES.min(usize::try_from(left).unwrap_or(CHUNK_BYTES))];
            filler.fill(&mut chunk);
            left -= chunk.len() as u64;
            if sender.blocking_send(Ok(Bytes::from(chunk))).is_err() {
                break;
            }
        }
        drop(turn);
    });
    let body = Body::new(Chunks { receiver, left: bytes });
    Ok(([(header::CONTENT_LENGTH, bytes.to_string())], body).into_response())
}

impl Api {
    async fn transfer(self: Arc<Self>) -> Result<Turn, tokio::sync::AcquireError> {
        self.transfers.acquire().await?.forget();
        Ok(Turn(self))
    }
}

/// One of the bounded number of transfers; ends with the value.
struct Turn(Arc<Api>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.transfers.add_permits(1);
    }
}

/// A body of known length whose chunks come from a thread.
struct Chunks {
    receiver: mpsc::Receiver<std::io::Result<Bytes>>,
    left: u64,
}

impl http_body::Body for Chunks {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, std::io::Error>>> {
        self.receiver.poll_recv(context).map(|chunk| {
            let chunk = chunk?;
            if let Ok(bytes) = &chunk {
                self.left = self.left.saturating_sub(bytes.len() as u64);
            }
            Some(chunk.map(http_body::Frame::data))
        })
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.left)
    }
}

fn parse_hash(text: &str) -> Result<Hash, Refused> {
    text.parse()
        .map_err(|_| Refused::new(RefusalCode::Malformed, "a content address is 64 hexadecimal digits"))
}

fn busy() -> Refused {
    Refused::new(RefusalCode::Unavailable, "the coordinator is shutting down")
}

fn refused(error: BlobError) -> Refused {
    match error {
        BlobError::NotFound(_) => Refused::new(RefusalCode::NotFound, error.to_string()),
        BlobError::TooLong { .. } | BlobError::WrongHash | BlobError::Range => {
            Refused::new(RefusalCode::Malformed, error.to_string())
        }
        BlobError::Full(_) | BlobError::Io(_) => Failure::from(error).into(),
    }
}
