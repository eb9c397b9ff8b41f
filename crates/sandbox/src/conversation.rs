//! PURE: what a worker may say, when, and how large; what it owes and until when.
//!
//! [`Conversation`] is told every command before it is written and every reply after it was read. It answers with the
//! event for the owner or with the [`Violation`] for which the worker is killed, and names the next deadline. It never
//! reads a clock and never touches a process; `process.rs` does both.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use protocol::frames::{Checkpoint, Fault, Reply, Request};
use protocol::id::SliceId;
use protocol::manifest::{Program, Role};

use crate::worker::{Ready, WorkerEvent};

/// Largest frame that carries no buffer.
const SMALL_FRAME_BYTES: usize = 64 * 1024;
/// Largest detail of a fault that is kept.
const MAX_DETAIL_BYTES: usize = 2048;
/// A worker that computes gives a sign of life at least this often.
const SILENCE: Duration = Duration::from_secs(15);
/// After `Yielded` the state must arrive and the memory be free within this time (DESIGN.md §1: hard kill at 2 s).
const RELEASE_WITHIN: Duration = Duration::from_secs(2);
/// More frames than this within a second are a flood; an honest worker sends fewer than ten.
const MAX_FRAMES_PER_SECOND: usize = 200;

/// A request and the time that its answer may take.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) request: Request,
    /// Open: until Ready. Load: until Loaded. Suspend: until Yielded. Run: active time of the slice.
    pub(crate) within: Duration,
}

/// How a worker broke the rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A frame that nobody asked for.
    #[error("the worker sent {frame} when it was not due")]
    OutOfOrder {
        /// Name of the frame.
        frame: &'static str,
    },
    /// A frame about a slice that is not being computed.
    #[error("the worker spoke of a slice that it was not given")]
    WrongSlice,
    /// A result or checkpoint of the wrong size, or a position outside the program.
    #[error("the worker sent a {what} of the wrong size")]
    WrongSize {
        /// What had the wrong size.
        what: &'static str,
    },
    /// Too large or malformed bytes.
    #[error("the worker sent a malformed frame: {0}")]
    Malformed(String),
    /// Too many frames.
    #[error("the worker floods its parent with frames")]
    Flood,
}

/// Which answer did not come in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Overdue {
    /// Opening the device took too long.
    #[error("the device did not open in time")]
    Ready,
    /// Admission and compilation took too long.
    #[error("the program did not compile in time")]
    Loaded,
    /// The device was not given back in time.
    #[error("the device was not given back in time")]
    Yielded,
    /// The memory was not given back in time.
    #[error("the device memory was not given back in time")]
    Checkpoint,
    /// No sign of life while computing.
    #[error("the worker gave no sign of life")]
    Progress,
    /// The slice took too long.
    #[error("the slice took longer than it may")]
    Slice,
}

/// What of a program bounds the answers.
#[derive(Debug, Clone)]
struct Shape {
    output_bytes: usize,
    /// Sizes of all state and output buffers in the order of the program.
    state_bytes: Vec<usize>,
    /// Groups and repeats of the stages.
    stages: Vec<(u32, u32)>,
}

impl Shape {
    fn of(program: &Program) -> Self {
        let kept = program.buffers.iter().filter(|b| matches!(b.role, Role::State | Role::Output));
        Self {
            output_bytes: usize::try_from(program.output_bytes()).unwrap_or(usize::MAX),
            state_bytes: kept.map(|b| b.bytes as usize).collect(),
            stages: program.stages.iter().map(|s| (s.groups, s.repeat)).collect(),
        }
    }

    fn fits(&self, checkpoint: &Checkpoint) -> bool {
        let inside = self
            .stages
            .get(usize::from(checkpoint.stage))
            .is_some_and(|&(groups, repeat)| checkpoint.group < groups && checkpoint.repeat < repeat);
        inside && checkpoint.state.iter().map(|b| b.len()).eq(self.state_bytes.iter().copied())
    }
}

#[derive(Debug)]
struct Slice {
    id: SliceId,
    /// Active time left at the present share of the device, counted from `since` while it runs.
    left: Duration,
    /// Share of the time that the device may work, in percent.
    duty_percent: u8,
    /// When it last began to run; `None` while suspended.
    since: Option<Instant>,
    heard_at: Instant,
}

impl Slice {
    /// Takes the time that it ran off what is left. Whether it ran.
    fn pause(&mut self, now: Instant) -> bool {
        let Some(since) = self.since.take() else { return false };
        self.left = self.left.saturating_sub(now.saturating_duration_since(since));
        true
    }

    /// A smaller share of the device makes the same work take longer, a larger one shorter.
    fn stretch(&mut self, duty_percent: u8) {
        let duty_percent = duty_percent.clamp(1, 100);
        self.left = self.left.saturating_mul(self.duty_percent.into()) / u32::from(duty_percent);
        self.duty_percent = duty_percent;
    }
}

#[derive(Debug)]
struct YieldDue {
    sent_at: Instant,
    by: Instant,
    release: bool,
}

/// The parent's view of one conversation.
#[derive(Debug)]
pub(crate) struct Conversation {
    ready_by: Option<Instant>,
    loading: Option<(Shape, Instant)>,
    shape: Option<Shape>,
    slice: Option<Slice>,
    abandoned: Option<SliceId>,
    yields: VecDeque<YieldDue>,
    checkpoint_by: Option<Instant>,
    recent: VecDeque<Instant>,
}

/// What a checked reply means.
#[derive(Debug)]
pub(crate) enum Heard {
    /// The worker is open for work.
    Ready(Ready),
    /// For the owner.
    Event(WorkerEvent),
    /// Nothing to tell.
    Nothing,
}

impl Conversation {
    pub(crate) fn new() -> Self {
        Self {
            ready_by: None,
            loading: None,
            shape: None,
            slice: None,
            abandoned: None,
            yields: VecDeque::new(),
            checkpoint_by: None,
            recent: VecDeque::new(),
        }
    }

    /// Largest frame that may come now.
    pub(crate) fn frame_limit(&self) -> usize {
        let shape = self.shape.iter().chain(self.loading.iter().map(|(shape, _)| shape));
        // A few bytes of head for each buffer; the margin covers them.
        let largest = shape.map(|s| s.state_bytes.iter().sum::<usize>()).max().unwrap_or(0);
        largest + SMALL_FRAME_BYTES
    }

    /// Whether the worker still owes its first answer.
    pub(crate) fn is_opening(&self) -> bool {
        self.ready_by.is_some()
    }

    /// Notes a command that is about to be written.
    pub(crate) fn say(&mut self, command: &Command, now: Instant) {
        match &command.request {
            Request::Open { .. } => self.ready_by = Some(now + command.within),
            Request::Load { program, .. } => self.loading = Some((Shape::of(program), now + command.within)),
            Request::Run { slice, pace, .. } => {
                self.slice = Some(Slice {
                    id: *slice,
                    left: command.within,
                    duty_percent: pace.duty_percent.clamp(1, 100),
                    since: Some(now),
                    heard_at: now,
                });
            }
            Request::Suspend { release } => {
                let due = YieldDue { sent_at: now, by: now + command.within, release: *release };
                self.yields.push_back(due);
                if let Some(slice) = &mut self.slice {
                    slice.pause(now);
                }
            }
            Request::Resume { pace } => {
                if let Some(slice) = &mut self.slice {
                    if !slice.pause(now) {
                        slice.heard_at = now;
                    }
                    slice.since = Some(now);
                    slice.stretch(pace.duty_percent);
                }
            }
            Request::Abandon => {
                self.abandoned = self.slice.take().map(|s| s.id);
                self.checkpoint_by = None;
            }
            Request::Quit => {}
        }
    }

    /// Checks a reply.
    pub(crate) fn hear(&mut self, reply: Reply, now: Instant) -> Result<Heard, Violation> {
        self.count_frame(now)?;
        if let Some(slice) = &mut self.slice {
            slice.heard_at = now;
        }
        let out_of_order = |frame| Err(Violation::OutOfOrder { frame });
        if self.ready_by.is_some() {
            return match reply {
                Reply::Ready { adapter, confinement } => {
                    self.ready_by = None;
                    Ok(Heard::Ready(Ready { adapter: bounded_adapter(adapter), confinement }))
                }
                Reply::Refused { fault } => {
                    Ok(Heard::Event(WorkerEvent::Refused { fault: bounded_fault(fault) }))
                }
                _ => out_of_order("a frame before it was ready"),
            };
        }
        match reply {
            Reply::Ready { .. } => out_of_order("ready"),
            Reply::Loaded => {
                let Some((shape, _)) = self.loading.take() else { return out_of_order("loaded") };
                self.shape = Some(shape);
                Ok(Heard::Event(WorkerEvent::Loaded))
            }
            Reply::Refused { fault } => {
                if self.loading.take().is_none() {
                    return out_of_order("refused");
                }
                self.shape = None;
                Ok(Heard::Event(WorkerEvent::Refused { fault: bounded_fault(fault) }))
            }
            Reply::Yielded { micros } => {
                let Some(due) = self.yields.pop_front() else { return out_of_order("yielded") };
                if due.release && self.slice.is_some() {
                    self.checkpoint_by = Some(now + RELEASE_WITHIN);
                }
                let observed = now.saturating_duration_since(due.sent_at);
                Ok(Heard::Event(WorkerEvent::Yielded { reported: Duration::from_micros(micros), observed }))
            }
            Reply::Progress { slice, permille } => {
                if permille > 1000 {
                    return Err(Violation::WrongSize { what: "progress" });
                }
                self.about(slice, || WorkerEvent::Progress { slice, permille })
            }
            Reply::Checkpoint { slice, checkpoint } => {
                if !self.shape.as_ref().is_some_and(|shape| shape.fits(&checkpoint)) {
                    return Err(Violation::WrongSize { what: "checkpoint" });
                }
                if self.abandoned != Some(slice) && self.checkpoint_by.take().is_none() {
                    return out_of_order("a checkpoint");
                }
                self.about(slice, || WorkerEvent::Checkpoint { slice, checkpoint })
            }
            Reply::Done { slice, output, device_micros, upload_micros, download_micros, pieces } => {
                if self.shape.as_ref().is_none_or(|shape| shape.output_bytes != output.len()) {
                    return Err(Violation::WrongSize { what: "result" });
                }
                let heard = self.about(slice, || WorkerEvent::Done {
                    slice,
                    output: output.into_vec(),
                    device: Duration::from_micros(device_micros),
                    upload: Duration::from_micros(upload_micros),
                    download: Duration::from_micros(download_micros),
                    pieces,
                });
                self.end(slice);
                heard
            }
            Reply::Failed { slice, fault } => {
                let heard = self.about(slice, || WorkerEvent::Failed { slice, fault: bounded_fault(fault) });
                self.end(slice);
                heard
            }
        }
    }

    /// The next moment at which something is overdue unless a frame comes first.
    pub(crate) fn deadline(&self) -> Option<(Instant, Overdue)> {
        // Compilation uses the processor and goes on while suspended, so its deadline does too.
        let load = self.loading.as_ref().map(|(_, by)| (*by, Overdue::Loaded));
        let active = self.slice.as_ref().and_then(|slice| Some((slice, slice.since?)));
        let silence = active.map(|(slice, _)| (slice.heard_at + SILENCE, Overdue::Progress));
        // A limit beyond the clock's range is no limit.
        let limit = active.and_then(|(slice, since)| Some((since.checked_add(slice.left)?, Overdue::Slice)));
        [
            self.ready_by.map(|by| (by, Overdue::Ready)),
            load,
            self.yields.front().map(|due| (due.by, Overdue::Yielded)),
            self.checkpoint_by.map(|by| (by, Overdue::Checkpoint)),
            silence,
            limit,
        ]
        .into_iter()
        .flatten()
        .min_by_key(|&(by, _)| by)
    }

    fn about(&self, slice: SliceId, event: impl FnOnce() -> WorkerEvent) -> Result<Heard, Violation> {
        if self.slice.as_ref().is_some_and(|s| s.id == slice) {
            Ok(Heard::Event(event()))
        } else if self.abandoned == Some(slice) {
            Ok(Heard::Nothing)
        } else {
            Err(Violation::WrongSlice)
        }
    }

    fn end(&mut self, slice: SliceId) {
        if self.slice.as_ref().is_some_and(|s| s.id == slice) {
            self.slice = None;
            self.checkpoint_by = None;
        } else if self.abandoned == Some(slice) {
            self.abandoned = None;
        }
    }

    fn count_frame(&mut self, now: Instant) -> Result<(), Violation> {
        while self
            .recent
            .front()
            .is_some_and(|&at| now.saturating_duration_since(at) > Duration::from_secs(1))
        {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        if self.recent.len() > MAX_FRAMES_PER_SECOND { Err(Violation::Flood) } else { Ok(()) }
    }
}

fn bounded_text(mut text: String, limit_bytes: usize) -> String {
    if text.len() > limit_bytes {
        text.truncate(text.floor_char_boundary(limit_bytes));
    }
    text.retain(|c| c == '\n' || !c.is_control());
    text
}

fn bounded_fault(fault: Fault) -> Fault {
    Fault { code: fault.code, detail: bounded_text(fault.detail, MAX_DETAIL_BYTES) }
}

fn bounded_adapter(mut adapter: protocol::frames::Adapter) -> protocol::frames::Adapter {
    adapter.name = bounded_text(adapter.name, 256);
    adapter.backend = bounded_text(adapter.backend, 32);
    adapter.driver = bounded_text(adapter.driver, 256);
    adapter
}

#[cfg(test)]
mod tests {
    use protocol::frames::{Adapter, Confinement, Pace, Wall};

    use super::*;

    const SLICE: SliceId = SliceId([1; 32]);

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn command(request: Request, within: Duration) -> Command {
        Command { request, within }
    }

    fn run(id: SliceId) -> Request {
        let inputs = Vec::new();
        Request::Run { slice: id, inputs, params: Vec::new(), resume_from: None, pace: Pace::AWAY }
    }

    fn load() -> Request {
        let (program, sources) = crate::measure::program(3);
        Request::Load { program: Box::new(program), sources }
    }

    fn ready() -> Reply {
        let adapter = Adapter {
            name: "x".repeat(10_000),
            backend: String::new(),
            driver: "a\u{7}b".to_owned(),
            vendor_id: 0,
            device_id: 0,
            software: true,
            max_binding_bytes: 0,
            features: Vec::new(),
            memory_bytes: None,
        };
        let none = Wall::None;
        let confinement =
            Confinement { files: none, network: none, processes: none, memory: none, parent: none };
        Reply::Ready { adapter, confinement }
    }

    /// A conversation in which [`SLICE`] has just been given, with 100 s of active time.
    fn running(now: Instant) -> Conversation {
        let mut conversation = Conversation::new();
        let open = Request::Open { adapter: String::new(), allow_software: true, memory_bytes: 0 };
        conversation.say(&command(open, seconds(1)), now);
        conversation.hear(ready(), now).expect("due");
        conversation.say(&command(load(), seconds(1)), now);
        conversation.hear(Reply::Loaded, now).expect("due");
        conversation.say(&command(run(SLICE), seconds(100)), now);
        conversation
    }

    #[test]
    fn texts_of_a_worker_are_bounded_and_free_of_control_characters() {
        let mut conversation = Conversation::new();
        let now = Instant::now();
        let open = Request::Open { adapter: String::new(), allow_software: true, memory_bytes: 0 };
        conversation.say(&command(open, seconds(1)), now);
        match conversation.hear(ready(), now) {
            Ok(Heard::Ready(ready)) => {
                assert!(ready.adapter.name.len() <= 256, "it is shown to a person");
                assert_eq!(ready.adapter.driver, "ab");
            }
            outcome => panic!("unexpected: {outcome:?}"),
        }
    }

    #[test]
    fn suspended_time_does_not_count_against_the_limit_of_the_slice() {
        let start = Instant::now();
        let mut conversation = running(start);
        let beat = Reply::Progress { slice: SLICE, permille: 1 };
        conversation.say(&command(Request::Suspend { release: false }, seconds(1)), start + seconds(10));
        assert_eq!(conversation.deadline(), Some((start + seconds(11), Overdue::Yielded)));
        conversation.hear(Reply::Yielded { micros: 1 }, start + seconds(10)).expect("due");
        assert_eq!(conversation.deadline(), None, "a suspended worker owes nothing, however long");
        let later = start + seconds(1_000_000);
        conversation.say(&command(Request::Resume { pace: Pace::AWAY }, seconds(0)), later);
        assert_eq!(conversation.deadline(), Some((later + SILENCE, Overdue::Progress)));
        conversation.hear(beat, later + seconds(85)).expect("due");
        assert_eq!(
            conversation.deadline(),
            Some((later + seconds(90), Overdue::Slice)),
            "10 of its 100 seconds were used before the suspension"
        );
    }

    #[test]
    fn a_smaller_share_of_the_device_stretches_the_limit_of_a_running_slice() {
        let start = Instant::now();
        let mut conversation = running(start);
        let half = Pace { duty_percent: 50, ..Pace::AWAY };
        let beat = || Reply::Progress { slice: SLICE, permille: 1 };
        conversation.say(&command(Request::Resume { pace: half }, seconds(0)), start + seconds(40));
        conversation.hear(beat(), start + seconds(155)).expect("due");
        assert_eq!(
            conversation.deadline(),
            Some((start + seconds(160), Overdue::Slice)),
            "60 of its 100 seconds were left, and take twice as long at half the share"
        );
        conversation.say(&command(Request::Resume { pace: Pace::AWAY }, seconds(0)), start + seconds(156));
        assert_eq!(
            conversation.deadline(),
            Some((start + seconds(158), Overdue::Slice)),
            "a change of pace gives no time away"
        );
    }

    #[test]
    fn a_release_is_owed_a_checkpoint_and_a_result_pays_it_too() {
        let now = Instant::now();
        let mut conversation = running(now);
        conversation.say(&command(Request::Suspend { release: true }, seconds(1)), now);
        conversation.hear(Reply::Yielded { micros: 1 }, now).expect("due");
        assert_eq!(conversation.deadline(), Some((now + RELEASE_WITHIN, Overdue::Checkpoint)));
        let (program, _) = crate::measure::program(3);
        let output = vec![0; usize::try_from(program.output_bytes()).expect("small")];
        let output = serde_bytes::ByteBuf::from(output);
        let done = Reply::Done {
            slice: SLICE,
            output,
            device_micros: 1,
            upload_micros: 1,
            download_micros: 1,
            pieces: 1,
        };
        assert!(matches!(conversation.hear(done, now), Ok(Heard::Event(WorkerEvent::Done { .. }))));
        assert_eq!(conversation.deadline(), None);
    }

    #[test]
    fn a_second_yield_for_one_suspend_is_a_violation() {
        let now = Instant::now();
        let mut conversation = running(now);
        conversation.say(&command(Request::Suspend { release: false }, seconds(1)), now);
        conversation.hear(Reply::Yielded { micros: 1 }, now).expect("due");
        let again = conversation.hear(Reply::Yielded { micros: 1 }, now);
        assert_eq!(again.err(), Some(Violation::OutOfOrder { frame: "yielded" }));
    }

    #[test]
    fn what_was_under_way_about_an_abandoned_slice_is_passed_over() {
        let now = Instant::now();
        let mut conversation = running(now);
        conversation.say(&command(Request::Abandon, seconds(0)), now);
        conversation.say(&command(run(SliceId([2; 32])), seconds(100)), now);
        let late = Reply::Progress { slice: SLICE, permille: 999 };
        assert!(matches!(conversation.hear(late, now), Ok(Heard::Nothing)));
        let stranger = Reply::Progress { slice: SliceId([3; 32]), permille: 999 };
        assert_eq!(conversation.hear(stranger, now).err(), Some(Violation::WrongSlice));
    }

    #[test]
    fn a_suspend_does_not_prolong_a_load() {
        let now = Instant::now();
        let mut conversation = running(now);
        conversation.say(&command(Request::Abandon, seconds(0)), now);
        conversation.say(&command(load(), seconds(5)), now);
        conversation.say(&command(Request::Suspend { release: false }, seconds(1)), now + seconds(2));
        conversation.hear(Reply::Yielded { micros: 1 }, now + seconds(2)).expect("due");
        assert_eq!(conversation.deadline(), Some((now + seconds(5), Overdue::Loaded)));
    }

    #[test]
    fn frames_are_bounded_by_what_the_program_can_say() {
        let now = Instant::now();
        let conversation = running(now);
        let (program, _) = crate::measure::program(3);
        let kept = usize::try_from(program.output_bytes()).expect("small");
        assert_eq!(conversation.frame_limit(), kept + SMALL_FRAME_BYTES);
        assert_eq!(Conversation::new().frame_limit(), SMALL_FRAME_BYTES);
    }
}
