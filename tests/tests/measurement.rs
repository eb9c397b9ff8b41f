//! The measurement of the card, through the real worker on the device that is here: every program computes what it says,
//! the bar moves on to its end, and a figure comes out of each step.

use std::sync::{Arc, Mutex};

use contributor::benchmark::measure_card_alone;
use protocol::local::{Benchmark, BenchmarkStep, CardReading};
use protocol::manifest::Feature;
use sandbox::{Spawn, find_worker};

#[tokio::test(flavor = "multi_thread")]
async fn every_step_gives_a_figure_that_was_checked_and_the_bar_never_goes_back() {
    let mut spawn = Spawn::new(find_worker().expect("the worker is built with the tests"));
    spawn.allow_software = true;
    let heard: Arc<Mutex<Vec<Benchmark>>> = Arc::default();
    let told = Arc::clone(&heard);
    let began = std::time::Instant::now();
    let outlet = Arc::new(move |progress: contributor::benchmark::BenchProgress| {
        println!("{:?} {:?} {}", began.elapsed(), progress.benchmark.running, progress.benchmark.permille);
        told.lock().unwrap().push(*progress.benchmark);
    });
    // An output that is not right ends the measurement with an error.
    let measured = measure_card_alone(&spawn, outlet).await.expect("the device computes rightly");

    let heard = std::mem::take(&mut *heard.lock().unwrap());
    assert!(heard.windows(2).all(|pair| pair[0].permille <= pair[1].permille), "the bar goes back");
    let mut steps: Vec<BenchmarkStep> = heard.iter().filter_map(|benchmark| benchmark.running).collect();
    steps.dedup();
    let adapter = measured.adapter.expect("a device was opened");
    let half = adapter.features.contains(&Feature::F16);
    let expected = [
        Some(BenchmarkStep::Opening),
        Some(BenchmarkStep::Float),
        Some(BenchmarkStep::Integer),
        half.then_some(BenchmarkStep::Half),
        Some(BenchmarkStep::Memory),
        Some(BenchmarkStep::Transfer),
        Some(BenchmarkStep::Sustained),
    ];
    assert_eq!(steps, expected.into_iter().flatten().collect::<Vec<_>>(), "each step once, in its order");

    for rate in [measured.float, measured.integer, measured.memory] {
        let rate = rate.expect("a rate of every device");
        assert!(rate.best >= rate.median && rate.median > 0.0 && rate.runs > 0, "{rate:?}");
    }
    assert_eq!(
        measured.half.is_some(),
        half,
        "16-bit floats are measured where they are offered, and only there"
    );
    assert!(measured.to_card_gbytes > Some(0.0) && measured.dispatch_micros > Some(0.0));
    let held = measured.held.expect("the speed was held for a time");
    assert!(held.share_percent > 0.0 && held.share_percent <= 100.0, "{held:?}");
    assert!(held.seconds >= 3.0, "{held:?}");
    if adapter.software {
        assert!(
            matches!(held.at_end.celsius, CardReading::Unknown(_)),
            "a processor is not a card with sensors"
        );
    }
}
