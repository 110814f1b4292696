//! Events that operators cause through this API.

use http::StatusCode;
use ring::rand::{SecureRandom, SystemRandom};

use super::Admin;
use super::answer::ApiError;
use crate::events::{Event, EventData, Receipt};

/// The source of these events.
const SOURCE: &str = "/admin";

/// Appends one event that happened now; returns once it is on disk and in force.
pub(super) async fn append(admin: &Admin, data: EventData) -> Result<Receipt, ApiError> {
    let id = u128::from_be_bytes(random()?);
    let event = Event { source: SOURCE.to_owned(), id: format!("{id:032x}"), time: admin.clock.now(), data };
    let receipts = admin.store.append(vec![event]).await?;
    receipts.first().copied().ok_or_else(|| ApiError::internal("the store gave no receipt"))
}

/// Bytes nobody can guess.
pub(super) fn random<const N: usize>() -> Result<[u8; N], ApiError> {
    let mut bytes = [0; N];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| {
        let message = "the system has no random numbers";
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "Unavailable", message)
    })?;
    Ok(bytes)
}
