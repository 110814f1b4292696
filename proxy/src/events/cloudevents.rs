//! The public form of events: CloudEvents 1.0 in structured JSON.
//!
//! | `type` (also without `io.sigward.` and `.v1`) | `data` |
//! |---|---|
//! | `io.sigward.credential.issued.v1` | `access_key_id`, `secret_access_key`, `session_token` or `session_token_sha256` (hex), `kind`, `expires_at`, `principal`; optional `issued_at` (default: `time`), `session_name`, `role_arn` (default: the role of an `assumed-role` principal), `parent_access_key_id`, `source_identity`, `tags`, `transitive_tag_keys`, `session_policies` (JSON in strings), `policy_arns`, `mfa`, `mfa_authenticated_at`, `federation`, `lineage` |
//! | `io.sigward.access_key.created.v1` | `access_key_id`, `secret_access_key`, `principal`; optional `status`, `issued_at` |
//! | `io.sigward.access_key.status.v1` | `access_key_id`, `status`: `Active` or `Inactive` |
//! | `io.sigward.access_key.deleted.v1` | `access_key_id` |
//! | `io.sigward.session.revoked.v1` | exactly one of `access_key_id`, `issued_to` (the sessions issued to a long-term key, but not the key), `principal` (ARN or unique id), `role` (ARN; optional `session_name`), `account`, `identity_provider` (ARN), `source_identity`; optional `issued_before` (default: now; with an `access_key_id` that no session has not earlier than both the event's `time` and the gateway's clock), `cascade` (default: false), `reason` |
//!
//! `principal` is `{arn, user_id, account}`, `kind` one of `session_token`, `assumed_role`, `web_identity`, `saml`,
//! `federation`; times are RFC 3339 in UTC. `mfa: true` without `mfa_authenticated_at` means: when it was issued.
//! `federation` is `{provider (ARN), issuer, subject, audience, name_qualifier?, subject_type?}`, the last two of SAML.
//! `lineage` lists the credentials a session descends from, nearest first, each `{access_key_id, principal, issued_at,
//! role_arn?, session_name?, provider?}`; `issued_at` of a long-term key is the time it was used.
//! Unknown attributes and fields are ignored, as CloudEvents asks.
//!
//! Limits: a session lives at most 36 hours and must not be over yet; times are at most 5 minutes ahead; a secret
//! has 8 to 256 bytes; a session token at most 8,192; tags, session names and source identities are held to what STS
//! allows; a lineage has at most 16 members.
//!
//! Source: <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>

mod fields;
mod read;
mod session;
mod write;

pub(crate) use fields::is_arn;
pub use read::parse;
pub use write::to_json;
pub(crate) use write::{data_to_json, is_type, type_of};

const PREFIX: &str = "io.sigward.";
const SUFFIX: &str = ".v1";
const ISSUED: &str = "credential.issued";
const CREATED: &str = "access_key.created";
const STATUS: &str = "access_key.status";
const DELETED: &str = "access_key.deleted";
const REVOKED: &str = "session.revoked";

#[cfg(test)]
mod tests;
