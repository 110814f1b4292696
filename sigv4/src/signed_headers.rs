//! The list of signed headers, and the canonical form of header values.

use std::collections::BTreeSet;

use http::{HeaderMap, HeaderName};

use crate::canonical::Sink;
use crate::inline::Inline;

/// The names of the signed headers: `;` between them, lower-case, none twice.
#[derive(Clone)]
pub(crate) struct SignedHeaders {
    line: Inline<u8, 256>,
    /// The same names in order, if the line as received is not.
    sorted: Option<String>,
}

/// More than any request has headers. A longer list could only buy time of the verifier.
const MAX_NAMES: usize = 256;

impl SignedHeaders {
    /// Signers write the list sorted. An unsorted one is hashed in sorted order with the line as it came.
    pub(crate) fn parse(line: Inline<u8, 256>) -> Option<Self> {
        let text = std::str::from_utf8(line.as_slice()).ok()?;
        let legal = |name: &str| !name.is_empty() && name.bytes().all(is_lower_token);
        if !text.split(';').all(legal) || text.split(';').count() > MAX_NAMES {
            return None;
        }
        if text.split(';').is_sorted_by(|a, b| a < b) {
            return Some(Self { line, sorted: None });
        }
        let names: BTreeSet<&str> = text.split(';').collect();
        if names.len() != text.split(';').count() {
            return None;
        }
        let sorted = names.into_iter().collect::<Vec<_>>().join(";");
        Some(Self { line, sorted: Some(sorted) })
    }

    /// As received.
    pub(crate) fn line(&self) -> &[u8] {
        self.line.as_slice()
    }

    /// The names in order.
    pub(crate) fn sorted(&self) -> impl Iterator<Item = &str> {
        let line = std::str::from_utf8(self.line()).expect("checked when it was parsed");
        self.sorted.as_deref().unwrap_or(line).split(';')
    }

    /// Whether `name` is signed.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.sorted().any(|signed| signed == name)
    }

    /// Whether every signed header is there. An absent one is not taken for an empty one.
    pub(crate) fn all_present(&self, headers: &HeaderMap, authority: Option<&str>) -> bool {
        self.sorted().all(|name| headers.contains_key(name) || (name == "host" && authority.is_some()))
    }

    /// What Amazon S3 demands to be signed and is not: `host` and every `x-amz-*` header that is there,
    /// but for those in `tolerated`. `x-amz-content-sha256` is in the canonical request in any case.
    pub(crate) fn missing(&self, headers: &HeaderMap, tolerated: &[HeaderName]) -> Vec<String> {
        let must = |name: &&HeaderName| {
            name.as_str().starts_with("x-amz-")
                && *name != "x-amz-content-sha256"
                && !tolerated.contains(name)
        };
        let present = headers.keys().filter(must).map(HeaderName::as_str);
        let unsigned = std::iter::once("host").chain(present).filter(|name| !self.contains(name));
        let mut names: Vec<String> = unsigned.map(str::to_owned).collect();
        names.sort_unstable();
        names
    }
}

/// RFC 9110, 5.6.2, without upper-case letters.
fn is_lower_token(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9') || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A value without white space at its ends and, if `fold`, with one space for each run inside, quoted or not.
pub(crate) fn put_value(sink: &mut impl Sink, value: &[u8], fold: bool) {
    let value = trim(value);
    let gaps = value.iter().fold(false, |gaps, &byte| gaps | (byte <= b' '));
    if !(gaps && fold) {
        return sink.put(value);
    }
    let (mut run, mut at) = (0, 0);
    while at < value.len() {
        let gap = value[at..].iter().take_while(|&&byte| byte <= b' ').count();
        if gap > 1 || (gap == 1 && value[at] != b' ') {
            sink.put(&value[run..at]);
            sink.put(b" ");
            run = at + gap;
        }
        at += gap.max(1);
    }
    sink.put(&value[run..]);
}

/// Without the bytes 0x00 to 0x20 at its ends.
pub(crate) fn trim(value: &[u8]) -> &[u8] {
    let inner = |byte: &u8| *byte > b' ';
    let start = value.iter().position(inner).unwrap_or(value.len());
    let end = value.iter().rposition(inner).map_or(start, |last| last + 1);
    &value[start..end]
}

/// Latin-1 to UTF-8.
pub(crate) fn transcode(value: &[u8]) -> Vec<u8> {
    value.iter().map(|&byte| char::from(byte)).collect::<String>().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Option<SignedHeaders> {
        SignedHeaders::parse(Inline::from_slice(line.as_bytes()))
    }

    #[test]
    fn an_unsorted_list_keeps_its_line_and_is_hashed_sorted() {
        let list = parse("x-amz-date;host;range").unwrap();
        assert_eq!(list.line(), b"x-amz-date;host;range");
        assert_eq!(list.sorted().collect::<Vec<_>>(), ["host", "range", "x-amz-date"]);
    }

    #[test]
    fn refuses_lists_that_are_not_lower_case_names_once_each() {
        for bad in
            ["", ";", "host;", ";host", "Host", "host;host", "range;host;range", "ho st", "h\u{e9}", "a:b"]
        {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn values_are_trimmed_and_folded() {
        let table: [(&[u8], &str, &str); 7] = [
            (b"", "", ""),
            (b" \t ", "", ""),
            (b"a", "a", "a"),
            (b"  a b  ", "a b", "a b"),
            (b"a  b\t\tc\td", "a b c d", "a  b\t\tc\td"),
            (b" \"a   b\" ", "\"a b\"", "\"a   b\""),
            (b"\x01a\r\n b\x02", "a b", "a\r\n b"),
        ];
        for (value, folded, trimmed) in table {
            for (fold, expected) in [(true, folded), (false, trimmed)] {
                let mut out = Vec::new();
                put_value(&mut out, value, fold);
                assert_eq!(out, expected.as_bytes(), "{value:?}");
            }
        }
    }
}
