//! What the distributor says it did. Only our own distributor's events are read: foreign `Transfer` logs are how address
//! poisoning and fake tokens get into histories.

use alloy::primitives::{B256, LogData, U256};
use alloy::sol_types::SolEventInterface;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::abi::IDistributor::IDistributorEvents as E;
use crate::{Address, Amount, Hash32, RpcError, TxHash};

/// One event of the distributor with its place on the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRecord {
    pub event: Event,
    pub block_number: u64,
    pub block_hash: Hash32,
    pub tx: TxHash,
    pub log_index: u64,
}

/// The events of `Distributor.sol`. Times are unix seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    Deposited { publisher: Address, amount: Amount },
    SpendAttested { publisher: Address, spent: Amount },
    RefundRequested { publisher: Address, amount: Amount, refundable_at: u64 },
    Refunded { publisher: Address, amount: Amount },
    Proposed { epoch: u64, root: Hash32, total: Amount, manifest: Hash32, active_at: u64 },
    Vetoed { epoch: u64, root: Hash32 },
    Activated { epoch: u64, root: Hash32, total: Amount },
    Revoked { epoch: u64, root: Hash32 },
    Claimed { account: Address, amount: Amount },
    Withdrawn { account: Address, to: Address, amount: Amount, fee: Amount, relayer: Address, nonce: u64 },
    NonceCancelled { account: Address, nonce: u64 },
    PausedSet { paused: bool },
    RolesSet { guardian: Address, poster: Address },
    LimitsSet { challenge_delay: u64, refund_delay: u64, kept_roots: u64, epoch_cap: Amount },
}

/// Reads one entry of an `eth_getLogs` answer or a receipt; `None` for logs of other contracts and for events that are
/// not listed in [`Event`] (the ownership events of OpenZeppelin).
pub(crate) fn read_log(log: &Value, distributor: Address) -> Result<Option<EventRecord>, RpcError> {
    let text = |name: &str| log.get(name).and_then(Value::as_str).ok_or_else(|| missing(name));
    let emitter = crate::address::parse_rpc_address(text("address")?).map_err(|e| malformed(&e))?;
    if emitter != distributor || log.get("removed").and_then(Value::as_bool) == Some(true) {
        return Ok(None);
    }
    let topics = log.get("topics").and_then(Value::as_array).ok_or_else(|| missing("topics"))?;
    let topics: Vec<B256> = topics
        .iter()
        .map(|t| t.as_str().and_then(|t| t.parse().ok()).ok_or_else(|| missing("topics")))
        .collect::<Result<_, _>>()?;
    let data = text("data")?;
    let data = hex::decode(data.strip_prefix("0x").unwrap_or(data)).map_err(|e| malformed(&e))?;
    let known = topics.first().is_some_and(|t| E::SELECTORS.contains(&t.0));
    let Some(log_data) = LogData::new(topics, data.into()).filter(|_| known) else { return Ok(None) };
    let decoded = E::decode_raw_log(log_data.topics(), &log_data.data).map_err(|e| malformed(&e))?;
    Ok(Some(EventRecord {
        event: convert(decoded),
        block_number: quantity(text("blockNumber")?)?,
        block_hash: text("blockHash")?.parse().map_err(|e| malformed(&e))?,
        tx: text("transactionHash")?.parse().map_err(|e| malformed(&e))?,
        log_index: quantity(text("logIndex")?)?,
    }))
}

fn convert(event: E) -> Event {
    let address = Address::from_alloy;
    let hash = Hash32::from_b256;
    match event {
        E::Deposited(e) => Event::Deposited { publisher: address(e.publisher), amount: amount(e.amount) },
        E::SpendAttested(e) => {
            Event::SpendAttested { publisher: address(e.publisher), spent: amount(e.spent) }
        }
        E::RefundRequested(e) => Event::RefundRequested {
            publisher: address(e.publisher),
            amount: amount(e.amount),
            refundable_at: e.refundableAt.saturating_to(),
        },
        E::Refunded(e) => Event::Refunded { publisher: address(e.publisher), amount: amount(e.amount) },
        E::Proposed(e) => Event::Proposed {
            epoch: e.epoch.saturating_to(),
            root: hash(e.root),
            total: amount(e.total),
            manifest: hash(e.manifest),
            active_at: e.activeAt.saturating_to(),
        },
        E::Vetoed(e) => Event::Vetoed { epoch: e.epoch.saturating_to(), root: hash(e.root) },
        E::Activated(e) => {
            Event::Activated { epoch: e.epoch.saturating_to(), root: hash(e.root), total: amount(e.total) }
        }
        E::Revoked(e) => Event::Revoked { epoch: e.epoch.saturating_to(), root: hash(e.root) },
        E::Claimed(e) => Event::Claimed { account: address(e.account), amount: amount(e.amount) },
        E::Withdrawn(e) => Event::Withdrawn {
            account: address(e.account),
            to: address(e.to),
            amount: amount(e.amount),
            fee: amount(e.fee),
            relayer: address(e.relayer),
            // Orders of this app use 64 bits; a larger nonce belongs to somebody else's tool and saturates.
            nonce: e.nonce.saturating_to(),
        },
        E::NonceCancelled(e) => {
            Event::NonceCancelled { account: address(e.account), nonce: e.nonce.saturating_to() }
        }
        E::PausedSet(e) => Event::PausedSet { paused: e.paused },
        E::RolesSet(e) => Event::RolesSet { guardian: address(e.guardian), poster: address(e.poster) },
        E::LimitsSet(e) => Event::LimitsSet {
            challenge_delay: e.challengeDelay.saturating_to(),
            refund_delay: e.refundDelay.saturating_to(),
            kept_roots: e.keptRoots.saturating_to(),
            epoch_cap: amount(e.epochCap),
        },
    }
}

/// Reads a JSON-RPC quantity (`0x` and hexadecimal digits) of at most 64 bits.
pub(crate) fn quantity(text: &str) -> Result<u64, RpcError> {
    let digits = text.strip_prefix("0x").ok_or_else(|| malformed(&"a quantity starts with 0x"))?;
    u64::from_str_radix(digits, 16).map_err(|e| malformed(&e))
}

pub(crate) fn malformed(error: &impl ToString) -> RpcError {
    RpcError::Malformed(error.to_string())
}

pub(crate) fn missing(name: &str) -> RpcError {
    RpcError::Malformed(format!("{name} is missing or of the wrong kind"))
}

fn amount(value: U256) -> Amount {
    Amount::from_u256(value)
}
