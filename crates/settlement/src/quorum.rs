//! Several endpoints asked as one: an answer counts when enough of them give the same one. A single endpoint's word is
//! never enough for money; alloy's fallback layer takes the first answer and compares nothing, so it is not used.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use alloy::primitives::U256;
use serde_json::{Value, json};

use crate::{Rpc, RpcError, RpcFuture};

/// An [`Rpc`] over several. Raw transactions go to all of them; a read needs `needed` equal answers.
pub struct Quorum {
    endpoints: Vec<Arc<dyn Rpc>>,
    needed: usize,
}

impl std::fmt::Debug for Quorum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Quorum")
            .field("endpoints", &self.endpoints.len())
            .field("needed", &self.needed)
            .finish_non_exhaustive()
    }
}

impl Quorum {
    /// `needed` of `endpoints` must agree: two of three on a public chain, one of one on the local one. `None` when that
    /// can never be, or when fewer than a majority would do and two different answers could both win.
    #[must_use]
    pub fn new(endpoints: Vec<Arc<dyn Rpc>>, needed: usize) -> Option<Self> {
        let possible = needed <= endpoints.len() && needed * 2 > endpoints.len();
        possible.then_some(Self { endpoints, needed })
    }

    async fn ask(&self, method: &str, params: &Value) -> Vec<Result<Value, RpcError>> {
        let mut calls: Vec<_> = self.endpoints.iter().map(|e| Some(e.call(method, params.clone()))).collect();
        let mut answers: Vec<Option<Result<Value, RpcError>>> = calls.iter().map(|_| None).collect();
        poll_fn(|context| {
            for (call, answer) in calls.iter_mut().zip(&mut answers) {
                if let Some(future) = call
                    && let Poll::Ready(result) = future.as_mut().poll(context)
                {
                    *answer = Some(result);
                    *call = None;
                }
            }
            if calls.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        answers.into_iter().flatten().collect()
    }

    /// The answer that at least `needed` endpoints gave. Errors count as answers of their own kind: a revert is believed
    /// when enough endpoints report the same revert.
    fn agreed(&self, mut answers: Vec<Result<Value, RpcError>>) -> Result<Value, RpcError> {
        let asked = answers.len();
        let votes = |i: usize| answers.iter().filter(|other| same(other, &answers[i])).count();
        match (0..asked).map(|i| (votes(i), i)).max() {
            Some((most, winner)) if most >= self.needed => answers.swap_remove(winner),
            most => {
                Err(RpcError::Disagreement { agreed: most.map_or(0, |m| m.0), asked, needed: self.needed })
            }
        }
    }

    /// The `needed`-th highest of the quantities: at least `needed` endpoints have come that far, and fewer than
    /// `needed` liars cannot push it beyond what an honest one said.
    fn reached(&self, answers: &[Result<Value, RpcError>], read: fn(&Value) -> Option<U256>) -> Option<U256> {
        let mut values: Vec<U256> = answers.iter().filter_map(|a| a.as_ref().ok().and_then(read)).collect();
        values.sort_unstable_by(|a, b| b.cmp(a));
        values.get(self.needed - 1).copied()
    }
}

impl Rpc for Quorum {
    fn call<'a>(&'a self, method: &'a str, params: Value) -> RpcFuture<'a> {
        Box::pin(async move {
            let answers = self.ask(method, &params).await;
            let failed =
                || RpcError::Disagreement { agreed: 0, asked: self.endpoints.len(), needed: self.needed };
            match method {
                // One endpoint that takes it is enough: they gossip, and it cannot be changed on the way.
                "eth_sendRawTransaction" => {
                    let mut first = None;
                    for answer in answers {
                        match answer {
                            Ok(value) => return Ok(value),
                            Err(error) => first = first.or(Some(error)),
                        }
                    }
                    Err(first.unwrap_or_else(failed))
                }
                // Endpoints stand at different heights and suggest different prices.
                "eth_blockNumber" | "eth_estimateGas" | "eth_gasPrice" | "eth_maxPriorityFeePerGas" => {
                    match self.reached(&answers, read_quantity) {
                        Some(value) => Ok(json!(format!("0x{value:x}"))),
                        None => self.agreed(answers),
                    }
                }
                // A named block is first turned into the height that enough of them have reached.
                "eth_getBlockByNumber" if is_named(params.get(0)) => {
                    let Some(number) = self.reached(&answers, |b| b.get("number").and_then(read_quantity))
                    else {
                        return self.agreed(answers);
                    };
                    let mut params = params;
                    params[0] = json!(format!("0x{number:x}"));
                    self.agreed(self.ask(method, &params).await)
                }
                _ => self.agreed(answers),
            }
        })
    }
}

fn same(a: &Result<Value, RpcError>, b: &Result<Value, RpcError>) -> bool {
    match (a, b) {
        (Ok(a), Ok(b)) => a == b,
        (
            Err(RpcError::Response { code, data, .. }),
            Err(RpcError::Response { code: other, data: more, .. }),
        ) => code == other && data == more,
        _ => false,
    }
}

fn is_named(tag: Option<&Value>) -> bool {
    tag.and_then(Value::as_str).is_some_and(|t| !t.starts_with("0x"))
}

fn read_quantity(value: &Value) -> Option<U256> {
    U256::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}
