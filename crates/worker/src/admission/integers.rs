//! PURE: the subset of WGSL whose results are the same on every card.
//!
//! Integers of 32 bits without floats, without operations that WGSL leaves to the device where an operand is out of
//! bounds, and without atomics whose result tells who came first.

use naga::valid::{FunctionInfo, ModuleInfo};
use naga::{AtomicFunction, BinaryOperator, Expression, Function, Module, ScalarKind, Statement};

use super::flow::Flow;
use super::limits::functions;
use super::rejection::Rejection;

/// Holds a module against the subset; `flows` are those of its functions, entry points last.
pub(super) fn check(
    module: &Module,
    info: &ModuleInfo,
    flows: &[Flow],
    source: &str,
) -> Result<(), Rejection> {
    for ((function, info), flow) in functions(module, info).zip(flows) {
        for (handle, expression) in function.expressions.iter() {
            let reject = |message| Err(Rejection::at(function.expressions.get_span(handle), source, message));
            let kind = info[handle].ty.inner_with(&module.types).scalar_kind();
            if matches!(kind, Some(ScalarKind::Float | ScalarKind::AbstractFloat)) {
                return reject("float values are not admitted where results are compared bit by bit");
            }
            let Expression::Binary { op, right, .. } = *expression else { continue };
            let operand = flow.range(right);
            match op {
                BinaryOperator::Divide | BinaryOperator::Modulo
                    if kind == Some(ScalarKind::Sint) && operand.value().is_none_or(|value| value <= 0) =>
                {
                    return reject(
                        "signed / and % need a positive constant on the right where results are compared bit by bit",
                    );
                }
                BinaryOperator::Divide | BinaryOperator::Modulo if operand.least <= 0 => {
                    return reject(
                        "the number on the right of / or % may be zero; use a constant, or make it positive with \
                         max(x, 1u) or x | 1u",
                    );
                }
                BinaryOperator::ShiftLeft | BinaryOperator::ShiftRight
                    if operand.least < 0 || operand.most > 31 =>
                {
                    return reject(
                        "the amount of a shift may be 32 or more; use a constant, or bound it with x & 31u or \
                         min(x, 31u)",
                    );
                }
                _ => {}
            }
        }
        check_atomics(function, info, source)?;
    }
    Ok(())
}

fn check_atomics(function: &Function, info: &FunctionInfo, source: &str) -> Result<(), Rejection> {
    let mut todo = vec![&function.body];
    while let Some(block) = todo.pop() {
        for (statement, &span) in block.span_iter() {
            match statement {
                Statement::Block(inner) => todo.push(inner),
                Statement::If { accept, reject, .. } => todo.extend([accept, reject]),
                Statement::Switch { cases, .. } => todo.extend(cases.iter().map(|case| &case.body)),
                Statement::Loop { body, continuing, .. } => todo.extend([body, continuing]),
                Statement::Atomic { fun, result, .. } => {
                    let ordered = matches!(fun, AtomicFunction::Exchange { .. });
                    let used = result.is_some_and(|result| info[result].ref_count > 0);
                    if ordered || used {
                        let message = "an atomic operation's result depends on order where results are compared bit by bit";
                        return Err(Rejection::at(span, source, message));
                    }
                }
                _ => {}
            }
        }
    }
    Ok(())
}
