//! From mature credit to a withdrawal on its way.

use coordinator::EpochOutcome;
use protocol::id::Hash;
use protocol::units::BaseUnits;
use protocol::wire::{
    Accepted, Bind, EpochList, EpochNotice, RefusalCode, Relay, Relayed, WithdrawIntent, hashed_device,
};
use settlement::{Address, Amount, BindNode, ClaimTree, Hash32, Signer, Withdraw};

use crate::world::{DEPOSIT, Device, FEE, MATURITY_MILLIS, PRICE, World, code, key};

pub(crate) fn bind_of(world: &World, device: &Device, wallet: &Signer, issued: u64) -> Bind {
    let typed = BindNode {
        node_id: Hash32(device.id().0),
        payout: wallet.address(),
        issued_at: issued,
        expires_at: issued + 600,
        nonce: issued,
    };
    let signature = typed.sign(world.terms.contracts(), wallet).expect("a key");
    Bind {
        coordinator: key(1).coordinator(),
        nonce: world.nonce(),
        sent_at: world.now(),
        payout: wallet.address().to_string(),
        issued_at_seconds: issued,
        expires_at_seconds: issued + 600,
        wallet_signature: signature.0.to_vec(),
    }
}

pub(crate) async fn bind(
    world: &World,
    device: &Device,
    bind: Bind,
) -> Result<Accepted, protocol::wire::Refusal> {
    world.say(&device.key, "/v1/bind", bind).await
}

pub(crate) async fn notice(world: &World) -> EpochNotice {
    let bytes = world.get("/v1/epoch").await.expect("always there");
    let envelope = protocol::sign::Envelope::from_bytes::<EpochNotice>(&bytes).expect("an envelope");
    envelope.verify(&world.network, &key(1).public()).expect("signed").into_message()
}

pub(crate) async fn list(world: &World, notice: &EpochNotice) -> EpochList {
    let bytes = world.get(&format!("/v1/blob/{}", notice.list)).await.expect("published");
    assert_eq!(Hash::of(&bytes), notice.list);
    protocol::cbor::decode(&bytes, bytes.len()).expect("a list")
}

/// The tree as an app rebuilds it from the published list.
fn tree(list: &EpochList) -> ClaimTree {
    let mut sums = std::collections::BTreeMap::new();
    for row in &list.rows {
        let account = Address::parse_checksummed(&row.account).expect("an account").address;
        *sums.entry(account).or_insert(0) += row.cumulative.0;
    }
    ClaimTree::new(sums.into_iter().map(|(a, n)| (a, Amount::from_base_units(n)))).expect("a tree")
}

/// A device with one paid, mature unit and a bound wallet, and its epoch active.
async fn earned() -> (World, Device, Signer) {
    let world = World::new([4, 2, 1]).await;
    world.publish(3).await;
    let mut device = Device::enrolled(&world, 10).await;
    let wallet = Signer::random();
    bind(&world, &device, bind_of(&world, &device, &wallet, world.now().0 / 1000)).await.expect("bound");
    device.work(&world, |_| false).await;
    world.pass(MATURITY_MILLIS);
    world.running().close_epoch_now().await.expect("closed");
    world.running().settle_now().await.expect("proposed and activated");
    (world, device, wallet)
}

pub(crate) fn order(world: &World, wallet: &Signer, list: &EpochList, amount: u128, nonce: u64) -> Relay {
    let tree = tree(list);
    let cumulative = tree.cumulative(wallet.address()).expect("in the tree");
    let deadline = world.now().0 / 1000 + 3600;
    let to = Address::from_bytes([9; 20]);
    let typed = Withdraw {
        account: wallet.address(),
        to,
        amount: Amount::from_base_units(amount),
        fee: Amount::from_base_units(FEE.0),
        relayer: Some(world.relayer.address()),
        nonce,
        deadline,
    };
    let signature = typed.sign(world.terms.contracts(), wallet).expect("a key");
    let proof = tree.proof(wallet.address()).expect("in the tree");
    Relay {
        coordinator: key(1).coordinator(),
        nonce: world.nonce(),
        sent_at: world.now(),
        intent: WithdrawIntent {
            account: wallet.address().to_string(),
            to: to.to_string(),
            amount: BaseUnits(amount),
            fee: FEE,
            relayer: world.relayer.address().to_string(),
            nonce,
            deadline_seconds: deadline,
        },
        signature: signature.0.to_vec(),
        cumulative: BaseUnits(cumulative.as_u128().expect("small")),
        proof: proof.iter().map(|hash| Hash(hash.0)).collect(),
    }
}

pub(crate) async fn relay(
    world: &World,
    device: &Device,
    relay: Relay,
) -> Result<Relayed, protocol::wire::Refusal> {
    world.say(&device.key, "/v1/relay", relay).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_lists_mature_credit_and_its_root_is_rebuilt_from_the_list() {
    let (world, device, wallet) = earned().await;
    let notice = notice(&world).await;
    assert_eq!((notice.epoch, notice.active), (1, true));
    assert_eq!(notice.total.0, 64 * PRICE.0);
    assert_eq!(
        (notice.relayer.as_str(), notice.withdrawal_fee),
        (&*world.relayer.address().to_string(), FEE)
    );
    let list = list(&world, &notice).await;
    assert_eq!(list.rows[0].device, hashed_device(&device.id()), "the device finds its row");
    assert_eq!(tree(&list).root().0, notice.root.0, "anyone can rebuild the root");
    assert_eq!(tree(&list).cumulative(wallet.address()).and_then(|a| a.as_u128()), Some(64 * PRICE.0));
    let proposal = world.chain.with(|chain| chain.proposals[0].clone());
    assert_eq!(proposal.list, notice.list);
    let spent: u128 = proposal.spends.iter().map(|(_, spent)| spent.0).sum();
    assert!(spent >= notice.total.0, "the distributor pays no more than was attested as spent");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_waits_for_maturity_for_a_binding_and_for_the_epoch_before() {
    let world = World::new([4, 2, 1]).await;
    world.publish(3).await;
    let mut device = Device::enrolled(&world, 10).await;
    device.work(&world, |_| false).await;
    let running = world.running();
    assert_eq!(running.close_epoch_now().await.expect("it runs"), EpochOutcome::NothingMature);
    world.pass(MATURITY_MILLIS);
    assert_eq!(running.close_epoch_now().await.expect("it runs"), EpochOutcome::NothingMature, "not bound");
    let wallet = Signer::random();
    bind(&world, &device, bind_of(&world, &device, &wallet, world.now().0 / 1000)).await.expect("bound");
    let closed = running.close_epoch_now().await.expect("it runs");
    assert!(matches!(closed, EpochOutcome::Closed { epoch: 1, .. }), "{closed:?}");
    assert_eq!(running.close_epoch_now().await.expect("it runs"), EpochOutcome::PreviousPending { epoch: 1 });
    running.settle_now().await.expect("proposed and activated");
    assert_eq!(running.close_epoch_now().await.expect("it runs"), EpochOutcome::NothingMature, "listed once");
    let ledger = running.ledger().await.expect("it runs");
    assert_eq!(ledger.totals, ledger.recounted);
    assert_eq!((ledger.totals.provisional.0, ledger.totals.payable.0), (0, 64 * PRICE.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_that_was_closed_before_a_restart_is_proposed_after_it() {
    let mut world = World::new([4, 2, 1]).await;
    world.publish(1).await;
    let mut device = Device::enrolled(&world, 10).await;
    let wallet = Signer::random();
    bind(&world, &device, bind_of(&world, &device, &wallet, world.now().0 / 1000)).await.expect("bound");
    device.work(&world, |_| false).await;
    world.pass(MATURITY_MILLIS);
    world.running().close_epoch_now().await.expect("closed");
    world.chain.with(|chain| assert!(chain.proposals.is_empty()));
    world.restart().await;
    world.running().settle_now().await.expect("the chain is in reach");
    world.running().settle_now().await.expect("the chain is in reach");
    assert!(notice(&world).await.active);
    world.chain.with(|chain| assert_eq!(chain.proposals.len(), 1, "proposed once"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binding_needs_the_wallets_own_signature_or_time() {
    let world = World::new([4, 2, 1]).await;
    world.publish(2).await;
    let mut device = Device::enrolled(&world, 10).await;
    let (wallet, other) = (Signer::random(), Signer::random());
    let issued = world.now().0 / 1000;
    let mut forged = bind_of(&world, &device, &wallet, issued);
    forged.payout = other.address().to_string();
    assert_eq!(code(bind(&world, &device, forged).await), RefusalCode::Signature);
    let mut careless = bind_of(&world, &device, &wallet, issued);
    careless.payout = careless.payout.to_lowercase();
    assert_eq!(code(bind(&world, &device, careless).await), RefusalCode::Signature, "no checksum");
    let mut expired = bind_of(&world, &device, &wallet, issued);
    expired.expires_at_seconds = issued;
    assert_eq!(code(bind(&world, &device, expired).await), RefusalCode::Expired);

    // An address that cannot sign is taken by the device's word alone, but not at once.
    let mut outside = bind_of(&world, &device, &wallet, issued);
    outside.wallet_signature.clear();
    bind(&world, &device, outside).await.expect("taken in");
    device.work(&world, |_| false).await;
    world.pass(MATURITY_MILLIS - 1);
    assert_eq!(world.running().close_epoch_now().await.expect("it runs"), EpochOutcome::NothingMature);
    world.pass(1);
    let closed = world.running().close_epoch_now().await.expect("it runs");
    assert!(matches!(closed, EpochOutcome::Closed { .. }), "{closed:?}");
    world.running().settle_now().await.expect("in reach");

    // A change to another wallet waits too, and what was earned before stays where it was.
    bind(&world, &device, bind_of(&world, &device, &other, world.now().0 / 1000)).await.expect("taken in");
    device.work(&world, |_| false).await;
    world.pass(MATURITY_MILLIS);
    world.running().close_epoch_now().await.expect("it runs");
    world.running().settle_now().await.expect("in reach");
    let list = list(&world, &notice(&world).await).await;
    for account in [&wallet, &other] {
        let due = tree(&list).cumulative(account.address()).and_then(|a| a.as_u128());
        assert_eq!(due, Some(64 * PRICE.0), "nothing is listed under two accounts");
    }
    let late = bind_of(&world, &device, &wallet, issued + 1);
    let late = Bind { expires_at_seconds: u64::MAX / 2000, wallet_signature: Vec::new(), ..late };
    assert_eq!(code(bind(&world, &device, late).await), RefusalCode::Malformed, "an older binding");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_is_sent_once_and_asked_again_gets_the_same_answer() {
    let (mut world, device, wallet) = earned().await;
    let list = list(&world, &notice(&world).await).await;
    let first = order(&world, &wallet, &list, 1000, 1);
    let sent = relay(&world, &device, first.clone()).await.expect("a good order");
    let again = Relay { nonce: world.nonce(), ..first.clone() };
    assert_eq!(relay(&world, &device, again).await.expect("the same order").transaction, sent.transaction);
    assert_eq!(code(relay(&world, &device, first.clone()).await), RefusalCode::Replay, "the same request");
    let other = order(&world, &wallet, &list, 2000, 1);
    assert_eq!(
        code(relay(&world, &device, other).await),
        RefusalCode::Withdrawal,
        "another order, same nonce"
    );
    world.chain.with(|chain| assert_eq!(chain.sent.len(), 1));
    world.restart().await;
    let again = Relay { nonce: world.nonce(), sent_at: world.now(), ..first };
    assert_eq!(relay(&world, &device, again).await.expect("after a restart").transaction, sent.transaction);
    world.chain.with(|chain| chain.used.push((wallet.address().to_string(), 1)));
    world.running().settle_now().await.expect("in reach");
    let before = world.chain.with(|chain| chain.sent.len());
    world.running().settle_now().await.expect("in reach");
    world.chain.with(|chain| assert_eq!(chain.sent.len(), before, "a settled withdrawal is not sent again"));
    let distinct: std::collections::BTreeSet<Vec<u8>> =
        world.chain.with(|c| c.sent.iter().cloned().collect());
    assert_eq!(distinct.len(), 1, "whatever was sent again was the same transaction");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_that_could_not_be_sent_is_sent_after_a_restart() {
    let (mut world, device, wallet) = earned().await;
    let list = list(&world, &notice(&world).await).await;
    world.chain.with(|chain| chain.unreachable = true);
    let answer =
        relay(&world, &device, order(&world, &wallet, &list, 1000, 1)).await.expect("kept, then sent");
    world.chain.with(|chain| assert!(chain.sent.is_empty()));
    world.restart().await;
    world.chain.with(|chain| chain.unreachable = false);
    world.running().settle_now().await.expect("in reach");
    let sent = world.chain.with(|chain| chain.sent.clone());
    assert_eq!(Hash::of(&sent[0]), answer.transaction, "the transaction that was promised");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_that_does_not_fit_is_refused_before_anything_is_kept() {
    let (world, device, wallet) = earned().await;
    let list = list(&world, &notice(&world).await).await;
    let good = || order(&world, &wallet, &list, 1000, 1);
    let check = |change: fn(&mut Relay), why: &'static str| {
        let mut wrong = good();
        change(&mut wrong);
        let (world, device) = (&world, &device);
        async move {
            assert_eq!(code(relay(world, device, wrong).await), RefusalCode::Withdrawal, "{why}");
        }
    };
    check(|r| r.intent.fee.0 -= 1, "another fee than published").await;
    check(|r| r.intent.amount.0 += 1, "not what was signed").await;
    check(|r| r.intent.to = Address::from_bytes([8; 20]).to_string(), "another recipient").await;
    check(|r| r.intent.relayer = Address::from_bytes([8; 20]).to_string(), "another relayer").await;
    check(|r| r.cumulative.0 += 1, "not in the tree").await;
    check(|r| r.proof.push(Hash([0; 32])), "a proof to nowhere").await;
    check(|r| r.intent.deadline_seconds = 1, "past its deadline").await;
    let too_much = order(&world, &wallet, &list, 64 * PRICE.0, 1);
    assert_eq!(code(relay(&world, &device, too_much).await), RefusalCode::Withdrawal, "no room for the fee");
    world.chain.with(|chain| chain.refuse = Some("ExceedsClaimable".into()));
    assert_eq!(code(relay(&world, &device, good()).await), RefusalCode::Withdrawal, "the chain would refuse");
    world.chain.with(|chain| chain.refuse = None);
    relay(&world, &device, good()).await.expect("a refused order leaves its nonce free");
    world.chain.with(|chain| assert_eq!(chain.sent.len(), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn payments_on_the_chain_are_booked_and_a_refund_holds_the_jobs() {
    let (world, mut device, _) = earned().await;
    world.chain.with(|chain| chain.paid = BaseUnits(1500));
    world.running().settle_now().await.expect("in reach");
    let ledger = world.running().ledger().await.expect("it runs");
    assert_eq!((ledger.totals.claimed.0, ledger.totals.payable.0), (1500, 64 * PRICE.0 - 1500));
    assert_eq!(ledger.totals.deposits, DEPOSIT);
    let (answer, _) = device.beat(&world, true).await;
    assert_eq!(answer.no_work, None, "two units are still open");
    let left = ledger.totals.fees.0 + ledger.totals.payable.0 + ledger.totals.claimed.0;
    let refunded = BaseUnits(left + 64 * PRICE.0 * 2);
    world.chain.with(|chain| chain.deposits.values_mut().for_each(|d| *d = refunded));
    world.running().settle_now().await.expect("what is out is still covered");
    let ledger = world.running().ledger().await.expect("it runs");
    assert_eq!(ledger.totals.deposits, refunded);
    assert_eq!(ledger.totals, ledger.recounted);
    let (_, leases) = device.beat(&world, true).await;
    assert_eq!(leases.len(), 1, "no new lease from a job that is held, the old one stands");
}
