//! What a worker can reach from inside, and that it ends with its parent. Linux only: there the walls stand.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{driver, say, software, worker_path};
use protocol::frames::Wall;
use sandbox::Worker;

/// Set where this test program plays the parent that is to be killed.
const ROLE: &str = "HEARTH_TEST_PARENT";

#[test]
fn files_sockets_and_processes_are_out_of_reach_from_inside() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let secret = home.path().join("letter.txt");
    std::fs::write(&secret, "private").expect("write a file");
    let mut command = Command::new(worker_path());
    command.arg("--self-test-confinement").arg(&secret).env_clear().env("HOME", home.path());
    if let Some(spawn) = driver() {
        command.envs(spawn.env);
    }
    let output = command.output().expect("the worker runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one line of JSON");
    for thread in ["main", "early_thread"] {
        let attempts = report[thread].as_object().expect("an object of attempts");
        assert!(attempts.len() >= 8, "every wall is tried: {report}");
        for (attempt, refused) in attempts {
            assert_eq!(refused, true, "{attempt} on {thread} must be refused: {report}");
        }
    }
    assert_eq!(report["thread_starts"], true, "drivers need threads: {report}");
    let left: Vec<_> =
        std::fs::read_dir(home.path()).expect("list").flatten().map(|e| e.file_name()).collect();
    assert_eq!(left, ["letter.txt"], "nothing was written beside the letter");
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
