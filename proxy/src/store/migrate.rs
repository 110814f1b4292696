//! Bringing a file of the first layout to the present one. There each session was a row of its own, beside the
//! issuance that says the same, and events were known by their source and id as text.

use redb::{ReadableTable, TableDefinition, WriteTransaction};

use super::tables::{META_SCHEMA, SCHEMA, Tables, identity};
use crate::events::read_header;

/// The layout that [`from_first`] reads.
pub(super) const FIRST: u64 = 1;

const SESSIONS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("sessions");
const IDEMPOTENCY: TableDefinition<'_, (&str, &str), u64> = TableDefinition::new("idempotency");

/// One transaction with whoever calls; what it reads is gone from the file afterwards. Sessions whose row cannot be
/// read are dropped.
pub(super) fn from_first(txn: &WriteTransaction, tables: &mut Tables<'_>) -> Result<(), redb::Error> {
    let sessions = txn.open_table(SESSIONS)?;
    for row in sessions.iter()? {
        let (id, row) = row?;
        match read_header(id.value(), row.value()) {
            Ok(header) => drop(tables.issued.insert(id.value(), header.seq)?),
            Err(error) => {
                tracing::error!(access_key_id = id.value(), %error, "a session cannot be read; it is dropped");
            }
        }
    }
    let idempotency = txn.open_table(IDEMPOTENCY)?;
    for row in idempotency.iter()? {
        let (key, seq) = row?;
        let (source, id) = key.value();
        tables.known.insert(identity(source, id), seq.value())?;
    }
    drop((sessions, idempotency));
    txn.delete_table(SESSIONS)?;
    txn.delete_table(IDEMPOTENCY)?;
    tables.meta.insert(META_SCHEMA, SCHEMA)?;
    Ok(())
}

/// Makes the file of the tests what a program of the first layout would have made it, which had issued `sessions` first
/// of all.
#[cfg(test)]
pub(super) fn make_first(
    db: &redb::Database,
    sessions: &[crate::iam::Credential],
    keyring: &crate::events::Keyring,
) {
    use crate::events::{StoredCredential, event_identity, write_credential};
    let txn = super::tables::begin_write(db).unwrap();
    {
        let mut tables = Tables::open(&txn).unwrap();
        let (mut rows, mut idempotency) =
            (txn.open_table(SESSIONS).unwrap(), txn.open_table(IDEMPOTENCY).unwrap());
        for (credential, seq) in sessions.iter().zip(1..) {
            let stored = StoredCredential { credential: credential.clone(), seq, source: "/test".to_owned() };
            let row = write_credential(&stored, keyring).unwrap();
            rows.insert(credential.access_key_id.as_str(), row.as_slice()).unwrap();
        }
        for event in tables.events.iter().unwrap() {
            let (seq, row) = event.unwrap();
            let (source, id) = event_identity(row.value()).unwrap();
            idempotency.insert((source.as_str(), id.as_str()), seq.value()).unwrap();
        }
        tables.issued.retain(|_, _| false).unwrap();
        tables.known.retain(|_, _| false).unwrap();
        tables.meta.insert(META_SCHEMA, FIRST).unwrap();
    }
    txn.commit().unwrap();
}
