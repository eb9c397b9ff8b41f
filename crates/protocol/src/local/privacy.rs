//! What the privacy page shows: what left this machine, to whom and for what, beside the system's own count, and the messages kept
//! word for word.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::units::UnixMillis;

/// The privacy page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Privacy {
    /// Bytes sent in the span.
    #[ts(type = "number")]
    pub sent_bytes: u64,
    /// Bytes received in the span.
    #[ts(type = "number")]
    pub received_bytes: u64,
    /// The operating system's own count beside ours.
    pub system: SystemView,
    /// What left, by purpose and destination, largest first.
    pub rows: Vec<PrivacyRow>,
    /// The same by destination, largest first.
    pub destinations: Vec<PrivacySum>,
    /// The same by job, largest first.
    pub jobs: Vec<PrivacySum>,
    /// The same by publisher, largest first.
    pub publishers: Vec<PrivacySum>,
    /// Sent and received per hour of the span, oldest first. Hours without a sending are left out where the span is
    /// longer than 31 days.
    pub hours: Vec<PrivacyHour>,
    /// The last single sendings, latest first.
    pub latest: Vec<EgressView>,
    /// When the oldest sending of the whole journal began.
    pub first_at: Option<UnixMillis>,
    /// When the owner last deleted the history.
    pub deleted_at: Option<UnixMillis>,
    /// Size of the journal in bytes, kept messages included.
    #[ts(type = "number")]
    pub journal_bytes: u64,
    /// What is kept word for word.
    pub messages: KeptMessages,
}

/// What an operating system's counter says about ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum SystemCounterView {
    /// Linux's `TCP_INFO` of each connection: the two must be equal.
    TcpInfo,
    /// No counter for one program is read on this system.
    None,
}

/// The operating system's own count of a span beside ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct SystemView {
    /// Which counter.
    pub counter: SystemCounterView,
    /// Sendings that the system counted.
    pub counted: u32,
    /// What we counted for just these.
    #[ts(type = "number")]
    pub ours_sent_bytes: u64,
    /// What we counted for just these.
    #[ts(type = "number")]
    pub ours_received_bytes: u64,
    /// What the system counted for them.
    #[ts(type = "number")]
    pub sent_bytes: u64,
    /// What the system counted for them.
    #[ts(type = "number")]
    pub received_bytes: u64,
    /// Sendings, among these, in which the two counts differ.
    pub differing: u32,
    /// Sendings that still go on; the system is asked at their end.
    pub underway: u32,
    /// Ended sendings that may have sent something and of which the system's count is missing.
    pub missing: u32,
    /// What we counted for those.
    #[ts(type = "number")]
    pub missing_sent_bytes: u64,
}

/// Sum of one purpose and destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct PrivacyRow {
    /// Code of the purpose.
    pub purpose: String,
    /// Host and port.
    pub destination: String,
    /// Bytes sent.
    #[ts(type = "number")]
    pub sent_bytes: u64,
    /// Bytes received.
    #[ts(type = "number")]
    pub received_bytes: u64,
    /// Number of sendings.
    pub count: u32,
    /// [`EgressView::row`] of the latest of them whose message is kept.
    #[ts(type = "number | null")]
    pub message: Option<i64>,
}

/// Sum of one destination, job or publisher.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct PrivacySum {
    /// Of what.
    pub of: SumOf,
    /// Bytes sent.
    #[ts(type = "number")]
    pub sent_bytes: u64,
    /// Bytes received.
    #[ts(type = "number")]
    pub received_bytes: u64,
    /// Number of sendings.
    pub count: u32,
}

/// What a sum is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case", tag = "of")]
pub enum SumOf {
    /// Host and port.
    Destination {
        /// Host and port.
        destination: String,
    },
    /// One job.
    Job {
        /// Content address of its program, hex.
        program: String,
        /// Its title and its publisher's name, where they have been read.
        name: Option<JobName>,
    },
    /// One publisher, by the name in the network's profile.
    Publisher {
        /// The name.
        publisher: String,
    },
    /// Jobs whose publisher has not been read yet.
    UnknownPublisher,
    /// Sendings that serve no job.
    NoJob,
    /// The smaller ones that are not listed.
    Rest,
}

/// How a job is called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, TS)]
pub struct JobName {
    /// Its title.
    pub title: String,
    /// Its publisher's name.
    pub publisher: String,
}

/// One hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct PrivacyHour {
    /// Its first instant.
    pub at: UnixMillis,
    /// Bytes sent.
    #[ts(type = "number")]
    pub sent_bytes: u64,
    /// Bytes received.
    #[ts(type = "number")]
    pub received_bytes: u64,
}

/// One sending.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct EgressView {
    /// Names it among the sendings of this journal.
    #[ts(type = "number")]
    pub row: i64,
    /// When it began.
    pub at: UnixMillis,
    /// Code of the purpose.
    pub purpose: String,
    /// Host and port.
    pub destination: String,
    /// What it was about.
    pub object: String,
    /// The job that it served, where it served one whose name has been read.
    pub job: Option<JobName>,
    /// Bytes sent.
    #[ts(type = "number")]
    pub sent_bytes: u64,
    /// Bytes received.
    #[ts(type = "number")]
    pub received_bytes: u64,
    /// How the system's count stands to ours.
    pub witness: Witness,
    /// Whether what it said is kept.
    pub kept: bool,
}

/// How the operating system's count of one sending stands to ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case", tag = "witness")]
pub enum Witness {
    /// It still goes on.
    Underway,
    /// Both say the same.
    Equal,
    /// They differ.
    Differs {
        /// What the system counted as sent.
        #[ts(type = "number")]
        sent_bytes: u64,
        /// What the system counted as received.
        #[ts(type = "number")]
        received_bytes: u64,
    },
    /// No connection was made, so there was nothing to count.
    NoConnection,
    /// The program ended in the middle: our count is the most that it can have been, and the system's is lost.
    Estimated,
    /// The system did not count.
    Missing,
}

/// What is kept word for word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct KeptMessages {
    /// Messages kept now.
    pub count: u32,
    /// Their size.
    #[ts(type = "number")]
    pub bytes: u64,
    /// Most messages kept; the oldest go first.
    pub at_most: u32,
    /// Largest size of all of them together.
    #[ts(type = "number")]
    pub at_most_bytes: u64,
    /// A longer body is kept as its size and hash only.
    #[ts(type = "number")]
    pub body_at_most_bytes: u64,
}

/// One message as it was sent, before encryption.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct SentMessage {
    /// The sending.
    pub sending: EgressView,
    /// Request line and headers.
    pub head: String,
    /// Size of the body.
    #[ts(type = "number")]
    pub body_bytes: u64,
    /// BLAKE3 hash of the body, hex.
    pub body_hash: String,
    /// The body in a form to read, where it has one and is kept.
    pub readable: Option<String>,
    /// In which notation [`SentMessage::readable`] is.
    pub notation: Notation,
    /// Every byte of head and body, hex without separators; the body is missing where only its hash is kept.
    pub hex: String,
    /// Whether the body's bytes are kept.
    pub body_kept: bool,
}

/// How a body is made readable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Notation {
    /// There is no body.
    Empty,
    /// CBOR in the diagnostic notation of RFC 8949 §8.
    Cbor,
    /// Plain text, JSON included.
    Text,
    /// None: bytes only.
    Bytes,
}
