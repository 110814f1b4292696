//! JSON to event. Every refusal names the path of what is wrong.

use serde_json::Value;
use sigv4::SecretAccessKey;
use zeroize::Zeroizing;

use super::fields::Fields;
use super::session::issued;
use super::{CREATED, DELETED, ISSUED, PREFIX, REVOKED, STATUS, SUFFIX};
use crate::clock::UnixMillis;
use crate::events::{Event, EventData, EventError, RevocationScope};
use crate::iam::{Credential, KeyStatus, SessionTokenHash};

const MAX_ATTRIBUTE_BYTES: usize = 256;
const MAX_TOKEN_BYTES: usize = 8_192;
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 8..=256;

/// What says which sessions are revoked.
const SCOPES: [&str; 7] =
    ["access_key_id", "issued_to", "principal", "role", "account", "identity_provider", "source_identity"];

/// Parses one event; `now` is the default of its times and what they are checked against.
///
/// A revocation without `issued_before` is dated one millisecond after `now`, so that sessions issued in this very
/// millisecond are reached.
pub fn parse(body: &[u8], now: UnixMillis) -> Result<Event, EventError> {
    let root = match serde_json::from_slice(body) {
        Ok(Value::Object(map)) => map,
        Ok(_) => return Err(EventError::new("$", "must be one JSON object")),
        Err(error) => {
            let place = format!("line {} column {}", error.line(), error.column());
            return Err(EventError::new("$", format!("is not JSON ({place})")));
        }
    };
    let mut envelope = Fields::new(root, "");
    let mut data = match envelope.map.remove("data") {
        Some(Value::Object(map)) => Fields::new(map, "data."),
        Some(_) => return Err(EventError::new("data", "must be an object")),
        None if envelope.map.contains_key("data_base64") => {
            return Err(EventError::new("data_base64", "is not supported; send data as JSON"));
        }
        None => return Err(EventError::new("data", "is missing")),
    };
    // First of all, so that they are wiped from memory even when the rest is refused.
    let secrets = Secrets::take(&mut data)?;
    let event = Event {
        source: source(&mut envelope)?,
        id: attribute(&mut envelope, "id")?,
        time: envelope.time("time")?.unwrap_or(now),
        data: read_data(&mut envelope, data, secrets, now)?,
    };
    event.check(now)?;
    Ok(event)
}

fn source(envelope: &mut Fields) -> Result<String, EventError> {
    if envelope.text("specversion")? != "1.0" {
        return Err(EventError::new("specversion", "must be 1.0"));
    }
    if let Some(content_type) = envelope.optional_text("datacontenttype")? {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            return Err(EventError::new("datacontenttype", "must be application/json"));
        }
    }
    let source = attribute(envelope, "source")?;
    if Event::is_declaration(&source) {
        return Err(EventError::new("source", "is reserved for the configuration"));
    }
    Ok(source)
}

fn attribute(envelope: &mut Fields, name: &'static str) -> Result<String, EventError> {
    let value = envelope.text(name)?;
    if value.is_empty() || value.len() > MAX_ATTRIBUTE_BYTES || value.chars().any(char::is_control) {
        return Err(envelope.fault(name, "must have 1 to 256 bytes and no control characters"));
    }
    Ok(value)
}

fn read_data(
    envelope: &mut Fields,
    data: Fields,
    secrets: Secrets,
    now: UnixMillis,
) -> Result<EventData, EventError> {
    let given = envelope.text("type")?;
    let name = given.strip_prefix(PREFIX).and_then(|name| name.strip_suffix(SUFFIX)).unwrap_or(&given);
    let time = envelope.time("time")?.unwrap_or(now);
    match name {
        ISSUED => issued(data, secrets, time, now),
        CREATED => created(data, secrets, time),
        STATUS => status(data, secrets),
        DELETED => deleted(data, secrets),
        REVOKED => revoked(data, secrets, now),
        _ => {
            let known =
                [ISSUED, CREATED, STATUS, DELETED, REVOKED].map(|name| format!("{PREFIX}{name}{SUFFIX}"));
            Err(EventError::new("type", format!("must be one of {}", known.join(", "))))
        }
    }
}

fn created(mut data: Fields, secrets: Secrets, time: UnixMillis) -> Result<EventData, EventError> {
    let secret = secrets.long_term()?;
    if data.map.contains_key("expires_at") {
        return Err(data.fault("expires_at", "belongs to credential.issued: a long-term key does not expire"));
    }
    let status = if data.map.contains_key("status") { read_status(&mut data)? } else { KeyStatus::Active };
    Ok(EventData::AccessKeyCreated(Credential {
        access_key_id: data.access_key_id()?,
        secret,
        principal: data.principal()?,
        issued_at: data.time("issued_at")?.unwrap_or(time),
        status,
        not_after: None,
        declared: false,
        session: None,
    }))
}

fn status(mut data: Fields, secrets: Secrets) -> Result<EventData, EventError> {
    secrets.none()?;
    Ok(EventData::AccessKeyStatus { access_key_id: data.access_key_id()?, status: read_status(&mut data)? })
}

fn deleted(mut data: Fields, secrets: Secrets) -> Result<EventData, EventError> {
    secrets.none()?;
    Ok(EventData::AccessKeyDeleted { access_key_id: data.access_key_id()? })
}

fn revoked(mut data: Fields, secrets: Secrets, now: UnixMillis) -> Result<EventData, EventError> {
    secrets.none()?;
    let given = SCOPES.into_iter().filter(|key| data.map.contains_key(*key)).collect::<Vec<_>>();
    let &[kind] = given.as_slice() else {
        return Err(EventError::new("data", format!("must have exactly one of {}", SCOPES.join(", "))));
    };
    let name = data.optional_text("session_name")?;
    if name.is_some() && kind != "role" {
        return Err(data.fault("session_name", "belongs beside data.role"));
    }
    let scope = match (kind, name) {
        ("access_key_id", _) => RevocationScope::AccessKey(data.access_key_id()?),
        ("issued_to", _) => RevocationScope::IssuedTo(data.access_key_id_at(kind)?),
        ("principal", _) => RevocationScope::Principal(data.text(kind)?),
        ("role", Some(name)) => RevocationScope::SessionName { role: data.arn(kind)?, name },
        ("role", None) => RevocationScope::Role(data.arn(kind)?),
        ("identity_provider", _) => RevocationScope::IdentityProvider(data.arn(kind)?),
        ("source_identity", _) => RevocationScope::SourceIdentity(data.text(kind)?),
        _ => RevocationScope::Account(data.account()?),
    };
    let cascade = match data.map.remove("cascade") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(cascade)) => cascade,
        Some(_) => return Err(data.fault("cascade", "must be true or false")),
    };
    Ok(EventData::SessionRevoked {
        scope,
        cascade,
        issued_before: data.time("issued_before")?.unwrap_or(now.plus(1)),
        reason: data.optional_text("reason")?,
    })
}

fn read_status(data: &mut Fields) -> Result<KeyStatus, EventError> {
    data.parsed("status", "must be Active or Inactive")
}

/// What must be wiped: taken out of the parsed JSON before anything else is looked at.
pub(super) struct Secrets {
    secret: Option<SecretAccessKey>,
    token: Option<SessionTokenHash>,
}

impl Secrets {
    fn take(data: &mut Fields) -> Result<Self, EventError> {
        let secret = data.map.remove("secret_access_key");
        let token = data.map.remove("session_token");
        let hash = data.map.remove("session_token_sha256");
        let secret = secret.map(secret_text).transpose()?;
        let token = match (token, hash) {
            (Some(Value::String(token)), None) => Some(hash_token(Zeroizing::new(token))?),
            (None, Some(Value::String(hex))) => Some(parse_hash(&hex)?),
            (None, None) => None,
            (Some(token), Some(_)) => {
                wipe(token);
                let problem = "excludes data.session_token_sha256";
                return Err(EventError::new("data.session_token", problem));
            }
            (Some(_), None) => return Err(EventError::new("data.session_token", "must be a string")),
            (None, Some(_)) => return Err(EventError::new("data.session_token_sha256", "must be a string")),
        };
        Ok(Self { secret, token })
    }

    pub(super) fn both(self) -> Result<(SecretAccessKey, SessionTokenHash), EventError> {
        let missing = |path| move || EventError::new(path, "is missing");
        let secret = self.secret.ok_or_else(missing("data.secret_access_key"))?;
        let token = self.token.ok_or_else(|| {
            EventError::new("data.session_token", "is missing (or data.session_token_sha256 instead)")
        })?;
        Ok((secret, token))
    }

    fn long_term(self) -> Result<SecretAccessKey, EventError> {
        if self.token.is_some() {
            let problem = "belongs to credential.issued: a long-term key has none";
            return Err(EventError::new("data.session_token", problem));
        }
        self.secret.ok_or_else(|| EventError::new("data.secret_access_key", "is missing"))
    }

    fn none(self) -> Result<(), EventError> {
        if self.secret.is_some() || self.token.is_some() {
            return Err(EventError::new("data", "must not carry a secret in an event of this type"));
        }
        Ok(())
    }
}

fn secret_text(value: Value) -> Result<SecretAccessKey, EventError> {
    let Value::String(text) = value else {
        return Err(EventError::new("data.secret_access_key", "must be a string"));
    };
    let secret = SecretAccessKey::new(text);
    if !SECRET_BYTES.contains(&secret.expose_secret().len()) {
        return Err(EventError::new("data.secret_access_key", "must have 8 to 256 bytes"));
    }
    Ok(secret)
}

fn hash_token(token: Zeroizing<String>) -> Result<SessionTokenHash, EventError> {
    if token.is_empty() || token.len() > MAX_TOKEN_BYTES {
        return Err(EventError::new("data.session_token", "must have 1 to 8192 bytes"));
    }
    Ok(SessionTokenHash::of(token.as_bytes()))
}

fn parse_hash(hex: &str) -> Result<SessionTokenHash, EventError> {
    sigv4::hex::decode(hex.as_bytes())
        .map(SessionTokenHash::from_bytes)
        .ok_or_else(|| EventError::new("data.session_token_sha256", "must be 64 hexadecimal digits"))
}

fn wipe(value: Value) {
    if let Value::String(text) = value {
        drop(Zeroizing::new(text));
    }
}
