//! Keeps what a call says, word for word: the bytes of one request as they are handed to the encrypted stream, or to the
//! socket where there is none.
//!
//! It sits above encryption and below HTTP, so that what is kept is what was sent and not a description of it. A body
//! longer than [`KEPT_BODY_BYTES`] is kept as its length and its BLAKE3 hash only. The [`crate::Journal`] decides what
//! becomes of it; this file never stores anything.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use protocol::id::Hash;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The longest body that is kept byte for byte.
pub const KEPT_BODY_BYTES: usize = 64 * 1024;
/// The longest head: what is longer is no head of ours, and counts as body.
const HEAD_BYTES: usize = 16 * 1024;
/// What ends the head of an HTTP message.
const HEAD_END: &[u8] = b"\r\n\r\n";

/// One request as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentMessage {
    /// Request line and headers with the empty line that ends them.
    pub head: Vec<u8>,
    /// The body, or nothing where it is longer than [`KEPT_BODY_BYTES`].
    pub body: Vec<u8>,
    /// Length of the body, as far as it was sent.
    pub body_bytes: u64,
    /// BLAKE3 of the body, as far as it was sent.
    pub body_hash: Hash,
}

/// Takes the bytes of one request in.
#[derive(Default)]
pub(crate) struct Copy {
    head: Vec<u8>,
    ended: bool,
    body: Vec<u8>,
    body_bytes: u64,
    hasher: blake3::Hasher,
}

impl Copy {
    fn take_in(&mut self, mut bytes: &[u8]) {
        if !self.ended {
            // The end may lie across two writes.
            let from = self.head.len().saturating_sub(HEAD_END.len() - 1);
            let before = self.head.len();
            self.head.extend_from_slice(bytes);
            let end = self.head[from..].windows(HEAD_END.len()).position(|window| window == HEAD_END);
            let end = end.map(|at| from + at + HEAD_END.len());
            let end = end.or_else(|| (self.head.len() > HEAD_BYTES).then_some(before));
            let Some(end) = end else { return };
            self.ended = true;
            self.head.truncate(end);
            bytes = &bytes[end.saturating_sub(before)..];
        }
        self.body_bytes += bytes.len() as u64;
        self.hasher.update(bytes);
        if self.body_bytes <= KEPT_BODY_BYTES as u64 {
            self.body.extend_from_slice(bytes);
        } else {
            self.body = Vec::new();
        }
    }

    /// The request as far as it was sent; `None` where nothing was.
    fn finish(&mut self) -> Option<SentMessage> {
        let copy = std::mem::take(self);
        (!copy.head.is_empty() || copy.body_bytes > 0).then(|| SentMessage {
            head: copy.head,
            body: copy.body,
            body_bytes: copy.body_bytes,
            body_hash: Hash(*copy.hasher.finalize().as_bytes()),
        })
    }
}

/// A stream whose outgoing bytes are copied. `told` hears them once, when the stream is dropped.
pub(crate) struct Copying<S, F: FnMut(SentMessage)> {
    stream: S,
    copy: Copy,
    told: F,
}

impl<S, F: FnMut(SentMessage)> Copying<S, F> {
    pub(crate) fn new(stream: S, told: F) -> Self {
        Self { stream, copy: Copy::default(), told }
    }
}

impl<S, F: FnMut(SentMessage)> Drop for Copying<S, F> {
    fn drop(&mut self) {
        if let Some(message) = self.copy.finish() {
            (self.told)(message);
        }
    }
}

impl<S: AsyncRead + Unpin, F: FnMut(SentMessage) + Unpin> AsyncRead for Copying<S, F> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin, F: FnMut(SentMessage) + Unpin> AsyncWrite for Copying<S, F> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = std::task::ready!(Pin::new(&mut this.stream).poll_write(cx, buf))?;
        this.copy.take_in(&buf[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The message that results from writing `bytes` in pieces of `piece`.
    fn copied(bytes: &[u8], piece: usize) -> Option<SentMessage> {
        let mut copy = Copy::default();
        for piece in bytes.chunks(piece) {
            copy.take_in(piece);
        }
        copy.finish()
    }

    #[test]
    fn head_and_body_are_told_apart_wherever_the_writes_are_cut() {
        let bytes = b"POST /v1/x HTTP/1.1\r\nhost: a\r\n\r\nbody\r\n\r\nmore";
        for piece in 1..=bytes.len() {
            let message = copied(bytes, piece).unwrap();
            assert_eq!(message.head, b"POST /v1/x HTTP/1.1\r\nhost: a\r\n\r\n", "pieces of {piece}");
            assert_eq!(message.body, b"body\r\n\r\nmore", "pieces of {piece}");
            assert_eq!(message.body_hash, Hash::of(b"body\r\n\r\nmore"));
        }
    }

    #[test]
    fn a_long_body_is_kept_as_its_length_and_hash_only() {
        let body = vec![9_u8; KEPT_BODY_BYTES + 1];
        let mut bytes = b"PUT / HTTP/1.1\r\n\r\n".to_vec();
        bytes.extend_from_slice(&body);
        let message = copied(&bytes, 10_000).unwrap();
        assert_eq!(message.body, b"", "no part of it stays");
        assert_eq!((message.body_bytes, message.body_hash), (body.len() as u64, Hash::of(&body)));
        let just_fits = copied(&bytes[..bytes.len() - 1], 10_000).unwrap();
        assert_eq!(just_fits.body.len(), KEPT_BODY_BYTES);
    }

    #[test]
    fn what_never_ends_its_head_does_not_grow_without_bound() {
        let message = copied(&vec![b'x'; 1_000_000], 4096).unwrap();
        assert!(message.head.len() <= HEAD_BYTES && message.body.is_empty());
        assert_eq!(message.head.len() as u64 + message.body_bytes, 1_000_000, "every byte is accounted for");
        assert_eq!(copied(b"", 1), None, "nothing sent, nothing kept");
    }
}
