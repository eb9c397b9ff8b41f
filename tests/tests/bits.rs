//! Push tier: the signal search gives the same bits on the worker's device as on the processor, whatever its shape.
//!
//! The definition stands behind both: `jobs` compares its native kernel with it. Here a slice of every kind of shape
//! goes through the worker as a contributor would compute it. Which device that is, the environment says
//! (`VK_ICD_FILENAMES`); the default of the tests is lavapipe.

use std::time::Duration;

use jobs::search::{self, Shape, SliceHead};
use protocol::frames::Pace;
use protocol::id::SliceId;
use sandbox::{SliceJob, Spawn, Worker, find_worker, run_slices};
use world::software_driver;

/// Levels in which every cell differs from its neighbours, the largest and the smallest among them.
fn levels(shape: &Shape, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    let mut level = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        match state % 16 {
            0 => 0,
            1 => u16::MAX,
            _ => (state >> 8) as u16,
        }
    };
    (0..shape.input_bytes() / 2).flat_map(|_| level().to_le_bytes()).collect()
}

#[test]
fn the_device_gives_the_bits_of_the_processor_for_every_shape_of_a_search() {
    let mut spawn = Spawn::new(find_worker().expect("the worker is built with the tests"));
    spawn.allow_software = true;
    if std::env::var_os("VK_ICD_FILENAMES").is_none() {
        spawn.env.push(("VK_ICD_FILENAMES".into(), software_driver().into()));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (mut worker, ready) = Worker::spawn(&spawn).await.expect("a device that can compute");
        // Two spectra, powers of two and what lies beside them, one tree and many, drifts below one tree and beyond it.
        let shapes =
            [(64, 1, 2), (64, 9, 3), (128, 7, 4), (64, 20, 5), (128, 15, 16), (320, 40, 16), (64, 33, 17)];
        for (tile, max_shift, spectra) in shapes.into_iter().chain([(64, 3, 40), (64, 70, 64)]) {
            let shape = Shape::new(tile, max_shift, spectra).expect("a shape within its bounds");
            let program = shape.program("bits", "compares the device with the processor");
            worker
                .load(&program, &shape.sources(), Duration::from_secs(120))
                .await
                .expect("an admitted program");
            for (seed, valid) in [(spectra, tile), (tile + 1, tile - 5)] {
                let head = SliceHead {
                    shape,
                    valid,
                    first_channel: 0,
                    threshold_sum: 1,
                    median_sum: 0,
                    spread_256ths: 256,
                    frequency_millihertz: 1,
                    channel_nanohertz: 1,
                    descending: true,
                    tsamp_ns: 1,
                };
                let (input, params) = (levels(&shape, seed), head.to_words());
                let native = search::reference(&input, &params).expect("a valid slice");
                let job = SliceJob { slice: SliceId([1; 32]), inputs: vec![input], params };
                let limit = Duration::from_secs(120);
                let outputs = run_slices(&mut worker, [job], Pace::AWAY, limit, |_, _| {}).await;
                let outputs = outputs.expect("the worker computes the slice");
                assert_eq!(
                    outputs[0].output, native,
                    "{} channels, {max_shift} channels of drift, {spectra} spectra on {}",
                    tile, ready.adapter.name
                );
            }
        }
        worker.kill().await;
    });
}
