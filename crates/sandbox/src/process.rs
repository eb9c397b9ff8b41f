//! The child process and the threads around it.
//!
//! One warden thread per worker owns the child and its [`Conversation`]: it starts the process (and lives as long as it,
//! because Linux's parent-death signal follows the thread that started it), checks replies, keeps deadlines, kills and
//! reaps. Three plain threads move bytes: one reads replies, one writes requests, one keeps the end of stderr. They end
//! with the process. How a process is started, ended and measured differs between systems; each has its file.
//! `worker.rs` and `inspect.rs` call [`start`].

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc as channel;
use std::time::{Duration, Instant};

use protocol::frames::{FaultCode, ReadFrameError, Reply, Request, read_reply, write_frame};
use tokio::sync::{mpsc, oneshot};

pub(crate) use self::system::cpu_time;
#[cfg(unix)]
use self::unix as system;
#[cfg(windows)]
use self::windows as system;
use crate::conversation::{Command, Conversation, Heard, Violation};
use crate::worker::{Death, DeathReason, Ready, Spawn, SpawnError, WorkerEvent};

/// How much of the end of stderr is kept.
const STDERR_TAIL_BYTES: usize = 8 * 1024;
/// How long a worker that closed its output may take to end by itself.
const EXIT_GRACE: Duration = Duration::from_millis(200);

/// Whether the worker opens a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Opens a device and computes.
    Serve,
    /// Only admits programs.
    Inspect,
}

impl Mode {
    /// What the worker is told on its command line.
    fn argument(self) -> Option<&'static str> {
        match self {
            Self::Serve => None,
            Self::Inspect => Some("--inspect"),
        }
    }
}

/// The way to a worker's warden. Dropping it kills the worker.
#[derive(Debug)]
pub(crate) struct Commands {
    inbox: channel::Sender<Input>,
}

impl Commands {
    /// Hands a command over; if the worker has died the owner learns it from the next event.
    pub(crate) fn give(&self, command: Command) {
        self.send(Input::Command(command));
    }

    /// Has the process killed.
    pub(crate) fn kill(&self) {
        self.send(Input::Kill);
    }

    fn send(&self, input: Input) {
        if self.inbox.send(input).is_err() {
            tracing::debug!("command for a worker that has died");
        }
    }
}

impl Drop for Commands {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Everything that a warden waits for.
#[derive(Debug)]
enum Input {
    Command(Command),
    Reply(Result<Reply, ReadFrameError>),
    Kill,
}

type Opened = oneshot::Sender<Result<(u32, Ready), SpawnError>>;

/// Starts a worker and its warden. In [`Mode::Inspect`] the worker is ready at once and `opened` is never answered.
pub(crate) fn start(
    spawn: Spawn,
    mode: Mode,
    opened: Opened,
) -> (Commands, mpsc::UnboundedReceiver<WorkerEvent>) {
    let (inbox, inputs) = channel::channel();
    let (events, received) = mpsc::unbounded_channel();
    let replies = inbox.clone();
    std::thread::spawn(move || guard(&spawn, mode, opened, replies, &inputs, &events));
    (Commands { inbox }, received)
}

/// What is said when a warden is gone without a word, which only the end of this process can cause.
pub(crate) fn lost() -> Death {
    Death { reason: DeathReason::Killed, stderr: String::new() }
}

/// The warden: lives as long as the process.
fn guard(
    spawn: &Spawn,
    mode: Mode,
    opened: Opened,
    replies: channel::Sender<Input>,
    inputs: &channel::Receiver<Input>,
    events: &mpsc::UnboundedSender<WorkerEvent>,
) {
    let limit_bytes = Arc::new(AtomicUsize::new(0));
    let (mut child, pipes) = match system::launch(spawn, mode.argument()) {
        Ok(launched) => launched,
        Err(source) => {
            let error = SpawnError::Start { path: spawn.program_path.clone(), source };
            let death = Death { reason: DeathReason::Killed, stderr: error.to_string() };
            answer(opened, Err(error));
            tell(events, WorkerEvent::Died(death));
            return;
        }
    };
    let (requests, queue) = channel::channel();
    let (tail, last_words) = channel::channel();
    let reader_limit = Arc::clone(&limit_bytes);
    std::thread::spawn(move || read_replies(pipes.stdout, &reader_limit, &replies));
    std::thread::spawn(move || write_requests(pipes.stdin, &queue));
    std::thread::spawn(move || keep_tail(pipes.stderr, &tail));

    let mut warden = Warden {
        pid: child.id(),
        conversation: Conversation::new(),
        limit_bytes,
        requests: Some(requests),
        opened: Some(opened),
        events,
    };
    if mode == Mode::Serve {
        let request = Request::Open {
            adapter: spawn.adapter.clone(),
            allow_software: spawn.allow_software,
            memory_bytes: spawn.memory_bytes,
        };
        warden.say(Command { request, within: spawn.within });
    }
    let end = warden.watch(inputs);
    // Closing stdin lets an honest worker end by itself; the kill follows at once where it is owed.
    warden.requests = None;
    let reason = match end {
        End::Closed => match wait_for(&mut child, EXIT_GRACE) {
            Some(Exit { code, signal }) => DeathReason::Exited { code, signal },
            None => {
                kill(&mut child, DeathReason::Violation(Violation::OutOfOrder { frame: "end of output" }))
            }
        },
        End::Killed(reason) => kill(&mut child, reason),
    };
    let stderr = last_words.recv_timeout(EXIT_GRACE).unwrap_or_default();
    tracing::debug!(pid = warden.pid, %reason, stderr, "worker ended");
    let death = Death { reason, stderr };
    if let Some(opened) = warden.opened.take() {
        answer(opened, Err(SpawnError::Died(death.clone())));
    }
    tell(events, WorkerEvent::Died(death));
}

/// Our ends of a worker's three pipes.
struct Pipes {
    stdin: PipeWriter,
    stdout: PipeReader,
    stderr: PipeReader,
}

/// How a process ended by itself.
#[derive(Debug, Clone, Copy)]
struct Exit {
    code: Option<i32>,
    signal: Option<i32>,
}

enum End {
    /// The worker closed its output.
    Closed,
    Killed(DeathReason),
}

struct Warden<'a> {
    pid: u32,
    conversation: Conversation,
    limit_bytes: Arc<AtomicUsize>,
    requests: Option<channel::Sender<Request>>,
    opened: Option<Opened>,
    events: &'a mpsc::UnboundedSender<WorkerEvent>,
}

impl Warden<'_> {
    fn say(&mut self, command: Command) {
        self.conversation.say(&command, Instant::now());
        self.limit_bytes.store(self.conversation.frame_limit(), Ordering::Release);
        // A writer that is gone means that the process is gone: the reader tells so.
        if let Some(requests) = &self.requests
            && requests.send(command.request).is_err()
        {
            tracing::debug!(pid = self.pid, "request for a worker that closed its input");
        }
    }

    fn watch(&mut self, inputs: &channel::Receiver<Input>) -> End {
        loop {
            let input = match self.conversation.deadline() {
                None => inputs.recv().map_err(|_| channel::RecvTimeoutError::Disconnected),
                Some((by, overdue)) => {
                    match inputs.recv_timeout(by.saturating_duration_since(Instant::now())) {
                        Err(channel::RecvTimeoutError::Timeout) => {
                            return End::Killed(DeathReason::Overdue(overdue));
                        }
                        input => input,
                    }
                }
            };
            match input {
                Ok(Input::Command(command)) => self.say(command),
                Ok(Input::Kill) | Err(_) => return End::Killed(DeathReason::Killed),
                Ok(Input::Reply(Err(ReadFrameError::Decode(error)))) => {
                    return End::Killed(DeathReason::Violation(Violation::Malformed(error.to_string())));
                }
                Ok(Input::Reply(Err(_))) => return End::Closed,
                Ok(Input::Reply(Ok(reply))) => match self.conversation.hear(reply, Instant::now()) {
                    Err(violation) => return End::Killed(DeathReason::Violation(violation)),
                    Ok(heard) => self.pass_on(heard),
                },
            }
        }
    }

    fn pass_on(&mut self, heard: Heard) {
        match heard {
            Heard::Nothing => {}
            Heard::Ready(ready) => {
                if let Some(opened) = self.opened.take() {
                    answer(opened, Ok((self.pid, ready)));
                }
            }
            // A refusal before Ready answers the spawn; the process ends by itself or is killed when the handle goes.
            Heard::Event(WorkerEvent::Refused { fault }) if self.refuses_to_open() => {
                if let Some(opened) = self.opened.take() {
                    let error = match fault.code {
                        FaultCode::NoAdapter => SpawnError::NoAdapter(fault),
                        _ => SpawnError::Refused(fault),
                    };
                    answer(opened, Err(error));
                }
            }
            Heard::Event(event) => tell(self.events, event),
        }
    }

    fn refuses_to_open(&self) -> bool {
        self.conversation.is_opening()
    }
}

fn answer(opened: Opened, outcome: Result<(u32, Ready), SpawnError>) {
    if opened.send(outcome).is_err() {
        tracing::debug!("nobody waits for this worker to open");
    }
}

fn tell(events: &mpsc::UnboundedSender<WorkerEvent>, event: WorkerEvent) {
    if events.send(event).is_err() {
        tracing::debug!("nobody listens to this worker");
    }
}

/// Kills and reaps.
fn kill(child: &mut system::Child, reason: DeathReason) -> DeathReason {
    child.kill();
    reason
}

fn wait_for(child: &mut system::Child, grace: Duration) -> Option<Exit> {
    child.wait_for(grace).unwrap_or_else(|error| {
        tracing::warn!(%error, "wait for a worker");
        None
    })
}

fn read_replies(stdout: PipeReader, limit_bytes: &AtomicUsize, replies: &channel::Sender<Input>) {
    let mut reader = BufReader::with_capacity(64 * 1024, stdout);
    loop {
        // The limit is read when the frame begins to arrive, because it depends on the commands sent until then.
        let arrived = reader.fill_buf().map(<[u8]>::len);
        let reply = match arrived {
            Ok(0) => Err(ReadFrameError::Closed),
            Ok(_) => read_reply(&mut reader, limit_bytes.load(Ordering::Acquire)),
            Err(error) => Err(error.into()),
        };
        let last = reply.is_err();
        if replies.send(Input::Reply(reply)).is_err() || last {
            return;
        }
    }
}

fn write_requests(mut stdin: PipeWriter, queue: &channel::Receiver<Request>) {
    while let Ok(request) = queue.recv() {
        if let Err(error) = write_frame(&mut stdin, &request) {
            // The process is gone or going: the reader tells so.
            tracing::debug!(%error, "write to a worker");
            return;
        }
    }
    if let Err(error) = stdin.flush() {
        tracing::debug!(%error, "write to a worker");
    }
}

/// Reads stderr to its end and sends the last bytes of it as text.
fn keep_tail(mut stderr: PipeReader, tail: &channel::Sender<String>) {
    let mut kept = VecDeque::new();
    let mut chunk = [0; 4096];
    loop {
        match stderr.read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => {
                kept.extend(&chunk[..n]);
                let excess = kept.len().saturating_sub(STDERR_TAIL_BYTES);
                kept.drain(..excess);
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => {
                tracing::debug!(%error, "read a worker's stderr");
                break;
            }
        }
    }
    let (head, rest) = kept.as_slices();
    let text = String::from_utf8_lossy(&[head, rest].concat()).into_owned();
    if tail.send(text).is_err() {
        tracing::debug!("nobody waits for a worker's last words");
    }
}
