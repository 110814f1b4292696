//! Where a request goes and what its bucket and keys are called there; the client's names in the answer.
//!
//! Everything before this knows the client's names only: they are what is signed, authorised and logged.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, LOCATION};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri};
use md5::{Digest as _, Md5};
use ring::digest::{SHA256, digest};
use sigv4::ChecksumAlgorithm;

use super::answer_body::AnswerBody;
use super::error::GatewayError;
use super::plan::{Backend, Plan, Route};
use super::{UpstreamAnswer, host};
use crate::fault::Fault;
use crate::s3::rename::{self, Mapping, Rewriter};
use crate::s3::{self, Action, Asked, Deletions, Key, ObjectVersion, Target, TargetError, Unclear};
use crate::upstream::Content;

/// Where one request goes.
pub(super) struct Destination<'p> {
    pub(super) upstream: &'p Backend,
    /// What is copied from lies on the same route, if anything is copied.
    pub(super) is_alone: bool,
    plan: &'p Plan,
    route: &'p Route,
    /// Of the request's own bucket, where it has another name.
    names: Option<Mapping>,
    /// Of the bucket that is copied from, where it has another name, with what that makes of `x-amz-copy-source`.
    source: Option<(Mapping, String)>,
}

/// What `DeleteObjects` lists, with the keys of the backend.
pub(super) struct RenamedList {
    pub(super) document: Bytes,
    md5: String,
    sha256: [u8; 32],
}

impl Plan {
    /// Where a request goes that came for `host`, on its `route`.
    ///
    /// # Errors
    /// What could make the backend do more than is asked; nobody has such a bucket to copy from; an operation that is not offered under another name; a copy between backends; a key
    /// that could be read in two ways.
    pub(super) fn destination<'p>(
        &'p self,
        route: &'p Route,
        host: Option<&[u8]>,
        asked: &Asked<'_>,
    ) -> Result<Destination<'p>, GatewayError> {
        asked.within_bounds(route.upstream.is_passthrough()).map_err(GatewayError::Unrouted)?;
        let names = mapping(route, asked.target)?;
        keep_out(route, asked, names.as_ref())?;
        if let Some(names) = &names {
            let prefixed = !names.key_prefix.as_str().is_empty();
            if !rename::is_offered(asked.action, prefixed) {
                return Err(not_implemented("The operation is not offered for a bucket under another name."));
            }
            if prefixed {
                // What only the backend knows could reach beyond the part of the bucket that is meant.
                asked.has_known_parameters().map_err(unclear)?;
            }
        }
        let (is_alone, source) = match asked.action {
            Action::CopyObject | Action::UploadPartCopy if self.has_routes() => {
                self.source(host, asked, route)?
            }
            _ => (true, None),
        };
        Ok(Destination { upstream: &route.upstream, is_alone, plan: self, route, names, source })
    }

    /// Whether what is copied from lies on the same route; and its names, if the backend calls it otherwise.
    fn source(
        &self,
        host: Option<&[u8]>,
        asked: &Asked<'_>,
        route: &Route,
    ) -> Result<(bool, Option<(Mapping, String)>), GatewayError> {
        let source = asked.copy_source().map_err(unclear)?;
        let target = Target::in_bucket(source.bucket.clone(), &source.key);
        let from = self.route(host, &target)?;
        if !Arc::ptr_eq(&from.upstream, &route.upstream) {
            return Err(not_implemented("A copy between buckets of different backends is not implemented."));
        }
        let renamed = mapping(from, &target)?.map(|names| {
            let value = names.copy_source(&source);
            (names, value)
        });
        Ok((std::ptr::eq(from, route), renamed))
    }
}

/// What the route calls bucket and keys, if not what the client calls them.
fn mapping(route: &Route, target: &Target) -> Result<Option<Mapping>, GatewayError> {
    let (Some(rule), Some(bucket)) = (&route.rule.rename, target.bucket()) else { return Ok(None) };
    let names = rule.mapping(bucket, &route.rule.selector.buckets);
    let names = names.ok_or_else(|| GatewayError::Unrouted(s3::no_such_bucket(bucket)))?;
    if rename::could_climb(target) {
        return Err(unclear(Unclear::Ambiguous("key")));
    }
    Ok(Some(names))
}

/// Refuses what would be no request for S3 to the backend.
fn keep_out(route: &Route, asked: &Asked<'_>, names: Option<&Mapping>) -> Result<(), GatewayError> {
    let Some(bucket) = asked.target.bucket() else {
        // There are others who understand more than a list of buckets, and ask for nothing but a signature.
        let is_action = |(name, _): (&[u8], _)| {
            sigv4::uri::decode_query(name).is_ok_and(|name| name.eq_ignore_ascii_case(b"Action"))
        };
        let foreign = !matches!(asked.action, Action::ListBuckets | Action::Options)
            || sigv4::uri::pairs(asked.query.unwrap_or_default()).any(is_action);
        return if foreign && !route.upstream.is_passthrough() { Err(GatewayError::Method) } else { Ok(()) };
    };
    let key = asked.target.key().map(Key::as_str);
    let (there, prefixed) = match names {
        Some(names) => (&names.backend, key.map(|key| format!("{}{key}", names.key_prefix.as_str()))),
        None => (bucket, None),
    };
    if route.upstream.reserves(there.as_str(), prefixed.as_deref().or(key)) {
        return Err(TargetError::InvalidBucketName(bucket.to_string()).into());
    }
    Ok(())
}

fn unclear(unclear: Unclear) -> GatewayError {
    GatewayError::Unrouted(unclear.fault())
}

fn not_implemented(message: &'static str) -> GatewayError {
    GatewayError::Unrouted(Fault::new(StatusCode::NOT_IMPLEMENTED, "NotImplemented", message))
}

impl Destination<'_> {
    /// Whether it depends on the keys in the body of `DeleteObjects` whether and how it can be forwarded.
    pub(super) fn reads_list(&self) -> bool {
        self.plan.by_path() || self.names.as_ref().is_some_and(|names| !names.key_prefix.as_str().is_empty())
    }

    /// The list of `DeleteObjects` as the backend has to see it; `None`: as it is.
    ///
    /// # Errors
    /// An object that a request of its own would find elsewhere, or whose key could be read in two ways.
    pub(super) fn list(
        &self,
        parts: &Parts,
        target: &Target,
        listed: &Deletions,
    ) -> Result<Option<RenamedList>, GatewayError> {
        let Some(bucket) = target.bucket() else { return Ok(None) };
        for ObjectVersion { key, .. } in &listed.objects {
            let object = Target::in_bucket(bucket.clone(), key);
            if !std::ptr::eq(self.plan.route(host(parts), &object)?, self.route) {
                return Err(not_implemented("Objects of different backends cannot be deleted at once."));
            }
            mapping(self.route, &object)?;
        }
        let Some(names) = self.names.as_ref().filter(|names| !names.key_prefix.as_str().is_empty()) else {
            return Ok(None);
        };
        let renamed = listed.document(names.key_prefix.as_str());
        let sha256 = digest(&SHA256, &renamed);
        let sha256 = sha256.as_ref().try_into().expect("SHA-256 has 32 bytes");
        let md5 = STANDARD.encode(Md5::digest(&renamed));
        Ok(Some(RenamedList { document: renamed.into(), md5, sha256 }))
    }

    /// The head with the names of the backend, and with the headers that parameters stand for; `None`: it is the client's
    /// own. `path` is as authorised.
    pub(super) fn head(
        &self,
        parts: &Parts,
        asked: &Asked<'_>,
        path: &[u8],
        list: Option<&RenamedList>,
    ) -> Result<Option<Parts>, GatewayError> {
        let hoisted = match self.upstream.is_passthrough() {
            true => Vec::new(),
            false => asked.hoisted().map_err(unclear)?,
        };
        let is_renamed = self.names.is_some() || self.source.is_some();
        if !is_renamed && hoisted.is_empty() {
            return Ok(None);
        }
        let (mut renamed, ()) = http::Request::new(()).into_parts();
        renamed.method = parts.method.clone();
        renamed.headers = parts.headers.clone();
        if is_renamed {
            // A document that is compressed could not be read on its way back.
            renamed.headers.remove(ACCEPT_ENCODING);
        }
        let query = match parts.uri.query() {
            Some(query) if !hoisted.is_empty() => s3::without_hoisted(query),
            query => query.map(Cow::Borrowed),
        };
        renamed.headers.extend(hoisted);
        let (path, query) = match &self.names {
            Some(names) => (
                names.path(asked.target, path),
                names.query(asked.action, query.as_deref()).map_err(unclear)?.map(Cow::Owned),
            ),
            None => (asked.target.backend_path(path).into_owned(), query),
        };
        if let Some((_, source)) = &self.source {
            let value = HeaderValue::from_str(source)
                .map_err(|_| unclear(Unclear::Ambiguous("x-amz-copy-source")))?;
            renamed.headers.insert(COPY_SOURCE, value);
        }
        if let Some(list) = list {
            describe(list, &mut renamed.headers);
        }
        let target = match query {
            Some(query) => [&path[..], b"?", query.as_bytes()].concat(),
            None => path,
        };
        let shown = String::from_utf8_lossy(&target).into_owned();
        let target = PathAndQuery::from_maybe_shared(Bytes::from(target));
        renamed.uri = Uri::from(target.map_err(|_| TargetError::InvalidUri(shown))?);
        Ok(Some(renamed))
    }

    /// What an upload by form is called at the backend: bucket and key.
    pub(super) fn object(&self, bucket: &str, key: &str) -> (String, String) {
        match &self.names {
            Some(names) => (names.backend.to_string(), format!("{}{key}", names.key_prefix.as_str())),
            None => (bucket.to_owned(), key.to_owned()),
        }
    }

    /// The answer to `parts`, with the client's names. `tls`: the client's connection is encrypted.
    ///
    /// What an object holds is never looked at: whether an answer is a document follows from what was asked.
    pub(super) fn answer(
        self,
        response: Response<UpstreamAnswer>,
        parts: &Parts,
        action: Action,
        tls: bool,
    ) -> Response<AnswerBody> {
        let (mut head, body) = response.into_parts();
        let url = || object_url(parts, tls);
        if let (Some(names), true) =
            (&self.names, head.status.is_success() && head.headers.contains_key(LOCATION))
        {
            let location = if action == Action::CreateBucket { format!("/{}", names.client) } else { url() };
            head.headers.remove(LOCATION);
            head.headers.extend(HeaderValue::from_str(&location).ok().map(|value| (LOCATION, value)));
        }
        let fails = head.status.is_client_error() || head.status.is_server_error();
        let is_document = fails || (head.status.is_success() && rename::names_in_answer(action));
        let renamed: Vec<Mapping> =
            self.names.into_iter().chain(self.source.map(|(names, _)| names)).collect();
        if renamed.is_empty()
            || !is_document
            || parts.method == Method::HEAD
            || head.headers.contains_key(CONTENT_ENCODING)
        {
            return Response::from_parts(head, AnswerBody::streaming(body));
        }
        head.headers.remove(CONTENT_LENGTH);
        let url_encoded = rename::is_url_encoded(parts.uri.query());
        let rewriter = Rewriter::of_answer(renamed, url_encoded, Some(url().into()));
        Response::from_parts(head, AnswerBody::rewritten(body, rewriter))
    }
}

impl RenamedList {
    /// What the backend is told about it.
    pub(super) fn content(&self) -> Content {
        Content::Plain { length: self.document.len() as u64, sha256: Some(self.sha256) }
    }
}

const COPY_SOURCE: HeaderName = HeaderName::from_static("x-amz-copy-source");

/// What the client said about the list is true of its own list only.
fn describe(list: &RenamedList, headers: &mut HeaderMap) {
    const OF_CLIENT: [&str; 2] = ["x-amz-sdk-checksum-algorithm", "x-amz-trailer"];
    let checksums = ChecksumAlgorithm::ALL.iter().map(|algorithm| algorithm.header_name());
    for name in checksums.chain(OF_CLIENT) {
        headers.remove(name);
    }
    headers.remove("x-amz-checksum-type");
    headers.extend(
        HeaderValue::from_str(&list.md5).ok().map(|md5| (HeaderName::from_static("content-md5"), md5)),
    );
}

/// The URL under which the client addressed the object.
fn object_url(parts: &Parts, tls: bool) -> String {
    let scheme = if tls { "https" } else { "http" };
    let host = host(parts).map(String::from_utf8_lossy).unwrap_or_default();
    format!("{scheme}://{host}{}", parts.uri.path())
}
