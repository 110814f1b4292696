//! `credential.issued`: JSON to a session.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::fields::{Fields, is_arn};
use super::read::Secrets;
use crate::clock::UnixMillis;
use crate::events::{EventData, EventError, MAX_AHEAD_MILLIS};
use crate::iam::{Ancestor, Credential, Federation, KeyStatus, Principal, SamlSubject, Session, SessionKind};

const MAX_TAGS: usize = 50;
const MAX_POLICIES: usize = 10;
const MAX_POLICY_BYTES: usize = 8_192;
const POLICIES: &str =
    "must be an array of at most 10 policies, each a JSON object in a string of at most 8192 bytes";

pub(super) fn issued(
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
    let principal = data.principal()?;
    let issued_at = data.time("issued_at")?.unwrap_or(time);
    let tags = tags(&mut data)?;
    let session = Session {
        name: session_name(&mut data, "session_name")?,
        role_arn: role(&mut data, kind, &principal)?,
        parent_access_key_id: data.optional_access_key_id("parent_access_key_id")?,
        source_identity: session_name(&mut data, "source_identity")?,
        transitive_tag_keys: transitive_tag_keys(&mut data, &tags)?,
        session_policies: data.array("session_policies", MAX_POLICIES, policy, POLICIES)?,
        policy_arns: data.array("policy_arns", MAX_POLICIES, arn, "must be an array of at most 10 ARNs")?,
        mfa_authenticated_at: mfa(&mut data, issued_at)?,
        federation: federation(&mut data)?,
        lineage: lineage(&mut data, now)?,
        tags,
        ..Session::new(kind, token, expires_at)
    };
    Ok(EventData::CredentialIssued(Credential {
        access_key_id: data.access_key_id()?,
        secret,
        principal,
        issued_at,
        status: KeyStatus::Active,
        not_after: None,
        declared: false,
        session: Some(session),
    }))
}

/// The role of a session: given, or that of an `assumed-role` principal. A role's session that names none would be
/// out of reach for a revocation of the role, and so is refused.
fn role(data: &mut Fields, kind: SessionKind, principal: &Principal) -> Result<Option<String>, EventError> {
    if let Some(arn) = data.optional_arn("role_arn")? {
        return Ok(Some(arn));
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

/// The characters and length that session names and source identities share.
fn session_name(data: &mut Fields, key: &str) -> Result<Option<String>, EventError> {
    let Some(name) = data.optional_text(key)? else { return Ok(None) };
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b);
    if !(2..=64).contains(&name.len()) || !name.bytes().all(legal) {
        return Err(data.fault(key, "must have 2 to 64 characters of A-Z a-z 0-9 _ + = , . @ -"));
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

fn transitive_tag_keys(
    data: &mut Fields,
    tags: &BTreeMap<String, String>,
) -> Result<BTreeSet<String>, EventError> {
    let problem = "must be an array of keys of data.tags";
    let known = |key| text(key).filter(|key| tags.contains_key(key));
    Ok(data.array("transitive_tag_keys", MAX_TAGS, known, problem)?.into_iter().collect())
}

fn policy(value: Value) -> Option<String> {
    text(value).filter(|text| {
        text.len() <= MAX_POLICY_BYTES && serde_json::from_str::<Map<String, Value>>(text).is_ok()
    })
}

fn arn(value: Value) -> Option<String> {
    text(value).filter(|text| is_arn(text))
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// `mfa: true` alone means that the factor was presented when the session was issued.
fn mfa(data: &mut Fields, issued_at: UnixMillis) -> Result<Option<UnixMillis>, EventError> {
    let at = data.time("mfa_authenticated_at")?;
    let mfa = match data.map.remove("mfa") {
        None | Some(Value::Null) => None,
        Some(Value::Bool(mfa)) => Some(mfa),
        Some(_) => return Err(data.fault("mfa", "must be true or false")),
    };
    match (at, mfa) {
        (Some(_), Some(false)) => Err(data.fault("mfa", "contradicts data.mfa_authenticated_at")),
        (Some(at), _) if at > issued_at => {
            Err(data.fault("mfa_authenticated_at", "must not be after data.issued_at"))
        }
        (Some(at), _) => Ok(Some(at)),
        (None, Some(true)) => Ok(Some(issued_at)),
        (None, Some(false) | None) => Ok(None),
    }
}

fn federation(data: &mut Fields) -> Result<Option<Federation>, EventError> {
    let with = "with provider, issuer, subject and audience";
    let Some(mut fields) = data.optional_object("federation", with)? else { return Ok(None) };
    let saml = match (fields.optional_text("name_qualifier")?, fields.optional_text("subject_type")?) {
        (None, None) => None,
        (Some(name_qualifier), Some(subject_type)) => Some(SamlSubject { name_qualifier, subject_type }),
        (Some(_), None) => return Err(fields.fault("subject_type", "is missing beside name_qualifier")),
        (None, Some(_)) => return Err(fields.fault("name_qualifier", "is missing beside subject_type")),
    };
    Ok(Some(Federation {
        provider: fields.arn("provider")?,
        issuer: fields.text("issuer")?,
        subject: fields.text("subject")?,
        audience: fields.text("audience")?,
        saml,
    }))
}

fn lineage(data: &mut Fields, now: UnixMillis) -> Result<Vec<Ancestor>, EventError> {
    let object = |value| match value {
        Value::Object(map) => Some(map),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => None,
    };
    let problem = "must be an array of at most 16 objects, nearest ancestor first";
    let maps = data.array("lineage", Session::MAX_LINEAGE, object, problem)?;
    let numbered = maps.into_iter().enumerate();
    numbered.map(|(n, map)| ancestor(Fields::new(map, format!("data.lineage[{n}].")), now)).collect()
}

fn ancestor(mut fields: Fields, now: UnixMillis) -> Result<Ancestor, EventError> {
    let issued_at = fields.time("issued_at")?.ok_or_else(|| fields.fault("issued_at", "is missing"))?;
    if issued_at > now.plus(MAX_AHEAD_MILLIS) {
        return Err(fields.fault("issued_at", "is more than 5 minutes in the future"));
    }
    Ok(Ancestor {
        access_key_id: fields.access_key_id()?,
        principal: fields.principal()?,
        role_arn: fields.optional_arn("role_arn")?,
        session_name: session_name(&mut fields, "session_name")?,
        provider: fields.optional_arn("provider")?,
        issued_at,
    })
}
