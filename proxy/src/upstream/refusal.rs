//! A backend that refuses the gateway's own credential, and not what the client asks for.
//!
//! Such an answer is for the operator: it names the backend's access key id, and a signature of the gateway's with what
//! went into it. To the client it would say that its own credential is bad, which it is not.

use http::{HeaderMap, Method, Response, StatusCode};
use memchr::{memchr, memmem};

use super::answer::{Answer, AnswerError};

/// What a backend says of a credential, a region or a clock.
///
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList>
const CODES: [&str; 4] =
    ["AuthorizationHeaderMalformed", "InvalidAccessKeyId", "RequestTimeTooSkewed", "SignatureDoesNotMatch"];

/// Bytes of an answer that are looked at: the code stands before everything that may be long.
const BEGINNING: usize = 1 << 10;

/// Whether an answer with this status may be one. That to HEAD has no document, and tells nothing.
pub(super) fn is_possible(method: &Method, status: StatusCode) -> bool {
    method != Method::HEAD && [StatusCode::BAD_REQUEST, StatusCode::FORBIDDEN].contains(&status)
}

/// The code, if the answer is one. The answer can be handed on afterwards as if nobody had looked.
///
/// # Errors
/// It ends before its beginning is there.
pub(super) async fn code<B: Send + Unpin + 'static>(
    answer: &mut Response<Answer<B>>,
) -> Result<Option<&'static str>, AnswerError> {
    if let Some(code) = in_head(answer.headers()) {
        return Ok(Some(code));
    }
    Ok(in_document(answer.body_mut().peek(BEGINNING).await?))
}

fn in_head(headers: &HeaderMap) -> Option<&'static str> {
    known(headers.get("x-amz-error-code")?.as_bytes())
}

fn in_document(document: &[u8]) -> Option<&'static str> {
    const START: &[u8] = b"<Code>";
    let text = document.get(memmem::find(document, START)? + START.len()..)?;
    known(text.get(..memchr(b'<', text)?)?)
}

fn known(code: &[u8]) -> Option<&'static str> {
    let code = code.trim_ascii();
    CODES.into_iter().find(|known| known.as_bytes() == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_errors_about_the_credential_are_the_gateways() {
        let told = |code: &str| in_document(format!("<?xml?><Error><Code>{code}</Code><Message>").as_bytes());
        for code in CODES {
            assert_eq!(told(code), Some(code));
            assert_eq!(told(&format!("\n {code}\n")), Some(code));
        }
        for code in ["", "AccessDenied", "SignatureDoesNotMatch2", "signaturedoesnotmatch", "NoSuchKey"] {
            assert_eq!(told(code), None, "{code}");
        }
        for document in [
            "",
            "<Code>",
            "<Code>InvalidAccessKeyId",
            "InvalidAccessKeyId",
            "<code>InvalidAccessKeyId</code>",
        ] {
            assert_eq!(in_document(document.as_bytes()), None, "{document}");
        }
        let message = "<Code>NoSuchKey</Code><Key>&lt;Code>InvalidAccessKeyId&lt;</Key>";
        assert_eq!(in_document(message.as_bytes()), None);
    }

    #[test]
    fn only_answers_that_refuse_are_looked_into() {
        for (method, status, looked) in [
            (Method::GET, 400, true),
            (Method::PUT, 403, true),
            (Method::HEAD, 403, false),
            (Method::GET, 200, false),
            (Method::GET, 404, false),
            (Method::GET, 503, false),
        ] {
            assert_eq!(
                is_possible(&method, StatusCode::from_u16(status).unwrap()),
                looked,
                "{method} {status}"
            );
        }
    }
}
