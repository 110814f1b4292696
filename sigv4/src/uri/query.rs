//! The pairs of a query, and what of the wire is their canonical form already.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::{Kept, MalformedEscape, Plus, decode_query, escaped, percent, recode};
use crate::canonical::Sink;
use crate::inline::Inline;
use crate::scan::try_each;

/// How a piece of a query is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Spelling {
    /// In its normal form and without escapes: it is its own decoded form as well.
    #[default]
    Plain,
    /// In its normal form, as it is from every signer that presigns.
    Normal,
    /// Some other way.
    Other,
}

/// A text of a query, still encoded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Encoded<'a> {
    text: &'a [u8],
    is_plain: bool,
}

impl<'a> Encoded<'a> {
    /// A text that decoding would not change and that ends no pair, if it plainly is one: `%`, `&` and `+` come before
    /// the digits.
    #[inline]
    pub(crate) fn undivided<const N: usize>(text: &'a [u8; N]) -> Option<Self> {
        let is_plain = text.iter().fold(true, |all, &byte| all & (byte >= b'0'));
        is_plain.then_some(Self { text, is_plain })
    }

    /// Percent-decodes the text.
    pub(crate) fn decode(self) -> Result<Cow<'a, [u8]>, MalformedEscape> {
        if self.is_plain { Ok(Cow::Borrowed(self.text)) } else { decode_query(self.text) }
    }

    /// The text, if decoding would not change it.
    pub(crate) fn plain(self) -> Option<&'a [u8]> {
        self.is_plain.then_some(self.text)
    }

    /// The text as it stands.
    pub(crate) fn as_wire(self) -> &'a [u8] {
        self.text
    }
}

/// One name and value of a query, still encoded.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pair<'a> {
    name: &'a [u8],
    value: &'a [u8],
    spelling: Spelling,
}

impl<'a> Pair<'a> {
    pub(crate) fn value(&self) -> Encoded<'a> {
        Encoded { text: self.value, is_plain: self.spelling == Spelling::Plain }
    }

    /// The name, if it is in its normal form.
    #[inline]
    pub(crate) fn normal_name(&self) -> Option<&'a [u8]> {
        self.is_normal().then_some(self.name)
    }

    /// The name, decoded as far as it takes to compare it with one that is all unreserved bytes: a normal form
    /// escapes none of these, and a name that is left with an escape is another one.
    #[cold]
    pub(crate) fn plain_name(&self) -> Cow<'a, [u8]> {
        let decoded = if self.is_normal() { None } else { decode_query(self.name).ok() };
        decoded.unwrap_or(Cow::Borrowed(self.name))
    }

    /// Whether the names are the same, however they are spelled.
    pub(crate) fn is_named_as(&self, other: &Self) -> bool {
        self.cmp_name(other).is_eq()
    }

    /// Whether the decoded name is `name`, which is all unreserved bytes.
    pub(crate) fn is_named(&self, name: &[u8]) -> bool {
        match self.normal_name() {
            Some(normal) => normal == name,
            None => *self.plain_name() == *name,
        }
    }

    /// Whether `name=value` is in its normal form. Then it is compared and written as it stands.
    #[inline]
    fn is_normal(&self) -> bool {
        self.spelling < Spelling::Other
    }

    pub(crate) fn put(&self, sink: &mut impl Sink) {
        if self.is_normal() {
            sink.put(self.name);
            sink.put_byte(b'=');
            sink.put(self.value);
        } else {
            recode(sink, self.name, Kept::Unreserved, Plus::Space);
            sink.put_byte(b'=');
            recode(sink, self.value, Kept::Unreserved, Plus::Space);
        }
    }

    /// The first eight bytes of the name, ordered as names in normal form are, which hold no zero bytes. Two letters
    /// after `X-Amz-` tell most of those names apart.
    #[inline]
    fn initials(&self) -> u64 {
        let short = || {
            let mut padded = [0; 8];
            padded[..self.name.len()].copy_from_slice(self.name);
            padded
        };
        u64::from_be_bytes(self.name.first_chunk().copied().unwrap_or_else(short))
    }

    fn cmp_name(&self, other: &Self) -> Ordering {
        if self.is_normal() && other.is_normal() {
            self.name.cmp(other.name)
        } else {
            cmp_encoded(self.name, other.name)
        }
    }

    fn cmp_value(&self, other: &Self) -> Ordering {
        if self.is_normal() && other.is_normal() {
            self.value.cmp(other.value)
        } else {
            cmp_encoded(self.value, other.value)
        }
    }

    /// By name, then by value: comparing `name=value` as one text would put `a-b` before `a`.
    fn cmp(&self, other: &Self) -> Ordering {
        self.cmp_name(other).then_with(|| self.cmp_value(other))
    }
}

/// Orders two texts by their normal forms without writing these down.
fn cmp_encoded(a: &[u8], b: &[u8]) -> Ordering {
    let at = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    // What they share normalises to the same bytes, unless it ends inside an escape.
    let whole = !a[at.saturating_sub(2)..at].contains(&b'%');
    let settled = |rest: &[u8]| rest.first().is_none_or(|&byte| Kept::Unreserved.has(byte));
    if whole && settled(&a[at..]) && settled(&b[at..]) {
        a[at..].first().cmp(&b[at..].first())
    } else {
        NormalForm::new(a).cmp(NormalForm::new(b))
    }
}

/// The normal form of a text, byte by byte.
struct NormalForm<'a> {
    rest: &'a [u8],
    pending: [u8; 2],
    left: usize,
}

impl<'a> NormalForm<'a> {
    fn new(rest: &'a [u8]) -> Self {
        Self { rest, pending: [0; 2], left: 0 }
    }
}

impl Iterator for NormalForm<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        if self.left > 0 {
            self.left -= 1;
            return Some(self.pending[1 - self.left]);
        }
        let (&byte, mut rest) = self.rest.split_first()?;
        let value = match byte {
            b'%' => escaped(rest).inspect(|_| rest = &rest[2..]).unwrap_or(b'%'),
            b'+' => b' ',
            other => other,
        };
        self.rest = rest;
        if Kept::Unreserved.has(value) {
            return Some(value);
        }
        let [first, second, third] = percent(value);
        (self.pending, self.left) = ([second, third], 2);
        Some(first)
    }
}

/// A query without malformed escapes.
///
/// It is read once, and its pairs are listed only where they have to be sorted: a signer that presigns, and nearly
/// every other, writes them in canonical order and form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query<'a> {
    wire: &'a [u8],
    /// The part of the wire that is the canonical query just as it stands, if there is one.
    verbatim: Option<&'a [u8]>,
}

impl<'a> Query<'a> {
    /// Checks the escapes, and shows every pair to `is_signed`, which says whether it stands in the canonical query.
    pub(crate) fn read(
        wire: Option<&'a [u8]>,
        mut is_signed: impl FnMut(&Pair<'a>) -> bool,
    ) -> Result<Self, MalformedEscape> {
        let wire = wire.unwrap_or_default();
        if wire.is_empty() {
            return Ok(Self { wire, verbatim: Some(wire) });
        }
        let mut prefix = Prefix::default();
        each_pair(wire, |start, pair| {
            if is_signed(&pair) {
                prefix.extend(start, &pair);
            }
        })
        .map_err(|fault| fault.in_whole(wire))?;
        Ok(Self { wire, verbatim: prefix.of(wire) })
    }

    /// The canonical query, if it stands on the wire.
    pub(crate) fn verbatim(&self) -> Option<&'a [u8]> {
        self.verbatim
    }

    /// All pairs by name, then by value.
    pub(crate) fn sorted(&self) -> Pairs<'a> {
        let mut pairs = self.pairs();
        pairs.as_mut_slice().sort_unstable_by(Pair::cmp);
        pairs
    }

    /// All pairs by name; those of one name as they came.
    pub(crate) fn sorted_by_name(&self) -> Pairs<'a> {
        let mut pairs = self.pairs();
        pairs.as_mut_slice().sort_by(Pair::cmp_name);
        pairs
    }

    fn pairs(&self) -> Pairs<'a> {
        let mut pairs = Inline::new();
        self.each_pair(|pair| pairs.push(pair));
        #[cfg(test)]
        LISTED.with(|listed| listed.set(listed.get() + pairs.as_slice().len()));
        pairs
    }

    fn each_pair(&self, mut each: impl FnMut(Pair<'a>)) {
        each_pair(self.wire, |_, pair| each(pair)).expect("its escapes were checked by read");
    }

    /// Whether some pair has this name, which is all unreserved bytes.
    pub(crate) fn has(&self, name: &str) -> bool {
        let mut found = false;
        self.each_pair(|pair| found |= pair.is_named(name.as_bytes()));
        found
    }
}

/// The pairs of a query.
pub(crate) type Pairs<'a> = Inline<Pair<'a>, 16>;

#[cfg(test)]
thread_local! {
    /// How many pairs this thread has listed to sort them.
    pub(crate) static LISTED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Pairs that stand at the start of a query in canonical order and form, without gaps.
struct Prefix<'a> {
    last: Pair<'a>,
    /// What the name of the last pair begins with.
    initials: u64,
    /// Where the next pair must start.
    end: usize,
    unbroken: bool,
}

impl<'a> Prefix<'a> {
    #[inline]
    fn extend(&mut self, start: usize, pair: &Pair<'a>) {
        let initials = pair.initials();
        // As long as nothing is broken, all pairs are in their normal form.
        let ascends =
            if initials == self.initials { self.last.cmp(pair).is_le() } else { self.initials < initials };
        self.unbroken &= (start == self.end) & pair.is_normal() & ascends;
        self.end = start + pair.name.len() + "=".len() + pair.value.len() + "&".len();
        (self.last, self.initials) = (*pair, initials);
    }

    fn of<'q>(&self, wire: &'q [u8]) -> Option<&'q [u8]> {
        self.unbroken.then(|| &wire[..self.end.saturating_sub("&".len())])
    }
}

impl Default for Prefix<'_> {
    fn default() -> Self {
        Self { last: Pair::default(), initials: 0, end: 0, unbroken: true }
    }
}

/// What nearly every presigned query begins with, and where its value starts.
const HEAD: (&[u8], usize) = (b"X-Amz-Algorithm=AWS4-HMAC-SHA256&", 16);
/// What nearly every presigned query ends with before its signature, and where name and value start.
const TAIL: (&[u8], usize, usize) = (b"&X-Amz-SignedHeaders=host", 1, 21);

/// Splits a query as [`pairs`] does, checks its escapes, and calls `each` with every pair and where it starts.
///
/// The first and the last pair are compared with what they nearly always are: a third of a presigned query need not be
/// looked through.
#[inline]
fn each_pair<'a>(wire: &'a [u8], mut each: impl FnMut(usize, Pair<'a>)) -> Result<(), MalformedEscape> {
    let plain = |name, value| Pair { name, value, spelling: Spelling::Plain };
    let from = if wire.starts_with(HEAD.0) { HEAD.0.len() } else { 0 };
    let middle = &wire[from..];
    let is_tail = middle.ends_with(TAIL.0);
    let to = if is_tail { wire.len() - TAIL.0.len() } else { wire.len() };
    if from > 0 {
        each(0, plain(&wire[..HEAD.1 - 1], &wire[HEAD.1..from - 1]));
    }
    each_pair_between(&wire[from..to], |start, pair| each(from + start, pair))?;
    if is_tail {
        let tail = &wire[to..];
        each(to + TAIL.1, plain(&tail[TAIL.1..TAIL.2 - 1], &tail[TAIL.2..]));
    }
    Ok(())
}

#[inline]
fn each_pair_between<'a>(
    wire: &'a [u8],
    mut each: impl FnMut(usize, Pair<'a>),
) -> Result<(), MalformedEscape> {
    let (mut start, mut equals, mut spelling) = (0, None, Spelling::Plain);
    let visit = |at: usize| {
        match wire.get(at) {
            Some(b'&') | None => {
                if let Some(equals) = equals {
                    each(start, Pair { name: &wire[start..equals], value: &wire[equals + 1..at], spelling });
                } else if at > start {
                    // Its normal form has a `=`.
                    each(start, Pair { name: &wire[start..at], value: b"", spelling: Spelling::Other });
                }
                (start, equals, spelling) = (at + 1, None, Spelling::Plain);
            }
            Some(b'=') if equals.is_none() => equals = Some(at),
            Some(b'%') => spelling = spelling.max(spelling_of(&wire[at + 1..])?),
            Some(_) => spelling = Spelling::Other,
        }
        Ok(())
    };
    try_each(wire, |byte| !Kept::Unreserved.has(byte), visit)
}

/// How an escape is written, given what follows its `%`.
#[inline]
fn spelling_of(escape: &[u8]) -> Result<Spelling, MalformedEscape> {
    // `/` and `;`, as nearly all are that presigners write.
    if escape.starts_with(b"2F") || escape.starts_with(b"3B") {
        return Ok(Spelling::Normal);
    }
    let value = escaped(escape)?;
    let is_normal = !Kept::Unreserved.has(value) && !escape[..2].iter().any(u8::is_ascii_lowercase);
    Ok(if is_normal { Spelling::Normal } else { Spelling::Other })
}

#[cfg(test)]
mod tests {
    use super::super::pairs;
    use super::super::tests::text;
    use super::*;

    #[test]
    fn queries_are_sorted_by_encoded_name_then_value() {
        let table: [(&str, &str); 9] = [
            ("acl", "acl="),
            ("&a=1&&b=2&", "a=1&b=2"),
            ("b=2&a=2&a=1", "a=1&a=2&b=2"),
            ("Param-3=x&Param=y", "Param=y&Param-3=x"),
            ("a=b=c;d&=v", "=v&a=b%3Dc%3Bd"),
            ("k=a+b%2Bc%20d/e", "k=a%20b%2Bc%20d%2Fe"),
            ("%61=%7e&a=%2f", "a=%2F&a=~"),
            ("%C3%A9=1&z=2&%7Ea=3", "%C3%A9=1&z=2&~a=3"),
            ("ab=1&a%62=0", "ab=0&ab=1"),
        ];
        for (wire, expected) in table {
            let query = Query::read(Some(wire.as_bytes()), |_| true).unwrap();
            let line: Vec<_> =
                query.sorted().as_slice().iter().map(|pair| text(|out| pair.put(out))).collect();
            assert_eq!(line.join("&"), expected);
            assert!(query.verbatim().is_none_or(|verbatim| verbatim == expected.as_bytes()), "{wire}");
        }
    }

    #[test]
    fn a_name_is_known_however_it_is_spelled() {
        let table = [
            ("a-b=1", true),
            ("%61-b=%2F", true),
            ("a%2Db", true),
            ("a-b=+", true),
            ("a%2Fb", false),
            ("a-", false),
        ];
        for (wire, expected) in table {
            let query = Query::read(Some(wire.as_bytes()), |_| true).unwrap();
            let pair = query.sorted().as_slice()[0];
            assert_eq!(pair.is_named(b"a-b"), expected, "{wire}");
        }
    }

    #[test]
    fn splitting_with_a_check_equals_splitting_without() {
        let head = "X-Amz-Algorithm=AWS4-HMAC-SHA256";
        let tail = "X-Amz-SignedHeaders=host";
        let presigned = [
            format!("{head}&{tail}"),
            format!("{head}&&{tail}"),
            format!("{head}&a=b&c&{tail}"),
            format!("&{head}&{tail}"),
            format!("{head}{tail}&{head}"),
            format!("a={tail}"),
            format!("a&{tail}"),
            format!("{head}&"),
            format!("&{tail}"),
        ];
        let others = ["", "&", "a", "a=", "=", "=&==", "a=b&&c&=d&", "%41=%42&a%3Db=c", "a=b=c&d%26=e", "&a"];
        for wire in presigned.iter().map(String::as_str).chain(others) {
            let query = Query::read(Some(wire.as_bytes()), |_| true).unwrap();
            let mut expected: Vec<_> = pairs(wire.as_bytes()).collect();
            let mut got: Vec<_> =
                query.pairs().as_slice().iter().map(|pair| (pair.name, pair.value)).collect();
            expected.sort_unstable();
            got.sort_unstable();
            assert_eq!(got, expected, "{wire}");
        }
    }

    #[test]
    fn a_query_in_canonical_order_and_form_is_taken_as_it_stands() {
        let table = [
            ("", Some("")),
            ("a=1&b=%2F", Some("a=1&b=%2F")),
            ("a=1&b=2&", Some("a=1&b=2")),
            ("a=1&b=2&not=signed", Some("a=1&b=2")),
            ("a=1&&not=signed", Some("a=1")),
            ("not=signed", Some("")),
            ("not=signed&a=1", None),
            ("a=1&not=signed&b=2", None),
            ("&a=1", None),
            ("a=1&&b=2", None),
            ("b=1&a=2", None),
            ("a=2&a=1", None),
            ("a-b=&a=", None),
            ("a", None),
            ("a=b=c", None),
            ("a=%2f", None),
            ("a=%41", None),
            ("a=+", None),
            (
                "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-SignedHeaders=host",
                Some("X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-SignedHeaders=host"),
            ),
            ("X-Amz-Algorithm=AWS4-HMAC-SHA256&&X-Amz-SignedHeaders=host", None),
            ("X-Amz-Algorithm=AWS4-HMAC-SHA256&a=1&X-Amz-SignedHeaders=host", None),
            ("X-Amz-Algorithm=AWS4-HMAC-SHA256&a=1&not=signed", Some("X-Amz-Algorithm=AWS4-HMAC-SHA256&a=1")),
        ];
        for (wire, expected) in table {
            let query = Query::read(Some(wire.as_bytes()), |pair| !pair.is_named(b"not")).unwrap();
            assert_eq!(query.verbatim(), expected.map(str::as_bytes), "{wire}");
        }
    }

    #[test]
    fn comparing_unwritten_normal_forms_equals_comparing_written_ones() {
        let texts =
            ["", "a", "%61", "a%20", "a+", "a-", "a%2D", "a~", "a/", "%2f", "%2F", "%3", "é", "a%41b"];
        for a in texts {
            for b in texts {
                let written = |t: &str| text(|out| recode(out, t.as_bytes(), Kept::Unreserved, Plus::Space));
                assert_eq!(cmp_encoded(a.as_bytes(), b.as_bytes()), written(a).cmp(&written(b)), "{a} {b}");
            }
        }
    }
}
