//! The signal search end to end on the native kernel: recordings with a known answer, and the package around them.

use std::path::PathBuf;

use jobs::local;
use jobs::package::Package;
use jobs::recording::{Recording, RecordingFile};
use jobs::search::{self, Findings, Hit, Notes, Options};
use jobs::synthetic::{Synthetic, Tone};
use protocol::cbor;
use protocol::id::{Hash, NetworkId, PublisherId};
use protocol::manifest::{Manifest, Program, SLICES_PER_UNIT};
use protocol::sign::{Key, Message as _};

fn search_natively(package: &Package) -> Vec<Hit> {
    local::search(
        package,
        |program, plan, inputs| {
            search::reference_for(program, &inputs[0], &plan.params).ok_or(std::io::Error::other("not ours"))
        },
        |_| {},
    )
    .expect("every slice of a package has a native result")
    .hits()
}

/// Spreads of a noise of Gaussian sums per standard deviation: what is left between the 5th and the 95th percentile
/// (1.645 deviations) has a deviation of sqrt(1 - 2 * 1.645 * 0.1031 / 0.9).
const SPREADS_PER_DEVIATION: f64 = 1.0 / 0.789;

fn assert_recovered(hits: &[Hit], tones: &[Tone]) {
    assert_eq!(hits.len(), tones.len(), "every tone and nothing else: {hits:?} {tones:?}");
    for tone in tones {
        let near = |hit: &&Hit| hit.channel.abs_diff(tone.channel) <= 1;
        let hit = hits.iter().find(near).unwrap_or_else(|| panic!("no hit at {tone:?}: {hits:?}"));
        // One channel, as the recordings here have them.
        assert!((hit.frequency_mhz - tone.frequency_mhz).abs() < 2.8e-6, "{hit:?} {tone:?}");
        // A tone is a straight line in whole channels, a path of the tree leaves it in some spectra: the neighbouring
        // trial may hold as much of it, and up to a third of its power is in neither.
        assert!((hit.drift_hz_s - tone.drift_hz_s).abs() < 1.6 * 0.0102, "{hit:?} {tone:?}");
        let full = tone.snr * SPREADS_PER_DEVIATION;
        assert!((0.6 * full - 5.0..1.1 * full + 5.0).contains(&hit.snr), "{hit:?} {tone:?}");
    }
}

#[test]
fn the_default_recording_gives_its_five_tones_and_nothing_else() {
    let (recording, tones) = Synthetic::default().generate();
    let package = search::package(&recording, &Options::default()).unwrap();
    assert_eq!(package.units.len(), 2, "65,536 channels are two units of 64 slices of 512 channels");
    assert_eq!(tones.len(), 5);
    assert_recovered(&search_natively(&package), &tones);
}

#[test]
fn tones_are_recovered_whatever_the_seed_and_the_sign_of_the_band() {
    for seed in 0..12 {
        let foff_hz = if seed % 2 == 0 { 2.793_967_7 } else { -2.793_967_7 };
        let synthetic = Synthetic {
            channels: 16_384,
            tones: 3,
            seed,
            foff_hz,
            spectra: 12 + seed as u32,
            ..Synthetic::default()
        };
        let (recording, tones) = synthetic.generate();
        let package = search::package(&recording, &Options::default()).unwrap();
        assert_recovered(&search_natively(&package), &tones);
    }
}

#[test]
fn noise_alone_gives_no_hit() {
    let recording = Synthetic { tones: 0, ..Synthetic::default() }.generate().0;
    let package = search::package(&recording, &Options::default()).unwrap();
    assert_eq!(search_natively(&package), []);
}

/// The folder of the Voyager recordings, or a loud line that the test was left out.
#[expect(clippy::print_stderr, reason = "a test that is left out says so")]
fn voyager() -> Option<PathBuf> {
    let folder = std::env::var_os("HEARTH_VOYAGER1").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/voyager1"),
        PathBuf::from,
    );
    if folder.join("voyager1-wide.fil").is_file() {
        return Some(folder);
    }
    eprintln!("LEFT OUT: no Voyager 1 recording in {}; set HEARTH_VOYAGER1 to its folder", folder.display());
    None
}

#[test]
fn voyager_1_is_heard_at_its_three_published_lines_and_nowhere_else() {
    let Some(folder) = voyager() else { return };
    let recording = Recording::open(&folder.join("voyager1-wide.fil")).unwrap();
    let package = search::package(&recording, &Options::default()).unwrap();
    let mut hits = search_natively(&package);
    hits.sort_by(|a, b| b.frequency_mhz.total_cmp(&a.frequency_mhz));

    let channel_mhz = recording.head().foff_mhz.abs();
    let drift_step = channel_mhz * 1e6 / (15.0 * recording.head().tsamp_s);
    // The published hits, from the README beside the recording.
    let published = [(8419.319368, -0.392226), (8419.297028, -0.373093), (8419.274374, -0.392226)];
    // The same lines as turbo_seti finds them in this file.
    let turbo_seti = [(8419.319368, -0.397966), (8419.297028, -0.377557), (8419.274374, -0.397966)];
    for lines in [published, turbo_seti] {
        assert_eq!(hits.len(), lines.len(), "three lines and nothing else: {hits:?}");
        for (hit, (frequency_mhz, drift_hz_s)) in hits.iter().zip(lines) {
            // The tables give 1 Hz.
            assert!(
                (hit.frequency_mhz - frequency_mhz).abs() <= channel_mhz + 0.5e-6,
                "{hit:?} {frequency_mhz}"
            );
            assert!((hit.drift_hz_s - drift_hz_s).abs() <= drift_step, "{hit:?} {drift_hz_s}");
        }
    }
    // The definition in numpy on this file: (sum - median) over the deviation between the 5th and 95th percentile.
    assert!((hits[0].snr / 154.606 - 1.0).abs() < 0.01, "{:?}", hits[0]);
}

#[test]
fn voyager_1_is_as_strong_as_turbo_seti_says_where_the_noise_is_measured_in_the_same_parts_of_the_band() {
    let Some(folder) = voyager() else { return };
    let file = RecordingFile::open(&folder.join("voyager1-wide.fil")).unwrap();
    // What turbo_seti 2.3.2 prints for this file, which it takes for 64 coarse channels of 512.
    let options = Options { coarse: Some(512), ..Options::default() };
    let mut hits = search::search(file, &options, |_, _, _| {}).unwrap();
    hits.sort_by(|a, b| b.frequency_mhz.total_cmp(&a.frequency_mhz));
    assert_eq!(hits.len(), 3, "{hits:?}");
    let turbo_seti = [
        (8419.319368, -0.397966, 17.905_239),
        (8419.297028, -0.377557, 91.485_184),
        (8419.274374, -0.397966, 18.025_16),
    ];
    for (hit, (frequency_mhz, drift_hz_s, snr)) in hits.iter().zip(turbo_seti) {
        assert!((hit.frequency_mhz - frequency_mhz).abs() < 1e-6, "the same channel: {hit:?}");
        assert!((hit.drift_hz_s - drift_hz_s).abs() < 1e-6, "the same drift step: {hit:?}");
        assert!((hit.snr / snr - 1.0).abs() < 0.01, "{hit:?}, turbo_seti has S/N {snr}");
    }
}

#[test]
fn the_strongest_line_of_a_window_of_118_channels_is_the_published_one() {
    let Some(folder) = voyager() else { return };
    for (file, frequency_mhz) in [("voyager1-1.fil", 8419.319368), ("voyager1-2.fil", 8419.297028)] {
        let recording = Recording::open(&folder.join(file)).unwrap();
        // A third of so narrow a window is crossed by the line itself, which makes its noise look large.
        let options = Options { snr: 3.0, ..Options::default() };
        let package = search::package(&recording, &options).unwrap();
        let hits = search_natively(&package);
        let strongest = hits.first().expect("a line");
        assert!((strongest.frequency_mhz - frequency_mhz).abs() < 4e-6, "{file}: {hits:?}");
    }
}

fn small() -> (Recording, Vec<Tone>) {
    Synthetic { channels: 8192, tones: 2, ..Synthetic::default() }.generate()
}

#[test]
fn the_same_recording_options_and_key_give_the_same_job() {
    let network = NetworkId([3; 32]);
    let key = Key::from_seed(&[5; 32].into());
    let options = Options::default();
    let one = search::package(&small().0, &options).unwrap().sign(&key, &network);
    let again = search::package(&small().0, &options).unwrap().sign(&key, &network);
    assert_eq!(one.job, again.job);
    let other = Options { order_seed: [1; 32], ..options };
    assert_ne!(
        one.job,
        search::package(&small().0, &other).unwrap().sign(&key, &network).job,
        "another order"
    );

    assert_eq!(one.manifest.message().program, Hash::of(&one.program.envelope().to_bytes()));
    assert_eq!(one.manifest.message().publisher, key.publisher());
    one.manifest.message().check().expect("a package passes the checks of the format");
    let verified = one.program.envelope().clone().verify::<Program>(&network, &key.public()).unwrap();
    assert_eq!(verified.message(), one.program.message());
}

#[test]
fn program_and_manifest_survive_their_canonical_bytes() {
    let package = search::package(&small().0, &Options::default()).unwrap();
    let manifest = package.manifest(PublisherId([1; 32]), Hash([2; 32]));
    let bytes = cbor::encode(&manifest);
    assert_eq!(cbor::decode::<Manifest>(&bytes, Manifest::MAX_BYTES).unwrap(), manifest);
    let bytes = cbor::encode(&package.program);
    assert_eq!(cbor::decode::<Program>(&bytes, Program::MAX_BYTES).unwrap(), package.program);
}

#[test]
fn every_input_and_source_is_a_blob_of_its_own_and_none_is_missing() {
    let package = search::package(&small().0, &Options::default()).unwrap();
    assert!(package.blobs.iter().all(|(hash, bytes)| *hash == Hash::of(bytes)));
    for (module, source) in package.program.modules.iter().zip(&package.sources) {
        assert_eq!((module.blob, module.bytes as usize), (Hash::of(source.as_bytes()), source.len()));
        assert!(package.blobs.iter().any(|(hash, _)| *hash == module.blob));
    }
    let mut first_channels: Vec<u32> = Vec::new();
    for plan in package.units.iter().flat_map(|unit| &unit.slices) {
        assert_eq!(
            plan.inputs[0].offset_bytes, 0,
            "a slice takes whole blobs: a range would tell its neighbours"
        );
        assert_eq!(package.inputs(plan).unwrap()[0].len(), plan.inputs[0].bytes as usize);
        first_channels.push(plan.params[1]);
    }
    assert!(!first_channels.is_sorted(), "the place of a slice says nothing about its channels");
    first_channels.sort_unstable();
    let tile = notes(&package).shape.tile;
    assert_eq!(first_channels, (0..SLICES_PER_UNIT as u32).map(|i| i * tile).collect::<Vec<_>>());
    assert!(package.vectors.len() >= 8);
}

#[test]
fn hits_appear_as_their_slices_arrive_and_wrong_results_are_refused() {
    let (recording, tones) = small();
    let package = search::package(&recording, &Options::default()).unwrap();
    let manifest = package.manifest(PublisherId([0; 32]), Hash([0; 32]));
    let mut findings = Findings::new(&manifest).unwrap();
    let mut seen = 0;
    for (slice, plan) in manifest.units[0].slices.iter().enumerate() {
        let output = search::reference(&package.inputs(plan).unwrap()[0], &plan.params).unwrap();
        findings.add(0, slice as u32, &output[1..]).expect_err("a result of another size");
        let mut wrong = output.clone();
        wrong[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        findings.add(0, slice as u32, &wrong).expect_err("a trial that does not exist");
        assert_eq!(findings.progress(), (slice, SLICES_PER_UNIT));
        findings.add(0, slice as u32, &output).unwrap();
        let tile = plan.params[1]..plan.params[1] + notes(&package).shape.tile;
        if tones.iter().any(|t| tile.contains(&t.channel)) {
            seen += 1;
            assert!(
                findings.hits().iter().any(|h| tile.contains(&h.channel)),
                "a hit as soon as its slice is known"
            );
        }
    }
    assert_eq!(seen, tones.len());
    findings.add(1, 0, &[]).expect_err("there is one unit");
    assert_recovered(&findings.hits(), &tones);
}

#[test]
fn a_device_that_computes_wrongly_is_found_out_by_the_known_answers() {
    let package = search::package(&small().0, &Options::default()).unwrap();
    let result = local::search(
        &package,
        |_, plan, inputs| {
            let mut output = search::reference(&inputs[0], &plan.params).map_err(std::io::Error::other)?;
            output[12] ^= 1;
            Ok::<_, std::io::Error>(output)
        },
        |_| {},
    );
    assert!(matches!(result, Err(local::LocalError::KnownAnswer { .. })), "{result:?}");
}

#[test]
fn the_picture_of_a_slice_shows_its_tone() {
    let (recording, tones) = small();
    let package = search::package(&recording, &Options::default()).unwrap();
    let tone = tones.iter().max_by(|a, b| a.snr.total_cmp(&b.snr)).unwrap();
    let tile = notes(&package).shape.tile;
    let plan = package.units[0].slices.iter().find(|s| s.params[1] == tone.channel / tile * tile).unwrap();
    let input = &package.inputs(plan).unwrap()[0];

    let whole = search::picture(input, &plan.params, None).unwrap();
    assert_eq!((whole.columns, whole.rows, whole.marks.len()), (tile.min(256), 16, 0));
    assert_eq!(whole.levels.len(), (whole.columns * whole.rows) as usize);

    let output = search::reference(input, &plan.params).unwrap();
    let picture = search::picture(input, &plan.params, Some(&output)).unwrap();
    let mark = &picture.marks[0];
    assert!((mark.frequency_hz / 1e6 - tone.frequency_mhz).abs() < 1e-6, "{mark:?} {tone:?}");
    assert!((mark.drift_hz_s - tone.drift_hz_s).abs() < 1e-6, "{mark:?} {tone:?}");
    let in_view = |x: f64| (0.0..f64::from(picture.columns)).contains(&x);
    let row = if in_view(mark.first_column) {
        (0, mark.first_column)
    } else {
        (picture.rows - 1, mark.last_column)
    };
    let brightness = picture.levels[(row.0 * picture.columns + row.1 as u32) as usize];
    let mean = picture.levels.iter().map(|&l| u32::from(l)).sum::<u32>() / picture.levels.len() as u32;
    assert!(u32::from(brightness) > 2 * mean, "the tone is brighter than noise: {brightness} over {mean}");
    let edges = picture.left_hz.max(picture.right_hz)..picture.left_hz.min(picture.right_hz);
    assert!(edges.start > edges.end, "a picture spans some frequencies");
}

#[test]
fn the_shadow_of_a_strong_tone_in_a_neighbouring_slice_is_not_marked() {
    let synthetic =
        Synthetic { channels: 8192, tones: 1, min_snr: 400.0, max_snr: 400.0, ..Synthetic::default() };
    let (recording, tones) = synthetic.generate();
    let package = search::package(&recording, &Options::default()).unwrap();
    let tile = notes(&package).shape.tile;
    let mut shadows = 0;
    for plan in &package.units[0].slices {
        let input = &package.inputs(plan).unwrap()[0];
        let output = search::reference(input, &plan.params).unwrap();
        let marks = search::picture(input, &plan.params, Some(&output)).unwrap().marks;
        if (plan.params[1]..plan.params[1] + tile).contains(&tones[0].channel) {
            assert_eq!(marks.len(), 1, "the tone itself: {marks:?}");
            assert!((marks[0].frequency_hz / 1e6 - tones[0].frequency_mhz).abs() < 1e-6, "{marks:?}");
        } else {
            assert!(marks.is_empty(), "{marks:?}");
            let sums = output.chunks_exact(16).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            shadows += sums.filter(|&sum| sum >= notes(&package).threshold_sum).count();
        }
    }
    assert!(shadows > 0, "the tone is strong enough to cast shadows, else this test shows nothing");
    assert_recovered(&search_natively(&package), &tones);
}

#[test]
fn recordings_that_cannot_be_searched_say_why() {
    let (recording, _) = small();
    let refuse = |recording: &Recording, options: Options| {
        search::package(recording, &options).expect_err("cannot be packaged").to_string()
    };
    let default = Options::default();
    let one = Recording::new(recording.head().clone(), recording.samples()[..8192].to_vec()).unwrap();
    assert!(refuse(&one, default.clone()).contains("has 1 spectra"));
    let flat = Recording::new(recording.head().clone(), vec![1.0; 8192 * 4]).unwrap();
    assert!(refuse(&flat, default.clone()).contains("flat"));
    for max_drift_hz_s in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e9] {
        assert!(refuse(&recording, Options { max_drift_hz_s, ..default.clone() }).contains("drift"));
    }
    for snr in [0.0, -3.0, f64::NAN, f64::INFINITY] {
        assert!(refuse(&recording, Options { snr, ..default.clone() }).contains("threshold"));
    }
    for tile in [0, 1, 63, 100, 1 << 30] {
        assert!(refuse(&recording, Options { tile: Some(tile), ..default.clone() }).contains("slices of"));
    }
    assert!(refuse(&recording, Options { title: String::new(), ..default }).contains("refused"));
}

fn notes(package: &Package) -> Notes {
    Notes::read(&package.notes).expect("the package's own notes")
}
