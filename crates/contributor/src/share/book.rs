//! What was delivered under which lease: the last receipt of each delivery, on the disk until the coordinator has it, and how much
//! was sent without one.
//!
//! A file per delivery, named by it, replaced as a whole when a later receipt comes. Losing one loses pay for one delivery and
//! nothing else.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::delivery::{Deliverable, DeliveryLease, DeliveryReceipt, MAX_UNSIGNED_BYTES, may_send};
use protocol::id::DeliveryId;
use protocol::sign::{Envelope, Signed};
use protocol::units::UnixMillis;

/// Leases that are remembered at a time. A coordinator gives a provider four, each for minutes.
const MAX_REMEMBERED: usize = 1024;

/// The book. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Book(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Receipts that the coordinator does not have yet.
    unsent: BTreeMap<DeliveryId, Envelope>,
    /// Leases that were shown here.
    leases: BTreeMap<DeliveryId, Remembered>,
}

#[derive(Debug, Clone, Copy)]
struct Remembered {
    signed_bytes: u64,
    /// Bytes that were sent in earlier connections and never signed for.
    lost_bytes: u64,
    /// A connection serves it at present.
    served: bool,
    expires_at: UnixMillis,
}

impl Book {
    /// Opens the book in `folder`, with the receipts of an earlier life. What cannot be read as one is left out, and removed.
    pub(super) fn open(folder: &Path) -> Result<Self, std::io::Error> {
        std::fs::create_dir_all(folder)?;
        let mut state = State::default();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let delivery = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
            let receipt = std::fs::read(&path)
                .ok()
                .and_then(|bytes| Envelope::from_bytes::<DeliveryReceipt>(&bytes).ok());
            match (delivery, receipt) {
                (Some(delivery), Some(receipt)) => drop(state.unsent.insert(delivery, receipt)),
                _ => std::fs::remove_file(&path)?,
            }
        }
        Ok(Self(Arc::new(Shared { folder: folder.to_owned(), state: Mutex::new(state) })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole between two statements that take it, so a thread that died leaves it usable.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The account of a lease for one connection. `None` when another connection serves it, or as much was lost on it as may be.
    pub(super) fn account(&self, lease: &DeliveryLease) -> Option<Account> {
        let mut state = self.lock();
        if state.leases.len() >= MAX_REMEMBERED {
            let oldest = lease.granted_at;
            state.leases.retain(|_, remembered| remembered.served || remembered.expires_at > oldest);
        }
        let fresh =
            Remembered { signed_bytes: 0, lost_bytes: 0, served: false, expires_at: lease.expires_at };
        let remembered = state.leases.entry(lease.delivery).or_insert(fresh);
        if remembered.served || remembered.lost_bytes >= MAX_UNSIGNED_BYTES {
            return None;
        }
        remembered.served = true;
        let signed_bytes = remembered.signed_bytes;
        Some(Account {
            book: self.clone(),
            delivery: lease.delivery,
            signed_bytes,
            from_byte: 0,
            sent_bytes: 0,
        })
    }

    /// Whether the coordinator does not have everything yet.
    pub(super) fn has_news(&self) -> bool {
        !self.lock().unsent.is_empty()
    }

    /// Receipts that the coordinator does not have yet, as many as fit into one message.
    pub(super) fn unsent(&self) -> Vec<(DeliveryId, Envelope)> {
        let state = self.lock();
        let unsent = state.unsent.iter().take(Deliverable::MAX_RECEIPTS);
        unsent.map(|(delivery, receipt)| (*delivery, receipt.clone())).collect()
    }

    /// The coordinator has these. One that was replaced meanwhile stays.
    pub(super) fn sent(&self, receipts: &[(DeliveryId, Envelope)]) {
        let mut state = self.lock();
        for (delivery, receipt) in receipts {
            if state.unsent.get(delivery) == Some(receipt) {
                state.unsent.remove(delivery);
                if let Err(error) = std::fs::remove_file(self.0.folder.join(delivery.to_string())) {
                    // Shown once more after a restart it changes nothing.
                    tracing::debug!(error = &error as &dyn std::error::Error, "a receipt's file stays");
                }
            }
        }
    }

    fn keep(&self, delivery: DeliveryId, receipt: &Envelope) -> Result<(), std::io::Error> {
        let part = self.0.folder.join("part");
        let mut state = self.lock();
        let mut file = std::fs::File::create(&part)?;
        file.write_all(&receipt.to_bytes())?;
        drop(file);
        std::fs::rename(&part, self.0.folder.join(delivery.to_string()))?;
        state.unsent.insert(delivery, receipt.clone());
        Ok(())
    }
}

/// One lease in one connection. Dropped it is free for the next one.
#[derive(Debug)]
pub(super) struct Account {
    book: Book,
    delivery: DeliveryId,
    signed_bytes: u64,
    from_byte: u64,
    /// Up to where was sent, or may have been.
    sent_bytes: u64,
}

impl Account {
    /// What the last receipt says.
    pub(super) fn signed_bytes(&self) -> u64 {
        self.signed_bytes
    }

    /// A connection begins at this byte; gives the byte up to which may be sent.
    pub(super) fn begin(&mut self, from_byte: u64) -> u64 {
        self.from_byte = from_byte;
        self.sent_bytes = from_byte.saturating_add(may_send(0)).max(may_send(self.signed_bytes));
        self.sent_bytes
    }

    /// Keeps a receipt for `signed_bytes`.
    pub(super) fn sign(
        &mut self,
        receipt: &Signed<DeliveryReceipt>,
        signed_bytes: u64,
    ) -> Result<(), std::io::Error> {
        self.book.keep(self.delivery, receipt.envelope())?;
        self.signed_bytes = signed_bytes;
        self.sent_bytes = may_send(signed_bytes).max(self.sent_bytes);
        Ok(())
    }

    /// The connection has ended well; so much was sent. Of one that broke this is not known, and it counts with what it was allowed.
    pub(super) fn end(&mut self, sent_bytes: u64) {
        self.sent_bytes = sent_bytes;
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let mut state = self.book.lock();
        if let Some(remembered) = state.leases.get_mut(&self.delivery) {
            remembered.served = false;
            remembered.signed_bytes = self.signed_bytes;
            let lost = self.sent_bytes.saturating_sub(self.signed_bytes.max(self.from_byte));
            remembered.lost_bytes = remembered.lost_bytes.saturating_add(lost);
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::id::Hash;
    use protocol::sign::Key;
    use protocol::units::BaseUnits;
    use zeroize::Zeroizing;

    use super::*;

    fn key(n: u8) -> Key {
        Key::from_seed(&Zeroizing::new([n; 32]))
    }

    fn lease(n: u8) -> DeliveryLease {
        DeliveryLease {
            coordinator: key(1).coordinator(),
            delivery: DeliveryId([n; 32]),
            provider: key(2).device(),
            consumer: key(3).device(),
            blob: Hash([5; 32]),
            blob_bytes: 100_000_000,
            price: BaseUnits(1),
            granted_at: UnixMillis(0),
            expires_at: UnixMillis(10),
        }
    }

    fn receipt(n: u8, verified_bytes: u64) -> Signed<DeliveryReceipt> {
        let said = DeliveryReceipt {
            coordinator: key(1).coordinator(),
            delivery: DeliveryId([n; 32]),
            verified_bytes,
        };
        key(3).sign(&protocol::id::NetworkId([9; 32]), said)
    }

    #[test]
    fn a_lease_that_is_shown_again_and_again_loses_no_more_than_the_bound() {
        let dir = tempfile::tempdir().expect("a folder");
        let book = Book::open(dir.path()).expect("a book");
        let mut lost = 0;
        for _ in 0..1000 {
            let Some(mut account) = book.account(&lease(7)) else { break };
            // Broken off before anything was signed.
            lost += account.begin(0);
        }
        assert_eq!(lost, MAX_UNSIGNED_BYTES, "then it is of no use any more");
        assert!(book.account(&lease(8)).is_some(), "another lease is");
    }

    #[test]
    fn a_lease_is_served_once_at_a_time() {
        let dir = tempfile::tempdir().expect("a folder");
        let book = Book::open(dir.path()).expect("a book");
        let first = book.account(&lease(7)).expect("free");
        assert!(book.account(&lease(7)).is_none(), "a copied lease does not double what is unsigned");
        drop(first);
        assert!(book.account(&lease(7)).is_some());
    }

    #[test]
    fn receipts_outlive_a_restart_until_the_coordinator_has_them() {
        let dir = tempfile::tempdir().expect("a folder");
        let book = Book::open(dir.path()).expect("a book");
        let mut account = book.account(&lease(7)).expect("free");
        account.begin(0);
        account.sign(&receipt(7, 65_536), 65_536).expect("kept");
        account.sign(&receipt(7, 131_072), 131_072).expect("kept");
        drop(account);
        drop(book);
        std::fs::write(dir.path().join("part"), b"half a receipt").expect("a file");

        let book = Book::open(dir.path()).expect("the same book");
        let unsent = book.unsent();
        assert_eq!(unsent, [(DeliveryId([7; 32]), receipt(7, 131_072).envelope().clone())], "the last one");
        let mut account = book.account(&lease(7)).expect("free");
        account.sign(&receipt(7, 300_000), 300_000).expect("kept");
        book.sent(&unsent);
        assert_eq!(book.unsent().len(), 1, "what came after the message was written is not lost with it");
        book.sent(&book.unsent());
        assert!(!book.has_news());
        drop(account);
        assert!(!Book::open(dir.path()).expect("the same book").has_news());
    }
}
