//! Integers come out the same on every driver: the native kernels, lavapipe and SwiftShader agree bit by bit.
//!
//! The two software drivers share no code and stand in for two vendors. Each runs the known answers of
//! `jobs::conformance` and the first vectors of a signal search through the real worker; every output is held against
//! the native kernels'. SwiftShader is left out where the environment variable `HEARTH_SWIFTSHADER` does not name its
//! driver description.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use contributor::conformance::{Check as _, WorkerCheck};
use jobs::search::Options;
use jobs::synthetic::Synthetic;
use protocol::frames::{Class, Pace};
use protocol::id::{Hash, SliceId};
use sandbox::{SliceJob, Spawn, Worker, run_slices};
use world::{binary, leave_out, software_driver};

/// Compilation may take this long on a busy machine.
const LOAD_WITHIN: Duration = Duration::from_secs(300);
/// A slice may take this long on a processor.
const SLICE_WITHIN: Duration = Duration::from_secs(600);
/// Vectors of the search that each driver computes.
const VECTORS: usize = 3;

#[test]
fn lavapipe_computes_the_known_answers() {
    if !PathBuf::from(software_driver()).exists() {
        return leave_out("conformance of lavapipe, because its driver is not installed");
    }
    let class = check(software_driver().into());
    assert!(
        class.driver.contains("llvmpipe") || class.driver.contains("Mesa"),
        "lavapipe was meant: {class}"
    );
}

#[test]
fn swiftshader_computes_the_known_answers() {
    let Some(driver) = std::env::var_os("HEARTH_SWIFTSHADER") else {
        return leave_out("conformance of SwiftShader, because HEARTH_SWIFTSHADER does not name its driver");
    };
    let driver = PathBuf::from(driver);
    assert!(driver.exists(), "HEARTH_SWIFTSHADER names {}, which is not there", driver.display());
    let class = check(driver);
    assert!(class.driver.contains("SwiftShader"), "SwiftShader was meant: {class}");
}

#[test]
fn the_engines_own_check_gives_the_card_back_when_told_and_passes_when_left_alone() {
    if !PathBuf::from(software_driver()).exists() {
        return leave_out("the engine's check, because the driver of lavapipe is not installed");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (outcomes, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let outlet = Arc::new(move |outcome| outcomes.send(outcome).expect("the test listens"));
        let mut check = WorkerCheck::new(spawn(software_driver().into()), outlet);
        check.start(Pace::AWAY);
        check.cancel();
        check.start(Pace::AWAY);
        let checked = heard.recv().await.expect("an outcome").expect("the kernels run");
        assert!(checked.adapter.software, "lavapipe says what it is");
        assert!(!checked.kernels.is_empty() && checked.kernels.iter().all(|kernel| kernel.right));
        Box::new(check).stop().await;
        assert!(heard.recv().await.is_none(), "the check that was broken off says nothing");
    });
}

fn spawn(driver: PathBuf) -> Spawn {
    let mut spawn = Spawn::new(binary("worker"));
    spawn.allow_software = true;
    spawn.env = vec![("VK_ICD_FILENAMES".into(), driver.into())];
    spawn
}

/// Runs both suites on the driver described by `driver` and returns the class that computed.
fn check(driver: PathBuf) -> Class {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (mut worker, ready) =
            Worker::spawn(&spawn(driver)).await.expect("the driver opens in the worker");
        let class = ready.adapter.class();
        check_integers(&mut worker, &class).await;
        check_search(&mut worker, &class).await;
        worker.kill().await;
        class
    })
}

async fn check_integers(worker: &mut Worker, class: &Class) {
    let (program, sources) = jobs::conformance::program();
    worker.load(&program, &sources, LOAD_WITHIN).await.expect("the kernels compile");
    let cases = jobs::conformance::cases();
    let slices = cases.iter().map(|case| (case.inputs.clone(), case.params.clone()));
    let outputs = compute(worker, slices.collect()).await;
    for answer in jobs::conformance::judge(&outputs) {
        assert!(answer.right, "{class} computes {} wrongly", answer.kernel);
    }
    for (case, output) in cases.iter().zip(&outputs) {
        assert_eq!(Hash::of(output), case.digest, "{class}: every byte of the case {:08x}", case.params[0]);
    }
}

async fn check_search(worker: &mut Worker, class: &Class) {
    let sky = Synthetic { channels: 16_384, tones: 2, ..Synthetic::default() };
    let options = Options { tile: Some(1024), ..Options::default() };
    let package = jobs::search::package(&sky.generate().0, &options).expect("a small search");
    worker.load(&package.program, &package.sources, LOAD_WITHIN).await.expect("the search compiles");
    let vectors = &package.vectors[..VECTORS];
    let slices = vectors.iter().map(|vector| {
        let plan = &package.units[vector.unit as usize].slices[vector.slice as usize];
        (package.inputs(plan).expect("inputs of its own slices"), plan.params.clone())
    });
    let outputs = compute(worker, slices.collect()).await;
    for (vector, output) in vectors.iter().zip(&outputs) {
        assert_eq!(Hash::of(output), vector.digest, "{class}: slice {} of the search", vector.slice);
    }
}

async fn compute(worker: &mut Worker, slices: Vec<(Vec<Vec<u8>>, Vec<u32>)>) -> Vec<Vec<u8>> {
    let jobs = (0_u8..).zip(slices).map(|(n, (inputs, params))| SliceJob {
        slice: SliceId([n; 32]),
        inputs,
        params,
    });
    let outputs =
        run_slices(worker, jobs, Pace::AWAY, SLICE_WITHIN, |_, _| {}).await.expect("every slice ends");
    outputs.into_iter().map(|output| output.output).collect()
}
