//! `POST /v1/events`: facts about credentials from elsewhere, as CloudEvents.

use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;

use super::answer::{self, Answer, ApiError};
use super::body::MediaType;
use super::sessions::check_date;
use super::{Admin, Caller};
use crate::audit::Record;
use crate::clock::UnixMillis;
use crate::events::{Event, EventData, RevocationScope, cloudevents};
use crate::iam::AccessKeyId;

/// What became of one event.
#[derive(Serialize)]
struct Accepted {
    source: String,
    id: String,
    seq: u64,
    duplicate: bool,
}

/// Appends one event or a batch. Nothing is appended unless every event of the batch can be read; the answer is
/// sent once all of them are on disk and in force.
pub(super) async fn post(
    admin: &Admin,
    caller: Caller<'_>,
    media_type: MediaType,
    body: Bytes,
) -> Result<Answer, ApiError> {
    let now = admin.clock.now();
    let mut events = parse(media_type, &body, now)?;
    if events.iter().any(Event::carries_secret) {
        caller.check_confidential()?;
    }
    let batch: Vec<_> = events.iter().filter_map(session_id).cloned().collect();
    for event in &mut events {
        date_revocation(admin, event, (now, &batch)).await?;
    }
    let names: Vec<_> = events.iter().map(|event| (event.source.clone(), event.id.clone())).collect();
    let issued: Vec<_> = events.iter().map(|event| issuance(event, caller)).collect();
    let receipts = admin.store.append(events).await?;
    for (record, receipt) in issued.into_iter().zip(&receipts) {
        if let Some(record) = record.filter(|_| !receipt.duplicate) {
            admin.store.audit().record(record).await?;
        }
    }
    let accepted = names.into_iter().zip(receipts).map(|((source, id), receipt)| Accepted {
        source,
        id,
        seq: receipt.seq,
        duplicate: receipt.duplicate,
    });
    Ok(answer::json(StatusCode::OK, &accepted.collect::<Vec<_>>()))
}

/// The issuance of a session elsewhere, for the audit trail; the store records every other event itself.
fn issuance(event: &Event, caller: Caller<'_>) -> Option<Record> {
    let issued = matches!(event.data, EventData::CredentialIssued(_));
    issued.then(|| {
        let mut record = Record::of_event(event);
        record.with("peer", caller.0.ip().to_string());
        record
    })
}

/// A revocation as of now also reaches sessions whose issuer's clock is ahead of ours, as `/v1/revocations` does. One of
/// another time is refused if none of its scope can have that. `batch` are the sessions that come with it.
async fn date_revocation(
    admin: &Admin,
    event: &mut Event,
    (now, batch): (UnixMillis, &[AccessKeyId]),
) -> Result<(), ApiError> {
    let EventData::SessionRevoked { scope, cascade, issued_before, .. } = &mut event.data else {
        return Ok(());
    };
    if *issued_before == now.plus(1) {
        *issued_before = admin.store.mark_now(scope, *cascade).await?;
        return Ok(());
    }
    if matches!(scope, RevocationScope::AccessKey(id) if batch.contains(id)) {
        return Ok(());
    }
    // The clock of whoever made it may be ahead of ours.
    let made = event.time.min(now);
    check_date(admin, scope, (*issued_before, made)).await.map_err(|error| error.below("data"))
}

fn session_id(event: &Event) -> Option<&AccessKeyId> {
    match &event.data {
        EventData::CredentialIssued(session) => Some(&session.access_key_id),
        EventData::AccessKeyCreated(_)
        | EventData::AccessKeyStatus { .. }
        | EventData::AccessKeyDeleted { .. }
        | EventData::SessionRevoked { .. } => None,
    }
}

fn parse(media_type: MediaType, body: &[u8], now: UnixMillis) -> Result<Vec<Event>, ApiError> {
    match media_type {
        MediaType::Json | MediaType::Event => Ok(vec![cloudevents::parse(body, now)?]),
        MediaType::EventBatch => {
            let batch: Vec<&RawValue> = serde_json::from_slice(body).map_err(|error| {
                ApiError::invalid("", format!("is not a JSON array (line {})", error.line()))
            })?;
            let parse = |(at, event): (usize, &&RawValue)| {
                let parsed = cloudevents::parse(event.get().as_bytes(), now);
                parsed.map_err(|error| ApiError::from(error).below(&format!("[{at}]")))
            };
            batch.iter().enumerate().map(parse).collect()
        }
    }
}
