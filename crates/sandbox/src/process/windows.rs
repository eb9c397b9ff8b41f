//! Windows: every wall stands before the worker's first instruction, because nearly nothing can be lowered from inside.
//!
//! - A job object holds the process: it dies when the job's only handle closes (our end included, however it comes),
//!   may not start a second process, has a bounded commit charge, no clipboard or desktop of the owner's, and no dialog
//!   when it crashes. The kill is the job's end.
//! - An AppContainer without capabilities keeps it from files and from the network. It was chosen over a restricted
//!   token alone, as browsers use for their GPU process, because no token keeps a process from sockets. Direct3D 12 is
//!   supported in a container (every store game runs in one); Vulkan drivers may not be found there.
//! - A token without privileges at low integrity stands below it: all that is left where a system has no containers.
//! - Only the three pipes are inherited. Extension points, fonts, and images from the network or of low integrity are
//!   shut out. Generating code stays allowed: drivers compile.
//!
//! The worker looks from inside at what holds and reports that (`worker`'s `confine/windows.rs`). An installer must let
//! "ALL APPLICATION PACKAGES" read the worker's file, as everything below Program Files is; the pipes need no right.

mod attributes;
mod job;
mod token;

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::windows::ffi::{OsStrExt, OsStringExt};
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::time::Duration;

use windows_sys::Win32::Foundation::{
    FILETIME, HANDLE, HANDLE_FLAG_INHERIT, MAX_PATH, SetHandleInformation, WAIT_OBJECT_0, WAIT_TIMEOUT,
};
use windows_sys::Win32::System::SystemInformation::GetSystemDirectoryW;
use windows_sys::Win32::System::Threading::{
    CREATE_UNICODE_ENVIRONMENT, CreateProcessAsUserW, DETACHED_PROCESS, EXTENDED_STARTUPINFO_PRESENT,
    GetExitCodeProcess, GetProcessTimes, INFINITE, OpenProcess, PROC_THREAD_ATTRIBUTE_CHILD_PROCESS_POLICY,
    PROC_THREAD_ATTRIBUTE_HANDLE_LIST, PROC_THREAD_ATTRIBUTE_JOB_LIST,
    PROC_THREAD_ATTRIBUTE_MITIGATION_POLICY, PROC_THREAD_ATTRIBUTE_SECURITY_CAPABILITIES,
    PROCESS_INFORMATION, PROCESS_QUERY_LIMITED_INFORMATION, STARTF_USESTDHANDLES, STARTUPINFOEXW,
    STARTUPINFOW, WaitForSingleObject,
};
use windows_sys::Win32::System::WindowsProgramming::PROCESS_CREATION_CHILD_PROCESS_RESTRICTED;

use self::attributes::Attributes;
use self::job::Job;
use self::token::Container;
use super::{Exit, Pipes};
use crate::worker::Spawn;

/// Drivers charge for what they share with the card: below this none of them starts.
const LEAST_MEMORY_BYTES: u64 = 6 << 30;

/// `PROCESS_CREATION_MITIGATION_POLICY_*_ALWAYS_ON` of winbase.h, which the bindings lack: no extension points, no fonts
/// but the system's, no images from the network, none that a process of low integrity wrote, the system's images first.
const MITIGATIONS: u64 = 1 << 32 | 1 << 48 | 1 << 52 | 1 << 56 | 1 << 60;

/// A running worker. Dropping it ends the process: it holds the job's only handle.
#[derive(Debug)]
pub(super) struct Child {
    process: OwnedHandle,
    job: Job,
    pid: u32,
}

/// A step of starting a process, and why it failed.
#[derive(Debug, thiserror::Error)]
#[error("{step}")]
struct StepError {
    step: &'static str,
    source: io::Error,
}

fn at(step: &'static str) -> impl Fn(io::Error) -> io::Error {
    move |source| io::Error::new(source.kind(), StepError { step, source })
}

/// The outcome of a call that answers with a BOOL.
fn done(answer: i32) -> io::Result<()> {
    if answer == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Starts the program with `argument`, the environment of `spawn` and nothing else, behind all walls.
#[expect(unsafe_code, reason = "std starts no process with a token, a container or a job")]
pub(super) fn launch(spawn: &Spawn, argument: Option<&str>) -> io::Result<(Child, Pipes)> {
    let (child_stdin, stdin) = io::pipe()?;
    let (stdout, child_stdout) = io::pipe()?;
    let (stderr, child_stderr) = io::pipe()?;
    let inherited = [child_stdin.as_raw_handle(), child_stdout.as_raw_handle(), child_stderr.as_raw_handle()];
    for handle in inherited {
        inherit(handle).map_err(at("let the worker inherit a pipe"))?;
    }
    let job = Job::new(spawn.memory_bytes.max(LEAST_MEMORY_BYTES)).map_err(at("make a job object"))?;
    let jobs = [job.as_raw()];
    let token = token::restricted().map_err(at("restrict the token"))?;
    let container = Container::derive();
    let capabilities = container.as_ref().map(Container::capabilities);

    let mut attributes = Attributes::new(5).map_err(at("make an attribute list"))?;
    attributes.set(PROC_THREAD_ATTRIBUTE_HANDLE_LIST, &inherited).map_err(at("list the pipes"))?;
    attributes.set(PROC_THREAD_ATTRIBUTE_JOB_LIST, &jobs).map_err(at("name the job object"))?;
    attributes.set_where_known(PROC_THREAD_ATTRIBUTE_MITIGATION_POLICY, &MITIGATIONS)?;
    let children = PROC_THREAD_ATTRIBUTE_CHILD_PROCESS_POLICY;
    attributes.set_where_known(children, &PROCESS_CREATION_CHILD_PROCESS_RESTRICTED)?;
    if let Some(capabilities) = &capabilities {
        attributes.set_where_known(PROC_THREAD_ATTRIBUTE_SECURITY_CAPABILITIES, capabilities)?;
    }

    let application = wide(spawn.program_path.as_os_str())?;
    let mut command_line = OsString::from("\"");
    command_line.push(&spawn.program_path);
    command_line.push("\"");
    if let Some(argument) = argument {
        command_line.push(" ");
        command_line.push(argument);
    }
    let mut command_line = wide(&command_line)?;
    let environment = environment_block(&spawn.env)?;
    let folder = system_folder().map_err(at("find the system's folder"))?;
    let startup = STARTUPINFOEXW {
        StartupInfo: STARTUPINFOW {
            cb: size_of::<STARTUPINFOEXW>() as u32,
            dwFlags: STARTF_USESTDHANDLES,
            hStdInput: inherited[0],
            hStdOutput: inherited[1],
            hStdError: inherited[2],
            ..Default::default()
        },
        lpAttributeList: attributes.as_raw(),
    };
    let mut started = PROCESS_INFORMATION::default();
    // Detached: a console would be a second process. No handle but the listed ones is inherited, whatever is inheritable.
    let flags = EXTENDED_STARTUPINFO_PRESENT | CREATE_UNICODE_ENVIRONMENT | DETACHED_PROCESS;
    // SAFETY: all strings end with NUL and all pointers are to locals that outlive the call, among them everything that
    // the attribute list points to; the command line is writable, as the call wants it.
    done(unsafe {
        CreateProcessAsUserW(
            token.as_raw_handle(),
            application.as_ptr(),
            command_line.as_mut_ptr(),
            std::ptr::null(),
            std::ptr::null(),
            1,
            flags,
            environment.as_ptr().cast(),
            folder.as_ptr(),
            (&raw const startup).cast(),
            &raw mut started,
        )
    })
    .map_err(at("start the process"))?;
    // SAFETY: the call gave us both handles and nobody else has them.
    let (process, _thread) = unsafe {
        (OwnedHandle::from_raw_handle(started.hProcess), OwnedHandle::from_raw_handle(started.hThread))
    };
    Ok((Child { process, job, pid: started.dwProcessId }, Pipes { stdin, stdout, stderr }))
}

impl Child {
    pub(super) fn id(&self) -> u32 {
        self.pid
    }

    /// Waits until the process has ended by itself; `None` when `grace` is over before.
    pub(super) fn wait_for(&mut self, grace: Duration) -> io::Result<Option<Exit>> {
        wait(&self.process, u32::try_from(grace.as_millis()).unwrap_or(INFINITE - 1))
    }

    /// Ends the job, with all that could be in it, and waits until the process is gone.
    pub(super) fn kill(&mut self) {
        if let Err(error) = self.job.terminate() {
            tracing::warn!(%error, "end a worker's job");
        }
        if let Err(error) = wait(&self.process, INFINITE) {
            tracing::warn!(%error, "wait for a killed worker");
        }
    }
}

#[expect(unsafe_code, reason = "std waits only for processes that it started")]
fn wait(process: &OwnedHandle, milliseconds: u32) -> io::Result<Option<Exit>> {
    // SAFETY: the handle is open.
    match unsafe { WaitForSingleObject(process.as_raw_handle(), milliseconds) } {
        WAIT_OBJECT_0 => {}
        WAIT_TIMEOUT => return Ok(None),
        _ => return Err(io::Error::last_os_error()),
    }
    let mut code = 0;
    // SAFETY: the handle is open, and the call writes only to the local whose address it gets.
    done(unsafe { GetExitCodeProcess(process.as_raw_handle(), &raw mut code) })?;
    Ok(Some(Exit { code: Some(code.cast_signed()), signal: None }))
}

/// Processor time of a process in all its threads. The system counts it at its clock's tick, every 15.6 ms.
#[expect(unsafe_code, reason = "std does not tell the processor time of a process")]
pub(crate) fn cpu_time(pid: u32) -> Option<Duration> {
    // SAFETY: the call takes no pointers.
    let process = unsafe { OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, 0, pid) };
    if process.is_null() {
        return None;
    }
    // SAFETY: the call gave us the handle and nobody else has it.
    let process = unsafe { OwnedHandle::from_raw_handle(process) };
    let [mut created, mut ended, mut kernel, mut user] = [FILETIME::default(); 4];
    // SAFETY: the handle is open, and the call writes only to the locals whose addresses it gets.
    let read = unsafe {
        GetProcessTimes(
            process.as_raw_handle(),
            &raw mut created,
            &raw mut ended,
            &raw mut kernel,
            &raw mut user,
        )
    };
    if read == 0 {
        return None;
    }
    let of = |time: FILETIME| u64::from(time.dwHighDateTime) << 32 | u64::from(time.dwLowDateTime);
    // In units of 100 ns.
    Some(Duration::from_nanos((of(kernel) + of(user)) * 100))
}

#[expect(unsafe_code, reason = "std does not mark handles")]
fn inherit(handle: HANDLE) -> io::Result<()> {
    // SAFETY: the caller's pipe is open; the call takes no pointers.
    done(unsafe { SetHandleInformation(handle, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT) })
}

/// The folder that the worker starts in: one that it may read, and no other program's libraries lie there.
#[expect(unsafe_code, reason = "std does not name the system's folder")]
fn system_folder() -> io::Result<Vec<u16>> {
    let mut folder = [0; MAX_PATH as usize];
    // SAFETY: the call writes at most as many characters as the length says.
    let length = unsafe { GetSystemDirectoryW(folder.as_mut_ptr(), MAX_PATH) } as usize;
    if length == 0 || length >= folder.len() {
        return Err(io::Error::last_os_error());
    }
    wide(&OsString::from_wide(&folder[..length]))
}

/// Text for the system: UTF-16 that ends with NUL.
fn wide(text: &OsStr) -> io::Result<Vec<u16>> {
    let mut wide: Vec<u16> = text.encode_wide().collect();
    if wide.contains(&0) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a NUL inside of a name"));
    }
    wide.push(0);
    Ok(wide)
}

/// `NAME=value` after `NAME=value` by name, each ended by NUL, all ended by another.
fn environment_block(env: &[(OsString, OsString)]) -> io::Result<Vec<u16>> {
    let mut sorted: Vec<_> = env.iter().collect();
    sorted.sort_by_key(|(name, _)| name.to_ascii_uppercase());
    let mut block = Vec::new();
    for (name, value) in sorted {
        let mut line = name.clone();
        line.push("=");
        line.push(value);
        block.extend(wide(&line)?);
    }
    if block.is_empty() {
        block.push(0);
    }
    block.push(0);
    Ok(block)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::io::Read;
    use std::os::windows::io::{AsHandle, OwnedHandle};
    use std::path::PathBuf;
    use std::time::{Duration, Instant};

    use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};
    use windows_sys::core::{s, w};

    use super::{Child, cpu_time, environment_block, launch};
    use crate::worker::Spawn;

    /// Long for any process to end, on a machine that does much else.
    const LONG: Duration = Duration::from_secs(30);

    /// The system's command line: it waits for its stdin.
    fn waiting() -> Spawn {
        let path = std::env::var_os("ComSpec").map(PathBuf::from).expect("every Windows names it");
        Spawn::new(path)
    }

    /// A second handle to the process, which outlives the child.
    fn process_of(child: &Child) -> OwnedHandle {
        child.process.as_handle().try_clone_to_owned().expect("a handle may be doubled")
    }

    fn ends(process: OwnedHandle) -> bool {
        super::wait(&process, 30_000).expect("the handle is open").is_some()
    }

    #[test]
    fn a_child_that_is_forgotten_ends_with_the_job() {
        let (child, _pipes) = launch(&waiting(), None).expect("the system starts its own program");
        let process = process_of(&child);
        drop(child);
        assert!(ends(process), "the only handle to the job is closed, as by the end of this program");
    }

    #[test]
    fn a_killed_child_is_gone_when_the_kill_returns() {
        let (mut child, _pipes) = launch(&waiting(), None).expect("the system starts its own program");
        let early = child.wait_for(Duration::from_millis(1)).expect("the handle is open");
        assert!(early.is_none(), "it waits for its stdin: {early:?}");
        child.kill();
        let exit = child.wait_for(Duration::ZERO).expect("the handle is open").expect("it is gone");
        assert_eq!(exit.code, Some(1), "the code that its job was ended with");
    }

    #[test]
    fn a_child_ends_by_itself_when_its_stdin_closes() {
        let (mut child, pipes) = launch(&waiting(), None).expect("the system starts its own program");
        drop(pipes.stdin);
        let exit = child.wait_for(LONG).expect("the handle is open");
        assert!(exit.is_some(), "nobody else holds the other end of its stdin");
    }

    #[test]
    fn the_worker_finds_the_job_that_it_was_started_in() {
        let spawn = Spawn::new(crate::find_worker().expect("cargo build --package worker"));
        let argument = Some("--self-test-confinement");
        let (_child, mut pipes) = launch(&spawn, argument).expect("the worker starts");
        let (mut report, mut log) = (String::new(), String::new());
        pipes.stdout.read_to_string(&mut report).expect("text");
        pipes.stderr.read_to_string(&mut log).expect("text");
        assert!(report.contains("thread_starts"), "the worker came to its end: {report} {log}");
        if on_wine() {
            say("left out: wine does not tell a process the limits of its job");
            return;
        }
        for wall in ["processes: Full", "memory: Full", "parent: Full"] {
            assert!(report.contains(wall), "every Windows has jobs; {wall} in: {report}");
        }
    }

    #[expect(unsafe_code, reason = "a library is asked for a call")]
    fn on_wine() -> bool {
        // SAFETY: both names end with NUL, and the library is in every process.
        unsafe { GetProcAddress(GetModuleHandleW(w!("ntdll.dll")), s!("wine_get_version")) }.is_some()
    }

    #[expect(clippy::print_stdout, reason = "a test speaks to its reader through the harness")]
    fn say(line: &str) {
        println!("{line}");
    }

    #[test]
    fn processor_time_of_this_process_grows_while_it_computes() {
        let before = cpu_time(std::process::id()).expect("the system tells");
        let until = Instant::now() + LONG;
        while cpu_time(std::process::id()).expect("the system tells") == before {
            assert!(Instant::now() < until, "no processor time is counted");
        }
    }

    #[test]
    fn an_environment_may_hold_what_is_not_unicode() {
        use std::os::windows::ffi::OsStringExt;
        let env = [("A".into(), OsString::from_wide(&[0xd800]))];
        let block = environment_block(&env).expect("no NUL inside");
        assert_eq!(block[2], 0xd800, "names of the system's files may hold lone surrogates");
    }

    #[test]
    fn an_environment_is_sorted_by_name_and_ends_with_two_nuls() {
        let env = [("windir".into(), "C:\\w".into()), ("SystemRoot".into(), "C:\\s".into())];
        let block = environment_block(&env).expect("no NUL inside");
        let text = String::from_utf16(&block).expect("ASCII");
        assert_eq!(text, "SystemRoot=C:\\s\0windir=C:\\w\0\0", "the system searches it by name");
    }

    #[test]
    fn an_empty_environment_is_two_nuls() {
        assert_eq!(environment_block(&[]).expect("nothing to refuse"), [0, 0], "one NUL alone is read past");
    }

    #[test]
    fn a_nul_inside_of_a_value_is_refused() {
        let env = [("A".into(), "x\0B=y".into())];
        assert!(environment_block(&env).is_err(), "it would smuggle a second variable in");
    }
}
