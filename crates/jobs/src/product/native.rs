//! The product on a processor: the same bits as the WGSL kernel, since sums of integers have no order.

use super::Shape;

/// A block of a product: `left` and `right_transposed` are the inputs of a slice. `None` for inputs of other sizes.
pub fn reference(shape: &Shape, left: &[u8], right_transposed: &[u8]) -> Option<Vec<u8>> {
    let sized = left.len() == shape.left_bytes() as usize
        && right_transposed.len() == shape.right_bytes() as usize
        && shape.inner > 0;
    if !sized {
        return None;
    }
    let inner = shape.inner as usize;
    let mut output = Vec::with_capacity(shape.output_bytes() as usize);
    for row in left.chunks_exact(inner) {
        for column in right_transposed.chunks_exact(inner) {
            output.extend_from_slice(&sum(row, column).to_le_bytes());
        }
    }
    Some(output)
}

/// The inner product of two rows of signed bytes. At most 2^16 products of at most 2^14 each fit an i32, so nothing wraps;
/// saying that it may lets a build with overflow checks use vectors.
fn sum(row: &[u8], column: &[u8]) -> i32 {
    let product = |(&a, &b): (&u8, &u8)| i32::from(a as i8).wrapping_mul(i32::from(b as i8));
    row.iter().zip(column).map(product).fold(0, i32::wrapping_add)
}
