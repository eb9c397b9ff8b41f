//! Founding of a local network: keys, contracts on a development chain, and the signed profile that makes it a network.
//!
//! It owns the order of these steps and the files they leave in one folder. It never overwrites a file, never starts a
//! chain, and is of no use on a public network, whose root key is not made by a program in a folder. The program
//! `coordinator found` and the whole-system tests call it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use protocol::id::NetworkId;
use protocol::profile::{ChainProfile, Coordinator, Parameters, Profile};
use protocol::sign::{Key, Signed};
use protocol::units::{BaseUnits, UnixMillis};
use serde::Serialize;
use settlement::deploy::{DistributorParameters, deploy_local};
use settlement::{Address, Amount, Chain, ChainError, Contracts, Rpc, RpcError, Signer, calls, devchain};
use zeroize::Zeroizing;

use crate::coordinator::Randomness;
use crate::files::{FileError, write_secret};

/// Whole supply of the local token: a thousand million.
const SUPPLY_TOKENS: u128 = 1_000_000_000;
/// What the publisher gets to spend.
const PUBLISHER_TOKENS: u128 = 1_000_000;
/// Base units of one token.
const TOKEN: u128 = 1_000_000_000_000_000_000;
/// Coin for gas that each operator account gets, in wei: a thousand.
const GAS_WEI: u128 = 1_000 * TOKEN;
/// How long the local profile is good for.
const VALID_FOR: Duration = Duration::from_secs(365 * 24 * 3600);

/// What a local network is founded from.
pub struct Founding<'a> {
    /// An empty folder for its files; made if it is not there.
    pub folder: &'a Path,
    /// The development chain.
    pub rpc: Arc<dyn Rpc>,
    /// Where others reach that chain.
    pub rpc_url: String,
    /// Where the coordinator will listen.
    pub coordinator_url: String,
    /// Name of its one publisher.
    pub publisher: String,
    /// Time spans and shares.
    pub parameters: Parameters,
    /// Seconds between a root's proposal and its activation.
    pub challenge_delay_seconds: u32,
    /// The present.
    pub now: UnixMillis,
    /// Source of all keys.
    pub randomness: Randomness,
}

impl std::fmt::Debug for Founding<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Founding").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// The files of a founded network, for the programs that come next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Founded {
    /// The network.
    pub network: NetworkId,
    /// Signed profile: what a contributor joins.
    pub profile: PathBuf,
    /// The coordinator's ed25519 key.
    pub coordinator_key: PathBuf,
    /// The coordinator's chain key: poster, relayer and payer of gas.
    pub operator_key: PathBuf,
    /// The publisher's ed25519 key.
    pub publisher_key: PathBuf,
    /// The publisher's chain key: deposits from here.
    pub publisher_chain_key: PathBuf,
    /// From publisher key to chain account, for `coordinator serve --publishers`.
    pub publishers: PathBuf,
    /// Address of the token.
    pub token: Address,
    /// Address of the distributor.
    pub distributor: Address,
    /// The chain.
    pub chain_id: u64,
}

/// Why no network was founded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FoundError {
    /// A file cannot be made, or is there already.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file or folder cannot be written.
    #[error("write {path}")]
    Write {
        /// Which one.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The chain is not a development chain, or does not answer.
    #[error("prepare the development chain")]
    Rpc(#[from] RpcError),
    /// The contracts could not be deployed.
    #[error("deploy the contracts")]
    Chain(#[from] ChainError),
    /// 32 bytes that are no chain key; practically never.
    #[error("make a chain key")]
    Key(#[from] settlement::SignerError),
}

/// Parameters of a network on one machine: real rules with compressed times.
pub fn local_parameters() -> Parameters {
    Parameters {
        maturity_millis: 2_000,
        epoch_millis: 5_000,
        lease_millis: 10 * 60 * 1000,
        audits_per_unit: [16, 4, 2],
        trusted_permille: 1000,
        fee_permille: 50,
        withdrawal_fee: BaseUnits(TOKEN / 1000),
        delivery_price: BaseUnits(TOKEN / 1000),
    }
}

/// Makes keys, deploys, signs the profile, and writes all of it into the folder. The profile comes last, so a folder
/// with a profile is complete.
///
/// # Errors
/// [`FoundError`]; what was written before stays, and a second attempt needs another folder.
pub async fn found(founding: Founding<'_>) -> Result<Founded, FoundError> {
    let folder = founding.folder;
    std::fs::create_dir_all(folder)
        .map_err(|source| FoundError::Write { path: folder.to_owned(), source })?;
    let key_file = |name: &str| -> Result<(PathBuf, Zeroizing<[u8; 32]>), FileError> {
        let path = folder.join(name);
        let seed = Zeroizing::new((founding.randomness)());
        write_secret(&path, &seed)?;
        Ok((path, seed))
    };
    let (_, root) = key_file("root.key")?;
    let (coordinator_key, coordinator) = key_file("coordinator.key")?;
    let (operator_key, operator) = key_file("operator.key")?;
    let (publisher_key, publisher) = key_file("publisher.key")?;
    let (publisher_chain_key, publisher_chain) = key_file("publisher-chain.key")?;
    let (root, coordinator, publisher) =
        (Key::from_seed(&root), Key::from_seed(&coordinator), Key::from_seed(&publisher));
    let (operator, depositor) = (Signer::from_key(operator)?, Signer::from_key(publisher_chain)?);

    let rpc = founding.rpc.as_ref();
    let gas = Amount::from(GAS_WEI);
    devchain::set_coin_balance(rpc, operator.address(), gas).await?;
    devchain::set_coin_balance(rpc, depositor.address(), gas).await?;
    devchain::mine(rpc).await?;
    let contracts = deploy_local(
        rpc,
        &operator,
        Amount::from(SUPPLY_TOKENS * TOKEN),
        &DistributorParameters {
            admin: operator.address(),
            guardian: operator.address(),
            poster: operator.address(),
            challenge_delay: founding.challenge_delay_seconds,
            refund_delay: 60,
            kept_roots: 8,
            epoch_cap: Amount::from(PUBLISHER_TOKENS * TOKEN),
        },
        pause,
    )
    .await?;
    let chain = Chain::new(Arc::clone(&founding.rpc), contracts.clone());
    let grant = calls::transfer(&contracts, depositor.address(), Amount::from(PUBLISHER_TOKENS * TOKEN));
    chain.transact(&operator, &grant, pause).await?;

    let publishers = folder.join("publishers.json");
    let accounts = serde_json::json!({ publisher.publisher().to_string(): depositor.address().to_string() });
    write(&publishers, accounts.to_string().as_bytes())?;
    let network = NetworkId::of_root_key(&root.public());
    let profile = folder.join("profile.hearth");
    let signed = sign_profile(&founding, &root, network, &coordinator, &publisher, &contracts);
    write(&profile, &signed.envelope().to_bytes())?;
    Ok(Founded {
        network,
        profile,
        coordinator_key,
        operator_key,
        publisher_key,
        publisher_chain_key,
        publishers,
        token: contracts.token,
        distributor: contracts.distributor,
        chain_id: contracts.chain_id,
    })
}

fn sign_profile(
    founding: &Founding<'_>,
    root: &Key,
    network: NetworkId,
    coordinator: &Key,
    publisher: &Key,
    contracts: &Contracts,
) -> Signed<Profile> {
    let profile = Profile {
        name: "Local network".into(),
        counter: 1,
        expires_at: founding.now.plus(VALID_FOR),
        coordinators: vec![Coordinator {
            id: coordinator.coordinator(),
            url: founding.coordinator_url.clone(),
        }],
        chain: ChainProfile {
            chain_id: contracts.chain_id,
            rpc: vec![founding.rpc_url.clone()],
            token: contracts.token.to_string(),
            token_symbol: "EMBER".into(),
            token_decimals: 18,
            distributor: contracts.distributor.to_string(),
        },
        publishers: [(founding.publisher.clone(), publisher.publisher())].into(),
        parameters: founding.parameters.clone(),
        relays: Vec::new(),
        local: true,
    };
    root.sign(&network, profile)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), FoundError> {
    std::fs::write(path, bytes).map_err(|source| FoundError::Write { path: path.to_owned(), source })
}

/// Between two looks for a transaction: a tenth of a second, at most half a minute in all.
async fn pause(looks: u32) -> bool {
    tokio::time::sleep(Duration::from_millis(100)).await;
    looks < 300
}
