//! `worker --self-test-confinement [FILE]`: raises the walls as for a job, then tries each of them and prints what
//! happened as one line of JSON. `true` means that the attempt was refused. Only tests start it.
//!
//! Attempts that need no system call of Linux's own are here, the others in `self_test/linux.rs`. Every one is made
//! twice: on the main thread and on a thread that was started, like a driver's own, before the last wall stood.

#![expect(clippy::disallowed_types, reason = "it tries to open sockets, to show that it cannot")]

use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::process::{Command, ExitCode};

#[cfg(target_os = "linux")]
#[path = "self_test/linux.rs"]
mod system;
#[cfg(not(target_os = "linux"))]
#[path = "self_test/other.rs"]
mod system;

use crate::{confine, device, log};

/// Attempts and whether each was refused.
type Attempts = Vec<(&'static str, bool)>;

/// Raises the walls, tries them, prints the outcome. `forbidden_file` is a file that the caller can read.
pub(crate) fn run(parent: confine::ParentWall, forbidden_file: Option<String>) -> ExitCode {
    let forbidden_file = forbidden_file.unwrap_or_else(|| "/etc/passwd".to_owned());
    let targets = system::Targets::find();
    let files = confine::before_device();
    // Like a driver's thread: started while the device opens, before the last wall stands.
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let file_of_thread = forbidden_file.clone();
    let early = std::thread::spawn(move || {
        if wait.recv().is_err() {
            return Vec::new();
        }
        [attempts(&file_of_thread), system::attempts(&targets)].concat()
    });
    let opened = device::open("", true);
    let confinement = match &opened {
        Ok((_, adapter)) => confine::after_device(parent, files, adapter, 0),
        Err(fault) => {
            log(format_args!("without a device: {}", fault.detail));
            confine::without_device(parent, files)
        }
    };
    let confinement = match confinement {
        Ok(confinement) => confinement,
        Err(error) => {
            log(format_args!("{error}"));
            return ExitCode::FAILURE;
        }
    };
    let here = [attempts(&forbidden_file), system::attempts(&targets)].concat();
    if go.send(()).is_err() {
        log(format_args!("the early thread is gone"));
        return ExitCode::FAILURE;
    }
    let Ok(there) = early.join() else { return ExitCode::FAILURE };
    let thread_starts = std::thread::Builder::new().spawn(|| ()).is_ok_and(|thread| thread.join().is_ok());
    let line = format!(
        "{{\"device\":{},\"walls\":\"{confinement:?}\",\"main\":{},\"early_thread\":{},\"thread_starts\":{thread_starts}}}",
        opened.is_ok(),
        json(&here),
        json(&there),
    );
    match writeln!(std::io::stdout(), "{line}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn attempts(forbidden_file: &str) -> Attempts {
    let beside = std::path::Path::new(forbidden_file).with_extension("written-by-worker");
    vec![
        ("read_file", std::fs::read(forbidden_file).is_err()),
        ("write_file", std::fs::write(&beside, b"x").is_err()),
        ("write_tmp", std::fs::write("/tmp/hearth-worker-self-test", b"x").is_err()),
        ("list_root", std::fs::read_dir("/").is_err()),
        ("tcp", refused(TcpStream::connect("127.0.0.1:9"))),
        ("udp", refused(UdpSocket::bind("127.0.0.1:0"))),
        ("process", refused(Command::new("/bin/true").spawn())),
    ]
}

/// Whether the system forbade it, as opposed to a failure of another kind.
fn refused<T>(outcome: std::io::Result<T>) -> bool {
    outcome.is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
}

fn json(attempts: &Attempts) -> String {
    let fields: Vec<_> = attempts.iter().map(|(name, refused)| format!("\"{name}\":{refused}")).collect();
    format!("{{{}}}", fields.join(","))
}
