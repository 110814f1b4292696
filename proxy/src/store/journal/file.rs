//! The file of an embedded log while no gateway has it open.

use std::path::Path;
use std::sync::Arc;

use redb::{DatabaseError, ReadableDatabase, TableError};

use super::super::StoreError;
use super::super::tables::{META_LOG, META_SCHEMA, SCHEMA, meta};

/// An open file. Others may read it at the same time, and no gateway can open it.
pub(super) enum File {
    Reading(redb::ReadOnlyDatabase),
    /// Whoever had it was killed: it had to be repaired first, and repairing writes.
    Repaired(redb::Database),
}

impl File {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        // Opening for reading says of a file that is not there that it is no database.
        if let Err(error) = std::fs::metadata(path) {
            return Err(StoreError::File { path: path.to_owned(), source: Arc::new(error) });
        }
        let opened = match redb::ReadOnlyDatabase::open(path) {
            Ok(file) => Ok(Self::Reading(file)),
            Err(DatabaseError::RepairAborted) => redb::Database::open(path).map(Self::Repaired),
            Err(error) => Err(error),
        };
        let file = opened.map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => StoreError::Held { path: path.to_owned() },
            error => StoreError::Open { path: path.to_owned(), source: Arc::new(error.into()) },
        })?;
        file.check(path)?;
        Ok(file)
    }

    pub(super) fn begin_read(&self) -> Result<redb::ReadTransaction, redb::Error> {
        Ok(match self {
            Self::Reading(file) => file.begin_read()?,
            Self::Repaired(file) => file.begin_read()?,
        })
    }

    fn check(&self, path: &Path) -> Result<(), StoreError> {
        let open = |source| StoreError::Open { path: path.to_owned(), source: Arc::new(source) };
        let txn = self.begin_read().map_err(open)?;
        let found = meta(&txn, META_SCHEMA).map_err(open)?;
        if found > SCHEMA {
            return Err(StoreError::Schema { found, known: SCHEMA });
        }
        if found < SCHEMA {
            return Err(StoreError::OlderSchema { path: path.to_owned(), found, known: SCHEMA });
        }
        if meta(&txn, META_LOG).map_err(open)? != 0 {
            return Err(StoreError::SharedLog);
        }
        Ok(())
    }
}

/// A table that older files do not have.
pub(super) fn optional<T>(table: Result<T, TableError>) -> Result<Option<T>, redb::Error> {
    match table {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
