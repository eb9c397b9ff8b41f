//! The wallet on a real chain (anvil) with the real contracts: what it sees is proven, what it signs is carried out to
//! the last unit. Needs the anvil binary (env ANVIL_BIN, or `npm ci` in crates/settlement/contracts, which xtask does);
//! without one these tests say that they are left out.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail by panicking")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use network::{MemoryJournal, Net, Purpose, Request};
use protocol::id::{DeviceId, Hash, NetworkId};
use protocol::units::{BaseUnits, UnixMillis};
use protocol::wire::{EpochList, EpochNotice, EpochRow, hashed_device};
use settlement::deploy::{DistributorParameters, deploy_local};
use settlement::devchain::{Anvil, AnvilOptions, advance, find_anvil, mine, set_coin_balance};
use settlement::{
    Address, Amount, Call, Chain, ChainError, ClaimTree, Contracts, Hash32, Rpc, RpcError, RpcFuture,
    Signature, Signer, Spend, Tag, TxHash, Withdraw, calls, rpc,
};
use wallet::{
    Command, Finality, Happened, RelayOrder, Settings, State, Strength, VaultError, Wallet, WordCount,
};

const PASS: &str = "six words of my own choosing";
const DEVICE: DeviceId = DeviceId([6; 32]);
const DELAY: u32 = 60;

/// JSON-RPC through the network room, as in the agent.
struct OverNet {
    net: Net,
    url: String,
}

impl Rpc for OverNet {
    fn call<'a>(&'a self, method: &'a str, params: serde_json::Value) -> RpcFuture<'a> {
        Box::pin(async move {
            let body = rpc::request(1, method, &params);
            let request = Request::post(Purpose::ChainRpc, method, self.url.clone(), body)
                .header("content-type", "application/json")
                .max_answer_bytes(16 * 1024 * 1024);
            let answer =
                self.net.request(request).await.map_err(|error| RpcError::Transport(error.to_string()))?;
            rpc::parse_response(1, &answer.body)
        })
    }
}

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

fn tokens(text: &str) -> Amount {
    Amount::parse_tokens(text).unwrap()
}

/// Anvil makes a block per transaction, so the receipt is there on the first looks; on a busy machine it may take a
/// while, and after a minute it never comes.
async fn at_once(attempt: u32) -> bool {
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    attempt < 12_000
}

struct Stage {
    _anvil: Anvil,
    _home: tempfile::TempDir,
    wallet_home: tempfile::TempDir,
    rpc: Arc<dyn Rpc>,
    chain: Chain,
    operator: Signer,
}

impl Stage {
    async fn new() -> Option<Self> {
        let binary = anvil_binary()?;
        let home = tempfile::tempdir().unwrap();
        let anvil = Anvil::start(&AnvilOptions::new(binary, home.path().to_owned())).unwrap();
        let net = Net::with_system_clock(Arc::new(MemoryJournal::default()));
        let rpc: Arc<dyn Rpc> = Arc::new(OverNet { net, url: anvil.url() });
        mine(&*rpc).await.unwrap();
        let operator = Signer::random();
        set_coin_balance(&*rpc, operator.address(), tokens("100")).await.unwrap();
        let parameters = DistributorParameters {
            admin: operator.address(),
            guardian: operator.address(),
            poster: operator.address(),
            challenge_delay: DELAY,
            refund_delay: 3600,
            kept_roots: 3,
            epoch_cap: tokens("1000"),
        };
        let contracts = deploy_local(&*rpc, &operator, tokens("1000"), &parameters, at_once).await.unwrap();
        let chain = Chain::new(Arc::clone(&rpc), contracts);
        let wallet_home = tempfile::tempdir().unwrap();
        Some(Self { _anvil: anvil, _home: home, wallet_home, rpc, chain, operator })
    }

    fn settings(&self, chain: Chain) -> Settings {
        Settings {
            dir: self.wallet_home.path().to_owned(),
            network: NetworkId([5; 32]),
            device: DEVICE,
            chain,
            finality: Finality::Depth(0),
            local: true,
            strength: Strength::LEAST,
        }
    }

    fn open(&self) -> Wallet {
        Wallet::open(self.settings(self.chain.clone()))
    }

    fn contracts(&self) -> &Contracts {
        self.chain.contracts()
    }

    async fn transact(&self, call: &Call) -> TxHash {
        self.chain.transact(&self.operator, call, at_once).await.unwrap().tx
    }

    async fn now(&self) -> UnixMillis {
        UnixMillis(self.chain.block(Tag::Latest).await.unwrap().at * 1000)
    }

    async fn held(&self, account: Address) -> Amount {
        self.chain.token_balance(account, Tag::Latest).await.unwrap()
    }

    /// Deposits, proposes and activates an epoch in which `account` has earned `cumulative` by this device.
    async fn close_epoch(&self, epoch: u64, account: Address, cumulative: &str) -> (EpochNotice, EpochList) {
        let stranger = (DeviceId([9; 32]), Address::from_bytes([9; 20]), tokens("3"));
        let claims = [(DEVICE, account, tokens(cumulative)), stranger];
        let tree = ClaimTree::new(claims.iter().map(|(_, account, amount)| (*account, *amount))).unwrap();
        if epoch == 1 {
            self.transact(&calls::approve(self.contracts(), tokens("500"))).await;
            self.transact(&calls::deposit(self.contracts(), tokens("500"))).await;
        }
        let spends = [Spend { publisher: self.operator.address(), spent: tree.total() }];
        let manifest = Hash32::keccak(b"list");
        self.transact(&calls::propose(self.contracts(), epoch, tree.root(), tree.total(), manifest, &spends))
            .await;
        advance(&*self.rpc, DELAY.into()).await.unwrap();
        self.transact(&calls::activate(self.contracts())).await;

        let units = |amount: Amount| BaseUnits(amount.as_u128().unwrap());
        let mut rows: Vec<EpochRow> = claims
            .iter()
            .map(|(device, account, amount)| EpochRow {
                device: hashed_device(device),
                account: account.to_string(),
                cumulative: units(*amount),
            })
            .collect();
        rows.sort_by_key(|row| row.device);
        let notice = EpochNotice {
            epoch,
            root: Hash(*tree.root().as_bytes()),
            total: units(tree.total()),
            list: Hash([0; 32]),
            active: true,
            relayer: self.operator.address().to_string(),
            withdrawal_fee: units(tokens("0.25")),
            at: UnixMillis(0),
        };
        (notice, EpochList { epoch, rows })
    }

    /// What the coordinator's relayer does with an order.
    async fn relay(&self, order: &RelayOrder) -> Result<TxHash, ChainError> {
        let intent = &order.intent;
        let withdraw = Withdraw {
            account: intent.account.parse().unwrap(),
            to: intent.to.parse().unwrap(),
            amount: Amount::from_base_units(intent.amount.0),
            fee: Amount::from_base_units(intent.fee.0),
            relayer: Some(intent.relayer.parse().unwrap()),
            nonce: intent.nonce,
            deadline: intent.deadline_seconds,
        };
        let signature = Signature(order.signature.as_slice().try_into().unwrap());
        let proof: Vec<Hash32> = order.proof.iter().map(|hash| Hash32(hash.0)).collect();
        let cumulative = Amount::from_base_units(order.cumulative.0);
        let call = calls::claim_to(self.contracts(), &withdraw, cumulative, &proof, &signature);
        Ok(self.chain.transact(&self.operator, &call, at_once).await?.tx)
    }

    async fn look(&self, wallet: &mut Wallet) {
        let sight = wallet.look().unwrap().run().await.unwrap();
        wallet.see(sight, self.now().await).unwrap();
    }
}

fn submissions(commands: Vec<Command>) -> Vec<(Hash32, RelayOrder)> {
    let submission = |command| match command {
        Command::Submit { id, order } => Some((id, order)),
        Command::Look(_) => None,
    };
    commands.into_iter().filter_map(submission).collect()
}

#[tokio::test]
async fn earnings_are_withdrawn_to_the_last_unit_and_the_sum_adds_up_on_the_chain() {
    let Some(stage) = Stage::new().await else { return };
    stage.open().setup().unwrap().create(WordCount::TwentyFour, PASS).unwrap();
    let mut wallet = stage.open();
    let account = wallet.address().unwrap();
    stage.look(&mut wallet).await;
    let empty = wallet.balance(tokens("10.5")).unwrap();
    assert_eq!((empty.balance, empty.pending), (Amount::ZERO, tokens("10.5")), "nothing is on the chain yet");

    let (notice, list) = stage.close_epoch(1, account, "10.000000000000000001").await;
    wallet.offer(&notice, &list).unwrap();
    stage.look(&mut wallet).await;
    let earned = wallet.balance(tokens("10.5")).unwrap();
    assert!(earned.adds_up());
    assert_eq!(earned.balance, tokens("10.000000000000000001"));

    let outside = Signer::random().address();
    let now = stage.now().await;
    let quote = wallet.quote(&outside.to_string(), "4", now).unwrap();
    let id = wallet.confirm(quote.id, PASS, now).unwrap();
    let orders = submissions(wallet.drive(now).commands);
    assert_eq!(orders.len(), 1);
    let tx = stage.relay(&orders[0].1).await.unwrap();
    assert_eq!(stage.held(outside).await, tokens("3.75"), "the recipient has exactly what the quote said");

    // The answer never arrives; the agent starts again and hands the same order out again.
    let mut wallet = stage.open();
    wallet.offer(&notice, &list).unwrap();
    let again = submissions(wallet.drive(now).commands);
    assert_eq!(again, orders, "the same order, byte for byte");
    assert!(stage.relay(&again[0].1).await.is_err(), "the chain carries a nonce out once");
    wallet.on(id, Happened::NotRelayed, now).unwrap();
    stage.look(&mut wallet).await;
    let state = wallet.withdrawals()[0].state;
    assert!(matches!(state, State::Final { tx: found, .. } if found == tx), "found on the chain: {state:?}");
    assert_eq!(stage.held(outside).await, tokens("3.75"));

    // A second epoch, everything out.
    let (notice, list) = stage.close_epoch(2, account, "12").await;
    wallet.offer(&notice, &list).unwrap();
    stage.look(&mut wallet).await;
    let now = stage.now().await;
    let quote = wallet.quote(&outside.to_string(), "", now).unwrap();
    assert_eq!(quote.order.nonce, 1);
    wallet.confirm(quote.id, PASS, now).unwrap();
    let orders = submissions(wallet.drive(now).commands);
    let tx = stage.relay(&orders[0].1).await.unwrap();
    wallet.on(quote.id, Happened::Relayed { tx }, now).unwrap();
    stage.look(&mut wallet).await;
    assert!(wallet.withdrawals()[1].state.is_settled());
    assert_eq!(stage.held(outside).await, tokens("11.5"), "all but the two fees");
    let sum = wallet.balance(tokens("12")).unwrap();
    assert!(sum.adds_up());
    assert_eq!((sum.balance, sum.withdrawn, sum.fees), (Amount::ZERO, tokens("11.5"), tokens("0.5")));

    // Somebody sends tokens to the account.
    stage.transact(&calls::transfer(stage.contracts(), account, tokens("7"))).await;
    stage.look(&mut wallet).await;
    let sum = wallet.balance(tokens("12")).unwrap();
    assert!(sum.adds_up());
    assert_eq!((sum.received, sum.held, sum.claimable), (tokens("7"), tokens("7"), Amount::ZERO));
}

#[tokio::test]
async fn order_taken_by_another_copy_of_the_wallet_is_seen_as_replaced() {
    let Some(stage) = Stage::new().await else { return };
    let words = stage.open().setup().unwrap().create(WordCount::Twelve, PASS).unwrap();
    let mut wallet = stage.open();
    let account = wallet.address().unwrap();
    let (notice, list) = stage.close_epoch(1, account, "10").await;
    let typed: Vec<&str> = words.iter().collect();
    let other_home = tempfile::tempdir().unwrap();
    let settings = Settings { dir: other_home.path().to_owned(), ..stage.settings(stage.chain.clone()) };
    Wallet::open(settings.clone()).setup().unwrap().restore(&typed.join(" "), PASS).unwrap();
    let mut other = Wallet::open(settings);
    let outside = Signer::random().address().to_string();
    let now = stage.now().await;
    let mut orders = Vec::new();
    for (copy, amount) in [(&mut wallet, "4"), (&mut other, "5")] {
        copy.offer(&notice, &list).unwrap();
        stage.look(copy).await;
        let quote = copy.quote(&outside, amount, now).unwrap();
        copy.confirm(quote.id, PASS, now).unwrap();
        orders.extend(submissions(copy.drive(now).commands));
    }
    stage.relay(&orders[1].1).await.unwrap();
    assert!(stage.relay(&orders[0].1).await.is_err());
    stage.look(&mut wallet).await;
    stage.look(&mut other).await;
    assert_eq!(wallet.withdrawals()[0].state, State::Replaced);
    assert!(other.withdrawals()[0].state.is_settled() && other.withdrawals()[0].state.is_carried_out());
    assert!(wallet.balance(tokens("10")).unwrap().adds_up());
    let quote = wallet.quote(&outside, "", now).unwrap();
    assert_eq!(
        (quote.total, quote.order.nonce),
        (tokens("5"), 1),
        "what the other copy left, with the next nonce"
    );
}

#[tokio::test]
async fn owner_can_have_an_order_submitted_without_the_relayer() {
    let Some(stage) = Stage::new().await else { return };
    stage.open().setup().unwrap().create(WordCount::Twelve, PASS).unwrap();
    let mut wallet = stage.open();
    let (notice, list) = stage.close_epoch(1, wallet.address().unwrap(), "10").await;
    wallet.offer(&notice, &list).unwrap();
    stage.look(&mut wallet).await;
    let now = stage.now().await;
    let outside = Signer::random().address();
    let quote = wallet.quote(&outside.to_string(), "4", now).unwrap();
    wallet.confirm(quote.id, PASS, now).unwrap();
    let call = wallet.withdrawals()[0].call(stage.contracts());
    let friend = Signer::random();
    set_coin_balance(&*stage.rpc, friend.address(), tokens("1")).await.unwrap();
    let receipt = stage.chain.transact(&friend, &call, at_once).await.unwrap();
    stage.look(&mut wallet).await;
    assert_eq!(wallet.withdrawals()[0].state.tx(), Some(receipt.tx), "the wallet finds it by itself");
    assert_eq!(stage.held(outside).await, tokens("3.75"));
    assert_eq!(
        stage.held(friend.address()).await,
        Amount::ZERO,
        "the fee is the named relayer's, not the friend's"
    );
}

#[tokio::test]
async fn order_past_its_deadline_is_void_on_the_chain_and_in_the_book() {
    let Some(stage) = Stage::new().await else { return };
    stage.open().setup().unwrap().create(WordCount::Twelve, PASS).unwrap();
    let mut wallet = stage.open();
    let (notice, list) = stage.close_epoch(1, wallet.address().unwrap(), "10").await;
    wallet.offer(&notice, &list).unwrap();
    stage.look(&mut wallet).await;
    let now = stage.now().await;
    let outside = Signer::random().address();
    let quote = wallet.quote(&outside.to_string(), "4", now).unwrap();
    wallet.confirm(quote.id, PASS, now).unwrap();
    let orders = submissions(wallet.drive(now).commands);
    advance(&*stage.rpc, 3601).await.unwrap();
    assert!(stage.relay(&orders[0].1).await.is_err(), "the contract refuses it too late");
    stage.look(&mut wallet).await;
    assert_eq!(wallet.withdrawals()[0].state, State::Expired);
    assert_eq!(stage.held(outside).await, Amount::ZERO);
    assert!(wallet.quote(&outside.to_string(), "4", stage.now().await).is_ok(), "the money is still there");
}

#[tokio::test]
async fn nothing_is_priced_against_a_contract_that_is_not_the_shipped_one() {
    let Some(stage) = Stage::new().await else { return };
    stage.open().setup().unwrap().create(WordCount::Twelve, PASS).unwrap();
    // A profile that names the token's contract as the distributor: code, but not ours.
    let honest = stage.contracts();
    let false_contracts = Contracts::with_ember(honest.chain_id, honest.token, honest.token);
    let mut wallet = Wallet::open(stage.settings(Chain::new(Arc::clone(&stage.rpc), false_contracts)));
    let error = wallet.look().unwrap().run().await.unwrap_err();
    assert!(matches!(error, ChainError::WrongCode { .. }), "{error:?}");
    let other_chain = Contracts { chain_id: 1, ..honest.clone() };
    let look = Wallet::open(stage.settings(Chain::new(Arc::clone(&stage.rpc), other_chain))).look().unwrap();
    let error = look.run().await.unwrap_err();
    assert!(matches!(error, ChainError::WrongChain { expected: 1, .. }), "{error:?}");
    let now = stage.now().await;
    wallet.look_failed(now);
    assert!(wallet.quote(&Signer::random().address().to_string(), "1", now).is_err());
    assert!(matches!(wallet.setup(), Err(VaultError::Exists { .. })));
}
