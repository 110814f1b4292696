//! `export`: a log as a file.

use redb::ReadableTable;
use tokio::runtime::Handle;

use super::super::tables::QUARANTINE;
use super::file::optional;
use super::fold::Fold;
use super::lines::{Sink, Stopped};
use super::{Entry, EventLog, Lines, Snapshot, StoreError, rows};
use crate::events::{ArchiveHeader, ArchiveWriter, RowError, issues_session, read_event};

impl EventLog {
    /// The log as a file, line by line: its events as they are, their secrets sealed, and the revocations in force,
    /// whichever events they came by. The last line is sealed under the active key.
    ///
    /// A gateway's view of a log that took the place of another one may have sessions and long-term keys of that: the log
    /// does not, so neither does the file.
    pub fn export_lines(&self) -> Lines {
        let (mut sink, lines) = Sink::new();
        let log = self.clone();
        tokio::spawn(async move {
            match log.snapshot().await {
                Ok(snapshot) => drop(tokio::task::spawn_blocking(move || {
                    let done = snapshot.export(&mut sink);
                    Handle::current().block_on(sink.end(done));
                })),
                Err(error) => sink.end(Err(error.into())).await,
            }
        });
        lines
    }
}

impl Snapshot {
    fn export(&self, sink: &mut Sink) -> Result<(), Stopped> {
        let (head, kind) = (self.head, EventLog::kind(self.head));
        let mut header = ArchiveHeader::new(kind, head.identity, head.last, self.now);
        header.left_out = self.quarantined().map_err(StoreError::read)?;
        let (mut archive, first) = ArchiveWriter::begin(&header).map_err(StoreError::Seal)?;
        sink.line_blocking(&first)?;
        let mut fold = Fold::default();
        let mut after = 0;
        loop {
            let entries = rows(&self.txn, after)?;
            let Some(last) = entries.last() else { break };
            after = last.seq;
            for Entry { seq, row } in entries {
                // Sessions are not what the fold counts, and by far the most.
                if !issues_session(&row)
                    && let Ok(logged) = read_event(&row, &self.keyring)
                {
                    fold.add(seq, &logged);
                }
                sink.line_blocking(&archive.event(seq, &row).map_err(StoreError::Seal)?)?;
            }
        }
        for mark in self.marks()? {
            sink.line_blocking(&archive.mark(&mark.key(), mark.before).map_err(StoreError::Seal)?)?;
        }
        let last = archive.end(fold.live(), &self.keyring).map_err(StoreError::Seal)?;
        sink.line_blocking(&last)
    }

    /// How many events of a shared log wait here for a sealing key.
    fn quarantined(&self) -> Result<u64, redb::Error> {
        let Some(rows) = optional(self.txn.open_table(QUARANTINE))? else { return Ok(0) };
        let mut waiting = 0;
        for row in rows.iter()? {
            let (_, row) = row?;
            let missing = read_event(row.value().1, &self.keyring);
            waiting += u64::from(matches!(missing, Err(RowError::MissingKey(_))));
        }
        Ok(waiting)
    }
}
