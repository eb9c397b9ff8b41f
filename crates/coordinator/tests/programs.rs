//! The two programs as an operator meets them: clear sentences and exit codes.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use protocol::id::PublisherId;
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

/// A signed profile of a network with the coordinator of seed 1 and these publishers.
fn write_profile(path: &Path, expires_at: UnixMillis, publishers: &[(&str, PublisherId)]) {
    let root = Key::from_seed(&Zeroizing::new([3; 32]));
    let network = protocol::id::NetworkId::of_root_key(&root.public());
    let coordinator = Key::from_seed(&Zeroizing::new([1; 32])).coordinator();
    let profile = Profile {
        name: "test".into(),
        counter: 1,
        expires_at,
        coordinators: vec![Coordinator { id: coordinator, url: String::new() }],
        chain: ChainProfile {
            chain_id: 1,
            rpc: Vec::new(),
            token: String::new(),
            token_symbol: String::new(),
            token_decimals: 18,
            distributor: String::new(),
        },
        publishers: publishers.iter().map(|&(name, id)| (name.to_owned(), id)).collect(),
        parameters: Parameters {
            maturity_millis: 1,
            epoch_millis: 1,
            lease_millis: 1,
            audits_per_unit: [1; 3],
            trusted_permille: 1,
            fee_permille: 1,
            withdrawal_fee: BaseUnits(1),
            delivery_price: BaseUnits::ZERO,
        },
        relays: Vec::new(),
        local: true,
    };
    std::fs::write(path, root.sign(&network, profile).envelope().to_bytes()).expect("writable");
}

#[test]
fn a_port_in_use_a_strange_key_and_an_expired_profile_are_named() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let file = |name: &str| folder.path().join(name);
    let seed = Zeroizing::new([1; 32]);
    coordinator::files::write_secret(&file("key"), &seed).expect("writable");
    coordinator::files::write_secret(&file("strange"), &Zeroizing::new([2; 32])).expect("writable");
    let write = |name: &str, expires_at| write_profile(&file(name), expires_at, &[]);
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

/// The worker program; `None`, and a line that says so, where it has not been built.
fn worker() -> Option<std::path::PathBuf> {
    sandbox::find_worker().map_err(|error| leave_out(&error.to_string())).ok()
}

#[expect(
    clippy::print_stdout,
    reason = "a test speaks to its reader through the harness, which captures only this"
)]
fn leave_out(what: &str) {
    println!("left out: {what}");
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_packed_search_is_checked_and_every_break_of_it_is_named() {
    let Some(worker) = worker() else { return };
    let place = tempfile::tempdir().expect("a temporary directory");
    let file = |name: &str| place.path().join(name);
    coordinator::files::write_secret(&file("key"), &Zeroizing::new([2; 32])).expect("writable");
    let publisher = Key::from_seed(&Zeroizing::new([2; 32])).publisher();
    write_profile(&file("profile"), UnixMillis(u64::MAX / 2), &[("us", publisher)]);
    write_profile(&file("strangers"), UnixMillis(u64::MAX / 2), &[]);
    let recording = jobs::synthetic::Synthetic { channels: 4096, ..Default::default() }.generate().0;
    recording.save(&file("a.fil")).expect("writable");
    let (fil, job, key, profile) = (file("a.fil"), file("job"), file("key"), file("profile"));
    let pack = ["pack", "search", text(&fil), text(&job), "--key", text(&key), "--profile", text(&profile)];
    let packed = publish(&pack);
    check(&packed, 0, "");
    check(&publish(&pack), 2, "exists already");

    let look = |more: &[&str]| publish(&[&["check", text(&job), "--worker", text(&worker)], more].concat());
    let report = look(&["--profile", text(&profile)]);
    check(&report, 0, "");
    for line in [
        "title      Signal search",
        "validator  bitwise",
        "loops      at most 32768",
        printed(&packed).trim(),
    ] {
        assert!(printed(&report).contains(line), "{line}: {}", printed(&report));
    }
    let json: serde_json::Value =
        serde_json::from_slice(&look(&["--json"]).stdout).expect("one object of JSON");
    assert_eq!((&json["ok"], &json["slices"]), (&true.into(), &64.into()), "{json}");
    let strangers = file("strangers");
    let stranger = look(&["--profile", text(&strangers)]);
    check(&stranger, 2, "cannot be submitted: 1 problem");
    assert!(printed(&stranger).starts_with("manifest: the network does not let the publisher"));

    std::fs::write(job.join("notes.txt"), "x").expect("writable");
    std::fs::write(job.join("network"), "x").expect("writable");
    let broken = look(&["--json"]);
    check(&broken, 2, "1 problem");
    let json: serde_json::Value = serde_json::from_slice(&broken.stdout).expect("one object of JSON");
    assert_eq!(json["problems"][0]["file"], "network", "{json}");
}

#[test]
fn a_kernel_is_checked_while_it_is_written() {
    let Some(worker) = worker() else { return };
    let place = tempfile::tempdir().expect("a temporary directory");
    let path = place.path().join("kernel.wgsl");
    let look = |source: &str, more: &[&str]| {
        std::fs::write(&path, source).expect("writable");
        publish(&[&["check", text(&path), "--worker", text(&worker)], more].concat())
    };
    let kernel = |body: &str| {
        format!(
            "@group(0) @binding(1) var<storage, read_write> words: array<u32>;\n\
             @compute @workgroup_size(64)\nfn any(@builtin(local_invocation_index) lane: u32) {{\n    {body}\n}}\n"
        )
    };
    let good = look(&kernel("words[lane] = lane;"), &[]);
    check(&good, 0, "");
    assert!(printed(&good).contains("nothing is wrong"), "{}", printed(&good));
    let bad = look(&kernel("for (var i = 0u; i < words[0]; i++) { words[lane] += i; }"), &[]);
    check(&bad, 2, "1 problem");
    let expected = format!(
        "{}: line 4, column 5: the bound of this loop is known only when it runs; clamp it with a constant, like i < \
         min(n, 1000u)\n      for (var i = 0u; i < words[0]; i++) {{ words[lane] += i; }}\n      ^\n",
        path.display()
    );
    assert_eq!(printed(&bad), expected);
    let floats = kernel("words[lane] = u32(f32(lane) * 1.5);");
    check(&look(&floats, &[]), 2, "1 problem");
    check(&look(&floats, &["--tolerance"]), 0, "");
    check(&look(&"a".repeat(70_000), &[]), 2, "too long");
    let json = look(&kernel("loop { }"), &["--json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).expect("one object of JSON");
    assert_eq!(json["ok"], false, "{json}");
    assert!(json["problems"][0]["problem"].as_str().is_some_and(|text| text.starts_with("line 4, column 5")));
}

#[test]
fn known_answers_are_computed_here_and_a_wrong_one_is_named() {
    let Some(worker) = worker() else { return };
    let driver = ["lvp_icd.x86_64.json", "lvp_icd.json", "lvp_icd.aarch64.json"]
        .map(|name| Path::new("/usr/share/vulkan/icd.d").join(name));
    let Some(driver) = driver.iter().find(|path| path.exists()) else {
        leave_out("no software Vulkan driver (Debian and Ubuntu: mesa-vulkan-drivers)");
        return;
    };
    let place = tempfile::tempdir().expect("a temporary directory");
    let recording = jobs::synthetic::Synthetic { channels: 4096, ..Default::default() }.generate().0;
    let mut package = jobs::search::package(&recording, &Default::default()).expect("a usual recording");
    let (key, network) = (Key::from_seed(&Zeroizing::new([2; 32])), protocol::id::NetworkId([1; 32]));
    let mut run = |name: &str, bend: &dyn Fn(&mut jobs::package::Package)| {
        bend(&mut package);
        let folder = place.path().join(name);
        let signed = package.sign(&key, &network);
        coordinator::package_folder::write(&folder, &package, &signed, &network).expect("a new folder");
        Command::new(env!("CARGO_BIN_EXE_publish"))
            .args(["check", text(&folder), "--run", "--worker", text(&worker)])
            .env_remove("VK_DRIVER_FILES")
            .env("VK_ICD_FILENAMES", driver)
            .output()
            .expect("the program was built")
    };
    let right = run("right", &|_| {});
    check(&right, 0, "");
    assert!(printed(&right).contains("answers    8 of 8 right on "), "{}", printed(&right));
    let wrong = run("wrong", &|package| package.vectors[3].digest = protocol::id::Hash([7; 32]));
    check(&wrong, 1, "has another result than the known answer");
    assert!(printed(&wrong).contains("answers    7 of 8 right on "), "{}", printed(&wrong));
}
