//! Credentials that are none, or none any more, whatever they ask for.

use super::Who::{
    Disabled, Expired, ForeignToken, Inactive, LongTermWithToken, Nobody, Revoked, Tokenless, Undeclared,
    UnknownKey, WrongSecret,
};
use super::*;

/// The beginning of the text of a signature that does not match; the rest explains, and says what was signed.
const MISMATCH: &str = "The request signature we calculated does not match the signature you provided. Check your AWS \
                        Secret Access Key and signing method. Consult the service documentation for details.";
/// With a full stop for a key that nobody has, and without for a token that is not the key's.
const UNKNOWN: &str = "The security token included in the request is invalid.";
const WRONG_TOKEN: &str = "The security token included in the request is invalid";
const OVER: &str = "The security token included in the request is expired";
const ANONYMOUS: &str = "Request is missing Authentication Token";

pub(super) fn rows() -> Vec<Row> {
    let operations = [
        ("AssumeRole", assume(&[])),
        ("GetSessionToken", form("GetSessionToken", &[])),
        ("GetFederationToken", form("GetFederationToken", &[("Name", "bob")])),
        ("GetAccessKeyInfo", form("GetAccessKeyInfo", &[("AccessKeyId", "AKIANOBODYHASTHIS000")])),
        ("GetCallerIdentity", form("GetCallerIdentity", &[])),
    ];
    let mut rows = Vec::new();
    for (action, form) in operations {
        let nobody = |user: &str| {
            format!(
                "User: arn:aws:iam::123456789012:user/{user} is not authorized to perform: sts:{action} with an explicit deny"
            )
        };
        let invalid = (403, "InvalidClientTokenId");
        for (who, verdict, message) in [
            (Disabled, DENIED, nobody("gone")),
            (Undeclared, DENIED, nobody("stranger")),
            (Revoked, DENIED, nobody("alice")),
            (Expired, (403, "ExpiredToken"), OVER.to_owned()),
            (Tokenless, invalid, UNKNOWN.to_owned()),
            (ForeignToken, invalid, WRONG_TOKEN.to_owned()),
            (LongTermWithToken, invalid, WRONG_TOKEN.to_owned()),
            (Inactive, invalid, UNKNOWN.to_owned()),
            (UnknownKey, invalid, UNKNOWN.to_owned()),
            (WrongSecret, (403, "SignatureDoesNotMatch"), MISMATCH.to_owned()),
            (Nobody, (403, "MissingAuthenticationToken"), ANONYMOUS.to_owned()),
        ] {
            rows.push(row(who, form.clone(), verdict, message));
        }
    }
    rows
}
