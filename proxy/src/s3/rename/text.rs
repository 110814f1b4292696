//! Names in the text of an element: recognised however a backend escapes them, and replaced with no other byte
//! changed.

use std::borrow::Cow;

use super::Mapping;

/// A bucket's name as the client knows it; `None` if it is not the one that is mapped.
pub(super) fn bucket(text: &[u8], names: &Mapping, url: bool) -> Option<Vec<u8>> {
    let end = after(text, names.backend.as_str(), url)?;
    (end == text.len()).then(|| names.client.as_str().into())
}

/// A key, or the beginning of keys, as the client knows it; `None` if it lies outside of what is mapped.
pub(super) fn key(text: &[u8], names: &Mapping, url: bool) -> Option<Vec<u8>> {
    after(text, names.key_prefix.as_str(), url).map(|end| text[end..].to_vec())
}

/// The path of a bucket or an object, with or without a slash before it, or that of an object within its bucket.
pub(super) fn resource(text: &[u8], names: &Mapping) -> Option<Vec<u8>> {
    // Backends differ in whether they decode what they were asked for.
    const URL: bool = true;
    let slash = after(text, "/", URL).unwrap_or(0);
    let (lead, rest) = text.split_at(slash);
    let inner = match after(rest, names.backend.as_str(), URL).map(|end| &rest[end..]) {
        Some(b"") => return Some([lead, names.client.as_str().as_bytes()].concat()),
        Some(rest) => after(rest, "/", URL).map(|end| &rest[end..]),
        None => None,
    };
    match inner {
        Some(object) => {
            let end = after(object, names.key_prefix.as_str(), URL).unwrap_or(0);
            Some([lead, names.client.as_str().as_bytes(), b"/", &object[end..]].concat())
        }
        None if names.key_prefix.as_str().is_empty() => None,
        None => after(rest, names.key_prefix.as_str(), URL).map(|end| [lead, &rest[end..]].concat()),
    }
}

/// Where `text` goes on behind `prefix`, which is ASCII; `None` if it does not begin with it.
fn after(text: &[u8], prefix: &str, url: bool) -> Option<usize> {
    prefix.bytes().try_fold(0, |at, wanted| {
        let (found, end) = character(text, at, url)?;
        (found == wanted).then_some(end)
    })
}

/// The ASCII character at `at`, and where it ends; `None` if there is no such character.
fn character(text: &[u8], at: usize, url: bool) -> Option<(u8, usize)> {
    let (byte, end) = referenced(text, at)?;
    if !url || byte != b'%' {
        return Some((byte, end));
    }
    let (high, end) = referenced(text, end)?;
    let (low, end) = referenced(text, end)?;
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some((digit(high)? << 4 | digit(low)?, end))
}

/// As [`character`], before what is URL-encoded is decoded: a byte of text, or a numeric reference.
fn referenced(text: &[u8], at: usize) -> Option<(u8, usize)> {
    let &byte = text.get(at)?;
    if byte != b'&' {
        return byte.is_ascii().then_some((byte, at + 1));
    }
    let length = text[at..].iter().position(|&byte| byte == b';')?;
    let digits = std::str::from_utf8(&text[at..at + length]).ok()?.strip_prefix("&#")?;
    let code = match digits.strip_prefix('x') {
        Some(digits) => u32::from_str_radix(digits, 16).ok()?,
        None => digits.parse().ok()?,
    };
    let byte = u8::try_from(code).ok().filter(u8::is_ascii)?;
    Some((byte, at + length + 1))
}

/// Text that has CDATA sections, comments or instructions in it, with none; `None` if there are none.
pub(super) fn plain(text: &[u8]) -> Option<Vec<u8>> {
    let mut rest = std::str::from_utf8(text).ok().filter(|text| text.contains('<'))?;
    let mut plain = String::new();
    while let Some((before, markup)) = rest.split_once('<') {
        plain.push_str(before);
        let (begin, end) = match markup {
            markup if markup.starts_with("![CDATA[") => ("![CDATA[", "]]>"),
            markup if markup.starts_with("!--") => ("!--", "-->"),
            _ => ("?", "?>"),
        };
        let (content, behind) = markup.strip_prefix(begin)?.split_once(end)?;
        if begin == "![CDATA[" {
            plain.push_str(&escaped(content));
        }
        rest = behind;
    }
    plain.push_str(rest);
    Some(plain.into_bytes())
}

/// Text as an element can hold it.
pub(super) fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '\r']) {
        return Cow::Borrowed(text);
    }
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\r', "&#13;");
    Cow::Owned(escaped)
}
