//! The price of a withdrawal, with every wrong input named before anything is signed. PURE.
//!
//! The amount that a person types is what leaves the balance; what arrives is that less the fee, exactly. The quote is
//! the draft of the one order that the owner may sign: its id is the order's EIP-712 digest, so agreeing to the id is
//! agreeing to every term. [`crate::Wallet`] calls it.

use std::time::Duration;

use protocol::local::ErrorCode;
use protocol::units::UnixMillis;
use settlement::{Address, AddressError, Amount, AmountError, Contracts, Hash32, Withdraw};

use crate::claim::Claim;

/// How long a price holds.
pub const QUOTE_HOLDS: Duration = Duration::from_secs(5 * 60);
/// How long a signed order can be carried out, from the quote on.
pub const ORDER_HOLDS: Duration = Duration::from_secs(60 * 60);

/// A priced withdrawal; nothing is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// Digest of all terms.
    pub id: Hash32,
    /// The order as it would be signed: `order.amount` arrives, `order.fee` goes to the relayer.
    pub order: Withdraw,
    /// What leaves the balance.
    pub total: Amount,
    /// Whether the address was typed without its checksum.
    pub unchecked_address: bool,
    /// From when it can no longer be confirmed.
    pub expires_at: UnixMillis,
    /// What the account has earned in all, by the tree that the proof leads to.
    pub(crate) cumulative: Amount,
    /// From the account's leaf to the root.
    pub(crate) proof: Vec<Hash32>,
}

/// What a quote rests on.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// The network's contracts.
    pub contracts: &'a Contracts,
    /// Whose earnings.
    pub account: Address,
    /// The verified list's word on the account, its root active on the chain.
    pub claim: &'a Claim,
    /// What the account has received so far, proven.
    pub claimed: Amount,
    /// Who will carry it out.
    pub relayer: Address,
    /// What that costs.
    pub fee: Amount,
    /// The lowest nonce that the chain has not seen used.
    pub nonce: u64,
}

/// An address that money must not go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forbidden {
    /// Nobody's.
    Zero,
    /// The token's contract.
    Token,
    /// The distributor's contract.
    Distributor,
    /// This wallet's own account.
    Own,
}

/// Why there is no quote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuoteError {
    /// The recipient is no address.
    #[error("the recipient is no address")]
    Address(#[from] AddressError),
    /// Money must not go there.
    #[error("the recipient must not be this address ({0:?})")]
    Forbidden(Forbidden),
    /// The amount cannot be read.
    #[error("the amount cannot be read")]
    Amount(#[from] AmountError),
    /// Nothing is asked for.
    #[error("the amount is zero")]
    Zero,
    /// More than there is.
    #[error("{wanted} is wanted, {available} can be withdrawn")]
    AboveBalance {
        /// Asked for.
        wanted: Amount,
        /// There.
        available: Amount,
    },
    /// The fee would eat it.
    #[error("{wanted} is not more than the fee of {fee}")]
    BelowFee {
        /// Asked for.
        wanted: Amount,
        /// The fee.
        fee: Amount,
    },
    /// Another withdrawal is under way.
    #[error("another withdrawal is under way")]
    UnderWay,
    /// Something that a quote rests on is not known.
    #[error("{0:?} is not known yet")]
    NotReady(Missing),
    /// An amount exceeds what the wire carries.
    #[error("the amounts do not fit")]
    Overflow,
}

/// What is not known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// No wallet, or one that cannot be read.
    Wallet,
    /// The book of withdrawals cannot be read: what is under way is unknown.
    Book,
    /// The chain has not been read, or too long ago.
    Chain,
    /// No closed epoch pays this account yet, or its root is not active.
    Epoch,
}

impl QuoteError {
    /// What the window says.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Address(AddressError::Checksum) => ErrorCode::AddressChecksum,
            Self::Address(_) => ErrorCode::AddressMalformed,
            Self::Forbidden(_) => ErrorCode::AddressForbidden,
            Self::Amount(AmountError::TooManyFractionDigits) => ErrorCode::AmountTooPrecise,
            Self::Amount(_) | Self::Overflow => ErrorCode::AmountMalformed,
            Self::AboveBalance { .. } | Self::NotReady(Missing::Epoch) => ErrorCode::AmountAboveBalance,
            Self::Zero | Self::BelowFee { .. } => ErrorCode::AmountBelowFee,
            Self::UnderWay => ErrorCode::WithdrawalPending,
            Self::NotReady(Missing::Wallet) => ErrorCode::WalletMissing,
            Self::NotReady(Missing::Book) => ErrorCode::WalletUnreadable,
            Self::NotReady(Missing::Chain) => ErrorCode::ChainUnreachable,
        }
    }
}

/// Prices a withdrawal of `amount` (tokens as typed; empty: all) to `to`.
///
/// # Errors
/// [`QuoteError`] names what is wrong with the input.
pub fn price(to: &str, amount: &str, terms: Terms<'_>, now: UnixMillis) -> Result<Quote, QuoteError> {
    let parsed = Address::parse_checksummed(to)?;
    if let Some(forbidden) = forbidden(parsed.address, terms) {
        return Err(QuoteError::Forbidden(forbidden));
    }
    let available = terms.claim.cumulative.saturating_sub(terms.claimed);
    let total = if amount.is_empty() { available } else { Amount::parse_tokens(amount)? };
    if total > available {
        return Err(QuoteError::AboveBalance { wanted: total, available });
    }
    if total.is_zero() {
        return Err(QuoteError::Zero);
    }
    let arrives = total.checked_sub(terms.fee).filter(|arrives| !arrives.is_zero());
    let arrives = arrives.ok_or(QuoteError::BelowFee { wanted: total, fee: terms.fee })?;
    // A token with a supply beyond 2^128 does not fit the wire; better known now than after signing.
    if terms.claim.cumulative.as_u128().is_none() {
        return Err(QuoteError::Overflow);
    }
    let proof = terms.claim.proof.clone().ok_or(QuoteError::NotReady(Missing::Epoch))?;
    let order = Withdraw {
        account: terms.account,
        to: parsed.address,
        amount: arrives,
        fee: terms.fee,
        relayer: (!terms.relayer.is_zero()).then_some(terms.relayer),
        nonce: terms.nonce,
        deadline: now.plus(ORDER_HOLDS).0 / 1000,
    };
    Ok(Quote {
        id: order.digest(terms.contracts),
        order,
        total,
        unchecked_address: !parsed.checksummed,
        expires_at: now.plus(QUOTE_HOLDS),
        cumulative: terms.claim.cumulative,
        proof,
    })
}

fn forbidden(to: Address, terms: Terms<'_>) -> Option<Forbidden> {
    if to.is_zero() {
        Some(Forbidden::Zero)
    } else if to == terms.contracts.token {
        Some(Forbidden::Token)
    } else if to == terms.contracts.distributor {
        Some(Forbidden::Distributor)
    } else if to == terms.account {
        Some(Forbidden::Own)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);
    const GOOD: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";

    fn quote(to: &str, amount: &str) -> Result<Quote, QuoteError> {
        let contracts =
            Contracts::with_ember(31337, Address::from_bytes([1; 20]), Address::from_bytes([2; 20]));
        let claim = Claim {
            epoch: 1,
            root: Hash32([0; 32]),
            cumulative: Amount::parse_tokens("12")?,
            here: Amount::ZERO,
            proof: Some(Vec::new()),
        };
        let terms = Terms {
            contracts: &contracts,
            account: Address::from_bytes([3; 20]),
            claim: &claim,
            claimed: Amount::parse_tokens("2")?,
            relayer: Address::from_bytes([4; 20]),
            fee: Amount::parse_tokens("0.0031")?,
            nonce: 7,
        };
        price(to, amount, terms, NOW)
    }

    #[test]
    fn what_arrives_is_what_leaves_less_the_fee_to_the_last_digit() {
        let quoted = quote(GOOD, "5").unwrap();
        assert_eq!(quoted.total.to_string(), "5");
        assert_eq!(quoted.order.amount.to_string(), "4.9969");
        assert_eq!(quoted.order.sum(), Some(quoted.total));
        assert!(!quoted.unchecked_address);
        assert_eq!(quoted.expires_at.since(NOW), QUOTE_HOLDS);
        assert_eq!(quoted.order.deadline, 1_700_003_600);
        assert_eq!(quote(GOOD, "").unwrap().total.to_string(), "10", "empty withdraws all that is there");
        assert_eq!(quote(GOOD, "0.003100000000000001").unwrap().order.amount, Amount::from_base_units(1));
    }

    #[test]
    fn id_stands_for_every_term() {
        let id = quote(GOOD, "5").unwrap().id;
        assert_eq!(id, quote(GOOD, "5.0").unwrap().id, "the same terms are the same order");
        assert_ne!(id, quote(GOOD, "5.000000000000000001").unwrap().id);
        assert_ne!(id, quote("0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC", "5").unwrap().id);
    }

    #[test]
    fn wrong_addresses_are_named() {
        let refused = |to: &str| quote(to, "5").unwrap_err();
        assert_eq!(refused("").code(), ErrorCode::AddressMalformed);
        assert_eq!(refused("savings").code(), ErrorCode::AddressMalformed);
        assert_eq!(refused(&GOOD[..41]).code(), ErrorCode::AddressMalformed);
        let mistyped = GOOD.replace("C51812dc", "C51812dC");
        assert_eq!(refused(&mistyped), QuoteError::Address(AddressError::Checksum));
        assert!(
            quote(&GOOD.to_lowercase(), "5").unwrap().unchecked_address,
            "no checksum is worth a warning"
        );
        for (byte, expected) in
            [(0, Forbidden::Zero), (1, Forbidden::Token), (2, Forbidden::Distributor), (3, Forbidden::Own)]
        {
            let to = Address::from_bytes([byte; 20]).to_string();
            assert_eq!(refused(&to), QuoteError::Forbidden(expected));
        }
    }

    #[test]
    fn wrong_amounts_are_named() {
        let refused = |amount: &str| quote(GOOD, amount).unwrap_err();
        for malformed in [" 5", "5,0", "-5", "1e3", "0x5", ".5", "5.", "5.0.0", "five", "1_000"] {
            assert_eq!(refused(malformed).code(), ErrorCode::AmountMalformed, "{malformed:?}");
        }
        assert_eq!(refused("1.0000000000000000001").code(), ErrorCode::AmountTooPrecise);
        assert_eq!(refused("10.000000000000000001").code(), ErrorCode::AmountAboveBalance);
        assert_eq!(refused("0").code(), ErrorCode::AmountBelowFee);
        assert_eq!(refused("0.0031").code(), ErrorCode::AmountBelowFee, "nothing would arrive");
    }
}
