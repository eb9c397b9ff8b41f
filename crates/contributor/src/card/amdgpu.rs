//! AMD's cards on Linux, through the files of the kernel's driver.
//!
//! The files and their units are those of the kernel's documentation of amdgpu ("GPU Power/Thermal Controls and
//! Monitoring"). Elsewhere the folder does not exist, and there is no such card.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::{AMD, CardMemory, CardReading, CardState, Seen, Sensed, Unread, reading};

/// AMD's cards below a folder like `/sys/class/drm`.
#[derive(Debug)]
pub(super) struct Cards {
    drm: PathBuf,
}

impl Cards {
    pub(super) fn new(drm: PathBuf) -> Self {
        Self { drm }
    }

    /// Reads all cards.
    pub(super) fn read(&self, own: &BTreeSet<u32>) -> Vec<Seen> {
        // A system without the folder has no such driver.
        let Ok(entries) = std::fs::read_dir(&self.drm) else { return Vec::new() };
        let mut cards: Vec<PathBuf> = entries
            .filter_map(|entry| entry.ok())
            // `card0` is a card; `card0-DP-1` is a socket of it and `renderD128` another door to it.
            .filter(|entry| {
                entry.file_name().to_str().and_then(|name| name.strip_prefix("card")).is_some_and(|number| {
                    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
                })
            })
            .map(|entry| entry.path().join("device"))
            .collect();
        cards.sort();
        cards.iter().filter_map(|device| see(device, own)).collect()
    }
}

fn see(device: &Path, own: &BTreeSet<u32>) -> Option<Seen> {
    let hexadecimal = |name: &str| {
        let text = std::fs::read_to_string(device.join(name)).ok()?;
        u32::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok()
    };
    if hexadecimal("vendor")? != AMD {
        return None;
    }
    let asleep = std::fs::read_to_string(device.join("power/runtime_status"))
        .is_ok_and(|status| status.trim() == "suspended");
    let sensed = if asleep {
        // A sleeping card works for nobody.
        Sensed { other_percent: CardReading::Known(0), ..Sensed::unknown(Unread::Asleep) }
    } else {
        sense(device, own)
    };
    Some(Seen { vendor_id: AMD, device_id: hexadecimal("device"), name: None, sensed })
}

fn sense(device: &Path, own: &BTreeSet<u32>) -> Sensed {
    let memory = figure(&device.join("mem_info_vram_total")).and_then(|total_bytes| {
        let used_bytes = figure(&device.join("mem_info_vram_used"))?;
        Ok(CardMemory { used_bytes, total_bytes })
    });
    let hwmon = hwmon(device);
    let sensor = |names: &[&str]| -> io::Result<u64> {
        let folder = hwmon.as_ref().map_err(|error| io::Error::from(error.kind()))?;
        let mut outcome = Err(io::Error::from(io::ErrorKind::NotFound));
        for name in names {
            outcome = figure(&folder.join(name));
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    };
    let celsius = sensor(&["temp1_input"]).map(|millidegrees| saturated(millidegrees / 1000));
    // Older cards tell the mean, newer ones the present power.
    let watts = sensor(&["power1_average", "power1_input"]);
    let watts = watts.map(|microwatts| saturated(microwatts.div_ceil(1_000_000)));
    // The file counts every program; it tells the use by others only while nothing of ours may use the card.
    let other_percent = if own.len() > 1 {
        CardReading::Unknown(Unread::NotOffered)
    } else {
        let busy = figure(&device.join("gpu_busy_percent"));
        reading(busy.map(|percent| u8::try_from(percent.min(100)).unwrap_or(100)), why)
    };
    Sensed {
        state: CardState {
            celsius: reading(celsius, why),
            watts: reading(watts, why),
            memory: reading(memory, why),
            // Only in a binary table whose form changes from card to card.
            throttles: CardReading::Unknown(Unread::NotOffered),
        },
        other_percent,
    }
}

fn saturated(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// The folder of the card's temperature and power; its number changes from start to start.
fn hwmon(device: &Path) -> io::Result<PathBuf> {
    let mut folders = std::fs::read_dir(device.join("hwmon"))?;
    folders.next().ok_or(io::ErrorKind::NotFound)?.map(|folder| folder.path())
}

/// A file that holds one number.
fn figure(path: &Path) -> io::Result<u64> {
    std::fs::read_to_string(path)?.trim().parse().map_err(|_| io::ErrorKind::InvalidData.into())
}

fn why(error: &io::Error) -> Unread {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::Unsupported => Unread::NotOffered,
        io::ErrorKind::PermissionDenied => Unread::NotPermitted,
        // What the kernel says of a card that was taken out: ENODEV.
        _ if error.raw_os_error() == Some(19) => Unread::Lost,
        _ => Unread::Failed,
    }
}
