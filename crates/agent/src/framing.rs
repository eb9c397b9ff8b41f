//! Frames of the local conversation on a byte stream: a little-endian u32 length and that many bytes of JSON.
//!
//! It bounds the size before it allocates and the time that half a frame may take, and wipes what it has read and
//! written, because some frames carry a passphrase. It never looks at what a frame means. The server and the terminal
//! client call it.

use std::io;
use std::time::Duration;

use protocol::local::MAX_FRAME_BYTES;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};
use zeroize::Zeroizing;

/// A frame whose first byte has arrived must be complete after this.
pub const FRAME_WITHIN: Duration = Duration::from_secs(10);
/// A peer that does not take a frame for this long is dropped.
pub const WRITE_WITHIN: Duration = Duration::from_secs(5);

/// Why a stream of frames ends.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The other side closed between two frames.
    #[error("the other side closed the connection")]
    Closed,
    /// The announced length is over [`MAX_FRAME_BYTES`].
    #[error("frame of {bytes} bytes is over the limit of {MAX_FRAME_BYTES}")]
    TooLarge {
        /// Announced length.
        bytes: usize,
    },
    /// The bytes are no message of the expected type.
    #[error("frame cannot be read")]
    Malformed(#[source] serde_json::Error),
    /// Half a frame, or a peer that does not read.
    #[error("the other side is too slow")]
    TooSlow,
    /// The stream broke.
    #[error("the connection broke")]
    Io(#[from] io::Error),
}

/// Reads frames; [`FrameReader::next`] may be cancelled at any await and called again.
#[derive(Debug)]
pub struct FrameReader<R> {
    stream: R,
    head: [u8; 4],
    head_filled: usize,
    body: Zeroizing<Vec<u8>>,
    body_filled: usize,
    begun_at: Option<Instant>,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// A reader at the start of a stream.
    pub fn new(stream: R) -> Self {
        Self {
            stream,
            head: [0; 4],
            head_filled: 0,
            body: Zeroizing::new(Vec::new()),
            body_filled: 0,
            begun_at: None,
        }
    }

    /// The next frame as a `T`.
    ///
    /// # Errors
    /// [`FrameError`]. After [`FrameError::Malformed`] the stream is still in step and may be read on; after any other
    /// error it is not.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<T, FrameError> {
        while self.head_filled < 4 {
            let read = self.fill(true).await?;
            self.head_filled += read;
        }
        let length = u32::from_le_bytes(self.head) as usize;
        if length > MAX_FRAME_BYTES {
            return Err(FrameError::TooLarge { bytes: length });
        }
        if self.body.len() != length {
            self.body = Zeroizing::new(vec![0; length]);
            self.body_filled = 0;
        }
        while self.body_filled < length {
            let read = self.fill(false).await?;
            self.body_filled += read;
        }
        let body = std::mem::take(&mut self.body);
        self.head_filled = 0;
        self.body_filled = 0;
        self.begun_at = None;
        serde_json::from_slice(&body).map_err(FrameError::Malformed)
    }

    /// Reads what is there into the head or the body. No state changes before the read is done, which makes it safe to
    /// cancel.
    async fn fill(&mut self, head: bool) -> Result<usize, FrameError> {
        let target =
            if head { &mut self.head[self.head_filled..] } else { &mut self.body[self.body_filled..] };
        let read = match self.begun_at {
            Some(begun_at) => timeout_at(begun_at + FRAME_WITHIN, self.stream.read(target))
                .await
                .map_err(|_| FrameError::TooSlow)??,
            None => self.stream.read(target).await?,
        };
        if read == 0 {
            return Err(if self.begun_at.is_none() {
                FrameError::Closed
            } else {
                FrameError::Io(io::ErrorKind::UnexpectedEof.into())
            });
        }
        self.begun_at.get_or_insert_with(Instant::now);
        Ok(read)
    }
}

/// Writes one frame.
///
/// # Errors
/// [`FrameError::TooLarge`] when `message` does not fit a frame, [`FrameError::TooSlow`] when the peer does not take it
/// within [`WRITE_WITHIN`], or [`FrameError::Io`].
pub async fn write_frame<W: AsyncWrite + Unpin, T: Serialize>(
    stream: &mut W,
    message: &T,
) -> Result<(), FrameError> {
    let bytes = encode(message)?;
    timeout(WRITE_WITHIN, stream.write_all(&bytes)).await.map_err(|_| FrameError::TooSlow)??;
    Ok(())
}

/// Length and JSON in one buffer that is wiped when it goes. Its size is counted first, so that it never grows and
/// leaves an unwiped copy behind.
fn encode<T: Serialize>(message: &T) -> Result<Zeroizing<Vec<u8>>, FrameError> {
    let mut counter = Counter(0);
    serde_json::to_writer(&mut counter, message).map_err(FrameError::Malformed)?;
    let length = counter.0;
    if length > MAX_FRAME_BYTES {
        return Err(FrameError::TooLarge { bytes: length });
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(4 + length));
    bytes.extend_from_slice(&(length as u32).to_le_bytes());
    serde_json::to_writer(&mut *bytes, message).map_err(FrameError::Malformed)?;
    Ok(bytes)
}

struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_survive_cancelled_reads_and_arrive_in_order() {
        let (mut near, far) = tokio::io::duplex(3);
        let writer = tokio::spawn(async move {
            for text in ["first", "second"] {
                write_frame(&mut near, &text).await.unwrap();
            }
        });
        let mut reader = FrameReader::new(far);
        let mut seen = Vec::new();
        while seen.len() < 2 {
            tokio::select! {
                biased;
                frame = reader.next::<String>() => seen.push(frame.unwrap()),
                () = tokio::task::yield_now() => {}
            }
        }
        writer.await.unwrap();
        assert_eq!(seen, ["first", "second"], "a cancelled read must not lose bytes");
    }

    #[tokio::test]
    async fn an_oversize_length_is_refused_before_anything_is_allocated() {
        let mut reader = FrameReader::new(&[0xff, 0xff, 0xff, 0xff, b'x'][..]);
        let error = reader.next::<String>().await.unwrap_err();
        assert!(matches!(error, FrameError::TooLarge { bytes: 0xffff_ffff }), "got {error:?}");
    }

    #[tokio::test]
    async fn garbage_inside_a_frame_leaves_the_stream_in_step() {
        let mut bytes = vec![2, 0, 0, 0, b'{', b'{'];
        bytes.extend_from_slice(&encode(&"good").unwrap());
        let mut reader = FrameReader::new(&bytes[..]);
        assert!(matches!(reader.next::<String>().await, Err(FrameError::Malformed(_))));
        assert_eq!(reader.next::<String>().await.unwrap(), "good");
        assert!(matches!(reader.next::<String>().await, Err(FrameError::Closed)), "the end is clean");
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_frame_is_given_up_after_a_while() {
        let (mut near, far) = tokio::io::duplex(64);
        near.write_all(&[9, 0]).await.unwrap();
        let mut reader = FrameReader::new(far);
        assert!(matches!(reader.next::<String>().await, Err(FrameError::TooSlow)));
        drop(near);
    }
}
