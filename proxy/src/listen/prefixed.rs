//! Streams of which something has been read to find out what it is.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// A stream that gives back first what was read ahead.
#[derive(Debug)]
pub(super) struct Prefixed<S> {
    ahead: BytesMut,
    stream: S,
}

impl<S: AsyncRead + Unpin> Prefixed<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { ahead: BytesMut::new(), stream }
    }

    /// What has been read and not given back.
    pub(super) fn ahead(&self) -> &[u8] {
        &self.ahead
    }

    /// Forgets the first bytes of it.
    pub(super) fn skip(&mut self, count: usize) {
        self.ahead.advance(count.min(self.ahead.len()));
    }

    /// Gives back what somebody else has read ahead.
    pub(super) fn put_back(&mut self, read: &[u8]) {
        if !read.is_empty() {
            self.ahead = [read, &self.ahead].concat().as_slice().into();
        }
    }

    /// Reads ahead until `most` bytes are there at the most. False at the end of the stream.
    pub(super) async fn read_ahead(&mut self, most: usize) -> io::Result<bool> {
        let room = most.saturating_sub(self.ahead.len());
        self.ahead.reserve(room);
        let read = (&mut self.stream).take(room as u64).read_buf(&mut self.ahead).await?;
        Ok(read > 0)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prefixed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let count = self.ahead.len().min(buffer.remaining());
        buffer.put_slice(&self.ahead.split_to(count));
        if self.ahead.is_empty() {
            self.ahead = BytesMut::new();
            // With what comes behind it: who reads a head in two pieces doubles the buffer for it, and keeps that. How
            // the stream ends it says again when it is asked next.
            let _ = Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prefixed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_read_ahead_is_read_again_but_for_what_is_skipped() {
        let mut stream = Prefixed::new(&b"0123456789"[..]);
        assert!(stream.read_ahead(4).await.unwrap());
        assert_eq!(stream.ahead(), b"0123");
        stream.skip(2);
        let mut rest = [0; 16];
        let count = stream.read(&mut rest).await.unwrap();
        assert_eq!(&rest[..count], b"23456789", "at once");
        assert!(!stream.read_ahead(4).await.unwrap(), "that was the end");
    }
}
