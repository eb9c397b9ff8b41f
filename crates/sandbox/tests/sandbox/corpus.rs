//! Packages that mean harm, one row each, on every software driver that is here.
//!
//! While a row runs, an honest neighbour computes in a worker of its own; whatever the row does, the neighbour ends with
//! the right bytes, and the process of the row leaves neither itself nor its memory behind. A row says how it must end
//! and within which time; anything else fails. Rows that only the parser of frames or of manifests sees are here too, so
//! that the list of attacks stands in one place.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use protocol::frames::{FaultCode, Pace, Request};
use protocol::id::{Hash, SliceId};
use protocol::manifest::{Program, Role, Validator};
use sandbox::{DeathReason, LoadError, Overdue, Run, Spawn, Worker, WorkerEvent};

use crate::common::{
    LOAD_WITHIN, SLOW, buffer, drivers, mixer_expected, mixer_run, mixer_worker, next_of_note, output,
    program, say, worker_path,
};

/// How a row must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The manifest is refused before anything of it reaches a worker.
    Malformed,
    /// Sources that are not those of the manifest are not sent.
    Sources,
    /// The worker refuses it.
    Refused(FaultCode),
    /// The inputs do not fit; nothing is sent.
    Inputs,
    /// It is killed at the limit of its slice.
    Killed,
    /// It runs to its end and harms nobody, or the device has not enough memory for it.
    Harmless,
}

/// One attack.
struct Row {
    name: &'static str,
    program: Program,
    sources: Vec<String>,
    params: Vec<u32>,
    end: End,
    within: Duration,
}

/// How long a slice may take that is to be killed.
const LIMIT: Duration = Duration::from_secs(2);
/// How long a slice may take that harms nobody: a gigabyte is filled, on a machine that other tests use too.
const PATIENT: Duration = Duration::from_secs(60);
/// A refusal needs no device: this long on a busy machine in a debug build.
const QUICK: Duration = Duration::from_secs(15);

fn kernel(items: &str, body: &str, groups: u32, repeat: u32) -> (Program, Vec<String>) {
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
    program(&source, vec![buffer("words", Role::Output, 1024 * 64 * 4)], groups, repeat)
}

fn row(name: &'static str, (program, sources): (Program, Vec<String>), end: End) -> Row {
    let within = match end {
        End::Killed => LIMIT + QUICK,
        End::Harmless => PATIENT + QUICK,
        End::Malformed | End::Sources | End::Refused(_) | End::Inputs => QUICK,
    };
    Row { name, program, sources, params: Vec::new(), end, within }
}

/// A row whose manifest is bent after it was put together.
fn bent(name: &'static str, end: End, bend: impl FnOnce(&mut Program)) -> Row {
    let mut row = row(name, kernel("", "words[at & 65535u] = at;", 1024, 1), end);
    bend(&mut row.program);
    row
}

fn rows() -> Vec<Row> {
    let wgsl = End::Refused(FaultCode::Wgsl);
    let interface = End::Refused(FaultCode::Interface);
    let mut tree = "fn f0(x: u32) -> u32 { return x * 3u; }\n".to_owned();
    for i in 1..24 {
        tree += &format!("fn f{i}(x: u32) -> u32 {{ return f{0}(x) + f{0}(x + 1u); }}\n", i - 1);
    }
    let nested = format!("words[at] = {}at{};", "(".repeat(20_000), ")".repeat(20_000));
    let chain = format!("words[at] = {}at;", "at+".repeat(20_000));
    let mixing = "var x = words[at & 65535u] + at;
    for (var i = 0u; i < 30000u; i += 1u) { x = (x ^ (x >> 15u)) * 747796405u + 2891336453u; }
    words[at & 65535u] = x;";
    vec![
        row("an endless loop", kernel("", "loop { words[at] += 1u; }", 1, 1), wgsl),
        row(
            "an endless loop behind a condition",
            kernel("", "var i = at; while (i != 7u) { i = i * 3u; } words[at] = i;", 1, 1),
            wgsl,
        ),
        row(
            "a loop whose bound comes from a buffer",
            kernel("", "for (var i = 0u; i < words[0]; i += 1u) { words[at] += i; }", 1, 1),
            wgsl,
        ),
        row(
            "a loop whose counter is turned back",
            kernel("", "for (var i = 0u; i < 100u; i += 1u) { words[at] += i; i = 0u; }", 1, 1),
            wgsl,
        ),
        row(
            "a billion iterations",
            kernel("", "for (var i = 0u; i < 1000000000u; i += 1u) { words[at] += i; }", 1, 1),
            wgsl,
        ),
        row("work that ends only after hours", kernel("", mixing, 1 << 20, 1 << 16), End::Killed),
        row("compile bomb: an exponential call tree", kernel(&tree, "words[at] = f23(at);", 1, 1), wgsl),
        row(
            "compile bomb: a large array in every thread",
            kernel("", "var big: array<u32, 16384>; big[at % 16384u] = at; words[at] = big[lane];", 1, 1),
            wgsl,
        ),
        row(
            "compile bomb: a large constant",
            kernel("const big = array<u32, 20000000>();", "words[at] = big[at];", 1, 1),
            wgsl,
        ),
        row("compile bomb: many statements", kernel("", &"words[at] = 1u;\n".repeat(3_000), 1, 1), wgsl),
        row("compile bomb: a chain of 20,000 terms", kernel("", &chain, 1, 1), wgsl),
        row("nesting bomb", kernel("", &nested, 1, 1), wgsl),
        row("recursion", kernel("fn f(x: u32) -> u32 { return f(x); }", "words[at] = f(at);", 1, 1), wgsl),
        row(
            "reads and writes far out of bounds",
            kernel(
                "",
                "words[at * 1048573u] = 3735928559u; words[lane] = words[at * 4194301u] & 0u;",
                1024,
                4,
            ),
            End::Harmless,
        ),
        row(
            "a texture",
            kernel(
                "@group(0) @binding(2) var t: texture_2d<u32>;",
                "words[at] = textureLoad(t, vec2<i32>(0, 0), 0).x;",
                1,
                1,
            ),
            wgsl,
        ),
        row(
            "a binding that is not declared",
            kernel(
                "@group(0) @binding(2) var<storage, read> more: array<u32>;",
                "words[at] = more[at];",
                1,
                1,
            ),
            interface,
        ),
        row(
            "a uniform that is not the piece",
            kernel("@group(0) @binding(2) var<uniform> more: vec4<u32>;", "words[at] = more.x;", 1, 1),
            interface,
        ),
        row(
            "a buffer taken for a larger one",
            kernel(
                "@group(0) @binding(3) var<storage, read_write> wide: array<u32, 65537>;",
                "wide[at] = words[at];",
                1,
                1,
            ),
            interface,
        ),
        bent("writing an input", interface, |p| {
            p.buffers.push(buffer("input", Role::Input, 1024 * 64 * 4));
            p.cost.memory_bytes *= 2;
            p.stages[0].bindings = vec![1];
        }),
        bent("another workgroup size", interface, |p| p.kernels[0].workgroup = [32, 1, 1]),
        bent("an entry point that is not there", interface, |p| p.kernels[0].entry = "other".to_owned()),
        bent("64 GiB of buffers", End::Malformed, |p| {
            p.buffers = (0..16).map(|_| buffer("huge", Role::State, u32::MAX - 3)).collect();
            p.cost.memory_bytes = 64 << 30;
        }),
        bent("a buffer over the largest binding", End::Malformed, |p| p.buffers[0].bytes = (128 << 20) + 4),
        bent("less memory declared than its buffers take", End::Malformed, |p| p.cost.memory_bytes = 4),
        bent("a dispatch of no groups", End::Malformed, |p| p.stages[0].groups = 0),
        bent("a stage that never runs", End::Malformed, |p| p.stages[0].repeat = 0),
        bent("a grid overflow: groups", End::Malformed, |p| p.stages[0].groups = u32::MAX),
        bent("a grid overflow: repeats", End::Malformed, |p| p.stages[0].repeat = u32::MAX),
        bent("a grid overflow: threads", End::Malformed, |p| {
            p.kernels[0].workgroup = [u32::MAX, u32::MAX, u32::MAX]
        }),
        bent("an output larger than results may be", End::Malformed, |p| p.buffers[0].bytes = (4 << 20) + 4),
        bent("a buffer bound twice", End::Malformed, |p| p.stages[0].bindings = vec![0, 0]),
        bent("a tolerance that accepts everything", End::Malformed, |p| {
            p.validator = Validator::Tolerance { abs_nano: u64::MAX, rel_nano: 0, rms_nano: 0 };
        }),
        bent("matrices that are not the buffers", End::Malformed, |p| {
            p.validator = Validator::Freivalds { rounds: 1, rows: 8, inner: 8, columns: 8 };
        }),
        bent("a source with another hash", End::Sources, |p| p.modules[0].blob = Hash([7; 32])),
        bent("a source with another length", End::Sources, |p| p.modules[0].bytes += 1),
        Row {
            params: vec![1, 2, 3],
            ..bent("a slice plan with params that the program lacks", End::Inputs, |_| {})
        },
        bent("a gigabyte of device memory", End::Harmless, |p| {
            p.buffers.extend((0..7).map(|_| buffer("huge", Role::State, 128 << 20)));
            p.cost.memory_bytes = p.slice_bytes();
        }),
    ]
}

/// Runs a row in `worker` and says how it ended.
async fn attack(worker: &mut Worker, row: &Row) -> Result<End, String> {
    match worker.load(&row.program, &row.sources, LOAD_WITHIN).await {
        Ok(()) => {}
        Err(LoadError::Malformed(_)) => return Ok(End::Malformed),
        Err(LoadError::Sources) => return Ok(End::Sources),
        Err(LoadError::Refused(fault)) if fault.code == FaultCode::OutOfMemory => return Ok(End::Harmless),
        Err(LoadError::Refused(fault)) => return Ok(End::Refused(fault.code)),
        Err(error) => return Err(format!("{error:?}")),
    }
    let run = Run {
        slice: SliceId([9; 32]),
        inputs: Vec::new(),
        params: row.params.clone(),
        resume_from: None,
        pace: Pace::AWAY,
        limit: if row.end == End::Killed { LIMIT } else { PATIENT },
    };
    match worker.run(run) {
        Ok(()) => {}
        Err(sandbox::CommandError::Inputs) => return Ok(End::Inputs),
        Err(error) => return Err(format!("{error:?}")),
    }
    match next_of_note(worker).await {
        WorkerEvent::Done { .. } => Ok(End::Harmless),
        WorkerEvent::Failed { fault, .. } if fault.code == FaultCode::OutOfMemory => Ok(End::Harmless),
        WorkerEvent::Died(death) if death.reason == DeathReason::Overdue(Overdue::Slice) => Ok(End::Killed),
        event => Err(format!("{event:?}")),
    }
}

async fn every_row_ends_as_it_must_on(driver: &str, spawn: &Spawn) {
    let mut neighbour = mixer_worker(spawn).await;
    neighbour.run(mixer_run(1, SLOW)).expect("the neighbour computes");
    let mut attacked: Option<Worker> = None;
    for row in rows() {
        let mut worker = match attacked.take() {
            Some(worker) => worker,
            None => Worker::spawn(spawn).await.expect("a worker starts").0,
        };
        let began = Instant::now();
        let ended = attack(&mut worker, &row).await;
        let took = began.elapsed();
        assert_eq!(ended, Ok(row.end), "{} on {driver}", row.name);
        assert!(took < row.within, "{} on {driver} took {took:?}, its time is {:?}", row.name, row.within);
        if row.end == End::Killed {
            #[cfg(target_os = "linux")]
            assert!(!crate::common::exists(worker.pid()), "{}: the process is gone and reaped", row.name);
        } else {
            // The same worker meets the next row: a refusal must leave it sound.
            attacked = Some(worker);
        }
    }
    assert!(
        output(&mut neighbour).await == mixer_expected(),
        "the neighbour on {driver} computed on through all of it"
    );
    if let Some(mut worker) = attacked {
        let (program, sources) = crate::common::mixer();
        worker.load(&program, &sources, LOAD_WITHIN).await.expect("honest work is taken after all of that");
        worker.run(mixer_run(2, Pace::AWAY)).expect("it runs");
        assert!(output(&mut worker).await == mixer_expected(), "and computed right on {driver}");
        worker.kill().await;
    }
}

#[tokio::test]
async fn every_attack_ends_in_a_typed_error_or_a_kill_and_the_neighbour_computes_on() {
    for (driver, spawn) in drivers().await.iter() {
        every_row_ends_as_it_must_on(driver, spawn).await;
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_memory_that_a_job_took_is_back_when_its_program_is_replaced() {
    for (driver, spawn) in drivers().await.iter() {
        let mut worker = mixer_worker(spawn).await;
        worker.run(mixer_run(1, Pace::AWAY)).expect("it runs");
        assert!(output(&mut worker).await == mixer_expected());
        let before = crate::common::resident_bytes(worker.pid());
        let greedy = bent("a quarter of a gigabyte", End::Harmless, |p| {
            p.buffers.extend((0..2).map(|_| buffer("huge", Role::State, 128 << 20)));
            p.cost.memory_bytes = p.slice_bytes();
        });
        assert_eq!(attack(&mut worker, &greedy).await, Ok(End::Harmless), "{driver}");
        let (program, sources) = crate::common::mixer();
        worker.load(&program, &sources, LOAD_WITHIN).await.expect("the mixer is admitted");
        worker.run(mixer_run(2, Pace::AWAY)).expect("it runs");
        assert!(output(&mut worker).await == mixer_expected());
        let after = crate::common::resident_bytes(worker.pid());
        assert!(
            after < before + (64 << 20),
            "256 MiB came and went on {driver}: {before} bytes before, {after} after"
        );
        worker.kill().await;
    }
}

/// Starts the worker program and feeds it bytes; gives how long it took to end and whether it ended well.
fn fed(bytes: &[u8]) -> (Duration, bool) {
    let began = Instant::now();
    let mut worker = Command::new(worker_path())
        .arg("--inspect")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the worker starts");
    let mut stdin = worker.stdin.take().expect("a pipe");
    // A worker that has ended already takes no more, which is an answer too.
    drop(stdin.write_all(bytes));
    drop(stdin);
    let status = worker.wait().expect("it ends");
    (began.elapsed(), status.success())
}

#[test]
fn malformed_truncated_and_oversized_frames_end_the_worker_at_once() {
    let mut good = Vec::new();
    let (program, sources) = kernel("", "words[at] = at;", 1, 1);
    let load = Request::Load { program: Box::new(program), sources };
    protocol::frames::write_frame(&mut good, &load).expect("memory takes everything");
    let (_, ended_well) = fed(&good);
    assert!(ended_well, "a whole frame and the end of the stream are a good end");
    let mut trailing = good.clone();
    let length = u32::from_le_bytes([good[0], good[1], good[2], good[3]]) + 1;
    trailing[..4].copy_from_slice(&length.to_le_bytes());
    trailing.push(0);
    let mut indefinite = good.clone();
    indefinite[4] = 0xbf;
    for (name, bytes) in [
        ("a frame cut in its middle", good[..good.len() / 2].to_vec()),
        ("a frame cut in its length", good[..2].to_vec()),
        ("a length of 4 GiB", [&u32::MAX.to_le_bytes()[..], &[0xa1; 64]].concat()),
        ("bytes after the value", trailing),
        ("a map of indefinite length", indefinite),
        ("noise", [&64_u32.to_le_bytes()[..], &[0xf7; 64]].concat()),
        ("nesting without end", [&4096_u32.to_le_bytes()[..], &[0x81; 4096]].concat()),
    ] {
        let (took, ended_well) = fed(&bytes);
        assert!(!ended_well, "{name} is no good end");
        assert!(took < QUICK, "{name} took {took:?}");
    }
    say("frames: all refused");
}
