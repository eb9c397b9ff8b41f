//! The signed conversations, and the publisher's questions.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, Path, State};
use axum::response::{IntoResponse, Response};
use protocol::PROTOCOL_VERSION;
use protocol::delivery::{AskDelivery, Deliverable};
use protocol::id::{DeviceId, Hash, JobId, Nonce, SliceId};
use protocol::manifest::Manifest;
use protocol::sign::{Envelope, Message, Signed};
use protocol::wire::{Accepted, Bind, Enroll, Heartbeat, RefusalCode, Relay, Relayed};
use protocol::work::{Commit, WorkResult};
use serde_bytes::ByteBuf;

use super::{Api, LARGE_WITHIN, SMALL_WITHIN, ask, cbor, json, read};
use crate::blobs::BlobError;
use crate::coordinator::{Expected, Failure, OutputIndex, Refused, Request, Ticket};
use crate::treasury::Errand;

type Shared = State<Arc<Api>>;
type Answer = Result<Response, Refused>;

/// Room for signer, signature and CBOR heads around a body.
const ENVELOPE_BYTES: usize = 256;

async fn opened<T: Message>(api: &Api, body: Body) -> Result<Signed<T>, Refused> {
    let bytes = read(body, T::MAX_BYTES + ENVELOPE_BYTES, SMALL_WITHIN).await?;
    api.open(&bytes)
}

fn accepted(api: &Api, request: Hash) -> Response {
    api.sign(Accepted { request, at: (api.clock)() })
}

pub(super) async fn enroll(
    State(api): Shared,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    body: Body,
) -> Answer {
    let signed: Signed<Enroll> = opened(&api, body).await?;
    let device = DeviceId(*signed.signer());
    let message = Box::new(signed.into_message());
    if message.protocol != PROTOCOL_VERSION {
        let detail =
            format!("this coordinator speaks version {PROTOCOL_VERSION}, you speak {}", message.protocol);
        return Err(Refused::new(RefusalCode::ProtocolVersion, detail));
    }
    api.check_addressee(&message.coordinator)?;
    let origin = api.origin(&peer);
    let answer = api.ask(|reply| Request::Enroll { device, message, origin, reply }).await?;
    Ok(api.sign(answer))
}

pub(super) async fn heartbeat(
    State(api): Shared,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    body: Body,
) -> Answer {
    let signed: Signed<Heartbeat> = opened(&api, body).await?;
    let device = DeviceId(*signed.signer());
    let message = signed.into_message();
    api.check_addressee(&message.coordinator)?;
    let origin = api.origin(&peer);
    let answer = api.ask(|reply| Request::Heartbeat { device, message, origin, reply }).await?;
    Ok(api.sign(answer))
}

pub(super) async fn deliverable(
    State(api): Shared,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    body: Body,
) -> Answer {
    let signed: Signed<Deliverable> = opened(&api, body).await?;
    let (device, request) = (DeviceId(*signed.signer()), signed.body_hash());
    let mut message = Box::new(signed.into_message());
    api.check_addressee(&message.coordinator)?;
    if message.receipts.len() > Deliverable::MAX_RECEIPTS {
        return Err(Refused::new(RefusalCode::Malformed, "the announcement passes its bounds"));
    }
    // A receipt that nobody signed proves nothing, and takes the others nothing away.
    let receipts = std::mem::take(&mut message.receipts);
    let receipts = receipts.into_iter().filter_map(|receipt| receipt.verify_any(&api.network).ok()).collect();
    let caller = peer.ip();
    api.ask(|reply| Request::Deliverable { device, message, receipts, caller, reply }).await?;
    Ok(accepted(&api, request))
}

pub(super) async fn delivery(
    State(api): Shared,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    body: Body,
) -> Answer {
    let signed: Signed<AskDelivery> = opened(&api, body).await?;
    let device = DeviceId(*signed.signer());
    let message = signed.into_message();
    api.check_addressee(&message.coordinator)?;
    let origin = api.origin(&peer);
    let offer = api.ask(|reply| Request::AskDelivery { device, message, origin, reply }).await?;
    Ok(api.sign(offer))
}

pub(super) async fn commit(State(api): Shared, body: Body) -> Answer {
    let signed: Signed<Commit> = opened(&api, body).await?;
    let (device, root) = (DeviceId(*signed.signer()), signed.body_hash());
    let message = signed.into_message();
    api.check_addressee(&message.coordinator)?;
    api.ask(|reply| Request::Commit { device, message, root, reply }).await?;
    Ok(accepted(&api, root))
}

/// A result after it was read: what the loop needs of it, and what is stored as evidence.
struct Handed {
    device: DeviceId,
    message: WorkResult,
    digests: Vec<(SliceId, Hash)>,
    body: Hash,
    envelope: Vec<u8>,
}

pub(super) async fn result(State(api): Shared, body: Body) -> Answer {
    let Ok(_turn) = api.results.acquire().await else {
        return Err(Refused::new(RefusalCode::Unavailable, "the coordinator is shutting down"));
    };
    let bytes = read(body, WorkResult::MAX_BYTES + ENVELOPE_BYTES, LARGE_WITHIN).await?;
    let reader = Arc::clone(&api);
    // Decoding and hashing up to 256 MiB would hold up every other connection.
    let handed = blocking(move || {
        let signed: Signed<WorkResult> = reader.open(&bytes)?;
        reader.check_addressee(&signed.message().coordinator)?;
        let device = DeviceId(*signed.signer());
        let body = signed.body_hash();
        let message = signed.into_message();
        let digests = message.outputs.iter().map(|(slice, output)| (*slice, Hash::of(output))).collect();
        Ok(Handed { device, message, digests, body, envelope: bytes.to_vec() })
    })
    .await?;
    let Handed { device, message, digests, body, envelope } = handed;
    let (lease, bundle) = (message.lease, message.bundle);
    match api.ask(|reply| Request::Expect { device, lease, bundle, reply }).await? {
        Expected::Nothing => {}
        Expected::Outputs { output_bytes, slices } => {
            let sized = message.outputs.iter().all(|(_, output)| output.len() as u64 == output_bytes);
            if !sized || message.outputs.len() != slices {
                return Err(Refused::new(
                    RefusalCode::Commit,
                    "the outputs are not those that were committed",
                ));
            }
            let writer = Arc::clone(&api);
            let nonce = Nonce((api.randomness)());
            let blob =
                blocking(move || writer.blobs.store(&envelope, nonce).map_err(|e| Failure::from(e).into()))
                    .await?;
            api.ask(|reply| Request::Outputs { device, lease, digests, blob, reply }).await?;
        }
    }
    Ok(accepted(&api, body))
}

pub(super) async fn bind(State(api): Shared, body: Body) -> Answer {
    let signed: Signed<Bind> = opened(&api, body).await?;
    let (device, request) = (DeviceId(*signed.signer()), signed.body_hash());
    let evidence = signed.envelope().to_bytes();
    let message = signed.into_message();
    api.check_addressee(&message.coordinator)?;
    api.ask(|reply| Request::Bind { device, message, evidence, reply }).await?;
    Ok(accepted(&api, request))
}

pub(super) async fn relay(State(api): Shared, body: Body) -> Answer {
    let signed: Signed<Relay> = opened(&api, body).await?;
    let sender = *signed.signer();
    let message = Box::new(signed.into_message());
    api.check_addressee(&message.coordinator)?;
    let nonce = message.nonce;
    let no_chain = || Refused::new(RefusalCode::Unavailable, "this coordinator has no chain");
    let errands = api.errands.as_ref().ok_or_else(no_chain)?;
    let transaction = match api.ask(|reply| Request::Relay { sender, message, reply }).await? {
        Ticket::Known(transaction) => transaction,
        Ticket::Sign(row) => {
            let (reply, answer) = tokio::sync::oneshot::channel();
            errands.send(Errand::Relay { row, reply }).await.map_err(|_| no_chain())?;
            answer.await.map_err(|_| no_chain())??
        }
    };
    Ok(api.sign(Relayed { nonce, transaction }))
}

pub(super) async fn epoch(State(api): Shared) -> Answer {
    let notice = api.ask(|reply| Request::Notice { reply }).await?;
    Ok(api.sign(notice))
}

pub(super) async fn submit(State(api): Shared, body: Body) -> Answer {
    let bytes = read(body, Manifest::MAX_BYTES + ENVELOPE_BYTES, LARGE_WITHIN).await?;
    let reader = Arc::clone(&api);
    let nonce = Nonce((api.randomness)());
    let (signed, stored) = blocking(move || {
        let signed: Signed<Manifest> = reader.open(&bytes)?;
        // Only publishers that are let in may fill the disk.
        if !reader.profile.publishers.values().any(|p| p == &signed.message().publisher) {
            return Err(Refused::new(
                RefusalCode::Publisher,
                "this publisher is not let in by the network's profile",
            ));
        }
        if signed.message().publisher.as_bytes() != signed.signer() {
            return Err(Refused::new(RefusalCode::Signature, "the manifest is not signed by its publisher"));
        }
        let stored = reader.blobs.store(&bytes, nonce).map_err(|e| Refused::from(Failure::from(e)))?;
        Ok((signed, stored))
    })
    .await?;
    let request = signed.body_hash();
    let manifest = Box::new(signed);
    let _job: JobId = api.ask(|reply| Request::Submit { manifest, stored, reply }).await?;
    Ok(accepted(&api, request))
}

pub(super) async fn progress(State(api): Shared, Path(job): Path<String>) -> Answer {
    let job = parse_job(&job)?;
    json(&api.ask(|reply| Request::Progress { job, reply }).await?)
}

pub(super) async fn outputs(State(api): Shared, Path(job): Path<String>) -> Answer {
    let job = parse_job(&job)?;
    let units = api.ask(|reply| Request::Progress { job, reply }).await?.units;
    let mut index = Vec::new();
    for unit in 0..u32::try_from(units).unwrap_or(u32::MAX) {
        let found = ask(&api.requests, |reply| Request::Unit { job, unit, reply }).await?;
        index.extend(found.outputs.iter().map(|o| OutputIndex { unit, slice: o.position, digest: o.digest }));
    }
    json(&index)
}

/// Accepted slices of one unit: CBOR of (position, output).
pub(super) async fn unit_outputs(State(api): Shared, Path((job, unit)): Path<(String, String)>) -> Answer {
    let job = parse_job(&job)?;
    let unit: u32 = unit.parse().map_err(|_| Refused::new(RefusalCode::Malformed, "a unit is a number"))?;
    let found = api.ask(|reply| Request::Unit { job, unit, reply }).await?;
    let Ok(_turn) = api.results.acquire().await else {
        return Err(Refused::new(RefusalCode::Unavailable, "the coordinator is shutting down"));
    };
    let reader = Arc::clone(&api);
    let body = blocking(move || {
        let mut results: BTreeMap<Hash, BTreeMap<SliceId, ByteBuf>> = BTreeMap::new();
        let mut outputs: Vec<(u32, ByteBuf)> = Vec::new();
        for output in found.outputs {
            let slices = match results.entry(output.result) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(stored_outputs(&reader, &output.result)?),
            };
            let bytes = slices.remove(&output.slice);
            let bytes = bytes.filter(|bytes| Hash::of(bytes) == output.digest).ok_or_else(unreadable)?;
            outputs.push((output.position, bytes));
        }
        Ok(protocol::cbor::encode(&outputs))
    })
    .await?;
    Ok(cbor(axum::http::StatusCode::OK, body).into_response())
}

fn stored_outputs(api: &Api, result: &Hash) -> Result<BTreeMap<SliceId, ByteBuf>, Refused> {
    let limit = (WorkResult::MAX_BYTES + ENVELOPE_BYTES) as u64;
    let bytes =
        api.blobs.read(result, limit).map_err(|error: BlobError| Refused::from(Failure::from(error)))?;
    let envelope = Envelope::from_bytes::<WorkResult>(&bytes).map_err(|_| unreadable())?;
    let signed: Signed<WorkResult> = envelope.verify_any(&api.network).map_err(|_| unreadable())?;
    Ok(signed.into_message().outputs.into_iter().collect())
}

fn unreadable() -> Refused {
    Refused::new(RefusalCode::Unavailable, "a stored result cannot be read")
}

fn parse_job(text: &str) -> Result<JobId, Refused> {
    text.parse().map_err(|_| Refused::new(RefusalCode::Malformed, "a job is 64 hexadecimal digits"))
}

/// Runs work that would hold up the other connections on a thread of its own.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refused> + Send + 'static,
) -> Result<T, Refused> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a request ended early");
            Err(Refused::new(RefusalCode::Unavailable, "the coordinator cannot do this at present"))
        }
    }
}
