//! What the audit trail says of requests.

use serde_json::{Value, json};

use super::*;

impl World {
    /// The audit trail since the last call.
    pub(super) async fn audited(&self) -> Vec<Value> {
        self.store.audit().flush().await;
        let file = self.directory.path().join(AUDIT);
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::remove_file(file).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[tokio::test]
async fn every_request_leaves_a_record_and_no_secret() {
    let world = World::new().await;
    world.audited().await;
    let session = world.alice_session().await;
    let [record] = &world.audited().await[..] else { panic!("one request, one record") };
    assert_eq!((&record["eventName"], &record["requestID"]), (&json!("GetSessionToken"), &json!("R1")));
    assert_eq!((&record["awsRegion"], &record["sourceIPAddress"]), (&json!(REGION), &json!("127.0.0.1")));
    assert_eq!(record["userIdentity"]["arn"], "arn:aws:iam::123456789012:user/alice");
    assert_eq!(record["userIdentity"]["accessKeyId"], "AKIAALICE");
    let credentials = json!({ "accessKeyId": session.access_key_id, "expiration": "2026-01-02T15:04:05Z" });
    assert_eq!(record["responseElements"], json!({ "credentials": credentials }));
    assert_eq!(record["errorCode"], Value::Null);

    let forged = Signatory {
        secret: "another".into(),
        ..Signatory::from_answer(&world.post(&Signatory::long_term("AKIAALICE"), SESSION).await)
    };
    world.audited().await;
    world.post(&session, SESSION).await;
    world.post(&forged, IDENTITY).await;
    world.post(&session, "Action=Dance&Version=2011-06-15").await;
    let scope = RevocationScope::AccessKey(AccessKeyId::parse(&session.access_key_id).unwrap());
    append(&world.store, "r", revocation(scope.clone(), NOW.plus(1))).await;
    append(&world.store, "r", revocation(scope, NOW.plus(1))).await;
    world.post(&session, IDENTITY).await;
    let records = world.audited().await;
    let told: Vec<_> = records
        .iter()
        .map(|record| [&record["eventName"], &record["errorCode"], &record["userIdentity"]["type"]])
        .collect();
    assert_eq!(
        json!(told),
        json!([
            ["GetSessionToken", "AccessDenied", "IAMUser"],
            ["GetCallerIdentity", "SignatureDoesNotMatch", "Unknown"],
            ["Unknown", "InvalidAction", "Unknown"],
            ["RevokeSessions", null, "Service"],
            ["GetCallerIdentity", "AccessDenied", "IAMUser"],
        ])
    );
    let whole = json!(records).to_string();
    for secret in [&session.secret, session.token.as_ref().unwrap(), forged.token.as_ref().unwrap()] {
        assert!(!whole.contains(secret.as_str()), "{whole}");
    }
}

#[tokio::test]
async fn a_strict_trail_that_cannot_be_written_answers_nothing() {
    let world = World::new().await;
    let (directory, metrics) = (tempfile::tempdir().unwrap(), Metrics::new());
    let trail = directory.path().join("trail");
    std::fs::create_dir(&trail).unwrap();
    let options = AuditOptions { log: false, file: Some(trail.join(AUDIT)), strict: true };
    let audit = Audit::start(&options, &metrics).unwrap();
    let options = StoreOptions { audit, ..StoreOptions::new(directory.path().join("store.redb"), 1 << 20) };
    let store = Store::open(&options, world.keyring.clone(), Clock::manual(NOW), &metrics).unwrap();
    let sts = built(&store, &world.identities, &metrics);
    let strict = World { sts, store, directory, metrics, ..world };
    let alice = Principal {
        arn: "arn:aws:iam::123456789012:user/alice".into(),
        user_id: "AIDAALICE".into(),
        account: "123456789012".into(),
    };
    append(&strict.store, "1", EventData::AccessKeyCreated(long_term("AKIAALICE", alice))).await;
    let session = strict.alice_session().await;
    assert_eq!(strict.post(&session, IDENTITY).await.status(), 200);
    std::fs::remove_dir_all(trail).unwrap();
    let response = strict.post(&session, IDENTITY).await;
    assert_eq!(code(&response), refused(503, "ServiceUnavailable"));
    assert!(!String::from_utf8_lossy(response.body()).contains("alice"));
}
