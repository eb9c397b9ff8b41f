//! With made folders of cards and processes.

use std::ffi::OsStr;
use std::os::unix::fs::symlink;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::card::Cards;

const ARC: CardName = CardName { name: String::new(), vendor_id: 0x8086, device_id: 0x56a0 };

/// A made system with a card of Intel's.
struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap() };
        desk.card("0000:03:00.0", "0x8086", "0x56a0", &["card1", "renderD128"]);
        desk
    }

    fn drm(&self) -> PathBuf {
        self.folder.path().join("drm")
    }

    fn proc(&self) -> PathBuf {
        self.folder.path().join("proc")
    }

    fn card(&self, slot: &str, vendor: &str, device: &str, doors: &[&str]) {
        let card = self.folder.path().join("pci").join(slot);
        fs::create_dir_all(card.join("power")).unwrap();
        fs::write(card.join("vendor"), format!("{vendor}\n")).unwrap();
        fs::write(card.join("device"), format!("{device}\n")).unwrap();
        for door in doors {
            fs::create_dir_all(self.drm().join(door)).unwrap();
            symlink(&card, self.drm().join(door).join("device")).unwrap();
        }
    }

    /// A process with a card open.
    fn client(&self, pid: u32, file: u32, door: &str, info: &str) {
        let process = self.proc().join(pid.to_string());
        fs::create_dir_all(process.join("fd")).unwrap();
        fs::create_dir_all(process.join("fdinfo")).unwrap();
        let link = process.join("fd").join(file.to_string());
        if !link.is_symlink() {
            symlink(Path::new(DOORS).join(door), link).unwrap();
        }
        fs::write(process.join("fdinfo").join(file.to_string()), info).unwrap();
    }

    fn clients(&self) -> Clients {
        Clients::new(self.drm(), self.proc())
    }
}

/// What i915 writes.
fn nanos(client: u32, render: u64, video: u64) -> String {
    format!(
        "pos:\t0\nflags:\t02100002\ndrm-driver:\ti915\ndrm-pdev:\t0000:03:00.0\ndrm-client-id:\t{client}\n\
         drm-engine-render:\t{render} ns\ndrm-engine-video:\t{video} ns\ndrm-engine-capacity-video:\t2\n\
         drm-total-local0:\t1024 KiB\n"
    )
}

/// What xe writes.
fn cycles(client: u32, used: u64, all: u64) -> String {
    format!(
        "drm-driver:\txe\ndrm-client-id:\t{client}\ndrm-cycles-rcs:\t{used}\ndrm-total-cycles-rcs:\t{all}\n\
         drm-engine-capacity-rcs:\t1\n"
    )
}

const SECOND: u64 = 1_000_000_000;

#[test]
fn the_busiest_engine_is_told_less_our_own_use() {
    let desk = Desk::new();
    let mut clients = desk.clients();
    let own = BTreeSet::from([10, 11]);
    let start = Instant::now();
    desk.client(11, 5, "renderD128", &nanos(1, 0, 0));
    desk.client(20, 5, "renderD128", &nanos(2, 7 * SECOND, SECOND));
    // The same client through a second file, and another door to the same card.
    desk.client(20, 6, "renderD128", &nanos(2, 7 * SECOND, SECOND));
    desk.client(21, 3, "card1", &nanos(3, 0, 0));
    let first = clients.other_percent(Some(&ARC), &own, start);
    assert_eq!(first, CardReading::Unknown(Unread::NotOffered), "nothing to compare with yet");

    desk.client(11, 5, "renderD128", &nanos(1, 2 * SECOND, 0));
    desk.client(20, 5, "renderD128", &nanos(2, 7 * SECOND + SECOND / 2, 2 * SECOND));
    desk.client(20, 6, "renderD128", &nanos(2, 7 * SECOND + SECOND / 2, 2 * SECOND));
    desk.client(21, 3, "card1", &nanos(3, SECOND / 2, 0));
    desk.client(22, 3, "card1", &nanos(4, 100 * SECOND, 0));
    let two_later = start + Duration::from_secs(2);
    // Rendering: half a second each of two clients. Video: one second of two engines.
    assert_eq!(clients.other_percent(Some(&ARC), &own, two_later), CardReading::Known(50));
    // Nobody did anything but the one that came last.
    desk.client(22, 3, "card1", &nanos(4, 103 * SECOND, 0));
    let four_later = start + Duration::from_secs(4);
    assert_eq!(clients.other_percent(Some(&ARC), &own, four_later), CardReading::Known(100), "at most");
    let six_later = start + Duration::from_secs(6);
    assert_eq!(clients.other_percent(Some(&ARC), &own, six_later), CardReading::Known(0));
}

#[test]
fn a_driver_that_counts_cycles_is_understood_too() {
    let desk = Desk::new();
    let mut clients = desk.clients();
    let (own, start) = (BTreeSet::from([1]), Instant::now());
    desk.client(20, 5, "renderD128", &cycles(2, 500, 10_000));
    clients.other_percent(Some(&ARC), &own, start);
    desk.client(20, 5, "renderD128", &cycles(2, 800, 11_000));
    let later = start + Duration::from_secs(1);
    assert_eq!(clients.other_percent(Some(&ARC), &own, later), CardReading::Known(30));
    // The clock stands while the card rests, and counts of a restarted driver begin anew.
    let still = later + Duration::from_secs(1);
    assert_eq!(clients.other_percent(Some(&ARC), &own, still), CardReading::Known(0));
    desk.client(20, 5, "renderD128", &cycles(2, 1, 2));
    let anew = still + Duration::from_secs(1);
    assert_eq!(clients.other_percent(Some(&ARC), &own, anew), CardReading::Known(0));
}

#[test]
fn our_own_worker_shows_that_the_driver_counts_and_is_not_counted() {
    let desk = Desk::new();
    let mut clients = desk.clients();
    let (own, start) = (BTreeSet::from([10, 11]), Instant::now());
    desk.client(11, 5, "renderD128", &nanos(1, 0, 0));
    clients.other_percent(Some(&ARC), &own, start);
    desk.client(11, 5, "renderD128", &nanos(1, SECOND, 0));
    let later = start + Duration::from_secs(1);
    assert_eq!(clients.other_percent(Some(&ARC), &own, later), CardReading::Known(0));
}

#[test]
fn another_card_is_not_counted() {
    let desk = Desk::new();
    desk.card("0000:00:02.0", "0x8086", "0x46a6", &["card0", "renderD129"]);
    let mut clients = desk.clients();
    let (own, start) = (BTreeSet::from([1]), Instant::now());
    desk.client(20, 5, "renderD128", &nanos(2, 0, 0));
    desk.client(20, 6, "renderD129", &nanos(2, 0, 0));
    clients.other_percent(Some(&ARC), &own, start);
    desk.client(20, 6, "renderD129", &nanos(2, SECOND, 0));
    let later = start + Duration::from_secs(1);
    assert_eq!(clients.other_percent(Some(&ARC), &own, later), CardReading::Known(0));
}

#[test]
fn a_sleeping_card_is_used_by_nobody_and_not_asked() {
    let desk = Desk::new();
    let status = desk.folder.path().join("pci/0000:03:00.0/power/runtime_status");
    fs::write(status, "suspended\n").unwrap();
    desk.client(20, 5, "renderD128", &nanos(2, 0, 0));
    let percent = desk.clients().other_percent(Some(&ARC), &BTreeSet::new(), Instant::now());
    assert_eq!(percent, CardReading::Known(0));
}

#[test]
fn a_driver_that_counts_nothing_is_unknown() {
    let desk = Desk::new();
    let mut clients = desk.clients();
    let (own, start) = (BTreeSet::from([1]), Instant::now());
    for step in 0..3 {
        desk.client(20, 5, "renderD128", "drm-driver:\tnouveau\ndrm-client-id:\t4\n");
        let percent = clients.other_percent(Some(&ARC), &own, start + Duration::from_secs(step));
        assert_eq!(percent, CardReading::Unknown(Unread::NotOffered));
    }
}

#[test]
fn cards_without_sensors_of_their_own_tell_their_use_by_their_clients() {
    let desk = Desk::new();
    let nvml = Some(OsStr::new("/nonexistent/nvml"));
    let mut cards = Cards::open_below(nvml, &desk.drm(), &desk.proc());
    let own = BTreeSet::from([1]);
    desk.client(20, 5, "renderD128", &cycles(2, 0, 1000));
    let first = cards.read(Some(&ARC), &own);
    assert_eq!(first.other_percent, CardReading::Unknown(Unread::NotOffered));
    desk.client(20, 5, "renderD128", &cycles(2, 250, 2000));
    let second = cards.read(Some(&ARC), &own);
    assert_eq!(second.other_percent, CardReading::Known(25));
    assert_eq!(second.state, first.state, "heat and power are as unknown as before");
}

proptest! {
    #[test]
    fn any_text_is_read_without_harm(text in "(drm-(engine-|cycles-|total-cycles-|engine-capacity-)?[a-z]{0,3}:?[\t ]?\
                                              [0-9]{0,22}( ns)?\n|drm-client-id:\t[0-9]{1,22}\n|\\PC*\n){0,80}") {
        if let Some((client, engines)) = parsed(&text) {
            prop_assert!(!engines.is_empty() && engines.len() <= ENGINES);
            let counts = Counts::from([((PathBuf::new(), client), engines)]);
            prop_assert!(busiest(&Counts::new(), &counts, 1.0) == 0);
            prop_assert!(busiest(&counts, &counts, 1.0) == 0);
        }
    }
}
