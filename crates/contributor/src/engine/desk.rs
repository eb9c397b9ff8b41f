//! What the owner's requests change and what they are answered: the part of the state that faces the agent.

use std::time::Duration;

use protocol::local::{ExportFormat, Preferences, Snooze};
use protocol::sign::Signed;
use protocol::units::UnixMillis;

use super::calendar::{date, midnight, next_six};
use super::client::{Credit, Document, Reply, Request, RequestError};
use super::keeper::StoreAsk;
use super::state::{Effect, JournalAsk, State};
use crate::earnings::{self, Prices};
use crate::journal::{ReadJournalError, Reading, Span};
use crate::link::LinkAsk;
use crate::policy::{self, SHARE_NOW_FOR, Snoozed};
use crate::preferences;
use crate::privacy::{self, Tally};

impl State {
    pub(super) fn take_in_request(&mut self, request: Request, now: UnixMillis, effects: &mut Vec<Effect>) {
        match request {
            Request::Snooze { span, reply } => {
                let until_at = self.snooze_end(span, now);
                self.memory.kept.snoozed = Some(Snoozed { since_at: now, until_at });
                self.keep(reply, effects);
            }
            Request::Resume { reply } => {
                self.memory.kept.snoozed = None;
                self.keep(reply, effects);
            }
            Request::ShareNow { reply } => {
                if self.memory.kept.share_now_used {
                    return answer(reply, Err(RequestError::ShareNowUsed));
                }
                self.memory.kept.share_now_used = true;
                self.memory.kept.share_now_until = Some(now.plus(SHARE_NOW_FOR));
                self.keep(reply, effects);
            }
            Request::Preferences { reply } => answer(reply, Ok(self.preferences.clone())),
            Request::SetPreferences { preferences, reply } => {
                if let Err(error) = preferences::check(&preferences) {
                    return answer(reply, Err(error.into()));
                }
                self.preferences = Preferences::clone(&preferences);
                effects.push(Effect::Store(StoreAsk::SavePreferences { preferences, kept: None, reply }));
                // New prices make a new sum.
                self.loss = None;
                // A new limit may need a value that was not asked for.
                self.watch.hurry(now);
            }
            Request::Checks { reply } => {
                let checks = policy::checks(&self.signals, &self.preferences, &self.decision, now);
                // Somebody looks: what rested is read again, and the next answer shows it.
                self.watch.hurry(now);
                answer(reply, Ok(checks));
            }
            Request::Measure { reply } => {
                if !self.bench.running && !self.bench.wanted {
                    self.bench.wanted = true;
                }
                answer(reply, Ok(()));
            }
            Request::CancelMeasure { reply } => {
                if self.bench.running {
                    effects.push(Effect::CancelMeasure);
                    self.bench.shown = self.bench.before.take();
                }
                self.bench.running = false;
                self.bench.wanted = false;
                answer(reply, Ok(()));
            }
            Request::FinishWelcome { autostart, reply } => {
                self.memory.kept.welcomed = true;
                self.preferences.autostart = autostart;
                effects.push(Effect::Store(StoreAsk::SavePreferences {
                    preferences: Box::new(self.preferences.clone()),
                    kept: Some(self.memory.kept),
                    reply,
                }));
            }
            Request::Earnings { from_at, reply } => {
                self.account(now, effects);
                let receipts: Vec<_> = self.ledger.receipts().iter().map(Signed::message).collect();
                let date_of = |at| date(&self.time_zone, at);
                let no_work = self.schedule.no_work();
                let page = earnings::page(
                    &receipts,
                    &self.days,
                    from_at,
                    Prices::of(&self.preferences),
                    &self.token,
                    no_work,
                    &date_of,
                );
                answer(reply, Ok(page));
            }
            Request::Statement { reply } => answer(reply, Ok(self.statement(now))),
            Request::Privacy { span, reply } => {
                let with = move |reading: Result<Reading<'_>, ReadJournalError>| {
                    let mut tally = Tally::new(span, now, network::SYSTEM_COUNTER);
                    let page = reading.and_then(|reading| {
                        for row in reading.rows {
                            tally.take_in(&row?);
                        }
                        Ok(tally.page(reading.standing))
                    });
                    answer(reply, page.map_err(Into::into));
                };
                effects.push(Effect::Journal(JournalAsk::Rows { span, with: Box::new(with) }));
            }
            Request::SentMessage { row, reply } => {
                effects.push(Effect::Journal(JournalAsk::Message { row, reply }));
            }
            Request::DeleteHistory { reply } => {
                effects.push(Effect::Journal(JournalAsk::Delete { at: now, reply }));
                // What left today is read again: the page and the tray show what the journal holds.
                effects.push(Effect::Sums { from_at: midnight(&self.time_zone, now) });
            }
            Request::ExportJournal { format, reply } => {
                let ending = match format {
                    ExportFormat::Csv => "csv",
                    ExportFormat::Json => "json",
                };
                let file_name = format!("hearth-journal-{}.{ending}", date(&self.time_zone, now));
                let with = move |reading: Result<Reading<'_>, ReadJournalError>| {
                    let text = reading.and_then(|reading| Ok(privacy::export(reading.rows, format)?));
                    answer(reply, text.map(|text| Document { file_name, text }).map_err(Into::into));
                };
                effects.push(Effect::Journal(JournalAsk::Rows { span: Span::ALL, with: Box::new(with) }));
            }
            Request::Credit { reply } => {
                let receipts = self.ledger.last_sequence();
                let credit =
                    Credit { total: self.ledger.total(), matured: self.ledger.matured(now), receipts };
                answer(reply, Ok(credit));
            }
            Request::Receipts { after_sequence, reply } => {
                let receipts = self.ledger.receipts().iter().map(Signed::message);
                answer(reply, Ok(receipts.filter(|r| r.sequence > after_sequence).cloned().collect()));
            }
            Request::Bind { terms, reply } => effects.push(Effect::Link(LinkAsk::Bind { terms, reply })),
            Request::Relay { terms, reply } => effects.push(Effect::Link(LinkAsk::Relay { terms, reply })),
            Request::Epoch { reply } => effects.push(Effect::Link(LinkAsk::Epoch { reply })),
            Request::EpochList { list, reply } => {
                effects.push(Effect::Link(LinkAsk::EpochList { list, reply }))
            }
            Request::DismissNotice { code, reply } => {
                self.withdraw(code);
                answer(reply, Ok(()));
            }
        }
    }

    fn keep(&self, reply: Reply<()>, effects: &mut Vec<Effect>) {
        effects.push(Effect::Store(StoreAsk::KeepPolicy { kept: self.memory.kept, replies: vec![reply] }));
    }

    fn snooze_end(&self, span: Snooze, now: UnixMillis) -> Option<UnixMillis> {
        let minutes = |minutes: u64| Some(now.plus(Duration::from_secs(minutes * 60)));
        match span {
            Snooze::Minutes15 => minutes(15),
            Snooze::Hour1 => minutes(60),
            Snooze::Hours4 => minutes(240),
            Snooze::UntilTomorrow => Some(next_six(&self.time_zone, now)),
            Snooze::UntilResume => None,
        }
    }

    /// All receipts with the envelopes that prove them: anyone who knows the coordinator's key can check the text.
    fn statement(&self, now: UnixMillis) -> Document {
        let receipts: Vec<serde_json::Value> = self
            .ledger
            .receipts()
            .iter()
            .map(|receipt| {
                let r = receipt.message();
                serde_json::json!({
                    "sequence": r.sequence,
                    "kind": r.kind,
                    "title": r.title,
                    "slices": r.slices,
                    "amount": earnings::decimal(r.amount.0, self.token.decimals),
                    "issued_at": r.issued_at.0,
                    "matures_at": r.matures_at.0,
                    "envelope": hex::encode(receipt.envelope().to_bytes()),
                })
            })
            .collect();
        let statement = serde_json::json!({
            "format": "hearth-statement-1",
            "network": self.network,
            "network_name": self.profile.name,
            "device": self.device,
            "written_at": now.0,
            "unit": self.token.unit,
            "total": earnings::decimal(self.ledger.total().0, self.token.decimals),
            "receipts": receipts,
        });
        Document {
            file_name: format!("hearth-statement-{}.json", date(&self.time_zone, now)),
            text: format!("{statement:#}\n"),
        }
    }
}

pub(super) fn answer<T>(reply: Reply<T>, result: Result<T, RequestError>) {
    if reply.send(result).is_err() {
        tracing::debug!("nobody waits for an answer any more");
    }
}
