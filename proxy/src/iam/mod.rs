//! Identities: who a credential speaks for, and what policies let them do. Pure: no runtime, no HTTP, no cache.

mod arn;
mod credential;
mod declared;
mod random;
mod session;
pub mod policy;

pub use arn::Arn;
pub use credential::{AccessKeyId, Credential, KeyStatus, Principal};
pub use declared::{DeclaredPrincipal, PrincipalError};
pub use random::{NoRandomNumbers, random_access_key_id, random_bytes, random_id, random_secret_access_key};
pub use session::{Ancestor, ChainTooLong, Federation, SamlSubject, Session, SessionKind, SessionTokenHash};
