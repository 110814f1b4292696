//! Lines of JSON on their way to whoever asked for them.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::super::StoreError;

/// Lines, each with its line feed, several in one piece. They end with an error if not all of them could be made. An empty
/// line says that there is nothing new.
pub type Lines = mpsc::Receiver<Result<Bytes, StoreError>>;

/// Bytes of lines that travel together.
const PIECE: usize = 16 << 10;

/// Pieces that wait for their reader.
const QUEUE: usize = 4;

/// A reader that takes nothing for so long is given up: what it reads from may not be held open for ever.
const STALLED: Duration = Duration::from_secs(60);

/// Where lines are written.
pub(super) struct Sink {
    pieces: mpsc::Sender<Result<Bytes, StoreError>>,
    piece: Vec<u8>,
}

/// Why no more lines are written.
pub(super) enum Stopped {
    /// Nobody reads them.
    Gone,
    Failed(StoreError),
}

impl<E: Into<StoreError>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Sink {
    pub(super) fn new() -> (Self, Lines) {
        let (pieces, lines) = mpsc::channel(QUEUE);
        (Self { pieces, piece: Vec::new() }, lines)
    }

    /// Sends what is left, or why the rest is missing.
    pub(super) async fn end(mut self, done: Result<(), Stopped>) {
        // Whoever is gone hears nothing any more.
        let _ = match done {
            Ok(()) => self.flush().await,
            Err(Stopped::Failed(error)) => self.send(Err(error)).await,
            Err(Stopped::Gone) => Ok(()),
        };
    }

    /// Writes a line; what is written together goes on with [`flush`](Self::flush).
    pub(super) async fn line(&mut self, line: &Value) -> Result<(), Stopped> {
        self.put(&line.to_string());
        if self.piece.len() >= PIECE { self.flush().await } else { Ok(()) }
    }

    /// Writes a line where the thread may wait.
    pub(super) fn line_blocking(&mut self, line: &str) -> Result<(), Stopped> {
        self.put(line);
        self.relieve_blocking()
    }

    /// Sends what is written, if it is much.
    pub(super) fn relieve_blocking(&mut self) -> Result<(), Stopped> {
        if self.piece.len() >= PIECE { Handle::current().block_on(self.flush()) } else { Ok(()) }
    }

    /// Writes an empty line.
    pub(super) async fn idle(&mut self) -> Result<(), Stopped> {
        self.put("");
        self.flush().await
    }

    /// Sends what is written.
    pub(super) async fn flush(&mut self) -> Result<(), Stopped> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = Bytes::from(std::mem::take(&mut self.piece));
        self.send(Ok(piece)).await
    }

    async fn send(&self, piece: Result<Bytes, StoreError>) -> Result<(), Stopped> {
        match tokio::time::timeout(STALLED, self.pieces.send(piece)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Stopped::Gone),
        }
    }

    /// Writes a line and sends nothing.
    pub(super) fn put(&mut self, line: &str) {
        self.piece.extend_from_slice(line.as_bytes());
        self.piece.push(b'\n');
    }
}
