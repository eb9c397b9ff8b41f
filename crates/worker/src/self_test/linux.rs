//! Attempts that only Linux knows: each is a system call that a harmful driver or kernel might make.
//!
//! An attempt counts as refused only when the system answers that it is forbidden; an answer of another kind (a bad
//! argument, a missing file) would show that the call was looked at.

use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};

use super::Attempts;

/// A request to a terminal that types a command into it (TIOCSTI): the classic way out of a sandbox.
const TYPE_INTO_TERMINAL: u64 = 0x5412;

/// What is attacked; found before the walls stand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Targets {
    parent: u64,
    own: u64,
}

impl Targets {
    pub(super) fn find() -> Self {
        Self { parent: std::os::unix::process::parent_id().into(), own: std::process::id().into() }
    }
}

/// Tries all of them.
pub(super) fn attempts(targets: &Targets) -> Attempts {
    let Targets { parent, own } = *targets;
    let signal_child = libc::SIGCHLD.unsigned_abs().into();
    let vfork = (libc::CLONE_VM | libc::CLONE_VFORK).unsigned_abs().into();
    let mut all = vec![
        ("parent_environment", cannot_open(&format!("/proc/{parent}/environ"))),
        ("parent_memory", cannot_open(&format!("/proc/{parent}/mem"))),
        ("parent_descriptors", cannot_list(&format!("/proc/{parent}/fd"))),
        ("list_processes", cannot_list("/proc")),
        ("list_devices", cannot_list("/dev")),
        ("kernel_settings", cannot_open("/proc/sys/kernel/hostname")),
        ("network_addresses", cannot_list("/sys/class/net")),
        ("memory_file_exec", memory_file_does_not_run()),
        ("foreign_requests", requests_are_refused()),
        ("type_into_terminal", refused(libc::SYS_ioctl, &[0, TYPE_INTO_TERMINAL, 0])),
        // As fork and vfork make them. A child, should there be one, shares this memory and must not go on.
        ("fork", refused_to_begin(libc::SYS_clone, &[signal_child])),
        ("vfork", refused_to_begin(libc::SYS_clone, &[vfork, 0])),
        ("kill_parent", refused(libc::SYS_kill, &[parent, 0])),
        ("signal_parent_thread", refused(libc::SYS_tgkill, &[parent, parent, 0])),
        ("kill_own_group", refused(libc::SYS_kill, &[0, 0])),
        ("parent_handle", refused(libc::SYS_pidfd_open, &[parent, 0])),
        ("trace_parent", refused(libc::SYS_ptrace, &[u64::from(libc::PTRACE_SEIZE), parent, 0, 0])),
        ("trace_me", refused(libc::SYS_ptrace, &[u64::from(libc::PTRACE_TRACEME), 0, 0, 0])),
        ("read_parent", refused(libc::SYS_process_vm_readv, &[parent, 0, 0, 0, 0, 0])),
        ("write_parent", refused(libc::SYS_process_vm_writev, &[parent, 0, 0, 0, 0, 0])),
        ("limits_of_parent", refused(libc::SYS_prlimit64, &[parent, 0, 0, 0])),
        ("own_limits", refused(libc::SYS_prlimit64, &[0, u64::from(libc::RLIMIT_CORE), 8, 0])),
        ("outlive_parent", refused(libc::SYS_prctl, &[call(libc::PR_SET_PDEATHSIG), 0])),
        ("allow_tracing", refused(libc::SYS_prctl, &[call(libc::PR_SET_DUMPABLE), 1])),
        ("signals_from_files", refused(libc::SYS_fcntl, &[0, call(libc::F_SETOWN), own])),
        ("io_uring", refused(libc::SYS_io_uring_setup, &[1, 0])),
        ("userfaultfd", refused(libc::SYS_userfaultfd, &[1])),
        ("bpf", refused(libc::SYS_bpf, &[0, 0, 0])),
        ("perf", refused(libc::SYS_perf_event_open, &[0, 0, 0, 0, 0])),
        ("keys", refused(libc::SYS_keyctl, &[0, 0, 0, 0, 0])),
        ("mount", refused(libc::SYS_mount, &[0, 0, 0, 0, 0])),
        ("new_namespaces", refused(libc::SYS_unshare, &[0])),
        ("enter_namespaces", refused(libc::SYS_setns, &[0, 0])),
        ("shared_memory", refused(libc::SYS_shmget, &[0, 4096, 0o1600])),
        ("change_mode", refused(libc::SYS_fchmod, &[0, 0o777])),
        ("watch_files", refused(libc::SYS_inotify_init1, &[0])),
        ("change_filter", refused(libc::SYS_seccomp, &[0, 0, 0])),
    ];
    let families = [
        ("socket_unix", libc::AF_UNIX),
        ("socket_inet", libc::AF_INET),
        ("socket_inet6", libc::AF_INET6),
        ("socket_netlink", libc::AF_NETLINK),
        ("socket_packet", libc::AF_PACKET),
        ("socket_vsock", libc::AF_VSOCK),
        ("socket_bluetooth", libc::AF_BLUETOOTH),
        ("socket_alg", libc::AF_ALG),
    ];
    let stream = call(libc::SOCK_STREAM);
    all.extend(families.map(|(name, family)| (name, refused(libc::SYS_socket, &[call(family), stream, 0]))));
    all.push(("socket_pair", refused(libc::SYS_socketpair, &[call(libc::AF_UNIX), stream, 0, 0])));
    all
}

/// A small positive constant of the C library as an argument.
fn call(constant: libc::c_int) -> u64 {
    constant.unsigned_abs().into()
}

#[expect(unsafe_code, reason = "the attempts are system calls that no library offers")]
fn answer(number: i64, arguments: &[u64]) -> std::io::Result<i64> {
    let argument = |at: usize| arguments.get(at).copied().unwrap_or(0);
    // SAFETY: every pointer among the arguments of the calls above is null or belongs to the caller; where the walls
    // hold, the kernel looks at none of them.
    let answer = unsafe {
        libc::syscall(number, argument(0), argument(1), argument(2), argument(3), argument(4), argument(5))
    };
    if answer == -1 { Err(std::io::Error::last_os_error()) } else { Ok(answer) }
}

fn refused(number: i64, arguments: &[u64]) -> bool {
    answer(number, arguments).is_err_and(|error| error.raw_os_error() == Some(libc::EPERM))
}

/// Like [`refused`], for calls that would return twice.
fn refused_to_begin(number: i64, arguments: &[u64]) -> bool {
    match answer(number, arguments) {
        Ok(0) => crate::control::leave(0),
        outcome => outcome.is_err_and(|error| error.raw_os_error() == Some(libc::EPERM)),
    }
}

fn cannot_open(path: &str) -> bool {
    super::refused(std::fs::File::open(path))
}

fn cannot_list(path: &str) -> bool {
    super::refused(std::fs::read_dir(path))
}

/// A program that exists only in memory is not started, neither by its descriptor nor by its name.
fn memory_file_does_not_run() -> bool {
    let Ok(program) = memory_file() else { return false };
    let Ok(by_name) = CString::new(format!("/proc/self/fd/{}", program.as_raw_fd())) else { return false };
    let by_descriptor = [
        u64::from(program.as_raw_fd().unsigned_abs()),
        c"".as_ptr() as u64,
        0,
        0,
        u64::from(libc::AT_EMPTY_PATH.unsigned_abs()),
    ];
    refused(libc::SYS_execveat, &by_descriptor) && refused(libc::SYS_execve, &[by_name.as_ptr() as u64, 0, 0])
}

fn memory_file() -> std::io::Result<OwnedFd> {
    use std::io::Write;
    let program = rustix::fs::memfd_create("program", rustix::fs::MemfdFlags::empty())?;
    let mut file = std::fs::File::from(program);
    file.write_all(&std::fs::read("/usr/bin/true")?)?;
    Ok(file.into())
}

/// Requests to devices of every type, made to a pipe: those that the driver's family does not make are refused before
/// the kernel looks at the descriptor. Software drivers make none.
fn requests_are_refused() -> bool {
    (0..=u64::from(u8::MAX)).all(|kind| refused(libc::SYS_ioctl, &[1, kind << 8 | 1, 0]))
}
