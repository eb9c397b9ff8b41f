//! The committed artifacts belong to the committed sources, and the constants in Rust to the artifacts. No Node needed:
//! `contracts/build.mjs --check` compiles again where there is one.

use std::path::Path;

use serde_json::Value;
use settlement::{Hash32, artifact};

/// The files that `build.mjs` hashes, in its order.
const HASHED: [&str; 4] = ["compiler.json", "package-lock.json", "src/Distributor.sol", "src/Ember.sol"];

fn parse(text: &str) -> Value {
    serde_json::from_str(text).expect("an artifact is JSON")
}

fn source_hash() -> Hash32 {
    let contracts = Path::new(env!("CARGO_MANIFEST_DIR")).join("contracts");
    let mut all = Vec::new();
    for name in HASHED {
        let bytes = std::fs::read(contracts.join(name)).expect("the sources are committed");
        all.extend(format!("{name}\0{}\0", bytes.len()).bytes());
        all.extend(bytes);
    }
    Hash32::keccak(&all)
}

#[test]
fn the_committed_artifacts_were_compiled_from_the_committed_sources() {
    let expected = source_hash().to_string();
    for text in [artifact::DISTRIBUTOR_JSON, artifact::EMBER_JSON] {
        let found = parse(text)["sourceHash"].as_str().expect("sourceHash").to_owned();
        assert_eq!(
            found, expected,
            "a source changed after the last build: run `node build.mjs` in contracts/"
        );
    }
}

#[test]
fn the_code_hash_that_the_vault_trusts_is_that_of_the_committed_code() {
    let artifact = parse(artifact::DISTRIBUTOR_JSON);
    let code = artifact["deployedBytecode"].as_str().expect("deployedBytecode");
    let code = hex::decode(code.strip_prefix("0x").expect("0x")).expect("hexadecimal");
    assert_eq!(Hash32::keccak(&code), artifact::DISTRIBUTOR_CODE_HASH, "set it to the value on the left");
    assert_eq!(
        artifact["hasImmutables"], false,
        "with immutables the deployed code would not equal the artifact"
    );
    assert!(code.len() < 24_576, "a chain refuses longer code (EIP-170)");
}

#[test]
fn proofs_ask_for_the_slots_that_the_compiler_assigned() {
    let distributor = parse(artifact::DISTRIBUTOR_JSON);
    assert_eq!(distributor["storage"]["claimed"]["slot"], artifact::DISTRIBUTOR_CLAIMED_SLOT);
    assert_eq!(distributor["storage"]["token"]["slot"], artifact::DISTRIBUTOR_TOKEN_SLOT);
    assert_eq!(distributor["storage"]["token"]["offset"], 0, "the token lies in the low 20 bytes");
    let ember = parse(artifact::EMBER_JSON);
    assert_eq!(ember["storage"]["_balances"]["slot"], artifact::EMBER_BALANCES_SLOT);
}

#[test]
fn creation_code_is_read_from_artifacts_and_from_nothing_else() {
    assert!(artifact::creation_code(artifact::EMBER_JSON).is_some_and(|code| code.len() > 1000));
    assert_eq!(artifact::creation_code("{}"), None);
    assert_eq!(artifact::creation_code("not JSON"), None);
}
