//! The house stands as DESIGN.md §3 draws it: who may depend on whom, who may touch the world, what stays pure.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the checkout").to_path_buf()
}

/// `cargo metadata` of the workspace, from the lock file alone.
fn metadata() -> Value {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        // Packages of other systems may never have been fetched on this machine.
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(root())
        .output()
        .expect("cargo metadata runs");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON")
}

/// Direct dependencies of each of our packages: normal and build, not dev.
fn edges(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let members: BTreeSet<&str> =
        metadata["workspace_members"].as_array().expect("members").iter().filter_map(Value::as_str).collect();
    let mut edges = BTreeMap::new();
    for package in metadata["packages"].as_array().expect("packages") {
        if members.contains(package["id"].as_str().unwrap_or_default()) {
            let dependencies = package["dependencies"]
                .as_array()
                .expect("dependencies")
                .iter()
                .filter(|d| d["kind"].as_str() != Some("dev"))
                .filter_map(|d| d["name"].as_str().map(str::to_owned))
                .collect();
            edges.insert(package["name"].as_str().unwrap_or_default().to_owned(), dependencies);
        }
    }
    edges
}

/// All packages reachable from `start` on this system by normal and build dependencies.
fn closure(metadata: &Value, start: &str) -> BTreeSet<String> {
    let names: BTreeMap<&str, &str> = metadata["packages"]
        .as_array()
        .expect("packages")
        .iter()
        .filter_map(|p| Some((p["id"].as_str()?, p["name"].as_str()?)))
        .collect();
    let nodes: BTreeMap<&str, &Value> = metadata["resolve"]["nodes"]
        .as_array()
        .expect("resolve graph")
        .iter()
        .filter_map(|node| Some((node["id"].as_str()?, node)))
        .collect();
    let mut open: Vec<&str> = names.iter().filter(|(_, name)| **name == start).map(|(id, _)| *id).collect();
    let mut seen = BTreeSet::new();
    while let Some(id) = open.pop() {
        if !seen.insert(id) {
            continue;
        }
        for dependency in nodes[id]["deps"].as_array().into_iter().flatten() {
            let kinds = dependency["dep_kinds"].as_array().expect("kinds");
            if kinds.iter().any(|kind| kind["kind"].as_str() != Some("dev")) {
                open.extend(dependency["pkg"].as_str());
            }
        }
    }
    seen.into_iter().map(|id| names[id].to_owned()).collect()
}

const OURS: &[(&str, &[&str])] = &[
    ("protocol", &[]),
    ("words", &["protocol"]),
    ("network", &["protocol"]),
    ("settlement", &[]),
    ("sandbox", &["protocol"]),
    ("worker", &["protocol"]),
    ("jobs", &["protocol"]),
    ("contributor", &["jobs", "network", "protocol", "sandbox"]),
    ("wallet", &["protocol", "settlement"]),
    ("coordinator", &["jobs", "network", "protocol", "sandbox", "settlement"]),
    ("agent", &["contributor", "jobs", "network", "protocol", "sandbox", "settlement", "wallet", "words"]),
    ("hearth-window", &["protocol", "words"]),
    ("xtask", &[]),
];

/// Programs and libraries of the tests: they stand beside the house, and nothing of it may depend on them.
const BESIDE: &[&str] = &["hearth-tests", "fake-nvml", "faulty-driver"];

#[test]
fn every_room_depends_only_on_the_floors_below() {
    let edges = edges(&metadata());
    let rooms: BTreeSet<&str> = OURS.iter().map(|(room, _)| *room).collect();
    for (room, allowed) in OURS {
        let dependencies = edges.get(*room).unwrap_or_else(|| panic!("the room {room} exists"));
        let stray = dependencies.iter().find(|d| BESIDE.contains(&d.as_str()));
        assert!(stray.is_none(), "{room} may not depend on {stray:?}, which belongs to the tests");
        for dependency in dependencies.iter().filter(|d| rooms.contains(d.as_str())) {
            assert!(allowed.contains(&dependency.as_str()), "{room} may not depend on {dependency}");
        }
    }
    for room in edges.keys().filter(|room| !BESIDE.contains(&room.as_str())) {
        assert!(
            rooms.contains(room.as_str()),
            "{room} is a new room: give it a floor in this test and ARCHITECTURE.md"
        );
    }
}

#[test]
fn the_world_has_one_door_for_each_thing() {
    let edges = edges(&metadata());
    let doors: &[(&str, &[&str])] = &[
        ("tauri", &["hearth-window"]),
        ("alloy", &["settlement"]),
        ("alloy-trie", &["settlement"]),
        ("wgpu", &["worker"]),
        ("naga", &["worker"]),
        ("hyper", &["network"]),
        ("hyper-util", &["network"]),
        ("hyper-rustls", &["network"]),
        ("reqwest", &[]),
        ("iroh", &["network"]),
        ("iroh-relay", &["network"]),
        ("noq-proto", &["network"]),
        ("bao-tree", &["network"]),
        ("axum", &["coordinator"]),
        ("ksni", &["agent"]),
        ("zbus", &["agent", "contributor"]),
        ("x11rb", &["contributor"]),
        ("wayland-client", &["contributor"]),
        ("ethers-core", &[]),
        ("ethers-signers", &[]),
    ];
    for (package, rooms) in doors {
        for (room, dependencies) in edges.iter().filter(|(room, _)| !BESIDE.contains(&room.as_str())) {
            if dependencies.contains(*package) {
                assert!(rooms.contains(&room.as_str()), "{room} may not depend on {package}");
            }
        }
    }
}

#[test]
fn the_agent_links_neither_a_web_view_nor_a_graphics_library() {
    let metadata = metadata();
    let linked = closure(&metadata, "agent");
    for package in ["tauri", "wry", "webkit2gtk", "gtk", "wgpu", "wgpu-hal", "naga"] {
        assert!(!linked.contains(package), "hearth would link {package}");
    }
    let contributor = closure(&metadata, "contributor");
    for package in ["wallet", "settlement", "alloy", "k256"] {
        assert!(
            !contributor.contains(package),
            "a bug in job handling could spend: contributor reaches {package}"
        );
    }
}

/// Rust sources below `folder`.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).expect("a source folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The file without its test module and without comments.
fn production_code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).expect("a source file");
    let end = text.find("#[cfg(test)]").unwrap_or(text.len());
    text[..end].lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

const IMPURE: &[&str] = &[
    ".await",
    "async fn",
    "std::fs",
    "std::net",
    "std::process",
    "std::env::var",
    "SystemTime::now",
    "Instant::now",
    "Zoned::now",
    "Timestamp::now",
    "thread::sleep",
    "tokio::",
];

#[test]
fn pure_files_decide_from_their_arguments_alone() {
    let root = root();
    let mut pure: Vec<PathBuf> = [
        "contributor/src/policy.rs",
        "contributor/src/policy/checks.rs",
        "contributor/src/policy/rules.rs",
        "contributor/src/thermostat.rs",
        "contributor/src/schedule.rs",
        "contributor/src/status.rs",
        "contributor/src/privacy.rs",
        "contributor/src/privacy/export.rs",
        "contributor/src/privacy/message.rs",
        "contributor/src/earnings.rs",
        "wallet/src/claim.rs",
        "wallet/src/withdrawal.rs",
        "coordinator/src/delivery.rs",
        "coordinator/src/dispatch.rs",
        "coordinator/src/audit.rs",
        "coordinator/src/credit.rs",
        "coordinator/src/epoch.rs",
        "agent/src/notification.rs",
        "agent/src/tray.rs",
        "network/src/scavenger/delay.rs",
        "network/src/scavenger/ledbat.rs",
        "settlement/src/merkle.rs",
        "settlement/src/amount.rs",
    ]
    .iter()
    .map(|file| root.join("crates").join(file))
    .collect();
    pure.extend(sources(&root.join("crates/protocol/src")));
    for file in pure {
        let code = production_code(&file);
        for word in IMPURE {
            assert!(!code.contains(word), "{} is pure and may not say `{word}`", file.display());
        }
    }
}

#[test]
fn only_network_opens_an_internet_socket() {
    let root = root();
    let sockets = ["TcpStream", "UdpSocket", "TcpSocket", "TcpListener", "ToSocketAddrs", "lookup_host"];
    for room in
        ["agent", "contributor", "jobs", "sandbox", "settlement", "wallet", "words", "worker", "protocol"]
    {
        for file in sources(&root.join("crates").join(room).join("src")) {
            // The worker's self-test tries to open a socket, to show that it cannot.
            if file.ends_with("worker/src/self_test.rs") {
                continue;
            }
            let code = production_code(&file);
            for socket in sockets {
                assert!(!code.contains(socket), "{} may not say `{socket}`", file.display());
            }
        }
    }
    for file in sources(&root.join("src-tauri/src")) {
        let code = production_code(&file);
        for socket in sockets {
            assert!(!code.contains(socket), "{} may not say `{socket}`", file.display());
        }
    }
}

#[test]
fn the_page_reaches_the_program_through_one_file() {
    let mut open = vec![root().join("ui/src")];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).expect("ui/src").flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let door = path.ends_with("lib/backend/tauri.ts");
            assert!(door || !text.contains("@tauri-apps/"), "{} imports Tauri", path.display());
        }
    }
}

#[test]
fn no_committed_file_is_a_placeholder() {
    let root = root();
    for folder in ["crates", "src-tauri", "tests"] {
        for file in sources(&root.join(folder)) {
            if !file.components().any(|c| c.as_os_str() == "src") {
                continue;
            }
            let code = production_code(&file);
            for word in ["todo!(", "unimplemented!(", "placeholder"] {
                assert!(!code.contains(word), "{} says `{word}`", file.display());
            }
        }
    }
}
