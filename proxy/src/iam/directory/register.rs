//! What must be remembered of a directory beyond its files: who has gone, and whom a trust policy was written about.
//!
//! AWS gives a user, group or role a unique id when it is created, and keeps in a trust policy the ids of those it
//! names. So nobody inherits trust, keys or sessions with the name of somebody who was deleted. Here an id is derived
//! from the ARN and from how often it has been given up before: the same on every machine that reads the same files,
//! and another one after a deletion that was noticed. A declared `id` comes before a derived one.

use std::collections::{BTreeMap, BTreeSet};

use ring::digest;
use serde::{Deserialize, Serialize};
use sigv4::hex;

use super::files::Kind;
use crate::iam::derived_id;

/// The memory of a directory. The default remembers nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// Users, groups and roles by ARN, those that are gone included.
    entities: BTreeMap<String, Entity>,
    /// By ARN of the role.
    trust: BTreeMap<String, Binding>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Entity {
    /// How many have had this ARN before.
    #[serde(default)]
    generation: u32,
    #[serde(default)]
    gone: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Binding {
    /// SHA-256 of the trust policy: another text is another policy, about those who are there now.
    policy: String,
    /// Unique ids of the principals it names.
    principals: BTreeMap<String, String>,
}

impl Register {
    /// The unique id of an entity that is declared without one. Its ARN is in use from now on.
    pub(super) fn id(&mut self, kind: Kind, arn: &str) -> String {
        let entity = self.entities.entry(arn.to_owned()).or_default();
        if entity.gone {
            *entity = Entity { generation: entity.generation.saturating_add(1), gone: false };
        }
        match entity.generation {
            0 => derived_id(kind.id_prefix(), arn),
            n => derived_id(kind.id_prefix(), &format!("{arn}#{n}")),
        }
    }

    /// Whether anybody is remembered who has not gone.
    pub fn knows_anybody(&self) -> bool {
        self.entities.values().any(|entity| !entity.gone) || !self.trust.is_empty()
    }

    /// Notes that of all that were declared only those in `arns` still are.
    pub(super) fn retain(&mut self, arns: &BTreeSet<&str>) {
        for (arn, entity) in &mut self.entities {
            // Whoever is declared with an id of its own takes none from here, and the next one is still another.
            entity.gone |= !arns.contains(arn.as_str());
        }
        self.trust.retain(|role, _| arns.contains(role.as_str()));
    }

    /// The unique ids that the trust policy of `role` means by the ARNs it names. `id_of` tells who has an ARN now,
    /// which counts when the policy is new, or when it names somebody who had not been there.
    pub(super) fn bind(
        &mut self,
        role: &str,
        policy: &[u8],
        named: &BTreeSet<String>,
        id_of: impl Fn(&str) -> Option<String>,
    ) -> BTreeMap<String, String> {
        let hash = hex::encode(digest::digest(&digest::SHA256, policy).as_ref());
        let binding = self.trust.entry(role.to_owned()).or_default();
        if binding.policy != hash {
            *binding = Binding { policy: hash, principals: BTreeMap::new() };
        }
        for arn in named {
            if let Some(id) = id_of(arn) {
                binding.principals.entry(arn.clone()).or_insert(id);
            }
        }
        binding.principals.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: &str = "arn:aws:iam::123456789012:user/alice";

    fn present(register: &mut Register, arns: &[&str]) {
        register.retain(&arns.iter().copied().collect());
    }

    #[test]
    fn an_id_stays_until_its_owner_has_gone() {
        let mut register = Register::default();
        let first = register.id(Kind::User, ALICE);
        present(&mut register, &[ALICE]);
        assert_eq!(register.id(Kind::User, ALICE), first);
        assert_eq!(Register::default().id(Kind::User, ALICE), first, "the same on every machine");
        present(&mut register, &[]);
        let second = register.id(Kind::User, ALICE);
        assert_ne!(second, first);
        present(&mut register, &[ALICE]);
        assert_eq!(register.id(Kind::User, ALICE), second);
    }

    #[test]
    fn an_id_does_not_come_back_by_way_of_a_declared_one() {
        let mut register = Register::default();
        let first = register.id(Kind::User, ALICE);
        present(&mut register, &[]);
        present(&mut register, &[ALICE]);
        assert_ne!(register.id(Kind::User, ALICE), first);
    }

    #[test]
    fn a_trust_policy_means_those_it_was_written_about() {
        let (role, named) = ("arn:aws:iam::1:role/r", BTreeSet::from([ALICE.to_owned()]));
        let mut register = Register::default();
        let nobody = register.bind(role, b"{}", &named, |_| None);
        assert!(nobody.is_empty(), "not there yet");
        let first = register.bind(role, b"{}", &named, |_| Some("AIDA1".into()));
        assert_eq!(first[ALICE], "AIDA1");
        let kept = register.bind(role, b"{}", &named, |_| Some("AIDA2".into()));
        assert_eq!(kept[ALICE], "AIDA1", "another alice is not meant");
        let saved = register.bind(role, b"{ }", &named, |_| Some("AIDA2".into()));
        assert_eq!(saved[ALICE], "AIDA2", "the policy was written again");
    }

    #[test]
    fn it_is_written_and_read_back() {
        let mut register = Register::default();
        register.id(Kind::Role, ALICE);
        present(&mut register, &[]);
        register.bind("r", b"{}", &BTreeSet::from([ALICE.to_owned()]), |_| Some("AIDA1".into()));
        let text = serde_json::to_string(&register).unwrap();
        assert_eq!(serde_json::from_str::<Register>(&text).unwrap(), register);
    }
}
