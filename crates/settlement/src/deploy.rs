//! Puts the contracts on a chain: the local network's at every fresh start, a public network's once. Whoever calls it
//! pays the gas and receives, for EMBER, the whole supply.

use alloy::sol_types::SolValue;
use serde::{Deserialize, Serialize};

use crate::abi::IDistributor;
use crate::endpoint::Endpoint;
use crate::{Address, Amount, ChainError, Contracts, Rpc, Signer, artifact};

/// Keys and limits of a distributor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DistributorParameters {
    pub admin: Address,
    pub guardian: Address,
    pub poster: Address,
    /// Seconds between a proposal and its activation: a day in production, seconds on the local network.
    pub challenge_delay: u32,
    /// Seconds between a publisher's request and a refund without the poster's consent.
    pub refund_delay: u32,
    /// How many of the latest roots can be claimed against.
    pub kept_roots: u16,
    /// The most by which one epoch may raise the total.
    pub epoch_cap: Amount,
}

/// Deploys EMBER with a fixed `supply`, all of it to the deployer, and waits until it is in a block.
///
/// # Errors
/// See [`ChainError`].
pub async fn deploy_ember<P, F>(
    rpc: &dyn Rpc,
    deployer: &Signer,
    supply: Amount,
    pace: P,
) -> Result<Address, ChainError>
where
    P: FnMut(u32) -> F,
    F: Future<Output = bool>,
{
    create(rpc, deployer, artifact::EMBER_JSON, supply.to_u256().abi_encode(), pace).await
}

/// Deploys a distributor for `token` and waits until it is in a block.
///
/// # Errors
/// See [`ChainError`]; `Revert` when a parameter is out of range.
pub async fn deploy_distributor<P, F>(
    rpc: &dyn Rpc,
    deployer: &Signer,
    token: Address,
    parameters: &DistributorParameters,
    pace: P,
) -> Result<Address, ChainError>
where
    P: FnMut(u32) -> F,
    F: Future<Output = bool>,
{
    let arguments = IDistributor::Parameters {
        token: token.to_alloy(),
        admin: parameters.admin.to_alloy(),
        guardian: parameters.guardian.to_alloy(),
        poster: parameters.poster.to_alloy(),
        challengeDelay: parameters.challenge_delay,
        refundDelay: parameters.refund_delay,
        keptRoots: parameters.kept_roots,
        epochCap: parameters.epoch_cap.to_u256(),
    };
    create(rpc, deployer, artifact::DISTRIBUTOR_JSON, arguments.abi_encode(), pace).await
}

/// Deploys EMBER and a distributor for it: the whole settlement of a local network.
///
/// # Errors
/// See [`ChainError`].
pub async fn deploy_local<P, F>(
    rpc: &dyn Rpc,
    deployer: &Signer,
    supply: Amount,
    parameters: &DistributorParameters,
    mut pace: P,
) -> Result<Contracts, ChainError>
where
    P: FnMut(u32) -> F,
    F: Future<Output = bool>,
{
    let chain_id = Endpoint(rpc).chain_id().await?;
    let token = deploy_ember(rpc, deployer, supply, &mut pace).await?;
    let distributor = deploy_distributor(rpc, deployer, token, parameters, &mut pace).await?;
    Ok(Contracts::with_ember(chain_id, token, distributor))
}

async fn create<P, F>(
    rpc: &dyn Rpc,
    deployer: &Signer,
    artifact: &str,
    arguments: Vec<u8>,
    pace: P,
) -> Result<Address, ChainError>
where
    P: FnMut(u32) -> F,
    F: Future<Output = bool>,
{
    let endpoint = Endpoint(rpc);
    let chain_id = endpoint.chain_id().await?;
    let mut code = artifact::creation_code(artifact).expect("the artifact is committed and tested");
    code.extend(arguments);
    let tx = endpoint.prepare(deployer, chain_id, None, &code).await?;
    endpoint.send(&tx).await?;
    let receipt = endpoint.wait(tx.hash, None, pace).await?;
    let created = receipt.created.filter(|_| receipt.succeeded).ok_or(ChainError::Failed(tx.hash))?;
    // An endpoint could report any address; the one that follows from the deployer and its nonce is the only right one.
    let expected = Address::from_alloy(deployer.address().to_alloy().create(tx.nonce));
    if created != expected {
        return Err(ChainError::Failed(tx.hash));
    }
    Ok(created)
}
