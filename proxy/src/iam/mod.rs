//! Identities: who a credential speaks for. Pure: no runtime, no HTTP, no cache.

mod credential;

pub use credential::{AccessKeyId, Credential, KeyStatus, Principal, Session, SessionKind, SessionTokenHash};
