//! Two other implementations must agree with this room byte for byte: ethers-core and ethers-signers on random cases, and
//! eth-account (pure Python keys, no shared code) on the committed vectors. A disagreement means that somebody's money
//! would be signed for differently than the rest of the world reads it.

use ethers_core::types::transaction::eip712::{Eip712, TypedData};
use ethers_core::types::transaction::eip2718::TypedTransaction;
use ethers_core::types::{Eip1559TransactionRequest, H160, H256, U256};
use ethers_core::utils::to_checksum;
use ethers_signers::{LocalWallet, Signer as _};
use proptest::prelude::*;
use serde_json::{Value, json};
use settlement::{
    Address, Amount, BindNode, Contracts, Fees, Hash32, HeldAuthorization, RefundVoucher, SignedTransaction,
    Signer, Withdraw, calls,
};

const VECTORS: &str = include_str!("vectors/eth_account.json");

fn signer(key: [u8; 32]) -> Signer {
    Signer::from_key(key.into()).expect("in range")
}

fn domain(name: &str, chain_id: u64, contract: Address) -> Value {
    json!({ "name": name, "version": "1", "chainId": chain_id, "verifyingContract": contract })
}

fn domain_fields() -> Value {
    json!([
        { "name": "name", "type": "string" },
        { "name": "version", "type": "string" },
        { "name": "chainId", "type": "uint256" },
        { "name": "verifyingContract", "type": "address" },
    ])
}

/// The digest by ethers of a message whose fields are given as (name, type, value).
fn ethers_digest(domain: &Value, primary: &str, fields: &[(&str, &str, Value)]) -> Hash32 {
    let types: Vec<Value> =
        fields.iter().map(|(name, kind, _)| json!({ "name": name, "type": kind })).collect();
    let message: serde_json::Map<String, Value> =
        fields.iter().map(|(name, _, value)| ((*name).to_owned(), value.clone())).collect();
    let typed: TypedData = serde_json::from_value(json!({
        "domain": domain,
        "primaryType": primary,
        "types": { "EIP712Domain": domain_fields(), primary: types },
        "message": message,
    }))
    .expect("typed data");
    Hash32(typed.encode_eip712().expect("a digest"))
}

fn number(amount: Amount) -> Value {
    json!(format!("0x{:x}", U256::from_big_endian(&amount.to_be_bytes())))
}

fn withdraw_fields(w: &Withdraw) -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("account", "address", json!(w.account)),
        ("to", "address", json!(w.to)),
        ("amount", "uint256", number(w.amount)),
        ("fee", "uint256", number(w.fee)),
        ("relayer", "address", json!(w.relayer.unwrap_or(Address::ZERO))),
        ("nonce", "uint256", json!(format!("0x{:x}", w.nonce))),
        ("deadline", "uint256", json!(format!("0x{:x}", w.deadline))),
    ]
}

fn ethers_signature(key: &[u8; 32], digest: Hash32) -> Vec<u8> {
    let wallet = LocalWallet::from_bytes(key).expect("in range");
    wallet.sign_hash(H256(digest.0)).expect("signs").to_vec()
}

fn key() -> impl Strategy<Value = [u8; 32]> {
    // Below the order of the curve (its first word is 0xffffffff) and not zero.
    any::<[u8; 32]>().prop_filter("in range", |k| k[0] < 0xff && k.iter().any(|b| *b != 0))
}

fn address() -> impl Strategy<Value = Address> {
    any::<[u8; 20]>().prop_map(Address::from_bytes)
}

fn contracts() -> impl Strategy<Value = Contracts> {
    (1u64..1 << 50, address(), address()).prop_map(|(id, token, dist)| Contracts::with_ember(id, token, dist))
}

prop_compose! {
    fn withdraw()(
        account in address(),
        to in address(),
        amount in any::<[u8; 32]>(),
        fee in any::<u128>(),
        relayer in proptest::option::of(address()),
        nonce in any::<u64>(),
        deadline in any::<u64>(),
    ) -> Withdraw {
        let mut amount = amount;
        amount[0] = 0;
        Withdraw { account, to, amount: Amount::from_be_bytes(amount), fee: fee.into(), relayer, nonce, deadline }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn ethers_derives_the_same_address_and_checksum(key in key()) {
        let ours = signer(key).address();
        let theirs = LocalWallet::from_bytes(&key).expect("in range").address();
        prop_assert_eq!(ours.as_bytes(), theirs.as_fixed_bytes());
        prop_assert_eq!(ours.to_string(), to_checksum(&theirs, None));
    }

    #[test]
    fn ethers_writes_the_same_checksum_for_any_address(bytes in any::<[u8; 20]>()) {
        prop_assert_eq!(Address::from_bytes(bytes).to_string(), to_checksum(&H160(bytes), None));
    }

    #[test]
    fn ethers_signs_the_same_withdrawal(w in withdraw(), c in contracts(), key in key()) {
        let digest = ethers_digest(
            &domain("Hearth Distributor", c.chain_id, c.distributor), "Withdraw", &withdraw_fields(&w));
        prop_assert_eq!(w.digest(&c), digest);
        let signature = w.sign(&c, &signer(key)).expect("signs");
        prop_assert_eq!(signature.as_bytes().to_vec(), ethers_signature(&key, digest));
        let own = Withdraw { account: signer(key).address(), ..w.clone() };
        let signature = own.sign(&c, &signer(key)).expect("signs");
        prop_assert_eq!(own.verify(&c, &signature), Ok(()));
        let changed = Withdraw { nonce: own.nonce ^ 1, ..own };
        prop_assert!(changed.verify(&c, &signature).is_err(), "a changed order keeps no signature");
    }

    #[test]
    fn ethers_signs_the_same_order_for_tokens_in_the_wallet(w in withdraw(), c in contracts(), key in key()) {
        let sum = w.sum().expect("fits");
        let digest = ethers_digest(&domain("Ember", c.chain_id, c.token), "ReceiveWithAuthorization", &[
            ("from", "address", json!(w.account)),
            ("to", "address", json!(c.distributor)),
            ("value", "uint256", number(sum)),
            ("validAfter", "uint256", json!("0x0")),
            ("validBefore", "uint256", json!(format!("0x{:x}", w.deadline))),
            ("nonce", "bytes32", json!(w.digest(&c))),
        ]);
        let held = HeldAuthorization(w);
        prop_assert_eq!(held.digest(&c), Some(digest));
        let signature = held.sign(&c, &signer(key)).expect("signs");
        prop_assert_eq!(signature.as_bytes().to_vec(), ethers_signature(&key, digest));
    }

    #[test]
    fn ethers_signs_the_same_bond(
        c in contracts(), key in key(), node in any::<[u8; 32]>(), payout in address(),
        issued_at in any::<u64>(), expires_at in any::<u64>(), nonce in any::<u64>(),
    ) {
        let bind = BindNode { node_id: Hash32(node), payout, issued_at, expires_at, nonce };
        let digest = ethers_digest(&domain("Hearth Distributor", c.chain_id, c.distributor), "BindNode", &[
            ("nodeId", "bytes32", json!(bind.node_id)),
            ("payout", "address", json!(payout)),
            ("issuedAt", "uint256", json!(format!("0x{issued_at:x}"))),
            ("expiresAt", "uint256", json!(format!("0x{expires_at:x}"))),
            ("nonce", "uint256", json!(format!("0x{nonce:x}"))),
        ]);
        prop_assert_eq!(bind.digest(&c), digest);
        let signature = bind.sign(&c, &signer(key)).expect("signs");
        prop_assert_eq!(signature.as_bytes().to_vec(), ethers_signature(&key, digest));
    }

    #[test]
    fn ethers_signs_the_same_refund_voucher(
        c in contracts(), key in key(), publisher in address(), refunded in any::<u128>(), spent in any::<u128>(),
        deadline in any::<u64>(),
    ) {
        let voucher = RefundVoucher { publisher, refunded: refunded.into(), spent: spent.into(), deadline };
        let digest = ethers_digest(&domain("Hearth Distributor", c.chain_id, c.distributor), "Refund", &[
            ("publisher", "address", json!(publisher)),
            ("refunded", "uint256", number(refunded.into())),
            ("spent", "uint256", number(spent.into())),
            ("deadline", "uint256", json!(format!("0x{deadline:x}"))),
        ]);
        prop_assert_eq!(voucher.digest(&c), digest);
        let signature = voucher.sign(&c, &signer(key)).expect("signs");
        prop_assert_eq!(signature.as_bytes().to_vec(), ethers_signature(&key, digest));
    }

    #[test]
    fn ethers_encodes_the_same_raw_transaction(
        c in contracts(), key in key(), to in address(), amount in any::<u128>(), nonce in any::<u64>(),
        gas in any::<u64>(), max_fee in any::<u128>(), tip in any::<u128>(),
    ) {
        let call = calls::transfer(&c, to, amount.into());
        let fees = Fees { max_fee_per_gas: max_fee, max_priority_fee_per_gas: tip };
        let ours = SignedTransaction::sign(&signer(key), c.chain_id, nonce, gas, fees, &call).expect("signs");
        let request = Eip1559TransactionRequest::new()
            .chain_id(c.chain_id)
            .nonce(nonce)
            .gas(gas)
            .max_fee_per_gas(max_fee)
            .max_priority_fee_per_gas(tip)
            .to(H160(*call.to().as_bytes()))
            .value(0)
            .data(call.data().to_vec());
        let typed = TypedTransaction::Eip1559(request);
        let wallet = LocalWallet::from_bytes(&key).expect("in range").with_chain_id(c.chain_id);
        let signature = wallet.sign_transaction_sync(&typed).expect("signs");
        prop_assert_eq!(&ours.raw, &typed.rlp_signed(&signature).to_string());
        prop_assert_eq!(ours.hash.0, typed.hash(&signature).0);
    }
}

#[test]
fn keys_outside_the_curve_are_refused() {
    assert!(Signer::from_key([0; 32].into()).is_err(), "zero");
    assert!(Signer::from_key([0xff; 32].into()).is_err(), "above the order");
}

#[test]
fn a_twin_signature_with_high_s_is_refused() {
    let signer = signer([7; 32]);
    let contracts = Contracts::with_ember(1, Address::from_bytes([1; 20]), Address::from_bytes([2; 20]));
    let bind = BindNode {
        node_id: Hash32([3; 32]),
        payout: signer.address(),
        issued_at: 1,
        expires_at: 2,
        nonce: 3,
    };
    let signature = bind.sign(&contracts, &signer).expect("signs");
    assert_eq!(bind.verify(&contracts, &signature), Ok(()));
    let order = U256::from_str_radix("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", 16)
        .expect("n");
    let mut twin = signature;
    (order - U256::from_big_endian(&signature.0[32..64])).to_big_endian(&mut twin.0[32..64]);
    twin.0[64] = 27 + 28 - signature.0[64];
    assert!(bind.verify(&contracts, &twin).is_err(), "each signature would have two forms");
    let mut compact = signature;
    compact.0[64] -= 27;
    assert!(bind.verify(&contracts, &compact).is_err(), "the contract reads only 27 and 28");
}

#[test]
fn a_key_never_shows_in_debug_output() {
    let key = [0xab; 32];
    let shown = format!("{:?}", signer(key));
    assert!(!shown.to_lowercase().contains("abab"), "{shown}");
    assert!(shown.contains(&signer(key).address().to_string()));
    assert_eq!(*signer(key).secret_key(), key, "operators can keep theirs");
}

#[test]
fn eth_account_agrees_on_every_committed_vector() {
    let vectors: Value = serde_json::from_str(VECTORS).expect("vectors");
    let cases = vectors["cases"].as_array().expect("cases");
    assert_eq!(cases.len(), 24);
    let read = |v: &Value| v.as_str().expect("text").to_owned();
    for case in cases {
        let key: Hash32 = read(&case["key"]).parse().expect("32 bytes");
        let signer = signer(key.0);
        assert_eq!(signer.address().to_string(), read(&case["address"]));
        let contracts = Contracts::with_ember(
            case["chain_id"].as_u64().expect("a number"),
            read(&case["token"]).parse().expect("an address"),
            read(&case["distributor"]).parse().expect("an address"),
        );
        let withdraw: Withdraw = serde_json::from_value(case["withdraw"].clone()).expect("an order");
        assert_eq!(withdraw.digest(&contracts).to_string(), read(&case["withdraw_signed"]["digest"]));
        let signature = withdraw.sign(&contracts, &signer).expect("signs");
        assert_eq!(signature.to_string(), read(&case["withdraw_signed"]["signature"]));
        let held = HeldAuthorization(withdraw);
        let digest = held.digest(&contracts).expect("fits");
        assert_eq!(digest.to_string(), read(&case["held_signed"]["digest"]));
        let signature = held.sign(&contracts, &signer).expect("signs");
        assert_eq!(signature.to_string(), read(&case["held_signed"]["signature"]));
        let voucher: RefundVoucher = serde_json::from_value(case["voucher"].clone()).expect("a voucher");
        assert_eq!(voucher.digest(&contracts).to_string(), read(&case["voucher_signed"]["digest"]));
        let signature = voucher.sign(&contracts, &signer).expect("signs");
        assert_eq!(signature.to_string(), read(&case["voucher_signed"]["signature"]));
        let bind: BindNode = serde_json::from_value(case["bind"].clone()).expect("a bond");
        assert_eq!(bind.digest(&contracts).to_string(), read(&case["bind_signed"]["digest"]));
        let signature = bind.sign(&contracts, &signer).expect("signs");
        assert_eq!(signature.to_string(), read(&case["bind_signed"]["signature"]));
        let transfer = &case["transfer"];
        let amount = Amount::parse_base_units(&read(&transfer["amount"])).expect("an amount");
        let call = calls::transfer(&contracts, read(&transfer["to"]).parse().expect("an address"), amount);
        let fees = Fees {
            max_fee_per_gas: transfer["max_fee_per_gas"].as_u64().expect("a number").into(),
            max_priority_fee_per_gas: transfer["max_priority_fee_per_gas"].as_u64().expect("a number").into(),
        };
        let nonce = transfer["nonce"].as_u64().expect("a number");
        let gas = transfer["gas_limit"].as_u64().expect("a number");
        let tx =
            SignedTransaction::sign(&signer, contracts.chain_id, nonce, gas, fees, &call).expect("signs");
        assert_eq!(tx.raw, read(&case["transfer_raw"]));
        assert_eq!(tx.hash.to_string(), read(&case["transfer_hash"]));
    }
}
