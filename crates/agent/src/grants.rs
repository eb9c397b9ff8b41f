//! PURE. One-time tokens: each lets one connection decide about one thing.
//!
//! A grant is bound to its [`VaultPurpose`] (for a withdrawal that is the digest of the quote), is redeemed by one hello,
//! and ends with the decision, the connection, or the process it was given to. Randomness and time are arguments. The
//! daemon's loop owns the only instance.

use std::time::{Duration, Instant};

use protocol::local::VaultPurpose;
use zeroize::Zeroizing;

/// A terminal must redeem its token within this.
pub const TERMINAL_REDEEMS_WITHIN: Duration = Duration::from_secs(30);
/// A vault window must redeem its token within this; the window's first start on a slow disk takes a while.
pub const WINDOW_REDEEMS_WITHIN: Duration = Duration::from_secs(120);

/// Names a grant inside this agent; not secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct GrantId(pub u32);

/// Who got the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// The vault window that the agent started.
    Window,
    /// A terminal of the same user, see [`crate::terminal`].
    Terminal,
}

/// A redeemed grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Its name.
    pub id: GrantId,
    /// What may be decided.
    pub purpose: VaultPurpose,
}

#[derive(Debug)]
struct Entry {
    grant: Grant,
    holder: Holder,
    token: Zeroizing<String>,
    state: EntryState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EntryState {
    Issued { until: Instant },
    Redeemed,
}

/// All open grants.
#[derive(Debug, Default)]
pub struct Grants {
    last: u32,
    open: Vec<Entry>,
}

impl Grants {
    /// Opens a grant and returns its name and the token, 64 hexadecimal digits made of `random`.
    pub fn issue(
        &mut self,
        purpose: VaultPurpose,
        holder: Holder,
        random: [u8; 32],
        now: Instant,
    ) -> (GrantId, Zeroizing<String>) {
        self.last += 1;
        let id = GrantId(self.last);
        let mut token = Zeroizing::new(String::with_capacity(64));
        for byte in random {
            token.push(char::from_digit(u32::from(byte >> 4), 16).expect("a nibble is a hex digit"));
            token.push(char::from_digit(u32::from(byte & 15), 16).expect("a nibble is a hex digit"));
        }
        let within = match holder {
            Holder::Window => WINDOW_REDEEMS_WITHIN,
            Holder::Terminal => TERMINAL_REDEEMS_WITHIN,
        };
        let state = EntryState::Issued { until: now + within };
        self.open.push(Entry { grant: Grant { id, purpose }, holder, token: token.clone(), state });
        (id, token)
    }

    /// Exchanges a token for its grant, once and in time.
    pub fn redeem(&mut self, token: &str, now: Instant) -> Option<Grant> {
        self.open.retain(|entry| match entry.state {
            EntryState::Issued { until } => now < until,
            EntryState::Redeemed => true,
        });
        let entry = self
            .open
            .iter_mut()
            .find(|entry| entry.state != EntryState::Redeemed && same(&entry.token, token))?;
        entry.state = EntryState::Redeemed;
        entry.token = Zeroizing::new(String::new());
        Some(entry.grant.clone())
    }

    /// What a connection with this grant may decide, while it is open.
    pub fn purpose(&self, id: GrantId) -> Option<&VaultPurpose> {
        self.open.iter().find(|entry| entry.grant.id == id).map(|entry| &entry.grant.purpose)
    }

    /// The open grant of a vault window, if there is one.
    pub fn of_window(&self) -> Option<&Grant> {
        self.open.iter().find(|entry| entry.holder == Holder::Window).map(|entry| &entry.grant)
    }

    /// Ends a grant: its decision is taken, its connection or its process is gone.
    pub fn end(&mut self, id: GrantId) {
        self.open.retain(|entry| entry.grant.id != id);
    }
}

/// Compares without stopping at the first difference.
fn same(known: &str, given: &str) -> bool {
    known.len() == given.len()
        && known.bytes().zip(given.bytes()).fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn withdraw(quote: &str) -> VaultPurpose {
        VaultPurpose::Withdraw { quote: quote.to_owned() }
    }

    #[test]
    fn a_token_is_good_once_and_only_for_its_purpose() {
        let now = Instant::now();
        let mut grants = Grants::default();
        let (id, token) = grants.issue(withdraw("aa"), Holder::Window, [7; 32], now);
        grants.issue(VaultPurpose::Backup, Holder::Terminal, [8; 32], now);
        assert_eq!(grants.redeem("", now), None, "an empty token opens nothing");
        let grant = grants.redeem(&token, now).expect("a fresh token is good");
        assert_eq!(grant, Grant { id, purpose: withdraw("aa") });
        assert_eq!(grants.redeem(&token, now), None, "the second use is refused");
        assert_eq!(grants.redeem("", now), None, "a spent token has no empty twin");
        assert_eq!(grants.purpose(id), Some(&withdraw("aa")));
        grants.end(id);
        assert_eq!(grants.purpose(id), None, "after the decision the connection may do nothing more");
    }

    #[test]
    fn a_token_that_nobody_redeems_expires() {
        let now = Instant::now();
        let mut grants = Grants::default();
        let (_, token) = grants.issue(VaultPurpose::Create, Holder::Terminal, [1; 32], now);
        assert_eq!(grants.redeem(&token, now + TERMINAL_REDEEMS_WITHIN), None, "too late is too late");
    }

    #[test]
    fn a_token_ends_with_the_process_it_was_given_to() {
        let now = Instant::now();
        let mut grants = Grants::default();
        let (id, token) = grants.issue(VaultPurpose::Create, Holder::Window, [1; 32], now);
        assert_eq!(grants.of_window().map(|grant| grant.id), Some(id));
        grants.end(id);
        assert_eq!(grants.redeem(&token, now), None);
        assert_eq!(token.len(), 64);
    }
}
