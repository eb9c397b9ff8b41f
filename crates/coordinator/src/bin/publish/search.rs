//! `publish search`: searches a recording on this machine, or pays a network to search it, window by window.

use std::fs::File;
use std::path::PathBuf;

use clap::Args;
use coordinator::publishing;
use jobs::package::{Package, SignedPackage};
use jobs::recording::RecordingFile;
use jobs::search::{Candidates, Hit, Options, WindowError, Windows};

use crate::Trouble;
use crate::order::{Order, say_ready};

/// What `--help` says first.
pub(super) const ABOUT: &str = "\
Search a SIGPROC filterbank recording (.fil) for narrow signals of changing frequency.

A transmitter that moves against the telescope draws a slanted line through the spectra of a recording. For every
channel and every drift rate up to --max-drift, rising and falling, the search adds one cell per spectrum along that
line, on the paths of a Taylor tree. A line is a hit when its sum exceeds the noise by --snr and no stronger line is
within twice the largest drift of it. The noise is the median of the sums without drift and the standard deviation of
those between their 5th and 95th percentile, measured anew in every window of the band; this is turbo_seti's measure,
1.27 times the S/N in standard deviations of Gaussian noise.

The search runs on this machine's graphics card (--local), on its processor (--local --native), or on a network of Hearth that
is paid for it (--to). All three add whole numbers and give the same hits.

The recording may be larger than memory: it is read in windows of at most 1,048,576 channels that overlap by as far as
a line can lead, so that none is lost or found twice at a seam. On a network each window is a job of its own, and the
budget is shared among them by their work.";

/// What `--help` says after the options.
pub(super) const AFTER: &str = "\
Units:
  Frequencies are MHz at the first spectrum, drift rates Hz per second (negative: falling), S/N has no unit, budgets are
  whole tokens with a decimal point. Channels are counted from 0 in the order of the file.

Input:
  8- and 16-bit integers, signed or not, and 32-bit floats; one polarisation stream; 2 to 1,024 spectra; channels rising
  or falling in frequency. HDF5 files (.h5) must be converted first, for example with blimpy's h52fil.

Output:
  A table of hits on standard output, the strongest first; with --json one line of JSON: {\"hits\": [{frequency_mhz,
  drift_hz_s, snr, channel, shift, window, unit, slice}], \"job\": ...}; \"jobs\" where there are several windows. Progress
  goes to standard error. Without --wait a paid search prints the identifier of each job and ends.

Exit codes:
  0  done, whether or not there are hits
  1  the network, the job or a computation failed
  2  a file or an argument is wrong
  3  no usable graphics driver (--local)

Examples:
  Search a recording here:
    publish search voyager.fil --local
  The same without a graphics driver, fainter lines too, for a program to read:
    publish search voyager.fil --local --native --snr 8 --json
  Leave out the constant that the receiver puts into the middle of each coarse channel of 2^20 fine channels:
    publish search gbt.fil --local --native --coarse 1048576
  Pay a network 12.5 tokens at most and wait for the hits:
    publish search voyager.fil --to https://coordinator.example --profile network.hearth \\
      --key publisher.key --budget 12.5 --wait";

#[derive(Debug, Args)]
pub(super) struct SearchArguments {
    #[command(flatten)]
    subject: Subject,
    #[command(flatten)]
    order: Order,
    /// With --local: on this machine's processor. Needs no graphics driver and no worker.
    #[arg(long, requires = "local", conflicts_with_all = ["tile", "worker", "adapter"])]
    native: bool,
}

/// What is searched, and for what.
#[derive(Debug, Args)]
pub(super) struct Subject {
    /// The recording.
    file: PathBuf,
    /// Largest drift in Hz/s, either sign; taken to the nearest drift that the recording can tell apart.
    #[arg(long, default_value_t = 4.0)]
    max_drift: f64,
    /// Signal to noise that a hit must exceed, in turbo_seti's measure.
    #[arg(long, default_value_t = 10.0)]
    snr: f64,
    /// Channels per slice, a multiple of 64.
    #[arg(long)]
    tile: Option<u32>,
    /// Channels per window at most, 64 to 1,048,576. Smaller windows need less memory and measure the noise more locally.
    #[arg(long)]
    window: Option<u32>,
    /// Fine channels per coarse channel of the telescope. The middle one of each, which holds the receiver's constant, is
    /// replaced by the mean of its neighbours, and windows are coarse channels where they fit.
    #[arg(long)]
    coarse: Option<u32>,
}

/// Searches here or there.
pub(super) fn search(arguments: &SearchArguments) -> Result<(), Trouble> {
    let order = &arguments.order;
    let mut options = Options { order_seed: order.order_seed()?, ..Options::default() };
    order.name(&mut options.title, &mut options.purpose);
    let subject = &arguments.subject;
    let mut windows = subject.windows(options)?;
    if arguments.native {
        subject.search_natively(&mut windows, order)
    } else if order.local {
        subject.search_here(&mut windows, order)
    } else {
        subject.search_there(&mut windows, order)
    }
}

/// `window 2 of 5: `, or nothing where there is one.
fn place(window: usize, count: usize) -> String {
    if count == 1 { String::new() } else { format!("window {} of {count}: ", window + 1) }
}

impl Subject {
    /// The windows of this search; title, purpose and order of slices are those of `options`.
    fn windows(&self, options: Options) -> Result<Windows<File>, Trouble> {
        let file = RecordingFile::open(&self.file)
            .map_err(|source| Trouble::Recording { path: self.file.clone(), source })?;
        let options = Options {
            max_drift_hz_s: self.max_drift,
            snr: self.snr,
            tile: self.tile,
            window: self.window,
            coarse: self.coarse,
            ..options
        };
        Windows::new(file, &options).map_err(|source| Trouble::Package { path: self.file.clone(), source })
    }

    /// The jobs of this search, one per window, each made when it is asked for.
    pub(super) fn packages(
        &self,
        options: Options,
    ) -> Result<impl ExactSizeIterator<Item = Result<Package, Trouble>>, Trouble> {
        let mut windows = self.windows(options)?;
        Ok((0..windows.count()).map(move |window| windows.package(window).map_err(|e| self.trouble(e))))
    }

    fn trouble(&self, error: WindowError) -> Trouble {
        let path = self.file.clone();
        match error {
            WindowError::Read(source) => Trouble::Recording { path, source },
            WindowError::Package(source) => Trouble::Package { path, source },
            other => Trouble::Window { path, source: other },
        }
    }

    fn search_natively(&self, windows: &mut Windows<File>, order: &Order) -> Result<(), Trouble> {
        let started = std::time::Instant::now();
        let count = windows.count();
        let mut found = Candidates::default();
        for window in 0..count {
            found.join(windows.search(window).map_err(|e| self.trouble(e))?);
            eprintln!("{}{} hits so far", place(window, count), found.hits().len());
        }
        eprintln!("done in {:.1} s", started.elapsed().as_secs_f64());
        print_hits(&found.hits(), serde_json::json!({ "job": {} }), order.json)
    }

    fn search_here(&self, windows: &mut Windows<File>, order: &Order) -> Result<(), Trouble> {
        let spawn = order.spawn()?;
        let started = std::time::Instant::now();
        let count = windows.count();
        let mut found = Candidates::default();
        for window in 0..count {
            let package = windows.package(window).map_err(|e| self.trouble(e))?;
            let ready = |ready: &sandbox::Ready| {
                if window == 0 {
                    say_ready(ready);
                }
            };
            let place = place(window, count);
            found.join(publishing::search_here(&package, &spawn, ready, |progress| {
                let (done, total, hits) = (progress.done, progress.total, progress.hits.len());
                eprintln!("{place}{done} of {total} slices, {hits} hits");
            })?);
        }
        eprintln!("done in {:.1} s", started.elapsed().as_secs_f64());
        print_hits(&found.hits(), serde_json::json!({ "job": {} }), order.json)
    }

    fn search_there(&self, windows: &mut Windows<File>, order: &Order) -> Result<(), Trouble> {
        let customer = order.customer()?;
        let price = customer.price_of_slice(windows.units())?;
        let count = windows.count();
        // All are submitted before the first is waited for: the network works on them side by side, and what stays in
        // memory of each is its manifest.
        let mut submitted: Vec<SignedPackage> = Vec::with_capacity(count);
        for window in 0..count {
            let mut package = windows.package(window).map_err(|e| self.trouble(e))?;
            package.price_per_slice = price;
            let signed = customer.submit(&place(window, count), &package)?;
            if !order.wait {
                customer.say_submitted(&signed);
            }
            submitted.push(signed);
        }
        if !order.wait {
            return Ok(());
        }
        let mut found = Candidates::default();
        let mut jobs = Vec::with_capacity(count);
        for (window, signed) in submitted.iter().enumerate() {
            let progress = customer.wait(&place(window, count), signed)?;
            jobs.push(serde_json::to_value(&progress)?);
            found.join(customer.candidates(signed)?);
        }
        let answer = match jobs.as_slice() {
            [job] => serde_json::json!({ "job": job }),
            jobs => serde_json::json!({ "jobs": jobs }),
        };
        print_hits(&found.hits(), answer, order.json)
    }
}

fn print_hits(hits: &[Hit], mut answer: serde_json::Value, json: bool) -> Result<(), Trouble> {
    if json {
        answer["hits"] = serde_json::to_value(hits)?;
        println!("{answer}");
        return Ok(());
    }
    println!("{:>16}  {:>10}  {:>9}", "MHz", "Hz/s", "S/N");
    for hit in hits {
        println!("{:>16.6}  {:>10.4}  {:>9.1}", hit.frequency_mhz, hit.drift_hz_s, hit.snr);
    }
    if hits.is_empty() {
        println!("no hits");
    }
    Ok(())
}
