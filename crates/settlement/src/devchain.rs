//! The local network's chain: anvil as a child process on the loopback, and the few methods that only a development
//! chain has. For `xtask run` and tests; nothing here makes sense on a public network, whose endpoints refuse it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::json;

use crate::{Address, Amount, Rpc, RpcError};

/// The chain id that anvil uses unless told otherwise, and the local network's.
pub const LOCAL_CHAIN_ID: u64 = 31337;
/// How long anvil may take to say where it listens; it takes 0.2 s.
const START_WITHIN: Duration = Duration::from_secs(30);
/// How long anvil may take to write its state when it is asked to end.
#[cfg(unix)]
const END_WITHIN: Duration = Duration::from_secs(5);

/// How anvil is started.
#[derive(Debug, Clone)]
pub struct AnvilOptions {
    /// The anvil binary itself, not the npm wrapper script: a wrapper would outlive the kill.
    pub binary: PathBuf,
    /// Becomes HOME of the process, which writes a cache there.
    pub home: PathBuf,
    /// A fixed port, or `None` for a free one.
    pub port: Option<u16>,
    /// Seconds between blocks; `None`: a block per transaction, and then nothing becomes final until more follow.
    pub block_seconds: Option<u64>,
    /// A file in which the chain is kept from one run to the next. It is written when the process is asked to end and every
    /// few seconds; on Windows, where it cannot be asked, only the latter.
    pub state: Option<PathBuf>,
}

impl AnvilOptions {
    /// Any free port, a block per transaction, nothing kept.
    #[must_use]
    pub fn new(binary: PathBuf, home: PathBuf) -> Self {
        Self { binary, home, port: None, block_seconds: None, state: None }
    }
}

/// A running anvil. Dropping it kills the process and waits for its end.
#[derive(Debug)]
pub struct Anvil {
    child: Child,
    port: u16,
    #[cfg(unix)]
    keeps_state: bool,
}

/// Why anvil did not start.
#[derive(Debug, thiserror::Error)]
pub enum AnvilError {
    #[error("cannot start {binary}")]
    Spawn {
        binary: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// Most often the port is in use; `output` is what anvil said.
    #[error("anvil ended at once: {output}")]
    Ended { output: String },
    #[error("anvil did not say where it listens within {START_WITHIN:?}")]
    Silent,
}

impl Anvil {
    /// Starts anvil and returns once it listens on 127.0.0.1.
    ///
    /// # Errors
    /// See [`AnvilError`].
    pub fn start(options: &AnvilOptions) -> Result<Self, AnvilError> {
        let mut command = Command::new(&options.binary);
        command
            .env_clear()
            .env("HOME", &options.home)
            .env("XDG_CACHE_HOME", &options.home)
            .env("XDG_CONFIG_HOME", &options.home)
            .args(["--host", "127.0.0.1", "--port", &options.port.unwrap_or(0).to_string()])
            .args(["--chain-id", &LOCAL_CHAIN_ID.to_string()])
            // No account of a published mnemonic holds coin here: operators get theirs by `set_coin_balance`.
            .args(["--accounts", "0", "--color", "never"])
            // Blocks count as final after two more instead of 64, so that a withdrawal is seen to its end.
            .args(["--slots-in-an-epoch", "1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(seconds) = options.block_seconds {
            command.args(["--block-time", &seconds.to_string()]);
        }
        if let Some(state) = &options.state {
            command.arg("--state").arg(state).args(["--state-interval", "5"]);
        }
        let mut child =
            command.spawn().map_err(|source| AnvilError::Spawn { binary: options.binary.clone(), source })?;
        let (lines, said) = mpsc::channel();
        for stream in [child.stdout.take().map(boxed), child.stderr.take().map(boxed)].into_iter().flatten() {
            let lines = lines.clone();
            // Reads on until the process ends, so that a full pipe never stops it; nobody listens after the start.
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    if lines.send(line).is_err() {
                        continue;
                    }
                }
            });
        }
        drop(lines);
        let mut anvil = Self {
            child,
            port: 0,
            #[cfg(unix)]
            keeps_state: options.state.is_some(),
        };
        let mut output = String::new();
        loop {
            match said.recv_timeout(START_WITHIN) {
                Ok(line) => {
                    if let Some(port) = line.strip_prefix("Listening on 127.0.0.1:") {
                        anvil.port = port.trim().parse().map_err(|_| AnvilError::Silent)?;
                        return Ok(anvil);
                    }
                    output.push_str(line.trim());
                    output.push(' ');
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    return Err(AnvilError::Ended { output: output.trim().to_owned() });
                }
                Err(mpsc::RecvTimeoutError::Timeout) => return Err(AnvilError::Silent),
            }
        }
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address for JSON-RPC by HTTP POST.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether the process still runs.
    ///
    /// # Errors
    /// When the operating system cannot tell.
    pub fn is_running(&mut self) -> std::io::Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        // Asked to end, anvil writes its state first; it gets a bounded time for that.
        #[cfg(unix)]
        if self.keeps_state && self.ask_to_end().is_ok() && self.has_ended() {
            return;
        }
        // Both fail only when the process has ended already, which is what is wanted.
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}

#[cfg(unix)]
impl Anvil {
    /// Anvil catches the request a moment after it begins to listen. One that comes earlier ends it without a state, so
    /// this waits for that moment where the system shows it.
    fn ask_to_end(&self) -> std::io::Result<()> {
        #[cfg(target_os = "linux")]
        within(END_WITHIN, || catches_termination(self.child.id()));
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        let pid = pid.ok_or(std::io::ErrorKind::InvalidInput)?;
        // The child has not been waited for, so its number cannot belong to another process.
        Ok(rustix::process::kill_process(pid, rustix::process::Signal::TERM)?)
    }

    fn has_ended(&mut self) -> bool {
        within(END_WITHIN, || !matches!(self.child.try_wait(), Ok(None)))
    }
}

/// Looks every ten milliseconds until `holds`, or gives up after `limit`.
#[cfg(unix)]
fn within(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let started = std::time::Instant::now();
    while !holds() {
        if started.elapsed() > limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

/// Whether a process has a handler for SIGTERM (bit 14 of SigCgt in proc_pid_status(5)). True when it has ended.
#[cfg(target_os = "linux")]
fn catches_termination(pid: u32) -> bool {
    let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/status")) else { return true };
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_none_or(|mask| mask >> 14 & 1 == 1)
}

/// The anvil binary below a `node_modules` directory, for this operating system and processor; `None` where npm has
/// none, or it is not installed.
#[must_use]
pub fn find_anvil(node_modules: &Path) -> Option<PathBuf> {
    let os = match std::env::consts::OS {
        "macos" => "darwin",
        "windows" => "win32",
        other => other,
    };
    let processor = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let name = format!("anvil{}", std::env::consts::EXE_SUFFIX);
    let path =
        node_modules.join("@foundry-rs").join(format!("anvil-{os}-{processor}")).join("bin").join(name);
    path.is_file().then_some(path)
}

/// Gives an account coin for gas, in wei.
///
/// # Errors
/// See [`RpcError`].
pub async fn set_coin_balance(rpc: &dyn Rpc, account: Address, wei: Amount) -> Result<(), RpcError> {
    let value = format!("0x{:x}", wei.to_u256());
    rpc.call("anvil_setBalance", json!([account, value])).await.map(|_| ())
}

/// Makes an empty block. Do it once after the start: until then the chain's clock is not the wall clock.
///
/// # Errors
/// See [`RpcError`].
pub async fn mine(rpc: &dyn Rpc) -> Result<(), RpcError> {
    rpc.call("evm_mine", json!([])).await.map(|_| ())
}

/// Moves the chain's clock forward and makes a block.
///
/// # Errors
/// See [`RpcError`].
pub async fn advance(rpc: &dyn Rpc, seconds: u64) -> Result<(), RpcError> {
    rpc.call("evm_increaseTime", json!([seconds])).await?;
    mine(rpc).await
}

fn boxed(stream: impl std::io::Read + Send + 'static) -> Box<dyn std::io::Read + Send> {
    Box::new(stream)
}
