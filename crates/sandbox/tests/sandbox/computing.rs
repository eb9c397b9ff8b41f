//! A slice through the real worker on the software driver: right, suspended, moved to another process, killed.

use std::time::Duration;
#[cfg(target_os = "linux")]
use std::time::Instant;

use crate::common::{
    LOAD_WITHIN, SLOW, mixer, mixer_expected, mixer_run, mixer_worker, next_of_note, output, program,
    software,
};
use protocol::frames::Pace;
use protocol::id::SliceId;
use protocol::manifest::Role;
use sandbox::{CommandError, DeathReason, Run, SliceJob, SpawnError, Worker, WorkerEvent, run_slices};

const SUSPEND_WITHIN: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_slice_gives_what_the_same_arithmetic_gives_on_the_processor() {
    let Some(spawn) = software().await else { return };
    let mut worker = mixer_worker(&spawn).await;
    let expected = mixer_expected();
    for (slice, pace) in [(1, Pace::AWAY), (2, Pace::NEAR)] {
        worker.run(mixer_run(slice, pace)).expect("a loaded worker runs");
        assert!(output(&mut worker).await == expected, "pieces of {pace:?} must not show in the output");
    }
}

#[tokio::test]
async fn suspending_and_resuming_many_times_does_not_show_in_the_output() {
    let Some(spawn) = software().await else { return };
    let mut worker = mixer_worker(&spawn).await;
    worker.run(mixer_run(1, SLOW)).expect("a loaded worker runs");
    let (mut yields, mut result) = (0, None);
    while result.is_none() {
        // Each suspend is sent when the slice has moved on, so they fall into its whole length.
        match worker.next_event().await {
            WorkerEvent::Progress { .. } => worker.suspend(false, SUSPEND_WITHIN),
            WorkerEvent::Yielded { .. } => {
                yields += 1;
                worker.resume(SLOW);
            }
            WorkerEvent::Done { output, .. } => result = Some(output),
            event => panic!("unexpected: {event:?}"),
        }
    }
    assert!(result.as_deref() == Some(mixer_expected()), "after {yields} yields the output must be the same");
    assert!(yields > 0, "a slice of about a second reports progress at least once");
}

#[tokio::test]
async fn a_suspended_worker_uses_no_processor_time() {
    let Some(spawn) = software().await else { return };
    let mut worker = mixer_worker(&spawn).await;
    worker.run(mixer_run(1, SLOW)).expect("a loaded worker runs");
    worker.suspend(false, SUSPEND_WITHIN);
    assert!(matches!(next_of_note(&mut worker).await, WorkerEvent::Yielded { .. }), "a suspend is answered");
    let Some(before) = worker.usage() else { return };
    // Not synchronisation: the span over which idleness is observed.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let used = worker.usage().expect("it is alive") - before;
    assert!(used < Duration::from_millis(5), "idle is observed from outside, but it used {used:?} of 300 ms");
    worker.resume(Pace::AWAY);
    assert!(output(&mut worker).await == mixer_expected());
}

#[tokio::test]
async fn a_released_slice_goes_on_in_the_same_process_after_resume() {
    let Some(spawn) = software().await else { return };
    let mut worker = mixer_worker(&spawn).await;
    worker.run(mixer_run(1, SLOW)).expect("a loaded worker runs");
    assert!(matches!(worker.next_event().await, WorkerEvent::Progress { .. }), "the slice is under way");
    worker.suspend(true, SUSPEND_WITHIN);
    assert!(matches!(next_of_note(&mut worker).await, WorkerEvent::Yielded { .. }));
    assert!(matches!(next_of_note(&mut worker).await, WorkerEvent::Checkpoint { .. }));
    worker.suspend(true, SUSPEND_WITHIN);
    assert!(matches!(next_of_note(&mut worker).await, WorkerEvent::Yielded { .. }));
    let again = next_of_note(&mut worker).await;
    assert!(
        matches!(again, WorkerEvent::Checkpoint { .. }),
        "a second release tells the same state again: {again:?}"
    );
    worker.resume(Pace::AWAY);
    assert!(
        output(&mut worker).await == mixer_expected(),
        "the device was opened again and the state restored"
    );
}

#[tokio::test]
async fn a_checkpoint_goes_on_in_a_new_process() {
    let Some(spawn) = software().await else { return };
    let mut worker = mixer_worker(&spawn).await;
    worker.run(mixer_run(1, SLOW)).expect("a loaded worker runs");
    let WorkerEvent::Progress { permille, .. } = worker.next_event().await else {
        panic!("the slice is under way")
    };
    worker.suspend(true, SUSPEND_WITHIN);
    assert!(matches!(next_of_note(&mut worker).await, WorkerEvent::Yielded { .. }));
    let WorkerEvent::Checkpoint { checkpoint, .. } = next_of_note(&mut worker).await else {
        panic!("a release sends the state")
    };
    let at = (checkpoint.stage, checkpoint.repeat, checkpoint.group);
    assert!(at > (0, 0, 0), "at {permille} thousandths something is done, but the checkpoint says {at:?}");
    assert_eq!(worker.kill().await.reason, DeathReason::Killed);

    let mut second = mixer_worker(&spawn).await;
    second
        .run(Run { resume_from: Some(checkpoint), ..mixer_run(1, Pace::NEAR) })
        .expect("a loaded worker runs");
    assert!(output(&mut second).await == mixer_expected(), "nothing is lost and nothing is done twice");
}

#[tokio::test]
async fn a_suspend_is_answered_while_no_slice_is_computed() {
    let Some(spawn) = software().await else { return };
    let mut worker = mixer_worker(&spawn).await;
    worker.suspend(false, SUSPEND_WITHIN);
    assert!(matches!(worker.next_event().await, WorkerEvent::Yielded { .. }));
    worker.suspend(true, SUSPEND_WITHIN);
    assert!(matches!(worker.next_event().await, WorkerEvent::Yielded { .. }));
    worker.run(mixer_run(1, Pace::AWAY)).expect("a run ends the suspension");
    assert!(output(&mut worker).await == mixer_expected());
}

#[tokio::test]
async fn a_suspend_right_behind_a_run_is_answered_and_the_slice_goes_on_after_resume() {
    let Some(spawn) = software().await else { return };
    let mut worker = mixer_worker(&spawn).await;
    for release in [false, true] {
        worker.run(mixer_run(1, Pace::AWAY)).expect("a loaded worker runs");
        worker.suspend(release, SUSPEND_WITHIN);
        assert!(matches!(next_of_note(&mut worker).await, WorkerEvent::Yielded { .. }));
        if release {
            assert!(matches!(next_of_note(&mut worker).await, WorkerEvent::Checkpoint { .. }));
        }
        worker.resume(Pace::AWAY);
        assert!(output(&mut worker).await == mixer_expected());
    }
}

#[tokio::test]
async fn an_abandoned_slice_is_not_heard_of_again_and_the_next_one_runs() {
    let Some(spawn) = software().await else { return };
    let mut worker = mixer_worker(&spawn).await;
    worker.run(mixer_run(1, SLOW)).expect("a loaded worker runs");
    worker.abandon();
    worker.run(mixer_run(2, Pace::AWAY)).expect("an abandoned slice is no longer in hand");
    match next_of_note(&mut worker).await {
        WorkerEvent::Done { slice, output, .. } => {
            assert_eq!(slice, SliceId([2; 32]));
            assert!(output == mixer_expected());
        }
        event => panic!("unexpected: {event:?}"),
    }
}

#[tokio::test]
async fn groups_beyond_the_limit_of_one_dispatch_are_all_computed() {
    let Some(spawn) = software().await else { return };
    let source = "\
@group(0) @binding(0) var<uniform> piece: vec4<u32>;
@group(0) @binding(1) var<storage, read_write> seen: array<u32>;
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    if (lane == 0u) { seen[piece.x + group.x] += 1u + (piece.x + group.x) * piece.y; }
}
";
    let groups = 200_000;
    let buffers = vec![crate::common::buffer("seen", Role::Output, groups * 4)];
    let (program, sources) = program(source, buffers, groups, 2);
    let (mut worker, _) = Worker::spawn(&spawn).await.expect("the worker starts");
    worker.load(&program, &sources, LOAD_WITHIN).await.expect("admitted");
    let long = Pace { piece_micros: 200_000, longest_micros: 200_000, ..Pace::AWAY };
    let job = SliceJob { slice: SliceId([3; 32]), inputs: Vec::new(), params: Vec::new() };
    let mut told = Vec::new();
    let outputs =
        run_slices(&mut worker, [job], long, LOAD_WITHIN, |index, permille| told.push((index, permille)))
            .await
            .expect("it runs");
    let expected: Vec<u8> = (0..groups).flat_map(|group| (2 + group).to_le_bytes()).collect();
    assert!(outputs[0].output == expected, "each group runs once in each of the two repeats");
    assert_eq!(told.last(), Some(&(0, 1000)), "the caller hears that the slice is complete");
}

#[tokio::test]
#[cfg(unix)]
async fn a_killed_worker_is_reported_and_reaped_and_a_new_one_works() {
    let Some(spawn) = software().await else { return };
    let mut worker = mixer_worker(&spawn).await;
    worker.run(mixer_run(1, SLOW)).expect("a loaded worker runs");
    let pid = worker.pid();
    let target = rustix::process::Pid::from_raw(pid as i32).expect("a process number is positive");
    rustix::process::kill_process(target, rustix::process::Signal::KILL).expect("it can be killed");
    match next_of_note(&mut worker).await {
        WorkerEvent::Died(death) => {
            assert_eq!(death.reason, DeathReason::Exited { code: None, signal: Some(9) });
        }
        event => panic!("unexpected: {event:?}"),
    }
    assert_eq!(worker.run(mixer_run(2, Pace::AWAY)), Err(CommandError::Dead));
    #[cfg(target_os = "linux")]
    assert!(!crate::common::exists(pid), "no zombie stays behind");
    let mut second = mixer_worker(&spawn).await;
    second.run(mixer_run(1, Pace::AWAY)).expect("a loaded worker runs");
    assert!(output(&mut second).await == mixer_expected());
}

#[tokio::test]
async fn inputs_of_the_wrong_size_are_not_sent() {
    let Some(spawn) = software().await else { return };
    let mut worker = mixer_worker(&spawn).await;
    let wrong = Run { inputs: vec![vec![0; 255]], ..mixer_run(1, Pace::AWAY) };
    assert_eq!(worker.run(wrong), Err(CommandError::Inputs));
    let (program, mut sources) = mixer();
    sources[0].push(' ');
    assert!(
        worker.begin_load(&program, &sources, LOAD_WITHIN).is_err(),
        "a source must have the hash it is named by"
    );
}

#[tokio::test]
async fn a_software_driver_that_is_not_allowed_is_refused_with_a_sentence() {
    let Some(mut spawn) = software().await else { return };
    spawn.allow_software = false;
    match Worker::spawn(&spawn).await {
        Err(SpawnError::NoAdapter(fault)) => assert!(fault.detail.contains("software"), "{}", fault.detail),
        outcome => panic!("unexpected: {outcome:?}"),
    }
}

#[tokio::test]
#[cfg(unix)]
async fn a_machine_without_a_driver_is_told_what_to_install() {
    let Some(mut spawn) = software().await else { return };
    spawn.env = vec![("VK_ICD_FILENAMES".into(), "/nonexistent/driver.json".into())];
    match Worker::spawn(&spawn).await {
        Err(SpawnError::NoAdapter(fault)) => assert!(fault.detail.contains("install"), "{}", fault.detail),
        outcome => panic!("unexpected: {outcome:?}"),
    }
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_release_hands_the_memory_back_within_a_second() {
    let Some(spawn) = software().await else { return };
    let source = "\
@group(0) @binding(0) var<uniform> piece: vec4<u32>;
@group(0) @binding(1) var<storage, read> large: array<u32>;
@group(0) @binding(2) var<storage, read_write> sums: array<u32>;
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = (piece.x + group.x) * 64u + lane;
    sums[at] = sums[at] + large[at] + large[at + 33554400u - 16384u * 4u];
}
";
    let large_bytes = 128 * 1024 * 1024;
    let buffers = vec![
        crate::common::buffer("large", Role::Input, large_bytes),
        crate::common::buffer("sums", Role::Output, 256 * 64 * 4),
    ];
    let (program, sources) = program(source, buffers, 256, 1 << 20);
    let (mut worker, _) = Worker::spawn(&spawn).await.expect("the worker starts");
    worker.load(&program, &sources, LOAD_WITHIN).await.expect("admitted");
    let run = Run { inputs: vec![vec![1; large_bytes as usize]], params: Vec::new(), ..mixer_run(1, SLOW) };
    worker.run(run).expect("a loaded worker runs");
    assert!(matches!(worker.next_event().await, WorkerEvent::Progress { .. }), "the slice is under way");
    let before = crate::common::resident_bytes(worker.pid());
    assert!(
        before > u64::from(large_bytes),
        "the buffer is in the memory of the software device, {before} bytes"
    );
    let began = Instant::now();
    worker.suspend(true, SUSPEND_WITHIN);
    assert!(matches!(next_of_note(&mut worker).await, WorkerEvent::Yielded { .. }));
    assert!(matches!(next_of_note(&mut worker).await, WorkerEvent::Checkpoint { .. }));
    let took = began.elapsed();
    let after = crate::common::resident_bytes(worker.pid());
    assert!(
        after + u64::from(large_bytes) <= before,
        "device memory is back when the checkpoint comes: {before} bytes before, {after} after"
    );
    assert!(took < Duration::from_secs(1), "DESIGN.md §1 promises one second, it took {took:?}");
}
