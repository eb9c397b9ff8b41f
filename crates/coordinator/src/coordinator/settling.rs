//! From mature credit to the chain: bindings, epochs, deposits, withdrawals.

use std::time::Duration;

use protocol::id::{DeviceId, Hash, Nonce};
use protocol::units::{BaseUnits, UnixMillis};
use protocol::wire::{Bind, EpochNotice, RefusalCode, Relay};

use super::work::known;
use super::{Coordinator, Failure, Refused};
use crate::epoch;
use crate::store::StoreError;
use crate::store::ledger::{self, NO_HASH};
use crate::store::settling::{self, Attested, Binding, Epoch, EpochState, RelayRow, RelayState};
use crate::treasury::{self, Duty, Observation, Proposal, Withdrawal};

/// How long a change of payout waits on a network with real money, so that a thief's change can be noticed.
const BINDING_DELAY: Duration = Duration::from_secs(48 * 3600);
/// Withdrawals are taken against this many latest epochs.
const KEPT_EPOCHS: u32 = 8;

/// What closing an epoch came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EpochOutcome {
    /// Closed and ready to be proposed.
    Closed {
        /// Its number.
        epoch: u64,
        /// Root of its tree.
        root: Hash,
        /// Sum of its tree.
        total: BaseUnits,
        /// Mature credit that waits (unbound devices, or over the distributor's cap).
        carried: BaseUnits,
    },
    /// No mature credit of a bound device.
    NothingMature,
    /// The epoch before is not active on the chain yet.
    PreviousPending {
        /// Its number.
        epoch: u64,
    },
    /// This coordinator has no chain, or has not reached it yet.
    NoChain,
}

/// What happens with a withdrawal that was handed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ticket {
    /// It was signed before: this transaction carries it.
    Known(Hash),
    /// The treasurer is to sign and send it.
    Sign(Box<RelayRow>),
}

impl Coordinator {
    pub(super) fn bind(&mut self, device: DeviceId, message: &Bind, evidence: &[u8]) -> Result<(), Failure> {
        let now = self.office.now();
        let refuse = |detail: &str| Failure::from(Refused::new(RefusalCode::Malformed, detail));
        let terms = self.office.terms.clone();
        let terms =
            terms.ok_or_else(|| Refused::new(RefusalCode::Unavailable, "this coordinator has no chain"))?;
        if message.expires_at_seconds.saturating_mul(1000) <= now.0 {
            return Err(Refused::new(RefusalCode::Expired, "the binding has expired").into());
        }
        if message.issued_at_seconds.saturating_mul(1000) > now.0.saturating_add(300_000) {
            return Err(refuse("the binding is issued in the future"));
        }
        let signed = terms
            .check_binding(&device, message)
            .map_err(|error| Refused::new(RefusalCode::Signature, error.to_string()))?;
        let delay = if self.office.profile.local {
            Duration::from_millis(self.office.profile.parameters.maturity_millis)
        } else {
            BINDING_DELAY
        };
        let Self { office, store, .. } = self;
        store.write(|t| {
            office.check_fresh(t, device.as_bytes(), &message.nonce, message.sent_at, now)?;
            known(t, &device)?;
            let issued_at = UnixMillis(message.issued_at_seconds.saturating_mul(1000));
            let before = settling::bindings(t, &device)?;
            match before.first() {
                Some(last) if last.issued_at == issued_at && last.account == message.payout => return Ok(()),
                Some(last) if last.issued_at >= issued_at => {
                    return Err(refuse("a binding that was issued later is known"));
                }
                _ => {}
            }
            // The first account is taken at once when its own key agreed; anything else leaves time to object. The
            // account in force may always be confirmed at once: that is how a pending change is cancelled.
            let current = before.iter().find(|b| b.effective_at <= now);
            let at_once = match current {
                None => signed,
                Some(current) => current.account == message.payout,
            };
            let effective_at = if at_once { now } else { now.plus(delay) };
            let binding = Binding { account: message.payout.clone(), issued_at, effective_at };
            Ok(settling::bind(t, &device, &binding, evidence, now)?)
        })
    }

    pub(super) fn notice(&self) -> Result<EpochNotice, Failure> {
        let latest = settling::latest_epoch(self.store.read())?;
        let relayer = self.office.terms.as_ref().map(|terms| terms.relayer()).unwrap_or_default();
        let notice = EpochNotice {
            epoch: 0,
            root: NO_HASH,
            total: BaseUnits::ZERO,
            list: NO_HASH,
            active: false,
            relayer,
            withdrawal_fee: self.office.profile.parameters.withdrawal_fee,
            at: self.office.now(),
        };
        Ok(match latest {
            None => notice,
            Some(e) => EpochNotice {
                epoch: e.epoch,
                root: e.root,
                total: e.total,
                list: e.list,
                active: e.state == EpochState::Active,
                ..notice
            },
        })
    }

    /// Whether the interval of the profile has passed since the last epoch.
    pub(super) fn epoch_is_due(&self) -> bool {
        let interval = Duration::from_millis(self.office.profile.parameters.epoch_millis);
        let last = settling::last_closed_at(self.store.read());
        match last {
            Ok(Some(at)) => self.office.now().since(at) >= interval,
            Ok(None) => true,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the last epoch cannot be read");
                false
            }
        }
    }

    pub(super) fn close_epoch(&mut self) -> Result<EpochOutcome, Failure> {
        let now = self.office.now();
        let Some(seen) = self.seen.clone() else { return Ok(EpochOutcome::NoChain) };
        let Self { office, store, .. } = self;
        store.write(|t| {
            ledger::mature(t, now)?;
            let latest = settling::latest_epoch(t)?;
            if let Some(open) = latest.as_ref().filter(|e| e.state != EpochState::Active) {
                return Ok(EpochOutcome::PreviousPending { epoch: open.epoch });
            }
            let number = latest.map_or(1, |e| e.epoch + 1);
            let sum = |_| StoreError::Corrupt("sum of an epoch");
            let payable = ledger::payable(t, now)?;
            let Some(closing) = epoch::close(&settling::tree(t)?, &payable, seen.epoch_cap).map_err(sum)?
            else {
                return Ok(EpochOutcome::NothingMature);
            };
            let list = epoch::list(number, &closing.rows);
            let leaves = epoch::leaves(&list).map_err(sum)?;
            let root = treasury::root(&leaves).map_err(|_| StoreError::Corrupt("account in the tree"))?;
            // The blob may outlive a rolled-back transaction; nothing refers to it then.
            let stored = office.blobs.store(&protocol::cbor::encode(&list), Nonce(office.random()))?;
            let mut spends = Vec::new();
            for (publisher, account, mut row) in ledger::publishers(t)? {
                let attested = row.spent.max(row.attested);
                if attested > row.attested {
                    row.attested = attested;
                    ledger::set_publisher(t, &publisher, &row)?;
                    spends.push(Attested { account, spent: attested });
                }
            }
            for (device, sequence) in &closing.included {
                ledger::set_receipt_state(t, device, *sequence, "listed", Some(number))?;
            }
            settling::set_tree(t, &closing.rows)?;
            let total = closing.total;
            let epoch = Epoch { epoch: number, root, total, list: stored, spends, state: EpochState::Closed };
            settling::add_epoch(t, &epoch, now)?;
            tracing::info!(epoch = number, %total, carried = %closing.carried, "an epoch is closed");
            Ok(EpochOutcome::Closed { epoch: number, root, total, carried: closing.carried })
        })
    }

    /// Takes in what the chain shows and says what is to be done there.
    pub(super) fn observed(&mut self, observation: Observation) -> Result<Vec<Duty>, Failure> {
        let now = self.office.now();
        let Self { office, store, .. } = self;
        let duties = store.write(|t| {
            for (publisher, account, mut row) in ledger::publishers(t)? {
                let Some(&deposits) = observation.deposits.get(&account) else { continue };
                if deposits == row.deposits {
                    continue;
                }
                tracing::info!(publisher = %publisher.short(), before = %row.deposits, now = %deposits, "deposits");
                if deposits < row.deposits {
                    office.hold_jobs_of(t, &publisher)?;
                    row = ledger::publisher(t, &publisher)?.ok_or(StoreError::Corrupt("publisher"))?;
                }
                let mut escrow = ledger::escrow(t)?;
                let others = escrow.deposits.0.saturating_sub(row.deposits.0);
                escrow.deposits = BaseUnits(others.saturating_add(deposits.0));
                row.deposits = deposits;
                ledger::set_publisher(t, &publisher, &row)?;
                ledger::set_escrow(t, &escrow)?;
            }
            let escrow = ledger::escrow(t)?;
            let claimed = escrow.claim(observation.paid)?;
            if claimed != escrow {
                ledger::set_escrow(t, &claimed)?;
            }
            let mut duties = Vec::new();
            if let Some(epoch) = settling::latest_epoch(t)?.filter(|e| e.state != EpochState::Active) {
                let pending = observation.pending.as_ref().filter(|p| p.epoch == epoch.epoch && p.root == epoch.root);
                if observation.active_epoch >= epoch.epoch {
                    settling::set_epoch_state(t, epoch.epoch, EpochState::Active)?;
                    tracing::info!(epoch = epoch.epoch, "the epoch is active on the chain");
                } else if let Some(pending) = pending {
                    settling::set_epoch_state(t, epoch.epoch, EpochState::Proposed)?;
                    if pending.active_at_seconds <= observation.at_seconds.max(now.0 / 1000) {
                        duties.push(Duty::Activate);
                    }
                } else if epoch.state == EpochState::Closed {
                    duties.push(Duty::Propose(Proposal {
                        epoch: epoch.epoch,
                        root: epoch.root,
                        total: epoch.total,
                        list: epoch.list,
                        spends: epoch.spends.iter().map(|s| (s.account.clone(), s.spent)).collect(),
                    }));
                } else {
                    tracing::error!(epoch = epoch.epoch, "the guardian has vetoed the epoch; an operator must look");
                }
            }
            duties.extend(settling::open_relays(t)?.into_iter().map(|row| Duty::Relay(Box::new(row))));
            Ok::<_, Failure>(duties)
        })?;
        self.seen = Some(observation);
        if self.epoch_is_due() {
            self.close_epoch()?;
        }
        Ok(duties)
    }

    pub(super) fn relay(&mut self, sender: &[u8; 32], message: &Relay) -> Result<Ticket, Failure> {
        let now = self.office.now();
        let refuse = |detail: &str| Failure::from(Refused::new(RefusalCode::Withdrawal, detail));
        let terms = self.office.terms.clone();
        let terms =
            terms.ok_or_else(|| Refused::new(RefusalCode::Unavailable, "this coordinator has no chain"))?;
        let Self { office, store, .. } = self;
        store.write(|t| {
            office.check_fresh(t, sender, &message.nonce, message.sent_at, now)?;
            let intent = protocol::cbor::encode(&message.intent);
            if let Some(row) = settling::relay(t, &message.intent.account, message.intent.nonce)? {
                if row.intent != intent {
                    return Err(refuse("another withdrawal has used this nonce"));
                }
                return Ok(match row.tx {
                    Some(tx) => Ticket::Known(tx),
                    None => Ticket::Sign(Box::new(row)),
                });
            }
            if message.intent.fee != office.profile.parameters.withdrawal_fee {
                return Err(refuse("the fee is not the published one"));
            }
            if message.intent.deadline_seconds.saturating_mul(1000) <= now.0 {
                return Err(refuse("the withdrawal's deadline has passed"));
            }
            let roots: Vec<Hash> = settling::recent_roots(t, KEPT_EPOCHS)?;
            terms.check_withdrawal(message, &roots).map_err(|error| refuse(&error.to_string()))?;
            let row = RelayRow {
                account: message.intent.account.clone(),
                nonce: message.intent.nonce,
                intent,
                request: protocol::cbor::encode(message),
                state: RelayState::Accepted,
                raw: None,
                tx: None,
            };
            settling::set_relay(t, &row)?;
            Ok(Ticket::Sign(Box::new(row)))
        })
    }

    pub(super) fn relay_signed(
        &mut self,
        account: &str,
        nonce: u64,
        raw: Vec<u8>,
        tx: Hash,
    ) -> Result<(), Failure> {
        self.store.write(|t| {
            let mut row = settling::relay(t, account, nonce)?.ok_or(StoreError::Corrupt("withdrawal"))?;
            row.state = RelayState::Signed;
            row.raw = Some(raw);
            row.tx = Some(tx);
            Ok(settling::set_relay(t, &row)?)
        })
    }

    pub(super) fn relay_ended(&mut self, account: &str, nonce: u64, end: Withdrawal) -> Result<(), Failure> {
        self.store.write(|t| {
            let Some(mut row) = settling::relay(t, account, nonce)? else { return Ok(()) };
            match end {
                Withdrawal::Refused => return Ok(settling::drop_relay(t, account, nonce)?),
                Withdrawal::Sent => row.state = RelayState::Sent,
                Withdrawal::Settled => row.state = RelayState::Settled,
            }
            Ok(settling::set_relay(t, &row)?)
        })
    }

    /// Lets the configured publishers in.
    pub(crate) fn admit_publishers(&mut self) -> Result<(), StoreError> {
        let Self { office, store, .. } = self;
        store.write(|t| {
            for (publisher, account) in &office.accounts {
                if !ledger::admit_publisher(t, publisher, account)? {
                    let publisher = publisher.short();
                    tracing::error!(
                        publisher,
                        "the chain account of a publisher with deposits cannot change"
                    );
                }
            }
            Ok(())
        })
    }
}
