//! Packages that mean harm: each ends in a typed refusal or a kill in time, and the next job runs.

use std::time::{Duration, Instant};

use crate::common::{
    LOAD_WITHIN, buffer, mixer, mixer_expected, mixer_run, next_of_note, output, program, software,
};
use protocol::frames::{FaultCode, Pace};
use protocol::id::SliceId;
use protocol::manifest::{Program, Role};
use sandbox::{DeathReason, InspectError, LoadError, Overdue, Run, Worker, WorkerEvent, inspect};

/// A kernel with `items` before it and `body` in it, over one output of 256 KiB.
fn kernel(items: &str, body: &str, repeat: u32) -> (Program, Vec<String>) {
    let source = format!(
        "@group(0) @binding(0) var<uniform> piece: vec4<u32>;
@group(0) @binding(1) var<storage, read_write> words: array<u32>;
{items}
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {{
    let at = (piece.x + group.x) * 64u + lane;
    {body}
}}
"
    );
    program(&source, vec![buffer("words", Role::Output, 1024 * 64 * 4)], 1024, repeat)
}

/// What must not be admitted, and the code it is refused with.
fn bombs() -> Vec<(&'static str, Program, Vec<String>, FaultCode)> {
    let mut tree = "fn f0(x: u32) -> u32 { return x * 3u; }\n".to_owned();
    for i in 1..24 {
        tree += &format!("fn f{i}(x: u32) -> u32 {{ return f{0}(x) + f{0}(x + 1u); }}\n", i - 1);
    }
    let depth = 20_000;
    let nested = format!("words[at] = {}at{};", "(".repeat(depth), ")".repeat(depth));
    let chain = format!("words[at] = {}at;", "at+".repeat(20_000));
    let entry = |name, (program, sources), code| (name, program, sources, code);
    let mut wrong_binding = kernel("", "words[at] = 1u;", 1);
    wrong_binding.0.buffers[0].role = Role::Output;
    wrong_binding.0.buffers.push(buffer("input", Role::Input, 256));
    wrong_binding.0.cost.memory_bytes += 256;
    wrong_binding.0.stages[0].bindings = vec![1];
    let mut wrong_size = kernel("", "words[at] = 1u;", 1);
    wrong_size.0.kernels[0].workgroup = [32, 1, 1];
    vec![
        entry("nesting", kernel("", &nested, 1), FaultCode::Wgsl),
        entry("a chain of 20,000 terms", kernel("", &chain, 1), FaultCode::Wgsl),
        entry("an exponential call tree", kernel(&tree, "words[at] = f23(at);", 1), FaultCode::Wgsl),
        entry(
            "a large array in every thread",
            kernel("", "var big: array<u32, 16384>; big[at % 16384u] = at; words[at] = big[lane];", 1),
            FaultCode::Wgsl,
        ),
        entry(
            "a large constant",
            kernel("const big = array<u32, 20000000>();", "words[at] = big[at];", 1),
            FaultCode::Wgsl,
        ),
        entry("many statements", kernel("", &"words[at] = 1u;\n".repeat(3_000), 1), FaultCode::Wgsl),
        entry(
            "recursion",
            kernel("fn f(x: u32) -> u32 { return f(x); }", "words[at] = f(at);", 1),
            FaultCode::Wgsl,
        ),
        entry(
            "an endless loop",
            kernel("", "var i = at; loop { i = i * 3u; if (piece.z == 0u) { break; } } words[at] = i;", 1),
            FaultCode::Wgsl,
        ),
        entry(
            "a loop that ends after hours",
            kernel("", "for (var i = 0u; i < 4294967295u; i += 1u) { words[at] += i; }", 1),
            FaultCode::Wgsl,
        ),
        entry(
            "memory of another job, read before it is written",
            kernel("var<workgroup> left: array<u32, 64>;", "words[at] = left[lane];", 1),
            FaultCode::Wgsl,
        ),
        entry(
            "a barrier that some never reach",
            kernel("", "if (lane == 0u) { workgroupBarrier(); } words[at] = 1u;", 1),
            FaultCode::Wgsl,
        ),
        entry("floats", kernel("", "words[at] = u32(sqrt(f32(at)));", 1), FaultCode::Wgsl),
        entry("writing an input", wrong_binding, FaultCode::Interface),
        entry("another workgroup size", wrong_size, FaultCode::Interface),
    ]
}

#[tokio::test]
async fn harmful_sources_are_refused_and_the_same_worker_computes_on() {
    let Some(spawn) = software().await else { return };
    let (mut worker, _) = Worker::spawn(&spawn).await.expect("the worker starts");
    for (name, program, sources, code) in bombs() {
        match worker.load(&program, &sources, LOAD_WITHIN).await {
            Err(LoadError::Refused(fault)) => assert_eq!(fault.code, code, "{name}: {}", fault.detail),
            outcome => panic!("{name} must be refused, but: {outcome:?}"),
        }
    }
    let (program, sources) = mixer();
    worker
        .load(&program, &sources, LOAD_WITHIN)
        .await
        .expect("an honest program is admitted after all of that");
    worker.run(mixer_run(1, Pace::AWAY)).expect("it runs");
    assert!(output(&mut worker).await == mixer_expected());
}

#[tokio::test]
async fn harmful_sources_are_refused_at_submission_without_a_device() {
    let spawn = sandbox::Spawn::new(crate::common::worker_path());
    for (name, program, sources, code) in bombs() {
        match inspect(&spawn, &program, &sources, LOAD_WITHIN).await {
            Err(InspectError::Refused(fault)) => assert_eq!(fault.code, code, "{name}: {}", fault.detail),
            outcome => panic!("{name} must be refused, but: {outcome:?}"),
        }
    }
    let (program, sources) = mixer();
    inspect(&spawn, &program, &sources, LOAD_WITHIN).await.expect("an honest program is admitted");
}

#[tokio::test]
async fn a_slice_that_would_take_hours_is_killed_at_its_limit_and_the_next_job_runs() {
    let Some(spawn) = software().await else { return };
    // Every dispatch of it is short and legal; what is long is their number.
    let body = "var x = words[at] + piece.y; for (var i = 0u; i < 1000u; i += 1u) { x = x * 747796405u + i; } words[at] = x;";
    let (program, sources) = kernel("", body, 1 << 20);
    let (mut worker, _) = Worker::spawn(&spawn).await.expect("the worker starts");
    worker.load(&program, &sources, LOAD_WITHIN).await.expect("a bounded kernel is admitted");
    let run = Run {
        slice: SliceId([1; 32]),
        inputs: Vec::new(),
        params: Vec::new(),
        resume_from: None,
        pace: Pace::AWAY,
        limit: Duration::from_secs(2),
    };
    let began = Instant::now();
    worker.run(run).expect("a loaded worker runs");
    match next_of_note(&mut worker).await {
        WorkerEvent::Died(death) => assert_eq!(death.reason, DeathReason::Overdue(Overdue::Slice)),
        event => panic!("unexpected: {event:?}"),
    }
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "the limit of 2 s holds, it took {:?}",
        began.elapsed()
    );

    let mut second = crate::common::mixer_worker(&spawn).await;
    second.run(mixer_run(1, Pace::AWAY)).expect("a loaded worker runs");
    assert!(output(&mut second).await == mixer_expected());
}

#[tokio::test]
async fn reads_and_writes_out_of_bounds_do_not_leave_their_buffer() {
    let Some(spawn) = software().await else { return };
    let source = "\
@group(0) @binding(0) var<uniform> piece: vec4<u32>;
@group(0) @binding(1) var<storage, read_write> near: array<u32>;
@group(0) @binding(2) var<storage, read_write> far: array<u32>;
@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {
    let beyond = 64u + lane * 1048573u + piece.y;
    near[beyond] = 3735928559u;
    near[lane % 32u] = near[beyond] & 0u;
}
";
    let buffers = vec![buffer("near", Role::State, 256), buffer("far", Role::Output, 1 << 20)];
    let (program, sources) = program(source, buffers, 1, 64);
    let (mut worker, _) = Worker::spawn(&spawn).await.expect("the worker starts");
    worker.load(&program, &sources, LOAD_WITHIN).await.expect("admitted");
    worker
        .run(Run {
            slice: SliceId([1; 32]),
            inputs: Vec::new(),
            params: Vec::new(),
            resume_from: None,
            pace: Pace::AWAY,
            limit: LOAD_WITHIN,
        })
        .expect("a loaded worker runs");
    assert!(
        output(&mut worker).await.iter().all(|&byte| byte == 0),
        "the neighbour of the buffer is untouched"
    );
}
