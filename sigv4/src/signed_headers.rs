//! The list of signed headers, the headers it names, and the canonical form of their values.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::canonical::Sink;
use crate::inline::Inline;
use crate::notable::{Name, Notable, NotableHeaders};
use crate::scan;
use crate::uri::Encoded;

/// The names of the signed headers: `;` between them, lower-case, none twice.
pub(crate) struct SignedHeaders<'a> {
    text: Cow<'a, [u8]>,
    /// Where each name stands in the text.
    names: Inline<Span, 16>,
    is_sorted: bool,
    /// Whether the text is the list as it is signed, not one of a query with its `;` escaped.
    is_line: bool,
}

#[derive(Clone, Copy, Default)]
struct Span {
    start: u16,
    end: u16,
}

impl Span {
    fn of<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        &text[usize::from(self.start)..usize::from(self.end)]
    }

    fn len(&self) -> usize {
        usize::from(self.end - self.start)
    }
}

/// More than any request has headers. A longer list could only buy time of the verifier.
const MAX_NAMES: usize = 256;

impl<'a> SignedHeaders<'a> {
    /// Signers write the list sorted. An unsorted one is hashed in sorted order with the line as it came.
    pub(crate) fn parse(text: Cow<'a, [u8]>) -> Option<Self> {
        if let Some(names) = common(&text) {
            return Some(Self { text, names, is_sorted: true, is_line: true });
        }
        let names = split(&text, b";")?;
        Self::of(text, names, true)
    }

    /// As [`parse`](Self::parse), of a query. Where only the `;` is escaped, nothing needs to be decoded.
    pub(crate) fn parse_encoded(text: Encoded<'a>) -> Option<Self> {
        if text.as_wire() == b"host" {
            return Self::parse(Cow::Borrowed(text.as_wire()));
        }
        match split(text.as_wire(), b"%3B") {
            Some(names) => Self::of(Cow::Borrowed(text.as_wire()), names, false),
            None => Self::parse(text.decode().ok()?),
        }
    }

    fn of(text: Cow<'a, [u8]>, names: Inline<Span, 16>, is_line: bool) -> Option<Self> {
        let is_sorted = is_ascending(&text, names.as_slice())?;
        Some(Self { text, names, is_sorted, is_line })
    }

    /// The list as it is signed.
    pub(crate) fn put_line(&self, sink: &mut impl Sink) {
        if self.is_line {
            return sink.put(&self.text);
        }
        for (number, name) in self.names().enumerate() {
            if number > 0 {
                sink.put_byte(b';');
            }
            sink.put(name);
        }
    }

    /// The names in the order received.
    fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.names.as_slice().iter().map(|span| span.of(&self.text))
    }

    /// Whether `name` is signed.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.names().any(|signed| signed == name.as_bytes())
    }

    /// Finds the signed headers: among the notable ones, or else in one pass over all there are.
    ///
    /// They are kept in `list`, which is empty; `authority` stands in for a missing `host`.
    pub(crate) fn find<'r>(
        &'r self,
        list: &'r mut FieldList<'r>,
        headers: &'r HeaderMap,
        notable: &NotableHeaders<'r>,
        authority: Option<&'r str>,
    ) -> Fields<'r> {
        let text = &*self.text;
        let (mut amz_values, mut all_notable) = (0, true);
        for &span in self.names.as_slice() {
            let name = span.of(text);
            let mut field = Field { span, ..Field::default() };
            match Name::of(name) {
                Some(Name::Host) => {
                    field.found = notable.get(Name::Host);
                    field.found.first = field.found.first.or(authority.map(str::as_bytes));
                }
                Some(name) => field.found = notable.get(name),
                None => all_notable = false,
            }
            amz_values += usize::from(field.found.first.is_some() && name.starts_with(b"x-amz-"));
            list.push(field);
        }
        let list = list.as_mut_slice();
        if !self.is_sorted {
            list.sort_unstable_by_key(|field| field.span.of(text));
        }
        let seen_all = all_notable && amz_values == notable.amz_values();
        let beside = !seen_all && search(list, text, headers);
        Fields { signed: self, list, headers, beside }
    }
}

/// The names of the lists that botocore, and so the AWS CLI and most scripts, sign of a request without a body, and of
/// nearly every presigned one: they are compared and not taken apart.
#[inline]
fn common(text: &[u8]) -> Option<Inline<Span, 16>> {
    const SPANS: [Span; 4] = [span(0, 4), span(5, 25), span(26, 36), span(37, 57)];
    let count = match text.len() {
        4 if text == b"host" => 1,
        36 if text == b"host;x-amz-content-sha256;x-amz-date" => 3,
        57 if text == b"host;x-amz-content-sha256;x-amz-date;x-amz-security-token" => 4,
        _ => return None,
    };
    let mut names = Inline::from_array(SPANS);
    names.truncate(count);
    Some(names)
}

const fn span(start: u16, end: u16) -> Span {
    Span { start, end }
}

/// Where the names stand between `separator`s; `None` if there are bytes that are neither.
///
/// Escapes begin with a byte that is legal in names: where the separator is one, no other is understood, nor is `+`,
/// which is a space there.
#[inline]
fn split(text: &[u8], separator: &'static [u8]) -> Option<Inline<Span, 16>> {
    let mut names = Inline::new();
    let (mut start, end) = (0, u16::try_from(text.len()).ok()?);
    let is_of_name = |byte| {
        let is_escape = byte == separator[0] || (byte == b'+' && separator[0] == b'%');
        is_lower_token(byte) && !is_escape
    };
    let is_common = |byte: u8| byte.is_ascii_lowercase() | byte.is_ascii_digit() | (byte == b'-');
    let visit = |at: usize| {
        let rest = &text[at..];
        if at as u16 == end || rest.starts_with(separator) {
            names.push(Span { start, end: at as u16 });
            start = (at + separator.len()) as u16;
        } else if at >= usize::from(start) && !is_of_name(rest[0]) {
            return Err(());
        }
        Ok(())
    };
    scan::try_each(text, |byte| !is_common(byte), visit).ok()?;
    Some(names)
}

/// Whether names are sorted; `None` if they are no list: too many, one empty or twice.
fn is_ascending(text: &[u8], names: &[Span]) -> Option<bool> {
    let (mut is_sorted, mut previous) = (true, &b""[..]);
    for span in names {
        let name = span.of(text);
        if name.is_empty() {
            return None;
        }
        is_sorted &= previous < name;
        previous = name;
    }
    if names.len() > MAX_NAMES {
        return None;
    }
    if !is_sorted {
        let mut sorted: Vec<_> = names.iter().map(|span| span.of(text)).collect();
        sorted.sort_unstable();
        if sorted.windows(2).any(|two| two[0] == two[1]) {
            return None;
        }
    }
    Some(is_sorted)
}

/// Finds the fields that are not notable. Says whether there are `x-amz-*` headers beside those on the list.
fn search<'r>(list: &mut [Field<'r>], text: &[u8], headers: &'r HeaderMap) -> bool {
    let mut beside = false;
    for (name, value) in headers {
        match position(list, text, name.as_str()).map(|at| &mut list[at]) {
            Some(field) if Name::of(field.span.of(text)).is_none() => field.found.take(value.as_bytes()),
            Some(_) => {}
            None => beside |= is_amz(name),
        }
    }
    beside
}

/// Where `name` is among the fields. A short list is gone through; a search by halves keeps the work for a long one, of
/// as many headers, from growing with its square.
fn position(list: &[Field<'_>], text: &[u8], name: &str) -> Option<usize> {
    if list.len() <= 16 {
        list.iter().position(|field| field.is(name, text))
    } else {
        list.binary_search_by(|field| field.span.of(text).cmp(name.as_bytes())).ok()
    }
}

fn is_amz(name: &HeaderName) -> bool {
    name.as_str().starts_with("x-amz-")
}

/// One signed header. All zeros where there is none yet, so that a list of them is cleared at once.
#[derive(Clone, Copy, Default)]
pub(crate) struct Field<'r> {
    /// Where its name stands in the text of the list.
    span: Span,
    found: Notable<'r>,
}

impl<'r> Field<'r> {
    /// The first value; `None` if the request has no such header.
    pub(crate) fn first(&self) -> Option<&'r [u8]> {
        self.found.first
    }

    /// Most names differ in length already.
    fn is(&self, name: &str, text: &[u8]) -> bool {
        self.span.len() == name.len() && self.span.of(text) == name.as_bytes()
    }
}

/// Where the fields are kept: moving them costs more than finding them.
pub(crate) type FieldList<'r> = Inline<Field<'r>, 16>;

/// The signed headers of a request, sorted by name.
pub(crate) struct Fields<'r> {
    signed: &'r SignedHeaders<'r>,
    list: &'r [Field<'r>],
    headers: &'r HeaderMap,
    /// Whether there are `x-amz-*` headers beside the signed ones.
    beside: bool,
}

impl<'r> Fields<'r> {
    /// The list of names as it is signed.
    pub(crate) fn put_line(&self, sink: &mut impl Sink) {
        self.signed.put_line(sink);
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Field<'r>> {
        self.list.iter()
    }

    pub(crate) fn name(&self, field: &Field<'r>) -> &'r [u8] {
        field.span.of(&self.signed.text)
    }

    /// The first value of `name`.
    pub(crate) fn get(&self, name: &str) -> Option<&'r [u8]> {
        self.iter().find(|field| field.is(name, &self.signed.text)).and_then(Field::first)
    }

    /// All values of a field, in the order received.
    pub(crate) fn values(&self, field: &Field<'r>) -> impl Iterator<Item = &'r [u8]> {
        field.found.first.into_iter().chain(self.more_values(field).into_iter().flatten())
    }

    /// The values of a field after the first; `None`, which nearly all have, costs no look-up.
    pub(crate) fn more_values(&self, field: &Field<'r>) -> Option<impl Iterator<Item = &'r [u8]>> {
        field.found.repeated.then(|| {
            let name = std::str::from_utf8(self.name(field)).unwrap_or_default();
            self.headers.get_all(name).iter().skip(1).map(HeaderValue::as_bytes)
        })
    }

    /// Names of signed headers that the request does not have. They are not taken for empty ones.
    pub(crate) fn absent(&self) -> impl Iterator<Item = &[u8]> {
        self.iter().filter(|field| field.found.first.is_none()).map(|field| self.name(field))
    }

    /// What Amazon S3 demands to be signed and is not: `host` and every `x-amz-*` header that is there,
    /// but for those in `tolerated`. `x-amz-content-sha256` is in the canonical request in any case.
    pub(crate) fn unsigned(&self, tolerated: &[HeaderName]) -> Vec<String> {
        let signed = |name: &str| self.iter().any(|field| field.is(name, &self.signed.text));
        if !self.beside && signed("host") {
            return Vec::new();
        }
        let must =
            |name: &&HeaderName| is_amz(name) && *name != "x-amz-content-sha256" && !tolerated.contains(name);
        let present = self.headers.keys().filter(must).map(HeaderName::as_str);
        let unsigned = std::iter::once("host").chain(present).filter(|name| !signed(name));
        let mut names: Vec<String> = unsigned.map(str::to_owned).collect();
        names.sort_unstable();
        names
    }
}

/// RFC 9110, 5.6.2, without upper-case letters.
fn is_lower_token(byte: u8) -> bool {
    matches!(byte,
        b'a'..=b'z' | b'0'..=b'9' | b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
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
        SignedHeaders::parse(Cow::Borrowed(line.as_bytes()))
    }

    #[test]
    fn an_unsorted_list_keeps_its_line_and_is_hashed_sorted() {
        let mut place = FieldList::new();
        let (list, headers) = (parse("x-amz-date;host;range").unwrap(), HeaderMap::new());
        let fields = list.find(&mut place, &headers, &NotableHeaders::find(&headers), None);
        let mut line = Vec::new();
        fields.put_line(&mut line);
        assert_eq!(line, b"x-amz-date;host;range");
        assert!(fields.iter().map(|field| fields.name(field)).eq([&b"host"[..], b"range", b"x-amz-date"]));
        assert_eq!(fields.absent().count(), 3);
    }

    #[test]
    fn values_of_one_name_keep_their_order() {
        let mut headers = HeaderMap::new();
        for value in ["b", "a", "b"] {
            headers.append("x-amz-meta-a", value.parse().unwrap());
        }
        let (mut place, list) = (FieldList::new(), parse("host;x-amz-meta-a").unwrap());
        let fields = list.find(&mut place, &headers, &NotableHeaders::find(&headers), Some("h"));
        let values: Vec<Vec<_>> = fields.iter().map(|field| fields.values(field).collect()).collect();
        assert_eq!(values, [vec![&b"h"[..]], vec![b"b", b"a", b"b"]]);
    }

    #[test]
    fn a_common_list_is_what_taking_it_apart_gives() {
        for text in [
            "host",
            "host;x-amz-content-sha256;x-amz-date",
            "host;x-amz-content-sha256;x-amz-date;x-amz-security-token",
        ] {
            let text = text.as_bytes();
            let names = |spans: Inline<Span, 16>| -> Vec<_> {
                spans.as_slice().iter().map(|span| span.of(text).to_vec()).collect()
            };
            let apart = split(text, b";").unwrap();
            assert_eq!(is_ascending(text, apart.as_slice()), Some(true));
            assert_eq!(names(common(text).unwrap()), names(apart));
        }
        for text in ["hose", "", "host;x-amz-content-sha256;x-amz-dat3", "host;x-amz-date"] {
            assert!(common(text.as_bytes()).is_none(), "{text}");
        }
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
