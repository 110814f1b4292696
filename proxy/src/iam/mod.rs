//! Identities: who a credential speaks for. Pure: no runtime, no HTTP, no cache.

mod credential;
mod declared;
mod random;

pub use credential::{AccessKeyId, Credential, KeyStatus, Principal, Session, SessionKind, SessionTokenHash};
pub use declared::{DeclaredPrincipal, PrincipalError};
pub use random::{NoRandomNumbers, random_access_key_id, random_bytes, random_id, random_secret_access_key};
