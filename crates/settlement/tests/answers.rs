//! Endpoints' answers, good and bad, without a chain: every malformed one is an error with a name, none a panic.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use serde_json::{Value, json};
use settlement::{
    Address, Amount, Chain, ChainError, Contracts, Hash32, Quorum, Revert, Rpc, RpcError, RpcFuture, Tag,
    TxHash, rpc,
};

/// Gives the prepared answers, by method, and remembers what was asked.
#[derive(Default)]
struct Script {
    answers: BTreeMap<&'static str, Result<Value, RpcError>>,
    asked: Mutex<Vec<(String, Value)>>,
}

impl Script {
    fn answering(answers: impl IntoIterator<Item = (&'static str, Result<Value, RpcError>)>) -> Arc<Self> {
        Arc::new(Self { answers: answers.into_iter().collect(), asked: Mutex::default() })
    }
}

impl Rpc for Script {
    fn call<'a>(&'a self, method: &'a str, params: Value) -> RpcFuture<'a> {
        self.asked.lock().expect("not poisoned").push((method.to_owned(), params));
        let unknown = || Err(RpcError::Transport("not in the script".to_owned()));
        let answer = self.answers.get(method).cloned().unwrap_or_else(unknown);
        Box::pin(async move { answer })
    }
}

fn contracts() -> Contracts {
    Contracts::with_ember(31337, Address::from_bytes([1; 20]), Address::from_bytes([2; 20]))
}

fn reverted(data: Value) -> RpcError {
    RpcError::Response { code: 3, message: "execution reverted".to_owned(), data: Some(data) }
}

/// The selector of a Solidity error and its words.
fn error_data(signature: &str, words: &[Amount]) -> String {
    let mut data = Hash32::keccak(signature.as_bytes()).0[..4].to_vec();
    data.extend(words.iter().flat_map(Amount::to_be_bytes));
    format!("0x{}", hex::encode(data))
}

#[test]
fn the_envelope_of_a_request_is_json_rpc_2() {
    let body: Value = serde_json::from_slice(&rpc::request(7, "eth_chainId", &json!([]))).expect("JSON");
    assert_eq!(body, json!({ "jsonrpc": "2.0", "id": 7, "method": "eth_chainId", "params": [] }));
}

#[test]
fn only_an_answer_to_this_request_is_taken() {
    let parse = |text: &str| rpc::parse_response(7, text.as_bytes());
    assert_eq!(parse(r#"{"jsonrpc":"2.0","id":7,"result":"0x1"}"#).expect("an answer"), json!("0x1"));
    assert_eq!(parse(r#"{"jsonrpc":"2.0","id":7,"result":null}"#).expect("an answer"), Value::Null);
    for malformed in [
        "",
        "<html>502</html>",
        "[]",
        "7",
        r#"{"id":8,"result":"0x1"}"#,
        r#"{"id":7}"#,
        r#"{"result":"0x1"}"#,
    ] {
        assert!(matches!(parse(malformed), Err(RpcError::Malformed(_))), "{malformed}");
    }
    let error =
        parse(r#"{"id":null,"error":{"code":-32601,"message":"no such method"}}"#).expect_err("an error");
    assert!(matches!(error, RpcError::Response { code: -32601, .. }), "{error:?}");
}

#[test]
fn revert_data_is_found_where_endpoints_put_it() {
    let data = error_data("ExceedsClaimable(uint256,uint256)", &[Amount::ONE_TOKEN, Amount::ZERO]);
    let expected = Revert::ExceedsClaimable { wanted: Amount::ONE_TOKEN, claimable: Amount::ZERO };
    for place in [json!(data), json!({ "data": data })] {
        assert_eq!(Revert::from_rpc(&reverted(place)), Some(expected.clone()));
    }
    let plain = RpcError::Response { code: 3, message: "execution reverted".to_owned(), data: None };
    assert_eq!(Revert::from_rpc(&plain), Some(Revert::Other("execution reverted".to_owned())));
    let other = RpcError::Response { code: -32000, message: "insufficient funds".to_owned(), data: None };
    assert_eq!(Revert::from_rpc(&other), None, "not every error is the contract's");
    assert_eq!(Revert::from_rpc(&RpcError::Transport("reset".to_owned())), None);
}

#[test]
fn every_reason_has_a_name() {
    for (signature, expected) in [
        ("NonceUsed()", Revert::NonceUsed),
        ("Expired()", Revert::Expired),
        ("WrongSigner()", Revert::WrongSigner),
        ("ECDSAInvalidSignature()", Revert::WrongSigner),
        ("ERC3009InvalidSignature()", Revert::WrongSigner),
        ("NothingToPay()", Revert::NothingToPay),
        ("IsPaused()", Revert::Paused),
        ("AlreadyPending()", Revert::AlreadyPending),
        ("NothingPending()", Revert::NothingPending),
        ("TotalDecreased()", Revert::TotalDecreased),
        ("ExceedsTotal()", Revert::ExceedsTotal),
        ("NotPoster()", Revert::NotPoster),
        ("NotGuardian()", Revert::NotGuardian),
        ("BadParameter()", Revert::BadParameter),
    ] {
        assert_eq!(
            Revert::from_rpc(&reverted(json!(error_data(signature, &[])))),
            Some(expected),
            "{signature}"
        );
    }
    let word = |n: u128| Amount::from_base_units(n);
    assert_eq!(
        Revert::from_rpc(&reverted(json!(error_data("TooEarly(uint256)", &[word(1_800_000_000)])))),
        Some(Revert::TooEarly(1_800_000_000))
    );
    assert_eq!(
        Revert::from_rpc(&reverted(json!(error_data("TooEarly(uint256)", &[Amount::MAX])))),
        Some(Revert::TooEarly(u64::MAX)),
        "a hostile number saturates"
    );
    let unknown = error_data("SomethingNew(uint256)", &[word(1)]);
    assert_eq!(Revert::from_rpc(&reverted(json!(unknown))), Some(Revert::Other(unknown)));
}

#[tokio::test]
async fn malformed_answers_are_errors_with_a_name() {
    for answer in [json!(null), json!(7), json!("7"), json!("0xzz"), json!("0x01"), json!({}), json!([])] {
        let script = Script::answering([("eth_call", Ok(answer.clone()))]);
        let chain = Chain::new(script, contracts());
        let error = chain.token_balance(Address::ZERO, Tag::Latest).await.expect_err("no balance");
        assert!(matches!(error, ChainError::Rpc(RpcError::Malformed(_))), "{answer}: {error:?}");
        let error = chain.state(Tag::Latest).await.expect_err("no state");
        assert!(matches!(error, ChainError::Rpc(RpcError::Malformed(_))), "{answer}: {error:?}");
    }
    for answer in [json!({}), json!({ "hash": "0x00" }), json!("0x1"), json!([1])] {
        let answers = ["eth_getBlockByNumber", "eth_getTransactionReceipt", "eth_getLogs"]
            .map(|method| (method, Ok(answer.clone())));
        let chain = Chain::new(Script::answering(answers), contracts());
        assert!(chain.block(Tag::Finalized).await.is_err(), "{answer}");
        assert!(chain.receipt(TxHash([0; 32])).await.is_err(), "{answer}");
        assert!(chain.events(0, 1).await.is_err(), "{answer}");
    }
    let chain = Chain::new(Script::answering([("eth_getBlockByNumber", Ok(Value::Null))]), contracts());
    let error = chain.block(Tag::Finalized).await.expect_err("a young chain has none");
    assert!(matches!(error, ChainError::NoBlock(Tag::Finalized)), "{error:?}");
}

#[tokio::test]
async fn logs_of_other_contracts_and_removed_ones_are_not_ours() {
    let word = |n: u8| Hash32([n; 32]).to_string();
    let topic = Hash32::keccak(b"Claimed(address,uint256)").to_string();
    let log = |address: Address, removed: bool| {
        json!({
            "address": address,
            "topics": [topic, format!("0x{}{}", "00".repeat(12), "07".repeat(20))],
            "data": format!("0x{}05", "00".repeat(31)),
            "blockNumber": "0x10", "blockHash": word(1), "transactionHash": word(2), "logIndex": "0x3",
            "removed": removed,
        })
    };
    let ours = contracts().distributor;
    let logs = json!([log(Address::from_bytes([9; 20]), false), log(ours, true), log(ours, false)]);
    let script = Script::answering([("eth_getLogs", Ok(logs))]);
    let events = Chain::new(script.clone(), contracts()).events(0x10, 0x20).await.expect("reads");
    assert_eq!(events.len(), 1, "a foreign log and one that a reorganisation took back are left out");
    assert_eq!((events[0].block_number, events[0].log_index), (0x10, 3));
    let account = Address::from_bytes([7; 20]);
    assert_eq!(events[0].event, settlement::Event::Claimed { account, amount: Amount::from_base_units(5) });
    let asked = script.asked.lock().expect("not poisoned");
    assert_eq!(asked[0].1[0]["fromBlock"], "0x10");
    assert_eq!(asked[0].1[0]["address"], ours.to_string());
}

#[tokio::test]
async fn a_quorum_takes_no_height_that_too_few_have_reached() {
    let at = |height: &'static str| -> Arc<dyn Rpc> {
        Script::answering([("eth_blockNumber", Ok(json!(height)))])
    };
    let quorum = Quorum::new(vec![at("0x10"), at("0xffffff"), at("0x0f")], 2).expect("a majority");
    assert_eq!(quorum.call("eth_blockNumber", json!([])).await.expect("a height"), json!("0x10"));
}

#[tokio::test]
async fn a_quorum_believes_a_revert_that_two_report_and_no_lone_failure() {
    let revert = || reverted(json!(error_data("NonceUsed()", &[])));
    let fails = || -> Arc<dyn Rpc> { Script::answering([("eth_call", Err(revert()))]) };
    let silent = || -> Arc<dyn Rpc> { Script::answering([]) };
    let quorum = Quorum::new(vec![fails(), silent(), fails()], 2).expect("a majority");
    let error = quorum.call("eth_call", json!([])).await.expect_err("a revert");
    assert_eq!(Revert::from_rpc(&error), Some(Revert::NonceUsed));
    let quorum = Quorum::new(vec![silent(), silent(), fails()], 2).expect("a majority");
    let error = quorum.call("eth_call", json!([])).await.expect_err("no agreement");
    assert!(matches!(error, RpcError::Disagreement { asked: 3, needed: 2, .. }), "{error:?}");
}

#[tokio::test]
async fn a_transaction_reaches_the_chain_when_one_endpoint_takes_it() {
    let takes: Arc<dyn Rpc> = Script::answering([("eth_sendRawTransaction", Ok(json!("0xabc")))]);
    let silent: Arc<dyn Rpc> = Script::answering([]);
    let quorum = Quorum::new(vec![silent.clone(), takes, silent.clone()], 2).expect("a majority");
    assert_eq!(quorum.call("eth_sendRawTransaction", json!([])).await.expect("taken"), json!("0xabc"));
    let quorum = Quorum::new(vec![silent.clone(), silent], 2).expect("a majority");
    let error = quorum.call("eth_sendRawTransaction", json!([])).await.expect_err("nobody took it");
    assert!(matches!(error, RpcError::Transport(_)), "{error:?}");
}

proptest! {
    #[test]
    fn no_body_makes_the_parser_panic(body in any::<Vec<u8>>()) {
        prop_assert!(rpc::parse_response(1, &body).is_err());
    }

    #[test]
    fn no_revert_data_makes_the_decoder_panic(data in any::<Vec<u8>>()) {
        prop_assert!(!Revert::decode(&data).to_string().is_empty());
    }
}
