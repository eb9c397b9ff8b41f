//! WGSL from a stranger, as the worker admits it: scan, parser, limits, rules. A refusal is an answer; a panic, a stack
//! that is too short or a minute of thinking is a finding. The first byte picks validator and features.

#![no_main]

/// The worker is a program, so its source is taken in by path.
#[path = "../../crates/worker/src"]
mod worker {
    pub mod admission;
}

use libfuzzer_sys::fuzz_target;
use protocol::id::Hash;
use protocol::manifest::{Buffer, Cost, Family, Feature, Kernel, Module, Program, Role, Stage, Validator};
use worker::admission;

/// As in the worker, which gives its compiler thread the same.
const COMPILER_STACK_BYTES: usize = 64 << 20;

fuzz_target!(|data: &[u8]| {
    let Some((&flavour, source)) = data.split_first() else { return };
    let Ok(source) = std::str::from_utf8(source) else { return };
    let (program, sources) = (program(source, flavour), [source.to_owned()]);
    std::thread::scope(|scope| {
        let admitted = std::thread::Builder::new()
            .stack_size(COMPILER_STACK_BYTES)
            .spawn_scoped(scope, || admission::admit(&program, &sources))
            .expect("a thread starts")
            .join()
            .expect("admission never panics");
        match admitted {
            Ok(admitted) => assert_eq!(admitted.read_only.len(), program.stages.len()),
            Err(fault) => assert!(fault.detail.len() <= 2048, "a refusal stays short"),
        }
    });
});

fn program(source: &str, flavour: u8) -> Program {
    let buffer = |name: &str, role| Buffer { name: name.to_owned(), role, bytes: 4096 };
    let tolerance = Validator::Tolerance { abs_nano: 1, rel_nano: 1, rms_nano: 1 };
    Program {
        format: 1,
        title: "Fuzz".to_owned(),
        purpose: "Tries the admission check.".to_owned(),
        family: Family::Other,
        modules: vec![Module { blob: Hash::of(source.as_bytes()), bytes: source.len() as u32 }],
        kernels: vec![Kernel { module: 0, entry: "main".to_owned(), workgroup: [64, 1, 1] }],
        buffers: vec![
            buffer("numbers", Role::Input),
            buffer("params", Role::Params),
            buffer("state", Role::State),
            buffer("sums", Role::Output),
        ],
        stages: vec![Stage { kernel: 0, bindings: vec![0, 1, 2, 3], groups: 1, repeat: 1 }],
        features: if flavour & 2 == 2 { vec![Feature::F16] } else { Vec::new() },
        cost: Cost { operations: 1, memory_bytes: 1 << 20, max_millis: 1000 },
        validator: if flavour & 1 == 0 && flavour & 2 == 0 { Validator::Bitwise } else { tolerance },
    }
}
