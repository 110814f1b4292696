//! Everything the tests of this binary log, at every level, to look for what must and must not be there.

#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, Once};

static WRITTEN: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Starts collecting, once for the whole process: a subscriber of one thread alone would miss what other threads
/// log, and lines that another thread is the first to reach.
pub(crate) fn collect() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(|| Collector)
            .finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
        tracing::callsite::rebuild_interest_cache();
    });
}

/// What has been logged so far, by all tests.
pub(crate) fn written() -> String {
    String::from_utf8_lossy(&lock()).into_owned()
}

fn lock() -> MutexGuard<'static, Vec<u8>> {
    WRITTEN.lock().unwrap()
}

struct Collector;

impl Write for Collector {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
