//! A contributor's machine: the agent without a window, in a home of its own.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Program, pids_of_children};
use crate::{PATIENCE, software_driver, text};

/// Exit code of a `hearth` command that finds no agent.
const NO_AGENT: i32 = 3;

/// A contributor. Dropping it kills its agent.
#[derive(Debug)]
pub struct Contributor {
    home: PathBuf,
    /// Short, because the path of a local socket may have 107 bytes only.
    runtime: TempDir,
    /// Socket of the session's Wayland compositor; empty where there is none.
    wayland: String,
    agent: Option<Program>,
}

impl Contributor {
    /// Starts an agent that joins the network of `profile` and shares at once.
    pub(crate) fn start(home: &Path, profile: &Path) -> Self {
        Self::begin(home, profile, String::new(), "idle_after_seconds=0")
    }

    /// The same in the session of a Wayland compositor; it shares when nobody has been there for two seconds.
    pub(crate) fn start_under(home: &Path, profile: &Path, compositor: &Path) -> Self {
        Self::begin(home, profile, text(compositor).to_owned(), "idle_after_seconds=2")
    }

    fn begin(home: &Path, profile: &Path, wayland: String, idle: &str) -> Self {
        let runtime = tempfile::Builder::new().prefix("hearth-").tempdir().expect("a temporary folder");
        let mut contributor = Self { home: home.to_path_buf(), runtime, wayland, agent: None };
        contributor.launch(&["--profile", text(profile)]);
        contributor.tell(&["welcome", "--agree"], None);
        contributor.tell(&["limits", idle, "max_other_cpu_percent=100"], None);
        contributor
    }

    fn launch(&mut self, extra: &[&str]) {
        let arguments = [&["--headless", "--json"], extra].concat();
        let environment = self.environment();
        let environment: Vec<(&str, &str)> = environment.iter().map(|(n, v)| (*n, v.as_str())).collect();
        self.agent = Some(Program::start("hearth", &arguments, &environment));
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("HEARTH_DATA_DIR", text(&self.home).to_owned()),
            ("HEARTH_SOCKET", text(&self.runtime.path().join("run/agent.sock")).to_owned()),
            ("VK_ICD_FILENAMES", software_driver().to_owned()),
            ("DISPLAY", String::new()),
            ("WAYLAND_DISPLAY", self.wayland.clone()),
        ]
    }

    /// Kills the agent without warning.
    pub fn kill(&mut self) {
        drop(self.agent.take());
    }

    /// Starts the agent again on the same home.
    pub fn restart(&mut self) {
        self.launch(&[]);
    }

    /// Asks the agent to end and waits.
    pub fn quit(&mut self) {
        let agent = self.agent.take().expect("the agent runs");
        assert!(agent.end().success(), "the agent ends cleanly");
    }

    /// The agent.
    pub fn agent(&self) -> &Program {
        self.agent.as_ref().expect("the agent runs")
    }

    /// Process ids of its workers.
    pub fn workers(&self) -> Vec<u32> {
        pids_of_children(self.agent().pid(), "worker")
    }

    /// Waits for an event that the agent prints.
    pub fn wait(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        self.agent().lines().wait(wanted).expect("the agent goes on")
    }

    /// Runs a `hearth` command; an agent that is still starting is asked again.
    ///
    /// # Panics
    /// When the command fails.
    pub fn tell(&self, arguments: &[&str], secret: Option<&str>) -> String {
        let (code, stdout, stderr) = self.try_tell(arguments, secret);
        assert_eq!(code, 0, "hearth {arguments:?}: {stderr}");
        stdout
    }

    /// Like [`Self::tell`], with the exit code and both outputs.
    pub fn try_tell(&self, arguments: &[&str], secret: Option<&str>) -> (i32, String, String) {
        let environment = self.environment();
        let environment: Vec<(&str, &str)> = environment.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let input = secret.map(|secret| format!("{secret}\n"));
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let (status, stdout, stderr) =
                Program::finish("hearth", arguments, &environment, input.as_deref());
            let code = status.code().unwrap_or(-1);
            if code != NO_AGENT || std::time::Instant::now() >= deadline {
                return (code, stdout, stderr);
            }
            std::thread::yield_now();
        }
    }

    /// The present status.
    pub fn status(&self) -> Value {
        serde_json::from_str(&self.tell(&["status", "--json"], None)).expect("status is JSON")
    }

    /// The wallet page.
    pub fn wallet(&self) -> Value {
        serde_json::from_str(&self.tell(&["wallet", "balance", "--json"], None))
            .expect("the wallet page is JSON")
    }
}
