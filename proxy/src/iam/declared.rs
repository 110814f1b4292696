//! A principal as an operator declares it: a user's name and an account, or an ARN.

use ring::digest;

use super::{Arn, Principal};

/// What is known of an IAM user or of an account's root. Either `user` and `account`, or `arn`.
#[derive(Clone, Debug, Default)]
pub struct DeclaredPrincipal {
    /// Name of a user of `account`.
    pub user: Option<String>,
    /// Twelve digits. Implied by `arn`.
    pub account: Option<String>,
    /// `arn:<partition>:iam::<account>:user/<path/><name>` or `…:root`.
    pub arn: Option<String>,
    /// The unique id; derived from the ARN when absent.
    pub user_id: Option<String>,
}

/// Why a declaration is not a principal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct PrincipalError {
    /// The field of [`DeclaredPrincipal`] at fault.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

impl PrincipalError {
    fn new(field: &'static str, problem: impl Into<String>) -> Self {
        Self { field, problem: problem.into() }
    }
}

impl DeclaredPrincipal {
    /// The principal it means: the same one at every call, the derived id included.
    ///
    /// # Errors
    /// Fields are missing, superfluous or malformed, or contradict each other.
    pub fn resolve(self) -> Result<Principal, PrincipalError> {
        let (arn, account) = match (&self.arn, &self.user) {
            (Some(_), Some(_)) => {
                return Err(PrincipalError::new("arn", "stands beside user: one of them is too many"));
            }
            (None, None) => return Err(PrincipalError::new("user", "is required, or arn")),
            (None, Some(user)) => {
                let account = self.account.clone();
                let account = account.ok_or(PrincipalError::new("account", "is required beside user"))?;
                (format!("arn:aws:iam::{account}:user/{user}"), account)
            }
            (Some(arn), None) => (arn.clone(), arn.split(':').nth(4).unwrap_or_default().to_owned()),
        };
        let by_arn = self.arn.is_some();
        if !Arn::is_account(&account) {
            let problem = format!("{account:?} is not an account of twelve digits");
            return Err(PrincipalError::new(if by_arn { "arn" } else { "account" }, problem));
        }
        if self.account.is_some_and(|declared| declared != account) {
            return Err(PrincipalError::new("account", format!("is not the account of {arn}")));
        }
        if !is_user_or_root(&arn) {
            let problem = format!("{arn:?} is not the ARN of an IAM user or of an account's root");
            return Err(PrincipalError::new(if by_arn { "arn" } else { "user" }, problem));
        }
        let user_id = match self.user_id {
            Some(id) if !is_unique_id(&id) => {
                let problem = format!("{id:?} is not 1 to 128 ASCII letters and digits");
                return Err(PrincipalError::new("user_id", problem));
            }
            Some(id) => id,
            None if arn.ends_with(":root") => account.clone(),
            None => derived_id("AIDA", &arn),
        };
        Ok(Principal { arn, user_id, account })
    }
}

pub(super) fn is_unique_id(text: &str) -> bool {
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

/// An id of the shape AWS gives, the same at every start: a prefix such as `AIDA` and 17 characters of base 32 from
/// the SHA-256 of the ARN.
pub(super) fn derived_id(prefix: &str, arn: &str) -> String {
    const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let hash = digest::digest(&digest::SHA256, arn.as_bytes());
    let letters = hash.as_ref().iter().take(17).map(|byte| char::from(BASE32[usize::from(byte % 32)]));
    prefix.chars().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(user: &str, account: &str) -> DeclaredPrincipal {
        DeclaredPrincipal { user: Some(user.into()), account: Some(account.into()), ..Default::default() }
    }

    fn arn(arn: &str) -> DeclaredPrincipal {
        DeclaredPrincipal { arn: Some(arn.into()), ..Default::default() }
    }

    #[test]
    fn user_and_account_make_an_arn_and_a_stable_id() {
        let alice = user("alice", "123456789012").resolve().unwrap();
        assert_eq!(alice.arn, "arn:aws:iam::123456789012:user/alice");
        assert_eq!(alice.account, "123456789012");
        assert_eq!(alice.user_id.len(), 21);
        assert!(alice.user_id.starts_with("AIDA"));
        assert_eq!(arn(&alice.arn).resolve().unwrap(), alice);
        assert_ne!(user("bob", "123456789012").resolve().unwrap().user_id, alice.user_id);
    }

    #[test]
    fn the_id_of_a_root_is_its_account() {
        let root = arn("arn:aws-cn:iam::123456789012:root").resolve().unwrap();
        assert_eq!(root.user_id, "123456789012");
    }

    #[test]
    fn names_the_field_at_fault() {
        let other = DeclaredPrincipal {
            account: Some("999999999999".into()),
            ..arn("arn:aws:iam::123456789012:root")
        };
        let both = DeclaredPrincipal { arn: Some("x".into()), ..user("alice", "123456789012") };
        let no_account = DeclaredPrincipal { user: Some("alice".into()), ..Default::default() };
        let bad_id = DeclaredPrincipal { user_id: Some("a b".into()), ..user("alice", "123456789012") };
        let cases = [
            (DeclaredPrincipal::default(), "user"),
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
        for (declared, field) in cases {
            assert_eq!(declared.clone().resolve().map_err(|error| error.field), Err(field), "{declared:?}");
        }
    }
}
