//! A look at the chain: everything that a wallet has to know, from one block, in one go.
//!
//! It owns which questions are asked. It holds no state and decides nothing; [`crate::Wallet`] says what to look for
//! and takes the [`Sight`]. The chain, the contract's code, the balance and the sums received are proven against the
//! block's state root; whether a nonce is used and by which event is read, and at worst delays a withdrawal.

use std::collections::BTreeMap;

use settlement::{Address, Chain, ChainError, Event, Hash32, ProvenAccount, Tag, Withdraw};

use crate::withdrawal::{Head, NonceFate};

/// How many blocks one question about events spans.
const BLOCKS_PER_QUESTION: u64 = 2000;
/// How many such questions one look asks for one withdrawal.
const QUESTIONS: u64 = 50;

/// From when on a block counts as settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finality {
    /// What the chain itself calls finalized: public networks.
    Chain,
    /// This many blocks below the head; 0 is the head itself. For a chain on one machine, which has no finality.
    Depth(u64),
}

/// What to look for. Own it, run it beside the loop, and give the [`Sight`] to [`crate::Wallet::see`].
#[derive(Debug, Clone)]
pub struct Look {
    pub(crate) chain: Chain,
    pub(crate) account: Address,
    pub(crate) finality: Finality,
    pub(crate) root: Option<Hash32>,
    pub(crate) nonce_hint: u64,
    /// Orders that are not settled, with the block from which on they can be found.
    pub(crate) open: Vec<(Hash32, Withdraw, u64)>,
}

/// What was seen, all as of the block `head`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// The latest block.
    pub head: Head,
    /// The latest settled block.
    pub settled: Head,
    /// Sums received and balance of the account, proven.
    pub account: ProvenAccount,
    /// The root that was asked about, if it is active.
    pub active_root: Option<Hash32>,
    /// A nonce that is free.
    pub free_nonce: u64,
    /// What became of the open orders' nonces, by order.
    pub fates: BTreeMap<Hash32, NonceFate>,
}

impl Look {
    /// Looks.
    ///
    /// # Errors
    /// [`ChainError`]; `WrongChain`, `WrongCode` and `WrongToken` mean that nothing may be signed.
    pub async fn run(&self) -> Result<Sight, ChainError> {
        self.chain.check().await?;
        let block = self.chain.block(Tag::Latest).await?;
        let head = Head { number: block.number, at: block.at };
        let at = Tag::Number(block.number);
        let settled = match self.finality {
            Finality::Depth(0) => head,
            Finality::Depth(depth) => self.head(Tag::Number(head.number.saturating_sub(depth))).await?,
            // A young chain has no finalized block yet; then nothing but its first block is settled.
            Finality::Chain => match self.head(Tag::Finalized).await {
                Err(ChainError::NoBlock(_)) => self.head(Tag::Number(0)).await?,
                other => other?,
            },
        };
        let account = self.chain.prove_account(self.account, &block).await?;
        let active_root = match self.root {
            Some(root) if self.chain.is_active(root, at).await? => Some(root),
            _ => None,
        };
        let mut fates = BTreeMap::new();
        for (id, order, from_block) in &self.open {
            fates.insert(*id, self.fate(order, *from_block, head.number).await?);
        }
        let free_nonce = self.free_nonce(at).await?;
        Ok(Sight { head, settled, account, active_root, free_nonce, fates })
    }

    async fn head(&self, tag: Tag) -> Result<Head, ChainError> {
        let block = self.chain.block(tag).await?;
        Ok(Head { number: block.number, at: block.at })
    }

    /// What became of an order's nonce in the blocks up to `head`.
    async fn fate(&self, order: &Withdraw, from_block: u64, head: u64) -> Result<NonceFate, ChainError> {
        if !self.chain.nonce_used(order.account, order.nonce, Tag::Number(head)).await? {
            return Ok(NonceFate::Unused);
        }
        let mut from = from_block;
        for _ in 0..QUESTIONS {
            if from > head {
                break;
            }
            let to = head.min(from + BLOCKS_PER_QUESTION - 1);
            for record in self.chain.events(from, to).await? {
                let block = record.block_number;
                match record.event {
                    Event::Withdrawn { account, to, amount, fee, nonce, .. }
                        if account == order.account && nonce == order.nonce =>
                    {
                        let same = to == order.to && amount == order.amount && fee == order.fee;
                        return Ok(if same {
                            NonceFate::UsedByThis { tx: record.tx, block }
                        } else {
                            NonceFate::UsedByOther { block }
                        });
                    }
                    Event::NonceCancelled { account, nonce }
                        if account == order.account && nonce == order.nonce =>
                    {
                        return Ok(NonceFate::UsedByOther { block });
                    }
                    _ => {}
                }
            }
            from = to + 1;
        }
        Ok(NonceFate::UsedUnseen)
    }

    /// A free nonce, the lowest where nonces were used in order. Taking it keeps two copies of one wallet from paying
    /// twice: both would sign for the same nonce, and the chain carries out one.
    async fn free_nonce(&self, at: Tag) -> Result<u64, ChainError> {
        let used = |nonce| self.chain.nonce_used(self.account, nonce, at);
        let mut free = self.nonce_hint;
        let mut step = 1;
        let mut highest_used = None;
        while used(free).await? {
            highest_used = Some(free);
            free = free.saturating_add(step);
            step = step.saturating_mul(2);
        }
        if let Some(mut low) = highest_used {
            while free - low > 1 {
                let middle = low + (free - low) / 2;
                if used(middle).await? {
                    low = middle;
                } else {
                    free = middle;
                }
            }
        }
        Ok(free)
    }
}
