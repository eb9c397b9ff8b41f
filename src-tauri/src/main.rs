//! `hearth-window`: the window of Hearth, a client of the agent over its local socket.
//!
//! Started plainly it shows the page; started as `hearth-window --vault` by the agent it shows one decision about money
//! and ends with it. It owns no state, no key and no file of Hearth's: killing it stops nothing.

mod downloads;
mod environment;
mod frames;
mod link;
mod page;
mod vault;

use std::process::ExitCode;

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn")),
        )
        .with_writer(std::io::stderr)
        .init();
    let vault = match arguments() {
        Ok(vault) => vault,
        Err(unknown) => {
            tracing::error!(
                "unknown argument {unknown:?}: hearth-window takes none, or --vault from the agent"
            );
            return ExitCode::from(2);
        }
    };
    if let Err(error) = environment::prepare(vault) {
        tracing::error!("cannot prepare the environment: {error}");
        return ExitCode::FAILURE;
    }
    let ended = if vault { vault::run() } else { page::run() };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether this is the vault; the argument that is not known otherwise.
fn arguments() -> Result<bool, String> {
    let mut vault = false;
    for argument in std::env::args_os().skip(1) {
        if argument == "--vault" {
            vault = true;
        } else {
            return Err(argument.to_string_lossy().into_owned());
        }
    }
    Ok(vault)
}

/// Page, icon and permissions, embedded once for both kinds of window.
fn context() -> tauri::Context {
    tauri::generate_context!()
}

/// Why the window ended.
#[derive(Debug, thiserror::Error)]
enum RunError {
    /// The web view failed.
    #[error("the window cannot be shown")]
    Tauri(#[from] tauri::Error),
    /// The vault was started by hand or the pipe is broken.
    #[error("the vault is opened by the agent only: {0}")]
    Token(#[source] std::io::Error),
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// The words between `start` and `end` that look like names of commands.
    fn names<'a>(text: &'a str, start: &str, end: &str) -> BTreeSet<&'a str> {
        let from = text.find(start).expect("the list is there") + start.len();
        let list = &text[from..from + text[from..].find(end).expect("the list ends")];
        list.split(|c: char| !(c.is_ascii_lowercase() || c == '_')).filter(|name| !name.is_empty()).collect()
    }

    #[test]
    fn every_command_is_under_access_control_and_open_to_one_window_only() {
        let declared = names(include_str!("../build.rs"), "const COMMANDS: &[&str] =", ";");
        let handler = |text| names(text, "generate_handler![", "]");
        let (page, vault) = (handler(include_str!("page.rs")), handler(include_str!("vault.rs")));
        assert_eq!(declared, page.union(&vault).copied().collect(), "build.rs and the handlers differ");
        assert!(page.is_disjoint(&vault), "a command belongs to one window");
        for (capability, commands) in [
            (include_str!("../capabilities/main.json"), &page),
            (include_str!("../capabilities/vault.json"), &vault),
        ] {
            let allowed: BTreeSet<String> = capability
                .split('"')
                .filter_map(|word| word.strip_prefix("allow-"))
                .map(|name| name.replace('-', "_"))
                .collect();
            let wanted: BTreeSet<String> = commands.iter().map(|&name| name.to_owned()).collect();
            assert_eq!(allowed, wanted, "a capability opens exactly the commands of its window");
        }
    }
}
