//! The conversation between the agent and its clients on this machine: the window, the vault window and the terminal.
//!
//! A frame is a little-endian u32 length and that many bytes of JSON, at most [`MAX_FRAME_BYTES`]. The client says
//! [`ClientFrame::Hello`] first; an agent of another build refuses it. Requests are answered by number; between answers
//! the agent pushes the present [`Status`] (latest wins, at most four a second) to clients that asked for it.
//!
//! The agent sends codes and figures, never sentences: `words` and the page turn them into the reader's language.
//! Passphrases and recovery words travel only on a connection that said hello as [`Role::Vault`] with the one-time
//! token of one decision. The types here are the page's types too: `ui/src/lib/backend/bindings.ts` is made from them.

mod privacy;

use std::fmt;

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::credit::CreditKind;
use crate::frames::{Adapter, Confinement};
use crate::manifest::Family;
use crate::units::UnixMillis;
use crate::wire::NoWork;

pub use privacy::{
    EgressView, JobName, KeptMessages, Notation, Privacy, PrivacyHour, PrivacyRow, PrivacySum, SentMessage,
    SumOf, SystemCounterView, SystemView, Witness,
};

/// Largest frame in either direction.
pub const MAX_FRAME_BYTES: usize = 1024 * 1024;

/// What a client sends.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum ClientFrame {
    /// First frame.
    Hello {
        /// Build of the client; must equal the agent's.
        build: String,
        /// What it is.
        role: Role,
    },
    /// A numbered request.
    Request {
        /// Chosen by the client, echoed in the answer.
        id: u32,
        /// What is asked.
        command: Box<Command>,
    },
}

/// Who a client is.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case", tag = "role")]
pub enum Role {
    /// The window's page.
    Window,
    /// A terminal command.
    Terminal,
    /// The vault window, opened by the agent for one decision.
    Vault {
        /// One-time token from the inherited pipe, hex.
        token: String,
    },
}

/// What the agent sends.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum AgentFrame {
    /// Answer to hello.
    Welcome {
        /// Build of the agent.
        build: String,
    },
    /// Answer to hello of another build, or with a wrong token; the connection ends.
    Refused {
        /// Why.
        code: ErrorCode,
    },
    /// Answer to a request.
    Answer {
        /// Number of the request.
        id: u32,
        /// What came of it.
        answer: Box<Answer>,
    },
    /// Answer to a request that failed.
    Failed {
        /// Number of the request.
        id: u32,
        /// Why.
        error: LocalError,
    },
    /// The present state.
    Status {
        /// All of it.
        status: Box<Status>,
    },
    /// A new picture of the work.
    Picture {
        /// The picture.
        picture: Box<Picture>,
    },
}

/// What a client may ask. Commands that move money or show secrets need [`Role::Vault`].
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case", tag = "command")]
pub enum Command {
    /// Push [`Status`] from now on.
    WatchStatus,
    /// Push [`Picture`] from now on.
    WatchPicture,
    /// The present status once.
    Status,
    /// Pause sharing.
    Snooze {
        /// For how long.
        span: Snooze,
    },
    /// End a snooze.
    Resume,
    /// Share for a few minutes in light mode although somebody is here (Welcome).
    ShareNow,
    /// The present preferences.
    Preferences,
    /// Replace the preferences.
    SetPreferences {
        /// All of them.
        preferences: Preferences,
    },
    /// Everything that is looked at before the card is shared, and how each of it stands now.
    Checks,
    /// Measure the graphics card and the line; progress shows in [`Status::benchmark`].
    Measure,
    /// Stop the measurement.
    CancelMeasure,
    /// Welcome is done.
    FinishWelcome {
        /// Whether Hearth starts with the session.
        autostart: bool,
    },
    /// Earnings of a span.
    Earnings {
        /// First instant.
        from_at: UnixMillis,
    },
    /// A signed statement of all receipts, as text to save.
    Statement,
    /// The privacy report of a span.
    Privacy {
        /// First instant.
        from_at: UnixMillis,
        /// The instant after the last one; empty for up to now.
        until_at: Option<UnixMillis>,
    },
    /// One message as it was sent, while it is kept.
    SentMessage {
        /// [`EgressView::row`] of its sending.
        #[ts(type = "number")]
        row: i64,
    },
    /// Delete what the journal holds of sendings that have ended. What was sent stays sent.
    DeleteHistory,
    /// The journal as text to save.
    Journal {
        /// In which form.
        format: ExportFormat,
    },
    /// The wallet page.
    Wallet,
    /// Prices a withdrawal; nothing is signed.
    Quote {
        /// Recipient as typed.
        to: String,
        /// Amount as typed, in tokens with a decimal point; empty withdraws all.
        amount: String,
    },
    /// Opens the vault window for a decision.
    OpenVault {
        /// Which decision.
        purpose: VaultPurpose,
    },
    /// Join the network of this profile file.
    JoinNetwork {
        /// Path of the file.
        path: String,
    },
    /// What the vault window has to show. Vault only.
    VaultView,
    /// The owner's decision. Vault only; the connection is good for one accepted decision.
    VaultDecide {
        /// The decision with its secrets.
        decision: VaultDecision,
    },
    /// Opens the window (asked by a second start of `hearth`).
    OpenWindow,
    /// Ends the agent.
    Quit,
}

/// What comes back.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case", tag = "answer")]
pub enum Answer {
    /// Done; nothing to show.
    Done,
    /// The present status.
    Status {
        /// All of it.
        status: Box<Status>,
    },
    /// The present preferences.
    Preferences {
        /// All of them.
        preferences: Preferences,
    },
    /// Answer to [`Command::Checks`].
    Checks {
        /// In the order in which one becomes the headline.
        checks: Vec<Check>,
    },
    /// Earnings of a span.
    Earnings {
        /// The page.
        earnings: Earnings,
    },
    /// Text to save.
    Text {
        /// Suggested name.
        file_name: String,
        /// Contents.
        text: String,
    },
    /// The privacy report.
    Privacy {
        /// The page.
        privacy: Privacy,
    },
    /// Answer to [`Command::SentMessage`].
    SentMessage {
        /// The message; empty when it is no longer kept.
        message: Option<SentMessage>,
    },
    /// The wallet page.
    Wallet {
        /// The page.
        wallet: WalletView,
    },
    /// A price.
    Quote {
        /// The price.
        quote: Quote,
    },
    /// What the vault window shows.
    Vault {
        /// The decision.
        view: VaultView,
    },
    /// Words to write down. Vault only.
    Words {
        /// 12 or 24 words.
        words: SecretText,
    },
}

/// A failure that a person can act on; the page has a sentence for each code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct LocalError {
    /// Which failure.
    pub code: ErrorCode,
    /// For support and logs; never shown alone.
    pub detail: String,
}

/// Failures of local requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// Client and agent come from different builds.
    OtherBuild,
    /// The token is unknown, used or expired.
    BadToken,
    /// This role may not ask that.
    NotAllowed,
    /// The frame cannot be read.
    Malformed,
    /// Too many clients or requests.
    Busy,
    /// A preference is out of its range.
    Preference,
    /// No wallet file.
    WalletMissing,
    /// The wallet file is there and cannot be read; it was left as it is.
    WalletUnreadable,
    /// A wallet file is there already.
    WalletExists,
    /// The passphrase does not open the wallet.
    WrongPassphrase,
    /// The passphrase is too easy to guess.
    WeakPassphrase,
    /// The words are no recovery words.
    BadWords,
    /// The words typed back differ.
    QuizFailed,
    /// Not an address.
    AddressMalformed,
    /// The address has a typing error: its checksum does not fit.
    AddressChecksum,
    /// The address is one that money must not go to (zero, the token, the distributor).
    AddressForbidden,
    /// Not an amount.
    AmountMalformed,
    /// More digits than the token has.
    AmountTooPrecise,
    /// More than the balance.
    AmountAboveBalance,
    /// Not more than the fee.
    AmountBelowFee,
    /// Another withdrawal is still on its way.
    WithdrawalPending,
    /// The price is no longer good.
    QuoteExpired,
    /// No relayer or chain node answers.
    ChainUnreachable,
    /// The chain is not the network's chain.
    WrongChain,
    /// The distributor's code is not the one that this build knows.
    UnknownContract,
    /// The coordinator does not answer.
    CoordinatorUnreachable,
    /// The coordinator speaks another protocol version.
    CoordinatorVersion,
    /// No network has been joined yet.
    NoNetwork,
    /// The profile's signature does not fit.
    ProfileSignature,
    /// The profile is older than the one known.
    ProfileCounter,
    /// The profile has expired.
    ProfileExpired,
    /// The profile file cannot be read.
    ProfileUnreadable,
    /// The disk is full.
    DiskFull,
    /// The preferences file could not be read; it was kept aside.
    PreferencesUnreadable,
    /// The journal could not be read; it was kept aside.
    JournalUnreadable,
    /// No graphics driver that can compute.
    NoDriver,
    /// No display for a window.
    NoDisplay,
    /// Something else; the detail says what.
    Internal,
}

/// For how long sharing pauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Snooze {
    /// 15 minutes.
    Minutes15,
    /// One hour.
    Hour1,
    /// Four hours.
    Hours4,
    /// Until six in the morning, local time.
    UntilTomorrow,
    /// Until the owner resumes.
    UntilResume,
}

/// Forms of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum ExportFormat {
    /// Comma-separated values with a head line.
    Csv,
    /// One JSON object.
    Json,
}

/// Everything that window, tray and terminal show of the present.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct Status {
    /// When this was true.
    pub at: UnixMillis,
    /// Name of the network.
    pub network: String,
    /// The one state.
    pub state: State,
    /// Since when.
    pub since_at: UnixMillis,
    /// Every reason that applies now, the headline first; empty while sharing.
    pub reasons: Vec<Reason>,
    /// The graphics card's lane.
    pub card: CardLane,
    /// The upload's lane.
    pub upload: UploadLane,
    /// What left the machine today.
    pub sent_today: SentToday,
    /// The present work, kept while paused.
    pub work: Option<Work>,
    /// Today's earnings.
    pub today: Money,
    /// Until when a snooze lasts; `until_at` empty means until resume.
    pub snooze: Option<SnoozeView>,
    /// The measurement, running or last.
    pub benchmark: Option<Benchmark>,
    /// Whether Welcome is done.
    pub welcomed: bool,
    /// Notices that stay until they are dealt with.
    pub notices: Vec<Notice>,
    /// The wallet in brief.
    pub wallet: WalletBrief,
}

/// The states of `look/README.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The card works (or the upload, see the lanes).
    Sharing,
    /// Only the upload is shared.
    SharingUpload,
    /// The card works, the coordinator is out of reach.
    WorkingOffline,
    /// Ready, but one thing is missing.
    Waiting,
    /// The owner, or a rule of the owner's, holds it.
    Paused,
    /// Stopped; a person must act.
    Attention,
    /// Turned off.
    Off,
}

/// One reason why the card does not share, and what ends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Reason {
    /// Which.
    pub code: ReasonCode,
    /// Since when.
    pub since_at: UnixMillis,
    /// When it ends at the earliest, where that is known.
    pub ends_at: Option<UnixMillis>,
    /// The figure seen (a percentage, °C, minutes), where there is one.
    pub seen: Option<u32>,
    /// The limit that the figure is held against.
    pub limit: Option<u32>,
    /// Name of a program, where one is the reason.
    pub subject: Option<String>,
}

/// Why the card does not share. Serves for waiting (what is missing) and paused (who holds it).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum ReasonCode {
    /// The owner snoozed it.
    Snoozed,
    /// Welcome is not done.
    NotWelcomed,
    /// Somebody uses mouse or keyboard.
    UserActive,
    /// Whether somebody is here cannot be known, so somebody is.
    InputUnknown,
    /// Another user is at the screen.
    OtherUser,
    /// Somebody uses this computer from afar.
    RemoteSession,
    /// On battery.
    OnBattery,
    /// Whether it is on battery cannot be known.
    PowerUnknown,
    /// The system saves power.
    PowerSaver,
    /// Outside the hours of the schedule.
    Schedule,
    /// A program fills the screen.
    FullscreenApp,
    /// A program named by the owner runs.
    ExclusiveApp,
    /// A microphone or a camera is in use: somebody is in a call.
    InCall,
    /// A player plays music or a film.
    MediaPlaying,
    /// A program keeps the screen on: a film, a presentation.
    ScreenKeptOn,
    /// Other programs use the processor.
    CpuBusy,
    /// Other programs use the card.
    GpuBusy,
    /// The card is too warm.
    GpuHot,
    /// The processor is too warm.
    CpuHot,
    /// Data costs money on this link.
    Metered,
    /// Whether data costs money on this link cannot be known.
    MeteredUnknown,
    /// A VPN is up. Holds the upload alone.
    Vpn,
    /// The disk is nearly full.
    DiskLow,
    /// The system falls asleep or just woke.
    SystemSleep,
    /// The measurement runs.
    Benchmarking,
    /// Work would cost more electricity than it pays.
    AtALoss,
    /// The program just started.
    Starting,
    /// No graphics driver that can compute.
    NoDriver,
    /// Only a software renderer, and the network does not take those.
    SoftwareDriver,
    /// The worker failed again and again.
    WorkerFailing,
    /// The card or its driver gave wrong answers to questions whose answers are known.
    Miscomputes,
    /// The coordinator does not answer.
    CoordinatorUnreachable,
    /// The coordinator speaks another protocol version.
    CoordinatorVersion,
    /// The coordinator has no work.
    NoWork,
    /// The device is suspended by the coordinator.
    DeviceSuspended,
    /// The journal cannot be written, so nothing may be sent.
    JournalFailing,
    /// The owner turned sharing off.
    TurnedOff,
}

/// One rule, and what it says now: a line of "why not now?".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Check {
    /// The reason that this rule gives when it holds.
    pub code: ReasonCode,
    /// How it stands.
    pub verdict: Verdict,
    /// The figure seen (a percentage, °C, minutes, MB), where there is one.
    pub seen: Option<u32>,
    /// The limit that the figure is held against.
    pub limit: Option<u32>,
    /// The reason in full, while it holds.
    pub reason: Option<Reason>,
}

/// How a rule stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing to hold against sharing.
    Clear,
    /// It holds the card, the upload or both.
    Holds,
    /// The owner has turned the rule off.
    Off,
    /// Not read yet.
    NotYet,
    /// Not known: nothing on this computer tells it. Does not hold.
    NoSource,
    /// Not known: Hearth cannot read it on this system yet. Does not hold.
    NotWrittenYet,
    /// Not known: what tells it has failed. Does not hold.
    Failed,
    /// Not known: what tells it did not answer in time. Does not hold.
    TimedOut,
}

/// The graphics card now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct CardLane {
    /// Whether it computes for others now.
    pub sharing: bool,
    /// The adapter, once a worker has opened it.
    pub adapter: Option<Adapter>,
    /// Walls round the worker.
    pub confinement: Option<Confinement>,
    /// Share of the card that may be used, percent.
    pub limit_percent: u8,
    /// Share of the time that it works now, percent: less than the limit while somebody is here or it is warm.
    pub duty_percent: Option<u8>,
    /// It works in light mode: somebody is here, and has its smaller share allowed.
    pub light: bool,
    /// Power in watts, where it can be read.
    pub watts: Option<u32>,
    /// Temperature in °C, where it can be read.
    pub celsius: Option<u32>,
    /// Bundles finished today.
    pub bundles_today: u32,
    /// Slices finished today.
    pub slices_today: u32,
    /// How long the last hand-back took, in milliseconds, as observed from outside the worker.
    pub yielded_in_millis: Option<f64>,
    /// 99th percentile of the hand-backs of 30 days, in milliseconds.
    pub yield_p99_millis: Option<f64>,
}

/// The upload now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct UploadLane {
    /// Why nothing may be uploaded now; empty while it may.
    pub reasons: Vec<Reason>,
    /// Whether files are delivered to other homes.
    pub sharing: bool,
    /// Measured uplink in bit/s.
    #[ts(type = "number | null")]
    pub measured_bits_per_s: Option<u64>,
    /// The most that Hearth may use, in bit/s.
    #[ts(type = "number | null")]
    pub limit_bits_per_s: Option<u64>,
}

/// What left today, by the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct SentToday {
    /// Bytes sent.
    #[ts(type = "number")]
    pub sent_bytes: u64,
    /// Bytes received.
    #[ts(type = "number")]
    pub received_bytes: u64,
}

/// What is being computed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Work {
    /// Title of the program.
    pub title: String,
    /// What it is for and for whom.
    pub purpose: String,
    /// Name of the publisher in the network's profile.
    pub publisher: String,
    /// Which picture fits.
    pub family: Family,
    /// Slices of the bundle that are done.
    pub slices_done: u32,
    /// Slices of the bundle.
    pub slices_total: u32,
    /// Thousandths of the present slice.
    pub slice_permille: u16,
    /// Lines found so far in this bundle.
    pub hits: Vec<HitView>,
    /// Price of one accepted slice, token as decimal text.
    pub price_per_slice: String,
    /// Until when the result is due.
    pub deadline_at: UnixMillis,
}

/// A found line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct HitView {
    /// Frequency in Hz.
    #[ts(type = "number")]
    pub frequency_hz: u64,
    /// Drift in micro-Hz per second.
    #[ts(type = "number")]
    pub drift_micro_hz_s: i64,
    /// Signal to noise in thousandths.
    #[ts(type = "number")]
    pub snr_milli: u64,
}

/// A picture of the present work, of the kind that fits its family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Picture {
    /// Of a signal search: the slice at hand.
    Waterfall(Waterfall),
    /// Of a rendering: what is there of the image.
    Image(Image),
}

/// An image that grows while its tiles are computed, small enough to be sent after each of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Image {
    /// Columns of this copy, at most 256.
    pub columns: u16,
    /// Rows of this copy, at most 256.
    pub rows: u16,
    /// Red, green, blue and opacity of each pixel, row by row, base64. What this home has not computed is transparent.
    pub rgba: String,
    /// Pixels across of the image itself.
    pub width: u32,
    /// Pixels down of the image itself.
    pub height: u32,
    /// Tiles that this home has computed.
    pub tiles_done: u32,
    /// Tiles of the image; other homes compute the rest.
    pub tiles_total: u32,
}

/// The slice of a search at hand as levels, and a spectrum of what has been searched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Waterfall {
    /// Columns: frequency, left to right ascending.
    pub columns: u16,
    /// Rows: one per spectrum, first on top.
    pub rows: u16,
    /// `rows * columns` levels, 0 to 255, base64.
    pub levels: String,
    /// Frequency of the left edge in Hz.
    #[ts(type = "number")]
    pub left_hz: u64,
    /// Frequency of the right edge in Hz.
    #[ts(type = "number")]
    pub right_hz: u64,
    /// Time from the first to the last row in milliseconds.
    pub span_millis: u32,
    /// The line found in this window, with its columns in the first and last row.
    pub mark: Option<Mark>,
    /// One entry per finished slice of the bundle.
    pub searched: Vec<SearchedSlice>,
}

/// A found line in a waterfall.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Mark {
    /// The line.
    pub hit: HitView,
    /// Column in the first row.
    pub first_column: u16,
    /// Column in the last row.
    pub last_column: u16,
}

/// The spectrum of one finished slice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct SearchedSlice {
    /// Frequency of the left edge in Hz.
    #[ts(type = "number")]
    pub left_hz: u64,
    /// Frequency of the right edge in Hz.
    #[ts(type = "number")]
    pub right_hz: u64,
    /// Largest level in a few columns, 0 to 255.
    pub levels: Vec<u8>,
    /// Whether a line was found in it.
    pub hit: bool,
}

/// Amounts in tokens as decimal text with all digits; `net` may start with a minus sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Money {
    /// Unit, for example `EMBER`.
    pub unit: String,
    /// Credit by receipts.
    pub paid: String,
    /// Electricity in tokens, where power and both prices are known.
    pub electricity: Option<String>,
    /// Paid less electricity, where electricity is known.
    pub net: Option<String>,
}

/// A snooze.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct SnoozeView {
    /// Until when; empty means until the owner resumes.
    pub until_at: Option<UnixMillis>,
}

/// Something a person should know or do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Notice {
    /// Which.
    pub code: ErrorCode,
    /// When it came up.
    pub at: UnixMillis,
    /// A path or figure that belongs to it.
    pub detail: String,
}

/// The wallet in one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum WalletBrief {
    /// No wallet yet.
    None,
    /// There is one; its words are not written down yet.
    NotBackedUp,
    /// There is one.
    Ready,
    /// The file cannot be read.
    Unreadable,
}

/// The measurement of this machine. A figure that is missing was not reached yet, is not offered by this card, or failed
/// as `error` says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, TS)]
pub struct Benchmark {
    /// Step that runs, none when it is over.
    pub running: Option<BenchmarkStep>,
    /// Thousandths of the whole.
    pub permille: u16,
    /// When it ended.
    pub finished_at: Option<UnixMillis>,
    /// What computes.
    pub adapter: Option<Adapter>,
    /// 32-bit float multiply-adds, 10^9 operations per second; a multiply-add is two.
    pub float: Option<Rate>,
    /// 32-bit integer multiply-adds, 10^9 operations per second; a multiply-add is two.
    pub integer: Option<Rate>,
    /// 16-bit float multiply-adds, 10^9 operations per second, where the card offers them.
    pub half: Option<Rate>,
    /// Memory copy, 10^9 bytes per second, read and written bytes both counted.
    pub memory: Option<Rate>,
    /// From main memory to the card, 10^9 bytes per second.
    pub to_card_gbytes: Option<f64>,
    /// From the card to main memory, 10^9 bytes per second.
    pub from_card_gbytes: Option<f64>,
    /// From handing the card a piece of nearly no work to its end, in microseconds.
    pub dispatch_micros: Option<f64>,
    /// How the card held its speed.
    pub held: Option<Held>,
    /// Idle round trip to the coordinator in milliseconds.
    pub rtt_millis: Option<f64>,
    /// Upload in bit/s.
    #[ts(type = "number | null")]
    pub up_bits_per_s: Option<u64>,
    /// Download in bit/s.
    #[ts(type = "number | null")]
    pub down_bits_per_s: Option<u64>,
    /// Why a part is missing.
    pub error: Option<LocalError>,
}

/// A rate over several runs. The unit is that of the field which holds it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, TS)]
pub struct Rate {
    /// The best run: what the card can do.
    pub best: f64,
    /// The median run: what it usually does.
    pub median: f64,
    /// Standard deviation of the runs over their mean, in percent.
    pub spread_percent: f64,
    /// Number of runs.
    pub runs: u32,
}

/// Float arithmetic without a pause, against the best short run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct Held {
    /// Mean speed over the whole time in percent of the best run, at most 100.
    pub share_percent: f64,
    /// For how long, in seconds.
    pub seconds: f64,
    /// The card's sensors before the first program ran.
    pub before: CardState,
    /// The card's sensors while it still computed, at the end.
    pub at_end: CardState,
}

/// What a card's own sensors say at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct CardState {
    /// Temperature of the chip in °C.
    pub celsius: CardReading<u32>,
    /// Power of the whole card in watts.
    pub watts: CardReading<u32>,
    /// Its memory.
    pub memory: CardReading<CardMemory>,
    /// What keeps its clock below the highest; empty where nothing does.
    pub throttles: CardReading<Vec<Throttle>>,
}

/// A value from a card's own sensor, or why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum CardReading<T> {
    /// Read.
    Known(T),
    /// Not read.
    Unknown(Unread),
}

/// Why a card's sensor gave no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Unread {
    /// The driver, or its library for readings, is not on this computer.
    NoDriver,
    /// The system does not let this user read it.
    NotPermitted,
    /// The card does not answer: taken out, or fallen off its bus.
    Lost,
    /// This card, driver or system has no such sensor.
    NotOffered,
    /// Library and running driver have different versions, as after an update without a restart.
    DriverMismatch,
    /// Several cards are alike, and which of them computes is not told.
    Ambiguous,
    /// The card sleeps to save power, and reading would wake it.
    Asleep,
    /// The driver gave another error.
    Failed,
}

/// Memory of a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct CardMemory {
    /// In use by all programs, in bytes.
    #[ts(type = "number")]
    pub used_bytes: u64,
    /// All of it, in bytes.
    #[ts(type = "number")]
    pub total_bytes: u64,
}

/// What keeps a card's clock below the highest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Throttle {
    /// Its power limit.
    PowerLimit,
    /// Its temperature.
    Heat,
    /// The power supply asked for it.
    Supply,
    /// A clock that a person, the display or a group of cards prescribes.
    Setting,
    /// The hardware, which does not say why.
    Hardware,
}

/// Steps of the measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum BenchmarkStep {
    /// Opening the card in a worker.
    Opening,
    /// 32-bit float arithmetic.
    Float,
    /// 32-bit integer arithmetic.
    Integer,
    /// 16-bit float arithmetic.
    Half,
    /// Memory.
    Memory,
    /// Bringing data to the card and back.
    Transfer,
    /// Arithmetic without a pause.
    Sustained,
    /// Round trips.
    Latency,
    /// Download.
    Download,
    /// Upload.
    Upload,
}

/// The owner's rules. Every change takes effect at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Preferences {
    /// Sharing at all.
    pub enabled: bool,
    /// Idle time before the card is shared, in seconds, 0 to 7200.
    pub idle_after_seconds: u32,
    /// Share of the card while somebody is here, percent, 0 to 50; 0 pauses it.
    pub light_percent: u8,
    /// Share of the card, percent, 10 to 100.
    pub card_percent: u8,
    /// Share of the card's memory that work may take, percent, 10 to 100.
    pub card_memory_percent: u8,
    /// Temperature of the card that is held, °C, 50 to 95: it works less as it comes near.
    pub max_celsius: u8,
    /// Warmest processor, °C, 50 to 105.
    pub max_cpu_celsius: u8,
    /// Other programs' processor use above which sharing pauses, percent, 5 to 100.
    pub max_other_cpu_percent: u8,
    /// Whether to share on battery.
    pub on_battery: bool,
    /// Whether to share while the system saves power.
    pub with_power_saver: bool,
    /// Whether to share while a microphone or a camera is in use.
    pub in_calls: bool,
    /// Whether to share while a film or music plays or a program keeps the screen on.
    pub with_media: bool,
    /// Whether to share where data costs money.
    pub on_metered: bool,
    /// Whether to upload through a VPN.
    pub on_vpn: bool,
    /// Programs that pause sharing while they run.
    pub exclusive_programs: Vec<String>,
    /// Hours of the week in which sharing is allowed: 7 days from Monday, bit n = hour n.
    pub hours: [u32; 7],
    /// Upload limit in kbit/s; 0 means 75 % of the measured line.
    pub upload_kbits: u32,
    /// Most data a month, in MB; 0 means no limit.
    pub month_mbytes: u32,
    /// Free disk that stays free, in MB.
    pub min_free_disk_mbytes: u32,
    /// Price of electricity in thousandths of the currency per kWh, where the owner said it.
    pub electricity_milli_per_kwh: Option<u32>,
    /// Value of one token in thousandths of the same currency, where the owner said it.
    pub token_milli: Option<u32>,
    /// Power of the card while sharing, on top, in watts, where it cannot be read and the owner said it.
    pub watts: Option<u32>,
    /// Language: a BCP 47 tag, or empty for the system's.
    pub language: String,
    /// Appearance of the window.
    pub appearance: Appearance,
    /// Start with the session.
    pub autostart: bool,
}

/// Light or dark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Appearance {
    /// As the system.
    System,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

/// The earnings page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Earnings {
    /// Sum of the span.
    pub sum: Money,
    /// Latest day first.
    pub days: Vec<EarningsDay>,
    /// Why the present day has nothing, where that is so.
    pub no_work: Option<NoWork>,
}

/// One local day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct EarningsDay {
    /// Local date, `2026-11-23`.
    pub date: String,
    /// Time the card shared, in seconds.
    pub shared_seconds: u32,
    /// The day's amounts.
    pub money: Money,
    /// When the last receipt of the day is final.
    pub final_at: Option<UnixMillis>,
    /// Receipts, latest first.
    pub receipts: Vec<ReceiptView>,
}

/// One receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ReceiptView {
    /// Position in the chain.
    #[ts(type = "number")]
    pub sequence: u64,
    /// When it was written.
    pub issued_at: UnixMillis,
    /// When it is final.
    pub matures_at: UnixMillis,
    /// For what.
    pub kind: CreditKind,
    /// Title of the job.
    pub title: String,
    /// Accepted slices.
    pub slices: u32,
    /// Amount in tokens, all digits, with a minus sign when taken back.
    pub amount: String,
}

/// The wallet page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct WalletView {
    /// State of the file.
    pub brief: WalletBrief,
    /// Checksummed address.
    pub address: Option<String>,
    /// Unit of the amounts.
    pub unit: String,
    /// The identity that always adds up, where the chain could be read.
    pub balance: Option<BalanceIdentity>,
    /// When the chain was read and proved.
    pub proved_at: Option<UnixMillis>,
    /// Fee of one withdrawal, token as decimal text, where the coordinator told it.
    pub fee: Option<String>,
    /// Withdrawals, latest first.
    pub withdrawals: Vec<WithdrawalView>,
    /// Why the balance is missing.
    pub error: Option<LocalError>,
}

/// earned here + earned on other devices + received otherwise = balance + withdrawn + fees + pending, in tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct BalanceIdentity {
    /// By this device's receipts.
    pub earned_here: String,
    /// By other devices bound to the same address.
    pub earned_elsewhere: String,
    /// Came to the address in other ways.
    pub received: String,
    /// Ready to withdraw.
    pub balance: String,
    /// Has left to outside addresses.
    pub withdrawn: String,
    /// Paid to relayers.
    pub fees: String,
    /// Still checking, or not yet in a closed epoch.
    pub pending: String,
}

/// One withdrawal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct WithdrawalView {
    /// Its nonce on the chain, which is its identity.
    pub id: String,
    /// When it was confirmed by the owner.
    pub at: UnixMillis,
    /// Checksummed recipient.
    pub to: String,
    /// What arrives, in tokens.
    pub amount: String,
    /// Fee, in tokens.
    pub fee: String,
    /// Where it stands.
    pub state: WithdrawalState,
    /// Transaction hash, once there is one.
    pub transaction: Option<String>,
    /// Block that holds it.
    #[ts(type = "number | null")]
    pub block: Option<u64>,
}

/// Where a withdrawal stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum WithdrawalState {
    /// Signed and saved; not sent yet.
    Signed,
    /// Handed to a relayer or the chain.
    Sent,
    /// In a block.
    Included,
    /// Cannot be undone any more.
    Final,
    /// Never came on the chain and cannot any more; the money is still here.
    Expired,
    /// The chain refused it; the money is still here.
    Dropped,
}

/// A price for a withdrawal; nothing is signed yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Quote {
    /// Digest of all terms, hex.
    pub id: String,
    /// Checksummed recipient.
    pub to: String,
    /// What leaves the balance.
    pub total: String,
    /// Fee of the relayer, exact.
    pub fee: String,
    /// What arrives, exact.
    pub arrives: String,
    /// Unit of the amounts.
    pub unit: String,
    /// Until when the price holds.
    pub expires_at: UnixMillis,
    /// Whether the address was typed without its checksum.
    pub unchecked_address: bool,
}

/// What the vault window is opened for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case", tag = "purpose")]
pub enum VaultPurpose {
    /// Make a new wallet.
    Create,
    /// Restore one from its words.
    Restore,
    /// Confirm this quote.
    Withdraw {
        /// [`Quote::id`].
        quote: String,
    },
    /// Show the recovery words and check them.
    Backup,
}

/// What the vault window shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case", tag = "view")]
pub enum VaultView {
    /// New wallet.
    Create {
        /// Language of the window.
        language: String,
        /// Appearance of the window.
        appearance: Appearance,
        /// A passphrase of six words that may be taken.
        suggestion: SecretText,
    },
    /// Restore.
    Restore {
        /// Language of the window.
        language: String,
        /// Appearance of the window.
        appearance: Appearance,
    },
    /// Withdraw.
    Withdraw {
        /// Language of the window.
        language: String,
        /// Appearance of the window.
        appearance: Appearance,
        /// The terms.
        quote: Quote,
        /// Name and id of the chain.
        chain: String,
    },
    /// Backup.
    Backup {
        /// Language of the window.
        language: String,
        /// Appearance of the window.
        appearance: Appearance,
        /// Which three words (from 1) are asked back.
        ask: [u8; 3],
    },
}

/// The owner's decision in the vault window.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case", tag = "decision")]
pub enum VaultDecision {
    /// Nothing happens.
    Cancel,
    /// Make the wallet; answered by the words to write down.
    Create {
        /// New passphrase.
        passphrase: SecretText,
        /// 12 or 24.
        words: u8,
    },
    /// Restore the wallet.
    Restore {
        /// The words, separated by spaces.
        words: SecretText,
        /// New passphrase.
        passphrase: SecretText,
    },
    /// Sign exactly the quote shown.
    Withdraw {
        /// Digest of the quote shown.
        quote: String,
        /// The passphrase.
        passphrase: SecretText,
    },
    /// Show the words; the connection stays good for the quiz.
    ShowWords {
        /// The passphrase.
        passphrase: SecretText,
    },
    /// The three words asked for; marks the wallet as backed up.
    CheckWords {
        /// In the order asked.
        answers: [SecretText; 3],
    },
}

/// A passphrase or recovery words in transit: wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop, TS)]
pub struct SecretText(String);

impl SecretText {
    /// Takes the text.
    pub fn new(text: String) -> Self {
        Self(text)
    }
    /// The text, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(..)")
    }
}

/// Identifies this build: version, and the commit where the build knows it. Agent, window and worker compare it.
pub fn build() -> &'static str {
    concat!(env!("CARGO_PKG_VERSION"), "+", env!("HEARTH_COMMIT"))
}
