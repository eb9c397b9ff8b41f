//! How the chain is reached: one JSON-RPC call at a time, through whatever the caller brings. The agent and the
//! coordinator implement [`Rpc`] over the network room's facade; this room only builds requests and reads answers.

use std::future::Future;
use std::pin::Pin;

use serde_json::{Value, json};

/// The answer of [`Rpc::call`], boxed so that `Arc<dyn Rpc>` is possible.
pub type RpcFuture<'a> = Pin<Box<dyn Future<Output = Result<Value, RpcError>> + Send + 'a>>;

/// One JSON-RPC endpoint.
pub trait Rpc: Send + Sync {
    /// Calls `method` with positional `params` (a JSON array) and returns the `result` member. Implementations bound the
    /// time and the size of the answer, and use [`request`] and [`parse_response`] for the envelope.
    fn call<'a>(&'a self, method: &'a str, params: Value) -> RpcFuture<'a>;
}

/// Why a call brought no result.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RpcError {
    /// No answer: refused, timed out, reset. Whether a transaction was taken is unknown.
    #[error("the chain endpoint did not answer: {0}")]
    Transport(String),
    /// The endpoint answered with an error.
    #[error("the chain endpoint answered with error {code}: {message}")]
    Response { code: i64, message: String, data: Option<Value> },
    /// The answer is not JSON-RPC, or not of the expected shape.
    #[error("the chain endpoint's answer is malformed: {0}")]
    Malformed(String),
    /// Several endpoints were asked and too few gave the same answer.
    #[error("only {agreed} of {asked} chain endpoints agree, {needed} are needed")]
    Disagreement { agreed: usize, asked: usize, needed: usize },
}

/// The body of a JSON-RPC 2.0 request, to be sent by POST as `application/json`.
#[must_use]
pub fn request(id: u64, method: &str, params: &Value) -> Vec<u8> {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string().into_bytes()
}

/// The `result` of a JSON-RPC 2.0 response to the request with this `id`.
///
/// # Errors
/// `Response` when the endpoint reports an error, `Malformed` when the body is not a response to this request.
pub fn parse_response(id: u64, body: &[u8]) -> Result<Value, RpcError> {
    let mut value: Value = serde_json::from_slice(body).map_err(|e| RpcError::Malformed(e.to_string()))?;
    let Some(envelope) = value.as_object_mut() else {
        return Err(RpcError::Malformed("the body is not an object".to_owned()));
    };
    if let Some(error) = envelope.get("error").filter(|e| !e.is_null()) {
        return Err(RpcError::Response {
            code: error.get("code").and_then(Value::as_i64).unwrap_or_default(),
            message: error.get("message").and_then(Value::as_str).unwrap_or("no message").to_owned(),
            data: error.get("data").cloned(),
        });
    }
    if envelope.get("id").and_then(Value::as_u64) != Some(id) {
        return Err(RpcError::Malformed("the answer is to another request".to_owned()));
    }
    envelope.remove("result").ok_or_else(|| RpcError::Malformed("the answer has no result".to_owned()))
}
