//! What is the same for every kind of job: whether it runs on this machine or is paid for, and how.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use coordinator::JobProgress;
use coordinator::files;
use coordinator::publishing::{self, Publisher};
use jobs::package::{Package, SignedPackage};
use jobs::search::Candidates;
use network::{MemoryJournal, Net};
use protocol::profile::Profile;
use protocol::units::BaseUnits;
use sandbox::Spawn;

use crate::Trouble;

/// Exit codes and environment, for the long help of every kind of job.
pub(super) const AFTERWORD: &str = "\
Exit codes:
  0  done
  1  the network or the job failed, or this device computes wrongly
  2  a file or an argument is wrong
  3  no usable graphics driver

Environment:
  RUST_LOG  what is written to standard error beside the progress (default: warn)";

#[derive(Debug, Args)]
pub(super) struct Order {
    /// Compute on this machine, through the worker; nothing is sent anywhere.
    #[arg(long, conflicts_with_all = ["to", "budget", "key", "wait"], required_unless_present = "to")]
    pub(super) local: bool,
    /// Base address of a coordinator that is to have it computed.
    #[arg(long, requires = "profile", requires = "key", requires = "budget")]
    to: Option<String>,
    /// The network's signed profile.
    #[arg(long)]
    profile: Option<PathBuf>,
    /// File with the publisher's key.
    #[arg(long)]
    key: Option<PathBuf>,
    /// The most that the whole job may cost, in tokens (for example 12.5).
    #[arg(long)]
    budget: Option<String>,
    /// Wait until the job is done and fetch the results.
    #[arg(long)]
    pub(super) wait: bool,
    /// Print JSON on standard output.
    #[arg(long)]
    pub(super) json: bool,
    /// Title that contributors see.
    #[arg(long)]
    title: Option<String>,
    /// One sentence that contributors see: what it is for, and for whom.
    #[arg(long)]
    purpose: Option<String>,
    /// The worker program; by default the one beside this program.
    #[arg(long)]
    worker: Option<PathBuf>,
    /// Part of the name of the graphics adapter to use.
    #[arg(long, default_value = "")]
    adapter: String,
}

/// Whoever pays a network for jobs: the way to its coordinator, and the money.
pub(super) struct Customer {
    runtime: tokio::runtime::Runtime,
    publisher: Publisher,
    profile: Profile,
    budget: BaseUnits,
    json: bool,
}

/// A job that was paid for and is done.
pub(super) struct Paid {
    customer: Customer,
    pub(super) signed: SignedPackage,
    pub(super) progress: JobProgress,
}

impl Order {
    /// Whether results will be there when the program ends.
    pub(super) fn has_results(&self) -> bool {
        self.local || self.wait
    }

    /// Puts the title and the purpose that were asked for in the place of a job's own.
    pub(super) fn name(&self, title: &mut String, purpose: &mut String) {
        if let Some(own) = &self.title {
            title.clone_from(own);
        }
        if let Some(own) = &self.purpose {
            purpose.clone_from(own);
        }
    }

    /// The secret from which the order of slices is drawn, so that the place of a slice tells contributors nothing. A job
    /// on this machine has no secrets.
    pub(super) fn order_seed(&self) -> Result<[u8; 32], Trouble> {
        let mut seed = [0; 32];
        if !self.local {
            getrandom::fill(&mut seed).map_err(|_| Trouble::Random)?;
        }
        Ok(seed)
    }

    /// How to start the worker on this machine.
    pub(super) fn spawn(&self) -> Result<Spawn, Trouble> {
        let worker = match &self.worker {
            Some(path) => path.clone(),
            None => sandbox::find_worker()?,
        };
        let mut spawn = Spawn::new(worker);
        spawn.adapter.clone_from(&self.adapter);
        spawn.allow_software = true;
        Ok(spawn)
    }

    /// Prepares to pay: reads profile, key and budget, and finds the coordinator among those of the profile.
    pub(super) fn customer(&self) -> Result<Customer, Trouble> {
        let now = coordinator::system_clock()();
        let profile = self.profile.as_ref().ok_or(Trouble::Missing("profile"))?;
        let (network, profile) = files::read_profile(profile, now)?;
        let profile = profile.into_message();
        let key = Arc::new(files::read_key(self.key.as_ref().ok_or(Trouble::Missing("key"))?)?);
        let url = self.to.clone().ok_or(Trouble::Missing("to"))?;
        let budget = self.budget.as_ref().ok_or(Trouble::Missing("budget"))?;
        let budget = settlement::Amount::parse_tokens(budget)
            .ok()
            .and_then(|amount| amount.as_u128())
            .map(BaseUnits)
            .ok_or_else(|| Trouble::Budget(budget.clone()))?;
        let same = |known: &protocol::profile::Coordinator| {
            known.url.trim_end_matches('/') == url.trim_end_matches('/')
        };
        let coordinator =
            match (profile.coordinators.iter().find(|c| same(c)), profile.coordinators.as_slice()) {
                (Some(known), _) => known.id,
                // A network with one coordinator may be reached under another address, for example through a tunnel.
                (None, [only]) => only.id,
                (None, _) => return Err(Trouble::NoCoordinator(url)),
            };
        let net = Net::with_system_clock(Arc::new(MemoryJournal::keeping(1024)));
        let publisher = Publisher::new(net, &url, network, coordinator, key);
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Trouble::Machinery)?;
        Ok(Customer { runtime, publisher, profile, budget, json: self.json })
    }

    /// Prices a package, uploads and submits it. Waits for the results if that was asked for; otherwise prints the job and
    /// gives `None`.
    pub(super) fn pay(&self, package: &mut Package) -> Result<Option<Paid>, Trouble> {
        let customer = self.customer()?;
        package.price_per_slice = customer.price_of_slice(package.units.len())?;
        let signed = customer.submit("", package)?;
        if !self.wait {
            customer.say_submitted(&signed);
            return Ok(None);
        }
        let progress = customer.wait("", &signed)?;
        Ok(Some(Paid { customer, signed, progress }))
    }
}

impl Customer {
    /// What a slice may pay, so that all `units` together stay within the budget.
    pub(super) fn price_of_slice(&self, units: usize) -> Result<BaseUnits, Trouble> {
        Ok(publishing::price_of_slice(units, self.budget, &self.profile)?)
    }

    /// Uploads and submits a package. `place` stands before each line about it.
    pub(super) fn submit(&self, place: &str, package: &Package) -> Result<SignedPackage, Trouble> {
        let uploaded = |done, all| eprintln!("{place}uploaded {done} of {all} files");
        let signed = self.runtime.block_on(self.publisher.submit(package, uploaded))?;
        let (units, price) = (package.units.len(), package.price_per_slice);
        eprintln!("{place}job {}: {units} units at {price} base units a slice", signed.job);
        Ok(signed)
    }

    /// Prints a job that nobody waits for.
    pub(super) fn say_submitted(&self, signed: &SignedPackage) {
        if self.json {
            println!("{}", serde_json::json!({ "job": signed.job.to_string(), "state": "submitted" }));
        } else {
            println!("{}", signed.job);
        }
    }

    /// Waits until a job is done.
    pub(super) fn wait(&self, place: &str, signed: &SignedPackage) -> Result<JobProgress, Trouble> {
        Ok(self.runtime.block_on(self.publisher.wait(&signed.job, |p| {
            let (accepted, slices, audits) = (p.accepted, p.slices, p.audits);
            eprintln!("{place}{}: {accepted} of {slices} slices accepted, {audits} audits", p.state);
        }))?)
    }

    /// What the results of a search that is done have found.
    pub(super) fn candidates(&self, signed: &SignedPackage) -> Result<Candidates, Trouble> {
        Ok(self.runtime.block_on(self.publisher.candidates(signed))?)
    }
}

impl Paid {
    /// Hands every result to `take` with its unit and slice.
    pub(super) fn results<T>(
        &self,
        mut take: impl FnMut(u32, u32, &[u8]) -> Result<(), T>,
    ) -> Result<(), Trouble>
    where
        Trouble: From<T>,
    {
        let Customer { runtime, publisher, .. } = &self.customer;
        for unit in 0..self.signed.manifest.message().units.len() as u32 {
            let outputs = runtime.block_on(publisher.outputs(&self.signed.job, unit))?;
            for (slice, output) in outputs {
                take(unit, slice, &output)?;
            }
        }
        Ok(())
    }
}

/// Says what computes.
pub(super) fn say_ready(ready: &sandbox::Ready) {
    let kind = if ready.adapter.software { " (the processor stands in for a graphics card)" } else { "" };
    eprintln!("computing on {}{kind}", ready.adapter.name);
}
