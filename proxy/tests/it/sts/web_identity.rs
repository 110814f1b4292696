//! Roles for whom an OpenID Connect provider vouches, with the tokens of the verifier's own table.

use std::sync::LazyLock;

use serde_json::{Value, json};
use sigv4::uri::encode_query;

use super::roles::{session_of, trusting};
use super::*;

static TOKENS: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../src/sts/oidc/vectors/tokens.json")).unwrap()
});

const PROVIDER: &str = r#"{"Federated":"arn:aws:iam::123456789012:oidc-provider/idp.example/realm"}"#;
const WEB: &str = r#""sts:AssumeRoleWithWebIdentity""#;
const EVERYTHING: &str = r#"["sts:AssumeRoleWithWebIdentity","sts:TagSession","sts:SetSourceIdentity"]"#;
const SETTINGS: &str = "url = \"https://idp.example/realm\"\nclient_ids = [\"sts.sigward.example\"]\n\
    jwks_file = \"idp.jwks\"\n";

fn token(name: &str) -> &'static str {
    let mut rows = TOKENS["tokens"].as_array().unwrap().iter();
    rows.find(|row| row["name"] == name).unwrap()["token"].as_str().unwrap()
}

fn form(token: &str, more: &str) -> String {
    let token = encode_query(token.as_bytes());
    format!(
        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleSessionName=app1&WebIdentityToken={token}\
         &RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Freader{more}"
    )
}

async fn with_trust(trust: &str) -> World {
    let keys = TOKENS["key_sets"]["all"].to_string();
    World::declared(&[
        ("oidc-providers/idp.toml", SETTINGS),
        ("oidc-providers/idp.jwks", &keys),
        ("users/alice/user.toml", ""),
        ("roles/reader/trust.json", trust),
        ("roles/reader/role.toml", "max_session_duration = 7200"),
    ])
    .await
}

#[tokio::test]
async fn a_token_becomes_a_session_of_the_role() {
    let world = with_trust(&trusting(PROVIDER, WEB, "")).await;
    let response = world.post_unsigned(&form(token("RS256 by key rsa"), "")).await;
    let session = Signatory::from_answer(&response);
    assert_eq!(element(&response, "SubjectFromWebIdentityToken"), "alice");
    assert_eq!(element(&response, "Audience"), "sts.sigward.example");
    let provider = "arn:aws:iam::123456789012:oidc-provider/idp.example/realm";
    assert_eq!(element(&response, "Provider"), provider);
    assert_eq!(element(&response, "Expiration"), "2026-01-02T04:04:05Z");
    for absent in ["PackedPolicySize", "SourceIdentity"] {
        assert!(!String::from_utf8_lossy(response.body()).contains(absent));
    }
    let identity = world.post(&session, IDENTITY).await;
    assert_eq!(element(&identity, "Arn"), "arn:aws:sts::123456789012:assumed-role/reader/app1");
    let kept = session_of(&world, &session).await;
    assert_eq!(kept.kind, SessionKind::WebIdentity);
    let federation = kept.federation.unwrap();
    assert_eq!(
        (federation.provider.as_str(), federation.issuer.as_str(), federation.subject.as_str()),
        (provider, "https://idp.example/realm", "alice")
    );
    assert_eq!((kept.parent_access_key_id, kept.lineage.len()), (None, 0));
}

#[tokio::test]
async fn the_audit_trail_names_whom_the_provider_vouches_for_and_holds_no_token() {
    let world = with_trust(&trusting(PROVIDER, WEB, "")).await;
    world.audited().await;
    world.post_unsigned(&form(token("RS256 by key rsa"), "")).await;
    world.post_unsigned(&form("short.of.a-token", "&DurationSeconds=1")).await;
    let records = world.audited().await;
    let [issued, refused] = &records[..] else { panic!("{records:?}") };
    assert_eq!(
        issued["userIdentity"],
        json!({
            "type": "WebIdentityUser", "userName": "alice", "identityProvider": "https://idp.example/realm",
            "principalId": "arn:aws:iam::123456789012:oidc-provider/idp.example/realm:sts.sigward.example:alice",
        })
    );
    assert_eq!(
        issued["responseElements"]["assumedRoleUser"]["arn"],
        "arn:aws:sts::123456789012:assumed-role/reader/app1"
    );
    assert_eq!(
        (&refused["errorCode"], &refused["userIdentity"]["type"]),
        (&json!("ValidationError"), &json!("Unknown"))
    );
    let whole = json!(records).to_string();
    for secret in [token("RS256 by key rsa"), "short.of.a-token"] {
        assert!(!whole.contains(secret), "{whole}");
    }
}

#[tokio::test]
async fn a_signature_that_happens_to_be_there_is_not_looked_at() {
    let world = with_trust(&trusting(PROVIDER, WEB, "")).await;
    let form = form(token("ES256"), "");
    let stranger = Signatory::long_term("AKIASTRANGER");
    assert_eq!(world.post(&stranger, &form).await.status(), 200);
}

#[tokio::test]
async fn tags_and_source_identity_are_the_tokens() {
    let world = with_trust(&trusting(PROVIDER, EVERYTHING, "")).await;
    let passed = "&Tags.member.1.Key=Project&Tags.member.1.Value=mine&SourceIdentity=root";
    let response = world.post_unsigned(&form(token("a session with everything"), passed)).await;
    assert_eq!(element(&response, "SourceIdentity"), "alice");
    assert_ne!(element(&response, "PackedPolicySize"), "");
    let session = session_of(&world, &Signatory::from_answer(&response)).await;
    let tags = [("Cost", "7"), ("Project", "x")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(session.tags, tags.into());
    assert_eq!(session.transitive_tag_keys, ["Cost".to_owned()].into());
    assert_eq!(session.source_identity.as_deref(), Some("alice"));
}

#[tokio::test]
async fn each_permission_is_asked_for_apart() {
    let not = |action: &str| (403, "AccessDenied".to_owned(), format!("Not authorized to perform {action}"));
    for (actions, token, missing) in [
        (r#""sts:AssumeRole""#, "ES256", Some("sts:AssumeRoleWithWebIdentity")),
        (WEB, "a session with tags", Some("sts:TagSession")),
        (WEB, "a session with a source identity", Some("sts:SetSourceIdentity")),
        (EVERYTHING, "a session with tags", None),
        (EVERYTHING, "a session with a source identity", None),
    ] {
        let world = with_trust(&trusting(PROVIDER, actions, "")).await;
        let response = world.post_unsigned(&form(self::token(token), "")).await;
        match missing {
            None => assert_eq!(response.status(), 200, "{actions} {token}"),
            Some(action) => assert_eq!(error(&response), not(action), "{actions} {token}"),
        }
    }
}

/// Every key that a trust policy may ask about, each with a value that the token has and one that it has not.
#[tokio::test]
async fn trust_policies_ask_about_the_token() {
    for (operator, key, good, bad) in [
        ("StringEquals", "idp.example/realm:sub", "alice", "bob"),
        ("StringLike", "IDP.example/realm:SUB", "al*", "b*"),
        ("StringEquals", "idp.example/realm:aud", "sts.sigward.example", "other"),
        ("StringEquals", "idp.example/realm:team", "red", "blue"),
        ("NumericEquals", "idp.example/realm:iat", "1767323035", "1"),
        ("StringEquals", "aws:RequestTag/Project", "x", "y"),
        ("StringEquals", "sts:SourceIdentity", "alice", "bob"),
        ("StringEquals", "sts:RoleSessionName", "app1", "app2"),
        ("ForAnyValue:StringEquals", "sts:TransitiveTagKeys", "Cost", "Project"),
        (
            "StringEquals",
            "aws:FederatedProvider",
            "arn:aws:iam::123456789012:oidc-provider/idp.example/realm",
            "arn:aws:iam::123456789012:oidc-provider/other",
        ),
        ("Null", "aws:PrincipalArn", "true", "false"),
        ("Null", "idp.example/other:sub", "true", "false"),
    ] {
        for (value, status) in [(good, 200), (bad, 403)] {
            let condition = format!(r#","Condition":{{"{operator}":{{"{key}":"{value}"}}}}"#);
            let world = with_trust(&trusting(PROVIDER, EVERYTHING, &condition)).await;
            let response = world.post_unsigned(&form(token("a session with everything"), "")).await;
            assert_eq!(response.status(), status, "{condition}");
        }
    }
}

#[tokio::test]
async fn only_the_provider_that_is_named_is_trusted() {
    let elsewhere = r#"{"Federated":"arn:aws:iam::999999999999:oidc-provider/idp.example/realm"}"#;
    let other = r#"{"Federated":"arn:aws:iam::123456789012:oidc-provider/idp.example"}"#;
    let account = r#"{"AWS":"123456789012"}"#;
    for principal in [elsewhere, other, account, r#"{"Federated":"idp.example/realm"}"#] {
        let world = with_trust(&trusting(principal, WEB, "")).await;
        let response = world.post_unsigned(&form(token("ES256"), "")).await;
        assert_eq!(code(&response), refused(403, "AccessDenied"), "{principal}");
    }
}

#[tokio::test]
async fn tokens_are_refused_as_aws_refuses_them() {
    let world = with_trust(&trusting(PROVIDER, EVERYTHING, "")).await;
    let not_a_jwt =
        "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)";
    let no_key = "Couldn't retrieve verification key from your identity provider,  please reference \
        AssumeRoleWithWebIdentity documentation for requirements";
    for (name, code, message) in [
        ("none without a signature", "InvalidIdentityToken", not_a_jwt),
        ("HS256 with the public key's PEM", "InvalidIdentityToken", not_a_jwt),
        ("a name twice in the claims", "InvalidIdentityToken", not_a_jwt),
        ("RS512 by a key for RS256", "InvalidIdentityToken", "Couldn't verify signed token."),
        ("another key's signature", "InvalidIdentityToken", "Couldn't verify signed token."),
        ("an unknown key id", "InvalidIdentityToken", no_key),
        ("another audience", "InvalidIdentityToken", "Incorrect token audience"),
        ("no sub", "InvalidIdentityToken", "Missing a required claim: sub"),
        (
            "issuer 'https://idp.example'",
            "InvalidIdentityToken",
            "No OpenIDConnect provider found in your account for https://idp.example",
        ),
        (
            "expires now",
            "ExpiredTokenException",
            "Token expired: current date/time 1767323045 must be before the expiration date/time 1767323045",
        ),
        (
            "a tag twice",
            "InvalidParameterValue",
            "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
        ),
        (
            "a transitive tag that is not there",
            "InvalidParameterValue",
            "The specified transitive tag key must be included in the requested tags.",
        ),
    ] {
        let response = world.post_unsigned(&form(token(name), "")).await;
        assert_eq!(error(&response), (400, code.to_owned(), message.to_owned()), "{name}");
        assert_eq!(element(&response, "Type"), "Sender");
    }
    for name in ["a source identity of other letters", "a tag of other letters", "too many tags"] {
        let response = world.post_unsigned(&form(token(name), "")).await;
        assert_eq!(code(&response), refused(400, "ValidationError"), "{name}");
    }
    assert_eq!(world.post_unsigned(&form(token("a reserved tag"), "")).await.status(), 400);
}

#[tokio::test]
async fn parameters_are_refused_as_aws_refuses_them() {
    let world = with_trust(&trusting(PROVIDER, WEB, "")).await;
    let good = token("ES256");
    let huge = "x".repeat(20_001);
    let role = "arn:aws:iam::123456789012:role";
    for (parameters, status, code, says) in [
        (form("abc", ""), 400, "ValidationError", "'webIdentityToken' failed to satisfy constraint"),
        (form(&huge, ""), 400, "ValidationError", "have length less than or equal to 20000"),
        (form(good, "&DurationSeconds=899"), 400, "ValidationError", "greater than or equal to 900"),
        (form(good, "&DurationSeconds=7201"), 400, "ValidationError", "MaxSessionDuration set for this role"),
        (form(good, "&Policy=%7B%7D"), 400, "MalformedPolicyDocument", ""),
        (form(good, "&ProviderId=www.amazon.com"), 403, "IDPRejectedClaim", "www.amazon.com"),
        (form(good, "").replace("app1", "a%3A1"), 400, "ValidationError", "roleSessionName"),
        (form(good, "").replace("RoleSessionName", "X"), 400, "ValidationError", "roleSessionName"),
        (form(good, "").replace("WebIdentityToken=", "X="), 400, "ValidationError", "webIdentityToken"),
        (form(good, "").replace("reader", "writer"), 403, "AccessDenied", "Not authorized to perform"),
        (
            form(good, "").replace("123456789012", "999999999999"),
            400,
            "InvalidIdentityToken",
            "No OpenIDConnect provider found in your account for https://idp.example/realm",
        ),
        (form(good, "").replace("%3Arole%2F", "%3Auser%2F"), 400, "ValidationError", "is invalid"),
        (
            form(good, "").replace("arn%3Aaws%3Aiam", &encode_query(role.as_bytes())),
            400,
            "ValidationError",
            "",
        ),
    ] {
        let response = world.post_unsigned(&parameters).await;
        let (found_status, found_code, message) = error(&response);
        assert_eq!((found_status, found_code.as_str()), (status, code), "{message}");
        assert!(message.contains(says), "{message}");
        assert!(!message.contains(good) && !message.contains(&huge), "the token is repeated");
    }
}

#[tokio::test]
async fn without_a_directory_there_is_no_provider() {
    let response = World::new().await.post_unsigned(&form(token("ES256"), "")).await;
    assert_eq!(code(&response), refused(400, "InvalidIdentityToken"));
}

#[tokio::test]
async fn what_is_signed_for_elsewhere_still_needs_a_signature() {
    let world = with_trust(&trusting(PROVIDER, WEB, "")).await;
    for action in
        ["AssumeRole", "GetSessionToken", "GetFederationToken", "GetCallerIdentity", "GetAccessKeyInfo"]
    {
        let form = form(token("ES256"), "").replace("AssumeRoleWithWebIdentity", action);
        assert_eq!(
            code(&world.post_unsigned(&form).await),
            refused(403, "MissingAuthenticationToken"),
            "{action}"
        );
    }
}
