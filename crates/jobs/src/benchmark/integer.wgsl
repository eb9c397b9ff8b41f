// 512 steps of 32 independent 32-bit multiply-adds per invocation and repeat. The result of a repeat is the start of
// the next one, and multiplier and addend come from a buffer, so that no step can be left out.

@group(0) @binding(0) var<uniform> piece: vec4<u32>;
@group(0) @binding(1) var<storage, read> factors: array<u32>;
@group(0) @binding(2) var<storage, read_write> values: array<u32>;

@compute @workgroup_size(64)
fn multiply_add(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let thread = (piece.x + group.x) * 64u + lane;
    let m = vec4<u32>(factors[0]);
    let a = vec4<u32>(factors[1]);
    let value = vec4<u32>(values[thread]);
    let first = vec4<u32>((thread & 255u) * 32u) + vec4<u32>(0u, 1u, 2u, 3u);
    var x0 = value ^ first;
    var x1 = value ^ (first + vec4<u32>(4u));
    var x2 = value ^ (first + vec4<u32>(8u));
    var x3 = value ^ (first + vec4<u32>(12u));
    var x4 = value ^ (first + vec4<u32>(16u));
    var x5 = value ^ (first + vec4<u32>(20u));
    var x6 = value ^ (first + vec4<u32>(24u));
    var x7 = value ^ (first + vec4<u32>(28u));
    for (var i = 0u; i < 512u; i = i + 1u) {
        x0 = x0 * m + a;
        x1 = x1 * m + a;
        x2 = x2 * m + a;
        x3 = x3 * m + a;
        x4 = x4 * m + a;
        x5 = x5 * m + a;
        x6 = x6 * m + a;
        x7 = x7 * m + a;
    }
    let fold = x0 ^ x1 ^ x2 ^ x3 ^ x4 ^ x5 ^ x6 ^ x7;
    values[thread] = fold.x ^ fold.y ^ fold.z ^ fold.w;
}
