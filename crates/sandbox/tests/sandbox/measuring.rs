//! The measurements that the app and `cargo xtask bench` show are taken here once in small.

use std::time::{Duration, Instant};

use protocol::frames::Pace;
#[cfg(unix)]
use sandbox::measure::hand_back::kills;
#[cfg(target_os = "linux")]
use sandbox::measure::hand_back::releases;
use sandbox::measure::hand_back::{Busy, Moments};
use sandbox::measure::slicing_overhead;

use crate::common::{say, software};

#[tokio::test]
async fn the_device_is_given_back_before_the_worker_would_be_killed() {
    let Some(spawn) = software().await else { return };
    let mut busy = Busy::start(&spawn, Pace::AWAY).await.expect("a worker computes");
    let mut free = Vec::new();
    for pause in Moments::default().take(20) {
        tokio::time::sleep(pause).await;
        free.push(busy.take_back(Instant::now()).await.expect("it is given back").free());
        busy.give_back();
    }
    busy.end().await;
    free.sort();
    say(&format!("free after {:?} (median), {:?} (worst)", free[10], free[19]));
    // The promise of 50 ms at the 99th percentile is held by the bench on a quiet machine. This one also runs other tests,
    // which may keep a processor for a while; what holds everywhere is the median, and the hard kill.
    assert!(free[10] < Duration::from_millis(50), "the median is {:?}", free[10]);
    assert!(free[19] < Duration::from_secs(2), "the worst is {:?}, DESIGN.md §1 kills at 2 s", free[19]);
}

#[cfg(unix)]
#[tokio::test]
async fn a_worker_that_cannot_answer_is_gone_within_two_seconds() {
    let Some(spawn) = software().await else { return };
    let took = kills(&spawn, Pace::AWAY, 2).await.expect("it measures");
    assert!(took.iter().all(|t| *t >= Duration::from_millis(250)), "each had its time to answer: {took:?}");
    assert!(took.iter().all(|t| *t < Duration::from_secs(2)), "DESIGN.md §1, hard kill: {took:?}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_memory_of_the_device_is_given_back_within_a_second() {
    let Some(spawn) = software().await else { return };
    let took = releases(&spawn, Pace::AWAY, 3).await.expect("it measures");
    say(&format!("memory back after {took:?}"));
    // The promise of one second is held by the bench with the worker as shipped; this one is not optimised.
    assert!(took.iter().all(|t| *t < Duration::from_secs(5)), "the memory stays: {took:?}");
}

#[tokio::test]
async fn the_cost_of_slicing_is_measured_in_both_configurations() {
    let Some(spawn) = software().await else { return };
    let measured = slicing_overhead(&spawn, Pace::AWAY, 1).await.expect("it measures");
    say(&format!(
        "overhead {:.3}, sliced {:?} s, whole {:?} s",
        measured.overhead, measured.sliced, measured.whole
    ));
    assert_eq!((measured.sliced.len(), measured.whole.len()), (1, 1));
    assert!(
        measured.overhead > -0.5 && measured.overhead < 1.0,
        "pieces cost neither nothing nor as much again"
    );
}
