//! From the results of slices to hits: what the publisher of a search wants to know.
//!
//! Results arrive slice by slice and in any order; [`Findings::hits`] can be asked at any time. A strong tone also
//! lifts every sum whose line crosses it, so a candidate within the reach of a stronger one is not a hit of its own.
//! While slices are missing, such a shadow may stand until the slice with the tone itself arrives.

use std::collections::{BTreeMap, BTreeSet};

use protocol::manifest::{Family, Manifest};
use serde::{Deserialize, Serialize};

use super::head::{Candidate, SliceError, SliceHead, candidates};
use super::package::Notes;

/// A found tone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hit {
    /// Frequency at the first spectrum in MHz.
    pub frequency_mhz: f64,
    /// Drift in Hz/s.
    pub drift_hz_s: f64,
    /// Signal to noise over all spectra.
    pub snr: f64,
    /// Channel at the first spectrum.
    pub channel: u32,
    /// Channels from the first spectrum to the last.
    pub shift: i32,
    /// Unit that found it.
    pub unit: u32,
    /// Slice of that unit.
    pub slice: u32,
}

/// Why a manifest's results cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotesError {
    /// Another kind of job.
    #[error("the job is not a signal search")]
    NotASearch,
    /// Notes that this program did not write.
    #[error("the notes of the job cannot be read")]
    Unreadable(#[from] serde_json::Error),
}

/// The candidates of a search so far.
#[derive(Debug, Clone)]
pub struct Findings<'a> {
    manifest: &'a Manifest,
    notes: Notes,
    slices: BTreeMap<(u32, u32), Vec<(u32, Candidate)>>,
}

impl<'a> Findings<'a> {
    /// No results yet of the job `manifest`.
    ///
    /// # Errors
    /// [`NotesError`] when it is no signal search of this format.
    pub fn new(manifest: &'a Manifest) -> Result<Self, NotesError> {
        if manifest.body.family != Family::SignalSearch {
            return Err(NotesError::NotASearch);
        }
        let notes = Notes::read(&manifest.notes)?;
        Ok(Self { manifest, notes, slices: BTreeMap::new() })
    }

    /// Takes the result of a slice in; a second result of the same slice replaces the first.
    ///
    /// # Errors
    /// [`SliceError`] when there is no such slice or the bytes are not its result. The findings stay as they were.
    pub fn add(&mut self, unit: u32, slice: u32, output: &[u8]) -> Result<(), SliceError> {
        let plan = self.manifest.units.get(unit as usize).and_then(|u| u.slices.get(slice as usize));
        let head = SliceHead::from_words(&plan.ok_or(SliceError::Head)?.params)?;
        if head.shape != self.notes.shape {
            return Err(SliceError::Head);
        }
        let strong = candidates(&head, output)?
            .into_iter()
            .filter(|c| c.sum >= self.notes.threshold_sum && c.channel < head.valid)
            .filter_map(|c| Some((head.first_channel.checked_add(c.channel)?, c)))
            .collect();
        self.slices.insert((unit, slice), strong);
        Ok(())
    }

    /// Slices whose result is known, and slices of the job.
    pub fn progress(&self) -> (usize, usize) {
        (self.slices.len(), self.manifest.units.iter().map(|unit| unit.slices.len()).sum())
    }

    /// What is needed to read the results.
    pub fn notes(&self) -> &Notes {
        &self.notes
    }

    /// The hits so far, the strongest first.
    pub fn hits(&self) -> Vec<Hit> {
        let all = self
            .slices
            .iter()
            .flat_map(|(at, strong)| strong.iter().map(move |(channel, c)| (at, channel, c)));
        let mut all: Vec<_> = all.collect();
        all.sort_unstable_by_key(|(at, channel, c)| (std::cmp::Reverse(c.sum), **channel, **at));
        // A line crosses a tone when their channels are no further apart than both can move together.
        let reach = 2 * self.notes.shape.max_shift;
        let mut taken = BTreeSet::new();
        all.into_iter()
            .filter(|&(_, &channel, _)| {
                let near = channel.saturating_sub(reach)..=channel.saturating_add(reach);
                taken.range(near).next().is_none() && taken.insert(channel)
            })
            .map(|(&(unit, slice), &channel, c)| Hit {
                frequency_mhz: self.notes.frequency_mhz(channel),
                drift_hz_s: self.notes.drift_hz_s(c.trial),
                snr: self.notes.snr_of(c.sum),
                channel,
                shift: self.notes.shape.total_shift(c.trial),
                unit,
                slice,
            })
            .collect()
    }
}
