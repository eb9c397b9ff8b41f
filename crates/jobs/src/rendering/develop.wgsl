// From sums of light to bytes of colour: the mean over all paths, a film's curve, and the square root in place of a gamma.
// What stands before this line are the constants of the image. Integers only: every device gives these bits.

// First group of this piece, repeat, groups of the stage, 0.
@group(0) @binding(0) var<uniform> piece: vec4<u32>;
// Red, green and blue of each pixel of the tile, summed over SAMPLES paths, 12 fractional bits.
@group(0) @binding(1) var<storage, read_write> sums: array<u32>;
// Red, green, blue and 255, row by row.
@group(0) @binding(2) var<storage, read_write> pixels: array<u32>;

const ONE: i32 = 65536;

// The product of two numbers of 16 fractional bits, rounded down.
fn mul(a: i32, b: i32) -> i32 {
    let low_a = bitcast<u32>(a) & 0xffffu;
    let low_b = bitcast<u32>(b) & 0xffffu;
    return (a >> 16u) * b + bitcast<i32>(low_a) * (b >> 16u) + bitcast<i32>((low_a * low_b) >> 16u);
}

// The square root, rounded down: 24 binary digits, one by one.
fn root(x: i32) -> i32 {
    var left = bitcast<u32>(x);
    var rest = 0u;
    var result = 0u;
    for (var i = 0u; i < 24u; i += 1u) {
        rest = (rest << 2u) | (left >> 30u);
        left = left << 2u;
        let trial = (result << 2u) | 1u;
        result = result << 1u;
        if (rest >= trial) {
            rest = rest - trial;
            result = result | 1u;
        }
    }
    return bitcast<i32>(result);
}

// x (2.51 x + 0.03) / (x (2.43 x + 0.59) + 0.14), Narkowicz's fit of the ACES film curve, then the root, as a byte.
fn developed(sum: u32) -> u32 {
    let x = bitcast<i32>((sum / SAMPLES) << 4u);
    let above = mul(x, mul(164495, x) + 1966);
    let below = mul(x, mul(159252, x) + 38666) + 9175;
    let share = mul(above, bitcast<i32>(0xffffffffu / (bitcast<u32>(below) | 1u)));
    return bitcast<u32>(root(clamp(share, 0, ONE)) * 255 + 32768) >> 16u;
}

@compute @workgroup_size(64)
fn develop(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let pixel = (piece.x + group.x) * 64u + lane;
    let at = pixel * 3u;
    let red = developed(sums[at]);
    let green = developed(sums[at + 1u]);
    let blue = developed(sums[at + 2u]);
    pixels[pixel] = red | (green << 8u) | (blue << 16u) | 0xff000000u;
}
