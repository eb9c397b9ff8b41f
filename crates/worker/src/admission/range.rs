//! PURE: between which two numbers the integers of an expression lie.
//!
//! The arithmetic is that of WGSL on 32 bits: where a result could leave its type it wraps, and all that is known is the
//! type. A vector has one range for all of its components.

use naga::{BinaryOperator, Literal, Scalar, ScalarKind, TypeInner};

/// Least and most, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) least: i64,
    pub(super) most: i64,
}

impl Range {
    /// What is known of a value that is no 32-bit integer.
    pub(super) const ANY: Self = Self { least: i64::MIN, most: i64::MAX };

    pub(super) fn new(least: i64, most: i64) -> Self {
        Self { least, most }
    }

    pub(super) fn exactly(value: i64) -> Self {
        Self { least: value, most: value }
    }

    /// All values of a type.
    pub(super) fn of(inner: &TypeInner) -> Self {
        match inner.scalar() {
            Some(Scalar { kind: ScalarKind::Sint, width: 4 }) => Self::new(i32::MIN.into(), i32::MAX.into()),
            Some(Scalar { kind: ScalarKind::Uint, width: 4 }) => Self::new(0, u32::MAX.into()),
            Some(Scalar { kind: ScalarKind::Bool, .. }) => Self::new(0, 1),
            _ => Self::ANY,
        }
    }

    pub(super) fn of_literal(literal: &Literal) -> Self {
        match *literal {
            Literal::U32(value) => Self::exactly(value.into()),
            Literal::I32(value) => Self::exactly(value.into()),
            Literal::AbstractInt(value) => Self::exactly(value),
            Literal::Bool(value) => Self::exactly(value.into()),
            _ => Self::ANY,
        }
    }

    /// The only value, where there is only one.
    pub(super) fn value(self) -> Option<i64> {
        (self.least == self.most).then_some(self.least)
    }

    pub(super) fn join(self, other: Self) -> Self {
        Self { least: self.least.min(other.least), most: self.most.max(other.most) }
    }

    pub(super) fn contains(self, other: Self) -> bool {
        self.least <= other.least && other.most <= self.most
    }

    /// This range where it fits `whole`; otherwise the value may have wrapped, and `whole` is all that is known.
    pub(super) fn within(self, whole: Self) -> Self {
        if whole != Self::ANY && whole.contains(self) { self } else { whole }
    }

    fn is_natural(self) -> bool {
        self.least >= 0
    }

    pub(super) fn min(self, other: Self) -> Self {
        Self { least: self.least.min(other.least), most: self.most.min(other.most) }
    }

    pub(super) fn max(self, other: Self) -> Self {
        Self { least: self.least.max(other.least), most: self.most.max(other.most) }
    }
}

/// The range of `a op b` in a type with the values `whole`.
pub(super) fn binary(op: BinaryOperator, a: Range, b: Range, whole: Range) -> Range {
    if whole == Range::ANY || a == Range::ANY || b == Range::ANY {
        return whole;
    }
    let natural = a.is_natural() && b.is_natural();
    let bits_below = |most: i64| (1_i64 << (64 - most.leading_zeros())) - 1;
    let range = match op {
        BinaryOperator::Add => Range::new(a.least + b.least, a.most + b.most),
        BinaryOperator::Subtract => Range::new(a.least - b.most, a.most - b.least),
        BinaryOperator::Multiply if natural => {
            Range::new(a.least.saturating_mul(b.least), a.most.saturating_mul(b.most))
        }
        BinaryOperator::Divide if natural && b.least > 0 => Range::new(a.least / b.most, a.most / b.least),
        BinaryOperator::Modulo if natural && b.least > 0 => Range::new(0, a.most.min(b.most - 1)),
        BinaryOperator::And if natural => Range::new(0, a.most.min(b.most)),
        BinaryOperator::InclusiveOr if natural => {
            Range::new(a.least.max(b.least), bits_below(a.most.max(b.most)))
        }
        BinaryOperator::ExclusiveOr if natural => Range::new(0, bits_below(a.most.max(b.most))),
        BinaryOperator::ShiftRight if natural && b.most < 32 => {
            Range::new(a.least >> b.most, a.most >> b.least)
        }
        BinaryOperator::ShiftLeft if natural && b.most < 32 => {
            Range::new(a.least << b.least, a.most << b.most)
        }
        _ => whole,
    };
    range.within(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    const U32: Range = Range { least: 0, most: u32::MAX as i64 };
    const I32: Range = Range { least: i32::MIN as i64, most: i32::MAX as i64 };

    /// Small numbers, and those at the ends of the type.
    fn samples(whole: Range) -> Vec<i64> {
        (0..9)
            .flat_map(|i| [whole.least + i, whole.most - i, i, 28 + i])
            .filter(|&v| v >= whole.least)
            .collect()
    }

    #[test]
    fn no_operator_gives_a_value_outside_of_its_range() {
        use BinaryOperator as Op;
        let operators = [
            Op::Add,
            Op::Subtract,
            Op::Multiply,
            Op::Divide,
            Op::Modulo,
            Op::And,
            Op::InclusiveOr,
            Op::ExclusiveOr,
            Op::ShiftLeft,
            Op::ShiftRight,
        ];
        for (whole, signed) in [(U32, false), (I32, true)] {
            let samples = samples(whole);
            // Every range that begins and ends at a sample, in steps that keep the test short.
            let ranges: Vec<Range> = samples
                .iter()
                .step_by(3)
                .flat_map(|&x| samples.iter().step_by(5).map(move |&y| Range::new(x.min(y), x.max(y))))
                .collect();
            for op in operators {
                for (&a, &b) in ranges.iter().flat_map(|a| ranges.iter().map(move |b| (a, b))) {
                    let range = binary(op, a, b, whole);
                    for (x, y) in [(a.least, b.least), (a.least, b.most), (a.most, b.least), (a.most, b.most)]
                    {
                        let Some(value) = computed(op, x, y, signed) else { continue };
                        assert!(
                            range.contains(Range::exactly(value)),
                            "{x} {op:?} {y} = {value} is outside of {range:?} for {a:?} and {b:?}"
                        );
                    }
                }
            }
        }
    }

    /// What WGSL computes; `None` where the integer subset refuses it.
    fn computed(op: BinaryOperator, x: i64, y: i64, signed: bool) -> Option<i64> {
        let wrap = |value: i64| if signed { i64::from(value as i32) } else { i64::from(value as u32) };
        let shift = u32::try_from(y).ok().filter(|&y| y < 32);
        Some(match op {
            BinaryOperator::Add => wrap(x + y),
            BinaryOperator::Subtract => wrap(x - y),
            BinaryOperator::Multiply => wrap(x.wrapping_mul(y)),
            BinaryOperator::Divide => wrap(x.checked_div(y)?),
            BinaryOperator::Modulo => wrap(x.checked_rem(y)?),
            BinaryOperator::And => wrap(x & y),
            BinaryOperator::InclusiveOr => wrap(x | y),
            BinaryOperator::ExclusiveOr => wrap(x ^ y),
            BinaryOperator::ShiftLeft => wrap(x << shift?),
            BinaryOperator::ShiftRight => wrap(x >> shift?),
            _ => return None,
        })
    }

    #[test]
    fn the_usual_ways_to_bound_a_value_bound_it() {
        use BinaryOperator as Op;
        let known = |op, b| binary(op, U32, Range::exactly(b), U32);
        assert_eq!(known(Op::ShiftRight, 28), Range::new(0, 15));
        assert_eq!(known(Op::And, 31), Range::new(0, 31));
        assert_eq!(known(Op::Modulo, 7), Range::new(0, 6));
        assert_eq!(known(Op::InclusiveOr, 1), Range::new(1, u32::MAX.into()));
        assert_eq!(known(Op::Add, 1), U32, "a sum that may wrap may be anything");
        assert_eq!(U32.min(Range::exactly(1000)), Range::new(0, 1000));
        assert_eq!(U32.max(Range::exactly(1)), Range::new(1, u32::MAX.into()));
    }
}
