// Memory of all kinds with known answers; see conformance.rs for the same in Rust.

@group(0) @binding(0) var<uniform> piece: vec4<u32>;

@group(0) @binding(1) var<storage, read> words: array<u32>;
@group(0) @binding(2) var<storage, read_write> results: array<u32>;

var<workgroup> partial: array<u32, 64>;

// The sum of 64 words through workgroup memory: one result per group.
@compute @workgroup_size(64)
fn tree(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = (piece.x + group.x) * 64u + lane;
    partial[lane] = words[at];
    workgroupBarrier();
    for (var round = 0u; round < 6u; round += 1u) {
        let width = 32u >> (round & 31u);
        if (lane < width) {
            partial[lane] = partial[lane] + partial[lane + width];
        }
        workgroupBarrier();
    }
    if (lane == 0u) {
        results[piece.x + group.x] = partial[0];
    }
}

var<workgroup> ring: array<u32, 64>;

// Each lane reads from two others and writes what the next round reads: a barrier that is left out shows at once.
@compute @workgroup_size(64)
fn exchange(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = (piece.x + group.x) * 64u + lane;
    var mine = words[at];
    for (var round = 0u; round < 48u; round += 1u) {
        ring[lane] = mine;
        workgroupBarrier();
        let left = ring[(lane + 63u) & 63u];
        let far = ring[(lane * 5u + round) & 63u];
        workgroupBarrier();
        mine = (mine ^ (left * 0x01000193u)) + (far >> 3u);
    }
    results[at] = mine;
}

var<workgroup> counts: array<atomic<u32>, 64>;
var<workgroup> largest: atomic<u32>;
var<workgroup> smallest: atomic<i32>;
var<workgroup> union_of_bits: atomic<u32>;

// Counts, sums and extremes of a group by atomics in whatever order; 64 results per group.
@compute @workgroup_size(64)
fn atomics(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = (piece.x + group.x) * 64u + lane;
    atomicStore(&counts[lane], lane);
    if (lane == 0u) {
        atomicStore(&largest, 0u);
        atomicStore(&smallest, 2147483647i);
        atomicStore(&union_of_bits, 0u);
    }
    workgroupBarrier();
    let word = words[at];
    for (var turn = 0u; turn < 4u; turn += 1u) {
        let part = (word >> ((turn * 8u) & 31u)) & 0xffu;
        atomicAdd(&counts[part & 31u], part);
    }
    atomicMax(&largest, word);
    atomicMin(&smallest, bitcast<i32>(word));
    atomicOr(&union_of_bits, 1u << (word & 31u));
    workgroupBarrier();
    let whole = atomicLoad(&largest) ^ bitcast<u32>(atomicLoad(&smallest)) ^ atomicLoad(&union_of_bits);
    results[at] = atomicLoad(&counts[lane & 31u]) + whole * (lane + 1u);
}

// Variables of a function begin as zero, and are indexed by values that are known only at run time.
@compute @workgroup_size(64)
fn index(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = (piece.x + group.x) * 64u + lane;
    var table = array<u32, 8>(0x9e3779b1u, 0x85ebca6bu, 0xc2b2ae35u, 0x27d4eb2fu, 0x165667b1u, 1u, 2u, 3u);
    var heap: array<u32, 16>;
    var four: vec4<u32>;
    var word = words[at];
    for (var turn = 0u; turn < 24u; turn += 1u) {
        let place = (word >> 5u) & 15u;
        heap[place] = heap[place] + (word ^ table[word & 7u]);
        four[(word >> 9u) & 3u] += turn;
        table[turn & 7u] = table[(turn + 1u) & 7u] + place;
        word = word * 1664525u + heap[(place + turn) & 15u];
    }
    var sum = four.x ^ (four.y << 8u) ^ (four.z << 16u) ^ (four.w << 24u);
    for (var place = 0u; place < 16u; place += 1u) {
        sum = sum * 31u + heap[place];
    }
    results[at] = sum;
}

@group(0) @binding(2) var<storage, read_write> kept: array<u32>;

// A buffer that begins as zero and is kept from repeat to repeat.
@compute @workgroup_size(64)
fn keep(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = (piece.x + group.x) * 64u + lane;
    kept[at] = kept[at] * 5u + (words[at] ^ piece.y) + 1u;
}

@group(0) @binding(1) var<storage, read> state: array<u32>;

// The kept buffer, mirrored: every group reads what another one wrote in the stage before.
@compute @workgroup_size(64)
fn mirror(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = (piece.x + group.x) * 64u + lane;
    results[at] = state[4095u - at];
}
