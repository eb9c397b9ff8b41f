//! One running program of ours: started, listened to, ended. What it prints is JSON lines.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Instant;

use serde_json::Value;

use crate::PATIENCE;

/// A program that `cargo xtask test` has built.
pub fn binary(name: &str) -> PathBuf {
    let folder = std::env::var_os("HEARTH_BIN_DIR").map_or_else(
        || {
            let test = std::env::current_exe().expect("the test program has a path");
            test.ancestors().nth(2).expect("target/debug/deps/test").to_path_buf()
        },
        PathBuf::from,
    );
    let path = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(path.exists(), "{} is not built: run `cargo build --workspace --bins`", path.display());
    path
}

/// Process ids of the direct children of `parent` whose program is `name`.
pub fn pids_of_children(parent: u32, name: &str) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("a Linux system").flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some((head, tail)) = stat.rsplit_once(')') else { continue };
        let program = head.split_once('(').map_or("", |(_, name)| name);
        let parent_id = tail.split_whitespace().nth(1).and_then(|text| text.parse().ok());
        if program == name && parent_id == Some(parent) {
            found.push(pid);
        }
    }
    found
}

/// Lines of JSON that a program prints, as they come.
#[derive(Debug)]
pub struct Lines {
    incoming: Receiver<Value>,
    name: String,
}

impl Lines {
    /// The first line from now on for which `wanted` holds, or `None` when the program ends before.
    ///
    /// # Panics
    /// When it does not come within [`PATIENCE`].
    pub fn wait(&self, wanted: impl Fn(&Value) -> bool) -> Option<Value> {
        let deadline = Instant::now() + PATIENCE;
        let mut last = Value::Null;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.incoming.recv_timeout(left) {
                Ok(line) if wanted(&line) => return Some(line),
                Ok(line) => last = line,
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("{} did not say it in time; it said last: {last}", self.name)
                }
            }
        }
    }
}

/// A running program. Dropping it kills it and reaps it.
#[derive(Debug)]
pub struct Program {
    child: Child,
    lines: Lines,
    reader: Option<JoinHandle<()>>,
}

impl Program {
    /// Starts a program of ours. Its log goes to the test's standard error.
    pub fn start(name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(binary(name))
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} starts: {error}"));
        let stdout = child.stdout.take().expect("its output is a pipe");
        let (sender, incoming) = channel();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let Ok(value) = serde_json::from_str(&line) else { continue };
                if sender.send(value).is_err() {
                    break;
                }
            }
        });
        Self { child, lines: Lines { incoming, name: name.to_owned() }, reader: Some(reader) }
    }

    /// Runs a program of ours to its end and returns the JSON on its last line.
    ///
    /// # Panics
    /// When it fails or prints no JSON.
    pub fn answer(name: &str, arguments: &[&str]) -> Value {
        let (status, stdout, stderr) = Self::finish(name, arguments, &[], None);
        assert!(status.success(), "{name} {arguments:?} failed: {stderr}");
        let line = stdout.lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|_| panic!("{name} {arguments:?} said: {stdout}"))
    }

    /// Runs a program of ours to its end: status, output, error output.
    pub fn finish(
        name: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
        input: Option<&str>,
    ) -> (ExitStatus, String, String) {
        let mut child = Command::new(binary(name))
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} starts: {error}"));
        if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
            stdin.write_all(input.as_bytes()).expect("it reads its input");
        }
        let mut errors = child.stderr.take().expect("its error output is a pipe");
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            errors.read_to_string(&mut text).map(|_| text).unwrap_or_default()
        });
        let mut stdout = String::new();
        child.stdout.take().expect("its output is a pipe").read_to_string(&mut stdout).expect("plain text");
        let status = child.wait().expect("it ends");
        (status, stdout, reader.join().expect("the reader ends"))
    }

    /// What it prints.
    pub fn lines(&self) -> &Lines {
        &self.lines
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end and waits for it.
    pub fn end(mut self) -> ExitStatus {
        let asked =
            Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().expect("kill runs");
        assert!(asked.success(), "the program was running");
        self.child.wait().expect("it ends")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail only when it has ended already, which is what is wanted.
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
        if let Some(reader) = self.reader.take() {
            drop(reader.join());
        }
    }
}
