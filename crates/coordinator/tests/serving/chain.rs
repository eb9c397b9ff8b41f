//! The same loop with the real distributor on a development chain.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use coordinator::treasury::{ChainTreasury, NetRpc, Terms, Treasury};
use network::{MemoryJournal, Net};
use protocol::profile::{ChainProfile, Profile};
use protocol::wire::Relay;
use settlement::deploy::{DistributorParameters, deploy_local};
use settlement::devchain::{Anvil, AnvilOptions, advance, find_anvil, mine, set_coin_balance};
use settlement::{Address, Amount, Chain, Rpc, Signer, Tag, calls};

use crate::money::{bind, bind_of, list, notice, order, relay};
use crate::world::{DEPOSIT, Device, FEE, MATURITY_MILLIS, PRICE, World};

#[expect(clippy::print_stderr, reason = "what a run leaves out must be said where the run is read")]
fn anvil_binary() -> Option<PathBuf> {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../settlement/contracts/node_modules");
    let binary = std::env::var_os("ANVIL_BIN").map(PathBuf::from).or_else(|| find_anvil(&modules));
    if binary.is_none() {
        eprintln!(
            "left out: there is no anvil (set ANVIL_BIN, or run npm ci in crates/settlement/contracts)"
        );
    }
    binary
}

/// Anvil makes a block per transaction, so the receipt is there on the first looks; on a busy machine it may take a
/// while, and after a minute it never comes.
async fn at_once(attempt: u32) -> bool {
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    attempt < 12_000
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_pays_for_work_that_is_withdrawn_without_gas() {
    let Some(binary) = anvil_binary() else { return };
    let home = tempfile::tempdir().expect("a temporary directory");
    let anvil = Anvil::start(&AnvilOptions::new(binary, home.path().to_owned())).expect("anvil starts");
    let net = Net::with_system_clock(Arc::new(MemoryJournal::default()));
    let rpc: Arc<dyn Rpc> = Arc::new(NetRpc::new(net, anvil.url()));
    mine(&*rpc).await.expect("mines");
    let (operator, operator_key, publisher, wallet) = {
        let operator = Signer::random();
        let copy = Signer::from_key(operator.secret_key()).expect("a key");
        (operator, copy, Signer::random(), Signer::random())
    };
    for account in [&operator, &publisher] {
        let coin = Amount::parse_tokens("100").expect("an amount");
        set_coin_balance(&*rpc, account.address(), coin).await.expect("coin");
    }
    let parameters = DistributorParameters {
        admin: publisher.address(),
        guardian: publisher.address(),
        poster: operator.address(),
        challenge_delay: 60,
        refund_delay: 60,
        kept_roots: 3,
        epoch_cap: Amount::parse_tokens("1000").expect("an amount"),
    };
    let supply = Amount::parse_tokens("1000").expect("an amount");
    let contracts = deploy_local(&*rpc, &publisher, supply, &parameters, at_once).await.expect("deploys");
    let chain = Chain::new(Arc::clone(&rpc), contracts.clone());
    let deposit = Amount::from_base_units(DEPOSIT.0);
    for call in [calls::approve(&contracts, deposit), calls::deposit(&contracts, deposit)] {
        chain.transact(&publisher, &call, at_once).await.expect("the publisher pays in");
    }

    let on_chain = |profile: &mut Profile| {
        profile.chain = ChainProfile {
            chain_id: contracts.chain_id,
            token: contracts.token.to_string(),
            distributor: contracts.distributor.to_string(),
            ..profile.chain.clone()
        };
    };
    let treasury: Arc<dyn Treasury> = {
        let mut profile = crate::world::profile();
        on_chain(&mut profile);
        let terms = Terms::new(&profile, operator.address()).expect("checksummed");
        let treasury = ChainTreasury::new(Arc::clone(&rpc), &terms, operator_key);
        treasury.check().await.expect("the shipped distributor");
        Arc::new(treasury)
    };
    let mut world = World::on(operator, publisher.address().to_string(), Some(treasury), on_chain).await;
    let now = chain.block(Tag::Latest).await.expect("a block").at;
    world.clock.store(now * 1000, std::sync::atomic::Ordering::SeqCst);

    assert_eq!(
        world.running().ledger().await.expect("it runs").totals.deposits,
        DEPOSIT,
        "seen on the chain"
    );
    world.publish(1).await;
    let mut device = Device::enrolled(&world, 10).await;
    bind(&world, &device, bind_of(&world, &device, &wallet, now)).await.expect("bound");
    device.work(&world, |_| false).await;
    world.pass(MATURITY_MILLIS);
    world.running().close_epoch_now().await.expect("closed");
    // Proposed now; the activation inside the challenge delay is refused by the contract and tried again later.
    world.restart().await;
    let first = world.running().settle_now().await;
    assert!(!notice(&world).await.active, "the challenge delay holds: {first:?}");
    advance(&*rpc, MATURITY_MILLIS / 1000 + 61).await.expect("time passes");
    world.pass(61_000);
    world.running().settle_now().await.expect("activated");
    let notice = notice(&world).await;
    assert!(notice.active);

    let list = list(&world, &notice).await;
    let order: Relay = order(&world, &wallet, &list, 1000, 1);
    let to: Address = Address::parse_checksummed(&order.intent.to).expect("an address").address;
    relay(&world, &device, order).await.expect("a good order");
    let balance = |account| chain.token_balance(account, Tag::Latest);
    assert_eq!(balance(to).await.expect("a balance").as_u128(), Some(1000), "exactly the amount arrives");
    assert_eq!(balance(world.relayer.address()).await.expect("a balance").as_u128(), Some(FEE.0));
    world.running().settle_now().await.expect("booked");
    let totals = world.running().ledger().await.expect("it runs").totals;
    assert_eq!((totals.claimed.0, totals.payable.0), (1000 + FEE.0, 64 * PRICE.0 - 1000 - FEE.0));
}
