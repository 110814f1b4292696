//! Events: what happened to credentials, in which form it comes in, and in which form it is kept.
//!
//! - [`Event`]: the facts themselves, and the promises the store relies on.
//! - [`cloudevents`]: the public form, CloudEvents 1.0 JSON.
//! - `codec` and `envelope`: the stored form, versioned, secrets sealed under a key of the [`Keyring`].
//! - [`seal_secret`]: one secret as text, sealed under the same keys.
//! - `token`: session tokens that carry their session, sealed under the same keys.
//! - `pack`: messages of a shared log, many together, for who starts.
//! - `archive`: a log as a file, for backups and for moving it elsewhere.
//!
//! Who keeps the log and applies it is the store's business.

mod archive;
pub mod cloudevents;
mod codec;
mod compact;
mod envelope;
mod event;
mod issuance;
mod keyring;
mod pack;
mod sealed_secret;
mod token;

pub use archive::{ArchiveError, ArchiveHeader};
pub(crate) use archive::{ArchiveItem, ArchiveReader, ArchiveTrailer, ArchiveWriter};
pub(crate) use codec::{
    CredentialHeader, LoggedEvent, MAX_ROW_BYTES, StoredCredential, access_key_sealed_at, event_identity,
    issued_until, issues_session, read_credential, read_event, read_header, read_issuance, read_proved,
    sealed_by, write_credential, write_event,
};
pub use envelope::RowError;
pub use event::{
    Event, EventData, EventError, MAX_AHEAD_MILLIS, MAX_SESSION_MILLIS, Receipt, RevocationScope,
};
pub use keyring::{Keyring, KeyringError};
pub(crate) use pack::{About, Pack, PackedMessage, Part, read_pack, read_part, write_pack, write_part};
pub use sealed_secret::{seal_secret, unseal_secret};
pub use token::{MAX_TOKEN_BYTES, TokenError};
pub(crate) use token::{opaque_token, seal_session, unseal_session};
