//! What a worker can reach from inside, and that it ends with its parent. Linux only: there the walls stand.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{drivers, say, software, worker_path};
use protocol::frames::Wall;
use sandbox::{Spawn, Worker};

/// Set where this test program plays the parent that is to be killed.
const ROLE: &str = "HEARTH_TEST_PARENT";

/// What a program in the worker tries, each of which must be forbidden: `self_test.rs` and `self_test/linux.rs` of the
/// worker say how.
const ATTEMPTS: [&str; 53] = [
    "read_file",
    "write_file",
    "write_tmp",
    "list_root",
    "tcp",
    "udp",
    "process",
    "parent_environment",
    "parent_memory",
    "parent_descriptors",
    "list_processes",
    "list_devices",
    "kernel_settings",
    "network_addresses",
    "memory_file_exec",
    "foreign_requests",
    "type_into_terminal",
    "fork",
    "vfork",
    "kill_parent",
    "signal_parent_thread",
    "kill_own_group",
    "parent_handle",
    "trace_parent",
    "trace_me",
    "read_parent",
    "write_parent",
    "limits_of_parent",
    "own_limits",
    "outlive_parent",
    "allow_tracing",
    "signals_from_files",
    "io_uring",
    "userfaultfd",
    "bpf",
    "perf",
    "keys",
    "mount",
    "new_namespaces",
    "enter_namespaces",
    "shared_memory",
    "change_mode",
    "watch_files",
    "change_filter",
    "socket_unix",
    "socket_inet",
    "socket_inet6",
    "socket_netlink",
    "socket_packet",
    "socket_vsock",
    "socket_bluetooth",
    "socket_alg",
    "socket_pair",
];

#[tokio::test]
async fn files_sockets_and_processes_are_out_of_reach_from_inside() {
    for (driver, spawn) in drivers().await.iter() {
        try_the_walls(driver, Some(spawn));
    }
    // Also without any driver, as programs are inspected.
    try_the_walls("none", None);
}

fn try_the_walls(driver: &str, spawn: Option<&Spawn>) {
    let home = tempfile::tempdir().expect("a temporary folder");
    let secret = home.path().join("letter.txt");
    std::fs::write(&secret, "private").expect("write a file");
    let mut command = Command::new(worker_path());
    command.arg("--self-test-confinement").arg(&secret).env_clear().env("HOME", home.path());
    match spawn {
        Some(spawn) => command.envs(spawn.env.iter().map(|(name, value)| (name, value))),
        None => command.env("VK_ICD_FILENAMES", "/nonexistent/driver.json"),
    };
    let output = command.output().expect("the worker runs");
    assert!(output.status.success(), "{driver}: {}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one line of JSON");
    assert_eq!(report["device"], spawn.is_some(), "the walls are tried around an open device: {report}");
    for thread in ["main", "early_thread"] {
        let attempts = report[thread].as_object().expect("an object of attempts");
        for attempt in ATTEMPTS {
            assert_eq!(
                attempts.get(attempt),
                Some(&true.into()),
                "{driver}: {attempt} on {thread}: {report}"
            );
        }
        assert_eq!(attempts.len(), ATTEMPTS.len(), "{driver}: every attempt is named here: {report}");
    }
    assert_eq!(report["thread_starts"], true, "{driver}: drivers need threads: {report}");
    let left: Vec<_> =
        std::fs::read_dir(home.path()).expect("list").flatten().map(|e| e.file_name()).collect();
    assert_eq!(left, ["letter.txt"], "{driver}: nothing was written beside the letter");
}

#[tokio::test]
async fn the_worker_reports_the_walls_that_stand() {
    let Some(spawn) = software().await else { return };
    let (worker, ready) = Worker::spawn(&spawn).await.expect("the worker starts");
    let walls = ready.confinement;
    for (name, wall) in [
        ("network", walls.network),
        ("processes", walls.processes),
        ("memory", walls.memory),
        ("parent", walls.parent),
    ] {
        assert_eq!(wall, Wall::Full, "{name}");
    }
    // A kernel without Landlock (before 6.7, or switched off) is reported, not hidden.
    let landlock =
        std::fs::read_to_string("/sys/kernel/security/lsm").is_ok_and(|list| list.contains("landlock"));
    if landlock {
        assert_eq!(walls.files, Wall::Full);
    }
    worker.kill().await;
}

#[tokio::test]
async fn no_descriptor_of_the_parent_is_inherited() {
    let Some(spawn) = software().await else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("open-in-the-parent");
    // Not close-on-exec, as a careless library would open it.
    let file = rustix::fs::open(&path, rustix::fs::OFlags::CREATE | rustix::fs::OFlags::RDWR, 0o600.into())
        .expect("open a file");
    let (worker, _) = Worker::spawn(&spawn).await.expect("the worker starts");
    let Ok(descriptors) = std::fs::read_dir(format!("/proc/{}/fd", worker.pid())) else {
        say("left out: only root may list the descriptors of a process that forbids tracing");
        return;
    };
    for entry in descriptors.flatten() {
        let target = std::fs::read_link(entry.path()).unwrap_or_default();
        assert_ne!(target, path, "the worker holds a descriptor of its parent");
    }
    drop(file);
    worker.kill().await;
}

#[tokio::test]
async fn a_worker_ends_with_its_parent() {
    let Some(spawn) = software().await else { return };
    if std::env::var_os(ROLE).is_some() {
        let (worker, _) = Worker::spawn(&spawn).await.expect("the worker starts");
        say(&format!("worker {}", worker.pid()));
        // Until it is killed.
        std::future::pending::<()>().await;
    }
    let mut parent = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "walls::a_worker_ends_with_its_parent", "--nocapture"])
        .env(ROLE, "1")
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program starts again");
    let lines = BufReader::new(parent.stdout.take().expect("a pipe")).lines();
    let pid: u32 = lines
        .map_while(Result::ok)
        .find_map(|line| line.split_once("worker ")?.1.parse().ok())
        .expect("the parent names its worker");
    assert!(is_alive(pid), "the worker runs");
    parent.kill().expect("kill the parent");
    parent.wait().expect("reap the parent");
    let until = Instant::now() + Duration::from_secs(5);
    while is_alive(pid) {
        assert!(Instant::now() < until, "worker {pid} outlives its parent");
        std::thread::yield_now();
    }
}

/// Whether a process runs; one that has ended and waits to be reaped by the system does not.
fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X'])))
}
