//! The file of the audit trail, and the one thread that writes it.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;

use prometheus::IntCounter;
use tokio::sync::{mpsc, oneshot};

use super::NotRecorded;

/// Records that may wait.
const QUEUE: usize = 8_192;
/// Bytes written at once.
const BATCH_BYTES: usize = 1 << 20;

/// Handle to the file; the thread ends with it, after what is queued.
#[derive(Debug)]
pub(super) struct File {
    lines: mpsc::Sender<Line>,
    strict: bool,
    dropped: IntCounter,
}

/// One record, or nothing but the wish to know that those before it are written.
#[derive(Debug)]
struct Line {
    text: String,
    /// Told once the line is on disk, or is not.
    written: Option<oneshot::Sender<Result<(), NotRecorded>>>,
}

struct Writer {
    path: PathBuf,
    file: fs::File,
    lines: mpsc::Receiver<Line>,
    dropped: IntCounter,
    /// Whether the last batch failed: a full disk is told once.
    failing: bool,
}

impl File {
    /// Opens the file, readable by its owner and group, at its end.
    pub(super) fn open(path: &Path, strict: bool, dropped: IntCounter) -> io::Result<Self> {
        let (lines, queue) = mpsc::channel(QUEUE);
        let writer = Writer {
            path: path.to_owned(),
            file: open(path)?,
            lines: queue,
            dropped: dropped.clone(),
            failing: false,
        };
        thread::Builder::new().name("sigward-audit".into()).spawn(move || writer.run())?;
        Ok(Self { lines, strict, dropped })
    }

    pub(super) async fn write(&self, text: String) -> Result<(), NotRecorded> {
        if self.strict {
            return self.wait(text).await;
        }
        if self.lines.try_send(Line { text, written: None }).is_err() {
            self.dropped.inc();
        }
        Ok(())
    }

    pub(super) async fn flush(&self) {
        // Whoever asks has nothing to lose by an error.
        let _ = self.wait(String::new()).await;
    }

    #[cfg(test)]
    pub(super) fn dropped(&self) -> &IntCounter {
        &self.dropped
    }

    async fn wait(&self, text: String) -> Result<(), NotRecorded> {
        let (written, done) = oneshot::channel();
        self.lines.send(Line { text, written: Some(written) }).await.map_err(|_| NotRecorded)?;
        done.await.map_err(|_| NotRecorded)?
    }
}

impl Writer {
    fn run(mut self) {
        while let Some(line) = self.lines.blocking_recv() {
            let mut batch = vec![line];
            let mut bytes = 0;
            while bytes < BATCH_BYTES
                && let Ok(line) = self.lines.try_recv()
            {
                bytes += line.text.len();
                batch.push(line);
            }
            self.write(batch);
        }
    }

    fn write(&mut self, batch: Vec<Line>) {
        let mut text = String::new();
        let mut records = 0;
        for line in batch.iter().filter(|line| !line.text.is_empty()) {
            text.push_str(&line.text);
            text.push('\n');
            records += 1;
        }
        let awaited = batch.iter().any(|line| line.written.is_some());
        let result = self.put(&text, awaited);
        match &result {
            Ok(()) => self.failing = false,
            Err(error) => {
                self.dropped.inc_by(records);
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::error!(path = %self.path.display(), %error, "the audit file cannot be written");
                }
            }
        }
        let told = result.map_err(|_| NotRecorded);
        for written in batch.into_iter().filter_map(|line| line.written) {
            // Nobody waits any more: fine.
            let _ = written.send(told);
        }
    }

    fn put(&mut self, text: &str, sync: bool) -> io::Result<()> {
        if !self.is_current() {
            self.file = open(&self.path)?;
        }
        self.file.write_all(text.as_bytes())?;
        if sync { self.file.sync_data() } else { Ok(()) }
    }

    /// Whether the path still names the open file: rotation moves it away.
    fn is_current(&self) -> bool {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let place = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
            let named = fs::metadata(&self.path).map(place);
            named.is_ok_and(|named| self.file.metadata().map(place).is_ok_and(|open| open == named))
        }
        #[cfg(not(unix))]
        self.path.exists()
    }
}

fn open(path: &Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
    options.open(path)
}
