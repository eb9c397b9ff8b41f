//! `publish check`: says whether a package can be submitted, or everything that is wrong with it.
//!
//! The folder is read by [`package_folder`]; its WGSL is judged by a worker process without device, network and files, as
//! a contributor's will be. A single `.wgsl` file is judged by the same worker while it is being written. What was found
//! goes to standard output, as text or JSON; the program ends as [`Trouble`] says.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use coordinator::files;
use coordinator::package_folder::{self, Finding, PackageFolder};
use protocol::frames::{FaultCode, Pace};
use protocol::id::{Hash, SliceId};
use protocol::manifest::{
    Buffer, Cost, Family, Feature, Kernel, MAX_MODULE_BYTES, Module, Program, Role, SLICES_PER_UNIT, Stage,
    Validator,
};
use sandbox::{InspectError, SliceJob, Spawn, Worker, run_slices};
use serde_json::{Value, json};

use crate::{Trouble, sentence};

pub(super) const ABOUT: &str = "\
Say whether a package can be submitted, or everything that is wrong with it.

PATH is the folder of a package, as `publish pack` writes it, or a single WGSL file. Of a package, the signatures, the
bounds of every count and size, the hash of every blob, the range of every slice, the known answers and the kernels are
checked. Kernels are read by a process of their own, without network and files, and have to keep these rules:

  - every loop counts from one known number to another; all loops together run at most 32,768 times per invocation and
    dispatch
  - a barrier is reached by all invocations of a workgroup or by none
  - workgroup memory is written before it is read
  - where results are compared bit by bit: only 32-bit integers, no divisor that may be zero, no shift by 32 or more, no
    atomic operation whose result depends on order

A refusal names line and column and quotes the line. With --run, the known answers are computed on this machine as well.";

pub(super) const EXAMPLES: &str = "\
Examples:
  Check a package:
    publish check voyager.job
  Check it, compute its known answers here, and print JSON:
    publish check voyager.job --run --json
  Check a kernel while writing it; its results will be compared with a tolerance, and it uses 16-bit floats:
    publish check kernel.wgsl --tolerance --f16

Exit codes:
  0  nothing is wrong
  1  with --run: a known answer came out wrong, or the job failed on this machine
  2  the package or an argument is wrong
  3  with --run: no usable graphics driver";

#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    /// The folder of a package, or a WGSL file.
    path: PathBuf,
    /// Insist that the package is signed for the network of this profile, and that the network lets its publisher in.
    #[arg(long)]
    profile: Option<PathBuf>,
    /// Also compute the known answers on this machine and compare.
    #[arg(long)]
    run: bool,
    /// Of a WGSL file: its results are compared with a tolerance, so floats are allowed.
    #[arg(long, conflicts_with = "run")]
    tolerance: bool,
    /// Of a WGSL file: it may use 16-bit floats.
    #[arg(long, requires = "tolerance")]
    f16: bool,
    /// Print JSON on standard output.
    #[arg(long)]
    json: bool,
    /// The worker program; by default the one beside this program.
    #[arg(long)]
    worker: Option<PathBuf>,
    /// With --run: part of the name of the graphics adapter to use.
    #[arg(long, default_value = "")]
    adapter: String,
}

/// How long the worker may think about a program.
const INSPECT_WITHIN: Duration = Duration::from_secs(60);
/// How long opening and compiling may take on a busy machine.
const LOAD_WITHIN: Duration = Duration::from_secs(120);

/// The worker's limit; it admits no program with more.
const MAX_LOOP_ITERATIONS: u32 = 32_768;

/// One thing that is wrong, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wrong {
    file: String,
    text: String,
}

impl From<&Finding> for Wrong {
    fn from(finding: &Finding) -> Self {
        Self { file: finding.file.clone(), text: sentence(&finding.problem) }
    }
}

/// Checks a package or a WGSL file and says what was found.
pub(super) fn check(arguments: &CheckArguments) -> Result<(), Trouble> {
    let mut spawn = Spawn::new(match &arguments.worker {
        Some(path) => path.clone(),
        None => sandbox::find_worker()?,
    });
    spawn.adapter.clone_from(&arguments.adapter);
    spawn.allow_software = true;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Trouble::Machinery)?;
    if !arguments.path.is_dir() {
        return runtime.block_on(check_source(arguments, &spawn));
    }
    let folder = match package_folder::read(&arguments.path) {
        Ok(folder) => folder,
        Err(findings) => {
            let wrong: Vec<Wrong> = findings.iter().map(Wrong::from).collect();
            return refuse(arguments, &wrong);
        }
    };
    let mut wrong = against_profile(arguments, &folder)?;
    let (program, sources) = (folder.program.message(), folder.sources.as_slice());
    wrong.extend(runtime.block_on(inspect(&spawn, program, sources)));
    if !wrong.is_empty() {
        return refuse(arguments, &wrong);
    }
    let answers = match arguments.run {
        true => Some(runtime.block_on(known_answers(&folder, &spawn))?),
        false => None,
    };
    report(arguments, &folder, answers.as_ref());
    match answers {
        Some(Answers { wrong: Some((unit, slice)), .. }) => Err(Trouble::WrongAnswer { unit, slice }),
        _ => Ok(()),
    }
}

/// Prints what is wrong; the error only counts it.
fn refuse(arguments: &CheckArguments, wrong: &[Wrong]) -> Result<(), Trouble> {
    if arguments.json {
        let problems: Vec<Value> =
            wrong.iter().map(|wrong| json!({ "file": wrong.file, "problem": wrong.text })).collect();
        println!("{}", json!({ "ok": false, "problems": problems }));
    } else {
        for Wrong { file, text } in wrong {
            println!("{file}: {}", shown(text));
        }
    }
    Err(Trouble::Unsound { path: arguments.path.clone(), problems: wrong.len() })
}

fn against_profile(arguments: &CheckArguments, folder: &PackageFolder) -> Result<Vec<Wrong>, Trouble> {
    let Some(profile) = &arguments.profile else { return Ok(Vec::new()) };
    let (network, profile) = files::read_profile(profile, coordinator::system_clock()())?;
    let mut wrong = Vec::new();
    if network != folder.network {
        let text = format!("the package is signed for {}, the profile is that of {network}", folder.network);
        wrong.push(Wrong { file: "network".to_owned(), text });
    }
    let publisher = folder.manifest.message().publisher;
    if !profile.message().publishers.values().any(|known| *known == publisher) {
        let text = format!("the network does not let the publisher {publisher} in");
        wrong.push(Wrong { file: "manifest".to_owned(), text });
    }
    Ok(wrong)
}

/// What a worker says against a program.
async fn inspect(spawn: &Spawn, program: &Program, sources: &[String]) -> Option<Wrong> {
    match sandbox::inspect(spawn, program, sources, INSPECT_WITHIN).await {
        Ok(()) => None,
        Err(InspectError::Refused(fault)) => {
            let file = named_module(program, &fault.detail).unwrap_or_else(|| "program".to_owned());
            Some(Wrong { file, text: fault.detail })
        }
        Err(error) => Some(Wrong { file: "program".to_owned(), text: sentence(&error) }),
    }
}

/// A stranger's text as a terminal may show it; lines stay.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// Has a worker judge a WGSL file by itself. What it binds is not known, so a refusal of bindings, which comes after all
/// rules about the source, says that the source keeps them.
async fn check_source(arguments: &CheckArguments, spawn: &Spawn) -> Result<(), Trouble> {
    let path = &arguments.path;
    let read = |source| files::FileError::Read { path: path.clone(), source };
    if std::fs::metadata(path).map_err(read)?.len() > MAX_MODULE_BYTES.into() {
        return Err(files::FileError::TooLong(path.clone()).into());
    }
    let source = std::fs::read_to_string(path).map_err(read)?;
    let program = alone(&source, arguments);
    let outcome = sandbox::inspect(spawn, &program, std::slice::from_ref(&source), INSPECT_WITHIN).await;
    let wrong = match outcome {
        Ok(()) => None,
        Err(InspectError::Refused(fault)) if fault.code == FaultCode::Interface => None,
        Err(InspectError::Refused(fault)) => {
            let text = fault.detail;
            Some(text.strip_prefix("module 0, ").map_or(text.clone(), str::to_owned))
        }
        Err(error) => Some(sentence(&error)),
    };
    if let Some(text) = wrong {
        return refuse(arguments, &[Wrong { file: path.display().to_string(), text }]);
    }
    if arguments.json {
        println!("{}", json!({ "ok": true, "max_loop_iterations": MAX_LOOP_ITERATIONS }));
    } else {
        println!("{}: nothing is wrong; bindings are checked in a package", path.display());
    }
    Ok(())
}

/// A program around a source of which nothing else is known.
fn alone(source: &str, arguments: &CheckArguments) -> Program {
    let validator = if arguments.tolerance {
        Validator::Tolerance { abs_nano: 1, rel_nano: 1, rms_nano: 1 }
    } else {
        Validator::Bitwise
    };
    Program {
        format: 1,
        title: "Check".to_owned(),
        purpose: "A source that is being written.".to_owned(),
        family: Family::Other,
        modules: vec![Module { blob: Hash::of(source.as_bytes()), bytes: source.len() as u32 }],
        kernels: vec![Kernel { module: 0, entry: "main".to_owned(), workgroup: [1, 1, 1] }],
        buffers: vec![Buffer { name: "output".to_owned(), role: Role::Output, bytes: 4 }],
        stages: vec![Stage { kernel: 0, bindings: vec![0], groups: 1, repeat: 1 }],
        features: if arguments.f16 { vec![Feature::F16] } else { Vec::new() },
        cost: Cost { operations: 1, memory_bytes: 4, max_millis: 1 },
        validator,
    }
}

/// The blob of the module that a refusal begins with.
fn named_module(program: &Program, detail: &str) -> Option<String> {
    let (index, _) = detail.strip_prefix("module ")?.split_once(',')?;
    let module = program.modules.get(index.parse::<usize>().ok()?)?;
    Some(package_folder::blob_file(&module.blob))
}

/// Known answers, computed here.
struct Answers {
    device: String,
    software: bool,
    right: usize,
    /// Unit and slice of the first wrong one.
    wrong: Option<(u32, u32)>,
}

async fn known_answers(folder: &PackageFolder, spawn: &Spawn) -> Result<Answers, Trouble> {
    let manifest = folder.manifest.message();
    let program = folder.program.message();
    if matches!(program.validator, Validator::Tolerance { .. }) {
        // A known answer is a hash, and what is compared with a tolerance has other bits on every device.
        return Err(Trouble::NotComparable);
    }
    let (mut worker, ready) = Worker::spawn(spawn).await?;
    worker
        .load(program, &folder.sources, LOAD_WITHIN)
        .await
        .map_err(|error| Trouble::Run(Box::new(error.into())))?;
    // A processor that stands in for a card is many times slower than the reference the limit is given for.
    let limit = Duration::from_millis(program.cost.max_millis.into()) * 2;
    let mut answers = Answers {
        device: ready.adapter.name.clone(),
        software: ready.adapter.software,
        right: 0,
        wrong: None,
    };
    for vector in &manifest.vectors {
        let plan = &manifest.units[vector.unit as usize].slices[vector.slice as usize];
        let inputs = folder.inputs(plan).map_err(Trouble::Changed)?;
        let job = SliceJob { slice: SliceId([1; 32]), inputs, params: plan.params.clone() };
        let outputs = run_slices(&mut worker, [job], Pace::AWAY, limit, |_, _| {})
            .await
            .map_err(|error| Trouble::Run(Box::new(error.into())))?;
        let right = outputs.first().is_some_and(|output| Hash::of(&output.output) == vector.digest);
        if right {
            answers.right += 1;
        } else {
            answers.wrong = answers.wrong.or(Some((vector.unit, vector.slice)));
        }
    }
    worker.kill().await;
    Ok(answers)
}

fn report(arguments: &CheckArguments, folder: &PackageFolder, answers: Option<&Answers>) {
    let manifest = folder.manifest.message();
    let program = folder.program.message();
    let cost = &program.cost;
    let units = manifest.units.len();
    let validator = match &program.validator {
        Validator::Bitwise => "bitwise".to_owned(),
        Validator::Tolerance { abs_nano, rel_nano, rms_nano } => {
            format!(
                "tolerance (10^-9: {abs_nano} absolute, {rel_nano} relative, {rms_nano} root mean square)"
            )
        }
        Validator::Freivalds { rounds, rows, inner, columns } => {
            format!("freivalds ({rounds} rounds, {rows} x {inner} by {inner} x {columns})")
        }
    };
    if arguments.json {
        let ok = answers.is_none_or(|answers| answers.wrong.is_none());
        let answers = answers.map(|answers| {
            json!({ "device": answers.device, "software": answers.software, "right": answers.right })
        });
        let report = json!({
            "ok": ok,
            "job": folder.job().to_string(),
            "network": folder.network.to_string(),
            "publisher": manifest.publisher.to_string(),
            "title": program.title,
            "purpose": program.purpose,
            "units": units,
            "slices": units * SLICES_PER_UNIT,
            "blob_bytes": folder.blob_bytes,
            "memory_bytes": cost.memory_bytes,
            "operations": cost.operations,
            "max_millis": cost.max_millis,
            "price_per_slice": manifest.price_per_slice.to_string(),
            "validator": validator,
            "max_loop_iterations": MAX_LOOP_ITERATIONS,
            "vectors": manifest.vectors.len(),
            "answers": answers,
        });
        println!("{report}");
        return;
    }
    let line = |name: &str, value: &str| println!("{name:<11}{}", shown(value));
    line("title", &program.title);
    line("purpose", &program.purpose);
    line("publisher", &manifest.publisher.to_string());
    line("network", &folder.network.to_string());
    line("job", &folder.job().to_string());
    line("work", &format!("{units} units of {SLICES_PER_UNIT} slices"));
    line("files", &format!("{} bytes", folder.blob_bytes));
    line(
        "a slice",
        &format!(
            "{} operations, {} bytes of memory, {} ms at most",
            cost.operations, cost.memory_bytes, cost.max_millis
        ),
    );
    line("price", &format!("{} base units a slice", manifest.price_per_slice));
    line("validator", &validator);
    line("loops", &format!("at most {MAX_LOOP_ITERATIONS} iterations per invocation and dispatch"));
    match answers {
        None => line("answers", &format!("{} known, not computed here (--run)", manifest.vectors.len())),
        Some(answers) => {
            let stand_in =
                if answers.software { " (the processor stands in for a graphics card)" } else { "" };
            line(
                "answers",
                &format!(
                    "{} of {} right on {}{stand_in}",
                    answers.right,
                    manifest.vectors.len(),
                    answers.device
                ),
            );
        }
    }
}
