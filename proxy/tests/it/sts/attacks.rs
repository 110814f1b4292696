//! Roles that are assumed by their own sessions: the two known ways to become more by it.
//!
//! Source: <https://aws.amazon.com/blogs/security/announcing-an-update-to-iam-role-trust-policy-behavior/>

use super::roles::{allow, assume, trust};
use super::*;

/// Alice and bob share a role; each may name a session after himself only.
fn shared_admin_role(self_assume: bool) -> String {
    let account = r#"{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:root"},"Action":"sts:AssumeRole",
        "Condition":{"StringLike":{"sts:RoleSessionName":"${aws:username}"}}}"#;
    let itself = r#"{"Effect":"Allow","Action":"sts:AssumeRole",
        "Principal":{"AWS":"arn:aws:iam::123456789012:role/shared-admin-role"}}"#;
    let statements = if self_assume { format!("{account},{itself}") } else { account.to_owned() };
    format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#)
}

async fn bob_as_alice(self_assume: bool) -> Response<Bytes> {
    let role = "arn:aws:iam::123456789012:role/shared-admin-role";
    let may_assume = allow("sts:AssumeRole", role);
    let world = World::declared(&[
        ("users/alice/policies/assume.json", &may_assume),
        ("users/bob/policies/assume.json", &may_assume),
        ("roles/shared-admin-role/trust.json", &shared_admin_role(self_assume)),
        ("roles/shared-admin-role/policies/s3.json", &allow("s3:*", "*")),
    ])
    .await;
    let bob = Signatory::long_term("AKIABOB");
    let direct = world.post(&bob, &assume("shared-admin-role", "alice")).await;
    assert_eq!(code(&direct), refused(403, "AccessDenied"), "bob is not alice");
    let session = Signatory::from_answer(&world.post(&bob, &assume("shared-admin-role", "bob")).await);
    world.post(&session, &assume("shared-admin-role", "alice")).await
}

#[tokio::test]
async fn bob_cannot_assume_his_role_again_as_alice() {
    let response = bob_as_alice(false).await;
    let message = "User: arn:aws:sts::123456789012:assumed-role/shared-admin-role/bob is not authorized to perform: \
                   sts:AssumeRole on resource: arn:aws:iam::123456789012:role/shared-admin-role";
    assert_eq!(error(&response), (403, "AccessDenied".into(), message.into()));
}

#[tokio::test]
async fn bob_assumes_his_role_again_as_alice_where_the_trust_policy_grants_it() {
    let response = bob_as_alice(true).await;
    let arn = "arn:aws:sts::123456789012:assumed-role/shared-admin-role/alice";
    assert_eq!(element(&response, "Arn"), arn);
}

/// Who carries `Environment=prod` along may assume the prod role; the dev role gives nobody that tag.
async fn dev_becomes_prod(self_assume: bool) -> [Response<Bytes>; 2] {
    let dev = "arn:aws:iam::123456789012:role/dev";
    let tagging = r#"["sts:AssumeRole","sts:TagSession"]"#;
    let alice = r#"{"AWS":"arn:aws:iam::123456789012:user/alice"}"#;
    let itself = format!(r#"{{"AWS":"{dev}"}}"#);
    let dev_trust = if self_assume {
        let both = [trust(alice, r#""sts:AssumeRole""#, ""), trust(&itself, tagging, "")];
        format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, both.join(","))
    } else {
        format!(r#"{{"Version":"2012-10-17","Statement":{}}}"#, trust(alice, r#""sts:AssumeRole""#, ""))
    };
    let only_prod = r#","Condition":{"StringEquals":{"aws:PrincipalTag/Environment":"prod"}}"#;
    let root = r#"{"AWS":"123456789012"}"#;
    let prod_trust = format!(r#"{{"Version":"2012-10-17","Statement":{}}}"#, trust(root, tagging, only_prod));
    let world = World::declared(&[
        ("users/alice/user.toml", ""),
        ("roles/dev/trust.json", &dev_trust),
        ("roles/dev/policies/prod.json", &allow("sts:*", "arn:aws:iam::123456789012:role/prod")),
        ("roles/prod/trust.json", &prod_trust),
    ])
    .await;
    let alice = Signatory::long_term("AKIAALICE");
    let session = Signatory::from_answer(&world.post(&alice, &assume("dev", "alice")).await);
    let direct = world.post(&session, &assume("prod", "alice")).await;
    assert_eq!(code(&direct), refused(403, "AccessDenied"), "dev is not prod");
    let tagged = format!(
        "{}&Tags.member.1.Key=Environment&Tags.member.1.Value=prod&TransitiveTagKeys.member.1=Environment",
        assume("dev", "alice")
    );
    let again = world.post(&session, &tagged).await;
    let next = if again.status() == 200 { Signatory::from_answer(&again) } else { session };
    [again, world.post(&next, &assume("prod", "alice")).await]
}

#[tokio::test]
async fn a_dev_session_cannot_give_itself_the_tag_of_prod() {
    let [again, prod] = dev_becomes_prod(false).await;
    assert_eq!(code(&again), refused(403, "AccessDenied"));
    assert_eq!(code(&prod), refused(403, "AccessDenied"));
}

#[tokio::test]
async fn a_dev_session_gives_itself_the_tag_of_prod_where_the_trust_policy_grants_it() {
    let [again, prod] = dev_becomes_prod(true).await;
    assert_eq!(again.status(), 200);
    assert_eq!(element(&prod, "Arn"), "arn:aws:sts::123456789012:assumed-role/prod/alice");
}
