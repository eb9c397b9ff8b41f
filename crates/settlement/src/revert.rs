//! Why a contract refused a call, read from the revert data. Callers branch on the variants; `Display` is for logs.

use alloy::primitives::U256;
use alloy::sol_types::SolInterface;
use serde_json::Value;

use crate::abi::IDistributor::IDistributorErrors as D;
use crate::abi::IToken::ITokenErrors as T;
use crate::{Address, Amount, Hash32, RpcError};

/// The reason for a revert, by the distributor's and the token's declared errors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Revert {
    #[error("the nonce has been used")]
    NonceUsed,
    #[error("the deadline has passed")]
    Expired,
    #[error("the signature is not by the key that must sign")]
    WrongSigner,
    #[error("the proof leads to {0}, which is not an active root")]
    UnknownRoot(Hash32),
    #[error("{wanted} is wanted, {claimable} is claimable")]
    ExceedsClaimable { wanted: Amount, claimable: Amount },
    #[error("nothing is due")]
    NothingToPay,
    #[error("the distributor is paused")]
    Paused,
    #[error("this is possible from {0} on (unix seconds)")]
    TooEarly(u64),
    #[error("a root is pending already")]
    AlreadyPending,
    #[error("no root is pending")]
    NothingPending,
    #[error("the next epoch is {0}")]
    WrongEpoch(u64),
    #[error("the total of an epoch cannot fall")]
    TotalDecreased,
    #[error("the epoch raises the total by {growth}, the cap is {cap}")]
    ExceedsEpochCap { growth: Amount, cap: Amount },
    #[error("{wanted} is promised, {spent} of deposits has been spent")]
    NotFunded { wanted: Amount, spent: Amount },
    #[error("{wanted} is wanted, {unspent} of the deposit is unspent")]
    ExceedsUnspent { wanted: Amount, unspent: Amount },
    #[error("the spend of publisher {0} cannot fall")]
    SpendDecreased(Address),
    #[error("claims exceed the total of the active root")]
    ExceedsTotal,
    #[error("only the poster may do this")]
    NotPoster,
    #[error("only the guardian may do this")]
    NotGuardian,
    #[error("a parameter is out of range")]
    BadParameter,
    #[error("the balance is {balance}, {needed} is needed")]
    InsufficientBalance { balance: Amount, needed: Amount },
    #[error("the allowance is {allowance}, {needed} is needed")]
    InsufficientAllowance { allowance: Amount, needed: Amount },
    /// Another declared error, a reason string or nothing, as hexadecimal revert data.
    #[error("the contract refused the call: {0}")]
    Other(String),
}

impl Revert {
    /// Reads raw revert data.
    #[must_use]
    pub fn decode(data: &[u8]) -> Self {
        if let Ok(error) = D::abi_decode(data) {
            return Self::from_distributor(&error, data);
        }
        if let Ok(error) = T::abi_decode(data) {
            return Self::from_token(&error);
        }
        if let Some(reason) = alloy::sol_types::decode_revert_reason(data) {
            return Self::Other(reason);
        }
        Self::Other(format!("0x{}", hex::encode(data)))
    }

    /// The revert inside an endpoint's error, if it is one. Endpoints differ in where they put the data.
    #[must_use]
    pub fn from_rpc(error: &RpcError) -> Option<Self> {
        let RpcError::Response { code, message, data } = error else { return None };
        let text = match data {
            Some(Value::String(text)) => Some(text.as_str()),
            Some(Value::Object(object)) => object.get("data").and_then(Value::as_str),
            _ => None,
        };
        let bytes = text.and_then(|t| hex::decode(t.strip_prefix("0x")?).ok());
        match bytes {
            Some(bytes) if !bytes.is_empty() => Some(Self::decode(&bytes)),
            // Code 3 is "execution reverted" by convention of all clients.
            _ if *code == 3 => Some(Self::Other(message.clone())),
            _ => None,
        }
    }

    fn from_distributor(error: &D, data: &[u8]) -> Self {
        match error {
            D::NonceUsed(_) => Self::NonceUsed,
            D::Expired(_) => Self::Expired,
            D::WrongSigner(_)
            | D::ECDSAInvalidSignature(_)
            | D::ECDSAInvalidSignatureLength(_)
            | D::ECDSAInvalidSignatureS(_) => Self::WrongSigner,
            D::UnknownRoot(e) => Self::UnknownRoot(Hash32::from_b256(e.root)),
            D::ExceedsClaimable(e) => {
                Self::ExceedsClaimable { wanted: amount(e.wanted), claimable: amount(e.claimable) }
            }
            D::NothingToPay(_) => Self::NothingToPay,
            D::IsPaused(_) => Self::Paused,
            D::TooEarly(e) => Self::TooEarly(e.activeAt.saturating_to()),
            D::AlreadyPending(_) => Self::AlreadyPending,
            D::NothingPending(_) => Self::NothingPending,
            D::WrongEpoch(e) => Self::WrongEpoch(e.expected.saturating_to()),
            D::TotalDecreased(_) => Self::TotalDecreased,
            D::ExceedsEpochCap(e) => Self::ExceedsEpochCap { growth: amount(e.growth), cap: amount(e.cap) },
            D::NotFunded(e) => Self::NotFunded { wanted: amount(e.wanted), spent: amount(e.spent) },
            D::ExceedsUnspent(e) => {
                Self::ExceedsUnspent { wanted: amount(e.wanted), unspent: amount(e.unspent) }
            }
            D::SpendDecreased(e) => Self::SpendDecreased(Address::from_alloy(e.publisher)),
            D::ExceedsTotal(_) => Self::ExceedsTotal,
            D::NotPoster(_) => Self::NotPoster,
            D::NotGuardian(_) => Self::NotGuardian,
            D::BadParameter(_) => Self::BadParameter,
            #[expect(unreachable_patterns, reason = "a new error of the contract still reads as its data")]
            _ => Self::Other(format!("0x{}", hex::encode(data))),
        }
    }

    fn from_token(error: &T) -> Self {
        match error {
            T::ERC20InsufficientBalance(e) => {
                Self::InsufficientBalance { balance: amount(e.balance), needed: amount(e.needed) }
            }
            T::ERC20InsufficientAllowance(e) => {
                Self::InsufficientAllowance { allowance: amount(e.allowance), needed: amount(e.needed) }
            }
            T::ERC3009InvalidSignature(_) => Self::WrongSigner,
            T::ERC3009InvalidAuthorizationTime(_) => Self::Expired,
            T::ERC3009UsedAuthorization(_) => Self::NonceUsed,
        }
    }
}

fn amount(value: U256) -> Amount {
    Amount::from_u256(value)
}
