//! Events that operators cause through this API.

use super::Admin;
use super::answer::ApiError;
use crate::events::{Event, EventData, Receipt};
use crate::iam::random_id;

/// The source of these events.
const SOURCE: &str = "/admin";

/// Appends one event that happened now; returns once it is on disk and in force.
pub(super) async fn append(admin: &Admin, data: EventData) -> Result<Receipt, ApiError> {
    let event = Event { source: SOURCE.to_owned(), id: random_id()?, time: admin.clock.now(), data };
    let receipts = admin.store.append(vec![event]).await?;
    receipts.first().copied().ok_or_else(|| ApiError::internal("the store gave no receipt"))
}
