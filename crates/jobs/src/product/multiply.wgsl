// A block of the product of two matrices of signed bytes: 16 by 16 sums per workgroup, one per invocation. What stands before
// this line are the constants of the shape.
//
// Each step brings 16 words (64 bytes) of 16 rows of either matrix into workgroup memory, where each is used 16 times.
// A repeat does STEPS_PER_REPEAT steps and adds to what earlier repeats have summed.

// First group of this piece, repeat, groups of the stage, 0.
@group(0) @binding(0) var<uniform> piece: vec4<u32>;
// Row by row, four signed bytes per word.
@group(0) @binding(1) var<storage, read> left: array<u32>;
// Transposed: column by column of the right matrix, four signed bytes per word.
@group(0) @binding(2) var<storage, read> right: array<u32>;
// Row by row.
@group(0) @binding(3) var<storage, read_write> sums: array<i32>;

// 16 rows of 16 words each.
var<workgroup> left_tile: array<u32, 256>;
var<workgroup> right_tile: array<u32, 256>;

@compute @workgroup_size(16, 16)
fn multiply(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) place: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = piece.x + group.x;
    let first_row = (tile / TILES_ACROSS) * 16u;
    let first_column = (tile % TILES_ACROSS) * 16u;
    var sum = 0;
    for (var i = 0u; i < STEPS_PER_REPEAT; i += 1u) {
        let word = (piece.y * STEPS_PER_REPEAT + i) * 16u + place.x;
        left_tile[lane] = left[(first_row + place.y) * WORDS + word];
        right_tile[lane] = right[(first_column + place.y) * WORDS + word];
        workgroupBarrier();
        for (var k = 0u; k < 16u; k += 1u) {
            sum += dot4I8Packed(left_tile[place.y * 16u + k], right_tile[place.x * 16u + k]);
        }
        workgroupBarrier();
    }
    let at = (first_row + place.y) * COLUMNS + first_column + place.x;
    sums[at] = sums[at] + sum;
}
