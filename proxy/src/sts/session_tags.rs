//! Session tags: what is passed, what is inherited along a chain of roles, and what may not be overridden.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html>

use std::collections::BTreeSet;

use http::StatusCode;

use super::constraints::{Constraints, Pattern};
use super::parameters::Parameters;
use crate::fault::Fault;
use crate::iam::{MAX_TAG_KEY, MAX_TAG_VALUE, MAX_TAGS, Session, Tags, is_reserved_tag_key, same_tag_key};

const TAG: Pattern = Pattern { expression: crate::iam::TAG_PATTERN, legal: crate::iam::is_tag_character };
const TAG_VALUE: Pattern =
    Pattern { expression: r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*", legal: crate::iam::is_tag_character };

/// Tags that were passed for a session, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SessionTags {
    pub(super) tags: Tags,
    /// Keys of those that are handed down to sessions chained from this one, as the tags spell them.
    pub(super) transitive: BTreeSet<String>,
}

/// Tags as they came, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PassedTags {
    pub(super) tags: Vec<(String, String)>,
    pub(super) transitive: Vec<String>,
}

impl PassedTags {
    /// Reads `Tags.member.N.Key`, `Tags.member.N.Value` and `TransitiveTagKeys.member.N`, as far as the operation has
    /// them, and notes what breaks the limits of a single tag.
    pub(super) fn read(parameters: &Parameters<'_>, constraints: &mut Constraints) -> Result<Self, Fault> {
        let mut passed = Self::default();
        for member in parameters.list("Tags")? {
            let (key, value) = (member.field("Key"), member.field("Value"));
            let at = |name: &str| format!("tags.{}.member.{name}", member.index);
            let key = constraints.required(&at("key"), key);
            let value = constraints.required(&at("value"), value);
            if let (Some(key), Some(value)) = (key, value) {
                constraints.text(&at("key"), key, 1..=MAX_TAG_KEY, &TAG);
                constraints.text(&at("value"), value, 0..=MAX_TAG_VALUE, &TAG_VALUE);
                passed.tags.push((key.to_owned(), value.to_owned()));
            }
        }
        let transitive = parameters.list("TransitiveTagKeys")?;
        passed.transitive =
            transitive.iter().filter_map(|member| member.value()).map(str::to_owned).collect();
        passed.check_limits(constraints);
        Ok(passed)
    }

    /// Notes what breaks the limits of the lists, and of keys that stand alone.
    fn check_limits(&self, constraints: &mut Constraints) {
        let keys: Vec<&str> = self.tags.iter().map(|(key, _)| key.as_str()).collect();
        constraints.count("tags", &keys, MAX_TAGS);
        let transitive: Vec<&str> = self.transitive.iter().map(String::as_str).collect();
        constraints.count("transitiveTagKeys", &transitive, MAX_TAGS);
        constraints.members("transitiveTagKeys", &transitive, 1..=MAX_TAG_KEY, &TAG);
    }

    /// As [`read`](Self::read), for tags that an identity provider passed: there is no list of parameters to blame.
    pub(super) fn check_claims(&self, constraints: &mut Constraints) {
        for (index, (key, value)) in (1..).zip(&self.tags) {
            constraints.text(&format!("tags.{index}.member.key"), key, 1..=MAX_TAG_KEY, &TAG);
            constraints.text(&format!("tags.{index}.member.value"), value, 0..=MAX_TAG_VALUE, &TAG_VALUE);
        }
        self.check_limits(constraints);
    }

    /// The tags as a set: no key twice, every transitive key that of a tag.
    pub(super) fn into_set(self) -> Result<SessionTags, Fault> {
        let mut set = SessionTags::default();
        for (key, value) in self.tags {
            if is_reserved_tag_key(&key) {
                return Err(invalid("Tag keys that begin with aws: are reserved for internal use."));
            }
            if set.key(&key).is_some() {
                return Err(invalid(
                    "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
                ));
            }
            set.tags.insert(key, value);
        }
        for key in self.transitive {
            let Some(key) = set.key(&key).map(str::to_owned) else {
                return Err(invalid(
                    "The specified transitive tag key must be included in the requested tags.",
                ));
            };
            set.transitive.insert(key);
        }
        Ok(set)
    }
}

impl SessionTags {
    /// What a session hands down to those chained from it.
    pub(super) fn inherited(session: Option<&Session>) -> Self {
        let Some(session) = session else { return Self::default() };
        let transitive = &session.transitive_tag_keys;
        let handed =
            session.tags.iter().filter(|(key, _)| transitive.iter().any(|name| same_tag_key(name, key)));
        Self {
            tags: handed.map(|(key, value)| (key.clone(), value.clone())).collect(),
            transitive: transitive.clone(),
        }
    }

    /// The tags of a session that inherits these and was passed `own`, none of which may be inherited already.
    pub(super) fn with(mut self, own: &Self) -> Result<Self, Fault> {
        if own.tags.keys().any(|key| self.key(key).is_some()) {
            return Err(invalid(
                "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key \
                 from the calling session.",
            ));
        }
        self.tags.extend(own.tags.clone());
        self.transitive.extend(own.transitive.iter().cloned());
        Ok(self)
    }

    /// The key as it is spelled here, looked up in whatever case.
    fn key(&self, key: &str) -> Option<&str> {
        self.tags.keys().map(String::as_str).find(|known| same_tag_key(known, key))
    }
}

fn invalid(message: &'static str) -> Fault {
    Fault::new(StatusCode::BAD_REQUEST, "InvalidParameterValue", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(tags: &[(&str, &str)], transitive: &[&str]) -> PassedTags {
        PassedTags {
            tags: tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            transitive: transitive.iter().map(|key| (*key).to_owned()).collect(),
        }
    }

    fn set(tags: &[(&str, &str)], transitive: &[&str]) -> SessionTags {
        passed(tags, transitive).into_set().unwrap()
    }

    #[test]
    fn keys_are_one_whatever_their_case() {
        let twice = passed(&[("Department", "a"), ("department", "b")], &[]).into_set().unwrap_err();
        assert!(twice.message.starts_with("Duplicate tag keys found."));
        let set = set(&[("Department", "a")], &["DEPARTMENT"]);
        assert_eq!(set.transitive, ["Department".to_owned()].into(), "spelled as the tag is");
        let stray = passed(&[("Department", "a")], &["Team"]).into_set().unwrap_err();
        assert!(stray.message.contains("must be included"));
        assert!(passed(&[("AWS:x", "a")], &[]).into_set().is_err());
    }

    #[test]
    fn only_transitive_tags_are_inherited_and_they_cannot_be_set_again() {
        let mut session = Session::new(
            crate::iam::SessionKind::AssumedRole,
            crate::iam::SessionTokenHash::from_bytes([0; 32]),
            crate::clock::UnixMillis(1),
        );
        session.tags = [("Environment", "prod"), ("team", "red")].map(|(k, v)| (k.into(), v.into())).into();
        session.transitive_tag_keys = ["Environment".to_owned()].into();
        let inherited = SessionTags::inherited(Some(&session));
        assert_eq!(inherited, set(&[("Environment", "prod")], &["Environment"]));
        let conflict = inherited.clone().with(&set(&[("environment", "dev")], &[])).unwrap_err();
        assert!(conflict.message.contains("conflicts with a transitive tag key"));
        let all = inherited.with(&set(&[("team", "blue")], &[])).unwrap();
        assert_eq!(all, set(&[("Environment", "prod"), ("team", "blue")], &["Environment"]));
        assert_eq!(SessionTags::inherited(None), SessionTags::default());
    }
}
