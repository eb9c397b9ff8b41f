//! The two programs as an operator meets them: clear sentences and exit codes.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use protocol::profile::{ChainProfile, Coordinator, Parameters, Profile};
use protocol::sign::Key;
use protocol::units::{BaseUnits, UnixMillis};
use zeroize::Zeroizing;

fn coordinator(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_coordinator")).args(arguments).output().expect("the program was built")
}

fn publish(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_publish")).args(arguments).output().expect("the program was built")
}

#[track_caller]
fn check(output: &Output, code: i32, says: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(stderr.contains(says), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are text")
}

#[test]
fn help_is_there_and_unknown_flags_are_named() {
    for program in [coordinator, publish] {
        let help = program(&["--help"]);
        assert!(help.status.success());
        assert!(String::from_utf8_lossy(&help.stdout).contains("Usage:"));
        check(&program(&["--frobnicate"]), 2, "--frobnicate");
    }
}

#[test]
fn taking_a_hold_off_founds_no_coordinator_where_there_is_none() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    check(&coordinator(&["unblock", "ab", "cd", "--data", text(folder.path())]), 2, "open the database");
    assert_eq!(std::fs::read_dir(folder.path()).expect("readable").count(), 0, "nothing was made");
}

#[test]
fn a_recording_that_is_missing_truncated_or_none_is_told_apart() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("a.fil");
    let search = || publish(&["search", text(&path), "--local"]);
    check(&search(), 2, "No such file");
    std::fs::write(&path, "hello").expect("writable");
    check(&search(), 2, "not a SIGPROC filterbank file");
    let (recording, _) = jobs::synthetic::Synthetic::default().generate();
    let mut bytes = Vec::new();
    recording.write(&mut bytes).expect("memory");
    bytes.truncate(bytes.len() - 10);
    std::fs::write(&path, &bytes).expect("writable");
    check(&search(), 2, "ends inside");
}

#[test]
fn a_port_in_use_a_strange_key_and_an_expired_profile_are_named() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let file = |name: &str| folder.path().join(name);
    let seed = Zeroizing::new([1; 32]);
    coordinator::files::write_secret(&file("key"), &seed).expect("writable");
    coordinator::files::write_secret(&file("strange"), &Zeroizing::new([2; 32])).expect("writable");
    let root = Key::from_seed(&Zeroizing::new([3; 32]));
    let network = protocol::id::NetworkId::of_root_key(&root.public());
    let write = |name: &str, expires_at| {
        let profile = Profile {
            name: "test".into(),
            counter: 1,
            expires_at,
            coordinators: vec![Coordinator { id: Key::from_seed(&seed).coordinator(), url: String::new() }],
            chain: ChainProfile {
                chain_id: 1,
                rpc: Vec::new(),
                token: String::new(),
                token_symbol: String::new(),
                token_decimals: 18,
                distributor: String::new(),
            },
            publishers: std::collections::BTreeMap::new(),
            parameters: Parameters {
                maturity_millis: 1,
                epoch_millis: 1,
                lease_millis: 1,
                audits_per_unit: [1; 3],
                trusted_permille: 1,
                fee_permille: 1,
                withdrawal_fee: BaseUnits(1),
            },
            local: true,
        };
        std::fs::write(file(name), root.sign(&network, profile).envelope().to_bytes()).expect("writable");
    };
    write("profile", UnixMillis(u64::MAX / 2));
    write("expired", UnixMillis(1));
    let taken = Arc::new(std::net::TcpListener::bind("127.0.0.1:0").expect("a port"));
    let address = taken.local_addr().expect("bound").to_string();
    let serve = |key: &str, profile: &str| {
        let (data, key, profile) = (file("data"), file(key), file(profile));
        // The verifier's worker is only started when there is something to verify.
        let worker = env!("CARGO_BIN_EXE_publish");
        let arguments = ["serve", "--data", text(&data), "--listen", &address, "--key", text(&key)];
        coordinator(&[&arguments[..], &["--profile", text(&profile), "--worker", worker]].concat())
    };
    check(&serve("key", "profile"), 2, "in use by another program");
    check(&serve("strange", "profile"), 2, "belongs to no coordinator of the profile");
    check(&serve("key", "expired"), 2, "expired");
    check(&serve("key", "nowhere"), 2, "No such file");
}

#[test]
fn each_kind_of_job_explains_itself_with_examples_and_exit_codes() {
    for kind in ["render", "product"] {
        let help = publish(&[kind, "--help"]);
        assert!(help.status.success(), "help is no failure");
        let text = String::from_utf8_lossy(&help.stdout);
        for part in ["Examples:", &format!("publish {kind} "), "Exit codes:", "--local", "--budget"] {
            assert!(text.contains(part), "the help of {kind} has {part}: {text}");
        }
    }
}

#[test]
fn pictures_and_matrices_that_cannot_be_cut_are_refused_before_anything_runs() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let picture = folder.path().join("picture.png");
    let render = |more: &[&str]| publish(&[&["render", "--local", "--out", text(&picture)], more].concat());
    check(&render(&["--width", "100"]), 2, "multiples of 64");
    check(&render(&["--samples", "7"]), 2, "7 paths per pixel");
    check(&render(&["--view", "cellar"]), 2, "cellar");
    assert!(!picture.exists(), "nothing is written for a picture that is refused");
    std::fs::write(&picture, "precious").expect("writable");
    check(&render(&[]), 2, "exists");
    assert_eq!(std::fs::read(&picture).expect("it is there"), b"precious", "no file is written over");
    check(&publish(&["render"]), 2, "--local");
    let product = |more: &[&str]| publish(&[&["product", "--local"], more].concat());
    check(&product(&["--block", "8"]), 2, "multiples of 16");
    check(&product(&["--rows", "128"]), 2, "multiple of 64");
    check(&product(&["--rows", "65536", "--columns", "65536"]), 2, "too large");
}
