//! JSON to event. Every refusal names the path of what is wrong.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sigv4::SecretAccessKey;
use zeroize::Zeroizing;

use super::{CREATED, DELETED, ISSUED, PREFIX, REVOKED, STATUS, SUFFIX};
use crate::clock::UnixMillis;
use crate::events::{Event, EventData, EventError, RevocationScope};
use crate::iam::{AccessKeyId, Credential, KeyStatus, Principal, Session, SessionKind, SessionTokenHash};

const MAX_ATTRIBUTE_BYTES: usize = 256;
const MAX_TOKEN_BYTES: usize = 8_192;
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 8..=256;
const MAX_TAGS: usize = 50;

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
    let mut envelope = Fields { map: root, prefix: "" };
    let mut data = match envelope.map.remove("data") {
        Some(Value::Object(map)) => Fields { map, prefix: "data." },
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
    if source == Event::CONFIG_SOURCE {
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

fn issued(
    mut data: Fields,
    secrets: Secrets,
    time: UnixMillis,
    now: UnixMillis,
) -> Result<EventData, EventError> {
    let (secret, token) = secrets.both()?;
    let expires_at = data.time("expires_at")?.ok_or_else(|| data.fault("expires_at", "is missing"))?;
    if expires_at <= now {
        return Err(data.fault("expires_at", "is in the past"));
    }
    let kind =
        data.parsed("kind", "must be session_token, assumed_role, web_identity, saml or federation")?;
    let principal = principal(&mut data)?;
    let session = Session {
        kind,
        token,
        expires_at,
        name: session_name(&mut data)?,
        role_arn: role(&mut data, kind, &principal)?,
        parent_access_key_id: data.optional_access_key_id("parent_access_key_id")?,
        tags: tags(&mut data)?,
        mfa: match data.map.remove("mfa") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(mfa)) => mfa,
            Some(_) => return Err(data.fault("mfa", "must be true or false")),
        },
    };
    Ok(EventData::CredentialIssued(Credential {
        access_key_id: data.access_key_id()?,
        secret,
        principal,
        issued_at: data.time("issued_at")?.unwrap_or(time),
        status: KeyStatus::Active,
        session: Some(session),
    }))
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
        principal: principal(&mut data)?,
        issued_at: data.time("issued_at")?.unwrap_or(time),
        status,
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
    let given = ["access_key_id", "principal", "role", "account"]
        .into_iter()
        .filter(|key| data.map.contains_key(*key))
        .collect::<Vec<_>>();
    let &[kind] = given.as_slice() else {
        return Err(EventError::new(
            "data",
            "must have exactly one of access_key_id, principal, role, account",
        ));
    };
    let scope = match kind {
        "access_key_id" => RevocationScope::AccessKey(data.access_key_id()?),
        "principal" => RevocationScope::Principal(data.text(kind)?),
        "role" => {
            let text = data.text(kind)?;
            RevocationScope::Role(arn(&data, kind, text)?)
        }
        _ => RevocationScope::Account(account(&mut data)?),
    };
    Ok(EventData::SessionRevoked {
        scope,
        issued_before: data.time("issued_before")?.unwrap_or(now.plus(1)),
        reason: data.optional_text("reason")?,
    })
}

fn read_status(data: &mut Fields) -> Result<KeyStatus, EventError> {
    data.parsed("status", "must be Active or Inactive")
}

fn principal(data: &mut Fields) -> Result<Principal, EventError> {
    let map = match data.map.remove("principal") {
        Some(Value::Object(map)) => map,
        Some(_) => return Err(data.fault("principal", "must be an object with arn, user_id and account")),
        None => return Err(data.fault("principal", "is missing")),
    };
    let mut fields = Fields { map, prefix: "data.principal." };
    let account = account(&mut fields)?;
    let text = fields.text("arn")?;
    let arn = arn(&fields, "arn", text)?;
    let named = arn.split(':').nth(4).unwrap_or_default();
    if !named.is_empty() && named != account {
        return Err(fields.fault("arn", "names another account than data.principal.account"));
    }
    Ok(Principal { arn, user_id: fields.text("user_id")?, account })
}

/// The role of a session: given, or that of an `assumed-role` principal. A role's session that names none would be
/// out of reach for a revocation of the role, and so is refused.
fn role(data: &mut Fields, kind: SessionKind, principal: &Principal) -> Result<Option<String>, EventError> {
    if let Some(text) = data.optional_text("role_arn")? {
        return arn(data, "role_arn", text).map(Some);
    }
    match kind {
        SessionKind::SessionToken | SessionKind::Federation => Ok(None),
        SessionKind::AssumedRole | SessionKind::WebIdentity | SessionKind::Saml => {
            let role = assumed_role(&principal.arn);
            role.map(Some).ok_or_else(|| data.fault("role_arn", "is missing: the session is one of a role"))
        }
    }
}

/// `arn:aws:sts::account:assumed-role/name/session` is a session of `arn:aws:iam::account:role/name`.
fn assumed_role(session_arn: &str) -> Option<String> {
    let (partition, rest) = session_arn.strip_prefix("arn:")?.split_once(":sts::")?;
    let (account, resource) = rest.split_once(':')?;
    let (name, _) = resource.strip_prefix("assumed-role/")?.split_once('/')?;
    Some(format!("arn:{partition}:iam::{account}:role/{name}"))
}

fn account(fields: &mut Fields) -> Result<String, EventError> {
    let account = fields.text("account")?;
    if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) {
        return Err(fields.fault("account", "must be twelve digits"));
    }
    Ok(account)
}

/// `arn:partition:service:region:account:resource`, up to 2,048 bytes.
fn arn(fields: &Fields, key: &str, text: String) -> Result<String, EventError> {
    let resource = text.strip_prefix("arn:").and_then(|rest| rest.splitn(5, ':').nth(4));
    let printable = text.len() <= 2_048 && !text.chars().any(|c| c.is_whitespace() || c.is_control());
    if !printable || resource.is_none_or(str::is_empty) {
        return Err(fields.fault(key, "must be an ARN: arn:partition:service:region:account:resource"));
    }
    Ok(text)
}

fn session_name(data: &mut Fields) -> Result<Option<String>, EventError> {
    let Some(name) = data.optional_text("session_name")? else { return Ok(None) };
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b);
    if !(2..=64).contains(&name.len()) || !name.bytes().all(legal) {
        return Err(data.fault("session_name", "must have 2 to 64 characters of A-Z a-z 0-9 _ + = , . @ -"));
    }
    Ok(Some(name))
}

fn tags(data: &mut Fields) -> Result<BTreeMap<String, String>, EventError> {
    let map = match data.map.remove("tags") {
        None | Some(Value::Null) => return Ok(BTreeMap::new()),
        Some(Value::Object(map)) if map.len() <= MAX_TAGS => map,
        Some(_) => return Err(data.fault("tags", "must be an object of at most 50 tags")),
    };
    let mut tags = BTreeMap::new();
    for (key, value) in map {
        let Value::String(value) = value else {
            return Err(data.fault(&format!("tags.{key}"), "must be a string"));
        };
        if !(1..=128).contains(&key.chars().count()) || value.chars().count() > 256 {
            return Err(data.fault("tags", "a key has 1 to 128 characters, a value at most 256"));
        }
        tags.insert(key, value);
    }
    Ok(tags)
}

/// What must be wiped: taken out of the parsed JSON before anything else is looked at.
struct Secrets {
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

    fn both(self) -> Result<(SecretAccessKey, SessionTokenHash), EventError> {
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

/// The members of one JSON object and where it stands.
struct Fields {
    map: Map<String, Value>,
    prefix: &'static str,
}

impl Fields {
    fn fault(&self, key: &str, problem: &str) -> EventError {
        EventError::new(format!("{}{key}", self.prefix), problem)
    }

    fn text(&mut self, key: &str) -> Result<String, EventError> {
        self.optional_text(key)?.ok_or_else(|| self.fault(key, "is missing"))
    }

    fn optional_text(&mut self, key: &str) -> Result<Option<String>, EventError> {
        match self.map.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.fault(key, "must be a string")),
        }
    }

    fn time(&self, key: &str) -> Result<Option<UnixMillis>, EventError> {
        match self.map.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => {
                UnixMillis::parse_rfc3339(text).map(Some).ok_or_else(|| self.time_fault(key))
            }
            Some(_) => Err(self.time_fault(key)),
        }
    }

    fn time_fault(&self, key: &str) -> EventError {
        self.fault(key, "must be RFC 3339 in UTC, for example 2026-01-02T03:04:05Z")
    }

    fn access_key_id(&mut self) -> Result<AccessKeyId, EventError> {
        let key = "access_key_id";
        self.optional_access_key_id(key)?.ok_or_else(|| self.fault(key, "is missing"))
    }

    fn optional_access_key_id(&mut self, key: &str) -> Result<Option<AccessKeyId>, EventError> {
        let Some(text) = self.optional_text(key)? else { return Ok(None) };
        let id = AccessKeyId::parse(&text);
        id.map(Some).ok_or_else(|| {
            self.fault(key, "must have 1 to 128 printable ASCII characters, no space, no comma")
        })
    }

    fn parsed<T: DeserializeOwned>(&mut self, key: &str, problem: &str) -> Result<T, EventError> {
        let value = self.map.remove(key).ok_or_else(|| self.fault(key, "is missing"))?;
        serde_json::from_value(value).map_err(|_| self.fault(key, problem))
    }
}
