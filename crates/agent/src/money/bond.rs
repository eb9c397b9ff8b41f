//! The wallet's bond with this device: signed once with the passphrase, kept until the coordinator has taken it.
//!
//! Earnings reach an account only after the coordinator knows it. The signature says no more than that, so it may wait on
//! the disk; it is made in the moments in which the owner gives the passphrase anyway, never on its own.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use contributor::engine::BindTerms;
use protocol::units::UnixMillis;
use serde::{Deserialize, Serialize};
use wallet::SignedBind;

/// How long a signature may wait for a coordinator that is out of reach.
const HOLDS: Duration = Duration::from_secs(7 * 24 * 3600);
/// First pause after a failure; doubles.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// Longest pause.
const AGAIN_AT_MOST_AFTER: Duration = Duration::from_secs(600);

/// The bond and where it stands.
#[derive(Debug)]
pub(super) struct Bond {
    path: PathBuf,
    entry: Option<Entry>,
    failures: u32,
    due_at: Option<UnixMillis>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    payout: String,
    issued_at_seconds: u64,
    expires_at_seconds: u64,
    signature: String,
    taken: bool,
}

/// Issue and expiry of a bond that is signed at `now`, in seconds.
pub(super) fn validity(now: UnixMillis) -> (u64, u64) {
    (now.0 / 1000, now.plus(HOLDS).0 / 1000)
}

impl Bond {
    /// The bond kept in the wallet's directory. One that cannot be read is as good as none: it is signed again.
    pub(super) fn load(directory: &Path) -> Self {
        let path = directory.join("bond.json");
        let entry: Option<Entry> = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).ok(),
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(%error, "the bond cannot be read");
                }
                None
            }
        };
        let due_at = entry.as_ref().filter(|entry| !entry.taken).map(|_| UnixMillis(0));
        Self { path, entry, failures: 0, due_at }
    }

    /// When to send it next; `None` when there is nothing to send or it is on its way.
    pub(super) fn due_at(&self) -> Option<UnixMillis> {
        self.due_at
    }

    /// Whether the coordinator knows `payout`, or a signature that still holds is on its way.
    pub(super) fn is_for(&self, payout: &str, now: UnixMillis) -> bool {
        self.entry.as_ref().is_some_and(|entry| {
            entry.payout == payout && (entry.taken || entry.expires_at_seconds > now.0 / 1000)
        })
    }

    /// Takes a fresh signature, to be sent at once.
    pub(super) fn sign(&mut self, signed: SignedBind, now: UnixMillis) {
        self.entry = Some(Entry {
            payout: signed.payout,
            issued_at_seconds: signed.issued_at_seconds,
            expires_at_seconds: signed.expires_at_seconds,
            signature: hex::encode(signed.wallet_signature),
            taken: false,
        });
        self.failures = 0;
        self.due_at = Some(now);
        self.save();
    }

    /// What to send now. Call [`Self::took`] with what came of it.
    pub(super) fn begin(&mut self, now: UnixMillis) -> Option<BindTerms> {
        self.due_at = None;
        let entry = self.entry.as_ref()?;
        if entry.taken || entry.expires_at_seconds <= now.0 / 1000 {
            return None;
        }
        Some(BindTerms {
            payout: entry.payout.clone(),
            issued_at_seconds: entry.issued_at_seconds,
            expires_at_seconds: entry.expires_at_seconds,
            wallet_signature: hex::decode(&entry.signature).ok()?,
        })
    }

    /// The coordinator took it, or it is sent again later.
    pub(super) fn took(&mut self, taken: bool, now: UnixMillis) {
        if taken {
            if let Some(entry) = &mut self.entry {
                entry.taken = true;
            }
            self.due_at = None;
            return self.save();
        }
        let pause = AGAIN_AFTER.saturating_mul(1 << self.failures.min(10)).min(AGAIN_AT_MOST_AFTER);
        self.failures += 1;
        self.due_at = Some(now.plus(pause));
    }

    /// Written beside and renamed. A failure is logged only: at worst the bond is signed and sent once more.
    fn save(&self) {
        let written = || -> io::Result<()> {
            let bytes = serde_json::to_vec(&self.entry)?;
            let beside = self.path.with_extension("new");
            let mut file = fs::File::create(&beside)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&beside, &self.path)
        };
        if let Err(error) = written() {
            tracing::warn!(%error, "the bond cannot be kept");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

    fn signed() -> SignedBind {
        let (issued_at_seconds, expires_at_seconds) = validity(NOW);
        SignedBind {
            payout: "0xA".into(),
            issued_at_seconds,
            expires_at_seconds,
            wallet_signature: vec![1; 65],
        }
    }

    #[test]
    fn a_bond_is_sent_until_it_is_taken_and_never_after() {
        let directory = tempfile::tempdir().unwrap();
        let mut bond = Bond::load(directory.path());
        assert_eq!(bond.due_at(), None, "nothing is signed by itself");
        bond.sign(signed(), NOW);
        assert_eq!(bond.begin(NOW).unwrap().wallet_signature, vec![1; 65]);
        assert_eq!(bond.due_at(), None, "it is on its way");
        bond.took(false, NOW);
        assert_eq!(bond.due_at(), Some(NOW.plus(AGAIN_AFTER)), "a coordinator out of reach is asked again");

        let mut restarted = Bond::load(directory.path());
        assert!(restarted.begin(NOW).is_some(), "a restart sends it again");
        restarted.took(true, NOW);
        assert!(restarted.is_for("0xA", NOW) && !restarted.is_for("0xB", NOW));
        assert_eq!(Bond::load(directory.path()).due_at(), None, "what was taken is not sent again");
    }

    #[test]
    fn an_expired_bond_is_asked_for_again() {
        let directory = tempfile::tempdir().unwrap();
        let mut bond = Bond::load(directory.path());
        bond.sign(signed(), NOW);
        let late = NOW.plus(HOLDS);
        assert!(!bond.is_for("0xA", late), "the next passphrase signs a new one");
        assert!(bond.begin(late).is_none(), "what has expired is not sent");
    }
}
