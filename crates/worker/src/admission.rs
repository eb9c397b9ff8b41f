//! Admission of a program: which WGSL is compiled at all.
//!
//! The manifest is checked again, each source is scanned for what hurts a parser, parsed and validated by naga, held
//! against the limits of `rules.rs`, and its bindings against the declaration (`interface.rs`). It never touches a
//! device. The engine calls it before it compiles, `--inspect` instead. It runs on a thread with a large stack, and a
//! source that still brings the process down has brought down only this process.

mod interface;
mod rules;
mod scan;

use std::fmt;

use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use protocol::frames::{Fault, FaultCode};
use protocol::id::Hash;
use protocol::manifest::{Feature, MAX_MODULE_BYTES, Program, Validator as Comparison};

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

/// Why a source is refused, and where.
#[derive(Debug, PartialEq, Eq)]
struct Rejection {
    /// 1-based; 0 where the rule concerns the whole module.
    line: u32,
    message: String,
}

impl Rejection {
    fn new(message: impl Into<String>) -> Self {
        Self { line: 0, message: message.into() }
    }

    fn at(span: naga::Span, source: &str, message: impl Into<String>) -> Self {
        let line = if span.is_defined() { span.location(source).line_number } else { 0 };
        Self { line, message: message.into() }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}: {}", self.line, self.message)
        } else {
            f.write_str(&self.message)
        }
    }
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
    let module = naga::front::wgsl::parse_str(source).map_err(|error| Rejection {
        line: error.location(source).map_or(0, |at| at.line_number),
        message: error.message().to_owned(),
    })?;
    rules::check_size(&module, source)?;
    // Nothing else is granted: no 64-bit numbers, no subgroups, no immediates, no binding arrays.
    let info = Validator::new(ValidationFlags::all(), capabilities).validate(&module).map_err(|error| {
        let line = error.location(source).map_or(0, |at| at.line_number);
        Rejection { line, message: with_causes(error.as_inner()) }
    })?;
    rules::check_memory(&module, &info, source)?;
    if integers_only {
        rules::check_integers(&module, &info, source)?;
    }
    Ok(Checked { module, info })
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
mod tests {
    use protocol::manifest::{Buffer, Cost, Family, Kernel, Module, Role, Stage};

    use super::*;

    const HEAD: &str = "@group(0) @binding(0) var<uniform> piece: vec4<u32>;
@group(0) @binding(1) var<storage, read> numbers: array<u32>;
@group(0) @binding(2) var<storage, read_write> sums: array<u32>;
";

    fn program(source: &str, validator: Comparison) -> (Program, Vec<String>) {
        let buffer = |name: &str, role| Buffer { name: name.to_owned(), role, bytes: 256 };
        let program = Program {
            format: 1,
            title: "Test".to_owned(),
            purpose: "Tests the admission check.".to_owned(),
            family: Family::Other,
            modules: vec![Module { blob: Hash::of(source.as_bytes()), bytes: source.len() as u32 }],
            kernels: vec![Kernel { module: 0, entry: "main".to_owned(), workgroup: [64, 1, 1] }],
            buffers: vec![buffer("numbers", Role::Input), buffer("sums", Role::Output)],
            stages: vec![Stage { kernel: 0, bindings: vec![0, 1], groups: 1, repeat: 1 }],
            features: Vec::new(),
            cost: Cost { operations: 1, memory_bytes: 512, max_millis: 1000 },
            validator,
        };
        (program, vec![source.to_owned()])
    }

    /// Admits `body` as the body of the kernel, after `items`.
    fn admit_body(items: &str, body: &str) -> Result<Admitted, Fault> {
        let source = format!(
            "{HEAD}{items}
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {{
let at = (piece.x + group.x) * 64u + lane;
{body}
}}"
        );
        let (program, sources) = program(&source, Comparison::Bitwise);
        // As in the worker: the thread of the test harness has too little stack for naga in a debug build.
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(crate::COMPILER_STACK_BYTES);
            thread
                .spawn_scoped(scope, || admit(&program, &sources))
                .expect("a thread starts")
                .join()
                .expect("no panic")
        })
    }

    fn refusal(items: &str, body: &str) -> (FaultCode, String) {
        match admit_body(items, body) {
            Ok(_) => panic!("admitted: {items} {body}"),
            Err(fault) => (fault.code, fault.detail),
        }
    }

    #[test]
    fn an_ordinary_integer_kernel_is_admitted_and_its_access_is_known() {
        let admitted = admit_body("", "sums[at] = numbers[at] / 3u + u32(i32(at) % 7);").expect("admitted");
        assert_eq!(admitted.read_only, vec![vec![true, false]]);
    }

    #[test]
    fn a_long_chain_of_operators_is_refused_before_the_parser_sees_it() {
        let chain = "at+".repeat(5_000);
        let (code, detail) = refusal("", &format!("sums[at] = {chain}at;"));
        assert_eq!(code, FaultCode::Wgsl);
        assert!(detail.contains("operators"), "{detail}");
    }

    #[test]
    fn deep_nesting_is_refused_before_the_parser_sees_it() {
        for (open, close) in [("(", ")"), ("{", "}"), ("sums[", "]")] {
            let (open, close) = (open.repeat(3_000), close.repeat(3_000));
            let (_, detail) = refusal("", &format!("{open}at{close}"));
            assert!(detail.contains("nested"), "{detail}");
        }
    }

    #[test]
    fn chains_hidden_behind_calls_prefixes_and_members_are_counted() {
        for bomb in [
            format!("sums[at] = {}at;", "min(1u,2u)+".repeat(3_000)),
            format!("sums[at] = {}at;", "~".repeat(3_000)),
            format!("sums[at] = {}at;", "at + // x\n/* y */".repeat(3_000)),
        ] {
            let (_, detail) = refusal("", &bomb);
            assert!(detail.contains("operators"), "{detail}");
        }
    }

    #[test]
    fn a_long_chain_of_else_is_refused() {
        let chain = "else if (at == 1u) {} ".repeat(2_000);
        let (_, detail) = refusal("", &format!("if (at == 0u) {{}} {chain}"));
        assert!(detail.contains("else"), "{detail}");
    }

    #[test]
    fn an_exponential_call_tree_is_refused_by_its_inlined_size() {
        let mut items = "fn f0(x: u32) -> u32 { return x * 3u; }\n".to_owned();
        for i in 1..24 {
            items += &format!("fn f{i}(x: u32) -> u32 {{ return f{0}(x) + f{0}(x + 1u); }}\n", i - 1);
        }
        let (_, detail) = refusal(&items, "sums[at] = f23(at);");
        assert!(detail.contains("inlined"), "{detail}");
    }

    #[test]
    fn too_many_statements_are_refused() {
        let (_, detail) = refusal("", &"sums[at] = 1u;\n".repeat(2_500));
        assert!(detail.contains("statements"), "{detail}");
    }

    #[test]
    fn large_arrays_of_a_thread_and_of_constants_are_refused() {
        let (_, local) = refusal("", "var big: array<u32, 16384>; big[at] = 1u; sums[at] = big[lane];");
        assert!(local.contains("memory"), "{local}");
        let (_, private) = refusal("var<private> big: array<u32, 16384>;", "sums[at] = big[at];");
        assert!(private.contains("memory"), "{private}");
        let (_, constant) = refusal("const big = array<u32, 100000>();", "sums[at] = big[at];");
        assert!(constant.contains("array"), "{constant}");
        let (_, shared) = refusal("var<workgroup> big: array<u32, 65536>;", "sums[at] = big[at];");
        assert!(shared.contains("workgroup"), "{shared}");
    }

    #[test]
    fn floats_are_refused_where_results_are_compared_bit_by_bit() {
        for body in ["sums[at] = u32(f32(at) * 1.5);", "sums[at] = bitcast<u32>(sin(1.0 * f32(at)));"] {
            let (code, detail) = refusal("", body);
            assert_eq!(code, FaultCode::Wgsl);
            assert!(detail.contains("float") && detail.contains("line"), "{detail}");
        }
    }

    #[test]
    fn floats_are_admitted_where_results_are_compared_with_a_tolerance() {
        let source = format!(
            "{HEAD}@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {{ sums[lane] = u32(f32(numbers[lane]) * 1.5); }}"
        );
        let bounds = Comparison::Tolerance { abs_nano: 1, rel_nano: 1, rms_nano: 1 };
        let (program, sources) = program(&source, bounds);
        admit(&program, &sources).expect("admitted");
    }

    #[test]
    fn signed_division_needs_a_positive_constant_divisor() {
        refusal("", "sums[at] = u32(i32(at) / i32(lane));");
        refusal("", "sums[at] = u32(i32(at) % -3);");
        admit_body("const T = 15;", "sums[at] = u32(i32(at) / T + i32(at) % 2);").expect("admitted");
    }

    #[test]
    fn atomics_whose_result_depends_on_order_are_refused() {
        let items = "var<workgroup> total: atomic<u32>;";
        admit_body(items, "atomicAdd(&total, 1u); workgroupBarrier(); sums[at] = atomicLoad(&total);")
            .expect("admitted");
        let (_, used) = refusal(items, "sums[at] = atomicAdd(&total, 1u);");
        assert!(used.contains("atomic"), "{used}");
        let (_, exchanged) = refusal(items, "sums[at] = atomicExchange(&total, 1u);");
        assert!(exchanged.contains("atomic"), "{exchanged}");
    }

    #[test]
    fn bindings_and_entry_point_must_be_those_of_the_declaration() {
        let good = format!(
            "{HEAD}@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {{ sums[lane] = numbers[lane] + u32(piece.x); }}"
        );
        for (from, to, word) in [
            ("var<storage, read> numbers", "var<storage, read_write> numbers", "read"),
            ("@binding(2)", "@binding(3)", "binding"),
            ("@group(0) @binding(1)", "@group(1) @binding(1)", "group"),
            ("vec4<u32>", "vec4<i32>", "piece"),
            ("array<u32>;\n@group(0) @binding(2)", "array<u32, 65>;\n@group(0) @binding(2)", "bytes"),
            ("@workgroup_size(64)", "@workgroup_size(32)", "workgroup"),
            ("fn main", "fn other", "main"),
        ] {
            let source = good.replacen(from, to, 1);
            assert_ne!(source, good, "the replacement of {from} must hit");
            let (program, sources) = program(&source, Comparison::Bitwise);
            let fault = admit(&program, &sources).expect_err(from);
            assert_eq!(fault.code, FaultCode::Interface, "{from}: {}", fault.detail);
            assert!(fault.detail.contains(word), "{from}: {}", fault.detail);
        }
        let (program, sources) = program(&good, Comparison::Bitwise);
        admit(&program, &sources).expect("the unchanged source is admitted");
    }

    #[test]
    fn textures_and_overrides_are_refused() {
        for item in [
            "@group(0) @binding(3) var t: texture_2d<u32>;",
            "override n: u32 = 3u;",
            "@group(0) @binding(3) var s: sampler;",
        ] {
            assert_eq!(refusal(item, "sums[at] = 1u;").0, FaultCode::Wgsl, "{item}");
        }
        refusal("@fragment fn paint() -> @location(0) vec4<f32> { return vec4<f32>(); }", "sums[at] = 1u;");
    }

    #[test]
    fn a_source_with_another_hash_is_refused() {
        let (program, _) = program("// one", Comparison::Bitwise);
        let fault = admit(&program, &["// two".to_owned()]).expect_err("another source of the same length");
        assert_eq!(fault.code, FaultCode::Manifest);
    }

    #[test]
    fn a_syntax_error_names_its_line() {
        let (_, detail) = refusal("", "let = ;");
        assert!(detail.contains("line 8"), "{detail}");
    }
}
