//! `worker`: runs one publisher's kernels on the graphics card, locked down, and talks frames over stdin and stdout.
//!
//! It owns the only code of Hearth that parses WGSL and drives a graphics API. It never opens a file or socket of its
//! own, and reads job bytes only after the device is open and the walls stand. The sandbox room starts it:
//! `worker` computes, `worker --inspect` only admits programs, `worker --self-test-confinement` tries the walls.

mod admission;
mod confine;
mod control;
mod device;
mod engine;
mod gpu;
mod pieces;
mod self_test;

use std::io::Write;
use std::process::ExitCode;

use protocol::frames::{Fault, FaultCode, Reply, Request, read_request};

/// Stack of the thread that parses and compiles: parsers and drivers recurse over hostile nesting.
const COMPILER_STACK_BYTES: usize = 64 << 20;

fn main() -> ExitCode {
    control::report_panics();
    let parent = match confine::before_anything() {
        Ok(parent) => parent,
        Err(error) => {
            log(format_args!("{error}"));
            return ExitCode::FAILURE;
        }
    };
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => serve(parent),
        (Some("--inspect"), None) => inspect(parent),
        (Some("--self-test-confinement"), forbidden_file) => self_test::run(parent, forbidden_file),
        _ => {
            log(format_args!("this program is started by Hearth and is of no use by itself"));
            ExitCode::FAILURE
        }
    }
}

/// Opens the device, raises the walls, says ready, and computes until the parent goes.
fn serve(parent: confine::ParentWall) -> ExitCode {
    let mut stdin = std::io::stdin().lock();
    let (adapter, allow_software, memory_bytes) = match read_request(&mut stdin) {
        Ok(Request::Open { adapter, allow_software, memory_bytes }) => {
            (adapter, allow_software, memory_bytes)
        }
        Ok(_) => return refuse(Fault { code: FaultCode::Order, detail: "the first frame opens".to_owned() }),
        Err(error) => {
            log(format_args!("{error}"));
            return ExitCode::FAILURE;
        }
    };
    let files = confine::before_device();
    let (device, described) = match device::open(&adapter, allow_software) {
        Ok(opened) => opened,
        Err(fault) => return refuse(fault),
    };
    let confinement = match confine::after_device(parent, files, &described, memory_bytes) {
        Ok(confinement) => confinement,
        Err(error) => {
            return refuse(Fault {
                code: FaultCode::NoAdapter,
                detail: format!("cannot lock down: {error}"),
            });
        }
    };
    control::say(&Reply::Ready { adapter: described, confinement });
    control::run(stdin, device)
}

/// Admits programs without a device until the parent goes.
fn inspect(parent: confine::ParentWall) -> ExitCode {
    let files = confine::before_device();
    if let Err(error) = confine::without_device(parent, files) {
        return refuse(Fault { code: FaultCode::Order, detail: format!("cannot lock down: {error}") });
    }
    let mut stdin = std::io::stdin().lock();
    loop {
        match read_request(&mut stdin) {
            Ok(Request::Load { program, sources }) => {
                let admitted = std::thread::scope(|scope| {
                    std::thread::Builder::new()
                        .stack_size(COMPILER_STACK_BYTES)
                        .spawn_scoped(scope, || admission::admit(&program, &sources).map(|_| ()))
                        .map(std::thread::ScopedJoinHandle::join)
                });
                control::say(&match admitted {
                    Ok(Ok(Ok(()))) => Reply::Loaded,
                    Ok(Ok(Err(fault))) => Reply::Refused { fault },
                    Ok(Err(_)) | Err(_) => {
                        let detail = "the admission check itself failed".to_owned();
                        Reply::Refused { fault: Fault { code: FaultCode::Wgsl, detail } }
                    }
                });
            }
            Ok(Request::Quit) => return ExitCode::SUCCESS,
            Ok(_) => {
                let detail = "only programs are inspected".to_owned();
                return refuse(Fault { code: FaultCode::Order, detail });
            }
            Err(protocol::frames::ReadFrameError::Closed) => return ExitCode::SUCCESS,
            Err(error) => {
                log(format_args!("{error}"));
                return ExitCode::FAILURE;
            }
        }
    }
}

fn refuse(fault: Fault) -> ExitCode {
    control::say(&Reply::Refused { fault });
    ExitCode::FAILURE
}

/// One line on stderr, which the parent keeps the end of.
pub(crate) fn log(line: std::fmt::Arguments<'_>) {
    // A parent that no longer reads is gone, and the process with it.
    if writeln!(std::io::stderr(), "worker: {line}").is_err() {
        control::leave(1);
    }
}
