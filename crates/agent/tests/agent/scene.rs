//! A home of its own for one agent, and a client that speaks the protocol byte by byte.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use protocol::id::NetworkId;
use protocol::local::{AgentFrame, Answer, ClientFrame, Command as Ask, ErrorCode, Role, build};
use protocol::profile::{ChainProfile, Coordinator, Parameters, Profile};
use protocol::sign::Key;
use protocol::units::{BaseUnits, UnixMillis};
use zeroize::Zeroizing;

/// No step of a test takes longer on the slowest machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Scene {
    pub(crate) directory: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

/// A running agent; killed if the test ends without it having ended.
pub(crate) struct Agent {
    pub(crate) child: Child,
    stdout: Option<BufReader<ChildStdout>>,
}

pub(crate) struct Client {
    stream: UnixStream,
    last_id: u32,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), variables: Vec::new() }
    }

    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.variables.push((name.to_owned(), value.into()));
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path("run/agent.sock")
    }

    /// `hearth` with these arguments, in this home and with nothing else of the session.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hearth"));
        command.args(arguments).env_clear();
        command.env("HOME", self.path("home"));
        command.env("HEARTH_DATA_DIR", self.path("data"));
        command.env("HEARTH_SOCKET", self.socket());
        command.env("LC_ALL", "C.UTF-8");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a terminal command to its end.
    pub(crate) fn terminal(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// A profile file of a network whose coordinator and chain do not answer.
    pub(crate) fn profile(&self) -> PathBuf {
        let key = Key::from_seed(&Zeroizing::new([7; 32]));
        let nowhere = "http://127.0.0.1:9".to_owned();
        let profile = Profile {
            name: "Test".into(),
            counter: 1,
            expires_at: UnixMillis(u64::MAX / 2),
            coordinators: vec![Coordinator { id: key.coordinator(), url: nowhere.clone() }],
            chain: ChainProfile {
                chain_id: 31_337,
                rpc: vec![nowhere],
                token: "0x70997970C51812dc3A010C7d01b50e0d17dc79C8".into(),
                token_symbol: "EMBER".into(),
                token_decimals: 18,
                distributor: "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC".into(),
            },
            publishers: BTreeMap::new(),
            parameters: Parameters {
                maturity_millis: 1000,
                epoch_millis: 10_000,
                lease_millis: 60_000,
                audits_per_unit: [4, 2, 1],
                trusted_permille: 1000,
                fee_permille: 0,
                withdrawal_fee: BaseUnits(1),
                delivery_price: BaseUnits::ZERO,
            },
            relays: Vec::new(),
            local: true,
        };
        let signed = key.sign(&NetworkId::of_root_key(&key.public()), profile);
        let path = self.path("test.profile");
        std::fs::write(&path, signed.envelope().to_bytes()).unwrap();
        path
    }

    /// Runs a terminal command that reads a secret from its standard input.
    pub(crate) fn terminal_with(&self, arguments: &[&str], secret: &str) -> Output {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A command that needs no secret may have ended already.
        if let Err(error) = stdin.write_all(secret.as_bytes()) {
            assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
        }
        drop(stdin);
        child.wait_with_output().unwrap()
    }

    /// Starts a headless agent and waits until it says its first state.
    pub(crate) fn headless(&self) -> Agent {
        let mut agent = self.start(&["--headless", "--json"]);
        let first = agent.line();
        assert!(first.contains("\"event\":\"state\""), "the first line is the state: {first}");
        agent
    }

    /// Starts an agent and waits until its socket answers.
    pub(crate) fn listening(&self, arguments: &[&str]) -> Agent {
        let agent = self.start(arguments);
        self.wait_for(|| UnixStream::connect(self.socket()).is_ok(), "the agent listens");
        agent
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Agent {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().map(BufReader::new);
        Agent { child, stdout }
    }

    /// Waits until something outside this process has come true.
    pub(crate) fn wait_for(&self, mut condition: impl FnMut() -> bool, what: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !condition() {
            assert!(Instant::now() < deadline, "still not so: {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn client(&self, role: Role) -> Result<Client, ErrorCode> {
        Client::connect(&self.socket(), role)
    }
}

impl Agent {
    /// The next line that the agent prints.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.as_mut().unwrap().read_line(&mut line).unwrap();
        line
    }

    /// Waits for the end and returns the exit code.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "the agent does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
    }
}

impl Client {
    pub(crate) fn raw(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, last_id: 0 }
    }

    pub(crate) fn connect(socket: &Path, role: Role) -> Result<Self, ErrorCode> {
        let mut client = Self::raw(socket);
        client.say(&ClientFrame::Hello { build: build().to_owned(), role });
        match client.hear() {
            Some(AgentFrame::Welcome { .. }) => Ok(client),
            Some(AgentFrame::Refused { code }) => Err(code),
            other => panic!("neither welcome nor refused: {other:?}"),
        }
    }

    pub(crate) fn say(&mut self, frame: &ClientFrame) {
        let body = serde_json::to_vec(frame).unwrap();
        self.say_bytes(&u32::try_from(body.len()).unwrap().to_le_bytes());
        self.say_bytes(&body);
    }

    pub(crate) fn say_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next frame, or `None` when the agent has closed the connection.
    pub(crate) fn hear(&mut self) -> Option<AgentFrame> {
        let mut head = [0; 4];
        match self.stream.read_exact(&mut head) {
            Ok(()) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset
                ) =>
            {
                return None;
            }
            Err(error) => panic!("the agent says nothing: {error}"),
        }
        let mut body = vec![0; u32::from_le_bytes(head) as usize];
        self.stream.read_exact(&mut body).unwrap();
        Some(serde_json::from_slice(&body).unwrap())
    }

    pub(crate) fn ask(&mut self, command: Ask) -> Result<Answer, ErrorCode> {
        self.last_id += 1;
        self.say(&ClientFrame::Request { id: self.last_id, command: Box::new(command) });
        loop {
            match self.hear() {
                Some(AgentFrame::Answer { id, answer }) if id == self.last_id => return Ok(*answer),
                Some(AgentFrame::Failed { id, error }) if id == self.last_id => return Err(error.code),
                Some(AgentFrame::Status { .. } | AgentFrame::Picture { .. }) => {}
                other => panic!("no answer: {other:?}"),
            }
        }
    }
}
