//! The job object around a worker.

use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};

use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::System::JobObjects::{
    CreateJobObjectW, IsProcessInJob, JOB_OBJECT_LIMIT_ACTIVE_PROCESS,
    JOB_OBJECT_LIMIT_DIE_ON_UNHANDLED_EXCEPTION, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
    JOB_OBJECT_LIMIT_PROCESS_MEMORY, JOB_OBJECT_UILIMIT_DESKTOP, JOB_OBJECT_UILIMIT_DISPLAYSETTINGS,
    JOB_OBJECT_UILIMIT_EXITWINDOWS, JOB_OBJECT_UILIMIT_GLOBALATOMS, JOB_OBJECT_UILIMIT_HANDLES,
    JOB_OBJECT_UILIMIT_READCLIPBOARD, JOB_OBJECT_UILIMIT_SYSTEMPARAMETERS, JOB_OBJECT_UILIMIT_WRITECLIPBOARD,
    JOBOBJECT_BASIC_LIMIT_INFORMATION, JOBOBJECT_BASIC_UI_RESTRICTIONS, JOBOBJECT_EXTENDED_LIMIT_INFORMATION,
    JOBOBJECTINFOCLASS, JobObjectBasicUIRestrictions, JobObjectExtendedLimitInformation,
    SetInformationJobObject, TerminateJobObject,
};
use windows_sys::Win32::System::Threading::GetCurrentProcess;

use super::done;

/// A job without a name, so that no other program can open it. What is in it dies with this handle.
#[derive(Debug)]
pub(super) struct Job(OwnedHandle);

impl Job {
    /// A job for one process that may commit `memory_bytes`.
    #[expect(unsafe_code, reason = "std offers no job objects")]
    pub(super) fn new(memory_bytes: u64) -> io::Result<Self> {
        // SAFETY: both pointers may be null: default security, no name.
        let handle = unsafe { CreateJobObjectW(std::ptr::null(), std::ptr::null()) };
        if handle.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call gave us the handle and nobody else has it.
        let job = Self(unsafe { OwnedHandle::from_raw_handle(handle) });
        job.set(
            JobObjectExtendedLimitInformation,
            &JOBOBJECT_EXTENDED_LIMIT_INFORMATION {
                BasicLimitInformation: JOBOBJECT_BASIC_LIMIT_INFORMATION {
                    LimitFlags: JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
                        | JOB_OBJECT_LIMIT_ACTIVE_PROCESS
                        | JOB_OBJECT_LIMIT_PROCESS_MEMORY
                        | JOB_OBJECT_LIMIT_DIE_ON_UNHANDLED_EXCEPTION,
                    ActiveProcessLimit: 1,
                    ..Default::default()
                },
                ProcessMemoryLimit: usize::try_from(memory_bytes).unwrap_or(usize::MAX),
                ..Default::default()
            },
        )?;
        // A process in two jobs, of which one has such limits, is refused by the system.
        if in_job()? {
            tracing::debug!("this program runs inside a job: no limits on the worker's use of the desktop");
            return Ok(job);
        }
        job.set(
            JobObjectBasicUIRestrictions,
            &JOBOBJECT_BASIC_UI_RESTRICTIONS {
                UIRestrictionsClass: JOB_OBJECT_UILIMIT_DESKTOP
                    | JOB_OBJECT_UILIMIT_DISPLAYSETTINGS
                    | JOB_OBJECT_UILIMIT_EXITWINDOWS
                    | JOB_OBJECT_UILIMIT_GLOBALATOMS
                    | JOB_OBJECT_UILIMIT_HANDLES
                    | JOB_OBJECT_UILIMIT_READCLIPBOARD
                    | JOB_OBJECT_UILIMIT_SYSTEMPARAMETERS
                    | JOB_OBJECT_UILIMIT_WRITECLIPBOARD,
            },
        )?;
        Ok(job)
    }

    #[expect(unsafe_code, reason = "std offers no job objects")]
    fn set<T>(&self, class: JOBOBJECTINFOCLASS, value: &T) -> io::Result<()> {
        let bytes = size_of::<T>() as u32;
        // SAFETY: the handle is open, and the call reads one value of the size that is given.
        done(unsafe { SetInformationJobObject(self.as_raw(), class, (&raw const *value).cast(), bytes) })
    }

    /// Ends all that is in the job, with exit code 1.
    #[expect(unsafe_code, reason = "std offers no job objects")]
    pub(super) fn terminate(&self) -> io::Result<()> {
        // SAFETY: the handle is open; the call takes no pointers.
        done(unsafe { TerminateJobObject(self.as_raw(), 1) })
    }

    pub(super) fn as_raw(&self) -> HANDLE {
        self.0.as_raw_handle()
    }
}

/// Whether this process is in a job, as its children will then be.
#[expect(unsafe_code, reason = "std offers no job objects")]
fn in_job() -> io::Result<bool> {
    let mut is = 0;
    // SAFETY: without a job's handle the call means any job; it writes only to the local whose address it gets.
    done(unsafe { IsProcessInJob(GetCurrentProcess(), std::ptr::null_mut(), &raw mut is) })?;
    Ok(is != 0)
}
