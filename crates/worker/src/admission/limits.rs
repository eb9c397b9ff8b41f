//! PURE: limits of a parsed module.
//!
//! The numbers bound what drivers do with a module: compile time grows with its inlined size, and arrays per thread with
//! memory. Measurements behind them: the attack table in the notes on the sandbox.

use naga::valid::{FunctionInfo, ModuleInfo};
use naga::{
    AddressSpace, ArraySize, Block, Expression, Function, Handle, Module, ShaderStage, Statement, Type,
    TypeInner,
};

use super::rejection::Rejection;

const MAX_STATEMENTS: u64 = 2_000;
const MAX_EXPRESSIONS: u64 = 5_000;
const MAX_BLOCK_DEPTH: u32 = 64;
/// Statements and expressions of an entry point with every call replaced by what it calls.
const MAX_INLINED: u64 = 20_000;
/// Private and function memory of one thread in bytes.
const MAX_THREAD_BYTES: u64 = 4 * 1024;
/// Shared memory of one workgroup in bytes, what every driver has.
const MAX_WORKGROUP_BYTES: u64 = 16 * 1024;
const MAX_CONSTANT_ELEMENTS: u32 = 4_096;

/// Limits that hold before the validator runs, so that it has little to do.
pub(super) fn check_size(module: &Module, source: &str) -> Result<(), Rejection> {
    if !module.overrides.is_empty() {
        return Err(Rejection::new("override declarations are not admitted"));
    }
    for entry in &module.entry_points {
        if entry.stage != ShaderStage::Compute {
            return Err(Rejection::new(format!("entry point {} is not a compute shader", entry.name)));
        }
    }
    for (handle, ty) in module.types.iter() {
        let what = match ty.inner {
            TypeInner::Image { .. } => "textures",
            TypeInner::Sampler { .. } => "samplers",
            TypeInner::AccelerationStructure { .. } | TypeInner::RayQuery { .. } => "rays",
            TypeInner::BindingArray { .. } => "binding arrays",
            TypeInner::CooperativeMatrix { .. } => "cooperative matrices",
            TypeInner::Array { size: ArraySize::Pending(_), .. } => "arrays of overridable size",
            _ => continue,
        };
        let message = format!("{what} are not admitted");
        return Err(Rejection::at(module.types.get_span(handle), source, message));
    }
    for (_, constant) in module.constants.iter() {
        check_constant(module, constant.ty)?;
    }
    for (_, expression) in module.global_expressions.iter() {
        if let Expression::ZeroValue(ty) | Expression::Compose { ty, .. } = expression {
            check_constant(module, *ty)?;
        }
    }
    let (mut statements, mut expressions) = (0, module.global_expressions.len() as u64);
    // Cost of every function with its calls inlined; callees come before their callers.
    let mut inlined: Vec<u64> = Vec::with_capacity(module.functions.len());
    for (_, function) in module.functions.iter() {
        let counted = count(function, &inlined)?;
        statements += counted.statements;
        expressions += function.expressions.len() as u64;
        inlined.push(counted.inlined);
    }
    for entry in &module.entry_points {
        let counted = count(&entry.function, &inlined)?;
        statements += counted.statements;
        expressions += entry.function.expressions.len() as u64;
        if counted.inlined > MAX_INLINED {
            let message = format!(
                "{} has an inlined size of {}, over the limit of {MAX_INLINED}",
                entry.name, counted.inlined
            );
            return Err(Rejection::new(message));
        }
    }
    if statements > MAX_STATEMENTS {
        return Err(Rejection::new(format!("{statements} statements, over the limit of {MAX_STATEMENTS}")));
    }
    if expressions > MAX_EXPRESSIONS {
        return Err(Rejection::new(format!(
            "{expressions} expressions, over the limit of {MAX_EXPRESSIONS}"
        )));
    }
    Ok(())
}

fn check_constant(module: &Module, ty: Handle<Type>) -> Result<(), Rejection> {
    match module.types[ty].inner {
        TypeInner::Array { size: ArraySize::Constant(elements), .. }
            if elements.get() > MAX_CONSTANT_ELEMENTS =>
        {
            Err(Rejection::new(format!(
                "a constant array has {elements} elements, over the limit of {MAX_CONSTANT_ELEMENTS}"
            )))
        }
        TypeInner::Array { base, .. } => check_constant(module, base),
        _ => Ok(()),
    }
}

struct Counted {
    statements: u64,
    inlined: u64,
}

fn count(function: &Function, inlined: &[u64]) -> Result<Counted, Rejection> {
    let mut statements = 0;
    let mut called = 0_u64;
    let mut todo: Vec<(&Block, u32)> = vec![(&function.body, 1)];
    while let Some((block, depth)) = todo.pop() {
        if depth > MAX_BLOCK_DEPTH {
            return Err(Rejection::new(format!("blocks are nested deeper than {MAX_BLOCK_DEPTH}")));
        }
        for statement in block.iter() {
            statements += 1;
            match statement {
                Statement::Block(inner) => todo.push((inner, depth + 1)),
                Statement::If { accept, reject, .. } => {
                    todo.extend([(accept, depth + 1), (reject, depth + 1)]);
                }
                Statement::Switch { cases, .. } => {
                    todo.extend(cases.iter().map(|case| (&case.body, depth + 1)));
                }
                Statement::Loop { body, continuing, .. } => {
                    todo.extend([(body, depth + 1), (continuing, depth + 1)]);
                }
                Statement::Call { function, .. } => {
                    let cost = inlined.get(function.index()).copied().unwrap_or(u64::MAX);
                    called = called.saturating_add(cost);
                }
                _ => {}
            }
        }
    }
    let own = statements + function.expressions.len() as u64;
    Ok(Counted { statements, inlined: own.saturating_add(called) })
}

/// Memory limits, which need the sizes of valid types.
pub(super) fn check_memory(module: &Module, info: &ModuleInfo, source: &str) -> Result<(), Rejection> {
    let size = |ty: Handle<Type>| {
        // A size that does not fit 32 bits is over every limit.
        module.types[ty].inner.try_size(module.to_ctx()).map_or(u64::from(u32::MAX), u64::from)
    };
    let (mut thread, mut workgroup) = (0_u64, 0_u64);
    for (handle, variable) in module.global_variables.iter() {
        match variable.space {
            AddressSpace::Private => thread += size(variable.ty),
            AddressSpace::WorkGroup => workgroup += size(variable.ty),
            AddressSpace::Uniform | AddressSpace::Storage { .. } => {}
            _ => {
                let span = module.global_variables.get_span(handle);
                return Err(Rejection::at(span, source, "only storage and uniform buffers are admitted"));
            }
        }
    }
    for (function, info) in functions(module, info) {
        thread += function.local_variables.iter().map(|(_, local)| size(local.ty)).sum::<u64>();
        for (handle, _) in function.expressions.iter() {
            let held = info[handle].ty.inner_with(&module.types);
            if let TypeInner::Array { .. } | TypeInner::Struct { .. } = held
                && held.try_size(module.to_ctx()).is_none_or(|bytes| u64::from(bytes) > 4 * MAX_THREAD_BYTES)
            {
                let span = function.expressions.get_span(handle);
                return Err(Rejection::at(
                    span,
                    source,
                    "an array value is too large to be held by a thread",
                ));
            }
        }
    }
    if thread > MAX_THREAD_BYTES {
        let message = format!("{thread} bytes of memory per thread, over the limit of {MAX_THREAD_BYTES}");
        return Err(Rejection::new(message));
    }
    if workgroup > MAX_WORKGROUP_BYTES {
        let message =
            format!("{workgroup} bytes of workgroup memory, over the limit of {MAX_WORKGROUP_BYTES}");
        return Err(Rejection::new(message));
    }
    Ok(())
}

/// All functions of a module with what the validator found out about them; entry points last.
pub(super) fn functions<'a>(
    module: &'a Module,
    info: &'a ModuleInfo,
) -> impl Iterator<Item = (&'a Function, &'a FunctionInfo)> {
    let called = module.functions.iter().map(|(handle, function)| (function, &info[handle]));
    let entries = module.entry_points.iter().enumerate();
    called.chain(entries.map(|(index, entry)| (&entry.function, info.get_entry_point(index))))
}
