//! Frames of the local socket: a little-endian u32 length and that many bytes of JSON.

use std::io;

use protocol::local::MAX_FRAME_BYTES;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Why no frame came or went.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    /// The connection failed or ended.
    #[error("the connection to the agent failed")]
    Connection(#[from] io::Error),
    /// The other side announced more than a frame may hold.
    #[error("a frame of {0} bytes is too long")]
    TooLong(usize),
    /// The bytes are no frame of this build.
    #[error("a frame cannot be read")]
    Unreadable(#[from] serde_json::Error),
}

/// Reads the next frame. Not cancel-safe: the caller keeps the future until it is done.
pub(crate) async fn read<T: DeserializeOwned>(from: &mut (impl AsyncRead + Unpin)) -> Result<T, FrameError> {
    let length = from.read_u32_le().await? as usize;
    if length > MAX_FRAME_BYTES {
        return Err(FrameError::TooLong(length));
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).await?;
    Ok(serde_json::from_slice(&body)?)
}

/// Writes one frame.
pub(crate) async fn write(
    to: &mut (impl AsyncWrite + Unpin),
    frame: &impl Serialize,
) -> Result<(), FrameError> {
    let body = serde_json::to_vec(frame)?;
    let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= MAX_FRAME_BYTES);
    let Some(length) = length else { return Err(FrameError::TooLong(body.len())) };
    to.write_u32_le(length).await?;
    to.write_all(&body).await?;
    to.flush().await?;
    Ok(())
}
