//! PURE. The wallet in the shapes of the local conversation.

use protocol::local::{BalanceIdentity, LocalError, Quote, WalletBrief, WalletView, WithdrawalView};
use settlement::{Amount, Hash32};
use wallet::{Balance, Wallet, Withdrawal};

/// The wallet page.
pub(super) fn page(
    wallet: &Wallet,
    brief: WalletBrief,
    receipts: Amount,
    unit: &str,
    error: Option<LocalError>,
) -> WalletView {
    let balance = wallet.balance(receipts);
    WalletView {
        brief,
        address: wallet.address().map(|address| address.to_string()),
        unit: unit.to_owned(),
        balance: balance.as_ref().map(identity),
        proved_at: wallet.proven_at(),
        fee: wallet.fee().map(|fee| fee.to_string()),
        withdrawals: wallet.withdrawals().iter().rev().map(withdrawal).collect(),
        error,
    }
}

/// The sum that always adds up.
pub(super) fn identity(balance: &Balance) -> BalanceIdentity {
    BalanceIdentity {
        earned_here: balance.earned_here.to_string(),
        earned_elsewhere: balance.earned_elsewhere.to_string(),
        received: balance.received.to_string(),
        balance: balance.balance.to_string(),
        withdrawn: balance.withdrawn.to_string(),
        fees: balance.fees.to_string(),
        pending: balance.pending.to_string(),
    }
}

/// A price.
pub(super) fn quote(quote: &wallet::Quote, unit: &str) -> Quote {
    Quote {
        id: hex::encode(quote.id.as_bytes()),
        to: quote.order.to.to_string(),
        total: quote.total.to_string(),
        fee: quote.order.fee.to_string(),
        arrives: quote.order.amount.to_string(),
        unit: unit.to_owned(),
        expires_at: quote.expires_at,
        unchecked_address: quote.unchecked_address,
    }
}

/// The digest that [`quote`] wrote as hex.
pub(super) fn quote_id(text: &str) -> Option<Hash32> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(Hash32(bytes))
}

fn withdrawal(withdrawal: &Withdrawal) -> WithdrawalView {
    WithdrawalView {
        id: format!("{:064x}", withdrawal.order.nonce),
        at: withdrawal.confirmed_at,
        to: withdrawal.order.to.to_string(),
        amount: withdrawal.order.amount.to_string(),
        fee: withdrawal.order.fee.to_string(),
        state: withdrawal.state.view(),
        transaction: withdrawal.state.tx().map(|tx| tx.to_string()),
        block: withdrawal.state.block(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quotes_id_survives_the_way_through_text() {
        let id = Hash32([0xa5; 32]);
        assert_eq!(quote_id(&hex::encode(id.as_bytes())), Some(id));
        for bad in ["", "a5", "zz", &"a5".repeat(33)] {
            assert_eq!(quote_id(bad), None, "{bad:?} is no id");
        }
    }
}
