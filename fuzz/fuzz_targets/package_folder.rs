//! A job package as a stranger's folder. The input is the file `manifest`; around it lies a good package whose key is
//! known, and with an odd first byte the input is the body of a manifest that is signed, so that what follows the
//! signature is reached too.

#![no_main]

#[path = "../../crates/coordinator/src/package_folder.rs"]
mod package_folder;

use std::path::PathBuf;
use std::sync::LazyLock;

use jobs::search::{Options, package};
use jobs::synthetic::Synthetic;
use libfuzzer_sys::fuzz_target;
use protocol::cbor;
use protocol::id::NetworkId;
use protocol::manifest::Manifest;
use protocol::sign::{Key, Message};
use zeroize::Zeroizing;

const NETWORK: NetworkId = NetworkId([1; 32]);

static KEY: LazyLock<Key> = LazyLock::new(|| Key::from_seed(&Zeroizing::new([2; 32])));

/// A good package in a folder of this process.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("hearth-fuzz-{}", std::process::id()));
    let recording = Synthetic { channels: 4096, ..Synthetic::default() }.generate().0;
    let package = package(&recording, &Options::default()).expect("a usual recording");
    let signed = package.sign(&KEY, &NETWORK);
    package_folder::write(&folder, &package, &signed, &NETWORK).expect("a new folder");
    folder
});

fuzz_target!(|data: &[u8]| {
    let Some((&signs, data)) = data.split_first() else { return };
    let manifest = if signs & 1 == 1 {
        let Ok(manifest) = cbor::decode::<Manifest>(data, Manifest::MAX_BYTES) else { return };
        KEY.sign(&NETWORK, manifest).envelope().to_bytes()
    } else {
        data.to_vec()
    };
    std::fs::write(FOLDER.join("manifest"), manifest).expect("our folder");
    match package_folder::read(&FOLDER) {
        Ok(folder) => {
            assert_eq!(folder.network, NETWORK, "the network is that of the folder");
            assert_eq!(folder.sources.len(), folder.program.message().modules.len(), "every module has a source");
            assert!(folder.blob_bytes > 0, "a package has inputs");
            assert_ne!(folder.job().as_bytes(), &[0; 32], "the job has an address");
            for plan in folder.manifest.message().units.iter().flat_map(|unit| &unit.slices) {
                folder.inputs(plan).expect("what was checked can be read");
            }
        }
        Err(findings) => assert!(!findings.is_empty(), "a refusal has a reason"),
    }
});
