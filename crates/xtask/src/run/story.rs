//! `--once`: plays the owner from the first slice to the money in an outside address, and checks that the figures of
//! publisher, coordinator, app and chain tell the same story.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tokio::io::{BufReader, Lines};
use tokio::process::ChildStdout;
use tokio::sync::mpsc;

use super::{Folder, Teller, chain, coordinator_status, tell_agent};
use crate::process::print;

/// How long the recording may take to be searched and audited, in the slowest case: two cores, software driver.
const WORK_LIMIT: Duration = Duration::from_secs(20 * 60);
/// How long credit may take to be withdrawable: maturity, epoch, challenge delay.
const PAYABLE_LIMIT: Duration = Duration::from_secs(5 * 60);
/// Pause between two looks at something that only time can bring.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What one run has to tell.
pub(super) struct Story<'a> {
    pub(super) folder: &'a Folder,
    pub(super) rpc: &'a str,
    pub(super) network: &'a Value,
    pub(super) tell: &'a Teller,
}

impl Story<'_> {
    /// Plays it to its end. The exit code says whether everything adds up.
    pub(super) async fn play(
        &self,
        agent: &mut Lines<BufReader<ChildStdout>>,
        published: &mut mpsc::Receiver<Value>,
    ) -> Result<ExitCode> {
        let passphrase = passphrase()?;
        tell_agent(self.folder, &["wallet", "create", "--passphrase-fd", "0"], Some(&passphrase)).await?;
        self.tell.event("wallet", &json!("made; its words went nowhere but to the terminal of this run"));

        let job = self.until_published(agent, published).await?;
        let balance = self.until_payable(agent).await?;
        self.tell.event("payable", &balance["balance"]);

        let recipient = recipient()?;
        let token = self.network["token"].as_str().context("the founded network names no token")?;
        let before = chain::token_balance(self.rpc, token, &recipient)?;
        let withdraw = ["wallet", "withdraw", "--to", &recipient, "--wait", "--passphrase-fd", "0"];
        let withdrawing = tell_agent(self.folder, &withdraw, Some(&passphrase));
        tokio::time::timeout(PAYABLE_LIMIT, withdrawing).await.context("the withdrawal took too long")??;
        let after = chain::token_balance(self.rpc, token, &recipient)?;
        let wallet = self.wallet().await?;
        let coordinator = coordinator_status(self.folder).await?;
        self.table(&job, &wallet, &coordinator, &recipient, after - before)
    }

    /// Relays the agent's lines until the publisher has its hits.
    async fn until_published(
        &self,
        agent: &mut Lines<BufReader<ChildStdout>>,
        published: &mut mpsc::Receiver<Value>,
    ) -> Result<Value> {
        let deadline = tokio::time::Instant::now() + WORK_LIMIT;
        loop {
            tokio::select! {
                line = agent.next_line() => match line.context("read what the agent says")? {
                    Some(line) => self.tell.line(&line),
                    None => bail!("the agent has ended; see {}", self.folder.root.join("hearth.log").display()),
                },
                answer = published.recv() => {
                    let job = answer.context("the publisher has ended without an answer")?;
                    if let Some(error) = job["error"].as_str() {
                        bail!("publishing failed: {error}");
                    }
                    self.tell.event("published", &json!({ "hits": job["hits"].as_array().map(Vec::len) }));
                    return Ok(job);
                }
                () = tokio::time::sleep_until(deadline) => bail!("the search was not finished in time"),
            }
        }
    }

    /// Relays the agent's lines until all credit can be withdrawn.
    async fn until_payable(&self, agent: &mut Lines<BufReader<ChildStdout>>) -> Result<Value> {
        let deadline = tokio::time::Instant::now() + PAYABLE_LIMIT;
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                line = agent.next_line() => match line.context("read what the agent says")? {
                    Some(line) => self.tell.line(&line),
                    None => bail!("the agent has ended; see {}", self.folder.root.join("hearth.log").display()),
                },
                _ = look.tick() => {
                    let wallet = self.wallet().await?;
                    let part = |name: &str| base_units(wallet["balance"][name].as_str().unwrap_or("0"));
                    if part("balance")? > 0 && part("pending")? == 0 {
                        return Ok(wallet);
                    }
                }
                () = tokio::time::sleep_until(deadline) => bail!("no credit became payable in time"),
            }
        }
    }

    async fn wallet(&self) -> Result<Value> {
        let text = tell_agent(self.folder, &["wallet", "balance", "--json"], None).await?;
        serde_json::from_str(&text).context("read the wallet's figures")
    }

    /// Prints the table and says whether it adds up.
    fn table(
        &self,
        published: &Value,
        wallet: &Value,
        coordinator: &Value,
        recipient: &str,
        arrived: u128,
    ) -> Result<ExitCode> {
        let withdrawal = &wallet["withdrawals"][0];
        let text = |value: &Value| value.as_str().unwrap_or("0").to_owned();
        let identity = &wallet["balance"];
        let part = |name: &str| base_units(identity[name].as_str().unwrap_or("0"));
        let earned = part("earned_here")? + part("earned_elsewhere")? + part("received")?;
        let gone = part("balance")? + part("withdrawn")? + part("fees")? + part("pending")?;
        let amount = base_units(&text(&withdrawal["amount"]))?;
        let fee = base_units(&text(&withdrawal["fee"]))?;
        let hits = published["hits"].as_array().map_or(0, Vec::len);
        let checks = [
            ("what arrived is the amount confirmed", arrived == amount && amount > 0),
            ("the fee is the only difference", part("withdrawn")? == amount && part("fees")? == fee),
            ("earned = balance + withdrawn + fees + pending", earned == gone && earned > 0),
            (
                "the coordinator paid out what the wallet took",
                coordinator["claimed"].as_str().and_then(|c| c.parse().ok()) == Some(amount + fee),
            ),
            ("the coordinator's books agree with a recount", coordinator["books_agree"] == Value::Bool(true)),
            ("the search found lines", hits > 0),
        ];
        let job = &published["job"];
        let rows = [
            ("hits", hits.to_string()),
            ("units", job["units"].to_string()),
            ("slices accepted", job["accepted"].to_string()),
            ("audits", job["audits"].to_string()),
            ("receipts", coordinator["receipts"].to_string()),
            ("earned", format!("{} EMBER", text(&identity["earned_here"]))),
            ("epoch", coordinator["epoch"].to_string()),
            ("withdrawn", format!("{} EMBER", text(&withdrawal["amount"]))),
            ("fee", format!("{} EMBER", text(&withdrawal["fee"]))),
            ("recipient", recipient.to_owned()),
            ("recipient holds", format!("{arrived} base units on the chain")),
            ("transaction", text(&withdrawal["transaction"])),
        ];
        if self.tell.json {
            let rows: serde_json::Map<String, Value> =
                rows.iter().map(|(name, value)| ((*name).to_owned(), Value::String(value.clone()))).collect();
            let checks: serde_json::Map<String, Value> =
                checks.iter().map(|(name, good)| ((*name).to_owned(), Value::Bool(*good))).collect();
            self.tell.event("done", &json!({ "table": rows, "checks": checks }));
        } else {
            print("");
            for (name, value) in &rows {
                print(&format!("{name:18} {value}"));
            }
            for (name, good) in &checks {
                print(&format!("{:18} {name}", if *good { "adds up" } else { "DOES NOT ADD UP" }));
            }
        }
        Ok(if checks.iter().all(|(_, good)| *good) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// `1.25` tokens in base units of 10^-18, exactly.
fn base_units(text: &str) -> Result<u128> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > 18 {
        bail!("{text} has more than 18 decimals");
    }
    format!("{whole}{part:0<18}").parse().with_context(|| format!("read the amount {text}"))
}

/// A passphrase nobody needs to remember: the wallet of this run is worth nothing outside it.
fn passphrase() -> Result<String> {
    Ok(blake3::hash(&random()?).to_hex()[..32].to_owned())
}

/// An address that nobody holds the key of, as an outside address.
fn recipient() -> Result<String> {
    Ok(format!("0x{}", &blake3::hash(&random()?).to_hex()[..40]))
}

fn random() -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    let mut source = std::fs::File::open("/dev/urandom").context("open the system's randomness")?;
    std::io::Read::read_exact(&mut source, &mut bytes).context("read the system's randomness")?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::base_units;

    #[test]
    fn tokens_become_base_units_exactly() {
        assert_eq!(base_units("0.0010").ok(), Some(1_000_000_000_000_000), "trailing zeros do not matter");
        assert_eq!(base_units("12").ok(), Some(12_000_000_000_000_000_000), "whole tokens");
        assert!(base_units("0.0000000000000000001").is_err(), "nothing is cut off silently");
    }
}
