//! Codes of MFA devices that prove nothing.

use super::Who::{Alice, Bob, RoleSession, Root};
use super::*;

const DEVICE: &str = "arn:aws:iam::123456789012:mfa/alice";

const BOTH: &str =
    "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code.";
const DEVICE_UNKNOWN: &str = "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA \
                              serial number is valid and associated with this user.";
const CODE_WRONG: &str = "MultiFactorAuthentication failed with invalid MFA one time pass code.";

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for action in ["GetSessionToken", "AssumeRole"] {
        let with = |serial: Option<&str>, code: Option<&str>| {
            let serial = serial.map(|serial| ("SerialNumber", serial));
            let code = code.map(|code| ("TokenCode", code));
            let role = [("RoleArn", READER), ("RoleSessionName", "s1")];
            let role = if action == "AssumeRole" { &role[..] } else { &[] };
            let parameters: Vec<_> = role.iter().copied().chain(serial).chain(code).collect();
            form(action, &parameters)
        };
        rows.push(row(Alice, with(Some(DEVICE), None), DENIED, BOTH));
        rows.push(row(Alice, with(None, Some("123456")), DENIED, BOTH));
        rows.push(row(Alice, with(Some(DEVICE), Some("000000")), DENIED, CODE_WRONG));
        rows.push(row(Alice, with(Some("123456789"), Some("123456")), DENIED, DEVICE_UNKNOWN));
        rows.push(row(Bob, with(Some(DEVICE), Some("123456")), DENIED, DEVICE_UNKNOWN));
    }
    let session = form("GetSessionToken", &[("SerialNumber", DEVICE), ("TokenCode", "123456")]);
    rows.push(row(Root, session, DENIED, DEVICE_UNKNOWN));
    let role = assume(&[("SerialNumber", DEVICE), ("TokenCode", "123456")]);
    rows.push(row(RoleSession, role, DENIED, DEVICE_UNKNOWN));
    rows
}
