//! The language as a whole: what documents say of requests.

use std::sync::Arc;

use super::*;
use crate::clock::UnixMillis;

const ACCOUNT: &str = "123456789012";
const ALICE: Requester<'_> = Requester::User {
    account: ACCOUNT,
    arn: "arn:aws:iam::123456789012:user/alice",
    id: "AIDAALICE00000000000",
};
const SESSION: Requester<'_> = Requester::Role {
    account: ACCOUNT,
    session: "arn:aws:sts::123456789012:assumed-role/reader/build-17",
    role: Some("arn:aws:iam::123456789012:role/ci/reader"),
    id: "AROAREADER0000000000:build-17",
};

fn identity(text: &str) -> Arc<Policy> {
    Arc::new(Policy::parse("test", Grammar::Identity, text).unwrap())
}

/// Statements of an identity-based policy of the newer version, as JSON.
fn statements(statements: &str) -> Arc<Policy> {
    identity(&format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#))
}

/// What one policy attached to Alice says, in short.
fn says(policy: &Arc<Policy>, action: &str, resource: &str, context: &Context<'_>) -> &'static str {
    let request = Request { requester: ALICE, action, resource, resource_account: ACCOUNT, context };
    let policies = [Arc::clone(policy)];
    let layers =
        Layers { identity: Identity::Policies(&policies), boundary: None, session: None, resource: None };
    short(&evaluate(&request, &layers))
}

fn short(decision: &Decision<'_>) -> &'static str {
    match decision {
        Decision::Allow(_) => "allow",
        Decision::ExplicitDeny(_) => "deny",
        Decision::ImplicitDeny(_) => "nothing",
    }
}

#[test]
fn a_deny_prevails_and_the_deciding_statement_is_told() {
    let policy = statements(
        r#"{"Sid":"Read","Effect":"Allow","Action":"s3:Get*","Resource":"*"},
           {"Sid":"NoSecrets","Effect":"Deny","Action":"s3:*","Resource":"arn:aws:s3:::b/secret/*"}"#,
    );
    let context = Context::default();
    assert_eq!(says(&policy, "s3:getobject", "arn:aws:s3:::b/k", &context), "allow");
    assert_eq!(says(&policy, "s3:PutObject", "arn:aws:s3:::b/k", &context), "nothing");
    let request = Request {
        requester: ALICE,
        action: "s3:GetObject",
        resource: "arn:aws:s3:::b/secret/k",
        resource_account: ACCOUNT,
        context: &context,
    };
    let policies = [policy];
    let layers =
        Layers { identity: Identity::Policies(&policies), boundary: None, session: None, resource: None };
    let Decision::ExplicitDeny(deciding) = evaluate(&request, &layers) else { panic!("not denied") };
    assert_eq!((deciding.layer, deciding.policy()), (Layer::Identity, "test"));
    assert_eq!((deciding.index(), deciding.sid()), (1, Some("NoSecrets")));
}

#[test]
fn what_is_revoked_by_issue_time_spares_long_term_keys() {
    let policy = statements(
        r#"{"Effect":"Allow","Action":"*","Resource":"*"},
           {"Effect":"Deny","Action":["*"],"Resource":["*"],
            "Condition":{"DateLessThan":{"aws:TokenIssueTime":"2026-01-02T03:04:05.678Z"}}}"#,
    );
    let mut context = Context::default();
    assert_eq!(says(&policy, "s3:GetObject", "arn:aws:s3:::b/k", &context), "allow");
    let mark = UnixMillis::parse_rfc3339("2026-01-02T03:04:05.678Z").unwrap();
    for (issued, expected) in [(mark.plus(-1), "deny"), (mark, "allow"), (mark.plus(1), "allow")] {
        context.set(Name::TokenIssueTime, Value::Time(issued));
        assert_eq!(says(&policy, "s3:GetObject", "arn:aws:s3:::b/k", &context), expected);
    }
}

#[test]
fn an_unresolved_variable_never_matches_and_a_resolved_one_is_literal() {
    let policy = statements(
        r#"{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::home/${aws:username}*"}"#,
    );
    let mut context = Context::default();
    assert_eq!(says(&policy, "s3:GetObject", "arn:aws:s3:::home/alice/k", &context), "nothing");
    context.set(Name::UserName, Value::Text("alice"));
    assert_eq!(says(&policy, "s3:GetObject", "arn:aws:s3:::home/alice/k", &context), "allow");
    context.set(Name::UserName, Value::Text("*"));
    assert_eq!(says(&policy, "s3:GetObject", "arn:aws:s3:::home/alice/k", &context), "nothing");
    assert_eq!(says(&policy, "s3:GetObject", "arn:aws:s3:::home/*/k", &context), "allow");
}

#[test]
fn the_older_version_has_no_variables() {
    let policy = identity(
        r#"{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::home/${aws:username}"}}"#,
    );
    let mut context = Context::default();
    context.set(Name::UserName, Value::Text("alice"));
    assert_eq!(says(&policy, "s3:GetObject", "arn:aws:s3:::home/alice", &context), "nothing");
    assert_eq!(says(&policy, "s3:GetObject", "arn:aws:s3:::home/${aws:username}", &context), "allow");
}

/// What a trust policy and the caller's own policies say of assuming a role.
fn assume(requester: Requester<'_>, trust: &str, own: &[Arc<Policy>]) -> &'static str {
    let trust = Policy::parse("trust", Grammar::Trust, trust).unwrap();
    let request = Request {
        requester,
        action: "sts:AssumeRole",
        resource: "arn:aws:iam::123456789012:role/ci/reader",
        resource_account: ACCOUNT,
        context: &Context::default(),
    };
    let layers =
        Layers { identity: Identity::Policies(own), boundary: None, session: None, resource: Some(&trust) };
    short(&evaluate(&request, &layers))
}

fn trusting(principal: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":
           {{"Effect":"Allow","Principal":{principal},"Action":"sts:AssumeRole"}}}}"#
    )
}

#[test]
fn a_trust_policy_must_allow_in_every_case() {
    let all = [statements(r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#)];
    let by_account = trusting(r#"{"AWS":"123456789012"}"#);
    let by_root = trusting(r#"{"AWS":"arn:aws:iam::123456789012:root"}"#);
    let by_user = trusting(r#"{"AWS":"arn:aws:iam::123456789012:user/alice"}"#);
    let other = trusting(r#"{"AWS":"arn:aws:iam::123456789012:user/bob"}"#);
    for (trust, own, expected) in [
        (&by_account, &all[..], "allow"),
        (&by_account, &[], "nothing"),
        (&by_root, &all, "allow"),
        (&by_root, &[], "nothing"),
        (&by_user, &all, "allow"),
        (&by_user, &[], "allow"),
        (&other, &all, "nothing"),
    ] {
        assert_eq!(assume(ALICE, trust, own), expected, "{trust}");
    }
}

#[test]
fn a_role_is_not_trusted_by_itself() {
    let all = [statements(r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#)];
    assert_eq!(
        assume(SESSION, &trusting(r#"{"AWS":"arn:aws:iam::123456789012:user/bob"}"#), &all),
        "nothing"
    );
    let itself = trusting(r#"{"AWS":"arn:aws:iam::123456789012:role/ci/reader"}"#);
    assert_eq!(assume(SESSION, &itself, &[]), "allow");
}

#[test]
fn session_policies_limit_a_grant_to_the_role_but_not_to_the_session() {
    let bucket = |principal: &str| {
        let text = format!(
            r#"{{"Statement":{{"Effect":"Allow","Principal":{{"AWS":"{principal}"}},
               "Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}}}"#
        );
        Policy::parse("bucket", Grammar::Resource, &text).unwrap()
    };
    let request = Request {
        requester: SESSION,
        action: "s3:GetObject",
        resource: "arn:aws:s3:::b/k",
        resource_account: ACCOUNT,
        context: &Context::default(),
    };
    let session = [statements(r#"{"Effect":"Allow","Action":"s3:PutObject","Resource":"*"}"#)];
    for (principal, expected) in [
        ("arn:aws:sts::123456789012:assumed-role/reader/build-17", "allow"),
        ("arn:aws:iam::123456789012:role/ci/reader", "nothing"),
        ("123456789012", "nothing"),
    ] {
        let resource = bucket(principal);
        let layers = Layers {
            identity: Identity::Policies(&[]),
            boundary: None,
            session: Some(&session),
            resource: Some(&resource),
        };
        assert_eq!(short(&evaluate(&request, &layers)), expected, "{principal}");
    }
}
