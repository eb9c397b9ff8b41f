//! `cargo xtask test`: builds every test program once, runs each with a time limit, and says what was left out.
//!
//! The push tier is everything that `cargo test --workspace` builds and the page's own tests. The long tier adds what
//! takes longer or needs more tools: the contracts' fuzz and invariant tests, the life of the installed package, and
//! the builds for Windows and macOS.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::install::{self, Purpose};
use crate::process::{cargo, must, print, say};
use crate::workspace;

/// Longest time of one test program of the push tier.
const PROGRAM_LIMIT: Duration = Duration::from_secs(15 * 60);
/// The same in the long tier, whose soak takes half an hour.
const LONG_PROGRAM_LIMIT: Duration = Duration::from_secs(45 * 60);

#[derive(Debug)]
struct TestProgram {
    name: String,
    path: PathBuf,
    folder: PathBuf,
}

#[derive(Debug, Default)]
struct Tally {
    passed: u64,
    failed: u64,
    left_out: Vec<String>,
    broken: Vec<String>,
}

/// Runs a tier; the exit code says whether all of it passed.
pub(crate) fn test(full: bool, only: Option<&str>) -> Result<ExitCode> {
    let start = Instant::now();
    install::install(Purpose::Test)?;
    if full {
        install::compositor()?;
        // The package test installs what `dist` builds.
        crate::dist::dist()?;
    }
    let programs = build()?;
    let mut tally = Tally::default();
    for program in programs.iter().filter(|p| only.is_none_or(|text| p.name.contains(text))) {
        run(program, full, &mut tally)?;
    }
    if only.is_none() {
        page(&mut tally)?;
        if full {
            long_tier(&mut tally);
        } else {
            tally.left_out.push(
                "long tier (cargo xtask test --full): contract fuzzing, fuzzing, package life cycle, cross builds, soak"
                    .into(),
            );
        }
    }
    for line in &tally.left_out {
        print(&format!("left out: {line}"));
    }
    for line in &tally.broken {
        print(&format!("FAILED: {line}"));
    }
    print(&format!("finished in {} s", start.elapsed().as_secs()));
    print(&format!("{} passed, {} failed", tally.passed, tally.failed));
    Ok(if tally.failed == 0 && tally.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Builds the programs and all test programs in one go, so that each dependency is compiled once, and returns the test
/// programs, the quick crates first.
fn build() -> Result<Vec<TestProgram>> {
    let mut child = cargo()
        .args(["build", "--workspace", "--lib", "--bins", "--tests", "--locked"])
        .args(["--message-format", "json-render-diagnostics"])
        .stdout(Stdio::piped())
        .spawn()
        .context("start cargo build --tests")?;
    let stdout = child.stdout.take().context("cargo's output")?;
    let mut found = BTreeMap::new();
    for line in BufReader::new(stdout).lines() {
        let message: Value = serde_json::from_str(&line?).context("read cargo's messages")?;
        let is_test = message["profile"]["test"].as_bool() == Some(true);
        if message["reason"] != "compiler-artifact" || !is_test {
            continue;
        }
        let (Some(path), Some(manifest)) =
            (message["executable"].as_str(), message["manifest_path"].as_str())
        else {
            continue;
        };
        let folder = PathBuf::from(manifest).parent().map(PathBuf::from).unwrap_or_default();
        let package = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = format!("{package}/{}", message["target"]["name"].as_str().unwrap_or("?"));
        // A crate's own tests and a test program of its may have the same name; their paths differ.
        found.insert(
            (package == "tests", name.clone(), path.to_owned()),
            TestProgram { name, path: path.into(), folder },
        );
    }
    let status = child.wait().context("wait for cargo build --tests")?;
    if !status.success() {
        bail!("the tests do not build");
    }
    Ok(found.into_values().collect())
}

/// Runs one test program, shows its output, and adds its counts.
fn run(program: &TestProgram, full: bool, tally: &mut Tally) -> Result<()> {
    let start = Instant::now();
    let mut command = Command::new(&program.path);
    command
        .current_dir(&program.folder)
        .env("CARGO_MANIFEST_DIR", &program.folder)
        .env("HEARTH_BIN_DIR", workspace::target().join("debug"))
        .env("ANVIL_BIN", workspace::anvil())
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    if workspace::swiftshader().exists() {
        command.env("HEARTH_SWIFTSHADER", workspace::swiftshader());
    }
    if full {
        command.env("HEARTH_LONG_TIER", "1");
    }
    let mut child = command.spawn().with_context(|| format!("start {}", program.name))?;
    let stdout = child.stdout.take().context("a test's output")?;
    let (lines, incoming) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                break;
            }
        }
    });
    let mut result = None;
    let mut output = Vec::new();
    let limit = if full { LONG_PROGRAM_LIMIT } else { PROGRAM_LIMIT };
    while let Some(left) = limit.checked_sub(start.elapsed()) {
        match incoming.recv_timeout(left) {
            Ok(line) => {
                if let Some(text) = line.split("left out: ").nth(1) {
                    tally.left_out.push(format!("{}: {text}", program.name));
                }
                if line.starts_with("test result:") {
                    result = Some(line.clone());
                }
                output.push(line);
            }
            Err(mpsc::RecvTimeoutError::Disconnected | mpsc::RecvTimeoutError::Timeout) => break,
        }
    }
    if start.elapsed() >= limit {
        child.kill().with_context(|| format!("end {}", program.name))?;
    }
    let status = child.wait().with_context(|| format!("wait for {}", program.name))?;
    if reader.join().is_err() {
        bail!("reading the output of {} failed", program.name);
    }
    let (passed, failed) = result.as_deref().map_or((0, 0), counts);
    tally.passed += passed;
    tally.failed += failed;
    let seconds = start.elapsed().as_secs_f32();
    if status.success() {
        if passed > 0 {
            print(&format!("ok    {:40} {passed:4} passed  {seconds:6.1} s", program.name));
        }
    } else {
        output.iter().for_each(|line| print(line));
        print(&format!("FAIL  {:40} {failed:4} failed  {seconds:6.1} s  ({status})", program.name));
        tally.broken.push(program.name.clone());
    }
    Ok(())
}

/// Passed and failed of `test result: ok. 12 passed; 0 failed; ...`.
fn counts(line: &str) -> (u64, u64) {
    let number = |word: &str| {
        line.split([';', '.'])
            .find_map(|part| part.trim().strip_suffix(word)?.trim().parse().ok())
            .unwrap_or(0)
    };
    (number("passed"), number("failed"))
}

fn page(tally: &mut Tally) -> Result<()> {
    let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
    let output = Command::new(npm)
        .args(["test", "--", "--reporter=json", "--no-color"])
        .current_dir(workspace::ui())
        .output()
        .context("start the page's tests")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let report: Option<Value> =
        text.find('{').and_then(|start| serde_json::from_str(text[start..].trim()).ok());
    let Some(report) = report else {
        print(&text);
        print(&String::from_utf8_lossy(&output.stderr));
        tally.broken.push("ui (npm test printed no report)".into());
        return Ok(());
    };
    let passed = report["numPassedTests"].as_u64().unwrap_or(0);
    let failed = report["numFailedTests"].as_u64().unwrap_or(0);
    tally.passed += passed;
    tally.failed += failed;
    if output.status.success() {
        print(&format!("ok    {:40} {passed:4} passed", "ui"));
    } else {
        print(&text);
        tally.broken.push("ui".into());
    }
    Ok(())
}

fn long_tier(tally: &mut Tally) {
    let contracts = workspace::contracts();
    let node = |arguments: &[&str]| {
        let mut command = Command::new("node");
        command.args(arguments).current_dir(&contracts);
        command
    };
    let steps = [
        ("contracts compile to the committed artifacts", node(&["build.mjs", "--check"])),
        ("contracts: unit, fuzz and invariant tests", {
            let mut command = node(&["forge.mjs", "test"]);
            command.env("FOUNDRY_PROFILE", "long");
            command
        }),
    ];
    for (name, mut command) in steps {
        note(tally, name, must(&mut command));
    }
    note(tally, "fuzzing, half a minute for each target", crate::fuzz::fuzz(None, 30).map(|_| ()));
    if install::is_debian() {
        note(tally, "cross builds for Windows and macOS", crate::cross::cross().map(|_| ()));
    } else {
        tally.left_out.push("cross builds for Windows and macOS: they need Debian's packages".into());
    }
}

fn note(tally: &mut Tally, name: &str, outcome: Result<()>) {
    match outcome {
        Ok(()) => tally.passed += 1,
        Err(error) => {
            say(&format!("{error:#}"));
            tally.failed += 1;
            tally.broken.push(name.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::counts;

    #[test]
    fn counts_are_read_from_the_line_that_libtest_prints() {
        let line = "test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 1 filtered out; finished in 0.3s";
        assert_eq!(counts(line), (12, 3), "both numbers stand in the line");
    }
}
