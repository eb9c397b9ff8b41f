//! Products of integer matrices: signed bytes times signed bytes, summed in 32 bits.

mod check;

pub use check::holds;
