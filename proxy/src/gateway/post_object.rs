//! Form uploads: a browser posts a form to a bucket, and the backend gets a `PutObject`.
//!
//! ```text
//! read the form ─► authenticate ─► authorize ─► length of the file ─► prove the body ─► forward ─► respond
//! ```
//!
//! The form is read, verified and authorized before its file is. The file then streams in constant memory, through
//! the same `ProvingBody` as any upload: the last bytes stay here until the end of the file, its size and its
//! checksums are proved.
//!
//! A backend wants to know the length of a file beforehand, and a form does not say it. If the file ends within
//! [`LOOK_AHEAD`], its length is known. Of a longer one it is concluded from the length of the body, taking the file
//! for the last field, as S3 asks for: if other fields follow after all, the upload is broken off and refused.
//!
//! A backend that checks the client's own signature (`passthrough`) gets the form as it came.

use std::borrow::Cow;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use sigv4::{Boundary, FormError, FormFile, FormReader, PayloadError, PostForm, uri};
use tokio::time::timeout;

use super::access_log::Call;
use super::answer_body::AnswerBody;
use super::error::GatewayError;
use super::vigil::Vigil;
use super::{Lingering, Serving, content, host};
use crate::auth::{self, Arrival};
use crate::s3::{self, Action, Asked, Bucket, Stored, Success, Target};
use crate::upstream::Outbound;

/// Bytes of a body that are held to find the end of its file.
const LOOK_AHEAD: usize = 256 << 10;

impl Serving<'_> {
    /// The bucket that a request uploads to by form, or would if its body were one.
    ///
    /// A signed request that is no form may be an operation that only the backend knows.
    pub(super) fn upload_target(self, parts: &Parts, listener: usize) -> Option<Target> {
        if parts.method != Method::POST {
            return None;
        }
        let domains = self.plan.domains(listener);
        let target = Target::parse(parts.uri.path().as_bytes(), host(parts), domains).ok()?;
        let query = parts.uri.query().map(str::as_bytes);
        match Action::of(&parts.method, &target, query, &parts.headers) {
            Action::PostObject => Some(target),
            Action::Unknown if query.is_none() && !is_signed(parts) => {
                (target.bucket().is_some() && target.key().is_none()).then_some(target)
            }
            _ => None,
        }
    }

    /// The whole line of a form upload to `target`.
    pub(super) async fn post_object(
        self,
        parts: &Parts,
        target: Target,
        mut incoming: Lingering,
        call: &mut Call,
    ) -> Result<Response<AnswerBody>, GatewayError> {
        let Self { gateway, plan } = self;
        call.aim(Action::PostObject, &target);
        if is_signed(parts) {
            return Err(GatewayError::SignedForm);
        }
        let boundary = boundary(&parts.headers)?;
        let length = incoming.size_hint().exact().ok_or(GatewayError::MissingContentLength)?;
        let bucket = target.bucket().map(Bucket::as_str).unwrap_or_default();

        let form = read_form(boundary, &mut incoming, plan.settings.head_timeout).await?;
        let address = call.peer.ip();
        gateway.admission.may_try(address, None)?;
        let arrival = Arrival { at: call.now, from: address };
        let verdict = auth::authenticate_form(&gateway.store, &form, bucket, &plan.endpoint, arrival).await;
        gateway.metrics.verified(call.elapsed());
        if let Err(error) = &verdict {
            gateway.admission.form_failed(address, error);
        }
        let (authenticated, form) = verdict?;
        call.identify(authenticated.record());
        let key = s3::object_key(&form).map_err(GatewayError::Field)?;
        let target = target.object(key);
        call.aim(Action::PostObject, &target);
        let (unrevoked, payload) = auth::unrevoked(&gateway.store, authenticated)?;
        gateway.admission.principal(unrevoked.credential())?;

        let mut headers = s3::put_headers(&form).map_err(GatewayError::Field)?;
        let directory = gateway.identities.current();
        let action = Action::PostObject;
        let asked = Asked { action, target: &target, query: None, headers: &headers, objects: None };
        let query = parts.uri.query().map(str::as_bytes);
        let beside = Asked { query, headers: &parts.headers, ..asked };
        // These headers go on to a backend that checks the form itself, and to no other.
        beside.within_bounds(true).map_err(GatewayError::Field)?;
        let circumstances = self.circumstances(parts, call);
        let permitted = unrevoked.authorize(directory.as_deref(), &asked, &circumstances)?;
        drop(directory);
        let route = plan.route(host(parts), &target)?;
        let destination = plan.destination(route, host(parts), &asked)?;
        let upstream = destination.upstream;
        let patience = upstream.stall_timeout();
        if !upstream.is_passthrough() {
            let length = file_length(form.file(), &mut incoming, length, patience).await?;
            headers.insert(CONTENT_LENGTH, length.into());
        }
        let (mut body, content) = content::of_form(&headers, payload, incoming, length)?;
        content::bound(&mut body, &content, plan.max_body_bytes(route))?;
        let verdict = body.verdict();
        let vigil = Vigil { upstream, verdict: &verdict };
        call.receive(verdict.clone());
        vigil.prime(&mut body).await?;

        let (bucket_there, key_there) = destination.object(bucket, key);
        let put = put(&bucket_there, &key_there, headers, parts)?;
        let (parts_sent, path) =
            if upstream.is_passthrough() { (parts, parts.uri.path()) } else { (&put, put.uri.path()) };
        let outbound = Outbound {
            parts: parts_sent,
            path: path.as_bytes(),
            content,
            forwarded_for: call.peer.forwarded_for(),
            now: call.now.timestamp(),
        };
        let mut response = {
            let sending = pin!(upstream.forward(&permitted, &outbound, body));
            vigil.response(sending, &gateway.metrics).await?
        };
        call.answered();
        if upstream.is_passthrough() || !response.status().is_success() {
            return Ok(destination.answer(response, parts, action, call.peer.tls));
        }
        let bucket_url = bucket_url(parts, call.peer.tls);
        let object = Stored { bucket_url: &bucket_url, bucket, key };
        let answer = s3::stored(&Success::of(&form), object, std::mem::take(response.headers_mut()));
        Ok(answer.map(AnswerBody::whole))
    }
}

/// Reads the body up to its file, and puts back what was read.
async fn read_form(
    boundary: Boundary,
    incoming: &mut Lingering,
    patience: Duration,
) -> Result<PostForm, GatewayError> {
    let mut reader = FormReader::new(boundary);
    // Copied, so that tiny pieces do not each hold on to a buffer.
    let mut read = Vec::new();
    let reading = async {
        while let Some(piece) = next(incoming).await? {
            let form = reader.push(&piece).map_err(PayloadError::from)?;
            read.extend_from_slice(&piece);
            if let Some(form) = form {
                return Ok(form);
            }
        }
        Err(PayloadError::from(reader.finish()).into())
    };
    let form = timeout(patience, reading).await.map_err(|_| GatewayError::ClientStalled)?;
    incoming.put_back(read.into());
    form
}

/// The length of the file in a body of `body_length` bytes. Refuses one that the form does not allow.
async fn file_length(
    file: &FormFile,
    incoming: &mut Lingering,
    body_length: u64,
    patience: Duration,
) -> Result<u64, GatewayError> {
    let (mut read, mut ended) = (Vec::new(), false);
    while read.len() < LOOK_AHEAD && !ended {
        match timeout(patience, next(incoming)).await.map_err(|_| GatewayError::ClientStalled)?? {
            Some(piece) => read.extend_from_slice(&piece),
            None => ended = true,
        }
    }
    let read = Bytes::from(read);
    let length = match file.length_within(&read).map_err(PayloadError::from)? {
        Some(length) => length,
        None if ended => return Err(PayloadError::from(FormError::Truncated).into()),
        None => file.length_if_last(body_length).ok_or(PayloadError::from(FormError::Truncated))?,
    };
    file.check_size(length).map_err(PayloadError::from)?;
    incoming.put_back(read);
    Ok(length)
}

/// The next piece of a body; `None` at its end.
async fn next(incoming: &mut Lingering) -> Result<Option<Bytes>, GatewayError> {
    loop {
        match incoming.frame().await {
            None => return Ok(None),
            Some(Err(_)) => return Err(GatewayError::ClientGone),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

/// Whether a request claims to be signed outside of any form.
fn is_signed(parts: &Parts) -> bool {
    const NAMES: [&[u8]; 3] = [b"X-Amz-Algorithm", b"X-Amz-Credential", b"X-Amz-Signature"];
    let query = parts.uri.query().unwrap_or_default();
    let names = |wire: &[u8]| uri::decode_query(wire).is_ok_and(|name| NAMES.contains(&&*name));
    parts.headers.contains_key(AUTHORIZATION) || uri::pairs(query.as_bytes()).any(|(name, _)| names(name))
}

fn boundary(headers: &HeaderMap) -> Result<Boundary, GatewayError> {
    let mut values = headers.get_all(CONTENT_TYPE).iter().map(HeaderValue::as_bytes);
    let boundary = match (values.next(), values.next()) {
        (Some(value), None) => Boundary::parse(value),
        (Some(_), Some(_)) => Err(FormError::MissingBoundary),
        (None, _) => Err(FormError::NotMultipart),
    };
    Ok(boundary.map_err(PayloadError::from)?)
}

/// The head of the `PutObject` that a form stands for.
fn put(bucket: &str, key: &str, headers: HeaderMap, received: &Parts) -> Result<Parts, GatewayError> {
    let path = format!("/{bucket}/{}", uri::encode_path(key.as_bytes()));
    let request = Request::put(path)
        .body(())
        .map_err(|_| GatewayError::Target(s3::TargetError::InvalidUri(key.to_owned())))?;
    let (mut parts, ()) = request.into_parts();
    parts.headers = headers;
    if let Some(host) = received.headers.get(HOST) {
        parts.headers.insert(HOST, host.clone());
    }
    Ok(parts)
}

/// The URL under which the client addressed the bucket.
fn bucket_url(parts: &Parts, tls: bool) -> String {
    let scheme = if tls { "https" } else { "http" };
    let host = host(parts).map(String::from_utf8_lossy).unwrap_or(Cow::Borrowed(""));
    format!("{scheme}://{host}{}", parts.uri.path().trim_end_matches('/'))
}
