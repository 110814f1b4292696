//! The list of signed headers, the headers it names, and the canonical form of their values.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::canonical::Sink;
use crate::inline::Inline;
use crate::scan;
use crate::uri::{self, Encoded, MalformedEscape};

/// Text of a request: where it stands on the wire, or percent-decoded in place.
#[derive(Clone)]
pub(crate) enum Text<'a> {
    Wire(&'a [u8]),
    Decoded(Inline<u8, 128>),
}

impl<'a> Text<'a> {
    /// Percent-decodes text of a query, without allocating unless it is long.
    pub(crate) fn decode(text: Encoded<'a>) -> Result<Self, MalformedEscape> {
        match text.plain() {
            Some(plain) => Ok(Self::Wire(plain)),
            None => uri::decode_inline(text.as_wire()).map(Self::Decoded),
        }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Wire(text) => text,
            Self::Decoded(text) => text.as_slice(),
        }
    }
}

/// The names of the signed headers: `;` between them, lower-case, none twice.
pub(crate) struct SignedHeaders<'a> {
    line: Text<'a>,
    is_sorted: bool,
}

/// More than any request has headers. A longer list could only buy time of the verifier.
const MAX_NAMES: usize = 256;

impl<'a> SignedHeaders<'a> {
    /// Signers write the list sorted. An unsorted one is hashed in sorted order with the line as it came.
    pub(crate) fn parse(line: Text<'a>) -> Option<Self> {
        let (mut count, mut is_sorted, mut previous) = (0, true, &b""[..]);
        for name in split(line.as_slice()) {
            if name.is_empty() || count == MAX_NAMES || !name.iter().all(is_lower_token) {
                return None;
            }
            count += 1;
            is_sorted &= previous < name;
            previous = name;
        }
        if !is_sorted {
            let mut sorted: Vec<_> = split(line.as_slice()).collect();
            sorted.sort_unstable();
            if sorted.windows(2).any(|two| two[0] == two[1]) {
                return None;
            }
        }
        Some(Self { line, is_sorted })
    }

    /// As received.
    pub(crate) fn line(&self) -> &[u8] {
        self.line.as_slice()
    }

    /// Whether `name` is signed.
    pub(crate) fn contains(&self, name: &str) -> bool {
        split(self.line()).any(|signed| signed == name.as_bytes())
    }

    /// Finds the signed headers in one pass over all there are.
    ///
    /// `authority` stands in for a missing `host`.
    pub(crate) fn find<'r>(&'r self, headers: &'r HeaderMap, authority: Option<&'r str>) -> Fields<'r> {
        let mut fields = Fields { line: self.line(), list: Inline::new(), headers, beside: false };
        for name in split(self.line()) {
            fields.list.push(Field { name, value: None, repeated: false });
        }
        let list = fields.list.as_mut_slice();
        if !self.is_sorted {
            list.sort_unstable_by_key(|field| field.name);
        }
        for (name, value) in headers {
            match position(list, name.as_str()).map(|at| &mut list[at]) {
                Some(field) => {
                    field.repeated = field.value.is_some();
                    field.value.get_or_insert(value.as_bytes());
                }
                None => fields.beside |= is_amz(name),
            }
        }
        if let Some(host) = position(list, "host").map(|at| &mut list[at]) {
            host.value = host.value.or(authority.map(str::as_bytes));
        }
        fields
    }
}

fn split(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    scan::split(line, b';')
}

fn is_amz(name: &HeaderName) -> bool {
    name.as_str().starts_with("x-amz-")
}

/// The list is short: comparing lengths first beats a search by halves.
fn position(list: &[Field<'_>], name: &str) -> Option<usize> {
    list.iter().position(|field| field.name == name.as_bytes())
}

/// One signed header.
#[derive(Clone, Copy, Default)]
pub(crate) struct Field<'r> {
    pub(crate) name: &'r [u8],
    /// The first value; `None` if the request has no such header.
    pub(crate) value: Option<&'r [u8]>,
    /// Whether there are more values.
    pub(crate) repeated: bool,
}

/// The signed headers of a request, sorted by name.
pub(crate) struct Fields<'r> {
    line: &'r [u8],
    list: Inline<Field<'r>, 16>,
    headers: &'r HeaderMap,
    /// Whether there are `x-amz-*` headers beside the signed ones.
    beside: bool,
}

impl<'r> Fields<'r> {
    /// The list of names as received.
    pub(crate) fn line(&self) -> &'r [u8] {
        self.line
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Field<'r>> {
        self.list.as_slice().iter()
    }

    /// All values of a field, in the order received.
    pub(crate) fn values(&self, field: &Field<'r>) -> impl Iterator<Item = &'r [u8]> {
        let rest = field.repeated.then(|| {
            let name = std::str::from_utf8(field.name).unwrap_or_default();
            self.headers.get_all(name).iter().skip(1)
        });
        field.value.into_iter().chain(rest.into_iter().flatten().map(HeaderValue::as_bytes))
    }

    /// Names of signed headers that the request does not have. They are not taken for empty ones.
    pub(crate) fn absent(&self) -> impl Iterator<Item = &[u8]> {
        self.iter().filter(|field| field.value.is_none()).map(|field| field.name)
    }

    /// What Amazon S3 demands to be signed and is not: `host` and every `x-amz-*` header that is there,
    /// but for those in `tolerated`. `x-amz-content-sha256` is in the canonical request in any case.
    pub(crate) fn unsigned(&self, tolerated: &[HeaderName]) -> Vec<String> {
        if !self.beside && position(self.list.as_slice(), "host").is_some() {
            return Vec::new();
        }
        let must =
            |name: &&HeaderName| is_amz(name) && *name != "x-amz-content-sha256" && !tolerated.contains(name);
        let present = self.headers.keys().filter(must).map(HeaderName::as_str);
        let unsigned = std::iter::once("host")
            .chain(present)
            .filter(|name| position(self.list.as_slice(), name).is_none());
        let mut names: Vec<String> = unsigned.map(str::to_owned).collect();
        names.sort_unstable();
        names
    }
}

/// RFC 9110, 5.6.2, without upper-case letters.
fn is_lower_token(byte: &u8) -> bool {
    const TABLE: [bool; 256] = {
        let (mut table, mut byte) = ([false; 256], 0);
        while byte < table.len() {
            table[byte] = matches!(byte as u8,
                b'a'..=b'z' | b'0'..=b'9' | b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~');
            byte += 1;
        }
        table
    };
    TABLE[usize::from(*byte)]
}

/// A value without white space at its ends and, if `fold`, with one space for each run inside, quoted or not.
pub(crate) fn put_value(sink: &mut impl Sink, value: &[u8], fold: bool) {
    if scan::all(value, |byte| byte > b' ') {
        return sink.put(value);
    }
    let value = trim(value);
    if !fold {
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

    fn parse(line: &str) -> Option<SignedHeaders<'_>> {
        SignedHeaders::parse(Text::Wire(line.as_bytes()))
    }

    #[test]
    fn an_unsorted_list_keeps_its_line_and_is_hashed_sorted() {
        let (list, headers) = (parse("x-amz-date;host;range").unwrap(), HeaderMap::new());
        let fields = list.find(&headers, None);
        assert_eq!(fields.line(), b"x-amz-date;host;range");
        assert!(fields.iter().map(|field| field.name).eq([&b"host"[..], b"range", b"x-amz-date"]));
        assert_eq!(fields.absent().count(), 3);
    }

    #[test]
    fn values_of_one_name_keep_their_order() {
        let mut headers = HeaderMap::new();
        for value in ["b", "a", "b"] {
            headers.append("x-amz-meta-a", value.parse().unwrap());
        }
        let list = parse("host;x-amz-meta-a").unwrap();
        let fields = list.find(&headers, Some("h"));
        let values: Vec<Vec<_>> = fields.iter().map(|field| fields.values(field).collect()).collect();
        assert_eq!(values, [vec![&b"h"[..]], vec![b"b", b"a", b"b"]]);
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
