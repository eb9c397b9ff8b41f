// What shows that data really came to the card and really came back.

@group(0) @binding(0) var<uniform> piece: vec4<u32>;

@group(0) @binding(1) var<storage, read> arrived: array<u32>;
@group(0) @binding(2) var<storage, read> stride: array<u32>;
@group(0) @binding(3) var<storage, read_write> samples: array<u32>;

// Hands out some words of what arrived.
@compute @workgroup_size(64)
fn arrive(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = (piece.x + group.x) * 64u + lane;
    samples[at] = arrived[at * stride[0] + (at & 3u)];
}

@group(0) @binding(1) var<storage, read_write> leaving: array<u32>;

// Fills what is to go back.
@compute @workgroup_size(64)
fn leave(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = (piece.x + group.x) * 64u + lane;
    leaving[at] = (at & 4095u) * 0x9e3779b1u;
}

@group(0) @binding(1) var<storage, read_write> counts: array<u32>;

// Nearly nothing.
@compute @workgroup_size(64)
fn count(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    counts[lane] = counts[lane] + 1u;
}
