//! The API from the outside: what each request is answered, and what it changes.

use std::net::SocketAddr;

use http::header::CONTENT_TYPE;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use sigv4::SecretAccessKey;
use tempfile::TempDir;

use super::*;
use crate::clock::UnixMillis;
use crate::config::AdminToken;
use crate::events::{Keyring, MAX_AHEAD_MILLIS};
use crate::key_sources::KeySourcesParts;
use crate::store::StoreOptions;

const LOOPBACK: &str = "127.0.0.1:5000";
const ELSEWHERE: &str = "192.0.2.7:5000";
const NOW: &str = "2026-01-02T03:04:05.000Z";

struct Api {
    admin: Arc<Admin>,
    peer: Peer,
    _dir: TempDir,
}

impl Api {
    fn new() -> Self {
        Self::with_token(None)
    }

    fn with_token(token: Option<&str>) -> Self {
        Self::with(token, Clock::manual(UnixMillis::parse_rfc3339(NOW).unwrap()))
    }

    fn with(token: Option<&str>, clock: Clock) -> Self {
        let dir = TempDir::new().unwrap();
        let metrics = Metrics::new();
        let options = StoreOptions::new(dir.path().join("events.redb"), 1 << 20);
        let keyring = Keyring::ephemeral().unwrap();
        let store = Store::open(&options, keyring.clone(), clock.clone(), &metrics).unwrap();
        let settings = config::Admin {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            tls: None,
            token: token.map(|token| AdminToken(SecretAccessKey::new(token))),
        };
        let identities = Identities::none(clock.clone(), &metrics);
        let parts = KeySourcesParts {
            store: store.clone(),
            identities: identities.clone(),
            keyring,
            clock: clock.clone(),
        };
        let key_sources = KeySources::new(parts, &metrics);
        let readiness = Readiness::default();
        let admin = Arc::new(Admin::new(AdminParts {
            settings,
            store,
            identities,
            key_sources,
            clock,
            metrics,
            readiness,
        }));
        Self { admin, peer: Peer::at(LOOPBACK.parse().unwrap()), _dir: dir }
    }

    fn from(mut self, peer: &str, tls: bool) -> Self {
        self.peer = Peer::at(peer.parse().unwrap());
        self.peer.tls = tls;
        self
    }

    async fn send(&self, method: &str, target: &str, media_type: &str, body: &[u8]) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(target)
            .header("host", "localhost:9090")
            .header("authorization", "Bearer canary")
            .header(CONTENT_TYPE, media_type)
            .body(Full::new(Bytes::copy_from_slice(body)))
            .unwrap();
        let answer = Arc::clone(&self.admin).handle(self.peer.clone(), request).await;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn get(&self, target: &str) -> (u16, Value) {
        self.send("GET", target, "", b"").await
    }

    async fn send_json(&self, method: &str, target: &str, body: Value) -> (u16, Value) {
        self.send(method, target, "application/json", body.to_string().as_bytes()).await
    }

    async fn post_event(&self, event: &Value) -> (u16, Value) {
        self.send("POST", "/v1/events", "application/cloudevents+json", event.to_string().as_bytes()).await
    }

    async fn issue(&self, id: &str, role: &str) {
        let (status, answer) = self.post_event(&issued(id, role)).await;
        assert_eq!(status, 200, "{answer}");
    }

    async fn listed(&self, query: &str) -> Vec<String> {
        let (status, answer) = self.get(&format!("/v1/sessions{query}")).await;
        assert_eq!(status, 200, "{answer}");
        let ids = answer["sessions"].as_array().unwrap().iter();
        ids.map(|session| session["access_key_id"].as_str().unwrap().to_owned()).collect()
    }
}

/// A session of one hour for a role of account 111122223333.
fn issued(id: &str, role: &str) -> Value {
    json!({
        "specversion": "1.0", "type": "io.sigward.credential.issued.v1", "source": "/test", "id": id, "time": NOW,
        "data": {
            "access_key_id": id, "secret_access_key": "secret-canary", "session_token": "token-canary",
            "kind": "assumed_role", "expires_at": "2026-01-02T04:04:05Z", "session_name": "job",
            "role_arn": format!("arn:aws:iam::111122223333:role/{role}"), "parent_access_key_id": "AKIAPARENT",
            "principal": {
                "arn": format!("arn:aws:sts::111122223333:assumed-role/{role}/job"),
                "user_id": format!("AROA{role}:job"), "account": "111122223333",
            },
        },
    })
}

#[tokio::test]
async fn readiness_follows_the_process() {
    let api = Api::new().from(ELSEWHERE, false);
    assert_eq!(api.get("/livez").await, (200, json!({ "status": "live" })));
    assert_eq!(api.get("/readyz").await, (503, json!({ "status": "starting" })));
    api.admin.readiness.set_ready();
    assert_eq!(api.get("/readyz").await, (200, json!({ "status": "ready" })));
    api.admin.readiness.set_draining();
    assert_eq!(api.get("/readyz").await, (503, json!({ "status": "draining" })));
    assert_eq!(api.get("/livez").await.0, 200);
    assert_eq!(api.get("/metrics").await.0, 200);
}

#[tokio::test]
async fn the_gauge_of_readiness_says_what_readyz_says() {
    let api = Api::new().from(ELSEWHERE, false);
    let gauge = async || {
        assert_eq!(api.get("/metrics").await.0, 200);
        api.admin.ready.get()
    };
    assert_eq!(gauge().await, 0, "starting");
    api.admin.readiness.set_ready();
    assert_eq!(gauge().await, 1, "ready");
    api.admin.readiness.set_draining();
    assert_eq!(gauge().await, 0, "draining");
}

#[tokio::test]
async fn everything_under_v1_needs_leave() {
    for target in ["/v1/events", "/v1/sessions", "/v1/access-keys", "/v1/revocations", "/v1/nothing", "/v1"] {
        assert_eq!(Api::new().from(ELSEWHERE, true).get(target).await.0, 403, "{target}");
        assert_eq!(Api::with_token(Some("other")).get(target).await.0, 401, "{target}");
    }
    assert_eq!(Api::with_token(Some("canary")).from(ELSEWHERE, false).get("/v1/sessions").await.0, 200);
}

#[tokio::test]
async fn answers_unknown_paths_and_methods_as_http_asks() {
    let api = Api::new();
    let (status, answer) = api.get("/v1/nothing").await;
    assert_eq!((status, &answer["error"]["code"]), (404, &json!("NotFound")));
    assert_eq!(api.get("/").await.0, 404);
    let request = Request::delete("/v1/events").header("host", "localhost").body(Full::default()).unwrap();
    let answer = Arc::clone(&api.admin).handle(api.peer.clone(), request).await;
    assert_eq!((answer.status().as_u16(), answer.headers()["allow"].to_str().unwrap()), (405, "GET, POST"));
    let request = Request::head("/livez").body(Full::default()).unwrap();
    let answer = Arc::clone(&api.admin).handle(api.peer.clone(), request).await;
    assert_eq!(answer.status().as_u16(), 200);
    assert!(answer.into_body().collect().await.unwrap().to_bytes().is_empty());
}

#[tokio::test]
async fn an_event_is_appended_once() {
    let api = Api::new();
    let (status, first) = api.post_event(&issued("ASIA1", "reader")).await;
    let seq = api.admin.store.position();
    assert_eq!(
        (status, &first),
        (200, &json!([{ "source": "/test", "id": "ASIA1", "seq": seq, "duplicate": false }]))
    );
    let (status, again) = api.post_event(&issued("ASIA1", "reader")).await;
    assert_eq!((status, &again[0]["seq"], &again[0]["duplicate"]), (200, &json!(seq), &json!(true)));
    assert_eq!(api.listed("").await, ["ASIA1"]);
}

#[tokio::test]
async fn a_batch_is_appended_as_a_whole_or_not_at_all() {
    let api = Api::new();
    let batch = "application/cloudevents-batch+json";
    let mut events = json!([issued("ASIA1", "reader"), issued("ASIA2", "reader")]);
    events[1]["data"]["expires_at"] = json!("yesterday");
    let (status, answer) = api.send("POST", "/v1/events", batch, events.to_string().as_bytes()).await;
    assert_eq!((status, &answer["error"]["path"]), (400, &json!("[1].data.expires_at")), "{answer}");
    assert_eq!(api.listed("").await, [""; 0]);
    events[1] = issued("ASIA2", "reader");
    let (status, answer) = api.send("POST", "/v1/events", batch, events.to_string().as_bytes()).await;
    assert_eq!((status, answer.as_array().map(Vec::len)), (200, Some(2)));
    assert_eq!(api.listed("").await, ["ASIA1", "ASIA2"]);
}

#[tokio::test]
async fn secrets_in_the_clear_are_refused() {
    let event = issued("ASIA1", "reader");
    let clear = Api::with_token(Some("canary")).from(ELSEWHERE, false);
    let (status, answer) = clear.post_event(&event).await;
    assert_eq!(status, 403);
    assert!(!answer.to_string().contains("canary"), "{answer}");
    assert_eq!(clear.listed("").await, [""; 0]);
    let creation = json!({ "user": "alice", "account": "123456789012" });
    assert_eq!(clear.send_json("POST", "/v1/access-keys", creation).await.0, 403);
    let revocation = json!({ "account": "111122223333" });
    assert_eq!(clear.send_json("POST", "/v1/revocations", revocation).await.0, 200, "holds no secret");
    let encrypted = Api::with_token(Some("canary")).from(ELSEWHERE, true);
    assert_eq!(encrypted.post_event(&event).await.0, 200);
}

#[tokio::test]
async fn what_is_no_event_is_refused_with_its_path() {
    let api = Api::new();
    let mut event = issued("ASIA1", "reader");
    event["data"]["secret_access_key"] = json!(7);
    let (status, answer) = api.post_event(&event).await;
    assert_eq!((status, &answer["error"]["path"]), (400, &json!("data.secret_access_key")));
    let body = event.to_string();
    for media_type in ["application/json", "text/plain", "application/x-www-form-urlencoded", ""] {
        let (status, _) = api.send("POST", "/v1/events", media_type, body.as_bytes()).await;
        assert_eq!(status, 415, "{media_type}");
    }
    let huge = vec![b' '; body::MAX_BYTES + 1];
    assert_eq!(api.send("POST", "/v1/events", "application/cloudevents+json", &huge).await.0, 413);
}

#[tokio::test]
async fn sessions_are_filtered_and_paged() {
    let api = Api::new();
    for (id, role) in [("ASIA1", "reader"), ("ASIA2", "writer"), ("ASIA3", "reader")] {
        api.issue(id, role).await;
    }
    assert_eq!(
        api.listed("?role=arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2Freader").await,
        ["ASIA1", "ASIA3"]
    );
    assert_eq!(api.listed("?access_key_id=ASIA2").await, ["ASIA2"]);
    assert_eq!(api.listed("?access_key_id=AKIAPARENT").await.len(), 3);
    assert_eq!(api.listed("?account=999999999999").await, [""; 0]);
    let (_, first) = api.get("/v1/sessions?limit=2").await;
    assert_eq!((first["sessions"].as_array().map(Vec::len), &first["next"]), (Some(2), &json!("ASIA2")));
    let (_, second) = api.get("/v1/sessions?limit=2&after=ASIA2").await;
    assert_eq!((second["sessions"].as_array().map(Vec::len), &second["next"]), (Some(1), &Value::Null));
    assert!(!first.to_string().contains("canary"), "{first}");
    assert_eq!(api.get("/v1/sessions?rolle=x").await.1["error"]["path"], "rolle");
}

#[tokio::test]
async fn a_revocation_by_event_reaches_sessions_of_a_clock_that_is_ahead() {
    let api = Api::new();
    let mut ahead = issued("ASIA1", "reader");
    ahead["data"]["issued_at"] = json!("2026-01-02T03:06:05Z");
    assert_eq!(api.post_event(&ahead).await.0, 200);
    let revoked = json!({
        "specversion": "1.0", "type": "session.revoked", "source": "/test", "id": "r", "data": { "account": "111122223333" },
    });
    assert_eq!(api.post_event(&revoked).await.0, 200);
    let (_, listed) = api.get("/v1/sessions").await;
    assert_eq!(listed["sessions"][0]["revoked_by"], "account", "{listed}");
}

#[tokio::test]
async fn a_revocation_reaches_its_sessions_at_once() {
    let api = Api::new();
    for (id, role) in [("ASIA1", "reader"), ("ASIA2", "writer"), ("ASIA3", "reader")] {
        api.issue(id, role).await;
    }
    let role = json!({ "role": "arn:aws:iam::111122223333:role/reader", "reason": "leaked" });
    let (status, answer) = api.send_json("POST", "/v1/revocations", role).await;
    let expected = json!({ "issued_before": "2026-01-02T03:04:05.001Z", "sessions": 2, "seq": api.admin.store.position() });
    assert_eq!((status, answer), (200, expected));
    let (_, listed) = api.get("/v1/sessions").await;
    let causes: Vec<&Value> =
        listed["sessions"].as_array().unwrap().iter().map(|s| &s["revoked_by"]).collect();
    assert_eq!(causes, [&json!("role"), &Value::Null, &json!("role")]);
    let parent = json!({ "access_key_id": "AKIAPARENT" });
    assert_eq!(api.send_json("POST", "/v1/revocations", parent).await.1["sessions"], 3);
    let named =
        json!({ "role": "arn:aws:iam::111122223333:role/reader", "session_name": "job", "cascade": true });
    assert_eq!(api.send_json("POST", "/v1/revocations", named).await.1["sessions"], 2);
    let provider = json!({ "identity_provider": "arn:aws:iam::111122223333:saml-provider/idp" });
    assert_eq!(api.send_json("POST", "/v1/revocations", provider).await.1["sessions"], 0);
    let past = json!({ "account": "111122223333", "issued_before": "2026-01-02T03:04:05Z" });
    assert_eq!(api.send_json("POST", "/v1/revocations", past).await.1["sessions"], 0);
}

#[tokio::test]
async fn refuses_unclear_revocations() {
    let api = Api::new();
    for body in [
        json!({}),
        json!({ "account": "111122223333", "session_name": "a" }),
        json!({ "session_name": "a" }),
        json!({ "role": "arn:aws:iam::111122223333:role/a", "cascade": "yes" }),
        json!({ "role": "arn:aws:iam::111122223333:role/a", "issued_before": "yesterday" }),
        json!({ "role": "arn:aws:iam::111122223333:role/a", "issued_before": "2027-01-01T00:00:00Z" }),
        json!({ "role": "arn:aws:iam::111122223333:role/a", "force": true }),
        json!({ "access_key_id": "a b" }),
        json!({ "account": "" }),
        json!([]),
    ] {
        let (status, answer) = api.send_json("POST", "/v1/revocations", body.clone()).await;
        assert_eq!(status, 400, "{body}: {answer}");
    }
    let role = "arn:aws:iam::111122223333:role/reader";
    for (body, path) in [
        (json!({ "account": "11112222333" }), "account"),
        (json!({ "role": "reader" }), "role"),
        (json!({ "role": "role/reader", "session_name": "job" }), "role"),
        (json!({ "identity_provider": "idp.example.com" }), "identity_provider"),
        (json!({ "role": role, "account": "111122223333" }), ""),
    ] {
        let (status, answer) = api.send_json("POST", "/v1/revocations", body.clone()).await;
        let named = answer["error"]["path"].as_str().unwrap_or_default();
        assert_eq!((status, named), (400, path), "{body}: {answer}");
    }
    assert_eq!(api.admin.store.position(), 0);
}

#[tokio::test]
async fn a_long_term_key_is_revoked_as_a_whole_and_by_no_earlier_time() {
    let api = Api::new();
    api.issue("ASIA1", "reader").await;
    api.issue("FOREIGN1", "reader").await;
    let dated = |id: &str, before: &str| json!({ "access_key_id": id, "issued_before": before });
    let event = |id: &str, before: &str| {
        json!({
            "specversion": "1.0", "type": "session.revoked", "source": "/test", "id": format!("{id} {before}"),
            "time": NOW, "data": dated(id, before),
        })
    };
    let earlier = "2026-01-02T03:04:04.999Z";
    for (id, before, expected) in [
        ("AKIADECLARED", "2020-01-01T00:00:00Z", 400),
        ("AKIADECLARED", earlier, 400),
        ("ASIA1", earlier, 200),
        ("ASIAUNKNOWN", earlier, 200),
        ("FOREIGN1", earlier, 200),
        ("AKIADECLARED", NOW, 200),
    ] {
        let (status, by_request) = api.send_json("POST", "/v1/revocations", dated(id, before)).await;
        assert_eq!(status, expected, "{id} {before}: {by_request}");
        let (status, by_event) = api.post_event(&event(id, before)).await;
        assert_eq!(status, expected, "{id} {before}: {by_event}");
        if expected == 400 {
            assert_eq!(by_request["error"]["path"], "issued_before");
            assert_eq!(by_event["error"]["path"], "data.issued_before");
        }
    }
    let batch = json!([issued("FOREIGN2", "reader"), event("FOREIGN2", earlier)]).to_string();
    let sent = api.send("POST", "/v1/events", "application/cloudevents-batch+json", batch.as_bytes()).await;
    assert_eq!(sent.0, 200, "{}", sent.1);
}

/// A revocation of an id that nothing is known of.
fn revoked(id: &str, time: UnixMillis, data: Value) -> Value {
    json!({
        "specversion": "1.0", "type": "session.revoked", "source": "/test", "id": id, "time": time.to_rfc3339(),
        "data": data,
    })
}

#[tokio::test]
async fn a_revocation_without_a_date_is_never_refused() {
    let api = Api::new();
    let (clock, now) = (api.admin.clock.clone(), api.admin.clock.now());
    for ahead in [-1, 0, 1, 50, MAX_AHEAD_MILLIS] {
        let event = revoked(&format!("{ahead}"), now.plus(ahead), json!({ "access_key_id": "AKIALEAKED" }));
        let (status, answer) = api.post_event(&event).await;
        assert_eq!(status, 200, "{ahead} ms ahead: {answer}");
        let dated = json!({ "access_key_id": "AKIALEAKED", "issued_before": NOW });
        let (status, answer) =
            api.post_event(&revoked(&format!("dated {ahead}"), now.plus(ahead), dated)).await;
        assert_eq!(status, 200, "of now, {ahead} ms ahead: {answer}");
    }
    // A session of an issuer whose clock was further ahead of this one than an event may be.
    clock.set(now.plus(2 * MAX_AHEAD_MILLIS));
    api.issue("ASIAAHEAD", "reader").await;
    clock.set(now);
    for body in [json!({ "access_key_id": "AKIALEAKED" }), json!({ "account": "111122223333" })] {
        let (status, answer) = api.send_json("POST", "/v1/revocations", body.clone()).await;
        assert_eq!(status, 200, "{body}: {answer}");
        let (status, answer) = api.post_event(&revoked(&body.to_string(), now, body.clone())).await;
        assert_eq!(status, 200, "{body}: {answer}");
    }
}

#[tokio::test]
async fn a_key_is_revoked_however_long_it_takes_to_find_the_time_for_it() {
    let clock = Clock::system();
    let api = Api::with(None, clock.clone());
    let ahead = clock.now().plus(MAX_AHEAD_MILLIS / 2);
    let sessions = (0..200).map(|n| {
        let mut event = issued(&format!("ASIA{n}"), "reader");
        event["data"]["issued_at"] = json!(ahead.to_rfc3339());
        event["data"]["expires_at"] = json!(ahead.plus(3_600_000).to_rfc3339());
        event
    });
    let batch = Value::from_iter(sessions).to_string();
    let sent = api.send("POST", "/v1/events", "application/cloudevents-batch+json", batch.as_bytes()).await;
    assert_eq!(sent.0, 200, "{}", sent.1);
    for n in 0..20 {
        let key = json!({ "access_key_id": format!("AKIALEAKED{n}") });
        let (status, answer) = api.send_json("POST", "/v1/revocations", key).await;
        assert_eq!(status, 200, "{answer}");
    }
}

#[tokio::test]
async fn an_access_key_lives_from_creation_to_deletion() {
    let api = Api::new();
    let creation = json!({ "user": "alice", "account": "123456789012" });
    let (status, created) = api.send_json("POST", "/v1/access-keys", creation).await;
    assert_eq!(status, 201);
    let id = created["access_key_id"].as_str().unwrap();
    let secret = created["secret_access_key"].as_str().unwrap();
    let record = api.admin.store.load(id).await.unwrap().unwrap();
    assert_eq!(record.credential().principal.arn, "arn:aws:iam::123456789012:user/alice");
    assert_eq!(record.credential().secret.expose_secret(), secret.as_bytes());

    let (_, listed) = api.get("/v1/access-keys").await;
    assert_eq!(listed["access_keys"][0]["status"], "Active");
    assert!(!listed.to_string().contains(secret));
    let path = format!("/v1/access-keys/{}", id.replace('A', "%41"));
    let (status, _) = api.send_json("PUT", &format!("{path}/status"), json!({ "status": "Inactive" })).await;
    assert_eq!(status, 200);
    assert_eq!(api.get("/v1/access-keys").await.1["access_keys"][0]["status"], "Inactive");
    assert_eq!(api.send("DELETE", &path, "", b"").await.0, 200);
    assert_eq!(api.get("/v1/access-keys").await.1, json!({ "access_keys": [] }));
    assert_eq!(api.send("DELETE", &path, "", b"").await.0, 404);
}

#[tokio::test]
async fn refuses_principals_that_are_none() {
    let api = Api::new();
    for (body, path) in [
        (json!({}), "user"),
        (json!({ "user": "alice" }), "account"),
        (json!({ "user": "a:b", "account": "123456789012" }), "user"),
        (json!({ "arn": "arn:aws:iam::123456789012:role/r" }), "arn"),
    ] {
        let (status, answer) = api.send_json("POST", "/v1/access-keys", body).await;
        assert_eq!((status, &answer["error"]["path"]), (400, &json!(path)), "{answer}");
    }
}

#[tokio::test]
async fn without_an_iam_directory_there_is_none_to_tell_of() {
    let (status, told) = Api::new().get("/v1/iam").await;
    assert_eq!((status, &told["configured"], &told["users"]), (200, &Value::Bool(false), &0.into()));
    assert_eq!(told["faults"], serde_json::json!([]));
}

#[tokio::test]
async fn a_key_speaks_for_the_user_that_is_declared() {
    let mut api = Api::new();
    let root = api._dir.path().join("iam");
    let alice = root.join("123456789012/users/alice");
    std::fs::create_dir_all(&alice).unwrap();
    std::fs::write(alice.join("user.toml"), "path = \"/team/\"\nid = \"AIDAOFALICE\"").unwrap();
    let (register, clock) = (root.with_extension("json"), api.admin.clock.clone());
    let identities = Identities::open(&root, &register, clock, &Metrics::new()).unwrap();
    Arc::get_mut(&mut api.admin).unwrap().identities = identities;
    for (body, arn, id) in [
        (json!({ "user": "alice", "account": "123456789012" }), "user/team/alice", Some("AIDAOFALICE")),
        (
            json!({ "user": "alice", "account": "123456789012", "user_id": "AIDAOTHER" }),
            "user/alice",
            Some("AIDAOTHER"),
        ),
        (json!({ "user": "bob", "account": "123456789012" }), "user/bob", None),
    ] {
        let (status, created) = api.send_json("POST", "/v1/access-keys", body).await;
        assert_eq!(status, 201, "{created}");
        assert_eq!(created["principal"]["arn"], format!("arn:aws:iam::123456789012:{arn}"));
        assert!(id.is_none_or(|id| created["principal"]["user_id"] == id), "{created}");
    }
}
