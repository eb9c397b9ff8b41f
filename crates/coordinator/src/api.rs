//! The HTTP doors: exactly the paths of `protocol::wire`.
//!
//! A handler decodes a bounded body, verifies its signature, hands one event to the loop, and signs the loop's answer.
//! It decides nothing and keeps nothing. A refusal is an HTTP status with a CBOR [`Refusal`] as its body.

mod doors;
mod transfer;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use protocol::id::{CoordinatorId, NetworkId};
use protocol::profile::Profile;
use protocol::sign::{Envelope, Key, Message, Signed, VerifyError};
use protocol::wire::{Refusal, RefusalCode};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::blobs::Blobs;
use crate::coordinator::{Clock, Randomness, Refused, Request};
use crate::treasury::Errand;

/// How long a small body may take to arrive.
const SMALL_WITHIN: Duration = Duration::from_secs(30);
/// How long a large body may pause, or outputs may take in all.
const LARGE_WITHIN: Duration = Duration::from_secs(300);
/// Results in memory at a time: each may have 256 MiB.
const RESULTS_AT_A_TIME: usize = 2;
/// Blobs on their way in or out at a time.
const TRANSFERS_AT_A_TIME: usize = 64;

/// What handlers share; none of it changes.
pub(crate) struct Api {
    pub(crate) network: NetworkId,
    pub(crate) key: Arc<Key>,
    pub(crate) profile: Profile,
    pub(crate) blobs: Blobs,
    pub(crate) clock: Clock,
    pub(crate) randomness: Randomness,
    pub(crate) requests: mpsc::Sender<Request>,
    /// Absent without a chain.
    pub(crate) errands: Option<mpsc::Sender<Errand>>,
    /// Keeps the addresses of devices out of the database.
    pub(crate) origin_salt: [u8; 32],
    results: Semaphore,
    transfers: Semaphore,
}

impl Api {
    #[expect(clippy::too_many_arguments, reason = "built in one place, from the parts that it shares")]
    pub(crate) fn new(
        network: NetworkId,
        key: Arc<Key>,
        profile: Profile,
        blobs: Blobs,
        clock: Clock,
        randomness: Randomness,
        requests: mpsc::Sender<Request>,
        errands: Option<mpsc::Sender<Errand>>,
    ) -> Self {
        let origin_salt =
            blake3::derive_key("hearth 2026-11 coordinator origin salt v1", key.seed().as_slice());
        Self {
            network,
            key,
            profile,
            blobs,
            clock,
            randomness,
            requests,
            errands,
            origin_salt,
            results: Semaphore::new(RESULTS_AT_A_TIME),
            transfers: Semaphore::new(TRANSFERS_AT_A_TIME),
        }
    }

    fn id(&self) -> CoordinatorId {
        self.key.coordinator()
    }

    /// Refuses what is addressed to another coordinator.
    fn check_addressee(&self, addressed: &CoordinatorId) -> Result<(), Refused> {
        if *addressed == self.id() {
            return Ok(());
        }
        Err(Refused::new(RefusalCode::Signature, "the request is addressed to another coordinator"))
    }

    /// A salted hash of the network that a device calls from: /24 of IPv4, /48 of IPv6.
    fn origin(&self, peer: &SocketAddr) -> [u8; 32] {
        let prefix: Vec<u8> = match peer.ip().to_canonical() {
            std::net::IpAddr::V4(v4) => v4.octets()[..3].to_vec(),
            std::net::IpAddr::V6(v6) => v6.octets()[..6].to_vec(),
        };
        *blake3::keyed_hash(&self.origin_salt, &prefix).as_bytes()
    }

    /// Reads an envelope and verifies that its own signer signed it.
    fn open<T: Message>(&self, bytes: &[u8]) -> Result<Signed<T>, Refused> {
        let malformed = |detail: String| Refused::new(RefusalCode::Malformed, detail);
        let envelope = Envelope::from_bytes::<T>(bytes).map_err(|e| malformed(e.to_string()))?;
        envelope.verify_any(&self.network).map_err(|error| match error {
            VerifyError::Body(error) => malformed(error.to_string()),
            other => Refused::new(RefusalCode::Signature, other.to_string()),
        })
    }

    /// A signed answer.
    fn sign<T: Message>(&self, message: T) -> Response {
        cbor(StatusCode::OK, self.key.sign(&self.network, message).envelope().to_bytes())
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, Refused>>) -> Request,
    ) -> Result<T, Refused> {
        ask(&self.requests, request).await
    }
}

/// Hands an event to the loop and waits for its answer.
pub(crate) async fn ask<T>(
    requests: &mpsc::Sender<Request>,
    request: impl FnOnce(oneshot::Sender<Result<T, Refused>>) -> Request,
) -> Result<T, Refused> {
    let stopped = || Refused::new(RefusalCode::Unavailable, "the coordinator is shutting down");
    let (reply, answer) = oneshot::channel();
    requests.send(request(reply)).await.map_err(|_| stopped())?;
    answer.await.map_err(|_| stopped())?
}

/// All doors.
pub(crate) fn router(api: Arc<Api>) -> Router {
    Router::new()
        .route("/v1/enroll", post(doors::enroll))
        .route("/v1/heartbeat", post(doors::heartbeat))
        .route("/v1/commit", post(doors::commit))
        .route("/v1/deliverable", post(doors::deliverable))
        .route("/v1/delivery", post(doors::delivery))
        .route("/v1/result", post(doors::result))
        .route("/v1/bind", post(doors::bind))
        .route("/v1/relay", post(doors::relay))
        .route("/v1/epoch", get(doors::epoch))
        .route("/v1/jobs", post(doors::submit))
        .route("/v1/jobs/{job}", get(doors::progress))
        .route("/v1/jobs/{job}/outputs", get(doors::outputs))
        .route("/v1/jobs/{job}/outputs/{unit}", get(doors::unit_outputs))
        .route("/v1/blob/{hash}", get(transfer::blob).put(transfer::upload))
        .route("/v1/measure/up", post(transfer::measure_up))
        .route("/v1/measure/down/{bytes}", get(transfer::measure_down))
        .fallback(|| async { Refused::new(RefusalCode::NotFound, "no such path") })
        // Bodies are bounded where they are read, each by the limit of its message.
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(api)
}

/// A body of at most `limit` bytes.
async fn read(body: Body, limit: usize, within: Duration) -> Result<bytes::Bytes, Refused> {
    match tokio::time::timeout(within, axum::body::to_bytes(body, limit)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => {
            let detail = format!("the body is over the limit of {limit} bytes, or broke off");
            Err(Refused::new(RefusalCode::Malformed, detail))
        }
        Err(_) => Err(Refused::new(RefusalCode::Malformed, "the body arrived too slowly")),
    }
}

fn cbor(status: StatusCode, body: Vec<u8>) -> Response {
    let mut response = (status, body).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/cbor"));
    response
}

fn json<T: serde::Serialize>(value: &T) -> Result<Response, Refused> {
    let body = serde_json::to_vec(value)
        .map_err(|_| Refused::new(RefusalCode::Unavailable, "the answer cannot be written"))?;
    let mut response = body.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = match self.code {
            RefusalCode::ProtocolVersion => StatusCode::UPGRADE_REQUIRED,
            RefusalCode::Malformed => StatusCode::BAD_REQUEST,
            RefusalCode::Signature => StatusCode::UNAUTHORIZED,
            RefusalCode::Replay => StatusCode::CONFLICT,
            RefusalCode::NotFound => StatusCode::NOT_FOUND,
            RefusalCode::Expired => StatusCode::GONE,
            RefusalCode::Commit | RefusalCode::Package | RefusalCode::Withdrawal => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            RefusalCode::Publisher | RefusalCode::Suspended => StatusCode::FORBIDDEN,
            RefusalCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        };
        cbor(status, protocol::cbor::encode(&Refusal { code: self.code, detail: self.detail }))
    }
}
