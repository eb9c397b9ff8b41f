//! PURE: whether workgroup memory is written before it is read.
//!
//! naga promises zeros there, but that rests on code that drivers have got wrong, and what stands there otherwise are
//! the values of somebody else's job. So every element must be written by the invocations, and a barrier passed, before
//! the first read; once that has happened the variable counts as ready for good. The rule sees stores in the entry
//! point only, of a whole variable, of `a[lane + constant]`, of a tile at its own `local_invocation_id`, or of the
//! filling loop, and refuses what it cannot follow. That a barrier is reached by all invocations is for `flow`.

use naga::valid::ModuleInfo;
use naga::{
    AddressSpace, ArraySize, BinaryOperator, Binding, Block, BuiltIn, EntryPoint, Expression, GlobalVariable,
    Handle, Module, Statement, TypeInner,
};

use super::flow::Flow;
use super::loops;
use super::rejection::Rejection;

/// Checks every entry point; `flows` are those of the functions, entry points last.
pub(super) fn check(
    module: &Module,
    info: &ModuleInfo,
    flows: &[Flow],
    source: &str,
) -> Result<(), Rejection> {
    let flows = flows.get(module.functions.len()..).unwrap_or_default();
    for (entry, flow) in module.entry_points.iter().zip(flows) {
        let threads = entry.workgroup_size.iter().product();
        let walk = Walk { module, info, entry, flow, threads, source };
        let mut memory = vec![Written::default(); module.global_variables.len()];
        walk.block(&entry.function.body, &mut memory, Some(Lanes { from: 0, until: threads }))?;
    }
    Ok(())
}

/// What is known of one workgroup variable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Written {
    /// Every element was written and a barrier passed.
    ready: bool,
    /// Elements written so far, as ranges in order that do not touch.
    covered: Vec<(u32, u32)>,
}

impl Written {
    fn cover(&mut self, from: u32, until: u32) {
        self.covered.push((from, until));
        self.covered.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::with_capacity(self.covered.len());
        for &(from, until) in &self.covered {
            match merged.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(until),
                _ => merged.push((from, until)),
            }
        }
        self.covered = merged;
    }

    fn covers(&self, elements: u32) -> bool {
        self.covered.iter().any(|&(from, until)| from == 0 && until >= elements)
    }
}

type Memory = Vec<Written>;

/// The invocations that execute a statement, by their `local_invocation_index`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lanes {
    from: u32,
    until: u32,
}

/// A number that tells the invocations of a workgroup apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coordinate {
    /// `local_invocation_index`.
    Index,
    /// One component of `local_invocation_id`.
    Axis(usize),
}

struct Walk<'a> {
    module: &'a Module,
    info: &'a ModuleInfo,
    entry: &'a EntryPoint,
    flow: &'a Flow,
    threads: u32,
    source: &'a str,
}

impl Walk<'_> {
    /// Follows a block. `lanes` are the invocations that execute all of it, where that is known. Gives whether control
    /// leaves the block before its end.
    fn block(&self, block: &Block, memory: &mut Memory, lanes: Option<Lanes>) -> Result<bool, Rejection> {
        let function = &self.entry.function;
        for (index, (statement, &span)) in block.span_iter().enumerate() {
            match statement {
                Statement::Emit(range) => {
                    for handle in range.clone() {
                        if let Expression::Load { pointer } = function.expressions[handle] {
                            self.read(pointer, memory, function.expressions.get_span(handle))?;
                        }
                    }
                }
                Statement::Block(inner) => {
                    let ended = self.block(inner, memory, lanes)?;
                    if ended {
                        return Ok(true);
                    }
                }
                Statement::If { condition, accept, reject } => {
                    let mut other = memory.clone();
                    let chosen = lanes.and_then(|lanes| self.chosen(*condition, lanes));
                    let accepted = self.block(accept, memory, chosen)?;
                    let rejected = self.block(reject, &mut other, None)?;
                    for (written, other) in memory.iter_mut().zip(other) {
                        // Whatever was written was written by invocations that do get there.
                        other.covered.iter().for_each(|&(from, until)| written.cover(from, until));
                        written.ready = match (accepted, rejected) {
                            (true, false) => other.ready,
                            (false, true) => written.ready,
                            _ => written.ready && other.ready,
                        };
                    }
                    if accepted && rejected {
                        return Ok(true);
                    }
                }
                Statement::Switch { cases, .. } => {
                    for case in cases {
                        self.block(&case.body, &mut memory.clone(), None)?;
                    }
                }
                Statement::Loop { body, continuing, .. } => {
                    // Nothing that happens in a loop is taken to have happened after it: it may not run at all.
                    let filled = self.filled(block, index, body, continuing);
                    let mut inner = memory.clone();
                    self.block(body, &mut inner, lanes)?;
                    self.block(continuing, &mut memory.clone(), None)?;
                    for (variable, elements) in filled {
                        if lanes == Some(Lanes { from: 0, until: self.threads }) {
                            memory[variable.index()].cover(0, elements);
                        }
                    }
                }
                Statement::Break | Statement::Continue | Statement::Return { .. } | Statement::Kill => {
                    return Ok(true);
                }
                Statement::ControlBarrier(flags) if flags.contains(naga::Barrier::WORK_GROUP) => {
                    self.barrier(memory);
                }
                Statement::WorkGroupUniformLoad { pointer, .. } => {
                    self.barrier(memory);
                    self.read(*pointer, memory, span)?;
                }
                Statement::Store { pointer, .. } => self.store(*pointer, memory, lanes),
                Statement::Atomic { pointer, .. } => self.read(*pointer, memory, span)?,
                Statement::Call { function: callee, arguments, .. } => {
                    for &argument in arguments {
                        self.read(argument, memory, span)?;
                    }
                    for (variable, _) in self.module.global_variables.iter() {
                        if self.info[*callee][variable].contains(naga::valid::GlobalUse::READ) {
                            self.read_variable(variable, memory, span)?;
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(false)
    }

    fn barrier(&self, memory: &mut Memory) {
        for (variable, _) in self.module.global_variables.iter() {
            let elements = self.elements(variable);
            let written = &mut memory[variable.index()];
            written.ready |= written.covers(elements);
        }
    }

    /// Refuses a read through `pointer` of workgroup memory that is not ready.
    fn read(
        &self,
        mut pointer: Handle<Expression>,
        memory: &Memory,
        span: naga::Span,
    ) -> Result<(), Rejection> {
        loop {
            match self.entry.function.expressions[pointer] {
                Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => pointer = base,
                Expression::GlobalVariable(variable) => return self.read_variable(variable, memory, span),
                _ => return Ok(()),
            }
        }
    }

    fn read_variable(
        &self,
        variable: Handle<GlobalVariable>,
        memory: &Memory,
        span: naga::Span,
    ) -> Result<(), Rejection> {
        let global = &self.module.global_variables[variable];
        if global.space != AddressSpace::WorkGroup || memory[variable.index()].ready {
            return Ok(());
        }
        let name = global.name.as_deref().unwrap_or("workgroup memory");
        let example = match self.module.types[global.ty].inner {
            TypeInner::Array { .. } => format!("{name}[lane] = 0u;"),
            TypeInner::Atomic(_) => format!("if (lane == 0u) {{ atomicStore(&{name}, 0u); }}"),
            _ => format!("{name} = 0u;"),
        };
        let message = format!(
            "{name} is read before all of it was written and a barrier passed; let the entry point write every element \
             first, like {example} workgroupBarrier();"
        );
        Err(Rejection::at(span, self.source, message))
    }

    /// Elements of a variable: of an array its own, of anything else one.
    fn elements(&self, variable: Handle<GlobalVariable>) -> u32 {
        match self.module.types[self.module.global_variables[variable].ty].inner {
            TypeInner::Array { size: ArraySize::Constant(length), .. } => length.get(),
            _ => 1,
        }
    }

    /// Notes a store by `lanes`, where it can be told which elements it writes.
    fn store(&self, pointer: Handle<Expression>, memory: &mut Memory, lanes: Option<Lanes>) {
        let Some(Lanes { from, until }) = lanes.filter(|lanes| lanes.from < lanes.until) else { return };
        let Some((variable, indices)) = self.target(pointer) else { return };
        let elements = self.elements(variable);
        let written = &mut memory[variable.index()];
        match indices.as_slice() {
            [] => written.cover(0, elements),
            &[index] => {
                if let Some((Coordinate::Index, offset)) = self.linear(index) {
                    written.cover(from.saturating_add(offset), until.saturating_add(offset));
                }
            }
            &[row, column] if from == 0 && until == self.threads => {
                let (Some(Coordinate::Axis(y)), Some(Coordinate::Axis(x))) =
                    (self.coordinate(row), self.coordinate(column))
                else {
                    return;
                };
                let size = self.entry.workgroup_size;
                let inner = self.inner_length(variable);
                if x != y && elements <= size[y] && inner.is_some_and(|columns| columns <= size[x]) {
                    written.cover(0, elements);
                }
            }
            _ => {}
        }
    }

    /// The workgroup variable that a pointer leads into, and the indices from outer to inner; `None` where it leads
    /// into a part of an element.
    fn target(
        &self,
        mut pointer: Handle<Expression>,
    ) -> Option<(Handle<GlobalVariable>, Vec<Handle<Expression>>)> {
        let mut indices = Vec::new();
        loop {
            match self.entry.function.expressions[pointer] {
                Expression::Access { base, index } => {
                    indices.push(index);
                    pointer = base;
                }
                Expression::GlobalVariable(variable) => {
                    indices.reverse();
                    let global = &self.module.global_variables[variable];
                    let mut ty = global.ty;
                    for _ in &indices {
                        let TypeInner::Array { base, .. } = self.module.types[ty].inner else { return None };
                        ty = base;
                    }
                    return (global.space == AddressSpace::WorkGroup).then_some((variable, indices));
                }
                _ => return None,
            }
        }
    }

    fn inner_length(&self, variable: Handle<GlobalVariable>) -> Option<u32> {
        let TypeInner::Array { base, .. } =
            self.module.types[self.module.global_variables[variable].ty].inner
        else {
            return None;
        };
        match self.module.types[base].inner {
            TypeInner::Array { size: ArraySize::Constant(length), .. } => Some(length.get()),
            _ => None,
        }
    }

    /// The coordinate that an expression is.
    fn coordinate(&self, handle: Handle<Expression>) -> Option<Coordinate> {
        let function = &self.entry.function;
        let builtin = |handle: Handle<Expression>| match function.expressions[handle] {
            Expression::FunctionArgument(index) => {
                match function.arguments.get(index as usize)?.binding.as_ref()? {
                    Binding::BuiltIn(builtin) => Some(*builtin),
                    Binding::Location { .. } => None,
                }
            }
            _ => None,
        };
        if builtin(handle) == Some(BuiltIn::LocalInvocationIndex) {
            return Some(Coordinate::Index);
        }
        let Expression::AccessIndex { base, index } = function.expressions[handle] else { return None };
        if builtin(base) != Some(BuiltIn::LocalInvocationId) {
            return None;
        }
        let axis = index as usize;
        // In a workgroup of one row the place in the row is the index.
        let alone = *self.entry.workgroup_size.get(axis)? == self.threads;
        Some(if alone { Coordinate::Index } else { Coordinate::Axis(axis) })
    }

    /// A coordinate plus a constant; `id.y * size.x + id.x` is the index as well.
    fn linear(&self, handle: Handle<Expression>) -> Option<(Coordinate, u32)> {
        if let Some(coordinate) = self.coordinate(handle) {
            return Some((coordinate, 0));
        }
        let Expression::Binary { op: BinaryOperator::Add, left, right } =
            self.entry.function.expressions[handle]
        else {
            return None;
        };
        for (one, other) in [(left, right), (right, left)] {
            if let (Some((coordinate, offset)), Some(constant)) =
                (self.linear(one), self.flow.range(other).value())
            {
                return Some((coordinate, offset.checked_add(u32::try_from(constant).ok()?)?));
            }
            if self.coordinate(one) == Some(Coordinate::Axis(0)) && self.is_row_start(other) {
                return Some((Coordinate::Index, 0));
            }
        }
        None
    }

    /// Whether an expression is `id.y * size.x`, in a workgroup of one layer.
    fn is_row_start(&self, handle: Handle<Expression>) -> bool {
        let Expression::Binary { op: BinaryOperator::Multiply, left, right } =
            self.entry.function.expressions[handle]
        else {
            return false;
        };
        let [columns, _, layers] = self.entry.workgroup_size;
        let is = |row, factor| {
            self.coordinate(row) == Some(Coordinate::Axis(1))
                && self.flow.range(factor).value() == Some(columns.into())
        };
        layers == 1 && (is(left, right) || is(right, left))
    }

    /// The invocations among `lanes` that a condition chooses: `lane < constant` and `lane == constant`.
    fn chosen(&self, condition: Handle<Expression>, lanes: Lanes) -> Option<Lanes> {
        let Expression::Binary { op, left, right } = self.entry.function.expressions[condition] else {
            return None;
        };
        if self.coordinate(left) != Some(Coordinate::Index) {
            return None;
        }
        let constant = u32::try_from(self.flow.range(right).value()?).ok()?;
        let (from, until) = match op {
            BinaryOperator::Less => (0, constant),
            BinaryOperator::LessEqual => (0, constant.checked_add(1)?),
            BinaryOperator::Equal => (constant, constant.checked_add(1)?),
            _ => return None,
        };
        Some(Lanes { from: lanes.from.max(from), until: lanes.until.min(until) })
    }

    /// What `for (var i = lane; i < length; i += threads) { a[i] = ...; }` fills, with the number of elements.
    fn filled(
        &self,
        block: &Block,
        at: usize,
        body: &Block,
        continuing: &Block,
    ) -> Vec<(Handle<GlobalVariable>, u32)> {
        let function = &self.entry.function;
        let Ok(counter) = loops::counter(function, body, continuing) else { return Vec::new() };
        let begins = block[..at].iter().rev().find(|statement| !matches!(statement, Statement::Emit(_)));
        let from_lane = matches!(
            begins,
            Some(Statement::Store { pointer, value })
                if matches!(function.expressions[*pointer], Expression::LocalVariable(v) if v == counter.variable)
                    && self.coordinate(*value) == Some(Coordinate::Index)
        );
        let step = self.flow.range(counter.step).value();
        let Some(bound) = self
            .flow
            .range(counter.bound)
            .value()
            .filter(|_| from_lane && counter.counts_up_to_below() && step == Some(self.threads.into()))
        else {
            return Vec::new();
        };
        let mut filled = Vec::new();
        let mut todo = vec![&body[counter.check + 1..]];
        while let Some(statements) = todo.pop() {
            for statement in statements {
                match statement {
                    Statement::Emit(_) => {}
                    Statement::Block(inner) => todo.push(&inner[..]),
                    Statement::Store { pointer, .. } => {
                        if let Some((variable, indices)) = self.target(*pointer)
                            && let [index] = indices[..]
                            && loops::loaded(function, index) == Some(counter.variable)
                        {
                            let elements = self.elements(variable);
                            let until = u32::try_from(bound).unwrap_or(u32::MAX).min(elements);
                            filled.push((variable, until));
                        }
                    }
                    // Only a body without branches writes in every iteration.
                    _ => return Vec::new(),
                }
            }
        }
        filled
    }
}
