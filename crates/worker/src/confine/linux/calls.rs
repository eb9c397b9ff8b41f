//! PURE: which system calls are left to a process with an open device; every other one is answered with EPERM.
//!
//! The list for software drivers is what lavapipe and SwiftShader were seen to call (strace) while they open, compile,
//! run, suspend, release, re-open and read back, together with what their C library and Rust's standard library call
//! to start and end threads and to abort. What cards need in addition follows from the sandboxes of browsers (Chromium's
//! policy of the GPU process, and the types that the drivers' own headers name) and is untested for want of a card.

use std::collections::BTreeMap;

use protocol::frames::Adapter;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

use super::super::ConfineError;
use super::at;

/// PCI vendor of cards that have a driver of their own beside Mesa's.
const NVIDIA: u32 = 0x10de;

/// Drivers that need the same system calls once their device is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// lavapipe, SwiftShader: the processor computes, no device is spoken to.
    Software,
    /// Mesa's and AMD's drivers for cards: they speak to the kernel's graphics interface (DRM). Untested.
    Drm,
    /// NVIDIA's own driver: it speaks to NVIDIA's kernel module. Reserves far more address space than it uses. Untested.
    Nvidia,
}

impl Family {
    /// The family of an open adapter's driver.
    pub(super) fn of(adapter: &Adapter) -> Self {
        if adapter.software {
            Self::Software
        } else if adapter.vendor_id == NVIDIA && adapter.driver.starts_with("NVIDIA") {
            Self::Nvidia
        } else {
            Self::Drm
        }
    }

    /// Type bytes (bits 8 to 15) of the device requests that the family makes.
    fn request_types(self) -> &'static [u8] {
        match self {
            Self::Software => &[],
            // DRM, DMA buffers, fences as files, memory files as DMA buffers.
            Self::Drm => b"db>u",
            // The module, its display part, and DRM; requests of its unified memory carry no type.
            Self::Nvidia => b"Fmd\0",
        }
    }

    /// System calls that the family makes beside [`COMPUTING`].
    fn calls(self) -> &'static [&'static [i64]] {
        match self {
            Self::Software => &[],
            Self::Drm => &[CARDS],
            Self::Nvidia => &[CARDS, NVIDIA_ALONE],
        }
    }
}

/// Allowed with any arguments. None of them reaches another process; files are kept by Landlock. (SwiftShader also asks
/// to pin its threads, which names threads of any process, and computes as well without.)
const COMPUTING: &[i64] = &[
    // Memory.
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_memfd_create,
    libc::SYS_ftruncate,
    // Threads and their end. clone is below.
    libc::SYS_clone3,
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    // Signals to itself.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    // Time.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    // The pipes to the parent, and files that Landlock leaves in reach.
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_lseek,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_openat,
    libc::SYS_readlinkat,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    // Facts about the machine and itself.
    libc::SYS_sysinfo,
    libc::SYS_getrandom,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
];

/// Older forms of the same, which other processors do not have.
#[cfg(target_arch = "x86_64")]
const COMPUTING_OLD: &[i64] =
    &[libc::SYS_open, libc::SYS_access, libc::SYS_stat, libc::SYS_lstat, libc::SYS_readlink, libc::SYS_time];
#[cfg(not(target_arch = "x86_64"))]
const COMPUTING_OLD: &[i64] = &[];

/// Made by drivers of cards: lists of devices, events, shared memory, priorities of their threads.
const CARDS: &[i64] = &[
    libc::SYS_getdents64,
    libc::SYS_dup,
    libc::SYS_eventfd2,
    libc::SYS_ppoll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    libc::SYS_fallocate,
    libc::SYS_uname,
    libc::SYS_getrusage,
    libc::SYS_getcpu,
    libc::SYS_membarrier,
    libc::SYS_sched_getscheduler,
    libc::SYS_mlock,
    libc::SYS_munlock,
];
/// Made by NVIDIA's driver beside [`CARDS`].
const NVIDIA_ALONE: &[i64] =
    &[libc::SYS_sched_getparam, libc::SYS_mincore, libc::SYS_get_mempolicy, libc::SYS_mbind, libc::SYS_pipe2];

/// What `fcntl` may do: descriptors' flags, copies, seals of memory files. Not: have signals sent (F_SETOWN), leases.
const FCNTL: [libc::c_int; 8] = [
    libc::F_DUPFD,
    libc::F_DUPFD_CLOEXEC,
    libc::F_GETFD,
    libc::F_SETFD,
    libc::F_GETFL,
    libc::F_SETFL,
    libc::F_ADD_SEALS,
    libc::F_GET_SEALS,
];
/// What `prctl` may do: names of threads and of memory. Not: untie the process from its parent, allow tracing.
const PRCTL: [libc::c_int; 3] = [libc::PR_SET_NAME, libc::PR_GET_NAME, libc::PR_SET_VMA];

/// The filters for a family around the process `own`, in the order in which they are raised. The kernel asks all of them
/// and obeys the strictest answer.
pub(super) fn filters(family: Family, own: u32) -> Result<[BpfProgram; 2], ConfineError> {
    let errno = |number: i32| SeccompAction::Errno(number.unsigned_abs());
    // clone3 hides its flags from a filter; told that it does not exist, libc falls back to clone.
    let hidden = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    Ok([
        compile(hidden, SeccompAction::Allow, errno(libc::ENOSYS))?,
        compile(allowed(family, own)?, errno(libc::EPERM), SeccompAction::Allow)?,
    ])
}

fn compile(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    others: SeccompAction,
    listed: SeccompAction,
) -> Result<BpfProgram, ConfineError> {
    let arch = std::env::consts::ARCH.try_into().map_err(at("seccomp"))?;
    let filter = SeccompFilter::new(rules, others, listed, arch).map_err(at("seccomp"))?;
    filter.try_into().map_err(at::<seccompiler::BackendError>("seccomp"))
}

/// Every call that is left, with the conditions on its arguments of which one must hold.
fn allowed(family: Family, own: u32) -> Result<BTreeMap<i64, Vec<SeccompRule>>, ConfineError> {
    let free = COMPUTING.iter().chain(COMPUTING_OLD).chain(family.calls().iter().copied().flatten());
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = free.map(|&call| (call, Vec::new())).collect();
    // Threads may start, processes may not.
    let thread = u64::from(libc::CLONE_THREAD.unsigned_abs());
    rules.insert(libc::SYS_clone, vec![rule(&[(0, SeccompCmpOp::MaskedEq(thread), thread)])?]);
    // A signal to a thread of this process is how abort() ends it; any other target is a stranger.
    rules.insert(libc::SYS_tgkill, vec![rule(&[(0, SeccompCmpOp::Eq, own.into())])?]);
    // Limits of this process may be read, by the C library for the stack of a thread.
    let read_own = [(0, SeccompCmpOp::Eq, 0), (2, SeccompCmpOp::Eq, 0)];
    rules.insert(libc::SYS_prlimit64, vec![rule(&read_own)?]);
    rules.insert(libc::SYS_fcntl, any_of(1, &FCNTL)?);
    rules.insert(libc::SYS_prctl, any_of(0, &PRCTL)?);
    let requests = family.request_types().iter();
    let requests: Vec<_> = requests
        .map(|&kind| rule(&[(1, SeccompCmpOp::MaskedEq(0xff00), u64::from(kind) << 8)]))
        .collect::<Result<_, _>>()?;
    // A call without a rule would be allowed with any arguments.
    if !requests.is_empty() {
        rules.insert(libc::SYS_ioctl, requests);
    }
    Ok(rules)
}

fn any_of(argument: u8, values: &[libc::c_int]) -> Result<Vec<SeccompRule>, ConfineError> {
    values
        .iter()
        .map(|value| rule(&[(argument, SeccompCmpOp::Eq, u64::from(value.unsigned_abs()))]))
        .collect()
}

/// A rule that holds where every (argument, operator, value) does; values are compared in their lower 32 bits, which is
/// all that the kernel looks at in these calls' numbers, and pointers in full.
fn rule(conditions: &[(u8, SeccompCmpOp, u64)]) -> Result<SeccompRule, ConfineError> {
    let conditions = conditions.iter().map(|(argument, operator, value)| {
        // The third argument of prlimit64 is the only pointer.
        let length = if *argument == 2 { SeccompCmpArgLen::Qword } else { SeccompCmpArgLen::Dword };
        SeccompCondition::new(*argument, length, operator.clone(), *value).map_err(at("seccomp"))
    });
    SeccompRule::new(conditions.collect::<Result<_, _>>()?).map_err(at("seccomp"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter(vendor_id: u32, driver: &str, software: bool) -> Adapter {
        Adapter {
            name: "Card".to_owned(),
            backend: "vulkan".to_owned(),
            driver: driver.to_owned(),
            vendor_id,
            device_id: 1,
            software,
            max_binding_bytes: 1 << 27,
            memory_bytes: None,
            features: Vec::new(),
        }
    }

    #[test]
    fn the_driver_decides_the_family_and_not_the_maker_of_the_card() {
        assert_eq!(Family::of(&adapter(0x10005, "llvmpipe Mesa 22.3.6", true)), Family::Software);
        assert_eq!(Family::of(&adapter(0x1002, "radv Mesa 24.0.1", false)), Family::Drm);
        assert_eq!(Family::of(&adapter(NVIDIA, "NVIDIA 550.54", false)), Family::Nvidia);
        assert_eq!(
            Family::of(&adapter(NVIDIA, "NVK Mesa 25.1.0", false)),
            Family::Drm,
            "Mesa's driver for NVIDIA's cards speaks DRM"
        );
    }

    #[test]
    fn software_drivers_speak_to_no_device_and_no_family_to_terminals_or_networks() {
        let rules = |family| allowed(family, 1).expect("the rules are well-formed");
        assert!(!rules(Family::Software).contains_key(&libc::SYS_ioctl), "absent means refused");
        for family in [Family::Software, Family::Drm, Family::Nvidia] {
            let rules = rules(family);
            for call in [libc::SYS_socket, libc::SYS_execve, libc::SYS_ptrace, libc::SYS_io_uring_setup] {
                assert!(!rules.contains_key(&call), "{family:?} must not have call {call}");
            }
            assert!(!family.request_types().contains(&b'T'), "a terminal takes typed-in commands by request");
            for call in [libc::SYS_clone, libc::SYS_prctl, libc::SYS_fcntl, libc::SYS_tgkill] {
                assert!(!rules[&call].is_empty(), "{family:?} has call {call} only with conditions");
            }
        }
    }
}
