// 512 steps of 32 independent 16-bit float multiply-adds per invocation and repeat. With factor and term one, each step
// counts: every value is a whole number below 2048, which 16 bits hold exactly, so that a step left out is seen. Factor
// and term come from a buffer, so that no compiler knows it; the result of a repeat is the start of the next one.

enable f16;

@group(0) @binding(0) var<uniform> piece: vec4<u32>;
@group(0) @binding(1) var<storage, read> factors: array<f32>;
@group(0) @binding(2) var<storage, read_write> values: array<f32>;

@compute @workgroup_size(64)
fn multiply_add(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let thread = (piece.x + group.x) * 64u + lane;
    let m = vec4<f16>(f16(factors[0]));
    let a = vec4<f16>(f16(factors[1]));
    let start = (u32(values[thread]) + thread) & 255u;
    var x0 = vec4<f16>(f16(f32(start))) + vec4<f16>(0.0h, 1.0h, 2.0h, 3.0h);
    var x1 = x0 + vec4<f16>(4.0h);
    var x2 = x0 + vec4<f16>(8.0h);
    var x3 = x0 + vec4<f16>(12.0h);
    var x4 = x0 + vec4<f16>(16.0h);
    var x5 = x0 + vec4<f16>(20.0h);
    var x6 = x0 + vec4<f16>(24.0h);
    var x7 = x0 + vec4<f16>(28.0h);
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
    let fold = vec4<f32>(x0) + vec4<f32>(x1) + vec4<f32>(x2) + vec4<f32>(x3)
        + vec4<f32>(x4) + vec4<f32>(x5) + vec4<f32>(x6) + vec4<f32>(x7);
    values[thread] = fold.x + fold.y + fold.z + fold.w;
}
