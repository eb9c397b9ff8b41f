//! The wallet's errands: looks at the chain, fetches epochs, hands signed orders to the relayer, and carries decisions
//! from the vault to the wallet.
//!
//! One task owns the [`Wallet`]. It never confirms anything: a signature is made only for a decision that a vault
//! connection sent, and only for the quote that its grant names. Whatever takes long runs beside the task and comes back
//! as an [`Arrived`]. The daemon is its only caller.

mod bond;
mod view;

use std::time::{Duration, Instant};

use contributor::{Client, Request};
use protocol::id::Hash;
use protocol::local::{
    Answer, Appearance, BalanceIdentity, ErrorCode, LocalError, SecretText, VaultDecision, VaultPurpose,
    VaultView, WalletBrief,
};
use protocol::units::UnixMillis;
use protocol::wire::{EpochList, EpochNotice};
use settlement::{Address, Amount, Chain, ChainError, Contracts, Hash32, TxHash};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use wallet::{
    Command as Errand, Drive, Finality, Happened, Settings, Sight, SignedOrder, Strength, Wallet,
    WalletState, WordCount, Words,
};
use zeroize::Zeroizing;

use crate::grants::GrantId;
use crate::headless::Change;
use crate::home::Home;
use crate::joined::{Joined, now};
use crate::money::bond::Bond;
use crate::server::{Reply, failure};
use crate::throttle::PassphraseDelay;
use crate::work::{Work, told};

/// A balance that is younger is shown again without asking.
const FRESH_FOR: Duration = Duration::from_secs(2);
/// How long a page waits for chain and coordinator before it gets what is known.
const REFRESH_WITHIN: Duration = Duration::from_secs(15);
/// How often the coordinator is asked for a closed epoch, at most and at least.
const EPOCH_EVERY: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(900));
/// How long errands may take to end.
const END_WITHIN: Duration = Duration::from_secs(3);

/// What the daemon's loop hears.
#[derive(Debug)]
pub(crate) enum MoneyEvent {
    /// The wallet's brief may have changed.
    Changed,
    /// The balance changed.
    Balance(Change),
    /// A decision was carried out, or failed.
    Decided(Decided),
}

/// What came of a decision. It goes through the loop, which ends the grant before the vault hears the answer.
#[derive(Debug)]
pub(crate) struct Decided {
    /// Which grant decided.
    pub(crate) grant: GrantId,
    /// Whether the grant is used up.
    pub(crate) accepted: bool,
    /// What the vault is told.
    pub(crate) answer: Result<Answer, LocalError>,
    /// Where to.
    pub(crate) reply: Reply,
}

/// How the vault window looks and speaks.
#[derive(Debug, Clone)]
pub(crate) struct Face {
    /// Language, a BCP 47 tag.
    pub(crate) language: String,
    /// Light or dark.
    pub(crate) appearance: Appearance,
}

/// The running task.
#[derive(Debug)]
pub(crate) struct Money {
    asks: mpsc::UnboundedSender<Asked>,
    brief: watch::Receiver<WalletBrief>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
enum Asked {
    View { reply: Reply },
    Quote { to: String, amount: String, reply: Reply },
    Show { grant: GrantId, purpose: VaultPurpose, face: Face, reply: Reply },
    Decide { grant: GrantId, decision: VaultDecision, reply: Reply },
    Forget { grant: GrantId },
}

impl Money {
    /// Opens the wallet of the joined network and begins its errands.
    ///
    /// # Errors
    /// The profile names no chain endpoint or a malformed address, or the wallet's folder cannot be made.
    pub(crate) fn start(
        home: &Home,
        joined: &Joined,
        work: &Work,
        events: mpsc::Sender<MoneyEvent>,
    ) -> Result<Self, LocalError> {
        let settings = settings(home, joined, work)?;
        let profile = joined.profile.message();
        let (asks, asked) = mpsc::unbounded_channel();
        let bond = Bond::load(&settings.dir);
        let wallet = Wallet::open(settings.clone());
        let (brief, brief_seen) = watch::channel(brief(&wallet));
        let half_epoch = Duration::from_millis(profile.parameters.epoch_millis / 2);
        let errands = Errands {
            settings,
            wallet,
            bond,
            client: work.client(),
            unit: profile.chain.token_symbol.clone(),
            chain_name: format!("{} ({})", profile.name, profile.chain.chain_id),
            epoch_every: half_epoch.clamp(EPOCH_EVERY.0, EPOCH_EVERY.1),
            epoch_at: UnixMillis(0),
            known_list: None,
            receipts: Amount::ZERO,
            trouble: None,
            refreshed_at: None,
            refreshing: false,
            waiting: Vec::new(),
            delay: PassphraseDelay::default(),
            deriving: false,
            quiz: None,
            shown: None,
            brief,
            events,
            beside: JoinSet::new(),
        };
        let task = tokio::spawn(errands.run(asked));
        Ok(Self { asks, brief: brief_seen, task })
    }

    /// The wallet in one word.
    pub(crate) fn brief(&self) -> WalletBrief {
        *self.brief.borrow()
    }

    /// The wallet page, after a look at chain and coordinator.
    pub(crate) fn view(&self, reply: Reply) {
        self.ask(Asked::View { reply });
    }

    /// A price, after a look at chain and coordinator.
    pub(crate) fn quote(&self, to: String, amount: String, reply: Reply) {
        self.ask(Asked::Quote { to, amount, reply });
    }

    /// What the vault window shows.
    pub(crate) fn show(&self, grant: GrantId, purpose: VaultPurpose, face: Face, reply: Reply) {
        self.ask(Asked::Show { grant, purpose, face, reply });
    }

    /// Carries out a decision that its grant admits; comes back as [`MoneyEvent::Decided`].
    pub(crate) fn decide(&self, grant: GrantId, decision: VaultDecision, reply: Reply) {
        self.ask(Asked::Decide { grant, decision, reply });
    }

    /// A grant has ended: what was kept for it is wiped.
    pub(crate) fn forget(&self, grant: GrantId) {
        self.ask(Asked::Forget { grant });
    }

    /// Ends the errands. What is on its way is found again by the book of withdrawals at the next start.
    pub(crate) async fn shutdown(self) {
        drop(self.asks);
        let mut task = self.task;
        if timeout(END_WITHIN, &mut task).await.is_err() {
            tracing::warn!("the wallet's errands did not end in time");
            task.abort();
        }
    }

    fn ask(&self, asked: Asked) {
        // The task lives as long as this; if it died, dropping the question answers it.
        if self.asks.send(asked).is_err() {
            tracing::error!("the wallet's task has ended");
        }
    }
}

/// What came back from beside the task.
#[derive(Debug)]
enum Arrived {
    Epoch(Result<Epoch, LocalError>),
    Looked {
        sight: Box<Result<Sight, ChainError>>,
        /// Whether a refresh waits for it.
        refresh: bool,
    },
    Submitted {
        id: Hash32,
        happened: Happened,
    },
    Bound(Result<(), LocalError>),
    Derived(Box<Derived>),
}

/// What the coordinator says.
#[derive(Debug)]
struct Epoch {
    notice: EpochNotice,
    /// The list, where it is another one than the known.
    list: Option<EpochList>,
    /// The device's verified credit.
    receipts: Amount,
}

/// What a key derivation brought.
#[derive(Debug)]
struct Derived {
    grant: GrantId,
    reply: Reply,
    outcome: Result<Outcome, LocalError>,
    /// A bond that was signed on the way.
    bond: Option<wallet::SignedBind>,
}

#[derive(Debug)]
enum Outcome {
    Made(Words),
    Restored,
    Signed(Box<SignedOrder>),
    Shown(Words),
}

/// Somebody who waits for a refresh.
#[derive(Debug)]
enum Waiting {
    View { reply: Reply },
    Quote { to: String, amount: String, reply: Reply },
}

/// The three words that a backup is checked by.
#[derive(Debug)]
struct Quiz {
    grant: GrantId,
    ask: [u8; 3],
    expected: Option<Vec<Zeroizing<String>>>,
}

struct Errands {
    settings: Settings,
    wallet: Wallet,
    bond: Bond,
    client: Client,
    unit: String,
    chain_name: String,
    epoch_every: Duration,
    epoch_at: UnixMillis,
    known_list: Option<Hash>,
    receipts: Amount,
    /// Why chain or coordinator could not be asked the last time.
    trouble: Option<LocalError>,
    refreshed_at: Option<Instant>,
    refreshing: bool,
    waiting: Vec<Waiting>,
    delay: PassphraseDelay,
    deriving: bool,
    quiz: Option<Quiz>,
    shown: Option<BalanceIdentity>,
    brief: watch::Sender<WalletBrief>,
    events: mpsc::Sender<MoneyEvent>,
    beside: JoinSet<Arrived>,
}

impl Errands {
    async fn run(mut self, mut asked: mpsc::UnboundedReceiver<Asked>) {
        loop {
            let wake_at = self.set_out(now());
            let wait = wake_at.since(now());
            tokio::select! {
                question = asked.recv() => match question {
                    Some(question) => self.answer(question).await,
                    None => break,
                },
                Some(arrived) = self.beside.join_next() => match arrived {
                    Ok(arrived) => self.take(arrived).await,
                    Err(error) => {
                        tracing::error!(%error, "an errand ended badly");
                        self.deriving = false;
                        self.finish_refresh();
                    }
                },
                () = tokio::time::sleep(wait) => {}
            }
            self.tell().await;
        }
        self.beside.shutdown().await;
    }

    /// Starts what is due and returns when to look again.
    fn set_out(&mut self, now: UnixMillis) -> UnixMillis {
        let Drive { commands, next_at } = self.wallet.drive(now);
        for command in commands {
            match command {
                Errand::Look(look) => {
                    self.beside.spawn(async move {
                        Arrived::Looked { sight: Box::new(look.run().await), refresh: false }
                    });
                }
                Errand::Submit { id, order } => self.submit(id, order),
            }
        }
        let mut wake_at = next_at;
        if self.wallet.address().is_some() {
            if self.epoch_at <= now && !self.refreshing {
                self.refresh();
            }
            // A refresh under way wakes the task itself; an instant in the past would make it spin until then.
            if !self.refreshing {
                wake_at = wake_at.min(self.epoch_at);
            }
        }
        if let Some(due_at) = self.bond.due_at() {
            if due_at <= now {
                self.send_bond(now);
            }
            wake_at = wake_at.min(self.bond.due_at().unwrap_or(wake_at));
        }
        wake_at
    }

    fn submit(&mut self, id: Hash32, order: wallet::RelayOrder) {
        let client = self.client.clone();
        self.beside.spawn(async move {
            let terms = Box::new(contributor::engine::RelayTerms {
                intent: order.intent,
                signature: order.signature,
                cumulative: order.cumulative,
                proof: order.proof,
            });
            let happened = match client.ask(|reply| Request::Relay { terms, reply }).await {
                Ok(transaction) => Happened::Relayed { tx: TxHash(*transaction.as_bytes()) },
                Err(error) => {
                    tracing::warn!(error = told(&error), "the relayer did not take the withdrawal");
                    Happened::NotRelayed
                }
            };
            Arrived::Submitted { id, happened }
        });
    }

    fn send_bond(&mut self, now: UnixMillis) {
        let Some(terms) = self.bond.begin(now) else { return };
        let client = self.client.clone();
        self.beside.spawn(async move {
            let sent = client.ask(|reply| Request::Bind { terms: Box::new(terms), reply }).await;
            Arrived::Bound(sent.map_err(|error| error.local()))
        });
    }

    /// Asks the coordinator, then the chain; those who wait are answered when both have answered or failed.
    fn refresh(&mut self) {
        self.refreshing = true;
        self.epoch_at = now().plus(self.epoch_every);
        let (client, known) = (self.client.clone(), self.known_list);
        self.beside.spawn(async move {
            let asked = timeout(REFRESH_WITHIN, ask_coordinator(&client, known));
            let silence = || failure(ErrorCode::CoordinatorUnreachable, "no answer in time");
            Arrived::Epoch(asked.await.unwrap_or_else(|_| Err(silence())))
        });
    }

    async fn take(&mut self, arrived: Arrived) {
        match arrived {
            Arrived::Epoch(epoch) => {
                self.trouble = epoch.and_then(|epoch| self.take_epoch(epoch)).err();
                match self.wallet.look() {
                    Some(look) => {
                        self.beside.spawn(async move {
                            let looked = timeout(REFRESH_WITHIN, look.run()).await;
                            let silence = settlement::RpcError::Transport("no answer in time".to_owned());
                            Arrived::Looked {
                                sight: Box::new(looked.unwrap_or(Err(silence.into()))),
                                refresh: true,
                            }
                        });
                    }
                    None => self.finish_refresh(),
                }
            }
            Arrived::Looked { sight, refresh } => {
                match *sight {
                    Ok(sight) => {
                        if let Err(error) = self.wallet.see(sight, now()) {
                            self.trouble = Some(failure(ErrorCode::DiskFull, told(&error)));
                        }
                    }
                    Err(error) => {
                        tracing::warn!(error = told(&error), "the chain could not be read");
                        self.wallet.look_failed(now());
                        self.trouble = Some(chain_failure(&error));
                    }
                }
                if refresh {
                    self.finish_refresh();
                }
            }
            Arrived::Submitted { id, happened } => {
                if let Err(error) = self.wallet.on(id, happened, now()) {
                    tracing::error!(error = told(&error), "the book of withdrawals cannot be written");
                }
            }
            Arrived::Bound(outcome) => {
                if let Err(error) = &outcome {
                    tracing::warn!(code = ?error.code, detail = %error.detail, "the wallet is not bound yet");
                }
                self.bond.took(outcome.is_ok(), now());
            }
            Arrived::Derived(derived) => self.derived(*derived).await,
        }
    }

    fn take_epoch(&mut self, epoch: Epoch) -> Result<(), LocalError> {
        self.receipts = epoch.receipts;
        let Some(list) = epoch.list else { return Ok(()) };
        match self.wallet.offer(&epoch.notice, &list) {
            Ok(_) => {
                self.known_list = Some(epoch.notice.list);
                Ok(())
            }
            Err(wallet::OfferError::NoWallet) => Ok(()),
            Err(error) => {
                tracing::error!(error = told(&error), "the epoch's list is not believed");
                Err(failure(ErrorCode::Internal, told(&error)))
            }
        }
    }

    fn finish_refresh(&mut self) {
        self.refreshing = false;
        self.refreshed_at = Some(Instant::now());
        for waiting in std::mem::take(&mut self.waiting) {
            match waiting {
                Waiting::View { reply } => reply.send(Ok(Answer::Wallet { wallet: self.page() })),
                Waiting::Quote { to, amount, reply } => reply.send(self.price(&to, &amount)),
            }
        }
    }

    fn wait_for_refresh(&mut self, waiting: Waiting) {
        self.waiting.push(waiting);
        if !self.refreshing {
            self.refresh();
        }
    }

    fn is_fresh(&self) -> bool {
        self.refreshed_at.is_some_and(|at| at.elapsed() < FRESH_FOR)
    }

    async fn answer(&mut self, asked: Asked) {
        match asked {
            Asked::View { reply } if self.is_fresh() => {
                reply.send(Ok(Answer::Wallet { wallet: self.page() }))
            }
            Asked::View { reply } => self.wait_for_refresh(Waiting::View { reply }),
            Asked::Quote { to, amount, reply } if self.is_fresh() => reply.send(self.price(&to, &amount)),
            Asked::Quote { to, amount, reply } => self.wait_for_refresh(Waiting::Quote { to, amount, reply }),
            Asked::Show { grant, purpose, face, reply } => {
                reply.send(self.show(grant, purpose, face).map(|view| Answer::Vault { view }));
            }
            Asked::Decide { grant, decision, reply } => self.decide(grant, decision, reply).await,
            Asked::Forget { grant } => {
                if self.quiz.as_ref().is_some_and(|quiz| quiz.grant == grant) {
                    self.quiz = None;
                }
            }
        }
    }

    fn page(&self) -> protocol::local::WalletView {
        view::page(&self.wallet, brief(&self.wallet), self.receipts, &self.unit, self.trouble.clone())
    }

    fn price(&mut self, to: &str, amount: &str) -> Result<Answer, LocalError> {
        match self.wallet.quote(to, amount, now()) {
            Ok(quote) => Ok(Answer::Quote { quote: view::quote(&quote, &self.unit) }),
            Err(error) => {
                // A chain that could not be read has a better name than "not known yet".
                let known = self.trouble.clone().filter(|_| error.code() == ErrorCode::ChainUnreachable);
                Err(known.unwrap_or_else(|| failure(error.code(), told(&error))))
            }
        }
    }

    fn show(&mut self, grant: GrantId, purpose: VaultPurpose, face: Face) -> Result<VaultView, LocalError> {
        let Face { language, appearance } = face;
        match purpose {
            VaultPurpose::Create => {
                let suggestion =
                    wallet::suggest_passphrase().map_err(|error| failure(error.code(), told(&error)))?;
                let suggestion = SecretText::new(suggestion.as_str().to_owned());
                Ok(VaultView::Create { language, appearance, suggestion })
            }
            VaultPurpose::Restore => Ok(VaultView::Restore { language, appearance }),
            VaultPurpose::Withdraw { quote } => {
                let quoted = view::quote_id(&quote).and_then(|id| self.wallet.quoted(id, now()));
                let quoted = quoted.ok_or_else(|| failure(ErrorCode::QuoteExpired, "no such quote"))?;
                let quote = view::quote(quoted, &self.unit);
                Ok(VaultView::Withdraw { language, appearance, quote, chain: self.chain_name.clone() })
            }
            VaultPurpose::Backup => {
                let vault = self.wallet.vault();
                let vault = vault.ok_or_else(|| failure(ErrorCode::WalletMissing, "no wallet"))?;
                let known = self.quiz.as_ref().filter(|quiz| quiz.grant == grant).map(|quiz| quiz.ask);
                let ask = match known {
                    Some(ask) => ask,
                    None => wallet::draw_quiz(vault.word_count())
                        .map_err(|error| failure(error.code(), told(&error)))?,
                };
                if known.is_none() {
                    self.quiz = Some(Quiz { grant, ask, expected: None });
                }
                Ok(VaultView::Backup { language, appearance, ask })
            }
        }
    }

    async fn decide(&mut self, grant: GrantId, decision: VaultDecision, reply: Reply) {
        match self.begin(grant, decision) {
            Ok(Begun::Done) => self.decided(grant, true, Ok(Answer::Done), reply).await,
            Ok(Begun::Derive(derive)) => {
                self.deriving = true;
                let ready_at = self.delay.ready_at();
                self.beside.spawn(async move {
                    if let Some(ready_at) = ready_at {
                        tokio::time::sleep_until(ready_at.into()).await;
                    }
                    let (outcome, bond) = match tokio::task::spawn_blocking(derive).await {
                        Ok(derived) => derived,
                        Err(error) => (Err(failure(ErrorCode::Internal, error.to_string())), None),
                    };
                    Arrived::Derived(Box::new(Derived { grant, reply, outcome, bond }))
                });
            }
            Err(error) => self.decided(grant, false, Err(error), reply).await,
        }
    }

    /// What a decision needs, checked as far as it can be without the passphrase.
    fn begin(&mut self, grant: GrantId, decision: VaultDecision) -> Result<Begun, LocalError> {
        if self.deriving {
            return Err(failure(ErrorCode::Busy, "another decision is being carried out"));
        }
        let derive: Derive = match decision {
            VaultDecision::Cancel => return Ok(Begun::Done),
            VaultDecision::CheckWords { answers } => {
                self.check_words(grant, &answers)?;
                return Ok(Begun::Done);
            }
            VaultDecision::Create { passphrase, words } => {
                let count = WordCount::of(words)
                    .ok_or_else(|| failure(ErrorCode::BadWords, "recovery words are 12 or 24"))?;
                let setup = self.wallet.setup().map_err(|error| failure(error.code(), told(&error)))?;
                let bind = self.binding_of_new();
                Box::new(move || {
                    let made = setup
                        .create(count, passphrase.reveal())
                        .map_err(|error| failure(error.code(), told(&error)));
                    let bond = if made.is_ok() { bind(&passphrase) } else { None };
                    (made.map(Outcome::Made), bond)
                })
            }
            VaultDecision::Restore { words, passphrase } => {
                let setup = self.wallet.setup().map_err(|error| failure(error.code(), told(&error)))?;
                let bind = self.binding_of_new();
                Box::new(move || {
                    let restored = setup
                        .restore(words.reveal(), passphrase.reveal())
                        .map_err(|error| failure(error.code(), told(&error)));
                    let bond = if restored.is_ok() { bind(&passphrase) } else { None };
                    (restored.map(|_| Outcome::Restored), bond)
                })
            }
            VaultDecision::Withdraw { quote, passphrase } => {
                let id = view::quote_id(&quote)
                    .ok_or_else(|| failure(ErrorCode::QuoteExpired, "no such quote"))?;
                let signing =
                    self.wallet.begin(id, now()).map_err(|error| failure(error.code(), told(&error)))?;
                Box::new(move || {
                    let signed = signing
                        .sign(passphrase.reveal())
                        .map_err(|error| failure(error.code(), told(&error)));
                    (signed.map(|signed| Outcome::Signed(Box::new(signed))), None)
                })
            }
            VaultDecision::ShowWords { passphrase } => {
                let vault = self.wallet.vault().cloned();
                let vault = vault.ok_or_else(|| failure(ErrorCode::WalletMissing, "no wallet"))?;
                let bind = self.binding_if_missing();
                Box::new(move || {
                    let words =
                        vault.words(passphrase.reveal()).map_err(|error| failure(error.code(), told(&error)));
                    let bond = match (&words, bind) {
                        (Ok(_), Some(binding)) => sign_bond(binding, &passphrase),
                        _ => None,
                    };
                    (words.map(Outcome::Shown), bond)
                })
            }
        };
        Ok(Begun::Derive(derive))
    }

    /// Signs the bond of a wallet that is made in the same breath; the file is read again because it is new.
    fn binding_of_new(&self) -> impl FnOnce(&SecretText) -> Option<wallet::SignedBind> + Send + 'static {
        let settings = self.settings.clone();
        move |passphrase| {
            let (issued_at, expires_at) = bond::validity(now());
            let binding = Wallet::open(settings).begin_bind(issued_at, expires_at);
            sign_bond(binding.ok()?, passphrase)
        }
    }

    /// What a bond needs, where the coordinator does not know this wallet yet and none is on its way.
    fn binding_if_missing(&self) -> Option<wallet::Binding> {
        let address = self.wallet.address()?;
        if self.bond.is_for(&address.to_string(), now()) {
            return None;
        }
        let (issued_at, expires_at) = bond::validity(now());
        self.wallet.begin_bind(issued_at, expires_at).ok()
    }

    fn check_words(&mut self, grant: GrantId, answers: &[SecretText; 3]) -> Result<(), LocalError> {
        let quiz = self.quiz.as_ref().filter(|quiz| quiz.grant == grant);
        let expected = quiz.and_then(|quiz| quiz.expected.as_ref());
        let expected =
            expected.ok_or_else(|| failure(ErrorCode::QuizFailed, "the words were not shown yet"))?;
        let right = expected
            .iter()
            .zip(answers)
            .all(|(word, answer)| word.as_str() == answer.reveal().trim().to_lowercase());
        if !right {
            return Err(failure(ErrorCode::QuizFailed, "a word differs"));
        }
        self.wallet.mark_backed_up().map_err(|error| failure(error.code(), told(&error)))?;
        self.quiz = None;
        Ok(())
    }

    async fn derived(&mut self, derived: Derived) {
        self.deriving = false;
        let Derived { grant, reply, outcome, bond } = derived;
        match &outcome {
            Err(error) if error.code == ErrorCode::WrongPassphrase => self.delay.wrong(Instant::now()),
            Ok(Outcome::Signed(_) | Outcome::Shown(_)) => self.delay.right(),
            _ => {}
        }
        if let Some(bond) = bond {
            self.bond.sign(bond, now());
        }
        let (accepted, answer) = match outcome {
            Err(error) => (false, Err(error)),
            Ok(Outcome::Made(words)) => {
                self.wallet.reload();
                self.epoch_at = UnixMillis(0);
                (true, Ok(Answer::Words { words: spelled(&words) }))
            }
            Ok(Outcome::Restored) => {
                self.wallet.reload();
                self.epoch_at = UnixMillis(0);
                (true, Ok(Answer::Done))
            }
            Ok(Outcome::Signed(signed)) => match self.wallet.accept(*signed, now()) {
                Ok(id) => {
                    tracing::info!(withdrawal = %id, "a withdrawal was confirmed");
                    (true, Ok(Answer::Done))
                }
                Err(error) => (false, Err(failure(error.code(), told(&error)))),
            },
            Ok(Outcome::Shown(words)) => {
                if let Some(quiz) = self.quiz.as_mut().filter(|quiz| quiz.grant == grant) {
                    let all: Vec<&str> = words.iter().collect();
                    let word = |number: &u8| all.get(usize::from(*number).wrapping_sub(1)).copied();
                    let asked = quiz.ask.iter().filter_map(word);
                    quiz.expected = Some(asked.map(|word| Zeroizing::new(word.to_owned())).collect());
                }
                (false, Ok(Answer::Words { words: spelled(&words) }))
            }
        };
        self.decided(grant, accepted, answer, reply).await;
    }

    async fn decided(
        &mut self,
        grant: GrantId,
        accepted: bool,
        answer: Result<Answer, LocalError>,
        reply: Reply,
    ) {
        self.brief.send_replace(brief(&self.wallet));
        let decided = Decided { grant, accepted, answer, reply };
        if self.events.send(MoneyEvent::Decided(decided)).await.is_err() {
            tracing::debug!("the loop ended before a decision did");
        }
    }

    /// Tells the loop what it shows of the wallet, where that changed.
    async fn tell(&mut self) {
        let present = brief(&self.wallet);
        let changed = self.brief.send_if_modified(|known| std::mem::replace(known, present) != present);
        let mut events = Vec::new();
        if changed {
            events.push(MoneyEvent::Changed);
        }
        let identity = self.wallet.balance(self.receipts).map(|balance| view::identity(&balance));
        if identity.is_some() && identity != self.shown {
            self.shown.clone_from(&identity);
            if let Some(balance) = identity {
                let change = Change::Balance { at: now(), balance, unit: self.unit.clone() };
                events.push(MoneyEvent::Balance(change));
            }
        }
        for event in events {
            if self.events.send(event).await.is_err() {
                tracing::debug!("the loop ended before the wallet did");
            }
        }
    }
}

type Derive = Box<dyn FnOnce() -> (Result<Outcome, LocalError>, Option<wallet::SignedBind>) + Send>;

/// A decision on its way.
enum Begun {
    Done,
    Derive(Derive),
}

async fn ask_coordinator(client: &Client, known: Option<Hash>) -> Result<Epoch, LocalError> {
    let credit = client.ask(|reply| Request::Credit { reply }).await.map_err(|error| error.local())?;
    let notice = client.ask(|reply| Request::Epoch { reply }).await.map_err(|error| error.local())?;
    let notice = notice.into_message();
    let list = if notice.epoch == 0 || known == Some(notice.list) {
        None
    } else {
        let list = notice.list;
        Some(client.ask(|reply| Request::EpochList { list, reply }).await.map_err(|error| error.local())?)
    };
    Ok(Epoch { notice, list, receipts: Amount::from_base_units(credit.total.0) })
}

fn sign_bond(binding: wallet::Binding, passphrase: &SecretText) -> Option<wallet::SignedBind> {
    match binding.sign(passphrase.reveal()) {
        Ok(bond) => Some(bond),
        Err(error) => {
            tracing::warn!(error = told(&error), "the wallet is not bound to this device yet");
            None
        }
    }
}

fn spelled(words: &Words) -> SecretText {
    let mut text = String::with_capacity(24 * 9);
    for word in words.iter() {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(word);
    }
    SecretText::new(text)
}

fn brief(wallet: &Wallet) -> WalletBrief {
    match wallet.state() {
        WalletState::None | WalletState::Lost { .. } => WalletBrief::None,
        WalletState::Ready { backed_up: true, .. } => WalletBrief::Ready,
        WalletState::Ready { backed_up: false, .. } => WalletBrief::NotBackedUp,
        WalletState::Unreadable(_) | WalletState::BookUnreadable(_) => WalletBrief::Unreadable,
    }
}

fn chain_failure(error: &ChainError) -> LocalError {
    let code = match error {
        ChainError::WrongChain { .. } => ErrorCode::WrongChain,
        ChainError::WrongCode { .. } | ChainError::WrongToken { .. } => ErrorCode::UnknownContract,
        _ => ErrorCode::ChainUnreachable,
    };
    failure(code, told(error))
}

fn settings(home: &Home, joined: &Joined, work: &Work) -> Result<Settings, LocalError> {
    let profile = joined.profile.message();
    let address = |text: &str| -> Result<Address, LocalError> {
        text.parse().map_err(|error: settlement::AddressError| {
            failure(ErrorCode::ProfileUnreadable, format!("the profile's address {text}: {error}"))
        })
    };
    let rpc = crate::rpc::endpoints(&work.net(), &profile.chain.rpc)
        .ok_or_else(|| failure(ErrorCode::ProfileUnreadable, "the profile names no chain endpoint"))?;
    let contracts = Contracts::with_ember(
        profile.chain.chain_id,
        address(&profile.chain.token)?,
        address(&profile.chain.distributor)?,
    );
    let dir = home.wallet(&joined.network);
    crate::home::private_directory(&dir).map_err(|error| failure(ErrorCode::Internal, told(&error)))?;
    Ok(Settings {
        dir,
        network: joined.network,
        device: work.device(),
        chain: Chain::new(rpc, contracts),
        // A chain on one machine has no finality, and nobody there reorganises it.
        finality: if profile.local { Finality::Depth(0) } else { Finality::Chain },
        local: profile.local,
        strength: Strength::for_memory(memory_bytes()),
    })
}

#[cfg(target_os = "linux")]
fn memory_bytes() -> u64 {
    let facts = rustix::system::sysinfo();
    facts.totalram.saturating_mul(u64::from(facts.mem_unit))
}

/// Unknown here: taken as small, which costs strength and never fails.
#[cfg(not(target_os = "linux"))]
fn memory_bytes() -> u64 {
    0
}
