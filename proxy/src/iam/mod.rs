//! Identities: who a credential speaks for. Pure: no runtime, no HTTP, no cache.

mod credential;
mod declared;

pub use credential::{AccessKeyId, Credential, KeyStatus, Principal, Session, SessionKind, SessionTokenHash};
pub use declared::{DeclaredPrincipal, PrincipalError};
