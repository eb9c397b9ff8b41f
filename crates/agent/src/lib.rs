//! The agent `hearth`: the one program of Hearth that is always there.
pub mod autostart;
pub mod client;
pub mod framing;
pub mod grants;
pub mod harden;
pub mod headless;
pub mod home;
pub mod joined;
pub mod log;
pub mod server;
pub mod socket;
pub mod terminal;
pub mod throttle;
pub mod tray;
pub mod window;

/// The program.
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
