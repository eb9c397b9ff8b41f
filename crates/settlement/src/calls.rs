//! Calldata for everything that Hearth asks of its contracts. A [`Call`] is built here and nowhere else: a signer never
//! sees calldata that somebody else composed.

use alloy::primitives::{B256, Bytes, U256};
use alloy::sol_types::SolCall;
use serde::{Deserialize, Serialize};

use crate::abi::{IDistributor, IToken};
use crate::{
    Address, Amount, Contracts, DepositAuthorization, Hash32, HeldAuthorization, RefundVoucher, Signature,
    Withdraw,
};

/// A call to one of our contracts, ready to simulate or to sign. Carries no coin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub(crate) to: Address,
    pub(crate) data: Vec<u8>,
}

impl Call {
    /// The contract that is called.
    #[must_use]
    pub fn to(&self) -> Address {
        self.to
    }

    /// Function selector and arguments.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }
}

/// What an account has earned in all, with the way from its leaf to an active root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimProof {
    pub account: Address,
    pub cumulative: Amount,
    pub proof: Vec<Hash32>,
}

/// What a publisher has spent in all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spend {
    pub publisher: Address,
    pub spent: Amount,
}

/// Lets the distributor take `amount` from the sender's balance, for [`deposit`].
#[must_use]
pub fn approve(contracts: &Contracts, amount: Amount) -> Call {
    token(
        contracts,
        &IToken::approveCall { spender: contracts.distributor.to_alloy(), value: amount.to_u256() },
    )
}

/// A plain transfer of the token by its holder, who pays the gas.
#[must_use]
pub fn transfer(contracts: &Contracts, to: Address, amount: Amount) -> Call {
    token(contracts, &IToken::transferCall { to: to.to_alloy(), value: amount.to_u256() })
}

/// Pays for work to come, out of the sender's allowance.
#[must_use]
pub fn deposit(contracts: &Contracts, amount: Amount) -> Call {
    distributor(contracts, &IDistributor::depositCall { amount: amount.to_u256() })
}

/// Pays for work to come by the publisher's signature.
#[must_use]
pub fn deposit_with_authorization(
    contracts: &Contracts,
    deposit: &DepositAuthorization,
    signature: &Signature,
) -> Call {
    let (v, r, s) = vrs(signature);
    let call = IDistributor::depositWithAuthorizationCall {
        publisher: deposit.publisher.to_alloy(),
        amount: deposit.amount.to_u256(),
        validBefore: U256::from(deposit.valid_before),
        salt: deposit.salt.to_b256(),
        v,
        r,
        s,
    };
    distributor(contracts, &call)
}

/// Raises what publishers have spent. Poster only.
#[must_use]
pub fn attest_spend(contracts: &Contracts, spends: &[Spend]) -> Call {
    distributor(contracts, &IDistributor::attestSpendCall { spends: spends_abi(spends) })
}

/// Proposes the tree of epoch `epoch`, which is the active one plus one. Poster only.
#[must_use]
pub fn propose(
    contracts: &Contracts,
    epoch: u64,
    root: Hash32,
    total: Amount,
    manifest: Hash32,
    spends: &[Spend],
) -> Call {
    let call = IDistributor::proposeCall {
        epoch: U256::from(epoch),
        root: root.to_b256(),
        newTotal: total.to_u256(),
        manifest: manifest.to_b256(),
        spends: spends_abi(spends),
    };
    distributor(contracts, &call)
}

/// Makes the pending root claimable after its challenge delay. Anyone.
#[must_use]
pub fn activate(contracts: &Contracts) -> Call {
    distributor(contracts, &IDistributor::activateCall {})
}

/// Throws the pending root away. Guardian only.
#[must_use]
pub fn veto(contracts: &Contracts) -> Call {
    distributor(contracts, &IDistributor::vetoCall {})
}

/// Takes an active root out of use. Guardian only.
#[must_use]
pub fn revoke(contracts: &Contracts, root: Hash32) -> Call {
    distributor(contracts, &IDistributor::revokeCall { root: root.to_b256() })
}

/// Stops claims and proposals. Guardian only; the admin starts them again.
#[must_use]
pub fn pause(contracts: &Contracts) -> Call {
    distributor(contracts, &IDistributor::pauseCall {})
}

/// Ends a pause. Admin only.
#[must_use]
pub fn unpause(contracts: &Contracts) -> Call {
    distributor(contracts, &IDistributor::unpauseCall {})
}

/// Pays one account all that is due to it. Anyone.
#[must_use]
pub fn claim(contracts: &Contracts, claim: &ClaimProof) -> Call {
    let call = IDistributor::claimCall {
        account: claim.account.to_alloy(),
        cumulative: claim.cumulative.to_u256(),
        proof: proof_abi(&claim.proof),
    };
    distributor(contracts, &call)
}

/// Pays many accounts; those with nothing due are passed over. Anyone.
#[must_use]
pub fn claim_many(contracts: &Contracts, claims: &[ClaimProof]) -> Call {
    let claims = claims
        .iter()
        .map(|claim| IDistributor::Claim {
            account: claim.account.to_alloy(),
            cumulative: claim.cumulative.to_u256(),
            proof: proof_abi(&claim.proof),
        })
        .collect();
    distributor(contracts, &IDistributor::claimManyCall { claims })
}

/// Carries out an owner's order out of what the account has earned and not yet received. `cumulative` and `proof` are
/// those of the order's account. Anyone.
#[must_use]
pub fn claim_to(
    contracts: &Contracts,
    withdraw: &Withdraw,
    cumulative: Amount,
    proof: &[Hash32],
    signature: &Signature,
) -> Call {
    let call = IDistributor::claimToCall {
        w: withdraw.abi(),
        cumulative: cumulative.to_u256(),
        proof: proof_abi(proof),
        signature: Bytes::copy_from_slice(signature.as_bytes()),
    };
    distributor(contracts, &call)
}

/// Carries out an owner's order out of tokens in the account's wallet. Anyone.
#[must_use]
pub fn send_to(contracts: &Contracts, order: &HeldAuthorization, signature: &Signature) -> Call {
    let (v, r, s) = vrs(signature);
    distributor(contracts, &IDistributor::sendToCall { w: order.0.abi(), v, r, s })
}

/// Carries out an owner's order out of what is due and what lies in the wallet together: the due is first paid to the
/// wallet. The one way that stays possible whatever others have claimed for the account meanwhile. Anyone.
#[must_use]
pub fn claim_and_send_to(
    contracts: &Contracts,
    order: &HeldAuthorization,
    cumulative: Amount,
    proof: &[Hash32],
    signature: &Signature,
) -> Call {
    let (v, r, s) = vrs(signature);
    let call = IDistributor::claimAndSendToCall {
        w: order.0.abi(),
        cumulative: cumulative.to_u256(),
        proof: proof_abi(proof),
        v,
        r,
        s,
    };
    distributor(contracts, &call)
}

/// Makes a nonce of the sender unusable.
#[must_use]
pub fn cancel_nonce(contracts: &Contracts, nonce: u64) -> Call {
    distributor(contracts, &IDistributor::cancelNonceCall { nonce: U256::from(nonce) })
}

/// Gives unspent deposit back with the poster's consent. Anyone.
#[must_use]
pub fn refund(contracts: &Contracts, voucher: &RefundVoucher, signature: &Signature) -> Call {
    let call = IDistributor::refundCall {
        publisher: voucher.publisher.to_alloy(),
        refunded: voucher.refunded.to_u256(),
        spent: voucher.spent.to_u256(),
        deadline: U256::from(voucher.deadline),
        signature: Bytes::copy_from_slice(signature.as_bytes()),
    };
    distributor(contracts, &call)
}

/// Announces a refund without the poster's consent; zero takes the wish back. The publisher itself.
#[must_use]
pub fn request_refund(contracts: &Contracts, amount: Amount) -> Call {
    distributor(contracts, &IDistributor::requestRefundCall { amount: amount.to_u256() })
}

/// Takes an announced refund after the refund delay. The publisher itself.
#[must_use]
pub fn finish_refund(contracts: &Contracts) -> Call {
    distributor(contracts, &IDistributor::finishRefundCall {})
}

fn distributor(contracts: &Contracts, call: &impl SolCall) -> Call {
    Call { to: contracts.distributor, data: call.abi_encode() }
}

fn token(contracts: &Contracts, call: &impl SolCall) -> Call {
    Call { to: contracts.token, data: call.abi_encode() }
}

fn spends_abi(spends: &[Spend]) -> Vec<IDistributor::Spend> {
    spends
        .iter()
        .map(|s| IDistributor::Spend { publisher: s.publisher.to_alloy(), spent: s.spent.to_u256() })
        .collect()
}

fn proof_abi(proof: &[Hash32]) -> Vec<B256> {
    proof.iter().map(|h| h.to_b256()).collect()
}

fn vrs(signature: &Signature) -> (u8, B256, B256) {
    let bytes = signature.as_bytes();
    (bytes[64], B256::from_slice(&bytes[..32]), B256::from_slice(&bytes[32..64]))
}
