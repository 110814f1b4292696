use serde_json::{Value, json};

use super::*;
use crate::clock::UnixMillis;
use crate::events::{Event, EventData, EventError, RevocationScope};
use crate::iam::{AccessKeyId, KeyStatus, SessionKind, SessionTokenHash};

fn now() -> UnixMillis {
    UnixMillis::parse_rfc3339("2026-01-02T03:04:05.678Z").unwrap()
}

fn envelope(kind: &str, data: Value) -> Value {
    json!({ "specversion": "1.0", "id": "1", "source": "/sts/test", "type": kind, "data": data })
}

fn principal() -> Value {
    json!({ "arn": "arn:aws:iam::123456789012:user/alice", "user_id": "AIDAALICE", "account": "123456789012" })
}

fn issued_event() -> Value {
    let data = json!({
        "access_key_id": "ASIA1", "secret_access_key": "canary-secret", "session_token": "canary-token",
        "kind": "assumed_role", "issued_at": "2026-01-02T03:00:00Z", "expires_at": "2026-01-02T04:00:00Z",
        "principal": principal(), "session_name": "build", "role_arn": "arn:aws:iam::123456789012:role/reader",
        "parent_access_key_id": "AKIA1", "tags": { "team": "red" }, "mfa": true,
    });
    envelope("io.sigward.credential.issued.v1", data)
}

fn created_event() -> Value {
    let data =
        json!({ "access_key_id": "AKIA1", "secret_access_key": "canary-secret", "principal": principal() });
    envelope("io.sigward.access_key.created.v1", data)
}

fn revoked_event(data: Value) -> Value {
    envelope("io.sigward.session.revoked.v1", data)
}

fn read(event: &Value) -> Result<Event, EventError> {
    parse(event.to_string().as_bytes(), now())
}

/// `event` with the value at a JSON pointer replaced; `null` stands for removed.
fn with(mut event: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = event.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match value {
        Value::Null => parent.remove(key),
        value => parent.insert(key.to_owned(), value),
    };
    event
}

#[test]
fn reads_every_field_of_an_issued_credential() {
    let event = read(&issued_event()).unwrap();
    assert!(event.carries_secret());
    assert_eq!((event.source.as_str(), event.id.as_str(), event.time), ("/sts/test", "1", now()));
    let EventData::CredentialIssued(credential) = event.data else { panic!("{event:?}") };
    assert_eq!(credential.access_key_id.as_str(), "ASIA1");
    assert_eq!(credential.secret.expose_secret(), b"canary-secret");
    assert_eq!(credential.principal.user_id, "AIDAALICE");
    assert_eq!(credential.issued_at.to_rfc3339(), "2026-01-02T03:00:00.000Z");
    let session = credential.session.unwrap();
    assert_eq!(session.kind, SessionKind::AssumedRole);
    assert_eq!(session.token, SessionTokenHash::of(b"canary-token"));
    assert_eq!(session.expires_at.to_rfc3339(), "2026-01-02T04:00:00.000Z");
    assert_eq!(session.name.as_deref(), Some("build"));
    assert_eq!(session.role_arn.as_deref(), Some("arn:aws:iam::123456789012:role/reader"));
    assert_eq!(session.parent_access_key_id.as_ref().map(AccessKeyId::as_str), Some("AKIA1"));
    assert_eq!(session.tags["team"], "red");
    assert_eq!(session.mfa_authenticated_at, Some(credential.issued_at));
}

/// With what only sessions from identity providers and chains of roles have.
fn chained_event() -> Value {
    let mut event = issued_event();
    let more = json!({
        "source_identity": "alice", "transitive_tag_keys": ["team"],
        "session_policies": [r#"{"Statement":[]}"#], "policy_arns": ["arn:aws:iam::aws:policy/ReadOnlyAccess"],
        "mfa_authenticated_at": "2026-01-02T02:59:00.000Z",
        "federation": {
            "provider": "arn:aws:iam::123456789012:saml-provider/idp", "issuer": "https://idp", "subject": "s",
            "audience": "a", "name_qualifier": "q", "subject_type": "persistent",
        },
        "lineage": [
            {
                "access_key_id": "ASIA0", "principal": principal(), "issued_at": "2026-01-02T02:59:59.000Z",
                "role_arn": "arn:aws:iam::123456789012:role/first", "session_name": "one",
                "provider": "arn:aws:iam::123456789012:saml-provider/idp",
            },
            { "access_key_id": "AKIA0", "principal": principal(), "issued_at": "2026-01-02T02:59:58.000Z" },
        ],
    });
    let data = event["data"].as_object_mut().unwrap();
    data.extend(more.as_object().unwrap().clone());
    event
}

#[test]
fn a_second_factor_without_a_time_was_presented_at_the_issue() {
    let at = |event: &Value| match read(event).map(|event| event.data) {
        Ok(EventData::CredentialIssued(credential)) => {
            Ok(credential.session.unwrap().mfa_authenticated_at.map(UnixMillis::to_rfc3339))
        }
        Ok(data) => panic!("{data:?}"),
        Err(error) => Err(error.to_string()),
    };
    let earlier = Some("2026-01-02T02:59:00.000Z".to_owned());
    assert_eq!(at(&issued_event()), Ok(Some("2026-01-02T03:00:00.000Z".to_owned())));
    assert_eq!(at(&chained_event()), Ok(earlier.clone()));
    assert_eq!(at(&with(chained_event(), "/data/mfa", Value::Null)), Ok(earlier));
    assert_eq!(at(&with(issued_event(), "/data/mfa", json!(false))), Ok(None));
    assert_eq!(
        at(&with(chained_event(), "/data/mfa", json!(false))).unwrap_err(),
        "data.mfa: contradicts data.mfa_authenticated_at"
    );
}

#[test]
fn refuses_bad_chains_and_federations() {
    let chained = |pointer: &str, value| with(chained_event(), pointer, value);
    let long = vec![chained_event()["data"]["lineage"][0].clone(); 17];
    refuses([
        (
            chained("/data/transitive_tag_keys", json!(["other"])),
            "data.transitive_tag_keys: must be an array of keys of data.tags",
        ),
        (
            chained("/data/session_policies", json!(["[]"])),
            "data.session_policies: must be an array of at most 10 policies, each a JSON object in a string of at \
             most 8192 bytes",
        ),
        (chained("/data/policy_arns", json!(["x"])), "data.policy_arns: must be an array of at most 10 ARNs"),
        (
            chained("/data/mfa_authenticated_at", json!("2026-01-02T03:00:01Z")),
            "data.mfa_authenticated_at: must not be after data.issued_at",
        ),
        (
            chained("/data/federation", json!("idp")),
            "data.federation: must be an object with provider, issuer, subject and audience",
        ),
        (chained("/data/federation/issuer", Value::Null), "data.federation.issuer: is missing"),
        (
            chained("/data/federation/subject_type", Value::Null),
            "data.federation.subject_type: is missing beside name_qualifier",
        ),
        (
            chained("/data/lineage", json!(long)),
            "data.lineage: must be an array of at most 16 objects, nearest ancestor first",
        ),
        (
            chained("/data/lineage/1/principal/account", json!("1")),
            "data.lineage[1].principal.account: must be twelve digits",
        ),
        (
            chained("/data/lineage/0/issued_at", json!("2026-01-02T04:00:00Z")),
            "data.lineage[0].issued_at: is more than 5 minutes in the future",
        ),
    ]);
}

#[test]
fn a_session_of_a_role_names_it_or_is_refused() {
    let role_of = |event: &Value| match read(event).map(|event| event.data) {
        Ok(EventData::CredentialIssued(credential)) => Ok(credential.session.unwrap().role_arn),
        Ok(data) => panic!("{data:?}"),
        Err(error) => Err(error.to_string()),
    };
    let nameless = with(issued_event(), "/data/role_arn", Value::Null);
    assert_eq!(role_of(&nameless).unwrap_err(), "data.role_arn: is missing: the session is one of a role");
    let arn = json!("arn:aws:sts::123456789012:assumed-role/reader/build");
    let assumed = with(nameless.clone(), "/data/principal/arn", arn);
    assert_eq!(role_of(&assumed).unwrap().as_deref(), Some("arn:aws:iam::123456789012:role/reader"));
    let plain = with(nameless, "/data/kind", json!("session_token"));
    assert_eq!(role_of(&plain).unwrap(), None);
}

#[test]
fn a_token_may_come_as_its_hash() {
    let hex = "9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08";
    let event = with(issued_event(), "/data/session_token", Value::Null);
    let EventData::CredentialIssued(credential) =
        read(&with(event, "/data/session_token_sha256", json!(hex))).unwrap().data
    else {
        panic!("not issued")
    };
    assert!(credential.session.unwrap().token.matches(b"test"));
}

#[test]
fn long_and_short_type_names_mean_the_same() {
    let id = json!({ "access_key_id": "AKIA1" });
    for kind in ["io.sigward.access_key.deleted.v1", "access_key.deleted"] {
        let event = read(&envelope(kind, id.clone())).unwrap();
        assert!(matches!(event.data, EventData::AccessKeyDeleted { .. }), "{kind}");
        assert!(!event.carries_secret());
    }
    assert!(matches!(
        read(&envelope("access_key.status", json!({ "access_key_id": "AKIA1", "status": "Inactive" }))),
        Ok(Event { data: EventData::AccessKeyStatus { status: KeyStatus::Inactive, .. }, .. })
    ));
}

#[test]
fn times_default_to_the_events_and_that_to_now() {
    let issued_at = |event: &Value| match read(event).unwrap().data {
        EventData::AccessKeyCreated(credential) => credential.issued_at,
        other => panic!("{other:?}"),
    };
    assert_eq!(issued_at(&created_event()), now());
    let dated = with(created_event(), "/time", json!("2026-01-01T00:00:00Z"));
    assert_eq!(issued_at(&dated).to_rfc3339(), "2026-01-01T00:00:00.000Z");
    let told = with(dated, "/data/issued_at", json!("2025-01-01T00:00:00Z"));
    assert_eq!(issued_at(&told).to_rfc3339(), "2025-01-01T00:00:00.000Z");
}

#[test]
fn a_revocation_names_one_scope_and_defaults_to_now() {
    let table = [
        (
            json!({ "access_key_id": "ASIA1" }),
            RevocationScope::AccessKey(AccessKeyId::parse("ASIA1").unwrap()),
        ),
        (json!({ "issued_to": "AKIA1" }), RevocationScope::IssuedTo(AccessKeyId::parse("AKIA1").unwrap())),
        (json!({ "principal": "AIDAALICE" }), RevocationScope::Principal("AIDAALICE".into())),
        (
            json!({ "role": "arn:aws:iam::123456789012:role/r" }),
            RevocationScope::Role("arn:aws:iam::123456789012:role/r".into()),
        ),
        (json!({ "account": "123456789012" }), RevocationScope::Account("123456789012".into())),
        (
            json!({ "role": "arn:aws:iam::123456789012:role/r", "session_name": "job" }),
            RevocationScope::SessionName {
                role: "arn:aws:iam::123456789012:role/r".into(),
                name: "job".into(),
            },
        ),
        (
            json!({ "identity_provider": "arn:aws:iam::123456789012:saml-provider/idp" }),
            RevocationScope::IdentityProvider("arn:aws:iam::123456789012:saml-provider/idp".into()),
        ),
        (json!({ "source_identity": "alice" }), RevocationScope::SourceIdentity("alice".into())),
    ];
    for (data, expected) in table {
        let event = read(&revoked_event(data)).unwrap();
        let EventData::SessionRevoked { scope, cascade: false, issued_before, reason: None } = event.data
        else {
            panic!("{event:?}")
        };
        assert_eq!((scope, issued_before), (expected, now().plus(1)));
    }
    let event = read(&revoked_event(json!({ "account": "123456789012", "cascade": true }))).unwrap();
    assert!(matches!(event.data, EventData::SessionRevoked { cascade: true, .. }), "{event:?}");
}

#[test]
fn unknown_attributes_and_fields_are_ignored() {
    let event = with(issued_event(), "/traceparent", json!("00-0af7651916cd43dd8448eb211c80319c-1-01"));
    assert!(read(&with(event, "/data/minreader", json!(1))).is_ok());
}

/// Each event is refused with exactly these words.
fn refuses<const N: usize>(table: [(Value, &str); N]) {
    for (event, expected) in table {
        let error = read(&event).map(|event| format!("{event:?}")).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

/// The good event with one value replaced.
fn issued(pointer: &str, value: Value) -> Value {
    with(issued_event(), pointer, value)
}

#[test]
fn refuses_bad_attributes() {
    refuses([
        (issued("/specversion", json!("0.3")), "specversion: must be 1.0"),
        (issued("/specversion", Value::Null), "specversion: is missing"),
        (issued("/id", Value::Null), "id: is missing"),
        (issued("/id", json!("")), "id: must have 1 to 256 bytes and no control characters"),
        (issued("/id", json!(7)), "id: must be a string"),
        (issued("/source", json!("/config")), "source: is reserved for the configuration"),
        (issued("/source", json!("/key-sources/a")), "source: is reserved for the configuration"),
        (
            issued("/source", json!("x".repeat(257))),
            "source: must have 1 to 256 bytes and no control characters",
        ),
        (
            issued("/time", json!("yesterday")),
            "time: must be RFC 3339 in UTC, for example 2026-01-02T03:04:05Z",
        ),
        (issued("/time", json!("2026-01-02T03:10:00Z")), "time: is more than 5 minutes in the future"),
        (issued("/datacontenttype", json!("text/xml")), "datacontenttype: must be application/json"),
        (issued("/data", Value::Null), "data: is missing"),
        (issued("/data", json!([])), "data: must be an object"),
        (
            envelope("role.put", json!({})),
            "type: must be one of io.sigward.credential.issued.v1, io.sigward.access_key.created.v1, \
             io.sigward.access_key.status.v1, io.sigward.access_key.deleted.v1, io.sigward.session.revoked.v1",
        ),
        (json!([issued_event()]), "$: must be one JSON object"),
    ]);
    assert_eq!(parse(b"{\n?", now()).unwrap_err().to_string(), "$: is not JSON (line 2 column 1)");
    let base64 = json!({ "specversion": "1.0", "data_base64": "e30=" });
    assert_eq!(read(&base64).unwrap_err().path, "data_base64");
}

#[test]
fn refuses_bad_identities_and_secrets() {
    refuses([
        (issued("/data/access_key_id", Value::Null), "data.access_key_id: is missing"),
        (
            issued("/data/access_key_id", json!("A B")),
            "data.access_key_id: must have 1 to 128 printable ASCII characters, no space, no comma",
        ),
        (issued("/data/secret_access_key", Value::Null), "data.secret_access_key: is missing"),
        (
            issued("/data/secret_access_key", json!("short")),
            "data.secret_access_key: must have 8 to 256 bytes",
        ),
        (issued("/data/secret_access_key", json!(1)), "data.secret_access_key: must be a string"),
        (
            issued("/data/session_token", Value::Null),
            "data.session_token: is missing (or data.session_token_sha256 instead)",
        ),
        (issued("/data/session_token", json!("")), "data.session_token: must have 1 to 8192 bytes"),
        (
            issued("/data/session_token_sha256", json!("00")),
            "data.session_token: excludes data.session_token_sha256",
        ),
        (issued("/data/principal", Value::Null), "data.principal: is missing"),
        (
            issued("/data/principal", json!("alice")),
            "data.principal: must be an object with arn, user_id and account",
        ),
        (issued("/data/principal/account", json!("1234")), "data.principal.account: must be twelve digits"),
        (
            issued("/data/principal/account", json!("210987654321")),
            "data.principal.arn: names another account than data.principal.account",
        ),
        (
            issued("/data/principal/arn", json!("alice")),
            "data.principal.arn: must be an ARN: arn:partition:service:region:account:resource",
        ),
        (issued("/data/principal/user_id", json!("")), "data.principal.user_id: must have 1 to 2048 bytes"),
    ]);
}

#[test]
fn refuses_bad_sessions() {
    let tags: Value = (0..51).map(|n| (n.to_string(), json!("x"))).collect::<serde_json::Map<_, _>>().into();
    refuses([
        (
            issued("/data/kind", json!("root")),
            "data.kind: must be session_token, assumed_role, web_identity, saml or federation",
        ),
        (issued("/data/expires_at", Value::Null), "data.expires_at: is missing"),
        (issued("/data/expires_at", json!("2026-01-02T03:04:05.678Z")), "data.expires_at: is in the past"),
        (
            issued("/data/expires_at", json!("2026-01-03T15:00:00.001Z")),
            "data.expires_at: must be at most 36 hours after data.issued_at",
        ),
        (
            issued("/data/issued_at", json!(0)),
            "data.issued_at: must be RFC 3339 in UTC, for example 2026-01-02T03:04:05Z",
        ),
        (
            issued("/data/issued_at", json!("2026-01-02T03:10:00Z")),
            "data.issued_at: is more than 5 minutes in the future",
        ),
        (
            issued("/data/session_name", json!("a/b")),
            "data.session_name: must have 2 to 64 characters of A-Z a-z 0-9 _ + = , . @ -",
        ),
        (
            issued("/data/role_arn", json!("arn:aws:iam::1:")),
            "data.role_arn: must be an ARN: arn:partition:service:region:account:resource",
        ),
        (issued("/data/tags", tags), "data.tags: must be an object of at most 50 tags"),
        (issued("/data/tags", json!({ "k": 1 })), "data.tags.k: must be a string"),
        (
            issued("/data/tags", json!({ "": "v" })),
            "data.tags: a key has 1 to 128 characters, a value at most 256",
        ),
        (issued("/data/mfa", json!("yes")), "data.mfa: must be true or false"),
    ]);
}

#[test]
fn refuses_bad_keys_and_revocations() {
    refuses([
        (
            with(created_event(), "/data/expires_at", json!("2026-01-02T04:00:00Z")),
            "data.expires_at: belongs to credential.issued: a long-term key does not expire",
        ),
        (
            with(created_event(), "/data/session_token", json!("t")),
            "data.session_token: belongs to credential.issued: a long-term key has none",
        ),
        (with(created_event(), "/data/status", json!("active")), "data.status: must be Active or Inactive"),
        (
            envelope(
                "access_key.deleted",
                json!({ "access_key_id": "A", "secret_access_key": "canary-secret" }),
            ),
            "data: must not carry a secret in an event of this type",
        ),
        (
            revoked_event(json!({ "account": "123456789012", "session_name": "job" })),
            "data.session_name: belongs beside data.role",
        ),
        (
            revoked_event(json!({ "account": "123456789012", "cascade": 1 })),
            "data.cascade: must be true or false",
        ),
        (
            revoked_event(json!({})),
            "data: must have exactly one of access_key_id, issued_to, principal, role, account, identity_provider, source_identity",
        ),
        (
            revoked_event(json!({ "role": "arn:aws:iam::1:role/r", "account": "123456789012" })),
            "data: must have exactly one of access_key_id, issued_to, principal, role, account, identity_provider, source_identity",
        ),
        (revoked_event(json!({ "account": "1" })), "data.account: must be twelve digits"),
        (
            revoked_event(json!({ "account": "123456789012", "issued_before": "2026-01-02T03:10:00Z" })),
            "data.issued_before: is more than 5 minutes in the future",
        ),
        (
            revoked_event(json!({ "account": "123456789012", "reason": "x".repeat(2049) })),
            "data.reason: must not be longer than 2048 bytes",
        ),
    ]);
}

#[test]
fn expiry_must_follow_issue() {
    let event = with(issued_event(), "/data/issued_at", json!("2026-01-02T03:06:00Z"));
    let event = with(event, "/data/expires_at", json!("2026-01-02T03:05:00Z"));
    assert_eq!(read(&event).unwrap_err().to_string(), "data.expires_at: must be after data.issued_at");
}

#[test]
fn lists_say_everything_but_the_secrets() {
    let listed = to_json(&read(&chained_event()).unwrap());
    let mut expected = chained_event();
    expected["time"] = json!(now().to_rfc3339());
    expected["datacontenttype"] = json!("application/json");
    let data = expected["data"].as_object_mut().unwrap();
    data.remove("secret_access_key");
    data.remove("session_token");
    data["issued_at"] = json!("2026-01-02T03:00:00.000Z");
    data["expires_at"] = json!("2026-01-02T04:00:00.000Z");
    assert_eq!(listed, expected);
    for scope in [
        json!({ "role": "arn:aws:iam::1:role/r" }),
        json!({ "role": "arn:aws:iam::1:role/r", "session_name": "job", "cascade": true }),
        json!({ "identity_provider": "arn:aws:iam::1:saml-provider/idp" }),
        json!({ "source_identity": "alice" }),
    ] {
        let mut revoked = json!({ "issued_before": "2026-01-02T03:00:00.000Z", "reason": "lost" });
        revoked.as_object_mut().unwrap().extend(scope.as_object().unwrap().clone());
        assert_eq!(to_json(&read(&revoked_event(revoked.clone())).unwrap())["data"], revoked);
    }
    for event in [issued_event(), created_event()] {
        let event = read(&event).unwrap();
        assert!(!to_json(&event).to_string().contains("canary"));
        assert!(!format!("{event:?}").contains("canary"));
    }
}
