use serde_json::{Map, Value, json};
use sigv4::SecretAccessKey;

use super::*;
use crate::clock::UnixMillis;
use crate::events::{Event, EventData, RevocationScope};
use crate::iam::{
    AccessKeyId, Ancestor, Credential, Federation, KeyStatus, Principal, SamlSubject, Session, SessionKind,
    SessionTokenHash,
};

const NOW: UnixMillis = UnixMillis(1_767_323_045_678);

fn principal(arn: &str, user_id: &str) -> Principal {
    Principal { arn: arn.into(), user_id: user_id.into(), account: "123456789012".into() }
}

fn alice() -> Principal {
    principal("arn:aws:iam::123456789012:user/team/alice", "AIDAALICE")
}

fn credential(principal: Principal, session: Option<Session>) -> Credential {
    Credential {
        access_key_id: AccessKeyId::parse("ASIA1").unwrap(),
        secret: SecretAccessKey::new("canary"),
        principal,
        issued_at: NOW,
        status: KeyStatus::Active,
        not_after: None,
        declared: false,
        session,
    }
}

fn session(kind: SessionKind) -> Session {
    Session::new(kind, SessionTokenHash::of(b"canary"), NOW.plus(900_000))
}

fn federation(saml: Option<SamlSubject>) -> Federation {
    Federation {
        provider: "arn:aws:iam::123456789012:oidc-provider/idp".into(),
        issuer: "https://idp".into(),
        subject: "sub".into(),
        audience: "aud".into(),
        saml,
    }
}

fn identity(credential: &Credential) -> Value {
    serde_json::to_value(Identity::of(credential)).unwrap()
}

#[test]
fn users_and_roots_are_named_as_cloudtrail_does() {
    assert_eq!(
        identity(&credential(alice(), None)),
        json!({
            "type": "IAMUser", "principalId": "AIDAALICE", "arn": "arn:aws:iam::123456789012:user/team/alice",
            "accountId": "123456789012", "accessKeyId": "ASIA1", "userName": "alice",
        })
    );
    let root = identity(&credential(principal("arn:aws:iam::123456789012:root", "123456789012"), None));
    assert_eq!((&root["type"], &root["userName"]), (&json!("Root"), &Value::Null));
    let mut session = session(SessionKind::SessionToken);
    session.mfa_authenticated_at = Some(NOW);
    let user = identity(&credential(alice(), Some(session)));
    assert_eq!(user["type"], "IAMUser");
    let attributes = json!({ "creationDate": "2026-01-02T03:04:05Z", "mfaAuthenticated": "true" });
    assert_eq!(user["sessionContext"], json!({ "attributes": attributes }));
}

#[test]
fn a_session_of_a_role_names_the_role_and_who_vouched() {
    let mut session = session(SessionKind::WebIdentity);
    session.role_arn = Some("arn:aws:iam::123456789012:role/path/reader".into());
    session.source_identity = Some("carol".into());
    session.federation = Some(federation(None));
    let arn = "arn:aws:sts::123456789012:assumed-role/reader/job";
    let told = identity(&credential(principal(arn, "AROAREADER:job"), Some(session)));
    assert_eq!(told["type"], "AssumedRole");
    assert_eq!(
        told["sessionContext"],
        json!({
            "attributes": { "creationDate": "2026-01-02T03:04:05Z", "mfaAuthenticated": "false" },
            "sessionIssuer": {
                "type": "Role", "principalId": "AROAREADER", "arn": "arn:aws:iam::123456789012:role/path/reader",
                "accountId": "123456789012", "userName": "reader",
            },
            "sourceIdentity": "carol",
            "webIdFederationData": {
                "federatedProvider": "arn:aws:iam::123456789012:oidc-provider/idp",
                "attributes": { "aud": "aud", "sub": "sub" },
            },
        })
    );
}

#[test]
fn a_federated_user_names_the_user_behind_it() {
    let mut session = session(SessionKind::Federation);
    session.lineage = Ancestor::lineage(&credential(alice(), None), NOW).unwrap();
    let bob = principal("arn:aws:sts::123456789012:federated-user/bob", "123456789012:bob");
    let told = identity(&credential(bob, Some(session)));
    assert_eq!((&told["type"], &told["userName"]), (&json!("FederatedUser"), &Value::Null));
    assert_eq!(told["sessionContext"]["sessionIssuer"]["userName"], "alice");
}

#[test]
fn whoever_an_identity_provider_vouches_for_is_named_by_it() {
    let web = serde_json::to_value(Identity::federated(&federation(None))).unwrap();
    assert_eq!(web["principalId"], "arn:aws:iam::123456789012:oidc-provider/idp:aud:sub");
    assert_eq!((&web["type"], &web["userName"]), (&json!("WebIdentityUser"), &json!("sub")));
    let subject = SamlSubject { name_qualifier: "nq=".into(), subject_type: "persistent".into() };
    let saml = serde_json::to_value(Identity::federated(&federation(Some(subject)))).unwrap();
    assert_eq!((&saml["type"], &saml["principalId"]), (&json!("SAMLUser"), &json!("nq=:sub")));
}

#[test]
fn a_request_is_recorded_with_its_outcome() {
    let object = |value: Value| value.as_object().cloned().unwrap();
    let mut record = Record::of_request("R1", NOW);
    record
        .named("AssumeRole")
        .from("::ffff:192.0.2.7".parse().unwrap(), Some("aws-cli/2"))
        .in_region("us-east-1")
        .by(Identity::of(&credential(alice(), None)))
        .asking(object(json!({ "roleArn": "arn" })))
        .with("explicitTrustGrant", true)
        .answered(object(json!({ "credentials": { "accessKeyId": "ASIA2" } })));
    let mut told: Value = serde_json::from_str(&record.to_json()).unwrap();
    let event_id = told["eventID"].take();
    assert_eq!(event_id.as_str().map(str::len), Some(36));
    assert!(told["userIdentity"].take().is_object());
    assert_eq!(
        told,
        json!({
            "eventVersion": "1.11", "userIdentity": null, "eventTime": "2026-01-02T03:04:05Z",
            "eventSource": "sts.amazonaws.com", "eventName": "AssumeRole", "awsRegion": "us-east-1",
            "sourceIPAddress": "192.0.2.7", "userAgent": "aws-cli/2", "requestParameters": { "roleArn": "arn" },
            "responseElements": { "credentials": { "accessKeyId": "ASIA2" } },
            "additionalEventData": { "explicitTrustGrant": true }, "requestID": "R1", "eventID": null,
            "readOnly": true, "eventType": "AwsApiCall", "managementEvent": true,
            "recipientAccountId": "123456789012", "eventCategory": "Management",
        })
    );
    let mut refused = Record::of_request("R1", NOW);
    refused.asking(Map::new()).refused("SignatureDoesNotMatch", &format!("{}\ncanary", "x".repeat(2_000)));
    let told: Value = serde_json::from_str(&refused.to_json()).unwrap();
    assert_eq!(
        (&told["errorCode"], &told["userIdentity"]),
        (&json!("SignatureDoesNotMatch"), &json!({ "type": "Unknown" }))
    );
    assert_eq!(
        told["errorMessage"],
        "x".repeat(1_024),
        "long texts of clients are cut, further lines left out"
    );
    assert_eq!((&told["requestParameters"], &told["eventName"]), (&Value::Null, &json!("Unknown")));
}

#[test]
fn an_event_is_recorded_without_its_secrets() {
    let event = |data| Event { source: "/admin".into(), id: "1".into(), time: NOW, data };
    let told = |event: &Event| serde_json::from_str::<Value>(&Record::of_event(event).to_json()).unwrap();
    let scope = RevocationScope::Account("123456789012".into());
    let revoked = told(&event(EventData::SessionRevoked {
        scope,
        cascade: true,
        issued_before: NOW,
        reason: Some("leaked".into()),
    }));
    assert_eq!(
        (&revoked["eventName"], &revoked["eventSource"]),
        (&json!("RevokeSessions"), &json!("sigward"))
    );
    assert_eq!(revoked["userIdentity"], json!({ "type": "Service", "invokedBy": "/admin" }));
    assert_eq!(
        revoked["requestParameters"],
        json!({
            "account": "123456789012", "cascade": true, "issued_before": "2026-01-02T03:04:05.678Z", "reason": "leaked",
        })
    );
    for data in [
        EventData::CredentialIssued(credential(alice(), Some(session(SessionKind::SessionToken)))),
        EventData::AccessKeyCreated(credential(alice(), None)),
    ] {
        let record = told(&event(data));
        assert_eq!(record["requestParameters"]["access_key_id"], "ASIA1");
        assert!(!record.to_string().contains("canary"), "{record}");
    }
}

fn to_file(path: &std::path::Path, strict: bool) -> (Audit, IntCounter) {
    let options = AuditOptions { log: false, file: Some(path.to_owned()), strict };
    let audit = Audit::start(&options, &Metrics::new()).unwrap();
    let dropped = audit.0.file.as_ref().unwrap().dropped().clone();
    (audit, dropped)
}

fn record(id: &str) -> Record {
    Record::of_request(id, NOW)
}

/// The request ids in a file, in their order.
fn recorded(path: &std::path::Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|record| record["requestID"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_file_gets_one_line_a_record_and_follows_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let (audit, dropped) = to_file(&path, false);
    audit.record(record("R1")).await.unwrap();
    audit.record(record("R2")).await.unwrap();
    audit.flush().await;
    let rotated = dir.path().join("audit.1");
    std::fs::rename(&path, &rotated).unwrap();
    audit.record(record("R3")).await.unwrap();
    audit.flush().await;
    assert_eq!(recorded(&rotated), ["R1", "R2"]);
    assert_eq!(recorded(&path), ["R3"]);
    drop(audit);
    let (audit, _) = to_file(&path, false);
    audit.record(record("R4")).await.unwrap();
    audit.flush().await;
    assert_eq!(recorded(&path), ["R3", "R4"], "a restart appends");
    assert_eq!(dropped.get(), 0);
}

#[tokio::test]
async fn a_strict_record_is_on_disk_or_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let parent = dir.path().join("logs");
    std::fs::create_dir(&parent).unwrap();
    let path = parent.join("audit.jsonl");
    let (strict, _) = to_file(&path, true);
    strict.record(record("R1")).await.unwrap();
    assert_eq!(recorded(&path), ["R1"]);
    // Without its directory the file cannot be created anew.
    std::fs::remove_dir_all(&parent).unwrap();
    assert_eq!(strict.record(record("R2")).await, Err(NotRecorded));
    std::fs::create_dir(&parent).unwrap();
    strict.record(record("R3")).await.unwrap();
    assert_eq!(recorded(&path), ["R3"]);
}

#[tokio::test]
async fn what_the_file_lacks_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let parent = dir.path().join("logs");
    std::fs::create_dir(&parent).unwrap();
    let (audit, dropped) = to_file(&parent.join("audit.jsonl"), false);
    std::fs::remove_dir_all(&parent).unwrap();
    audit.record(record("R1")).await.unwrap();
    audit.flush().await;
    assert_eq!(dropped.get(), 1);
}
