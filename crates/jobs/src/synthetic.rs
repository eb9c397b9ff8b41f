//! Recordings that Hearth makes itself: noise with known drifting tones, the same on every machine for one seed.
//!
//! Noise is that of a radiometer: a cell is the sum of 2·Δf·Δt squared Gaussians (chi-squared). It is drawn through
//! the cube of Wilson and Hilferty (PNAS 17, 1931, p. 684) from counted random bits; only additions, products and
//! square roots occur, all exactly rounded by IEEE 754, so the file does not depend on a platform's library. A tone
//! stands in one channel per spectrum and is not smeared inside a spectrum, as setigen's default has it. Used by
//! `cargo xtask run` and by tests; says nowhere that it is a sky.

use serde::{Deserialize, Serialize};

use crate::recording::{Head, Recording};

/// What to make. The default is what `cargo xtask run` searches.
#[derive(Debug, Clone, PartialEq)]
pub struct Synthetic {
    /// Channels; at least 64 per tone.
    pub channels: u32,
    /// Spectra; at least two.
    pub spectra: u32,
    /// Frequency of channel 0 in MHz.
    pub fch1_mhz: f64,
    /// Step from channel to channel in Hz.
    pub foff_hz: f64,
    /// Seconds from spectrum to spectrum.
    pub tsamp_s: f64,
    /// Number of tones, spread over the band.
    pub tones: u32,
    /// S/N of the faintest tone over all spectra.
    pub min_snr: f64,
    /// S/N of the strongest tone over all spectra.
    pub max_snr: f64,
    /// Largest drift of a tone in Hz/s, either sign.
    pub max_drift_hz_s: f64,
    /// Everything random follows from it.
    pub seed: u64,
}

impl Default for Synthetic {
    fn default() -> Self {
        Self {
            channels: 65_536,
            spectra: 16,
            fch1_mhz: 8_419.921_066,
            foff_hz: -2.793_967_7,
            tsamp_s: 18.253_611,
            tones: 5,
            min_snr: 15.0,
            max_snr: 60.0,
            max_drift_hz_s: 3.5,
            seed: 1977,
        }
    }
}

/// A tone that was put into a recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tone {
    /// Channel at the first spectrum.
    pub channel: u32,
    /// Channels from the first spectrum to the last; the sign is that of the channel number.
    pub shift: i32,
    /// Frequency at the first spectrum in MHz.
    pub frequency_mhz: f64,
    /// Drift in Hz/s.
    pub drift_hz_s: f64,
    /// S/N over all spectra.
    pub snr: f64,
}

/// Channels that a straight line of `total` channels has moved at `spectrum`, rounded half away from zero. The sky knows
/// nothing of the paths on which a search sums.
fn line(total: i32, spectrum: u32, spectra: u32) -> i64 {
    let span = i64::from(spectra) - 1;
    let half = if total < 0 { -span } else { span };
    (2 * i64::from(total) * i64::from(spectrum) + half) / (2 * span)
}

/// Mean power of a cell.
const MEAN: f64 = 10.0;

impl Synthetic {
    /// Makes the recording and tells its tones by rising channel.
    ///
    /// # Panics
    /// When a field is outside the bounds that it names.
    pub fn generate(&self) -> (Recording, Vec<Tone>) {
        assert!(self.spectra >= 2, "a drift needs two spectra");
        assert!(u64::from(self.channels) >= 64 * u64::from(self.tones.max(1)), "tones need 64 channels each");
        let degrees = (2.0 * self.foff_hz.abs() * self.tsamp_s).round().max(2.0);
        let mut noise = Noise { bits: Bits { seed: self.seed, counter: 0 }, width: 2.0 / (9.0 * degrees) };
        let cells = self.channels as usize * self.spectra as usize;
        let mut samples: Vec<f32> = (0..cells).map(|_| (MEAN * noise.next()) as f32).collect();

        let tones = self.tones();
        let deviation = MEAN * (2.0 / degrees).sqrt();
        for tone in &tones {
            let power = tone.snr * deviation / f64::from(self.spectra).sqrt();
            for spectrum in 0..self.spectra {
                let channel = i64::from(tone.channel) + line(tone.shift, spectrum, self.spectra);
                let channel = channel.clamp(0, i64::from(self.channels) - 1) as usize;
                samples[spectrum as usize * self.channels as usize + channel] += power as f32;
            }
        }
        let head = Head {
            source_name: format!("Synthetic seed {}", self.seed),
            fch1_mhz: self.fch1_mhz,
            foff_mhz: self.foff_hz / 1e6,
            channels: self.channels,
            tsamp_s: self.tsamp_s,
            tstart_mjd: 60_000.0,
        };
        let recording = Recording::new(head, samples).expect("one sample was drawn per spectrum and channel");
        (recording, tones)
    }

    fn tones(&self) -> Vec<Tone> {
        let mut bits = Bits { seed: self.seed ^ 0x746f_6e65, counter: 0 };
        let span_s = f64::from(self.spectra - 1) * self.tsamp_s;
        let largest = (self.max_drift_hz_s * span_s / self.foff_hz.abs()).floor();
        let room = f64::from(self.channels) / f64::from(self.tones.max(1));
        let mut strengths: Vec<f64> = (0..self.tones)
            .map(|i| {
                let rank = f64::from(i) / f64::from(self.tones.max(2) - 1);
                self.min_snr + (self.max_snr - self.min_snr) * rank
            })
            .collect();
        for i in (1..strengths.len()).rev() {
            strengths.swap(i, bits.below(i as u64 + 1) as usize);
        }
        let place = |i: u32, snr: f64| {
            // Each tone has a share of the band for itself and stays in its middle half.
            let channel = (room * (f64::from(i) + 0.25 + 0.5 * bits.fraction())) as u32;
            let shift = (largest * (2.0 * bits.fraction() - 1.0)).round() as i32;
            Tone {
                channel,
                shift,
                frequency_mhz: self.fch1_mhz + f64::from(channel) * self.foff_hz / 1e6,
                drift_hz_s: f64::from(shift) * self.foff_hz / span_s,
                snr,
            }
        };
        (0..self.tones)
            .zip(strengths)
            .map({
                let mut place = place;
                move |(i, snr)| place(i, snr)
            })
            .collect()
    }
}

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) as a counter: the n-th word is a hash of seed and n.
struct Bits {
    seed: u64,
    counter: u64,
}

impl Bits {
    fn next(&mut self) -> u64 {
        self.counter += 1;
        let mut z = self.seed.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(0x5851_f42d_4c95_7f2d);
        z = z.wrapping_add(self.counter.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Evenly in [0, 1).
    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Evenly in 0..`n`.
    fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }
}

/// Chi-squared noise of mean one.
struct Noise {
    bits: Bits,
    width: f64,
}

impl Noise {
    fn next(&mut self) -> f64 {
        // The number of ones among 256 fair bits has deviation 8; the fraction fills the gaps between whole numbers.
        let ones: u32 = (0..4).map(|_| self.bits.next().count_ones()).sum();
        let normal = (f64::from(ones) - 128.0 + self.bits.fraction() - 0.5) / 8.0;
        let root = (1.0 - self.width + normal * self.width.sqrt()).max(0.0);
        root * root * root
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small(seed: u64) -> Synthetic {
        Synthetic { channels: 8192, tones: 2, seed, ..Synthetic::default() }
    }

    #[test]
    fn one_seed_gives_one_recording_and_another_seed_another() {
        let (one, tones) = small(7).generate();
        let (again, tones_again) = small(7).generate();
        assert_eq!((&one, &tones), (&again, &tones_again), "nothing but the seed decides");
        assert_ne!(one, small(8).generate().0);
        let mut bytes = Vec::new();
        one.write(&mut bytes).unwrap();
        // Frozen so that a change of the generator, or a platform that rounds otherwise, shows.
        assert_eq!(protocol::id::Hash::of(&bytes).short(), "aa9728c0");
    }

    #[test]
    fn the_noise_has_the_mean_and_the_spread_of_a_radiometer() {
        let recording = Synthetic { tones: 0, channels: 65_536, ..Synthetic::default() }.generate().0;
        let n = recording.samples().len() as f64;
        let mean = recording.samples().iter().map(|&x| f64::from(x)).sum::<f64>() / n;
        let variance = recording.samples().iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n;
        assert!((mean - MEAN).abs() < 0.01, "mean {mean}");
        assert!(
            (variance.sqrt() / mean - (2.0_f64 / 102.0).sqrt()).abs() < 0.001,
            "deviation {}",
            variance.sqrt()
        );
    }

    #[test]
    fn a_recording_survives_its_file() {
        let recording = small(3).generate().0;
        let mut bytes = Vec::new();
        recording.write(&mut bytes).unwrap();
        assert_eq!(Recording::read(bytes.as_slice()).unwrap(), recording);
    }
}
