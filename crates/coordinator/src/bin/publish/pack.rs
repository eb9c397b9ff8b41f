//! `publish pack`: writes a job as a folder, signed and complete, instead of submitting it.
//!
//! What kinds of jobs there are and what each of them asks for is in [`Kind`]; from the package on, all are the same.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use coordinator::files;
use coordinator::package_folder;
use coordinator::publishing;
use jobs::package::Package;
use settlement::Amount;

use crate::{Trouble, search};

pub(super) const ABOUT: &str = "\
Write a job as a folder, signed and complete, without sending anything.

The folder holds `program` and `manifest` (signed, canonical CBOR), `network` (the id that the signatures are for) and
`blobs/` with every input and WGSL source under its BLAKE3 hash. `publish check` reads it. Files are never overwritten.";

pub(super) const EXAMPLES: &str = "\
Examples:
  Pack the search of a recording and check the result:
    publish pack search voyager.fil voyager.job --key publisher.key --profile network.profile
    publish check voyager.job

Exit codes:
  0  written
  2  a file or an argument is wrong, or the folder is there already";

#[derive(Debug, Args)]
pub(super) struct PackArguments {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Debug, Subcommand)]
enum Kind {
    /// The search of a SIGPROC filterbank recording (.fil).
    Search {
        #[command(flatten)]
        subject: Box<search::Subject>,
        #[command(flatten)]
        parcel: Parcel,
    },
}

/// What is the same for every kind of job.
#[derive(Debug, Args)]
struct Parcel {
    /// The folder to write; it must not be there yet.
    out: PathBuf,
    /// File with the publisher's key.
    #[arg(long)]
    key: PathBuf,
    /// The network's signed profile.
    #[arg(long)]
    profile: PathBuf,
    /// The most that the whole job may cost, in tokens (for example 12.5); without it, the kind's usual price.
    #[arg(long)]
    budget: Option<String>,
    /// Title that contributors see.
    #[arg(long)]
    title: Option<String>,
    /// One sentence that contributors see: what it is for, and for whom.
    #[arg(long)]
    purpose: Option<String>,
}

/// Writes a package.
pub(super) fn pack(arguments: &PackArguments) -> Result<(), Trouble> {
    match &arguments.kind {
        Kind::Search { subject, parcel } => {
            let mut options = jobs::search::Options::default();
            parcel.name(&mut options.title, &mut options.purpose);
            options.order_seed = parcel.order_seed()?;
            let mut packages = subject.packages(options)?;
            match (packages.len(), packages.next()) {
                (1, Some(package)) => parcel.wrap(package?),
                (windows, _) => Err(Trouble::ManyJobs(windows)),
            }
        }
    }
}

impl Parcel {
    fn name(&self, title: &mut String, purpose: &mut String) {
        if let Some(own) = &self.title {
            title.clone_from(own);
        }
        if let Some(own) = &self.purpose {
            purpose.clone_from(own);
        }
    }

    /// The secret from which the order of slices is drawn.
    fn order_seed(&self) -> Result<[u8; 32], Trouble> {
        if self.out.exists() {
            // Said before the long work of packaging.
            return Err(files::FileError::Exists(self.out.clone()).into());
        }
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|_| Trouble::Random)?;
        Ok(seed)
    }

    /// Prices, signs and writes a package of any kind.
    fn wrap(&self, mut package: Package) -> Result<(), Trouble> {
        let (network, profile) = files::read_profile(&self.profile, coordinator::system_clock()())?;
        let key = files::read_key(&self.key)?;
        if let Some(budget) = &self.budget {
            let amount = Amount::parse_tokens(budget).ok().and_then(|amount| amount.as_u128());
            let amount = amount.ok_or_else(|| Trouble::Budget(budget.clone()))?;
            publishing::price(&mut package, protocol::units::BaseUnits(amount), profile.message())?;
        }
        let signed = package.sign(&key, &network);
        package_folder::write(&self.out, &package, &signed, &network)?;
        println!("{}", signed.job);
        Ok(())
    }
}
