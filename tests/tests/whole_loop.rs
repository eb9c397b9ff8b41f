//! The whole loop as one test: a publisher pays for a search, an idle desktop computes it in the worker, the coordinator
//! audits it, a signed receipt, an epoch's root on the chain, a withdrawal without gas to an outside address.

use serde_json::Value;
use world::{PATIENCE, World};

const PASSPHRASE: &str = "correct horse battery staple lantern";

fn units(text: &Value) -> u128 {
    let text = text.as_str().expect("an amount is text");
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{part:0<18}").parse().expect("digits")
}

/// Asks for the wallet page until `wanted` holds of it. Each answer needs a round trip to the chain, so nothing spins.
fn wallet_until(contributor: &world::Contributor, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let wallet = contributor.wallet();
        if wanted(&wallet) {
            return wallet;
        }
        assert!(std::time::Instant::now() < deadline, "the wallet never got there: {wallet}");
    }
}

fn assert_identity(wallet: &Value) {
    let b = &wallet["balance"];
    let part = |name: &str| units(&b[name]);
    assert_eq!(
        part("earned_here") + part("earned_elsewhere") + part("received"),
        part("balance") + part("withdrawn") + part("fees") + part("pending"),
        "the balance identity holds to the last digit: {b}"
    );
}

#[test]
fn work_becomes_money_in_an_outside_address() {
    let world = World::start();
    let (recording, tones) = world.recording(16_384, 7);
    let publication = world.publish(&recording);
    let home = world.contributor("home");
    home.tell(&["wallet", "create", "--passphrase-fd", "0"], Some(PASSPHRASE));

    let answer =
        publication.lines().wait(|line| line["hits"].is_array()).expect("the publisher gets its hits");
    let wanted = tones["tones"].as_array().expect("the tones").len();
    assert_eq!(
        answer["hits"].as_array().map(Vec::len),
        Some(wanted),
        "every tone is found, nothing else: {answer}"
    );
    assert!(answer["job"]["audits"].as_u64() >= Some(16), "every new unit is audited in 16 slices: {answer}");

    let payable = wallet_until(&home, |wallet| {
        wallet["balance"].is_object()
            && units(&wallet["balance"]["balance"]) > 0
            && units(&wallet["balance"]["pending"]) == 0
    });
    assert_identity(&payable);
    let outside = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
    assert_eq!(world.tokens_of(outside), 0, "the outside address starts empty");
    let (code, _, complaint) = home.try_tell(
        &["wallet", "withdraw", "--to", outside, "--amount", "0.01", "--passphrase-fd", "0"],
        Some("not the passphrase at all"),
    );
    assert_ne!(code, 0, "a wrong passphrase signs nothing");
    assert!(!complaint.is_empty(), "and says so");
    home.tell(
        &["wallet", "withdraw", "--to", outside, "--amount", "0.011", "--wait", "--passphrase-fd", "0"],
        Some(PASSPHRASE),
    );
    assert_eq!(
        world.tokens_of(outside),
        10_000_000_000_000_000,
        "what was typed, less the fee of 0.001, arrives exactly"
    );
    let after = wallet_until(&home, |wallet| wallet["withdrawals"][0]["state"] == "final");
    assert_identity(&after);
    let coordinator = world.coordinator_status();
    assert_eq!(coordinator["books_agree"], true, "a recount of the coordinator's ledger agrees");
}

#[test]
fn an_agent_killed_between_signing_and_sending_sends_once() {
    let mut world = World::start();
    let (recording, _) = world.recording(8_192, 8);
    let publication = world.publish(&recording);
    let mut home = world.contributor("home");
    home.tell(&["wallet", "create", "--passphrase-fd", "0"], Some(PASSPHRASE));
    publication.lines().wait(|line| line["hits"].is_array()).expect("the job is done");
    wallet_until(&home, |wallet| {
        wallet["balance"].is_object()
            && units(&wallet["balance"]["balance"]) > 0
            && units(&wallet["balance"]["pending"]) == 0
    });
    let outside = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC";
    // The relayer is down: the withdrawal is signed and saved, and cannot be sent.
    let quote_first = home.wallet();
    assert!(quote_first["fee"].is_string(), "the fee is known before the relayer goes away");
    world.kill_coordinator();
    let (code, _, complaint) = home.try_tell(
        &["wallet", "withdraw", "--to", outside, "--amount", "0.006", "--passphrase-fd", "0"],
        Some(PASSPHRASE),
    );
    assert_eq!(code, 0, "a signed withdrawal is accepted while the relayer is away: {complaint}");
    assert_eq!(home.wallet()["withdrawals"][0]["state"], "signed", "it waits, saved");
    home.kill();
    world.start_coordinator();
    home.restart();
    let after = wallet_until(&home, |wallet| wallet["withdrawals"][0]["state"] == "final");
    assert_eq!(world.tokens_of(outside), 5_000_000_000_000_000, "it was sent once, not twice");
    assert_eq!(
        after["withdrawals"].as_array().map(Vec::len),
        Some(1),
        "and there is one withdrawal in the book"
    );
    assert_identity(&after);
}
