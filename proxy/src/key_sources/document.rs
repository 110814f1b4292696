//! What a document of keys says.
//!
//! ```json
//! {"access_keys": [{
//!     "access_key_id": "AKIAEXAMPLEALICE0001",
//!     "secret_access_key": "…",
//!     "arn": "arn:aws:iam::123456789012:user/alice",
//!     "status": "Active",
//!     "expires_at": "2030-01-01T00:00:00Z"
//! }]}
//! ```
//!
//! Fields are those of `[[access_keys]]`, with the secret in clear or as `sealed_secret_access_key`, and with
//! `expires_at` (RFC 3339, UTC). A document is good as a whole or not at all: fields that are unknown or come twice,
//! ids that come twice and ids of sessions are faults. No fault repeats what stands in a field that may be a secret.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::IgnoredAny;
use sigv4::SecretAccessKey;
use zeroize::Zeroizing;

use crate::clock::UnixMillis;
use crate::events::{Keyring, unseal_secret};
use crate::iam::{AccessKeyId, DeclaredPrincipal, KeyStatus};
use crate::store::DeclaredKey;

/// What the store takes: a key that it refuses would hold up all others.
const LONGEST_SECRET: usize = 1024;
const LONGEST_ARN: usize = 2048;

/// The keys of a document.
pub(super) struct Document {
    pub(super) keys: Vec<DeclaredKey>,
    /// Whether a secret stands in it that is not sealed.
    pub(super) in_clear: bool,
}

/// What is wrong with a document, and where. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct DocumentError(String);

/// One key as it is written; no `Debug`, since it holds a secret.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawKey {
    access_key_id: Option<String>,
    secret_access_key: Option<Secret>,
    sealed_secret_access_key: Option<String>,
    user: Option<String>,
    account: Option<String>,
    arn: Option<String>,
    user_id: Option<String>,
    status: Option<String>,
    expires_at: Option<String>,
}

#[derive(Deserialize)]
#[serde(from = "String")]
struct Secret(Zeroizing<String>);

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

/// Tells a list of keys from one key.
#[derive(Deserialize)]
struct Shape {
    access_keys: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawList {
    access_keys: Vec<RawKey>,
}

impl Document {
    /// Reads `{"access_keys": […]}`.
    pub(super) fn list(bytes: &[u8], keyring: &Keyring) -> Result<Self, DocumentError> {
        let RawList { access_keys } = json(bytes)?;
        let mut document = Self { keys: Vec::with_capacity(access_keys.len()), in_clear: false };
        let mut ids = BTreeSet::new();
        for (at, raw) in access_keys.into_iter().enumerate() {
            let field = |name: &str| format!("access_keys[{at}].{name}");
            let key = document.key(raw, None, keyring, field)?;
            if !ids.insert(key.access_key_id.clone()) {
                let problem = format!("{} is declared twice", key.access_key_id);
                return Err(DocumentError(format!("{}: {problem}", field("access_key_id"))));
            }
            document.keys.push(key);
        }
        Ok(document)
    }

    /// Reads a list, or one key, whose id is `stem` where it says none.
    pub(super) fn file(bytes: &[u8], stem: &str, keyring: &Keyring) -> Result<Self, DocumentError> {
        let Shape { access_keys } = json(bytes)?;
        if access_keys.is_some() {
            return Self::list(bytes, keyring);
        }
        Self::one(json(bytes)?, stem, keyring)
    }

    /// Reads one key out of files that have the names of its fields. White space at the end of a file is not part of the
    /// field: editors and `echo` leave a line feed there.
    pub(super) fn fields(
        files: &BTreeMap<String, &[u8]>,
        stem: &str,
        keyring: &Keyring,
    ) -> Result<Self, DocumentError> {
        let mut raw = RawKey::default();
        for (name, bytes) in files {
            let text = std::str::from_utf8(bytes.trim_ascii_end());
            let text = text.map_err(|_| DocumentError(format!("{name}: is not UTF-8")))?.to_owned();
            let field = match name.as_str() {
                "secret_access_key" => {
                    raw.secret_access_key = Some(text.into());
                    continue;
                }
                "access_key_id" => &mut raw.access_key_id,
                "sealed_secret_access_key" => &mut raw.sealed_secret_access_key,
                "user" => &mut raw.user,
                "account" => &mut raw.account,
                "arn" => &mut raw.arn,
                "user_id" => &mut raw.user_id,
                "status" => &mut raw.status,
                "expires_at" => &mut raw.expires_at,
                _ => return Err(DocumentError(format!("{name}: is no field of a key"))),
            };
            *field = Some(text);
        }
        Self::one(raw, stem, keyring)
    }

    fn one(raw: RawKey, stem: &str, keyring: &Keyring) -> Result<Self, DocumentError> {
        let mut document = Self { keys: Vec::new(), in_clear: false };
        let key = document.key(raw, Some(stem), keyring, str::to_owned)?;
        document.keys.push(key);
        Ok(document)
    }

    fn key(
        &mut self,
        raw: RawKey,
        stem: Option<&str>,
        keyring: &Keyring,
        field: impl Fn(&str) -> String,
    ) -> Result<DeclaredKey, DocumentError> {
        let fault = |name: &str, problem: String| DocumentError(format!("{}: {problem}", field(name)));
        let id = raw.access_key_id.as_deref().or(stem);
        let id = id.ok_or_else(|| fault("access_key_id", "is required".to_owned()))?;
        let access_key_id = AccessKeyId::parse(id).ok_or_else(|| {
            fault(
                "access_key_id",
                "is not 1 to 128 printable ASCII characters without space or comma".to_owned(),
            )
        })?;
        if access_key_id.is_temporary() {
            let problem =
                format!("{id} is the id of a temporary credential: only long-term keys are declared");
            return Err(fault("access_key_id", problem));
        }
        let secret = match (raw.secret_access_key, &raw.sealed_secret_access_key) {
            (Some(secret), None) => {
                self.in_clear = true;
                SecretAccessKey::new(secret.0.as_bytes())
            }
            (None, Some(sealed)) => unseal_secret(&access_key_id, sealed, keyring)
                .map_err(|error| fault("sealed_secret_access_key", error.to_string()))?,
            (None, None) => {
                return Err(fault(
                    "secret_access_key",
                    "is required, or sealed_secret_access_key".to_owned(),
                ));
            }
            (Some(_), Some(_)) => {
                let problem = "stands beside secret_access_key: one of them is too many";
                return Err(fault("sealed_secret_access_key", problem.to_owned()));
            }
        };
        if !(1..=LONGEST_SECRET).contains(&secret.expose_secret().len()) {
            return Err(fault("secret_access_key", format!("has not 1 to {LONGEST_SECRET} bytes")));
        }
        let declared =
            DeclaredPrincipal { user: raw.user, account: raw.account, arn: raw.arn, user_id: raw.user_id };
        let principal = declared.resolve().map_err(|error| fault(error.field, error.problem))?;
        if principal.arn.len() > LONGEST_ARN {
            return Err(fault("arn", format!("is longer than {LONGEST_ARN} bytes")));
        }
        let status = match raw.status.as_deref() {
            None | Some("Active") => KeyStatus::Active,
            Some("Inactive") => KeyStatus::Inactive,
            Some(_) => return Err(fault("status", "must be Active or Inactive".to_owned())),
        };
        let not_after = raw.expires_at.map(|text| {
            let problem = "is no time such as 2030-01-01T00:00:00Z".to_owned();
            UnixMillis::parse_rfc3339(&text).ok_or_else(|| fault("expires_at", problem))
        });
        Ok(DeclaredKey { access_key_id, secret, principal, status, not_after: not_after.transpose()? })
    }
}

/// The parser's own words would repeat what it met, which may be a secret in the wrong place.
fn json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, DocumentError> {
    use serde_json::error::Category;
    serde_json::from_slice(bytes).map_err(|error| {
        let problem = match error.classify() {
            Category::Data => {
                "a field is unknown, comes twice, is missing or holds something else than a text"
            }
            Category::Eof => "the document ends too early",
            Category::Io | Category::Syntax => "this is not JSON",
        };
        DocumentError(format!("line {}, column {}: {problem}", error.line(), error.column()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::seal_secret;

    const ALICE: &str = r#""secret_access_key":"canary","arn":"arn:aws:iam::123456789012:user/alice""#;

    fn list(text: &str) -> Result<Vec<DeclaredKey>, String> {
        let keyring = Keyring::ephemeral().unwrap();
        Document::list(text.as_bytes(), &keyring).map(|read| read.keys).map_err(|error| error.to_string())
    }

    fn one(fields: &str) -> Result<DeclaredKey, String> {
        list(&format!(r#"{{"access_keys":[{{{fields}}}]}}"#)).map(|mut keys| keys.remove(0))
    }

    #[test]
    fn a_key_has_the_fields_of_the_configuration_and_an_end() {
        let fields = format!(
            r#""access_key_id":"AKIA1",{ALICE},"user_id":"AIDA1","status":"Inactive","expires_at":"1970-01-01T00:00:02Z""#
        );
        let key = one(&fields).unwrap();
        assert_eq!((key.access_key_id.as_str(), key.status), ("AKIA1", KeyStatus::Inactive));
        assert_eq!(key.secret.expose_secret(), b"canary");
        assert_eq!(key.principal.arn, "arn:aws:iam::123456789012:user/alice");
        assert_eq!((key.principal.user_id.as_str(), key.not_after), ("AIDA1", Some(UnixMillis(2_000))));
        let short =
            r#""access_key_id":"AKIA1","secret_access_key":"s","user":"bob","account":"123456789012""#;
        let bob = one(short).unwrap();
        assert_eq!((bob.status, bob.not_after), (KeyStatus::Active, None));
        assert!(list(r#"{"access_keys":[]}"#).unwrap().is_empty());
    }

    #[test]
    fn every_fault_has_its_place_and_repeats_no_secret() {
        let id = r#""access_key_id":"AKIA1""#;
        for (fields, place) in [
            (ALICE.to_owned(), "access_keys[0].access_key_id: is required"),
            (format!(r#""access_key_id":"a b",{ALICE}"#), "access_keys[0].access_key_id: is not"),
            (
                format!(r#""access_key_id":"ASIA1",{ALICE}"#),
                "access_keys[0].access_key_id: ASIA1 is the id of",
            ),
            (
                format!(r#"{id},"user":"a","account":"123456789012""#),
                "access_keys[0].secret_access_key: is required",
            ),
            (
                format!(r#"{id},{ALICE},"sealed_secret_access_key":"canary""#),
                "access_keys[0].sealed_secret_access_key",
            ),
            (
                format!(r#"{id},"sealed_secret_access_key":"canary""#),
                "access_keys[0].sealed_secret_access_key",
            ),
            (
                format!(r#"{id},"secret_access_key":"","user":"a""#),
                "access_keys[0].secret_access_key: has not",
            ),
            (format!(r#"{id},"secret_access_key":"canary""#), "access_keys[0].user: is required"),
            (format!(r#"{id},{ALICE},"status":"canary""#), "access_keys[0].status: must be"),
            (format!(r#"{id},{ALICE},"expires_at":"canary""#), "access_keys[0].expires_at: is no time"),
            (format!(r#"{id},{ALICE},"session_token":"canary""#), "line 1, column "),
            (format!(r#"{id},{id},{ALICE}"#), "line 1, column "),
            (format!(r#"{id},"secret_access_key":["canary"]"#), "line 1, column "),
            (
                format!(r#"{id},"secret_access_key":"{}""#, "x".repeat(1025)),
                "access_keys[0].secret_access_key: has not",
            ),
        ] {
            let told = one(&fields).unwrap_err();
            assert!(told.starts_with(place), "{fields}: {told}");
            assert!(!told.contains("canary"), "{told}");
        }
    }

    #[test]
    fn a_document_is_good_as_a_whole_or_not_at_all() {
        let key = |id: &str| format!(r#"{{"access_key_id":"{id}",{ALICE}}}"#);
        let text = format!(r#"{{"access_keys":[{},{}]}}"#, key("AKIA1"), key("AKIA2"));
        assert_eq!(list(&text).unwrap().len(), 2);
        let twice = format!(r#"{{"access_keys":[{},{}]}}"#, key("AKIA1"), key("AKIA1"));
        assert_eq!(list(&twice).unwrap_err(), "access_keys[1].access_key_id: AKIA1 is declared twice");
        for length in 0..text.len() {
            assert!(list(&text[..length]).is_err(), "cut after {length}");
        }
        for other in ["[]", "{}", "null", &key("AKIA1"), &format!("{text} {{}}")] {
            assert!(list(other).is_err(), "{other}");
        }
    }

    #[test]
    fn a_file_holds_a_list_or_one_key_that_may_be_named_by_the_file() {
        let keyring = Keyring::ephemeral().unwrap();
        let ids = |text: &str| {
            let keys = Document::file(text.as_bytes(), "AKIASTEM", &keyring)?.keys;
            Ok::<_, DocumentError>(keys.iter().map(|key| key.access_key_id.to_string()).collect::<Vec<_>>())
        };
        assert_eq!(ids(&format!("{{{ALICE}}}")).unwrap(), ["AKIASTEM"]);
        assert_eq!(ids(&format!(r#"{{"access_key_id":"AKIA1",{ALICE}}}"#)).unwrap(), ["AKIA1"]);
        let list = format!(r#"{{"access_keys":[{{"access_key_id":"AKIA1",{ALICE}}}]}}"#);
        assert_eq!(ids(&list).unwrap(), ["AKIA1"]);
        let both = format!(r#"{{"access_keys":[],{ALICE}}}"#);
        assert!(ids(&both).is_err());
    }

    #[test]
    fn fields_may_be_files_and_secrets_sealed() {
        let keyring = Keyring::ephemeral().unwrap();
        let id = AccessKeyId::parse("AKIA1").unwrap();
        let sealed = seal_secret(&id, &SecretAccessKey::new("canary"), &keyring).unwrap();
        let read = |secret: (&str, &str), more: Option<(&str, &str)>| {
            let files = [Some(secret), Some(("user", "alice\n")), Some(("account", "123456789012")), more];
            let files = files.into_iter().flatten().map(|(name, text)| (name.to_owned(), text.as_bytes()));
            Document::fields(&files.collect(), "AKIA1", &keyring)
        };
        let document = read(("sealed_secret_access_key", &sealed), None).unwrap();
        assert_eq!(document.keys[0].secret.expose_secret(), b"canary");
        assert!(!document.in_clear);
        let document = read(("secret_access_key", "canary\n"), Some(("expires_at", "2030-01-01T00:00:00Z")));
        let document = document.unwrap();
        assert_eq!(document.keys[0].secret.expose_secret(), b"canary");
        assert!(document.in_clear && document.keys[0].not_after.is_some());
        let named = read(("sealed_secret_access_key", &sealed), Some(("access_key_id", "AKIA2")));
        assert!(named.is_err_and(|error| error.to_string().contains("another access key id")));
        assert!(read(("secret_access_key", "canary"), Some(("color", "blue"))).is_err());
    }
}
