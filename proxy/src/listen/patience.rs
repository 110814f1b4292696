//! Streams that do not wait for ever for a client to read.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// A stream that fails once it could not write a byte for a while. Lies below TLS, so that what counts is what the
/// kernel takes, and the kernel takes nothing while the client's window is shut.
///
/// Dropped while a write waits, whoever drops it and why, it is given up with what the kernel holds for its client: an
/// answer that breaks off is worth nothing to who reads it, and megabytes for minutes to who does not.
#[derive(Debug)]
pub(super) struct Patient<S: GiveUp> {
    stream: S,
    patience: Duration,
    /// Runs while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
}

/// A stream that can be closed without sending first what has been written to it.
pub(super) trait GiveUp {
    /// Makes that the way in which it is closed.
    fn give_up(&self);
}

impl GiveUp for TcpStream {
    fn give_up(&self) {
        if let Err(error) = self.set_zero_linger() {
            tracing::debug!(%error, "cannot set SO_LINGER");
        }
    }
}

impl<S: GiveUp> Drop for Patient<S> {
    fn drop(&mut self) {
        if self.waiting.is_some() {
            self.stream.give_up();
        }
    }
}

impl<S: GiveUp> Patient<S> {
    pub(super) const fn new(stream: S, patience: Duration) -> Self {
        Self { stream, patience, waiting: None }
    }

    fn watch<T>(&mut self, written: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let patience = self.patience;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(patience)));
        waiting.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + GiveUp + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + GiveUp + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.watch(written, context)
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio::net::TcpListener;

    use super::*;

    impl GiveUp for DuplexStream {
        fn give_up(&self) {}
    }

    /// What a client reads that begins to do so when the server is done with it.
    async fn read_late(serve: impl AsyncFnOnce(&mut Patient<TcpStream>)) -> io::Result<usize> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let mut client = TcpStream::connect(listener.local_addr()?).await?;
        let mut server = Patient::new(listener.accept().await?.0, Duration::from_millis(100));
        serve(&mut server).await;
        drop(server);
        client.read_to_end(&mut Vec::new()).await
    }

    #[tokio::test]
    async fn who_does_not_read_is_reset_and_who_has_been_answered_is_not() {
        let endless = vec![0; 64 << 20];
        let stalled = read_late(async |server| {
            let error = server.write_all(&endless).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            drop(server.shutdown().await);
        });
        assert_eq!(stalled.await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        let dropped = read_late(async |server| {
            let soon = Duration::from_millis(10);
            tokio::time::timeout(soon, server.write_all(&endless)).await.unwrap_err();
        });
        assert_eq!(dropped.await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        let answered = read_late(async |server| server.write_all(&[0; 1000]).await.unwrap());
        assert_eq!(answered.await.unwrap(), 1000);
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_slowly_is_served_and_who_does_not_read_is_cut_off() {
        let (client, server) = tokio::io::duplex(16);
        let mut server = Patient::new(server, Duration::from_secs(60));
        let writing = tokio::spawn(async move { server.write_all(&[0; 64]).await });
        let mut client = client;
        for _ in 0..2 {
            tokio::time::sleep(Duration::from_secs(50)).await;
            client.read_exact(&mut [0; 16]).await.unwrap();
        }
        assert!(!writing.is_finished());
        tokio::time::sleep(Duration::from_secs(61)).await;
        assert_eq!(writing.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
