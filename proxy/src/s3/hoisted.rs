//! Headers that a presigned request has in its query.
//!
//! S3 takes the `x-amz-*` parameters of a presigned request for headers, and so do policies here. Most backends look at
//! headers only: to them an upload that is permitted because it is to be encrypted would not be. So what is decided by
//! goes on as a header. Checksums stay where they are: SDKs put that of no body there.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>

use std::borrow::Cow;

use http::{HeaderName, HeaderValue};
use sigv4::uri;

use super::asked::{Asked, CONDITIONS, Unclear};
use super::parameters::without_parameters;

/// Belongs to the signature, which does not go on.
const OF_SIGNATURE: &str = "x-amz-content-sha256";

/// Headers that permissions depend on and no condition, and that say how what conditions see is meant.
const OTHERS: &[&str] = &[
    "x-amz-bucket-object-lock-enabled",
    "x-amz-bypass-governance-retention",
    "x-amz-copy-source-if-match",
    "x-amz-copy-source-if-modified-since",
    "x-amz-copy-source-if-none-match",
    "x-amz-copy-source-if-unmodified-since",
    "x-amz-copy-source-range",
    "x-amz-object-ownership",
    "x-amz-server-side-encryption-bucket-key-enabled",
    "x-amz-server-side-encryption-context",
    "x-amz-tagging",
    "x-amz-tagging-directive",
];

/// The header that a parameter, by its decoded name, stands for in a presigned request.
fn stands_for(parameter: &[u8]) -> Option<&'static str> {
    let known = CONDITIONS.iter().map(|(_, header)| *header).filter(|header| *header != OF_SIGNATURE);
    known.chain(OTHERS.iter().copied()).find(|header| parameter.eq_ignore_ascii_case(header.as_bytes()))
}

impl Asked<'_> {
    /// The headers that parameters of the query stand for: none unless the request is presigned.
    ///
    /// # Errors
    /// One comes twice, or its value is none that a header can have and keep.
    pub fn hoisted(&self) -> Result<Vec<(HeaderName, HeaderValue)>, Unclear> {
        if self.is_signed_by_header() {
            return Ok(Vec::new());
        }
        let mut hoisted = Vec::new();
        let parameters = uri::pairs(self.query.unwrap_or_default());
        for name in parameters.filter_map(|(name, _)| stands_for(&uri::decode_query(name).ok()?)) {
            let text = self.header(name)?.unwrap_or_default();
            // Receivers take white space off the ends: the backend would see another value than policies did.
            let keeps = text.trim_matches([' ', '\t']) == text;
            let value = HeaderValue::from_str(&text).ok().filter(|_| keeps);
            hoisted.push((HeaderName::from_static(name), value.ok_or(Unclear::Ambiguous(name))?));
        }
        Ok(hoisted)
    }
}

/// The query without the parameters that [`Asked::hoisted`] makes headers of; `None`: nothing is left.
pub fn without_hoisted(query: &str) -> Option<Cow<'_, str>> {
    let rest = without_parameters(query, |name| stands_for(name).is_some());
    Some(rest).filter(|rest| !rest.is_empty())
}

#[cfg(test)]
mod tests {
    use http::header::AUTHORIZATION;
    use http::{HeaderMap, Method};

    use super::*;
    use crate::s3::{Action, Domains, Target};

    /// Of a PUT of `/b/k` with this query, signed in a header or not.
    fn hoisted(query: &str, by_header: bool) -> Result<Vec<String>, Unclear> {
        let target = Target::parse(b"/b/k", None, &Domains::default()).unwrap();
        let mut headers = HeaderMap::new();
        if by_header {
            headers.insert(AUTHORIZATION, HeaderValue::from_static("AWS4-HMAC-SHA256"));
        }
        let query = Some(query.as_bytes());
        let action = Action::of(&Method::PUT, &target, query, &headers);
        let asked = Asked { action, target: &target, query, headers: &headers, objects: None };
        let shown = |(name, value): (HeaderName, HeaderValue)| format!("{name}: {}", value.to_str().unwrap());
        Ok(asked.hoisted()?.into_iter().map(shown).collect())
    }

    #[test]
    fn what_policies_look_at_becomes_a_header_of_the_same_value() {
        let query =
            "X-Amz-Server-Side%2DEncryption=aws%3Akms&a&x-amz-tagging=k%3Dv%2520w&X-Amz-Checksum-Crc32=AA";
        let expected = ["x-amz-server-side-encryption: aws:kms", "x-amz-tagging: k=v%20w"];
        assert_eq!(hoisted(query, false).unwrap(), expected);
        assert_eq!(without_hoisted(query).as_deref(), Some("a&X-Amz-Checksum-Crc32=AA"));
        assert!(
            hoisted(query, true).unwrap().is_empty(),
            "a header is signed, and says what there is to say"
        );
    }

    #[test]
    fn what_belongs_to_the_signature_is_left_where_it_is() {
        let query = "X-Amz-Content-Sha256=UNSIGNED-PAYLOAD&X-Amz-Date=20260102T030405Z";
        assert!(hoisted(query, false).unwrap().is_empty());
        assert_eq!(without_hoisted(query).as_deref(), Some(query));
        assert_eq!(without_hoisted("x-amz-acl=private"), None);
        assert_eq!(without_hoisted(""), None);
    }

    #[test]
    fn a_value_that_a_header_would_not_keep_is_refused() {
        for query in [
            "x-amz-acl=private%20",
            "x-amz-acl=%09private",
            "x-amz-acl=a%0D%0Ab",
            "x-amz-acl=a%00",
            "x-amz-acl=a&X-Amz-Acl=a",
            "x-amz-acl=%ff",
        ] {
            assert_eq!(hoisted(query, false), Err(Unclear::Ambiguous("x-amz-acl")), "{query}");
        }
    }

    #[test]
    fn whatever_a_permission_depends_on_goes_on_as_a_header() {
        let target = Target::parse(b"/b/k", None, &Domains::default()).unwrap();
        let headers = HeaderMap::new();
        let (query, mut seen) = (None, 0);
        for action in Action::ALL.iter().copied() {
            let asked = Asked { action, target: &target, query, headers: &headers, objects: None };
            for name in asked.beside().iter().flat_map(|(_, names)| *names) {
                assert_eq!(stands_for(name.as_bytes()), Some(*name), "{action:?}");
                seen += 1;
            }
        }
        assert!(seen > 0);
        for (_, header) in CONDITIONS.iter().filter(|(_, header)| *header != OF_SIGNATURE) {
            assert_eq!(stands_for(header.as_bytes()), Some(*header));
        }
    }
}
