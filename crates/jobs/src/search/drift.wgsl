// Sums of one cell per spectrum along every drift trial of this repeat, one channel of the tile per invocation.
// What stands before this line are the constants of the search's shape. Integers only: every device gives these bits.

// First group of this piece, repeat, groups of the stage, 0.
@group(0) @binding(0) var<uniform> piece: vec4<u32>;
// Two 16-bit levels per word, spectrum after spectrum, WIDTH channels each.
@group(0) @binding(1) var<storage, read> levels: array<u32>;
// Channels that a line has moved, by distance and spectrum.
@group(0) @binding(2) var<storage, read> moved: array<u32>;
@group(0) @binding(3) var<storage, read_write> best_sum: array<u32>;
@group(0) @binding(4) var<storage, read_write> best_trial: array<u32>;
@group(0) @binding(5) var<storage, read_write> digest: array<u32>;

fn level(index: u32) -> u32 {
    let pair = levels[index >> 1u];
    return select(pair & 0xffffu, pair >> 16u, (index & 1u) == 1u);
}

@compute @workgroup_size(64)
fn drift(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let channel = (piece.x + group.x) * 64u + lane;
    let first = piece.y * TRIALS_PER_REPEAT;
    var top = best_sum[channel];
    var top_trial = best_trial[channel];
    var mix = digest[channel];
    for (var j = 0u; j < TRIALS_PER_REPEAT; j += 1u) {
        let trial = first + j;
        if (trial < TRIALS) {
            let up = trial >= MAX_SHIFT;
            let distance = select(MAX_SHIFT - trial, trial - MAX_SHIFT, up);
            // A line is a line of the tree that each spectrum moves by a whole number of channels.
            let slope = distance / STEPS;
            let line = (distance % STEPS) * PADDED;
            var sum = 0u;
            for (var i = 0u; i < SPECTRA; i += 1u) {
                let away = slope * i + moved[line + i];
                let start = i * WIDTH + MARGIN + channel;
                sum = sum + level(select(start - away, start + away, up));
            }
            if (sum > top) {
                top = sum;
                top_trial = trial;
            }
            // A bijection of the digest for a given sum and of the sum for a given digest.
            mix = (mix ^ sum) * 0x9e3779b1u;
        }
    }
    best_sum[channel] = top;
    best_trial[channel] = top_trial;
    digest[channel] = mix;
}
