//! What is known about a request, borrowed from wherever it is kept.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::net::IpAddr;

use super::key::{Key, Name, TagFamily};
use crate::clock::UnixMillis;

/// The condition context of one request. Holds borrowed values only: filling it allocates nothing.
///
/// What is not set does not exist: `aws:TokenIssueTime`, for one, is set for temporary credentials only.
/// `aws:TagKeys` and `s3:RequestObjectTagKeys` are read from the tags themselves, and cannot be set apart from them.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    named: [Option<Value<'a>>; Name::ALL.len()],
    tags: [Tags<'a>; TagFamily::ALL.len()],
    others: &'a [(&'a str, Value<'a>)],
}

impl Default for Context<'_> {
    fn default() -> Self {
        Self { named: [None; Name::ALL.len()], tags: [Tags::None; TagFamily::ALL.len()], others: &[] }
    }
}

impl<'a> Context<'a> {
    /// Sets a value; `None` and empty lists leave the key missing.
    pub fn set(&mut self, name: Name, value: impl Into<Option<Value<'a>>>) {
        self.named[name as usize] = value.into();
    }

    /// Sets the tags behind a family of keys.
    pub fn set_tags(&mut self, family: TagFamily, tags: Tags<'a>) {
        self.tags[family as usize] = tags;
    }

    /// Sets what has no slot, by full name: the claims of an identity provider, for example. The first of two
    /// values under one name counts.
    pub fn set_others(&mut self, others: &'a [(&'a str, Value<'a>)]) {
        self.others = others;
    }

    pub(super) fn get(&self, key: &Key) -> Option<Value<'a>> {
        let found = match key {
            Key::Name(Name::TagKeys) => Some(Value::KeysOf(self.tags[TagFamily::Request as usize])),
            Key::Name(Name::S3RequestObjectTagKeys) => {
                Some(Value::KeysOf(self.tags[TagFamily::RequestObject as usize]))
            }
            Key::Name(name) => self.named[*name as usize],
            Key::Tag(family, key) => self.tags[*family as usize].get(key).map(Value::Text),
            Key::Other(name) => self
                .others
                .iter()
                .find(|(known, _)| known.eq_ignore_ascii_case(name))
                .map(|(_, value)| *value),
        };
        found.filter(|value| value.any(|_| true))
    }
}

/// The value of a condition key. The list variants are for keys that AWS documents as multivalued.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// Text; operators on numbers, dates and addresses read it as such.
    Text(&'a str),
    /// `true` or `false`.
    Flag(bool),
    /// A whole number.
    Number(i64),
    /// A point in time; as text, RFC 3339 with seconds, as `aws:CurrentTime` has it.
    Time(UnixMillis),
    /// An IP address.
    Address(IpAddr),
    /// Several texts.
    Texts(&'a [&'a str]),
    /// Several texts, as they are kept.
    Strings(&'a [String]),
    /// The keys of tags.
    KeysOf(Tags<'a>),
}

impl<'a> Value<'a> {
    /// Whether `test` holds of any of the values.
    pub(super) fn any(self, mut test: impl FnMut(Scalar<'a>) -> bool) -> bool {
        match self {
            Self::Text(text) => test(Scalar::Text(text)),
            Self::Flag(flag) => test(Scalar::Flag(flag)),
            Self::Number(number) => test(Scalar::Number(number)),
            Self::Time(time) => test(Scalar::Time(time)),
            Self::Address(address) => test(Scalar::Address(address)),
            Self::Texts(texts) => texts.iter().any(|text| test(Scalar::Text(text))),
            Self::Strings(strings) => strings.iter().any(|text| test(Scalar::Text(text))),
            Self::KeysOf(tags) => tags.any(|key, _| test(Scalar::Text(key))),
        }
    }

    /// The value, where there is no more than one by nature: what a policy variable may stand for.
    pub(super) fn single(self) -> Option<Scalar<'a>> {
        match self {
            Self::Text(text) => Some(Scalar::Text(text)),
            Self::Flag(flag) => Some(Scalar::Flag(flag)),
            Self::Number(number) => Some(Scalar::Number(number)),
            Self::Time(time) => Some(Scalar::Time(time)),
            Self::Address(address) => Some(Scalar::Address(address)),
            Self::Texts(_) | Self::Strings(_) | Self::KeysOf(_) => None,
        }
    }
}

/// Tags, as they are kept. Keys are found without regard to case, and the first that fits counts.
#[derive(Clone, Copy, Debug, Default)]
pub enum Tags<'a> {
    /// None.
    #[default]
    None,
    /// Those of a map.
    Map(&'a BTreeMap<String, String>),
    /// Those of the first map, and those of the second that the first does not have: the tags of a session
    /// over those of its role.
    Over(&'a BTreeMap<String, String>, &'a BTreeMap<String, String>),
    /// Pairs of key and value.
    Pairs(&'a [(&'a str, &'a str)]),
}

impl<'a> Tags<'a> {
    fn get(self, key: &str) -> Option<&'a str> {
        let mut found = None;
        self.any(|known, value| {
            let hit = same_but_for_case(known, key);
            if hit {
                found = Some(value);
            }
            hit
        });
        found
    }

    fn any(self, mut test: impl FnMut(&'a str, &'a str) -> bool) -> bool {
        match self {
            Self::None => false,
            Self::Map(map) => map.iter().any(|(key, value)| test(key, value)),
            Self::Over(over, under) => {
                over.iter().any(|(key, value)| test(key, value))
                    || under
                        .iter()
                        .filter(|(key, _)| !over.keys().any(|known| same_but_for_case(known, key)))
                        .any(|(key, value)| test(key, value))
            }
            Self::Pairs(pairs) => pairs.iter().any(|(key, value)| test(key, value)),
        }
    }
}

/// Compares by Unicode's simple lower case, without copying.
pub(super) fn same_but_for_case(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b) || lower_case(a).eq(lower_case(b))
}

/// The characters of a text, in lower case.
pub(super) fn lower_case(text: &str) -> impl Iterator<Item = char> {
    text.chars().flat_map(char::to_lowercase)
}

/// One value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scalar<'a> {
    Text(&'a str),
    Flag(bool),
    Number(i64),
    Time(UnixMillis),
    Address(IpAddr),
}

impl<'a> Scalar<'a> {
    /// The value as text, written into `scratch` unless it is text already.
    pub(super) fn text<'s>(self, scratch: &'s mut Scratch) -> &'s str
    where
        'a: 's,
    {
        let written = match self {
            Self::Text(text) => return text,
            Self::Flag(flag) => return if flag { "true" } else { "false" },
            Self::Number(number) => write!(scratch, "{number}"),
            Self::Time(time) => write!(scratch, "{}", time.timestamp()),
            Self::Address(address) => write!(scratch, "{address}"),
        };
        written.expect("numbers, times and addresses are shorter than the scratch");
        scratch.as_str()
    }
}

/// Room on the stack for the text of what is no text: 45 bytes hold the longest IPv6 address.
#[derive(Debug)]
pub(super) struct Scratch {
    bytes: [u8; 48],
    length: usize,
}

impl Scratch {
    pub(super) const fn new() -> Self {
        Self { bytes: [0; 48], length: 0 }
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).expect("only text was written")
    }
}

impl Write for Scratch {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}
