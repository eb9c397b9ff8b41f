//! Use of a card by others, where its driver counts for each program how long it has kept each engine busy.
//!
//! Linux's drivers for Intel, AMD and most others write such counts into `fdinfo` of every open file of a card (the
//! kernel's documentation "DRM client usage stats"). Two readings make a share of the time between them. Only processes
//! of this user can be looked at, so the use by others' is not seen. It is asked only where the card's own sensors do not
//! tell, and never of a card that sleeps.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::{CardName, CardReading, Unread};

/// Where the doors to the cards are.
const DOORS: &str = "/dev/dri";
/// The most engines of one client that are looked at.
const ENGINES: usize = 64;

/// The programs that have cards open.
#[derive(Debug)]
pub(super) struct Clients {
    drm: PathBuf,
    proc: PathBuf,
    before: Option<(Instant, Counts)>,
}

/// What each client has used: by the card's folder and the client's number, which one client keeps in several files.
type Counts = BTreeMap<(PathBuf, u64), Engines>;
/// A client's engines by their names.
type Engines = BTreeMap<String, Engine>;

/// What a client has used of one kind of engine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Engine {
    nanos: Option<u64>,
    cycles: Option<u64>,
    all_cycles: Option<u64>,
    /// How many of the kind there are, where the driver says so.
    count: Option<u32>,
}

impl Clients {
    /// With folders like `/sys/class/drm` and `/proc`.
    pub(super) fn new(drm: PathBuf, proc: PathBuf) -> Self {
        Self { drm, proc, before: None }
    }

    /// Use of the meant card, or of the busiest where none is meant, by processes other than `own`, in percent of its
    /// busiest engine since the last reading.
    pub(super) fn other_percent(
        &mut self,
        meant: Option<&CardName>,
        own: &BTreeSet<u32>,
        now: Instant,
    ) -> CardReading<u8> {
        let Doors { open: doors, asleep } = self.doors(meant);
        if doors.is_empty() {
            self.before = None;
            // A sleeping card works for nobody.
            return if asleep { CardReading::Known(0) } else { CardReading::Unknown(Unread::NotOffered) };
        }
        let (counts, offered) = self.counts(&doors, own);
        let before = self.before.replace((now, counts));
        let (Some((then, before)), Some((_, counts)), true) = (before, &self.before, offered) else {
            return CardReading::Unknown(Unread::NotOffered);
        };
        let nanos = now.saturating_duration_since(then).as_nanos() as f64;
        if nanos == 0.0 {
            return CardReading::Unknown(Unread::NotOffered);
        }
        CardReading::Known(busiest(&before, counts, nanos))
    }

    /// The doors to the cards that are meant, each with its card's folder.
    fn doors(&self, meant: Option<&CardName>) -> Doors {
        let mut doors = Doors { open: BTreeMap::new(), asleep: false };
        // A system without the folder has no such driver.
        let Ok(entries) = fs::read_dir(&self.drm) else { return doors };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let is_door = name.to_str().is_some_and(|name| {
                let number = name.strip_prefix("card").or(name.strip_prefix("renderD"));
                number
                    .is_some_and(|number| !number.is_empty() && number.bytes().all(|it| it.is_ascii_digit()))
            });
            // Both doors of one card lead to the same folder.
            let Ok(card) = entry.path().join("device").canonicalize() else { continue };
            if !is_door || !meant.is_none_or(|meant| is_card(&card, meant)) {
                continue;
            }
            let status = fs::read_to_string(card.join("power/runtime_status"));
            if status.is_ok_and(|status| status.trim() == "suspended") {
                doors.asleep = true;
            } else {
                doors.open.insert(Path::new(DOORS).join(name), card);
            }
        }
        doors
    }

    /// What the clients of others have used, and whether any client, ours included, has a count.
    fn counts(&self, doors: &BTreeMap<PathBuf, PathBuf>, own: &BTreeSet<u32>) -> (Counts, bool) {
        let (mut counts, mut offered) = (Counts::new(), false);
        let Ok(processes) = fs::read_dir(&self.proc) else { return (counts, false) };
        for process in processes.flatten() {
            let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            // Those of other users may not be looked at, and any may have ended.
            let Ok(files) = fs::read_dir(process.path().join("fd")) else { continue };
            for file in files.flatten() {
                let Some(card) = fs::read_link(file.path()).ok().and_then(|door| doors.get(&door)) else {
                    continue;
                };
                let info = process.path().join("fdinfo").join(file.file_name());
                let Some((client, engines)) = fs::read_to_string(info).ok().as_deref().and_then(parsed)
                else {
                    continue;
                };
                offered = true;
                if !own.contains(&pid) {
                    counts.insert((card.clone(), client), engines);
                }
            }
        }
        (counts, offered)
    }
}

/// Doors to cards.
struct Doors {
    open: BTreeMap<PathBuf, PathBuf>,
    /// A meant card sleeps.
    asleep: bool,
}

fn is_card(folder: &Path, meant: &CardName) -> bool {
    let is = |name: &str, wanted: u32| {
        let text = fs::read_to_string(folder.join(name)).unwrap_or_default();
        u32::from_str_radix(text.trim().trim_start_matches("0x"), 16) == Ok(wanted)
    };
    is("vendor", meant.vendor_id) && is("device", meant.device_id)
}

/// The number of the client and what it has used, as the driver writes it; nothing where it writes no such thing.
fn parsed(text: &str) -> Option<(u64, Engines)> {
    let mut client = None;
    let mut engines = Engines::new();
    for line in text.lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        let mut words = value.split_whitespace();
        let Some(number) = words.next().and_then(|word| word.parse::<u64>().ok()) else { continue };
        let unit = words.next();
        if key == "drm-client-id" {
            client = Some(number);
            continue;
        }
        let (name, note): (&str, fn(&mut Engine, u64)) =
            if let Some(name) = key.strip_prefix("drm-engine-capacity-") {
                (name, |engine, count| engine.count = u32::try_from(count).ok())
            } else if let (Some(name), Some("ns")) = (key.strip_prefix("drm-engine-"), unit) {
                (name, |engine, nanos| engine.nanos = Some(nanos))
            } else if let Some(name) = key.strip_prefix("drm-total-cycles-") {
                (name, |engine, cycles| engine.all_cycles = Some(cycles))
            } else if let Some(name) = key.strip_prefix("drm-cycles-") {
                (name, |engine, cycles| engine.cycles = Some(cycles))
            } else {
                continue;
            };
        if engines.len() < ENGINES || engines.contains_key(name) {
            note(engines.entry(name.to_owned()).or_default(), number);
        }
    }
    engines.retain(|_, engine| {
        engine.nanos.is_some() || (engine.cycles.is_some() && engine.all_cycles.is_some())
    });
    Some((client?, engines)).filter(|(_, engines)| !engines.is_empty())
}

/// The share of the time between two readings in which the busiest engine of any card worked, in percent. A client that
/// came in between counts from the next reading on.
fn busiest(before: &Counts, counts: &Counts, nanos: f64) -> u8 {
    let mut shares: BTreeMap<(&Path, &str), (f64, u32)> = BTreeMap::new();
    for (client, engines) in counts {
        let Some(earlier) = before.get(client) else { continue };
        for (name, engine) in engines {
            let Some(earlier) = earlier.get(name) else { continue };
            let since = |now: Option<u64>, then: Option<u64>| Some(now?.saturating_sub(then?) as f64);
            let share = match (
                since(engine.nanos, earlier.nanos),
                since(engine.cycles, earlier.cycles),
                since(engine.all_cycles, earlier.all_cycles),
            ) {
                (Some(busy), _, _) => busy / nanos,
                // A card whose clock stands has done nothing.
                (None, Some(busy), Some(all)) if all > 0.0 => busy / all,
                _ => 0.0,
            };
            let (sum, count) = shares.entry((&client.0, name)).or_insert((0.0, 1));
            *sum += share;
            *count = engine.count.unwrap_or(1).max(*count);
        }
    }
    let busiest = shares.values().map(|(sum, count)| sum / f64::from(*count)).fold(0.0, f64::max);
    (busiest * 100.0).round().clamp(0.0, 100.0) as u8
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
