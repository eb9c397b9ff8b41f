//! Every way in which a card can answer or not: NVIDIA's through the real wrapper and a stand-in for the library
//! (tests/fake-nvml), AMD's through a made folder of files.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::*;

const RTX: &str = "card NVIDIA GeForce RTX 3060\npci 0x250310de\ncelsius 61\nmilliwatts 95400\n\
                   memory 12884901888\nused 1073741824\nthrottle 0\n";
const OTHER: &str = "card NVIDIA GeForce GTX 1060\npci 0x1c0310de\ncelsius 44\nmilliwatts 9000\nthrottle 1\n";

/// The stand-in library in a folder of its own, with its script beside it.
struct Fake {
    folder: TempDir,
}

/// The stand-in as it was built; none when only this package was built, or where its loader is another one than Linux's.
fn built() -> Option<PathBuf> {
    let name = format!("{}fake_nvml{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let beside = std::env::current_exe().expect("a test knows its own path");
    // target/debug/deps/contributor-... -> target/debug
    let library = beside.ancestors().nth(2)?.join(name);
    if cfg!(target_os = "linux") && library.exists() {
        return Some(library);
    }
    crate::leave_out("the stand-in for NVML: cargo build -p fake-nvml first");
    None
}

impl Fake {
    fn new(script: &str) -> Option<Self> {
        let fake = Self { folder: tempfile::tempdir().unwrap() };
        fs::copy(built()?, fake.library()).unwrap();
        fake.write(script);
        Some(fake)
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("libnvidia-ml.so.1")
    }

    fn write(&self, script: &str) {
        fs::write(self.folder.path().join("cards.txt"), script).unwrap();
    }

    /// Takes a name out of the library, as in one that is older than the call: the loader compares names, so another
    /// first letter hides it.
    fn hide(&self, symbol: &str) {
        let mut bytes = fs::read(self.library()).unwrap();
        let name = format!("\0{symbol}\0").into_bytes();
        let found: Vec<usize> = bytes
            .windows(name.len())
            .enumerate()
            .filter(|(_, window)| *window == name)
            .map(|(at, _)| at)
            .collect();
        assert!(!found.is_empty(), "the stand-in exports {symbol}");
        for at in found {
            bytes[at + 1] = b'x';
        }
        fs::write(self.library(), bytes).unwrap();
    }

    fn cards(&self) -> Cards {
        Cards::open_at(Some(self.library().as_os_str()), Path::new("/nonexistent"))
    }

    fn read(&self) -> Sensed {
        self.cards().read(Some(&rtx()), &BTreeSet::from([1]))
    }
}

fn rtx() -> CardName {
    CardName { name: "NVIDIA GeForce RTX 3060".to_owned(), vendor_id: NVIDIA, device_id: 0x2503 }
}

fn known<T: Clone + std::fmt::Debug>(reading: &CardReading<T>) -> T {
    match reading {
        CardReading::Known(value) => value.clone(),
        CardReading::Unknown(why) => panic!("unknown: {why:?}"),
    }
}

#[test]
fn a_card_tells_heat_power_memory_and_use_by_others() {
    let Some(fake) = Fake::new(&format!("{RTX}use 1 80 5\nuse 77 20 4\nuse 77 30 5\nuse 78 9 5\n")) else {
        return;
    };
    let mut cards = fake.cards();
    let sensed = cards.read(Some(&rtx()), &BTreeSet::from([1]));
    assert_eq!(known(&sensed.state.celsius), 61);
    assert_eq!(known(&sensed.state.watts), 96, "a started watt counts");
    let memory = CardMemory { used_bytes: 1 << 30, total_bytes: 12 << 30 };
    assert_eq!(known(&sensed.state.memory), memory);
    assert_eq!(known(&sensed.state.throttles), [], "nothing holds the card back");
    assert_eq!(known(&sensed.other_percent), 39, "the newest sample of each, without ours");
    let later = cards.read(Some(&rtx()), &BTreeSet::from([1]));
    assert_eq!(known(&later.other_percent), 0, "samples that were seen are not counted again");
}

#[test]
fn without_the_library_everything_is_unknown_for_want_of_a_driver() {
    let mut cards =
        Cards::open_at(Some(OsStr::new("/nonexistent/libnvidia-ml.so.1")), Path::new("/nonexistent"));
    assert_eq!(cards.read(Some(&rtx()), &BTreeSet::new()), Sensed::unknown(Unread::NoDriver));
    assert_eq!(cards.read(None, &BTreeSet::new()), Sensed::unknown(Unread::NoDriver));
}

#[test]
fn a_library_whose_start_fails_says_why() {
    for (code, why) in [
        (9, Unread::NoDriver),
        (4, Unread::NotPermitted),
        (18, Unread::DriverMismatch),
        (999, Unread::Failed),
    ] {
        let Some(fake) = Fake::new(&format!("fail init {code}\n{RTX}")) else { return };
        assert_eq!(fake.read(), Sensed::unknown(why), "nvmlInit_v2 answered {code}");
    }
}

#[test]
fn a_symbol_that_an_old_library_lacks_leaves_only_its_own_reading_out() {
    let Some(fake) = Fake::new(RTX) else { return };
    fake.hide("nvmlDeviceGetPowerUsage");
    fake.hide("nvmlDeviceGetMemoryInfo_v2");
    let state = fake.read().state;
    assert_eq!(state.watts, CardReading::Unknown(Unread::NotOffered));
    assert_eq!(state.memory, CardReading::Unknown(Unread::NotOffered));
    assert_eq!(known(&state.celsius), 61, "the rest is read as ever");
}

#[test]
fn a_library_without_its_start_offers_nothing() {
    let Some(fake) = Fake::new(RTX) else { return };
    fake.hide("nvmlInit_v2");
    assert_eq!(fake.read(), Sensed::unknown(Unread::NotOffered));
}

#[test]
fn a_reading_that_is_not_permitted_says_so() {
    let Some(fake) = Fake::new(&format!("{RTX}fail use 4\nfail milliwatts 4\n")) else { return };
    let sensed = fake.read();
    assert_eq!(sensed.other_percent, CardReading::Unknown(Unread::NotPermitted));
    assert_eq!(sensed.state.watts, CardReading::Unknown(Unread::NotPermitted));
    assert_eq!(known(&sensed.state.celsius), 61);
}

#[test]
fn a_card_without_a_sensor_does_not_offer_it() {
    let Some(fake) = Fake::new("card NVIDIA GeForce RTX 3060\npci 0x250310de\ncelsius 50\n") else { return };
    let state = fake.read().state;
    assert_eq!(state.watts, CardReading::Unknown(Unread::NotOffered));
    assert_eq!(state.throttles, CardReading::Unknown(Unread::NotOffered));
    assert_eq!(known(&state.celsius), 50);
}

#[test]
fn a_card_that_fell_off_its_bus_is_lost() {
    let Some(fake) = Fake::new(&format!("{RTX}fail all 15\n")) else { return };
    assert_eq!(fake.read(), Sensed::unknown(Unread::Lost), "not even its handle is given");
    fake.write(&format!("{RTX}fail celsius 15\nfail milliwatts 16\n"));
    let state = fake.read().state;
    assert_eq!(state.celsius, CardReading::Unknown(Unread::Lost));
    assert_eq!(
        state.watts,
        CardReading::Unknown(Unread::Lost),
        "a card that needs a reset does not answer either"
    );
}

#[test]
fn a_card_that_is_unplugged_between_two_readings_is_lost_and_comes_back() {
    let Some(fake) = Fake::new(&format!("{RTX}{OTHER}")) else { return };
    let mut cards = fake.cards();
    let own = BTreeSet::new();
    assert_eq!(known(&cards.read(Some(&rtx()), &own).state.celsius), 61);
    fake.write(OTHER);
    assert_eq!(
        cards.read(Some(&rtx()), &own),
        Sensed::unknown(Unread::Lost),
        "the other card's figures are not taken for it"
    );
    fake.write(&format!("{OTHER}{RTX}"));
    assert_eq!(known(&cards.read(Some(&rtx()), &own).state.celsius), 61, "it is found at its new place");
}

#[test]
fn of_two_cards_the_one_that_computes_is_read() {
    let Some(fake) = Fake::new(&format!("{OTHER}{RTX}")) else { return };
    assert_eq!(known(&fake.read().state.celsius), 61, "by its PCI device");
    fake.write(&format!("{OTHER}{RTX}fail pci 4\n"));
    assert_eq!(known(&fake.read().state.celsius), 61, "by its name, where the device is not told");
    fake.write(&format!("{RTX}fail pci 4\nfail name 4\nfail celsius 4\n"));
    let celsius = fake.read().state.celsius;
    assert_eq!(
        celsius,
        CardReading::Unknown(Unread::NotPermitted),
        "an only card that hides is not called lost"
    );
    fake.write(&format!("{OTHER}{RTX}"));
    let unnamed = fake.cards().read(None, &BTreeSet::new());
    assert_eq!(known(&unnamed.state.celsius), 61, "the warmer one keeps the limit while neither is named");
    assert_eq!(unnamed.state.watts, CardReading::Unknown(Unread::Ambiguous));
}

#[test]
fn two_cards_of_one_kind_are_not_told_apart_by_guessing() {
    let Some(fake) = Fake::new(&format!("{RTX}{}", RTX.replace("celsius 61", "celsius 83"))) else { return };
    let sensed = fake.read();
    assert_eq!(known(&sensed.state.celsius), 83);
    assert_eq!(sensed.state.memory, CardReading::Unknown(Unread::Ambiguous));
}

#[test]
fn a_hot_card_and_a_throttled_card_say_what_holds_them_back() {
    // Bits of nvml.h: idle 1, applications clocks 2, power cap 4, slowdown 8, heat 0x20 and 0x40, power brake 0x80.
    for (bits, expected) in [
        (0x1_u64, vec![]),
        (0x4, vec![Throttle::PowerLimit]),
        (0x20, vec![Throttle::Heat]),
        (0x48, vec![Throttle::Heat]),
        (0x88, vec![Throttle::Supply]),
        (0x8, vec![Throttle::Hardware]),
        (0x2, vec![Throttle::Setting]),
        (0x24, vec![Throttle::PowerLimit, Throttle::Heat]),
        (0x8000_0000_0004, vec![Throttle::PowerLimit]),
    ] {
        let script =
            RTX.replace("celsius 61", "celsius 93").replace("throttle 0", &format!("throttle {bits}"));
        let Some(fake) = Fake::new(&script) else { return };
        let state = fake.read().state;
        assert_eq!(known(&state.celsius), 93);
        assert_eq!(known(&state.throttles), expected, "bits {bits:#x}");
    }
}

#[test]
fn a_card_of_another_vendor_has_no_sensors_that_are_known_here() {
    let Some(fake) = Fake::new(RTX) else { return };
    let arc = CardName { name: "Intel(R) Arc(tm) A770".to_owned(), vendor_id: 0x8086, device_id: 0x56a0 };
    assert_eq!(fake.cards().read(Some(&arc), &BTreeSet::new()), Sensed::unknown(Unread::NotOffered));
}

/// A folder like `/sys/class/drm` with one card of AMD's.
struct Sysfs {
    root: TempDir,
}

impl Sysfs {
    fn new() -> Self {
        let sysfs = Self { root: tempfile::tempdir().unwrap() };
        for (file, text) in [
            ("card1/device/vendor", "0x1002\n"),
            ("card1/device/device", "0x73df\n"),
            ("card1/device/power/runtime_status", "active\n"),
            ("card1/device/gpu_busy_percent", "37\n"),
            ("card1/device/mem_info_vram_total", "12868124672\n"),
            ("card1/device/mem_info_vram_used", "2147483648\n"),
            ("card1/device/hwmon/hwmon5/temp1_input", "58000\n"),
            ("card1/device/hwmon/hwmon5/power1_average", "88500000\n"),
            ("card1-DP-1/device/vendor", "0x1002\n"),
            ("renderD129/device/vendor", "0x1002\n"),
            ("card0/device/vendor", "0x8086\n"),
        ] {
            sysfs.write(file, text);
        }
        sysfs
    }

    fn path(&self, file: &str) -> PathBuf {
        self.root.path().join(file)
    }

    fn write(&self, file: &str, text: &str) {
        fs::create_dir_all(self.path(file).parent().unwrap()).unwrap();
        fs::write(self.path(file), text).unwrap();
    }

    fn read(&self, own: &BTreeSet<u32>) -> Sensed {
        let radeon = CardName { name: "AMD Radeon RX 6700 XT".to_owned(), vendor_id: AMD, device_id: 0x73df };
        let mut cards = Cards::open_at(Some(OsStr::new("/nonexistent/nvml")), self.root.path());
        cards.read(Some(&radeon), own)
    }
}

#[test]
fn a_card_of_amd_is_read_from_the_files_of_its_driver() {
    let sysfs = Sysfs::new();
    let sensed = sysfs.read(&BTreeSet::from([1]));
    assert_eq!(known(&sensed.state.celsius), 58);
    assert_eq!(known(&sensed.state.watts), 89);
    let memory = CardMemory { used_bytes: 2 << 30, total_bytes: 12_868_124_672 };
    assert_eq!(known(&sensed.state.memory), memory);
    assert_eq!(known(&sensed.other_percent), 37, "nothing of ours runs beside the agent");
    assert_eq!(sensed.state.throttles, CardReading::Unknown(Unread::NotOffered));
}

#[test]
fn the_use_of_an_amd_card_is_not_blamed_on_others_while_ours_may_be_part_of_it() {
    let sensed = Sysfs::new().read(&BTreeSet::from([1, 2]));
    assert_eq!(sensed.other_percent, CardReading::Unknown(Unread::NotOffered));
}

#[test]
fn a_newer_amd_card_tells_its_power_in_another_file() {
    let sysfs = Sysfs::new();
    fs::rename(
        sysfs.path("card1/device/hwmon/hwmon5/power1_average"),
        sysfs.path("card1/device/hwmon/hwmon5/power1_input"),
    )
    .unwrap();
    assert_eq!(known(&sysfs.read(&BTreeSet::new()).state.watts), 89);
}

#[test]
fn files_that_are_missing_or_senseless_leave_their_reading_out() {
    let sysfs = Sysfs::new();
    fs::remove_dir_all(sysfs.path("card1/device/hwmon")).unwrap();
    sysfs.write("card1/device/gpu_busy_percent", "busy\n");
    let sensed = sysfs.read(&BTreeSet::new());
    assert_eq!(sensed.state.celsius, CardReading::Unknown(Unread::NotOffered));
    assert_eq!(sensed.state.watts, CardReading::Unknown(Unread::NotOffered));
    assert_eq!(sensed.other_percent, CardReading::Unknown(Unread::Failed));
}

#[test]
fn a_sleeping_card_is_not_woken() {
    let sysfs = Sysfs::new();
    sysfs.write("card1/device/power/runtime_status", "suspended\n");
    let sensed = sysfs.read(&BTreeSet::new());
    assert_eq!(sensed.state, Sensed::unknown(Unread::Asleep).state);
    assert_eq!(known(&sensed.other_percent), 0);
}

#[test]
fn without_the_driver_of_amd_everything_is_unknown_for_want_of_it() {
    let sysfs = Sysfs::new();
    fs::remove_dir_all(sysfs.path("card1")).unwrap();
    let why = if cfg!(target_os = "linux") { Unread::NoDriver } else { Unread::NotOffered };
    assert_eq!(sysfs.read(&BTreeSet::new()), Sensed::unknown(why));
}
