//! The values that are asked for every few seconds, on every system.
//!
//! Processor use is that of all processes less our own tree (this process and its workers). The card's figures come
//! from its own sensors ([`Cards`]), which are looked for once, at the start. The processor's temperature is that of its
//! hottest sensor.

use std::collections::BTreeSet;
use std::path::PathBuf;

use protocol::local::{CardReading, Unread};
use sysinfo::{Components, Disks, Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use super::{Reading, Slow, Unknown, Wanted};
use crate::card::Cards;

/// Words in the names of sensors that sit in a processor: Intel's and AMD's drivers on Linux, and what other systems call
/// it.
const PROCESSOR_SENSORS: [&str; 6] = ["coretemp", "k10temp", "zenpower", "cpu", "package id", "tctl"];

/// The reader.
pub(super) struct Sensors {
    data_dir: PathBuf,
    system: Option<System>,
    components: Option<Components>,
    cards: Cards,
    own: BTreeSet<u32>,
    /// The first processor reading has nothing to compare with.
    primed: bool,
}

impl Sensors {
    pub(super) fn open(data_dir: PathBuf) -> Self {
        let system = System::new();
        if let Err(error) = &system {
            tracing::warn!(error = error as &dyn std::error::Error, "processes cannot be read");
        }
        let (system, cards) = (system.ok(), Cards::open());
        let components = Components::new_with_refreshed_list().ok();
        Self { data_dir, system, components, cards, own: BTreeSet::new(), primed: false }
    }

    pub(super) fn read(&mut self, wanted: &Wanted) -> Slow {
        let other_cpu_percent = self.processor();
        let card = self.cards.read(wanted.card.as_ref(), &self.own);
        let celsius = match signal(card.state.celsius) {
            Reading::Known(celsius) => Reading::Known(u8::try_from(celsius).unwrap_or(u8::MAX)),
            Reading::Unknown(why) => Reading::Unknown(why),
        };
        Slow {
            other_cpu_percent,
            other_gpu_percent: signal(card.other_percent),
            gpu_celsius: celsius,
            cpu_celsius: self.processor_celsius(),
            gpu_watts: signal(card.state.watts),
            free_disk_mbytes: self.free_disk(),
        }
    }

    fn processor_celsius(&mut self) -> Reading<u8> {
        let Some(components) = &mut self.components else { return Reading::Unknown(Unknown::Failed) };
        components.refresh(false);
        components
            .iter()
            .filter(|component| {
                let label = component.label().to_lowercase();
                PROCESSOR_SENSORS.iter().any(|word| label.contains(word))
            })
            .filter_map(sysinfo::Component::temperature)
            .filter(|celsius| celsius.is_finite())
            .reduce(f32::max)
            .map_or(Reading::Unknown(Unknown::NoSource), |celsius| {
                Reading::Known(celsius.round().clamp(0.0, 255.0) as u8)
            })
    }

    fn processor(&mut self) -> Reading<u8> {
        let Some(system) = &mut self.system else { return Reading::Unknown(Unknown::Failed) };
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
        let primed = std::mem::replace(&mut self.primed, true);
        if primed { Reading::Known(others.round() as u8) } else { Reading::Unknown(Unknown::NotYet) }
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
