//! The built-in STS, asked with signed requests over a real store.

#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]

mod attacks;
mod audit;
mod mfa;
mod refusals;
mod roles;
mod saml;
mod web_identity;

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response};
use ring::digest;
use sigv4::{Dialect, Endpoint, Scope, SecretAccessKey, Signer, SigningKey, Target, Timestamp};
use sigward::admission::Admission;
use sigward::audit::{Audit, AuditOptions};
use sigward::clock::{Clock, UnixMillis};
use sigward::config;
use sigward::events::{Event, EventData, Keyring, RevocationScope};
use sigward::iam::saml::RelyingParty;
use sigward::iam::{AccessKeyId, Credential, KeyStatus, Principal, SessionKind};
use sigward::identities::{Identities, Reloaded};
use sigward::metrics::Metrics;
use sigward::store::{Store, StoreOptions};
use sigward::sts::{Handled, Incoming, Operation, Origin, Sts, StsParts, is_sts_request};

use crate::log;

const NOW: UnixMillis = UnixMillis(1_767_323_045_678);
const REGION: &str = "us-east-1";
const IDENTITY: &str = "Action=GetCallerIdentity&Version=2011-06-15";
const SESSION: &str = "Action=GetSessionToken&Version=2011-06-15";

/// The audit trail in the directory of a world.
const AUDIT: &str = "audit.jsonl";

/// An STS without limits.
fn built(store: &Store, identities: &Identities, metrics: &Metrics) -> Sts {
    limited(store, identities, metrics, config::Limits::default())
}

fn limited(store: &Store, identities: &Identities, metrics: &Metrics, limits: config::Limits) -> Sts {
    let parts = StsParts {
        store: store.clone(),
        identities: identities.clone(),
        admission: Arc::new(Admission::new(limits, &Metrics::new())),
        saml: RelyingParty::default(),
    };
    Sts::new(parts, &strict(), metrics)
}

/// Someone who can sign.
struct Signatory {
    access_key_id: String,
    secret: String,
    token: Option<String>,
}

impl Signatory {
    fn long_term(access_key_id: &str) -> Self {
        Self { access_key_id: access_key_id.into(), secret: secret_of(access_key_id), token: None }
    }

    /// Takes the credentials out of an answer.
    fn from_answer(response: &Response<Bytes>) -> Self {
        assert_eq!(response.status(), 200, "{:?}", response.body());
        Self {
            access_key_id: element(response, "AccessKeyId"),
            secret: element(response, "SecretAccessKey"),
            token: Some(element(response, "SessionToken")),
        }
    }

    fn with_signer<T>(&self, service: &str, now: Timestamp, sign: impl FnOnce(&Signer<'_>) -> T) -> T {
        let scope = Scope { date: now.date(), region: REGION, service };
        let key = SigningKey::derive(&SecretAccessKey::new(self.secret.as_bytes()), &scope);
        sign(&Signer {
            key: &key,
            access_key_id: &self.access_key_id,
            session_token: self.token.as_deref().map(str::as_bytes),
            dialect: Dialect::Generic,
        })
    }

    /// `POST /` with `form` as its body, signed at `now` for `service`.
    fn post(&self, service: &str, form: &str, now: UnixMillis) -> Parts {
        let mut headers = host();
        let content_type = "application/x-www-form-urlencoded; charset=utf-8";
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        let hash: String = digest::digest(&digest::SHA256, form.as_bytes())
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let target = Target { method: "POST", path: b"/", query: None };
        self.with_signer(service, now.timestamp(), |signer| {
            signer.sign(target, &mut headers, &hash, now.timestamp()).unwrap();
        });
        parts("POST", "/", headers)
    }

    /// `GET /?query`, presigned at `now` for a day.
    fn presigned(&self, query: &str, now: UnixMillis) -> Parts {
        let target = Target { method: "GET", path: b"/", query: Some(query.as_bytes()) };
        let query = self.with_signer("sts", now.timestamp(), |signer| {
            signer.presign(target, &host(), now.timestamp(), 86_400).unwrap()
        });
        parts("GET", &format!("/?{query}"), host())
    }
}

fn secret_of(access_key_id: &str) -> String {
    format!("secret of {access_key_id}")
}

fn host() -> HeaderMap {
    HeaderMap::from_iter([(HOST, HeaderValue::from_static("localhost:8080"))])
}

fn parts(method: &str, uri: &str, headers: HeaderMap) -> Parts {
    let mut request = Request::builder().method(method).uri(uri).body(()).unwrap();
    *request.headers_mut() = headers;
    request.into_parts().0
}

/// The text of the first element `name`.
fn element(response: &Response<Bytes>, name: &str) -> String {
    let body = std::str::from_utf8(response.body()).unwrap();
    let (_, rest) = body.split_once(&format!("<{name}>")).unwrap_or_else(|| panic!("no {name} in {body}"));
    let text = rest.split_once("</").unwrap().0;
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

/// Status, code and message of an error.
fn error(response: &Response<Bytes>) -> (u16, String, String) {
    (response.status().as_u16(), element(response, "Code"), element(response, "Message"))
}

fn code(response: &Response<Bytes>) -> (u16, String) {
    (response.status().as_u16(), element(response, "Code"))
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

/// An STS over a store that knows `AKIAALICE` and `AKIAROOT`.
struct World {
    sts: Sts,
    store: Store,
    identities: Identities,
    metrics: Metrics,
    directory: tempfile::TempDir,
    keyring: Keyring,
}

fn open(directory: &tempfile::TempDir, keyring: &Keyring, metrics: &Metrics) -> Store {
    let file = Some(directory.path().join(AUDIT));
    let audit = Audit::start(&AuditOptions { log: true, file, strict: false }, metrics).unwrap();
    let options = StoreOptions { audit, ..StoreOptions::new(directory.path().join("store.redb"), 1 << 20) };
    Store::open(&options, keyring.clone(), Clock::manual(NOW), metrics).unwrap()
}

impl World {
    async fn new() -> Self {
        Self::with(Keyring::ephemeral().unwrap()).await
    }

    /// Another gateway with the same sealing key and a log of its own.
    async fn beside(other: &Self) -> Self {
        Self::with(other.keyring.clone()).await
    }

    async fn with(keyring: Keyring) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let metrics = Metrics::new();
        let store = open(&directory, &keyring, &metrics);
        for (access_key_id, name) in [("AKIAALICE", "user/alice"), ("AKIAROOT", "root")] {
            let principal = Principal {
                arn: format!("arn:aws:iam::123456789012:{name}"),
                user_id: format!("ID-{name}"),
                account: "123456789012".into(),
            };
            let credential = long_term(access_key_id, principal);
            append(&store, access_key_id, EventData::AccessKeyCreated(credential)).await;
        }
        let identities = Identities::none(Clock::manual(NOW), &metrics);
        let sts = built(&store, &identities, &metrics);
        Self { sts, store, identities, metrics, directory, keyring }
    }

    /// With an IAM directory of these files, from the account on. Every user has a key: `AKIAALICE` is alice's.
    async fn declared(files: &[(&str, &str)]) -> Self {
        let (directory, keyring, metrics) =
            (tempfile::tempdir().unwrap(), Keyring::ephemeral().unwrap(), Metrics::new());
        let store = open(&directory, &keyring, &metrics);
        for (path, text) in files {
            write(&directory, path, text);
        }
        let (root, register) = (directory.path().join("iam"), directory.path().join("register.json"));
        let clock = Clock::manual(NOW);
        let identities = Identities::open(&root, &register, clock, &metrics).unwrap();
        let sts = built(&store, &identities, &metrics);
        let world = Self { sts, store, identities, metrics, directory, keyring };
        world.give_keys().await;
        world
    }

    async fn give_keys(&self) {
        let root = Principal {
            arn: "arn:aws:iam::123456789012:root".into(),
            user_id: "123456789012".into(),
            account: "123456789012".into(),
        };
        let current = self.identities.current();
        let users = current.as_ref().unwrap().users();
        let users = users.map(|user| (user.name.to_uppercase(), user.principal.clone()));
        for (name, principal) in users.chain([("ROOT".to_owned(), root)]) {
            let access_key_id = format!("AKIA{name}");
            let id = format!("{access_key_id} {}", principal.user_id);
            let data = EventData::AccessKeyCreated(long_term(&access_key_id, principal));
            append(&self.store, &id, data).await;
        }
    }

    /// Writes a file of the directory, or takes it away, and has it read again.
    async fn rewrite(&self, path: &str, text: Option<&str>) {
        match text {
            Some(text) => write(&self.directory, path, text),
            None => std::fs::remove_file(file(&self.directory, path)).unwrap(),
        }
        assert_eq!(self.identities.reload(&self.store).await, Reloaded::Changed, "{path}");
    }

    async fn ask(&self, parts: &Parts, body: &str, now: UnixMillis) -> Response<Bytes> {
        assert!(is_sts_request(parts));
        let origin = Origin {
            address: std::net::Ipv4Addr::LOCALHOST.into(),
            tls: false,
            certificate: &[],
            hosts: &[],
        };
        self.sts.respond(&Incoming { parts, body: body.as_bytes(), request_id: "R1", origin, now }).await
    }

    async fn post(&self, signatory: &Signatory, form: &str) -> Response<Bytes> {
        self.ask(&signatory.post("sts", form, NOW), form, NOW).await
    }

    /// Without a signature, as SDKs send what brings a proof of its own.
    async fn post_unsigned(&self, form: &str) -> Response<Bytes> {
        let mut headers = host();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        self.ask(&parts("POST", "/", headers), form, NOW).await
    }

    async fn alice_session(&self) -> Signatory {
        Signatory::from_answer(&self.post(&Signatory::long_term("AKIAALICE"), SESSION).await)
    }
}

fn strict() -> Endpoint {
    Endpoint { strict: true, ..Endpoint::s3(REGION) }
}

fn long_term(access_key_id: &str, principal: Principal) -> Credential {
    Credential {
        access_key_id: AccessKeyId::parse(access_key_id).unwrap(),
        secret: SecretAccessKey::new(secret_of(access_key_id)),
        principal,
        issued_at: UnixMillis(1),
        status: KeyStatus::Active,
        not_after: None,
        declared: false,
        session: None,
    }
}

fn file(directory: &tempfile::TempDir, path: &str) -> PathBuf {
    directory.path().join("iam/123456789012").join(path)
}

fn write(directory: &tempfile::TempDir, path: &str, text: &str) {
    let path = file(directory, path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

async fn append(store: &Store, id: &str, data: EventData) {
    let event = Event { source: "/test".into(), id: id.into(), time: NOW, data };
    store.append(vec![event]).await.unwrap();
}

fn revocation(scope: RevocationScope, issued_before: UnixMillis) -> EventData {
    EventData::SessionRevoked { scope, cascade: false, issued_before, reason: None }
}

#[tokio::test]
async fn caller_identity_is_the_principal_of_the_credential() {
    let world = World::new().await;
    let response = world.post(&Signatory::long_term("AKIAALICE"), IDENTITY).await;
    assert_eq!(response.status(), 200);
    assert_eq!(
        response.body(),
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
         <GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/alice</Arn>\
         <UserId>ID-user/alice</UserId><Account>123456789012</Account></GetCallerIdentityResult>\
         <ResponseMetadata><RequestId>R1</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
    );
    let handled = response.extensions().get::<Handled>().unwrap();
    assert_eq!(handled.operation, Some(Operation::GetCallerIdentity));
    assert_eq!(handled.caller.as_ref().unwrap().access_key_id.as_str(), "AKIAALICE");
    assert_eq!(handled.code, None);
}

#[tokio::test]
async fn an_issued_session_signs_for_the_same_principal() {
    let world = World::new().await;
    let session = world.alice_session().await;
    let response = world.post(&session, IDENTITY).await;
    assert_eq!(element(&response, "Arn"), "arn:aws:iam::123456789012:user/alice");
    assert_eq!(element(&response, "UserId"), "ID-user/alice");
}

#[tokio::test]
async fn issued_credentials_have_the_shape_of_aws() {
    let world = World::new().await;
    let response = world.post(&Signatory::long_term("AKIAALICE"), SESSION).await;
    assert_eq!(element(&response, "Expiration"), "2026-01-02T15:04:05Z");
    let one = Signatory::from_answer(&response);
    let (prefix, id) = one.access_key_id.split_at(4);
    assert_eq!(prefix, "ASIA");
    assert!(
        id.len() == 16 && id.bytes().all(|b| b.is_ascii_uppercase() || (b'2'..=b'7').contains(&b)),
        "{id}"
    );
    assert_eq!(one.secret.len(), 40);
    assert!(one.token.as_ref().unwrap().len() < 512, "the session of a user is no burden to a header");
    let other = world.alice_session().await;
    assert_ne!(one.access_key_id, other.access_key_id);
    assert_ne!(one.secret, other.secret);
    assert_ne!(one.token, other.token);
}

#[tokio::test]
async fn an_answered_session_is_on_disk() {
    let world = World::new().await;
    let form = format!("{SESSION}&DurationSeconds=900");
    let response = world.post(&Signatory::long_term("AKIAALICE"), &form).await;
    let issued = Signatory::from_answer(&response);
    world.store.close().await;

    let store = open(&world.directory, &world.keyring, &Metrics::new());
    let record = store.load(&issued.access_key_id).await.unwrap().unwrap();
    let credential = record.credential();
    assert_eq!(credential.secret.expose_secret(), issued.secret.as_bytes());
    assert_eq!(credential.issued_at, NOW);
    assert_eq!(credential.principal.account, "123456789012");
    let session = credential.session.as_ref().unwrap();
    assert_eq!(session.kind, SessionKind::SessionToken);
    assert_eq!(session.expires_at, UnixMillis(1_767_323_945_000));
    assert_eq!(session.parent_access_key_id.as_ref().map(AccessKeyId::as_str), Some("AKIAALICE"));
    assert!(session.token.matches(issued.token.unwrap().as_bytes()));
    assert!(session.mfa_authenticated_at.is_none() && session.tags.is_empty() && session.name.is_none());
}

#[tokio::test]
async fn a_gateway_that_never_heard_of_a_session_knows_it_by_its_token() {
    let here = World::new().await;
    let there = World::beside(&here).await;
    let session = here.alice_session().await;
    assert_eq!(element(&there.post(&session, IDENTITY).await, "Arn"), "arn:aws:iam::123456789012:user/alice");

    let tokenless = Signatory { token: None, ..here.alice_session().await };
    assert_eq!(code(&there.post(&tokenless, IDENTITY).await), refused(403, "InvalidClientTokenId"));
    let swapped = Signatory { token: session.token.clone(), ..here.alice_session().await };
    assert_eq!(code(&there.post(&swapped, IDENTITY).await), refused(403, "InvalidClientTokenId"));
    let unsigned = Signatory { secret: "another".into(), ..here.alice_session().await };
    assert_eq!(code(&there.post(&unsigned, IDENTITY).await), refused(403, "SignatureDoesNotMatch"));

    let late = NOW.plus(43_200_000);
    let old = here.alice_session().await;
    let parts = old.post("sts", IDENTITY, late);
    assert_eq!(code(&there.ask(&parts, IDENTITY, late).await), refused(403, "ExpiredToken"));

    let scope = RevocationScope::AccessKey(AccessKeyId::parse("AKIAALICE").unwrap());
    append(&there.store, "r", revocation(scope, NOW.plus(1))).await;
    assert_eq!(code(&there.post(&session, IDENTITY).await), refused(403, "AccessDenied"));
    assert_eq!(here.post(&session, IDENTITY).await.status(), 200, "the log of the other is another log");
}

#[tokio::test]
async fn nothing_is_issued_that_cannot_be_recorded() {
    let world = World::new().await;
    let alice = Signatory::long_term("AKIAALICE");
    assert_eq!(world.post(&alice, IDENTITY).await.status(), 200);
    world.store.close().await;
    let response = world.post(&alice, SESSION).await;
    assert_eq!(code(&response), refused(503, "ServiceUnavailable"));
    assert_eq!(element(&response, "Type"), "Receiver");
    assert!(!String::from_utf8_lossy(response.body()).contains("ASIA"));
}

#[tokio::test]
async fn a_session_cannot_ask_for_another_one() {
    let world = World::new().await;
    let session = world.alice_session().await;
    let response = world.post(&session, SESSION).await;
    let message = "Cannot call GetSessionToken with session credentials";
    assert_eq!(error(&response), (403, "AccessDenied".into(), message.into()));
}

#[tokio::test]
async fn root_gets_an_hour() {
    let world = World::new().await;
    let form = format!("{SESSION}&DurationSeconds=129600");
    let response = world.post(&Signatory::long_term("AKIAROOT"), &form).await;
    assert_eq!(element(&response, "Expiration"), "2026-01-02T04:04:05Z");
}

#[tokio::test]
async fn bad_parameters_are_refused_with_the_text_of_aws() {
    let world = World::new().await;
    let response =
        world.post(&Signatory::long_term("AKIAALICE"), &format!("{SESSION}&DurationSeconds=899")).await;
    let message = "1 validation error detected: Value '899' at 'durationSeconds' failed to satisfy constraint: \
                   Member must have value greater than or equal to 900";
    assert_eq!(error(&response), (400, "ValidationError".into(), message.into()));
}

#[tokio::test]
async fn a_session_is_refused_from_its_expiry_on() {
    let world = World::new().await;
    let form = format!("{SESSION}&DurationSeconds=900");
    let session = Signatory::from_answer(&world.post(&Signatory::long_term("AKIAALICE"), &form).await);
    let expiry = UnixMillis(1_767_323_945_000);
    let last = expiry.plus(-1);
    assert_eq!(world.ask(&session.post("sts", IDENTITY, last), IDENTITY, last).await.status(), 200);
    let response = world.ask(&session.post("sts", IDENTITY, expiry), IDENTITY, expiry).await;
    assert_eq!(code(&response), refused(403, "ExpiredToken"));
}

#[tokio::test]
async fn a_session_is_nothing_without_its_own_token() {
    let world = World::new().await;
    let mut session = world.alice_session().await;
    let other = world.alice_session().await;
    for token in [other.token, Some(String::from("x")), None] {
        session.token = token;
        assert_eq!(code(&world.post(&session, IDENTITY).await), refused(403, "InvalidClientTokenId"));
    }
}

#[tokio::test]
async fn only_the_right_signature_of_the_whole_request_is_answered() {
    let world = World::new().await;
    let alice = Signatory::long_term("AKIAALICE");
    let impostor = Signatory { secret: "guess".into(), ..Signatory::long_term("AKIAALICE") };
    assert_eq!(code(&world.post(&impostor, SESSION).await), refused(403, "SignatureDoesNotMatch"));
    let changed = format!("{SESSION}&DurationSeconds=129600");
    let response = world.ask(&alice.post("sts", SESSION, NOW), &changed, NOW).await;
    assert_eq!(code(&response), refused(403, "SignatureDoesNotMatch"));
    let for_s3 = alice.post("s3", SESSION, NOW);
    assert_eq!(code(&world.ask(&for_s3, SESSION, NOW).await), refused(403, "SignatureDoesNotMatch"));
    let stranger = Signatory::long_term("AKIANOBODY");
    assert_eq!(code(&world.post(&stranger, SESSION).await), refused(403, "InvalidClientTokenId"));
}

#[tokio::test]
async fn anonymous_requests_learn_only_whether_the_operation_exists() {
    let world = World::new().await;
    for (query, status, expected) in [
        (IDENTITY, 403, "MissingAuthenticationToken"),
        (SESSION, 403, "MissingAuthenticationToken"),
        ("Action=AssumeRoot&Version=2011-06-15", 400, "InvalidAction"),
        ("Action=&Version=2011-06-15", 400, "MissingAction"),
        ("Action=%zz", 400, "MalformedQueryString"),
    ] {
        let response = world.ask(&parts("GET", &format!("/?{query}"), host()), "", NOW).await;
        assert_eq!(code(&response), refused(status, expected), "{query}");
        assert!(response.extensions().get::<Handled>().unwrap().caller.is_none());
    }
}

#[tokio::test]
async fn an_action_in_query_and_body_is_refused() {
    let world = World::new().await;
    let mut headers = host();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    let response = world.ask(&parts("POST", &format!("/?{IDENTITY}"), headers), SESSION, NOW).await;
    assert_eq!(code(&response), refused(400, "InvalidQueryParameter"));
}

#[tokio::test]
async fn a_presigned_request_is_good_for_a_quarter_of_an_hour() {
    let world = World::new().await;
    let presigned = Signatory::long_term("AKIAALICE").presigned(IDENTITY, NOW);
    assert_eq!(world.ask(&presigned, "", NOW.plus(890_000)).await.status(), 200);
    let response = world.ask(&presigned, "", NOW.plus(901_000)).await;
    assert_eq!(response.status(), 403);
}

#[tokio::test]
async fn a_revoked_caller_is_denied() {
    let world = World::new().await;
    let session = world.alice_session().await;
    let alice = RevocationScope::Principal("arn:aws:iam::123456789012:user/alice".into());
    append(&world.store, "revoked", revocation(alice, NOW.plus(1))).await;
    let response = world.post(&session, IDENTITY).await;
    assert_eq!(code(&response), refused(403, "AccessDenied"));
    let handled = response.extensions().get::<Handled>().unwrap();
    assert_eq!(handled.code, Some("AccessDenied"));
    assert!(handled.caller.is_some());
}

#[tokio::test]
async fn a_revocation_of_the_key_reaches_the_sessions_issued_to_it() {
    let world = World::new().await;
    let (alice, session) = (Signatory::long_term("AKIAALICE"), world.alice_session().await);
    let key = RevocationScope::AccessKey(AccessKeyId::parse("AKIAALICE").unwrap());
    append(&world.store, "revoked", revocation(key, NOW.plus(1))).await;
    assert_eq!(code(&world.post(&session, IDENTITY).await), refused(403, "AccessDenied"));
    assert_eq!(code(&world.post(&alice, SESSION).await), refused(403, "AccessDenied"));
}

#[tokio::test]
async fn json_is_answered_to_who_asks_for_it() {
    let world = World::new().await;
    let mut request = Signatory::long_term("AKIAALICE").post("sts", IDENTITY, NOW);
    request.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let response = world.ask(&request, IDENTITY, NOW).await;
    assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
    let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(body["GetCallerIdentityResponse"]["GetCallerIdentityResult"]["Account"], "123456789012");
}

#[tokio::test]
async fn requests_are_counted_by_operation_and_outcome() {
    let world = World::new().await;
    let alice = Signatory::long_term("AKIAALICE");
    world.post(&alice, IDENTITY).await;
    world.post(&alice, &format!("{SESSION}&DurationSeconds=1")).await;
    world.post(&alice, "Action=Nothing").await;
    world.store.close().await;
    world.post(&alice, SESSION).await;
    let metrics = String::from_utf8(world.metrics.render()).unwrap();
    for (operation, outcome) in [
        ("GetCallerIdentity", "ok"),
        ("GetSessionToken", "refused"),
        ("GetSessionToken", "failed"),
        ("Unknown", "refused"),
    ] {
        let line =
            format!("sigward_sts_requests_total{{operation=\"{operation}\",outcome=\"{outcome}\"}} 1\n");
        assert!(metrics.contains(&line), "{line}");
    }
}

#[tokio::test]
async fn issuing_is_logged_without_secrets() {
    log::collect();
    let world = World::new().await;
    let session = world.alice_session().await;
    let written = log::written();
    let line = written.lines().find(|line| line.contains(&session.access_key_id)).unwrap();
    for told in ["session issued", "AKIAALICE", "user/alice", "2026-01-02T15:04:05Z"] {
        assert!(line.contains(told), "{told} is not in {line}");
    }
    for kept in [session.token.unwrap(), session.secret, secret_of("AKIAALICE")] {
        assert!(!written.contains(&kept));
    }
}
