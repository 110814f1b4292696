//! Tokens against key sets (`vectors/`), claims, and keys that come over the network.

use std::sync::{Arc, Mutex};

use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::claims::Claims;
use super::jwks::KeySet;
use super::keys::{FRESH, PATIENCE, REST, STALE};
use super::*;
use crate::iam::directory::OidcKeys;

const NOW: i64 = 1_767_323_045;
const ISSUER: &str = "https://idp.example/realm";
const CLIENT: &str = "sts.sigward.example";

fn vectors() -> Value {
    serde_json::from_str(include_str!("vectors/tokens.json")).unwrap()
}

fn provider(keys: OidcKeys) -> OidcProvider {
    OidcProvider {
        arn: "arn:aws:iam::123456789012:oidc-provider/idp.example/realm".to_owned(),
        account: "123456789012".to_owned(),
        url: ISSUER.to_owned(),
        client_ids: vec!["another.example".to_owned(), CLIENT.to_owned()],
        ca: None,
        keys,
    }
}

fn document(text: &str) -> OidcKeys {
    OidcKeys::Document(text.as_bytes().into())
}

fn seconds(seconds: i64) -> UnixMillis {
    UnixMillis(seconds * 1000)
}

/// Of a verdict, the word that the table uses.
fn word(verdict: &Result<WebIdentity, TokenError>) -> &'static str {
    match verdict {
        Ok(_) => "accepted",
        Err(TokenError::Malformed(_)) => "Malformed",
        Err(TokenError::Missing(_)) => "Missing",
        Err(TokenError::Claim(_)) => "Claim",
        Err(TokenError::UnknownProvider(_)) => "UnknownProvider",
        Err(TokenError::UnknownKey) => "UnknownKey",
        Err(TokenError::Algorithm) => "Algorithm",
        Err(TokenError::Signature) => "Signature",
        Err(TokenError::Expired { .. }) => "Expired",
        Err(TokenError::NotYet { .. }) => "NotYet",
        Err(TokenError::Audience) => "Audience",
        Err(TokenError::Unreachable(_)) => "Unreachable",
    }
}

async fn verify(
    verifier: &WebIdentityVerifier,
    provider: &OidcProvider,
    token: &str,
    now: UnixMillis,
) -> Result<WebIdentity, TokenError> {
    let declared = |issuer: &str| (issuer == provider.url).then_some(provider);
    verifier.verify(token, declared, now).await
}

#[tokio::test]
async fn every_token_of_the_table_gets_its_verdict() {
    let vectors = vectors();
    assert_eq!((vectors["now"].as_i64(), vectors["issuer"].as_str()), (Some(NOW), Some(ISSUER)));
    let verifier = WebIdentityVerifier::new(&Metrics::new());
    let rows = vectors["tokens"].as_array().unwrap();
    assert!(rows.len() >= 190);
    let mut wrong = Vec::new();
    for row in rows {
        let [name, keys, token] = ["name", "keys", "token"].map(|field| row[field].as_str().unwrap());
        let provider = provider(document(&vectors["key_sets"][keys].to_string()));
        let verdict = verify(&verifier, &provider, token, seconds(NOW)).await;
        if row["verdict"] != word(&verdict) {
            wrong.push(format!("{name}: {} expected, {verdict:?}", row["verdict"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Of an ECDSA signature another letter may spell the same bits only where the encoding has bits to spare, and such an
/// encoding is not read.
#[tokio::test]
async fn no_other_letter_anywhere_is_accepted() {
    let keys = document(&vectors()["key_sets"]["all"].to_string());
    let (provider, verifier) = (provider(keys), WebIdentityVerifier::new(&Metrics::new()));
    for name in ["ES256", "RS256 by key rsa"] {
        let token = token(name);
        assert_eq!(word(&verify(&verifier, &provider, &token, seconds(NOW)).await), "accepted");
        for at in 0..token.len() {
            for letter in ["A", "-", ""] {
                let changed = format!("{}{letter}{}", &token[..at], &token[at + 1..]);
                let verdict = verify(&verifier, &provider, &changed, seconds(NOW)).await;
                assert!(changed == token || verdict.is_err(), "{name}: {letter:?} at {at}");
            }
        }
    }
}

#[test]
fn refusals_are_those_of_aws() {
    let text = |error: TokenError| {
        let fault = crate::fault::Fault::from(error);
        assert_eq!(fault.status, 400);
        (fault.code, fault.message.into_owned())
    };
    let invalid = |message: &str| ("InvalidIdentityToken", message.to_owned());
    assert_eq!(
        text(TokenError::UnknownProvider("https://idp.example".to_owned())),
        invalid("No OpenIDConnect provider found in your account for https://idp.example")
    );
    assert_eq!(text(TokenError::Audience), invalid("Incorrect token audience"));
    assert_eq!(text(TokenError::Missing("sub")), invalid("Missing a required claim: sub"));
    assert_eq!(
        text(TokenError::Malformed("a reason for the log")),
        invalid(
            "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"
        )
    );
    assert_eq!(
        text(TokenError::UnknownKey),
        invalid(
            "Couldn't retrieve verification key from your identity provider,  please reference \
             AssumeRoleWithWebIdentity documentation for requirements"
        )
    );
    assert_eq!(
        text(TokenError::Expired { now: 1_731_098_245, expires: 1_731_095_240 }),
        (
            "ExpiredTokenException",
            "Token expired: current date/time 1731098245 must be before the expiration date/time 1731095240"
                .to_owned()
        )
    );
    assert_eq!(text(TokenError::Unreachable(fetch::FetchError::Timeout)).0, "IDPCommunicationError");
}

/// What a token with these claims beside the usual ones says.
fn identity(more: Value) -> Result<WebIdentity, TokenError> {
    let mut claims = json!({ "iss": ISSUER, "sub": "alice", "aud": CLIENT, "iat": NOW, "exp": NOW + 300 });
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let claims: &Map<String, Value> = claims.as_object().unwrap();
    Claims(claims).accept(&provider(OidcKeys::Discovered), seconds(NOW))
}

/// The values of one condition key.
fn key(identity: &WebIdentity, name: &str) -> Option<Vec<String>> {
    let mut found = identity.condition_keys.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
    let values = found.next().map(|(_, values)| values.clone());
    assert!(found.next().is_none(), "{name} is there twice");
    values
}

#[test]
fn subject_audience_and_condition_keys_are_the_tokens() {
    let alice = identity(json!({ "amr": ["pwd", "otp"], "email": "a@example.com", "email_verified": true,
        "level": 3, "groups": ["dev", "ops"], "kubernetes.io": {"namespace": "x"}, "nothing": null }))
    .unwrap();
    assert_eq!(
        (alice.issuer.as_str(), alice.subject.as_str(), alice.audience.as_str()),
        (ISSUER, "alice", CLIENT)
    );
    for (name, values) in [
        ("idp.example/realm:sub", Some(vec!["alice"])),
        ("idp.example/realm:aud", Some(vec![CLIENT])),
        ("idp.example/realm:amr", Some(vec!["pwd", "otp"])),
        ("idp.example/realm:email", Some(vec!["a@example.com"])),
        ("idp.example/realm:email_verified", Some(vec!["true"])),
        ("idp.example/realm:level", Some(vec!["3"])),
        ("idp.example/realm:groups", Some(vec!["dev", "ops"])),
        ("idp.example/realm:kubernetes.io", None),
        ("idp.example/realm:nothing", None),
        ("idp.example/realm:oaud", None),
        ("idp.example/realm:azp", None),
        ("idp.example/realm:iss", None),
    ] {
        let values = values.map(|values| values.into_iter().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(key(&alice, name), values, "{name}");
    }
}

#[test]
fn the_party_a_token_was_issued_to_stands_for_its_audience() {
    let alice = identity(json!({ "aud": ["web", "app"], "azp": CLIENT })).unwrap();
    assert_eq!(alice.audience, CLIENT);
    assert_eq!(key(&alice, "idp.example/realm:aud"), Some(vec![CLIENT.to_owned()]));
    assert_eq!(key(&alice, "idp.example/realm:azp"), Some(vec![CLIENT.to_owned()]));
    assert_eq!(key(&alice, "idp.example/realm:oaud"), Some(vec!["web".to_owned(), "app".to_owned()]));
}

#[test]
fn of_several_audiences_those_count_that_are_meant_here() {
    for (audiences, meant) in [
        (&["web", CLIENT][..], &[CLIENT][..]),
        (&["another.example", "web", CLIENT], &["another.example", CLIENT]),
    ] {
        let alice = identity(json!({ "aud": audiences })).unwrap();
        assert_eq!(alice.audience, meant[0]);
        let meant: Vec<String> = meant.iter().map(|audience| (*audience).to_owned()).collect();
        assert_eq!(key(&alice, "idp.example/realm:aud"), Some(meant));
    }
}

#[test]
fn no_claim_can_be_spelled_to_pass_for_another() {
    let alice =
        identity(json!({ "SUB": "root", "Aud": "x", "oaud": "x", "AMR": ["mfa"], "Team": "a", "team": "b",
        "8443:sub": "root", "x:sub": "root", "": "x" }))
        .unwrap();
    let names: Vec<&str> = alice.condition_keys.iter().map(|(name, _)| name.as_str()).collect();
    // `exp` and `iat` are numbers like any other.
    let provider = "idp.example/realm";
    let expected = ["sub", "aud", "exp", "iat"].map(|claim| format!("{provider}:{claim}"));
    assert_eq!(names, expected);
    assert_eq!(key(&alice, "idp.example/realm:sub"), Some(vec!["alice".to_owned()]));
}

#[test]
fn tags_are_read_nested_and_flattened() {
    let tags = [("Cost", "7"), ("Project", "x")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    for claims in [
        json!({ "https://aws.amazon.com/tags":
            { "principal_tags": { "Project": ["x"], "Cost": ["7"] }, "transitive_tag_keys": ["Cost"] } }),
        json!({ "https://aws.amazon.com/tags/principal_tags/Project": "x",
            "https://aws.amazon.com/tags/principal_tags/Cost": ["7"],
            "https://aws.amazon.com/tags/transitive_tag_keys": "Cost" }),
    ] {
        let alice = identity(claims).unwrap();
        assert_eq!(alice.tags, tags);
        assert_eq!(alice.transitive_tag_keys, ["Cost"]);
    }
    let alice = identity(json!({ "https://aws.amazon.com/source_identity": "alice@example.com" })).unwrap();
    assert_eq!(alice.source_identity.as_deref(), Some("alice@example.com"));
    assert_eq!((alice.tags, alice.transitive_tag_keys), (Vec::new(), Vec::new()));
}

#[test]
fn a_key_set_is_an_object_with_an_array_of_keys() {
    for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#, "<html>"] {
        assert!(KeySet::parse(text.as_bytes()).is_err(), "{text}");
    }
    let passed_over =
        r#"{"keys":[1,{},{"kty":"RSA"},{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}],"more":1}"#;
    assert_eq!(KeySet::parse(passed_over.as_bytes()).unwrap(), KeySet::default());
}

/// A provider on loopback that answers every request with what it is told to.
struct Idp {
    url: String,
    script: Arc<Mutex<Script>>,
}

#[derive(Default)]
struct Script {
    answer: String,
    asked: Vec<String>,
}

impl Idp {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let script = Arc::new(Mutex::new(Script::default()));
        let shared = Arc::clone(&script);
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                let mut head = vec![0; 8192];
                let length = connection.read(&mut head).await.unwrap();
                let line =
                    String::from_utf8_lossy(&head[..length]).lines().next().unwrap_or_default().to_owned();
                let answer = {
                    let mut script = shared.lock().unwrap();
                    script.asked.push(line);
                    script.answer.clone()
                };
                // The client may have seen enough and gone.
                let _ = connection.write_all(answer.as_bytes()).await;
            }
        });
        Self { url, script }
    }

    fn answer(&self, status: &str, body: &str) {
        let length = body.len();
        let answer =
            format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
        self.script.lock().unwrap().answer = answer;
    }

    fn publish(&self, key_set: &str) {
        self.answer("200 OK", &vectors()["key_sets"][key_set].to_string());
    }

    fn asked(&self) -> usize {
        self.script.lock().unwrap().asked.len()
    }

    fn provider(&self) -> OidcProvider {
        provider(OidcKeys::Url(self.url.clone()))
    }
}

/// A token of the table that lasts.
fn token(name: &str) -> String {
    let vectors = vectors();
    let mut rows = vectors["tokens"].as_array().unwrap().iter();
    rows.find(|row| row["name"] == name).unwrap()["token"].as_str().unwrap().to_owned()
}

const LASTING: &str = "never expires";

#[tokio::test]
async fn keys_are_fetched_once_while_they_are_fresh() {
    let (idp, verifier) = (Idp::start().await, WebIdentityVerifier::new(&Metrics::new()));
    idp.publish("all");
    let (provider, token) = (idp.provider(), token(LASTING));
    let many = (0..8).map(|_| verify(&verifier, &provider, &token, seconds(NOW)));
    let mut verdicts = Vec::new();
    let mut pending: Vec<_> = many.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        pending.retain_mut(|verdict| match verdict.as_mut().poll(context) {
            std::task::Poll::Ready(verdict) => {
                verdicts.push(word(&verdict));
                false
            }
            std::task::Poll::Pending => true,
        });
        if pending.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    assert_eq!((verdicts, idp.asked()), (vec!["accepted"; 8], 1));
    let fresh = FRESH.as_secs().cast_signed();
    for (now, asked) in [(NOW + fresh - 1, 1), (NOW + fresh, 2), (NOW + fresh + 1, 2)] {
        assert_eq!(word(&verify(&verifier, &provider, &token, seconds(now)).await), "accepted");
        assert_eq!(idp.asked(), asked);
    }
}

#[tokio::test]
async fn a_new_key_is_found_and_an_unknown_one_not_searched_for_at_will() {
    let (idp, verifier) = (Idp::start().await, WebIdentityVerifier::new(&Metrics::new()));
    let (provider, token) = (idp.provider(), token(LASTING));
    let verdict = async |now| word(&verify(&verifier, &provider, &token, seconds(now)).await);
    idp.publish("none");
    assert_eq!((verdict(NOW).await, idp.asked()), ("UnknownKey", 1));
    idp.publish("all");
    let patience = PATIENCE.as_secs().cast_signed();
    assert_eq!((verdict(NOW + patience - 1).await, idp.asked()), ("UnknownKey", 1));
    assert_eq!((verdict(NOW + patience).await, idp.asked()), ("accepted", 2));
    // The key is withdrawn: it works until the keys are fetched again, and not a moment longer.
    idp.publish("none");
    let again = NOW + patience + FRESH.as_secs().cast_signed();
    assert_eq!((verdict(again - 1).await, idp.asked()), ("accepted", 2));
    assert_eq!((verdict(again).await, idp.asked()), ("UnknownKey", 3));
}

#[tokio::test]
async fn stale_keys_serve_for_a_time_while_the_provider_is_out_of_reach() {
    let metrics = Metrics::new();
    let (idp, verifier) = (Idp::start().await, WebIdentityVerifier::new(&metrics));
    let (provider, token) = (idp.provider(), token(LASTING));
    let verdict = async |now| word(&verify(&verifier, &provider, &token, seconds(now)).await);
    let [fresh, stale, rest] = [FRESH, STALE, REST].map(|time| time.as_secs().cast_signed());
    idp.answer("503 Service Unavailable", "");
    assert_eq!((verdict(NOW).await, idp.asked()), ("Unreachable", 1));
    assert_eq!((verdict(NOW + rest - 1).await, idp.asked()), ("Unreachable", 1));
    idp.publish("all");
    let begun = NOW + rest;
    assert_eq!((verdict(begun).await, idp.asked()), ("accepted", 2));
    idp.answer("503 Service Unavailable", "");
    assert_eq!((verdict(begun + fresh).await, idp.asked()), ("accepted", 3));
    assert_eq!((verdict(begun + fresh + 1).await, idp.asked()), ("accepted", 3));
    assert_eq!((verdict(begun + stale - 1).await, idp.asked()), ("accepted", 4));
    assert_eq!((verdict(begun + stale + rest).await, idp.asked()), ("Unreachable", 5));
    let text = String::from_utf8(metrics.render()).unwrap();
    for line in [
        "sigward_oidc_fetches_total{outcome=\"ok\"} 1",
        "sigward_oidc_fetches_total{outcome=\"failed\"} 4",
        "sigward_oidc_stale_keys_used_total 3",
        &format!("sigward_oidc_keys_fetched_timestamp_seconds{{provider=\"idp.example/realm\"}} {begun}"),
    ] {
        assert!(text.lines().any(|found| found == line), "{line}");
    }
}

#[tokio::test]
async fn documents_that_are_redirected_too_large_or_foreign_are_not_taken() {
    let large = format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(256 << 10));
    for (status, body) in [
        ("302 Found\r\nlocation: /keys", "{\"keys\":[]}"),
        ("204 No Content", ""),
        ("404 Not Found", "{\"keys\":[]}"),
        ("200 OK", &large),
        ("200 OK", "<html></html>"),
        ("200 OK", ""),
    ] {
        let (idp, verifier) = (Idp::start().await, WebIdentityVerifier::new(&Metrics::new()));
        idp.answer(status, body);
        let verdict = verify(&verifier, &idp.provider(), &token(LASTING), seconds(NOW)).await;
        assert_eq!((word(&verdict), idp.asked()), ("Unreachable", 1), "{status}");
    }
    let verifier = WebIdentityVerifier::new(&Metrics::new());
    let nonsense = provider(document("<html>"));
    assert_eq!(word(&verify(&verifier, &nonsense, &token(LASTING), seconds(NOW)).await), "Unreachable");
}

#[tokio::test]
async fn nothing_is_fetched_for_an_issuer_nobody_declared() {
    let (idp, verifier) = (Idp::start().await, WebIdentityVerifier::new(&Metrics::new()));
    let provider = idp.provider();
    for name in
        ["issuer 'https://idp.example'", "issuer 'http://idp.example/realm'", "two parts", "alg 'none'"]
    {
        assert!(verify(&verifier, &provider, &token(name), seconds(NOW)).await.is_err());
    }
    let any = |_: &str| Some(&provider);
    let name = token("issuer 'https://idp.example'");
    let refused = verifier.verify(&name, any, seconds(NOW)).await;
    assert!(matches!(refused, Err(TokenError::UnknownProvider(_))));
    assert_eq!(idp.asked(), 0);
}
