//! The compiled contracts as committed: Rust builds never need Node. `contracts/build.mjs` writes the JSON files;
//! `tests/artifacts.rs` fails when they do not belong to the sources beside them.

use serde_json::Value;

use crate::Hash32;

/// `Distributor.sol`, compiled.
pub const DISTRIBUTOR_JSON: &str = include_str!("../artifacts/Distributor.json");
/// `Ember.sol`, compiled.
pub const EMBER_JSON: &str = include_str!("../artifacts/Ember.json");

/// Keccak-256 of the distributor's deployed code. The contract has no immutables, so every honest deployment has
/// exactly this hash, whatever its parameters.
pub const DISTRIBUTOR_CODE_HASH: Hash32 =
    Hash32(alloy::primitives::hex!("092cae523e14de284a7165751cde7c1559d8f3d99504a1129a099d73dc252f40"));

/// Storage slot of `claimed` in `Distributor.sol`.
pub const DISTRIBUTOR_CLAIMED_SLOT: u64 = 10;
/// Storage slot that holds `token` (low 20 bytes) in `Distributor.sol`.
pub const DISTRIBUTOR_TOKEN_SLOT: u64 = 2;
/// Storage slot of the balances in `Ember.sol` (OpenZeppelin's ERC20).
pub const EMBER_BALANCES_SLOT: u64 = 0;

/// The creation code in an artifact, without constructor arguments; `None` when the text is not an artifact.
#[must_use]
pub fn creation_code(artifact: &str) -> Option<Vec<u8>> {
    let value: Value = serde_json::from_str(artifact).ok()?;
    hex::decode(value.get("bytecode")?.as_str()?.strip_prefix("0x")?).ok()
}
