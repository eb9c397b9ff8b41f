//! Why bytes leave the machine: a closed list, so that the privacy report and `PRIVACY.md` can name every reason.
//!
//! It owns the codes and their English explanations; the words that a person reads in the app come from the catalogue by
//! code. It never sends anything. Every caller of [`crate::Net`] chooses one.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a call is made. The code is stored in the journal: it is never renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Signs of life, leases and commits.
    Coordinator,
    /// Fetching a job package or its inputs.
    WorkInput,
    /// Handing in the outputs of slices.
    Result,
    /// Fetching the list that an epoch's root was built from, to check one's own row.
    EpochList,
    /// Binding a payout address and handing a signed withdrawal to the relayer.
    Payout,
    /// Reading the chain, or sending a transaction to it.
    ChainRpc,
    /// Measuring the line.
    Measurement,
    /// A publisher's packages, inputs and questions about progress.
    Publish,
    /// Looking for and fetching a new version of Hearth.
    Update,
    /// Delivering a published blob to another device.
    PeerServe,
    /// Fetching a published blob from another device.
    PeerFetch,
    /// Being within reach of other devices.
    PeerReach,
}

/// What a [`Purpose`] sends, and to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PurposeEntry {
    /// The purpose.
    pub purpose: Purpose,
    /// Its code in the journal and in exports.
    pub code: &'static str,
    /// Who receives it.
    pub receiver: &'static str,
    /// What is sent.
    pub sends: &'static str,
}

/// Every purpose there is, in the order of `PRIVACY.md`.
pub const PURPOSES: [PurposeEntry; 12] = [
    PurposeEntry {
        purpose: Purpose::Coordinator,
        code: "coordinator",
        receiver: "a coordinator of the network that you joined",
        sends: "the device's public key, name and driver of the graphics card, how test kernels came out on it, which leases it holds and hashes of finished slices",
    },
    PurposeEntry {
        purpose: Purpose::WorkInput,
        code: "work_input",
        receiver: "a coordinator of the network that you joined",
        sends: "the content address of a job package or input that is to be fetched",
    },
    PurposeEntry {
        purpose: Purpose::Result,
        code: "result",
        receiver: "a coordinator of the network that you joined",
        sends: "the outputs of finished slices, signed by the device",
    },
    PurposeEntry {
        purpose: Purpose::EpochList,
        code: "epoch_list",
        receiver: "a coordinator of the network that you joined",
        sends: "the content address of a closed epoch's public list",
    },
    PurposeEntry {
        purpose: Purpose::Payout,
        code: "payout",
        receiver: "a coordinator of the network that you joined",
        sends: "the payout address, and for a withdrawal its recipient, amount, fee and your signature",
    },
    PurposeEntry {
        purpose: Purpose::ChainRpc,
        code: "chain_rpc",
        receiver: "an RPC endpoint that the network's profile names",
        sends: "questions about the network's contracts and your account, and transactions that you confirmed",
    },
    PurposeEntry {
        purpose: Purpose::Measurement,
        code: "measurement",
        receiver: "a coordinator of the network that you joined",
        sends: "filler bytes, to measure how fast the line is",
    },
    PurposeEntry {
        purpose: Purpose::Publish,
        code: "publish",
        receiver: "a coordinator of the network that you publish to",
        sends: "job packages and their inputs; only the program `publish` does this",
    },
    PurposeEntry {
        purpose: Purpose::Update,
        code: "update",
        receiver: "a coordinator of the network that you joined",
        sends: "the content address of a new version of Hearth",
    },
    PurposeEntry {
        purpose: Purpose::PeerServe,
        code: "peer_serve",
        receiver: "another device of the network, to which a coordinator sent it",
        sends: "pieces of files that a publisher of the network released; the other device sees your internet address unless you hide it behind a relay",
    },
    PurposeEntry {
        purpose: Purpose::PeerFetch,
        code: "peer_fetch",
        receiver: "another device of the network, which a coordinator chose",
        sends: "a coordinator's permission to fetch a released file, and signed receipts for what arrived; the other device sees your internet address unless you hide it behind a relay",
    },
    PurposeEntry {
        purpose: Purpose::PeerReach,
        code: "peer_reach",
        receiver: "the relay that the network's profile names, and devices that could not be reached after all",
        sends: "the device's public key, small packets that find the way between two devices, and encrypted bytes that a relay passes on",
    },
];

impl Purpose {
    /// The code stored in the journal.
    pub fn code(self) -> &'static str {
        self.entry().code
    }

    /// The purpose with this code, if there is one.
    pub fn from_code(code: &str) -> Option<Self> {
        PURPOSES.iter().find(|entry| entry.code == code).map(|entry| entry.purpose)
    }

    /// What it sends and to whom.
    pub fn entry(self) -> &'static PurposeEntry {
        // The table is in the order of the enum, which the test below holds on to.
        &PURPOSES[self as usize]
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_and_enum_name_the_same_purposes_in_the_same_order() {
        for (index, entry) in PURPOSES.iter().enumerate() {
            assert_eq!(
                entry.purpose as usize, index,
                "{} stands in another place than in the enum",
                entry.code
            );
            let json = serde_json::to_string(&entry.purpose).unwrap();
            assert_eq!(json, format!("\"{}\"", entry.code), "serde and the table must write the same code");
            assert_eq!(Purpose::from_code(entry.code), Some(entry.purpose));
        }
        assert_eq!(PURPOSES.len(), Purpose::PeerReach as usize + 1, "a purpose is missing from the table");
    }
}
