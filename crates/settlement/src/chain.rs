//! One distributor on one chain, through one [`Rpc`]. It reads, proves, simulates, signs, sends and reports; it keeps no
//! state of its own and never waits by a clock: [`Chain::wait`] asks the caller between two looks.

use std::fmt;
use std::sync::Arc;

use alloy::primitives::U256;
use alloy::sol_types::SolCall;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::abi::{IDistributor, IToken};
use crate::endpoint::Endpoint;
use crate::event::{malformed, read_log};
use crate::proof::{AccountProof, mapping_slot};
use crate::{
    Address, Amount, Call, EventRecord, Hash32, ProofError, Receipt, Revert, Rpc, RpcError,
    SignedTransaction, Signer, SignerError, TxHash, artifact,
};

/// Where a network's money lives. Part of the network's signed profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contracts {
    pub chain_id: u64,
    pub token: Address,
    pub distributor: Address,
    /// Name and version in the EIP-712 domain of the token.
    pub token_name: String,
    pub token_version: String,
    /// The storage slot of the token's balances, for proofs of a balance.
    pub balance_slot: u64,
}

impl Contracts {
    /// Contracts with EMBER as the token: the local network.
    #[must_use]
    pub fn with_ember(chain_id: u64, token: Address, distributor: Address) -> Self {
        Self {
            chain_id,
            token,
            distributor,
            token_name: "Ember".to_owned(),
            token_version: "1".to_owned(),
            balance_slot: artifact::EMBER_BALANCES_SLOT,
        }
    }
}

/// At which block a read is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    Latest,
    Safe,
    Finalized,
    Number(u64),
}

/// A block header whose hash has been recomputed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    pub number: u64,
    pub hash: Hash32,
    /// Unix seconds.
    pub at: u64,
    /// Wei.
    pub base_fee_per_gas: u64,
    /// What proofs at this block must lead to.
    pub state_root: Hash32,
}

/// The distributor as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DistributorState {
    pub admin: Address,
    pub guardian: Address,
    pub poster: Address,
    /// Seconds.
    pub challenge_delay: u32,
    /// Seconds.
    pub refund_delay: u32,
    pub kept_roots: u16,
    pub epoch_cap: Amount,
    pub paused: bool,
    /// Zero before the first root.
    pub active_epoch: u64,
    /// Sum of all claims and withdrawals paid.
    pub paid: Amount,
    /// Sum of all leaves of the active root.
    pub total: Amount,
    /// Sum of the attested spend of all publishers.
    pub total_spent: Amount,
}

/// A proposed root in its challenge delay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    pub epoch: u64,
    pub root: Hash32,
    pub total: Amount,
    /// Unix seconds; activation is possible from then on.
    pub active_at: u64,
}

/// A publisher's account with the distributor; all amounts are sums since the beginning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublisherAccount {
    pub deposited: Amount,
    pub refunded: Amount,
    /// Attested by the poster.
    pub spent: Amount,
    /// A refund that the publisher has announced, with the unix second from which it can be taken.
    pub requested: Option<(Amount, u64)>,
}

impl PublisherAccount {
    /// What can still be spent or refunded.
    #[must_use]
    pub fn unspent(&self) -> Amount {
        self.deposited.saturating_sub(self.refunded).saturating_sub(self.spent)
    }
}

/// What an account has, proven against a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvenAccount {
    /// Received from the distributor in all, fees included.
    pub claimed: Amount,
    /// The token's balance of the account.
    pub balance: Amount,
    pub block_number: u64,
    pub block_hash: Hash32,
}

/// Why the chain gave no answer, or one that cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ChainError {
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The contract refuses the call; nothing was sent.
    #[error("the contract refuses: {0}")]
    Revert(#[source] Revert),
    /// Hard stop: nothing may be signed for or read from this endpoint.
    #[error("the endpoint serves chain {found}, the network is on chain {expected}")]
    WrongChain { expected: u64, found: u64 },
    /// Hard stop: this is not the distributor that Hearth ships.
    #[error("the code at {distributor} is not the shipped distributor")]
    WrongCode { distributor: Address },
    /// Hard stop: the distributor pays another token than the profile names.
    #[error("the distributor pays token {found}, the profile names {expected}")]
    WrongToken { expected: Address, found: Address },
    #[error("there is no block {0:?}")]
    NoBlock(Tag),
    #[error(transparent)]
    Proof(#[from] ProofError),
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// The caller stopped waiting. The transaction may still be mined.
    #[error("transaction {0} is in no block yet")]
    NotMined(TxHash),
    /// The transaction is in a block and did nothing.
    #[error("transaction {0} failed")]
    Failed(TxHash),
}

/// One distributor on one chain.
#[derive(Clone)]
pub struct Chain {
    rpc: Arc<dyn Rpc>,
    contracts: Contracts,
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain").field("contracts", &self.contracts).finish_non_exhaustive()
    }
}

impl Chain {
    /// Reads nothing yet; call [`Chain::check`] before anything else.
    #[must_use]
    pub fn new(rpc: Arc<dyn Rpc>, contracts: Contracts) -> Self {
        Self { rpc, contracts }
    }

    #[must_use]
    pub fn contracts(&self) -> &Contracts {
        &self.contracts
    }

    /// Succeeds when the endpoint serves the right chain and the distributor there is the shipped code paying the named
    /// token, both proven against the latest block.
    ///
    /// # Errors
    /// `WrongChain`, `WrongCode` and `WrongToken` are hard stops; the rest may pass with another endpoint.
    pub async fn check(&self) -> Result<(), ChainError> {
        let found = self.endpoint().chain_id().await?;
        if found != self.contracts.chain_id {
            return Err(ChainError::WrongChain { expected: self.contracts.chain_id, found });
        }
        let block = self.block(Tag::Latest).await?;
        let slot = U256::from(artifact::DISTRIBUTOR_TOKEN_SLOT).into();
        let answer = self.proof_of(self.contracts.distributor, &[slot], block.number).await?;
        let proof = AccountProof::verify(&answer, self.contracts.distributor, block.state_root.to_b256())?;
        if proof.code_hash() != artifact::DISTRIBUTOR_CODE_HASH {
            return Err(ChainError::WrongCode { distributor: self.contracts.distributor });
        }
        // The token shares its slot with the delays, in the low 20 bytes.
        let word = proof.storage(0, slot)?.to_be_bytes::<32>();
        let found = Address::try_from(&word[12..]).map_err(|e| malformed(&e))?;
        if found != self.contracts.token {
            return Err(ChainError::WrongToken { expected: self.contracts.token, found });
        }
        Ok(())
    }

    /// The block at `at`, its hash recomputed from its header.
    ///
    /// # Errors
    /// `NoBlock` when there is none (a young chain has no finalized one); see [`ChainError`].
    pub async fn block(&self, at: Tag) -> Result<Block, ChainError> {
        self.endpoint().block(at).await
    }

    /// The account's coin for gas, in wei.
    ///
    /// # Errors
    /// See [`ChainError`].
    pub async fn coin_balance(&self, account: Address, at: Tag) -> Result<Amount, ChainError> {
        let params = json!([account, at.to_json()]);
        Ok(Amount::from_u256(self.endpoint().quantity("eth_getBalance", params).await?))
    }

    /// The token's balance of an account.
    ///
    /// # Errors
    /// See [`ChainError`].
    pub async fn token_balance(&self, account: Address, at: Tag) -> Result<Amount, ChainError> {
        let call = IToken::balanceOfCall { account: account.to_alloy() };
        Ok(Amount::from_u256(self.read(self.contracts.token, &call, at).await?))
    }

    /// What the distributor may take from `owner` for a deposit.
    ///
    /// # Errors
    /// See [`ChainError`].
    pub async fn allowance(&self, owner: Address, at: Tag) -> Result<Amount, ChainError> {
        let spender = self.contracts.distributor.to_alloy();
        let call = IToken::allowanceCall { owner: owner.to_alloy(), spender };
        Ok(Amount::from_u256(self.read(self.contracts.token, &call, at).await?))
    }

    /// What an account has received from the distributor in all, fees included.
    ///
    /// # Errors
    /// See [`ChainError`].
    pub async fn claimed(&self, account: Address, at: Tag) -> Result<Amount, ChainError> {
        let call = IDistributor::claimedCall { account: account.to_alloy() };
        Ok(Amount::from_u256(self.read(self.contracts.distributor, &call, at).await?))
    }

    /// `cumulative` less what the account has received: what a withdrawal can take now, if the root is active.
    ///
    /// # Errors
    /// See [`ChainError`].
    pub async fn claimable(
        &self,
        account: Address,
        cumulative: Amount,
        at: Tag,
    ) -> Result<Amount, ChainError> {
        Ok(cumulative.saturating_sub(self.claimed(account, at).await?))
    }

    /// Whether an order with this nonce has been carried out or cancelled (orders out of the distributor; for
    /// [`crate::HeldAuthorization`] too).
    ///
    /// # Errors
    /// See [`ChainError`].
    pub async fn nonce_used(&self, account: Address, nonce: u64, at: Tag) -> Result<bool, ChainError> {
        let call = IDistributor::nonceUsedCall { account: account.to_alloy(), nonce: U256::from(nonce) };
        self.read(self.contracts.distributor, &call, at).await
    }

    /// Whether a proof that ends in `root` is accepted.
    ///
    /// # Errors
    /// See [`ChainError`].
    pub async fn is_active(&self, root: Hash32, at: Tag) -> Result<bool, ChainError> {
        self.read(self.contracts.distributor, &IDistributor::isActiveCall { root: root.to_b256() }, at).await
    }

    /// The root in its challenge delay, if there is one.
    ///
    /// # Errors
    /// See [`ChainError`].
    pub async fn pending(&self, at: Tag) -> Result<Option<Pending>, ChainError> {
        let pending = self.read(self.contracts.distributor, &IDistributor::pendingCall {}, at).await?;
        Ok((!pending.root.is_zero()).then(|| Pending {
            epoch: pending.epoch.to(),
            root: Hash32::from_b256(pending.root),
            total: Amount::from_u256(U256::from(pending.total)),
            active_at: pending.activeAt.to(),
        }))
    }

    /// A publisher's account.
    ///
    /// # Errors
    /// See [`ChainError`].
    pub async fn publisher(&self, publisher: Address, at: Tag) -> Result<PublisherAccount, ChainError> {
        let call = IDistributor::publisherOfCall { publisher: publisher.to_alloy() };
        let p = self.read(self.contracts.distributor, &call, at).await?;
        let requested = Amount::from_u256(U256::from(p.requested));
        Ok(PublisherAccount {
            deposited: Amount::from_u256(U256::from(p.deposited)),
            refunded: Amount::from_u256(U256::from(p.refunded)),
            spent: Amount::from_u256(U256::from(p.spent)),
            requested: (!requested.is_zero()).then(|| (requested, p.refundableAt.to())),
        })
    }

    /// Keys, limits and sums. Read `at` a numbered block to have them all from one instant.
    ///
    /// # Errors
    /// See [`ChainError`].
    pub async fn state(&self, at: Tag) -> Result<DistributorState, ChainError> {
        let to = self.contracts.distributor;
        Ok(DistributorState {
            admin: Address::from_alloy(self.read(to, &IDistributor::ownerCall {}, at).await?),
            guardian: Address::from_alloy(self.read(to, &IDistributor::guardianCall {}, at).await?),
            poster: Address::from_alloy(self.read(to, &IDistributor::posterCall {}, at).await?),
            challenge_delay: self.read(to, &IDistributor::challengeDelayCall {}, at).await?,
            refund_delay: self.read(to, &IDistributor::refundDelayCall {}, at).await?,
            kept_roots: self.read(to, &IDistributor::keptRootsCall {}, at).await?,
            epoch_cap: Amount::from_u256(U256::from(
                self.read(to, &IDistributor::epochCapCall {}, at).await?,
            )),
            paused: self.read(to, &IDistributor::pausedCall {}, at).await?,
            active_epoch: self.read(to, &IDistributor::activeEpochCall {}, at).await?.to(),
            paid: Amount::from_u256(U256::from(self.read(to, &IDistributor::paidCall {}, at).await?)),
            total: Amount::from_u256(U256::from(self.read(to, &IDistributor::totalCall {}, at).await?)),
            total_spent: Amount::from_u256(U256::from(
                self.read(to, &IDistributor::totalSpentCall {}, at).await?,
            )),
        })
    }

    /// Balance and receipts of an account, proven against `block`, together with the distributor's code.
    ///
    /// # Errors
    /// `Proof` when the endpoint's answer does not lead to the block's state root.
    pub async fn prove_account(&self, account: Address, block: &Block) -> Result<ProvenAccount, ChainError> {
        let root = block.state_root.to_b256();
        let slot = mapping_slot(account, artifact::DISTRIBUTOR_CLAIMED_SLOT);
        let answer = self.proof_of(self.contracts.distributor, &[slot], block.number).await?;
        let proof = AccountProof::verify(&answer, self.contracts.distributor, root)?;
        if proof.code_hash() != artifact::DISTRIBUTOR_CODE_HASH {
            return Err(ProofError::WrongCode { account: self.contracts.distributor }.into());
        }
        let claimed = Amount::from_u256(proof.storage(0, slot)?);
        let slot = mapping_slot(account, self.contracts.balance_slot);
        let answer = self.proof_of(self.contracts.token, &[slot], block.number).await?;
        let proof = AccountProof::verify(&answer, self.contracts.token, root)?;
        let balance = Amount::from_u256(proof.storage(0, slot)?);
        Ok(ProvenAccount { claimed, balance, block_number: block.number, block_hash: block.hash })
    }

    /// Tries a call on the latest state without sending it.
    ///
    /// # Errors
    /// `Revert` with the contract's reason when it would fail.
    pub async fn simulate(&self, from: Address, call: &Call) -> Result<(), ChainError> {
        self.endpoint().call(Some(from), call.to, &call.data, Tag::Latest).await.map(|_| ())
    }

    /// The gas that a call would use on the latest state.
    ///
    /// # Errors
    /// `Revert` with the contract's reason when it would fail.
    pub async fn estimate_gas(&self, from: Address, call: &Call) -> Result<u64, ChainError> {
        let request = json!({ "from": from, "to": call.to, "data": crate::endpoint::bytes(&call.data) });
        let gas = self.endpoint().quantity("eth_estimateGas", json!([request])).await?;
        Ok(gas.try_into().map_err(|e| malformed(&e))?)
    }

    /// The fees that a transaction signed now would offer.
    ///
    /// # Errors
    /// See [`ChainError`].
    pub async fn fees(&self) -> Result<crate::Fees, ChainError> {
        self.endpoint().fees().await
    }

    /// Estimates, prices and signs a call with the signer's next nonce. Nothing is sent: persist it first.
    ///
    /// # Errors
    /// `Revert` with the contract's reason when it would fail.
    pub async fn prepare(&self, signer: &Signer, call: &Call) -> Result<SignedTransaction, ChainError> {
        self.endpoint().prepare(signer, self.contracts.chain_id, Some(call.to), &call.data).await
    }

    /// Sends a signed transaction; sending it again is harmless.
    ///
    /// # Errors
    /// See [`ChainError`]; after `Rpc(Transport)` it is unknown whether it was taken.
    pub async fn send(&self, tx: &SignedTransaction) -> Result<TxHash, ChainError> {
        self.endpoint().send(tx).await?;
        Ok(tx.hash)
    }

    /// The receipt of a transaction, or `None` while it is in no block.
    ///
    /// # Errors
    /// See [`ChainError`].
    pub async fn receipt(&self, tx: TxHash) -> Result<Option<Receipt>, ChainError> {
        self.endpoint().receipt(tx, Some(self.contracts.distributor)).await
    }

    /// Looks for the receipt until it is there. Between two looks it awaits `pace(attempt)`; when that says false it
    /// gives up.
    ///
    /// # Errors
    /// `NotMined` when `pace` says stop.
    pub async fn wait<P, F>(&self, tx: TxHash, pace: P) -> Result<Receipt, ChainError>
    where
        P: FnMut(u32) -> F,
        F: Future<Output = bool>,
    {
        self.endpoint().wait(tx, Some(self.contracts.distributor), pace).await
    }

    /// Prepares, sends and waits: for operators, whose calls need no record of their own before they are sent.
    ///
    /// # Errors
    /// `Failed` when the transaction is in a block and did nothing; otherwise as the three steps.
    pub async fn transact<P, F>(&self, signer: &Signer, call: &Call, pace: P) -> Result<Receipt, ChainError>
    where
        P: FnMut(u32) -> F,
        F: Future<Output = bool>,
    {
        let tx = self.prepare(signer, call).await?;
        self.send(&tx).await?;
        let receipt = self.wait(tx.hash, pace).await?;
        if receipt.succeeded { Ok(receipt) } else { Err(ChainError::Failed(tx.hash)) }
    }

    /// The distributor's events in the blocks `from..=to`, in order. Endpoints bound the range; 2,000 blocks are common.
    ///
    /// # Errors
    /// See [`ChainError`].
    pub async fn events(&self, from: u64, to: u64) -> Result<Vec<EventRecord>, ChainError> {
        self.logs(from, to, json!([])).await
    }

    /// What the distributor did with one account in the blocks `from..=to`: claims, withdrawals, cancelled nonces, and for
    /// a publisher deposits and refunds. The endpoint learns the account.
    ///
    /// # Errors
    /// See [`ChainError`].
    pub async fn events_of(
        &self,
        account: Address,
        from: u64,
        to: u64,
    ) -> Result<Vec<EventRecord>, ChainError> {
        // Every event about an account has it as its first indexed argument.
        let mut topic = [0u8; 32];
        topic[12..].copy_from_slice(account.as_bytes());
        self.logs(from, to, json!([null, Hash32(topic)])).await
    }

    async fn logs(&self, from: u64, to: u64, topics: Value) -> Result<Vec<EventRecord>, ChainError> {
        let filter = json!({
            "address": self.contracts.distributor,
            "fromBlock": Tag::Number(from).to_json(),
            "toBlock": Tag::Number(to).to_json(),
            "topics": topics,
        });
        let answer = self.rpc.call("eth_getLogs", json!([filter])).await?;
        let logs = answer.as_array().ok_or_else(|| malformed(&"eth_getLogs is no list"))?;
        let mut events = Vec::with_capacity(logs.len());
        for log in logs {
            events.extend(read_log(log, self.contracts.distributor)?);
        }
        Ok(events)
    }

    fn endpoint(&self) -> Endpoint<'_> {
        Endpoint(&*self.rpc)
    }

    async fn proof_of(
        &self,
        account: Address,
        slots: &[alloy::primitives::B256],
        block: u64,
    ) -> Result<Value, ChainError> {
        let params = json!([account, slots, Tag::Number(block).to_json()]);
        Ok(self.rpc.call("eth_getProof", params).await?)
    }

    async fn read<C: SolCall>(&self, to: Address, call: &C, at: Tag) -> Result<C::Return, ChainError> {
        let data = self.endpoint().call(None, to, &call.abi_encode(), at).await?;
        Ok(C::abi_decode_returns(&data).map_err(|e| malformed(&e))?)
    }
}

impl Tag {
    pub(crate) fn to_json(self) -> Value {
        match self {
            Self::Latest => json!("latest"),
            Self::Safe => json!("safe"),
            Self::Finalized => json!("finalized"),
            Self::Number(number) => json!(format!("0x{number:x}")),
        }
    }
}
