//! Linux: parent-death signal, Landlock, seccomp, resource limits.
//!
//! Landlock binds the calling thread and those it starts, so the wall around files is raised before the driver starts
//! its threads; it leaves them the drivers' own files and devices. Seccomp is raised afterwards on all threads at once,
//! because drivers need more system calls to open a device than to compute.

use std::collections::BTreeMap;
use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, RulesetStatus, path_beneath_rules,
};
use protocol::frames::{Adapter, Confinement, Wall};
use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

use super::{ConfineError, FilesWall, ParentWall};
use crate::log;

/// The Landlock version whose rules are used: files, truncation and TCP.
const LANDLOCK: ABI = ABI::V4;
/// Drivers need address space: below this lavapipe and its compiler do not start.
const LEAST_MEMORY_BYTES: u64 = 6 << 30;
/// PCI vendor of cards whose driver reserves far more address space than it uses.
const NVIDIA: u32 = 0x10de;

/// Read by every driver: libraries, driver lists, hardware descriptions.
const DRIVER_FILES: [&str; 24] = [
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/opt/amdgpu",
    "/nix/store",
    "/run/opengl-driver",
    "/etc/vulkan",
    "/etc/glvnd",
    "/etc/nvidia",
    "/etc/drirc",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/sys",
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/devices",
    "/proc/modules",
    "/proc/driver",
    "/proc/sys/kernel",
    "/proc/sys/vm",
];
/// Read and written by drivers.
const DRIVER_DEVICES: [&str; 6] =
    ["/dev/dri", "/dev/kfd", "/dev/null", "/dev/zero", "/dev/urandom", "/dev/udmabuf"];

/// Ties the process to its parent and closes inherited descriptors. Called before any thread starts.
pub(crate) fn before_anything() -> Result<ParentWall, ConfineError> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(at("tie to the parent"))?;
    // A parent that died before the line above will not be noticed by it.
    if let Ok(expected) = std::env::var("HEARTH_PARENT")
        && expected != std::os::unix::process::parent_id().to_string()
    {
        return Err(ConfineError { what: "tie to the parent", cause: "the parent is gone".to_owned() });
    }
    close_inherited()?;
    Ok(ParentWall(Wall::Full))
}

#[expect(unsafe_code, reason = "std and rustix offer no close_range")]
fn close_inherited() -> Result<(), ConfineError> {
    // SAFETY: called before anything of this process has opened a descriptor, so none that is closed has an owner.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, 0_u32) };
    if closed == 0 { Ok(()) } else { Err(at("close inherited files")(std::io::Error::last_os_error())) }
}

/// Leaves only the drivers' files in reach, for this thread and all that it and the driver will start.
pub(crate) fn before_device() -> FilesWall {
    if let Err(error) = rustix::thread::set_no_new_privs(true) {
        log(format_args!("no new privileges: {error}"));
        return FilesWall(Wall::None);
    }
    match restrict_files() {
        Ok(RulesetStatus::FullyEnforced) => FilesWall(Wall::Full),
        Ok(RulesetStatus::PartiallyEnforced) => FilesWall(Wall::Partial),
        Ok(RulesetStatus::NotEnforced) => FilesWall(Wall::None),
        Err(error) => {
            log(format_args!("landlock: {error}"));
            FilesWall(Wall::None)
        }
    }
}

fn restrict_files() -> Result<RulesetStatus, RulesetError> {
    let mut read: Vec<PathBuf> = DRIVER_FILES.iter().map(PathBuf::from).collect();
    for variable in ["VK_ICD_FILENAMES", "VK_DRIVER_FILES"] {
        if let Some(list) = std::env::var_os(variable) {
            // The library of a driver may lie beside its description.
            read.extend(std::env::split_paths(&list).filter_map(|file| file.parent().map(PathBuf::from)));
        }
    }
    let mut devices: Vec<PathBuf> = DRIVER_DEVICES.iter().map(PathBuf::from).collect();
    if let Ok(entries) = std::fs::read_dir("/dev") {
        let nvidia = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b"nvidia");
        devices.extend(entries.flatten().filter(|e| nvidia(&e.file_name())).map(|e| e.path()));
    }
    let all = AccessFs::from_all(LANDLOCK);
    let use_device = AccessFs::ReadFile | AccessFs::ReadDir | AccessFs::WriteFile;
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)?
        .handle_access(AccessNet::from_all(LANDLOCK))?
        .create()?
        .add_rules(path_beneath_rules(read, AccessFs::from_read(LANDLOCK)))?
        .add_rules(path_beneath_rules(devices, use_device))?
        .restrict_self()?;
    Ok(status.ruleset)
}

/// Raises the remaining walls around a process with an open device.
pub(crate) fn after_device(
    parent: ParentWall,
    files: FilesWall,
    adapter: &Adapter,
    memory_bytes: u64,
) -> Result<Confinement, ConfineError> {
    let memory = limit_memory(memory_bytes.max(LEAST_MEMORY_BYTES), adapter.vendor_id == NVIDIA)?;
    lock_down()?;
    Ok(Confinement { files: files.0, network: Wall::Full, processes: Wall::Full, memory, parent: parent.0 })
}

/// Raises the same walls around a process without a device.
pub(crate) fn without_device(parent: ParentWall, files: FilesWall) -> Result<Confinement, ConfineError> {
    let memory = limit_memory(LEAST_MEMORY_BYTES, false)?;
    lock_down()?;
    Ok(Confinement { files: files.0, network: Wall::Full, processes: Wall::Full, memory, parent: parent.0 })
}

fn limit_memory(bytes: u64, reserves_space: bool) -> Result<Wall, ConfineError> {
    let limit = |bytes| Rlimit { current: Some(bytes), maximum: Some(bytes) };
    rustix::process::setrlimit(Resource::Core, limit(0)).map_err(at("forbid core files"))?;
    if reserves_space {
        // Counts what is written, not what is reserved; shared mappings escape it.
        rustix::process::setrlimit(Resource::Data, limit(bytes)).map_err(at("limit memory"))?;
        Ok(Wall::Partial)
    } else {
        rustix::process::setrlimit(Resource::As, limit(bytes)).map_err(at("limit memory"))?;
        Ok(Wall::Full)
    }
}

fn lock_down() -> Result<(), ConfineError> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(at("forbid tracing"))?;
    rustix::thread::set_no_new_privs(true).map_err(at("no new privileges"))?;
    let errno = |number: i32| SeccompAction::Errno(number.unsigned_abs());
    // clone3 hides its flags from a filter; told that it does not exist, libc falls back to clone.
    let absent = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    for (rules, answer) in [(absent, errno(libc::ENOSYS)), (denied()?, errno(libc::EPERM))] {
        let arch = std::env::consts::ARCH.try_into().map_err(at("seccomp"))?;
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, answer, arch).map_err(at("seccomp"))?;
        let program: BpfProgram = filter.try_into().map_err(at::<seccompiler::BackendError>("seccomp"))?;
        seccompiler::apply_filter_all_threads(&program).map_err(at("seccomp"))?;
    }
    Ok(())
}

/// System calls answered with EPERM.
fn denied() -> Result<BTreeMap<i64, Vec<SeccompRule>>, ConfineError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    let always = [
        // Network.
        libc::SYS_socket,
        libc::SYS_socketpair,
        libc::SYS_connect,
        libc::SYS_bind,
        libc::SYS_listen,
        libc::SYS_accept,
        libc::SYS_accept4,
        libc::SYS_sendto,
        libc::SYS_sendmsg,
        libc::SYS_sendmmsg,
        libc::SYS_recvfrom,
        libc::SYS_recvmsg,
        libc::SYS_recvmmsg,
        // Programs and other processes.
        libc::SYS_execve,
        libc::SYS_execveat,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_process_madvise,
        libc::SYS_kill,
        libc::SYS_tkill,
        libc::SYS_rt_sigqueueinfo,
        libc::SYS_rt_tgsigqueueinfo,
        libc::SYS_pidfd_open,
        libc::SYS_pidfd_getfd,
        libc::SYS_pidfd_send_signal,
        libc::SYS_kcmp,
        libc::SYS_shmget,
        libc::SYS_shmat,
        libc::SYS_msgget,
        libc::SYS_semget,
        libc::SYS_mq_open,
        // Attributes of files, which Landlock does not cover.
        libc::SYS_fchmod,
        libc::SYS_fchmodat,
        libc::SYS_fchown,
        libc::SYS_fchownat,
        libc::SYS_setxattr,
        libc::SYS_lsetxattr,
        libc::SYS_fsetxattr,
        libc::SYS_removexattr,
        libc::SYS_lremovexattr,
        libc::SYS_fremovexattr,
        libc::SYS_utimensat,
        libc::SYS_open_by_handle_at,
        // The kernel's wider surface.
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_io_uring_setup,
        libc::SYS_io_uring_enter,
        libc::SYS_io_uring_register,
        libc::SYS_userfaultfd,
        libc::SYS_keyctl,
        libc::SYS_add_key,
        libc::SYS_request_key,
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_move_mount,
        libc::SYS_open_tree,
        libc::SYS_fsopen,
        libc::SYS_fsmount,
        libc::SYS_mount_setattr,
        libc::SYS_pivot_root,
        libc::SYS_chroot,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_init_module,
        libc::SYS_finit_module,
        libc::SYS_delete_module,
        libc::SYS_kexec_load,
        libc::SYS_reboot,
        libc::SYS_swapon,
        libc::SYS_swapoff,
        libc::SYS_acct,
        libc::SYS_quotactl,
        libc::SYS_syslog,
        libc::SYS_personality,
        libc::SYS_settimeofday,
        libc::SYS_clock_settime,
        libc::SYS_adjtimex,
        libc::SYS_clock_adjtime,
        libc::SYS_fanotify_init,
    ];
    #[cfg(target_arch = "x86_64")]
    let old = [
        libc::SYS_fork,
        libc::SYS_vfork,
        libc::SYS_chmod,
        libc::SYS_chown,
        libc::SYS_lchown,
        libc::SYS_utime,
        libc::SYS_utimes,
        libc::SYS_futimesat,
        libc::SYS_ioperm,
        libc::SYS_iopl,
        libc::SYS_modify_ldt,
    ];
    #[cfg(not(target_arch = "x86_64"))]
    let old: [i64; 0] = [];
    for call in always.into_iter().chain(old) {
        rules.insert(call, Vec::new());
    }
    // Threads may start, processes may not.
    let thread = u64::from(libc::CLONE_THREAD.unsigned_abs());
    rules.insert(libc::SYS_clone, vec![when(0, SeccompCmpOp::MaskedEq(thread), 0)?]);
    // A signal to a thread of this process is how abort() ends it; any other target is a stranger.
    let own = u64::from(std::process::id());
    rules.insert(libc::SYS_tgkill, vec![when(0, SeccompCmpOp::Ne, own)?]);
    rules.insert(libc::SYS_prlimit64, vec![when(0, SeccompCmpOp::Ne, 0)?]);
    Ok(rules)
}

fn when(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompRule, ConfineError> {
    let condition =
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value).map_err(at("seccomp"))?;
    SeccompRule::new(vec![condition]).map_err(at("seccomp"))
}

fn at<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> ConfineError {
    move |error| ConfineError { what, cause: error.to_string() }
}
