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

/// A bucket's policy that allows reading to a principal.
fn bucket(principal: &str) -> Policy {
    let text = format!(
        r#"{{"Statement":{{"Effect":"Allow","Principal":{principal},
           "Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}}}"#
    );
    Policy::parse("bucket", Grammar::Resource, &text).unwrap()
}

const READ: &str = r#"{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}"#;
const WRITE: &str = r#"{"Effect":"Allow","Action":"s3:PutObject","Resource":"*"}"#;

/// Which layers there are, and whether they allow reading.
#[derive(Clone, Copy)]
struct Stack {
    requester: Requester<'static>,
    /// Names a principal.
    bucket: Option<&'static str>,
    identity: Option<bool>,
    boundary: Option<bool>,
    session: Option<bool>,
}

impl Stack {
    fn decide(self) -> String {
        let policy = |reads: bool| statements(if reads { READ } else { WRITE });
        let identity: Vec<_> = self.identity.map(policy).into_iter().collect();
        let boundary = self.boundary.map(policy);
        let session: Option<Vec<_>> = self.session.map(|reads| vec![policy(reads)]);
        let bucket = self.bucket.map(bucket);
        let layers = Layers {
            identity: Identity::Policies(&identity),
            boundary: boundary.as_deref(),
            session: session.as_deref(),
            resource: bucket.as_ref(),
        };
        let request = Request {
            requester: self.requester,
            action: "s3:GetObject",
            resource: "arn:aws:s3:::b/k",
            resource_account: ACCOUNT,
            context: &Context::default(),
        };
        match evaluate(&request, &layers) {
            Decision::Allow(Grant::Root) => "root".to_owned(),
            Decision::Allow(Grant::Statement(by)) => format!("allowed by {}", by.layer.name()),
            Decision::ExplicitDeny(by) => format!("denied by {}", by.layer.name()),
            Decision::ImplicitDeny(layer) => format!("not allowed by {}", layer.name()),
        }
    }
}

const FEDERATED: Requester<'_> = Requester::Federated {
    account: ACCOUNT,
    session: "arn:aws:sts::123456789012:federated-user/feds",
    user: Some("arn:aws:iam::123456789012:user/alice"),
};
const STRANGER: Requester<'_> =
    Requester::User { account: "210987654321", arn: "arn:aws:iam::210987654321:user/eve", id: "AIDAEVE" };

#[test]
fn layers_limit_each_other_as_documented() {
    const BY_ACCOUNT: Option<&str> = Some(r#"{"AWS":"123456789012"}"#);
    const BY_USER: Option<&str> = Some(r#"{"AWS":"arn:aws:iam::123456789012:user/alice"}"#);
    const BY_ROLE: Option<&str> = Some(r#"{"AWS":"arn:aws:iam::123456789012:role/ci/reader"}"#);
    const BY_SESSION: Option<&str> =
        Some(r#"{"AWS":"arn:aws:sts::123456789012:assumed-role/reader/build-17"}"#);
    const BY_FEDERATED: Option<&str> = Some(r#"{"AWS":"arn:aws:sts::123456789012:federated-user/feds"}"#);
    const BY_STRANGER: Option<&str> = Some(r#"{"AWS":"arn:aws:iam::210987654321:user/eve"}"#);
    const ANYBODY: Option<&str> = Some(r#""*""#);
    const OTHER: Option<&str> = Some(r#"{"AWS":"arn:aws:iam::123456789012:user/bob"}"#);
    let (yes, no) = (Some(true), Some(false));
    let rows = [
        // Requester, bucket policy, identity, boundary, session, expected.
        (ALICE, None, None, None, None, "not allowed by identity-based policy"),
        (ALICE, None, yes, None, None, "allowed by identity-based policy"),
        (ALICE, None, yes, yes, None, "allowed by identity-based policy"),
        (ALICE, None, yes, no, None, "not allowed by permissions boundary"),
        (ALICE, None, None, yes, None, "not allowed by identity-based policy"),
        (ALICE, OTHER, yes, None, None, "allowed by identity-based policy"),
        (ALICE, OTHER, None, None, None, "not allowed by identity-based policy"),
        (ALICE, BY_ACCOUNT, None, None, None, "not allowed by identity-based policy"),
        (ALICE, BY_USER, None, None, None, "allowed by resource-based policy"),
        (ALICE, BY_USER, None, no, None, "allowed by resource-based policy"),
        (ALICE, ANYBODY, None, no, None, "allowed by resource-based policy"),
        (SESSION, None, yes, None, yes, "allowed by identity-based policy"),
        (SESSION, None, yes, None, no, "not allowed by session policy"),
        (SESSION, None, None, None, yes, "not allowed by identity-based policy"),
        (SESSION, BY_ROLE, None, None, None, "allowed by resource-based policy"),
        (SESSION, BY_ROLE, None, no, None, "not allowed by permissions boundary"),
        (SESSION, BY_ROLE, None, None, no, "not allowed by session policy"),
        (SESSION, BY_ROLE, None, yes, yes, "allowed by resource-based policy"),
        (SESSION, BY_SESSION, None, no, no, "allowed by resource-based policy"),
        (SESSION, ANYBODY, None, no, no, "allowed by resource-based policy"),
        (FEDERATED, None, yes, None, yes, "allowed by identity-based policy"),
        (FEDERATED, None, yes, None, no, "not allowed by session policy"),
        (FEDERATED, BY_USER, None, None, no, "not allowed by session policy"),
        (FEDERATED, BY_USER, None, None, yes, "allowed by resource-based policy"),
        (FEDERATED, BY_FEDERATED, None, no, no, "allowed by resource-based policy"),
        (STRANGER, None, yes, None, None, "not allowed by resource-based policy"),
        (STRANGER, BY_STRANGER, None, None, None, "not allowed by identity-based policy"),
        (STRANGER, BY_STRANGER, yes, None, None, "allowed by identity-based policy"),
        (STRANGER, BY_STRANGER, yes, no, None, "not allowed by permissions boundary"),
        (STRANGER, ANYBODY, None, None, None, "not allowed by identity-based policy"),
        (Requester::Anonymous, ANYBODY, None, None, None, "allowed by resource-based policy"),
        (Requester::Anonymous, BY_ACCOUNT, None, None, None, "not allowed by resource-based policy"),
        (Requester::Anonymous, None, None, None, None, "not allowed by resource-based policy"),
    ];
    for (row, (requester, bucket, identity, boundary, session, expected)) in rows.into_iter().enumerate() {
        let stack = Stack { requester, bucket, identity, boundary, session };
        assert_eq!(stack.decide(), expected, "row {row}");
    }
}

#[test]
fn a_federated_session_without_policies_may_do_nothing() {
    let all = [statements(r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#)];
    let request = Request {
        requester: FEDERATED,
        action: "s3:GetObject",
        resource: "arn:aws:s3:::b/k",
        resource_account: ACCOUNT,
        context: &Context::default(),
    };
    let layers =
        Layers { identity: Identity::Policies(&all), boundary: None, session: Some(&[]), resource: None };
    assert!(matches!(evaluate(&request, &layers), Decision::ImplicitDeny(Layer::Session)));
}

#[test]
fn the_root_may_do_everything_but_what_is_denied() {
    let root = Requester::Root { account: ACCOUNT };
    let request = Request {
        requester: root,
        action: "s3:GetObject",
        resource: "arn:aws:s3:::b/k",
        resource_account: ACCOUNT,
        context: &Context::default(),
    };
    let layers = Layers { identity: Identity::Root, boundary: None, session: None, resource: None };
    assert!(matches!(evaluate(&request, &layers), Decision::Allow(Grant::Root)));
    let deny = Policy::parse(
        "bucket",
        Grammar::Resource,
        r#"{"Statement":{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}}"#,
    );
    let deny = deny.unwrap();
    assert!(matches!(
        evaluate(&request, &Layers { resource: Some(&deny), ..layers }),
        Decision::ExplicitDeny(_)
    ));
    let abroad = Request { resource_account: "210987654321", ..request };
    assert!(matches!(evaluate(&abroad, &layers), Decision::ImplicitDeny(Layer::Resource)));
}

#[test]
fn principals_are_named_by_id_as_well() {
    for (requester, id, expected) in [
        (ALICE, "AIDAALICE00000000000", "allowed by resource-based policy"),
        (ALICE, "AIDABOB0000000000000", "not allowed by identity-based policy"),
        (SESSION, "AROAREADER0000000000", "allowed by resource-based policy"),
        (SESSION, "AROAWRITER0000000000", "not allowed by identity-based policy"),
    ] {
        let principal = format!(r#"{{"AWS":"{id}"}}"#).leak();
        let stack =
            Stack { requester, bucket: Some(principal), identity: None, boundary: None, session: None };
        assert_eq!(stack.decide(), expected, "{id}");
    }
}

#[test]
fn not_principal_spares_only_those_listed_in_full() {
    let account = "arn:aws:iam::123456789012:root";
    let user = "arn:aws:iam::123456789012:user/alice";
    let role = "arn:aws:iam::123456789012:role/ci/reader";
    let session = "arn:aws:sts::123456789012:assumed-role/reader/build-17";
    let all = [statements(r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#)];
    let boundary = statements(r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#);
    for (requester, listed, bounded, expected) in [
        (ALICE, &[account, user][..], false, "allow"),
        (ALICE, &[account, user], true, "deny"),
        (ALICE, &[user], false, "deny"),
        (ALICE, &[account], false, "deny"),
        (SESSION, &[account, role, session], false, "allow"),
        (SESSION, &[account, role], false, "deny"),
        (SESSION, &[account, session], false, "deny"),
    ] {
        let text = format!(
            r#"{{"Statement":{{"Effect":"Deny","NotPrincipal":{{"AWS":{listed:?}}},"Action":"*","Resource":"*"}}}}"#
        );
        let bucket = Policy::parse("bucket", Grammar::Resource, &text).unwrap();
        let request = Request {
            requester,
            action: "s3:GetObject",
            resource: "arn:aws:s3:::b/k",
            resource_account: ACCOUNT,
            context: &Context::default(),
        };
        let layers = Layers {
            identity: Identity::Policies(&all),
            boundary: bounded.then_some(&*boundary),
            session: None,
            resource: Some(&bucket),
        };
        assert_eq!(short(&evaluate(&request, &layers)), expected, "{listed:?}");
    }
}
