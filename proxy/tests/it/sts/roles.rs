//! Roles: who may assume them, and what the sessions are.

use super::*;

const ALICE: &str = r#"{"AWS":"arn:aws:iam::123456789012:user/alice"}"#;
const ACCOUNT: &str = r#"{"AWS":"arn:aws:iam::123456789012:root"}"#;

/// A policy of one statement.
pub(super) fn allow(action: &str, resource: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"{action}","Resource":"{resource}"}}}}"#
    )
}

/// One statement of a trust policy.
pub(super) fn trust(principal: &str, actions: &str, condition: &str) -> String {
    format!(r#"{{"Effect":"Allow","Principal":{principal},"Action":{actions}{condition}}}"#)
}

/// A trust policy of one statement.
pub(super) fn trusting(principal: &str, actions: &str, condition: &str) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":{}}}"#, trust(principal, actions, condition))
}

pub(super) fn assume(role: &str, session: &str) -> String {
    format!(
        "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2F{role}\
         &RoleSessionName={session}"
    )
}

const EVERYTHING: &str = r#"["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]"#;

async fn with_trust(trust: &str) -> World {
    World::declared(&[("users/alice/user.toml", ""), ("roles/reader/trust.json", trust)]).await
}

async fn as_alice(world: &World, form: &str) -> Response<Bytes> {
    world.post(&Signatory::long_term("AKIAALICE"), form).await
}

#[tokio::test]
async fn an_assumed_role_is_who_the_session_says() {
    let world = with_trust(&trusting(ALICE, r#""sts:AssumeRole""#, "")).await;
    let response = as_alice(&world, &assume("reader", "build-17")).await;
    let id = world
        .identities
        .current()
        .as_ref()
        .unwrap()
        .role("arn:aws:iam::123456789012:role/reader")
        .unwrap()
        .id
        .clone();
    let session = Signatory::from_answer(&response);
    assert_eq!(element(&response, "AssumedRoleId"), format!("{id}:build-17"));
    assert_eq!(element(&response, "Expiration"), "2026-01-02T04:04:05Z");
    assert!(!String::from_utf8_lossy(response.body()).contains("PackedPolicySize"), "nothing was passed");
    let identity = world.post(&session, IDENTITY).await;
    assert_eq!(element(&identity, "Arn"), "arn:aws:sts::123456789012:assumed-role/reader/build-17");
    assert_eq!(element(&identity, "UserId"), format!("{id}:build-17"));
    assert_eq!(element(&identity, "Account"), "123456789012");
    let other = Signatory::from_answer(&as_alice(&world, &assume("reader", "build-17")).await);
    assert_ne!(other.access_key_id, session.access_key_id);
    assert_ne!(other.secret, session.secret);
}

/// Within an account: trust that names the user, or trust in the account and a policy of the user.
#[tokio::test]
async fn the_caller_needs_a_grant_from_either_side_and_trust_in_any_case() {
    let permits = allow("sts:AssumeRole", "arn:aws:iam::123456789012:role/reader");
    let denies = permits.replace("Allow", "Deny");
    let elsewhere = allow("sts:AssumeRole", "arn:aws:iam::123456789012:role/other");
    let nobody = r#"{"AWS":"arn:aws:iam::999999999999:root"}"#;
    for (principal, policy, granted) in [
        (ALICE, None, true),
        (ALICE, Some(&denies), false),
        (ALICE, Some(&elsewhere), true),
        (ACCOUNT, None, false),
        (ACCOUNT, Some(&permits), true),
        (ACCOUNT, Some(&elsewhere), false),
        (nobody, Some(&permits), false),
        (r#""*""#, None, true),
    ] {
        let trust = trusting(principal, r#""sts:AssumeRole""#, "");
        let mut files = vec![("users/alice/user.toml", ""), ("roles/reader/trust.json", trust.as_str())];
        files.extend(policy.map(|policy| ("users/alice/policies/p.json", policy.as_str())));
        let world = World::declared(&files).await;
        let status = as_alice(&world, &assume("reader", "s1")).await.status();
        assert_eq!(status == 200, granted, "{principal} {policy:?}");
    }
}

#[tokio::test]
async fn tags_and_source_identity_are_permissions_of_their_own() {
    let tags = "&Tags.member.1.Key=team&Tags.member.1.Value=red";
    let identity = "&SourceIdentity=alice";
    for (actions, parameters, missing) in [
        (r#""sts:AssumeRole""#, tags, Some("sts:TagSession")),
        (r#""sts:AssumeRole""#, identity, Some("sts:SetSourceIdentity")),
        (r#"["sts:AssumeRole","sts:TagSession"]"#, tags, None),
        (r#"["sts:AssumeRole","sts:SetSourceIdentity"]"#, identity, None),
        (r#""sts:TagSession""#, tags, Some("sts:AssumeRole")),
    ] {
        let world = with_trust(&trusting(ALICE, actions, "")).await;
        let response = as_alice(&world, &format!("{}{parameters}", assume("reader", "s1"))).await;
        match missing {
            None => assert_eq!(response.status(), 200, "{actions} {parameters}"),
            Some(action) => {
                let text = format!("is not authorized to perform: {action} on resource");
                assert!(error(&response).2.contains(&text), "{actions}: {}", error(&response).2);
            }
        }
    }
}

/// Every key that a trust policy may ask about, with a request that has it and one that has not.
#[tokio::test]
async fn trust_policies_ask_about_the_request() {
    let tagged = "&Tags.member.1.Key=team&Tags.member.1.Value=red&TransitiveTagKeys.member.1=team";
    for (condition, good, bad) in [
        (r#""StringEquals":{"sts:RoleSessionName":"s1"}"#, "", "&RoleSessionName=s2"),
        (r#""StringEquals":{"sts:ExternalId":"x1"}"#, "&ExternalId=x1", "&ExternalId=x2"),
        (r#""StringEquals":{"sts:ExternalId":"x1"}"#, "&ExternalId=x1", ""),
        (r#""StringEquals":{"sts:SourceIdentity":"al"}"#, "&SourceIdentity=al", "&SourceIdentity=bo"),
        (r#""StringEquals":{"aws:RequestTag/team":"red"}"#, tagged, ""),
        (r#""ForAnyValue:StringEquals":{"sts:TransitiveTagKeys":"team"}"#, tagged, ""),
        (r#""ForAllValues:StringEquals":{"aws:TagKeys":["cost"]}"#, "", tagged),
        (r#""Null":{"aws:TokenIssueTime":"true"}"#, "", "&DurationSeconds=1"),
    ] {
        let condition = format!(r#","Condition":{{{condition}}}"#);
        let world = with_trust(&trusting(ALICE, EVERYTHING, &condition)).await;
        let form = |parameters: &str| match parameters.strip_prefix("&RoleSessionName=") {
            Some(name) => assume("reader", name),
            None => format!("{}{parameters}", assume("reader", "s1")),
        };
        assert_eq!(as_alice(&world, &form(good)).await.status(), 200, "{condition}");
        assert_ne!(as_alice(&world, &form(bad)).await.status(), 200, "{condition}");
    }
}

#[tokio::test]
async fn trust_policies_ask_about_the_caller_and_the_role() {
    let role_settings = "max_session_duration = 7200\n[tags]\nteam = \"red\"\n";
    for (condition, granted) in [
        (r#""StringEquals":{"aws:username":"alice"}"#, true),
        (r#""StringLike":{"aws:userid":"AIDA*"}"#, true),
        (r#""ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::123456789012:user/alice"}"#, true),
        (r#""StringEquals":{"aws:PrincipalTag/team":"${aws:ResourceTag/team}"}"#, true),
        (r#""StringEquals":{"aws:ResourceTag/team":"blue"}"#, false),
        (r#""IpAddress":{"aws:SourceIp":"127.0.0.0/8"}"#, true),
        (r#""IpAddress":{"aws:SourceIp":"10.0.0.0/8"}"#, false),
        (r#""DateLessThan":{"aws:CurrentTime":"2026-01-01T00:00:00Z"}"#, false),
        (r#""Bool":{"aws:MultiFactorAuthPresent":"true"}"#, false),
        (r#""BoolIfExists":{"aws:MultiFactorAuthPresent":"true"}"#, true),
        (r#""StringEquals":{"aws:PrincipalType":"User"}"#, true),
    ] {
        let trust = trusting(ALICE, EVERYTHING, &format!(r#","Condition":{{{condition}}}"#));
        let world = World::declared(&[
            ("users/alice/user.toml", "[tags]\nteam = \"red\"\n"),
            ("roles/reader/trust.json", &trust),
            ("roles/reader/role.toml", role_settings),
        ])
        .await;
        let status = as_alice(&world, &assume("reader", "s1")).await.status();
        assert_eq!(status == 200, granted, "{condition}");
    }
}

/// Alice assumes `first`, whose sessions may assume `second`.
async fn chain() -> World {
    let first = r#"{"AWS":"arn:aws:iam::123456789012:role/first"}"#;
    World::declared(&[
        ("users/alice/user.toml", ""),
        ("roles/first/trust.json", &trusting(ALICE, EVERYTHING, "")),
        ("roles/first/role.toml", "max_session_duration = 43200"),
        ("roles/second/trust.json", &trusting(first, EVERYTHING, "")),
        ("roles/second/role.toml", "max_session_duration = 43200\n[tags]\nteam = \"of the role\"\n"),
    ])
    .await
}

#[tokio::test]
async fn a_chained_session_lasts_an_hour_at_most() {
    let world = chain().await;
    let first = as_alice(&world, &format!("{}&DurationSeconds=43200", assume("first", "s1"))).await;
    assert_eq!(element(&first, "Expiration"), "2026-01-02T15:04:05Z");
    let first = Signatory::from_answer(&first);
    let second = world.post(&first, &format!("{}&DurationSeconds=3601", assume("second", "s2"))).await;
    let message =
        "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.";
    assert_eq!(error(&second), (400, "ValidationError".into(), message.into()));
    let second = world.post(&first, &format!("{}&DurationSeconds=3600", assume("second", "s2"))).await;
    assert_eq!(element(&second, "Expiration"), "2026-01-02T04:04:05Z");
}

pub(super) async fn session_of(world: &World, signatory: &Signatory) -> sigward::iam::Session {
    let record = world.store.load(&signatory.access_key_id).await.unwrap().unwrap();
    record.credential().session.clone().unwrap()
}

#[tokio::test]
async fn transitive_tags_and_source_identity_go_along_a_chain_and_nothing_else_does() {
    let world = chain().await;
    let form = format!(
        "{}&SourceIdentity=alice&Tags.member.1.Key=Env&Tags.member.1.Value=prod&Tags.member.2.Key=team\
         &Tags.member.2.Value=red&TransitiveTagKeys.member.1=env",
        assume("first", "s1")
    );
    let first = Signatory::from_answer(&as_alice(&world, &form).await);
    let conflict = format!("{}&Tags.member.1.Key=ENV&Tags.member.1.Value=dev", assume("second", "s2"));
    let conflict = world.post(&first, &conflict).await;
    let message = "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag \
                   key from the calling session.";
    assert_eq!(error(&conflict), (400, "InvalidParameterValue".into(), message.into()));
    let other = world.post(&first, &format!("{}&SourceIdentity=bob", assume("second", "s2"))).await;
    assert_eq!(code(&other), refused(403, "AccessDenied"), "who is behind it stays the same");

    let response = world.post(&first, &assume("second", "s2")).await;
    assert_eq!(element(&response, "SourceIdentity"), "alice");
    let second = session_of(&world, &Signatory::from_answer(&response)).await;
    assert_eq!(second.source_identity.as_deref(), Some("alice"));
    assert_eq!(second.tags, [("Env".to_owned(), "prod".to_owned())].into());
    assert_eq!(second.transitive_tag_keys, ["Env".to_owned()].into());
    let lineage: Vec<_> = second.lineage.iter().map(|ancestor| ancestor.access_key_id.as_str()).collect();
    assert_eq!(lineage, [first.access_key_id.as_str(), "AKIAALICE"]);
}

#[tokio::test]
async fn inherited_tags_lie_over_those_of_the_role_for_its_trust_policy() {
    let first = r#"{"AWS":"arn:aws:iam::123456789012:role/first"}"#;
    let condition = r#","Condition":{"StringEquals":{"aws:ResourceTag/team":"red"}}"#;
    let world = World::declared(&[
        ("users/alice/user.toml", ""),
        ("roles/first/trust.json", &trusting(ALICE, EVERYTHING, "")),
        ("roles/second/trust.json", &trusting(first, EVERYTHING, condition)),
        ("roles/second/role.toml", "[tags]\nteam = \"blue\"\n"),
    ])
    .await;
    for (transitive, granted) in [("", false), ("&TransitiveTagKeys.member.1=team", true)] {
        let form =
            format!("{}&Tags.member.1.Key=team&Tags.member.1.Value=red{transitive}", assume("first", "s1"));
        let session = Signatory::from_answer(&as_alice(&world, &form).await);
        let status = world.post(&session, &assume("second", "s2")).await.status();
        assert_eq!(status == 200, granted, "{transitive}");
    }
}

#[tokio::test]
async fn tags_that_are_inherited_need_the_permission_to_tag_as_well() {
    let first = r#"{"AWS":"arn:aws:iam::123456789012:role/first"}"#;
    let world = World::declared(&[
        ("users/alice/user.toml", ""),
        ("roles/first/trust.json", &trusting(ALICE, EVERYTHING, "")),
        ("roles/second/trust.json", &trusting(first, r#""sts:AssumeRole""#, "")),
    ])
    .await;
    for (transitive, granted) in [("", true), ("&TransitiveTagKeys.member.1=team", false)] {
        let form =
            format!("{}&Tags.member.1.Key=team&Tags.member.1.Value=red{transitive}", assume("first", "s1"));
        let session = Signatory::from_answer(&as_alice(&world, &form).await);
        let response = world.post(&session, &assume("second", "s2")).await;
        if granted {
            assert_eq!(response.status(), 200);
        } else {
            let message = error(&response).2;
            assert!(
                message.contains("is not authorized to perform: sts:TagSession on resource"),
                "{message}"
            );
        }
    }
}

#[tokio::test]
async fn whoever_is_declared_again_is_not_the_one_that_was_trusted() {
    let world = with_trust(&trusting(ALICE, r#""sts:AssumeRole""#, "")).await;
    let before = Signatory::from_answer(&as_alice(&world, &assume("reader", "s1")).await);
    world.rewrite("users/alice/user.toml", None).await;
    assert_eq!(code(&as_alice(&world, IDENTITY).await), refused(403, "AccessDenied"), "nobody has her key");
    world.rewrite("users/alice/user.toml", Some("")).await;
    world.give_keys().await;
    assert_eq!(as_alice(&world, IDENTITY).await.status(), 200, "another alice");
    assert_eq!(code(&as_alice(&world, &assume("reader", "s1")).await), refused(403, "AccessDenied"));
    assert_eq!(world.post(&before, IDENTITY).await.status(), 200, "the session was the role's, not hers");
    let again = format!("{}\n", trusting(ALICE, r#""sts:AssumeRole""#, ""));
    world.rewrite("roles/reader/trust.json", Some(&again)).await;
    assert_eq!(
        as_alice(&world, &assume("reader", "s1")).await.status(),
        200,
        "trusted by a policy about her"
    );
}

#[tokio::test]
async fn sessions_end_with_their_role_and_not_with_the_trust_in_who_asked() {
    let world = with_trust(&trusting(ALICE, r#""sts:AssumeRole""#, "")).await;
    let session = Signatory::from_answer(&as_alice(&world, &assume("reader", "s1")).await);
    let nobody = trusting(r#"{"AWS":"arn:aws:iam::999999999999:root"}"#, r#""sts:AssumeRole""#, "");
    world.rewrite("roles/reader/trust.json", Some(&nobody)).await;
    assert_eq!(code(&as_alice(&world, &assume("reader", "s1")).await), refused(403, "AccessDenied"));
    assert_eq!(world.post(&session, IDENTITY).await.status(), 200);
    world.rewrite("roles/reader/role.toml", Some("disabled = true")).await;
    assert_eq!(code(&world.post(&session, IDENTITY).await), refused(403, "AccessDenied"));
    world.rewrite("roles/reader/role.toml", Some("disabled = false")).await;
    assert_eq!(
        code(&world.post(&session, IDENTITY).await),
        refused(403, "AccessDenied"),
        "what ended stays ended"
    );
}

#[tokio::test]
async fn sessions_outlive_a_restart() {
    let world = with_trust(&trusting(ALICE, EVERYTHING, "")).await;
    let form = format!("{}&Tags.member.1.Key=team&Tags.member.1.Value=red", assume("reader", "s1"));
    let session = Signatory::from_answer(&as_alice(&world, &form).await);
    let World { directory, keyring, store, .. } = world;
    store.close().await;
    let metrics = Metrics::new();
    let store = open(&directory, &keyring, &metrics);
    let (root, register) = (directory.path().join("iam"), directory.path().join("register.json"));
    let identities = Identities::open(&root, &register, Clock::manual(NOW), &metrics).unwrap();
    let sts = built(&store, &identities, &metrics);
    let world = World { sts, store, identities, metrics, directory, keyring };
    let identity = world.post(&session, IDENTITY).await;
    assert_eq!(element(&identity, "Arn"), "arn:aws:sts::123456789012:assumed-role/reader/s1");
    assert_eq!(session_of(&world, &session).await.tags["team"], "red");
}

#[tokio::test]
async fn packed_size_is_told_when_something_was_passed() {
    let world = with_trust(&trusting(ALICE, EVERYTHING, "")).await;
    let policy = "%7B%22Statement%22%3A%7B%22Effect%22%3A%22Allow%22%2C%22Action%22%3A%22s3%3A%2A%22%2C%22Resource%22\
                  %3A%22%2A%22%7D%7D";
    let response = as_alice(&world, &format!("{}&Policy={policy}", assume("reader", "s1"))).await;
    assert_eq!(element(&response, "PackedPolicySize"), "2");
    let session = session_of(&world, &Signatory::from_answer(&response)).await;
    assert_eq!(session.session_policies.len(), 1);
    let managed = "&PolicyArns.member.1.arn=arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess";
    let response = as_alice(&world, &format!("{}{managed}", assume("reader", "s1"))).await;
    assert_eq!(element(&response, "PackedPolicySize"), "2");
    let session = session_of(&world, &Signatory::from_answer(&response)).await;
    assert_eq!(session.policy_arns, ["arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"]);
}
