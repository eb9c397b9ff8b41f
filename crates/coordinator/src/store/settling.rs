//! Bindings, the cumulative tree, epochs, and withdrawals on their way to the chain.

use protocol::id::{DeviceId, Hash};
use protocol::units::{BaseUnits, UnixMillis};
use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};

use super::{StoreError, amount, instant, maybe, millis};
use crate::epoch::Rows;

/// A device's account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Binding {
    pub(crate) account: String,
    pub(crate) issued_at: UnixMillis,
    pub(crate) effective_at: UnixMillis,
}

/// Bindings of a device, the latest issued first.
pub(crate) fn bindings(db: &Connection, device: &DeviceId) -> Result<Vec<Binding>, StoreError> {
    let mut query = db.prepare(
        "SELECT account, issued_at, effective_at FROM bindings WHERE device = ?1 ORDER BY issued_at DESC",
    )?;
    let rows = query.query_map([device.0], |row| {
        Ok(Binding { account: row.get(0)?, issued_at: instant(row, 1)?, effective_at: instant(row, 2)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Writes a binding; those not yet effective are replaced by it.
pub(crate) fn bind(
    db: &Connection,
    device: &DeviceId,
    binding: &Binding,
    evidence: &[u8],
    now: UnixMillis,
) -> Result<(), StoreError> {
    db.execute(
        "DELETE FROM bindings WHERE device = ?1 AND effective_at > ?2",
        params![device.0, millis(now)],
    )?;
    db.execute(
        "INSERT INTO bindings VALUES (?1, ?2, ?3, ?4, ?5)",
        params![device.0, binding.account, millis(binding.issued_at), millis(binding.effective_at), evidence],
    )?;
    Ok(())
}

/// Rows of the latest tree.
pub(crate) fn tree(db: &Connection) -> Result<Rows, StoreError> {
    let mut query = db.prepare("SELECT device, account, cumulative FROM tree_rows")?;
    let rows = query
        .query_map([], |row| Ok(((DeviceId(row.get(0)?), row.get::<_, String>(1)?), amount(row, 2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(crate) fn set_tree(db: &Connection, rows: &Rows) -> Result<(), StoreError> {
    let mut change = db.prepare(
        "INSERT INTO tree_rows VALUES (?1, ?2, ?3)
         ON CONFLICT (device, account) DO UPDATE SET cumulative = ?3 WHERE cumulative <> ?3",
    )?;
    for ((device, account), cumulative) in rows {
        change.execute(params![device.0, account, cumulative.to_string()])?;
    }
    Ok(())
}

/// Cumulative spend of one publisher, told to the chain with an epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attested {
    /// Checksummed account.
    pub(crate) account: String,
    pub(crate) spent: BaseUnits,
}

/// An epoch's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Epoch {
    pub(crate) epoch: u64,
    pub(crate) root: Hash,
    pub(crate) total: BaseUnits,
    pub(crate) list: Hash,
    pub(crate) spends: Vec<Attested>,
    pub(crate) state: EpochState,
}

/// Where an epoch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EpochState {
    /// Written here, not yet on the chain.
    Closed,
    /// On the chain, inside its challenge delay.
    Proposed,
    /// Claimable.
    Active,
}

impl EpochState {
    fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Proposed => "proposed",
            Self::Active => "active",
        }
    }
}

fn epoch_row(row: &Row<'_>) -> rusqlite::Result<Epoch> {
    let spends: Vec<u8> = row.get(4)?;
    let state: String = row.get(5)?;
    let corrupt = |column, what| {
        rusqlite::Error::FromSqlConversionFailure(
            column,
            rusqlite::types::Type::Blob,
            Box::new(StoreError::Corrupt(what)),
        )
    };
    Ok(Epoch {
        epoch: row.get::<_, i64>(0)?.unsigned_abs(),
        root: Hash(row.get(1)?),
        total: amount(row, 2)?,
        list: Hash(row.get(3)?),
        spends: protocol::cbor::decode(&spends, spends.len()).map_err(|_| corrupt(4, "spends"))?,
        state: [EpochState::Closed, EpochState::Proposed, EpochState::Active]
            .into_iter()
            .find(|s| s.name() == state)
            .ok_or_else(|| corrupt(5, "epoch state"))?,
    })
}

const EPOCH_COLUMNS: &str = "epoch, root, total, list, spends, state";

pub(crate) fn latest_epoch(db: &Connection) -> Result<Option<Epoch>, StoreError> {
    maybe(db.query_row(
        &format!("SELECT {EPOCH_COLUMNS} FROM epochs ORDER BY epoch DESC LIMIT 1"),
        [],
        epoch_row,
    ))
}

/// Roots of the latest epochs that have reached the chain, the newest first.
pub(crate) fn recent_roots(db: &Connection, limit: u32) -> Result<Vec<Hash>, StoreError> {
    let mut query =
        db.prepare("SELECT root FROM epochs WHERE state <> 'closed' ORDER BY epoch DESC LIMIT ?1")?;
    let rows = query.query_map([limit], |row| row.get(0).map(Hash))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(crate) fn add_epoch(db: &Connection, epoch: &Epoch, now: UnixMillis) -> Result<(), StoreError> {
    let number = i64::try_from(epoch.epoch).map_err(|_| StoreError::Corrupt("epoch number"))?;
    db.execute(
        "INSERT INTO epochs VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            number,
            epoch.root.0,
            epoch.total.to_string(),
            epoch.list.0,
            protocol::cbor::encode(&epoch.spends),
            epoch.state.name(),
            millis(now)
        ],
    )?;
    Ok(())
}

/// When the latest epoch was closed.
pub(crate) fn last_closed_at(db: &Connection) -> Result<Option<UnixMillis>, StoreError> {
    maybe(db.query_row("SELECT closed_at FROM epochs ORDER BY epoch DESC LIMIT 1", [], |row| instant(row, 0)))
}

pub(crate) fn set_epoch_state(db: &Connection, epoch: u64, state: EpochState) -> Result<(), StoreError> {
    let number = i64::try_from(epoch).map_err(|_| StoreError::Corrupt("epoch number"))?;
    db.execute("UPDATE epochs SET state = ?2 WHERE epoch = ?1", params![number, state.name()])?;
    Ok(())
}

/// The secret that draws audits while `epoch` is being earned; written at first use.
pub(crate) fn secret(db: &Connection, epoch: u64, fresh: [u8; 32]) -> Result<[u8; 32], StoreError> {
    let number = i64::try_from(epoch).map_err(|_| StoreError::Corrupt("epoch number"))?;
    db.execute("INSERT INTO secrets VALUES (?1, ?2) ON CONFLICT DO NOTHING", params![number, fresh])?;
    Ok(db.query_row("SELECT secret FROM secrets WHERE epoch = ?1", [number], |row| row.get(0))?)
}

/// A withdrawal on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RelayRow {
    pub(crate) account: String,
    pub(crate) nonce: u64,
    /// Canonical bytes of the intent.
    pub(crate) intent: Vec<u8>,
    /// Canonical bytes of the request, to sign the transaction again if need be.
    pub(crate) request: Vec<u8>,
    pub(crate) state: RelayState,
    /// The signed transaction.
    pub(crate) raw: Option<Vec<u8>>,
    pub(crate) tx: Option<Hash>,
}

/// Where a withdrawal stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RelayState {
    /// Taken in, nothing signed.
    Accepted,
    /// The transaction is written here, perhaps not sent.
    Signed,
    /// An endpoint has taken it.
    Sent,
    /// The chain shows the nonce as used.
    Settled,
}

impl RelayState {
    fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Signed => "signed",
            Self::Sent => "sent",
            Self::Settled => "settled",
        }
    }
}

const RELAY_COLUMNS: &str = "account, nonce, intent, request, state, raw, tx";

fn relay_row(row: &Row<'_>) -> rusqlite::Result<RelayRow> {
    let state: String = row.get(4)?;
    Ok(RelayRow {
        account: row.get(0)?,
        nonce: u64::from_be_bytes(row.get(1)?),
        intent: row.get(2)?,
        request: row.get(3)?,
        state: [RelayState::Accepted, RelayState::Signed, RelayState::Sent, RelayState::Settled]
            .into_iter()
            .find(|s| s.name() == state)
            .ok_or_else(|| {
                rusqlite::Error::FromSqlConversionFailure(
                    4,
                    rusqlite::types::Type::Text,
                    Box::new(StoreError::Corrupt("relay state")),
                )
            })?,
        raw: row.get(5)?,
        tx: row.get::<_, Option<[u8; 32]>>(6)?.map(Hash),
    })
}

pub(crate) fn relay(db: &Connection, account: &str, nonce: u64) -> Result<Option<RelayRow>, StoreError> {
    maybe(db.query_row(
        &format!("SELECT {RELAY_COLUMNS} FROM relays WHERE account = ?1 AND nonce = ?2"),
        params![account, nonce.to_be_bytes()],
        relay_row,
    ))
}

/// Withdrawals that the chain has not confirmed.
pub(crate) fn open_relays(db: &Connection) -> Result<Vec<RelayRow>, StoreError> {
    let mut query = db.prepare(&format!(
        "SELECT {RELAY_COLUMNS} FROM relays WHERE state <> 'settled' ORDER BY account, nonce"
    ))?;
    let rows = query.query_map([], relay_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(crate) fn set_relay(db: &Connection, row: &RelayRow) -> Result<(), StoreError> {
    db.execute(
        "INSERT INTO relays VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (account, nonce) DO UPDATE SET state = ?5, raw = ?6, tx = ?7",
        params![
            row.account,
            row.nonce.to_be_bytes(),
            row.intent,
            row.request,
            row.state.name(),
            row.raw,
            row.tx.map(|h| h.0)
        ],
    )?;
    Ok(())
}

/// Forgets a withdrawal of which nothing was signed.
pub(crate) fn drop_relay(db: &Connection, account: &str, nonce: u64) -> Result<(), StoreError> {
    db.execute(
        "DELETE FROM relays WHERE account = ?1 AND nonce = ?2 AND state = 'accepted'",
        params![account, nonce.to_be_bytes()],
    )?;
    Ok(())
}
