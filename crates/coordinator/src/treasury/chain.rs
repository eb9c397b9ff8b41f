//! The real treasury: settlement's typed calls over the network room's HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use network::{Net, Purpose};
use protocol::id::Hash;
use protocol::units::BaseUnits;
use protocol::wire::Relay;
use serde_json::Value;
use settlement::{
    Address, Amount, Chain, ChainError, Hash32, Rpc, RpcError, RpcFuture, Signer, Spend, Tag, TxHash, calls,
    rpc,
};

use super::{
    Observation, Pending, PendingEpoch, Proposal, SignedRelay, Terms, TermsError, Treasury, TreasuryError,
    address, order, signature,
};

/// Longest answer of an endpoint.
const MAX_ANSWER_BYTES: u64 = 8 * 1024 * 1024;
/// How often a transaction is looked for before the round gives up; the next round goes on from the chain's state.
const LOOKS: u32 = 60;

/// One JSON-RPC endpoint, reached through [`Net`].
pub struct NetRpc {
    net: Net,
    url: String,
    next_id: AtomicU64,
}

impl std::fmt::Debug for NetRpc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NetRpc").field("url", &self.url).finish_non_exhaustive()
    }
}

impl NetRpc {
    /// The endpoint at `url`.
    pub fn new(net: Net, url: String) -> Self {
        Self { net, url, next_id: AtomicU64::new(1) }
    }
}

impl Rpc for NetRpc {
    fn call<'a>(&'a self, method: &'a str, params: Value) -> RpcFuture<'a> {
        Box::pin(async move {
            let id = self.next_id.fetch_add(1, Ordering::Relaxed);
            let body = rpc::request(id, method, &params);
            let request = network::Request::post(Purpose::ChainRpc, method, &self.url, body)
                .header("content-type", "application/json")
                .max_answer_bytes(MAX_ANSWER_BYTES);
            let answer = self.net.request(request).await.map_err(|e| RpcError::Transport(e.to_string()))?;
            rpc::parse_response(id, &answer.body)
        })
    }
}

/// The distributor of a profile, with the poster's and relayer's key.
pub struct ChainTreasury {
    chain: Chain,
    signer: Signer,
}

impl std::fmt::Debug for ChainTreasury {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChainTreasury").field("signer", &self.signer).finish_non_exhaustive()
    }
}

impl ChainTreasury {
    /// The distributor that `terms` name, reached through `rpc`; `signer` is poster and relayer.
    pub fn new(rpc: Arc<dyn Rpc>, terms: &Terms, signer: Signer) -> Self {
        Self { chain: Chain::new(rpc, terms.contracts().clone()), signer }
    }

    /// Succeeds when the endpoint serves the profile's chain and its distributor is the shipped code.
    ///
    /// # Errors
    /// [`TreasuryError`].
    pub async fn check(&self) -> Result<(), TreasuryError> {
        self.chain.check().await.map_err(failed)
    }

    async fn transact(&self, call: &settlement::Call) -> Result<(), TreasuryError> {
        let pace = |_| async {
            tokio::time::sleep(Duration::from_millis(250)).await;
            true
        };
        let bounded = |attempt: u32| {
            let more = attempt < LOOKS;
            let wait = pace(attempt);
            async move { more && wait.await }
        };
        self.chain.transact(&self.signer, call, bounded).await.map(|_| ()).map_err(failed)
    }
}

fn failed(error: ChainError) -> TreasuryError {
    match error {
        ChainError::Revert(revert) => TreasuryError::Refused(revert.to_string()),
        // Endpoints answer so when a transaction's place is taken or its fee too low: it cannot be sent as it is.
        ChainError::Rpc(RpcError::Response { message, .. }) => TreasuryError::Refused(message),
        other => TreasuryError::Unavailable(Box::new(other)),
    }
}

fn malformed(error: TermsError) -> TreasuryError {
    TreasuryError::Refused(error.to_string())
}

fn units(amount: Amount) -> Result<BaseUnits, TreasuryError> {
    amount
        .as_u128()
        .map(BaseUnits)
        .ok_or_else(|| TreasuryError::Unavailable("an amount on the chain does not fit 128 bits".into()))
}

impl Treasury for ChainTreasury {
    fn observe(&self, accounts: Vec<String>) -> Pending<'_, Observation> {
        Box::pin(async move {
            let block = self.chain.block(Tag::Latest).await.map_err(failed)?;
            let at = Tag::Number(block.number);
            let state = self.chain.state(at).await.map_err(failed)?;
            let pending = self.chain.pending(at).await.map_err(failed)?;
            let mut deposits = BTreeMap::new();
            for account in accounts {
                let publisher: Address = address(&account).map_err(malformed)?;
                let row = self.chain.publisher(publisher, at).await.map_err(failed)?;
                deposits.insert(account, units(row.deposited.saturating_sub(row.refunded))?);
            }
            Ok(Observation {
                deposits,
                active_epoch: state.active_epoch,
                pending: pending.map(|p| PendingEpoch {
                    epoch: p.epoch,
                    root: Hash(p.root.0),
                    active_at_seconds: p.active_at,
                }),
                paid: units(state.paid)?,
                epoch_cap: BaseUnits(state.epoch_cap.as_u128().unwrap_or(u128::MAX)),
                at_seconds: block.at,
            })
        })
    }

    fn propose(&self, proposal: Proposal) -> Pending<'_, ()> {
        Box::pin(async move {
            let spends = proposal
                .spends
                .iter()
                .map(|(account, spent)| {
                    Ok(Spend {
                        publisher: address(account).map_err(malformed)?,
                        spent: Amount::from_base_units(spent.0),
                    })
                })
                .collect::<Result<Vec<_>, TreasuryError>>()?;
            let total = Amount::from_base_units(proposal.total.0);
            let call = calls::propose(
                self.chain.contracts(),
                proposal.epoch,
                Hash32(proposal.root.0),
                total,
                Hash32(proposal.list.0),
                &spends,
            );
            self.transact(&call).await
        })
    }

    fn activate(&self) -> Pending<'_, ()> {
        Box::pin(async move { self.transact(&calls::activate(self.chain.contracts())).await })
    }

    fn sign<'a>(&'a self, relay: &'a Relay) -> Pending<'a, SignedRelay> {
        Box::pin(async move {
            let order = order(relay).map_err(malformed)?;
            let proof: Vec<Hash32> = relay.proof.iter().map(|hash| Hash32(hash.0)).collect();
            let cumulative = Amount::from_base_units(relay.cumulative.0);
            let signature = signature(&relay.signature).map_err(malformed)?;
            let call = calls::claim_to(self.chain.contracts(), &order, cumulative, &proof, &signature);
            self.chain.simulate(self.signer.address(), &call).await.map_err(failed)?;
            let tx = self.chain.prepare(&self.signer, &call).await.map_err(failed)?;
            let raw = serde_json::to_vec(&tx).map_err(|e| TreasuryError::Unavailable(Box::new(e)))?;
            Ok(SignedRelay { raw, tx: Hash(tx.hash.0) })
        })
    }

    fn send<'a>(&'a self, raw: &'a [u8]) -> Pending<'a, ()> {
        Box::pin(async move {
            let tx = serde_json::from_slice(raw).map_err(|e| TreasuryError::Unavailable(Box::new(e)))?;
            let _sent: TxHash = self.chain.send(&tx).await.map_err(failed)?;
            Ok(())
        })
    }

    fn is_used<'a>(&'a self, account: &'a str, nonce: u64) -> Pending<'a, bool> {
        Box::pin(async move {
            let account = address(account).map_err(malformed)?;
            self.chain.nonce_used(account, nonce, Tag::Latest).await.map_err(failed)
        })
    }
}
