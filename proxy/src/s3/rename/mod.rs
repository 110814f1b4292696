//! Buckets and keys under other names at the backend.
//!
//! Policies, logs and clients know the client's names; the backend knows its own. [`Rename`] is what a route says
//! about that, [`Mapping`] what it means for one request.

mod document;
mod request;
mod text;

pub use document::Rewriter;
pub use request::{is_offered, is_url_encoded, names_in_answer};

use super::selector::BucketPattern;
use super::target::{Bucket, Target, has_dot_segment};

/// How a route names buckets and keys to its backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rename {
    /// What buckets are called; `None`: as the client calls them.
    pub bucket: Option<BucketTemplate>,
    /// What stands before each key; may be empty.
    pub key_prefix: KeyPrefix,
}

/// What a bucket is called at the backend: always the same, or with a `*` for what the `*` of the route's bucket
/// pattern stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketTemplate(Box<str>);

impl BucketTemplate {
    /// `None` for what no bucket can be called, and for more than one `*`.
    pub fn parse(text: &str) -> Option<Self> {
        let name = text.replacen('*', "x", 1);
        Bucket::parse(&name).ok().map(|_| Self(text.into()))
    }

    /// Whether it depends on the client's name.
    pub fn has_star(&self) -> bool {
        self.0.contains('*')
    }

    fn fill(&self, captured: &str) -> Option<Bucket> {
        Bucket::parse(&self.0.replacen('*', captured, 1)).ok()
    }
}

/// What stands before each key: empty, or segments that end with a slash.
///
/// Made of unreserved characters and slashes, which look the same in a path, in a query, in XML and in a listing that
/// is URL-encoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyPrefix(Box<str>);

impl KeyPrefix {
    /// `None` for other characters, for empty and dot segments, and for what does not end with a slash.
    pub fn parse(text: &str) -> Option<Self> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"-._~/".contains(&b);
        let plain = |segment: &str| !matches!(segment, "" | "." | "..");
        let good =
            text.strip_suffix('/')?.split('/').all(plain) && text.bytes().all(legal) && text.len() <= 512;
        good.then(|| Self(text.into()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The names of one request's bucket and keys, on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// What the client calls the bucket.
    pub client: Bucket,
    /// What the backend calls it.
    pub backend: Bucket,
    /// What stands before each key at the backend.
    pub key_prefix: KeyPrefix,
}

impl Rename {
    /// For a request to `target`, whose bucket one of `patterns` matches. `None` if the backend's name would be none
    /// that a bucket can have.
    pub fn mapping(&self, client: &Bucket, patterns: &[BucketPattern]) -> Option<Mapping> {
        let backend = match &self.bucket {
            None => client.clone(),
            Some(template) => {
                let captured = patterns.iter().find_map(|pattern| pattern.captured(client.as_str()));
                template.fill(captured.unwrap_or_default())?
            }
        };
        Some(Mapping { client: client.clone(), backend, key_prefix: self.key_prefix.clone() })
    }
}

/// Whether a key has segments that a file system would resolve: they could lead out of its bucket, or of what is behind a
/// prefix.
pub fn could_climb(target: &Target) -> bool {
    target.key().is_some_and(|key| has_dot_segment(key.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(texts: &[&str]) -> Vec<BucketPattern> {
        texts.iter().map(|text| BucketPattern::parse(text).unwrap()).collect()
    }

    #[test]
    fn a_template_takes_what_the_pattern_leaves_open() {
        let name = |template: Option<&str>, buckets: &[&str], client: &str| {
            let bucket = template.map(|text| BucketTemplate::parse(text).unwrap());
            let rename = Rename { bucket, key_prefix: KeyPrefix::default() };
            let mapping = rename.mapping(&Bucket::parse(client).unwrap(), &patterns(buckets));
            mapping.map(|mapping| mapping.backend.to_string())
        };
        assert_eq!(name(Some("archive"), &["logs-*"], "logs-a").as_deref(), Some("archive"));
        assert_eq!(name(Some("archive-*"), &["logs-*"], "logs-a").as_deref(), Some("archive-a"));
        assert_eq!(name(Some("*"), &["x-*", "logs-*"], "logs-a").as_deref(), Some("a"));
        assert_eq!(name(Some("*"), &["logs-*"], "logs-").as_deref(), None);
        assert_eq!(name(None, &["logs-*"], "logs-a").as_deref(), Some("logs-a"));
        for text in ["", "a/b", "*-*", ".."] {
            assert_eq!(BucketTemplate::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_key_prefix_is_plain_segments() {
        assert!(KeyPrefix::parse("tenant-a/").is_some() && KeyPrefix::parse("a/b.c_d~/").is_some());
        for text in ["", "/", "a", "/a/", "a//b/", "a/../b/", "./", "a b/", "a%2F/", "\u{e9}/", "a\\b/"] {
            assert_eq!(KeyPrefix::parse(text), None, "{text:?}");
        }
    }
}
