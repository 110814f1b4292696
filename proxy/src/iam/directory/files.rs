//! The files of a directory, in memory, and what each of them is by its path.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ring::digest;

/// Every file of the tree by its path relative to the root, `/` between names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files(BTreeMap<String, Vec<u8>>);

/// Who has a directory of its own; groups come before their members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Group,
    User,
    Role,
}

/// What a file is, by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place<'p> {
    /// `<account>/roles/<name>/role.toml` and the like.
    Settings(Kind, Owner<'p>),
    /// `<account>/roles/<name>/policies/<policy>.json` and the like.
    Inline(Kind, Owner<'p>, &'p str),
    /// `<account>/roles/<name>/trust.json`
    Trust(Owner<'p>),
    /// `<account>/policies/<name>.json`
    Managed(Owner<'p>),
    /// `<account>/oidc-providers/<name>.toml`
    Oidc(Owner<'p>),
    /// `<account>/saml-providers/<name>.xml`
    Saml(Owner<'p>),
}

/// Whose file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Owner<'p> {
    pub(super) account: &'p str,
    pub(super) name: &'p str,
}

impl Files {
    /// Files by path.
    pub fn new(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        Self(files.into_iter().collect())
    }

    /// Adds one.
    pub fn insert(&mut self, path: impl Into<String>, content: impl Into<Vec<u8>>) {
        self.0.insert(path.into(), content.into());
    }

    /// Takes one away.
    pub fn remove(&mut self, path: &str) -> bool {
        self.0.remove(path).is_some()
    }

    /// Paths and contents, in the order of the paths.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(path, content)| (path.as_str(), content.as_slice()))
    }

    /// Tells one state of the tree from another.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut context = digest::Context::new(&digest::SHA256);
        for (path, content) in self.iter() {
            for part in [path.as_bytes(), content] {
                context.update(&(part.len() as u64).to_be_bytes());
                context.update(part);
            }
        }
        context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
    }
}

impl<'p> Place<'p> {
    pub(super) fn of(path: &'p str) -> Option<Self> {
        let parts: Vec<&str> = path.split('/').collect();
        let owner = |account, name| Owner { account, name };
        Some(match parts[..] {
            [account, "policies", file] => Self::Managed(owner(account, file.strip_suffix(".json")?)),
            [account, "oidc-providers", file] => Self::Oidc(owner(account, file.strip_suffix(".toml")?)),
            [account, "saml-providers", file] => Self::Saml(owner(account, file.strip_suffix(".xml")?)),
            [account, "roles", name, "trust.json"] => Self::Trust(owner(account, name)),
            [account, kind, name, file] => {
                let kind = Kind::of(kind)?;
                (file == kind.settings()).then_some(Self::Settings(kind, owner(account, name)))?
            }
            [account, kind, name, "policies", file] => {
                Self::Inline(Kind::of(kind)?, owner(account, name), file.strip_suffix(".json")?)
            }
            _ => return None,
        })
    }
}

impl Kind {
    fn of(directory: &str) -> Option<Self> {
        match directory {
            "users" => Some(Self::User),
            "groups" => Some(Self::Group),
            "roles" => Some(Self::Role),
            _ => None,
        }
    }

    const fn settings(self) -> &'static str {
        match self {
            Self::User => "user.toml",
            Self::Group => "group.toml",
            Self::Role => "role.toml",
        }
    }

    /// As in an ARN and in the tree.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
            Self::Role => "role",
        }
    }

    /// The letters a unique id begins with.
    ///
    /// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-prefixes>
    pub(super) const fn id_prefix(self) -> &'static str {
        match self {
            Self::User => "AIDA",
            Self::Group => "AGPA",
            Self::Role => "AROA",
        }
    }
}

/// Whether nobody misses a file that has no place: documentation, keys and certificates that settings refer to.
pub(super) fn may_be_ignored(path: &str) -> bool {
    ![".json", ".toml", ".xml"].iter().any(|suffix| path.ends_with(suffix))
}

/// A path as it stands in a settings file, from the directory of that file.
pub(super) fn beside(file: &str, path: &std::path::Path) -> PathBuf {
    std::path::Path::new(file).parent().unwrap_or(std::path::Path::new("")).join(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_place() {
        let reader = Owner { account: "1", name: "reader" };
        for (path, place) in [
            ("1/roles/reader/role.toml", Some(Place::Settings(Kind::Role, reader))),
            ("1/roles/reader/trust.json", Some(Place::Trust(reader))),
            ("1/roles/reader/policies/s3.json", Some(Place::Inline(Kind::Role, reader, "s3"))),
            ("1/users/reader/user.toml", Some(Place::Settings(Kind::User, reader))),
            ("1/groups/reader/policies/a.b.json", Some(Place::Inline(Kind::Group, reader, "a.b"))),
            ("1/policies/reader.json", Some(Place::Managed(reader))),
            ("1/oidc-providers/reader.toml", Some(Place::Oidc(reader))),
            ("1/saml-providers/reader.xml", Some(Place::Saml(reader))),
            ("1/users/reader/trust.json", None),
            ("1/users/reader/role.toml", None),
            ("1/roles/reader/s3.json", None),
            ("1/policies/reader.txt", None),
            ("roles/reader/role.toml", None),
            ("1/role/reader/role.toml", None),
        ] {
            assert_eq!(Place::of(path), place, "{path}");
        }
    }

    #[test]
    fn a_fingerprint_tells_contents_and_names_apart() {
        let files = |pairs: &[(&str, &str)]| {
            Files::new(pairs.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())))
        };
        let one = files(&[("a", "bc"), ("d", "")]);
        assert_eq!(one.fingerprint(), files(&[("d", ""), ("a", "bc")]).fingerprint());
        for other in [files(&[("ab", "c"), ("d", "")]), files(&[("a", "bc")]), files(&[("a", "bcd")])] {
            assert_ne!(one.fingerprint(), other.fingerprint());
        }
    }
}
