//! What must be proved about a request body, and how it is put to the backend.

use http::HeaderMap;
use http::request::Parts;
use http_body::Body;
use sigv4::{Head, PayloadHead, PayloadMode, PayloadVerifier, Reframer};

use super::body::{Framing, ProvingBody};
use super::error::GatewayError;
use super::lingering::Lingering;
use super::plan::Backend;
use crate::s3::Action;
use crate::upstream::Content;

/// The body of a request, signed as `mode` says, on its way to `backend`.
pub(super) fn of_request(
    backend: &Backend,
    parts: &Parts,
    action: Action,
    mode: PayloadMode,
    incoming: Lingering,
) -> Result<(Box<ProvingBody<Lingering>>, Content), GatewayError> {
    let head = PayloadHead::parse(&Head::from_parts(parts), &mode)?;
    if action == Action::DeleteObjects && !head.is_checked() {
        return Err(GatewayError::MissingChecksum);
    }
    let declared = match &mode {
        PayloadMode::Sha256(hash) => Some(*hash),
        PayloadMode::Unsigned
        | PayloadMode::SignedChunks { .. }
        | PayloadMode::UnsignedChunks
        | PayloadMode::Form(_)
        | PayloadMode::Verified => None,
    };
    let verifier = PayloadVerifier::new(mode, head);
    let received = incoming.size_hint().exact();
    let (framing, content) = if backend.is_passthrough() {
        (Framing::Raw, Content::Raw { length: received })
    } else if verifier.is_chunked() {
        reframe(backend, &verifier)?
    } else {
        match received.ok_or(GatewayError::MissingContentLength)? {
            0 => (Framing::Decoded, Content::Empty),
            length => (Framing::Decoded, Content::Plain { length, sha256: declared }),
        }
    };
    Ok((ProvingBody::new(incoming, verifier, framing, content.length()), content))
}

/// Holds a body to the size that it may have: at once where its length is stated, and while it streams where it is not.
pub(super) fn bound(
    body: &mut ProvingBody<Lingering>,
    content: &Content,
    most: Option<u64>,
) -> Result<(), GatewayError> {
    let Some(most) = most else { return Ok(()) };
    let proposed = match *content {
        Content::Empty => Some(0),
        Content::Plain { length, .. } => Some(length),
        Content::Trailing { decoded, .. } => Some(decoded),
        Content::Raw { length } => length,
    };
    match proposed {
        Some(proposed) if proposed > most => Err(GatewayError::TooLarge { proposed, most }),
        Some(_) => Ok(()),
        None => {
            body.limit(most);
            Ok(())
        }
    }
}

/// The client's chunks carry the client's signatures: the backend gets its own framing, or none.
fn reframe(backend: &Backend, verifier: &PayloadVerifier) -> Result<(Framing, Content), GatewayError> {
    let decoded = verifier.decoded_length().ok_or(GatewayError::MissingContentLength)?;
    Ok(match verifier.trailer_algorithm() {
        Some(algorithm) if backend.takes_trailers() => {
            let reframer = Reframer::new(decoded, algorithm);
            let encoded = reframer.content_length();
            (Framing::Reframed(reframer), Content::Trailing { decoded, encoded, algorithm })
        }
        Some(_) | None => (Framing::Decoded, Content::Plain { length: decoded, sha256: None }),
    })
}

/// The file of a form whose fields stand for `headers`. A backend that reads forms itself gets the whole body, of
/// `body_length` bytes.
pub(super) fn of_form(
    headers: &HeaderMap,
    mode: PayloadMode,
    incoming: Lingering,
    body_length: u64,
) -> Result<(Box<ProvingBody<Lingering>>, Content), GatewayError> {
    let head = Head { method: "PUT", path: b"/", query: None, headers, authority: None };
    let facts = PayloadHead::parse(&head, &mode)?;
    let verifier = PayloadVerifier::new(mode, facts);
    let (framing, content) = match verifier.decoded_length() {
        None => (Framing::Raw, Content::Raw { length: Some(body_length) }),
        Some(0) => (Framing::Decoded, Content::Empty),
        Some(length) => (Framing::Decoded, Content::Plain { length, sha256: None }),
    };
    Ok((ProvingBody::new(incoming, verifier, framing, content.length()), content))
}
