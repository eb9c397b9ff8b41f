// Copies one buffer to another, sixteen bytes per invocation. Every repeat changes what is written, so that no copy
// equals the one before, and some words of the last one are handed out for a check.

@group(0) @binding(0) var<uniform> piece: vec4<u32>;

@group(0) @binding(1) var<storage, read_write> filled: array<vec4<u32>>;

@compute @workgroup_size(256)
fn fill(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = (piece.x + group.x) * 256u + lane;
    let word = vec4<u32>(at * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    filled[at] = (word * vec4<u32>(0x9e3779b1u)) ^ (word >> vec4<u32>(7u));
}

@group(0) @binding(1) var<storage, read_write> origin: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> destination: array<vec4<u32>>;

@compute @workgroup_size(256)
fn copy(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = (piece.x + group.x) * 256u + lane;
    destination[at] = origin[at] ^ vec4<u32>(piece.y);
}

@group(0) @binding(1) var<storage, read> stride: array<u32>;
@group(0) @binding(2) var<storage, read_write> copied: array<u32>;
@group(0) @binding(3) var<storage, read_write> samples: array<u32>;

@compute @workgroup_size(64)
fn sample(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = (piece.x + group.x) * 64u + lane;
    samples[at] = copied[at * stride[0] + (at & 3u)];
}
