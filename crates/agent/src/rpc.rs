//! The chain's endpoints, reached through the network room: one HTTP exchange for each call, each with its journal row.
//!
//! It owns nothing but the way; what is asked and what is believed is the settlement room's. On a public network most
//! endpoints of the profile must agree.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use network::{Net, Purpose, Request};
use serde_json::Value;
use settlement::rpc::{parse_response, request};
use settlement::{Quorum, Rpc, RpcError, RpcFuture};

/// How long one call may take.
const CALL_WITHIN: Duration = Duration::from_secs(10);
/// Longest accepted answer: a question about events of two thousand blocks.
const MAX_ANSWER_BYTES: u64 = 8 * 1024 * 1024;

/// The endpoints of a profile as one; `None` when it names none.
pub(crate) fn endpoints(net: &Net, urls: &[String]) -> Option<Arc<dyn Rpc>> {
    let needed = urls.len() / 2 + 1;
    let each = urls.iter().map(|url| {
        let endpoint = Endpoint { net: net.clone(), url: url.clone(), last_id: AtomicU64::new(0) };
        Arc::new(endpoint) as Arc<dyn Rpc>
    });
    Some(Arc::new(Quorum::new(each.collect(), needed)?))
}

struct Endpoint {
    net: Net,
    url: String,
    last_id: AtomicU64,
}

impl Rpc for Endpoint {
    fn call<'a>(&'a self, method: &'a str, params: Value) -> RpcFuture<'a> {
        Box::pin(async move {
            let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
            let call = Request::post(Purpose::ChainRpc, method, &self.url, request(id, method, &params))
                .header("content-type", "application/json")
                .max_answer_bytes(MAX_ANSWER_BYTES)
                .within(CALL_WITHIN);
            let answer =
                self.net.request(call).await.map_err(|error| RpcError::Transport(error.to_string()))?;
            // Endpoints report errors of the call with a body and any status; a status without one is a failed way.
            match parse_response(id, &answer.body) {
                Err(RpcError::Malformed(_)) if !answer.is_success() => {
                    Err(RpcError::Transport(format!("status {}", answer.status)))
                }
                outcome => outcome,
            }
        })
    }
}
