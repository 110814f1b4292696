//! Requests, signed and serialised before the clock runs.

use std::collections::VecDeque;
use std::error::Error;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::Full;
use ring::digest;
use sigv4::{
    ChunkEncoder, ChunkSigner, Dialect, Scope, SecretAccessKey, Signature, Signer, SigningKey, Target,
    Timestamp,
};

use super::object_path;
use super::options::{Method, Options, Payload};
use crate::payload::pattern;

/// Bodies up to here go in one piece with their head.
const JOINED: usize = 1 << 20;
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The requests, each for another object.
pub(super) enum Plan {
    Http1(Vec<Wire>),
    Http2(Vec<Request<Full<Bytes>>>),
}

/// A request as it goes over the wire.
pub(super) struct Wire {
    /// The head, and the body too if that is small.
    pub(super) first: Bytes,
    /// The rest of the body.
    pub(super) rest: Bytes,
}

/// One signed request.
struct Signed {
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Plan {
    /// Signs all that `options` ask for, as of now.
    pub(super) fn new(options: &Options, authority: &str) -> Result<Self, Box<dyn Error>> {
        let author = Author::new(options, authority);
        let signed = (0..options.objects.max(1)).map(|number| author.sign(number));
        Ok(match options.streams {
            0 => Self::Http1(
                signed.map(|it| Ok(wire(options.method, &it?))).collect::<Result<_, Box<dyn Error>>>()?,
            ),
            _ => {
                let scheme = if options.target.starts_with("https") { "https" } else { "http" };
                let base = format!("{scheme}://{authority}");
                Self::Http2(signed.map(|it| request(options.method, &base, it?)).collect::<Result<_, _>>()?)
            }
        })
    }

    /// How many requests there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Http1(wires) => wires.len(),
            Self::Http2(requests) => requests.len(),
        }
    }
}

/// What all requests have in common.
struct Author<'o> {
    options: &'o Options,
    authority: &'o str,
    key: SigningKey,
    now: Timestamp,
    data: Bytes,
    sha256: String,
}

impl<'o> Author<'o> {
    fn new(options: &'o Options, authority: &'o str) -> Self {
        let now = now();
        let scope = Scope { date: now.date(), region: &options.region, service: "s3" };
        let secret = SecretAccessKey::new(options.secret_access_key.as_bytes());
        let data = if options.method == Method::Put { pattern(options.size) } else { Bytes::new() };
        let hash = digest::digest(&digest::SHA256, &data);
        let sha256 = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Self { options, authority, key: SigningKey::derive(&secret, &scope), now, data, sha256 }
    }

    fn sign(&self, number: usize) -> Result<Signed, Box<dyn Error>> {
        let options = self.options;
        let path = object_path(options.size, number);
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_str(self.authority)?);
        headers.insert(USER_AGENT, HeaderValue::from_static("sigward-load"));
        let payload = match (options.method, options.payload) {
            (Method::Get, _) => EMPTY_SHA256,
            (Method::Put, Payload::Unsigned) => "UNSIGNED-PAYLOAD",
            (Method::Put, Payload::Hash) => &self.sha256,
            (Method::Put, Payload::Chunks) => {
                headers.insert("x-amz-decoded-content-length", self.data.len().into());
                headers.insert(CONTENT_ENCODING, HeaderValue::from_static("aws-chunked"));
                "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
            }
        };
        let signer = Signer {
            key: &self.key,
            access_key_id: &options.access_key_id,
            session_token: options.session_token.as_deref().map(str::as_bytes),
            dialect: Dialect::S3,
        };
        let target = Target { method: options.method.name(), path: path.as_bytes(), query: None };
        let seed = signer.sign(target, &mut headers, payload, self.now)?;
        let is_chunked = options.method == Method::Put && options.payload == Payload::Chunks;
        let body = if is_chunked { self.chunks(seed) } else { self.data.clone() };
        if options.method == Method::Put {
            headers.insert(CONTENT_LENGTH, body.len().into());
        }
        Ok(Signed { path, headers, body })
    }

    fn chunks(&self, seed: Signature) -> Bytes {
        let mut encoder = ChunkEncoder::signed(ChunkSigner::new(&self.key, self.now, seed));
        let mut out = VecDeque::new();
        for chunk in self.data.chunks(self.options.chunk.max(1)) {
            encoder.push(self.data.slice_ref(chunk), &mut out);
        }
        encoder.finish(&mut out);
        out.into_iter().collect::<Vec<_>>().concat().into()
    }
}

fn wire(method: Method, signed: &Signed) -> Wire {
    let mut first = format!("{} {} HTTP/1.1\r\n", method.name(), signed.path).into_bytes();
    for (name, value) in &signed.headers {
        first.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    first.extend(b"\r\n");
    if signed.body.len() > JOINED {
        return Wire { first: first.into(), rest: signed.body.clone() };
    }
    first.extend(&signed.body);
    Wire { first: first.into(), rest: Bytes::new() }
}

fn request(method: Method, base: &str, mut signed: Signed) -> Result<Request<Full<Bytes>>, Box<dyn Error>> {
    // The authority of the target takes its place.
    signed.headers.remove(HOST);
    let mut request = Request::builder()
        .method(method.name())
        .uri(format!("{base}{}", signed.path))
        .body(Full::new(signed.body))?;
    *request.headers_mut() = signed.headers;
    Ok(request)
}

#[expect(clippy::disallowed_methods, reason = "the gateway at the other end has the same time")]
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix(since.as_secs().cast_signed())
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use sigv4::{Endpoint, Head, PayloadHead, PayloadVerifier, SignedRequest};

    use super::*;

    fn options(arguments: &[&str]) -> Options {
        Options::parse_from([&["load", "http://127.0.0.1:1"], arguments].concat())
    }

    /// Whether a gateway would take the request, body included.
    fn is_proved(options: &Options) -> bool {
        let author = Author::new(options, "127.0.0.1:1");
        let Signed { path, headers, body } = author.sign(7).unwrap();
        let method = options.method.name();
        let head = Head { method, path: path.as_bytes(), query: None, headers: &headers, authority: None };
        let endpoint = Endpoint::s3(&options.region);
        let request = SignedRequest::parse(head, &endpoint, author.now).unwrap();
        let mode = request.verify(&author.key).unwrap().into_payload();
        let facts = PayloadHead::parse(&head, &mode).unwrap();
        let mut verifier = PayloadVerifier::new(mode, facts);
        verifier.push(body, &mut VecDeque::new()).is_ok() && verifier.finish().is_ok()
    }

    #[test]
    fn every_way_of_signing_is_accepted() {
        assert!(is_proved(&options(&[])), "GET");
        for payload in ["unsigned", "hash", "chunks"] {
            let put = ["--method", "put", "--size", "100000", "--payload", payload];
            assert!(is_proved(&options(&put)), "{payload}");
        }
    }

    #[test]
    fn a_large_body_is_not_copied_into_every_request() {
        let put = options(&["--method", "put", "--size", "2000000", "--objects", "3"]);
        let Plan::Http1(wires) = Plan::new(&put, "127.0.0.1:1").unwrap() else { panic!("HTTP/1.1") };
        assert_eq!(wires.len(), 3);
        assert!(wires.iter().all(|wire| wire.rest.as_ptr() == wires[0].rest.as_ptr()));
    }
}
