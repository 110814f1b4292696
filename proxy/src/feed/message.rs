//! One event as a message: where it goes, what stands in its headers, what is in its body.
//!
//! The body is the row of the embedded log, versioned and sealed (`events::codec`), so that what is bound to the
//! record there is bound here. Headers are CloudEvents 1.0 attributes in binary mode, `ce-*`, without `ce-subject`; a
//! revocation has its scope and time beside them, so that a gateway which cannot read the body still enforces it.
//! Subjects hold hashes only.
//!
//! Source: <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/nats-protocol-binding.md>

use std::fmt::{self, Write};

use async_nats::HeaderMap;
use bytes::Bytes;
use ring::digest;

use crate::clock::UnixMillis;
use crate::events::{Event, EventData, Keyring, LoggedEvent, RowError, cloudevents, write_event};
use crate::iam::AccessKeyId;

pub(super) const MESSAGE_ID: &str = "Nats-Msg-Id";
const MARK: &str = "sigward-mark";
const BEFORE: &str = "sigward-before";

/// Bytes of a hash that names a subject or a message.
const HASH_BYTES: usize = 16;

/// The last tokens of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A session: it is published once and forgotten with the log.
    Session(String),
    /// A long-term key: its last message is kept.
    Key(String),
    /// A revocation mark: its last message is kept.
    Mark(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(hash) => write!(f, "session.{hash}"),
            Self::Key(hash) => write!(f, "state.key.{hash}"),
            Self::Mark(hash) => write!(f, "state.mark.{hash}"),
        }
    }
}

/// A revocation in the clear: which sessions, and before which time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlainMark {
    /// As the store keys its marks.
    pub(crate) key: String,
    /// Sessions issued strictly before are refused.
    pub(crate) before: UnixMillis,
}

/// An event on its way to the log.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// Hash of source and id: what the log tells duplicates by.
    pub(crate) id: String,
    pub(super) place: Place,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Outgoing {
    /// Seals an event. `mark` is what a revocation comes to, and `None` for everything else.
    pub(crate) fn seal(
        event: &Event,
        mark: Option<&PlainMark>,
        keyring: &Keyring,
        now: UnixMillis,
    ) -> Result<Self, RowError> {
        let logged = LoggedEvent { event: event.clone(), recorded_at: now };
        let body = write_event(&logged, keyring)?.into();
        let id = message_id(&event.source, &event.id);
        let mut headers = HeaderMap::new();
        headers.insert(MESSAGE_ID, id.as_str());
        headers.insert("ce-specversion", "1.0");
        headers.insert("ce-type", cloudevents::type_of(&event.data).as_str());
        headers.insert("ce-source", encode(&event.source).as_str());
        headers.insert("ce-id", encode(&event.id).as_str());
        headers.insert("ce-time", event.time.to_rfc3339().as_str());
        headers.insert("content-type", "application/vnd.sigward.event");
        if let Some(mark) = mark {
            headers.insert(MARK, encode(&mark.key).as_str());
            headers.insert(BEFORE, mark.before.0.to_string().as_str());
        }
        Ok(Self { id, place: Place::of(&event.data, mark), headers, body })
    }
}

impl Place {
    fn of(data: &EventData, mark: Option<&PlainMark>) -> Self {
        let key = |id: &AccessKeyId| Self::of_credential(id.as_str(), false);
        match data {
            EventData::CredentialIssued(credential) => {
                Self::of_credential(credential.access_key_id.as_str(), true)
            }
            EventData::AccessKeyCreated(credential) => key(&credential.access_key_id),
            EventData::AccessKeyStatus { access_key_id, .. }
            | EventData::AccessKeyDeleted { access_key_id } => key(access_key_id),
            EventData::SessionRevoked { .. } => {
                Self::Mark(hash(&["mark", mark.map_or("", |mark| mark.key.as_str())]))
            }
        }
    }
}

impl Place {
    /// Where events about an access key id stand.
    pub(super) fn of_credential(access_key_id: &str, temporary: bool) -> Self {
        if temporary {
            Self::Session(hash(&["session", access_key_id]))
        } else {
            Self::Key(hash(&["key", access_key_id]))
        }
    }
}

/// What the log knows an event by.
pub(crate) fn message_id(source: &str, id: &str) -> String {
    hash(&["event", source, id])
}

/// The mark in the headers of a message, if there is one.
pub(super) fn plain_mark(headers: Option<&HeaderMap>) -> Option<PlainMark> {
    let headers = headers?;
    let key = decode(headers.get(MARK)?.as_str())?;
    let before = headers.get(BEFORE)?.as_str().parse().ok()?;
    Some(PlainMark { key, before: UnixMillis(before) })
}

/// Whether a subject is that of a revocation.
pub(super) fn is_mark(subject: &str) -> bool {
    subject.rsplit('.').nth(1) == Some("mark")
}

/// Whether a subject is that of a long-term key.
pub(super) fn is_key(subject: &str) -> bool {
    subject.rsplit('.').nth(1) == Some("key")
}

fn hash(parts: &[&str]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    sigv4::hex::encode(&context.finish().as_ref()[..HASH_BYTES])
}

/// As the binding has it: what is not printable ASCII is percent-encoded, and so is the percent sign.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'!'..=b'~' if byte != b'%' && byte != b'"' => encoded.push(char::from(byte)),
            // Writing to a string does not fail.
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, tail) = rest.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = tail;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{RevocationScope, read_event};

    fn revocation(principal: &str) -> Event {
        let data = EventData::SessionRevoked {
            scope: RevocationScope::Principal(principal.into()),
            cascade: false,
            issued_before: UnixMillis(5),
            reason: Some("canary".into()),
        };
        Event { source: "/admin".into(), id: "id 1".into(), time: UnixMillis(7), data }
    }

    #[test]
    fn a_revocation_says_its_scope_and_time_in_the_clear_and_its_subject_says_neither() {
        let keyring = Keyring::ephemeral().unwrap();
        let arn = "arn:aws:iam::123456789012:user/ünï\r\n100%";
        let mark = PlainMark { key: format!("principal:{arn}"), before: UnixMillis(5) };
        let message = Outgoing::seal(&revocation(arn), Some(&mark), &keyring, UnixMillis(9)).unwrap();
        assert_eq!(plain_mark(Some(&message.headers)), Some(mark));
        let subject = message.place.to_string();
        assert!(is_mark(&subject) && !is_key(&subject));
        let of = |temporary| Place::of_credential("AKIA1", temporary).to_string();
        assert!(is_key(&of(false)) && !is_key(&of(true)) && !is_mark(&of(false)));
        assert!(!subject.contains("123456789012"), "{subject}");
        assert_eq!(message.headers.get("ce-id").unwrap().as_str(), "id%201");
        assert_eq!(message.headers.get("ce-type").unwrap().as_str(), "io.sigward.session.revoked.v1");
        let logged = read_event(&message.body, &keyring).unwrap();
        assert_eq!((logged.recorded_at, logged.event.id.as_str()), (UnixMillis(9), "id 1"));
    }

    #[test]
    fn ids_do_not_run_together() {
        assert_ne!(message_id("ab", "c"), message_id("a", "bc"));
        assert_eq!(message_id("ab", "c"), message_id("ab", "c"));
    }

    #[test]
    fn every_text_survives_the_headers() {
        for text in ["", "plain", "%", "%41", "a b\"c", "\u{0}\n", "日本"] {
            assert_eq!(decode(&encode(text)).as_deref(), Some(text));
            assert!(encode(text).bytes().all(|byte| byte.is_ascii_graphic()), "{text}");
        }
        assert_eq!(decode("%4"), None);
    }
}
