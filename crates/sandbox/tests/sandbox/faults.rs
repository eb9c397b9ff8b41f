//! Drivers that fail: lost devices, crashes, hangs, refused memory, wrong results. Each ends in a typed error or in the
//! end of the process, nothing stays behind, and the work goes on from its last checkpoint.
//!
//! The faulty driver (`tests/faulty-driver`) stands in front of lavapipe and fails where its script says.

use std::ops::Deref;
use std::path::Path;
use std::time::{Duration, Instant};

use protocol::frames::{Checkpoint, FaultCode, Pace};
use protocol::manifest::Role;
use sandbox::{Death, DeathReason, LoadError, Overdue, Run, Spawn, SpawnError, Worker, WorkerEvent};
use tempfile::TempDir;

use crate::common::{
    LOAD_WITHIN, SLOW, Software, buffer, exists, mixer, mixer_expected, mixer_run, mixer_worker,
    next_of_note, output, say, software, worker_path,
};

/// Many small pieces: a fault at one of the first lies in the middle of the slice.
const SMALL_PIECES: Pace = Pace { piece_micros: 100, longest_micros: 100, in_flight: 2, duty_percent: 100 };
/// A number of submissions that a device sees only in the middle of a slice: compiling and filling take fewer.
const MIDDLE: u32 = 20;

/// A worker on the faulty driver, for one test at a time.
struct Faulty {
    honest: Software,
    spawn: Spawn,
    // Holds the driver's description while workers are started.
    _folder: TempDir,
}

impl Deref for Faulty {
    type Target = Spawn;
    fn deref(&self) -> &Spawn {
        &self.spawn
    }
}

/// A worker whose driver fails as `script` says (see the faulty driver); `None` where lavapipe is not installed.
async fn faulty(script: &str) -> Option<Faulty> {
    const ICD: &str = "VK_ICD_FILENAMES";
    let honest = software().await?;
    let description = honest.env.iter().find(|(name, _)| name == ICD).map(|(_, path)| path);
    let description = std::fs::read(description.expect("tests name their driver")).expect("read lavapipe's");
    let description: serde_json::Value = serde_json::from_slice(&description).expect("it is JSON");
    let real = description["ICD"]["library_path"].as_str().expect("it names a library").to_owned();

    // The worker may read the folder of the description, so the library is copied there.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let built = worker_path().with_file_name("libfaulty_driver.so");
    std::fs::copy(&built, folder.path().join("libfaulty_driver.so"))
        .expect("the faulty driver is built before these tests run: cargo build --package faulty-driver");
    let path = folder.path().join("faulty_icd.json");
    let faulty = serde_json::json!({
        "file_format_version": "1.0.0",
        "ICD": { "library_path": "./libfaulty_driver.so", "api_version": description["ICD"]["api_version"] },
    });
    std::fs::write(&path, faulty.to_string()).expect("write a description");

    let mut spawn = honest.clone();
    spawn.env.retain(|(name, _)| name != ICD);
    spawn.env.extend([
        (ICD.into(), path.into()),
        ("HEARTH_FAULTY_DRIVER".into(), real.into()),
        ("HEARTH_FAULT".into(), script.into()),
    ]);
    Some(Faulty { honest, spawn, _folder: folder })
}

/// A worker that has computed up to a checkpoint and gone on from there.
async fn past_a_checkpoint(spawn: &Spawn) -> (Worker, Checkpoint) {
    let mut worker = mixer_worker(spawn).await;
    worker.run(mixer_run(1, SLOW)).expect("a loaded worker runs");
    assert!(matches!(worker.next_event().await, WorkerEvent::Progress { .. }), "the slice is under way");
    worker.suspend(true, Duration::from_secs(2));
    assert!(matches!(next_of_note(&mut worker).await, WorkerEvent::Yielded { .. }));
    let WorkerEvent::Checkpoint { checkpoint, .. } = next_of_note(&mut worker).await else {
        panic!("a release sends the state")
    };
    assert!((checkpoint.stage, checkpoint.repeat, checkpoint.group) > (0, 0, 0), "something is done");
    worker.resume(SMALL_PIECES);
    (worker, checkpoint)
}

/// The end of a worker, of which nothing may be left.
async fn death(worker: &mut Worker) -> Death {
    let pid = worker.pid();
    match next_of_note(worker).await {
        WorkerEvent::Died(death) => {
            assert!(!exists(pid), "the process is reaped and with it its memory is gone");
            assert_eq!(children_named_worker(), Vec::<String>::new(), "it leaves no process behind");
            death
        }
        event => panic!("the worker must die, but: {event:?}"),
    }
}

/// Processes of the worker program that this process has started and that are not reaped.
fn children_named_worker() -> Vec<String> {
    let own = std::process::id().to_string();
    let processes = std::fs::read_dir("/proc").expect("list processes").flatten();
    let stats = processes.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    stats
        .filter(|stat| {
            stat.contains("(worker)")
                && stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)) == Some(own.as_str())
        })
        .collect()
}

/// Goes on from `checkpoint` in a new process with an honest driver.
async fn goes_on(honest: &Spawn, checkpoint: Option<Checkpoint>) {
    let mut next = mixer_worker(honest).await;
    next.run(Run { resume_from: checkpoint, ..mixer_run(1, Pace::AWAY) }).expect("a loaded worker runs");
    assert!(output(&mut next).await == mixer_expected(), "nothing is lost and nothing is done twice");
    next.kill().await;
}

/// The loss of a device in the middle of a slice must be told.
async fn loss(worker: &mut Worker) {
    match next_of_note(worker).await {
        WorkerEvent::Failed { fault, .. } => {
            assert_eq!(fault.code, FaultCode::DeviceLost, "{}", fault.detail);
        }
        event => panic!("the loss must be told, but: {event:?}"),
    }
}

#[tokio::test]
async fn a_lost_device_is_reported_and_the_same_process_goes_on_from_the_checkpoint() {
    let Some(faulty) = faulty(&format!("lost@2.{MIDDLE}")).await else { return };
    let (mut worker, checkpoint) = past_a_checkpoint(&faulty).await;
    loss(&mut worker).await;
    worker
        .run(Run { resume_from: Some(checkpoint), ..mixer_run(1, Pace::AWAY) })
        .expect("the program is still loaded");
    assert!(output(&mut worker).await == mixer_expected(), "nothing is lost and nothing is done twice");
}

#[tokio::test]
async fn a_device_that_is_lost_while_it_is_waited_for_is_reported_before_the_process_ends() {
    let Some(faulty) = faulty(&format!("lost-waiting@2.{MIDDLE}")).await else { return };
    let (mut worker, checkpoint) = past_a_checkpoint(&faulty).await;
    loss(&mut worker).await;
    // The graphics library panics over it, so the process ends; that it does is no fault of the work.
    assert_eq!(death(&mut worker).await.reason, DeathReason::Exited { code: Some(101), signal: None });
    goes_on(&faulty.honest, Some(checkpoint)).await;
}

#[tokio::test]
async fn a_driver_that_gives_no_device_after_a_release_is_reported_before_the_process_ends() {
    let Some(faulty) = faulty("memory@2.1").await else { return };
    let (mut worker, checkpoint) = past_a_checkpoint(&faulty).await;
    loss(&mut worker).await;
    assert_eq!(death(&mut worker).await.reason, DeathReason::Exited { code: Some(4), signal: None });
    goes_on(&faulty.honest, Some(checkpoint)).await;
}

#[tokio::test]
async fn a_device_that_is_lost_while_a_program_loads_is_reported_and_the_next_load_works() {
    let (program, sources) = mixer();
    let refused = |outcome| match outcome {
        Err(LoadError::Refused(fault)) => assert_eq!(fault.code, FaultCode::DeviceLost, "{}", fault.detail),
        outcome => panic!("the loss must be told, but: {outcome:?}"),
    };
    if let Some(faulty) = faulty("lost-waiting@1.1").await {
        let (mut worker, _) = Worker::spawn(&faulty).await.expect("the worker starts");
        refused(worker.load(&program, &sources, LOAD_WITHIN).await);
        assert_eq!(death(&mut worker).await.reason, DeathReason::Exited { code: Some(101), signal: None });
    }
    let Some(faulty) = faulty("lost@1.1").await else { return };
    let (mut worker, _) = Worker::spawn(&faulty).await.expect("the worker starts");
    refused(worker.load(&program, &sources, LOAD_WITHIN).await);
    worker.load(&program, &sources, LOAD_WITHIN).await.expect("a new device takes the program");
    worker.run(mixer_run(1, Pace::AWAY)).expect("a loaded worker runs");
    assert!(output(&mut worker).await == mixer_expected());
}

#[tokio::test]
async fn a_driver_that_crashes_takes_only_its_process_and_the_slice_goes_on_from_its_checkpoint() {
    let Some(faulty) = faulty(&format!("crash@2.{MIDDLE}")).await else { return };
    let (mut worker, checkpoint) = past_a_checkpoint(&faulty).await;
    let segmentation_fault = DeathReason::Exited { code: None, signal: Some(11) };
    assert_eq!(death(&mut worker).await.reason, segmentation_fault);
    goes_on(&faulty.honest, Some(checkpoint)).await;
}

#[tokio::test]
async fn a_driver_that_hangs_is_killed_when_the_owner_comes_back() {
    let Some(faulty) = faulty(&format!("hang@1.{MIDDLE}")).await else { return };
    let mut worker = mixer_worker(&faulty).await;
    worker.run(mixer_run(1, SMALL_PIECES)).expect("a loaded worker runs");
    until_idle(&worker).await;
    let began = Instant::now();
    worker.suspend(true, Duration::from_millis(250));
    assert_eq!(death(&mut worker).await.reason, DeathReason::Overdue(Overdue::Yielded));
    let took = began.elapsed();
    assert!(took < Duration::from_secs(2), "DESIGN.md §1 promises the kill within 2 s, it took {took:?}");
    goes_on(&faulty.honest, None).await;
}

#[tokio::test]
async fn a_driver_that_hangs_is_killed_at_the_limit_of_the_slice() {
    let Some(faulty) = faulty(&format!("hang@1.{MIDDLE}")).await else { return };
    let mut worker = mixer_worker(&faulty).await;
    let limit = Duration::from_secs(2);
    let began = Instant::now();
    worker.run(Run { limit, ..mixer_run(1, SMALL_PIECES) }).expect("a loaded worker runs");
    assert_eq!(death(&mut worker).await.reason, DeathReason::Overdue(Overdue::Slice));
    let took = began.elapsed();
    assert!(took >= limit && took < limit + Duration::from_secs(2), "the limit holds, it took {took:?}");
}

#[tokio::test]
async fn a_driver_that_hangs_while_a_program_loads_is_killed_at_the_limit_of_the_load() {
    let Some(faulty) = faulty("hang@1.1").await else { return };
    let (mut worker, _) = Worker::spawn(&faulty).await.expect("the worker starts");
    let pid = worker.pid();
    let (program, sources) = mixer();
    match worker.load(&program, &sources, Duration::from_secs(3)).await {
        Err(LoadError::Died(death)) => assert_eq!(death.reason, DeathReason::Overdue(Overdue::Loaded)),
        outcome => panic!("unexpected: {outcome:?}"),
    }
    assert!(!exists(pid), "the process is reaped");
}

#[tokio::test]
async fn refused_memory_is_told_as_such_wherever_it_happens_and_the_process_goes_on() {
    let (mut program, sources) = mixer();
    // Too large to share an allocation with others; the input is also staged while the slice begins.
    program.buffers.extend([Role::State, Role::Input].map(|role| buffer("large", role, 32 << 20)));
    program.cost.memory_bytes = program.slice_bytes();
    let run = |slice| {
        let mut run = mixer_run(slice, Pace::AWAY);
        run.inputs.push(vec![0; 32 << 20]);
        run
    };
    let (mut while_loading, mut while_running) = (0, 0);
    // Each allocation is refused once, until there is none left to refuse.
    for number in 1.. {
        let Some(faulty) = faulty(&format!("memory@1.{number}")).await else { return };
        let mut worker = match Worker::spawn(&faulty).await {
            Ok((worker, _)) => worker,
            // To open a device takes memory too.
            Err(SpawnError::Refused(fault)) => {
                assert_eq!(fault.code, FaultCode::DeviceLost, "allocation {number}: {}", fault.detail);
                continue;
            }
            Err(error) => panic!("allocation {number}: {error:?}"),
        };
        let fault = match worker.load(&program, &sources, LOAD_WITHIN).await {
            Err(LoadError::Refused(fault)) => {
                while_loading += 1;
                fault
            }
            Ok(()) => {
                worker.run(run(1)).expect("a loaded worker runs");
                match next_of_note(&mut worker).await {
                    WorkerEvent::Failed { fault, .. } => {
                        while_running += 1;
                        fault
                    }
                    WorkerEvent::Done { output, .. } => {
                        assert!(output == mixer_expected(), "after {number} allocations nothing is refused");
                        break;
                    }
                    event => panic!("allocation {number}: {event:?}"),
                }
            }
            outcome => panic!("allocation {number}: {outcome:?}"),
        };
        assert_eq!(fault.code, FaultCode::OutOfMemory, "allocation {number}: {}", fault.detail);
        // The second device of this process has its memory.
        worker.load(&program, &sources, LOAD_WITHIN).await.expect("the program is loaded again");
        worker.run(run(2)).expect("a loaded worker runs");
        assert!(output(&mut worker).await == mixer_expected(), "allocation {number}");
        worker.kill().await;
    }
    say(&format!("refused {while_loading} times while loading, {while_running} times while running"));
    assert!(while_loading >= 2, "the program's large buffers are allocated one by one");
    assert!(while_running >= 1, "the large input is staged when the slice begins");
}

#[tokio::test]
async fn a_driver_that_computes_wrongly_is_not_noticed_here_but_by_comparison() {
    let Some(faulty) = faulty("wrong@1.5").await else { return };
    let mut worker = mixer_worker(&faulty).await;
    worker.run(mixer_run(1, Pace::AWAY)).expect("a loaded worker runs");
    let wrong = output(&mut worker).await;
    assert_eq!(wrong.len(), mixer_expected().len(), "its form is right");
    assert!(wrong != mixer_expected(), "one group of one dispatch is missing");
}

#[tokio::test]
async fn the_faulty_driver_without_a_fault_computes_right() {
    let Some(faulty) = faulty("lost@1000.1").await else { return };
    assert!(faulty.env.iter().any(|(_, path)| Path::new(path).ends_with("faulty_icd.json")));
    let mut worker = mixer_worker(&faulty).await;
    worker.run(mixer_run(1, Pace::AWAY)).expect("a loaded worker runs");
    assert!(
        output(&mut worker).await == mixer_expected(),
        "only its faults make the other tests what they are"
    );
}

/// Waits until the process has used no processor time for a while: its driver hangs.
async fn until_idle(worker: &Worker) {
    let mut used = worker.usage();
    loop {
        // Not synchronisation: the span over which idleness is observed.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = worker.usage();
        if now == used {
            return;
        }
        used = now;
    }
}
