//! Hearth as it runs in a person's session: the agent with tray and windows, started by nobody but its icon.

use serde_json::Value;

use super::{DESKTOP_PATIENCE, Desktop, descendants, is_alive, signal};
use crate::program::{Program, pids_of_children};

/// Exit code of a `hearth` command that finds no agent.
const NO_AGENT: i32 = 3;

/// A running agent on a desktop. Dropping it kills it.
#[derive(Debug)]
pub struct Installed<'a> {
    desktop: &'a Desktop,
    agent: Option<Program>,
}

impl<'a> Installed<'a> {
    /// Starts `hearth` with these arguments; `variables` come on top of the desktop's.
    pub fn start(desktop: &'a Desktop, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let environment = [desktop.environment().as_slice(), variables].concat();
        let agent = Some(Program::start("hearth", arguments, &environment));
        let installed = Self { desktop, agent };
        installed.tell(&["status"]);
        installed
    }

    /// Process id of the agent.
    pub fn pid(&self) -> u32 {
        self.agent.as_ref().map_or(0, Program::pid)
    }

    /// Process ids of the windows that the agent opened.
    pub fn windows(&self) -> Vec<u32> {
        pids_of_children(self.pid(), "hearth-window")
    }

    /// Runs a `hearth` command; an agent that is still starting is asked again.
    ///
    /// # Panics
    /// When the command fails.
    pub fn tell(&self, arguments: &[&str]) -> String {
        self.desktop.until_some(&format!("hearth {arguments:?}"), || {
            let (status, stdout, stderr) =
                Program::finish("hearth", arguments, &self.desktop.environment(), None);
            if status.code() == Some(NO_AGENT) {
                return None;
            }
            assert!(status.success(), "hearth {arguments:?}: {stderr}");
            Some(stdout)
        })
    }

    /// The present status.
    pub fn status(&self) -> Value {
        serde_json::from_str(&self.tell(&["status", "--json"])).expect("status is JSON")
    }

    /// Waits for a status.
    pub fn status_until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let deadline = std::time::Instant::now() + DESKTOP_PATIENCE;
        loop {
            if wanted(&last) {
                return last;
            }
            assert!(std::time::Instant::now() < deadline, "waited in vain for {what}; the status is {last}");
            last = self.status();
        }
    }

    /// The wallet page.
    pub fn wallet(&self) -> Value {
        serde_json::from_str(&self.tell(&["wallet", "balance", "--json"])).expect("the wallet page is JSON")
    }

    /// Waits for a state of the wallet. Each answer needs a round trip to the chain, so nothing spins.
    pub fn wallet_until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = std::time::Instant::now() + crate::PATIENCE;
        loop {
            let wallet = self.wallet();
            if wanted(&wallet) {
                return wallet;
            }
            assert!(
                std::time::Instant::now() < deadline,
                "waited in vain for {what}; the wallet is {wallet}"
            );
        }
    }

    /// Waits until the agent has ended by itself; returns its exit code and what it left running.
    pub fn ended(mut self, started: &[u32]) -> (Option<i32>, Vec<u32>) {
        let pid = self.pid();
        self.desktop.until("the agent to end", || !is_alive(pid));
        // It has ended: this only collects the exit code, and the signal reaches nobody.
        let code = self.agent.take().and_then(|agent| agent.end().code());
        let left = started.iter().copied().filter(|pid| is_alive(*pid)).collect();
        (code, left)
    }

    /// What the agent wrote into its log.
    pub fn log(&self) -> String {
        let folder = self.desktop.home().join(".local/share/hearth/log");
        let mut files: Vec<_> =
            folder.read_dir().into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        files.sort();
        files.iter().filter_map(|path| std::fs::read_to_string(path).ok()).collect()
    }

    /// Everything that the agent started and that runs now.
    pub fn started(&self) -> Vec<u32> {
        descendants(self.pid())
    }
}

impl Drop for Installed<'_> {
    fn drop(&mut self) {
        let Some(agent) = &self.agent else { return };
        if std::thread::panicking() {
            eprintln!("the agent's log:\n{}", self.log());
        }
        // Windows outlive an agent that is killed, and would keep its output open.
        let started = descendants(agent.pid());
        signal("-KILL", agent.pid());
        for pid in started {
            signal("-KILL", pid);
        }
    }
}
