//! The principal of a declared access key: an IAM user or an account's root.

use ring::digest;

use crate::config::raw;
use crate::iam::Principal;

/// The key at fault, relative to the access key, and what is wrong with it.
type PrincipalFault = (&'static str, String);

/// From `user` and `account`, or from `arn`.
pub(super) fn parse(raw: &raw::AccessKey) -> Result<Principal, PrincipalFault> {
    let (arn, account) = match (&raw.arn, &raw.user) {
        (Some(_), Some(_)) => return Err(("arn", "stands beside user: one of them is too many".into())),
        (None, None) => return Err(("user", "is required, or arn".into())),
        (None, Some(user)) => {
            let account = raw.account.as_deref().ok_or(("account", "is required beside user".to_owned()))?;
            (format!("arn:aws:iam::{account}:user/{user}"), account)
        }
        (Some(arn), None) => (arn.clone(), arn.split(':').nth(4).unwrap_or_default()),
    };
    if !is_account(account) {
        let key = if raw.arn.is_some() { "arn" } else { "account" };
        return Err((key, format!("{account:?} is not an account of twelve digits")));
    }
    if raw.account.as_deref().is_some_and(|declared| declared != account) {
        return Err(("account", format!("is not the account of {arn}")));
    }
    if !is_user_or_root(&arn) {
        let key = if raw.arn.is_some() { "arn" } else { "user" };
        return Err((key, format!("{arn:?} is not the ARN of an IAM user or of an account's root")));
    }
    let user_id = match &raw.user_id {
        Some(id) if is_user_id(id) => id.clone(),
        Some(id) => return Err(("user_id", format!("{id:?} is not 1 to 128 ASCII letters and digits"))),
        None if arn.ends_with(":root") => account.to_owned(),
        None => derived_user_id(&arn),
    };
    Ok(Principal { account: account.to_owned(), arn, user_id })
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_user_id(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// `arn:<partition>:iam::<account>:root` or `…:user/<path/><name>`; names and paths as IAM's `CreateUser`
/// allows them.
fn is_user_or_root(arn: &str) -> bool {
    let parts: Vec<&str> = arn.split(':').collect();
    let ["arn", partition, "iam", "", _, resource] = parts[..] else { return false };
    let partition =
        partition.starts_with("aws") && partition.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b);
    let segment = |text: &str| (1..=64).contains(&text.len()) && text.bytes().all(legal);
    let user = resource.strip_prefix("user/").is_some_and(|path| path.split('/').all(segment));
    partition && (user || resource == "root")
}

/// An id of the shape AWS gives, the same at every start: `AIDA` and 17 characters of base 32 from the
/// SHA-256 of the ARN.
fn derived_user_id(arn: &str) -> String {
    const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let hash = digest::digest(&digest::SHA256, arn.as_bytes());
    let letters = hash.as_ref().iter().take(17).map(|byte| char::from(BASE32[usize::from(byte % 32)]));
    "AIDA".chars().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(user: &str, account: &str) -> raw::AccessKey {
        raw::AccessKey { user: Some(user.into()), account: Some(account.into()), ..Default::default() }
    }

    fn arn(arn: &str) -> raw::AccessKey {
        raw::AccessKey { arn: Some(arn.into()), ..Default::default() }
    }

    #[test]
    fn user_and_account_make_an_arn_and_a_stable_id() {
        let alice = parse(&user("alice", "123456789012")).unwrap();
        assert_eq!(alice.arn, "arn:aws:iam::123456789012:user/alice");
        assert_eq!(alice.account, "123456789012");
        assert_eq!(alice.user_id.len(), 21);
        assert!(alice.user_id.starts_with("AIDA"));
        assert_eq!(parse(&arn(&alice.arn)).unwrap(), alice);
        assert_ne!(parse(&user("bob", "123456789012")).unwrap().user_id, alice.user_id);
    }

    #[test]
    fn the_id_of_a_root_is_its_account() {
        let root = parse(&arn("arn:aws-cn:iam::123456789012:root")).unwrap();
        assert_eq!(root.user_id, "123456789012");
    }

    #[test]
    fn names_the_key_at_fault() {
        let other =
            raw::AccessKey { account: Some("999999999999".into()), ..arn("arn:aws:iam::123456789012:root") };
        let both = raw::AccessKey { arn: Some("x".into()), ..user("alice", "123456789012") };
        let no_account = raw::AccessKey { user: Some("alice".into()), ..Default::default() };
        let bad_id = raw::AccessKey { user_id: Some("a b".into()), ..user("alice", "123456789012") };
        let cases = [
            (raw::AccessKey::default(), "user"),
            (no_account, "account"),
            (both, "arn"),
            (other, "account"),
            (bad_id, "user_id"),
            (user("alice", "12345678901"), "account"),
            (user("a:b", "123456789012"), "user"),
            (user("", "123456789012"), "user"),
            (arn("alice"), "arn"),
            (arn("arn:aws:sts::123456789012:assumed-role/reader/session"), "arn"),
            (arn("arn:aws:iam::123456789012:role/reader"), "arn"),
        ];
        for (raw, key) in cases {
            assert_eq!(parse(&raw).map_err(|(key, _)| key), Err(key), "{raw:?}");
        }
    }
}
