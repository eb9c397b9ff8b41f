//! The values that are asked for every few seconds, on a thread of their own, on every system.
//!
//! Processor use is that of all processes less our own tree (this process and its workers). The card's figures come
//! from NVIDIA's NVML where its library is present; it is loaded at the first poll and looked for only once. The
//! caller brings the way to read the power supply, which differs by system.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::JoinHandle;

use nvml_wrapper::Nvml;
use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
use sysinfo::{Disks, Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use super::{Change, Outlet, Power, Reading, Slow, Unknown, Wanted};

/// Reads the power supply.
pub(super) type PowerMeter = Box<dyn FnMut() -> Reading<Power> + Send>;

/// The thread.
#[derive(Debug)]
pub(super) struct SlowSensors {
    ask: mpsc::SyncSender<Wanted>,
    thread: JoinHandle<()>,
}

impl SlowSensors {
    /// Starts the thread; `None` (and a change that says so) when the system refuses one.
    pub(super) fn start(data_dir: PathBuf, power: PowerMeter, outlet: Outlet) -> Option<Self> {
        let (ask, asked) = mpsc::sync_channel::<Wanted>(1);
        let tell = outlet.clone();
        let thread = std::thread::Builder::new().name("hearth-sensors".to_owned()).spawn(move || {
            let mut sensors = Sensors::new(data_dir, power);
            while let Ok(wanted) = asked.recv() {
                tell(Change::Slow(Box::new(sensors.read(&wanted))));
            }
        });
        match thread {
            Ok(thread) => Some(Self { ask, thread }),
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the sensors' thread cannot be started"
                );
                outlet(Change::Slow(Box::new(Slow::unknown(Unknown::Failed))));
                None
            }
        }
    }

    /// Asks for a reading; dropped while one is under way and another waits.
    pub(super) fn poll(&self, wanted: &Wanted) {
        match self.ask.try_send(wanted.clone()) {
            Ok(()) | Err(mpsc::TrySendError::Full(_)) => {}
            Err(mpsc::TrySendError::Disconnected(_)) => tracing::error!("the sensors' thread has ended"),
        }
    }

    /// Ends the thread after the reading under way.
    pub(super) fn stop(self) {
        drop(self.ask);
        if self.thread.join().is_err() {
            tracing::error!("the sensors' thread panicked");
        }
    }
}

struct Sensors {
    data_dir: PathBuf,
    power: PowerMeter,
    system: Option<System>,
    nvml: Option<Nvml>,
    /// Time stamp of the newest utilisation sample seen, in the driver's clock.
    sampled_until: u64,
    own: BTreeSet<u32>,
    /// The first processor reading has nothing to compare with.
    primed: bool,
}

impl Sensors {
    fn new(data_dir: PathBuf, power: PowerMeter) -> Self {
        let system = System::new();
        if let Err(error) = &system {
            tracing::warn!(error = error as &dyn std::error::Error, "processes cannot be read");
        }
        // Most computers have no NVML: absence is a fact, not a fault.
        let nvml = Nvml::init();
        if let Err(error) = &nvml {
            tracing::info!(
                error = error as &dyn std::error::Error,
                "no NVML: the card's figures are unknown"
            );
        }
        let (system, nvml) = (system.ok(), nvml.ok());
        Self { data_dir, power, system, nvml, sampled_until: 0, own: BTreeSet::new(), primed: false }
    }

    fn read(&mut self, wanted: &Wanted) -> Slow {
        let (other_cpu_percent, programs) = self.processes(wanted);
        let card = self.card();
        Slow {
            power: (self.power)(),
            other_cpu_percent,
            other_gpu_percent: card.other_percent,
            gpu_celsius: card.celsius,
            gpu_watts: card.watts,
            free_disk_mbytes: self.free_disk(),
            programs,
        }
    }

    fn processes(&mut self, wanted: &Wanted) -> (Reading<u8>, Reading<Vec<String>>) {
        let Some(system) = &mut self.system else {
            return (Reading::Unknown(Unknown::Failed), Reading::Unknown(Unknown::Failed));
        };
        system.refresh_cpu_usage();
        let kind = ProcessRefreshKind::nothing().with_cpu().without_tasks();
        system.refresh_processes_specifics(ProcessesToUpdate::All, true, kind);
        let own = own_tree(system);
        let cores = system.cpus().len().max(1) as f32;
        let ours: f32 = system
            .processes()
            .values()
            .filter(|process| own.contains(&process.pid().as_u32()))
            .map(sysinfo::Process::cpu_usage)
            .sum();
        let others = (system.global_cpu_usage() - ours / cores).clamp(0.0, 100.0);
        self.own = own;
        let cpu = if self.primed {
            Reading::Known(others.round() as u8)
        } else {
            Reading::Unknown(Unknown::NotYet)
        };
        self.primed = true;
        let runs = |name: &String| {
            system.processes().values().any(|process| {
                let found = process.name().to_string_lossy();
                let found = found.strip_suffix(".exe").unwrap_or(&found);
                // Linux keeps 15 bytes of a name.
                let short = name.char_indices().nth(15).map_or(name.as_str(), |(end, _)| &name[..end]);
                found.eq_ignore_ascii_case(name) || found.eq_ignore_ascii_case(short)
            })
        };
        (cpu, Reading::Known(wanted.programs.iter().filter(|name| runs(name)).cloned().collect()))
    }

    /// Free space of the disk on which the data folder lies: of the mount point that is its longest prefix.
    fn free_disk(&self) -> Reading<u64> {
        let Ok(disks) = Disks::new_with_refreshed_list() else { return Reading::Unknown(Unknown::Failed) };
        let dir = self.data_dir.canonicalize().unwrap_or_else(|_| self.data_dir.clone());
        disks
            .iter()
            .filter(|disk| dir.starts_with(disk.mount_point()))
            .max_by_key(|disk| disk.mount_point().as_os_str().len())
            .map_or(Reading::Unknown(Unknown::NoSource), |disk| {
                Reading::Known(disk.available_space() / 1_000_000)
            })
    }

    fn card(&mut self) -> Card {
        let none = Card {
            other_percent: Reading::Unknown(Unknown::NoSource),
            celsius: Reading::Unknown(Unknown::NoSource),
            watts: Reading::Unknown(Unknown::NoSource),
        };
        let Some(nvml) = &self.nvml else { return none };
        let Ok(device) = nvml.device_by_index(0) else {
            let failed = Unknown::Failed;
            return Card {
                other_percent: Reading::Unknown(failed),
                celsius: Reading::Unknown(failed),
                watts: Reading::Unknown(failed),
            };
        };
        let unknown = |error: &nvml_wrapper::error::NvmlError| match error {
            nvml_wrapper::error::NvmlError::NotSupported => Unknown::NoSource,
            _ => Unknown::Failed,
        };
        let celsius = match device.temperature(TemperatureSensor::Gpu) {
            Ok(celsius) => Reading::Known(u8::try_from(celsius).unwrap_or(u8::MAX)),
            Err(error) => Reading::Unknown(unknown(&error)),
        };
        let watts = match device.power_usage() {
            Ok(milliwatts) => Reading::Known(milliwatts.div_ceil(1000)),
            Err(error) => Reading::Unknown(unknown(&error)),
        };
        let other_percent = match device.process_utilization_stats(Some(self.sampled_until)) {
            Ok(samples) => {
                self.sampled_until =
                    samples.iter().map(|sample| sample.timestamp).max().unwrap_or(self.sampled_until);
                // The latest sample of each process that is not ours.
                let mut latest = std::collections::BTreeMap::new();
                for sample in samples.iter().filter(|sample| !self.own.contains(&sample.pid)) {
                    let entry = latest.entry(sample.pid).or_insert((sample.timestamp, sample.sm_util));
                    if sample.timestamp >= entry.0 {
                        *entry = (sample.timestamp, sample.sm_util);
                    }
                }
                let sum: u32 = latest.values().map(|(_, percent)| percent).sum();
                Reading::Known(u8::try_from(sum.min(100)).unwrap_or(100))
            }
            // The driver's way of saying that nothing used the card since the last look.
            Err(nvml_wrapper::error::NvmlError::NotFound) => Reading::Known(0),
            Err(error) => Reading::Unknown(unknown(&error)),
        };
        Card { other_percent, celsius, watts }
    }
}

struct Card {
    other_percent: Reading<u8>,
    celsius: Reading<u8>,
    watts: Reading<u32>,
}

/// This process and everything below it.
fn own_tree(system: &System) -> BTreeSet<u32> {
    let mut own = BTreeSet::from([std::process::id()]);
    // Parents come before children only by chance; a process tree of ours is at most a few levels deep.
    loop {
        let more: Vec<u32> = system
            .processes()
            .values()
            .filter(|p| p.parent().map(Pid::as_u32).is_some_and(|parent| own.contains(&parent)))
            .map(|p| p.pid().as_u32())
            .filter(|pid| !own.contains(pid))
            .collect();
        if more.is_empty() {
            return own;
        }
        own.extend(more);
    }
}
