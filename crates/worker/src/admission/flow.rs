//! PURE: what can be proved about the values and the control flow of a function without running it.
//!
//! One walk over the statements in the order in which they run keeps, for each local variable, the range of its values
//! and whether all invocations of a workgroup hold the same one; branches are joined, and what a loop assigns is
//! forgotten before its body is read. Found out on the way: how often loops run, and whether every barrier is reached
//! by all invocations or none, which naga leaves to the driver.

use naga::valid::{FunctionInfo, ModuleInfo};
use naga::{
    AddressSpace, Binding, Block, BuiltIn, Expression, Function, Handle, LocalVariable, MathFunction, Module,
    Span, Statement, StorageAccess,
};

use super::loops::{self, MAX_ITERATIONS};
use super::range::{self, Range};
use super::rejection::Rejection;

/// Statements and expressions that one function may take to follow, loops that are read again counted again.
const MAX_STEPS: usize = 1 << 20;

const DIVERGENT_BARRIER: &str = "some invocations of a workgroup may not reach this barrier; no branch, loop bound or early return \
                                 around it may depend on anything but constants, workgroup_id, the piece and read-only buffers";

/// What is known of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flow {
    /// For each expression, the values that it may have.
    pub(super) ranges: Vec<Range>,
    /// Loop iterations of one call at most.
    pub(super) iterations: u64,
    /// Whether it, or what it calls, waits for the other invocations.
    waits: bool,
}

impl Flow {
    /// The values that an expression may have.
    pub(super) fn range(&self, expression: Handle<Expression>) -> Range {
        self.ranges.get(expression.index()).copied().unwrap_or(Range::ANY)
    }
}

/// Follows every function of a module: the functions in order, then the entry points.
///
/// # Errors
/// A loop without a bound that can be proved, too many iterations, or a barrier that not all invocations reach.
pub(super) fn follow(module: &Module, info: &ModuleInfo, source: &str) -> Result<Vec<Flow>, Rejection> {
    let mut flows = Vec::with_capacity(module.functions.len() + module.entry_points.len());
    for (handle, function) in module.functions.iter() {
        let walk = Walk::new(module, function, &info[handle], source, &flows, [1; 3]);
        flows.push(walk.finish()?.0);
    }
    for (index, entry) in module.entry_points.iter().enumerate() {
        let info = info.get_entry_point(index);
        let walk = Walk::new(module, &entry.function, info, source, &flows, entry.workgroup_size);
        let (flow, heaviest) = walk.finish()?;
        if flow.iterations > MAX_ITERATIONS {
            let message = format!(
                "{} may run {} loop iterations in one dispatch, most of them here, over the limit of {MAX_ITERATIONS}; \
                 do less per dispatch and let the stage repeat",
                entry.name, flow.iterations
            );
            return Err(Rejection::at(heaviest, source, message));
        }
        flows.push(flow);
    }
    Ok(flows)
}

/// What is known of a local variable at one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Local {
    range: Range,
    /// All invocations that are at this place hold the same value.
    uniform: bool,
}

type Locals = Vec<Local>;

fn join(all: &mut Option<Locals>, more: &Locals) {
    match all {
        None => *all = Some(more.clone()),
        Some(all) => {
            for (known, other) in all.iter_mut().zip(more) {
                known.range = known.range.join(other.range);
                known.uniform &= other.uniform;
            }
        }
    }
}

/// A loop or switch that is being read.
#[derive(Debug, Default)]
struct Open {
    is_loop: bool,
    /// Some invocations may have left it, or gone on to the next iteration, before others.
    diverged: bool,
    exits: Option<Locals>,
    continues: Option<Locals>,
}

/// Iterations of a block at most, and whether control never passes its end.
#[derive(Debug, Clone, Copy, Default)]
struct Passed {
    iterations: u64,
    ends: bool,
}

struct Walk<'a> {
    module: &'a Module,
    function: &'a Function,
    info: &'a FunctionInfo,
    source: &'a str,
    callees: &'a [Flow],
    workgroup: [u32; 3],
    ranges: Vec<Range>,
    /// For each expression, whether all invocations that evaluate it get the same value.
    uniform: Vec<bool>,
    locals: Locals,
    open: Vec<Open>,
    /// Some invocations may have returned before others.
    returned: bool,
    waits: bool,
    /// The statement outside of loops with the most iterations.
    heaviest: (u64, Span),
    steps: usize,
}

impl<'a> Walk<'a> {
    fn new(
        module: &'a Module,
        function: &'a Function,
        info: &'a FunctionInfo,
        source: &'a str,
        callees: &'a [Flow],
        workgroup: [u32; 3],
    ) -> Self {
        let size = function.expressions.len();
        let mut walk = Self {
            module,
            function,
            info,
            source,
            callees,
            workgroup,
            ranges: vec![Range::ANY; size],
            uniform: vec![false; size],
            locals: Vec::new(),
            open: Vec::new(),
            returned: false,
            waits: false,
            heaviest: (0, Span::UNDEFINED),
            steps: 0,
        };
        // Some expressions have a value before the first statement; of the others only the type is known until the
        // statement that evaluates them.
        for (handle, expression) in function.expressions.iter() {
            walk.ranges[handle.index()] = walk.type_range(handle);
            if expression.needs_pre_emit() {
                walk.evaluate(handle);
            }
        }
        walk.locals = function
            .local_variables
            .iter()
            .map(|(_, local)| {
                let range = match local.init {
                    Some(init) => walk.ranges[init.index()],
                    // A variable without a value is zero.
                    None => {
                        let whole = Range::of(&module.types[local.ty].inner);
                        if whole == Range::ANY { whole } else { Range::exactly(0) }
                    }
                };
                Local { range, uniform: true }
            })
            .collect();
        walk
    }

    fn finish(mut self) -> Result<(Flow, Span), Rejection> {
        let passed = self.block(&self.function.body, true)?;
        let flow = Flow { ranges: self.ranges, iterations: passed.iterations, waits: self.waits };
        Ok((flow, self.heaviest.1))
    }

    fn type_range(&self, expression: Handle<Expression>) -> Range {
        let inner = self.info[expression].ty.inner_with(&self.module.types);
        // The scalar of a pointer is what it points to, which is no value of its own.
        if inner.pointer_space().is_some() { Range::ANY } else { Range::of(inner) }
    }

    fn local_range(&self, variable: Handle<LocalVariable>) -> Range {
        Range::of(&self.module.types[self.function.local_variables[variable].ty].inner)
    }

    /// Whether all invocations are at this place together, given the branches around it.
    fn together(&self, branch: bool) -> bool {
        branch && !self.returned && !self.open.iter().any(|open| open.diverged)
    }

    fn step(&mut self, steps: usize, span: Span) -> Result<(), Rejection> {
        self.steps += steps;
        if self.steps > MAX_STEPS {
            let message =
                "this function has too many nested loops to be followed; split it or unroll the inner ones";
            return Err(Rejection::at(span, self.source, message));
        }
        Ok(())
    }

    fn block(&mut self, block: &'a Block, branch: bool) -> Result<Passed, Rejection> {
        self.statements(block, 0, block.len(), branch)
    }

    /// Follows statements `from` to `until` of a block; `branch` says whether all invocations take it together.
    fn statements(
        &mut self,
        block: &'a Block,
        from: usize,
        until: usize,
        branch: bool,
    ) -> Result<Passed, Rejection> {
        let mut iterations = 0_u64;
        for (statement, &span) in block.span_iter().take(until).skip(from) {
            // Branches and loops copy what is known of every local variable.
            self.step(1 + self.locals.len() / 16, span)?;
            let passed = self.statement(statement, span, branch)?;
            if self.open.is_empty() && passed.iterations > self.heaviest.0 {
                self.heaviest = (passed.iterations, span);
            }
            iterations = iterations.saturating_add(passed.iterations);
            if passed.ends {
                return Ok(Passed { iterations, ends: true });
            }
        }
        Ok(Passed { iterations, ends: false })
    }

    fn statement(&mut self, statement: &'a Statement, span: Span, branch: bool) -> Result<Passed, Rejection> {
        let here = self.together(branch);
        match statement {
            Statement::Emit(range) => {
                for handle in range.clone() {
                    self.step(1, span)?;
                    self.evaluate(handle);
                }
            }
            Statement::Block(inner) => return self.block(inner, branch),
            Statement::If { condition, accept, reject } => {
                let branch = branch && self.uniform[condition.index()];
                let before = self.locals.clone();
                let accepted = self.block(accept, branch)?;
                let after = std::mem::replace(&mut self.locals, before);
                let rejected = self.block(reject, branch)?;
                if rejected.ends {
                    self.locals = after;
                } else if !accepted.ends {
                    let mut all = Some(std::mem::take(&mut self.locals));
                    join(&mut all, &after);
                    self.locals = all.unwrap_or_default();
                }
                return Ok(Passed {
                    iterations: accepted.iterations.max(rejected.iterations),
                    ends: accepted.ends && rejected.ends,
                });
            }
            Statement::Switch { selector, cases } => {
                let branch = branch && self.uniform[selector.index()];
                let before = self.locals.clone();
                self.open.push(Open::default());
                let mut iterations = 0_u64;
                let mut fallen = None;
                for case in cases {
                    join(&mut fallen, &before);
                    self.locals = fallen.take().unwrap_or_default();
                    let passed = self.block(&case.body, branch)?;
                    iterations = iterations.saturating_add(passed.iterations);
                    match (passed.ends, case.fall_through) {
                        (true, _) => {}
                        (false, true) => fallen = Some(self.locals.clone()),
                        (false, false) => self.leave(false),
                    }
                }
                let exits = self.open.pop().and_then(|open| open.exits);
                let ends = exits.is_none();
                self.locals = exits.unwrap_or(before);
                return Ok(Passed { iterations, ends });
            }
            Statement::Loop { body, continuing, break_if } => {
                return self.follow_loop(body, continuing, *break_if, span, branch);
            }
            Statement::Break => {
                self.leave(!here);
                return Ok(Passed { iterations: 0, ends: true });
            }
            Statement::Continue => {
                let locals = self.locals.clone();
                if let Some(open) = self.open.iter_mut().rev().find(|open| open.is_loop) {
                    open.diverged |= !here;
                    join(&mut open.continues, &locals);
                }
                return Ok(Passed { iterations: 0, ends: true });
            }
            Statement::Return { .. } | Statement::Kill => {
                self.returned |= !here;
                return Ok(Passed { iterations: 0, ends: true });
            }
            Statement::ControlBarrier(_) | Statement::WorkGroupUniformLoad { .. } => {
                self.wait(here, span)?;
                if let Statement::WorkGroupUniformLoad { result, .. } = statement {
                    self.uniform[result.index()] = true;
                }
            }
            Statement::Store { pointer, value } => self.store(*pointer, *value, here),
            Statement::Call { function, arguments, .. } => {
                for &argument in arguments {
                    if let Some(variable) = loops::root(self.function, argument) {
                        self.locals[variable.index()] =
                            Local { range: self.local_range(variable), uniform: false };
                    }
                }
                let callee = &self.callees[function.index()];
                let iterations = callee.iterations;
                if callee.waits {
                    self.wait(here, span)?;
                }
                return Ok(Passed { iterations, ends: false });
            }
            _ => {}
        }
        Ok(Passed::default())
    }

    /// Notes what is known where the innermost loop or switch is left.
    fn leave(&mut self, diverged: bool) {
        let locals = self.locals.clone();
        if let Some(open) = self.open.last_mut() {
            open.diverged |= diverged;
            join(&mut open.exits, &locals);
        }
    }

    fn wait(&mut self, here: bool, span: Span) -> Result<(), Rejection> {
        self.waits = true;
        if here { Ok(()) } else { Err(Rejection::at(span, self.source, DIVERGENT_BARRIER)) }
    }

    fn store(&mut self, pointer: Handle<Expression>, value: Handle<Expression>, here: bool) {
        let Some(variable) = loops::root(self.function, pointer) else { return };
        let uniform = here && self.uniform[value.index()] && self.uniform[pointer.index()];
        let whole = matches!(self.function.expressions[pointer], Expression::LocalVariable(_));
        let known = self.locals[variable.index()];
        self.locals[variable.index()] = if whole {
            Local { range: self.ranges[value.index()], uniform }
        } else {
            Local { range: self.local_range(variable), uniform: uniform && known.uniform }
        };
    }

    fn follow_loop(
        &mut self,
        body: &'a Block,
        continuing: &'a Block,
        break_if: Option<Handle<Expression>>,
        span: Span,
        branch: bool,
    ) -> Result<Passed, Rejection> {
        let refuse = |message| Rejection::at(span, self.source, message);
        let counter = loops::counter(self.function, body, continuing).map_err(refuse)?;
        let variable = counter.variable.index();
        let first = self.locals[variable].range;
        let whole = self.local_range(counter.variable);
        // Of what the loop assigns only the type is known at its head. That it is the same for all invocations is
        // assumed until an iteration shows otherwise.
        let mut head = self.locals.clone();
        let mut forget = |assigned: Handle<LocalVariable>| {
            let ty = self.function.local_variables[assigned].ty;
            head[assigned.index()].range = Range::of(&self.module.types[ty].inner);
        };
        loops::each_assigned(self.function, body, &mut forget);
        loops::each_assigned(self.function, continuing, &mut forget);
        let mut diverged = false;
        loop {
            let returned = self.returned;
            self.locals.clone_from(&head);
            self.open.push(Open { is_loop: true, diverged, ..Open::default() });
            self.statements(body, 0, counter.check, branch)?;
            let (bound, step) = (self.ranges[counter.bound.index()], self.ranges[counter.step.index()]);
            let course = loops::course(&counter, first, bound, step, whole)
                .map_err(|message| Rejection::at(span, self.source, message))?;
            self.locals[variable].range = course.at_check;
            self.statements(body, 0, counter.check + 1, branch)?;
            self.locals[variable].range = course.in_body;
            let passed = self.statements(body, counter.check + 1, body.len(), branch)?;
            // Where the next iteration is prepared: from the end of the body and from every `continue`.
            let mut next = self.open.last_mut().and_then(|open| open.continues.take());
            if !passed.ends {
                join(&mut next, &self.locals);
            }
            let mut inner = passed.iterations;
            let again = next.is_some();
            if let Some(next) = next {
                self.locals = next;
                inner = inner.saturating_add(self.block(continuing, branch)?.iterations);
                if let Some(condition) = break_if {
                    let here = self.together(branch && self.uniform[condition.index()]);
                    self.leave(!here);
                }
            }
            let open = self.open.pop().unwrap_or_default();
            let mut settled = diverged == open.diverged && returned == self.returned;
            diverged = open.diverged;
            if again {
                for (known, end) in head.iter_mut().zip(&self.locals) {
                    settled &= !known.uniform || end.uniform;
                    known.uniform &= end.uniform;
                }
            }
            if settled {
                let iterations = course.count.saturating_mul(inner.saturating_add(1));
                let ends = open.exits.is_none();
                self.locals = open.exits.unwrap_or(head);
                return Ok(Passed { iterations, ends });
            }
            self.step(1, span)?;
        }
    }

    /// Notes what is known of an expression at the place where it is evaluated.
    fn evaluate(&mut self, handle: Handle<Expression>) {
        let whole = self.type_range(handle);
        let range = self.range_of(handle, whole);
        self.ranges[handle.index()] = range.within(whole);
        self.uniform[handle.index()] = self.uniform_of(handle);
    }

    fn range_of(&self, handle: Handle<Expression>, whole: Range) -> Range {
        let known = |handle: Handle<Expression>| self.ranges[handle.index()];
        match self.function.expressions[handle] {
            Expression::Literal(literal) => Range::of_literal(&literal),
            Expression::Constant(constant) => {
                constant_range(self.module, self.module.constants[constant].init)
            }
            Expression::ZeroValue(_) => Range::exactly(0),
            Expression::Splat { value, .. } => known(value),
            Expression::Compose { ref components, .. } => {
                components.iter().map(|&component| known(component)).reduce(Range::join).unwrap_or(whole)
            }
            Expression::Swizzle { vector, .. } => known(vector),
            Expression::AccessIndex { base, index } => match self.builtin(base) {
                Some(BuiltIn::LocalInvocationId) => self
                    .workgroup
                    .get(index as usize)
                    .map_or(whole, |&threads| Range::new(0, i64::from(threads) - 1)),
                _ => self.component(base, whole),
            },
            Expression::Access { base, .. } => self.component(base, whole),
            Expression::FunctionArgument(_) => match self.builtin(handle) {
                Some(BuiltIn::LocalInvocationIndex) => {
                    let threads: i64 = self.workgroup.iter().map(|&n| i64::from(n)).product();
                    Range::new(0, threads - 1)
                }
                _ => whole,
            },
            Expression::Load { pointer } => match loops::root(self.function, pointer) {
                Some(variable) => self.locals[variable.index()].range,
                None => whole,
            },
            Expression::Unary { op: naga::UnaryOperator::Negate, expr } => {
                let range = known(expr);
                if range == Range::ANY { whole } else { Range::new(-range.most, -range.least) }
            }
            Expression::Binary { op, left, right } => range::binary(op, known(left), known(right), whole),
            Expression::Select { accept, reject, .. } => known(accept).join(known(reject)),
            Expression::Math { fun, arg, arg1, arg2, .. } => match (fun, arg1.map(known), arg2.map(known)) {
                (MathFunction::Min, Some(other), _) => known(arg).min(other),
                (MathFunction::Max, Some(other), _) => known(arg).max(other),
                // With the bounds exchanged, drivers differ.
                (MathFunction::Clamp, Some(low), Some(high)) if low.most <= high.least => {
                    known(arg).max(low).min(high)
                }
                (
                    MathFunction::CountOneBits
                    | MathFunction::CountLeadingZeros
                    | MathFunction::CountTrailingZeros,
                    ..,
                ) => Range::new(0, 32),
                _ => whole,
            },
            // From one integer type to the other, by value or by bits, a number that both have stays what it is.
            Expression::As { expr, convert: None | Some(4), .. } => {
                let range = known(expr);
                if range == Range::ANY { whole } else { range }
            }
            _ => whole,
        }
    }

    /// The range of a component of a vector that is a value; anything else is only known by its type.
    fn component(&self, base: Handle<Expression>, whole: Range) -> Range {
        let inner = self.info[base].ty.inner_with(&self.module.types);
        match inner {
            naga::TypeInner::Vector { .. } => self.ranges[base.index()],
            _ => whole,
        }
    }

    fn builtin(&self, handle: Handle<Expression>) -> Option<BuiltIn> {
        let Expression::FunctionArgument(index) = self.function.expressions[handle] else { return None };
        match self.function.arguments.get(index as usize)?.binding {
            Some(Binding::BuiltIn(builtin)) => Some(builtin),
            _ => None,
        }
    }

    fn uniform_of(&self, handle: Handle<Expression>) -> bool {
        let same = |handle: Handle<Expression>| self.uniform[handle.index()];
        match self.function.expressions[handle] {
            Expression::Literal(_)
            | Expression::Constant(_)
            | Expression::ZeroValue(_)
            | Expression::GlobalVariable(_)
            | Expression::LocalVariable(_)
            | Expression::ArrayLength(_) => true,
            Expression::FunctionArgument(_) => {
                matches!(self.builtin(handle), Some(BuiltIn::WorkGroupId | BuiltIn::NumWorkGroups))
            }
            Expression::Load { pointer } => same(pointer) && self.holds_one_value(pointer),
            Expression::Splat { value, .. } => same(value),
            Expression::Compose { ref components, .. } => components.iter().all(|&c| same(c)),
            Expression::Swizzle { vector, .. } => same(vector),
            Expression::Access { base, index } => same(base) && same(index),
            Expression::AccessIndex { base, .. } => same(base),
            Expression::Unary { expr, .. } | Expression::As { expr, .. } => same(expr),
            Expression::Binary { left, right, .. } => same(left) && same(right),
            Expression::Select { condition, accept, reject } => {
                same(condition) && same(accept) && same(reject)
            }
            Expression::Relational { argument, .. } => same(argument),
            Expression::Math { arg, arg1, arg2, arg3, .. } => {
                same(arg) && [arg1, arg2, arg3].into_iter().flatten().all(same)
            }
            _ => false,
        }
    }

    /// Whether a place holds the same value for every invocation that reads it.
    fn holds_one_value(&self, mut pointer: Handle<Expression>) -> bool {
        loop {
            match self.function.expressions[pointer] {
                Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => pointer = base,
                Expression::LocalVariable(variable) => return self.locals[variable.index()].uniform,
                Expression::GlobalVariable(variable) => {
                    return match self.module.global_variables[variable].space {
                        AddressSpace::Uniform => true,
                        AddressSpace::Storage { access } => access == StorageAccess::LOAD,
                        _ => false,
                    };
                }
                _ => return false,
            }
        }
    }
}

/// The range of a constant expression of the module.
fn constant_range(module: &Module, handle: Handle<Expression>) -> Range {
    match module.global_expressions[handle] {
        Expression::Literal(literal) => Range::of_literal(&literal),
        Expression::ZeroValue(ty) if Range::of(&module.types[ty].inner) != Range::ANY => Range::exactly(0),
        Expression::Constant(constant) => constant_range(module, module.constants[constant].init),
        Expression::Splat { value, .. } => constant_range(module, value),
        Expression::Compose { ref components, .. } => components
            .iter()
            .map(|&component| constant_range(module, component))
            .reduce(Range::join)
            .unwrap_or(Range::ANY),
        _ => Range::ANY,
    }
}
