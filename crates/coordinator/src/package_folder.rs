//! A job package on a disk: what `publish pack` writes and `publish check` reads.
//!
//! A folder with `program` and `manifest` (the signed envelopes, canonical CBOR), `network` (64 hexadecimal digits: the
//! network that both signatures are for) and `blobs/`, where every input and WGSL source lies under its BLAKE3 hash. The
//! folder is a stranger's: only plain files are opened, nothing is read before its size is bounded, blobs are hashed in
//! pieces, and everything that is wrong is found in one pass, up to a number. WGSL is not read here; a worker does that.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use jobs::package::{Package, SignedPackage};
use protocol::cbor::DecodeError;
use protocol::id::{Hash, JobId, NetworkId};
use protocol::manifest::{CheckError, Manifest, Program, SlicePlan};
use protocol::sign::{Envelope, Message, Signed, VerifyError};

/// Largest blob of a package in bytes.
const MAX_BLOB_BYTES: u64 = 8 * 1024 * 1024 * 1024;
/// Most problems that are listed; a folder with more is not nearly right.
const MAX_PROBLEMS: usize = 32;
/// Bytes of the file `network` at most: the digits and an end of line.
const MAX_NETWORK_BYTES: u64 = 80;
/// What an envelope adds to its body at most.
const ENVELOPE_BYTES: u64 = 256;

/// What is wrong with a part of a package.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A part that must be there is not.
    #[error("it is missing")]
    Missing,
    /// The file system refuses.
    #[error("it cannot be read")]
    Unreadable(#[source] io::Error),
    /// A folder, link, pipe or device in the place of a file.
    #[error("it is not a plain file")]
    NotAFile,
    /// A link or file in the place of a folder.
    #[error("it is not a folder")]
    NotAFolder,
    /// Larger than such a part may be.
    #[error("it has {found_bytes} bytes, allowed are {limit_bytes}")]
    TooLarge {
        /// Its size.
        found_bytes: u64,
        /// The largest size allowed.
        limit_bytes: u64,
    },
    /// No network id.
    #[error("it does not hold a network id: 64 hexadecimal digits")]
    NotANetwork,
    /// Not the canonical bytes of an envelope: truncated, extended or changed.
    #[error("it is no signed message")]
    Envelope(#[source] DecodeError),
    /// The signature or what is signed is wrong.
    #[error("its signature cannot be accepted")]
    Signature(#[source] VerifyError),
    /// The manifest was signed by somebody other than the publisher that it names.
    #[error("it names the publisher {named}, but was signed by {signer}")]
    OtherPublisher {
        /// First digits of the publisher's key.
        named: String,
        /// First digits of the signer's key.
        signer: String,
    },
    /// The manifest belongs to another program file.
    #[error("it belongs to the program {named}, this one is {found}")]
    OtherProgram {
        /// The address in the manifest.
        named: Hash,
        /// The address of the file.
        found: Hash,
    },
    /// The manifest repeats the program wrongly.
    #[error("it holds another program than the signed one")]
    OtherBody,
    /// A count, size or index that the format does not allow.
    #[error("it is against the format")]
    Check(#[source] CheckError),
    /// Bytes under a wrong name.
    #[error("its bytes have another hash: {found}")]
    WrongHash {
        /// The hash of the bytes.
        found: Hash,
    },
    /// A WGSL source of another length than declared.
    #[error("module {module} has {found_bytes} bytes, declared are {declared_bytes}")]
    ModuleLength {
        /// Index of the module.
        module: usize,
        /// Length of the file.
        found_bytes: u64,
        /// Length in the program.
        declared_bytes: u64,
    },
    /// A WGSL source that is no text.
    #[error("module {module} is not UTF-8 text")]
    NotText {
        /// Index of the module.
        module: usize,
    },
    /// A slice that reads past the end of its blob.
    #[error("slice {slice} of unit {unit} reads up to byte {end}, but it has {found_bytes}")]
    Range {
        /// Index of the unit.
        unit: usize,
        /// Index of the slice.
        slice: usize,
        /// End of the range.
        end: u64,
        /// Size of the blob.
        found_bytes: u64,
    },
    /// A file that the manifest does not name.
    #[error("nothing in the manifest names it")]
    Stray,
}

/// A problem and the part that has it, relative to the folder.
#[derive(Debug, thiserror::Error)]
#[error("{file}")]
pub struct Finding {
    /// For example `manifest` or `blobs/1f…`.
    pub file: String,
    /// What is wrong with it.
    #[source]
    pub problem: Problem,
}

impl Finding {
    fn new(file: impl Into<String>, problem: Problem) -> Self {
        Self { file: file.into(), problem }
    }
}

/// A package whose parts fit each other.
#[derive(Debug)]
pub struct PackageFolder {
    folder: PathBuf,
    /// The network that it is signed for.
    pub network: NetworkId,
    /// The program.
    pub program: Signed<Program>,
    /// The manifest.
    pub manifest: Signed<Manifest>,
    /// WGSL sources in the order of the program's modules.
    pub sources: Vec<String>,
    /// Bytes of all blobs.
    pub blob_bytes: u64,
}

/// Why a package cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("write {path}")]
pub struct WriteError {
    /// Where.
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// The name of a blob inside a package.
pub fn blob_file(blob: &Hash) -> String {
    format!("blobs/{blob}")
}

/// Writes a package of any kind of job into the new folder `folder`; the manifest comes last, so that a folder with a
/// manifest is complete.
///
/// # Errors
/// [`WriteError`]; also when the folder is there already.
pub fn write(
    folder: &Path,
    package: &Package,
    signed: &SignedPackage,
    network: &NetworkId,
) -> Result<(), WriteError> {
    let blobs = folder.join("blobs");
    for path in [folder, &blobs] {
        fs::create_dir(path).map_err(|source| WriteError { path: path.to_owned(), source })?;
    }
    let put = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        let written = File::create_new(&path).and_then(|mut file| file.write_all(bytes));
        written.map_err(|source| WriteError { path, source })
    };
    for (hash, bytes) in &package.blobs {
        put(&blob_file(hash), bytes)?;
    }
    put("network", format!("{network}\n").as_bytes())?;
    put("program", &signed.program.envelope().to_bytes())?;
    put("manifest", &signed.manifest.envelope().to_bytes())
}

/// Reads the package in `folder` and checks that all its parts are there, are what they are named, and fit each other.
///
/// # Errors
/// Everything that is wrong, at least one [`Finding`].
pub fn read(folder: &Path) -> Result<PackageFolder, Vec<Finding>> {
    let mut findings = Vec::new();
    let network = keep(&mut findings, read_network(folder));
    let Some(network) = network else { return Err(findings) };
    let program = keep(&mut findings, read_signed::<Program>(folder, "program", &network));
    let manifest = keep(&mut findings, read_signed::<Manifest>(folder, "manifest", &network));
    let (Some((program, address)), Some((manifest, _))) = (program, manifest) else {
        return Err(findings);
    };
    check_manifest(&program, address, &manifest, &mut findings);
    if !findings.is_empty() {
        // What the manifest says about blobs is not to be followed.
        return Err(findings);
    }
    let blobs = fs::symlink_metadata(folder.join("blobs")).is_ok_and(|found| found.is_dir());
    if !blobs {
        return Err(vec![Finding::new("blobs", Problem::NotAFolder)]);
    }
    let sizes = check_blobs(folder, manifest.message(), &mut findings);
    let sources = read_sources(folder, program.message(), &sizes, &mut findings);
    check_strays(folder, &sizes, &mut findings);
    if !findings.is_empty() {
        findings.truncate(MAX_PROBLEMS);
        return Err(findings);
    }
    let blob_bytes = sizes.values().flatten().sum();
    Ok(PackageFolder { folder: folder.to_owned(), network, program, manifest, sources, blob_bytes })
}

impl PackageFolder {
    /// Content address of the job.
    pub fn job(&self) -> JobId {
        JobId(Hash::of(&self.manifest.envelope().to_bytes()).0)
    }

    /// The input of a slice, one byte string per input buffer.
    ///
    /// # Errors
    /// [`Finding`] when a blob has changed since the package was read.
    pub fn inputs(&self, plan: &SlicePlan) -> Result<Vec<Vec<u8>>, Finding> {
        plan.inputs
            .iter()
            .map(|range| {
                let name = blob_file(&range.blob);
                let read = || {
                    let (mut file, _) = open(&self.folder, &name, MAX_BLOB_BYTES)?;
                    let mut bytes = vec![0; range.bytes as usize];
                    file.seek(SeekFrom::Start(range.offset_bytes))
                        .and_then(|_| file.read_exact(&mut bytes))
                        .map_err(Problem::Unreadable)?;
                    Ok(bytes)
                };
                read().map_err(|problem| Finding::new(&name, problem))
            })
            .collect()
    }
}

/// The value, or nothing and a finding more.
fn keep<T>(findings: &mut Vec<Finding>, result: Result<T, Finding>) -> Option<T> {
    result.map_err(|finding| findings.push(finding)).ok()
}

/// Opens a plain file of at most `limit_bytes`; gives its size as well. A link, pipe or device is never opened.
fn open(folder: &Path, name: &str, limit_bytes: u64) -> Result<(File, u64), Problem> {
    let path = folder.join(name);
    let refused = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Problem::Missing,
        _ => Problem::Unreadable(error),
    };
    let found = fs::symlink_metadata(&path).map_err(refused)?;
    if !found.is_file() {
        return Err(Problem::NotAFile);
    }
    if found.len() > limit_bytes {
        return Err(Problem::TooLarge { found_bytes: found.len(), limit_bytes });
    }
    Ok((File::open(&path).map_err(refused)?, found.len()))
}

fn read_part(folder: &Path, name: &str, limit_bytes: u64) -> Result<Vec<u8>, Problem> {
    let (file, _) = open(folder, name, limit_bytes)?;
    let mut bytes = Vec::new();
    // A file that grows meanwhile is still bounded.
    file.take(limit_bytes).read_to_end(&mut bytes).map_err(Problem::Unreadable)?;
    Ok(bytes)
}

fn read_network(folder: &Path) -> Result<NetworkId, Finding> {
    let read = || {
        let bytes = read_part(folder, "network", MAX_NETWORK_BYTES)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| Problem::NotANetwork)?;
        text.trim_end().parse().map_err(|_| Problem::NotANetwork)
    };
    read().map_err(|problem| Finding::new("network", problem))
}

/// A signed message and the content address of its envelope.
fn read_signed<T: Message>(
    folder: &Path,
    name: &str,
    network: &NetworkId,
) -> Result<(Signed<T>, Hash), Finding> {
    let read = || {
        let bytes = read_part(folder, name, T::MAX_BYTES as u64 + ENVELOPE_BYTES)?;
        let envelope = Envelope::from_bytes::<T>(&bytes).map_err(Problem::Envelope)?;
        let signed = envelope.verify_any::<T>(network).map_err(Problem::Signature)?;
        Ok((signed, Hash::of(&bytes)))
    };
    read().map_err(|problem| Finding::new(name, problem))
}

/// The manifest keeps to the format, and it and the program belong together.
fn check_manifest(
    program: &Signed<Program>,
    address: Hash,
    manifest: &Signed<Manifest>,
    findings: &mut Vec<Finding>,
) {
    let short = |key: &[u8; 32]| hex::encode(&key[..4]);
    let message = manifest.message();
    for (name, signer) in [("program", program.signer()), ("manifest", manifest.signer())] {
        if signer != message.publisher.as_bytes() {
            let named = short(message.publisher.as_bytes());
            findings.push(Finding::new(name, Problem::OtherPublisher { named, signer: short(signer) }));
        }
    }
    if message.program != address {
        let problem = Problem::OtherProgram { named: message.program, found: address };
        findings.push(Finding::new("manifest", problem));
    }
    if message.body != *program.message() {
        findings.push(Finding::new("manifest", Problem::OtherBody));
    }
    if let Err(error) = message.check() {
        findings.push(Finding::new("manifest", Problem::Check(error)));
    }
}

/// Sizes of the blobs that the manifest names; `None` for one that is not as it must be.
type Sizes = BTreeMap<Hash, Option<u64>>;

/// Every blob is there under its own hash, and no slice reads beyond it.
fn check_blobs(folder: &Path, manifest: &Manifest, findings: &mut Vec<Finding>) -> Sizes {
    let mut sizes = Sizes::new();
    let modules = manifest.body.modules.iter().map(|module| module.blob);
    let slices = || {
        manifest.units.iter().enumerate().flat_map(|(unit, plan)| {
            plan.slices.iter().enumerate().map(move |(slice, plan)| (unit, slice, plan))
        })
    };
    let inputs = slices().flat_map(|(_, _, plan)| &plan.inputs).map(|input| input.blob);
    let named: BTreeSet<Hash> = modules.chain(inputs).collect();
    for blob in named {
        let name = blob_file(&blob);
        let size = match hashed(folder, &name) {
            Ok((found, _)) if found != blob => Err(Problem::WrongHash { found }),
            Ok((_, size)) => Ok(size),
            Err(problem) => Err(problem),
        };
        sizes.insert(blob, keep(findings, size.map_err(|problem| Finding::new(name, problem))));
        if findings.len() >= MAX_PROBLEMS {
            return sizes;
        }
    }
    for (unit, slice, plan) in slices() {
        for input in &plan.inputs {
            let Some(&Some(found_bytes)) = sizes.get(&input.blob) else { continue };
            let end = input.offset_bytes.saturating_add(input.bytes.into());
            if end > found_bytes && findings.len() < MAX_PROBLEMS {
                let problem = Problem::Range { unit, slice, end, found_bytes };
                findings.push(Finding::new(blob_file(&input.blob), problem));
            }
        }
    }
    sizes
}

/// Hash and size of a file, read in pieces.
fn hashed(folder: &Path, name: &str) -> Result<(Hash, u64), Problem> {
    let (file, size) = open(folder, name, MAX_BLOB_BYTES)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file.take(size)).map_err(Problem::Unreadable)?;
    Ok((Hash(*hasher.finalize().as_bytes()), size))
}

fn read_sources(folder: &Path, program: &Program, sizes: &Sizes, findings: &mut Vec<Finding>) -> Vec<String> {
    let mut sources = Vec::with_capacity(program.modules.len());
    for (module, declared) in program.modules.iter().enumerate() {
        let Some(&Some(found_bytes)) = sizes.get(&declared.blob) else { continue };
        let declared_bytes = u64::from(declared.bytes);
        let read = || {
            if found_bytes != declared_bytes {
                return Err(Problem::ModuleLength { module, found_bytes, declared_bytes });
            }
            let bytes = read_part(folder, &blob_file(&declared.blob), declared_bytes)?;
            String::from_utf8(bytes).map_err(|_| Problem::NotText { module })
        };
        let source = read().map_err(|problem| Finding::new(blob_file(&declared.blob), problem));
        sources.extend(keep(findings, source));
    }
    sources
}

/// Nothing lies in the folder that would be sent along unseen.
fn check_strays(folder: &Path, sizes: &Sizes, findings: &mut Vec<Finding>) {
    let expected = |prefix: &str, name: &str| match prefix {
        "" => matches!(name, "network" | "program" | "manifest" | "blobs"),
        _ => name.parse().is_ok_and(|hash: Hash| sizes.contains_key(&hash) && hash.to_string() == name),
    };
    for prefix in ["", "blobs/"] {
        let entries = match fs::read_dir(folder.join(prefix)) {
            Ok(entries) => entries,
            Err(error) => {
                findings.push(Finding::new(prefix, Problem::Unreadable(error)));
                continue;
            }
        };
        for entry in entries {
            if findings.len() >= MAX_PROBLEMS {
                return;
            }
            match entry {
                Ok(entry) => {
                    let name = entry.file_name();
                    let name = name.to_string_lossy();
                    if !expected(prefix, &name) {
                        let shown: String = name.chars().filter(|c| !c.is_control()).take(80).collect();
                        findings.push(Finding::new(format!("{prefix}{shown}"), Problem::Stray));
                    }
                }
                Err(error) => findings.push(Finding::new(prefix, Problem::Unreadable(error))),
            }
        }
    }
}

#[cfg(test)]
mod tests;
