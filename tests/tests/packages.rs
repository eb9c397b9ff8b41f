//! The drawn and the multiplied: both shipped packages beside the search give, on every driver here, the bits of their
//! native references.
//!
//! Runs through the worker, as in a home, on the software driver of the system and, where `HEARTH_SWIFTSHADER` names the
//! description of SwiftShader, on that as well: an independent second implementation.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jobs::package::Package;
use protocol::frames::Pace;
use protocol::id::{Hash, SliceId};
use protocol::manifest::Validator;
use sandbox::{SliceJob, Spawn, Worker, run_slices};
use world::{leave_out, software_driver};

/// A slice on a busy machine of two cores.
const WITHIN: Duration = Duration::from_secs(120);

/// The drivers to agree with, by name.
fn drivers() -> Vec<(&'static str, PathBuf)> {
    let mut drivers = vec![("lavapipe", PathBuf::from(software_driver()))];
    match std::env::var_os("HEARTH_SWIFTSHADER") {
        Some(description) => drivers.push(("SwiftShader", description.into())),
        None => leave_out("SwiftShader, because HEARTH_SWIFTSHADER does not name its description"),
    }
    drivers
}

async fn worker(driver: &Path, package: &Package) -> Worker {
    let program = sandbox::find_worker().expect("the worker is built: cargo build --package worker");
    let mut spawn = Spawn::new(program);
    spawn.env.retain(|(name, _)| name != "VK_ICD_FILENAMES" && name != "VK_DRIVER_FILES");
    spawn.env.push(("VK_ICD_FILENAMES".into(), driver.into()));
    spawn.allow_software = true;
    spawn.within = WITHIN;
    let (mut worker, _) = Worker::spawn(&spawn).await.expect("the worker starts");
    worker.load(&package.program, &package.sources, WITHIN).await.expect("the program is admitted");
    worker
}

/// The outputs of the package's first `count` known answers, with their inputs and params.
async fn known(driver: &Path, package: &Package, count: usize) -> Vec<(SliceJob, Hash, Vec<u8>)> {
    let mut worker = worker(driver, package).await;
    let jobs: Vec<(SliceJob, Hash)> = package
        .vectors
        .iter()
        .take(count)
        .zip(0_u8..)
        .map(|(vector, name)| {
            let plan = &package.units[vector.unit as usize].slices[vector.slice as usize];
            let inputs = package.inputs(plan).expect("the package holds its inputs");
            let slice = SliceId([name; 32]);
            (SliceJob { slice, inputs, params: plan.params.clone() }, vector.digest)
        })
        .collect();
    let slices = jobs.iter().map(|(job, _)| job.clone());
    let outputs =
        run_slices(&mut worker, slices, Pace::AWAY, WITHIN, |_, _| {}).await.expect("the slices run");
    assert_eq!(outputs.len(), count, "every slice gives an output");
    jobs.into_iter().zip(outputs).map(|((job, digest), output)| (job, digest, output.output)).collect()
}

/// A picture of a few samples: what counts here are the bits, not the noise.
fn picture() -> jobs::rendering::Options {
    jobs::rendering::Options { width: 256, height: 256, samples: 8, ..Default::default() }
}

#[tokio::test]
async fn a_rendered_tile_is_the_same_on_every_driver_and_on_a_processor() {
    for view in [jobs::rendering::View::Room, jobs::rendering::View::Floor] {
        let options = jobs::rendering::Options { view, ..picture() };
        let package = jobs::rendering::package(&options).expect("the picture can be packaged");
        for (name, driver) in drivers() {
            for (job, digest, output) in known(&driver, &package, 8).await {
                let native = jobs::rendering::reference(&job.inputs[0], &job.params).expect("a tile of ours");
                assert_eq!(Hash::of(&native), digest, "the known answer is that of the processor");
                let other = native.iter().zip(&output).filter(|(a, b)| a != b).count();
                assert!(output == native, "{name} gives another tile: {other} of {} bytes", native.len());
            }
        }
    }
}

#[tokio::test]
async fn a_product_is_the_same_on_every_driver_and_on_a_processor_and_passes_its_check() {
    // An inner side that is no multiple of 1024 takes repeats of another length than the usual one.
    for inner in [1024, 704] {
        let matrices = jobs::product::Matrices::from_seed(512, inner, 512, 5);
        let options = jobs::product::Options { block_rows: 64, block_columns: 64, ..Default::default() };
        let package = jobs::product::package(&matrices, &options).expect("the product can be packaged");
        let Validator::Freivalds { rounds, rows, inner, columns } = package.program.validator else {
            panic!("a product is checked by algebra: {:?}", package.program.validator);
        };
        for (name, driver) in drivers() {
            for (job, digest, mut output) in known(&driver, &package, 8).await {
                assert_eq!(
                    Hash::of(&output),
                    digest,
                    "{name} gives the known answer with {inner} terms a sum"
                );
                let holds = |output: &[u8]| {
                    let (left, right) = (&job.inputs[0], &job.inputs[1]);
                    jobs::product::holds(left, right, output, rows, inner, columns, rounds, &[9; 32])
                };
                assert!(holds(&output), "the block of {name} passes its check");
                let last = output.len() - 1;
                output[last] ^= 0x80;
                assert!(!holds(&output), "an error of 2^31 in the last number does not");
            }
        }
    }
}
