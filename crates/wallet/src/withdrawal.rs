//! One withdrawal from the owner's signature to finality: a state machine without clock, file or network. PURE.
//!
//! ```text
//! Quote (a draft: unsigned, in memory, cannot leave) -> Signed -> Sent -> Included -> Final
//!                                                         \________/  \      |
//!                                                          |        |  \<----+ (reorganisation)
//!                                                        Expired  Replaced
//! ```
//!
//! A withdrawal is `Signed` only once it stands in the book on the disk. Its order never changes: after a restart the
//! same order with the same nonce goes to the relayer again, and the chain carries a nonce out once. It ends as
//! `Expired` only when the chain's own settled time has passed its deadline with the nonce unused: until then a relayer
//! could still submit it, so its money counts as under way.

use protocol::id::Hash;
use protocol::local::WithdrawalState;
use protocol::units::{BaseUnits, UnixMillis};
use protocol::wire::WithdrawIntent;
use serde::{Deserialize, Serialize};
use settlement::{Address, Amount, Call, Contracts, Hash32, Signature, TxHash, Withdraw, calls};

/// A signed order and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    /// EIP-712 digest of the order: its identity.
    pub id: Hash32,
    /// What the owner signed.
    pub order: Withdraw,
    /// The owner's signature.
    pub signature: Signature,
    /// What the account has earned in all by the tree that the proof leads to.
    pub cumulative: Amount,
    /// From the account's leaf to the root.
    pub proof: Vec<Hash32>,
    /// When the owner confirmed it.
    pub confirmed_at: UnixMillis,
    /// The chain's head at that time: it cannot be in an earlier block.
    pub from_block: u64,
    /// Where it stands.
    pub state: State,
}

/// Where a withdrawal stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum State {
    /// On the disk; perhaps handed out, no answer yet.
    Signed,
    /// A relayer named the transaction that carries it.
    Sent {
        /// Transaction.
        tx: TxHash,
    },
    /// In a block that may still be reorganised away.
    Included {
        /// Transaction.
        tx: TxHash,
        /// Number of the block.
        block: u64,
    },
    /// In a settled block.
    Final {
        /// Transaction.
        tx: TxHash,
        /// Number of the block.
        block: u64,
    },
    /// Never carried out, and cannot be any more.
    Expired,
    /// Its nonce was used by another order or cancelled, so it cannot be carried out any more.
    Replaced,
}

/// What the chain says about a nonce at its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NonceFate {
    /// Free.
    Unused,
    /// Used by exactly this order.
    UsedByThis {
        /// Transaction.
        tx: TxHash,
        /// Number of the block.
        block: u64,
    },
    /// Used by an order with other terms, or cancelled.
    UsedByOther {
        /// Number of the block.
        block: u64,
    },
    /// Used, and the endpoint does not show by what.
    UsedUnseen,
}

/// A block as far as a withdrawal cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Number.
    pub number: u64,
    /// Unix seconds.
    pub at: u64,
}

/// What can happen to a withdrawal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A relayer took it.
    Relayed {
        /// Transaction that will carry it.
        tx: TxHash,
    },
    /// The chain was looked at.
    Seen {
        /// What became of its nonce.
        fate: NonceFate,
        /// The latest block that cannot be reorganised away.
        settled: Head,
    },
}

/// Where a withdrawal with this deadline (unix seconds) stands after `event`.
pub fn after(state: State, deadline: u64, event: Event) -> State {
    match (state, event) {
        (State::Final { .. } | State::Expired | State::Replaced, _) => state,
        (State::Signed | State::Sent { .. }, Event::Relayed { tx }) => State::Sent { tx },
        (State::Included { .. }, Event::Relayed { .. }) => state,
        (_, Event::Seen { fate, settled }) => match fate {
            NonceFate::UsedByThis { tx, block } if block <= settled.number => State::Final { tx, block },
            NonceFate::UsedByThis { tx, block } => State::Included { tx, block },
            NonceFate::UsedByOther { block } if block <= settled.number => State::Replaced,
            NonceFate::UsedByOther { .. } | NonceFate::UsedUnseen => state,
            NonceFate::Unused if settled.at > deadline => State::Expired,
            NonceFate::Unused => match state {
                State::Included { tx, .. } => State::Sent { tx },
                other => other,
            },
        },
    }
}

impl State {
    /// Whether its money is promised away without being in a block: no other withdrawal may be signed meanwhile.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Signed | Self::Sent { .. })
    }

    /// Whether nothing can change any more.
    pub const fn is_settled(self) -> bool {
        matches!(self, Self::Final { .. } | Self::Expired | Self::Replaced)
    }

    /// Whether the recipient has it, as far as the chain says now.
    pub const fn is_carried_out(self) -> bool {
        matches!(self, Self::Included { .. } | Self::Final { .. })
    }

    /// The transaction, once there is one.
    pub const fn tx(self) -> Option<TxHash> {
        match self {
            Self::Sent { tx } | Self::Included { tx, .. } | Self::Final { tx, .. } => Some(tx),
            Self::Signed | Self::Expired | Self::Replaced => None,
        }
    }

    /// The block, once there is one.
    pub const fn block(self) -> Option<u64> {
        match self {
            Self::Included { block, .. } | Self::Final { block, .. } => Some(block),
            _ => None,
        }
    }

    /// What the window shows.
    pub const fn view(self) -> WithdrawalState {
        match self {
            Self::Signed => WithdrawalState::Signed,
            Self::Sent { .. } => WithdrawalState::Sent,
            Self::Included { .. } => WithdrawalState::Included,
            Self::Final { .. } => WithdrawalState::Final,
            Self::Expired => WithdrawalState::Expired,
            Self::Replaced => WithdrawalState::Dropped,
        }
    }
}

/// What a relayer is handed, in the shape of [`protocol::wire::Relay`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayOrder {
    /// The owner's order.
    pub intent: WithdrawIntent,
    /// 65-byte EIP-712 signature.
    pub signature: Vec<u8>,
    /// Cumulative amount of the account in the tree.
    pub cumulative: BaseUnits,
    /// Merkle proof of it.
    pub proof: Vec<Hash>,
}

impl Withdrawal {
    /// The call that carries it out, for an owner whose relayer does not answer: anyone may submit it with coin of their
    /// own, and the terms stay what the owner signed.
    pub fn call(&self, contracts: &Contracts) -> Call {
        calls::claim_to(contracts, &self.order, self.cumulative, &self.proof, &self.signature)
    }

    /// What a relayer is handed; `None` where an amount exceeds 2^128, which no quote admits.
    pub fn relay_order(&self) -> Option<RelayOrder> {
        let units = |amount: Amount| amount.as_u128().map(BaseUnits);
        let order = &self.order;
        Some(RelayOrder {
            intent: WithdrawIntent {
                account: order.account.to_string(),
                to: order.to.to_string(),
                amount: units(order.amount)?,
                fee: units(order.fee)?,
                relayer: order.relayer.unwrap_or(Address::ZERO).to_string(),
                nonce: order.nonce,
                deadline_seconds: order.deadline,
            },
            signature: self.signature.as_bytes().to_vec(),
            cumulative: units(self.cumulative)?,
            proof: self.proof.iter().map(|hash| Hash(*hash.as_bytes())).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TX: TxHash = TxHash([1; 32]);
    const OTHER_TX: TxHash = TxHash([2; 32]);
    const DEADLINE: u64 = 1000;

    fn seen(fate: NonceFate, settled_number: u64, settled_at: u64) -> Event {
        Event::Seen { fate, settled: Head { number: settled_number, at: settled_at } }
    }

    fn check(state: State, event: Event, expected: State, why: &str) {
        assert_eq!(after(state, DEADLINE, event), expected, "{why}");
    }

    #[test]
    fn plain_way_leads_from_signed_to_final() {
        let mined = NonceFate::UsedByThis { tx: TX, block: 20 };
        check(State::Signed, Event::Relayed { tx: TX }, State::Sent { tx: TX }, "the relayer took it");
        check(
            State::Sent { tx: TX },
            seen(NonceFate::Unused, 10, 500),
            State::Sent { tx: TX },
            "not mined yet",
        );
        check(State::Sent { tx: TX }, seen(mined, 19, 500), State::Included { tx: TX, block: 20 }, "mined");
        let included = State::Included { tx: TX, block: 20 };
        check(included, seen(mined, 20, 500), State::Final { tx: TX, block: 20 }, "its block is settled");
    }

    #[test]
    fn lost_answer_and_exchanged_transaction_are_found_on_the_chain() {
        let mined = NonceFate::UsedByThis { tx: OTHER_TX, block: 20 };
        let included = State::Included { tx: OTHER_TX, block: 20 };
        check(State::Signed, seen(mined, 19, 500), included, "the relayer's answer never arrived");
        check(State::Sent { tx: TX }, seen(mined, 19, 500), included, "the relayer replaced its transaction");
        check(
            State::Included { tx: TX, block: 18 },
            seen(mined, 19, 500),
            included,
            "mined again after a reorganisation",
        );
    }

    #[test]
    fn reorganised_withdrawal_is_under_way_again_and_not_lost() {
        let included = State::Included { tx: TX, block: 20 };
        check(included, seen(NonceFate::Unused, 19, 500), State::Sent { tx: TX }, "its block is gone");
        assert!(State::Sent { tx: TX }.is_live(), "its money is promised away again");
    }

    #[test]
    fn deadline_counts_by_the_settled_chain_and_not_before() {
        check(
            State::Signed,
            seen(NonceFate::Unused, 10, 1000),
            State::Signed,
            "the deadline's second still counts",
        );
        check(State::Signed, seen(NonceFate::Unused, 10, 1001), State::Expired, "past it by settled time");
        check(
            State::Sent { tx: TX },
            seen(NonceFate::Unused, 10, 1001),
            State::Expired,
            "sent and never mined",
        );
        let mined = NonceFate::UsedByThis { tx: TX, block: 20 };
        check(
            State::Signed,
            seen(mined, 30, 2000),
            State::Final { tx: TX, block: 20 },
            "mined in time, seen late",
        );
        check(
            State::Signed,
            seen(NonceFate::UsedUnseen, 30, 2000),
            State::Signed,
            "used, so perhaps by this one",
        );
    }

    #[test]
    fn foreign_use_of_the_nonce_ends_it_only_when_settled() {
        let other = NonceFate::UsedByOther { block: 20 };
        check(
            State::Sent { tx: TX },
            seen(other, 19, 500),
            State::Sent { tx: TX },
            "may be reorganised away",
        );
        check(State::Sent { tx: TX }, seen(other, 20, 500), State::Replaced, "settled");
    }

    #[test]
    fn ends_are_ends() {
        for end in [State::Final { tx: TX, block: 20 }, State::Expired, State::Replaced] {
            for event in [
                Event::Relayed { tx: OTHER_TX },
                seen(NonceFate::Unused, 99, 9999),
                seen(NonceFate::UsedByThis { tx: OTHER_TX, block: 3 }, 99, 9999),
                seen(NonceFate::UsedByOther { block: 3 }, 99, 9999),
            ] {
                check(end, event, end, "nothing changes after the end");
            }
            assert!(end.is_settled() && !end.is_live());
        }
    }
}
