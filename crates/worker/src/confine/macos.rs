//! macOS: seatbelt around files, network and processes, and a thread that waits for the parent's death.
//!
//! The profile is raised once the device is open and before anything of a job is read. What must stay allowed after it:
//! Metal compiles in a service of the system (`MTLCompilerService`), which is looked up for each compilation; the
//! driver opens further connections to the card for queues and memory; its bundles are read late. The shader cache is
//! not among it: Metal compiles anew where it cannot write. The names follow the profile that Chromium ships for its
//! GPU process. `sandbox_init` is deprecated and has no successor for a program that is not an app bundle.
//!
//! The system has no limit on memory that holds: RLIMIT_AS is not enforced. Compiled only, never run.

use std::ffi::{CStr, c_char, c_int};
use std::io;

use protocol::frames::{Adapter, Confinement, Wall};
use rustix::event::kqueue::{Event, EventFilter, EventFlags, ProcessEvents, kevent, kqueue};
use rustix::process::{Resource, Rlimit, getppid};

use super::{ConfineError, FilesWall, ParentWall};
use crate::control;

/// Everything is denied but what is named: no write, no socket, no program, no other process.
const PROFILE: &CStr = cr#"(version 1)
(deny default)
(allow file-read*
  (subpath "/System")
  (subpath "/usr/lib")
  (subpath "/usr/share")
  (subpath "/Library/GPUBundles")
  (subpath "/private/var/db/dyld")
  (subpath "/private/var/db/timezone")
  (literal "/dev/null")
  (literal "/dev/urandom"))
(allow file-map-executable
  (subpath "/System")
  (subpath "/usr/lib")
  (subpath "/Library/GPUBundles"))
(allow file-read-metadata (literal "/"))
(allow file-write-data (literal "/dev/null"))
(allow process-info* (target self))
(allow signal (target self))
(allow sysctl-read)
(allow mach-lookup
  (xpc-service-name "com.apple.MTLCompilerService")
  (global-name "com.apple.MTLCompilerService")
  (global-name "com.apple.cvmsServ")
  (global-name "com.apple.gpumemd.source")
  (global-name "com.apple.PowerManagement.control")
  (global-name "com.apple.system.notification_center"))
(allow ipc-posix-shm-read-data (ipc-posix-name "apple.shm.notification_center"))
(allow iokit-get-properties)
(allow iokit-open
  (iokit-connection "IOAccelerator")
  (iokit-user-client-class "AGPMClient")
  (iokit-user-client-class "AGXDeviceUserClient")
  (iokit-user-client-class "AGXSharedUserClient")
  (iokit-user-client-class "AGXCommandQueue")
  (iokit-user-client-class "AppleGraphicsControlClient")
  (iokit-user-client-class "AppleGraphicsPolicyClient")
  (iokit-user-client-class "AppleIntelMEUserClient")
  (iokit-user-client-class "AppleMGPUPowerControlClient")
  (iokit-user-client-class "IOAccelerationUserClient")
  (iokit-user-client-class "IOSurfaceRootUserClient")
  (iokit-user-client-class "IOSurfaceSendRight"))
"#;

/// Closes inherited descriptors and starts the thread that ends the process with its parent. The system itself does not
/// tie the two, so the wall is partial: code that stops the thread would cut it.
pub(crate) fn before_anything() -> Result<ParentWall, ConfineError> {
    close_inherited()?;
    watch_parent()?;
    Ok(ParentWall(Wall::Partial))
}

#[expect(unsafe_code, reason = "std and rustix offer no way to close descriptors that nobody owns")]
fn close_inherited() -> Result<(), ConfineError> {
    // The limit may be unlimited; the system's own limit on open files of a process is below this.
    const MOST: u64 = 10_240;
    let most = rustix::process::getrlimit(Resource::Nofile).current.unwrap_or(MOST).min(MOST);
    let most = c_int::try_from(most).map_err(at("close inherited files"))?;
    for descriptor in 3..most {
        // SAFETY: called before anything of this process has opened a descriptor, so none that is closed has an owner.
        // A number that is not open is answered with an error, which is what it is to be.
        unsafe { libc::close(descriptor) };
    }
    Ok(())
}

#[expect(unsafe_code, reason = "the list of events may name descriptors")]
fn watch_parent() -> Result<(), ConfineError> {
    const WHAT: &str = "tie to the parent";
    let gone = || ConfineError { what: WHAT, cause: "the parent is gone".to_owned() };
    let parent = getppid().ok_or_else(gone)?;
    let queue = kqueue().map_err(at(WHAT))?;
    let filter = EventFilter::Proc { pid: parent, flags: ProcessEvents::EXIT };
    let death = Event::new(filter, EventFlags::ADD | EventFlags::ONESHOT, std::ptr::null_mut());
    // SAFETY: the event names a process, no descriptor.
    unsafe { kevent(&queue, &[death], &mut [] as &mut [Event], None) }.map_err(at(WHAT))?;
    // A parent that died before the event was asked for is not noticed by it.
    if let Ok(expected) = std::env::var("HEARTH_PARENT")
        && expected != std::os::unix::process::parent_id().to_string()
    {
        return Err(gone());
    }
    std::thread::Builder::new()
        .name("parent".to_owned())
        .spawn(move || {
            let mut events = Vec::with_capacity(1);
            loop {
                // SAFETY: nothing is asked for, only waited for.
                match unsafe { kevent(&queue, &[], rustix::buffer::spare_capacity(&mut events), None) } {
                    Err(error) if error == rustix::io::Errno::INTR => {}
                    // Without the watch the process must not go on either.
                    Ok(_) | Err(_) => control::leave(0),
                }
            }
        })
        .map_err(at(WHAT))?;
    Ok(())
}

/// Seatbelt can be raised once, and Metal opens its device only before: no wall yet.
pub(crate) fn before_device() -> FilesWall {
    FilesWall(Wall::None)
}

/// Raises the profile around a process with an open device.
pub(crate) fn after_device(
    parent: ParentWall,
    files: FilesWall,
    _adapter: &Adapter,
    _memory_bytes: u64,
) -> Result<Confinement, ConfineError> {
    without_device(parent, files)
}

/// Raises the profile around a process without a device.
pub(crate) fn without_device(parent: ParentWall, _files: FilesWall) -> Result<Confinement, ConfineError> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(Resource::Core, none).map_err(at("forbid core files"))?;
    raise_profile()?;
    Ok(Confinement {
        files: Wall::Full,
        network: Wall::Full,
        processes: Wall::Full,
        memory: Wall::None,
        parent: parent.0,
    })
}

#[expect(unsafe_code, reason = "seatbelt has a C interface only")]
fn raise_profile() -> Result<(), ConfineError> {
    unsafe extern "C" {
        /// sandbox.h. With `flags` 0 the first argument is a profile's text.
        fn sandbox_init(profile: *const c_char, flags: u64, error: *mut *mut c_char) -> c_int;
        fn sandbox_free_error(error: *mut c_char);
    }
    let mut error = std::ptr::null_mut();
    // SAFETY: the profile ends with NUL, and the call writes only to the local whose address it gets.
    if unsafe { sandbox_init(PROFILE.as_ptr(), 0, &raw mut error) } == 0 {
        return Ok(());
    }
    let cause = if error.is_null() {
        io::Error::last_os_error().to_string()
    } else {
        // SAFETY: on failure it is text that ends with NUL.
        let text = unsafe { CStr::from_ptr(error) }.to_string_lossy().into_owned();
        // SAFETY: it came from the call above and is not used again.
        unsafe { sandbox_free_error(error) };
        text
    };
    Err(ConfineError { what: "seatbelt", cause })
}

fn at<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> ConfineError {
    move |error| ConfineError { what, cause: error.to_string() }
}
