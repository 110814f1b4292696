//! Identities: who a credential speaks for. Pure: no runtime, no HTTP, no cache.

mod credential;
mod declared;
mod random;
mod session;

pub use credential::{AccessKeyId, Credential, KeyStatus, Principal};
pub use declared::{DeclaredPrincipal, PrincipalError};
pub use random::{NoRandomNumbers, random_access_key_id, random_bytes, random_id, random_secret_access_key};
pub use session::{Ancestor, ChainTooLong, Federation, SamlSubject, Session, SessionKind, SessionTokenHash};
