//! A publisher pays for work to come: allowance and deposit on the chain, nothing else.
//!
//! It owns the order of the two transactions. It keeps no state: a deposit that was interrupted between them is repeated
//! by the person, who sees on the chain what has arrived. The program `publish deposit` and the tests call it.

use std::time::Duration;

use settlement::{Amount, Chain, ChainError, Signer, Tag, calls};

/// Why a deposit was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DepositError {
    /// The chain refuses, or does not answer.
    #[error("deposit on the chain")]
    Chain(#[from] ChainError),
    /// The account has less.
    #[error("the account holds {held} tokens, less than the {wanted} to deposit")]
    TooLittle {
        /// Tokens of the account.
        held: String,
        /// Tokens asked for.
        wanted: String,
    },
}

/// Deposits `amount` from the account of `signer` and returns what the distributor holds for it from now on, less
/// refunds.
///
/// # Errors
/// [`DepositError`]; checked before anything is sent where that is possible.
pub async fn deposit(chain: &Chain, signer: &Signer, amount: Amount) -> Result<Amount, DepositError> {
    chain.check().await?;
    let held = chain.token_balance(signer.address(), Tag::Latest).await?;
    if held < amount {
        return Err(DepositError::TooLittle {
            held: held.to_tokens_rounded_down(18),
            wanted: amount.to_tokens_rounded_down(18),
        });
    }
    let contracts = chain.contracts();
    // An allowance left by an interrupted attempt is used, not added to.
    if chain.allowance(signer.address(), Tag::Latest).await? < amount {
        chain.transact(signer, &calls::approve(contracts, amount), pause).await?;
    }
    chain.transact(signer, &calls::deposit(contracts, amount), pause).await?;
    let account = chain.publisher(signer.address(), Tag::Latest).await?;
    Ok(account.deposited.saturating_sub(account.refunded))
}

/// Between two looks for a transaction: half a second, at most two minutes in all.
async fn pause(looks: u32) -> bool {
    tokio::time::sleep(Duration::from_millis(500)).await;
    looks < 240
}
