//! The named pipe of Windows is not written yet: every door here says so, nothing pretends.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Claim, SocketError};
use crate::home::Home;

/// Has no value: there is no connection on this system.
#[derive(Debug)]
pub enum Stream {}

/// Has no value: there is no socket on this system.
#[derive(Debug)]
pub enum Listener {}

/// Always [`SocketError::NotOnThisSystem`].
///
/// # Errors
/// Always.
pub fn claim(_home: &Home) -> Result<Claim, SocketError> {
    Err(SocketError::NotOnThisSystem)
}

/// Always [`SocketError::NotOnThisSystem`].
///
/// # Errors
/// Always.
pub async fn connect(_home: &Home) -> Result<Stream, SocketError> {
    Err(SocketError::NotOnThisSystem)
}

impl Listener {
    /// Cannot be called.
    ///
    /// # Errors
    /// None: there is no value of this type.
    pub async fn accept(&self) -> io::Result<Stream> {
        match *self {}
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match *self {}
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        match *self {}
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match *self {}
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match *self {}
    }
}
