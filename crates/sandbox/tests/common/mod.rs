//! What the tests of the sandbox share: where the worker and the software driver are, and how a program is put together.

use std::path::PathBuf;
use std::time::Duration;

use protocol::frames::Pace;
use protocol::id::{Hash, SliceId};
use protocol::manifest::{Buffer, Cost, Family, Kernel, Module, Program, Role, Stage, Validator};
use sandbox::{Run, Spawn, Worker, WorkerEvent, find_worker};

/// Where Debian, Ubuntu, Fedora and Arch put the description of the software driver.
const LAVAPIPE: [&str; 3] = [
    "/usr/share/vulkan/icd.d/lvp_icd.x86_64.json",
    "/usr/share/vulkan/icd.d/lvp_icd.json",
    "/usr/share/vulkan/icd.d/lvp_icd.aarch64.json",
];

/// Compilation on a busy machine of two cores, in a debug build.
pub const LOAD_WITHIN: Duration = Duration::from_secs(30);

/// The worker program.
pub fn worker_path() -> PathBuf {
    find_worker().expect("the worker is built before these tests run: cargo build --package worker")
}

/// A worker on the software driver; `None`, and a line that says so, where that driver is not installed.
pub fn software() -> Option<Spawn> {
    let Some(description) = LAVAPIPE.iter().find(|path| std::path::Path::new(path).exists()) else {
        println!("left out: no software Vulkan driver (Debian and Ubuntu: mesa-vulkan-drivers)");
        return None;
    };
    let mut spawn = Spawn::new(worker_path());
    spawn.env.retain(|(name, _)| name != "VK_ICD_FILENAMES" && name != "VK_DRIVER_FILES");
    spawn.env.push(("VK_ICD_FILENAMES".into(), description.into()));
    spawn.allow_software = true;
    spawn.within = Duration::from_secs(30);
    Some(spawn)
}

pub fn buffer(name: &str, role: Role, bytes: u32) -> Buffer {
    Buffer { name: name.to_owned(), role, bytes }
}

/// A program of one module with one kernel `main` of 64 threads.
pub fn program(source: &str, buffers: Vec<Buffer>, groups: u32, repeat: u32) -> (Program, Vec<String>) {
    let bindings = (0..buffers.len() as u16).collect();
    let program = Program {
        format: 1,
        title: "Test".to_owned(),
        purpose: "Tests the sandbox.".to_owned(),
        family: Family::Other,
        modules: vec![Module { blob: Hash::of(source.as_bytes()), bytes: source.len() as u32 }],
        kernels: vec![Kernel { module: 0, entry: "main".to_owned(), workgroup: [64, 1, 1] }],
        buffers,
        stages: vec![Stage { kernel: 0, bindings, groups, repeat }],
        cost: Cost { operations: 1, max_millis: 60_000 },
        validator: Validator::Bitwise,
    };
    program.check().expect("the tests' programs are well-formed");
    (program, vec![source.to_owned()])
}

/// A kernel with a state that every repeat changes, so that a lost or repeated piece shows in the output.
pub const MIXER: &str = "\
@group(0) @binding(0) var<uniform> piece: vec4<u32>;
@group(0) @binding(1) var<storage, read> seeds: array<u32>;
@group(0) @binding(2) var<storage, read> params: array<u32>;
@group(0) @binding(3) var<storage, read_write> state: array<u32>;
@group(0) @binding(4) var<storage, read_write> sums: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = (piece.x + group.x) * 64u + lane;
    var word = state[at] ^ seeds[at % 64u] ^ piece.y;
    for (var i = 0u; i < params[0]; i += 1u) {
        word = word * 747796405u + 2891336453u;
        word = ((word >> ((word >> 28u) + 4u)) ^ word) * 277803737u;
    }
    state[at] = word;
    sums[at] = sums[at] * 31u + word + piece.z;
}
";

pub const MIXER_GROUPS: u32 = 512;
pub const MIXER_REPEAT: u32 = 40;
const MIXER_ROUNDS: u32 = 200;

pub fn mixer() -> (Program, Vec<String>) {
    let words = MIXER_GROUPS * 64 * 4;
    let buffers = vec![
        buffer("seeds", Role::Input, 256),
        buffer("params", Role::Params, 4),
        buffer("state", Role::State, words),
        buffer("sums", Role::Output, words),
    ];
    program(MIXER, buffers, MIXER_GROUPS, MIXER_REPEAT)
}

fn mixer_seeds() -> Vec<u32> {
    (0..64_u32).map(|i| i.wrapping_mul(2_654_435_761)).collect()
}

/// A slice of [`mixer`].
pub fn mixer_run(slice: u8, pace: Pace) -> Run {
    Run {
        slice: SliceId([slice; 32]),
        inputs: vec![mixer_seeds().iter().flat_map(|word| word.to_le_bytes()).collect()],
        params: vec![MIXER_ROUNDS],
        resume_from: None,
        pace,
        limit: Duration::from_secs(120),
    }
}

/// What [`mixer`] must give: the same arithmetic in Rust.
pub fn mixer_expected() -> Vec<u8> {
    let seeds = mixer_seeds();
    let mut out = Vec::new();
    for at in 0..MIXER_GROUPS * 64 {
        let (mut state, mut sum) = (0_u32, 0_u32);
        for repeat in 0..MIXER_REPEAT {
            let mut word = state ^ seeds[at as usize % 64] ^ repeat;
            for _ in 0..MIXER_ROUNDS {
                word = word.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
                word = ((word >> ((word >> 28) + 4)) ^ word).wrapping_mul(277_803_737);
            }
            state = word;
            sum = sum.wrapping_mul(31).wrapping_add(word).wrapping_add(MIXER_GROUPS);
        }
        out.extend(sum.to_le_bytes());
    }
    out
}

/// A worker with [`mixer`] loaded.
pub async fn mixer_worker(spawn: &Spawn) -> Worker {
    let (mut worker, ready) = Worker::spawn(spawn).await.expect("the worker starts");
    assert!(ready.adapter.software, "the tests choose the software driver, not a card: {ready:?}");
    let (program, sources) = mixer();
    worker.load(&program, &sources, LOAD_WITHIN).await.expect("the mixer is admitted");
    worker
}

/// The next event that is no progress.
pub async fn next_of_note(worker: &mut Worker) -> WorkerEvent {
    loop {
        match worker.next_event().await {
            WorkerEvent::Progress { .. } => {}
            event => return event,
        }
    }
}

/// The output of the slice that is being computed.
pub async fn output(worker: &mut Worker) -> Vec<u8> {
    match next_of_note(worker).await {
        WorkerEvent::Done { output, .. } => output,
        event => panic!("the slice is to be done, but: {event:?}"),
    }
}

/// Whether a process with this number exists, a zombie counted.
#[cfg(target_os = "linux")]
pub fn exists(pid: u32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}
