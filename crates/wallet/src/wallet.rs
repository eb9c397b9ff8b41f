//! The wallet of one network: vault, book, verified epoch and the chain's last sight, put together.
//!
//! It owns the order of things: a quote rests on a proven chain and a verified list, a signature follows a quote, the
//! book follows the signature, and only then does a command tell somebody to send. It never waits, never opens a socket
//! and never reads a clock: the agent's loop calls it with the time, carries out its commands and brings back what
//! happened. Steps with a passphrase are values that can be carried to another thread.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use protocol::id::{DeviceId, NetworkId};
use protocol::local::{ErrorCode, WalletBrief};
use protocol::units::UnixMillis;
use protocol::wire::{EpochList, EpochNotice};
use settlement::{Address, Amount, BindNode, Chain, Contracts, Hash32, Signature, TxHash};

use crate::balance::{Balance, add_up};
use crate::book::{self, Book, BookError};
use crate::claim::{Claim, ClaimError, check_list};
use crate::look::{Finality, Look, Sight};
use crate::quote::{Missing, Quote, QuoteError, Terms, price};
use crate::secret::{SecretError, WordCount, Words, check_passphrase};
use crate::vault::{Strength, Vault, VaultError};
use crate::withdrawal::{Event, RelayOrder, State, Withdrawal, after};

/// A sight of the chain that is older is not a base for a price.
const SIGHT_HOLDS: Duration = Duration::from_secs(5 * 60);
/// Between two looks while a withdrawal is open.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Between two looks otherwise.
const LOOK_IDLE_EVERY: Duration = Duration::from_secs(5 * 60);
/// How long after each submission the next one follows, if the withdrawal is still not in a block; the last repeats.
const SUBMIT_AGAIN_AFTER: [Duration; 5] = [
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(30),
    Duration::from_secs(60),
    Duration::from_secs(120),
];
/// How many quotes are kept for confirmation.
const QUOTES_KEPT: usize = 8;

/// What a wallet is opened with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Directory of this wallet's files, with mode 0700.
    pub dir: PathBuf,
    /// The network.
    pub network: NetworkId,
    /// This device, whose row in the list is checked.
    pub device: DeviceId,
    /// The chain, with the contracts that the network's profile names.
    pub chain: Chain,
    /// When a block counts as settled.
    pub finality: Finality,
    /// Whether the network lives on one machine: shorter passphrases are let in.
    pub local: bool,
    /// How hard a new vault is to guess at.
    pub strength: Strength,
}

/// Whether there is a wallet.
#[derive(Debug)]
pub enum WalletState<'a> {
    /// There is none, and never was one here.
    None,
    /// There was one with this address, and its file is gone: only its own words restore it.
    Lost {
        /// Its account.
        address: Address,
    },
    /// There is one.
    Ready {
        /// Its account.
        address: Address,
        /// Whether its words were written down and checked.
        backed_up: bool,
    },
    /// There is a file, and it cannot be read. It stays as it is.
    Unreadable(&'a VaultError),
    /// There is no vault file, and the book that knows whether there was one cannot be read.
    BookUnreadable(&'a BookError),
}

impl WalletState<'_> {
    /// What the window shows.
    pub const fn brief(&self) -> WalletBrief {
        match self {
            Self::None => WalletBrief::None,
            Self::Ready { backed_up: true, .. } => WalletBrief::Ready,
            Self::Ready { backed_up: false, .. } => WalletBrief::NotBackedUp,
            Self::Lost { .. } | Self::Unreadable(_) | Self::BookUnreadable(_) => WalletBrief::Unreadable,
        }
    }
}

/// Why a withdrawal was not confirmed. Nothing was signed, or the signature was thrown away.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfirmError {
    /// There is no such quote, or it has run out.
    #[error("the quote is unknown or has expired")]
    QuoteExpired,
    /// Another withdrawal is under way.
    #[error("another withdrawal is under way")]
    UnderWay,
    /// The vault does not open or does not fit.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The book cannot be written.
    #[error(transparent)]
    Book(#[from] BookError),
    /// There is no wallet, or its book cannot be read.
    #[error("{0:?} cannot be used")]
    NotReady(Missing),
}

impl ConfirmError {
    /// What the window says.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::QuoteExpired => ErrorCode::QuoteExpired,
            Self::UnderWay => ErrorCode::WithdrawalPending,
            Self::Vault(error) => error.code(),
            Self::Book(BookError::Write { .. }) => ErrorCode::DiskFull,
            Self::Book(_) | Self::NotReady(Missing::Book) => ErrorCode::WalletUnreadable,
            Self::NotReady(_) => ErrorCode::WalletMissing,
        }
    }
}

/// What the agent is asked to do. Each is safe to do twice, and to lose.
#[derive(Debug, Clone)]
pub enum Command {
    /// Hand this order to the coordinator's relayer and report [`Happened::Relayed`] or [`Happened::NotRelayed`].
    Submit {
        /// Which withdrawal.
        id: Hash32,
        /// What to hand over.
        order: RelayOrder,
    },
    /// Run this look and give the sight to [`Wallet::see`] or the failure to [`Wallet::look_failed`].
    Look(Look),
}

/// Commands, and when to ask again.
#[derive(Debug)]
pub struct Drive {
    /// What to do now.
    pub commands: Vec<Command>,
    /// When to call [`Wallet::drive`] again, at the latest.
    pub next_at: UnixMillis,
}

/// What became of a [`Command::Submit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened {
    /// The relayer took it and named the transaction.
    Relayed {
        /// The transaction.
        tx: TxHash,
    },
    /// The relayer refused or did not answer. Whether it has the order is not known, so the order stays open.
    NotRelayed,
}

/// When something is next due. Lost at a restart, on purpose: everything is due then.
#[derive(Debug, Clone, Copy, Default)]
struct Pace {
    submissions: usize,
    submit_at: UnixMillis,
}

/// What the coordinator says a withdrawal costs, with the verified list that goes with it.
#[derive(Debug, Clone)]
struct Offer {
    claim: Claim,
    relayer: Address,
    fee: Amount,
}

/// The wallet of one network.
#[derive(Debug)]
pub struct Wallet {
    settings: Settings,
    vault: Result<Vault, VaultError>,
    book: Result<Book, BookError>,
    offer: Option<Offer>,
    sight: Option<(Sight, UnixMillis)>,
    quotes: BTreeMap<Hash32, Quote>,
    paces: BTreeMap<Hash32, Pace>,
    look_at: UnixMillis,
}

impl Wallet {
    /// Reads what is there. Never fails: what cannot be read is a state, and is left as it is.
    pub fn open(settings: Settings) -> Self {
        let vault = Vault::open(&vault_path(&settings), &settings.network);
        let book = Book::open(&book_path(&settings));
        let mut wallet = Self {
            settings,
            vault,
            book,
            offer: None,
            sight: None,
            quotes: BTreeMap::new(),
            paces: BTreeMap::new(),
            look_at: UnixMillis(0),
        };
        wallet.note_account();
        wallet
    }

    /// Reads the files again: after [`Setup`] made a vault, or its owner repaired something.
    pub fn reload(&mut self) {
        *self = Self { offer: self.offer.take(), ..Self::open(self.settings.clone()) };
    }

    /// Whether there is a wallet.
    pub fn state(&self) -> WalletState<'_> {
        match (&self.vault, &self.book) {
            (Ok(vault), _) => WalletState::Ready { address: vault.address(), backed_up: self.is_backed_up() },
            (Err(VaultError::Missing { .. }), Ok(book)) => match book.entries().account {
                None => WalletState::None,
                Some(address) => WalletState::Lost { address },
            },
            (Err(VaultError::Missing { .. }), Err(error)) => WalletState::BookUnreadable(error),
            (Err(error), _) => WalletState::Unreadable(error),
        }
    }

    /// The account, if there is a wallet.
    pub fn address(&self) -> Option<Address> {
        self.vault.as_ref().ok().map(Vault::address)
    }

    /// The locked vault, for showing words and for a copy of its file.
    pub fn vault(&self) -> Option<&Vault> {
        self.vault.as_ref().ok()
    }

    /// The network's contracts.
    pub fn contracts(&self) -> &Contracts {
        self.settings.chain.contracts()
    }

    /// Why the book of withdrawals cannot be used, if so: nothing can be withdrawn until [`Self::set_book_aside`].
    pub fn book_error(&self) -> Option<&BookError> {
        self.book.as_ref().err()
    }

    /// On its owner's word, moves a book that cannot be read out of the way and begins a new one. Safe for the money:
    /// an order that is still under way keeps its nonce, and the next one takes the same nonce as long as it is free.
    ///
    /// # Errors
    /// [`BookError`] when it cannot be moved.
    pub fn set_book_aside(&mut self, now: UnixMillis) -> Result<Option<PathBuf>, BookError> {
        if self.book.is_ok() {
            return Ok(None);
        }
        let aside = book::set_aside(&book_path(&self.settings), now)?;
        self.reload();
        Ok(Some(aside))
    }

    /// Notes that the words were written down and checked by the quiz.
    ///
    /// # Errors
    /// [`ConfirmError`]: no wallet, or the book cannot be written.
    pub fn mark_backed_up(&mut self) -> Result<(), ConfirmError> {
        if self.vault.is_err() {
            return Err(ConfirmError::NotReady(Missing::Wallet));
        }
        Ok(self.usable_book()?.change(|entries| entries.backed_up = true)?)
    }

    /// Everything that making or restoring a wallet needs; carry it to a thread of its own, then [`Self::reload`].
    ///
    /// # Errors
    /// [`VaultError`]: `Exists`, or why the file that is there cannot be read.
    pub fn setup(&self) -> Result<Setup, VaultError> {
        let path = vault_path(&self.settings);
        let expected = match self.state() {
            WalletState::None => None,
            WalletState::Lost { address } => Some(address),
            WalletState::Ready { .. } => return Err(VaultError::Exists { path }),
            WalletState::Unreadable(_) | WalletState::BookUnreadable(_) => {
                // Reads it once more: the error of a file that was repaired meanwhile would be a lie.
                Vault::open(&path, &self.settings.network)?;
                return Err(VaultError::Exists { path });
            }
        };
        Ok(Setup {
            path,
            network: self.settings.network,
            local: self.settings.local,
            strength: self.settings.strength,
            expected,
        })
    }

    /// Takes the coordinator's notice of a closed epoch with its list, verified by signature and content address before,
    /// and checks both against each other and this wallet. Returns what the account may claim.
    ///
    /// # Errors
    /// [`OfferError`]: then the offer before stays.
    pub fn offer(&mut self, notice: &EpochNotice, list: &EpochList) -> Result<&Claim, OfferError> {
        let account = self.address().ok_or(OfferError::NoWallet)?;
        let claim = check_list(notice, list, &self.settings.device, account)?;
        let relayer = notice.relayer.parse().map_err(OfferError::Relayer)?;
        let fee = Amount::from_base_units(notice.withdrawal_fee.0);
        if self.offer.as_ref().is_none_or(|known| known.claim.root != claim.root) {
            // Whether the new root is active is worth a look at once.
            self.look_at = UnixMillis(0);
        }
        Ok(&self.offer.insert(Offer { claim, relayer, fee }).claim)
    }

    /// What the latest verified list says about this account.
    pub fn claim(&self) -> Option<&Claim> {
        self.offer.as_ref().map(|offer| &offer.claim)
    }

    /// What a withdrawal costs, where the coordinator said it.
    pub fn fee(&self) -> Option<Amount> {
        self.offer.as_ref().map(|offer| offer.fee)
    }

    /// When the chain was last seen and proven.
    pub fn proven_at(&self) -> Option<UnixMillis> {
        self.sight.as_ref().map(|(_, at)| *at)
    }

    /// The sum that always adds up; `receipts` is the sum of this device's receipts. `None` until the chain was seen.
    pub fn balance(&self, receipts: Amount) -> Option<Balance> {
        let (sight, _) = self.sight.as_ref()?;
        add_up(receipts, self.active_claim(), &sight.account, self.withdrawals())
    }

    /// Every withdrawal, in the order of confirmation.
    pub fn withdrawals(&self) -> &[Withdrawal] {
        self.book.as_ref().map_or(&[], |book| &book.entries().withdrawals)
    }

    /// Prices a withdrawal: `to` and `amount` as typed, an empty amount withdraws all.
    ///
    /// # Errors
    /// [`QuoteError`].
    pub fn quote(&mut self, to: &str, amount: &str, now: UnixMillis) -> Result<Quote, QuoteError> {
        let account = self.address().ok_or(QuoteError::NotReady(Missing::Wallet))?;
        let book = self.book.as_ref().map_err(|_| QuoteError::NotReady(Missing::Book))?;
        if book.entries().live().is_some() {
            return Err(QuoteError::UnderWay);
        }
        let (sight, seen_at) = self.sight.as_ref().ok_or(QuoteError::NotReady(Missing::Chain))?;
        if now.since(*seen_at) > SIGHT_HOLDS {
            return Err(QuoteError::NotReady(Missing::Chain));
        }
        let offer = self.offer.as_ref().ok_or(QuoteError::NotReady(Missing::Epoch))?;
        let claim = self.active_claim().ok_or(QuoteError::NotReady(Missing::Epoch))?;
        let terms = Terms {
            contracts: self.settings.chain.contracts(),
            account,
            claim,
            claimed: sight.account.claimed,
            relayer: offer.relayer,
            fee: offer.fee,
            nonce: sight.free_nonce,
        };
        let quote = price(to, amount, terms, now)?;
        self.quotes.retain(|_, kept| kept.expires_at > now);
        while self.quotes.len() >= QUOTES_KEPT {
            self.quotes.pop_first();
        }
        self.quotes.insert(quote.id, quote.clone());
        Ok(quote)
    }

    /// A quote that can still be confirmed, for the vault window to show.
    pub fn quoted(&self, id: Hash32, now: UnixMillis) -> Option<&Quote> {
        self.quotes.get(&id).filter(|quote| quote.expires_at > now)
    }

    /// Prepares the one signature for a quote. Carry it to a thread of its own, [`Signing::sign`] there, and bring the
    /// result to [`Self::accept`].
    ///
    /// # Errors
    /// [`ConfirmError`].
    pub fn begin(&self, id: Hash32, now: UnixMillis) -> Result<Signing, ConfirmError> {
        let vault = self.vault().ok_or(ConfirmError::NotReady(Missing::Wallet))?;
        self.refuse_second()?;
        let quote = self.quoted(id, now).ok_or(ConfirmError::QuoteExpired)?;
        Ok(Signing { vault: vault.clone(), contracts: self.contracts().clone(), quote: quote.clone() })
    }

    /// Writes a signed order into the book. From then on [`Self::drive`] has it sent, until it is settled.
    ///
    /// # Errors
    /// [`ConfirmError`]: then the signature is thrown away and nothing will be sent.
    pub fn accept(&mut self, signed: SignedOrder, now: UnixMillis) -> Result<Hash32, ConfirmError> {
        self.refuse_second()?;
        let quote = self.quotes.remove(&signed.quote.id).ok_or(ConfirmError::QuoteExpired)?;
        // A quote is the price of one sight: a nonce that was seen used meanwhile has no future.
        let (sight, _) = self.sight.as_ref().ok_or(ConfirmError::QuoteExpired)?;
        if sight.free_nonce != quote.order.nonce || quote.expires_at <= now {
            return Err(ConfirmError::QuoteExpired);
        }
        let withdrawal = Withdrawal {
            id: quote.id,
            order: quote.order,
            signature: signed.signature,
            cumulative: quote.cumulative,
            proof: quote.proof,
            confirmed_at: now,
            from_block: sight.head.number,
            state: State::Signed,
        };
        let id = withdrawal.id;
        self.usable_book()?.change(|entries| entries.withdrawals.push(withdrawal))?;
        self.quotes.clear();
        Ok(id)
    }

    /// [`Self::begin`], [`Signing::sign`] and [`Self::accept`] in one: blocks for about two seconds.
    ///
    /// # Errors
    /// [`ConfirmError`].
    pub fn confirm(&mut self, id: Hash32, passphrase: &str, now: UnixMillis) -> Result<Hash32, ConfirmError> {
        let signed = self.begin(id, now)?.sign(passphrase)?;
        self.accept(signed, now)
    }

    /// Prepares the signature that binds this device's earnings to this wallet. Times in unix seconds; the nonce inside
    /// the typed data is `issued_at_seconds`.
    ///
    /// # Errors
    /// `NotReady` without a wallet.
    pub fn begin_bind(
        &self,
        issued_at_seconds: u64,
        expires_at_seconds: u64,
    ) -> Result<Binding, ConfirmError> {
        let vault = self.vault().ok_or(ConfirmError::NotReady(Missing::Wallet))?;
        let bind = BindNode {
            node_id: Hash32(*self.settings.device.as_bytes()),
            payout: vault.address(),
            issued_at: issued_at_seconds,
            expires_at: expires_at_seconds,
            nonce: issued_at_seconds,
        };
        Ok(Binding { vault: vault.clone(), contracts: self.contracts().clone(), bind })
    }

    /// What to do now. Call it after every change and at the latest at [`Drive::next_at`].
    pub fn drive(&mut self, now: UnixMillis) -> Drive {
        let mut commands = Vec::new();
        let mut next_at = now.plus(LOOK_IDLE_EVERY);
        if let Some(live) = self.book.as_ref().ok().and_then(|book| book.entries().live()) {
            let pace = self.paces.entry(live.id).or_default();
            // Past its deadline no block takes it; it is only waited for until the chain says so.
            let in_time = now.0 / 1000 < live.order.deadline;
            if in_time && pace.submit_at <= now {
                if let Some(order) = live.relay_order() {
                    commands.push(Command::Submit { id: live.id, order });
                }
                let pause = SUBMIT_AGAIN_AFTER[pace.submissions.min(SUBMIT_AGAIN_AFTER.len() - 1)];
                *pace = Pace { submissions: pace.submissions + 1, submit_at: now.plus(pause) };
            }
            if in_time {
                next_at = next_at.min(pace.submit_at);
            }
        }
        if self.address().is_some() {
            let open = self.withdrawals().iter().any(|withdrawal| !withdrawal.state.is_settled());
            if self.look_at <= now {
                commands.extend(self.look().map(Command::Look));
                self.look_at = now.plus(if open { LOOK_EVERY } else { LOOK_IDLE_EVERY });
            }
            next_at = next_at.min(self.look_at);
        }
        Drive { commands, next_at }
    }

    /// A look at the chain as this wallet needs it; `None` without a wallet. [`Self::drive`] asks for it by itself; a
    /// page that opens may ask sooner.
    pub fn look(&self) -> Option<Look> {
        let entries = self.book.as_ref().ok().map(Book::entries);
        let open = entries.into_iter().flat_map(|entries| &entries.withdrawals);
        let open = open.filter(|withdrawal| !withdrawal.state.is_settled());
        Some(Look {
            chain: self.settings.chain.clone(),
            account: self.address()?,
            finality: self.settings.finality,
            root: self.offer.as_ref().map(|offer| offer.claim.root),
            nonce_hint: entries.map_or(0, |entries| entries.nonce_hint()),
            open: open
                .map(|withdrawal| (withdrawal.id, withdrawal.order.clone(), withdrawal.from_block))
                .collect(),
        })
    }

    /// Takes what a look saw.
    ///
    /// # Errors
    /// [`BookError`] when a change cannot be written; then nothing has changed, and the next look finds it again.
    pub fn see(&mut self, sight: Sight, now: UnixMillis) -> Result<(), BookError> {
        // Looks run beside the loop and may return out of order.
        if self.sight.as_ref().is_some_and(|(known, _)| known.head.number > sight.head.number) {
            return Ok(());
        }
        if let Ok(book) = &mut self.book {
            book.change(|entries| {
                for withdrawal in &mut entries.withdrawals {
                    if let Some(&fate) = sight.fates.get(&withdrawal.id) {
                        let event = Event::Seen { fate, settled: sight.settled };
                        withdrawal.state = after(withdrawal.state, withdrawal.order.deadline, event);
                    }
                }
            })?;
        }
        self.sight = Some((sight, now));
        Ok(())
    }

    /// Takes note that a look failed: the balance grows old and is asked for again soon.
    pub fn look_failed(&mut self, now: UnixMillis) {
        self.look_at = now.plus(LOOK_EVERY);
    }

    /// Takes what became of a submission.
    ///
    /// # Errors
    /// [`BookError`] when a change cannot be written; the chain will tell it again.
    pub fn on(&mut self, id: Hash32, happened: Happened, now: UnixMillis) -> Result<(), BookError> {
        match happened {
            Happened::Relayed { tx } => {
                // It may be in a block at once.
                self.look_at = self.look_at.min(now);
                let Ok(book) = &mut self.book else { return Ok(()) };
                book.change(|entries| {
                    if let Some(withdrawal) =
                        entries.withdrawals.iter_mut().find(|withdrawal| withdrawal.id == id)
                    {
                        withdrawal.state =
                            after(withdrawal.state, withdrawal.order.deadline, Event::Relayed { tx });
                    }
                })
            }
            // The next submission is due already; a refusal and a lost answer look alike from here.
            Happened::NotRelayed => Ok(()),
        }
    }

    /// The verified list's word, if its root is active.
    fn active_claim(&self) -> Option<&Claim> {
        let (sight, _) = self.sight.as_ref()?;
        self.claim().filter(|claim| sight.active_root == Some(claim.root))
    }

    fn is_backed_up(&self) -> bool {
        self.book.as_ref().is_ok_and(|book| book.entries().backed_up)
    }

    fn usable_book(&mut self) -> Result<&mut Book, ConfirmError> {
        self.book.as_mut().map_err(|_| ConfirmError::NotReady(Missing::Book))
    }

    fn refuse_second(&self) -> Result<(), ConfirmError> {
        let book = self.book.as_ref().map_err(|_| ConfirmError::NotReady(Missing::Book))?;
        if book.entries().live().is_some() { Err(ConfirmError::UnderWay) } else { Ok(()) }
    }

    /// Writes down which account this directory's wallet has, so that a vault file that disappears is missed. Another
    /// account's backup says nothing about this one.
    fn note_account(&mut self) {
        let (Ok(vault), Ok(book)) = (&self.vault, &mut self.book) else { return };
        let address = vault.address();
        let noted = book.change(|entries| {
            if entries.account != Some(address) {
                entries.backed_up = false;
                entries.account = Some(address);
            }
        });
        if let Err(error) = noted {
            // Not needed for anything today, and tried again at the next start.
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the wallet's account could not be noted"
            );
        }
    }
}

/// Why an offer is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OfferError {
    /// There is no wallet to claim for.
    #[error("there is no wallet to claim for")]
    NoWallet,
    /// The list is not believed.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// The relayer is no address.
    #[error("the relayer is no address")]
    Relayer(#[source] settlement::AddressError),
}

/// Makes the vault file; blocks for about two seconds.
#[derive(Debug, Clone)]
pub struct Setup {
    path: PathBuf,
    network: NetworkId,
    local: bool,
    strength: Strength,
    expected: Option<Address>,
}

impl Setup {
    /// Makes a new wallet and returns its words, to be written down.
    ///
    /// # Errors
    /// [`VaultError`]: a weak passphrase, anything at the file's place, or a wallet that was here and is lost.
    pub fn create(&self, count: WordCount, passphrase: &str) -> Result<Words, VaultError> {
        if self.expected.is_some() {
            return Err(VaultError::Missing { path: self.path.clone() });
        }
        check_passphrase(passphrase, self.local)?;
        let words = Words::draw(count)?;
        Vault::create(&self.path, &self.network, &words, passphrase, self.strength)?;
        Ok(words)
    }

    /// Restores a wallet from its words.
    ///
    /// # Errors
    /// [`VaultError`]: words that are none, `OtherWords` where another account was here, a weak passphrase, or anything
    /// at the file's place.
    pub fn restore(&self, words: &str, passphrase: &str) -> Result<Address, VaultError> {
        let words = Words::parse(words)?;
        check_passphrase(passphrase, self.local)?;
        let found = crate::key::signer(&words, &self.network)?.address();
        if let Some(expected) = self.expected.filter(|expected| *expected != found) {
            return Err(VaultError::OtherWords { expected, found });
        }
        let vault = Vault::restore(&self.path, &self.network, &words, passphrase, self.strength)?;
        Ok(vault.address())
    }

    /// Whether a passphrase would be taken.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn check_passphrase(&self, passphrase: &str) -> Result<(), SecretError> {
        check_passphrase(passphrase, self.local)
    }
}

/// One quote on its way to a signature.
#[derive(Debug, Clone)]
pub struct Signing {
    vault: Vault,
    contracts: Contracts,
    quote: Quote,
}

/// A signed order that nobody has yet: it is worth nothing until [`Wallet::accept`].
#[derive(Debug)]
pub struct SignedOrder {
    quote: Quote,
    signature: Signature,
}

impl Signing {
    /// What is about to be signed.
    pub fn quote(&self) -> &Quote {
        &self.quote
    }

    /// Unlocks the vault for this one signature; blocks for about two seconds.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn sign(self, passphrase: &str) -> Result<SignedOrder, VaultError> {
        let signature = self.vault.sign_withdraw(passphrase, &self.contracts, &self.quote.order)?;
        Ok(SignedOrder { quote: self.quote, signature })
    }
}

/// A device's bond on its way to a signature.
#[derive(Debug, Clone)]
pub struct Binding {
    vault: Vault,
    contracts: Contracts,
    bind: BindNode,
}

/// What [`protocol::wire::Bind`] carries of a signed bond.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedBind {
    /// Checksummed payout address.
    pub payout: String,
    /// Issue instant inside the typed data, unix seconds.
    pub issued_at_seconds: u64,
    /// Expiry instant inside the typed data, unix seconds.
    pub expires_at_seconds: u64,
    /// 65-byte signature of the wallet.
    pub wallet_signature: Vec<u8>,
}

impl Binding {
    /// Unlocks the vault for this one signature; blocks for about two seconds.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn sign(self, passphrase: &str) -> Result<SignedBind, VaultError> {
        let signature = self.vault.sign_bind(passphrase, &self.contracts, &self.bind)?;
        Ok(SignedBind {
            payout: self.bind.payout.to_string(),
            issued_at_seconds: self.bind.issued_at,
            expires_at_seconds: self.bind.expires_at,
            wallet_signature: signature.as_bytes().to_vec(),
        })
    }
}

fn vault_path(settings: &Settings) -> PathBuf {
    settings.dir.join("wallet.vault")
}

fn book_path(settings: &Settings) -> PathBuf {
    settings.dir.join("withdrawals.book")
}
