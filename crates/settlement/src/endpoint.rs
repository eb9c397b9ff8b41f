//! The handful of JSON-RPC methods that Hearth uses, typed. Private: `Chain` and `deploy` are what callers see.

use alloy::primitives::U256;
use serde_json::{Value, json};

use crate::event::{malformed, missing, quantity, read_log};
use crate::proof::read_header;
use crate::{
    Address, Amount, Block, ChainError, Fees, Hash32, Receipt, Revert, Rpc, RpcError, SignedTransaction,
    Signer, Tag, TxHash, transaction,
};

#[derive(Clone, Copy)]
pub(crate) struct Endpoint<'a>(pub(crate) &'a dyn Rpc);

impl Endpoint<'_> {
    pub(crate) async fn chain_id(self) -> Result<u64, ChainError> {
        Ok(self.quantity("eth_chainId", json!([])).await?.saturating_to())
    }

    pub(crate) async fn block(self, at: Tag) -> Result<Block, ChainError> {
        let value = self.0.call("eth_getBlockByNumber", json!([at.to_json(), false])).await?;
        if value.is_null() {
            return Err(ChainError::NoBlock(at));
        }
        let (header, hash) = read_header(&value)?;
        Ok(Block {
            number: header.number,
            hash,
            at: header.timestamp,
            base_fee_per_gas: header.base_fee_per_gas.unwrap_or_default(),
            state_root: Hash32::from_b256(header.state_root),
        })
    }

    /// `eth_call`; a revert becomes [`ChainError::Revert`].
    pub(crate) async fn call(
        self,
        from: Option<Address>,
        to: Address,
        data: &[u8],
        at: Tag,
    ) -> Result<Vec<u8>, ChainError> {
        let mut request = json!({ "to": to, "data": bytes(data) });
        if let Some(from) = from {
            request["from"] = json!(from);
        }
        let value =
            self.0.call("eth_call", json!([request, at.to_json()])).await.map_err(ChainError::from_rpc)?;
        let text = value.as_str().and_then(|t| t.strip_prefix("0x")).ok_or_else(|| missing("result"))?;
        Ok(hex::decode(text).map_err(|e| malformed(&e))?)
    }

    /// Estimates, prices and signs a transaction of `signer` with its next nonce. `to: None` creates a contract.
    pub(crate) async fn prepare(
        self,
        signer: &Signer,
        chain_id: u64,
        to: Option<Address>,
        data: &[u8],
    ) -> Result<SignedTransaction, ChainError> {
        let mut request = json!({ "from": signer.address(), "data": bytes(data) });
        if let Some(to) = to {
            request["to"] = json!(to);
        }
        let estimate: u64 = self
            .quantity("eth_estimateGas", json!([request]))
            .await?
            .try_into()
            .map_err(|e| malformed(&e))?;
        let params = json!([signer.address(), "pending"]);
        let nonce = self.quantity("eth_getTransactionCount", params).await?;
        let nonce = nonce.try_into().map_err(|e| malformed(&e))?;
        let fees = self.fees().await?;
        // What a call costs moves with the state between now and its block (a first claim, a pending root to activate).
        let gas_limit = estimate.saturating_add(estimate / 4);
        Ok(transaction::sign(signer, chain_id, nonce, gas_limit, fees, to, data)?)
    }

    /// Twice the current base fee plus the suggested tip: enough for six full blocks in a row.
    pub(crate) async fn fees(self) -> Result<Fees, ChainError> {
        let tip: u128 = self
            .quantity("eth_maxPriorityFeePerGas", json!([]))
            .await?
            .try_into()
            .map_err(|e| malformed(&e))?;
        let base = u128::from(self.block(Tag::Latest).await?.base_fee_per_gas);
        Ok(Fees {
            max_fee_per_gas: base.saturating_mul(2).saturating_add(tip),
            max_priority_fee_per_gas: tip,
        })
    }

    /// Sends a signed transaction. Where the endpoint refuses it, it may have been taken before (by this endpoint or by a
    /// block); then that is as good as taking it now.
    pub(crate) async fn send(self, tx: &SignedTransaction) -> Result<(), ChainError> {
        match self.0.call("eth_sendRawTransaction", json!([tx.raw])).await {
            Ok(hash) if hash.as_str() == Some(&tx.hash.to_string()) => Ok(()),
            Ok(_) => {
                Err(RpcError::Malformed("the endpoint reports another transaction hash".to_owned()).into())
            }
            Err(error @ RpcError::Response { .. }) => {
                let known = self.0.call("eth_getTransactionByHash", json!([tx.hash])).await?;
                if known.is_null() { Err(ChainError::from_rpc(error)) } else { Ok(()) }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// `None` while the transaction is in no block.
    pub(crate) async fn receipt(
        self,
        tx: TxHash,
        distributor: Option<Address>,
    ) -> Result<Option<Receipt>, ChainError> {
        let value = self.0.call("eth_getTransactionReceipt", json!([tx])).await?;
        if value.is_null() {
            return Ok(None);
        }
        let text = |name: &str| value.get(name).and_then(Value::as_str).ok_or_else(|| missing(name));
        let reported: TxHash = text("transactionHash")?.parse().map_err(|e| malformed(&e))?;
        if reported != tx {
            return Err(RpcError::Malformed("the receipt is of another transaction".to_owned()).into());
        }
        let gas_used = quantity(text("gasUsed")?)?;
        let price = quantity(text("effectiveGasPrice")?)?;
        let created =
            value.get("contractAddress").and_then(Value::as_str).map(crate::address::parse_rpc_address);
        let mut events = Vec::new();
        if let Some(distributor) = distributor {
            for log in value.get("logs").and_then(Value::as_array).ok_or_else(|| missing("logs"))? {
                events.extend(read_log(log, distributor)?);
            }
        }
        Ok(Some(Receipt {
            tx,
            succeeded: quantity(text("status")?)? == 1,
            block_number: quantity(text("blockNumber")?)?,
            block_hash: text("blockHash")?.parse().map_err(|e| malformed(&e))?,
            gas_used,
            cost_wei: Amount::from_base_units(u128::from(gas_used) * u128::from(price)),
            created: created.transpose().map_err(|e| malformed(&e))?,
            events,
        }))
    }

    pub(crate) async fn wait<P, F>(
        self,
        tx: TxHash,
        distributor: Option<Address>,
        mut pace: P,
    ) -> Result<Receipt, ChainError>
    where
        P: FnMut(u32) -> F,
        F: Future<Output = bool>,
    {
        let mut attempt = 0;
        loop {
            if let Some(receipt) = self.receipt(tx, distributor).await? {
                return Ok(receipt);
            }
            if !pace(attempt).await {
                return Err(ChainError::NotMined(tx));
            }
            attempt = attempt.saturating_add(1);
        }
    }

    /// A quantity of up to 256 bits.
    pub(crate) async fn quantity(self, method: &str, params: Value) -> Result<U256, ChainError> {
        let value = self.0.call(method, params).await.map_err(ChainError::from_rpc)?;
        let digits = value.as_str().and_then(|t| t.strip_prefix("0x")).ok_or_else(|| missing(method))?;
        Ok(U256::from_str_radix(digits, 16).map_err(|e| malformed(&e))?)
    }
}

impl ChainError {
    /// An endpoint's error, or the revert that it reports.
    pub(crate) fn from_rpc(error: RpcError) -> Self {
        match Revert::from_rpc(&error) {
            Some(revert) => Self::Revert(revert),
            None => Self::Rpc(error),
        }
    }
}

pub(crate) fn bytes(data: &[u8]) -> String {
    format!("0x{}", hex::encode(data))
}
