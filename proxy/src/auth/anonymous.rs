//! Requests that nobody signed. They walk the same line, and may do what their route lets everybody do.
//!
//! A request that is signed badly, or in part, is never taken for one of these: whoever meant to sign learns that the
//! signature is wrong, and nobody gets what everybody may by breaking somebody else's.

use http::request::Parts;
use http::{Method, StatusCode};
use sigv4::{Head, Mechanism, ParseError, PayloadMode, VerifyError, unsigned_payload, uri};

use super::{AuthError, Permitted};
use crate::clock::UnixMillis;
use crate::fault::Fault;
use crate::s3::{self, Asked, Parameter, Unclear};

/// A request without a trace of a signature. Made by [`unsigned`] only.
#[must_use]
pub struct Unsigned(());

/// Why nobody may do what is asked without a signature.
#[derive(Debug, thiserror::Error)]
pub enum NotForEverybody {
    /// It cannot be said what is asked.
    #[error(transparent)]
    Unclear(#[from] Unclear),
    /// The answer is to have other headers than the object.
    #[error("headers of the answer are asked for")]
    ResponseHeaders,
    /// The route does not say that everybody may.
    #[error("this takes a signature")]
    Denied,
}

impl NotForEverybody {
    /// What S3 answers.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Unclear(unclear) => unclear.fault(),
            Self::ResponseHeaders => Fault::new(
                StatusCode::BAD_REQUEST,
                "InvalidRequest",
                "Request specific response headers cannot be used for anonymous GET requests.",
            ),
            Self::Denied => s3::access_denied(),
        }
    }
}

/// Parameters of a presigned request. Their names are compared in any case.
pub const SIGNATURE_PARAMETERS: [&str; 9] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
    "X-Amz-Security-Token",
    "X-Amz-Content-Sha256",
    "X-Amz-Region-Set",
];

/// Those of signature version 2.
const VERSION_2_PARAMETERS: [&str; 3] = ["AWSAccessKeyId", "Signature", "Expires"];

/// Headers that only a signature has a use for. `x-amz-content-sha256` and `x-amz-date` come from SDKs that do not
/// sign as well.
const HEADERS: [&str; 3] = ["authorization", "x-amz-security-token", "x-amz-region-set"];

/// Takes a request that [`ParseError::Anonymous`] was said of, and what must be proved about its body.
///
/// # Errors
/// Something in it belongs to a signature, or its body hangs on one.
pub fn unsigned(parts: &Parts) -> Result<(Unsigned, PayloadMode), AuthError> {
    let query = parts.uri.query().unwrap_or_default();
    let claims = |name: &[u8]| match uri::decode_query(name) {
        Ok(name) => SIGNATURE_PARAMETERS
            .iter()
            .chain(&VERSION_2_PARAMETERS)
            .any(|known| name.eq_ignore_ascii_case(known.as_bytes())),
        Err(_) => true,
    };
    if HEADERS.iter().any(|name| parts.headers.contains_key(*name))
        || uri::pairs(query.as_bytes()).any(|(name, _)| claims(name))
    {
        return Err(ParseError::Anonymous.into());
    }
    let payload = unsigned_payload(&Head::from_parts(parts)).map_err(unverified)?;
    Ok((Unsigned(()), payload))
}

fn unverified(source: VerifyError) -> AuthError {
    AuthError::Verify { access_key_id: String::new(), source }
}

impl Unsigned {
    /// A browser may ask whether it may ask. `None` for every other method.
    pub fn preflight(self, method: &Method) -> Option<Permitted> {
        (method == Method::OPTIONS).then(|| Permitted::preflight(self))
    }

    /// Asks what `actions`, names such as `s3:GetObject`, let everybody do.
    ///
    /// All that a request needs must be among them, and within the bucket that it addresses: what is public there does
    /// not make a source of copies public elsewhere.
    pub fn authorize(
        self,
        actions: &[&'static str],
        asked: &Asked<'_>,
        now: UnixMillis,
    ) -> Result<Permitted, NotForEverybody> {
        if actions.is_empty() {
            return Err(NotForEverybody::Denied);
        }
        for (name, _) in uri::pairs(asked.query.unwrap_or_default()) {
            match uri::decode_query(name).map(|name| Parameter::of(asked.target, &name)) {
                Ok(Parameter::Operation) => {}
                Ok(Parameter::Answer) => return Err(NotForEverybody::ResponseHeaders),
                // S3 might take one for a header, and a backend for what S3 has not.
                Ok(Parameter::Extension | Parameter::Unknown) | Err(_) => {
                    return Err(NotForEverybody::Denied);
                }
            }
        }
        let needs = asked.needs("aws")?;
        // Not for what it says, but for what it refuses to read in two ways.
        asked.facts(Mechanism::Header, now)?;
        let own = asked.target.bucket().map(|bucket| format!("arn:aws:s3:::{bucket}"));
        let within = |resource: &str| match &own {
            Some(own) => resource
                .strip_prefix(own.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
            None => true,
        };
        let allowed = needs.iter().all(|need| actions.contains(&need.action) && within(&need.resource));
        if allowed && !needs.is_empty() {
            Ok(Permitted::anonymous(self))
        } else {
            Err(NotForEverybody::Denied)
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Request};

    use super::*;
    use crate::s3::{Action, Domains, Target};

    fn parts(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let request = Request::builder().method(method).uri(uri);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn whatever_belongs_to_a_signature_makes_a_request_no_anonymous_one() {
        for uri in [
            "/b/k?X-Amz-Signature=0",
            "/b/k?x-amz-signature=0",
            "/b/k?X%2DAmz-Credential=a",
            "/b/k?X-Amz-Security-Token=t",
            "/b/k?Signature=a",
            "/b/k?AWSAccessKeyId=a",
            "/b/k?%zz",
        ] {
            assert!(unsigned(&parts("GET", uri, &[])).is_err(), "{uri}");
        }
        for name in HEADERS {
            assert!(unsigned(&parts("GET", "/b/k", &[(name, "x")])).is_err(), "{name}");
        }
        let chunks = ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
        assert!(unsigned(&parts("PUT", "/b/k", &[chunks])).is_err());
        assert!(unsigned(&parts("GET", "/b/k?versionId=1", &[("x-amz-date", "20260101T000000Z")])).is_ok());
    }

    /// Whether everybody may, where `actions` are for everybody.
    fn verdict(method: &str, uri: &str, headers: &[(&str, &str)], actions: &[&'static str]) -> bool {
        let parts = parts(method, uri, headers);
        let target = Target::parse(parts.uri.path().as_bytes(), None, &Domains::default()).unwrap();
        let query = parts.uri.query().map(str::as_bytes);
        let action =
            Action::of(&Method::from_bytes(method.as_bytes()).unwrap(), &target, query, &parts.headers);
        let empty = HeaderMap::new();
        let headers = if headers.is_empty() { &empty } else { &parts.headers };
        let asked = Asked { action, target: &target, query, headers, objects: None };
        let (unsigned, _) = unsigned(&parts).unwrap();
        unsigned.authorize(actions, &asked, UnixMillis(0)).is_ok()
    }

    #[test]
    fn everybody_may_do_what_the_route_says_and_nothing_else() {
        let read = ["s3:GetObject", "s3:ListBucket"];
        assert!(verdict("GET", "/b/k", &[], &read));
        assert!(verdict("HEAD", "/b/k", &[], &read));
        assert!(verdict("GET", "/b?list-type=2", &[], &read));
        assert!(verdict("GET", "/b/k?x-id=GetObject&partNumber=1", &[], &read));
        for (method, uri) in [
            ("GET", "/b/k?versionId=1"),
            ("GET", "/b/k?acl"),
            ("GET", "/b?versioning"),
            ("PUT", "/b/k"),
            ("DELETE", "/b/k"),
            ("GET", "/"),
            ("GET", "/b/k?acl&tagging"),
            ("GET", "/b?events=x"),
            ("GET", "/b/k?lambdaArn=x"),
            ("GET", "/b/k?policy"),
            ("GET", "/b/k?x;acl"),
            ("GET", "/b/k?response-content-type=text%2Fhtml"),
        ] {
            assert!(!verdict(method, uri, &[], &read), "{method} {uri}");
        }
        assert!(!verdict("GET", "/b/k", &[], &[]));
    }

    #[test]
    fn a_copy_stays_within_its_bucket() {
        let all = ["s3:GetObject", "s3:PutObject"];
        assert!(verdict("PUT", "/b/k", &[("x-amz-copy-source", "/b/other")], &all));
        assert!(!verdict("PUT", "/b/k", &[("x-amz-copy-source", "/secret/other")], &all));
        assert!(!verdict("PUT", "/b/k", &[("x-amz-copy-source", "/bb/other")], &all));
        assert!(!verdict("PUT", "/b/k", &[("x-amz-acl", "public-read-write")], &all));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_not_for_everybody() {
        let read = ["s3:GetObject", "s3:ListBucket"];
        assert!(!verdict("GET", "/b?list-type=2&prefix=a&prefix=b", &[], &read));
        assert!(!verdict("GET", "/b/a/../k", &[], &read));
    }
}
