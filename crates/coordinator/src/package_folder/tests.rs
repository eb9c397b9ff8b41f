//! A package folder, whole and in every way broken.

use std::error::Error as _;

use jobs::search::{Options, package};
use jobs::synthetic::Synthetic;
use protocol::sign::Key;
use zeroize::Zeroizing;

use super::*;

struct Written {
    _place: tempfile::TempDir,
    folder: PathBuf,
    package: Package,
}

fn key(n: u8) -> Key {
    Key::from_seed(&Zeroizing::new([n; 32]))
}

const NETWORK: NetworkId = NetworkId([1; 32]);

fn searched() -> Package {
    let synthetic = Synthetic { channels: 4096, ..Synthetic::default() };
    package(&synthetic.generate().0, &Options::default()).expect("a recording can be packaged")
}

fn written() -> Written {
    let package = searched();
    let place = tempfile::tempdir().expect("a temporary directory");
    let folder = place.path().join("job");
    write(&folder, &package, &package.sign(&key(2), &NETWORK), &NETWORK).expect("a new folder");
    Written { _place: place, folder, package }
}

/// The folder is refused; its findings as `file: reason: cause`.
#[track_caller]
fn refused(folder: &Path) -> Vec<String> {
    let findings = read(folder).expect_err("the package is broken");
    let text = |finding: &Finding| {
        let cause = finding.problem.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        format!("{}: {}{cause}", finding.file, finding.problem)
    };
    findings.iter().map(text).collect()
}

#[test]
fn a_package_survives_its_folder() {
    let written = written();
    let read = read(&written.folder).expect("what was written can be read");
    let signed = written.package.sign(&key(2), &NETWORK);
    assert_eq!(read.job(), signed.job);
    assert_eq!(read.sources, written.package.sources);
    assert_eq!(read.manifest, signed.manifest);
    let plan = &written.package.units[0].slices[5];
    assert_eq!(read.inputs(plan).ok(), written.package.inputs(plan), "inputs are those of the package");
    let again = write(&written.folder, &written.package, &signed, &NETWORK);
    assert!(again.is_err(), "nothing is overwritten");
}

#[test]
fn every_part_is_refused_when_it_is_flipped_cut_extended_emptied_or_gone() {
    let written = written();
    let module = written.package.program.modules[0].blob;
    let input = written.package.units[0].slices[0].inputs[0].blob;
    let (module, input) = (blob_file(&module), blob_file(&input));
    for part in ["network", "program", "manifest", &module, &input] {
        let path = written.folder.join(part);
        let good = fs::read(&path).expect("it was written");
        let middle = good.len() / 2;
        let flip = |at: usize| {
            let mut bytes = good.clone();
            bytes[at] ^= 0x10;
            bytes
        };
        let cut = good[..good.len() - 1].to_vec();
        let mut cases = vec![
            ("first bit flipped", flip(0)),
            ("middle bit flipped", flip(middle)),
            ("last bit flipped", flip(good.len() - 2)),
            ("half", good[..middle].to_vec()),
            ("extended", [good.as_slice(), b"x"].concat()),
            ("empty", Vec::new()),
        ];
        // The last byte of `network` is an end of line that may be left out.
        if part != "network" {
            cases.push(("cut", cut));
        }
        for (name, bytes) in cases {
            fs::write(&path, bytes).expect("ours");
            let found = refused(&written.folder);
            assert!(
                found.iter().any(|text| text.starts_with(part) || part == "network"),
                "{part}, {name}: {found:?}"
            );
        }
        fs::remove_file(&path).expect("ours");
        assert_eq!(refused(&written.folder), [format!("{part}: it is missing")]);
        fs::write(&path, good).expect("ours");
    }
    assert!(read(&written.folder).is_ok(), "put back, the package is whole again");
}

#[test]
fn each_reason_has_its_words() {
    let written = written();
    let folder = &written.folder;
    let manifest = folder.join("manifest");
    let good = fs::read(&manifest).expect("written");
    fs::write(&manifest, &good[..100]).expect("ours");
    let found = refused(folder);
    assert!(found[0].starts_with("manifest: it is no signed message: malformed message"), "{found:?}");
    fs::write(&manifest, [good.as_slice(), b"\0"].concat()).expect("ours");
    assert_eq!(refused(folder), ["manifest: it is no signed message: message is not in canonical form"]);
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    fs::write(&manifest, flipped).expect("ours");
    assert_eq!(refused(folder), ["manifest: its signature cannot be accepted: signature does not match"]);
    fs::write(&manifest, &good).expect("ours");

    fs::write(folder.join("network"), "not a network").expect("ours");
    assert_eq!(refused(folder), ["network: it does not hold a network id: 64 hexadecimal digits"]);
    fs::write(folder.join("network"), NetworkId([9; 32]).to_string()).expect("ours");
    let other = "its signature cannot be accepted: signature does not match";
    assert_eq!(refused(folder), [format!("program: {other}"), format!("manifest: {other}")]);
    fs::write(folder.join("network"), NETWORK.to_string()).expect("ours");

    fs::write(folder.join("network"), "1".repeat(81)).expect("ours");
    assert_eq!(refused(folder), ["network: it has 81 bytes, allowed are 80"]);
    fs::write(folder.join("network"), NETWORK.to_string()).expect("ours");

    let source = blob_file(&written.package.program.modules[1].blob);
    let text = fs::read(folder.join(&source)).expect("written");
    fs::write(folder.join(&source), "// another source").expect("ours");
    let hash = Hash::of(b"// another source");
    assert_eq!(refused(folder), [format!("{source}: its bytes have another hash: {hash}")]);
    fs::write(folder.join(&source), text).expect("ours");

    fs::write(folder.join("notes.txt"), "x").expect("ours");
    fs::write(folder.join("blobs/extra"), "x").expect("ours");
    let stray = "nothing in the manifest names it";
    assert_eq!(refused(folder), [format!("notes.txt: {stray}"), format!("blobs/extra: {stray}")]);
}

/// The findings about a package that was bent before it was signed, so that its signatures fit.
fn signed_findings(bend: impl FnOnce(&mut Package)) -> Vec<String> {
    let mut package = searched();
    bend(&mut package);
    let place = tempfile::tempdir().expect("a temporary directory");
    let folder = place.path().join("job");
    write(&folder, &package, &package.sign(&key(2), &NETWORK), &NETWORK).expect("a new folder");
    refused(&folder)
}

#[test]
fn a_signature_does_not_excuse_a_plan_that_is_wrong() {
    let found = signed_findings(|package| package.units[0].slices[7].inputs[0].offset_bytes = 4);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("slice 7 of unit 0 reads up to byte "), "{found:?}");
    let found = signed_findings(|package| {
        package.units[0].slices.pop();
    });
    let slices = "manifest: it is against the format: slices of a unit is 63, allowed are 64 to 64";
    assert_eq!(found, [slices]);
    let found = signed_findings(|package| package.vectors.truncate(7));
    let vectors = "number of conformance vectors is 7, allowed are 8 to 1024";
    assert_eq!(found, [format!("manifest: it is against the format: {vectors}")]);
    let found = signed_findings(|package| package.program.modules[1].bytes += 1);
    assert!(found.len() == 1 && found[0].contains("module 1 has "), "{found:?}");
    let found = signed_findings(|package| package.program.cost.memory_bytes = 4);
    assert!(found[0].contains("declared memory is 4, allowed are "), "{found:?}");
    let mut gone = Hash([0; 32]);
    let found = signed_findings(|package| {
        gone = package.units[0].slices[9].inputs[0].blob;
        package.blobs.retain(|(hash, _)| *hash != gone);
    });
    assert_eq!(found, [format!("{}: it is missing", blob_file(&gone))]);
    let found = signed_findings(|package| {
        let inputs: BTreeSet<Hash> =
            package.units.iter().flat_map(|u| &u.slices).map(|s| s.inputs[0].blob).collect();
        package.blobs.retain(|(hash, _)| !inputs.contains(hash));
    });
    assert_eq!(found.len(), MAX_PROBLEMS, "a folder that lacks everything does not fill the screen");
}

#[test]
fn parts_of_two_packages_do_not_make_one() {
    let written = written();
    let mut other = searched();
    other.program.title = "Other".to_owned();
    let signed = other.sign(&key(2), &NETWORK);
    fs::write(written.folder.join("program"), signed.program.envelope().to_bytes()).expect("ours");
    let found = refused(&written.folder);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("manifest: it belongs to the program "), "{found:?}");
    assert_eq!(found[1], "manifest: it holds another program than the signed one");

    let signed = written.package.sign(&key(3), &NETWORK);
    fs::write(written.folder.join("program"), signed.program.envelope().to_bytes()).expect("ours");
    let found = refused(&written.folder);
    assert!(found[0].starts_with("program: it names the publisher "), "{found:?}");
}

#[cfg(unix)]
#[test]
fn links_and_folders_are_not_opened() {
    let written = written();
    for part in ["program", "network"] {
        let path = written.folder.join(part);
        let good = fs::read(&path).expect("written");
        fs::remove_file(&path).expect("ours");
        std::os::unix::fs::symlink("/etc/passwd", &path).expect("ours");
        assert_eq!(refused(&written.folder), [format!("{part}: it is not a plain file")]);
        fs::remove_file(&path).expect("ours");
        fs::create_dir(&path).expect("ours");
        assert_eq!(refused(&written.folder), [format!("{part}: it is not a plain file")]);
        fs::remove_dir(&path).expect("ours");
        fs::write(&path, good).expect("ours");
    }
    let blobs = written.folder.join("blobs");
    fs::rename(&blobs, written.folder.join("elsewhere")).expect("ours");
    std::os::unix::fs::symlink("elsewhere", &blobs).expect("ours");
    assert_eq!(refused(&written.folder), ["blobs: it is not a folder"]);
}
