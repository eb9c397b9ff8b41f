//! The job packages that ship with Hearth: signal search, rendering, matrix products, GPU benchmark and conformance
//! kernels.
//!
//! This room owns the WGSL of these jobs, the native kernels that give the same bits on a processor, the packaging of
//! a recording into slices, and the reading of the results. It never opens a socket, never talks to a graphics card
//! and never runs WGSL: the `worker` does. Files are touched in one place, [`recording::Recording::open`] and
//! [`recording::Recording::save`]. Publishers and the coordinator call [`search`], [`rendering`] and
//! [`product`], the engine calls [`benchmark`], [`conformance`], [`search::picture`] and [`rendering::Canvas`].

pub mod benchmark;
pub mod conformance;
pub mod local;
pub mod package;
pub mod product;
pub mod quantise;
pub mod recording;
pub mod rendering;
pub mod search;
pub mod synthetic;

use protocol::id::Hash;

/// Bytes with their content address.
pub type Blob = (Hash, Vec<u8>);

/// `bytes` with their content address.
fn blob(bytes: Vec<u8>) -> Blob {
    (Hash::of(&bytes), bytes)
}

/// The u32 words as the little-endian bytes that a buffer holds.
fn bytes_of(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// The little-endian u32 words of a buffer; a rest of one to three bytes is left out.
fn words_of(bytes: &[u8]) -> impl ExactSizeIterator<Item = u32> + '_ {
    bytes.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
}
