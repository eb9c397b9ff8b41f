//! NVIDIA's cards, through the library that comes with their driver.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;

use nvml_wrapper::Nvml;
use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::device::Device;
use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::device::ProcessUtilizationSample;

use super::{CardMemory, CardState, NVIDIA, Seen, Sensed, Throttle, Unread, reading};

/// NVIDIA's cards, or why there are none to be read.
#[derive(Debug)]
pub(super) struct Cards {
    library: Result<Nvml, Unread>,
    /// Time stamp of the newest sample of use that was seen of each card, in the driver's clock.
    sampled_until: BTreeMap<u32, u64>,
}

/// The cards that answered, and why another one did not.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) seen: Vec<Seen>,
    pub(super) failed: Option<Unread>,
}

impl Cards {
    /// Loads the library once: a driver that is installed later is found at the next start.
    pub(super) fn open(library: Option<&OsStr>) -> Self {
        let opened = match library {
            Some(path) => Nvml::builder().lib_path(path).init(),
            None => Nvml::init(),
        };
        let library = opened.map_err(|error| {
            // Most computers have no NVML: absence is a fact, not a fault.
            tracing::info!(
                error = &error as &dyn std::error::Error,
                "no NVML: the card's figures are unknown"
            );
            why(&error)
        });
        Self { library, sampled_until: BTreeMap::new() }
    }

    /// Reads all cards.
    ///
    /// # Errors
    /// Why none can be read.
    pub(super) fn read(&mut self, own: &BTreeSet<u32>) -> Result<Read, Unread> {
        let library = self.library.as_ref().map_err(|&why| why)?;
        let count = library.device_count().map_err(|error| why(&error))?;
        let mut read = Read { seen: Vec::new(), failed: None };
        for index in 0..count {
            match library.device_by_index(index) {
                Ok(device) => {
                    let since = self.sampled_until.entry(index).or_default();
                    read.seen.push(see(&device, own, since));
                }
                Err(error) => read.failed = Some(why(&error)),
            }
        }
        Ok(read)
    }
}

fn see(device: &Device<'_>, own: &BTreeSet<u32>, since: &mut u64) -> Seen {
    let celsius = device.temperature(TemperatureSensor::Gpu);
    let watts = device.power_usage().map(|milliwatts| milliwatts.div_ceil(1000));
    let memory = device.memory_info();
    let memory = memory.map(|memory| CardMemory { used_bytes: memory.used, total_bytes: memory.total });
    let throttles = device.current_throttle_reasons().map(throttles);
    let others = match device.process_utilization_stats(Some(*since)) {
        Ok(samples) => {
            *since = samples.iter().map(|sample| sample.timestamp).max().unwrap_or(*since);
            Ok(others_percent(&samples, own))
        }
        // The driver's way of saying that nothing used the card since the last look.
        Err(NvmlError::NotFound) => Ok(0),
        Err(error) => Err(error),
    };
    Seen {
        vendor_id: NVIDIA,
        // Device in the upper half, vendor in the lower.
        device_id: device.pci_info().ok().map(|pci| pci.pci_device_id >> 16),
        name: device.name().ok(),
        sensed: Sensed {
            state: CardState {
                celsius: reading(celsius, why),
                watts: reading(watts, why),
                memory: reading(memory, why),
                throttles: reading(throttles, why),
            },
            other_percent: reading(others, why),
        },
    }
}

/// The latest sample of each process that is not ours, all together.
fn others_percent(samples: &[ProcessUtilizationSample], own: &BTreeSet<u32>) -> u8 {
    let mut latest = BTreeMap::new();
    for sample in samples.iter().filter(|sample| !own.contains(&sample.pid)) {
        let entry = latest.entry(sample.pid).or_insert((sample.timestamp, sample.sm_util));
        if sample.timestamp >= entry.0 {
            *entry = (sample.timestamp, sample.sm_util);
        }
    }
    let sum: u32 = latest.values().map(|(_, percent)| percent).sum();
    u8::try_from(sum.min(100)).unwrap_or(100)
}

/// An idle card's low clock is no throttle. The bit "slowdown" is told only where no other one says which.
fn throttles(reasons: ThrottleReasons) -> Vec<Throttle> {
    let heat = ThrottleReasons::SW_THERMAL_SLOWDOWN | ThrottleReasons::HW_THERMAL_SLOWDOWN;
    let supply = ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN;
    let setting = ThrottleReasons::APPLICATIONS_CLOCKS_SETTING
        | ThrottleReasons::DISPLAY_CLOCK_SETTING
        | ThrottleReasons::SYNC_BOOST;
    let told = [
        (Throttle::PowerLimit, ThrottleReasons::SW_POWER_CAP),
        (Throttle::Heat, heat),
        (Throttle::Supply, supply),
        (Throttle::Setting, setting),
    ];
    let mut throttles: Vec<_> = told
        .into_iter()
        .filter(|(_, bits)| reasons.intersects(*bits))
        .map(|(throttle, _)| throttle)
        .collect();
    if reasons.contains(ThrottleReasons::HW_SLOWDOWN) && !reasons.intersects(heat | supply) {
        throttles.push(Throttle::Hardware);
    }
    throttles
}

fn why(error: &NvmlError) -> Unread {
    match error {
        NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound | NvmlError::DriverNotLoaded => {
            Unread::NoDriver
        }
        NvmlError::NoPermission => Unread::NotPermitted,
        NvmlError::GpuLost | NvmlError::ResetRequired | NvmlError::NotFound => Unread::Lost,
        // A library older than the call lacks its symbol.
        NvmlError::NotSupported | NvmlError::FailedToLoadSymbol(_) | NvmlError::FunctionNotFound => {
            Unread::NotOffered
        }
        NvmlError::LibRmVersionMismatch => Unread::DriverMismatch,
        _ => Unread::Failed,
    }
}
