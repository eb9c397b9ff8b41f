//! The agent itself: one loop that owns all of its state and joins what else never meets — engine, wallet, tray, windows
//! and local clients.
//!
//! Everything that happens arrives as an [`Event`] of a closed list; nothing is confirmed, opened or sent by itself.
//! What takes long (the engine's answers, the wallet's key derivation, the chain) is done beside the loop and comes back
//! as an event or goes straight to whoever asked. At the end it stops in order, within bounded time: local clients, tray,
//! windows, wallet, engine. Without a joined network it runs too: tray, window and terminal work and say what is missing.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use protocol::local::{
    Answer, Appearance, CardLane, Command, ErrorCode, LocalError, Money as Figures, Notice, Picture,
    SentToday, State, Status, UploadLane, VaultDecision, VaultPurpose, WalletBrief,
};
use protocol::units::UnixMillis;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use words::Catalogue;

use crate::grants::{GrantId, Grants, Holder};
use crate::headless;
use crate::home::Home;
use crate::joined::{self, Joined, now};
use crate::money::{Decided, Face, Money, MoneyEvent};
use crate::notification::{self, Spoken};
use crate::server::{Ask, Asker, Reply, Server, ServerEvent, Watches, failure};
use crate::socket::Listener;
use crate::terminal::StartArguments;
use crate::tray::{self, Action, Tray};
use crate::window::{self, WindowEvent, Windows};
use crate::work::Work;

/// How long answers that are on their way may take at the end.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// Everything that can happen.
#[derive(Debug)]
enum Event {
    /// A local client.
    Server(ServerEvent),
    /// A click in the tray.
    Tray(Action),
    /// A window ended.
    Window(WindowEvent),
    /// The engine has a new status.
    Status,
    /// The engine has a new picture.
    Picture,
    /// The wallet.
    Money(MoneyEvent),
    /// The system asks the program to end.
    Signal,
}

/// Why the agent cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum DaemonError {
    /// The system gives no signals.
    #[error("cannot listen for signals")]
    Signals(#[source] io::Error),
    /// The program does not know where it is.
    #[error("cannot find the program's own path")]
    OwnPath(#[source] io::Error),
}

/// What the loop owns.
struct Daemon {
    home: Home,
    own_path: PathBuf,
    start: StartArguments,
    zone: TimeZone,
    words: Catalogue,
    language: String,
    appearance: Appearance,
    status: watch::Sender<Arc<Status>>,
    picture: watch::Sender<Option<Arc<Picture>>>,
    printed: Option<Arc<Status>>,
    notices: Vec<Notice>,
    grants: Grants,
    /// Grants whose decision is being carried out: a second one on the same grant waits outside.
    deciding: BTreeSet<GrantId>,
    windows: Windows,
    tray: Option<Tray>,
    /// Of what notifications spoke.
    spoken: Spoken,
    joined: Option<Joined>,
    work: Option<Work>,
    money: Option<Money>,
    money_events: mpsc::Sender<MoneyEvent>,
    answering: JoinSet<()>,
    quitting: bool,
}

/// Runs the agent of `home` on `listener` until it is told to quit.
///
/// # Errors
/// [`DaemonError`] when it cannot start.
pub(crate) async fn run(home: Home, listener: Listener, start: StartArguments) -> Result<(), DaemonError> {
    let own_path = std::env::current_exe().map_err(DaemonError::OwnPath)?;
    let mut signals = Signals::new().map_err(DaemonError::Signals)?;
    let (server_sender, mut server_events) = mpsc::channel(32);
    let (window_sender, mut window_events) = mpsc::channel(8);
    let (click_sender, mut clicks) = mpsc::unbounded_channel();
    let (money_events, mut from_money) = mpsc::channel(32);

    let (status, status_watch) = watch::channel(Arc::new(idle_status(now())));
    let (picture, picture_watch) = watch::channel(None);
    let program = window::program(&own_path, std::env::var_os(window::PROGRAM_VARIABLE));
    let display = window::has_display() && !start.headless;
    let mut daemon = Daemon {
        windows: Windows::new(program, home.socket().to_path_buf(), display, window_sender),
        home,
        own_path,
        start: start.clone(),
        zone: TimeZone::system(),
        words: Catalogue::new(&crate::terminal::language()),
        language: String::new(),
        appearance: Appearance::System,
        status,
        picture,
        printed: None,
        notices: Vec::new(),
        grants: Grants::default(),
        deciding: BTreeSet::new(),
        tray: None,
        spoken: Spoken::default(),
        joined: None,
        work: None,
        money: None,
        money_events,
        answering: JoinSet::new(),
        quitting: false,
    };
    let server =
        Server::start(listener, Watches { status: status_watch, picture: picture_watch }, server_sender);
    daemon.begin(click_sender).await;

    while !daemon.quitting {
        let event = {
            let (status, picture) = match &mut daemon.work {
                Some(work) => (Some(&mut work.status), Some(&mut work.picture)),
                None => (None, None),
            };
            tokio::select! {
                () = signals.any() => Event::Signal,
                Some(event) = server_events.recv() => Event::Server(event),
                Some(action) = clicks.recv() => Event::Tray(action),
                Some(event) = window_events.recv() => Event::Window(event),
                Some(event) = from_money.recv() => Event::Money(event),
                () = changed(status) => Event::Status,
                () = changed(picture) => Event::Picture,
            }
        };
        daemon.on(event).await;
    }
    tracing::info!("ending");
    server.shutdown().await;
    daemon.end().await;
    tracing::info!("ended");
    Ok(())
}

impl Daemon {
    /// Everything that happens once, before the first event.
    async fn begin(&mut self, clicks: mpsc::UnboundedSender<Action>) {
        if let Some(file) = self.start.profile.clone() {
            self.load_joined();
            if let Err(error) = self.join(&file).await {
                tracing::warn!(code = ?error.code, detail = %error.detail, "the profile is not joined");
                self.note(error.code, error.detail);
            }
        } else {
            self.load_joined();
        }
        if self.work.is_none()
            && let Err(error) = self.start_work().await
        {
            tracing::debug!(code = ?error.code, "noted for the owner");
        }
        self.publish().await;
        if !self.start.headless {
            let status = self.status.borrow().clone();
            let menu = tray::menu(&status, &self.words, now(), &self.zone);
            self.tray = Tray::show(menu, tray::icon(&status), clicks).await;
            if !self.start.hidden
                && let Err(error) = self.windows.open().await
            {
                tracing::warn!(%error, "the window does not open");
                crate::terminal::complain(&self.words.error(LocalError::from(&error).code));
            }
        }
    }

    async fn on(&mut self, event: Event) {
        match event {
            Event::Server(ServerEvent::Ask(ask)) => self.answer(ask).await,
            Event::Server(ServerEvent::Redeem { token, reply }) => {
                let grant = self.grants.redeem(&token, Instant::now());
                if reply.send(grant).is_err() {
                    tracing::debug!("a vault left before it was admitted");
                }
            }
            Event::Server(ServerEvent::VaultGone { grant }) => self.end_grant(grant),
            Event::Tray(action) => self.click(action).await,
            Event::Window(event) => {
                self.windows.closed(event);
                if let WindowEvent::VaultClosed(grant) = event {
                    self.end_grant(grant);
                }
            }
            Event::Status => self.publish().await,
            Event::Picture => {
                let picture = self.work.as_mut().and_then(|work| work.picture.borrow_and_update().clone());
                self.picture.send_replace(picture.map(Arc::new));
            }
            Event::Money(MoneyEvent::Changed) => self.publish().await,
            Event::Money(MoneyEvent::Balance(change)) => self.print(&change),
            Event::Money(MoneyEvent::Decided(decided)) => self.decided(decided).await,
            Event::Signal => self.quitting = true,
        }
        while let Some(ended) = self.answering.try_join_next() {
            if let Err(error) = ended {
                tracing::warn!(%error, "an answer ended badly");
            }
        }
    }

    async fn click(&mut self, action: Action) {
        let command = match action {
            Action::Snooze(span) => Command::Snooze { span },
            Action::Resume => Command::Resume,
            Action::Open => Command::OpenWindow,
            Action::Quit => Command::Quit,
        };
        let (to, mut answered) = mpsc::unbounded_channel();
        self.answer(Ask { from: Asker::Window, command, reply: Reply::new(0, to) }).await;
        self.answering.spawn(async move {
            if let Some((_, Err(error))) = answered.recv().await {
                tracing::warn!(code = ?error.code, detail = %error.detail, "a click in the tray failed");
            }
        });
    }

    async fn answer(&mut self, ask: Ask) {
        let Ask { from, command, reply } = ask;
        match (from, command) {
            (_, Command::Quit) => {
                reply.send(Ok(Answer::Done));
                self.quitting = true;
            }
            (_, Command::OpenWindow) => {
                let opened = self.windows.open().await;
                reply.send(opened.map(|()| Answer::Done).map_err(|error| (&error).into()));
            }
            (_, Command::JoinNetwork { path }) => {
                let joined = self.join(Path::new(&path)).await;
                self.publish().await;
                reply.send(joined.map(|()| Answer::Done));
            }
            (from, Command::OpenVault { purpose }) => {
                let opened = self.open_vault(from, purpose).await;
                reply.send(opened);
            }
            (Asker::Vault(grant), Command::VaultView) => match (self.grants.purpose(grant), &self.money) {
                (Some(purpose), Some(money)) => money.show(grant, purpose.clone(), self.face(), reply),
                _ => reply.send(Err(failure(ErrorCode::BadToken, "the decision is over"))),
            },
            (Asker::Vault(grant), Command::VaultDecide { decision }) => self.decide(grant, decision, reply),
            (_, Command::Wallet) => match &self.money {
                Some(money) => money.view(reply),
                None => reply.send(Err(no_network())),
            },
            (_, Command::Quote { to, amount }) => match &self.money {
                Some(money) => money.quote(to, amount, reply),
                None => reply.send(Err(no_network())),
            },
            (_, command) => self.forward(command, reply),
        }
    }

    /// Hands a request to the engine and its answer to whoever asked, beside the loop.
    fn forward(&mut self, command: Command, reply: Reply) {
        if self.work.is_none() {
            return reply.send(Err(no_network()));
        }
        if let Command::FinishWelcome { autostart } = &command {
            self.set_autostart(*autostart);
        }
        if let Command::SetPreferences { preferences } = &command {
            let (autostart, language, appearance) =
                (preferences.autostart, preferences.language.clone(), preferences.appearance);
            self.set_autostart(autostart);
            self.speak(&language, appearance);
        }
        let Some(work) = self.work.as_ref() else { return reply.send(Err(no_network())) };
        let asked = work.ask(command);
        self.answering.spawn(async move { reply.send(asked.await) });
    }

    fn set_autostart(&mut self, enabled: bool) {
        if let Err(error) = crate::autostart::set(self.home.config(), &self.own_path, enabled) {
            tracing::warn!(%error, enabled, "cannot change whether Hearth starts with the session");
            self.note(ErrorCode::Internal, error.to_string());
        }
    }

    /// Speaks another language from now on; empty means that of the session.
    fn speak(&mut self, language: &str, appearance: Appearance) {
        let tag = if language.is_empty() { crate::terminal::language() } else { language.to_owned() };
        self.words = Catalogue::new(&tag);
        self.language = language.to_owned();
        self.appearance = appearance;
    }

    fn face(&self) -> Face {
        let language = if self.language.is_empty() { self.words.language() } else { &self.language };
        Face { language: language.to_owned(), appearance: self.appearance }
    }

    async fn open_vault(&mut self, from: Asker, purpose: VaultPurpose) -> Result<Answer, LocalError> {
        let brief = self.money.as_ref().ok_or_else(no_network)?.brief();
        may_open(brief, &purpose)?;
        let mut random = zeroize::Zeroizing::new([0; 32]);
        getrandom::fill(&mut *random)
            .map_err(|error| failure(ErrorCode::Internal, format!("no random numbers: {error}")))?;
        if from == Asker::Terminal {
            let (_, token) = self.grants.issue(purpose, Holder::Terminal, *random, Instant::now());
            return Ok(Answer::Text { file_name: "token".to_owned(), text: token.to_string() });
        }
        if let Some(open) = self.grants.of_window().map(|grant| grant.id) {
            self.end_grant(open);
        }
        let (grant, token) = self.grants.issue(purpose, Holder::Window, *random, Instant::now());
        match self.windows.open_vault(grant, &token).await {
            Ok(()) => Ok(Answer::Done),
            Err(error) => {
                self.end_grant(grant);
                Err((&error).into())
            }
        }
    }

    fn decide(&mut self, grant: GrantId, decision: VaultDecision, reply: Reply) {
        match self.grants.purpose(grant) {
            Some(purpose) if fits(purpose, &decision) => {}
            Some(_) => {
                return reply.send(Err(failure(ErrorCode::NotAllowed, "another decision was granted")));
            }
            None => return reply.send(Err(failure(ErrorCode::BadToken, "the decision is over"))),
        }
        if matches!(decision, VaultDecision::Cancel) {
            self.end_grant(grant);
            return reply.send(Ok(Answer::Done));
        }
        let Some(money) = &self.money else { return reply.send(Err(no_network())) };
        if !self.deciding.insert(grant) {
            return reply.send(Err(failure(ErrorCode::Busy, "a decision is being carried out")));
        }
        money.decide(grant, decision, reply);
    }

    async fn decided(&mut self, decided: Decided) {
        self.deciding.remove(&decided.grant);
        if decided.accepted {
            self.end_grant(decided.grant);
        }
        decided.reply.send(decided.answer);
        self.publish().await;
    }

    /// The decision is taken, or whoever was to take it is gone; the wallet wipes what it kept for it.
    fn end_grant(&mut self, grant: GrantId) {
        self.grants.end(grant);
        if let Some(money) = &self.money {
            money.forget(grant);
        }
    }

    fn load_joined(&mut self) {
        match joined::load(&self.home.profile(), now()) {
            Ok(joined) => self.joined = joined,
            Err(error) => {
                tracing::warn!(%error, "the joined network's profile is not used");
                let local = LocalError::from(&error);
                self.note(local.code, local.detail);
            }
        }
    }

    /// Joins the network of a profile file; a running engine of an older profile is replaced.
    async fn join(&mut self, file: &Path) -> Result<(), LocalError> {
        let joined = joined::join(file, &self.home.profile(), self.joined.as_ref(), now())
            .map_err(|error| LocalError::from(&error))?;
        let unchanged = self.joined.as_ref() == Some(&joined);
        self.joined = Some(joined);
        self.notices.retain(|notice| !is_about_profile(notice.code));
        if unchanged && self.work.is_some() {
            return Ok(());
        }
        self.stop_work().await;
        self.start_work().await
    }

    /// Starts engine and wallet of the joined network. What fails is noted for the owner and returned.
    async fn start_work(&mut self) -> Result<(), LocalError> {
        let Some(joined) = self.joined.clone() else { return Ok(()) };
        let started = Work::start(&self.home, &self.own_path, &joined);
        let work = match started {
            Ok(work) => work,
            Err(error) => return Err(self.failed("the engine does not start", error)),
        };
        if let Ok(preferences) = work.preferences().await {
            self.speak(&preferences.language, preferences.appearance);
        }
        let money = Money::start(&self.home, &joined, &work, self.money_events.clone());
        self.work = Some(work);
        match money {
            Ok(money) => self.money = Some(money),
            Err(error) => return Err(self.failed("the wallet does not start", error)),
        }
        Ok(())
    }

    fn failed(&mut self, what: &str, error: LocalError) -> LocalError {
        tracing::error!(code = ?error.code, detail = %error.detail, "{what}");
        self.note(error.code, error.detail.clone());
        error
    }

    async fn stop_work(&mut self) {
        if let Some(money) = self.money.take() {
            money.shutdown().await;
        }
        if let Some(work) = self.work.take() {
            work.shutdown().await;
        }
    }

    fn note(&mut self, code: ErrorCode, detail: String) {
        self.notices.retain(|notice| notice.code != code);
        self.notices.push(Notice { code, at: now(), detail });
    }

    /// Makes the status anew and shows it everywhere.
    async fn publish(&mut self) {
        let brief = self.money.as_ref().map_or(WalletBrief::None, Money::brief);
        let mut status = match &mut self.work {
            Some(work) => work.status.borrow_and_update().clone(),
            None => idle_status(now()),
        };
        status.wallet = brief;
        if self.work.is_none() && self.joined.is_none() && self.notices.is_empty() {
            let error = no_network();
            status.notices.push(Notice { code: error.code, at: status.at, detail: error.detail });
        }
        status.notices.extend_from_slice(&self.notices);
        let status = Arc::new(status);
        self.status.send_replace(Arc::clone(&status));
        if let Some(tray) = &mut self.tray {
            let menu = tray::menu(&status, &self.words, now(), &self.zone);
            tray.update(menu, tray::icon(&status)).await;
        }
        if !self.start.headless
            && let Some(due) = self.spoken.due(&status, &self.words, now(), &self.zone)
        {
            self.answering.spawn(notification::show(due));
        }
        if self.start.headless {
            for change in headless::changes(self.printed.as_deref(), &status) {
                self.print(&change);
            }
            self.printed = Some(status);
        }
    }

    fn print(&mut self, change: &headless::Change) {
        if !self.start.headless {
            return;
        }
        let line = if self.start.json {
            headless::json_line(change)
        } else {
            headless::line(change, &self.status.borrow(), &self.words, &self.zone)
        };
        let mut out = io::stdout().lock();
        if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
            tracing::debug!("nobody reads the progress");
        }
    }

    async fn end(mut self) {
        if let Some(tray) = self.tray.take() {
            tray.close().await;
        }
        self.windows.end().await;
        self.stop_work().await;
        let answered = timeout(ANSWERS_WITHIN, async { while self.answering.join_next().await.is_some() {} });
        if answered.await.is_err() {
            self.answering.shutdown().await;
        }
    }
}

/// Waits until a watched value changes; for ever without one.
async fn changed<T>(watched: Option<&mut watch::Receiver<T>>) {
    match watched {
        Some(watched) => {
            if watched.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
        None => std::future::pending().await,
    }
}

/// The failure of everything that needs a network while none is joined.
fn no_network() -> LocalError {
    failure(ErrorCode::NoNetwork, "no network is joined: hearth join FILE")
}

fn is_about_profile(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::ProfileSignature
            | ErrorCode::ProfileCounter
            | ErrorCode::ProfileExpired
            | ErrorCode::ProfileUnreadable
            | ErrorCode::NoNetwork
    )
}

/// Whether a decision makes sense for the wallet as it is.
fn may_open(brief: WalletBrief, purpose: &VaultPurpose) -> Result<(), LocalError> {
    let code = match (purpose, brief) {
        (_, WalletBrief::Unreadable) => ErrorCode::WalletUnreadable,
        (VaultPurpose::Create | VaultPurpose::Restore, WalletBrief::Ready | WalletBrief::NotBackedUp) => {
            ErrorCode::WalletExists
        }
        (VaultPurpose::Withdraw { .. } | VaultPurpose::Backup, WalletBrief::None) => ErrorCode::WalletMissing,
        _ => return Ok(()),
    };
    Err(failure(code, "the wallet's state does not allow it"))
}

/// Whether a decision is one of those that the purpose grants.
fn fits(purpose: &VaultPurpose, decision: &VaultDecision) -> bool {
    match (purpose, decision) {
        (_, VaultDecision::Cancel)
        | (VaultPurpose::Create, VaultDecision::Create { .. })
        | (VaultPurpose::Restore, VaultDecision::Restore { .. })
        | (VaultPurpose::Backup, VaultDecision::ShowWords { .. } | VaultDecision::CheckWords { .. }) => true,
        (VaultPurpose::Withdraw { quote: granted }, VaultDecision::Withdraw { quote, .. }) => {
            granted == quote
        }
        _ => false,
    }
}

/// What is true while there is no engine.
fn idle_status(now: UnixMillis) -> Status {
    Status {
        at: now,
        network: String::new(),
        state: State::Waiting,
        since_at: now,
        reasons: Vec::new(),
        card: CardLane {
            sharing: false,
            adapter: None,
            confinement: None,
            limit_percent: 100,
            duty_percent: None,
            light: false,
            watts: None,
            celsius: None,
            bundles_today: 0,
            slices_today: 0,
            yielded_in_millis: None,
            yield_p99_millis: None,
        },
        upload: UploadLane {
            reasons: Vec::new(),
            sharing: false,
            measured_bits_per_s: None,
            limit_bits_per_s: None,
        },
        sent_today: SentToday { sent_bytes: 0, received_bytes: 0 },
        work: None,
        today: Figures { unit: String::new(), paid: "0".to_owned(), electricity: None, net: None },
        snooze: None,
        benchmark: None,
        welcomed: false,
        notices: Vec::new(),
        wallet: WalletBrief::None,
    }
}

/// The signals by which a system ends a program.
#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn any(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::local::SecretText;

    use super::*;

    #[test]
    fn a_grant_admits_only_its_own_decision_and_quote() {
        let secret = || SecretText::new("x".into());
        let withdraw = |quote: &str| VaultDecision::Withdraw { quote: quote.into(), passphrase: secret() };
        let granted = VaultPurpose::Withdraw { quote: "aa".into() };
        assert!(fits(&granted, &withdraw("aa")));
        assert!(!fits(&granted, &withdraw("ab")), "another quote was never shown");
        assert!(
            !fits(&granted, &VaultDecision::ShowWords { passphrase: secret() }),
            "words are another decision"
        );
        assert!(!fits(&VaultPurpose::Backup, &withdraw("aa")));
        assert!(fits(&VaultPurpose::Backup, &VaultDecision::Cancel));
    }

    #[test]
    fn a_wallet_that_is_there_or_broken_is_never_created_over() {
        let code = |brief, purpose: VaultPurpose| may_open(brief, &purpose).err().map(|error| error.code);
        assert_eq!(code(WalletBrief::None, VaultPurpose::Create), None);
        assert_eq!(code(WalletBrief::Ready, VaultPurpose::Create), Some(ErrorCode::WalletExists));
        assert_eq!(code(WalletBrief::Unreadable, VaultPurpose::Restore), Some(ErrorCode::WalletUnreadable));
        assert_eq!(code(WalletBrief::None, VaultPurpose::Backup), Some(ErrorCode::WalletMissing));
    }
}
