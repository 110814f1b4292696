//! Which requests a route is for: by host, by bucket, by the beginning of the path.
//!
//! All of it is asked of what is authorised: the decoded path `/bucket/key`, whether the client named the bucket in
//! the path or in the host, and the host without its port.

use std::fmt;

use super::target::{Bucket, Key, Target, has_dot_segment};

/// Which requests a route is for. What is left out leaves the choice open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// One of these hosts was addressed.
    pub hosts: Vec<HostPattern>,
    /// The bucket is one of these.
    pub buckets: Vec<BucketPattern>,
    /// The path begins like this.
    pub path: Option<PathPrefix>,
}

impl Selector {
    /// Whether it selects a request that addressed `target` at `host`, which has no port. Allocates nothing.
    pub fn selects(&self, host: &[u8], target: &Target) -> bool {
        let by_host = || self.hosts.is_empty() || self.hosts.iter().any(|pattern| pattern.matches(host));
        let by_bucket = |bucket: &Bucket| self.buckets.iter().any(|pattern| pattern.matches(bucket.as_str()));
        let in_bucket = || self.buckets.is_empty() || target.bucket().is_some_and(by_bucket);
        let by_path = || self.path.as_ref().is_none_or(|prefix| prefix.matches(target));
        in_bucket() && by_path() && by_host()
    }

    /// Whether every request that `other` selects is selected by this. May say no where the truth is yes.
    pub fn covers(&self, other: &Self) -> bool {
        let all = |mine: bool, theirs: bool, covered: bool| mine || (!theirs && covered);
        let hosts = other.hosts.iter().all(|host| self.hosts.iter().any(|mine| mine.covers(host)));
        let buckets = match &other.path {
            Some(path) if self.buckets.iter().any(|mine| mine.matches(path.bucket())) => true,
            _ => all(
                self.buckets.is_empty(),
                other.buckets.is_empty(),
                other.buckets.iter().all(|bucket| self.buckets.iter().any(|mine| mine.covers(bucket))),
            ),
        };
        let path = match (&self.path, &other.path) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(mine), Some(other)) => other.0.starts_with(&*mine.0),
        };
        all(self.hosts.is_empty(), other.hosts.is_empty(), hosts) && buckets && path
    }
}

/// A host, or every host below a domain: `s3.example.com`, `*.example.com`. In any case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    /// In lower case; with the dot it begins with where `below` is set.
    name: Box<str>,
    below: bool,
}

impl HostPattern {
    /// `None` for what no host can be called. Addresses are names, those of IPv6 in brackets.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let (name, below) = text.strip_prefix('*').map_or((&*text, false), |rest| (rest, true));
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        let is_name = name.bytes().all(legal) && !name.contains("..") && !name.ends_with('.');
        let is_address = name.starts_with('[') && name.ends_with(']') && !below;
        let labels = name.strip_prefix('.');
        let good = match below {
            true => is_name && labels.is_some_and(|rest| !rest.is_empty()),
            false => is_address || (is_name && labels.is_none() && !name.is_empty()),
        };
        good.then(|| Self { name: name.into(), below })
    }

    fn matches(&self, host: &[u8]) -> bool {
        let name = self.name.as_bytes();
        match host.len().checked_sub(name.len()) {
            Some(0) => !self.below && host.eq_ignore_ascii_case(name),
            Some(at) => self.below && host[at..].eq_ignore_ascii_case(name),
            None => false,
        }
    }

    fn covers(&self, other: &Self) -> bool {
        match other.below {
            false => self.matches(other.name.as_bytes()),
            true => self.below && other.name.ends_with(&*self.name),
        }
    }
}

/// Buckets by name: one (`photos`), those that begin alike (`logs-*`), or a glob (`*-prod-?`), in which `*` stands for
/// any characters, none among them, and `?` for one.
#[derive(Clone, PartialEq, Eq)]
pub struct BucketPattern(Box<str>);

impl BucketPattern {
    /// `None` for what matches no [`Bucket`].
    pub fn parse(text: &str) -> Option<Self> {
        let name = text.replace(['*', '?'], "x");
        Bucket::parse(&name).ok().map(|_| Self(text.into()))
    }

    /// Whether a bucket has such a name.
    pub fn matches(&self, bucket: &str) -> bool {
        glob(self.0.as_bytes(), bucket.as_bytes())
    }

    /// What stands for the pattern's only wildcard, a `*`, in the name of `bucket`; `None` if it does not match, or
    /// has other wildcards.
    pub fn captured<'b>(&self, bucket: &'b str) -> Option<&'b str> {
        let (before, after) = self.around_star()?;
        bucket.strip_prefix(before)?.strip_suffix(after)
    }

    /// Whether its only wildcard is one `*`.
    pub fn has_one_star(&self) -> bool {
        self.around_star().is_some()
    }

    fn around_star(&self) -> Option<(&str, &str)> {
        self.0.split_once('*').filter(|(before, after)| !before.contains('?') && !after.contains(['*', '?']))
    }

    /// A `*` of the other pattern is matched by nothing but a `*`, a `?` by nothing but a wildcard.
    fn covers(&self, other: &Self) -> bool {
        glob(self.0.as_bytes(), other.0.as_bytes())
    }
}

impl fmt::Debug for BucketPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// Matches without recursion: of several `*` only the last one ever has to take more.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(b'?') if text[t] != b'*' => (p, t) = (p + 1, t + 1),
            Some(&byte) if byte == text[t] => (p, t) = (p + 1, t + 1),
            _ => match retry {
                Some((after, from)) => {
                    retry = Some((after, from + 1));
                    (p, t) = (after, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

/// The beginning of decoded paths: `/bucket/`, and the beginning of a key that ends with a slash.
#[derive(Clone, PartialEq, Eq)]
pub struct PathPrefix(Box<str>);

impl PathPrefix {
    /// `None` for what is not `/bucket/…/`, and where empty or dot segments would let two readers see two paths.
    pub fn parse(text: &str) -> Option<Self> {
        let (bucket, key) = text.strip_prefix('/')?.split_once('/')?;
        let plain = |segment: &str| !matches!(segment, "" | "." | "..") && !segment.contains('\\');
        let segments = key.strip_suffix('/')?.split('/').all(plain);
        (segments && Bucket::parse(bucket).is_ok()).then(|| Self(text.into()))
    }

    /// The bucket it lies in.
    pub fn bucket(&self) -> &str {
        self.0[1..].split_once('/').map_or("", |(bucket, _)| bucket)
    }

    fn matches(&self, target: &Target) -> bool {
        let (Some(bucket), Some(key)) = (target.bucket(), target.key()) else { return false };
        let rest = self.0[1..].strip_prefix(bucket.as_str()).and_then(|rest| rest.strip_prefix('/'));
        rest.is_some_and(|prefix| key.as_str().starts_with(prefix))
    }
}

impl fmt::Debug for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// The object that somebody sees who resolves empty and dot segments; `None` if there are none to resolve. Where it
/// goes elsewhere than the target itself, nobody can say where the target goes.
pub fn resolved(target: &Target) -> Option<Target> {
    let key = target.key().map(Key::as_str)?;
    if !key.starts_with('/') && !key.contains("//") && !has_dot_segment(key) {
        return None;
    }
    let mut kept: Vec<&str> = Vec::new();
    for segment in key.split(['/', '\\']) {
        match segment {
            ".." => drop(kept.pop()),
            "" | "." => {}
            segment => kept.push(segment),
        }
    }
    Some(target.object(&kept.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::Domains;

    fn target(path: &str) -> Target {
        Target::parse(path.as_bytes(), None, &Domains::default()).unwrap()
    }

    fn selector(hosts: &[&str], buckets: &[&str], path: Option<&str>) -> Selector {
        Selector {
            hosts: hosts.iter().map(|text| HostPattern::parse(text).unwrap()).collect(),
            buckets: buckets.iter().map(|text| BucketPattern::parse(text).unwrap()).collect(),
            path: path.map(|text| PathPrefix::parse(text).unwrap()),
        }
    }

    #[test]
    fn a_bucket_pattern_is_a_name_a_beginning_or_a_glob() {
        for (pattern, matching, others) in [
            ("photos", &["photos"][..], &["photo", "photos1", "Photos"][..]),
            ("logs-*", &["logs-", "logs-a-b"], &["logs", "xlogs-a"]),
            ("*-prod-?", &["a-prod-1", "-prod-1", "a-prod-1-prod-2"], &["a-prod-", "a-prod-12", "prod-1"]),
            ("a*b*c", &["abc", "axbxbxc"], &["abcd", "acb"]),
            ("*", &["a", "a-b"], &[]),
        ] {
            let pattern = BucketPattern::parse(pattern).unwrap();
            assert!(matching.iter().all(|name| pattern.matches(name)), "{pattern:?}");
            assert!(!others.iter().any(|name| pattern.matches(name)), "{pattern:?}");
        }
        for text in ["", "a/b", "a b", "..", "a[b]"] {
            assert_eq!(BucketPattern::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn one_star_captures_what_it_stands_for() {
        let captured = |pattern, bucket| BucketPattern::parse(pattern).unwrap().captured(bucket);
        assert_eq!(captured("logs-*", "logs-a"), Some("a"));
        assert_eq!(captured("a*-b", "a1-b"), Some("1"));
        assert_eq!(captured("logs-*", "log"), None);
        assert_eq!(captured("aXa", "aXa"), None);
        assert_eq!(captured("a*a", "a"), None);
        assert_eq!(captured("*-?", "a-b"), None);
        assert_eq!(captured("a*b*", "ab"), None);
    }

    #[test]
    fn hosts_match_in_any_case_and_below_a_domain_only() {
        for (pattern, matching, others) in [
            (
                "S3.example.com",
                &["s3.example.com", "S3.EXAMPLE.COM"][..],
                &["b.s3.example.com", "xs3.example.com"][..],
            ),
            (
                "*.example.com",
                &["a.example.com", "a.B.Example.com"],
                &["example.com", "aexample.com", "example.com.evil"],
            ),
            ("[::1]", &["[::1]"], &["::1"]),
        ] {
            let pattern = HostPattern::parse(pattern).unwrap();
            assert!(matching.iter().all(|host| pattern.matches(host.as_bytes())), "{pattern:?}");
            assert!(!others.iter().any(|host| pattern.matches(host.as_bytes())), "{pattern:?}");
        }
        for text in ["", "*", "*.", "a..b", "*example.com", "a:80", "a/b", ".a", "a.", "a.*"] {
            assert_eq!(HostPattern::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_path_prefix_is_asked_of_what_is_authorised() {
        let archive = selector(&[], &[], Some("/data/archive/"));
        for path in [
            "/data/archive/x",
            "/data/archive/",
            "/data/%61rchive/x",
            "/data/archive%2Fx",
            "/d%61ta/archive//x",
        ] {
            assert!(archive.selects(b"h", &target(path)), "{path}");
        }
        for path in [
            "/data",
            "/data/",
            "/data/archive",
            "/data/archivex/y",
            "/data//archive/x",
            "/dat/archive/x",
            "/",
        ] {
            assert!(!archive.selects(b"h", &target(path)), "{path}");
        }
        for text in [
            "",
            "/",
            "/data",
            "/data/",
            "/data/x",
            "data/x/",
            "/data//x/",
            "/data/../x/",
            "/a b/x/",
            "/data/x\\y/",
        ] {
            assert_eq!(PathPrefix::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_a_file_system_would_resolve_is_seen_through() {
        let seen =
            |path| resolved(&target(path)).map(|target| target.key().map(|key| key.as_str().to_owned()));
        for path in ["/data/archive/x", "/data/x/", "/data/a...b/x", "/data", "/data/.x"] {
            assert_eq!(seen(path), None, "{path}");
        }
        for path in [
            "/data//archive/x",
            "/data/./archive/x",
            "/data/y/../archive/x",
            "/data/archive//x",
            "/data/archive/x/.",
        ] {
            assert_eq!(seen(path), Some(Some("archive/x".to_owned())), "{path}");
        }
    }

    #[test]
    fn a_selector_covers_what_it_would_take_all_of() {
        let any = selector(&[], &[], None);
        let host = selector(&["a.example"], &[], None);
        let logs = selector(&[], &["logs-*"], None);
        let one = selector(&[], &["logs-1"], None);
        let path = selector(&[], &[], Some("/logs-1/x/"));
        for (outer, inner, expected) in [
            (&any, &host, true),
            (&host, &any, false),
            (&logs, &one, true),
            (&one, &logs, false),
            (&logs, &selector(&[], &["logs-?", "logs-a*"], None), true),
            (&selector(&[], &["logs-?"], None), &logs, false),
            (&logs, &selector(&["a.example"], &["logs-1"], None), true),
            (&selector(&["a.example"], &["logs-1"], None), &one, false),
            (&selector(&["*.example"], &[], None), &host, true),
            (&selector(&["*.example"], &[], None), &selector(&["*.a.example"], &[], None), true),
            (&one, &path, true),
            (&path, &one, false),
            (&path, &selector(&[], &["logs-1"], Some("/logs-1/x/y/")), true),
        ] {
            assert_eq!(outer.covers(inner), expected, "{outer:?} {inner:?}");
        }
    }
}
