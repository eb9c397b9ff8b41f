//! What the agent may ask of the engine, and the handle it asks through.
//!
//! A [`Client`] is cheap to clone and holds no state of the engine; each request is answered by the loop, or ends with
//! [`RequestError::Stopped`] when the loop has ended.

use network::NetError;
use protocol::id::Hash;
use protocol::local::{
    Check, Earnings, ErrorCode, ExportFormat, LocalError, Notice, Picture, Preferences, Privacy, SentMessage,
    Snooze, Status,
};
use protocol::receipt::Receipt;
use protocol::sign::Signed;
use protocol::units::{BaseUnits, UnixMillis};
use protocol::wire::{EpochList, EpochNotice, Refusal, RefusalCode, WithdrawIntent};
use tokio::sync::{mpsc, oneshot, watch};

use crate::journal::Span;
use crate::link::LinkFault;
use crate::preferences::InvalidPreferences;

/// Where the answer of a request goes.
pub type Reply<T> = oneshot::Sender<Result<T, RequestError>>;

/// A request to the engine.
#[derive(Debug)]
pub enum Request {
    /// Pause sharing for a while.
    Snooze {
        /// For how long.
        span: Snooze,
        /// Answered when it is saved.
        reply: Reply<()>,
    },
    /// End a snooze.
    Resume {
        /// Answered when it is saved.
        reply: Reply<()>,
    },
    /// Lift the idle rule once for ten minutes, in light mode.
    ShareNow {
        /// Answered when it is saved.
        reply: Reply<()>,
    },
    /// The present preferences.
    Preferences {
        /// All of them.
        reply: Reply<Preferences>,
    },
    /// Replace the preferences; they take effect at once.
    SetPreferences {
        /// All of them.
        preferences: Box<Preferences>,
        /// Answered when they are saved.
        reply: Reply<()>,
    },
    /// Every rule and how it stands.
    Checks {
        /// In the order in which one becomes the headline.
        reply: Reply<Vec<Check>>,
    },
    /// Measure the card and the line; progress shows in the status.
    Measure {
        /// Answered when it has begun.
        reply: Reply<()>,
    },
    /// Stop the measurement.
    CancelMeasure {
        /// Answered when it is told to stop.
        reply: Reply<()>,
    },
    /// Welcome is done: from now on the engine may speak with the network.
    FinishWelcome {
        /// Whether Hearth starts with the session; kept in the preferences.
        autostart: bool,
        /// Answered when it is saved.
        reply: Reply<()>,
    },
    /// The earnings page.
    Earnings {
        /// First instant.
        from_at: UnixMillis,
        /// The page.
        reply: Reply<Earnings>,
    },
    /// All receipts with their proofs, as text to save.
    Statement {
        /// The text.
        reply: Reply<Document>,
    },
    /// The privacy page.
    Privacy {
        /// Of which span.
        span: Span,
        /// The page.
        reply: Reply<Privacy>,
    },
    /// One message word for word.
    SentMessage {
        /// Its sending.
        row: i64,
        /// The message, while it is kept.
        reply: Reply<Option<SentMessage>>,
    },
    /// Delete what the journal holds of sendings that have ended.
    DeleteHistory {
        /// Answered when it is done.
        reply: Reply<()>,
    },
    /// The whole journal as text to save.
    ExportJournal {
        /// In which form.
        format: ExportFormat,
        /// The text.
        reply: Reply<Document>,
    },
    /// The verified credit of this device.
    Credit {
        /// The sums.
        reply: Reply<Credit>,
    },
    /// Verified receipts, oldest first.
    Receipts {
        /// Those with a larger sequence.
        after_sequence: u64,
        /// The receipts.
        reply: Reply<Vec<Receipt>>,
    },
    /// Bind a payout address to this device.
    Bind {
        /// The terms.
        terms: Box<BindTerms>,
        /// Answered when the coordinator has acknowledged it.
        reply: Reply<()>,
    },
    /// Hand a signed withdrawal to the coordinator's relayer. The same intent again gets the same answer.
    Relay {
        /// The terms.
        terms: Box<RelayTerms>,
        /// Hash of the transaction that carries it.
        reply: Reply<Hash>,
    },
    /// The latest closed epoch, signed by the coordinator.
    Epoch {
        /// The notice.
        reply: Reply<Signed<EpochNotice>>,
    },
    /// The list behind an epoch's root.
    EpochList {
        /// Its content address, from the notice.
        list: Hash,
        /// The list; its bytes hash to the address.
        reply: Reply<EpochList>,
    },
    /// A notice has been dealt with.
    DismissNotice {
        /// Which.
        code: ErrorCode,
        /// Answered at once.
        reply: Reply<()>,
    },
}

/// Text to save.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Suggested name.
    pub file_name: String,
    /// Contents.
    pub text: String,
}

/// Sums of the verified receipt chain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Credit {
    /// Everything credited less everything revoked.
    pub total: BaseUnits,
    /// The part whose receipts have matured by now.
    pub matured: BaseUnits,
    /// Number of receipts.
    pub receipts: u64,
}

/// What a [`protocol::wire::Bind`] says; the engine adds coordinator, nonce and time and signs with the device key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindTerms {
    /// Checksummed payout address.
    pub payout: String,
    /// Issue instant inside the typed data, in seconds.
    pub issued_at_seconds: u64,
    /// Expiry instant inside the typed data, in seconds.
    pub expires_at_seconds: u64,
    /// 65-byte signature by the address, or empty for an outside address.
    pub wallet_signature: Vec<u8>,
}

/// What a [`protocol::wire::Relay`] says; the engine adds coordinator, nonce and time and signs with the device key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayTerms {
    /// The owner's intent, as signed.
    pub intent: WithdrawIntent,
    /// 65-byte EIP-712 signature.
    pub signature: Vec<u8>,
    /// Cumulative amount of the account in the tree.
    pub cumulative: BaseUnits,
    /// Merkle proof of (account, cumulative).
    pub proof: Vec<Hash>,
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The engine has ended.
    #[error("the engine has stopped")]
    Stopped,
    /// Too many requests are waiting.
    #[error("too many requests are waiting")]
    Busy,
    /// A preference is out of its range.
    #[error("the preferences are not valid")]
    Preferences(#[from] InvalidPreferences),
    /// Something could not be saved or read.
    #[error("the engine's files cannot be used")]
    Store(#[from] crate::store::StoreError),
    /// The preferences could not be saved.
    #[error("the preferences cannot be saved")]
    SavePreferences(#[from] crate::preferences::SaveError),
    /// The journal could not be read.
    #[error("the journal cannot be read")]
    Journal(#[from] crate::journal::ReadJournalError),
    /// The coordinator could not be asked, or refused.
    #[error("the coordinator did not do it")]
    Link(#[from] LinkFault),
    /// Sharing now in spite of somebody being here is offered once.
    #[error("the idle rule has been lifted before")]
    ShareNowUsed,
}

impl RequestError {
    /// The failure as a person's program is told it.
    pub fn local(&self) -> LocalError {
        let code = match self {
            Self::Stopped => ErrorCode::Internal,
            Self::Busy | Self::ShareNowUsed => ErrorCode::Busy,
            Self::Preferences(_) => ErrorCode::Preference,
            Self::Store(error) if error.is_disk_full() => ErrorCode::DiskFull,
            Self::SavePreferences(error) if error.is_disk_full() => ErrorCode::DiskFull,
            Self::Store(_) | Self::SavePreferences(_) => ErrorCode::Internal,
            Self::Journal(error) if error.is_disk_full() => ErrorCode::DiskFull,
            Self::Journal(_) => ErrorCode::JournalUnreadable,
            Self::Link(fault) => link_code(fault),
        };
        let mut detail = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            detail = format!("{detail}: {error}");
            source = error.source();
        }
        LocalError { code, detail }
    }
}

fn link_code(fault: &LinkFault) -> ErrorCode {
    match fault {
        LinkFault::Net(NetError::Journal(_)) => ErrorCode::DiskFull,
        LinkFault::Refused(Refusal { code: RefusalCode::ProtocolVersion, .. }) => {
            ErrorCode::CoordinatorVersion
        }
        LinkFault::Refused(Refusal { code: RefusalCode::Withdrawal, .. }) => ErrorCode::ChainUnreachable,
        LinkFault::Refused(_) => ErrorCode::Internal,
        _ => ErrorCode::CoordinatorUnreachable,
    }
}

/// Asks the engine; cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    pub(super) requests: mpsc::Sender<Request>,
    pub(super) status: watch::Receiver<Status>,
    pub(super) picture: watch::Receiver<Option<Picture>>,
}

impl Client {
    /// Hands a request to the loop.
    ///
    /// # Errors
    /// [`RequestError::Stopped`] or [`RequestError::Busy`]; the reply is then dropped.
    pub fn send(&self, request: Request) -> Result<(), RequestError> {
        self.requests.try_send(request).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => RequestError::Busy,
            mpsc::error::TrySendError::Closed(_) => RequestError::Stopped,
        })
    }

    /// Builds a request around a reply, sends it and waits for the answer:
    /// `client.ask(|reply| Request::Resume { reply }).await`.
    ///
    /// # Errors
    /// [`RequestError`] of the request, or that the engine has ended.
    pub async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, RequestError> {
        let (reply, answer) = oneshot::channel();
        self.send(request(reply))?;
        answer.await.map_err(|_| RequestError::Stopped)?
    }

    /// The present status; changes wake the receiver. [`Status::wallet`] is always `None` here: the agent overlays its
    /// own with [`overlay`].
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// The latest picture of the work.
    pub fn picture(&self) -> watch::Receiver<Option<Picture>> {
        self.picture.clone()
    }
}

/// The engine's status with what only the agent knows: the wallet in brief, and notices of its own after the engine's.
pub fn overlay(mut status: Status, wallet: protocol::local::WalletBrief, notices: &[Notice]) -> Status {
    status.wallet = wallet;
    status.notices.extend_from_slice(notices);
    status
}
