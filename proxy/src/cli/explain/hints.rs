//! What may have happened to a request whose signature does not hold.
//!
//! The signature cannot be inverted, but it can be asked: if it holds over the request with one part changed,
//! that part was changed between signer and verifier. What hops are known to do is tried, one thing at a time.
//! A wrong secret cannot be told from a change that is not thought of here.

use http::{HeaderMap, HeaderName, HeaderValue};
use ring::digest;
use sigv4::{CredentialFault, Dialect, Endpoint, ParseError, SignedRequest, Timestamp, VerifyError, uri};

use super::raw::RawRequest;
use super::{Options, Refusal};
use crate::auth::{self, AuthError};

/// A part of the request, and what seems to be the matter with it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hint {
    pub(super) component: &'static str,
    pub(super) text: String,
}

fn hint(component: &'static str, text: impl Into<String>) -> Hint {
    Hint { component, text: text.into() }
}

/// What can be said about a refusal beyond AWS's answer to it.
pub(super) fn find(request: &RawRequest, refusal: &Refusal, options: &Options) -> Vec<Hint> {
    let Refusal::Head(error) = refusal else { return Vec::new() };
    let asked = Question { request, options };
    match error {
        AuthError::Parse(error) => asked.about_parsing(error).into_iter().collect(),
        AuthError::UnknownAccessKey(id) => vec![hint(
            "access key id",
            format!("signed with {id}; known is {}", options.record.credential().access_key_id),
        )],
        AuthError::MissingToken(_) => {
            vec![hint("session token", "the request carries none, but the key is temporary")]
        }
        AuthError::InvalidToken if options.record.credential().session.is_none() => {
            vec![hint(
                "session token",
                "the request carries one, but no session token was given to compare it with",
            )]
        }
        AuthError::InvalidToken => vec![hint("session token", "the request carries another one, or several")],
        AuthError::Verify { source: VerifyError::SignatureMismatch(explanation), .. } => {
            let absent = explanation.absent_headers.iter();
            let mut hints: Vec<_> = absent
                .map(|name| hint("headers", format!("{name} is signed, but the request does not have it")))
                .collect();
            hints.extend(asked.variations());
            hints
        }
        AuthError::Verify { source: VerifyError::UnsignedHeaders { names }, .. } => {
            asked.without(names).into_iter().collect()
        }
        AuthError::Verify { .. }
        | AuthError::ExpiredToken
        | AuthError::Elsewhere(_)
        | AuthError::Store(_) => Vec::new(),
    }
}

/// One request that was refused, and what it was judged by.
struct Question<'a> {
    request: &'a RawRequest,
    options: &'a Options,
}

impl Question<'_> {
    /// Whether the head's signature holds over a variation of the request, whatever its session and body.
    fn holds(&self, request: &RawRequest, endpoint: &Endpoint, now: Timestamp) -> bool {
        let Ok(signed) = SignedRequest::parse(request.head(), endpoint, now) else { return false };
        auth::prove(signed, &self.options.record, &request.body).is_ok()
    }

    fn holds_now(&self, request: &RawRequest) -> bool {
        self.holds(request, &self.options.endpoint, self.options.now.timestamp())
    }

    /// A request for another scope or another time may be rightly signed all the same.
    fn about_parsing(&self, error: &ParseError) -> Option<Hint> {
        let (options, now) = (self.options, self.options.now.timestamp());
        match error {
            ParseError::Credential { faults, .. } => {
                let mut endpoint = options.endpoint.clone();
                for fault in faults {
                    match fault {
                        CredentialFault::Region { region, .. } => {
                            // Of a set of regions, any will do.
                            endpoint.regions =
                                region.as_str().split(',').map(|one| one.trim().into()).collect();
                        }
                        CredentialFault::Service { service, .. } => {
                            endpoint.service = service.as_str().into()
                        }
                        CredentialFault::Malformed { .. }
                        | CredentialFault::Date { .. }
                        | CredentialFault::Terminator { .. }
                        | CredentialFault::DateMismatch { .. } => return None,
                    }
                }
                // S3 names one fault at a time.
                let ours = options.endpoint.clone();
                let region = endpoint.regions.clone();
                let services = [endpoint.service.clone(), "s3".into(), "sts".into()];
                services.into_iter().find_map(|service| {
                    let endpoint = Endpoint { service, regions: region.clone(), ..ours.clone() };
                    self.holds(self.request, &endpoint, now).then(|| {
                        let (region, service) = (&endpoint.regions[0], &endpoint.service);
                        hint(
                            "scope",
                            format!("the signature is right for region {region} and service {service}"),
                        )
                    })
                })
            }
            ParseError::Skewed { date, .. }
            | ParseError::Expired { date, .. }
            | ParseError::NotYetValid { date, .. } => {
                self.holds(self.request, &options.endpoint, *date).then(|| {
                    hint("date", format!("the signature is right; it was made at {date}, judged at {now}"))
                })
            }
            ParseError::Anonymous => Some(hint(
                "signature",
                "there is neither an Authorization header nor X-Amz-Algorithm in the query",
            )),
            _ => None,
        }
    }

    /// Unsigned headers that were added to a rightly signed request.
    fn without(&self, names: &[String]) -> Option<Hint> {
        let mut request = self.request.clone();
        for name in names {
            request.headers.remove(name);
        }
        self.holds_now(&request).then(|| {
            hint("headers", format!("without {} the signature holds: added after signing", names.join(", ")))
        })
    }

    /// Every variation under which the signature holds.
    fn variations(&self) -> Vec<Hint> {
        let mut hints: Vec<_> = self
            .requests()
            .into_iter()
            .filter(|(_, request)| self.holds_now(request))
            .map(|(hint, _)| hint)
            .collect();
        hints.extend(self.other_rules());
        hints
    }

    /// The client may follow the other dialect's rules, or deviate from ours in a way that strictness forbids.
    fn other_rules(&self) -> Option<Hint> {
        let (ours, now) = (&self.options.endpoint, self.options.now.timestamp());
        let (dialect, text) = match ours.dialect {
            Dialect::S3 => (Dialect::Generic, "services other than S3: path normalised and encoded twice"),
            Dialect::Generic => (Dialect::S3, "S3: path encoded once, body hash as declared"),
        };
        if self.holds(self.request, &Endpoint { strict: false, ..ours.clone() }, now) {
            return Some(hint(
                "rules",
                "the signature is right in a form that is refused as not strictly standard",
            ));
        }
        self.holds(self.request, &Endpoint { dialect, ..ours.clone() }, now)
            .then(|| hint("rules", format!("the signature is right by the rules of {text}")))
    }

    fn requests(&self) -> Vec<(Hint, RawRequest)> {
        let mut tried = Vec::new();
        methods(self.request, &mut tried);
        hosts(self.request, &mut tried);
        paths(self.request, &mut tried);
        queries(self.request, &mut tried);
        headers(self.request, &mut tried);
        payloads(self.request, &mut tried);
        tried
    }
}

type Tried = Vec<(Hint, RawRequest)>;

fn methods(request: &RawRequest, tried: &mut Tried) {
    for method in ["GET", "HEAD", "PUT", "POST", "DELETE"] {
        if method != request.method {
            let hint = hint("method", format!("signed as {method}, received as {}", request.method));
            tried.push((hint, RawRequest { method: method.to_owned(), ..request.clone() }));
        }
    }
}

fn hosts(request: &RawRequest, tried: &mut Tried) {
    let Some(host) = request.headers.get("host").and_then(|host| host.to_str().ok()) else { return };
    let bare = host.rsplit_once(':').map_or(host, |(bare, _)| bare);
    let forwarded = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
    let mut hosts = vec![bare.to_owned(), host.to_ascii_lowercase()];
    hosts.extend(["80", "443", "8080", "9000"].map(|port| format!("{bare}:{port}")));
    if let Some(original) = forwarded("x-forwarded-host") {
        hosts.push(original.to_owned());
        hosts.extend(forwarded("x-forwarded-port").map(|port| format!("{original}:{port}")));
    }
    for signed in hosts {
        if signed != host
            && let Some(request) = with(request, "host", signed.as_bytes())
        {
            tried.push((hint("host", format!("signed as {signed}, received as {host}")), request));
        }
    }
}

fn paths(request: &RawRequest, tried: &mut Tried) {
    let path = &request.path;
    let mut paths: Vec<(Vec<u8>, &str)> = vec![
        (uri::encode_path(path).into_bytes(), "with one more encoding"),
        (
            path.iter().flat_map(|&b| if b == b'+' { b"%20".to_vec() } else { vec![b] }).collect(),
            "with %20 for +",
        ),
        ([path, &b"/"[..]].concat(), "with a slash at its end"),
        (path.strip_suffix(b"/").unwrap_or(path).to_vec(), "without the slash at its end"),
        (normalised(path), "without empty and dot segments"),
    ];
    if let Ok(decoded) = uri::decode_path(path) {
        paths.push((decoded.into_owned(), "decoded once more"));
    }
    if let Some(host) = request.headers.get("host") {
        let bucket = host.as_bytes().split(|&byte| byte == b'.').next().unwrap_or_default();
        paths.push(([b"/", bucket, path].concat(), "with the bucket of the host in front"));
    }
    if let Some(at) = path.iter().skip(1).position(|&byte| byte == b'/') {
        paths.push((path[at + 1..].to_vec(), "without its first segment"));
    }
    for (signed, how) in paths {
        if signed != *path {
            let text = format!("signed {how}: {}", String::from_utf8_lossy(&signed));
            tried.push((hint("path", text), RawRequest { path: signed, ..request.clone() }));
        }
    }
}

fn normalised(path: &[u8]) -> Vec<u8> {
    let mut segments: Vec<&[u8]> = Vec::new();
    for segment in path.split(|&byte| byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => _ = segments.pop(),
            name => segments.push(name),
        }
    }
    let end: &[u8] = if path.ends_with(b"/") && !segments.is_empty() { b"/" } else { b"" };
    [b"/", &*segments.join(&b'/'), end].concat()
}

fn queries(request: &RawRequest, tried: &mut Tried) {
    let Some(query) = &request.query else { return };
    let mut vary = |text: String, query: Option<Vec<u8>>| {
        tried.push((hint("query", text), RawRequest { query, ..request.clone() }));
    };
    vary("signed without any parameter".to_owned(), None);
    let pieces: Vec<_> = query.split(|&byte| byte == b'&').collect();
    for (at, piece) in pieces.iter().enumerate() {
        let rest: Vec<_> =
            pieces.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, piece)| *piece).collect();
        let name = piece.split(|&byte| byte == b'=').next().unwrap_or_default();
        vary(format!("signed without {}", String::from_utf8_lossy(name)), Some(rest.join(&b'&')));
    }
    if query.contains(&b'+') {
        let literal = query.iter().flat_map(|&b| if b == b'+' { b"%2B".to_vec() } else { vec![b] }).collect();
        vary("signed with + as itself, %2B, and not as a space".to_owned(), Some(literal));
    }
    if let Ok(decoded) = uri::decode_query(query) {
        vary("signed decoded once more".to_owned(), Some(decoded.into_owned()));
    }
}

/// Headers that hops and HTTP stacks are known to change, with the values clients sign.
fn headers(request: &RawRequest, tried: &mut Tried) {
    let length = request.body.len().to_string();
    let values: [(&'static str, &[&str]); 7] = [
        ("accept-encoding", &["identity", "gzip", "gzip, deflate", "gzip, deflate, br", ""]),
        ("connection", &["keep-alive", "close", "Keep-Alive"]),
        ("content-length", &[&length, "0"]),
        (
            "content-type",
            &["application/octet-stream", "binary/octet-stream", "application/x-www-form-urlencoded", ""],
        ),
        ("expect", &["100-continue"]),
        ("te", &["trailers"]),
        ("transfer-encoding", &["chunked"]),
    ];
    for (name, values) in values {
        for value in values {
            let received = request.headers.get(name);
            if received.is_none_or(|received| received != value)
                && let Some(request) = with(request, name, value.as_bytes())
            {
                let received =
                    received.map_or("not at all".to_owned(), |received| format!("as {received:?}"));
                tried.push((
                    hint("headers", format!("{name} was signed as {value:?}, received {received}")),
                    request,
                ));
            }
        }
    }
    for name in request.headers.keys() {
        if request.headers.get_all(name).iter().count() > 1 {
            let mut once = request.clone();
            once.headers.insert(name.clone(), request.headers[name].clone());
            tried.push((hint("headers", format!("only the first value of {name} was signed")), once));
        }
    }
}

fn payloads(request: &RawRequest, tried: &mut Tried) {
    if !request.body.is_empty() {
        let empty = RawRequest { body: Vec::new(), ..request.clone() };
        tried.push((hint("body", "signed with an empty body"), empty));
    }
    let hash = |bytes: &[u8]| sigv4::hex::encode(digest::digest(&digest::SHA256, bytes).as_ref());
    let values = ["UNSIGNED-PAYLOAD".to_owned(), hash(&request.body), hash(b"")];
    for value in values {
        if let Some(request) = with(request, "x-amz-content-sha256", value.as_bytes()) {
            tried.push((hint("payload hash", format!("signed with x-amz-content-sha256: {value}")), request));
        }
    }
}

/// The request with one header set; `None` if it is so already.
fn with(request: &RawRequest, name: &'static str, value: &[u8]) -> Option<RawRequest> {
    let value = HeaderValue::from_bytes(value).ok()?;
    let mut headers: HeaderMap = request.headers.clone();
    let before = headers.insert(HeaderName::from_static(name), value.clone());
    (before != Some(value)).then(|| RawRequest { headers, ..request.clone() })
}
