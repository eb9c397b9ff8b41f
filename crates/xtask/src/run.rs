//! `cargo xtask run`: the whole network on one machine, every part the one that is used in production: anvil with the
//! contracts, a coordinator on SQLite, a publisher with the signal search, and the app.
//!
//! It owns the folder `target/localnet` and every process it starts; all of them end with it. With `--once` it also
//! plays the owner: it makes a wallet, waits for the first credit to be payable, withdraws it, and prints what happened
//! as a table whose sums it checks.

mod chain;
mod story;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc;

use crate::RunOptions;
use crate::install::{self, Purpose};
use crate::process::{cargo, must, print, say};
use crate::workspace;

/// How long one step of the start may take.
const STEP_LIMIT: Duration = Duration::from_secs(120);
/// How long a process has to end by itself before it is killed.
const END_LIMIT: Duration = Duration::from_secs(15);
/// What the publisher pays in and spends at most, in tokens.
const BUDGET_TOKENS: &str = "10";

/// Starts everything and stays until the app is quit, Ctrl-C, or with `--once` the first withdrawal.
pub(crate) fn run(options: &RunOptions) -> Result<ExitCode> {
    if let Some(file) = &options.fil
        && !file.is_file()
    {
        bail!("there is no recording at {}", file.display());
    }
    install::install(Purpose::Run)?;
    must(cargo().args(["build", "--workspace", "--bins", "--locked"]))?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a runtime")?;
    runtime.block_on(network(options))
}

/// Where the processes of one run keep their files.
#[derive(Debug, Clone)]
struct Folder {
    root: PathBuf,
    /// Short, because the path of a local socket may have 107 bytes only.
    runtime: PathBuf,
}

/// A process of ours with a name for messages.
#[derive(Debug)]
struct Part {
    name: &'static str,
    child: Child,
}

/// All running parts, in the order of their start.
#[derive(Debug, Default)]
struct Parts(Vec<Part>);

impl Parts {
    /// Ends the parts in reverse order: asked first, killed when they do not end in time.
    async fn end(self) {
        for Part { name, mut child } in self.0.into_iter().rev() {
            if let Some(id) = child.id() {
                let asked = std::process::Command::new("kill").args(["-TERM", &id.to_string()]).status();
                if !asked.is_ok_and(|status| status.success()) {
                    say(&format!("{name} had already ended"));
                }
            }
            if tokio::time::timeout(END_LIMIT, child.wait()).await.is_err() {
                say(&format!("{name} did not end within {} s and is killed", END_LIMIT.as_secs()));
                if let Err(error) = child.kill().await {
                    say(&format!("{name} cannot be killed: {error}"));
                }
            }
        }
    }
}

async fn network(options: &RunOptions) -> Result<ExitCode> {
    let folder = fresh_folder()?;
    let runtime =
        tempfile::Builder::new().prefix("hearth-run-").tempdir().context("make a runtime folder")?;
    let folder = Folder { root: folder, runtime: runtime.path().to_path_buf() };
    let mut parts = Parts::default();
    let outcome = tokio::select! {
        outcome = play(options, &folder, &mut parts) => outcome,
        told = told_to_end() => told.map(|()| {
            say("ending");
            ExitCode::SUCCESS
        }),
    };
    parts.end().await;
    outcome
}

/// Ctrl-C, or the system's or a terminal's wish that we end.
#[cfg(unix)]
async fn told_to_end() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("listen to SIGTERM")?;
    let mut hang_up = signal(SignalKind::hangup()).context("listen to SIGHUP")?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed.context("listen to Ctrl-C"),
        _ = terminate.recv() => Ok(()),
        _ = hang_up.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn told_to_end() -> Result<()> {
    tokio::signal::ctrl_c().await.context("listen to Ctrl-C")
}

/// `target/localnet`, empty. What the last run left is kept beside it until the next one.
fn fresh_folder() -> Result<PathBuf> {
    let folder = workspace::target().join("localnet");
    let previous = workspace::target().join("localnet.previous");
    if folder.exists() {
        if previous.exists() {
            fs::remove_dir_all(&previous).with_context(|| format!("remove {}", previous.display()))?;
        }
        fs::rename(&folder, &previous).with_context(|| format!("keep {} aside", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    Ok(folder)
}

async fn play(options: &RunOptions, folder: &Folder, parts: &mut Parts) -> Result<ExitCode> {
    let display = std::env::var_os("DISPLAY").is_some() || std::env::var_os("WAYLAND_DISPLAY").is_some();
    let headless = options.headless || options.once || !display;
    let tell = Teller { json: options.json };

    let rpc = start_chain(folder, parts).await?;
    tell.event("chain", &json!({ "rpc": rpc }));
    let url = format!("http://127.0.0.1:{}", free_port()?);
    let network = founded(folder, &rpc, &url).await?;
    tell.event("network", &network);
    start_coordinator(folder, parts, &network, &url).await?;
    tell.event("coordinator", &json!({ "url": url }));
    let (recording, tones) = recording(options, folder).await?;
    tell.event("recording", &json!({ "file": recording, "seed": tones["seed"], "tones": tones["tones"] }));
    deposit(folder, &network).await?;
    tell.event("deposit", &json!({ "tokens": BUDGET_TOKENS }));

    let mut agent = start_agent(folder, parts, &network, headless).await?;
    let (published, mut answers) = mpsc::channel(1);
    start_publisher(folder, parts, &network, &url, &recording, published)?;
    if options.once {
        let story = story::Story { folder, rpc: &rpc, network: &network, tell: &tell };
        return story.play(&mut agent, &mut answers).await;
    }
    loop {
        tokio::select! {
            line = agent.next_line() => match line.context("read what the agent says")? {
                Some(line) => tell.line(&line),
                None => {
                    say("the app has ended");
                    return Ok(ExitCode::SUCCESS);
                }
            },
            Some(answer) = answers.recv() => tell.event("published", &answer),
        }
    }
}

/// Prints what happens: a plain line, or a JSON line.
#[derive(Debug, Clone, Copy)]
struct Teller {
    json: bool,
}

impl Teller {
    fn event(self, name: &str, value: &Value) {
        if self.json {
            print(&json!({ "event": name, "value": value }).to_string());
        } else {
            print(&format!("{name:12} {}", plain(value)));
        }
    }

    /// A line of the agent, which is JSON itself.
    fn line(self, line: &str) {
        match serde_json::from_str::<Value>(line) {
            Ok(value) => self.event("app", &value),
            Err(_) => self.event("app", &Value::String(line.to_owned())),
        }
    }
}

/// A JSON value for people: text as it is, the fields of an object side by side.
fn plain(value: &Value) -> String {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(name, value)| !value.is_null() && *name != "at")
            .map(|(name, value)| format!("{name} {}", plain(value)))
            .collect::<Vec<_>>()
            .join(", "),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join("; "),
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("find a free port")?;
    Ok(listener.local_addr().context("find a free port")?.port())
}

fn log(folder: &Folder, name: &str) -> Result<Stdio> {
    let path = folder.root.join(format!("{name}.log"));
    let file = fs::File::options().create(true).append(true).open(&path);
    Ok(file.with_context(|| format!("open {}", path.display()))?.into())
}

/// A command whose child dies with us, takes no terminal input, and gets no signal meant for us.
fn part(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.kill_on_drop(true).stdin(Stdio::null());
    // Ctrl-C in the terminal reaches the whole foreground group; the parts are ended in order by us.
    command.process_group(0);
    command
}

async fn start_chain(folder: &Folder, parts: &mut Parts) -> Result<String> {
    let anvil = workspace::anvil();
    if !anvil.exists() {
        bail!(
            "anvil is missing: {} does not exist; run npm ci in crates/settlement/contracts",
            anvil.display()
        );
    }
    let mut child = part(&anvil)
        .args([
            "--host",
            "127.0.0.1",
            "--port",
            "0",
            "--chain-id",
            "31337",
            "--accounts",
            "0",
            "--color",
            "never",
        ])
        .env("HOME", &folder.root)
        .env("XDG_CONFIG_HOME", &folder.root)
        .env("XDG_CACHE_HOME", &folder.root)
        .stdout(Stdio::piped())
        .stderr(log(folder, "anvil")?)
        .spawn()
        .context("start anvil")?;
    let mut lines = lines(&mut child)?;
    let address = tokio::time::timeout(STEP_LIMIT, async {
        while let Some(line) = lines.next_line().await.context("read what anvil says")? {
            if let Some(address) = line.strip_prefix("Listening on ") {
                return Ok(address.trim().to_owned());
            }
        }
        bail!("anvil ended at once; see {}", folder.root.join("anvil.log").display())
    })
    .await
    .context("anvil did not start in time")??;
    drain(lines);
    parts.0.push(Part { name: "anvil", child });
    Ok(format!("http://{address}"))
}

fn lines(child: &mut Child) -> Result<Lines<BufReader<ChildStdout>>> {
    Ok(BufReader::new(child.stdout.take().context("a child's output")?).lines())
}

/// Reads on, so that a full pipe never stops the child.
fn drain(mut lines: Lines<BufReader<ChildStdout>>) {
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
}

/// Runs a command to its end and returns the JSON on its last line.
async fn answer(command: &mut Command, what: &str, limit: Duration) -> Result<Value> {
    command.stdout(Stdio::piped()).kill_on_drop(true);
    let output = tokio::time::timeout(limit, command.output())
        .await
        .with_context(|| format!("{what} took too long"))?
        .with_context(|| format!("start: {what}"))?;
    if !output.status.success() {
        bail!("{what} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().with_context(|| format!("{what} said nothing"))?;
    serde_json::from_str(line).with_context(|| format!("{what} said: {line}"))
}

async fn founded(folder: &Folder, rpc: &str, url: &str) -> Result<Value> {
    let mut command = part(&workspace::program("coordinator"));
    command.arg("found").arg("--folder").arg(folder.root.join("network")).args(["--rpc", rpc, "--url", url]);
    answer(command.stderr(Stdio::piped()), "founding the network", STEP_LIMIT).await
}

fn path(network: &Value, name: &str) -> Result<PathBuf> {
    Ok(PathBuf::from(network[name].as_str().with_context(|| format!("the founded network names no {name}"))?))
}

async fn start_coordinator(folder: &Folder, parts: &mut Parts, network: &Value, url: &str) -> Result<()> {
    let mut child = part(&workspace::program("coordinator"))
        .arg("serve")
        .arg("--data")
        .arg(folder.root.join("coordinator"))
        .args(["--listen", url.trim_start_matches("http://")])
        .arg("--profile")
        .arg(path(network, "profile")?)
        .arg("--key")
        .arg(path(network, "coordinator_key")?)
        .arg("--chain-key")
        .arg(path(network, "operator_key")?)
        .arg("--publishers")
        .arg(path(network, "publishers")?)
        .args(["--chain-every-millis", "500"])
        .stdout(Stdio::piped())
        .stderr(log(folder, "coordinator")?)
        .spawn()
        .context("start the coordinator")?;
    let mut said = lines(&mut child)?;
    let ready = tokio::time::timeout(STEP_LIMIT, said.next_line())
        .await
        .context("the coordinator did not start in time")?;
    if ready.context("read what the coordinator says")?.is_none() {
        let path = folder.root.join("coordinator.log");
        let log = fs::read_to_string(&path).unwrap_or_default();
        bail!("the coordinator ended at once: {}", log.lines().last().unwrap_or("its log is empty"));
    }
    drain(said);
    parts.0.push(Part { name: "coordinator", child });
    Ok(())
}

/// The recording to search, and what is known to be in it.
async fn recording(options: &RunOptions, folder: &Folder) -> Result<(PathBuf, Value)> {
    if let Some(file) = &options.fil {
        return Ok((file.clone(), json!({})));
    }
    let file = folder.root.join("recording.fil");
    let mut command = part(&workspace::program("publish"));
    command.arg("recording").arg(&file).args(["--seed", &options.seed.to_string()]);
    let tones = answer(command.stderr(Stdio::piped()), "making a recording", STEP_LIMIT).await?;
    Ok((file, tones))
}

async fn deposit(folder: &Folder, network: &Value) -> Result<()> {
    let mut command = part(&workspace::program("publish"));
    command
        .args(["deposit", BUDGET_TOKENS])
        .arg("--profile")
        .arg(path(network, "profile")?)
        .arg("--chain-key")
        .arg(path(network, "publisher_chain_key")?)
        .current_dir(&folder.root);
    answer(command.stderr(Stdio::piped()), "the publisher's deposit", STEP_LIMIT).await?;
    // The coordinator looks at the chain at intervals; before it has seen the deposit it refuses the job.
    tokio::time::timeout(STEP_LIMIT, async {
        while coordinator_status(folder).await?["deposits"] == "0" {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    })
    .await
    .context("the coordinator never saw the publisher's deposit")?
}

/// The coordinator's own figures.
async fn coordinator_status(folder: &Folder) -> Result<Value> {
    let mut command = part(&workspace::program("coordinator"));
    command.arg("status").arg("--data").arg(folder.root.join("coordinator")).arg("--json");
    answer(command.stderr(Stdio::piped()), "the coordinator's figures", STEP_LIMIT).await
}

fn start_publisher(
    folder: &Folder,
    parts: &mut Parts,
    network: &Value,
    url: &str,
    recording: &Path,
    published: mpsc::Sender<Value>,
) -> Result<()> {
    let mut child = part(&workspace::program("publish"))
        .arg("search")
        .arg(recording)
        .args(["--to", url, "--wait", "--json", "--budget", BUDGET_TOKENS])
        .arg("--profile")
        .arg(path(network, "profile")?)
        .arg("--key")
        .arg(path(network, "publisher_key")?)
        .stdout(Stdio::piped())
        .stderr(log(folder, "publish")?)
        .spawn()
        .context("start the publisher")?;
    let mut said = lines(&mut child)?;
    parts.0.push(Part { name: "publish", child });
    let log = folder.root.join("publish.log");
    tokio::spawn(async move {
        let mut last = None;
        while let Ok(Some(line)) = said.next_line().await {
            last = serde_json::from_str(&line).ok();
        }
        let answer = last.unwrap_or_else(|| {
            let log = fs::read_to_string(log).unwrap_or_default();
            json!({ "error": log.lines().last().unwrap_or("the publisher ended without a word") })
        });
        // Nobody listens any more when the run is ending.
        drop(published.send(answer).await);
    });
    Ok(())
}

/// The environment of everything that is `hearth`.
fn hearth(folder: &Folder) -> Command {
    let mut command = part(&workspace::program("hearth"));
    command
        .env("HEARTH_DATA_DIR", folder.root.join("home"))
        .env("HEARTH_SOCKET", folder.runtime.join("run/agent.sock"));
    command
}

async fn start_agent(
    folder: &Folder,
    parts: &mut Parts,
    network: &Value,
    headless: bool,
) -> Result<Lines<BufReader<ChildStdout>>> {
    let mut command = hearth(folder);
    if headless {
        command.args(["--headless", "--json"]);
    }
    let mut child = command
        .arg("--profile")
        .arg(path(network, "profile")?)
        .stdout(Stdio::piped())
        .stderr(log(folder, "hearth")?)
        .spawn()
        .context("start hearth")?;
    let said = lines(&mut child)?;
    parts.0.push(Part { name: "hearth", child });
    if headless {
        // Nobody sits here to go through Welcome or to be waited for: the person who typed the command agrees.
        tell_agent(folder, &["welcome", "--agree"], None).await?;
        tell_agent(folder, &["limits", "idle_after_seconds=0", "max_other_cpu_percent=100"], None).await?;
    }
    Ok(said)
}

/// Runs one `hearth` command against the running agent, with a secret on its standard input where it needs one. An agent
/// that is still starting is asked again.
async fn tell_agent(folder: &Folder, arguments: &[&str], secret: Option<&str>) -> Result<String> {
    let deadline = tokio::time::Instant::now() + STEP_LIMIT;
    loop {
        let mut child = hearth(folder)
            .args(arguments)
            .stdin(if secret.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("start hearth")?;
        if let (Some(secret), Some(mut stdin)) = (secret, child.stdin.take()) {
            stdin.write_all(format!("{secret}\n").as_bytes()).await.context("hand over the passphrase")?;
        }
        let output = child.wait_with_output().await.context("wait for hearth")?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        // Exit code 3: no agent answers yet.
        if output.status.code() != Some(3) || tokio::time::Instant::now() >= deadline {
            bail!("hearth {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
