//! Windows: the walls stand before the first instruction, because nearly nothing can be lowered from inside; the sandbox
//! room raises them (`process/windows.rs` there says which and why). This file asks the system which of them hold, and
//! raises the one that drivers bear only once the device is open.
//!
//! Compiled, and run under wine, which has no containers and enforces little of the rest. Never run on Windows.

use protocol::frames::{Adapter, Confinement, Wall};
use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use windows_sys::Win32::Security::{
    GetSidSubAuthority, GetSidSubAuthorityCount, GetTokenInformation, PSID, SECURITY_MAX_SID_SIZE,
    TOKEN_INFORMATION_CLASS, TOKEN_MANDATORY_LABEL, TOKEN_QUERY, TokenIntegrityLevel, TokenIsAppContainer,
};
use windows_sys::Win32::System::JobObjects::{
    JOB_OBJECT_LIMIT_ACTIVE_PROCESS, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE, JOB_OBJECT_LIMIT_PROCESS_MEMORY,
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectExtendedLimitInformation, QueryInformationJobObject,
};
use windows_sys::Win32::System::SystemServices::SECURITY_MANDATORY_LOW_RID;
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetProcessMitigationPolicy, OpenProcessToken, PROCESS_MITIGATION_POLICY,
    ProcessChildProcessPolicy, ProcessStrictHandleCheckPolicy, SetProcessMitigationPolicy,
};

use super::{ConfineError, FilesWall, ParentWall};
use crate::log;

/// `RaiseExceptionOnInvalidHandleReference` and `HandleExceptionsPermanentlyEnabled` of the strict handle check policy.
const STRICT_HANDLES: u32 = 1 | 2;
/// `NoChildProcessCreation` of the child process policy.
const NO_CHILDREN: u32 = 1;

/// What the system says about this process.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// Limits of the innermost job that it is in; 0 without a job.
    job_limits: u32,
    /// How many processes that job may hold at a time.
    active_processes: u32,
    in_container: bool,
    /// At most low integrity.
    low_integrity: bool,
    /// May start no process.
    no_children: bool,
}

/// Says whether the process dies with its parent's handle to the job; else it ends when its stdin does.
pub(crate) fn before_anything() -> Result<ParentWall, ConfineError> {
    Ok(ParentWall(parent(look())))
}

/// Says which files are out of reach. They were before the process began.
pub(crate) fn before_device() -> FilesWall {
    FilesWall(files(look()))
}

/// Has a wrong handle end the process, from here on: drivers are known to use some while they load.
pub(crate) fn after_device(
    parent: ParentWall,
    files: FilesWall,
    _adapter: &Adapter,
    _memory_bytes: u64,
) -> Result<Confinement, ConfineError> {
    without_device(parent, files)
}

/// The same for a process without a device.
pub(crate) fn without_device(parent: ParentWall, files: FilesWall) -> Result<Confinement, ConfineError> {
    if let Err(error) = check_handles() {
        log(format_args!("strict handle checks: {error}"));
    }
    let seen = look();
    Ok(Confinement {
        files: files.0,
        network: network(seen),
        processes: processes(seen),
        memory: memory(seen),
        parent: parent.0,
    })
}

/// A container reaches what all store apps may read: the system, installed programs, nothing of the owner's. Low
/// integrity alone forbids writing, not reading.
fn files(seen: Seen) -> Wall {
    match (seen.in_container, seen.low_integrity) {
        (true, _) => Wall::Full,
        (false, true) => Wall::Partial,
        (false, false) => Wall::None,
    }
}

/// A container without capabilities is kept from all networks by the system's filtering service, which an owner can
/// switch off; no token keeps a process from sockets.
fn network(seen: Seen) -> Wall {
    if seen.in_container { Wall::Partial } else { Wall::None }
}

/// Neither starting processes nor reaching into those that run, which all have a higher integrity.
fn processes(seen: Seen) -> Wall {
    let one = seen.job_limits & JOB_OBJECT_LIMIT_ACTIVE_PROCESS != 0 && seen.active_processes == 1;
    match (one || seen.no_children, seen.low_integrity || seen.in_container) {
        (true, true) => Wall::Full,
        (false, false) => Wall::None,
        _ => Wall::Partial,
    }
}

fn memory(seen: Seen) -> Wall {
    if seen.job_limits & JOB_OBJECT_LIMIT_PROCESS_MEMORY != 0 { Wall::Full } else { Wall::None }
}

fn parent(seen: Seen) -> Wall {
    if seen.job_limits & JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE != 0 { Wall::Full } else { Wall::Partial }
}

/// Asks the system. What it does not answer does not hold.
fn look() -> Seen {
    let job = job_limits().unwrap_or_default();
    let told = |what: &str, answer: io::Result<bool>| {
        answer.unwrap_or_else(|error| {
            log(format_args!("{what}: {error}"));
            false
        })
    };
    Seen {
        job_limits: job.BasicLimitInformation.LimitFlags,
        active_processes: job.BasicLimitInformation.ActiveProcessLimit,
        in_container: told("ask for the container", in_container()),
        low_integrity: told("ask for the integrity", low_integrity()),
        no_children: told("ask for the child process policy", no_children()),
    }
}

/// `None` in no job: the call fails then.
#[expect(unsafe_code, reason = "std offers no job objects")]
fn job_limits() -> Option<JOBOBJECT_EXTENDED_LIMIT_INFORMATION> {
    let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
    let bytes = size_of_val(&limits) as u32;
    // SAFETY: without a handle the call means the job of this process; it writes one value of the size that is given.
    let answered = unsafe {
        QueryInformationJobObject(
            std::ptr::null_mut(),
            JobObjectExtendedLimitInformation,
            (&raw mut limits).cast(),
            bytes,
            std::ptr::null_mut(),
        )
    };
    (answered != 0).then_some(limits)
}

fn in_container() -> io::Result<bool> {
    let mut is = [0_u32];
    ask_token(TokenIsAppContainer, &mut is)?;
    Ok(is[0] != 0)
}

#[expect(unsafe_code, reason = "a SID is read through pointers into the answer")]
fn low_integrity() -> io::Result<bool> {
    const BYTES: usize = size_of::<TOKEN_MANDATORY_LABEL>() + SECURITY_MAX_SID_SIZE as usize;
    // In words, for the alignment of the label.
    let mut answer = [0_u64; BYTES.div_ceil(8)];
    ask_token(TokenIntegrityLevel, &mut answer)?;
    // SAFETY: the answer begins with a label and is aligned for it.
    let label: TOKEN_MANDATORY_LABEL = unsafe { answer.as_ptr().cast::<TOKEN_MANDATORY_LABEL>().read() };
    let sid: PSID = label.Label.Sid;
    if sid.is_null() {
        return Err(io::Error::other("no label"));
    }
    // SAFETY: the label points to a valid SID inside of the answer, which is still there.
    let count = unsafe { *GetSidSubAuthorityCount(sid) };
    let Some(last) = count.checked_sub(1) else {
        return Err(io::Error::other("a label without a level"));
    };
    // SAFETY: as above, and the index is below the count.
    let level = unsafe { *GetSidSubAuthority(sid, u32::from(last)) };
    Ok(level <= SECURITY_MANDATORY_LOW_RID.cast_unsigned())
}

/// Reads what the system says about this process's token.
#[expect(unsafe_code, reason = "std offers no tokens")]
fn ask_token<T>(class: TOKEN_INFORMATION_CLASS, answer: &mut [T]) -> io::Result<()> {
    let mut token = std::ptr::null_mut();
    // SAFETY: the call writes only to the local whose address it gets.
    done(unsafe { OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &raw mut token) })?;
    // SAFETY: the call gave us the handle and nobody else has it.
    let token = unsafe { OwnedHandle::from_raw_handle(token) };
    let mut used = 0;
    let bytes = size_of_val(answer) as u32;
    // SAFETY: the handle is open, and the call writes at most as many bytes as the length says.
    done(unsafe {
        GetTokenInformation(token.as_raw_handle(), class, answer.as_mut_ptr().cast(), bytes, &raw mut used)
    })
}

#[expect(unsafe_code, reason = "std offers no mitigation policies")]
fn no_children() -> io::Result<bool> {
    let mut flags = 0_u32;
    let policy: PROCESS_MITIGATION_POLICY = ProcessChildProcessPolicy;
    // SAFETY: this policy is one 32-bit word of flags, whose address the call gets.
    done(unsafe {
        GetProcessMitigationPolicy(GetCurrentProcess(), policy, (&raw mut flags).cast(), size_of::<u32>())
    })?;
    Ok(flags & NO_CHILDREN != 0)
}

#[expect(unsafe_code, reason = "std offers no mitigation policies")]
fn check_handles() -> io::Result<()> {
    let flags = STRICT_HANDLES;
    // SAFETY: this policy is one 32-bit word of flags, whose address the call gets.
    done(unsafe {
        SetProcessMitigationPolicy(
            ProcessStrictHandleCheckPolicy,
            (&raw const flags).cast(),
            size_of::<u32>(),
        )
    })
}

/// The outcome of a call that answers with a BOOL.
fn done(answer: i32) -> io::Result<()> {
    if answer == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BARE: Seen = Seen {
        job_limits: 0,
        active_processes: 0,
        in_container: false,
        low_integrity: false,
        no_children: false,
    };

    #[test]
    fn a_process_started_by_hand_reports_no_walls() {
        let walls = [files(BARE), network(BARE), processes(BARE), memory(BARE)];
        assert_eq!(walls, [Wall::None; 4], "nothing stands around it");
        assert_eq!(parent(BARE), Wall::Partial, "it still ends with its stdin");
    }

    #[test]
    fn without_a_container_neither_reading_nor_the_network_is_walled_off() {
        let seen = Seen { low_integrity: true, ..BARE };
        assert_eq!(files(seen), Wall::Partial, "only writes are refused");
        assert_eq!(network(seen), Wall::None, "sockets are open to every token");
    }

    #[test]
    fn a_job_for_many_processes_is_no_wall_around_processes() {
        let seen = Seen {
            job_limits: JOB_OBJECT_LIMIT_ACTIVE_PROCESS,
            active_processes: 2,
            low_integrity: true,
            ..BARE
        };
        assert_eq!(processes(seen), Wall::Partial, "a second process could be started");
        assert_eq!(processes(Seen { active_processes: 1, ..seen }), Wall::Full, "only this one fits");
    }
}
