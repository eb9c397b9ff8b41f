// Where a line of the Taylor tree is at each spectrum: entry d * PADDED + i holds how many channels the line that moves
// d channels over all PADDED spectra has moved at spectrum i. One entry per invocation, once per slice.
// What stands before this line are the constants of the search's shape.

// First group of this piece, repeat, groups of the stage, 0.
@group(0) @binding(0) var<uniform> piece: vec4<u32>;
@group(0) @binding(1) var<storage, read_write> moved: array<u32>;

@compute @workgroup_size(64)
fn paths(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let entry = (piece.x + group.x) * 64u + lane;
    var distance = (entry / PADDED) % PADDED;
    var spectrum = entry % PADDED;
    var sum = 0u;
    // From the halves of the recording down to single spectra: the later half starts where the earlier one has ended.
    for (var level = 0u; level < LEVELS; level += 1u) {
        sum = sum + (spectrum / HALF) * ((distance + 1u) / 2u);
        spectrum = (spectrum % HALF) * 2u;
        distance = distance / 2u;
    }
    moved[entry] = sum;
}
