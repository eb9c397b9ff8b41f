//! The chain, as far as the coordinator needs it: deposits seen, epochs proposed and activated, withdrawals relayed.
//!
//! [`Terms`] holds what can be checked without asking the chain; [`Treasury`] is what asks and sends. The treasurer's
//! task looks at the chain at intervals, hands the loop what it saw, and carries out what the loop answers; it keeps
//! nothing itself, so a restart resumes from the store. All transactions go through this one task, because the nonce
//! of the relayer's account admits one after the other.

mod chain;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use protocol::id::{DeviceId, Hash};
use protocol::profile::Profile;
use protocol::units::BaseUnits;
use protocol::wire::{Bind, RefusalCode, Relay};
use settlement::{Address, Amount, BindNode, ClaimTree, Contracts, Hash32, Signature, Withdraw};
use tokio::sync::{mpsc, oneshot};

pub use chain::{ChainTreasury, NetRpc};

use crate::coordinator::{Refused, Request};
use crate::store::settling::{RelayRow, RelayState};

/// Why binding, withdrawal or account is refused before the chain is asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TermsError {
    /// An address is not written with its checksum.
    #[error("{0} is not a checksummed address")]
    Address(String),
    /// The wallet's signature does not fit.
    #[error("the wallet's signature does not fit: {0}")]
    Signature(#[source] settlement::SignatureError),
    /// The signature is not 65 bytes.
    #[error("a wallet's signature is 65 bytes")]
    SignatureLength,
    /// The fee of another relayer.
    #[error("the withdrawal names another relayer")]
    Relayer,
    /// Account and cumulative amount are in none of the latest trees.
    #[error("the proof leads to none of the latest epochs")]
    Proof,
    /// Amount and fee pass the account's earnings.
    #[error("amount and fee are more than the account has earned")]
    Exceeds,
    /// The tree cannot be built.
    #[error("build the tree")]
    Tree(#[source] settlement::MerkleError),
}

/// The chain's contracts and our relayer's address.
#[derive(Debug, Clone)]
pub struct Terms {
    contracts: Contracts,
    relayer: Address,
}

/// What the treasurer saw at one block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// Deposits less refunds, by checksummed account.
    pub deposits: BTreeMap<String, BaseUnits>,
    /// Number of the active epoch.
    pub active_epoch: u64,
    /// The proposal inside its challenge delay.
    pub pending: Option<PendingEpoch>,
    /// Sum of all claims ever paid.
    pub paid: BaseUnits,
    /// The most by which one epoch may grow the tree.
    pub epoch_cap: BaseUnits,
    /// Time of the block, seconds since 1970.
    pub at_seconds: u64,
}

/// A proposal inside its challenge delay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingEpoch {
    /// Its number.
    pub epoch: u64,
    /// Its root.
    pub root: Hash,
    /// From when it can be activated, seconds since 1970.
    pub active_at_seconds: u64,
}

/// An epoch to be proposed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// Its number.
    pub epoch: u64,
    /// Root of the tree.
    pub root: Hash,
    /// Sum of the tree.
    pub total: BaseUnits,
    /// Content address of the published list.
    pub list: Hash,
    /// Cumulative spend by checksummed publisher account.
    pub spends: Vec<(String, BaseUnits)>,
}

/// A transaction that is signed and not yet sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRelay {
    /// What is kept and sent.
    pub raw: Vec<u8>,
    /// Its hash.
    pub tx: Hash,
}

/// Why the chain did not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TreasuryError {
    /// The contract says no: trying again changes nothing.
    #[error("the distributor refuses: {0}")]
    Refused(String),
    /// Unreachable or undecided: try again later.
    #[error("reach the chain")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// An answer of the chain on its way.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, TreasuryError>> + Send + 'a>>;

/// Reads and writes the chain. One real implementation, [`ChainTreasury`]; tests script their own.
pub trait Treasury: Send + Sync + 'static {
    /// Deposits of `accounts` and the distributor's state, all from one block.
    fn observe(&self, accounts: Vec<String>) -> Pending<'_, Observation>;
    /// Proposes an epoch and waits until it is in a block.
    fn propose(&self, proposal: Proposal) -> Pending<'_, ()>;
    /// Activates the proposed epoch and waits until that is in a block.
    fn activate(&self) -> Pending<'_, ()>;
    /// Simulates a withdrawal and signs its transaction; nothing is sent.
    fn sign<'a>(&'a self, relay: &'a Relay) -> Pending<'a, SignedRelay>;
    /// Sends a signed transaction; sending it again is harmless.
    fn send<'a>(&'a self, raw: &'a [u8]) -> Pending<'a, ()>;
    /// Whether the withdrawal with this nonce has been carried out (or cancelled by its owner).
    fn is_used<'a>(&'a self, account: &'a str, nonce: u64) -> Pending<'a, bool>;
}

/// What the loop wants done on the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Duty {
    Propose(Proposal),
    Activate,
    Relay(Box<RelayRow>),
}

/// What became of a withdrawal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Withdrawal {
    /// The contract would refuse it, and nothing was sent.
    Refused,
    /// An endpoint has taken it.
    Sent,
    /// The chain shows it as carried out.
    Settled,
}

/// What the treasurer is asked for between its rounds.
#[derive(Debug)]
pub(crate) enum Errand {
    /// Sign and send a withdrawal; answered with the transaction that carries it.
    Relay { row: Box<RelayRow>, reply: oneshot::Sender<Result<Hash, Refused>> },
    /// Look at the chain now; answered when that round is done.
    Round { reply: oneshot::Sender<Result<(), Refused>> },
}

impl Terms {
    /// The contracts of `profile`, and the relayer that fees go to.
    ///
    /// # Errors
    /// [`TermsError::Address`].
    pub fn new(profile: &Profile, relayer: Address) -> Result<Self, TermsError> {
        let chain = &profile.chain;
        let (token, distributor) = (address(&chain.token)?, address(&chain.distributor)?);
        Ok(Self { contracts: Contracts::with_ember(chain.chain_id, token, distributor), relayer })
    }

    /// The chain's contracts.
    pub fn contracts(&self) -> &Contracts {
        &self.contracts
    }

    /// Checksummed address of our relayer.
    pub fn relayer(&self) -> String {
        self.relayer.to_string()
    }

    /// Checks a binding's address and, where there is one, the wallet's signature over it. True when the wallet signed.
    /// The nonce of the typed data is the second of its issue.
    ///
    /// # Errors
    /// [`TermsError`].
    pub fn check_binding(&self, device: &DeviceId, bind: &Bind) -> Result<bool, TermsError> {
        let payout = address(&bind.payout)?;
        if bind.wallet_signature.is_empty() {
            return Ok(false);
        }
        let typed = BindNode {
            node_id: Hash32(device.0),
            payout,
            issued_at: bind.issued_at_seconds,
            expires_at: bind.expires_at_seconds,
            nonce: bind.issued_at_seconds,
        };
        typed.verify(&self.contracts, &signature(&bind.wallet_signature)?).map_err(TermsError::Signature)?;
        Ok(true)
    }

    /// Checks everything about a withdrawal that the chain need not be asked for.
    ///
    /// # Errors
    /// [`TermsError`].
    pub fn check_withdrawal(&self, relay: &Relay, roots: &[Hash]) -> Result<(), TermsError> {
        let order = order(relay)?;
        if order.relayer.is_some_and(|relayer| relayer != self.relayer) {
            return Err(TermsError::Relayer);
        }
        let cumulative = Amount::from_base_units(relay.cumulative.0);
        if order.sum().is_none_or(|sum| sum > cumulative) {
            return Err(TermsError::Exceeds);
        }
        let proof: Vec<Hash32> = relay.proof.iter().map(|hash| Hash32(hash.0)).collect();
        let known = |root: &Hash| settlement::verify_claim(Hash32(root.0), order.account, cumulative, &proof);
        if !roots.iter().any(known) {
            return Err(TermsError::Proof);
        }
        order.verify(&self.contracts, &signature(&relay.signature)?).map_err(TermsError::Signature)
    }
}

/// Root of the tree over accounts and their cumulative amounts.
///
/// # Errors
/// [`TermsError::Address`] or [`TermsError::Tree`].
pub fn root(leaves: &BTreeMap<String, BaseUnits>) -> Result<Hash, TermsError> {
    let claims = leaves
        .iter()
        .map(|(account, amount)| Ok((address(account)?, Amount::from_base_units(amount.0))))
        .collect::<Result<Vec<_>, TermsError>>()?;
    Ok(Hash(ClaimTree::new(claims).map_err(TermsError::Tree)?.root().0))
}

fn address(text: &str) -> Result<Address, TermsError> {
    let refuse = || TermsError::Address(text.to_owned());
    let parsed = Address::parse_checksummed(text).map_err(|_| refuse())?;
    if parsed.checksummed { Ok(parsed.address) } else { Err(refuse()) }
}

fn signature(bytes: &[u8]) -> Result<Signature, TermsError> {
    Ok(Signature(bytes.try_into().map_err(|_| TermsError::SignatureLength)?))
}

fn order(relay: &Relay) -> Result<Withdraw, TermsError> {
    let intent = &relay.intent;
    let relayer = address(&intent.relayer)?;
    Ok(Withdraw {
        account: address(&intent.account)?,
        to: address(&intent.to)?,
        amount: Amount::from_base_units(intent.amount.0),
        fee: Amount::from_base_units(intent.fee.0),
        relayer: (!relayer.is_zero()).then_some(relayer),
        nonce: intent.nonce,
        deadline: intent.deadline_seconds,
    })
}

/// The one task that talks to the chain.
pub(crate) struct Treasurer {
    pub(crate) treasury: Arc<dyn Treasury>,
    pub(crate) requests: mpsc::Sender<Request>,
    /// Pause between two looks at the chain.
    pub(crate) every: Duration,
}

impl Treasurer {
    /// Works until nobody can send errands any more.
    pub(crate) async fn run(self, mut errands: mpsc::Receiver<Errand>) {
        let mut rounds = tokio::time::interval(self.every);
        rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                errand = errands.recv() => match errand {
                    Some(Errand::Relay { row, reply }) => {
                        let outcome = self.relay(*row).await;
                        if reply.send(outcome).is_err() {
                            tracing::debug!("whoever asked for the withdrawal has gone; it is under way");
                        }
                    }
                    Some(Errand::Round { reply }) => {
                        if reply.send(self.round().await).is_err() {
                            tracing::debug!("nobody waits for this round");
                        }
                    }
                    None => return,
                },
                _ = rounds.tick() => {
                    if let Err(refused) = self.round().await {
                        tracing::warn!(%refused, "the chain could not be looked after");
                    }
                }
            }
        }
    }

    /// Looks at the chain and does what is due there, until nothing more is (a proposal may become active at once).
    async fn round(&self) -> Result<(), Refused> {
        for _ in 0..4 {
            let accounts = self.ask(|reply| Request::Accounts { reply }).await?;
            let observation = self.treasury.observe(accounts).await.map_err(|e| refused(&e))?;
            let duties = self.ask(|reply| Request::Observed { observation, reply }).await?;
            let mut moved = false;
            for duty in duties {
                match duty {
                    Duty::Propose(proposal) => {
                        self.treasury.propose(proposal).await.map_err(|e| refused(&e))?;
                        moved = true;
                    }
                    Duty::Activate => {
                        self.treasury.activate().await.map_err(|e| refused(&e))?;
                        moved = true;
                    }
                    Duty::Relay(row) => {
                        // One withdrawal that fails must not keep the others waiting.
                        if let Err(refused) = self.relay(*row).await {
                            tracing::warn!(%refused, "a withdrawal waits");
                        }
                    }
                }
            }
            if !moved {
                break;
            }
        }
        Ok(())
    }

    /// Carries a withdrawal as far as it goes: signed and kept, then sent, then seen on the chain.
    async fn relay(&self, row: RelayRow) -> Result<Hash, Refused> {
        let (account, nonce) = (row.account.clone(), row.nonce);
        let end = |end| {
            let account = account.clone();
            self.ask(move |reply| Request::RelayEnded { account, nonce, end, reply })
        };
        if let (Some(tx), RelayState::Signed | RelayState::Sent) = (row.tx, row.state)
            && self.treasury.is_used(&row.account, row.nonce).await.map_err(|e| refused(&e))?
        {
            end(Withdrawal::Settled).await?;
            return Ok(tx);
        }
        if let (Some(tx), Some(raw)) = (row.tx, &row.raw) {
            match self.treasury.send(raw).await {
                Ok(()) => {
                    end(Withdrawal::Sent).await?;
                    return Ok(tx);
                }
                // Its place in the relayer's account was taken or it was dropped: sign anew. The order's own nonce,
                // not used so far, admits only one of the two.
                Err(TreasuryError::Refused(reason)) => tracing::info!(reason, "a withdrawal is signed anew"),
                Err(error) => return Err(refused(&error)),
            }
        }
        let limit = row.request.len();
        let relay: Relay = protocol::cbor::decode(&row.request, limit)
            .map_err(|_| Refused::new(RefusalCode::Unavailable, "the stored withdrawal cannot be read"))?;
        let signed = match self.treasury.sign(&relay).await {
            Ok(signed) => signed,
            Err(TreasuryError::Refused(reason)) => {
                end(Withdrawal::Refused).await?;
                return Err(Refused::new(RefusalCode::Withdrawal, reason));
            }
            Err(error) => return Err(refused(&error)),
        };
        let (raw, tx) = (signed.raw.clone(), signed.tx);
        let keep = |reply| Request::RelaySigned { account: account.clone(), nonce, raw, tx, reply };
        self.ask(keep).await?;
        match self.treasury.send(&signed.raw).await {
            Ok(()) => end(Withdrawal::Sent).await?,
            // It is kept and will be sent again: the answer is the same.
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a withdrawal will be sent again")
            }
        }
        Ok(tx)
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, Refused>>) -> Request,
    ) -> Result<T, Refused> {
        crate::api::ask(&self.requests, request).await
    }
}

fn refused(error: &TreasuryError) -> Refused {
    tracing::warn!(error = error as &dyn std::error::Error, "the chain");
    Refused::new(RefusalCode::Unavailable, error.to_string())
}
