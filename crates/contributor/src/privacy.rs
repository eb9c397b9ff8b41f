//! PURE: the privacy page and its exports, as queries on rows of the journal.
//!
//! There is no second book: whatever these functions show stands in a row, and every row is in every sum. The operating
//! system's count is shown beside ours and never mixed with it. The engine calls them on the journal's thread. Names that
//! come from a profile, a publisher or a server are shown without signs that could pass for other text.

use std::collections::{BTreeMap, VecDeque};

use network::SystemCounter;
use protocol::local::{
    EgressView, JobName, KeptMessages, Privacy, PrivacyHour, PrivacyRow, PrivacySum, SumOf,
    SystemCounterView, SystemView, Witness,
};
use protocol::units::UnixMillis;

use crate::journal::{JournalRow, KEPT_MESSAGE_BYTES, KEPT_MESSAGES, Span, Standing};

mod export;
mod message;
#[cfg(test)]
mod tests;

pub use export::export;
pub use message::view as message_view;

/// Single sendings shown.
const LATEST: usize = 200;
/// Sums shown of each kind; the smaller ones are put together.
const SUMS: usize = 100;
/// Hours shown without a gap: 31 days.
const DENSE_HOURS: u64 = 31 * 24;
/// Hours shown at most: 200 days that are busy around the clock, so that the page fits into one frame.
const MOST_HOURS: usize = 200 * 24;
const HOUR_MILLIS: u64 = 3_600_000;

/// Bytes and times.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    sent_bytes: u64,
    received_bytes: u64,
    count: u32,
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.sent_bytes = self.sent_bytes.saturating_add(other.sent_bytes);
        self.received_bytes = self.received_bytes.saturating_add(other.received_bytes);
        self.count = self.count.saturating_add(other.count);
    }
}

/// The page while rows are taken in, oldest first.
#[derive(Debug)]
pub struct Tally {
    span: Span,
    now: UnixMillis,
    all: Sum,
    system: SystemView,
    routes: BTreeMap<(String, String), (Sum, Option<i64>)>,
    destinations: BTreeMap<SumOf, Sum>,
    jobs: BTreeMap<SumOf, Sum>,
    publishers: BTreeMap<SumOf, Sum>,
    hours: BTreeMap<u64, Sum>,
    latest: VecDeque<EgressView>,
}

impl Tally {
    /// Nothing yet of `span`, beside `counter`.
    pub fn new(span: Span, now: UnixMillis, counter: SystemCounter) -> Self {
        let counter = match counter {
            SystemCounter::TcpInfo => SystemCounterView::TcpInfo,
            SystemCounter::None => SystemCounterView::None,
        };
        let system = SystemView {
            counter,
            counted: 0,
            ours_sent_bytes: 0,
            ours_received_bytes: 0,
            sent_bytes: 0,
            received_bytes: 0,
            differing: 0,
            underway: 0,
            missing: 0,
            missing_sent_bytes: 0,
        };
        Self {
            span,
            now,
            all: Sum::default(),
            system,
            routes: BTreeMap::new(),
            destinations: BTreeMap::new(),
            jobs: BTreeMap::new(),
            publishers: BTreeMap::new(),
            hours: BTreeMap::new(),
            latest: VecDeque::new(),
        }
    }

    /// Adds a row to every sum.
    pub fn take_in(&mut self, row: &JournalRow) {
        let sum = Sum { sent_bytes: row.sent_bytes, received_bytes: row.received_bytes, count: 1 };
        let shown = egress_view(row);
        self.all.add(sum);
        self.take_in_witness(row, shown.witness);
        let route = self.routes.entry((shown.purpose.clone(), shown.destination.clone())).or_default();
        route.0.add(sum);
        if row.kept {
            route.1 = Some(row.row);
        }
        let destination = SumOf::Destination { destination: shown.destination.clone() };
        self.destinations.entry(destination).or_default().add(sum);
        let (job, publisher) = match (&row.job, &shown.job) {
            (None, _) => (SumOf::NoJob, SumOf::NoJob),
            (Some(program), None) => {
                (SumOf::Job { program: printable(program), name: None }, SumOf::UnknownPublisher)
            }
            (Some(program), Some(name)) => (
                SumOf::Job { program: printable(program), name: Some(name.clone()) },
                SumOf::Publisher { publisher: name.publisher.clone() },
            ),
        };
        self.jobs.entry(job).or_default().add(sum);
        self.publishers.entry(publisher).or_default().add(sum);
        self.hours.entry(row.opened_at.0 / HOUR_MILLIS).or_default().add(sum);
        if self.latest.len() == LATEST {
            self.latest.pop_back();
        }
        self.latest.push_front(shown);
    }

    fn take_in_witness(&mut self, row: &JournalRow, witness: Witness) {
        let system = &mut self.system;
        match (witness, row.system) {
            (Witness::Underway, _) => system.underway = system.underway.saturating_add(1),
            (Witness::Equal | Witness::Differs { .. }, Some(count)) => {
                system.counted = system.counted.saturating_add(1);
                system.ours_sent_bytes = system.ours_sent_bytes.saturating_add(row.sent_bytes);
                system.ours_received_bytes = system.ours_received_bytes.saturating_add(row.received_bytes);
                system.sent_bytes = system.sent_bytes.saturating_add(count.sent_bytes);
                system.received_bytes = system.received_bytes.saturating_add(count.received_bytes);
                system.differing = system.differing.saturating_add(u32::from(witness != Witness::Equal));
            }
            (Witness::NoConnection, _) => {}
            (Witness::Estimated | Witness::Missing | Witness::Equal | Witness::Differs { .. }, _) => {
                system.missing = system.missing.saturating_add(1);
                system.missing_sent_bytes = system.missing_sent_bytes.saturating_add(row.sent_bytes);
            }
        }
    }

    /// The page of what was taken in.
    pub fn page(self, standing: Standing) -> Privacy {
        let hours = hours(&self.hours, self.span, self.now);
        let mut rows: Vec<PrivacyRow> = self
            .routes
            .into_iter()
            .map(|((purpose, destination), (sum, message))| PrivacyRow {
                purpose,
                destination,
                sent_bytes: sum.sent_bytes,
                received_bytes: sum.received_bytes,
                count: sum.count,
                message,
            })
            .collect();
        rows.sort_by_key(|row| std::cmp::Reverse((row.sent_bytes, row.received_bytes)));
        Privacy {
            sent_bytes: self.all.sent_bytes,
            received_bytes: self.all.received_bytes,
            system: self.system,
            rows,
            destinations: largest_first(self.destinations),
            jobs: largest_first(self.jobs),
            publishers: largest_first(self.publishers),
            hours,
            latest: self.latest.into(),
            first_at: standing.first_at,
            deleted_at: standing.deleted_at,
            journal_bytes: standing.file_bytes,
            messages: KeptMessages {
                count: standing.messages,
                bytes: standing.message_bytes,
                at_most: KEPT_MESSAGES,
                at_most_bytes: KEPT_MESSAGE_BYTES,
                body_at_most_bytes: network::KEPT_BODY_BYTES as u64,
            },
        }
    }
}

/// The largest sums, and what is left of them in one.
fn largest_first(sums: BTreeMap<SumOf, Sum>) -> Vec<PrivacySum> {
    let mut sums: Vec<(SumOf, Sum)> = sums.into_iter().collect();
    sums.sort_by_key(|(_, sum)| std::cmp::Reverse((sum.sent_bytes, sum.received_bytes)));
    let mut rest = Sum::default();
    for (_, sum) in sums.iter().skip(SUMS) {
        rest.add(*sum);
    }
    sums.truncate(SUMS);
    if rest.count > 0 {
        sums.push((SumOf::Rest, rest));
    }
    let shown = |(of, sum): (SumOf, Sum)| PrivacySum {
        of,
        sent_bytes: sum.sent_bytes,
        received_bytes: sum.received_bytes,
        count: sum.count,
    };
    sums.into_iter().map(shown).collect()
}

fn egress_view(row: &JournalRow) -> EgressView {
    EgressView {
        row: row.row,
        at: row.opened_at,
        purpose: printable(&row.purpose),
        destination: printable(&row.destination),
        object: printable(&row.object),
        job: row
            .job_name
            .as_ref()
            .map(|name| JobName { title: printable(&name.title), publisher: printable(&name.publisher) }),
        sent_bytes: row.sent_bytes,
        received_bytes: row.received_bytes,
        witness: witness(row),
        kept: row.kept,
    }
}

fn witness(row: &JournalRow) -> Witness {
    if row.estimated {
        return Witness::Estimated;
    }
    match row.system {
        _ if row.outcome.is_none() => Witness::Underway,
        Some(count) if (count.sent_bytes, count.received_bytes) == (row.sent_bytes, row.received_bytes) => {
            Witness::Equal
        }
        Some(count) => {
            Witness::Differs { sent_bytes: count.sent_bytes, received_bytes: count.received_bytes }
        }
        None if row.peer.is_none() => Witness::NoConnection,
        None => Witness::Missing,
    }
}

/// Text from elsewhere without the signs that steer a terminal or turn the direction of the text after them (Unicode
/// TR 36): each of them shows as U+FFFD.
pub(crate) fn printable(text: &str) -> String {
    let steers = |sign: char| {
        sign.is_control()
            || matches!(sign, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
    };
    text.chars().map(|sign| if steers(sign) { '\u{FFFD}' } else { sign }).collect()
}

/// The hours of the page: each one from the first row to the end where that is at most 31 days, else those with a row.
fn hours(sums: &BTreeMap<u64, Sum>, span: Span, now: UnixMillis) -> Vec<PrivacyHour> {
    let Some((&first, _)) = sums.first_key_value() else { return Vec::new() };
    let end = span.until_at.map_or(now.0, |until_at| until_at.0.saturating_sub(1).min(now.0));
    let last = end / HOUR_MILLIS;
    let first = first.max(span.from_at.0 / HOUR_MILLIS).min(last);
    let hour = |at: u64, sum: Sum| PrivacyHour {
        at: UnixMillis(at * HOUR_MILLIS),
        sent_bytes: sum.sent_bytes,
        received_bytes: sum.received_bytes,
    };
    // What lies outside the hours drawn (older, or of a clock that was set back) is still in the sums.
    if last - first < DENSE_HOURS {
        return (first..=last).map(|at| hour(at, sums.get(&at).copied().unwrap_or_default())).collect();
    }
    let mut shown: Vec<PrivacyHour> =
        sums.range(..=last).rev().take(MOST_HOURS).map(|(&at, &sum)| hour(at, sum)).collect();
    shown.reverse();
    shown
}
