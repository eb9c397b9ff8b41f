//! Wallet: vault, claims and withdrawals of one network. Sibling of `contributor`; neither names the other.
//!
//! It owns the encrypted vault file and every signature with the wallet's key, the check of an epoch's published list,
//! the price of a withdrawal, and the book that brings a withdrawal through every crash exactly once. It never opens a
//! socket, never reads a clock, never makes a wallet where anything is already, and never signs bytes of somebody
//! else's choosing. The agent calls it; it reaches the EVM only through `settlement`.
//!
//! # How the agent uses it
//! ```text
//! let mut wallet = Wallet::open(Settings { dir, network, device, chain, finality, local, strength });
//! match wallet.state() { None | Lost | Ready { address, backed_up } | Unreadable(e) | BookUnreadable(e) }
//!
//! // Making one (beside the loop: about two seconds):
//! let setup = wallet.setup()?;                                  // refuses where anything is already
//! let words = setup.create(WordCount::Twelve, &passphrase)?;    // or setup.restore(&typed_words, &passphrase)?
//! wallet.reload();
//! words.check(&draw_quiz(words.count())?, &answers) => wallet.mark_backed_up()?;
//! let bond = wallet.begin_bind(now_seconds, now_seconds + 3600)?.sign(&passphrase)?;     // -> protocol::wire::Bind
//!
//! // The loop, after every change and at `next_at`:
//! let Drive { commands, next_at } = wallet.drive(now);
//! Command::Look(look)           => match look.run().await { Ok(sight) => wallet.see(sight, now)?, Err(_) => wallet.look_failed(now) }
//! Command::Submit { id, order } => POST protocol::wire::Relay { coordinator, nonce, sent_at, ..order }
//!                                  then wallet.on(id, Happened::Relayed { tx } | Happened::NotRelayed, now)?
//!
//! // An epoch was closed (notice verified by signature, list fetched by its hash):
//! wallet.offer(&notice, &list)?;
//!
//! // A withdrawal:
//! let quote = wallet.quote(&to, &amount, now)?;                 // id, order.amount arrives, order.fee, total
//! let signing = wallet.begin(quote.id, now)?;                   // in the loop
//! let signed = signing.sign(&passphrase)?;                      // beside the loop
//! let id = wallet.accept(signed, now)?;                         // in the loop: on the disk from here on
//!
//! // The page:
//! wallet.balance(receipts), wallet.withdrawals(), wallet.fee(), wallet.proven_at(), wallet.address()
//! ```
//! Every error has a `code()` in [`protocol::local::ErrorCode`].

#![forbid(unsafe_code)]

mod balance;
mod book;
mod claim;
mod file;
mod key;
mod look;
mod quote;
mod secret;
mod vault;
mod wallet;
mod withdrawal;

pub use balance::{Balance, add_up};
pub use book::BookError;
pub use claim::{Claim, ClaimError, check_list};
pub use key::{KeyError, account_number};
pub use look::{Finality, Look, Sight};
pub use quote::{Forbidden, Missing, ORDER_HOLDS, QUOTE_HOLDS, Quote, QuoteError, Terms, price};
pub use secret::{
    LOCAL_PASSPHRASE_CHARACTERS, PASSPHRASE_CHARACTERS, SecretError, WordCount, Words, check_passphrase,
    draw_quiz, suggest_passphrase,
};
pub use vault::{Strength, Vault, VaultError};
pub use wallet::{
    Binding, Command, ConfirmError, Drive, Happened, OfferError, Settings, Setup, SignedBind, SignedOrder,
    Signing, Wallet, WalletState,
};
pub use withdrawal::{Event, Head, NonceFate, RelayOrder, State, Withdrawal, after};
