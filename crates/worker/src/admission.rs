//! Admission of a program: which WGSL is compiled at all.
//!
//! The manifest is checked again, each source is scanned for what hurts a parser (`scan.rs`), parsed and validated by
//! naga, held against limits of size (`limits.rs`), followed (`flow.rs` with `range.rs` and `loops.rs`: loops end,
//! barriers are met by all), and its bindings compared with the declaration (`interface.rs`). Workgroup memory is
//! written before it is read (`workgroup.rs`), and what is compared bit by bit keeps to the integer subset
//! (`integers.rs`). It never touches a device. The engine calls it before it compiles, `--inspect` instead. It runs on
//! a thread with a large stack, and a source that still brings the process down has brought down only this process.

mod flow;
mod integers;
mod interface;
mod limits;
mod loops;
mod range;
mod rejection;
mod scan;
mod workgroup;

use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use protocol::frames::{Fault, FaultCode};
use protocol::id::Hash;
use protocol::manifest::{Feature, MAX_MODULE_BYTES, Program, Validator as Comparison};

use rejection::Rejection;

/// Largest detail of a fault.
const MAX_DETAIL_BYTES: usize = 2048;

/// What the compiler needs to know of an admitted program.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Admitted {
    /// For every stage and each of its bindings, whether the kernel declares it read-only.
    pub(crate) read_only: Vec<Vec<bool>>,
}

/// A module that passed every check.
struct Checked {
    module: naga::Module,
    info: ModuleInfo,
}

/// Checks a program and its sources.
///
/// # Errors
/// [`FaultCode::Manifest`], [`FaultCode::Wgsl`] or [`FaultCode::Interface`], with module and line.
pub(crate) fn admit(program: &Program, sources: &[String]) -> Result<Admitted, Fault> {
    program.check().map_err(|error| fault(FaultCode::Manifest, error.to_string()))?;
    if sources.len() != program.modules.len() {
        return Err(fault(
            FaultCode::Manifest,
            "the number of sources is not that of the modules".to_owned(),
        ));
    }
    let integers_only = matches!(program.validator, Comparison::Bitwise | Comparison::Freivalds { .. });
    let mut capabilities = Capabilities::empty();
    if program.features.contains(&Feature::F16) {
        capabilities |= Capabilities::SHADER_FLOAT16;
    }
    let mut checked = Vec::with_capacity(sources.len());
    for (index, (module, source)) in program.modules.iter().zip(sources).enumerate() {
        if source.len() != module.bytes as usize || Hash::of(source.as_bytes()) != module.blob {
            let detail = format!("module {index} is not the source that the program names");
            return Err(fault(FaultCode::Manifest, detail));
        }
        let module = check(source, integers_only, capabilities)
            .map_err(|rejection| fault(FaultCode::Wgsl, format!("module {index}, {rejection}")))?;
        checked.push(module);
    }
    let mut read_only = Vec::with_capacity(program.stages.len());
    for (index, stage) in program.stages.iter().enumerate() {
        let bindings = interface::check(program, stage, &checked)
            .map_err(|message| fault(FaultCode::Interface, format!("stage {index}: {message}")))?;
        read_only.push(bindings);
    }
    Ok(Admitted { read_only })
}

fn check(source: &str, integers_only: bool, capabilities: Capabilities) -> Result<Checked, Rejection> {
    if source.len() > MAX_MODULE_BYTES as usize {
        return Err(Rejection::new("the source is too long"));
    }
    scan::scan(source)?;
    let module = naga::front::wgsl::parse_str(source)
        .map_err(|error| located(error.location(source), source, error.message()))?;
    limits::check_size(&module, source)?;
    // Nothing else is granted: no 64-bit numbers, no subgroups, no immediates, no binding arrays.
    let info = Validator::new(ValidationFlags::all(), capabilities)
        .validate(&module)
        .map_err(|error| located(error.location(source), source, &with_causes(error.as_inner())))?;
    limits::check_memory(&module, &info, source)?;
    let flows = flow::follow(&module, &info, source)?;
    workgroup::check(&module, &info, &flows, source)?;
    if integers_only {
        integers::check(&module, &info, &flows, source)?;
    }
    Ok(Checked { module, info })
}

fn located(place: Option<naga::SourceLocation>, source: &str, message: &str) -> Rejection {
    match place {
        Some(place) => Rejection::at_byte(place.offset as usize, source, message),
        None => Rejection::new(message),
    }
}

/// An error and what caused it, in one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn fault(code: FaultCode, mut detail: String) -> Fault {
    detail.truncate(detail.floor_char_boundary(MAX_DETAIL_BYTES));
    Fault { code, detail }
}

#[cfg(test)]
mod tests;
