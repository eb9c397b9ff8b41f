// 512 steps of 32 independent float multiply-adds per invocation and repeat. Each chain contracts toward the same
// value, so that rounding, fused or not, stays small; the result of a repeat is part of the start of the next one.

@group(0) @binding(0) var<uniform> piece: vec4<u32>;
@group(0) @binding(1) var<storage, read> factors: array<f32>;
@group(0) @binding(2) var<storage, read_write> values: array<f32>;

@compute @workgroup_size(64)
fn multiply_add(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let thread = (piece.x + group.x) * 64u + lane;
    let m = vec4<f32>(factors[0]);
    let a = vec4<f32>(factors[1]);
    let start = values[thread] + f32(thread & 255u) * 0.00390625;
    var x0 = vec4<f32>(start) + vec4<f32>(0.0, 0.03125, 0.0625, 0.09375);
    var x1 = x0 + vec4<f32>(0.125);
    var x2 = x0 + vec4<f32>(0.25);
    var x3 = x0 + vec4<f32>(0.375);
    var x4 = x0 + vec4<f32>(0.5);
    var x5 = x0 + vec4<f32>(0.625);
    var x6 = x0 + vec4<f32>(0.75);
    var x7 = x0 + vec4<f32>(0.875);
    for (var i = 0u; i < 512u; i = i + 1u) {
        x0 = fma(x0, m, a);
        x1 = fma(x1, m, a);
        x2 = fma(x2, m, a);
        x3 = fma(x3, m, a);
        x4 = fma(x4, m, a);
        x5 = fma(x5, m, a);
        x6 = fma(x6, m, a);
        x7 = fma(x7, m, a);
    }
    let fold = ((x0 + x1) + (x2 + x3)) + ((x4 + x5) + (x6 + x7));
    values[thread] = (fold.x + fold.y + fold.z + fold.w) * 0.03125;
}
