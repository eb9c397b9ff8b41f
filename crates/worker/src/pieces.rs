//! PURE: how a slice is cut into pieces, how large the next one is, and how far the slice has come.
//!
//! A piece is one submission: dispatches of one stage that together should take the target time. It never touches the
//! device and never reads a clock; `engine.rs` tells it what it measured.

use std::time::Duration;

use protocol::frames::Pace;
use protocol::manifest::Program;

/// Dispatches of one piece; each has a slot of its own in the uniform buffer.
pub(crate) const MAX_DISPATCHES: usize = 64;
/// Largest number of groups of one dispatch, the limit of every driver.
const MAX_GROUPS: u32 = 65_535;

/// A position in a slice: everything before it is done or queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Cursor {
    pub(crate) stage: usize,
    pub(crate) repeat: u32,
    pub(crate) group: u32,
}

/// One dispatch of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dispatch {
    pub(crate) repeat: u32,
    pub(crate) first: u32,
    pub(crate) groups: u32,
}

/// One submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) stage: usize,
    pub(crate) dispatches: Vec<Dispatch>,
    /// Groups of all dispatches together.
    pub(crate) groups: u64,
    /// Where the slice stands when this piece is done.
    pub(crate) after: Cursor,
}

/// Groups and repeats of a program's stages.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    stages: Vec<Grid>,
}

#[derive(Debug, Clone, Copy)]
struct Grid {
    groups: u32,
    repeat: u32,
    threads: u32,
}

impl Plan {
    pub(crate) fn of(program: &Program) -> Self {
        let stages = program.stages.iter().map(|stage| {
            let kernel = program.kernels.get(usize::from(stage.kernel));
            let threads = kernel.map_or(1, |k| k.workgroup.iter().product());
            Grid { groups: stage.groups, repeat: stage.repeat, threads }
        });
        Self { stages: stages.collect() }
    }

    /// The piece of about `groups` groups that begins at `from`; `None` at the end of the slice.
    pub(crate) fn piece(&self, from: Cursor, groups: u64) -> Option<Piece> {
        let grid = self.stages.get(from.stage)?;
        let mut left = groups.max(1);
        let mut after = from;
        let mut dispatches = Vec::new();
        while left > 0 && dispatches.len() < MAX_DISPATCHES && after.stage == from.stage {
            let wanted = u32::try_from(left).unwrap_or(u32::MAX);
            let groups = (grid.groups - after.group).min(MAX_GROUPS).min(wanted);
            dispatches.push(Dispatch { repeat: after.repeat, first: after.group, groups });
            left -= u64::from(groups);
            after.group += groups;
            if after.group == grid.groups {
                after = Cursor { stage: after.stage, repeat: after.repeat + 1, group: 0 };
            }
            if after.repeat == grid.repeat {
                after = Cursor { stage: after.stage + 1, repeat: 0, group: 0 };
            }
        }
        let groups = dispatches.iter().map(|d| u64::from(d.groups)).sum();
        Some(Piece { stage: from.stage, dispatches, groups, after })
    }

    /// Whether the position lies inside the slice.
    pub(crate) fn holds(&self, at: Cursor) -> bool {
        self.stages.get(at.stage).is_some_and(|grid| at.repeat < grid.repeat && at.group < grid.groups)
    }

    /// Thousandths of the slice's threads that lie before `at`.
    pub(crate) fn permille(&self, at: Cursor) -> u16 {
        let threads =
            |grid: &Grid| u128::from(grid.groups) * u128::from(grid.repeat) * u128::from(grid.threads);
        let all: u128 = self.stages.iter().map(threads).sum();
        let stages_before: u128 = self.stages.iter().take(at.stage).map(threads).sum();
        let within = self.stages.get(at.stage).map_or(0, |grid| {
            (u128::from(at.repeat) * u128::from(grid.groups) + u128::from(at.group))
                * u128::from(grid.threads)
        });
        u16::try_from((stages_before + within) * 1000 / all.max(1)).unwrap_or(1000).min(1000)
    }

    pub(crate) fn stages(&self) -> usize {
        self.stages.len()
    }
}

/// Largest share of the time that may be lost to the fixed cost of pieces: 3 % (DESIGN.md §5).
const MOST_LOST: f64 = 0.03;
/// Shortest target that a worker takes by itself. Shorter pieces would cost a processor core more than the owner gains.
const SHORTEST: Duration = Duration::from_millis(4);

/// Groups per piece and stage, adapted so that a piece takes the target time. Kept from slice to slice.
#[derive(Debug, Clone)]
pub(crate) struct Sizes {
    groups: Vec<f64>,
    /// What a piece costs before it computes anything: submission, fence, waking up.
    fixed: Option<Duration>,
    target: Duration,
}

impl Sizes {
    /// One group per piece at first: how long a group takes is not known.
    pub(crate) fn new(stages: usize) -> Self {
        Self { groups: vec![1.0; stages], fixed: None, target: Duration::ZERO }
    }

    /// Learns what a piece without groups costs on this device. Takes effect with the next [`Self::aim`].
    pub(crate) fn learn_fixed(&mut self, cost: Duration) {
        self.fixed = Some(cost);
    }

    /// Takes a new target; known sizes scale with it.
    pub(crate) fn aim(&mut self, pace: Pace) {
        let target = target(pace, self.fixed);
        if !self.target.is_zero() {
            let factor = target.as_secs_f64() / self.target.as_secs_f64();
            // Growth waits for measurements; shrinking does not.
            for groups in &mut self.groups {
                *groups = (*groups * factor.min(1.0)).max(1.0);
            }
        }
        self.target = target;
    }

    /// Groups of the next piece of a stage.
    pub(crate) fn groups(&self, stage: usize) -> u64 {
        // Rounding a positive, bounded number of groups.
        self.groups.get(stage).map_or(1, |groups| groups.round() as u64)
    }

    /// Learns that `groups` groups of `stage` kept the device busy for `busy`. A piece cut short by the end of its
    /// stage tells how long a group takes, but not that more would have fitted.
    pub(crate) fn learn(&mut self, stage: usize, groups: u64, busy: Duration) {
        let Some(size) = self.groups.get_mut(stage) else { return };
        let factor = (self.target.as_secs_f64() / busy.as_secs_f64().max(1e-6)).clamp(0.5, 2.0);
        let measured = groups as f64;
        if factor < 1.0 || measured >= *size * 0.5 {
            *size = (measured.min(*size) * factor).clamp(1.0, f64::from(MAX_GROUPS) * MAX_DISPATCHES as f64);
        }
    }
}

/// The shortest time of a piece that loses no more than [`MOST_LOST`] to its fixed cost, within the bounds of the pace.
/// With two pieces in flight a card hides part of that cost, so the true loss is smaller.
fn target(pace: Pace, fixed: Option<Duration>) -> Duration {
    let first = Duration::from_micros(pace.piece_micros.max(100).into());
    let longest = Duration::from_micros(pace.longest_micros.into());
    match fixed {
        Some(fixed) if longest > first => fixed.div_f64(MOST_LOST).clamp(SHORTEST.min(first), longest),
        _ => first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(grids: &[(u32, u32)]) -> Plan {
        let grid = |&(groups, repeat)| Grid { groups, repeat, threads: 64 };
        Plan { stages: grids.iter().map(grid).collect() }
    }

    fn cover(plan: &Plan, groups: u64) -> Vec<(usize, u32, u32, u32)> {
        let mut at = Cursor::default();
        let mut seen = Vec::new();
        while let Some(piece) = plan.piece(at, groups) {
            for d in &piece.dispatches {
                seen.push((piece.stage, d.repeat, d.first, d.groups));
            }
            at = piece.after;
        }
        seen
    }

    #[test]
    fn every_group_of_every_repeat_is_dispatched_once_and_in_order() {
        let plan = plan(&[(10, 3), (1, 1), (70_000, 2)]);
        for size in [1, 3, 10, 17, 1 << 20] {
            let mut expected = (0, 0, 0);
            for (stage, repeat, first, groups) in cover(&plan, size) {
                assert_eq!((stage, repeat, first), expected, "no gap and no overlap with pieces of {size}");
                assert!(groups <= MAX_GROUPS, "drivers allow no more groups in one dispatch");
                let grid = plan.stages[stage];
                expected = match (first + groups == grid.groups, repeat + 1 == grid.repeat) {
                    (false, _) => (stage, repeat, first + groups),
                    (true, false) => (stage, repeat + 1, 0),
                    (true, true) => (stage + 1, 0, 0),
                };
            }
            assert_eq!(expected, (3, 0, 0), "the slice is covered to its end with pieces of {size}");
        }
    }

    #[test]
    fn a_position_behind_the_last_group_is_not_in_the_slice() {
        let plan = plan(&[(10, 3)]);
        assert!(plan.holds(Cursor { stage: 0, repeat: 2, group: 9 }));
        assert!(!plan.holds(Cursor { stage: 0, repeat: 3, group: 0 }));
        assert!(!plan.holds(Cursor { stage: 1, repeat: 0, group: 0 }));
    }

    #[test]
    fn sizes_settle_at_the_target_time() {
        let mut sizes = Sizes::new(1);
        sizes.aim(Pace { piece_micros: 4000, longest_micros: 4000, ..Pace::AWAY });
        for _ in 0..40 {
            let groups = sizes.groups(0);
            sizes.learn(0, groups, Duration::from_micros(groups * 10));
        }
        assert_eq!(sizes.groups(0), 400, "400 groups of 10 µs are the 4 ms asked for");
        sizes.aim(Pace { piece_micros: 2000, longest_micros: 2000, ..Pace::AWAY });
        assert_eq!(sizes.groups(0), 200, "a shorter target holds from the next piece on");
    }

    fn target_with(fixed_micros: u64, pace: Pace) -> Duration {
        target(pace, Some(Duration::from_micros(fixed_micros)))
    }

    #[test]
    fn pieces_grow_until_their_fixed_cost_is_three_percent() {
        assert_eq!(target_with(180, Pace::AWAY), Duration::from_millis(6), "180 µs are 3 % of 6 ms");
    }

    #[test]
    fn pieces_shrink_where_they_cost_little_so_that_the_device_is_free_sooner() {
        assert_eq!(target_with(135, Pace::AWAY), Duration::from_micros(4_500), "135 µs are 3 % of 4.5 ms");
        assert_eq!(target_with(1, Pace::AWAY), SHORTEST, "the processor pays for each piece too");
    }

    #[test]
    fn pieces_never_pass_the_longest_target_whatever_they_lose() {
        let longest = Duration::from_millis(12);
        assert_eq!(target_with(5_000, Pace::AWAY), longest, "the owner's time comes before throughput");
    }

    #[test]
    fn somebody_near_gets_short_pieces_whatever_they_cost() {
        assert_eq!(
            target_with(5_000, Pace::NEAR),
            Duration::from_millis(2),
            "two milliseconds and no longer"
        );
    }

    #[test]
    fn a_device_whose_cost_is_not_known_begins_with_the_target_of_the_pace() {
        assert_eq!(target(Pace::AWAY, None), Duration::from_millis(8));
    }

    #[test]
    fn progress_counts_threads_over_all_stages() {
        let plan = plan(&[(10, 1), (10, 3)]);
        assert_eq!(plan.permille(Cursor::default()), 0);
        assert_eq!(plan.permille(Cursor { stage: 1, repeat: 1, group: 0 }), 500);
        assert_eq!(plan.permille(Cursor { stage: 2, repeat: 0, group: 0 }), 1000);
    }
}
