//! Which bucket and key a request addresses, in path style and in virtual-hosted style.
//!
//! What is authorized is the decoded path, never normalised: `..`, `//` and `%2F` are ordinary bytes of a key.
//! What is forwarded is the path as it was received, but for a raw `+`, which the gateway spells out; see [`Key`].
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html>

use std::borrow::Cow;
use std::fmt;

use http::StatusCode;
use sigv4::uri;

use crate::fault::Fault;

/// What a request addresses: the service, a bucket, or an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    bucket: Option<Bucket>,
    key: Option<Key>,
    /// Whether the bucket came from the host.
    virtual_hosted: bool,
}

impl Target {
    /// Reads bucket and key from the path as received and the value of `Host` (or of `:authority`).
    ///
    /// A host below one of `domains` names the bucket; any other host, an address or none at all means path
    /// style. A host that two readers might cut at different colons means nothing.
    pub fn parse(path: &[u8], host: Option<&[u8]>, domains: &Domains) -> Result<Self, TargetError> {
        let wire = path.strip_prefix(b"/").ok_or_else(|| TargetError::uri(path))?;
        let decode = |wire| decoded(wire).ok_or_else(|| TargetError::uri(path));
        let host = match host {
            Some(host) => Some(without_port(host).ok_or_else(|| TargetError::host(host))?),
            None => None,
        };
        if let Some(name) = host.and_then(|host| domains.bucket(host)) {
            let key = Key::parse(decode(wire)?);
            return Ok(Self { bucket: Some(Bucket::parse(&name)?), key, virtual_hosted: true });
        }
        if wire.is_empty() {
            return Ok(Self { bucket: None, key: None, virtual_hosted: false });
        }
        // The wire is split before it is decoded, and no decoded bucket name holds a slash: a backend that
        // decodes first and one that splits first both see the bucket that was authorized.
        let (name, key) = match wire.iter().position(|&b| b == b'/') {
            Some(slash) => (&wire[..slash], &wire[slash + 1..]),
            None => (wire, &b""[..]),
        };
        let (name, key) = (decode(name)?, Key::parse(decode(key)?));
        Ok(Self { bucket: Some(Bucket::parse(&name)?), key, virtual_hosted: false })
    }

    /// The bucket; `None` when the service itself is addressed.
    pub fn bucket(&self) -> Option<&Bucket> {
        self.bucket.as_ref()
    }

    /// The key; `None` when the bucket or the service is addressed.
    pub fn key(&self) -> Option<&Key> {
        self.key.as_ref()
    }

    /// The object called `key`, which is not empty, in the bucket that this addresses.
    #[must_use]
    pub fn object(&self, key: &str) -> Self {
        Self { key: Key::parse(key.into()), ..self.clone() }
    }

    /// The object called `key`, which is not empty, in `bucket`.
    #[must_use]
    pub fn in_bucket(bucket: Bucket, key: &str) -> Self {
        Self { bucket: Some(bucket), key: Key::parse(key.into()), virtual_hosted: false }
    }

    /// The key as it stands in `path`, which is as received; empty if there is none.
    pub fn key_on_wire<'p>(&self, path: &'p [u8]) -> &'p [u8] {
        let wire = path.strip_prefix(b"/").unwrap_or(path);
        match wire.iter().position(|&b| b == b'/') {
            _ if self.virtual_hosted => wire,
            Some(slash) => &wire[slash + 1..],
            None => b"",
        }
    }

    /// The path under which a backend that is reached in path style has this target: `path` as received, behind
    /// the bucket if that came from the host. No byte of `path` is changed.
    pub fn backend_path<'a>(&self, path: &'a [u8]) -> Cow<'a, [u8]> {
        match &self.bucket {
            Some(bucket) if self.virtual_hosted => {
                Cow::Owned([b"/", bucket.as_str().as_bytes(), path].concat())
            }
            Some(_) | None => Cow::Borrowed(path),
        }
    }
}

/// The name of a bucket: 1 to 255 letters, digits, `.`, `-`, `_`, and one `:` between others.
///
/// Wider than what S3 lets one create today (old buckets, and backends whose tenants look like `tenant:bucket`,
/// have such names), but no byte in it means anything else in a path.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Bucket(Box<str>);

impl Bucket {
    /// Checks length and characters; `.` and `..` are refused, since intermediaries resolve them, and so is a `:` without
    /// a tenant before it or a bucket behind it: `:bucket` is the same as `bucket` to some backends.
    pub fn parse(name: &str) -> Result<Self, TargetError> {
        let legal = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b));
        let (tenant, own) = name.split_once(':').map_or((None, name), |(tenant, own)| (Some(tenant), own));
        let good = tenant.is_none_or(|tenant| !tenant.is_empty() && legal(tenant))
            && !matches!(own, "" | "." | "..")
            && legal(own)
            && name.len() <= 255;
        good.then(|| Self(name.into())).ok_or_else(|| TargetError::InvalidBucketName(name.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// The key of an object, decoded and not normalised. Never empty; any characters, control characters included.
///
/// A `+` in the path is a plus sign, as RFC 3986 has it. Amazon S3 reads it as a space: where a signature holds only
/// for that reading, the path must come in, and be forwarded, with `%20` for `+`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key(Box<str>);

impl Key {
    fn parse(decoded: Cow<'_, str>) -> Option<Self> {
        (!decoded.is_empty()).then(|| Self(decoded.into()))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// The domains under which buckets are hosts of their own, longest first.
#[derive(Clone, Debug, Default)]
pub struct Domains(Vec<Box<str>>);

impl Domains {
    /// Takes domains such as `s3.example.com`, in any case.
    pub fn new<S: AsRef<str>>(domains: impl IntoIterator<Item = S>) -> Self {
        let lower = |domain: S| domain.as_ref().trim_matches('.').to_ascii_lowercase().into_boxed_str();
        let mut domains: Vec<_> =
            domains.into_iter().map(lower).filter(|domain| !domain.is_empty()).collect();
        domains.sort_by_key(|domain| std::cmp::Reverse(domain.len()));
        Self(domains)
    }

    /// What stands before the longest matching domain, in lower case; `None` for that domain itself and for hosts
    /// below none. `host` has no port.
    fn bucket(&self, host: &[u8]) -> Option<String> {
        for domain in &self.0 {
            let Some((before, tail)) =
                host.len().checked_sub(domain.len()).and_then(|at| host.split_at_checked(at))
            else {
                continue;
            };
            if !tail.eq_ignore_ascii_case(domain.as_bytes()) {
                continue;
            }
            match before.split_last() {
                None => return None,
                Some((b'.', name)) => return Some(String::from_utf8_lossy(name).to_ascii_lowercase()),
                Some(_) => {}
            }
        }
        None
    }
}

/// Whether a path or a key has segments that intermediaries and file systems resolve; some take `\` for a slash.
pub(super) fn has_dot_segment(path: &str) -> bool {
    path.split(['/', '\\']).any(|segment| matches!(segment, "." | ".."))
}

/// `None` for a broken escape and for what is not UTF-8.
fn decoded(wire: &[u8]) -> Option<Cow<'_, str>> {
    match uri::decode_path(wire).ok()? {
        Cow::Borrowed(plain) => std::str::from_utf8(plain).ok().map(Cow::Borrowed),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    }
}

/// The host without port and without the dot that ends a fully qualified name; `None` if what follows it is no port.
///
/// Source: <https://www.rfc-editor.org/rfc/rfc3986#section-3.2>
pub fn without_port(host: &[u8]) -> Option<&[u8]> {
    let end = match host.strip_prefix(b"[") {
        Some(address) => address.iter().position(|&b| b == b']')? + 2,
        None => host.iter().position(|&b| b == b':').unwrap_or(host.len()),
    };
    let (host, port) = host.split_at(end);
    let is_port = match port.split_first() {
        None => true,
        Some((colon, digits)) => *colon == b':' && digits.iter().all(u8::is_ascii_digit),
    };
    is_port.then(|| host.strip_suffix(b".").unwrap_or(host))
}

/// Why a request addresses nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// A broken percent escape, a path that is not UTF-8 once decoded, or one that does not begin with `/`.
    #[error("the path {0:?} cannot be parsed")]
    InvalidUri(String),
    /// No bucket can have this name.
    #[error("no bucket can be called {0:?}")]
    InvalidBucketName(String),
    /// A host that is followed by something else than a port.
    #[error("{0:?} is no host")]
    InvalidHost(String),
}

impl TargetError {
    fn uri(path: &[u8]) -> Self {
        Self::InvalidUri(String::from_utf8_lossy(path).into_owned())
    }

    fn host(host: &[u8]) -> Self {
        Self::InvalidHost(String::from_utf8_lossy(host).into_owned())
    }

    /// The answer S3 gives.
    pub fn fault(&self) -> Fault {
        match self {
            Self::InvalidUri(uri) => {
                Fault::new(StatusCode::BAD_REQUEST, "InvalidURI", "Couldn't parse the specified URI.")
                    .with("URI", uri)
            }
            Self::InvalidBucketName(name) => {
                Fault::new(StatusCode::BAD_REQUEST, "InvalidBucketName", "The specified bucket is not valid.")
                    .with("BucketName", name)
            }
            Self::InvalidHost(_) => {
                Fault::new(StatusCode::BAD_REQUEST, "InvalidRequest", "The Host header is not valid.")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(path: &str, host: &str) -> Result<Target, TargetError> {
        let domains = Domains::new(["example.com", "S3.Example.com"]);
        Target::parse(path.as_bytes(), Some(host.as_bytes()), &domains)
    }

    fn addressed(path: &str, host: &str) -> (Option<String>, Option<String>) {
        let target = parse(path, host).unwrap();
        (target.bucket().map(Bucket::to_string), target.key().map(|key| key.as_str().to_owned()))
    }

    fn some(bucket: &str, key: &str) -> (Option<String>, Option<String>) {
        let part = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        (part(bucket), part(key))
    }

    #[test]
    fn path_style_splits_at_the_second_slash() {
        for (path, bucket, key) in [
            ("/", "", ""),
            ("/b", "b", ""),
            ("/b/", "b", ""),
            ("/b//", "b", "/"),
            ("/b/k", "b", "k"),
            ("/b//k//", "b", "/k//"),
            ("/b/../c/./k", "b", "../c/./k"),
            ("/b/a%2Fb%2f..", "b", "a/b/.."),
            ("/b/%25%32%46", "b", "%2F"),
            ("/b/a+b%2Bc%20d", "b", "a+b+c d"),
            ("/b/%00%0A", "b", "\0\n"),
            ("/b/%E2%82%AC\u{20ac}", "b", "\u{20ac}\u{20ac}"),
            ("/%62ucket/k", "bucket", "k"),
            ("/tenant:my_Bucket.x/k?", "tenant:my_Bucket.x", "k?"),
        ] {
            assert_eq!(addressed(path, "127.0.0.1:8080"), some(bucket, key), "{path}");
        }
    }

    #[test]
    fn the_host_names_the_bucket_below_the_longest_domain() {
        for (host, bucket) in [
            ("b.s3.example.com", "b"),
            ("B.S3.EXAMPLE.com:8080", "b"),
            ("my.dotted.bucket.s3.example.com", "my.dotted.bucket"),
            ("b.s3.example.com.", "b"),
            ("b.s3.example.com.:80", "b"),
            ("other.example.com", "other"),
            ("xs3.example.com", "xs3"),
        ] {
            assert_eq!(addressed("/x/k", host), some(bucket, "x/k"), "{host}");
            assert_eq!(addressed("/", host), some(bucket, ""), "{host}");
            assert_eq!(addressed("//", host), some(bucket, "/"), "{host}");
        }
    }

    #[test]
    fn any_other_host_means_path_style() {
        for host in [
            "s3.example.com",
            "EXAMPLE.com:443",
            "example.org",
            "b.example.com.evil",
            "10.0.0.1",
            "[::1]:80",
            "",
        ] {
            assert_eq!(addressed("/x/k", host), some("x", "k"), "{host}");
        }
        let target = Target::parse(b"/x/k", None, &Domains::new(["example.com"])).unwrap();
        assert_eq!(target.bucket().map(Bucket::as_str), Some("x"));
    }

    #[test]
    fn a_host_with_anything_but_one_port_behind_it_addresses_nothing() {
        for host in [
            "b.s3.example.com:80:80",
            "b.s3.example.com:80:",
            "b.s3.example.com::80",
            "b.s3.example.com:http",
            "b.s3.example.com:80.",
            "10.0.0.1:80:80",
            "::1",
            "[::1",
            "[::1]80",
            "[::1]:80:80",
        ] {
            let refused = parse("/x/k", host).unwrap_err();
            assert_eq!(refused, TargetError::InvalidHost(host.to_owned()));
            assert_eq!((refused.fault().status.as_u16(), refused.fault().code), (400, "InvalidRequest"));
        }
        assert_eq!(addressed("/k", "b.s3.example.com:"), some("b", "k"));
    }

    #[test]
    fn broken_paths_address_nothing() {
        for path in ["/b/%", "/b/%4", "/b/%zz", "/%", "/b/%ff", "", "*", "b/k"] {
            for host in ["b.example.com", "localhost"] {
                assert_eq!(parse(path, host), Err(TargetError::InvalidUri(path.to_owned())), "{path}");
            }
        }
    }

    #[test]
    fn no_byte_of_a_bucket_name_has_a_second_meaning() {
        for path in [
            "//k",
            "/:a/k",
            "/a:/k",
            "/a:b:c/k",
            "/a:../k",
            "/a%2Fb/k",
            "/./k",
            "/../k",
            "/%2e%2e/k",
            "/a%00/k",
            "/a b/k",
            "/a%3Fx/k",
            "/\u{e9}/k",
        ] {
            assert!(matches!(parse(path, "localhost"), Err(TargetError::InvalidBucketName(_))), "{path}");
        }
        for host in [".example.com", "...example.com", "a/b.example.com", "a@b.example.com"] {
            assert!(matches!(parse("/k", host), Err(TargetError::InvalidBucketName(_))), "{host}");
        }
        assert!(Bucket::parse("tenant:bucket").is_ok());
        assert!(Bucket::parse(&"b".repeat(255)).is_ok());
        assert!(Bucket::parse(&"b".repeat(256)).is_err());
    }

    #[test]
    fn the_backend_path_keeps_the_wire_form() {
        let hosted = parse("/%7ea//%2F..", "b.example.com").unwrap();
        assert_eq!(&*hosted.backend_path(b"/%7ea//%2F.."), b"/b/%7ea//%2F..");
        let path_style = parse("/b/%7ea", "localhost").unwrap();
        assert_eq!(&*path_style.backend_path(b"/b/%7ea"), b"/b/%7ea");
    }

    #[test]
    fn errors_name_what_they_refuse() {
        let fault = parse("/b/%zz", "localhost").unwrap_err().fault();
        assert_eq!((fault.status.as_u16(), fault.code), (400, "InvalidURI"));
        assert_eq!(fault.elements, [("URI", "/b/%zz".to_owned())]);
        let fault = parse("/%2E/k", "localhost").unwrap_err().fault();
        assert_eq!((fault.status.as_u16(), fault.code), (400, "InvalidBucketName"));
        assert_eq!(fault.elements, [("BucketName", ".".to_owned())]);
    }
}
