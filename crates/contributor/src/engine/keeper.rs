//! The store's thread: everything that waits for a disk, in the order in which it was asked.
//!
//! It owns the [`Store`] and reads and trims the shelf. The loop hands it [`StoreAsk`]s and goes on; what the loop must
//! know comes back as an [`Input`]. A save that fails is told, never swallowed.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use protocol::frames::{Checkpoint, output_digest};
use protocol::id::{BundleId, Hash, LeaseId, NetworkId, PublisherId, SliceId};
use protocol::local::{Benchmark, Preferences};
use protocol::manifest::Program;
use protocol::receipt::Receipt;
use protocol::sign::{Envelope, Message as _, Signed};
use protocol::units::UnixMillis;
use protocol::wire::KnownAnswers;
use protocol::work::{SliceRef, WorkLease};
use serde_bytes::ByteBuf;

use super::client::{Reply, RequestError};
use super::drawing::{self, Drawn, Easel};
use super::state::Input;
use crate::link::MAX_BLOB_BYTES;
use crate::policy::Kept;
use crate::preferences;
use crate::schedule::ProgramFault;
use crate::shelf::{QUOTA_BYTES, Shelf, ShelfError};
use crate::store::{DayWork, MAX_SAVED_CHECKPOINT_BYTES, Store, StoreError};

/// What the thread is asked.
#[derive(Debug)]
pub(super) enum StoreAsk {
    SaveLease(Box<Signed<WorkLease>>),
    /// Answered by [`StoreNews::Saved`] or [`StoreNews::NotSaved`].
    SaveOutput {
        lease: LeaseId,
        slice: SliceId,
        millis: u64,
        output: Vec<u8>,
    },
    SaveCheckpoint {
        lease: LeaseId,
        slice: SliceId,
        checkpoint: Arc<Checkpoint>,
    },
    MarkCommitted(LeaseId),
    /// Answered by [`StoreNews::Outputs`].
    Outputs {
        lease: LeaseId,
        bundle: BundleId,
    },
    Forget {
        lease: LeaseId,
        needed: BTreeSet<Hash>,
    },
    AddReceipts(Vec<Signed<Receipt>>),
    DropReceiptsFrom(u64),
    NoteYield {
        at: UnixMillis,
        micros: u64,
    },
    AddDay {
        date: String,
        work: DayWork,
    },
    KeepPolicy {
        kept: Kept,
        replies: Vec<Reply<()>>,
    },
    KeepBenchmark(Box<Benchmark>),
    KeepAnswers(Box<KnownAnswers>),
    SavePreferences {
        preferences: Box<Preferences>,
        kept: Option<Kept>,
        reply: Reply<()>,
    },
    /// Answered by [`StoreNews::Program`].
    ReadProgram(Hash),
    /// Answered by [`StoreNews::Drawn`], if the slice has a picture.
    Draw {
        slice: SliceRef,
        output: Option<Vec<u8>>,
    },
}

/// What the thread tells.
#[derive(Debug)]
pub(super) enum StoreNews {
    Saved {
        lease: LeaseId,
        slice: SliceId,
        digest: Hash,
        millis: u64,
    },
    NotSaved {
        lease: LeaseId,
        slice: SliceId,
        disk_full: bool,
    },
    Outputs {
        lease: LeaseId,
        bundle: BundleId,
        outputs: Result<Vec<(SliceId, ByteBuf)>, StoreError>,
    },
    Program {
        program: Hash,
        result: Result<(Arc<Program>, String), ProgramFault>,
    },
    Drawn {
        slice: SliceId,
        drawn: Box<Drawn>,
    },
    /// Something else could not be saved.
    Failed {
        disk_full: bool,
    },
}

/// The thread's handle.
#[derive(Debug)]
pub(super) struct Keeper {
    asks: mpsc::Sender<StoreAsk>,
    thread: JoinHandle<()>,
}

type Tell = Box<dyn Fn(Input) + Send>;

impl Keeper {
    pub(super) fn start(
        store: Store,
        data_dir: PathBuf,
        shelf: Shelf,
        network: NetworkId,
        publishers: BTreeMap<PublisherId, String>,
        tell: Tell,
    ) -> io::Result<Self> {
        let (asks, asked) = mpsc::channel();
        let easel = Easel::default();
        let mut desk = Desk { store, data_dir, shelf, network, publishers, easel, tell };
        let thread = std::thread::Builder::new().name("hearth-store".to_owned()).spawn(move || {
            while let Ok(ask) = asked.recv() {
                desk.take_in(ask);
            }
        })?;
        Ok(Self { asks, thread })
    }

    pub(super) fn give(&self, ask: StoreAsk) {
        if self.asks.send(ask).is_err() {
            tracing::error!("the store's thread has ended");
        }
    }

    /// Ends the thread after everything that was asked.
    pub(super) fn stop(self) {
        drop(self.asks);
        if self.thread.join().is_err() {
            tracing::error!("the store's thread panicked");
        }
    }
}

struct Desk {
    store: Store,
    data_dir: PathBuf,
    shelf: Shelf,
    network: NetworkId,
    publishers: BTreeMap<PublisherId, String>,
    easel: Easel,
    tell: Tell,
}

impl Desk {
    fn take_in(&mut self, ask: StoreAsk) {
        match ask {
            StoreAsk::SaveLease(lease) => {
                let done = self.store.save_lease(&lease);
                self.check(done);
            }
            StoreAsk::SaveOutput { lease, slice, millis, output } => {
                let digest = output_digest(&output);
                let news = match self.store.save_output(&lease, &slice, &digest, millis, &output) {
                    Ok(()) => StoreNews::Saved { lease, slice, digest, millis },
                    Err(error) => {
                        log(&error);
                        StoreNews::NotSaved { lease, slice, disk_full: error.is_disk_full() }
                    }
                };
                self.tell(news);
            }
            StoreAsk::SaveCheckpoint { lease, slice, checkpoint } => {
                let bytes: usize = checkpoint.state.iter().map(|buffer| buffer.len()).sum();
                if bytes <= MAX_SAVED_CHECKPOINT_BYTES {
                    let done = self.store.save_checkpoint(&lease, &slice, &checkpoint);
                    self.check(done);
                }
            }
            StoreAsk::MarkCommitted(lease) => {
                let done = self.store.mark_committed(&lease);
                self.check(done);
            }
            StoreAsk::Outputs { lease, bundle } => {
                let outputs = self.store.outputs(&lease);
                self.tell(StoreNews::Outputs { lease, bundle, outputs });
            }
            StoreAsk::Forget { lease, needed } => {
                let done = self.store.forget_lease(&lease);
                self.check(done);
                if let Err(error) = self.shelf.trim(&needed, QUOTA_BYTES) {
                    tracing::warn!(error = &error as &dyn std::error::Error, "blobs could not be given up");
                }
            }
            StoreAsk::AddReceipts(receipts) => {
                let done = self.store.add_receipts(&receipts);
                self.check(done);
            }
            StoreAsk::DropReceiptsFrom(sequence) => {
                let done = self.store.drop_receipts_from(sequence);
                self.check(done);
            }
            StoreAsk::NoteYield { at, micros } => {
                let done = self.store.note_yield(at, micros);
                self.check(done);
            }
            StoreAsk::AddDay { date, work } => {
                let done = self.store.add_day(&date, &work);
                self.check(done);
            }
            StoreAsk::KeepPolicy { kept, replies } => {
                let done = self.store.keep_policy(&kept);
                match done {
                    Ok(()) => replies.into_iter().for_each(|reply| answer(reply, Ok(()))),
                    Err(error) => {
                        log(&error);
                        self.tell(StoreNews::Failed { disk_full: error.is_disk_full() });
                        // One caller gets the reason itself; more than one at a time is rare.
                        let mut replies = replies.into_iter();
                        if let Some(first) = replies.next() {
                            answer(first, Err(error.into()));
                        }
                    }
                }
            }
            StoreAsk::KeepBenchmark(benchmark) => {
                let done = self.store.keep_benchmark(&benchmark);
                self.check(done);
            }
            StoreAsk::KeepAnswers(answers) => {
                let done = self.store.keep_answers(&answers);
                self.check(done);
            }
            StoreAsk::SavePreferences { preferences, kept, reply } => {
                let saved = preferences::save(&self.data_dir, &preferences).map_err(RequestError::from);
                let saved = saved.and_then(|()| match kept {
                    Some(kept) => Ok(self.store.keep_policy(&kept)?),
                    None => Ok(()),
                });
                answer(reply, saved);
            }
            StoreAsk::ReadProgram(program) => {
                let result = self.read_program(&program);
                self.tell(StoreNews::Program { program, result });
            }
            StoreAsk::Draw { slice, output } => match self.draw(&slice, output.as_deref()) {
                Ok(Some(drawn)) => self.tell(StoreNews::Drawn { slice: slice.slice, drawn: Box::new(drawn) }),
                // Params of neither a search nor a tile, or a tile of an image of which nothing is there yet.
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "no picture of a slice")
                }
            },
        }
    }

    fn tell(&self, news: StoreNews) {
        (self.tell)(Input::Stored(news));
    }

    fn check(&self, done: Result<(), StoreError>) {
        if let Err(error) = done {
            log(&error);
            self.tell(StoreNews::Failed { disk_full: error.is_disk_full() });
        }
    }

    /// The program under its content address, signed by a publisher that the network lets in, within all bounds.
    fn read_program(&self, program: &Hash) -> Result<(Arc<Program>, String), ProgramFault> {
        let limit = Program::MAX_BYTES as u64 + 1024;
        let bytes = self.shelf.read(program, limit).map_err(|error| match error {
            ShelfError::Length { .. } => ProgramFault::Refused,
            ShelfError::Io { .. } | ShelfError::Damaged { .. } => ProgramFault::Damaged,
        })?;
        let refused = |error: &(dyn std::error::Error + 'static)| {
            tracing::warn!(error, program = %program.short(), "a program is refused");
            ProgramFault::Refused
        };
        let envelope = Envelope::from_bytes::<Program>(&bytes).map_err(|error| refused(&error))?;
        let signed: Signed<Program> = envelope.verify_any(&self.network).map_err(|error| refused(&error))?;
        let Some(publisher) = self.publishers.get(&PublisherId(*signed.signer())) else {
            tracing::warn!(program = %program.short(), "a program's publisher is not let in by the network");
            return Err(ProgramFault::Refused);
        };
        signed.message().check().map_err(|error| refused(&error))?;
        Ok((Arc::new(signed.into_message()), publisher.clone()))
    }

    fn draw(&mut self, slice: &SliceRef, output: Option<&[u8]>) -> Result<Option<Drawn>, ShelfError> {
        if let Ok(head) = jobs::rendering::TileHead::from_words(&slice.params) {
            return Ok(self.easel.draw(&head, output));
        }
        let Some(input) = slice.inputs.first() else { return Ok(None) };
        let bytes = self.shelf.read_range(input, MAX_BLOB_BYTES)?;
        let picture = match jobs::search::picture(&bytes, &slice.params, output) {
            Ok(picture) => picture,
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "a slice has no picture");
                return Ok(None);
            }
        };
        Ok(Some(drawing::waterfall(picture, output.is_some())))
    }
}

fn log(error: &StoreError) {
    tracing::error!(error = error as &dyn std::error::Error, "something could not be saved");
}

fn answer<T>(reply: Reply<T>, result: Result<T, RequestError>) {
    if reply.send(result).is_err() {
        tracing::debug!("nobody waits for an answer any more");
    }
}
