//! One question to the local chain: what an address holds. Asked over the plainest HTTP there is, so that this tool needs
//! no library for it and the answer does not come from the programs that are judged by it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// Longest answer read.
const MAX_ANSWER_BYTES: u64 = 64 * 1024;

/// Tokens of `owner` in base units, by the token contract at `token`.
pub(super) fn token_balance(rpc: &str, token: &str, owner: &str) -> Result<u128> {
    // balanceOf(address): selector and the address left-padded to 32 bytes (Solidity ABI).
    let data = format!("0x70a08231{:0>64}", owner.trim_start_matches("0x").to_lowercase());
    let call = json!({
        "jsonrpc": "2.0", "id": 1, "method": "eth_call",
        "params": [{ "to": token, "data": data }, "latest"],
    });
    let answer = post(rpc, &call.to_string())?;
    let word = answer["result"].as_str().with_context(|| format!("the chain answered {answer}"))?;
    let digits = word.trim_start_matches("0x").trim_start_matches('0');
    let digits = if digits.is_empty() { "0" } else { digits };
    u128::from_str_radix(digits, 16).with_context(|| format!("read the balance {word}"))
}

fn post(url: &str, body: &str) -> Result<Value> {
    let address = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).with_context(|| format!("connect to {address}"))?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).context("bound the wait")?;
    let head = format!(
        "POST / HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(body.as_bytes()))
        .context("ask the chain")?;
    let mut text = String::new();
    stream.take(MAX_ANSWER_BYTES).read_to_string(&mut text).context("read the chain's answer")?;
    let start = text.find('{').context("the chain's answer has no body")?;
    let end = text.rfind('}').context("the chain's answer has no end")?;
    serde_json::from_str(&text[start..=end]).context("read the chain's answer")
}
