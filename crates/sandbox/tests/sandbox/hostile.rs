//! A worker that lies: whatever it says out of turn, of the wrong size, or not at all ends with its death.
//!
//! The liars are shell scripts that take the parent's frames by their length and answer with prepared bytes.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::common::{mixer, mixer_run};
use protocol::frames::{Adapter, Checkpoint, Confinement, Pace, Reply, Request, Wall, write_frame};
use protocol::id::SliceId;
use sandbox::{DeathReason, LoadError, Overdue, Spawn, SpawnError, Violation, Worker, WorkerEvent};

/// One at a time: a script that is still open for writing in another thread's fork cannot be started.
static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

struct Liar {
    folder: tempfile::TempDir,
    script: String,
    files: usize,
}

impl Liar {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self { folder, script: "#!/bin/sh\n".to_owned(), files: 0 }
    }

    /// Takes the frame of `request`.
    fn hears(mut self, request: &Request) -> Self {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, request).expect("memory takes everything");
        writeln!(self.script, "head -c {} >/dev/null", bytes.len()).expect("memory takes everything");
        self
    }

    fn says(self, reply: &Reply) -> Self {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, reply).expect("memory takes everything");
        self.says_bytes(&bytes)
    }

    fn says_bytes(mut self, bytes: &[u8]) -> Self {
        let path = self.folder.path().join(format!("{}.frame", self.files));
        self.files += 1;
        std::fs::write(&path, bytes).expect("write a frame");
        writeln!(self.script, "cat {}", path.display()).expect("memory takes everything");
        self
    }

    fn does(mut self, command: &str) -> Self {
        writeln!(self.script, "{command}").expect("memory takes everything");
        self
    }

    /// A liar that is ready.
    fn ready() -> Self {
        Self::new().hears(&open()).says(&ready())
    }

    /// A liar that has loaded the mixer.
    fn loaded() -> Self {
        let (program, sources) = mixer();
        Self::ready().hears(&Request::Load { program: Box::new(program), sources }).says(&Reply::Loaded)
    }

    /// A liar that was given the mixer's slice 1.
    fn running() -> Self {
        let run = mixer_run(1, Pace::AWAY);
        Self::loaded().hears(&Request::Run {
            slice: run.slice,
            inputs: run.inputs.into_iter().map(serde_bytes::ByteBuf::from).collect(),
            params: run.params,
            resume_from: None,
            pace: run.pace,
        })
    }

    /// Writes the script; it stays silent after its last word.
    fn spawn(self) -> (tempfile::TempDir, Spawn) {
        let (text, path) = (self.folder.path().join("worker.text"), self.folder.path().join("worker.sh"));
        std::fs::write(&text, format!("{}exec sleep 1000\n", self.script)).expect("write the script");
        // Another process writes what is started. While this one had it open for writing, a test beside it could fork, and the
        // child would hold it open: "Text file busy".
        let copied = std::process::Command::new("cp").arg(&text).arg(&path).status().expect("cp starts");
        assert!(copied.success(), "copy the script");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).expect("make it executable");
        (self.folder, spawn_of(&path))
    }
}

fn spawn_of(path: &Path) -> Spawn {
    let mut spawn = Spawn::new(path.to_owned());
    spawn.env = vec![("PATH".into(), "/usr/bin:/bin".into())];
    spawn
}

fn open() -> Request {
    let spawn = spawn_of(Path::new("/"));
    Request::Open {
        adapter: spawn.adapter,
        allow_software: spawn.allow_software,
        memory_bytes: spawn.memory_bytes,
    }
}

fn ready() -> Reply {
    Reply::Ready {
        adapter: Adapter {
            name: "Liar".to_owned(),
            backend: "vulkan".to_owned(),
            driver: String::new(),
            vendor_id: 0,
            device_id: 0,
            software: true,
            max_binding_bytes: 0,
            features: Vec::new(),
            memory_bytes: None,
        },
        confinement: Confinement {
            files: Wall::None,
            network: Wall::None,
            processes: Wall::None,
            memory: Wall::None,
            parent: Wall::None,
        },
    }
}

async fn started(spawn: &Spawn) -> Worker {
    Worker::spawn(spawn).await.expect("the liar says ready").0
}

async fn loaded(spawn: &Spawn) -> Worker {
    let mut worker = started(spawn).await;
    let (program, sources) = mixer();
    worker.load(&program, &sources, crate::common::LOAD_WITHIN).await.expect("the liar says loaded");
    worker
}

async fn running(spawn: &Spawn) -> Worker {
    let mut worker = loaded(spawn).await;
    worker.run(mixer_run(1, Pace::AWAY)).expect("the liar is loaded");
    worker
}

/// The violation for which the worker died; no other event may come before.
async fn violation(worker: &mut Worker) -> Violation {
    #[cfg(target_os = "linux")]
    let pid = worker.pid();
    match worker.next_event().await {
        WorkerEvent::Died(death) => {
            #[cfg(target_os = "linux")]
            assert!(!crate::common::exists(pid), "it is killed and reaped before its death is told");
            match death.reason {
                DeathReason::Violation(violation) => violation,
                reason => panic!("unexpected: {reason}"),
            }
        }
        event => panic!("unexpected: {event:?}"),
    }
}

#[tokio::test]
async fn garbage_instead_of_ready_is_not_believed() {
    let _one = ONE.lock().await;
    for bytes in [b"\x05\0\0\0hello".as_slice(), b"\xff\xff\xff\xffxxxxxxxx"] {
        let (_folder, spawn) = Liar::new().hears(&open()).says_bytes(bytes).spawn();
        match Worker::spawn(&spawn).await {
            Err(SpawnError::Died(death)) => {
                assert!(matches!(death.reason, DeathReason::Violation(Violation::Malformed(_))), "{death:?}");
            }
            outcome => panic!("unexpected: {outcome:?}"),
        }
    }
}

#[tokio::test]
async fn a_worker_that_never_gets_ready_is_killed_at_the_deadline() {
    let _one = ONE.lock().await;
    let (_folder, mut spawn) = Liar::new().spawn();
    spawn.within = Duration::from_millis(300);
    let began = Instant::now();
    match Worker::spawn(&spawn).await {
        Err(SpawnError::Died(death)) => assert_eq!(death.reason, DeathReason::Overdue(Overdue::Ready)),
        outcome => panic!("unexpected: {outcome:?}"),
    }
    assert!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());
}

#[tokio::test]
async fn a_program_that_does_not_start_is_an_error_with_its_path() {
    let error =
        Worker::spawn(&spawn_of(Path::new("/nonexistent/worker"))).await.expect_err("nothing is there");
    assert!(
        matches!(&error, SpawnError::Start { .. }) && error.to_string().contains("/nonexistent"),
        "{error}"
    );
}

#[tokio::test]
async fn the_last_words_on_stderr_are_kept_and_bounded() {
    let _one = ONE.lock().await;
    let script = "head -c 100000 /dev/zero | tr '\\0' x >&2; echo the end >&2; exit 7";
    let (_folder, spawn) = Liar::new().hears(&open()).does(script).spawn();
    match Worker::spawn(&spawn).await {
        Err(SpawnError::Died(death)) => {
            assert_eq!(death.reason, DeathReason::Exited { code: Some(7), signal: None });
            assert!(death.stderr.ends_with("xthe end\n"), "the end is kept");
            assert!(death.stderr.len() <= 8 * 1024, "{} bytes are kept", death.stderr.len());
        }
        outcome => panic!("unexpected: {outcome:?}"),
    }
}

#[tokio::test]
async fn answers_that_nobody_asked_for_end_the_worker() {
    let _one = ONE.lock().await;
    let slice = SliceId([1; 32]);
    let done = Reply::Done {
        slice,
        output: serde_bytes::ByteBuf::new(),
        device_micros: 0,
        upload_micros: 0,
        download_micros: 0,
        pieces: 0,
    };
    for reply in [Reply::Loaded, ready(), Reply::Yielded { micros: 0 }, done] {
        let (_folder, spawn) = Liar::ready().says(&reply).spawn();
        let mut worker = started(&spawn).await;
        let violation = violation(&mut worker).await;
        let expected = matches!(violation, Violation::OutOfOrder { .. } | Violation::WrongSize { .. });
        assert!(expected, "{reply:?} gave {violation}");
    }
}

#[tokio::test]
async fn a_result_of_another_slice_or_size_is_not_believed() {
    let _one = ONE.lock().await;
    let (program, _) = mixer();
    let size = usize::try_from(program.output_bytes()).expect("small");
    let done = |slice: u8, bytes: usize| Reply::Done {
        slice: SliceId([slice; 32]),
        output: serde_bytes::ByteBuf::from(vec![0; bytes]),
        device_micros: 1,
        upload_micros: 1,
        download_micros: 1,
        pieces: 1,
    };
    for (reply, expected) in [
        (done(2, size), Violation::WrongSlice),
        (done(1, size - 1), Violation::WrongSize { what: "result" }),
        (done(1, size + 1), Violation::WrongSize { what: "result" }),
        (done(1, 0), Violation::WrongSize { what: "result" }),
    ] {
        let (_folder, spawn) = Liar::running().says(&reply).spawn();
        assert_eq!(violation(&mut running(&spawn).await).await, expected);
    }
}

#[tokio::test]
async fn a_frame_larger_than_the_program_allows_is_not_read() {
    let _one = ONE.lock().await;
    let huge = Reply::Done {
        slice: SliceId([1; 32]),
        output: serde_bytes::ByteBuf::from(vec![0; 64 << 20]),
        device_micros: 1,
        upload_micros: 1,
        download_micros: 1,
        pieces: 1,
    };
    let (_folder, spawn) = Liar::running().says(&huge).spawn();
    assert!(matches!(violation(&mut running(&spawn).await).await, Violation::Malformed(_)));
}

#[tokio::test]
async fn a_checkpoint_with_the_wrong_buffers_or_place_is_not_believed() {
    let _one = ONE.lock().await;
    let (program, _) = mixer();
    let size = program.buffers[2].bytes as usize;
    let checkpoint = |repeat, sizes: &[usize]| Reply::Checkpoint {
        slice: SliceId([1; 32]),
        checkpoint: Checkpoint {
            stage: 0,
            repeat,
            group: 0,
            state: sizes.iter().map(|&bytes| serde_bytes::ByteBuf::from(vec![0; bytes])).collect(),
        },
    };
    for reply in [
        checkpoint(0, &[size]),
        checkpoint(0, &[size, size - 4]),
        checkpoint(crate::common::MIXER_REPEAT, &[size, size]),
    ] {
        let suspend = Request::Suspend { release: true };
        let (_folder, spawn) =
            Liar::running().hears(&suspend).says(&Reply::Yielded { micros: 5 }).says(&reply).spawn();
        let mut worker = running(&spawn).await;
        worker.suspend(true, Duration::from_secs(5));
        assert!(matches!(worker.next_event().await, WorkerEvent::Yielded { .. }));
        assert_eq!(violation(&mut worker).await, Violation::WrongSize { what: "checkpoint" });
    }
}

#[tokio::test]
async fn a_worker_that_ignores_a_suspend_is_killed_at_the_deadline() {
    let _one = ONE.lock().await;
    let (_folder, spawn) = Liar::running().spawn();
    let mut worker = running(&spawn).await;
    let began = Instant::now();
    worker.suspend(false, Duration::from_millis(250));
    match worker.next_event().await {
        WorkerEvent::Died(death) => assert_eq!(death.reason, DeathReason::Overdue(Overdue::Yielded)),
        event => panic!("unexpected: {event:?}"),
    }
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(250), "it is given its time, died after {took:?}");
    assert!(took < Duration::from_secs(2), "DESIGN.md §1 promises the kill within 2 s, it took {took:?}");
}

#[tokio::test]
async fn a_worker_that_yields_but_keeps_its_memory_is_killed() {
    let _one = ONE.lock().await;
    let suspend = Request::Suspend { release: true };
    let (_folder, spawn) = Liar::running().hears(&suspend).says(&Reply::Yielded { micros: 5 }).spawn();
    let mut worker = running(&spawn).await;
    worker.suspend(true, Duration::from_secs(5));
    assert!(matches!(worker.next_event().await, WorkerEvent::Yielded { .. }));
    match worker.next_event().await {
        WorkerEvent::Died(death) => assert_eq!(death.reason, DeathReason::Overdue(Overdue::Checkpoint)),
        event => panic!("unexpected: {event:?}"),
    }
}

#[tokio::test]
async fn a_worker_that_never_loads_is_killed_at_the_deadline() {
    let _one = ONE.lock().await;
    let (_folder, spawn) = Liar::ready().spawn();
    let mut worker = started(&spawn).await;
    let (program, sources) = mixer();
    match worker.load(&program, &sources, Duration::from_millis(300)).await {
        Err(LoadError::Died(death)) => assert_eq!(death.reason, DeathReason::Overdue(Overdue::Loaded)),
        outcome => panic!("unexpected: {outcome:?}"),
    }
}

#[tokio::test]
async fn a_flood_of_frames_ends_the_worker() {
    let _one = ONE.lock().await;
    let mut bytes = Vec::new();
    let progress = Reply::Progress { slice: SliceId([1; 32]), permille: 1 };
    write_frame(&mut bytes, &progress).expect("memory takes everything");
    let (_folder, spawn) = Liar::running().says_bytes(&bytes.repeat(5_000)).spawn();
    let mut worker = running(&spawn).await;
    loop {
        match worker.next_event().await {
            WorkerEvent::Progress { .. } => {}
            WorkerEvent::Died(death) => {
                assert_eq!(death.reason, DeathReason::Violation(Violation::Flood));
                break;
            }
            event => panic!("unexpected: {event:?}"),
        }
    }
}

#[tokio::test]
async fn dropping_the_handle_kills_the_process() {
    let _one = ONE.lock().await;
    let (_folder, spawn) = Liar::ready().spawn();
    let worker = started(&spawn).await;
    #[cfg(target_os = "linux")]
    let pid = worker.pid();
    drop(worker);
    #[cfg(target_os = "linux")]
    {
        let until = Instant::now() + Duration::from_secs(5);
        while crate::common::exists(pid) {
            assert!(Instant::now() < until, "process {pid} outlives its handle");
            tokio::task::yield_now().await;
        }
    }
}
