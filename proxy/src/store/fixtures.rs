//! Credentials and events for the tests of this module.

use std::collections::BTreeMap;

use sigv4::SecretAccessKey;

use crate::clock::UnixMillis;
use crate::events::{Event, EventData, RevocationScope};
use crate::iam::{
    AccessKeyId, Ancestor, Credential, KeyStatus, Principal, Session, SessionKind, SessionTokenHash,
};

pub(super) const ACCOUNT: &str = "123456789012";
pub(super) const HOUR: i64 = 3_600_000;

pub(super) fn id(text: &str) -> AccessKeyId {
    AccessKeyId::parse(text).unwrap()
}

pub(super) fn alice() -> Principal {
    Principal {
        arn: format!("arn:aws:iam::{ACCOUNT}:user/alice"),
        user_id: "AIDAALICE".into(),
        account: ACCOUNT.into(),
    }
}

pub(super) fn long_term(access_key_id: &str) -> Credential {
    Credential {
        access_key_id: id(access_key_id),
        secret: SecretAccessKey::new(format!("secret of {access_key_id}")),
        principal: alice(),
        issued_at: UnixMillis(1_000),
        status: KeyStatus::Active,
        not_after: None,
        declared: false,
        session: None,
    }
}

/// A `GetSessionToken` session of alice's, issued to `AKIAPARENT`, good for an hour.
pub(super) fn session(access_key_id: &str, issued_at: i64) -> Credential {
    let token = SessionTokenHash::of(access_key_id.as_bytes());
    let session = Session {
        parent_access_key_id: Some(id("AKIAPARENT")),
        ..Session::new(SessionKind::SessionToken, token, UnixMillis(issued_at + HOUR))
    };
    Credential { issued_at: UnixMillis(issued_at), session: Some(session), ..long_term(access_key_id) }
}

/// A session of the role `reader`.
pub(super) fn role_session(access_key_id: &str, issued_at: i64) -> Credential {
    let mut credential = session(access_key_id, issued_at);
    credential.principal = Principal {
        arn: format!("arn:aws:sts::{ACCOUNT}:assumed-role/reader/{access_key_id}"),
        user_id: format!("AROAREADER:{access_key_id}"),
        account: ACCOUNT.into(),
    };
    if let Some(session) = &mut credential.session {
        session.kind = SessionKind::AssumedRole;
        session.name = Some(access_key_id.into());
        session.role_arn = Some(format!("arn:aws:iam::{ACCOUNT}:role/reader"));
        session.tags = BTreeMap::from([("team".into(), "red".into())]);
    }
    credential
}

/// A session of the role `name` that `parent` got by `AssumeRole`.
pub(super) fn chained(parent: &Credential, access_key_id: &str, name: &str, issued_at: i64) -> Credential {
    let mut credential = role_session(access_key_id, issued_at);
    credential.principal.arn = format!("arn:aws:sts::{ACCOUNT}:assumed-role/{name}/{access_key_id}");
    credential.principal.user_id = format!("AROA{name}:{access_key_id}");
    let session = credential.session.as_mut().unwrap();
    session.role_arn = Some(format!("arn:aws:iam::{ACCOUNT}:role/{name}"));
    session.parent_access_key_id = Some(parent.access_key_id.clone());
    session.lineage = Ancestor::lineage(parent, UnixMillis(issued_at)).unwrap();
    session.source_identity = parent.session.as_ref().and_then(|parent| parent.source_identity.clone());
    credential
}

pub(super) fn event(event_id: &str, data: EventData) -> Event {
    Event { source: "/test".into(), id: event_id.into(), time: UnixMillis(1_000), data }
}

pub(super) fn issued(credential: Credential) -> Event {
    event(&format!("issued {}", credential.access_key_id), EventData::CredentialIssued(credential))
}

pub(super) fn created(credential: Credential) -> Event {
    event(&format!("created {}", credential.access_key_id), EventData::AccessKeyCreated(credential))
}

pub(super) fn status(event_id: &str, access_key_id: &str, status: KeyStatus) -> Event {
    event(event_id, EventData::AccessKeyStatus { access_key_id: id(access_key_id), status })
}

pub(super) fn deleted(event_id: &str, access_key_id: &str) -> Event {
    event(event_id, EventData::AccessKeyDeleted { access_key_id: id(access_key_id) })
}

pub(super) fn revoked(scope: RevocationScope, before: i64) -> Event {
    let data = EventData::SessionRevoked {
        scope: scope.clone(),
        cascade: false,
        issued_before: UnixMillis(before),
        reason: None,
    };
    event(&format!("revoked {scope:?} {before}"), data)
}

/// The same, of the sessions chained from those too.
pub(super) fn cascading(scope: RevocationScope, before: i64) -> Event {
    let data = EventData::SessionRevoked {
        scope: scope.clone(),
        cascade: true,
        issued_before: UnixMillis(before),
        reason: None,
    };
    event(&format!("cascading {scope:?} {before}"), data)
}
