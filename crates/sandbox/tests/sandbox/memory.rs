//! Device memory that goes back to the owner, and state that moves between drivers. Memory is observed from outside: of a
//! software driver it is that of the process.

use std::time::{Duration, Instant};

use protocol::frames::Pace;
use protocol::manifest::Role;
use sandbox::{Run, Worker, WorkerEvent};

use crate::common::{
    LOAD_WITHIN, SLOW, buffer, drivers, mixer_expected, mixer_run, mixer_worker, next_of_note, output,
    program, resident_bytes,
};

const SUSPEND_WITHIN: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_release_hands_the_memory_back_within_a_second_on_every_driver() {
    let source = "\
@group(0) @binding(0) var<uniform> piece: vec4<u32>;
@group(0) @binding(1) var<storage, read> large: array<u32>;
@group(0) @binding(2) var<storage, read_write> sums: array<u32>;
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = (piece.x + group.x) * 64u + lane;
    sums[at] = sums[at] + large[at] + piece.y;
}
";
    let large_bytes = 64 * 1024 * 1024;
    let groups = 256;
    let buffers =
        vec![buffer("large", Role::Input, large_bytes), buffer("sums", Role::Output, groups * 64 * 4)];
    let (program, sources) = program(source, buffers, groups, 1 << 20);
    for (driver, spawn) in drivers().await.iter() {
        let (mut worker, _) = Worker::spawn(spawn).await.expect("the worker starts");
        worker.load(&program, &sources, LOAD_WITHIN).await.expect("admitted");
        let run =
            Run { inputs: vec![vec![1; large_bytes as usize]], params: Vec::new(), ..mixer_run(1, SLOW) };
        worker.run(run).expect("a loaded worker runs");
        assert!(matches!(worker.next_event().await, WorkerEvent::Progress { .. }), "the slice is under way");
        let held = resident_bytes(worker.pid());
        assert!(held > u64::from(large_bytes), "{driver}: the buffer is in memory, {held} bytes");
        let began = Instant::now();
        worker.suspend(true, SUSPEND_WITHIN);
        assert!(matches!(next_of_note(&mut worker).await, WorkerEvent::Yielded { .. }), "{driver}");
        assert!(matches!(next_of_note(&mut worker).await, WorkerEvent::Checkpoint { .. }), "{driver}");
        let took = began.elapsed();
        let left = resident_bytes(worker.pid());
        assert!(
            left + u64::from(large_bytes) <= held,
            "{driver}: memory is back when the checkpoint comes: {held} bytes before, {left} after"
        );
        assert!(
            took < Duration::from_secs(1),
            "{driver}: DESIGN.md §1 promises one second, it took {took:?}"
        );
        worker.kill().await;
    }
}

#[tokio::test]
async fn a_checkpoint_of_one_driver_goes_on_in_a_process_on_another() {
    let drivers = drivers().await;
    for (from, first) in drivers.iter() {
        let mut worker = mixer_worker(first).await;
        worker.run(mixer_run(1, SLOW)).expect("a loaded worker runs");
        assert!(matches!(worker.next_event().await, WorkerEvent::Progress { .. }), "the slice is under way");
        worker.suspend(true, SUSPEND_WITHIN);
        assert!(matches!(next_of_note(&mut worker).await, WorkerEvent::Yielded { .. }));
        let WorkerEvent::Checkpoint { checkpoint, .. } = next_of_note(&mut worker).await else {
            panic!("a release sends the state")
        };
        assert!((checkpoint.stage, checkpoint.repeat, checkpoint.group) > (0, 0, 0), "something is done");
        worker.kill().await;
        for (to, second) in drivers.iter().filter(|(to, _)| *to != from) {
            let mut worker = mixer_worker(second).await;
            worker
                .run(Run { resume_from: Some(checkpoint.clone()), ..mixer_run(1, Pace::AWAY) })
                .expect("a loaded worker runs");
            assert!(
                output(&mut worker).await == mixer_expected(),
                "integers agree to the bit, so a slice begun on {from} may end on {to}"
            );
            worker.kill().await;
        }
    }
}
