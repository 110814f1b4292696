//! Identities: who a credential speaks for, who is declared, and what policies let them do. Pure: no runtime, no HTTP, no
//! cache.

mod arn;
mod credential;
mod declared;
pub mod directory;
pub mod policy;
mod random;
pub mod saml;
mod session;
mod tags;
mod totp;

pub use arn::Arn;
pub use credential::{AccessKeyId, Credential, KeyStatus, Principal};
pub use declared::{DeclaredPrincipal, PrincipalError};
use declared::{derived_id, is_unique_id};
pub use random::{NoRandomNumbers, random_access_key_id, random_bytes, random_id, random_secret_access_key};
pub use session::{Ancestor, ChainTooLong, Federation, SamlSubject, Session, SessionKind, SessionTokenHash};
use tags::tag_problem;
pub use tags::{
    MAX_TAG_KEY, MAX_TAG_VALUE, MAX_TAGS, TAG_PATTERN, Tags, is_reserved_tag_key, is_tag_character,
    same_tag_key, tag,
};
pub use totp::TotpSecret;
