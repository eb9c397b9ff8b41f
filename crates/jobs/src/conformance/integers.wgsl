// Integer kernels with known answers; see conformance.rs for the same in Rust.

@group(0) @binding(0) var<uniform> piece: vec4<u32>;

fn turn_left(x: u32, amount: u32) -> u32 {
    // Both shifts stay below 32, also for an amount of 0.
    return (x << (amount & 31u)) | select(0u, x >> ((32u - amount) & 31u), amount != 0u);
}

@group(0) @binding(1) var<storage, read> seed: array<u32>;
@group(0) @binding(2) var<storage, read_write> generated: array<u32>;

@compute @workgroup_size(64)
fn generate(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = (piece.x + group.x) * 64u + lane;
    var state = seed[0] ^ (at * 0x9e3779b1u);
    var fold = 0u;
    for (var i = 0u; i < 256u; i = i + 1u) {
        state = state * 747796405u + 2891336453u;
        // The shift is 4 to 19.
        let word = ((state >> (((state >> 28u) + 4u) & 31u)) ^ state) * 277803737u;
        fold = fold ^ (word >> 22u) ^ word;
    }
    generated[at] = fold;
}

@group(0) @binding(1) var<storage, read> words: array<u32>;
@group(0) @binding(2) var<storage, read_write> results: array<u32>;

// The high half of a 64-bit product from four products of 16-bit halves.
@compute @workgroup_size(64)
fn multiply_high(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = (piece.x + group.x) * 64u + lane;
    let x = words[at];
    let y = words[(at + 1u) & 4095u];
    let low = (x & 0xffffu) * (y & 0xffffu);
    let left = (x >> 16u) * (y & 0xffffu) + (low >> 16u);
    let right = (x & 0xffffu) * (y >> 16u) + (left & 0xffffu);
    results[at] = (x >> 16u) * (y >> 16u) + (left >> 16u) + (right >> 16u);
}

@compute @workgroup_size(64)
fn bits(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = (piece.x + group.x) * 64u + lane;
    let x = words[at];
    let y = words[(at + 1u) & 4095u];
    let amount = y & 31u;
    let divisor = y | 1u;
    let quotient = (x / divisor) ^ turn_left(x % divisor, 7u);
    let counts = countOneBits(x) | (countLeadingZeros(x) << 8u) | (countOneBits(~y) << 16u);
    let signed = bitcast<u32>((bitcast<i32>(x) >> amount) * bitcast<i32>(y));
    let lowest = select(y, x, bitcast<i32>(x) < bitcast<i32>(y));
    results[at] = turn_left(x, amount) ^ quotient ^ (counts * 0x85ebca6bu) ^ signed ^ reverseBits(lowest);
}

var<workgroup> partial: array<u32, 64>;

// The sum of 64 words through workgroup memory: one result per group.
@compute @workgroup_size(64)
fn tree(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = (piece.x + group.x) * 64u + lane;
    partial[lane] = words[at];
    workgroupBarrier();
    for (var round = 0u; round < 6u; round = round + 1u) {
        let width = 32u >> round;
        if (lane < width) {
            partial[lane] = partial[lane] + partial[lane + width];
        }
        workgroupBarrier();
    }
    if (lane == 0u) {
        results[piece.x + group.x] = partial[0];
    }
}
