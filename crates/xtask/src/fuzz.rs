//! `cargo xtask fuzz`: tries what strangers can hand to Hearth with inputs that libFuzzer makes up.
//!
//! The targets lie in `fuzz/`, a crate of its own. Seeds are made from the frozen examples of messages, the shipped WGSL
//! and small files written here; what the runs find grows in `fuzz/corpus`, which is not committed. A finding is left in
//! `fuzz/artifacts` and ends the run with an error. Works on the stable toolchain, without sanitizers: the code under
//! test has no unsafe part, so what can be found are panics, broken promises, hangs and memory without bounds.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::ValueEnum;

use crate::process::{cargo, must, output, say};
use crate::workspace;

/// The version that is installed where cargo-fuzz is missing.
const CARGO_FUZZ_VERSION: &str = "0.13.2";

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Target {
    /// A publisher's signed manifest and program.
    Manifest,
    /// The frames between a worker and its parent, both ways.
    Frames,
    /// The header and samples of a recording.
    FilHeader,
    /// WGSL on its way into the worker.
    WgslIntake,
    /// A job package as a folder.
    PackageFolder,
}

impl Target {
    fn name(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Frames => "frames",
            Self::FilHeader => "fil_header",
            Self::WgslIntake => "wgsl_intake",
            Self::PackageFolder => "package_folder",
        }
    }

    fn seeds(self) -> Result<Vec<Vec<u8>>> {
        match self {
            Self::Manifest => messages(),
            // The first byte says whether the rest is a signed manifest or is to be signed.
            Self::PackageFolder => Ok(messages()?
                .iter()
                .flat_map(|message| [0, 1].map(|signs| [&[signs], message.as_slice()].concat()))
                .collect()),
            Self::Frames => frames(),
            Self::FilHeader => Ok(recordings()),
            Self::WgslIntake => kernels(),
        }
    }
}

/// Runs one target, or each in turn, for so many seconds.
pub(crate) fn fuzz(target: Option<Target>, seconds: u64) -> Result<ExitCode> {
    if output(cargo().args(["fuzz", "--version"])).is_none() {
        say("cargo-fuzz is missing; installing it");
        must(cargo().args(["install", "cargo-fuzz", "--locked", "--version", CARGO_FUZZ_VERSION]))?;
    }
    for &target in target.as_ref().map_or(Target::value_variants(), std::slice::from_ref) {
        let name = target.name();
        let folder = workspace::root().join("fuzz/corpus").join(name);
        fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        for (number, seed) in target.seeds()?.into_iter().enumerate() {
            let path = folder.join(format!("seed-{number}"));
            fs::write(&path, seed).with_context(|| format!("write {}", path.display()))?;
        }
        let time = format!("-max_total_time={seconds}");
        must(
            cargo()
                .args(["fuzz", "run", "--sanitizer", "none", name, "--", &time])
                // A refusal takes milliseconds; sizes are bounded long before this much memory.
                .args(["-timeout=20", "-rss_limit_mb=3072", "-print_final_stats=1"]),
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The frozen examples of every message: whole, and the body of each envelope by itself.
fn messages() -> Result<Vec<Vec<u8>>> {
    let mut seeds = Vec::new();
    for path in files(&workspace::root().join("crates/protocol/tests/golden"), "hex")? {
        let bytes = hex(&path)?;
        seeds.extend(body(&bytes).map(<[u8]>::to_vec));
        seeds.push(bytes);
    }
    Ok(seeds)
}

/// The byte string under the key `body`, with which an envelope ends.
fn body(envelope: &[u8]) -> Option<&[u8]> {
    let at = envelope.windows(5).position(|window| window == b"dbody")? + 5;
    // A CBOR byte string: 0x40 and its length, or one, two or four bytes of length.
    let head = match envelope.get(at)? {
        0x40..=0x57 => 1,
        0x58 => 2,
        0x59 => 3,
        0x5a => 5,
        _ => return None,
    };
    envelope.get(at + head..)
}

/// The frozen frames with their length before them, in both directions.
fn frames() -> Result<Vec<Vec<u8>>> {
    let mut seeds = Vec::new();
    for path in files(&workspace::root().join("crates/protocol/tests/golden"), "hex")? {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        if name.starts_with("frame-") {
            let bytes = hex(&path)?;
            let length = u32::try_from(bytes.len()).context("the length of a frame")?.to_le_bytes();
            seeds.extend([0, 1].map(|direction| [&[direction], &length[..], &bytes].concat()));
        }
    }
    // Answers, which have no frozen examples: a unit variant, a map, a text and bytes.
    for bytes in [
        &b"\x66loaded"[..],
        b"\xa1gyielded\xa1fmicros\x19\x03\xe8",
        b"\xa1grefused\xa1efault\xa2dcodedwgslfdetail`",
    ] {
        let length = u32::try_from(bytes.len()).context("the length of a frame")?.to_le_bytes();
        seeds.push([&[1], &length[..], bytes].concat());
    }
    Ok(seeds)
}

/// Small recordings of every sample width.
fn recordings() -> Vec<Vec<u8>> {
    let text = |text: &str| [&(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat();
    let int = |key: &str, value: i32| [text(key), value.to_le_bytes().to_vec()].concat();
    let double = |key: &str, value: f64| [text(key), value.to_le_bytes().to_vec()].concat();
    [8, 16, 32]
        .map(|bits| {
            let mut bytes = [
                text("HEADER_START"),
                text("source_name"),
                text("Voyager1"),
                double("fch1", 8421.3),
                double("foff", -2.7e-6),
                double("tsamp", 18.25),
                double("tstart", 57650.0),
                int("nchans", 16),
                int("nbits", bits),
                int("nifs", 1),
                int("nsamples", 4),
                text("HEADER_END"),
            ]
            .concat();
            bytes.extend((0..16 * 4 * bits / 8).map(|i| (i % 251) as u8));
            bytes
        })
        .into()
}

/// Bodies of kernels that meet one rule each.
const BODIES: [&str; 12] = [
    "for (var i = 0u; i < 64u; i += 1u) { sums[at] += i; }",
    "for (var i = 63; i >= 0; i--) { if (i == 7) { continue; } sums[at] += u32(i); }",
    "for (var i = lane; i < min(params[0], 1000u); i += 64u) { sums[i] = numbers[i]; }",
    "tile[lane] = at; workgroupBarrier(); sums[at] = tile[63u - lane];",
    "if (lane == 0u) { atomicStore(&total, 0u); } workgroupBarrier(); atomicAdd(&total, 1u); workgroupBarrier(); sums[at] = atomicLoad(&total);",
    "for (var t = 0u; t < 4u; t++) { tile[lane] = t; workgroupBarrier(); sums[at] += tile[t]; workgroupBarrier(); }",
    "switch (at & 3u) { case 0u, 1u: { sums[at] = 1u; } default: { if (lane > 3u) { break; } sums[at] = 2u; } }",
    "sums[at] = numbers[at] / (at | 1u) + numbers[at] % max(at, 1u);",
    "sums[at] = (numbers[at] << (at & 31u)) ^ u32(i32(at) >> min(at, 31u));",
    "var v = vec4<u32>(at, 1u, 2u, 3u); v.y = v.x; v[at & 3u] ^= select(v.z, v.w, at > 3u); sums[at] = v.y;",
    "var a = array<u32, 4>(1u, 2u, 3u, 4u); change(&a[at & 3u]); sums[at] = a[0] + called(at);",
    "sums[at] = u32(f32(numbers[at]) * 1.5) + bitcast<u32>(sin(1.0));",
];

/// The shipped kernels with constants for what their jobs put before them, and kernels that meet one rule each.
fn kernels() -> Result<Vec<Vec<u8>>> {
    let mut sources = Vec::new();
    for folder in files(&workspace::root().join("crates/jobs/src"), "")? {
        if folder.is_dir() {
            for path in files(&folder, "wgsl")? {
                let source = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
                sources.push(format!("{}{source}", constants(&source)));
            }
        }
    }
    sources.extend(BODIES.iter().map(|body| {
        format!(
            "@group(0) @binding(0) var<uniform> piece: vec4<u32>;
@group(0) @binding(1) var<storage, read> numbers: array<u32>;
@group(0) @binding(2) var<storage, read> params: array<u32>;
@group(0) @binding(4) var<storage, read_write> sums: array<u32>;
var<workgroup> tile: array<u32, 64>;
var<workgroup> total: atomic<u32>;
fn called(x: u32) -> u32 {{ for (var i = 0u; i < 9u; i++) {{ if (i > x) {{ return i; }} }} return x; }}
fn change(p: ptr<function, u32>) {{ *p = 7u; }}
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {{
let at = (piece.x + group.x) * 64u + lane;
{body}
}}
"
        )
    }));
    // The first byte picks validator and features.
    Ok((0_u8..3)
        .flat_map(|flavour| sources.iter().map(move |source| [&[flavour], source.as_bytes()].concat()))
        .collect())
}

/// Declarations for the names in capitals that a source uses and does not declare.
fn constants(source: &str) -> String {
    let words = source.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let capitals: BTreeSet<&str> = words
        .filter(|word| word.len() > 2 && word.starts_with(|c: char| c.is_ascii_uppercase()))
        .filter(|word| word.chars().all(|c| !c.is_ascii_lowercase()))
        .filter(|word| !source.contains(&format!("const {word}")))
        .collect();
    capitals.iter().map(|name| format!("const {name}: u32 = 8u;\n")).collect()
}

/// The entries of a folder whose names end in `.extension`, or all of them, in order.
fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("read {}", folder.display()))?.path();
        if extension.is_empty() || path.extension().is_some_and(|found| found == extension) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// The bytes that a file spells in hexadecimal digits.
fn hex(path: &Path) -> Result<Vec<u8>> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?))
        .collect::<Result<_>>()
        .with_context(|| format!("{} does not hold hexadecimal digits", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_seeds_and_is_declared_in_the_fuzz_crate() {
        let manifest = fs::read_to_string(workspace::root().join("fuzz/Cargo.toml")).expect("the fuzz crate");
        for &target in Target::value_variants() {
            assert!(!target.seeds().expect("seeds").is_empty(), "{target:?} begins from something");
            let declared = format!("name = \"{}\"", target.name());
            assert!(manifest.contains(&declared), "{target:?} is a program of the fuzz crate");
        }
    }

    #[test]
    fn the_body_of_an_envelope_is_cut_out() {
        let seeds = messages().expect("golden files");
        assert!(body(b"\xa1dbody\x42hi").is_some_and(|body| body == b"hi"));
        assert!(seeds.len() > 20, "most golden files are envelopes with a body");
    }
}
