//! The environment that the web view is started in.
//!
//! The vault never runs under a driver that could press its buttons, and WebKit's DMABUF renderer, which leaves a white
//! window on NVIDIA cards, is off unless somebody turned it on. A process cannot change its own environment safely, so
//! it starts itself once more with the right one; descriptors, process id and arguments stay.

use std::io;

/// Lets other programs drive or inspect a web view, or load code into it.
const DRIVING: [&str; 6] = [
    "TAURI_WEBVIEW_AUTOMATION",
    "TAURI_AUTOMATION",
    "WEBKIT_INSPECTOR_SERVER",
    "WEBKIT_INSPECTOR_HTTP_SERVER",
    "GTK_MODULES",
    "GTK_DEBUG",
];

const RENDERER: &str = "WEBKIT_DISABLE_DMABUF_RENDERER";

/// Returns where the environment is right, and replaces this process where it is not.
pub(crate) fn prepare(vault: bool) -> io::Result<()> {
    let unwanted: Vec<&str> =
        DRIVING.into_iter().filter(|name| vault && std::env::var_os(name).is_some()).collect();
    let renderer_missing = cfg!(target_os = "linux") && std::env::var_os(RENDERER).is_none();
    if unwanted.is_empty() && !renderer_missing {
        return Ok(());
    }
    restart(&unwanted, renderer_missing)
}

#[cfg(unix)]
fn restart(unwanted: &[&str], renderer_missing: bool) -> io::Result<()> {
    use std::os::unix::process::CommandExt as _;

    let mut command = std::process::Command::new(std::env::current_exe()?);
    command.args(std::env::args_os().skip(1));
    for name in unwanted {
        command.env_remove(name);
    }
    if renderer_missing {
        command.env(RENDERER, "1");
    }
    // Returns only where it failed.
    Err(command.exec())
}

#[cfg(not(unix))]
fn restart(unwanted: &[&str], _renderer_missing: bool) -> io::Result<()> {
    // There is no exec here: a vault that could be driven does not start at all.
    match unwanted.first() {
        Some(name) => Err(io::Error::other(format!("{name} is set"))),
        None => Ok(()),
    }
}
