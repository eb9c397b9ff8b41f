//! Starts, watches and ends `hearth-window`: the window on request, and the vault window for one decision.
//!
//! The window is a process of its own. When it is closed, crashes or is killed, the agent only takes note: work, tray and
//! wallet go on, and nobody restarts it but a request. A window that is asked for while it is open gets the line `raise`
//! on its standard input. A vault window reads its one-time token from the pipe that is its standard input
//! (`HEARTH_VAULT_FD=0`); its environment is rid of what could let another program drive it. All children are reaped.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use protocol::local::{ErrorCode, LocalError};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::grants::GrantId;
use crate::home::SOCKET_VARIABLE;

/// Variable that names the window's program.
pub const PROGRAM_VARIABLE: &str = "HEARTH_WINDOW";
/// Variable that names the descriptor from which a vault window reads its token.
pub const VAULT_FD_VARIABLE: &str = "HEARTH_VAULT_FD";

/// A window that is asked to end gets this long before it is killed.
const END_WITHIN: Duration = Duration::from_secs(2);

/// What happens to windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowEvent {
    /// The window is gone.
    Closed,
    /// The vault window of this grant is gone.
    VaultClosed(GrantId),
}

/// Why no window opens.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WindowError {
    /// Neither an X nor a Wayland display.
    #[error("there is no display: neither DISPLAY nor WAYLAND_DISPLAY is set")]
    NoDisplay,
    /// The program cannot be started.
    #[error("cannot start {program}")]
    Start {
        /// Which.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The token did not get through the pipe.
    #[error("cannot hand the token to the vault window")]
    Token(#[source] io::Error),
}

impl From<&WindowError> for LocalError {
    fn from(error: &WindowError) -> Self {
        let code = match error {
            WindowError::NoDisplay => ErrorCode::NoDisplay,
            WindowError::Start { .. } | WindowError::Token(_) => ErrorCode::Internal,
        };
        Self { code, detail: error.to_string() }
    }
}

/// The windows of this agent: at most one of each kind.
#[derive(Debug)]
pub struct Windows {
    program: PathBuf,
    socket: PathBuf,
    display: bool,
    events: mpsc::Sender<WindowEvent>,
    page: Option<Running>,
    vault: Option<(GrantId, Running)>,
}

#[derive(Debug)]
struct Running {
    stdin: Option<ChildStdin>,
    end: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Windows {
    /// Windows of `program` that talk to the agent at `socket`. `display` says whether there is one.
    pub fn new(program: PathBuf, socket: PathBuf, display: bool, events: mpsc::Sender<WindowEvent>) -> Self {
        Self { program, socket, display, events, page: None, vault: None }
    }

    /// Opens the window, or asks the open one to come to the front.
    ///
    /// # Errors
    /// [`WindowError`] when there is no display or no program.
    pub async fn open(&mut self) -> Result<(), WindowError> {
        if let Some(running) = self.page.as_mut().filter(|running| !running.task.is_finished()) {
            if let Some(stdin) = &mut running.stdin
                && let Err(error) = stdin.write_all(b"raise\n").await
            {
                tracing::debug!(%error, "the window does not listen");
            }
            return Ok(());
        }
        let mut command = self.command()?;
        command.stdin(Stdio::piped());
        self.page = Some(self.start(command, WindowEvent::Closed)?);
        Ok(())
    }

    /// Opens the vault window for one grant and hands it `token`. A vault window that is still open for something else
    /// is ended first.
    ///
    /// # Errors
    /// [`WindowError`].
    pub async fn open_vault(&mut self, grant: GrantId, token: &Zeroizing<String>) -> Result<(), WindowError> {
        if let Some((_, running)) = self.vault.take() {
            running.end().await;
        }
        let mut command = self.command()?;
        command.arg("--vault").stdin(Stdio::piped()).env(VAULT_FD_VARIABLE, "0");
        for (name, _) in std::env::vars_os().filter(|(name, _)| lets_others_drive(name)) {
            command.env_remove(name);
        }
        let mut running = self.start(command, WindowEvent::VaultClosed(grant))?;
        let mut pipe = running.stdin.take().expect("standard input was asked for");
        let handed = async {
            pipe.write_all(token.as_bytes()).await?;
            pipe.shutdown().await
        };
        match handed.await {
            Ok(()) => {
                self.vault = Some((grant, running));
                Ok(())
            }
            Err(error) => {
                running.end().await;
                Err(WindowError::Token(error))
            }
        }
    }

    /// Takes note that a window is gone.
    pub fn closed(&mut self, event: WindowEvent) {
        match event {
            WindowEvent::Closed => self.page = None,
            WindowEvent::VaultClosed(grant) => {
                if self.vault.as_ref().is_some_and(|(open, _)| *open == grant) {
                    self.vault = None;
                }
            }
        }
    }

    /// Ends all windows, politely first.
    pub async fn end(&mut self) {
        if let Some((_, running)) = self.vault.take() {
            running.end().await;
        }
        if let Some(running) = self.page.take() {
            running.end().await;
        }
    }

    fn command(&self) -> Result<Command, WindowError> {
        if !self.display {
            return Err(WindowError::NoDisplay);
        }
        let mut command = Command::new(&self.program);
        command.env(SOCKET_VARIABLE, &self.socket).env_remove(VAULT_FD_VARIABLE).kill_on_drop(true);
        Ok(command)
    }

    fn start(&self, mut command: Command, gone: WindowEvent) -> Result<Running, WindowError> {
        let mut child =
            command.spawn().map_err(|source| WindowError::Start { program: self.program.clone(), source })?;
        let stdin = child.stdin.take();
        let (end, ended) = oneshot::channel();
        let events = self.events.clone();
        let task = tokio::spawn(async move {
            tokio::select! {
                outcome = child.wait() => match outcome {
                    Ok(status) => tracing::info!(%status, ?gone, "a window ended"),
                    Err(error) => tracing::warn!(%error, ?gone, "cannot tell how a window ended"),
                },
                // A dropped sender ends the window too: whoever owned it is gone.
                _ = ended => stop(&mut child).await,
            }
            if events.send(gone).await.is_err() {
                tracing::debug!("the loop ended before its windows");
            }
        });
        Ok(Running { stdin, end: Some(end), task })
    }
}

impl Running {
    async fn end(mut self) {
        if let Some(end) = self.end.take()
            && end.send(()).is_err()
        {
            tracing::debug!("the window is gone already");
        }
        // The event channel may be full while the loop waits here, so the wait is bounded.
        if timeout(END_WITHIN + Duration::from_secs(1), self.task).await.is_err() {
            tracing::warn!("a window did not end in time");
        }
    }
}

/// The window's program: the variable's value, or the neighbour of the agent's own program.
pub fn program(own: &Path, variable: Option<OsString>) -> PathBuf {
    match variable.filter(|value| !value.is_empty()) {
        Some(path) => PathBuf::from(path),
        None => own.with_file_name(format!("hearth-window{}", std::env::consts::EXE_SUFFIX)),
    }
}

/// Whether a window can show up here.
pub fn has_display() -> bool {
    if !cfg!(target_os = "linux") {
        return true;
    }
    ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// Variables by which another program could drive or inspect the vault's web view, or load code into it.
fn lets_others_drive(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    let harmless = ["WEBKIT_DISABLE_DMABUF_RENDERER", "WEBKIT_DISABLE_COMPOSITING_MODE"];
    let prefixes = ["TAURI_", "WEBKIT_", "WEBVIEW2_", "JSC_"];
    let exact = ["GTK_MODULES", "GTK3_MODULES", "GTK_PATH", "LD_PRELOAD"];
    exact.contains(&name)
        || (prefixes.iter().any(|prefix| name.starts_with(prefix)) && !harmless.contains(&name))
}

async fn stop(child: &mut Child) {
    ask_to_end(child);
    match timeout(END_WITHIN, child.wait()).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::warn!(%error, "cannot tell how a window ended"),
        Err(_) => {
            if let Err(error) = child.kill().await {
                tracing::warn!(%error, "cannot kill a window");
            }
        }
    }
}

#[cfg(unix)]
fn ask_to_end(child: &Child) {
    use rustix::process::{Pid, Signal, kill_process};
    let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    if let Some(pid) = pid
        && let Err(error) = kill_process(pid, Signal::TERM)
    {
        tracing::debug!(%error, "the window is gone already");
    }
}

#[cfg(not(unix))]
fn ask_to_end(_child: &Child) {}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    struct Scene {
        directory: tempfile::TempDir,
        windows: Windows,
        events: mpsc::Receiver<WindowEvent>,
    }

    /// Windows whose program is a script with this body.
    fn scene(body: &str) -> Scene {
        let directory = tempfile::tempdir().unwrap();
        let (text, script) = (directory.path().join("window.text"), directory.path().join("window.sh"));
        std::fs::write(&text, format!("#!/bin/sh\ncd \"$(dirname \"$0\")\" || exit 9\n{body}\n")).unwrap();
        // Another process writes what is started. While this one had it open for writing, a test beside it could fork, and
        // the child would hold it open: "Text file busy".
        assert!(std::process::Command::new("cp").arg(&text).arg(&script).status().unwrap().success());
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
        let (sender, events) = mpsc::channel(8);
        let windows = Windows::new(script, directory.path().join("a.sock"), true, sender);
        Scene { directory, windows, events }
    }

    #[tokio::test]
    async fn the_vault_window_reads_its_token_from_the_named_descriptor() {
        let mut scene = scene("cat /dev/fd/$HEARTH_VAULT_FD > token; echo \"$1 $HEARTH_SOCKET\" > seen");
        let token = Zeroizing::new("ab".repeat(32));
        scene.windows.open_vault(GrantId(7), &token).await.unwrap();
        assert_eq!(scene.events.recv().await, Some(WindowEvent::VaultClosed(GrantId(7))));
        let read = |name: &str| std::fs::read_to_string(scene.directory.path().join(name)).unwrap();
        assert_eq!(read("token"), *token);
        assert_eq!(
            read("seen").trim(),
            format!("--vault {}", scene.directory.path().join("a.sock").display())
        );
    }

    #[tokio::test]
    async fn a_killed_window_is_noticed_and_opens_again_only_on_request() {
        let mut scene = scene("echo one >> starts; read -r line; echo \"$line\" >> lines");
        scene.windows.open().await.unwrap();
        scene.windows.open().await.expect("the open window is asked to come to the front");
        let event = scene.events.recv().await.unwrap();
        scene.windows.closed(event);
        let read = |name: &str| std::fs::read_to_string(scene.directory.path().join(name)).unwrap();
        assert_eq!(read("starts"), "one\n", "the second request starts no second window");
        assert_eq!(read("lines"), "raise\n");
        scene.windows.open().await.unwrap();
        scene.windows.end().await;
        assert_eq!(scene.events.recv().await, Some(WindowEvent::Closed));
    }

    #[tokio::test]
    async fn without_a_display_no_window_is_started() {
        let (sender, _events) = mpsc::channel(1);
        let mut windows = Windows::new("/nonexistent".into(), "/nonexistent".into(), false, sender);
        let error = windows.open().await.unwrap_err();
        assert_eq!(LocalError::from(&error).code, ErrorCode::NoDisplay);
    }

    #[test]
    fn variables_that_let_others_drive_the_vault_are_known() {
        for name in ["TAURI_WEBVIEW_AUTOMATION", "WEBKIT_INSPECTOR_SERVER", "GTK_MODULES", "LD_PRELOAD"] {
            assert!(lets_others_drive(OsStr::new(name)), "{name} reaches the vault");
        }
        for name in ["DISPLAY", "HOME", "WEBKIT_DISABLE_DMABUF_RENDERER"] {
            assert!(!lets_others_drive(OsStr::new(name)), "{name} is needed");
        }
    }

    #[test]
    fn the_window_is_the_neighbour_of_the_agent() {
        assert_eq!(program(Path::new("/usr/bin/hearth"), None), Path::new("/usr/bin/hearth-window"));
        assert_eq!(program(Path::new("/usr/bin/hearth"), Some("/x/w".into())), Path::new("/x/w"));
    }
}
