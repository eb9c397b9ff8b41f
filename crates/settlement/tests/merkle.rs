//! The tree of claims equals OpenZeppelin's, proves what is in it and nothing else.

use proptest::collection::btree_map;
use proptest::prelude::*;
use serde_json::Value;
use settlement::{Address, Amount, ClaimTree, Hash32, MerkleError, leaf_hash, verify_claim};

/// Made by @openzeppelin/merkle-tree, see generate_merkle_tree.mjs.
const VECTORS: &str = include_str!("vectors/merkle_tree.json");

fn hash(value: &Value) -> Hash32 {
    value.as_str().expect("text").parse().expect("a hash")
}

#[test]
fn roots_and_proofs_are_those_of_openzeppelins_library() {
    let vectors: Value = serde_json::from_str(VECTORS).expect("vectors");
    let cases = vectors["cases"].as_array().expect("cases");
    assert_eq!(cases.len(), 11);
    for case in cases {
        let list = case["claims"].as_array().expect("claims");
        let claims: Vec<(Address, Amount)> = list
            .iter()
            .map(|c| {
                // Lower case here: the library's input was without checksum.
                let account =
                    Address::parse_checksummed(c["account"].as_str().expect("text")).expect("address");
                let cumulative =
                    Amount::parse_base_units(c["cumulative"].as_str().expect("text")).expect("amount");
                (account.address, cumulative)
            })
            .collect();
        let tree = ClaimTree::new(claims.clone()).expect("a tree");
        assert_eq!(tree.root(), hash(&case["root"]), "{} leaves", claims.len());
        for (entry, (account, _)) in list.iter().zip(&claims) {
            let expected: Vec<Hash32> = entry["proof"].as_array().expect("proof").iter().map(hash).collect();
            assert_eq!(tree.proof(*account), Some(expected), "{account} of {}", claims.len());
        }
    }
}

#[test]
fn an_empty_or_ambiguous_list_makes_no_tree() {
    assert_eq!(ClaimTree::new([]).err(), Some(MerkleError::Empty));
    let account = Address::from_bytes([7; 20]);
    let twice = [(account, Amount::from_base_units(1)), (account, Amount::from_base_units(2))];
    assert_eq!(ClaimTree::new(twice).err(), Some(MerkleError::Duplicate(account)));
    let much = [(account, Amount::MAX), (Address::from_bytes([8; 20]), Amount::from_base_units(1))];
    assert_eq!(ClaimTree::new(much).err(), Some(MerkleError::Overflow));
}

#[test]
fn a_tree_of_one_account_has_its_leaf_as_root() {
    let account = Address::from_bytes([7; 20]);
    let amount = Amount::from_base_units(5);
    let tree = ClaimTree::new([(account, amount)]).expect("a tree");
    assert_eq!(tree.root(), leaf_hash(account, amount));
    assert_eq!(tree.proof(account), Some(vec![]));
    assert!(verify_claim(tree.root(), account, amount, &[]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_account_is_proven_and_no_other_amount(
        list in btree_map(any::<[u8; 20]>(), 0u128..u128::MAX / 2, 1..80),
        stranger in any::<[u8; 20]>(),
        delta in 1u128..1000,
    ) {
        let claims: Vec<_> =
            list.iter().map(|(a, n)| (Address::from_bytes(*a), Amount::from_base_units(*n))).collect();
        let tree = ClaimTree::new(claims.clone()).expect("a tree");
        let reversed = ClaimTree::new(claims.iter().rev().copied()).expect("a tree");
        prop_assert_eq!(tree.root(), reversed.root(), "the order of the list makes no difference");
        prop_assert_eq!(tree.total(), claims.iter().map(|c| c.1).sum());
        for (account, cumulative) in &claims {
            let proof = tree.proof(*account).expect("in the tree");
            prop_assert!(verify_claim(tree.root(), *account, *cumulative, &proof));
            let more = cumulative.checked_add(Amount::from_base_units(delta)).expect("fits");
            prop_assert!(!verify_claim(tree.root(), *account, more, &proof));
            prop_assert_eq!(tree.cumulative(*account), Some(*cumulative));
            if claims.len() > 1 {
                prop_assert!(!verify_claim(tree.root(), *account, *cumulative, &proof[1..]));
            }
        }
        if !list.contains_key(&stranger) {
            let stranger = Address::from_bytes(stranger);
            prop_assert_eq!(tree.proof(stranger), None);
            let borrowed = tree.proof(claims[0].0).expect("in the tree");
            prop_assert!(!verify_claim(tree.root(), stranger, claims[0].1, &borrowed));
        }
    }
}
