//! PURE: how much of the time the card may work so that it stays at the temperature that its owner wants.
//!
//! A proportional-integral controller in its velocity form (Åström and Hägglund, "PID Controllers", 1995, §3.5): each
//! step changes the share of working time by what the temperature did and by how far it is from the target, so that
//! limits need no special treatment of a wound-up sum. `policy` steps it while the card works and keeps it in its
//! memory. It never pauses work: a card that is too warm at the smallest share is `policy`'s to stop.

use std::time::Duration;

use protocol::units::UnixMillis;

/// Smallest share, in percent: what the owner can choose as the smallest limit too.
pub const LEAST_PERCENT: u8 = 10;
/// Change of the share per degree, in thousandths of a percent. This gain and the next one were chosen by playing cards that
/// warm by 0.3 to 0.75 °C per percent of their time, up to 12 °C of it at once and the rest within 20 to 120 s (see the
/// tests): it goes at most 4 °C too high on the way up and then stays within 2 °C.
const PROPORTIONAL: i64 = 3000;
/// Change of the share per degree and second, in thousandths of a percent.
const INTEGRAL: i64 = 20;
/// So far below its target, in °C, nothing holds the card back, and a jump up to there is no reason to slow down: the
/// chip itself warms within a second or two when it begins to work.
const BAND: u8 = 20;
/// A longer gap than this says nothing about what happened in between.
const LONGEST_STEP: Duration = Duration::from_secs(10);
/// The same reading again so soon is left to add up, so that no step is lost in rounding.
const SHORTEST_STEP: Duration = Duration::from_secs(1);
/// The share that is told moves in steps of so many percent, so that a worker is not told a new pace each second.
const TOLD_IN_STEPS: u8 = 5;

/// The controller's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thermostat {
    /// Thousandths of a percent.
    share: i64,
    last: Option<(UnixMillis, u8)>,
    told: u8,
}

impl Default for Thermostat {
    fn default() -> Self {
        Self { share: 100_000, last: None, told: 100 }
    }
}

impl Thermostat {
    /// Takes a reading in, of a card that has worked since the last one.
    pub fn step(&mut self, celsius: u8, target: u8, now: UnixMillis) {
        let floor = target.saturating_sub(BAND);
        let cool = celsius <= floor;
        let celsius = celsius.max(floor);
        let error = i64::from(target) - i64::from(celsius);
        if let Some((last_at, last)) = self.last {
            let passed = now.since(last_at).min(LONGEST_STEP);
            if last == celsius && passed < SHORTEST_STEP {
                return;
            }
            let millis = i64::try_from(passed.as_millis()).unwrap_or(0);
            let risen = i64::from(celsius) - i64::from(last);
            self.share += error * INTEGRAL * millis / 1000 - risen * PROPORTIONAL;
            self.share = self.share.clamp(i64::from(LEAST_PERCENT) * 1000, 100_000);
        }
        if cool {
            self.share = 100_000;
        }
        self.last = Some((now, celsius));
        let exact = u8::try_from(self.share / 1000).unwrap_or(100);
        if exact.abs_diff(self.told) >= TOLD_IN_STEPS || exact == LEAST_PERCENT || exact == 100 {
            self.told = exact;
        }
    }

    /// The card rests, or its temperature is not known: what comes next is not the answer to this share.
    pub fn rest(&mut self) {
        self.last = None;
    }

    /// Share of the time that the card may work, in percent.
    pub fn percent(&self) -> u8 {
        self.told
    }

    /// Whether it already works as little as it can.
    pub fn is_at_least(&self) -> bool {
        self.told <= LEAST_PERCENT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A card as a heat store with one leak, and a chip in it that is warmer while it works: the store warms toward
    /// `room + slow * share` with a time constant, the chip is `fast * share` above it.
    struct Plant {
        celsius: f64,
        room: f64,
        slow: f64,
        fast: f64,
        constant: f64,
    }

    impl Plant {
        fn pass(&mut self, percent: u8, seconds: f64) {
            let end = self.room + self.slow * f64::from(percent);
            self.celsius += (end - self.celsius) * (1.0 - (-seconds / self.constant).exp());
        }

        fn chip(&self, percent: u8) -> f64 {
            self.celsius + self.fast * f64::from(percent)
        }
    }

    /// Plays half an hour from cold and gives temperature and share of every second.
    fn play(plant: &mut Plant, target: u8) -> Vec<(f64, u8)> {
        let mut thermostat = Thermostat::default();
        let mut seen = Vec::new();
        for second in 0..1800 {
            let chip = plant.chip(thermostat.percent());
            if second % 2 == 0 {
                thermostat.step(chip.round() as u8, target, UnixMillis(1_000_000 + second * 1000));
            }
            plant.pass(thermostat.percent(), 1.0);
            seen.push((chip, thermostat.percent()));
        }
        seen
    }

    #[test]
    fn every_card_is_held_at_its_target_without_going_on_and_off() {
        let target = 60;
        for (slow, fast) in
            [0.3, 0.4, 0.5, 0.6, 0.7].into_iter().flat_map(|s| [0.0, 0.06, 0.12].map(|f| (s, f)))
        {
            if slow + fast > 0.76 {
                continue;
            }
            for constant in [20.0, 60.0, 120.0] {
                let seen = play(&mut Plant { celsius: 32.0, room: 32.0, slow, fast, constant }, target);
                let what = format!("slow {slow}, fast {fast}, constant {constant} s");
                let warmest = seen.iter().map(|(celsius, _)| *celsius).fold(0.0, f64::max);
                assert!(warmest < f64::from(target) + 4.5, "{what}: it went up to {warmest:.1} °C");
                let settled = &seen[1200..];
                let least = settled.iter().map(|(celsius, _)| *celsius).fold(f64::MAX, f64::min);
                let most = settled.iter().map(|(celsius, _)| *celsius).fold(0.0, f64::max);
                assert!(most - least < 2.0, "{what}: it swings between {least:.1} and {most:.1} °C");
                let reachable = 32.0 + (slow + fast) * 100.0;
                let middle = settled.iter().map(|(celsius, _)| *celsius).sum::<f64>() / 600.0;
                let wanted = f64::from(target).min(reachable);
                assert!((middle - wanted).abs() < 1.5, "{what}: held at {middle:.1}, wanted {wanted:.1} °C");
                let least_share = settled.iter().map(|(_, share)| *share).min().unwrap();
                assert!(least_share > LEAST_PERCENT, "{what}: it went on and off");
            }
        }
    }

    #[test]
    fn a_chip_that_warms_at_once_is_not_slowed_down_far_from_its_target() {
        let mut thermostat = Thermostat::default();
        thermostat.step(40, 80, UnixMillis(0));
        thermostat.step(60, 80, UnixMillis(2000));
        assert_eq!(thermostat.percent(), 100, "twenty degrees in two seconds, and twenty more to go");
    }

    #[test]
    fn a_cool_card_works_all_the_time() {
        let mut plant = Plant { celsius: 30.0, room: 30.0, slow: 0.3, fast: 0.0, constant: 60.0 };
        let seen = play(&mut plant, 80);
        assert!(seen.iter().all(|(_, share)| *share == 100), "nothing held it back");
    }

    #[test]
    fn a_card_that_heats_at_the_least_share_says_that_it_is_there() {
        let mut thermostat = Thermostat::default();
        for second in 0..600 {
            thermostat.step(84, 60, UnixMillis(second * 1000));
        }
        assert!(thermostat.is_at_least());
    }

    #[test]
    fn asking_often_is_the_same_as_asking_seldom() {
        let steps = |every: u64| {
            let mut thermostat = Thermostat::default();
            for at in (0..=120_000).step_by(usize::try_from(every).unwrap()) {
                thermostat.step(65, 60, UnixMillis(at));
            }
            thermostat.percent()
        };
        assert!(steps(100).abs_diff(steps(2000)) <= 2, "{} and {}", steps(100), steps(2000));
    }

    #[test]
    fn a_rest_is_not_taken_for_cooling() {
        let mut thermostat = Thermostat::default();
        thermostat.step(70, 60, UnixMillis(0));
        thermostat.step(70, 60, UnixMillis(10_000));
        let before = thermostat.percent();
        thermostat.rest();
        thermostat.step(40, 60, UnixMillis(600_000));
        assert_eq!(
            thermostat.percent(),
            before,
            "the first reading after a rest has nothing to compare with"
        );
    }
}
