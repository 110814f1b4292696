//! The event log: what happened to credentials, in order.

mod event;

pub use event::{Event, EventData, Receipt, RevocationScope};

/// Sealing keys.
#[derive(Clone)]
pub struct Keyring {}
