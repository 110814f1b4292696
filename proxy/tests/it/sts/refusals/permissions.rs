//! What policies and trust policies do not allow.

use super::Who::{Alice, Bob, Carol, RoleSession, UserSession};
use super::*;

const BOB: &str = "arn:aws:iam::123456789012:user/bob";
const CAROL: &str = "arn:aws:iam::123456789012:user/carol";
const SESSION: &str = "arn:aws:sts::123456789012:assumed-role/reader/s1";

fn role(name: &str) -> String {
    format!("arn:aws:iam::123456789012:role/{name}")
}

fn assuming(name: &str, parameters: &[(&str, &str)]) -> String {
    let arn = role(name);
    assume(&[&[("RoleArn", arn.as_str())], parameters].concat())
}

pub(super) fn rows() -> Vec<Row> {
    [roles(), permissions_apart(), federation()].into_iter().flatten().collect()
}

fn roles() -> Vec<Row> {
    let refused = |who, arn: &str, name: &str| {
        row(who, assuming(name, &[]), DENIED, not_authorized(arn, "AssumeRole", &role(name)))
    };
    let by_policy = " with an explicit deny in an identity-based policy";
    let by_trust = " with an explicit deny in a resource-based policy";
    vec![
        refused(Alice, ALICE_ARN, "nobody-has-this-name"),
        refused(Alice, ALICE_ARN, "Reader"),
        refused(Alice, ALICE_ARN, "off"),
        refused(Alice, ALICE_ARN, "closed"),
        refused(Alice, ALICE_ARN, "next"),
        refused(Bob, BOB, "reader"),
        refused(Bob, BOB, "nobody-has-this-name"),
        refused(Bob, BOB, "plain"),
        refused(UserSession, ALICE_ARN, "closed"),
        refused(UserSession, ALICE_ARN, "off"),
        refused(RoleSession, SESSION, "reader"),
        refused(RoleSession, SESSION, "plain"),
        refused(RoleSession, SESSION, "off"),
        row(
            Alice,
            assuming("but-alice", &[]),
            DENIED,
            not_authorized(ALICE_ARN, "AssumeRole", &role("but-alice")) + by_trust,
        ),
        row(Carol, assuming("reader", &[]), DENIED, not_authorized(CAROL, "AssumeRole", READER) + by_policy),
        row(
            Alice,
            assume(&[("RoleArn", "arn:aws:iam::999999999999:role/reader")]),
            DENIED,
            not_authorized(ALICE_ARN, "AssumeRole", "arn:aws:iam::999999999999:role/reader"),
        ),
    ]
}

/// Tags and a source identity need a permission each.
fn permissions_apart() -> Vec<Row> {
    let tag = [("Tags.member.1.Key", "team"), ("Tags.member.1.Value", "red")];
    let identity = [("SourceIdentity", "alice")];
    let other = [("SourceIdentity", "bob")];
    let plain = role("plain");
    vec![
        row(Alice, assuming("plain", &tag), DENIED, not_authorized(ALICE_ARN, "TagSession", &plain)),
        row(
            Alice,
            assuming("plain", &identity),
            DENIED,
            not_authorized(ALICE_ARN, "SetSourceIdentity", &plain),
        ),
        row(UserSession, assuming("plain", &tag), DENIED, not_authorized(ALICE_ARN, "TagSession", &plain)),
        // Whoever is behind a chain of roles stays the same to its end.
        row(
            RoleSession,
            assuming("next", &other),
            DENIED,
            not_authorized(SESSION, "SetSourceIdentity", &role("next")),
        ),
    ]
}

fn federation() -> Vec<Row> {
    let user = "arn:aws:sts::123456789012:federated-user/bob";
    let federate = form("GetFederationToken", &[("Name", "bob")]);
    let info = form("GetAccessKeyInfo", &[("AccessKeyId", "AKIANOBODYHASTHIS000")]);
    let by_policy = " with an explicit deny in an identity-based policy";
    vec![
        row(Bob, federate.clone(), DENIED, not_authorized(BOB, "GetFederationToken", user)),
        row(Carol, federate, DENIED, not_authorized(CAROL, "GetFederationToken", user) + by_policy),
        row(Bob, info.clone(), DENIED, not_authorized(BOB, "GetAccessKeyInfo", "*")),
        row(Carol, info, DENIED, not_authorized(CAROL, "GetAccessKeyInfo", "*") + by_policy),
    ]
}
