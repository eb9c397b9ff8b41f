//! A withdrawal through crashes, lost answers and reorganisations, with the real files and a scripted relayer and
//! chain: whatever happens between confirmation and finality, the recipient is paid once or, past the deadline, not at
//! all.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use proptest::prelude::*;
use protocol::id::{DeviceId, Hash, NetworkId};
use protocol::local::{ErrorCode, WalletBrief};
use protocol::units::{BaseUnits, UnixMillis};
use protocol::wire::{EpochList, EpochNotice, EpochRow, hashed_device};
use settlement::{
    Address, Amount, Chain, ClaimTree, Contracts, Hash32, ProvenAccount, Rpc, RpcError, RpcFuture, Signature,
    TxHash, Withdraw, verify_claim,
};
use wallet::{
    Command, ConfirmError, Finality, Happened, Head, NonceFate, QuoteError, RelayOrder, Settings, Setup,
    Sight, State, Strength, VaultError, Wallet, WalletState, WordCount,
};

const PASS: &str = "six words of my own choosing";
const WORDS: &str = "test test test test test test test test test test test junk";
const NETWORK: NetworkId = NetworkId([5; 32]);
const DEVICE: DeviceId = DeviceId([6; 32]);
const TO: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
const START: UnixMillis = UnixMillis(1_800_000_000_000);
const SETTLED_BEHIND: u64 = 2;

/// The wallet under test never reaches the chain by itself: sights are handed to it.
struct NoRpc;

impl Rpc for NoRpc {
    fn call<'a>(&'a self, method: &'a str, _: serde_json::Value) -> RpcFuture<'a> {
        Box::pin(
            async move { Err(RpcError::Transport(format!("{method} was called in a test without a chain"))) },
        )
    }
}

fn contracts() -> Contracts {
    Contracts::with_ember(31337, Address::from_bytes([1; 20]), Address::from_bytes([2; 20]))
}

fn settings(dir: &Path) -> Settings {
    Settings {
        dir: dir.to_owned(),
        network: NETWORK,
        device: DEVICE,
        chain: Chain::new(Arc::new(NoRpc), contracts()),
        finality: Finality::Depth(SETTLED_BEHIND),
        local: false,
        strength: Strength::LEAST,
    }
}

/// A directory with a restored wallet; the vault file is made once and copied.
fn home() -> tempfile::TempDir {
    static VAULT: OnceLock<Vec<u8>> = OnceLock::new();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("wallet.vault");
    let bytes = VAULT.get_or_init(|| {
        Wallet::open(settings(dir.path())).setup().unwrap().restore(WORDS, PASS).unwrap();
        std::fs::read(&file).unwrap()
    });
    std::fs::write(&file, bytes).unwrap();
    dir
}

fn tokens(text: &str) -> Amount {
    Amount::parse_tokens(text).unwrap()
}

fn epoch(account: Address) -> (EpochNotice, EpochList) {
    let cumulative = tokens("12");
    let tree = ClaimTree::new([(account, cumulative)]).unwrap();
    let units = BaseUnits(cumulative.as_u128().unwrap());
    let row = EpochRow { device: hashed_device(&DEVICE), account: account.to_string(), cumulative: units };
    let notice = EpochNotice {
        epoch: 1,
        root: Hash(*tree.root().as_bytes()),
        total: units,
        list: Hash([0; 32]),
        active: true,
        relayer: Address::from_bytes([4; 20]).to_string(),
        withdrawal_fee: BaseUnits(tokens("0.5").as_u128().unwrap()),
        at: START,
    };
    (notice, EpochList { epoch: 1, rows: vec![row] })
}

/// The outside: a relayer with a pool of transactions, and a chain that carries each nonce out once.
struct World {
    account: Address,
    root: Hash32,
    now: UnixMillis,
    head: u64,
    pool: Vec<(Withdraw, TxHash)>,
    carried_out: BTreeMap<u64, (Withdraw, TxHash, u64)>,
    /// Every different order that was ever handed out, by nonce.
    handed_out: BTreeMap<u64, BTreeSet<String>>,
    transactions: u8,
}

impl World {
    fn new(account: Address) -> Self {
        let (notice, _) = epoch(account);
        Self {
            account,
            root: Hash32(notice.root.0),
            now: START,
            head: 100,
            pool: Vec::new(),
            carried_out: BTreeMap::new(),
            handed_out: BTreeMap::new(),
            transactions: 0,
        }
    }

    fn pass(&mut self, seconds: u64) {
        self.now = UnixMillis(self.now.0 + seconds * 1000);
    }

    /// A relayer that checks all that the contract checks.
    fn take(&mut self, order: &RelayOrder) -> TxHash {
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
        withdraw.verify(&contracts(), &signature).expect("the relayer gets only valid signatures");
        let proof: Vec<Hash32> = order.proof.iter().map(|hash| Hash32(hash.0)).collect();
        let cumulative = Amount::from_base_units(order.cumulative.0);
        assert!(
            verify_claim(self.root, withdraw.account, cumulative, &proof),
            "the proof must lead to the root"
        );
        self.handed_out.entry(intent.nonce).or_default().insert(format!("{order:?}"));
        if let Some((_, tx)) = self.pool.iter().find(|(known, _)| *known == withdraw) {
            return *tx;
        }
        self.transactions += 1;
        let tx = TxHash([self.transactions; 32]);
        self.pool.push((withdraw, tx));
        tx
    }

    fn mine(&mut self) {
        self.pass(12);
        self.head += 1;
        for (order, tx) in std::mem::take(&mut self.pool) {
            if !self.carried_out.contains_key(&order.nonce) && self.now.0 / 1000 <= order.deadline {
                self.carried_out.insert(order.nonce, (order, tx, self.head));
            }
        }
    }

    /// The last block is replaced by one without our transactions, which the relayer keeps.
    fn reorganise(&mut self) {
        let head = self.head;
        let undone: Vec<u64> = self
            .carried_out
            .iter()
            .filter(|(_, (_, _, block))| *block == head)
            .map(|(nonce, _)| *nonce)
            .collect();
        for nonce in undone {
            let (order, tx, _) = self.carried_out.remove(&nonce).unwrap();
            self.pool.push((order, tx));
        }
    }

    fn paid(&self) -> Amount {
        self.carried_out.values().map(|(order, _, _)| order.amount).sum()
    }

    fn sight(&self, wallet: &Wallet) -> Sight {
        let claimed: Amount = self.carried_out.values().map(|(order, _, _)| order.sum().unwrap()).sum();
        let fate = |order: &Withdraw| match self.carried_out.get(&order.nonce) {
            None => NonceFate::Unused,
            Some((done, tx, block)) if done == order => NonceFate::UsedByThis { tx: *tx, block: *block },
            Some((_, _, block)) => NonceFate::UsedByOther { block: *block },
        };
        let at = self.now.0 / 1000;
        Sight {
            head: Head { number: self.head, at },
            settled: Head { number: self.head - SETTLED_BEHIND, at: at - 12 * SETTLED_BEHIND },
            account: ProvenAccount {
                claimed,
                balance: Amount::ZERO,
                block_number: self.head,
                block_hash: Hash32::ZERO,
            },
            active_root: Some(self.root),
            free_nonce: (0..).find(|nonce| !self.carried_out.contains_key(nonce)).unwrap(),
            fates: wallet.withdrawals().iter().map(|known| (known.id, fate(&known.order))).collect(),
        }
    }
}

/// How far a submission gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Whole,
    AnswerLost,
    RequestLost,
}

struct Scene {
    home: tempfile::TempDir,
    wallet: Wallet,
    world: World,
}

impl Scene {
    fn new() -> Self {
        let home = home();
        let wallet = Wallet::open(settings(home.path()));
        let world = World::new(wallet.address().unwrap());
        let mut scene = Self { home, wallet, world };
        scene.learn();
        scene
    }

    /// What the agent brings after a start: the closed epoch and a look at the chain.
    fn learn(&mut self) {
        let (notice, list) = epoch(self.world.account);
        self.wallet.offer(&notice, &list).unwrap();
        self.look();
    }

    fn look(&mut self) {
        let sight = self.world.sight(&self.wallet);
        self.wallet.see(sight, self.world.now).unwrap();
    }

    /// The agent is killed and started again.
    fn restart(&mut self) {
        self.wallet = Wallet::open(settings(self.home.path()));
    }

    fn drive(&mut self, line: Line) {
        let drive = self.wallet.drive(self.world.now);
        assert!(drive.next_at > self.world.now, "the wallet must not ask to be driven without pause");
        for command in drive.commands {
            match command {
                Command::Look(_) => self.look(),
                Command::Submit { id, order } => {
                    let happened = match line {
                        Line::RequestLost => Happened::NotRelayed,
                        Line::AnswerLost => {
                            self.world.take(&order);
                            Happened::NotRelayed
                        }
                        Line::Whole => Happened::Relayed { tx: self.world.take(&order) },
                    };
                    self.wallet.on(id, happened, self.world.now).unwrap();
                }
            }
        }
    }

    /// Hands the order out and is killed before the answer arrives.
    fn submit_and_die(&mut self) {
        for command in self.wallet.drive(self.world.now).commands {
            if let Command::Submit { order, .. } = command {
                self.world.take(&order);
            }
        }
        self.restart();
    }

    fn confirm(&mut self, amount: &str) -> Hash32 {
        let quote = self.wallet.quote(TO, amount, self.world.now).unwrap();
        self.wallet.confirm(quote.id, PASS, self.world.now).unwrap()
    }

    fn state(&self) -> State {
        self.wallet.withdrawals().last().unwrap().state
    }

    /// Lets everything run undisturbed until nothing changes any more.
    fn settle(&mut self) {
        for _ in 0..2000 {
            if self.wallet.withdrawals().iter().all(|withdrawal| withdrawal.state.is_settled()) {
                return;
            }
            self.drive(Line::Whole);
            self.world.mine();
            self.look();
        }
        panic!("still not settled: {:?}", self.wallet.withdrawals());
    }
}

#[test]
fn undisturbed_withdrawal_arrives_exactly_and_the_sum_adds_up() {
    let mut scene = Scene::new();
    let before = scene.wallet.balance(tokens("13")).unwrap();
    assert_eq!((before.balance, before.pending), (tokens("12"), tokens("1")));
    let id = scene.confirm("5");
    assert_eq!(scene.state(), State::Signed);
    assert_eq!(scene.world.paid(), Amount::ZERO, "confirming sends nothing by itself");
    scene.drive(Line::Whole);
    assert!(matches!(scene.state(), State::Sent { .. }));
    scene.settle();
    assert!(matches!(scene.state(), State::Final { .. }));
    assert_eq!(scene.wallet.withdrawals()[0].id, id);
    assert_eq!(scene.world.paid(), tokens("4.5"));
    let after = scene.wallet.balance(tokens("13")).unwrap();
    assert!(after.adds_up());
    assert_eq!((after.withdrawn, after.fees, after.balance), (tokens("4.5"), tokens("0.5"), tokens("7")));

    scene.confirm("");
    scene.settle();
    assert_eq!(scene.world.paid(), tokens("11"), "all that was left, less the fee");
    assert_eq!(scene.wallet.balance(tokens("13")).unwrap().balance, Amount::ZERO);
}

#[test]
fn second_withdrawal_waits_for_the_first() {
    let mut scene = Scene::new();
    let first = scene.wallet.quote(TO, "1", scene.world.now).unwrap();
    let second = scene.wallet.quote(TO, "2", scene.world.now).unwrap();
    let signed_second = scene.wallet.begin(second.id, scene.world.now).unwrap().sign(PASS).unwrap();
    scene.wallet.confirm(first.id, PASS, scene.world.now).unwrap();
    // Both signatures were asked for before either was accepted; only one may count.
    let error = scene.wallet.accept(signed_second, scene.world.now).unwrap_err();
    assert!(matches!(error, ConfirmError::UnderWay), "{error:?}");
    assert_eq!(scene.wallet.quote(TO, "1", scene.world.now), Err(QuoteError::UnderWay));
    assert!(matches!(scene.wallet.confirm(first.id, PASS, scene.world.now), Err(ConfirmError::UnderWay)));
    scene.settle();
    assert_eq!(scene.world.paid(), tokens("0.5"));
    assert!(scene.wallet.quote(TO, "1", scene.world.now).is_ok(), "free again");
}

#[test]
fn quote_is_confirmed_once_in_time_and_with_the_right_passphrase() {
    let mut scene = Scene::new();
    let quote = scene.wallet.quote(TO, "1", scene.world.now).unwrap();
    let error = scene.wallet.confirm(quote.id, "wrong passphrase", scene.world.now).unwrap_err();
    assert_eq!(error.code(), ErrorCode::WrongPassphrase);
    assert!(scene.wallet.withdrawals().is_empty());
    scene.world.pass(5 * 60);
    let error = scene.wallet.confirm(quote.id, PASS, scene.world.now).unwrap_err();
    assert_eq!(error.code(), ErrorCode::QuoteExpired);
    scene.world.pass(1);
    assert_eq!(scene.wallet.quote(TO, "1", scene.world.now).unwrap_err().code(), ErrorCode::ChainUnreachable);
    scene.look();
    let id = scene.confirm("1");
    scene.settle();
    let error = scene.wallet.confirm(id, PASS, scene.world.now).unwrap_err();
    assert_eq!(error.code(), ErrorCode::QuoteExpired, "a replayed confirmation is no second withdrawal");
    assert_eq!(scene.wallet.withdrawals().len(), 1);
}

#[test]
fn signature_that_was_not_written_down_was_never_given() {
    let mut scene = Scene::new();
    let quote = scene.wallet.quote(TO, "1", scene.world.now).unwrap();
    let signed = scene.wallet.begin(quote.id, scene.world.now).unwrap().sign(PASS).unwrap();
    // The book cannot be written: something that no file can replace lies in its place.
    let book = scene.home.path().join("withdrawals.book");
    std::fs::remove_file(&book).unwrap();
    std::fs::create_dir(&book).unwrap();
    std::fs::write(book.join("inner"), b"x").unwrap();
    let error = scene.wallet.accept(signed, scene.world.now).unwrap_err();
    assert!(matches!(error, ConfirmError::Book(_)), "{error:?}");
    assert!(scene.wallet.withdrawals().is_empty());
    let submitted =
        scene.wallet.drive(scene.world.now).commands.iter().any(|c| matches!(c, Command::Submit { .. }));
    assert!(!submitted, "nothing may be sent that is not in the book");
}

#[test]
fn silent_relayer_ends_in_expiry_and_the_money_is_still_there() {
    let mut scene = Scene::new();
    scene.confirm("5");
    for _ in 0..400 {
        scene.drive(Line::RequestLost);
        scene.world.mine();
        scene.look();
    }
    assert_eq!(scene.state(), State::Expired);
    assert_eq!(scene.world.paid(), Amount::ZERO);
    assert_eq!(scene.wallet.balance(tokens("12")).unwrap().balance, tokens("12"));
    scene.confirm("5");
    scene.settle();
    assert_eq!(scene.world.paid(), tokens("4.5"));
    let nonces: Vec<u64> =
        scene.wallet.withdrawals().iter().map(|withdrawal| withdrawal.order.nonce).collect();
    assert_eq!(
        nonces,
        [0, 0],
        "the same nonce again, so that the expired order could not be carried out beside it"
    );
}

#[test]
fn two_copies_of_one_wallet_cannot_pay_twice_with_one_nonce() {
    let mut scene = Scene::new();
    scene.confirm("5");
    // Another machine with the same words, which knows nothing of the first one's order.
    let other_home = home();
    let mut other = Wallet::open(settings(other_home.path()));
    let (notice, list) = epoch(scene.world.account);
    other.offer(&notice, &list).unwrap();
    other.see(scene.world.sight(&other), scene.world.now).unwrap();
    let quote = other.quote(TO, "3", scene.world.now).unwrap();
    other.confirm(quote.id, PASS, scene.world.now).unwrap();
    for command in other.drive(scene.world.now).commands {
        if let Command::Submit { order, .. } = command {
            scene.world.take(&order);
        }
    }
    scene.world.mine();
    scene.settle();
    assert_eq!(scene.state(), State::Replaced);
    assert_eq!(scene.world.paid(), tokens("2.5"), "one order was carried out, not both");
    let sum = scene.wallet.balance(tokens("12")).unwrap();
    assert!(sum.adds_up());
    assert_eq!(sum.withdrawn, tokens("3"), "what the other copy sent is not lost from the sum");
}

#[test]
fn unreadable_book_stops_withdrawals_until_its_owner_has_it_set_aside() {
    let mut scene = Scene::new();
    scene.confirm("5");
    scene.drive(Line::AnswerLost);
    let book = scene.home.path().join("withdrawals.book");
    std::fs::write(&book, b"rubbish").unwrap();
    scene.restart();
    scene.learn();
    assert!(scene.wallet.book_error().is_some());
    let error = scene.wallet.quote(TO, "1", scene.world.now).unwrap_err();
    assert_eq!(error.code(), ErrorCode::WalletUnreadable);
    assert_eq!(std::fs::read(&book).unwrap(), b"rubbish", "it must be left alone");
    assert!(scene.wallet.address().is_some(), "the balance can still be shown");

    let aside = scene.wallet.set_book_aside(scene.world.now).unwrap().unwrap();
    assert_eq!(std::fs::read(aside).unwrap(), b"rubbish");
    scene.learn();
    scene.confirm("5");
    scene.drive(Line::Whole);
    scene.settle();
    assert_eq!(scene.world.carried_out.len(), 1, "the forgotten order and the new one share a nonce");
    assert_eq!(scene.world.paid(), tokens("4.5"));
}

#[test]
fn wallet_is_made_once_lost_never_and_restored_only_by_its_own_words() {
    let dir = tempfile::tempdir().unwrap();
    let mut wallet = Wallet::open(settings(dir.path()));
    assert!(matches!(wallet.state(), WalletState::None));
    let setup: Setup = wallet.setup().unwrap();
    assert_eq!(setup.create(WordCount::Twelve, "short").unwrap_err().code(), ErrorCode::WeakPassphrase);
    let words = setup.create(WordCount::Twelve, PASS).unwrap();
    assert!(
        matches!(setup.create(WordCount::Twelve, PASS), Err(VaultError::Exists { .. })),
        "a second click"
    );
    wallet.reload();
    let address = wallet.address().unwrap();
    assert_eq!(wallet.state().brief(), WalletBrief::NotBackedUp);
    assert!(matches!(wallet.setup(), Err(VaultError::Exists { .. })));
    wallet.mark_backed_up().unwrap();
    assert_eq!(Wallet::open(settings(dir.path())).state().brief(), WalletBrief::Ready);

    let file = dir.path().join("wallet.vault");
    std::fs::rename(&file, dir.path().join("elsewhere")).unwrap();
    wallet.reload();
    assert!(matches!(wallet.state(), WalletState::Lost { address: lost } if lost == address));
    let setup = wallet.setup().unwrap();
    assert_eq!(setup.create(WordCount::Twelve, PASS).unwrap_err().code(), ErrorCode::WalletMissing);
    assert!(matches!(setup.restore(WORDS, PASS), Err(VaultError::OtherWords { .. })));
    assert!(!file.exists(), "nothing may take the lost wallet's place");
    let typed: Vec<&str> = words.iter().collect();
    assert_eq!(setup.restore(&typed.join(" "), PASS).unwrap(), address);

    std::fs::write(&file, b"rubbish").unwrap();
    wallet.reload();
    assert!(matches!(wallet.state(), WalletState::Unreadable(VaultError::Foreign { .. })));
    assert!(matches!(wallet.setup(), Err(VaultError::Foreign { .. })));
    assert_eq!(std::fs::read(&file).unwrap(), b"rubbish");
}

#[test]
fn bond_names_this_device_and_this_account() {
    let scene = Scene::new();
    let bond = scene.wallet.begin_bind(100, 3700).unwrap().sign(PASS).unwrap();
    let bind = settlement::BindNode {
        node_id: Hash32(DEVICE.0),
        payout: scene.world.account,
        issued_at: 100,
        expires_at: 3700,
        nonce: 100,
    };
    bind.verify(&contracts(), &Signature(bond.wallet_signature.as_slice().try_into().unwrap())).unwrap();
    assert_eq!(bond.payout, scene.world.account.to_string());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn withdrawal_is_paid_once_whatever_happens_on_the_way(steps in prop::collection::vec(0_u8..10, 0..40)) {
        let mut scene = Scene::new();
        let amount = tokens("4.5");
        let id = scene.confirm("5");
        for step in steps {
            match step {
                0 => scene.drive(Line::Whole),
                1 => scene.drive(Line::AnswerLost),
                2 => scene.drive(Line::RequestLost),
                3 => scene.restart(),
                4 | 5 => scene.world.mine(),
                6 => scene.look(),
                7 => scene.world.reorganise(),
                8 => scene.world.pass(61),
                _ => scene.submit_and_die(),
            }
            let known = scene.wallet.withdrawals();
            prop_assert_eq!(known.len(), 1, "the order must survive every step");
            prop_assert_eq!(known[0].id, id);
            if known[0].state.is_live() {
                prop_assert_eq!(scene.wallet.quote(TO, "1", scene.world.now).unwrap_err(),
                    QuoteError::UnderWay, "no second order while the first is under way");
            }
            prop_assert!(scene.world.paid() <= amount);
        }
        scene.settle();
        let expected = if scene.state() == State::Expired { Amount::ZERO } else { amount };
        prop_assert_eq!(scene.world.paid(), expected);
        prop_assert!(scene.world.handed_out.len() <= 1, "one nonce");
        prop_assert!(scene.world.handed_out.values().all(|orders| orders.len() == 1), "one order, byte for byte");
        scene.restart();
        prop_assert!(scene.wallet.withdrawals()[0].state.is_settled(), "the end is on the disk");
        let commands = scene.wallet.drive(scene.world.now).commands;
        let submitted = commands.iter().any(|command| matches!(command, Command::Submit { .. }));
        prop_assert!(!submitted, "nothing is handed out after the end");
    }
}
