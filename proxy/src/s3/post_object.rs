//! A form upload in terms of S3: the `PutObject` that its fields stand for, and the answers that it asks for.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html>

use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Uri};
use sigv4::{VerifiedForm, uri};

use super::tagging;
use super::target::has_dot_segment;
use crate::fault::Fault;
use crate::xml::XmlWriter;

/// The key of the object to be, unless it has `.` or `..` between slashes: whoever fills in a form is not who signed
/// it, and some backends resolve them, which leads out of what the policy of the form says a key begins with.
///
/// Source: "relative path elements" in <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>
pub fn object_key(form: &VerifiedForm) -> Result<&str, Fault> {
    let key = form.key();
    if has_dot_segment(key) {
        Err(invalid_argument("The key has relative path elements.", KEY, key))
    } else {
        Ok(key)
    }
}

const KEY: &str = "key";

/// The headers of the `PutObject` that a form stands for.
///
/// Fields that are no parameters of an upload mean nothing, whatever the policy says about them. Among them are the
/// headers of `PutObject` that would make something else of it, as `x-amz-copy-source` does.
pub fn put_headers(form: &VerifiedForm) -> Result<HeaderMap, Fault> {
    let mut headers = HeaderMap::new();
    for (field, value) in form.fields() {
        let Some(name) = header_of(field) else { continue };
        let invalid = || invalid_argument("A field of the form cannot be a header.", field, value);
        let value = match field {
            "tagging" => tagging::to_header(value).ok_or_else(malformed_xml)?.into(),
            _ => std::borrow::Cow::Borrowed(value),
        };
        // Of metadata, nothing is a value; of the others it is none.
        if value.is_empty() && !name.starts_with(METADATA) {
            continue;
        }
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
        headers.insert(name, HeaderValue::from_bytes(value.trim_ascii().as_bytes()).map_err(|_| invalid())?);
    }
    Ok(headers)
}

const METADATA: &str = "x-amz-meta-";

/// The header for a field.
fn header_of(field: &str) -> Option<&str> {
    const PREFIXES: [&str; 4] =
        [METADATA, "x-amz-checksum-", "x-amz-server-side-encryption", "x-amz-object-lock-"];
    match field {
        "acl" => Some("x-amz-acl"),
        "tagging" => Some("x-amz-tagging"),
        "cache-control"
        | "content-disposition"
        | "content-encoding"
        | "content-language"
        | "content-md5"
        | "content-type"
        | "expires"
        | "x-amz-expected-bucket-owner"
        | "x-amz-request-payer"
        | "x-amz-sdk-checksum-algorithm"
        | "x-amz-storage-class"
        | "x-amz-website-redirect-location" => Some(field),
        _ => PREFIXES.iter().any(|prefix| field.starts_with(prefix)).then_some(field),
    }
}

fn invalid_argument(message: &'static str, name: &str, value: &str) -> Fault {
    Fault::new(StatusCode::BAD_REQUEST, "InvalidArgument", message)
        .with("ArgumentName", name)
        .with("ArgumentValue", value)
}

fn malformed_xml() -> Fault {
    Fault::new(
        StatusCode::BAD_REQUEST,
        "MalformedXML",
        "The XML you provided was not well-formed or did not validate against our published schema",
    )
}

/// What a form wants to be told when its file is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Success {
    /// 200, without a document.
    Ok,
    /// 201, with a document.
    Created,
    /// 204, which is also what is told to a form that wants something else.
    NoContent,
    /// To go on to another page.
    Redirect(String),
}

impl Success {
    /// Reads `success_action_redirect`, or `redirect` as it was once called, and `success_action_status`.
    pub fn of(form: &VerifiedForm) -> Self {
        let page = form.field("success_action_redirect").or_else(|| form.field("redirect"));
        match (page.filter(|page| is_page(page)), form.field("success_action_status")) {
            (Some(page), _) => Self::Redirect(page.to_owned()),
            (None, Some("200")) => Self::Ok,
            (None, Some("201")) => Self::Created,
            (None, Some(_) | None) => Self::NoContent,
        }
    }
}

/// Whether a browser can be sent there: a web page of some host, and nothing that could be a script.
fn is_page(text: &str) -> bool {
    let is_web = |uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https"));
    text.bytes().all(|byte| byte.is_ascii_graphic())
        && text
            .parse::<Uri>()
            .is_ok_and(|uri| is_web(&uri) && uri.host().is_some_and(|host| !host.is_empty()))
}

/// What was stored, and where.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    /// URL of the bucket, without a slash at its end.
    pub bucket_url: &'a str,
    /// Name of the bucket.
    pub bucket: &'a str,
    /// Key of the object.
    pub key: &'a str,
}

/// The answer to a form whose file was stored. `headers` are those of the answer to the `PutObject`.
pub fn stored(success: &Success, object: Stored<'_>, mut headers: HeaderMap) -> Response<Bytes> {
    let Stored { bucket_url, bucket, key } = object;
    let url = format!("{bucket_url}/{}", uri::encode_query(key.as_bytes()));
    let etag = headers.get(ETAG).and_then(|etag| etag.to_str().ok()).unwrap_or_default().to_owned();
    headers.remove(CONTENT_TYPE);
    headers.remove(http::header::CONTENT_LENGTH);
    let (status, location, body) = match success {
        Success::Ok => (StatusCode::OK, url, Bytes::new()),
        Success::NoContent => (StatusCode::NO_CONTENT, url, Bytes::new()),
        Success::Created => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
            let mut xml = XmlWriter::with_declaration();
            xml.element("PostResponse", |xml| {
                for (name, text) in [("Location", &*url), ("Bucket", bucket), ("Key", key), ("ETag", &etag)] {
                    xml.text(name, text);
                }
            });
            (StatusCode::CREATED, url, xml.finish().into())
        }
        Success::Redirect(page) => (StatusCode::SEE_OTHER, next_page(page, bucket, key, &etag), Bytes::new()),
    };
    if let Ok(location) = HeaderValue::from_str(&location) {
        headers.insert(LOCATION, location);
    }
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// The page, told what was stored.
fn next_page(page: &str, bucket: &str, key: &str, etag: &str) -> String {
    let (page, fragment) = page.split_at(page.find('#').unwrap_or(page.len()));
    let separator = if page.contains('?') { '&' } else { '?' };
    let [bucket, key, etag] = [bucket, key, etag].map(|text| uri::encode_query(text.as_bytes()));
    format!("{page}{separator}bucket={bucket}&key={key}&etag={etag}{fragment}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_parameters_of_an_upload_become_headers() {
        for (field, expected) in [
            ("acl", Some("x-amz-acl")),
            ("tagging", Some("x-amz-tagging")),
            ("content-type", Some("content-type")),
            ("x-amz-meta-a", Some("x-amz-meta-a")),
            ("x-amz-checksum-crc32", Some("x-amz-checksum-crc32")),
            ("x-amz-server-side-encryption-customer-key", Some("x-amz-server-side-encryption-customer-key")),
            ("x-amz-copy-source", None),
            ("x-amz-signature", None),
            ("x-amz-security-token", None),
            ("x-amz-content-sha256", None),
            ("content-length", None),
            ("host", None),
            ("x-sigward-account", None),
            ("submit", None),
        ] {
            assert_eq!(header_of(field), expected, "{field}");
        }
    }

    #[test]
    fn no_key_leads_elsewhere_than_it_says() {
        for (key, expected) in [
            ("..a/b..", false),
            ("a/.../b", false),
            ("a//b", false),
            ("videos/2014/../../video1.wmv", true),
            ("user/alice/../bob/x", true),
            ("user/alice\\..\\bob", true),
            ("a/./b", true),
            ("../x", true),
            ("..", true),
        ] {
            assert_eq!(has_dot_segment(key), expected, "{key}");
        }
    }

    #[test]
    fn a_browser_is_sent_to_web_pages_only() {
        for (page, expected) in [
            ("https://example.com/done?a=b#c", true),
            ("http://localhost:8080", true),
            ("javascript:alert(1)", false),
            ("//example.com/", false),
            ("/done", false),
            ("https://", false),
            ("https://example.com/\r\nx: y", false),
            ("", false),
        ] {
            assert_eq!(is_page(page), expected, "{page}");
        }
    }

    #[test]
    fn the_next_page_is_told_what_was_stored() {
        for (page, expected) in [
            ("https://a/b", "https://a/b?bucket=c&key=d%2Fe%20f&etag=%22g%22"),
            ("https://a/?x=y#z", "https://a/?x=y&bucket=c&key=d%2Fe%20f&etag=%22g%22#z"),
        ] {
            assert_eq!(next_page(page, "c", "d/e f", "\"g\""), expected);
        }
    }

    #[test]
    fn the_answer_has_the_form_that_was_asked_for() {
        let object = Stored { bucket_url: "https://b.example", bucket: "b", key: "a/<b>" };
        let put = || {
            let headers = [("etag", "\"1\""), ("x-amz-version-id", "2"), ("content-length", "9")];
            let header = |(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
            headers.map(header).into_iter().collect::<HeaderMap>()
        };
        let url = "https://b.example/a%2F%3Cb%3E";
        let document = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<PostResponse><Location>{url}</Location><Bucket>b</Bucket>\
             <Key>a/&lt;b&gt;</Key><ETag>&quot;1&quot;</ETag></PostResponse>"
        );
        for (success, status, body) in
            [(Success::Ok, 200, ""), (Success::Created, 201, &*document), (Success::NoContent, 204, "")]
        {
            let answer = stored(&success, object, put());
            assert_eq!((answer.status().as_u16(), answer.body().as_ref()), (status, body.as_bytes()));
            let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap());
            assert_eq!((header("location"), header("etag")), (Some(url), Some("\"1\"")));
            assert_eq!((header("x-amz-version-id"), header("content-length")), (Some("2"), None));
        }
    }
}
