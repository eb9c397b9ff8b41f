//! Settlement: the only room that knows the EVM.
//!
//! It owns the contracts (`contracts/`, with committed artifacts), amounts and addresses, the tree of claims, the typed
//! calls and events of the distributor, signatures for withdrawals and device bindings, and proofs of chain state. It
//! never opens a socket (callers bring an [`Rpc`]), never waits by a clock of its own (callers bring the pace; only
//! [`devchain`], which ends a child process, is bounded by time), never keeps
//! a key on disk and never decides what to pay. The wallet, the coordinator, the agent and xtask call it; none of them
//! sees a type of alloy.

mod abi;
mod address;
mod amount;
pub mod artifact;
mod binding;
pub mod calls;
mod chain;
pub mod deploy;
pub mod devchain;
mod endpoint;
mod event;
mod hash;
mod merkle;
mod proof;
mod quorum;
mod revert;
pub mod rpc;
mod signer;
mod transaction;
mod withdraw;

pub use address::{Address, AddressError, ParsedAddress};
pub use amount::{Amount, AmountError};
pub use binding::BindNode;
pub use calls::{Call, ClaimProof, Spend};
pub use chain::{
    Block, Chain, ChainError, Contracts, DistributorState, Pending, ProvenAccount, PublisherAccount, Tag,
};
pub use event::{Event, EventRecord};
pub use hash::{Hash32, HexError, Signature, SignatureError, TxHash};
pub use merkle::{ClaimTree, MerkleError, leaf_hash, verify_claim};
pub use proof::ProofError;
pub use quorum::Quorum;
pub use revert::Revert;
pub use rpc::{Rpc, RpcError, RpcFuture};
pub use signer::{Signer, SignerError};
pub use transaction::{Fees, Receipt, SignedTransaction};
pub use withdraw::{DepositAuthorization, HeldAuthorization, RefundVoucher, Withdraw};
