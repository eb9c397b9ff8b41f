//! The values that are asked for every few seconds, on a thread of their own, on every system.
//!
//! Processor use is that of all processes less our own tree (this process and its workers). The card's figures come
//! from its own sensors ([`Cards`]), which are looked for once, at the start. The caller brings the way to read the power
//! supply, which differs by system.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::JoinHandle;

use protocol::local::{CardReading, Unread};
use sysinfo::{Disks, Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use super::{Change, Outlet, Power, Reading, Slow, Unknown, Wanted};
use crate::card::Cards;

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
    cards: Cards,
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
        let (system, cards) = (system.ok(), Cards::open());
        Self { data_dir, power, system, cards, own: BTreeSet::new(), primed: false }
    }

    fn read(&mut self, wanted: &Wanted) -> Slow {
        let (other_cpu_percent, programs) = self.processes(wanted);
        let card = self.cards.read(wanted.card.as_ref(), &self.own);
        let celsius = match signal(card.state.celsius) {
            Reading::Known(celsius) => Reading::Known(u8::try_from(celsius).unwrap_or(u8::MAX)),
            Reading::Unknown(why) => Reading::Unknown(why),
        };
        Slow {
            power: (self.power)(),
            other_cpu_percent,
            other_gpu_percent: signal(card.other_percent),
            gpu_celsius: celsius,
            gpu_watts: signal(card.state.watts),
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
}

/// A card's reading as a signal. The measurement shows why in full; a decision only asks whether a value can be expected.
fn signal<T>(reading: CardReading<T>) -> Reading<T> {
    match reading {
        CardReading::Known(value) => Reading::Known(value),
        CardReading::Unknown(Unread::NoDriver | Unread::NotOffered | Unread::Ambiguous | Unread::Asleep) => {
            Reading::Unknown(Unknown::NoSource)
        }
        CardReading::Unknown(
            Unread::NotPermitted | Unread::Lost | Unread::DriverMismatch | Unread::Failed,
        ) => Reading::Unknown(Unknown::Failed),
    }
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
