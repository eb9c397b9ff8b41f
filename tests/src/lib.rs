//! A whole network on this machine, for tests: anvil with the contracts, a coordinator, a publisher and contributors, each
//! the program that is shipped, started and killed as a person or a power cut would.
//!
//! It owns the processes and a temporary folder, and ends both. It waits for events that programs print, with a bound,
//! and never for time to pass. Programs come from `HEARTH_BIN_DIR` or from beside the test program; `cargo xtask test`
//! builds them first.

#![expect(
    clippy::print_stderr,
    clippy::unwrap_in_result,
    reason = "support for tests: a failed assumption ends the test, and what it saw belongs to its output"
)]

mod compositor;
mod contributor;
mod desktop;
#[cfg(target_os = "linux")]
pub mod link;
mod program;
mod scripted_home;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use settlement::devchain::{Anvil, AnvilOptions, find_anvil};
use tempfile::TempDir;

pub use crate::compositor::Compositor;
pub use crate::contributor::Contributor;
pub use crate::desktop::{
    Album, Area, DESKTOP_PATIENCE, Desktop, Installed, Opened, Page, Screen, Window, descendants, is_alive,
    leave_out, signal,
};
pub use crate::program::{Lines, Program, binary, pids_of_children};
pub use crate::scripted_home::{ScriptedHome, first};

/// How long anything may take on two busy cores with a software driver before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(300);
/// What the publisher pays in, in tokens.
const DEPOSIT_TOKENS: &str = "12";
/// What a job may cost. The rest of the deposit pays for deliveries of its inputs.
const BUDGET_TOKENS: &str = "10";

/// A running network.
#[derive(Debug)]
pub struct World {
    folder: TempDir,
    anvil: Anvil,
    founded: Value,
    url: String,
    coordinator: Option<Program>,
}

impl World {
    /// Founds a network, pays the publisher's deposit in, and starts the coordinator.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("hearth-world-").tempdir().expect("a temporary folder");
        let anvil = Anvil::start(&AnvilOptions::new(anvil_binary(), folder.path().to_path_buf()))
            .expect("anvil starts");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        drop(listener);
        let network = folder.path().join("network");
        let founded = Program::answer(
            "coordinator",
            &["found", "--folder", text(&network), "--rpc", &anvil.url(), "--url", &url],
        );
        let mut world = Self { folder, anvil, founded, url, coordinator: None };
        world.start_coordinator();
        world.publish_deposit();
        world
    }

    /// The chain's endpoint.
    pub fn rpc_url(&self) -> String {
        self.anvil.url()
    }

    /// The coordinator's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A folder for the test's own files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A path or address that founding the network gave, by name.
    pub fn founded(&self, name: &str) -> &str {
        self.founded[name].as_str().unwrap_or_else(|| panic!("founding gives {name}"))
    }

    /// Starts the coordinator on its folder, as after a restart of its machine.
    pub fn start_coordinator(&mut self) {
        let data = self.coordinator_folder();
        let program = Program::start(
            "coordinator",
            &[
                "serve",
                "--data",
                text(&data),
                "--listen",
                self.url.trim_start_matches("http://"),
                "--profile",
                self.founded("profile"),
                "--key",
                self.founded("coordinator_key"),
                "--chain-key",
                self.founded("operator_key"),
                "--publishers",
                self.founded("publishers"),
                "--chain-every-millis",
                "300",
            ],
            &[("VK_ICD_FILENAMES", software_driver())],
        );
        program
            .lines()
            .wait(|event| event["event"] == "ready")
            .expect("the coordinator says that it is ready");
        self.coordinator = Some(program);
    }

    /// Ends the coordinator without warning, as a power cut does.
    pub fn kill_coordinator(&mut self) {
        drop(self.coordinator.take());
    }

    /// The coordinator's own figures.
    pub fn coordinator_status(&self) -> Value {
        Program::answer("coordinator", &["status", "--data", text(&self.coordinator_folder()), "--json"])
    }

    /// Writes a recording with known tones and returns its path and what is in it.
    pub fn recording(&self, channels: u32, seed: u64) -> (PathBuf, Value) {
        let path = self.folder.path().join(format!("recording-{seed}.fil"));
        let tones = Program::answer(
            "publish",
            &["recording", text(&path), "--channels", &channels.to_string(), "--seed", &seed.to_string()],
        );
        (path, tones)
    }

    /// Publishes a search of `recording`; the program ends when the job is done and prints the hits.
    pub fn publish(&self, recording: &Path) -> Program {
        self.order("search", &[text(recording)])
    }

    /// Pays for a job of this kind; `publish` ends when it is done and prints its answer.
    pub fn order(&self, kind: &str, more: &[&str]) -> Program {
        let terms = [
            "--to",
            &self.url,
            "--profile",
            self.founded("profile"),
            "--key",
            self.founded("publisher_key"),
            "--budget",
            BUDGET_TOKENS,
            "--wait",
            "--json",
        ];
        Program::start("publish", &[&[kind], more, &terms].concat(), &[])
    }

    /// A contributor's agent that shares whenever it may, and has agreed to Welcome.
    pub fn contributor(&self, name: &str) -> Contributor {
        Contributor::start(&self.folder.path().join(name), Path::new(self.founded("profile")))
    }

    /// The same in a Wayland session; it shares when nobody has moved the pointer for two seconds.
    pub fn contributor_under(&self, name: &str, compositor: &Compositor) -> Contributor {
        Contributor::start_under(
            &self.folder.path().join(name),
            Path::new(self.founded("profile")),
            compositor.socket(),
        )
    }

    /// Tokens of an address in base units, by the chain.
    pub fn tokens_of(&self, address: &str) -> u128 {
        use settlement::{Address, Chain, Contracts, Tag};
        let parse = |text: &str| Address::parse_checksummed(text).expect("an address").address;
        let contracts = Contracts::with_ember(
            self.founded["chain_id"].as_u64().expect("founding gives the chain"),
            parse(self.founded("token")),
            parse(self.founded("distributor")),
        );
        let net = network::Net::with_system_clock(std::sync::Arc::new(network::MemoryJournal::default()));
        let rpc = std::sync::Arc::new(coordinator::treasury::NetRpc::new(net, self.rpc_url()));
        let chain = Chain::new(rpc, contracts);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let balance =
            runtime.block_on(chain.token_balance(parse(address), Tag::Latest)).expect("the chain answers");
        balance.as_u128().expect("a balance below 2^128")
    }

    fn coordinator_folder(&self) -> PathBuf {
        self.folder.path().join("coordinator")
    }

    fn publish_deposit(&self) {
        let answer = Program::answer(
            "publish",
            &[
                "deposit",
                DEPOSIT_TOKENS,
                "--profile",
                self.founded("profile"),
                "--chain-key",
                self.founded("publisher_chain_key"),
            ],
        );
        assert!(answer["deposited"].is_string(), "the deposit is on the chain: {answer}");
        // The coordinator looks at the chain at intervals; before it has seen the deposit it refuses the job.
        let deadline = std::time::Instant::now() + PATIENCE;
        while self.coordinator_status()["deposits"] == "0" {
            assert!(std::time::Instant::now() < deadline, "the coordinator never saw the deposit");
        }
    }
}

/// anvil, which `cargo xtask` installs.
fn anvil_binary() -> PathBuf {
    if let Some(path) = std::env::var_os("ANVIL_BIN") {
        return path.into();
    }
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/settlement/contracts/node_modules");
    find_anvil(&modules)
        .expect("anvil is installed: run `cargo xtask test`, or npm ci in crates/settlement/contracts")
}

/// The driver description of lavapipe, so that tests run on the same driver everywhere.
pub fn software_driver() -> &'static str {
    "/usr/share/vulkan/icd.d/lvp_icd.x86_64.json"
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("test paths are plain text")
}
