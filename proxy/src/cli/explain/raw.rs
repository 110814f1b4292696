//! Reads an HTTP/1.1 request byte for byte, as it was captured.
//!
//! Servers refuse much of what stands in front of people who ask why a signature does not match: spaces in a
//! target, folded header lines, bare line feeds. This reader takes it as it is, and the signature decides.

use http::{HeaderMap, HeaderName, HeaderValue};
use sigv4::Head;

/// A request as captured.
#[derive(Clone, Debug)]
pub(super) struct RawRequest {
    pub(super) method: String,
    pub(super) path: Vec<u8>,
    pub(super) query: Option<Vec<u8>>,
    pub(super) headers: HeaderMap,
    /// Without transfer coding.
    pub(super) body: Vec<u8>,
}

/// Why the input is no request.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum Malformed {
    #[error("the first line is not METHOD TARGET HTTP/VERSION")]
    RequestLine,
    #[error("line {0} is not a header")]
    Header(usize),
}

impl RawRequest {
    /// Lines end in LF or CRLF. The method ends at the first space, the version begins after the last. A
    /// folded line continues the value above after one space. What follows the empty line is the body.
    pub(super) fn read(input: &[u8]) -> Result<Self, Malformed> {
        let (first, mut rest) = line(input);
        let (method, target) = request_line(first).ok_or(Malformed::RequestLine)?;
        let mut fields: Vec<(HeaderName, Vec<u8>)> = Vec::new();
        for number in 2.. {
            let (text, tail) = line(rest);
            rest = tail;
            if text.is_empty() {
                break;
            }
            let folded = text.starts_with(b" ") || text.starts_with(b"\t");
            match fields.last_mut() {
                Some((_, value)) if folded => {
                    value.push(b' ');
                    value.extend(text.trim_ascii());
                }
                _ => fields.push(field(text).ok_or(Malformed::Header(number))?),
            }
        }
        let mut headers = HeaderMap::new();
        for (number, (name, value)) in fields.into_iter().enumerate() {
            let value = HeaderValue::from_bytes(&value).map_err(|_| Malformed::Header(number + 2))?;
            headers.append(name, value);
        }
        let (path, query) = split_target(target);
        let body = transfer_decoded(&headers, rest).unwrap_or_else(|| rest.to_vec());
        Ok(Self { method, path, query, headers, body })
    }

    pub(super) fn head(&self) -> Head<'_> {
        Head {
            method: &self.method,
            path: &self.path,
            query: self.query.as_deref(),
            headers: &self.headers,
            authority: None,
        }
    }
}

/// The first line without its end, and what follows.
fn line(input: &[u8]) -> (&[u8], &[u8]) {
    let (line, rest) = match input.iter().position(|&byte| byte == b'\n') {
        Some(at) => (&input[..at], &input[at + 1..]),
        None => (input, &[][..]),
    };
    (line.strip_suffix(b"\r").unwrap_or(line), rest)
}

fn request_line(line: &[u8]) -> Option<(String, &[u8])> {
    let start = line.iter().position(|&byte| byte == b' ')?;
    let end = line.iter().rposition(|&byte| byte == b' ').filter(|&end| end > start + 1)?;
    let method = http::Method::from_bytes(&line[..start]).ok()?;
    line[end + 1..].starts_with(b"HTTP/").then(|| (method.as_str().to_owned(), &line[start + 1..end]))
}

fn field(line: &[u8]) -> Option<(HeaderName, Vec<u8>)> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let name = HeaderName::from_bytes(&line[..colon]).ok()?;
    Some((name, line[colon + 1..].trim_ascii().to_vec()))
}

/// Path and query of a target in origin or absolute form. A fragment is no part of either.
fn split_target(target: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
    let target = target.split(|&byte| byte == b'#').next().unwrap_or_default();
    let absolute = [&b"http://"[..], b"https://"].iter().find_map(|scheme| target.strip_prefix(*scheme));
    let target = match absolute {
        Some(rest) => &rest[rest.iter().position(|byte| b"/?".contains(byte)).unwrap_or(rest.len())..],
        None => target,
    };
    let mut parts = target.splitn(2, |&byte| byte == b'?');
    let path = parts.next().filter(|path| !path.is_empty()).unwrap_or(b"/");
    (path.to_vec(), parts.next().map(<[u8]>::to_vec))
}

/// The body without its transfer coding, if that is declared and there.
///
/// Captures often hold the body already decoded. The chunks of a signed payload look much like those of the
/// transfer, so where the head announces such chunks they must be what is inside.
fn transfer_decoded(headers: &HeaderMap, wire: &[u8]) -> Option<Vec<u8>> {
    let coding = headers.get(http::header::TRANSFER_ENCODING)?.to_str().ok()?;
    if !coding.rsplit(',').next()?.trim().eq_ignore_ascii_case("chunked") {
        return None;
    }
    let decoded = dechunked(wire)?;
    let is_streaming = |value: &HeaderValue| value.as_bytes().starts_with(b"STREAMING-");
    if headers.get("x-amz-content-sha256").is_some_and(is_streaming) {
        let (first, data) = line(&decoded);
        chunk_size(first).filter(|&size| size <= data.len())?;
    }
    Some(decoded)
}

/// RFC 9112, 7.1. `None` if `wire` is not framed so to its end.
fn dechunked(wire: &[u8]) -> Option<Vec<u8>> {
    let (mut body, mut rest) = (Vec::new(), wire);
    loop {
        let (head, tail) = line(rest);
        let size = chunk_size(head)?;
        if size == 0 {
            rest = tail;
            break;
        }
        let (data, tail) = tail.split_at_checked(size)?;
        body.extend(data);
        let (end, tail) = line(tail);
        rest = tail;
        if !end.is_empty() {
            return None;
        }
    }
    while !rest.is_empty() {
        let (trailer, tail) = line(rest);
        rest = tail;
        if trailer.is_empty() {
            return rest.is_empty().then_some(body);
        }
        field(trailer)?;
    }
    None
}

fn chunk_size(line: &[u8]) -> Option<usize> {
    let digits = line.split(|&byte| byte == b';').next()?.trim_ascii();
    let text = std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'))?;
    usize::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Bytes = &'static [u8];

    fn read(input: &[u8]) -> RawRequest {
        RawRequest::read(input).unwrap()
    }

    #[test]
    fn targets_are_taken_as_they_are() {
        let table: [(Bytes, Bytes, Option<Bytes>); 7] = [
            (b"/a b/ c?d e", b"/a b/ c", Some(b"d e")),
            (b"/\xe1\x88\xb4?\xff", b"/\xe1\x88\xb4", Some(b"\xff")),
            (b"//a/../b?x?y", b"//a/../b", Some(b"x?y")),
            (b"http://h:80/p?q", b"/p", Some(b"q")),
            (b"https://h?q", b"/", Some(b"q")),
            (b"/a#b?c", b"/a", None),
            (b"/?", b"/", Some(b"")),
        ];
        for (target, path, query) in table {
            let request = read(&[b"GET ", target, b" HTTP/1.1\r\n\r\n"].concat());
            assert_eq!((&*request.path, request.query.as_deref()), (path, query), "{target:?}");
        }
    }

    #[test]
    fn headers_keep_order_repetitions_and_bytes() {
        let request =
            read(b"PUT / HTTP/1.1\nA: b\nx: \xe9 \t\na:c\r\nFold: one\r\n  two\r\n\tthree\r\n\r\n\r\nbody\n");
        assert_eq!(request.headers.get_all("a").iter().collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(request.headers["x"].as_bytes(), b"\xe9");
        assert_eq!(request.headers["fold"], "one two three");
        assert_eq!(request.body, b"\r\nbody\n");
    }

    #[test]
    fn refuses_what_is_no_request() {
        for bad in
            [&b""[..], b"GET", b"GET /", b"GET  HTTP/1.1", b"G\xff / HTTP/1.1", b"GET / FTP/1.1", b"\xff\xff"]
        {
            assert_eq!(RawRequest::read(bad).unwrap_err(), Malformed::RequestLine, "{bad:?}");
        }
        for bad in [
            "GET / HTTP/1.1\na",
            "GET / HTTP/1.1\na: \x01",
            "GET / HTTP/1.1\n folded",
            "GET / HTTP/1.1\na b: c",
        ] {
            assert_eq!(RawRequest::read(bad.as_bytes()).unwrap_err(), Malformed::Header(2), "{bad:?}");
        }
    }

    #[test]
    fn transfer_chunks_are_removed_where_they_are() {
        let chunked = |extra: &str, body: &str| {
            let head = format!("PUT / HTTP/1.1\r\nTransfer-Encoding: gzip, Chunked\r\n{extra}\r\n");
            read(format!("{head}{body}").as_bytes()).body
        };
        assert_eq!(chunked("", "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nt: u\r\n\r\n"), b"abcde");
        for whole in
            ["abc", "3\r\nabc\r\n", "3\r\nabcd\r\n0\r\n\r\n", "0\r\n\r\nmore", "+1\r\na\r\n0\r\n\r\n"]
        {
            assert_eq!(chunked("", whole), whole.as_bytes());
        }
        let streaming = "x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\r\n";
        let inner = "3\r\nabc\r\n0\r\n\r\n";
        assert_eq!(chunked(streaming, inner), inner.as_bytes());
        assert_eq!(chunked(streaming, &format!("d\r\n{inner}\r\n0\r\n\r\n")), inner.as_bytes());
    }
}
