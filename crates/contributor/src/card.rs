//! What graphics cards say of themselves: temperature, power, memory, use by others, and what slows them down.
//!
//! NVIDIA's cards are read through NVML, AMD's on Linux through the kernel's files. The use of any other is what its driver
//! counts for each program on Linux, and what the system itself counts on Windows. Everything else, and every sensor that
//! is missing, is an unknown with its reason. The sensors' thread (`signals`) and the measurement (`benchmark`) share
//! this module. It only reads: no clock, limit or fan is ever set, and a sleeping card is not woken.

mod amdgpu;
#[cfg(any(windows, test))]
mod engines;
mod fdinfo;
mod nvml;
#[cfg(windows)]
mod pdh;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;
use std::time::Instant;

use protocol::frames::Adapter;
use protocol::local::{CardMemory, CardReading, CardState, Throttle, Unread};

/// PCI vendor of NVIDIA.
const NVIDIA: u32 = 0x10de;
/// PCI vendor of AMD.
const AMD: u32 = 0x1002;

/// Which card is meant, as its graphics driver names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardName {
    /// Name, for example "NVIDIA GeForce RTX 3060".
    pub name: String,
    /// PCI vendor.
    pub vendor_id: u32,
    /// PCI device.
    pub device_id: u32,
}

impl CardName {
    /// The card behind an adapter; none where the processor computes.
    pub fn of(adapter: &Adapter) -> Option<Self> {
        let (vendor_id, device_id) = (adapter.vendor_id, adapter.device_id);
        (!adapter.software).then(|| Self { name: adapter.name.clone(), vendor_id, device_id })
    }
}

/// Everything that is read of a card at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sensed {
    /// What a person may see.
    pub state: CardState,
    /// Use of the card by programs that are not ours, in percent.
    pub other_percent: CardReading<u8>,
}

impl Sensed {
    /// Nothing is known, for this reason.
    pub const fn unknown(why: Unread) -> Self {
        Self {
            state: CardState {
                celsius: CardReading::Unknown(why),
                watts: CardReading::Unknown(why),
                memory: CardReading::Unknown(why),
                throttles: CardReading::Unknown(why),
            },
            other_percent: CardReading::Unknown(why),
        }
    }
}

/// The cards of this computer.
#[derive(Debug)]
pub struct Cards {
    nvml: nvml::Cards,
    amdgpu: amdgpu::Cards,
    clients: fdinfo::Clients,
    /// What the system itself counts.
    #[cfg(windows)]
    engines: Option<pdh::Engines>,
}

/// A card and what it says.
#[derive(Debug)]
struct Seen {
    vendor_id: u32,
    device_id: Option<u32>,
    name: Option<String>,
    sensed: Sensed,
}

/// Whether a card is the one that is meant.
fn is_meant(seen: &Seen, meant: &CardName) -> bool {
    let same = match (seen.device_id, &seen.name) {
        (Some(id), _) => id == meant.device_id,
        (None, Some(name)) => *name == meant.name,
        // A card that does not tell what it is may be the one: its readings say why it does not.
        (None, None) => true,
    };
    seen.vendor_id == meant.vendor_id && same
}

impl Cards {
    /// The cards of this system. Loads NVIDIA's library where there is one.
    pub fn open() -> Self {
        let cards = Self::open_at(None, Path::new("/sys/class/drm"));
        #[cfg(windows)]
        let cards = Self { engines: pdh::Engines::open(), ..cards };
        cards
    }

    /// With another library than the system's, and with another folder than `/sys/class/drm`.
    pub fn open_at(nvml_library: Option<&OsStr>, drm: &Path) -> Self {
        Self::open_below(nvml_library, drm, Path::new("/proc"))
    }

    /// With another folder than `/proc` as well.
    fn open_below(nvml_library: Option<&OsStr>, drm: &Path, proc: &Path) -> Self {
        Self {
            nvml: nvml::Cards::open(nvml_library),
            amdgpu: amdgpu::Cards::new(drm.to_owned()),
            clients: fdinfo::Clients::new(drm.to_owned(), proc.to_owned()),
            #[cfg(windows)]
            engines: None,
        }
    }

    /// Reads the card that is meant, or the only one there is. `own` are the processes whose use of it is ours. Blocks for
    /// as long as the drivers take.
    ///
    /// Where several cards could be meant, temperature and use are those of the warmest and the busiest, so that no limit
    /// is passed unseen; nothing else can be told.
    pub fn read(&mut self, meant: Option<&CardName>, own: &BTreeSet<u32>) -> Sensed {
        let mut sensed = self.sense(meant, own);
        // What the card itself tells is the use by all users' programs; what its driver counts is only by this user's.
        if matches!(sensed.other_percent, CardReading::Unknown(_))
            && let CardReading::Known(percent) = self.clients.other_percent(meant, own, Instant::now())
        {
            sensed.other_percent = CardReading::Known(percent);
        }
        // NVIDIA's driver does not tell it of a card that also draws the desktop, and others' tell nothing.
        #[cfg(windows)]
        if let (CardReading::Unknown(_), Some(engines)) = (sensed.other_percent, &self.engines)
            && let Some(percent) = engines.others_percent(own)
        {
            sensed.other_percent = CardReading::Known(percent);
        }
        sensed
    }

    /// Reads the sensors of the cards themselves.
    fn sense(&mut self, meant: Option<&CardName>, own: &BTreeSet<u32>) -> Sensed {
        let mut seen = self.amdgpu.read(own);
        let nvml_without = match self.nvml.read(own) {
            Ok(cards) => {
                seen.extend(cards.seen);
                cards.failed
            }
            Err(why) => Some(why),
        };
        if let Some(meant) = meant {
            seen.retain(|card| is_meant(card, meant));
        }
        let mut sensed = seen.into_iter().map(|card| card.sensed);
        let Some(first) = sensed.next() else {
            return Sensed::unknown(match meant.map(|meant| meant.vendor_id) {
                // The library answers, so the card that it does not know is gone.
                Some(NVIDIA) => nvml_without.unwrap_or(Unread::Lost),
                Some(AMD) if cfg!(target_os = "linux") => Unread::NoDriver,
                Some(_) => Unread::NotOffered,
                None => nvml_without.unwrap_or(Unread::NotOffered),
            });
        };
        sensed.fold(first, |one, other| {
            let unknown = Sensed::unknown(Unread::Ambiguous);
            Sensed {
                state: CardState { celsius: larger(one.state.celsius, other.state.celsius), ..unknown.state },
                other_percent: larger(one.other_percent, other.other_percent),
            }
        })
    }
}

/// The larger of two values, as far as they are known.
fn larger<T: Ord>(one: CardReading<T>, other: CardReading<T>) -> CardReading<T> {
    match (one, other) {
        (CardReading::Known(one), CardReading::Known(other)) => CardReading::Known(one.max(other)),
        (CardReading::Known(value), CardReading::Unknown(_))
        | (CardReading::Unknown(_), CardReading::Known(value)) => CardReading::Known(value),
        (CardReading::Unknown(why), CardReading::Unknown(_)) => CardReading::Unknown(why),
    }
}

/// A reading of what a driver answered.
fn reading<T, E>(outcome: Result<T, E>, why: impl Fn(&E) -> Unread) -> CardReading<T> {
    match outcome {
        Ok(value) => CardReading::Known(value),
        Err(error) => CardReading::Unknown(why(&error)),
    }
}

#[cfg(test)]
mod tests;
