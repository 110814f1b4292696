//! Opening the database file: schema, sealing keys, sealing anew after a rotation, and what memory starts from.

use std::path::Path;
use std::sync::Arc;

use redb::ReadableTable;
use redb::backends::FileBackend;

use super::StoreOptions;
use super::error::StoreError;
use super::migrate;
use super::revocations::Mark;
use super::shared::Past;
use super::tables::{
    EVENTS, META, META_ANCHOR, META_APPLIED, META_INFORMED, META_LIVE, META_LOG, META_LOGS, META_NEWEST,
    META_REVISION, META_SCHEMA, META_SINCE, META_UNPACKED, META_UNSURE, MOST_LOGS, REVOCATIONS, SCHEMA,
    SEALS, Tables, begin_write, meta,
};
use crate::clock::UnixMillis;
use crate::events::{
    Keyring, RowError, read_credential, read_event, read_header, read_issuance, write_credential, write_event,
};

/// Share of memory the database may use for its pages; credentials have their own cache.
const PAGE_CACHE_BYTES: usize = 64 << 20;

/// What memory starts from.
pub(super) struct Loaded {
    pub(super) position: u64,
    pub(super) revision: u64,
    /// Which shared log `position` is of; 0: none, the file is the log.
    pub(super) log: u64,
    /// Which message of it was applied last; 0: that is not known.
    pub(super) anchor: u64,
    pub(super) newest: UnixMillis,
    pub(super) marks: Vec<Mark>,
}

/// Opens or creates the file, readable by its owner only.
pub(super) fn open(options: &StoreOptions) -> Result<redb::Database, StoreError> {
    let path = &options.path;
    let file = create(path).map_err(|e| StoreError::File { path: path.clone(), source: Arc::new(e) })?;
    let opened = FileBackend::new(file)
        .and_then(|file| redb::Builder::new().set_cache_size(PAGE_CACHE_BYTES).create_with_backend(file));
    opened.map_err(|error| match error {
        redb::DatabaseError::DatabaseAlreadyOpen => StoreError::Held { path: path.clone() },
        error => StoreError::Open { path: path.clone(), source: Arc::new(error.into()) },
    })
}

fn create(path: &Path) -> std::io::Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Checks schema and sealing keys, seals long-term keys anew where an older key sealed them, reads what memory
/// starts from.
pub(super) fn prepare(db: &redb::Database, keyring: &Keyring, now: UnixMillis) -> Result<Loaded, StoreError> {
    let found = initialize(db, keyring).map_err(StoreError::read)?;
    if found > SCHEMA {
        return Err(StoreError::Schema { found, known: SCHEMA });
    }
    check_sessions(db, keyring, now)?;
    reseal(db, keyring)?;
    count_live(db).map_err(StoreError::read)?;
    load(db)
}

/// Reads what memory starts from.
pub(super) fn load(db: &redb::Database) -> Result<Loaded, StoreError> {
    read(db).map_err(StoreError::read)?.map_err(|key| StoreError::UnknownRevocation { key })
}

/// From now on the file is a view of this shared log, read from its beginning. What is known stays, and its places stand
/// before all that are to come.
pub(super) fn adopt(
    db: &redb::Database,
    (log, unpacked): (u64, u64),
    revision: u64,
) -> Result<(), redb::Error> {
    let txn = begin_write(db)?;
    let mut tables = Tables::open(&txn)?;
    tables.meta.insert(META_REVISION, revision)?;
    let former = tables.meta.get(META_LOGS)?.map_or(0, |logs| logs.value());
    let logs = (former + 1).min(MOST_LOGS);
    if logs == former {
        // Places do not rise any further, and what is noted must not stand before what is to come.
        tables.changes.retain(|_, _| false)?;
    }
    tables.meta.insert(META_LOGS, logs)?;
    if tables.meta.insert(META_LOG, log)?.is_none_or(|former| former.value() != log) {
        tables.meta.insert(META_SINCE, logs)?;
    }
    tables.meta.insert(META_APPLIED, 0)?;
    tables.meta.insert(META_ANCHOR, 0)?;
    tables.meta.insert(META_UNPACKED, unpacked)?;
    drop(tables);
    Ok(txn.commit()?)
}

/// All is known that the shared log and its gateways know.
pub(super) fn note_informed(db: &redb::Database) -> Result<(), redb::Error> {
    let txn = begin_write(db)?;
    {
        let mut meta = txn.open_table(META)?;
        meta.insert(META_INFORMED, 1)?;
        meta.remove(META_UNSURE)?;
    }
    Ok(txn.commit()?)
}

/// What the file of a view says about the time before this process, which begins `now`: until [`note_informed`] it does not
/// know what has been revoked meanwhile.
pub(super) fn past(db: &redb::Database, now: UnixMillis) -> Result<Past, StoreError> {
    let noted = (|| {
        let txn = begin_write(db)?;
        let mut table = txn.open_table(META)?;
        let value = |meta: &redb::Table<'_, &str, u64>, name| {
            Ok::<_, redb::Error>(meta.get(name)?.map(|value| value.value()))
        };
        let informed = value(&table, META_INFORMED)?.is_some_and(|informed| informed != 0);
        let began = u64::try_from(now.0).unwrap_or(0);
        // A process before this one may have begun as unsure, and ended so.
        let since = value(&table, META_UNSURE)?.map_or(began, |since| since.min(began));
        table.insert(META_UNSURE, since)?;
        drop(table);
        txn.commit()?;
        Ok::<_, redb::Error>((informed, since))
    })();
    let (informed, since) = noted.map_err(StoreError::read)?;
    Ok(Past { informed, unsure_since: UnixMillis(i64::try_from(since).unwrap_or(i64::MAX)) })
}

/// Creates the tables of a new file, and brings one of an older layout to the present one; returns the schema of the
/// file.
fn initialize(db: &redb::Database, keyring: &Keyring) -> Result<u64, redb::Error> {
    let txn = begin_write(db)?;
    let mut tables = Tables::open(&txn)?;
    let found = tables.meta.get(META_SCHEMA)?.map(|schema| schema.value());
    match found {
        None => drop(tables.meta.insert(META_SCHEMA, SCHEMA)?),
        Some(migrate::FIRST) => {
            migrate::from_first(&txn, &mut tables)?;
            migrate::from_second(&mut tables, keyring)?;
        }
        Some(migrate::SECOND) => migrate::from_second(&mut tables, keyring)?,
        Some(found) => {
            drop(tables);
            txn.abort()?;
            return Ok(found);
        }
    }
    drop(tables);
    txn.commit()?;
    Ok(SCHEMA)
}

/// Every key that sealed a session which still lives must be here. The sessions are read only when one is missing.
fn check_sessions(db: &redb::Database, keyring: &Keyring, now: UnixMillis) -> Result<(), StoreError> {
    match missing_key(db, keyring, now).map_err(StoreError::read)? {
        Some(key_id) => Err(StoreError::MissingSealingKey { key_id, files: keyring.files().to_vec() }),
        None => Ok(()),
    }
}

fn missing_key(
    db: &redb::Database,
    keyring: &Keyring,
    now: UnixMillis,
) -> Result<Option<String>, redb::Error> {
    let txn = redb::ReadableDatabase::begin_read(db)?;
    let mut complete = true;
    for seal in txn.open_table(SEALS)?.iter()? {
        complete &= keyring.contains(seal?.0.value());
    }
    if complete {
        return Ok(None);
    }
    for row in txn.open_table(EVENTS)?.iter()? {
        let (_, row) = row?;
        let Ok(Some(issuance)) = read_issuance(row.value()) else { continue };
        if !keyring.contains(issuance.sealed_by) && !issuance.credential.expired(now) {
            return Ok(Some(issuance.sealed_by.to_owned()));
        }
    }
    Ok(None)
}

/// Seals long-term keys, and the events that created them, under the active key where another one did.
/// Sessions are left alone: they are gone before the old key is.
fn reseal(db: &redb::Database, keyring: &Keyring) -> Result<(), StoreError> {
    let txn = begin_write(db).map_err(StoreError::read)?;
    let mut tables = Tables::open(&txn).map_err(StoreError::read)?;
    let old = sealed_by_others(&tables, keyring).map_err(StoreError::read)?;
    for (id, row, key_id) in &old {
        match reseal_one(&mut tables, keyring, id, row) {
            Ok(()) => tables.count_seals(key_id, -1).map_err(StoreError::read)?,
            Err(Unsealed::Row(RowError::MissingKey(key_id))) => {
                return Err(StoreError::MissingSealingKey { key_id, files: keyring.files().to_vec() });
            }
            Err(Unsealed::Row(error)) => {
                tracing::error!(access_key_id = %id, %error, "a stored access key cannot be read");
            }
            Err(Unsealed::Storage(error)) => return Err(StoreError::read(error)),
        }
    }
    drop(tables);
    if old.is_empty() {
        return txn.abort().map_err(StoreError::read);
    }
    tracing::info!(keys = old.len(), key_id = keyring.active(), "sealed access keys under the active key");
    txn.commit().map_err(StoreError::read)
}

/// Counts the long-term keys of the log anew: a program that does not may have had the file.
fn count_live(db: &redb::Database) -> Result<(), redb::Error> {
    let txn = begin_write(db)?;
    let mut tables = Tables::open(&txn)?;
    let mut live = 0;
    for row in tables.access_keys.iter()? {
        let (id, row) = row?;
        live += u64::from(read_header(id.value(), row.value()).is_ok_and(|header| header.of_log()));
    }
    let noted = tables.meta.get(META_LIVE)?.map(|noted| noted.value());
    if noted == Some(live) {
        drop(tables);
        return Ok(txn.abort()?);
    }
    tables.meta.insert(META_LIVE, live)?;
    drop(tables);
    Ok(txn.commit()?)
}

enum Unsealed {
    Row(RowError),
    Storage(redb::Error),
}

impl<E: Into<redb::Error>> From<E> for Unsealed {
    fn from(error: E) -> Self {
        Self::Storage(error.into())
    }
}

fn reseal_one(tables: &mut Tables<'_>, keyring: &Keyring, id: &str, row: &[u8]) -> Result<(), Unsealed> {
    let stored = read_credential(id, row, keyring).map_err(Unsealed::Row)?;
    let row = write_credential(&stored, keyring).map_err(Unsealed::Row)?;
    let event = tables.events.get(stored.seq)?.map(|row| row.value().to_vec());
    if let Some(event) = event {
        let logged = read_event(&event, keyring).map_err(Unsealed::Row)?;
        let event = write_event(&logged, keyring).map_err(Unsealed::Row)?;
        tables.events.insert(stored.seq, event.as_slice())?;
    }
    tables.access_keys.insert(id, row.as_slice())?;
    tables.count_seals(keyring.active(), 1)?;
    Ok(())
}

/// Access key id, row and sealing key id of the long-term keys that the active key did not seal.
fn sealed_by_others(
    tables: &Tables<'_>,
    keyring: &Keyring,
) -> Result<Vec<(String, Vec<u8>, String)>, redb::Error> {
    let mut old = Vec::new();
    for row in tables.access_keys.iter()? {
        let (id, row) = row?;
        if let Ok(header) = read_header(id.value(), row.value())
            && header.sealed_by != keyring.active()
        {
            old.push((id.value().to_owned(), row.value().to_vec(), header.sealed_by.to_owned()));
        }
    }
    Ok(old)
}

/// The inner error is the key of a revocation mark that is not understood.
fn read(db: &redb::Database) -> Result<Result<Loaded, String>, redb::Error> {
    let txn = redb::ReadableDatabase::begin_read(db)?;
    let mut marks = Vec::new();
    for row in txn.open_table(REVOCATIONS)?.iter()? {
        let (key, before) = row?;
        match Mark::parse(key.value(), UnixMillis(before.value())) {
            Some(mark) => marks.push(mark),
            None => return Ok(Err(key.value().to_owned())),
        }
    }
    let newest = UnixMillis(i64::try_from(meta(&txn, META_NEWEST)?).unwrap_or(i64::MAX));
    let position = meta(&txn, META_APPLIED)?;
    let revision = meta(&txn, META_REVISION)?.max(position);
    Ok(Ok(Loaded {
        position,
        revision,
        log: meta(&txn, META_LOG)?,
        anchor: meta(&txn, META_ANCHOR)?,
        newest,
        marks,
    }))
}
