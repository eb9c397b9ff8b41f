//! The control thread: reads the parent's frames, answers a suspend at once when nothing is on the device, and hands
//! everything else to the engine's thread. It ends the process the moment the parent is gone.
//!
//! It never touches the device. The [`Gate`] is the one thing that it shares with the engine.

use std::io::{Read, Write};
use std::process::ExitCode;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use protocol::frames::{Checkpoint, Pace, ReadFrameError, Reply, Request, read_request, write_frame};
use protocol::id::SliceId;
use protocol::manifest::Program;

use crate::device::Device;
use crate::engine::Engine;
use crate::log;

/// What the engine's thread hears from the control thread.
pub(crate) enum Message {
    Load {
        program: Box<Program>,
        sources: Vec<String>,
    },
    Run {
        slice: SliceId,
        inputs: Vec<serde_bytes::ByteBuf>,
        params: Vec<u32>,
        resume_from: Option<Checkpoint>,
        pace: Pace,
    },
    Suspend {
        release: bool,
        /// When the frame was read.
        at: Instant,
        /// Whether the control thread has already answered.
        answered: bool,
    },
    Resume {
        pace: Pace,
    },
    Abandon,
}

/// Whether the engine may be, and is, on the device.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<GateState>,
}

#[derive(Debug, Default)]
struct GateState {
    on_device: bool,
    held: bool,
}

impl Gate {
    /// Goes on the device unless a suspend holds; tells whether it did.
    pub(crate) fn enter(&self) -> bool {
        let mut state = self.lock();
        if !state.held {
            state.on_device = true;
        }
        !state.held
    }

    /// Leaves the device. After it, suspends are answered by the control thread.
    pub(crate) fn leave(&self) {
        self.lock().on_device = false;
    }

    /// Leaves the device because a suspend says so: until the next resume or run nothing enters again.
    pub(crate) fn hold(&self) {
        let mut state = self.lock();
        state.on_device = false;
        state.held = true;
    }

    fn lock(&self) -> MutexGuard<'_, GateState> {
        // Two flags have no broken state that a panic could leave behind.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes one frame; a parent that does not take it is gone.
pub(crate) fn say(reply: &Reply) {
    if write_frame(&mut std::io::stdout().lock(), reply).is_err() {
        leave(0);
    }
}

/// Ends the process without the exit handlers of drivers, which may wait for a hung device.
#[cfg(unix)]
#[expect(unsafe_code, reason = "std offers no exit without handlers")]
pub(crate) fn leave(code: i32) -> ! {
    // SAFETY: _exit has no preconditions.
    unsafe { libc::_exit(code) }
}

/// Ends the process without the exit handlers of drivers, which may wait for a hung device.
#[cfg(windows)]
#[expect(unsafe_code, reason = "std offers no exit without handlers")]
pub(crate) fn leave(code: i32) -> ! {
    use windows_sys::Win32::System::Threading::{GetCurrentProcess, TerminateProcess};
    // SAFETY: the call takes no pointers, and this process may always end itself.
    unsafe { TerminateProcess(GetCurrentProcess(), code.cast_unsigned()) };
    // Reached only if the system refused.
    std::process::exit(code)
}

/// Has a panic end the process after a line on stderr, and after a typed answer where the graphics library panicked
/// over a device that was lost.
pub(crate) fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        // A failing write has nobody left to be told.
        drop(writeln!(
            std::io::stderr(),
            "worker: panic in {}: {panic}",
            thread.name().unwrap_or("a thread")
        ));
        if let Some(reply) = crate::engine::last_words() {
            say(&reply);
        }
        leave(101);
    }));
}

/// Starts the engine's thread and reads the parent's frames until it goes. Never returns before the process ends.
pub(crate) fn run(mut stdin: impl Read, device: Device) -> ExitCode {
    let gate = Arc::new(Gate::default());
    let (messages, inbox) = std::sync::mpsc::channel();
    let engine_gate = Arc::clone(&gate);
    let engine = std::thread::Builder::new()
        .name("engine".to_owned())
        .stack_size(crate::COMPILER_STACK_BYTES)
        .spawn(move || Engine::new(device, engine_gate, inbox).serve());
    if let Err(error) = engine {
        log(format_args!("start the engine's thread: {error}"));
        leave(1);
    }
    loop {
        match read_request(&mut stdin) {
            Ok(Request::Quit) | Err(ReadFrameError::Closed) => leave(0),
            Ok(request) => hand_over(request, &gate, &messages),
            Err(error) => {
                log(format_args!("{error}"));
                leave(1);
            }
        }
    }
}

fn hand_over(request: Request, gate: &Gate, messages: &Sender<Message>) {
    let message = match request {
        Request::Suspend { release } => {
            let at = Instant::now();
            let mut state = gate.lock();
            let answered = !state.on_device;
            if answered {
                state.held = true;
                say(&Reply::Yielded { micros: micros_since(at) });
            }
            drop(state);
            if answered && !release {
                return;
            }
            Message::Suspend { release, at, answered }
        }
        Request::Resume { pace } => {
            gate.lock().held = false;
            Message::Resume { pace }
        }
        Request::Run { slice, inputs, params, resume_from, pace } => {
            gate.lock().held = false;
            Message::Run { slice, inputs, params, resume_from, pace }
        }
        Request::Load { program, sources } => Message::Load { program, sources },
        Request::Abandon => Message::Abandon,
        Request::Open { .. } | Request::Quit => {
            log(format_args!("a frame came out of order"));
            leave(1);
        }
    };
    // The engine's thread only ends with the process.
    if messages.send(message).is_err() {
        leave(1);
    }
}

/// Microseconds since `at`.
pub(crate) fn micros_since(at: Instant) -> u64 {
    u64::try_from(at.elapsed().as_micros()).unwrap_or(u64::MAX)
}
