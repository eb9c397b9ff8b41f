//! From the results of slices to hits: what the publisher of a search wants to know.
//!
//! Results arrive slice by slice and in any order; [`Findings::hits`] can be asked at any time. A strong tone also
//! lifts every sum whose line crosses it, so a candidate within the reach of a stronger one is not a hit of its own
//! ([`Candidates::hits`]). While slices are missing, such a shadow may stand until the slice with the tone itself arrives.

use std::collections::BTreeMap;

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
    /// Channel of the recording at the first spectrum.
    pub channel: u32,
    /// Channels from the first to the last spectrum of the tree ([`super::padded`]).
    pub shift: i32,
    /// Window of the recording in which it was found; each is a job of its own.
    pub window: u32,
    /// Unit of that job.
    pub unit: u32,
    /// Slice of that unit.
    pub slice: u32,
}

/// Lines above the threshold, at most one per 64 channels, from one or more windows of a recording.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Candidates {
    reach: u32,
    all: Vec<Line>,
}

/// A candidate with its power above the noise, in the unit of the recording: what windows with different noise have in
/// common. A quiet window would otherwise make the shadow of a line look stronger than the line in a loud one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    power: f64,
    hit: Hit,
}

impl Candidates {
    pub(super) fn new(notes: &Notes, all: Vec<Line>) -> Self {
        Self { reach: 2 * notes.shape.max_shift, all }
    }

    /// Takes those of another window in.
    pub fn join(&mut self, other: Self) {
        self.reach = self.reach.max(other.reach);
        self.all.extend(other.all);
    }

    /// The hits, the strongest first: the candidates within whose reach there is none with more power. The reach is twice the
    /// largest shift, as far as two lines can be apart that cross. Of equally strong ones the lowest channel counts.
    pub fn hits(&self) -> Vec<Hit> {
        let mut all: Vec<&Line> = self.all.iter().collect();
        all.sort_unstable_by_key(|line| line.hit.channel);
        let stronger =
            |a: &Line, b: &Line| a.power.total_cmp(&b.power).then(b.hit.channel.cmp(&a.hit.channel)).is_gt();
        let near = |a: &Line, b: &Line| a.hit.channel.abs_diff(b.hit.channel) <= self.reach;
        let mut hits: Vec<Hit> = (0..all.len())
            .filter(|&i| {
                let line = all[i];
                let below = all[..i].iter().rev().take_while(|other| near(line, other));
                let above = all[i + 1..].iter().take_while(|other| near(line, other));
                !below.chain(above).any(|other| stronger(other, line))
            })
            .map(|i| all[i].hit.clone())
            .collect();
        hits.sort_by(|a, b| b.snr.total_cmp(&a.snr).then(a.channel.cmp(&b.channel)));
        hits
    }
}

/// The candidates of one slice that exceed the threshold.
pub(super) fn strong(notes: &Notes, head: &SliceHead, candidates: &[Candidate], at: (u32, u32)) -> Vec<Line> {
    let (unit, slice) = at;
    candidates
        .iter()
        .filter(|c| c.sum >= notes.threshold_sum && c.channel < head.valid)
        .filter_map(|c| {
            // Both come from a manifest, which may say anything.
            let channel = head.first_channel.checked_add(c.channel)?;
            let power = (f64::from(c.sum) - notes.median_sum) / notes.levels_per_power;
            let hit = Hit {
                frequency_mhz: notes.frequency_mhz(channel),
                drift_hz_s: notes.drift_hz_s(c.trial),
                snr: notes.snr_of(c.sum),
                channel: notes.first_channel.checked_add(channel)?,
                shift: notes.shape.total_shift(c.trial),
                window: notes.window,
                unit,
                slice,
            };
            Some(Line { power, hit })
        })
        .collect()
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
    slices: BTreeMap<(u32, u32), Vec<Line>>,
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
        let strong = strong(&self.notes, &head, &candidates(&head, output)?, (unit, slice));
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

    /// The candidates so far.
    pub fn candidates(&self) -> Candidates {
        Candidates::new(&self.notes, self.slices.values().flatten().cloned().collect())
    }

    /// The hits so far, the strongest first.
    pub fn hits(&self) -> Vec<Hit> {
        self.candidates().hits()
    }
}
