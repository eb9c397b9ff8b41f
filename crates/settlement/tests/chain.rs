//! The real contracts on a real chain (anvil): the whole way of the money, and everything that must be refused on it.
//! Needs the anvil binary (env ANVIL_BIN, or `npm ci` in contracts/, which xtask does); without one these tests say that
//! they are left out.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use settlement::deploy::{DistributorParameters, deploy_distributor, deploy_local};
use settlement::devchain::{Anvil, AnvilError, AnvilOptions, advance, find_anvil, mine, set_coin_balance};
use settlement::{
    Address, Amount, Call, Chain, ChainError, ClaimProof, ClaimTree, Contracts, DepositAuthorization, Event,
    Hash32, HeldAuthorization, ProofError, Quorum, Receipt, RefundVoucher, Revert, Rpc, RpcError, RpcFuture,
    Signer, Spend, Tag, Withdraw, calls, rpc,
};

const DELAY: u32 = 600;
const REFUND_DELAY: u32 = 3600;

// --------------------------------------------------------------------------------------------------- the stage

/// JSON-RPC over a plain socket; blocking is fine in a test.
struct Loopback {
    port: u16,
    id: AtomicU64,
}

impl Rpc for Loopback {
    fn call<'a>(&'a self, method: &'a str, params: Value) -> RpcFuture<'a> {
        Box::pin(async move {
            let id = self.id.fetch_add(1, Ordering::Relaxed);
            let body = rpc::request(id, method, &params);
            let answer = self.post(&body).map_err(|e| RpcError::Transport(e.to_string()))?;
            rpc::parse_response(id, &answer)
        })
    }
}

impl Loopback {
    fn post(&self, body: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let head = format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let end = answer.windows(4).position(|w| w == b"\r\n\r\n").ok_or(std::io::ErrorKind::InvalidData)?;
        Ok(answer.split_off(end + 4))
    }
}

/// An endpoint that tells the truth except where `lie` changes it.
struct Liar<F> {
    honest: Arc<dyn Rpc>,
    lie: F,
}

impl<F: Fn(&str, &mut Value) + Send + Sync> Rpc for Liar<F> {
    fn call<'a>(&'a self, method: &'a str, params: Value) -> RpcFuture<'a> {
        Box::pin(async move {
            let mut answer = self.honest.call(method, params).await?;
            (self.lie)(method, &mut answer);
            Ok(answer)
        })
    }
}

#[expect(clippy::print_stderr, reason = "what a run leaves out must be said where the run is read")]
fn anvil_binary() -> Option<PathBuf> {
    let binary = match std::env::var_os("ANVIL_BIN") {
        Some(path) => Some(PathBuf::from(path)),
        None => find_anvil(&Path::new(env!("CARGO_MANIFEST_DIR")).join("contracts/node_modules")),
    };
    if binary.is_none() {
        eprintln!(
            "left out: there is no anvil (set ANVIL_BIN, or run npm ci in crates/settlement/contracts)"
        );
    }
    binary
}

/// A fresh chain with the contracts, an operator of each kind and two contributors.
struct Stage {
    anvil: Anvil,
    _home: tempfile::TempDir,
    rpc: Arc<dyn Rpc>,
    chain: Chain,
    poster: Signer,
    guardian: Signer,
    publisher: Signer,
    relayer: Signer,
    alice: Signer,
    bob: Signer,
}

async fn stage() -> Option<Stage> {
    let binary = anvil_binary()?;
    let home = tempfile::tempdir().expect("a temporary directory");
    let anvil = Anvil::start(&AnvilOptions::new(binary, home.path().to_owned())).expect("anvil starts");
    let rpc: Arc<dyn Rpc> = Arc::new(Loopback { port: anvil.port(), id: AtomicU64::new(1) });
    mine(&*rpc).await.expect("mines");
    let [poster, guardian, publisher, relayer, alice, bob] = std::array::from_fn(|_| Signer::random());
    // The contributors have no coin for gas, ever: that is the point.
    for operator in [&poster, &guardian, &publisher, &relayer] {
        set_coin_balance(&*rpc, operator.address(), tokens("100")).await.expect("coin");
    }
    let parameters = parameters(&poster, &guardian);
    let contracts =
        deploy_local(&*rpc, &publisher, tokens("1000000"), &parameters, at_once).await.expect("deploys");
    let chain = Chain::new(rpc.clone(), contracts);
    chain.check().await.expect("the fresh distributor is the shipped one");
    Some(Stage { anvil, _home: home, rpc, chain, poster, guardian, publisher, relayer, alice, bob })
}

fn parameters(poster: &Signer, guardian: &Signer) -> DistributorParameters {
    DistributorParameters {
        admin: guardian.address(),
        guardian: guardian.address(),
        poster: poster.address(),
        challenge_delay: DELAY,
        refund_delay: REFUND_DELAY,
        kept_roots: 3,
        epoch_cap: tokens("100000"),
    }
}

/// Anvil makes a block per transaction, so the receipt is there on the first looks; on a busy machine it may take a
/// while, and after a minute it never comes.
async fn at_once(attempt: u32) -> bool {
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    attempt < 12_000
}

fn tokens(text: &str) -> Amount {
    Amount::parse_tokens(text).expect("an amount")
}

impl Stage {
    fn contracts(&self) -> &Contracts {
        self.chain.contracts()
    }

    async fn transact(&self, signer: &Signer, call: &Call) -> Receipt {
        self.chain.transact(signer, call, at_once).await.expect("the call succeeds")
    }

    /// The reason for which a call of the relayer is refused before it is sent.
    async fn refusal(&self, call: &Call) -> Revert {
        match self.chain.prepare(&self.relayer, call).await {
            Err(ChainError::Revert(revert)) => revert,
            other => panic!("expected a revert, got {other:?}"),
        }
    }

    async fn deposit(&self, amount: &str) {
        self.transact(&self.publisher, &calls::approve(self.contracts(), tokens(amount))).await;
        self.transact(&self.publisher, &calls::deposit(self.contracts(), tokens(amount))).await;
    }

    async fn propose(&self, tree: &ClaimTree) -> Receipt {
        let epoch = self.chain.state(Tag::Latest).await.expect("state").active_epoch + 1;
        let spends = [Spend { publisher: self.publisher.address(), spent: tree.total() }];
        let manifest = Hash32::keccak(b"the published list");
        let call = calls::propose(self.contracts(), epoch, tree.root(), tree.total(), manifest, &spends);
        self.transact(&self.poster, &call).await
    }

    async fn settle(&self, tree: &ClaimTree) {
        self.propose(tree).await;
        advance(&*self.rpc, DELAY.into()).await.expect("time passes");
        self.transact(&self.relayer, &calls::activate(self.contracts())).await;
    }

    async fn balance(&self, account: Address) -> Amount {
        self.chain.token_balance(account, Tag::Latest).await.expect("a balance")
    }

    async fn now(&self) -> u64 {
        self.chain.block(Tag::Latest).await.expect("a block").at
    }

    async fn order(&self, account: &Signer, to: Address, amount: &str, fee: &str, nonce: u64) -> Withdraw {
        Withdraw {
            account: account.address(),
            to,
            amount: tokens(amount),
            fee: tokens(fee),
            relayer: Some(self.relayer.address()),
            nonce,
            deadline: self.now().await + 3600,
        }
    }
}

fn tree(claims: &[(&Signer, &str)]) -> ClaimTree {
    // Sixty strangers, so that proofs have a common length.
    let strangers = (0..60u8).map(|i| (Address::from_bytes([i + 1; 20]), tokens("1")));
    ClaimTree::new(claims.iter().map(|(s, n)| (s.address(), tokens(n))).chain(strangers)).expect("a tree")
}

// --------------------------------------------------------------------------------------------------- the tests

#[tokio::test]
async fn a_deposit_becomes_a_gasless_withdrawal_to_the_exact_unit() {
    let Some(s) = stage().await else { return };
    let c = s.contracts();
    s.deposit("1000").await;
    let first = tree(&[(&s.alice, "12.5"), (&s.bob, "7")]);
    let proposed = s.propose(&first).await;
    assert!(
        proposed.events.iter().any(|e| matches!(&e.event, Event::Proposed { epoch: 1, root, total, manifest, .. }
            if *root == first.root() && *total == first.total() && *manifest == Hash32::keccak(b"the published list"))),
        "everyone can see what is proposed: {:?}",
        proposed.events
    );
    let pending = s.chain.pending(Tag::Latest).await.expect("reads").expect("a root is pending");
    assert_eq!((pending.root, pending.total, pending.epoch), (first.root(), first.total(), 1));
    assert_eq!(s.refusal(&calls::activate(c)).await, Revert::TooEarly(pending.active_at));
    assert!(!s.chain.is_active(first.root(), Tag::Latest).await.expect("reads"));
    advance(&*s.rpc, DELAY.into()).await.expect("time passes");
    s.transact(&s.relayer, &calls::activate(c)).await;
    assert!(s.chain.is_active(first.root(), Tag::Latest).await.expect("reads"));

    let outside = Signer::random().address();
    let order = s.order(&s.alice, outside, "10.000000000000000001", "0.25", 0).await;
    let signature = order.sign(c, &s.alice).expect("signs");
    assert_eq!(order.verify(c, &signature), Ok(()));
    let proof = first.proof(s.alice.address()).expect("in the tree");
    let call = calls::claim_to(c, &order, tokens("12.5"), &proof, &signature);
    s.chain.simulate(s.relayer.address(), &call).await.expect("would succeed");
    let receipt = s.transact(&s.relayer, &call).await;
    assert_eq!(s.balance(outside).await, order.amount, "the recipient gets exactly the amount");
    assert_eq!(s.balance(s.relayer.address()).await, order.fee, "the relayer gets exactly the fee");
    assert_eq!(s.balance(s.alice.address()).await, Amount::ZERO, "nothing passes through the wallet");
    let left = s.chain.claimable(s.alice.address(), tokens("12.5"), Tag::Latest).await.expect("reads");
    assert_eq!(
        Some(left),
        tokens("12.5").checked_sub(order.sum().expect("fits")),
        "the claimable falls by both"
    );
    assert!(s.chain.nonce_used(s.alice.address(), 0, Tag::Latest).await.expect("reads"));
    assert!(!s.chain.nonce_used(s.alice.address(), 1, Tag::Latest).await.expect("reads"));
    let relayer = s.relayer.address();
    let withdrawn = Event::Withdrawn {
        account: order.account,
        to: outside,
        amount: order.amount,
        fee: order.fee,
        relayer,
        nonce: 0,
    };
    assert_eq!(receipt.events.iter().map(|e| &e.event).collect::<Vec<_>>(), [&withdrawn]);

    // The account never held coin, and the relayer paid what the receipt says.
    assert_eq!(s.chain.coin_balance(s.alice.address(), Tag::Latest).await.expect("reads"), Amount::ZERO);
    assert!(!receipt.cost_wei.is_zero());

    // What the chain remembers, read back by a node that starts later.
    let head = s.chain.block(Tag::Latest).await.expect("a block").number;
    let events = s.chain.events(0, head).await.expect("reads");
    let kinds: Vec<_> = events
        .iter()
        .filter(|e| !matches!(e.event, Event::RolesSet { .. } | Event::LimitsSet { .. }))
        .map(|e| match &e.event {
            Event::Deposited { .. } => "deposited",
            Event::SpendAttested { .. } => "spend attested",
            Event::Proposed { .. } => "proposed",
            Event::Activated { .. } => "activated",
            Event::Withdrawn { .. } => "withdrawn",
            _ => "other",
        })
        .collect();
    assert_eq!(kinds, ["deposited", "spend attested", "proposed", "activated", "withdrawn"]);

    let own = s.chain.events_of(s.alice.address(), 0, head).await.expect("reads");
    assert_eq!(
        own.iter().map(|e| &e.event).collect::<Vec<_>>(),
        [&withdrawn],
        "only what concerns the account"
    );

    // A second epoch pays the rest and what came since, and the books close.
    let second = tree(&[(&s.alice, "20"), (&s.bob, "7")]);
    s.settle(&second).await;
    let claims: Vec<_> = [&s.alice, &s.bob]
        .map(|who| ClaimProof {
            account: who.address(),
            cumulative: second.cumulative(who.address()).expect("in the tree"),
            proof: second.proof(who.address()).expect("in the tree"),
        })
        .into();
    s.transact(&s.relayer, &calls::claim_many(c, &claims)).await;
    assert_eq!(
        Some(s.balance(s.alice.address()).await),
        tokens("20").checked_sub(order.sum().expect("fits"))
    );
    assert_eq!(s.balance(s.bob.address()).await, tokens("7"));
    let state = s.chain.state(Tag::Latest).await.expect("reads");
    assert_eq!((state.active_epoch, state.paid, state.total), (2, tokens("27"), second.total()));
    assert_eq!(state.total_spent, second.total());
    assert_eq!(Some(s.balance(c.distributor).await), tokens("1000").checked_sub(tokens("27")));
}

#[tokio::test]
async fn a_withdrawal_cannot_be_replayed_redirected_or_raised() {
    let Some(s) = stage().await else { return };
    let c = s.contracts();
    s.deposit("1000").await;
    let tree = tree(&[(&s.alice, "12.5"), (&s.bob, "7")]);
    s.settle(&tree).await;
    let outside = Signer::random().address();
    let order = s.order(&s.alice, outside, "10", "0.25", 41).await;
    let signature = order.sign(c, &s.alice).expect("signs");
    let proof = tree.proof(s.alice.address()).expect("in the tree");
    let call = |order: &Withdraw, cumulative, proof: &[Hash32]| {
        calls::claim_to(c, order, cumulative, proof, &signature)
    };

    let redirected = Withdraw { to: s.relayer.address(), ..order.clone() };
    assert_eq!(s.refusal(&call(&redirected, tokens("12.5"), &proof)).await, Revert::WrongSigner);
    let raised = Withdraw { fee: tokens("0.26"), ..order.clone() };
    assert_eq!(s.refusal(&call(&raised, tokens("12.5"), &proof)).await, Revert::WrongSigner);
    let refused = s.refusal(&call(&order, tokens("12.6"), &proof)).await;
    assert!(matches!(refused, Revert::UnknownRoot(_)), "a higher sum has no proof: {refused:?}");
    let refused = s.refusal(&call(&order, tokens("12.5"), &proof[1..])).await;
    assert!(matches!(refused, Revert::UnknownRoot(_)), "a shorter proof leads elsewhere: {refused:?}");

    let much = s.order(&s.alice, outside, "12.5", "0.000000000000000001", 42).await;
    let much_signed = much.sign(c, &s.alice).expect("signs");
    assert_eq!(
        s.refusal(&calls::claim_to(c, &much, tokens("12.5"), &proof, &much_signed)).await,
        Revert::ExceedsClaimable { wanted: tokens("12.500000000000000001"), claimable: tokens("12.5") }
    );

    // Sent, lost, sent again, and once more after it is in a block: one payment.
    let tx = s.chain.prepare(&s.relayer, &call(&order, tokens("12.5"), &proof)).await.expect("prepares");
    s.chain.send(&tx).await.expect("sends");
    s.chain.send(&tx).await.expect("sending the same bytes again is harmless");
    let receipt = s.chain.wait(tx.hash, at_once).await.expect("mined");
    assert!(receipt.succeeded);
    s.chain.send(&tx).await.expect("also after it is in a block");
    assert_eq!(s.balance(outside).await, order.amount);
    assert_eq!(s.refusal(&call(&order, tokens("12.5"), &proof)).await, Revert::NonceUsed);

    let late = Withdraw { deadline: s.now().await - 1, nonce: 43, ..order.clone() };
    let late_signed = late.sign(c, &s.alice).expect("signs");
    assert_eq!(
        s.refusal(&calls::claim_to(c, &late, tokens("12.5"), &proof, &late_signed)).await,
        Revert::Expired
    );
    assert_eq!(s.balance(outside).await, order.amount, "nothing else has arrived");
}

#[tokio::test]
async fn tokens_in_the_wallet_leave_by_one_signature_without_gas() {
    let Some(s) = stage().await else { return };
    let c = s.contracts();
    s.transact(&s.publisher, &calls::transfer(c, s.bob.address(), tokens("5"))).await;
    let outside = Signer::random().address();
    let order = HeldAuthorization(s.order(&s.bob, outside, "4", "0.5", 9).await);
    let signature = order.sign(c, &s.bob).expect("signs");
    assert_eq!(order.verify(c, &signature), Ok(()));
    let redirected = HeldAuthorization(Withdraw { to: s.relayer.address(), ..order.0.clone() });
    assert_eq!(s.refusal(&calls::send_to(c, &redirected, &signature)).await, Revert::WrongSigner);
    s.transact(&s.relayer, &calls::send_to(c, &order, &signature)).await;
    assert_eq!(s.balance(outside).await, tokens("4"));
    assert_eq!(s.balance(s.relayer.address()).await, tokens("0.5"));
    assert_eq!(s.balance(s.bob.address()).await, tokens("0.5"));
    assert_eq!(s.refusal(&calls::send_to(c, &order, &signature)).await, Revert::NonceUsed);
}

#[tokio::test]
async fn an_order_signed_for_both_ways_survives_a_strangers_claim_and_is_carried_out_once() {
    let Some(s) = stage().await else { return };
    let c = s.contracts();
    s.deposit("1000").await;
    let tree = tree(&[(&s.alice, "12.5"), (&s.bob, "7")]);
    s.settle(&tree).await;
    s.transact(&s.publisher, &calls::transfer(c, s.alice.address(), tokens("2"))).await;
    let outside = Signer::random().address();
    let order = s.order(&s.alice, outside, "13", "0.5", 0).await;
    let direct = order.sign(c, &s.alice).expect("signs");
    let held = HeldAuthorization(order.clone());
    let held_signed = held.sign(c, &s.alice).expect("signs");
    let proof = tree.proof(s.alice.address()).expect("in the tree");
    let claim = ClaimProof { account: s.alice.address(), cumulative: tokens("12.5"), proof: proof.clone() };
    s.transact(&s.relayer, &calls::claim(c, &claim)).await;
    let refused = s.refusal(&calls::claim_to(c, &order, tokens("12.5"), &proof, &direct)).await;
    assert_eq!(refused, Revert::ExceedsClaimable { wanted: tokens("13.5"), claimable: Amount::ZERO });
    let call = calls::claim_and_send_to(c, &held, tokens("12.5"), &proof, &held_signed);
    s.transact(&s.relayer, &call).await;
    assert_eq!(s.balance(outside).await, tokens("13"));
    assert_eq!(s.balance(s.alice.address()).await, tokens("1"), "14.5 less amount and fee");
    for again in [
        call,
        calls::send_to(c, &held, &held_signed),
        calls::claim_to(c, &order, tokens("12.5"), &proof, &direct),
    ] {
        assert_eq!(s.refusal(&again).await, Revert::NonceUsed);
    }
}

#[tokio::test]
async fn a_publisher_pays_by_signature_and_gets_back_what_was_not_spent() {
    let Some(s) = stage().await else { return };
    let c = s.contracts();
    let me = s.publisher.address();
    let deposit = DepositAuthorization {
        publisher: me,
        amount: tokens("100"),
        valid_before: s.now().await + 3600,
        salt: Hash32::keccak(b"fresh"),
    };
    let signature = deposit.sign(c, &s.publisher).expect("signs");
    s.transact(&s.relayer, &calls::deposit_with_authorization(c, &deposit, &signature)).await;
    let refused = s.refusal(&calls::deposit_with_authorization(c, &deposit, &signature)).await;
    assert_eq!(refused, Revert::NonceUsed, "one authorization, one deposit");

    let spends = [Spend { publisher: me, spent: tokens("30") }];
    s.transact(&s.poster, &calls::attest_spend(c, &spends)).await;
    let voucher = RefundVoucher {
        publisher: me,
        refunded: tokens("20"),
        spent: tokens("30"),
        deadline: s.now().await + 3600,
    };
    let forged = voucher.sign(c, &s.publisher).expect("signs");
    assert_eq!(s.refusal(&calls::refund(c, &voucher, &forged)).await, Revert::WrongSigner);
    let signature = voucher.sign(c, &s.poster).expect("signs");
    s.transact(&s.relayer, &calls::refund(c, &voucher, &signature)).await;
    assert_eq!(s.refusal(&calls::refund(c, &voucher, &signature)).await, Revert::NothingToPay);

    s.transact(&s.publisher, &calls::request_refund(c, tokens("50"))).await;
    let account = s.chain.publisher(me, Tag::Latest).await.expect("reads");
    assert_eq!(account.unspent(), tokens("50"));
    assert_eq!(account.requested.map(|r| r.0), Some(tokens("50")));
    let early = s.chain.prepare(&s.publisher, &calls::finish_refund(c)).await;
    assert!(matches!(early, Err(ChainError::Revert(Revert::TooEarly(_)))), "{early:?}");
    advance(&*s.rpc, REFUND_DELAY.into()).await.expect("time passes");
    s.transact(&s.publisher, &calls::finish_refund(c)).await;
    let account = s.chain.publisher(me, Tag::Latest).await.expect("reads");
    assert_eq!((account.refunded, account.requested), (tokens("70"), None));
    assert_eq!(s.balance(c.distributor).await, tokens("30"), "what was spent stays for the contributors");
}

#[tokio::test]
async fn a_stolen_poster_key_is_stopped_by_cap_and_veto() {
    let Some(s) = stage().await else { return };
    let c = s.contracts();
    s.deposit("1000").await;
    let thief = ClaimTree::new([(s.poster.address(), tokens("1000"))]).expect("a tree");
    s.propose(&thief).await;
    s.transact(&s.guardian, &calls::veto(c)).await;
    advance(&*s.rpc, DELAY.into()).await.expect("time passes");
    assert_eq!(s.refusal(&calls::activate(c)).await, Revert::NothingPending);
    let claim = ClaimProof { account: s.poster.address(), cumulative: tokens("1000"), proof: vec![] };
    assert_eq!(s.refusal(&calls::claim(c, &claim)).await, Revert::UnknownRoot(thief.root()));
    assert_eq!(s.chain.pending(Tag::Latest).await.expect("reads"), None);
    let beyond = calls::propose(c, 1, thief.root(), tokens("100001"), Hash32::ZERO, &[]);
    let refused = s.chain.prepare(&s.poster, &beyond).await;
    assert!(matches!(refused, Err(ChainError::Revert(Revert::ExceedsEpochCap { .. }))), "{refused:?}");
    let unfunded = calls::propose(c, 1, thief.root(), tokens("1001"), Hash32::ZERO, &[]);
    let refused = s.chain.prepare(&s.poster, &unfunded).await;
    assert!(matches!(refused, Err(ChainError::Revert(Revert::NotFunded { .. }))), "{refused:?}");
}

#[tokio::test]
async fn balances_are_proven_and_a_lie_is_noticed() {
    let Some(s) = stage().await else { return };
    s.deposit("1000").await;
    let tree = tree(&[(&s.alice, "12.5"), (&s.bob, "7")]);
    s.settle(&tree).await;
    let claim = ClaimProof {
        account: s.alice.address(),
        cumulative: tokens("12.5"),
        proof: tree.proof(s.alice.address()).expect("in the tree"),
    };
    s.transact(&s.relayer, &calls::claim(s.contracts(), &claim)).await;
    let block = s.chain.block(Tag::Latest).await.expect("a block");
    let proven = s.chain.prove_account(s.alice.address(), &block).await.expect("proves");
    assert_eq!((proven.claimed, proven.balance), (tokens("12.5"), tokens("12.5")));
    assert_eq!(proven.block_hash, block.hash);
    let nothing = s.chain.prove_account(s.bob.address(), &block).await.expect("absence is proven too");
    assert_eq!((nothing.claimed, nothing.balance), (Amount::ZERO, Amount::ZERO));

    let lied_to = |lie: fn(&str, &mut Value)| {
        Chain::new(Arc::new(Liar { honest: s.rpc.clone(), lie }), s.contracts().clone())
    };
    // More than there is.
    let chain = lied_to(|method, answer| {
        if method == "eth_getProof" {
            answer["storageProof"][0]["value"] = json!("0xad78ebc5ac6200001");
        }
    });
    let error = chain.prove_account(s.alice.address(), &block).await.expect_err("a raised value");
    assert!(matches!(error, ChainError::Proof(ProofError::Storage { .. })), "{error:?}");
    // Nothing where there is something.
    let chain = lied_to(|method, answer| {
        if method == "eth_getProof" {
            answer["storageProof"][0]["value"] = json!("0x0");
            answer["storageProof"][0]["proof"] = json!([]);
        }
    });
    let error = chain.prove_account(s.alice.address(), &block).await.expect_err("a denied value");
    assert!(matches!(error, ChainError::Proof(ProofError::Storage { .. })), "{error:?}");
    // A storage tree of the liar's own.
    let chain = lied_to(|method, answer| {
        if method == "eth_getProof" {
            answer["storageHash"] = json!(Hash32::keccak(b"my own tree"));
        }
    });
    let error = chain.prove_account(s.alice.address(), &block).await.expect_err("another storage root");
    assert!(matches!(error, ChainError::Proof(ProofError::Account { .. })), "{error:?}");
    // The true value of another slot.
    let chain = lied_to(|method, answer| {
        if method == "eth_getProof" {
            answer["storageProof"][0]["key"] = json!("0x2");
        }
    });
    let error = chain.prove_account(s.alice.address(), &block).await.expect_err("another slot");
    assert!(matches!(error, ChainError::Proof(ProofError::WrongSlot)), "{error:?}");
    // A header that was written for the occasion.
    let chain = lied_to(|method, answer| {
        if method == "eth_getBlockByNumber" {
            answer["stateRoot"] = json!(Hash32::keccak(b"my own state"));
        }
    });
    let error = chain.block(Tag::Latest).await.expect_err("a header that does not hash to its hash");
    assert!(matches!(error, ChainError::Proof(ProofError::HeaderHash(_))), "{error:?}");
    // The proof of an older block against a newer header.
    mine(&*s.rpc).await.expect("mines");
    let claim = ClaimProof {
        account: s.bob.address(),
        cumulative: tokens("7"),
        proof: tree.proof(s.bob.address()).expect("in the tree"),
    };
    s.transact(&s.relayer, &calls::claim(s.contracts(), &claim)).await;
    let newer = s.chain.block(Tag::Latest).await.expect("a block");
    let mixed = settlement::Block { number: block.number, ..newer };
    let error = s.chain.prove_account(s.bob.address(), &mixed).await.expect_err("another block's proof");
    assert!(matches!(error, ChainError::Proof(ProofError::Account { .. })), "{error:?}");
}

#[tokio::test]
async fn nothing_is_done_on_a_wrong_chain_or_with_a_foreign_contract() {
    let Some(s) = stage().await else { return };
    let with = |change: fn(&mut Contracts)| {
        let mut contracts = s.contracts().clone();
        change(&mut contracts);
        Chain::new(s.rpc.clone(), contracts)
    };
    let error = with(|c| c.chain_id = 1).check().await.expect_err("another chain");
    assert!(matches!(error, ChainError::WrongChain { expected: 1, found: 31337 }), "{error:?}");
    let error = with(|c| c.distributor = c.token).check().await.expect_err("foreign code");
    assert!(matches!(error, ChainError::WrongCode { .. }), "{error:?}");
    let error = with(|c| c.distributor = Address::from_bytes([9; 20])).check().await.expect_err("no code");
    assert!(matches!(error, ChainError::Proof(_) | ChainError::WrongCode { .. }), "{error:?}");
    let error = with(|c| c.token = Address::from_bytes([9; 20])).check().await.expect_err("another token");
    assert!(matches!(error, ChainError::WrongToken { .. }), "{error:?}");
    // An endpoint that claims the right code for foreign code is refuted by the state.
    let foreign = Contracts { distributor: s.contracts().token, ..s.contracts().clone() };
    let lie = |method: &str, answer: &mut Value| {
        if method == "eth_getProof" {
            answer["codeHash"] = json!(settlement::artifact::DISTRIBUTOR_CODE_HASH);
        }
    };
    let chain = Chain::new(Arc::new(Liar { honest: s.rpc.clone(), lie }), foreign);
    let error = chain.check().await.expect_err("a lie about the code");
    assert!(matches!(error, ChainError::Proof(ProofError::Account { .. })), "{error:?}");
    // Parameters out of range never get as far as a block.
    let mut parameters = parameters(&s.poster, &s.guardian);
    parameters.kept_roots = 0;
    let error = deploy_distributor(&*s.rpc, &s.publisher, s.contracts().token, &parameters, at_once).await;
    assert!(matches!(error, Err(ChainError::Revert(Revert::BadParameter))), "{error:?}");
}

#[tokio::test]
async fn two_honest_endpoints_outvote_a_liar_and_two_liars_stop_everything() {
    let Some(s) = stage().await else { return };
    s.deposit("10").await;
    let lie = |method: &str, answer: &mut Value| match method {
        "eth_call" => *answer = json!(Hash32([0xff; 32])),
        "eth_getBlockByNumber" => answer["number"] = json!("0xffffffff"),
        _ => {}
    };
    let liar = || -> Arc<dyn Rpc> { Arc::new(Liar { honest: s.rpc.clone(), lie }) };
    let two_of_three = Quorum::new(vec![s.rpc.clone(), liar(), s.rpc.clone()], 2).expect("a majority");
    let chain = Chain::new(Arc::new(two_of_three), s.contracts().clone());
    chain.check().await.expect("the honest majority is heard");
    let block = chain.block(Tag::Latest).await.expect("a block");
    let at = Tag::Number(block.number);
    let distributor = s.contracts().distributor;
    assert_eq!(chain.token_balance(distributor, at).await.expect("reads"), tokens("10"));
    chain
        .transact(&s.publisher, &calls::transfer(s.contracts(), s.bob.address(), tokens("1")), at_once)
        .await
        .expect("a transaction goes to all of them");
    assert_eq!(s.balance(s.bob.address()).await, tokens("1"), "and is carried out once");

    let one_honest = Quorum::new(vec![s.rpc.clone(), liar(), liar()], 3).expect("all of them");
    let chain = Chain::new(Arc::new(one_honest), s.contracts().clone());
    let error = chain.token_balance(distributor, at).await.expect_err("no agreement");
    assert!(
        matches!(error, ChainError::Rpc(RpcError::Disagreement { agreed: 2, asked: 3, needed: 3 })),
        "{error:?}"
    );
    assert!(Quorum::new(vec![s.rpc.clone(), liar()], 1).is_none(), "half is no majority");
    assert!(Quorum::new(vec![s.rpc.clone()], 2).is_none(), "two of one cannot be");
}

#[tokio::test]
async fn two_relayers_with_one_order_pay_once_and_the_slower_one_learns_it() {
    let Some(s) = stage().await else { return };
    let c = s.contracts();
    s.deposit("1000").await;
    let tree = tree(&[(&s.alice, "12.5"), (&s.bob, "7")]);
    s.settle(&tree).await;
    let outside = Signer::random().address();
    let order = s.order(&s.alice, outside, "10", "0.25", u64::MAX).await;
    let signature = order.sign(c, &s.alice).expect("signs");
    let proof = tree.proof(s.alice.address()).expect("in the tree");
    let call = calls::claim_to(c, &order, tokens("12.5"), &proof, &signature);
    // Both looked before either sent: neither could know.
    let named = s.chain.prepare(&s.relayer, &call).await.expect("prepares");
    let other = s.chain.prepare(&s.publisher, &call).await.expect("prepares");
    s.chain.send(&other).await.expect("sends");
    s.chain.send(&named).await.expect("sends");
    assert!(s.chain.wait(other.hash, at_once).await.expect("mined").succeeded);
    let late = s.chain.wait(named.hash, at_once).await.expect("mined");
    assert!(!late.succeeded && late.events.is_empty(), "the second did nothing: {late:?}");
    assert_eq!(s.balance(outside).await, order.amount, "paid once");
    assert_eq!(
        s.balance(s.relayer.address()).await,
        order.fee,
        "the fee is the named relayer's, whoever submits"
    );
}

#[tokio::test]
async fn a_block_becomes_final_after_two_more() {
    let Some(s) = stage().await else { return };
    let latest = s.chain.block(Tag::Latest).await.expect("a block");
    for _ in 0..2 {
        mine(&*s.rpc).await.expect("mines");
    }
    let last = s.chain.block(Tag::Finalized).await.expect("a final block");
    assert_eq!((last.number, last.hash), (latest.number, latest.hash));
    assert!(s.chain.prove_account(s.alice.address(), &last).await.is_ok(), "proofs reach back to it");
}

#[tokio::test]
async fn waiting_ends_when_the_caller_says_so() {
    let Some(s) = stage().await else { return };
    let unknown = settlement::TxHash([5; 32]);
    let error = s.chain.wait(unknown, |attempt| async move { attempt < 3 }).await.expect_err("never mined");
    assert!(matches!(error, ChainError::NotMined(tx) if tx == unknown), "{error:?}");
    assert_eq!(s.chain.receipt(unknown).await.expect("reads"), None);
}

#[tokio::test]
async fn a_kept_chain_is_there_again_after_a_restart() {
    let Some(binary) = anvil_binary() else { return };
    let home = tempfile::tempdir().expect("a temporary directory");
    let state = Some(home.path().join("chain.json"));
    let options = AnvilOptions { state, ..AnvilOptions::new(binary, home.path().to_owned()) };
    let account = Address::from_bytes([7; 20]);
    let anvil = Anvil::start(&options).expect("anvil starts");
    let rpc = Loopback { port: anvil.port(), id: AtomicU64::new(1) };
    set_coin_balance(&rpc, account, tokens("3")).await.expect("coin");
    mine(&rpc).await.expect("mines");
    let height = rpc.call("eth_blockNumber", json!([])).await.expect("a height");
    drop(anvil);
    let anvil = Anvil::start(&options).expect("anvil starts again");
    let rpc = Loopback { port: anvil.port(), id: AtomicU64::new(1) };
    assert_eq!(rpc.call("eth_blockNumber", json!([])).await.expect("a height"), height);
    let balance = rpc.call("eth_getBalance", json!([account, "latest"])).await.expect("a balance");
    assert_eq!(balance, json!("0x29a2241af62c0000"), "three coins");
}

#[tokio::test]
async fn anvil_ends_with_its_owner_and_names_a_port_in_use() {
    let Some(mut s) = stage().await else { return };
    assert!(s.anvil.is_running().expect("known"));
    let options = AnvilOptions {
        port: Some(s.anvil.port()),
        ..AnvilOptions::new(anvil_binary().expect("found before"), s._home.path().to_owned())
    };
    let error = Anvil::start(&options).expect_err("the port is in use");
    let AnvilError::Ended { output } = error else { panic!("{error:?}") };
    assert!(output.to_lowercase().contains("in use"), "{output}");
    let missing = AnvilOptions { binary: "/nonexistent/anvil".into(), ..options };
    assert!(matches!(Anvil::start(&missing), Err(AnvilError::Spawn { .. })));
    let port = s.anvil.port();
    drop(s);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "nobody listens any more");
}

/// Prints what each deed costs, for relayers' fees and for the README. The limits lie a tenth above what was measured when
/// they were set: a change of the contract that makes a deed dearer has to say so here.
#[tokio::test]
async fn gas_stays_within_what_a_relayer_is_paid_for() {
    let Some(s) = stage().await else { return };
    let c = s.contracts();
    s.transact(&s.publisher, &calls::approve(c, tokens("1000000"))).await;
    let mut table: Vec<(&str, u64, u64)> = Vec::new();
    let deposit = s.transact(&s.publisher, &calls::deposit(c, tokens("100000"))).await;
    table.push(("deposit, first", deposit.gas_used, 95_000));
    let crowd: Vec<Signer> = (0..50).map(|_| Signer::random()).collect();
    let build = |each: &str| {
        let strangers = (0..974u64).map(|i| {
            let hash = Hash32::keccak(&i.to_be_bytes()).0;
            (Address::try_from(&hash[..20]).expect("20 bytes"), tokens("1"))
        });
        ClaimTree::new(crowd.iter().map(|s| (s.address(), tokens(each))).chain(strangers)).expect("a tree")
    };
    let claims = |tree: &ClaimTree, who: &[Signer]| -> Vec<ClaimProof> {
        who.iter()
            .map(|s| ClaimProof {
                account: s.address(),
                cumulative: tree.cumulative(s.address()).expect("in the tree"),
                proof: tree.proof(s.address()).expect("in the tree"),
            })
            .collect()
    };
    let first = build("1");
    let proposed = s.propose(&first).await;
    table.push(("propose with one publisher's spend, first", proposed.gas_used, 123_000));
    advance(&*s.rpc, DELAY.into()).await.expect("time passes");
    let activated = s.transact(&s.relayer, &calls::activate(c)).await;
    table.push(("activate", activated.gas_used, 78_000));
    let many = s.transact(&s.relayer, &calls::claim_many(c, &claims(&first, &crowd))).await;
    table.push(("claimMany of 50 fresh accounts, each", many.gas_used / 50, 68_000));
    let second = build("5");
    let proposed = s.propose(&second).await;
    table.push(("propose with one publisher's spend, later", proposed.gas_used, 104_000));
    advance(&*s.rpc, DELAY.into()).await.expect("time passes");
    s.transact(&s.relayer, &calls::activate(c)).await;
    let claim = claims(&second, &crowd[..1]).remove(0);
    let repeat = s.transact(&s.relayer, &calls::claim(c, &claim)).await;
    table.push(("claim, repeat account", repeat.gas_used, 70_000));
    let many = s.transact(&s.relayer, &calls::claim_many(c, &claims(&second, &crowd[25..]))).await;
    table.push(("claimMany of 25 repeat accounts, each", many.gas_used / 25, 31_000));
    for (nonce, (name, most)) in [
        ("claimTo, first nonce of a word, new recipient", 155_000),
        ("claimTo, next nonce, known recipient", 98_000),
    ]
    .into_iter()
    .enumerate()
    {
        let who = &crowd[1];
        let order = s.order(who, Address::from_bytes([0xee; 20]), "1", "0.1", nonce as u64).await;
        let signature = order.sign(c, who).expect("signs");
        let proof = second.proof(who.address()).expect("in the tree");
        let paid = s.transact(&s.relayer, &calls::claim_to(c, &order, tokens("5"), &proof, &signature)).await;
        table.push((name, paid.gas_used, most));
    }
    for (name, gas, most) in table {
        println!("gas: {name}: {gas}");
        assert!(gas <= most, "{name} costs {gas} gas, more than {most}");
    }
}
