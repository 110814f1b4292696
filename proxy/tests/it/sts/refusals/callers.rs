//! Which operations each kind of credential may not call, whatever policies say.

use super::Who::{Alice, Federated, RoleSession, Root, UserSession};
use super::*;

const KNOWN_KEY: &str = "AKIANOBODYHASTHIS000";

pub(super) fn rows() -> Vec<Row> {
    let session = form("GetSessionToken", &[]);
    let federate = form("GetFederationToken", &[("Name", "bob")]);
    let info = form("GetAccessKeyInfo", &[("AccessKeyId", KNOWN_KEY)]);
    let no_session = "Cannot call GetSessionToken with session credentials";
    let no_federation = "Cannot call GetFederationToken with session credentials";
    let federated = "arn:aws:sts::123456789012:federated-user/bob";
    let mut rows = vec![
        row(Root, assume(&[]), DENIED, "Roles may not be assumed by root accounts."),
        row(Federated, assume(&[]), DENIED, not_authorized(federated, "AssumeRole", READER)),
        row(UserSession, info.clone(), DENIED, not_authorized(ALICE_ARN, "GetAccessKeyInfo", "*")),
        row(Federated, info.clone(), DENIED, not_authorized(federated, "GetAccessKeyInfo", "*")),
        row(Alice, info, VALIDATION, format!("The access key id {KNOWN_KEY} is not known here.")),
    ];
    for who in [UserSession, RoleSession, Federated] {
        rows.push(row(who, session.clone(), DENIED, no_session));
        rows.push(row(who, federate.clone(), DENIED, no_federation));
    }
    // What is refused for its form is refused so to whoever may not call the operation, too.
    let bad = "1 validation error detected: Value 'a' at 'name' failed to satisfy constraint: Member must have length \
               greater than or equal to 2";
    rows.push(row(RoleSession, form("GetFederationToken", &[("Name", "a")]), VALIDATION, bad));
    rows
}
