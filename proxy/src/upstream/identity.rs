//! Identity headers: who is asking, for a backend that trusts the gateway.

use std::borrow::Cow;
use std::fmt::Write;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::auth::Permitted;
use crate::iam::Credential;

/// Adds the identity headers. Values are ASCII; what is not is percent-encoded.
///
/// | header | value |
/// |---|---|
/// | `x-sigward-access-key-id` | access key id that signed |
/// | `x-sigward-account` | account of the principal |
/// | `x-sigward-principal-arn` | ARN of the principal |
/// | `x-sigward-user-id` | unique id of the principal |
/// | `x-sigward-session-name` | session name, for sessions that have one |
/// | `x-sigward-session-expires` | RFC 3339, for sessions |
/// | `x-sigward-session-tags` | `key=value&…`, percent-encoded, for sessions with tags |
/// | `x-sigward-principal` | `anonymous`, and then none of the others |
///
/// They are written once for a credential and kept with it.
pub(super) fn add(permitted: &Permitted, headers: &mut HeaderMap) {
    match permitted.described(described) {
        Some(identity) => {
            headers.extend(identity.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        None => drop(headers.insert(PRINCIPAL, HeaderValue::from_static("anonymous"))),
    }
}

fn described(credential: &Credential) -> Box<[(HeaderName, HeaderValue)]> {
    let mut described = Vec::new();
    let mut put = |name: HeaderName, text: &str| {
        described.extend(HeaderValue::from_str(&ascii(text, "")).ok().map(|value| (name, value)));
    };
    put(ACCESS_KEY_ID, credential.access_key_id.as_str());
    put(ACCOUNT, &credential.principal.account);
    put(PRINCIPAL_ARN, &credential.principal.arn);
    put(USER_ID, &credential.principal.user_id);
    if let Some(session) = &credential.session {
        put(SESSION_EXPIRES, &session.expires_at.to_rfc3339());
        if let Some(name) = &session.name {
            put(SESSION_NAME, name);
        }
        if !session.tags.is_empty() {
            let pair =
                |(key, value): (&String, &String)| format!("{}={}", ascii(key, "&=%"), ascii(value, "&=%"));
            put(SESSION_TAGS, &session.tags.iter().map(pair).collect::<Vec<_>>().join("&"));
        }
    }
    described.into()
}

// Names and not texts, so that nothing is parsed for a request.
const ACCESS_KEY_ID: HeaderName = HeaderName::from_static("x-sigward-access-key-id");
const ACCOUNT: HeaderName = HeaderName::from_static("x-sigward-account");
const PRINCIPAL: HeaderName = HeaderName::from_static("x-sigward-principal");
const PRINCIPAL_ARN: HeaderName = HeaderName::from_static("x-sigward-principal-arn");
const USER_ID: HeaderName = HeaderName::from_static("x-sigward-user-id");
const SESSION_EXPIRES: HeaderName = HeaderName::from_static("x-sigward-session-expires");
const SESSION_NAME: HeaderName = HeaderName::from_static("x-sigward-session-name");
const SESSION_TAGS: HeaderName = HeaderName::from_static("x-sigward-session-tags");

/// Percent-encodes what is not printable ASCII, and the bytes in `special`.
fn ascii<'t>(text: &'t str, special: &str) -> Cow<'t, str> {
    let plain = |byte: u8| byte.is_ascii_graphic() && !special.as_bytes().contains(&byte);
    if text.bytes().all(plain) {
        return Cow::Borrowed(text);
    }
    let encoded = text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a String cannot fail");
        }
        out
    });
    Cow::Owned(encoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_cannot_smuggle_a_line_or_a_pair() {
        assert_eq!(ascii("a\r\nb c\u{e9}", ""), "a%0D%0Ab%20c%C3%A9");
        assert_eq!(ascii("a&b=c%", "&=%"), "a%26b%3Dc%25");
    }
}
