//! Admission as a whole: what is let in, and the words with which the rest is refused.

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
    on_a_large_stack(&program, &sources)
}

/// As in the worker: the thread of the test harness has too little stack for naga in a debug build.
fn on_a_large_stack(program: &Program, sources: &[String]) -> Result<Admitted, Fault> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(crate::COMPILER_STACK_BYTES);
        thread
            .spawn_scoped(scope, || admit(program, sources))
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
    on_a_large_stack(&program, &sources).expect("admitted");
}

#[test]
fn signed_division_needs_a_positive_constant_divisor() {
    let divisor = "signed / and % need a positive constant";
    assert!(refusal("", "sums[at] = u32(i32(at) / i32(lane));").1.contains(divisor));
    assert!(refusal("", "sums[at] = u32(i32(at) % -3);").1.contains(divisor));
    admit_body("const T = 15;", "sums[at] = u32(i32(at) / T + i32(at) % 2);").expect("admitted");
}

#[test]
fn atomics_whose_result_depends_on_order_are_refused() {
    let items = "var<workgroup> total: atomic<u32>;";
    let zeroed = "if (lane == 0u) { atomicStore(&total, 0u); } workgroupBarrier();";
    let counted = "atomicAdd(&total, 1u); workgroupBarrier(); sums[at] = atomicLoad(&total);";
    admit_body(items, &format!("{zeroed}{counted}")).expect("admitted");
    for used in ["sums[at] = atomicAdd(&total, 1u);", "sums[at] = atomicExchange(&total, 1u);"] {
        let (_, detail) = refusal(items, &format!("{zeroed}{used}"));
        assert!(detail.contains("depends on order"), "{detail}");
    }
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
        let fault = on_a_large_stack(&program, &sources).expect_err(from);
        assert_eq!(fault.code, FaultCode::Interface, "{from}: {}", fault.detail);
        assert!(fault.detail.contains(word), "{from}: {}", fault.detail);
    }
    let (program, sources) = program(&good, Comparison::Bitwise);
    on_a_large_stack(&program, &sources).expect("the unchanged source is admitted");
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

#[test]
fn every_program_that_ships_is_admitted() {
    use jobs::{benchmark, product, rendering, search};
    let adapter = protocol::frames::Adapter {
        name: "card".to_owned(),
        backend: "vulkan".to_owned(),
        driver: "1".to_owned(),
        vendor_id: 1,
        device_id: 1,
        software: false,
        max_binding_bytes: 128 << 20,
        memory_bytes: None,
        features: vec![Feature::F16],
    };
    let mut programs = vec![jobs::conformance::program()];
    for spectra in [2, 16, search::MAX_SPECTRA] {
        let shape = search::Shape::new(512, 40, spectra).expect("a usual shape");
        programs.push((shape.program("Search", "Searches."), shape.sources()));
    }
    let shape = rendering::Shape::new(512, 256, rendering::MAX_SAMPLES).expect("a usual shape");
    programs.push((shape.program("Picture", "Draws."), shape.sources()));
    let shape = product::Shape::new(64, 1024, 64).expect("a usual shape");
    programs.push((shape.program("Product", "Multiplies."), shape.sources()));
    use benchmark::Speed;
    for speed in [Speed::Float, Speed::Integer, Speed::Half, Speed::Memory] {
        let measured = speed.program(u32::MAX, &adapter);
        programs.push((measured.program, measured.sources));
    }
    for measured in [benchmark::arrival(&adapter), benchmark::departure(), benchmark::dispatch()] {
        programs.push((measured.program, measured.sources));
    }
    for (program, sources) in programs {
        if let Err(fault) = on_a_large_stack(&program, &sources) {
            panic!("{} is refused: {}", program.title, fault.detail);
        }
    }
}

/// Refuses `body` and compares the whole text, which begins at line 6 of the module, in the first column.
#[track_caller]
fn refuses(items: &str, body: &str, expected: &str) {
    let (code, detail) = refusal(items, body);
    assert_eq!(code, FaultCode::Wgsl, "{detail}");
    assert_eq!(detail, expected, "the text that a publisher reads");
}

#[track_caller]
fn admits(items: &str, body: &str) {
    if let Err(fault) = admit_body(items, body) {
        panic!("refused: {items} {body}\n{}", fault.detail);
    }
}

#[test]
fn every_usual_counted_loop_is_admitted() {
    let items = "const N = 100u;\nfn twice(x: u32) -> u32 { return x * 2u; }";
    for head in [
        "var i = 0u; i < 64u; i += 1u",
        "var i = 0u; i <= N; i++",
        "var i = 64u; i > 0u; i -= 1u",
        "var i = 63; i >= 0; i--",
        "var i = 0u; 64u > i; i = 2u + i",
        "var i = 0u; i < min(numbers[at], 1000u); i += 1u",
        "var i = 0u; i < clamp(numbers[at], 1u, 1000u); i += 3u",
        "var i = 0u; i < (numbers[at] & 255u); i += 1u",
        "var i = lane; i < 4096u; i += 64u",
        "var i = min(numbers[at], 1000u); i > 1u; i -= 1u",
        "var i = -5; i < 5; i++",
    ] {
        admits(items, &format!("var x = at; for ({head}) {{ x = twice(x) + u32(i); }} sums[at] = x;"));
    }
    admits(
        "",
        "let n = min(numbers[at], 9u); var x = 0u; for (var i = 0u; i < n; i++) { x += i; } sums[at] = x;",
    );
    admits(
        "",
        "var n = 7u; var x = 0u; if (lane > 3u) { n = 9u; } for (var i = 0u; i < n; i++) { x += i; } sums[at] = x;",
    );
    let early = "for (var i = 0u; i < 64u; i++) { if (numbers[i] == 0u) { break; } if (i == 3u) { continue; } x += i; }";
    admits("", &format!("var x = 0u; {early} sums[at] = x;"));
    let written_out =
        "var i = 0u; loop { if (i >= 9u) { break; } x += i; continuing { i = i + 1u; } } sums[at] = x;";
    admits("", &format!("var x = 0u; {written_out}"));
}

const FORM: &str = "this loop has no bound that can be proved; write for (var i = A; i < B; i += C), or <=, >, >= with \
                    -=, where C is a constant, B is a constant or clamped like min(n, 1000u), and i is changed nowhere else";

#[test]
fn a_loop_of_another_form_is_refused_and_told_the_form() {
    for body in [
        "loop { sums[at] += 1u; }",
        "loop { if (piece.z == 0u) { break; } }",
        "while (numbers[at] > 0u) { sums[at] += 1u; }",
        "for (var i = 0u; i != 64u; i += 1u) { }",
        "for (var i = 0u; ; i += 1u) { if (i > 3u) { break; } }",
        "for (var i = 0u; i < 64u; ) { i += 1u; }",
        "for (var i = 0u; i < 64u; i += 1u) { i -= 1u; }",
        "for (var i = 0u; i < 64u; i += 1u) { let p = &i; *p = 0u; }",
        "for (var i = 0u; i < 64u; i += lane) { }",
        "for (var i = 0u; i < 64u; i -= 1u) { }",
        "for (var i = 1u; i < 64u; i *= 2u) { }",
        "for (var i = 0u; i < 64u; i += 0u) { }",
        "for (var i = 0; i < 64; i += -1) { }",
    ] {
        let caret = "^";
        refuses("", body, &format!("module 0, line 8, column 1: {FORM}\n  {body}\n  {caret}"));
    }
    let changed = "for (var i = 0u; i < 64u; i += 1u) { change(&i); }";
    refuses(
        "fn change(p: ptr<function, u32>) { *p = 0u; }",
        changed,
        &format!("module 0, line 8, column 1: {FORM}\n  {changed}\n  ^"),
    );
}

#[test]
fn a_loop_whose_bound_is_known_only_when_it_runs_is_told_to_clamp() {
    let body = "for (var i = 0u; i < numbers[0]; i += 1u) { sums[at] += i; }";
    refuses(
        "",
        body,
        &format!(
            "module 0, line 8, column 1: the bound of this loop is known only when it runs; clamp it with a constant, \
             like i < min(n, 1000u)\n  {body}\n  ^"
        ),
    );
    let start = "for (var i = numbers[0]; i > 0u; i -= 1u) { sums[at] += i; }";
    refuses(
        "",
        start,
        &format!(
            "module 0, line 8, column 1: where this loop starts is known only when it runs; clamp it with a constant, \
             like i = min(n, 1000u)\n  {start}\n  ^"
        ),
    );
    // The bound is that of an argument: what the callers give is not followed.
    let (_, detail) = refusal(
        "fn f(n: u32) -> u32 { var x = 0u;\n for (var i = 0u; i < n; i++) { x += i; } return x; }",
        "sums[at] = f(3u);",
    );
    assert!(detail.starts_with("module 0, line 5, column 2: the bound of this loop"), "{detail}");
}

#[test]
fn a_counter_that_can_wrap_is_refused() {
    let wraps = "module 0, line 8, column 1: the counter of this loop can pass the end of its type and never meet the \
                 bound; leave room for one more step";
    for body in [
        "for (var i = 5u; i >= 0u; i -= 1u) { sums[at] += i; }",
        "for (var i = 0u; i <= 4294967295u; i += 1u) { sums[at] += i; }",
        "for (var i = 4294967000u; i < 4294967290u; i += 100u) { sums[at] += i; }",
        "for (var i = 2147483000; i <= 2147483647; i += 1) { sums[at] += 1u; }",
    ] {
        refuses("", body, &format!("{wraps}\n  {body}\n  ^"));
    }
}

#[test]
fn the_iterations_of_nested_loops_calls_and_stretches_are_added_up() {
    // 32 * (1 + 1023) = 32,768; with one more it is over.
    let nested = |inner: u32| {
        format!(
            "var x = 0u;\nfor (var i = 0u; i < 32u; i++) {{ for (var j = 0u; j < {inner}u; j++) {{ x += j; }} }} sums[at] = x;"
        )
    };
    admits("", &nested(1023));
    let over = nested(1024);
    let line = over.lines().nth(1).expect("two lines");
    let (_, detail) = refusal("", &over);
    let line: String = line.chars().take(100).collect();
    assert_eq!(
        detail,
        format!(
            "module 0, line 9, column 1: main may run 32800 loop iterations in one dispatch, most of them here, over the \
             limit of 32768; do less per dispatch and let the stage repeat\n  {line}\n  ^"
        )
    );
    // One after the other, and through a call.
    let work =
        "fn work(x: u32) -> u32 { var y = x; for (var i = 0u; i < 20000u; i++) { y = y * 3u; } return y; }";
    admits(work, "sums[at] = work(at);");
    let (_, detail) = refusal(work, "sums[at] = work(at) + work(lane);");
    assert!(detail.contains("main may run 40000 loop iterations"), "{detail}");
    let (_, detail) = refusal(work, "for (var i = 0u; i < 9u; i++) { sums[at] += work(i); }");
    assert!(detail.contains("main may run 180009 loop iterations"), "{detail}");
    // Of two branches only one is taken.
    admits(work, "if (lane == 0u) { sums[at] = work(at); } else { sums[at] = work(lane); }");
}

#[test]
fn a_divisor_that_may_be_zero_is_refused() {
    for divisor in ["3u", "(at | 1u)", "max(at, 1u)", "(at & 7u) + 1u", "select(3u, 5u, at > 7u)"] {
        admits("", &format!("sums[at] = numbers[at] / ({divisor}) + numbers[at] % ({divisor});"));
    }
    admits("", "var x = vec2<u32>(at); x %= vec2<u32>(7u, 9u); sums[at] = x.x / (x.y + 1u);");
    let zero = "the number on the right of / or % may be zero; use a constant, or make it positive with max(x, 1u) or x | 1u";
    for (body, column) in [
        ("sums[at] = numbers[at] / numbers[0];", 12),
        ("sums[at] = numbers[at] % lane;", 12),
        ("sums[at] = 7u / (at + 1u);", 12),
        ("sums[at] /= numbers[1];", 1),
    ] {
        let caret = format!("{:1$}^", "", column - 1);
        refuses("", body, &format!("module 0, line 8, column {column}: {zero}\n  {body}\n  {caret}"));
    }
}

#[test]
fn a_shift_by_32_or_more_is_refused() {
    for amount in [
        "31u",
        "(at & 31u)",
        "min(at, 31u)",
        "(at >> 27u)",
        "(at >> 28u) + 4u",
        "(at % 32u)",
        "countOneBits(at) >> 1u",
    ] {
        admits("", &format!("sums[at] = (numbers[at] << ({amount})) ^ (numbers[at] >> ({amount}));"));
    }
    admits("", "var x = at; for (var round = 0u; round < 6u; round++) { x ^= 32u >> round; } sums[at] = x;");
    let shift =
        "the amount of a shift may be 32 or more; use a constant, or bound it with x & 31u or min(x, 31u)";
    for body in [
        "sums[at] = numbers[at] << at;",
        "sums[at] = numbers[at] >> (at >> 26u);",
        "sums[at] = numbers[at] >> (32u - (at & 31u));",
        "sums[at] = u32(i32(at) >> numbers[at]);",
    ] {
        let (_, detail) = refusal("", body);
        assert!(
            detail.contains(shift) && detail.contains(body) && detail.contains("line 8, column 1"),
            "{detail}"
        );
    }
}

#[test]
fn division_and_shifts_are_free_where_results_are_compared_with_a_tolerance_but_loops_are_not() {
    let source = |body: &str| {
        format!(
            "{HEAD}@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {{ {body} }}"
        )
    };
    let tolerance = Comparison::Tolerance { abs_nano: 1, rel_nano: 1, rms_nano: 1 };
    let (program_, sources) = program(&source("sums[lane] = (7u / lane) << lane;"), tolerance.clone());
    on_a_large_stack(&program_, &sources).expect("admitted");
    let (program_, sources) =
        program(&source("for (var i = 0u; i < numbers[0]; i++) { sums[lane] = i; }"), tolerance);
    let fault = on_a_large_stack(&program_, &sources).expect_err("a loop without a bound");
    assert!(fault.detail.contains("clamp"), "{}", fault.detail);
}

const TILE: &str = "var<workgroup> tile: array<u32, 64>;";

#[test]
fn workgroup_memory_that_is_written_by_all_before_a_barrier_may_be_read() {
    for (items, body) in [
        (TILE, "tile[lane] = at; workgroupBarrier(); sums[at] = tile[63u - lane];"),
        (
            "var<workgroup> tile: array<u32, 256>;",
            "tile[lane] = 0u; tile[lane + 64u] = 1u; tile[128u + lane] = 2u; tile[lane + 192u] = 3u; workgroupBarrier(); sums[at] = tile[at % 256u];",
        ),
        (
            "var<workgroup> tile: array<u32, 1000>;",
            "for (var i = lane; i < 1000u; i += 64u) { tile[i] = numbers[i]; } workgroupBarrier(); sums[at] = tile[at % 1000u];",
        ),
        (
            "var<workgroup> few: array<u32, 8>;",
            "if (lane < 8u) { few[lane] = at; } workgroupBarrier(); sums[at] = few[lane % 8u];",
        ),
        (
            "var<workgroup> counts: array<atomic<u32>, 64>;",
            "atomicStore(&counts[lane], 0u); workgroupBarrier(); atomicAdd(&counts[at % 64u], 1u); workgroupBarrier(); sums[at] = atomicLoad(&counts[lane]);",
        ),
        (
            "var<workgroup> one: u32;",
            "if (lane == 0u) { one = numbers[0]; } sums[at] = workgroupUniformLoad(&one);",
        ),
        // A tile that is filled anew in every iteration, as in a product of matrices.
        (
            TILE,
            "var x = 0u; for (var t = 0u; t < 4u; t++) { tile[lane] = numbers[t * 64u + lane]; workgroupBarrier(); \
             for (var k = 0u; k < 64u; k++) { x += tile[k]; } workgroupBarrier(); } sums[at] = x;",
        ),
        // Read by a function, after the entry point has written it.
        (
            "var<workgroup> tile: array<u32, 64>;\nfn total() -> u32 { var x = 0u; for (var k = 0u; k < 64u; k++) { x += tile[k]; } return x; }",
            "tile[lane] = at; workgroupBarrier(); sums[at] = total();",
        ),
        // A tree sum: the number of rounds is the same for all.
        (
            TILE,
            "tile[lane] = at; workgroupBarrier(); for (var round = 0u; round < 6u; round++) { let width = 32u >> round; \
             if (lane < width) { tile[lane] += tile[lane + width]; } workgroupBarrier(); } sums[at] = tile[0];",
        ),
    ] {
        admits(items, body);
    }
}

#[test]
fn tiles_of_two_dimensions_are_followed() {
    for store in ["tile[id.y][id.x] = id.x;", "flat[id.y * 8u + id.x] = 1u; tile[id.y][id.x] = flat[0] * 0u;"]
    {
        let source = format!(
            "{HEAD}var<workgroup> tile: array<array<u32, 8>, 8>;
var<workgroup> flat: array<u32, 64>;
@compute @workgroup_size(8, 8)
fn main(@builtin(local_invocation_id) id: vec3<u32>) {{
flat[8u * id.y + id.x] = 0u; workgroupBarrier();
{store} workgroupBarrier(); sums[id.y * 8u + id.x] = tile[id.x][id.y] + flat[id.x];
}}"
        );
        let (mut program, sources) = program(&source, Comparison::Bitwise);
        program.kernels[0].workgroup = [8, 8, 1];
        on_a_large_stack(&program, &sources).expect("admitted");
    }
}

#[test]
fn workgroup_memory_that_may_be_read_before_it_is_written_is_refused() {
    let reason = |name: &str, example: &str| {
        format!(
            "{name} is read before all of it was written and a barrier passed; let the entry point write every element \
             first, like {example} workgroupBarrier();"
        )
    };
    let tile = reason("tile", "tile[lane] = 0u;");
    refuses(
        TILE,
        "sums[at] = tile[lane];",
        &format!("module 0, line 8, column 12: {tile}\n  sums[at] = tile[lane];\n             ^"),
    );
    for body in [
        "tile[lane] = at; sums[at] = tile[lane];",
        "tile[0] = at; workgroupBarrier(); sums[at] = tile[0];",
        "if (lane < 63u) { tile[lane] = at; } workgroupBarrier(); sums[at] = tile[lane];",
        "if (numbers[0] == 0u) { tile[lane] = at; } workgroupBarrier(); sums[at] = tile[lane];",
        "tile[lane] = at; storageBarrier(); sums[at] = tile[lane];",
        "for (var i = 0u; i < 1u; i++) { tile[lane] = at; } workgroupBarrier(); sums[at] = tile[lane];",
        "for (var i = lane; i < 63u; i += 64u) { tile[i] = at; } workgroupBarrier(); sums[at] = tile[lane];",
        "for (var i = lane; i < 64u; i += 65u) { tile[i] = at; } workgroupBarrier(); sums[at] = tile[lane];",
        "for (var i = lane; i < 64u; i += 64u) { if (at > 3u) { break; } tile[i] = at; } workgroupBarrier(); sums[at] = tile[lane];",
        "tile[at] = at; workgroupBarrier(); sums[at] = tile[lane];",
        "switch (numbers[0]) { case 0u: { tile[lane] = 1u; } default: { } } workgroupBarrier(); sums[at] = tile[lane];",
    ] {
        let (code, detail) = refusal(TILE, body);
        assert_eq!(code, FaultCode::Wgsl);
        assert!(detail.contains(&tile), "{body}\n{detail}");
    }
    let large = "var<workgroup> tile: array<u32, 65>;";
    assert!(refusal(large, "tile[lane] = at; workgroupBarrier(); sums[at] = tile[lane];").1.contains(&tile));
    let counter = reason("total", "if (lane == 0u) { atomicStore(&total, 0u); }");
    let (_, detail) = refusal("var<workgroup> total: atomic<u32>;", "atomicAdd(&total, 1u);");
    assert!(detail.contains(&counter), "{detail}");
    let scalar = reason("one", "one = 0u;");
    let (_, detail) = refusal("var<workgroup> one: u32;", "sums[at] = workgroupUniformLoad(&one);");
    assert!(detail.contains(&scalar), "{detail}");
    let called = "var<workgroup> one: u32;\nfn held() -> u32 { return one; }";
    let (_, detail) = refusal(called, "sums[at] = held();");
    assert!(detail.contains(&scalar) && detail.contains("line 9"), "{detail}");
}

#[test]
fn a_barrier_that_some_invocations_may_miss_is_refused() {
    let reason = "some invocations of a workgroup may not reach this barrier";
    for body in [
        "if (lane < 3u) { workgroupBarrier(); }",
        "if (at >= 100u) { return; } workgroupBarrier();",
        "for (var i = 0u; i < (lane & 3u); i++) { workgroupBarrier(); }",
        "for (var i = lane; i < 64u; i += 8u) { workgroupBarrier(); }",
        "for (var i = 0u; i < 9u; i++) { workgroupBarrier(); if (sums[i] == 0u) { break; } }",
        "for (var i = 0u; i < 9u; i++) { if (sums[i] == 0u) { continue; } workgroupBarrier(); }",
        "var n = 3u; if (lane == 2u) { n = 4u; } for (var i = 0u; i < n; i++) { workgroupBarrier(); }",
        "var n = 3u; for (var i = 0u; i < 9u; i++) { for (var j = 0u; j < min(n, 9u); j++) { workgroupBarrier(); } n = lane; }",
        "switch (lane) { case 0u: { workgroupBarrier(); } default: { } }",
        "var x = 0u; for (var i = 0u; i < 9u; i++) { x = 1u; if (lane == i) { break; } x = 2u; } if (x == 2u) { workgroupBarrier(); }",
        "if (lane < 3u) { wait(); }",
        "if (sums[0] > 3u) { storageBarrier(); }",
    ] {
        let (_, detail) = refusal("fn wait() { workgroupBarrier(); }", body);
        assert!(detail.contains(reason), "{body}\n{detail}");
    }
    for body in [
        "if (numbers[0] < 3u) { workgroupBarrier(); }",
        "if (group.x + piece.x >= 100u) { return; } workgroupBarrier();",
        "var acc = 0u; for (var i = 0u; i < min(numbers[1], 9u); i++) { acc += lane; workgroupBarrier(); } sums[at] = acc;",
        "for (var i = 0u; i < 9u; i++) { for (var j = 0u; j < lane % 4u; j++) { sums[at] += j; } workgroupBarrier(); }",
        "for (var i = 0u; i < 9u; i++) { if (numbers[i] == 0u) { break; } wait(); }",
    ] {
        admits("fn wait() { workgroupBarrier(); }", body);
    }
}

#[test]
fn every_detail_fits_its_limit() {
    let body = format!("for (;;) {{ }} // {}", "ä".repeat(3_000));
    let (_, detail) = refusal("", &body);
    assert!(detail.len() <= MAX_DETAIL_BYTES, "{}", detail.len());
}
