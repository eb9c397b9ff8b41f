// The largest sum among the valid channels of a block of 64, and the digest of all sums of the block. One block per
// invocation: the work is 64 comparisons, and a fixed order needs no exchange between invocations.

// First group of this piece, repeat, groups of the stage, 0.
@group(0) @binding(0) var<uniform> piece: vec4<u32>;
// Word 0: channels of the tile that lie inside the recording. The other words are for people.
@group(0) @binding(1) var<storage, read> head: array<u32>;
@group(0) @binding(2) var<storage, read> best_sum: array<u32>;
@group(0) @binding(3) var<storage, read> best_trial: array<u32>;
@group(0) @binding(4) var<storage, read> digest: array<u32>;
// Per block: sum, trial, channel in the tile, digest.
@group(0) @binding(5) var<storage, read_write> candidates: array<u32>;

@compute @workgroup_size(1)
fn pick(@builtin(workgroup_id) group: vec3<u32>) {
    let block = piece.x + group.x;
    let valid = head[0];
    var top = 0u;
    var top_trial = 0u;
    var top_channel = block * 64u;
    var mix = block;
    for (var i = 0u; i < 64u; i += 1u) {
        let channel = block * 64u + i;
        let sum = best_sum[channel];
        if (channel < valid && sum > top) {
            top = sum;
            top_trial = best_trial[channel];
            top_channel = channel;
        }
        mix = (mix ^ digest[channel]) * 0x85ebca6bu;
        mix = mix ^ (mix >> 13u);
    }
    let at = block * 4u;
    candidates[at] = top;
    candidates[at + 1u] = top_trial;
    candidates[at + 2u] = top_channel;
    candidates[at + 3u] = mix;
}
