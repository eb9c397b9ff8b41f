//! PURE: the form of `cards.txt`.
//!
//! A line is a word and its values. `card NAME` begins a card; lines before the first one are about the library. `fail
//! CALL CODE` lets a call answer with an error code of NVML. `use PID PERCENT AT` adds a sample of a process. Every other
//! line is a figure of the card: `pci` (device id in the upper half, vendor in the lower), `celsius`, `milliwatts`,
//! `memory`, `used` (bytes), `throttle` (bits); a value may be hexadecimal with `0x`.

use std::collections::BTreeMap;

use nvml_wrapper_sys::bindings::nvmlReturn_t;

/// A whole script.
#[derive(Debug, Default)]
pub(crate) struct Script {
    faults: BTreeMap<String, nvmlReturn_t>,
    pub(crate) cards: Vec<Card>,
}

/// One card.
#[derive(Debug, Default)]
pub(crate) struct Card {
    pub(crate) name: String,
    pub(crate) figures: BTreeMap<String, u64>,
    pub(crate) uses: Vec<Use>,
    faults: BTreeMap<String, nvmlReturn_t>,
}

/// What a process used of a card.
#[derive(Debug)]
pub(crate) struct Use {
    pub(crate) pid: u32,
    pub(crate) percent: u32,
    pub(crate) at: u64,
}

impl Script {
    /// Reads a script. A line that cannot be read ends the process: the test that wrote it is wrong.
    pub(crate) fn read(text: &str) -> Self {
        let mut script = Self::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            script.take(line).unwrap_or_else(|| panic!("cards.txt has a line that cannot be read: {line}"));
        }
        script
    }

    fn take(&mut self, line: &str) -> Option<()> {
        let (word, rest) = line.split_once(' ')?;
        match (word, self.cards.last_mut()) {
            ("card", _) => self.cards.push(Card { name: rest.to_owned(), ..Card::default() }),
            ("fail", card) => {
                let (call, code) = rest.split_once(' ')?;
                let faults = card.map_or(&mut self.faults, |card| &mut card.faults);
                faults.insert(call.to_owned(), code.parse().ok()?);
            }
            ("use", Some(card)) => {
                let mut values = rest.split(' ');
                let pid = values.next()?.parse().ok()?;
                let percent = values.next()?.parse().ok()?;
                card.uses.push(Use { pid, percent, at: values.next()?.parse().ok()? });
            }
            (figure, Some(card)) => {
                let value = match rest.strip_prefix("0x") {
                    Some(digits) => u64::from_str_radix(digits, 16).ok()?,
                    None => rest.parse().ok()?,
                };
                card.figures.insert(figure.to_owned(), value);
            }
            (_, None) => return None,
        }
        Some(())
    }

    /// The code that the library answers `call` with, where the script gives one.
    pub(crate) fn fault(&self, call: &str) -> Result<(), nvmlReturn_t> {
        self.faults.get(call).map_or(Ok(()), |&code| Err(code))
    }
}

impl Card {
    /// The code that this card answers `call` with, where the script gives one for it or for `all` calls.
    pub(crate) fn fault(&self, call: &str) -> Result<(), nvmlReturn_t> {
        self.faults.get(call).or_else(|| self.faults.get("all")).map_or(Ok(()), |&code| Err(code))
    }
}
