//! Linux and macOS: the process is a group of its own, and ties itself to its parent from inside (`worker`'s
//! `confine`), where all its walls are raised too.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child as StdChild, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Exit, Pipes};
use crate::worker::Spawn;

/// A running worker.
#[derive(Debug)]
pub(super) struct Child(StdChild);

/// Starts the program with `argument`, the environment of `spawn` and nothing else.
pub(super) fn launch(spawn: &Spawn, argument: Option<&str>) -> io::Result<(Child, Pipes)> {
    let mut child = Command::new(&spawn.program_path)
        .args(argument)
        .env_clear()
        .envs(spawn.env.iter().map(|(name, value)| (name, value)))
        // The worker compares it with its parent: a parent that died before the death signal was set is noticed.
        .env("HEARTH_PARENT", std::process::id().to_string())
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C in a terminal is the parent's to answer, and a kill reaches the whole group.
        .process_group(0)
        .spawn()?;
    match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
        (Some(stdin), Some(stdout), Some(stderr)) => {
            let pipes = Pipes {
                stdin: OwnedFd::from(stdin).into(),
                stdout: OwnedFd::from(stdout).into(),
                stderr: OwnedFd::from(stderr).into(),
            };
            Ok((Child(child), pipes))
        }
        _ => {
            child.kill()?;
            child.wait()?;
            Err(io::Error::other("the system gave no pipes to the child"))
        }
    }
}

impl Child {
    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Waits until the process has ended by itself; `None` when `grace` is over before.
    pub(super) fn wait_for(&mut self, grace: Duration) -> io::Result<Option<Exit>> {
        let until = Instant::now() + grace;
        loop {
            match self.0.try_wait()? {
                Some(status) => return Ok(Some(Exit { code: status.code(), signal: status.signal() })),
                None if Instant::now() < until => std::thread::sleep(Duration::from_millis(2)),
                None => return Ok(None),
            }
        }
    }

    /// Kills and reaps; the group too, in case a descendant exists against all walls.
    pub(super) fn kill(&mut self) {
        if let Some(pid) = i32::try_from(self.0.id()).ok().and_then(rustix::process::Pid::from_raw)
            && let Err(error) = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL)
        {
            tracing::debug!(%error, "kill the worker's process group");
        }
        if let Err(error) = self.0.kill() {
            tracing::warn!(%error, "kill a worker");
        }
        if let Err(error) = self.0.wait() {
            tracing::warn!(%error, "reap a worker");
        }
    }
}

/// Processor time of a process in all its threads, to the nanosecond.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "two system calls that std and rustix do not offer")]
pub(crate) fn cpu_time(pid: u32) -> Option<Duration> {
    let pid = libc::pid_t::try_from(pid).ok()?;
    let mut clock: libc::clockid_t = 0;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: both calls write only to the locals whose addresses they get.
    let read = unsafe {
        libc::clock_getcpuclockid(pid, &raw mut clock) == 0 && libc::clock_gettime(clock, &raw mut time) == 0
    };
    if !read {
        return None;
    }
    Some(Duration::new(u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?))
}

/// Processor time of a process in all its threads, in ticks of the system's clock (42 ns on Apple silicon).
#[cfg(target_os = "macos")]
#[expect(unsafe_code, reason = "two system calls that std and rustix do not offer")]
pub(crate) fn cpu_time(pid: u32) -> Option<Duration> {
    /// `struct mach_timebase_info` of mach/mach_time.h; libc's own is deprecated.
    #[repr(C)]
    struct Timebase {
        numer: u32,
        denom: u32,
    }
    unsafe extern "C" {
        fn mach_timebase_info(info: *mut Timebase) -> libc::c_int;
    }
    let pid = libc::c_int::try_from(pid).ok()?;
    let mut usage = std::mem::MaybeUninit::<libc::rusage_info_v0>::zeroed();
    let mut timebase = Timebase { numer: 0, denom: 0 };
    // SAFETY: flavour V0 writes exactly one `rusage_info_v0`, whose address it gets; the parameter's declared type is a
    // pointer to a pointer for historical reasons.
    let read = unsafe { libc::proc_pid_rusage(pid, libc::RUSAGE_INFO_V0, usage.as_mut_ptr().cast()) };
    // SAFETY: it writes only to the local whose address it gets.
    let told = unsafe { mach_timebase_info(&raw mut timebase) };
    if read != 0 || told != 0 || timebase.denom == 0 {
        return None;
    }
    // SAFETY: every bit pattern is a value of this struct of numbers, and all of it was zeroed.
    let usage = unsafe { usage.assume_init() };
    let ticks = u128::from(usage.ri_user_time) + u128::from(usage.ri_system_time);
    let nanos = ticks * u128::from(timebase.numer) / u128::from(timebase.denom);
    Some(Duration::from_nanos(u64::try_from(nanos).ok()?))
}
