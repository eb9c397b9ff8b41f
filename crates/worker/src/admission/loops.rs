//! PURE: how often a loop runs at most.
//!
//! One form is accepted, that of a counter which a constant step leads to a bound. lavapipe ends all loops of an
//! invocation after 65,535 iterations without a word and computes on with what it has, and an endless loop hangs a real
//! card until its watchdog resets it; so the number of iterations is proved before anything is compiled.

use naga::{BinaryOperator, Block, Expression, Function, Handle, LocalVariable, Statement};

use super::range::Range;

/// Most loop iterations of one invocation in one dispatch, all loops together: half of what lavapipe computes rightly.
pub(super) const MAX_ITERATIONS: u64 = 32_768;

/// What a publisher has to write.
const FORM: &str = "this loop has no bound that can be proved; write for (var i = A; i < B; i += C), or <=, >, >= with -=, \
                    where C is a constant, B is a constant or clamped like min(n, 1000u), and i is changed nowhere else";
const UNKNOWN_BOUND: &str =
    "the bound of this loop is known only when it runs; clamp it with a constant, like i < min(n, 1000u)";
const UNKNOWN_START: &str =
    "where this loop starts is known only when it runs; clamp it with a constant, like i = min(n, 1000u)";
const WRAPS: &str = "the counter of this loop can pass the end of its type and never meet the bound; leave room for one more step";

/// The counter of a loop, as far as its shape tells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counter {
    pub(super) variable: Handle<LocalVariable>,
    /// The loop goes on while the counter stands in this relation to `bound`.
    relation: Relation,
    pub(super) bound: Handle<Expression>,
    pub(super) step: Handle<Expression>,
    /// The step is subtracted.
    subtracts: bool,
    /// Which statement of the body leaves the loop; only expressions are evaluated before it.
    pub(super) check: usize,
}

impl Counter {
    /// Whether it is `i < bound` with a step that is added.
    pub(super) fn counts_up_to_below(&self) -> bool {
        self.relation == Relation::Less && !self.subtracts
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Relation {
    fn of(op: BinaryOperator) -> Option<Self> {
        match op {
            BinaryOperator::Less => Some(Self::Less),
            BinaryOperator::LessEqual => Some(Self::LessOrEqual),
            BinaryOperator::Greater => Some(Self::Greater),
            BinaryOperator::GreaterEqual => Some(Self::GreaterOrEqual),
            _ => None,
        }
    }

    /// The same with both sides exchanged.
    fn mirrored(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
        }
    }

    fn negated(self) -> Self {
        match self {
            Self::Less => Self::GreaterOrEqual,
            Self::LessOrEqual => Self::Greater,
            Self::Greater => Self::LessOrEqual,
            Self::GreaterOrEqual => Self::Less,
        }
    }
}

/// Finds the counter of a loop.
///
/// # Errors
/// A sentence that says which form is expected.
pub(super) fn counter(
    function: &Function,
    body: &Block,
    continuing: &Block,
) -> Result<Counter, &'static str> {
    let expressions = &function.expressions;
    let check = body.iter().position(|statement| !matches!(statement, Statement::Emit(_))).ok_or(FORM)?;
    let (condition, goes_on) = match body.get(check) {
        Some(Statement::If { condition, accept, reject }) if accept.is_empty() && leaves(reject) => {
            (*condition, true)
        }
        Some(Statement::If { condition, accept, reject }) if leaves(accept) && reject.is_empty() => {
            (*condition, false)
        }
        _ => return Err(FORM),
    };
    let Expression::Binary { op, left, right } = expressions[condition] else { return Err(FORM) };
    let relation = Relation::of(op).ok_or(FORM)?;
    let relation = if goes_on { relation } else { relation.negated() };
    let sides = [(left, right, relation), (right, left, relation.mirrored())];
    for (counted, bound, relation) in sides {
        let Some(variable) = loaded(function, counted) else { continue };
        let Some((step, subtracts)) = stepped(function, continuing, variable) else { continue };
        if assigns(function, body, variable) {
            continue;
        }
        return Ok(Counter { variable, relation, bound, step, subtracts, check });
    }
    Err(FORM)
}

/// A block that does nothing but leave the loop.
fn leaves(block: &Block) -> bool {
    matches!(&block[..], [Statement::Break])
}

/// The variable that an expression reads.
pub(super) fn loaded(function: &Function, expression: Handle<Expression>) -> Option<Handle<LocalVariable>> {
    let Expression::Load { pointer } = function.expressions[expression] else { return None };
    match function.expressions[pointer] {
        Expression::LocalVariable(variable) => Some(variable),
        _ => None,
    }
}

/// The step of `variable = variable + step` or `- step`, where the block does nothing else.
fn stepped(
    function: &Function,
    continuing: &Block,
    variable: Handle<LocalVariable>,
) -> Option<(Handle<Expression>, bool)> {
    let mut acts = continuing.iter().filter(|statement| !matches!(statement, Statement::Emit(_)));
    let (Some(Statement::Store { pointer, value }), None) = (acts.next(), acts.next()) else { return None };
    if !matches!(function.expressions[*pointer], Expression::LocalVariable(target) if target == variable) {
        return None;
    }
    match function.expressions[*value] {
        Expression::Binary { op: BinaryOperator::Add, left, right } => {
            if loaded(function, left) == Some(variable) {
                Some((right, false))
            } else {
                (loaded(function, right) == Some(variable)).then_some((left, false))
            }
        }
        Expression::Binary { op: BinaryOperator::Subtract, left, right } => {
            (loaded(function, left) == Some(variable)).then_some((right, true))
        }
        _ => None,
    }
}

/// Whether a block may assign to `variable`.
fn assigns(function: &Function, block: &Block, variable: Handle<LocalVariable>) -> bool {
    let mut found = false;
    each_assigned(function, block, &mut |assigned| found |= assigned == variable);
    found
}

/// Calls `act` with every local variable that a block may assign to, by a store or through a pointer given to a function.
pub(super) fn each_assigned(function: &Function, block: &Block, act: &mut impl FnMut(Handle<LocalVariable>)) {
    let mut todo = vec![block];
    while let Some(block) = todo.pop() {
        for statement in block.iter() {
            match statement {
                Statement::Block(inner) => todo.push(inner),
                Statement::If { accept, reject, .. } => todo.extend([accept, reject]),
                Statement::Switch { cases, .. } => todo.extend(cases.iter().map(|case| &case.body)),
                Statement::Loop { body, continuing, .. } => todo.extend([body, continuing]),
                Statement::Store { pointer, .. } => {
                    root(function, *pointer).into_iter().for_each(&mut *act);
                }
                Statement::Call { arguments, .. } => {
                    arguments.iter().filter_map(|&argument| root(function, argument)).for_each(&mut *act);
                }
                _ => {}
            }
        }
    }
}

/// The local variable that a pointer leads into.
pub(super) fn root(function: &Function, mut pointer: Handle<Expression>) -> Option<Handle<LocalVariable>> {
    loop {
        match function.expressions[pointer] {
            Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => pointer = base,
            Expression::LocalVariable(variable) => return Some(variable),
            _ => return None,
        }
    }
}

/// What a counted loop does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Course {
    /// The counter where the loop decides whether to go on.
    pub(super) at_check: Range,
    /// The counter in the body.
    pub(super) in_body: Range,
    /// Iterations at most.
    pub(super) count: u64,
}

/// The course of a counter that starts within `first`, of a type with the values `whole`.
///
/// # Errors
/// A sentence that says what is missing.
pub(super) fn course(
    counter: &Counter,
    first: Range,
    bound: Range,
    step: Range,
    whole: Range,
) -> Result<Course, &'static str> {
    let step = step.value().filter(|&step| step != 0).ok_or(FORM)?;
    let step = if counter.subtracts { -step } else { step };
    let upward = matches!(counter.relation, Relation::Less | Relation::LessOrEqual);
    if whole == Range::ANY || upward != (step > 0) {
        return Err(FORM);
    }
    let strict = i64::from(matches!(counter.relation, Relation::Less | Relation::Greater));
    // The last value with which the body can be entered, the value that it then leads to, and where it all starts.
    let (last, start) =
        if upward { (bound.most - strict, first.least) } else { (bound.least + strict, first.most) };
    let end = last + step;
    if !whole.contains(Range::exactly(end)) {
        let unknown = if upward { bound.most == whole.most } else { bound.least == whole.least };
        return Err(if unknown && bound.value().is_none() { UNKNOWN_BOUND } else { WRAPS });
    }
    let way = if upward { last - start } else { start - last };
    let count = if way < 0 { 0 } else { (way / step.abs()) as u64 + 1 };
    if count > MAX_ITERATIONS {
        if bound.value().is_none() {
            return Err(UNKNOWN_BOUND);
        }
        if first.value().is_none() {
            return Err(UNKNOWN_START);
        }
    }
    let entered = if count == 0 { start } else { last };
    let (in_body, passed) = if upward {
        (Range::new(start, entered), Range::new(start, end.max(start)))
    } else {
        (Range::new(entered, start), Range::new(end.min(start), start))
    };
    Ok(Course { at_check: first.join(passed), in_body, count })
}
