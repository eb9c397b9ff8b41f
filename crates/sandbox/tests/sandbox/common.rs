//! What the tests of the sandbox share: where the worker and the software driver are, and how a program is put together.

use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use protocol::frames::Pace;
use protocol::id::{Hash, SliceId};
use protocol::manifest::{Buffer, Cost, Family, Kernel, Module, Program, Role, Stage, Validator};
use sandbox::{Run, Spawn, Worker, WorkerEvent, find_worker};
use tokio::sync::{Mutex, MutexGuard};

/// Where Debian, Ubuntu, Fedora and Arch put the description of the software driver.
const LAVAPIPE: [&str; 3] = [
    "/usr/share/vulkan/icd.d/lvp_icd.x86_64.json",
    "/usr/share/vulkan/icd.d/lvp_icd.json",
    "/usr/share/vulkan/icd.d/lvp_icd.aarch64.json",
];

/// Compilation on a busy machine of two cores, in a debug build.
pub(crate) const LOAD_WITHIN: Duration = Duration::from_secs(30);

/// One part in twenty of the device's time: the slice lasts long enough to be suspended in its middle.
pub(crate) const SLOW: Pace =
    Pace { piece_micros: 2000, longest_micros: 2000, in_flight: 1, duty_percent: 5 };

/// The worker program.
pub(crate) fn worker_path() -> PathBuf {
    find_worker().expect("the worker is built before these tests run: cargo build --package worker")
}

/// The software driver, for one test at a time: two of them would measure each other.
pub(crate) struct Software {
    spawn: Spawn,
    _turn: MutexGuard<'static, ()>,
}

impl Deref for Software {
    type Target = Spawn;
    fn deref(&self) -> &Spawn {
        &self.spawn
    }
}

impl DerefMut for Software {
    fn deref_mut(&mut self) -> &mut Spawn {
        &mut self.spawn
    }
}

static TURN: Mutex<()> = Mutex::const_new(());

/// A worker on the software driver; `None`, and a line that says so, where that driver is not installed.
pub(crate) async fn software() -> Option<Software> {
    let spawn = driver()?;
    Some(Software { spawn, _turn: TURN.lock().await })
}

/// [`software`] without waiting for a turn.
pub(crate) fn driver() -> Option<Spawn> {
    let Some(description) = LAVAPIPE.iter().find(|path| std::path::Path::new(path).exists()) else {
        say("left out: no software Vulkan driver (Debian and Ubuntu: mesa-vulkan-drivers)");
        return None;
    };
    Some(driver_of(description.as_ref()))
}

/// A worker on the driver with this description.
fn driver_of(description: &std::ffi::OsStr) -> Spawn {
    let mut spawn = Spawn::new(worker_path());
    spawn.env.retain(|(name, _)| name != "VK_ICD_FILENAMES" && name != "VK_DRIVER_FILES");
    spawn.env.push(("VK_ICD_FILENAMES".into(), description.into()));
    #[cfg(windows)]
    {
        // Only wine has that file; it reaches the driver through the display, and offers a made-up card first.
        spawn.adapter = "llvmpipe".to_owned();
        spawn.env.extend(std::env::var_os("DISPLAY").map(|display| ("DISPLAY".into(), display)));
    }
    spawn.allow_software = true;
    spawn.within = Duration::from_secs(30);
    spawn
}

/// The software drivers that are here, by name, for one test at a time.
pub(crate) struct Drivers {
    drivers: Vec<(&'static str, Spawn)>,
    _turn: MutexGuard<'static, ()>,
}

impl Drivers {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, &Spawn)> {
        self.drivers.iter().map(|(name, spawn)| (*name, spawn))
    }
}

/// Where `cargo xtask test` says that the second software driver's description lies.
const SWIFTSHADER: &str = "HEARTH_SWIFTSHADER";

/// A worker on each software driver that is here, and a line about each that is not.
pub(crate) async fn drivers() -> Drivers {
    let turn = TURN.lock().await;
    let mut drivers: Vec<_> = driver().into_iter().map(|spawn| ("lavapipe", spawn)).collect();
    match std::env::var_os(SWIFTSHADER) {
        Some(description) => drivers.push(("SwiftShader", driver_of(&description))),
        None => say("left out: the second software driver (cargo xtask test brings SwiftShader)"),
    }
    Drivers { drivers, _turn: turn }
}

pub(crate) fn buffer(name: &str, role: Role, bytes: u32) -> Buffer {
    Buffer { name: name.to_owned(), role, bytes }
}

/// A program of one module with one kernel `main` of 64 threads.
pub(crate) fn program(
    source: &str,
    buffers: Vec<Buffer>,
    groups: u32,
    repeat: u32,
) -> (Program, Vec<String>) {
    let bindings = (0..buffers.len() as u16).collect();
    let memory_bytes = buffers.iter().map(|b| u64::from(b.bytes)).sum();
    let program = Program {
        format: 1,
        title: "Test".to_owned(),
        purpose: "Tests the sandbox.".to_owned(),
        family: Family::Other,
        modules: vec![Module { blob: Hash::of(source.as_bytes()), bytes: source.len() as u32 }],
        kernels: vec![Kernel { module: 0, entry: "main".to_owned(), workgroup: [64, 1, 1] }],
        buffers,
        stages: vec![Stage { kernel: 0, bindings, groups, repeat }],
        features: Vec::new(),
        cost: Cost { operations: 1, memory_bytes, max_millis: 60_000 },
        validator: Validator::Bitwise,
    };
    program.check().expect("the tests' programs are well-formed");
    (program, vec![source.to_owned()])
}

/// A kernel with a state that every repeat changes, so that a lost or repeated piece shows in the output.
pub(crate) const MIXER: &str = "\
@group(0) @binding(0) var<uniform> piece: vec4<u32>;
@group(0) @binding(1) var<storage, read> seeds: array<u32>;
@group(0) @binding(2) var<storage, read> params: array<u32>;
@group(0) @binding(3) var<storage, read_write> state: array<u32>;
@group(0) @binding(4) var<storage, read_write> sums: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = (piece.x + group.x) * 64u + lane;
    var word = state[at] ^ seeds[at % 64u] ^ piece.y;
    for (var i = 0u; i < min(params[0], 1000u); i += 1u) {
        word = word * 747796405u + 2891336453u;
        word = ((word >> ((word >> 28u) + 4u)) ^ word) * 277803737u;
    }
    state[at] = word;
    sums[at] = sums[at] * 31u + word + piece.z;
}
";

pub(crate) const MIXER_GROUPS: u32 = 512;
pub(crate) const MIXER_REPEAT: u32 = 20;
const MIXER_ROUNDS: u32 = 100;

pub(crate) fn mixer() -> (Program, Vec<String>) {
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
pub(crate) fn mixer_run(slice: u8, pace: Pace) -> Run {
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
pub(crate) fn mixer_expected() -> &'static [u8] {
    static EXPECTED: LazyLock<Vec<u8>> = LazyLock::new(mix);
    &EXPECTED
}

fn mix() -> Vec<u8> {
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
pub(crate) async fn mixer_worker(spawn: &Spawn) -> Worker {
    let (mut worker, ready) = Worker::spawn(spawn).await.expect("the worker starts");
    assert!(ready.adapter.software, "the tests choose the software driver, not a card: {ready:?}");
    let (program, sources) = mixer();
    worker.load(&program, &sources, LOAD_WITHIN).await.expect("the mixer is admitted");
    worker
}

/// The next event that is no progress.
pub(crate) async fn next_of_note(worker: &mut Worker) -> WorkerEvent {
    loop {
        match worker.next_event().await {
            WorkerEvent::Progress { .. } => {}
            event => return event,
        }
    }
}

/// The output of the slice that is being computed.
pub(crate) async fn output(worker: &mut Worker) -> Vec<u8> {
    match next_of_note(worker).await {
        WorkerEvent::Done { output, .. } => output,
        event => panic!("the slice is to be done, but: {event:?}"),
    }
}

/// Whether a process with this number exists, a zombie counted.
#[cfg(target_os = "linux")]
pub(crate) fn exists(pid: u32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

/// Memory of a process that is in RAM, in bytes.
#[cfg(target_os = "linux")]
pub(crate) fn resident_bytes(pid: u32) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).expect("the process is alive");
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number of pages");
    pages * rustix::param::page_size() as u64
}

/// One line for the reader of the test's output.
#[expect(
    clippy::print_stdout,
    reason = "a test speaks to its reader through the harness, which captures only this"
)]
pub(crate) fn say(line: &str) {
    println!("{line}");
}
