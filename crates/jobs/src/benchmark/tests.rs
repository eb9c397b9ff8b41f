use super::*;

pub(super) fn adapter() -> Adapter {
    Adapter {
        name: "Card".to_owned(),
        backend: "vulkan".to_owned(),
        driver: "driver 1".to_owned(),
        vendor_id: 1,
        device_id: 2,
        software: false,
        max_binding_bytes: 1 << 31,
        memory_bytes: None,
        features: vec![Feature::F16],
    }
}

fn programs() -> Vec<BenchmarkProgram> {
    let speeds = [Speed::Float, Speed::Integer, Speed::Half, Speed::Memory];
    let sized = speeds.iter().flat_map(|speed| [1, 6, 200].map(|size| speed.program(size, &adapter())));
    sized.chain([arrival(&adapter()), departure(), dispatch()]).collect()
}

#[test]
fn every_program_passes_the_checks_of_the_format() {
    for benchmark in programs() {
        benchmark.program.check().unwrap_or_else(|e| panic!("{}: {e}", benchmark.name));
        assert_eq!(benchmark.program.params_len(), benchmark.params.len(), "{}", benchmark.name);
        let sizes: Vec<_> = benchmark.program.input_buffers().map(|b| b.bytes as usize).collect();
        assert_eq!(sizes, benchmark.inputs.iter().map(Vec::len).collect::<Vec<_>>(), "{}", benchmark.name);
        assert_eq!(benchmark.program.modules[0].blob, Hash::of(benchmark.sources[0].as_bytes()));
    }
}

#[test]
fn the_largest_sizes_stay_within_the_format() {
    for speed in [Speed::Float, Speed::Integer, Speed::Half, Speed::Memory] {
        speed.program(u32::MAX, &adapter()).program.check().unwrap_or_else(|e| panic!("{speed:?}: {e}"));
    }
}

#[test]
fn an_output_of_zeros_or_of_another_size_is_not_believed() {
    for benchmark in programs() {
        let zeros = vec![0; benchmark.program.output_bytes() as usize];
        assert!(!benchmark.is_right(&zeros), "{}: no work was done", benchmark.name);
        assert!(!benchmark.is_right(&[]), "{}: nothing came back", benchmark.name);
        assert!(
            !benchmark.is_right(&vec![0xff; zeros.len()]),
            "{}: not a number is no result",
            benchmark.name
        );
    }
}

#[test]
fn a_single_wrong_bit_is_seen_wherever_it_is() {
    let benchmark = Speed::Integer.program(6, &adapter());
    let Answer::Exact(words) = &benchmark.answer else { panic!("integers are compared bit by bit") };
    let words: Vec<u32> = words.iter().copied().cycle().take(1 << 18).collect();
    let mut output = crate::bytes_of(&words);
    assert!(benchmark.is_right(&output), "the whole answer, over and over");
    for at in [0, 77_777, output.len() - 1] {
        output[at] ^= 1;
        assert!(!benchmark.is_right(&output), "byte {at}");
        output[at] ^= 1;
    }
}

#[test]
fn a_rate_is_count_over_time() {
    let copy = Speed::Memory.program(16, &adapter());
    assert_eq!(copy.rate(Duration::from_secs(1)), copy.count_per_run as f64 / 1e9);
}

/// Runs of a made device until the size stands: the number of rounds, and the time of the last run.
fn calibrate(operations_per_s: f64, overhead: Duration) -> (u32, Duration) {
    let target = Duration::from_millis(100);
    let mut size = 1;
    for round in 1.. {
        let took = Duration::from_secs_f64(f64::from(size) * 2.1e9 / operations_per_s) + overhead;
        match resized(size, took, target) {
            Some(next) => size = next,
            None => return (round, took),
        }
        assert!(round < 10, "the size of a device with {operations_per_s} operations/s does not settle");
    }
    unreachable!("the loop has no other end")
}

#[test]
fn a_size_settles_within_a_few_runs_on_every_device() {
    for operations_per_s in [1e8, 1e10, 1e11, 1e12, 1e13, 1e14, 3e14] {
        let (rounds, took) = calibrate(operations_per_s, Duration::from_micros(150));
        assert!(rounds <= 4, "{operations_per_s} operations/s took {rounds} rounds");
        // Where the smallest run takes longer, nothing shorter can be had.
        let slow = operations_per_s < 2e10;
        assert!(
            slow || (50..=200).contains(&took.as_millis()),
            "a run at {operations_per_s} operations/s takes {took:?}"
        );
    }
}
