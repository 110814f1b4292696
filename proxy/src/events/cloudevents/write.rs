//! Event to JSON, without anything secret: for lists.

use serde_json::{Map, Value, json};

use super::{CREATED, DELETED, ISSUED, PREFIX, REVOKED, STATUS, SUFFIX};
use crate::events::{Event, EventData, RevocationScope};
use crate::iam::{Ancestor, Credential, Federation, SamlSubject, Session};

/// The attribute `type` of such an event.
pub(crate) fn type_of(data: &EventData) -> String {
    let name = match data {
        EventData::CredentialIssued(_) => ISSUED,
        EventData::AccessKeyCreated(_) => CREATED,
        EventData::AccessKeyStatus { .. } => STATUS,
        EventData::AccessKeyDeleted { .. } => DELETED,
        EventData::SessionRevoked { .. } => REVOKED,
    };
    format!("{PREFIX}{name}{SUFFIX}")
}

/// Whether it is of the type with this name, with or without prefix and version.
pub(crate) fn is_type(data: &EventData, name: &str) -> bool {
    let whole = type_of(data);
    name == whole || whole.strip_prefix(PREFIX).and_then(|short| short.strip_suffix(SUFFIX)) == Some(name)
}

/// The event as CloudEvents JSON, without its secret access key and session token.
pub fn to_json(event: &Event) -> Value {
    json!({
        "specversion": "1.0",
        "type": type_of(&event.data),
        "source": event.source,
        "id": event.id,
        "time": event.time.to_rfc3339(),
        "datacontenttype": "application/json",
        "data": data_to_json(&event.data),
    })
}

/// The attribute `data` alone, without anything secret.
pub(crate) fn data_to_json(data: &EventData) -> Value {
    match data {
        EventData::CredentialIssued(credential) => issued(credential),
        EventData::AccessKeyCreated(credential) => created(credential),
        EventData::AccessKeyStatus { access_key_id, status } => {
            json!({ "access_key_id": access_key_id, "status": status })
        }
        EventData::AccessKeyDeleted { access_key_id } => json!({ "access_key_id": access_key_id }),
        EventData::SessionRevoked { scope, cascade, issued_before, reason } => {
            let mut data = describe_scope(scope);
            data["issued_before"] = json!(issued_before.to_rfc3339());
            if *cascade {
                data["cascade"] = json!(true);
            }
            if let Some(reason) = reason {
                data["reason"] = json!(reason);
            }
            data
        }
    }
}

fn describe_scope(scope: &RevocationScope) -> Value {
    match scope {
        RevocationScope::AccessKey(id) | RevocationScope::SessionId(id) => json!({ "access_key_id": id }),
        RevocationScope::IssuedTo(id) => json!({ "issued_to": id }),
        RevocationScope::Principal(name) => json!({ "principal": name }),
        RevocationScope::Role(arn) => json!({ "role": arn }),
        RevocationScope::Account(account) => json!({ "account": account }),
        RevocationScope::SessionName { role, name } => json!({ "role": role, "session_name": name }),
        RevocationScope::IdentityProvider(arn) => json!({ "identity_provider": arn }),
        RevocationScope::SourceIdentity(name) => json!({ "source_identity": name }),
    }
}

fn created(credential: &Credential) -> Value {
    json!({
        "access_key_id": credential.access_key_id,
        "principal": credential.principal,
        "issued_at": credential.issued_at.to_rfc3339(),
        "status": credential.status,
    })
}

fn issued(credential: &Credential) -> Value {
    let mut data = Map::new();
    data.insert("access_key_id".into(), json!(credential.access_key_id));
    data.insert("principal".into(), json!(credential.principal));
    data.insert("issued_at".into(), json!(credential.issued_at.to_rfc3339()));
    if let Some(session) = &credential.session {
        describe_session(session, &mut data);
    }
    Value::Object(data)
}

fn describe_session(session: &Session, data: &mut Map<String, Value>) {
    data.insert("kind".into(), json!(session.kind));
    data.insert("expires_at".into(), json!(session.expires_at.to_rfc3339()));
    let optional = [
        ("session_name", session.name.as_deref()),
        ("role_arn", session.role_arn.as_deref()),
        ("source_identity", session.source_identity.as_deref()),
        ("parent_access_key_id", session.parent_access_key_id.as_ref().map(|id| id.as_str())),
    ];
    for (key, value) in optional {
        if let Some(value) = value {
            data.insert(key.into(), json!(value));
        }
    }
    if !session.tags.is_empty() {
        data.insert("tags".into(), json!(session.tags));
    }
    if !session.transitive_tag_keys.is_empty() {
        data.insert("transitive_tag_keys".into(), json!(session.transitive_tag_keys));
    }
    for (key, texts) in
        [("session_policies", &session.session_policies), ("policy_arns", &session.policy_arns)]
    {
        if !texts.is_empty() {
            data.insert(key.into(), json!(texts));
        }
    }
    data.insert("mfa".into(), json!(session.mfa_authenticated_at.is_some()));
    if let Some(at) = session.mfa_authenticated_at {
        data.insert("mfa_authenticated_at".into(), json!(at.to_rfc3339()));
    }
    if let Some(federation) = &session.federation {
        data.insert("federation".into(), describe_federation(federation));
    }
    if !session.lineage.is_empty() {
        data.insert("lineage".into(), session.lineage.iter().map(describe_ancestor).collect());
    }
}

fn describe_federation(federation: &Federation) -> Value {
    let Federation { provider, issuer, subject, audience, saml } = federation;
    let mut data =
        json!({ "provider": provider, "issuer": issuer, "subject": subject, "audience": audience });
    if let Some(SamlSubject { name_qualifier, subject_type }) = saml {
        data["name_qualifier"] = json!(name_qualifier);
        data["subject_type"] = json!(subject_type);
    }
    data
}

fn describe_ancestor(ancestor: &Ancestor) -> Value {
    let mut data = json!({
        "access_key_id": ancestor.access_key_id,
        "principal": ancestor.principal,
        "issued_at": ancestor.issued_at.to_rfc3339(),
    });
    let optional = [
        ("role_arn", &ancestor.role_arn),
        ("session_name", &ancestor.session_name),
        ("provider", &ancestor.provider),
    ];
    for (key, value) in optional {
        if let Some(value) = value {
            data[key] = json!(value);
        }
    }
    data
}
