//! The program `hearth` as a process: its socket, its start and end, its terminal commands and its tray.
//!
//! Each test has a home of its own and ends what it starts. Tier: push. Linux and macOS; the tray needs `dbus-daemon`.

#![cfg(unix)]

#[cfg(test)]
mod conversation;
#[cfg(test)]
mod life;
#[cfg(test)]
mod money;
#[cfg(test)]
mod scene;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod tray;
