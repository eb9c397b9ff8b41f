//! What breaks in the middle: the worker, the coordinator, honesty.

use world::World;

#[test]
fn a_killed_worker_resumes_from_its_checkpoint() {
    let world = World::start();
    let (recording, tones) = world.recording(65_536, 11);
    let publication = world.publish(&recording);
    let home = world.contributor("home");
    // The worker dies when some slices of the bundle are done and some are not.
    let before = home.wait(|event| event["event"] == "slices" && event["done"].as_u64() >= Some(3));
    let workers = home.workers();
    assert_eq!(workers.len(), 1, "one publisher's kernels run in one worker");
    let killed = std::process::Command::new("kill").args(["-KILL", &workers[0].to_string()]).status();
    assert!(killed.expect("kill runs").success(), "the worker was running");
    let after = home.wait(|event| event["event"] == "slices");
    assert!(
        after["done"].as_u64() >= before["done"].as_u64(),
        "finished slices are kept: {before} before the kill, {after} after it"
    );
    let answer =
        publication.lines().wait(|line| line["hits"].is_array()).expect("the job is done all the same");
    assert_eq!(
        answer["hits"].as_array().map(Vec::len),
        tones["tones"].as_array().map(Vec::len),
        "the result is the same as without the kill"
    );
}

#[test]
fn a_coordinator_killed_in_the_middle_loses_no_lease_and_pays_nothing_twice() {
    let mut world = World::start();
    let (recording, _) = world.recording(32_768, 12);
    let publication = world.publish(&recording);
    let home = world.contributor("home");
    home.wait(|event| event["event"] == "slices" && event["done"].as_u64() >= Some(1));
    world.kill_coordinator();
    world.start_coordinator();
    let answer =
        publication.lines().wait(|line| line["hits"].is_array()).expect("the job is done all the same");
    assert_eq!(answer["job"]["accepted"], answer["job"]["slices"], "every slice was accepted once: {answer}");
    let status = world.coordinator_status();
    assert_eq!(status["books_agree"], true, "the ledger agrees with a recount");
    let owed: u128 = ["provisional", "payable", "claimed"]
        .iter()
        .map(|name| status[*name].as_str().and_then(|text| text.parse::<u128>().ok()).expect("a sum"))
        .sum();
    let deposits: u128 = status["deposits"].as_str().and_then(|text| text.parse().ok()).expect("a sum");
    assert!(owed > 0 && owed <= deposits, "work is owed for, and never more than was paid in: {status}");
}
