//! Roles for whom a SAML provider vouches, with the responses of the verifier's own corpus.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sigv4::uri::encode_query;

use super::roles::{session_of, trusting};
use super::*;

const METADATA: &str = include_str!("../../data/saml/metadata/default.xml");
const PROVIDER: &str = r#"{"Federated":"arn:aws:iam::123456789012:saml-provider/example"}"#;
const SAML: &str = r#""sts:AssumeRoleWithSAML""#;
const EVERYTHING: &str = r#"["sts:AssumeRoleWithSAML","sts:TagSession","sts:SetSourceIdentity"]"#;
const UNIQUE: &str = "f2JuVJpVMnDKkBm91M1avtpLqxM=";

fn response(file: &str) -> String {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/saml/responses");
    STANDARD.encode(std::fs::read(corpus.join(format!("{file}.xml"))).unwrap())
}

fn form(assertion: &str, more: &str) -> String {
    let assertion = encode_query(assertion.as_bytes());
    format!(
        "Action=AssumeRoleWithSAML&Version=2011-06-15&SAMLAssertion={assertion}\
         &PrincipalArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Asaml-provider%2Fexample\
         &RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Freader{more}"
    )
}

async fn with_trust(trust: &str) -> World {
    World::declared(&[
        ("saml-providers/example.xml", METADATA),
        ("saml-providers/other.xml", METADATA),
        ("users/alice/user.toml", ""),
        ("roles/reader/trust.json", trust),
        ("roles/writer/trust.json", trust),
        ("roles/reader/role.toml", "max_session_duration = 7200"),
    ])
    .await
}

#[tokio::test]
async fn an_assertion_becomes_a_session_of_the_role() {
    let world = with_trust(&trusting(PROVIDER, SAML, "")).await;
    let response = world.post_unsigned(&form(&response("signed-response"), "")).await;
    let session = Signatory::from_answer(&response);
    let body = String::from_utf8_lossy(response.body());
    let (_, after) = body.split_once("</AssumedRoleUser>").unwrap();
    let expected = format!(
        "<Subject>alice</Subject><SubjectType>persistent</SubjectType>\
         <Issuer>https://idp.example/metadata</Issuer><Audience>https://signin.aws.amazon.com/saml</Audience>\
         <NameQualifier>{UNIQUE}</NameQualifier></AssumeRoleWithSAMLResult>"
    );
    assert!(after.starts_with(&expected), "{after}");
    assert_eq!(element(&response, "Expiration"), "2026-01-02T04:04:05Z");
    let identity = world.post(&session, IDENTITY).await;
    assert_eq!(element(&identity, "Arn"), "arn:aws:sts::123456789012:assumed-role/reader/alice@example.com");
    let kept = session_of(&world, &session).await;
    assert_eq!(kept.kind, SessionKind::Saml);
    let federation = kept.federation.unwrap();
    assert_eq!(
        (federation.provider.as_str(), federation.issuer.as_str(), federation.subject.as_str()),
        ("arn:aws:iam::123456789012:saml-provider/example", "https://idp.example/metadata", "alice")
    );
    assert_eq!(federation.audience, "https://signin.aws.amazon.com/saml");
    let saml = federation.saml.unwrap();
    assert_eq!((saml.name_qualifier.as_str(), saml.subject_type.as_str()), (UNIQUE, "persistent"));
    assert_eq!((kept.parent_access_key_id, kept.lineage.len()), (None, 0));
}

#[tokio::test]
async fn the_audit_trail_names_whom_the_provider_vouches_for_and_holds_no_assertion() {
    let world = with_trust(&trusting(PROVIDER, SAML, "")).await;
    world.audited().await;
    let assertion = response("signed-response");
    let issued = world.post_unsigned(&form(&assertion, "")).await;
    world.post_unsigned(&form("bm90IFhNTA", "")).await;
    let records = world.audited().await;
    let [record, refused] = &records[..] else { panic!("{records:?}") };
    let who = &record["userIdentity"];
    assert_eq!((&who["type"], &who["userName"]), (&"SAMLUser".into(), &"alice".into()));
    assert_eq!(who["principalId"], format!("{UNIQUE}:alice"));
    assert_eq!(record["responseElements"]["subjectType"], "persistent");
    assert_eq!(record["responseElements"]["credentials"]["accessKeyId"], element(&issued, "AccessKeyId"));
    assert_eq!(refused["userIdentity"]["type"], "Unknown");
    assert!(refused["errorCode"].is_string());
    let whole = format!("{records:?}");
    for secret in
        [&*assertion, "bm90IFhNTA", &element(&issued, "SessionToken"), &element(&issued, "SecretAccessKey")]
    {
        assert!(!whole.contains(secret), "{whole}");
    }
}

#[tokio::test]
async fn tags_source_identity_and_duration_are_the_assertions() {
    let world = with_trust(&trusting(PROVIDER, EVERYTHING, "")).await;
    let passed =
        "&Tags.member.1.Key=Project&Tags.member.1.Value=mine&SourceIdentity=root&RoleSessionName=root";
    let response =
        world.post_unsigned(&form(&response("tags"), &format!("{passed}&DurationSeconds=7200"))).await;
    assert_eq!(element(&response, "SourceIdentity"), "Diego");
    assert_eq!(element(&response, "Expiration"), "2026-01-02T03:34:05Z", "SessionDuration shortens");
    let session = session_of(&world, &Signatory::from_answer(&response)).await;
    let tags = [("Cost Center", "12345"), ("Project", "Marketing")];
    assert_eq!(session.tags, tags.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    assert_eq!(session.transitive_tag_keys.len(), 2);
    assert_eq!(session.source_identity.as_deref(), Some("Diego"));
    assert_eq!(session.name.as_deref(), Some("alice@example.com"));
}

#[tokio::test]
async fn a_session_does_not_outlive_the_one_at_the_provider() {
    let world = with_trust(&trusting(PROVIDER, SAML, "")).await;
    // It ends at 04:04:05.250, which is 3,599.572 seconds from now.
    let response = world.post_unsigned(&form(&response("session-end"), "&DurationSeconds=7200")).await;
    assert_eq!(element(&response, "Expiration"), "2026-01-02T04:04:04Z");
}

#[tokio::test]
async fn each_permission_is_asked_for_apart() {
    let not = |action: &str| (403, "AccessDenied".to_owned(), format!("Not authorized to perform {action}"));
    for (actions, missing) in [
        (r#""sts:AssumeRole""#, Some("sts:AssumeRoleWithSAML")),
        (r#"["sts:AssumeRoleWithSAML","sts:SetSourceIdentity"]"#, Some("sts:TagSession")),
        (r#"["sts:AssumeRoleWithSAML","sts:TagSession"]"#, Some("sts:SetSourceIdentity")),
        (EVERYTHING, None),
    ] {
        let world = with_trust(&trusting(PROVIDER, actions, "")).await;
        let response = world.post_unsigned(&form(&response("tags"), "")).await;
        match missing {
            None => assert_eq!(response.status(), 200, "{actions}"),
            Some(action) => assert_eq!(error(&response), not(action), "{actions}"),
        }
    }
}

/// Every key that a trust policy may ask about, each with a value that the assertion has and one that it has not.
#[tokio::test]
async fn trust_policies_ask_about_the_assertion() {
    for (operator, key, good, bad) in [
        ("StringEquals", "SAML:aud", "https://signin.aws.amazon.com/saml", "urn:amazon:webservices"),
        ("StringLike", "saml:ISS", "https://idp.example/*", "https://other.example/*"),
        ("StringEquals", "saml:sub", "alice", "bob"),
        ("StringEquals", "saml:sub_type", "persistent", "transient"),
        ("StringEquals", "saml:namequalifier", UNIQUE, "other"),
        ("StringEquals", "saml:doc", "123456789012/example", "123456789012/other"),
        ("StringEquals", "aws:RequestTag/Project", "Marketing", "Sales"),
        ("ForAnyValue:StringEquals", "sts:TransitiveTagKeys", "Project", "Team"),
        ("StringEquals", "sts:SourceIdentity", "Diego", "alice"),
        ("StringEquals", "sts:RoleSessionName", "alice@example.com", "Diego"),
        (
            "StringEquals",
            "aws:FederatedProvider",
            "arn:aws:iam::123456789012:saml-provider/example",
            "arn:aws:iam::123456789012:saml-provider/other",
        ),
        ("Null", "saml:cn", "true", "false"),
        ("Null", "aws:PrincipalArn", "true", "false"),
    ] {
        for (value, status) in [(good, 200), (bad, 403)] {
            let condition = format!(r#","Condition":{{"{operator}":{{"{key}":"{value}"}}}}"#);
            let world = with_trust(&trusting(PROVIDER, EVERYTHING, &condition)).await;
            let response = world.post_unsigned(&form(&response("tags"), "")).await;
            assert_eq!(response.status(), status, "{condition}");
        }
    }
}

#[tokio::test]
async fn an_assertion_is_redeemed_once_and_only_when_it_is_granted() {
    let world = with_trust(&trusting(PROVIDER, SAML, "")).await;
    let good = form(&response("signed-both"), "");
    let unknown_policy =
        format!("{good}&PolicyArns.member.1.arn=arn%3Aaws%3Aiam%3A%3Aaws%3Apolicy%2FNoSuchPolicy");
    assert_eq!(world.post_unsigned(&good.replace("reader", "writer")).await.status(), 403);
    assert_eq!(world.post_unsigned(&unknown_policy).await.status(), 400);
    assert_eq!(world.post_unsigned(&format!("{good}&DurationSeconds=7201")).await.status(), 400);
    assert_eq!(world.post_unsigned(&good).await.status(), 200);
    let again =
        (400, "InvalidIdentityToken".to_owned(), "The assertion has been redeemed already".to_owned());
    assert_eq!(error(&world.post_unsigned(&good).await), again);
    // Another signature around the same assertion does not make it another one.
    assert_eq!(error(&world.post_unsigned(&form(&response("signed-response"), "")).await), again);
}

#[tokio::test]
async fn responses_are_refused_as_aws_refuses_them() {
    let world = with_trust(&trusting(PROVIDER, EVERYTHING, "")).await;
    for (file, status, code, message) in [
        ("tampered-role-assertion", 400, "InvalidIdentityToken", "Response signature invalid"),
        ("xsw3", 400, "InvalidIdentityToken", "Response signature invalid"),
        ("rsa-sha1", 400, "InvalidIdentityToken", "Response signature invalid"),
        ("wrong-key-response", 400, "InvalidIdentityToken", "Response signature invalid"),
        ("audience-other", 400, "InvalidIdentityToken", "Response does not contain the required audience."),
        ("no-session-name", 400, "InvalidIdentityToken", "RoleSessionName is required in AuthnResponse"),
        ("expired-conditions", 400, "ExpiredTokenException", "Response has expired"),
        ("stale", 400, "ExpiredTokenException", "Token must be redeemed within 5 minutes of issuance"),
        (
            "status-denied",
            403,
            "IDPRejectedClaim",
            "The identity provider reported that authentication failed",
        ),
        ("no-name-id", 403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithSAML"),
    ] {
        let response = world.post_unsigned(&form(&response(file), "")).await;
        assert_eq!(error(&response), (status, code.to_owned(), message.to_owned()), "{file}");
        assert_eq!(element(&response, "Type"), "Sender");
    }
}

#[tokio::test]
async fn parameters_are_refused_as_aws_refuses_them() {
    let world = with_trust(&trusting(PROVIDER, SAML, "")).await;
    let good = response("signed-response");
    let provider = "saml-provider%2Fexample";
    let (huge, whole) = ("A".repeat(100_001), form(&good, ""));
    for (parameters, status, code, says) in [
        (form("AAA", ""), 400, "ValidationError", "greater than or equal to 4"),
        (form(&huge, ""), 400, "ValidationError", "'sAMLAssertion' failed to satisfy constraint"),
        (form("%%%%", ""), 400, "InvalidIdentityToken", "Invalid base64 SAMLResponse (Service: "),
        (form(&good, "&DurationSeconds=899"), 400, "ValidationError", "greater than or equal to 900"),
        (
            form(&good, "&DurationSeconds=7201"),
            400,
            "ValidationError",
            "MaxSessionDuration set for this role",
        ),
        (form(&good, "&Policy=%7B%7D"), 400, "MalformedPolicyDocument", ""),
        (whole.replace("SAMLAssertion=", "X="), 400, "ValidationError", "sAMLAssertion"),
        (whole.replace("PrincipalArn", "X"), 400, "ValidationError", "principalArn"),
        (whole.replace("RoleArn", "X"), 400, "ValidationError", "roleArn"),
        (whole.replace(provider, "role%2Fexample"), 400, "ValidationError", "Request ARN is invalid"),
        (
            whole.replace(provider, "saml-provider%2Fnobody"),
            400,
            "InvalidIdentityToken",
            "Specified provider doesn't exist (Service: AWSOpenIdDiscoveryService; ",
        ),
        // The same issuer and key under another name: the assertion is not for it.
        (whole.replace(provider, "saml-provider%2Fother"), 403, "AccessDenied", "Not authorized to perform"),
        (whole.replace("role%2Freader", "role%2Fwriter"), 403, "AccessDenied", "Not authorized to perform"),
        (whole.replace("role%2Freader", "role%2Fnobody"), 403, "AccessDenied", "Not authorized to perform"),
    ] {
        let response = world.post_unsigned(&parameters).await;
        let (found_status, found_code, message) = error(&response);
        assert_eq!((found_status, found_code.as_str()), (status, code), "{message}");
        assert!(message.contains(says), "{message}");
        assert!(!message.contains(&good) && !message.contains(&huge), "the assertion is repeated");
    }
}

#[tokio::test]
async fn only_the_provider_that_is_named_is_trusted() {
    let other = r#"{"Federated":"arn:aws:iam::123456789012:saml-provider/other"}"#;
    let elsewhere = r#"{"Federated":"arn:aws:iam::999999999999:saml-provider/example"}"#;
    for principal in [other, elsewhere, r#"{"AWS":"123456789012"}"#] {
        let world = with_trust(&trusting(principal, SAML, "")).await;
        let response = world.post_unsigned(&form(&response("signed-response"), "")).await;
        assert_eq!(code(&response), refused(403, "AccessDenied"), "{principal}");
    }
}

#[tokio::test]
async fn without_a_directory_there_is_no_provider() {
    let response = World::new().await.post_unsigned(&form(&response("signed-response"), "")).await;
    assert_eq!(code(&response), refused(400, "InvalidIdentityToken"));
}
