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
    for (var i = 0u; i < 256u; i += 1u) {
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

// Signed numbers: products and negations that wrap, shifts that keep the sign, order.
@compute @workgroup_size(64)
fn signed(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = (piece.x + group.x) * 64u + lane;
    var x = bitcast<i32>(words[at]);
    let y = bitcast<i32>(words[(at + 1u) & 4095u]);
    var fold = 0i;
    for (var turn = 0u; turn < 31u; turn += 1u) {
        fold = fold ^ (x >> (turn & 31u)) ^ (y << (turn & 31u));
        x = x * y + (-x >> 1u);
        fold = fold + min(x, y) - max(-y, abs(x)) + select(1i, -1i, x < y) * sign(x);
    }
    // The least number has no positive one of the same size: its negation and its absolute value are itself.
    let least = select(x, -2147483647i - 1i, (lane & 7u) == 0u);
    let lowest = abs(least) ^ -least;
    results[at] = bitcast<u32>(fold ^ lowest ^ clamp(x, -1000i, y | 1i) ^ extractBits(y, 3u, 9u));
}

// Divisions that compilers turn into products and shifts, and one that they cannot.
@compute @workgroup_size(64)
fn divide(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = (piece.x + group.x) * 64u + lane;
    let x = words[at];
    let y = words[(at + 1u) & 4095u];
    var fold = (x / 3u) ^ (x / 7u) ^ (x / 10u) ^ (x / 641u) ^ (x / 65537u) ^ (x / 0x80000001u) ^ (x / 0xffffffffu);
    fold = fold * 31u + (x % 3u) + (x % 7u) + (x % 10u) + (x % 641u) + (x % 65537u) + (x % 0x80000001u);
    for (var turn = 0u; turn < 32u; turn += 1u) {
        let divisor = (y >> (turn & 31u)) | 1u;
        fold = (fold ^ (x / divisor)) * 0x01000193u + (x % divisor);
    }
    results[at] = fold;
}

// Numbers of 64 bits in two halves: the carry of a sum, the borrow of a difference, the whole of a product.
@compute @workgroup_size(64)
fn wide(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = (piece.x + group.x) * 64u + lane;
    var low = words[at];
    var high = words[(at + 1u) & 4095u];
    for (var turn = 0u; turn < 16u; turn += 1u) {
        let other = words[(at + turn) & 4095u];
        let sum = low + other;
        high = high + select(0u, 1u, sum < low);
        let borrow = select(0u, 1u, sum < high);
        low = sum - high;
        high = high - borrow;
        // Times 0x1_0000_01b3, the prime of the Fowler-Noll-Vo hash in 64 bits without its middle zeros.
        let below = (low & 0xffffu) * 0x1b3u;
        let above = (low >> 16u) * 0x1b3u + (below >> 16u);
        high = high * 0x1b3u + low + (above >> 16u);
        low = (above << 16u) | (below & 0xffffu);
    }
    results[at] = low ^ high;
}

// Lanes of one group that take different ways, leave loops early, and meet again.
@compute @workgroup_size(64)
fn branch(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = (piece.x + group.x) * 64u + lane;
    var x = words[at];
    var fold = 0u;
    for (var outer = 0u; outer < 12u; outer += 1u) {
        switch (x & 3u) {
            case 0u: {
                fold = fold + countTrailingZeros(x);
            }
            case 1u: {
                for (var inner = 0u; inner < 9u; inner += 1u) {
                    if (((x >> (inner & 31u)) & 5u) == 5u) {
                        break;
                    }
                    fold = fold * 3u + inner;
                }
            }
            case 2u: {
                fold = fold ^ firstLeadingBit(x);
                if (fold > x) {
                    x = x + 0x9e3779b1u;
                    continue;
                }
            }
            default: {
                fold = fold + (x >> (fold & 31u));
            }
        }
        x = turn_left(x, 5u) ^ fold;
    }
    results[at] = fold ^ x;
}
