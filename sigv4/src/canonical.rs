//! The canonical request: one writer, two sinks. Verification hashes it, explanations and tests read it.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use std::cell::OnceCell;

use ring::digest;

use crate::algorithm::Algorithm;
use crate::hex;
use crate::inline::Inline;
use crate::scope::Scope;
use crate::signed_headers::{Field, Fields, put_value, transcode};
use crate::time::Stamp;
use crate::uri::{self, Pair, Pairs, Path, Plus, Query};
use crate::{Dialect, presigned};

/// What stands for the hash of a body that is not signed.
pub(crate) const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// Where canonical text goes.
pub(crate) trait Sink {
    fn put(&mut self, bytes: &[u8]);

    /// One byte: a third of canonical text is single separators, and storing one takes no copy of unknown length.
    fn put_byte(&mut self, byte: u8) {
        self.put(&[byte]);
    }
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl<const N: usize> Sink for Inline<u8, N> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.extend(bytes);
    }

    #[inline]
    fn put_byte(&mut self, byte: u8) {
        self.push(byte);
    }
}

/// SHA-256 of what is put. The buffer is there because canonical text comes in pieces of a few bytes, and
/// a copy costs far less than an update of the hash.
pub(crate) struct HashSink {
    buffer: [u8; 1024],
    filled: usize,
    /// The hash of what came before the buffer, once that has been full.
    context: Option<digest::Context>,
}

impl HashSink {
    pub(crate) fn new() -> Self {
        Self { buffer: [0; 1024], filled: 0, context: None }
    }

    #[cold]
    fn spill(&mut self, bytes: &[u8]) {
        let context = self.context.get_or_insert_with(|| digest::Context::new(&digest::SHA256));
        context.update(&self.buffer[..self.filled]);
        context.update(bytes);
        self.filled = 0;
    }

    pub(crate) fn finish(&self) -> [u8; 32] {
        let rest = &self.buffer[..self.filled];
        match self.context.clone() {
            None => sha256(rest),
            Some(mut context) => {
                context.update(rest);
                sha256_bytes(&context.finish())
            }
        }
    }
}

impl Sink for HashSink {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        match self.buffer.get_mut(self.filled..self.filled + bytes.len()) {
            Some(free) => {
                free.copy_from_slice(bytes);
                self.filled += bytes.len();
            }
            None => self.spill(bytes),
        }
    }

    #[inline]
    fn put_byte(&mut self, byte: u8) {
        match self.buffer.get_mut(self.filled) {
            Some(free) => {
                *free = byte;
                self.filled += 1;
            }
            None => self.spill(&[byte]),
        }
    }
}

/// SHA-256 of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    sha256_bytes(&digest::digest(&digest::SHA256, bytes))
}

fn sha256_bytes(digest: &digest::Digest) -> [u8; 32] {
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// How a canonical request is formed: as the specification says, or with one of the deviations that
/// deployed signers are known for. Each is a function of the bytes received and of nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As the specification says.
    Standard,
    /// A raw `+` in an S3 path is read as a space, as S3 itself does.
    PlusIsSpace,
    /// The path as it came on the wire: the signer did not encode what its HTTP stack sent.
    WirePath,
    /// The path of a service other than S3, not normalised.
    Unnormalized,
    /// Values of one query name in the order they came, as `MinIO`'s clients sign them.
    WireOrder,
    /// `host` without the default port that was received.
    HostWithoutPort,
    /// `host` with `:80`, which the client's HTTP stack left out.
    HostWithPort80,
    /// `host` with `:443`, which the client's HTTP stack left out.
    HostWithPort443,
    /// Header values read as Latin-1 and signed as UTF-8, as S3 does.
    Latin1Values,
    /// Runs of white space inside header values kept, as S3's own page describes `Trim()`.
    UnfoldedValues,
    /// Presigned with a declared body hash that the canonical request does not hold.
    UnsignedPayload,
    /// Presigned for a service other than S3, the session token added after signing.
    WithoutToken,
}

impl Form {
    /// All but the first, in the order they are tried.
    pub(crate) const OTHERS: [Self; 11] = [
        Self::WithoutToken,
        Self::PlusIsSpace,
        Self::WirePath,
        Self::Unnormalized,
        Self::WireOrder,
        Self::HostWithoutPort,
        Self::HostWithPort80,
        Self::HostWithPort443,
        Self::Latin1Values,
        Self::UnfoldedValues,
        Self::UnsignedPayload,
    ];

    /// Those that are AWS's own and so tried even where only the standard is accepted.
    pub(crate) const STANDARD_OTHERS: [Self; 1] = [Self::WithoutToken];

    /// Whether a signature that fails in the standard form is tried in this one. For SigV4 that costs a hash; for
    /// SigV4a it costs what the first try did, so only what its signers can be told to do is worth it.
    pub(crate) fn is_worth_trying(self, algorithm: Algorithm) -> bool {
        algorithm == Algorithm::HmacSha256 || matches!(self, Self::Unnormalized | Self::WithoutToken)
    }

    /// Whether the query is that of the standard form.
    fn keeps_query(self) -> bool {
        !matches!(self, Self::WireOrder | Self::WithoutToken)
    }
}

/// A request, ready to be written in canonical form.
pub(crate) struct CanonicalRequest<'r> {
    pub(crate) dialect: Dialect,
    pub(crate) method: &'r str,
    pub(crate) path: Path<'r>,
    pub(crate) query: &'r Query<'r>,
    pub(crate) fields: &'r Fields<'r>,
    /// The last line: hexadecimal hash or one of the words that stand for it.
    pub(crate) payload: &'r [u8],
    /// The pairs of the query by name and value, once some form has asked for them. A query may have thousands, and
    /// a request whose signature matches none of the forms is written in many.
    pub(crate) sorted: OnceCell<Pairs<'r>>,
}

impl<'r> CanonicalRequest<'r> {
    fn sorted(&self) -> &[Pair<'r>] {
        self.sorted.get_or_init(|| self.query.sorted()).as_slice()
    }

    /// Whether `form` can differ from the standard form for this request at all.
    pub(crate) fn may_take(&self, form: Form) -> bool {
        let s3 = self.dialect == Dialect::S3;
        let some_value =
            |test: fn(&[u8]) -> bool| self.fields.iter().any(|field| self.fields.values(field).any(test));
        match form {
            Form::Standard => true,
            Form::PlusIsSpace => s3 && self.path.as_wire().contains(&b'+'),
            Form::WirePath => s3 && self.path_in(Form::Standard) != self.path.as_wire(),
            Form::Unnormalized => !s3 && self.path_in(form) != self.path_in(Form::Standard),
            Form::WireOrder => self.sorted().windows(2).any(|two| two[0].is_named_as(&two[1])),
            Form::HostWithoutPort => port(self.host()).is_some_and(|port| matches!(port, b"80" | b"443")),
            Form::HostWithPort80 | Form::HostWithPort443 => port(self.host()).is_none(),
            Form::Latin1Values => some_value(|value| !value.is_ascii()),
            Form::UnfoldedValues => some_value(|value| value.windows(2).any(|two| two == b"  ")),
            Form::UnsignedPayload => s3 && self.is_presigned() && self.payload != UNSIGNED_PAYLOAD.as_bytes(),
            Form::WithoutToken => !s3 && self.is_presigned() && self.query.has(presigned::SECURITY_TOKEN),
        }
    }

    /// SHA-256 of the canonical request.
    pub(crate) fn hash(&self, form: Form) -> [u8; 32] {
        let mut sink = HashSink::new();
        self.put(&mut sink, form, Secrets::Included);
        sink.finish()
    }

    /// The canonical request in standard form, for people: what is confidential in it is left out.
    pub(crate) fn text(&self) -> String {
        let mut text = Vec::with_capacity(1024);
        self.put(&mut text, Form::Standard, Secrets::Redacted);
        String::from_utf8(text).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }

    fn put(&self, sink: &mut impl Sink, form: Form, secrets: Secrets) {
        sink.put(self.method.as_bytes());
        sink.put_byte(b'\n');
        self.put_path(sink, form);
        sink.put_byte(b'\n');
        self.put_query(sink, form, secrets);
        sink.put_byte(b'\n');
        self.put_headers(sink, form, secrets);
        sink.put_byte(b'\n');
        self.fields.put_line(sink);
        sink.put_byte(b'\n');
        sink.put(if form == Form::UnsignedPayload { UNSIGNED_PAYLOAD.as_bytes() } else { self.payload });
    }

    fn path_in(&self, form: Form) -> Vec<u8> {
        let mut path = Vec::new();
        self.put_path(&mut path, form);
        path
    }

    fn put_path(&self, sink: &mut impl Sink, form: Form) {
        match (self.dialect, form) {
            (_, Form::WirePath) => sink.put(self.path.as_wire()),
            (Dialect::S3, Form::PlusIsSpace) => self.path.put_s3(sink, Plus::Space),
            (Dialect::S3, _) => self.path.put_s3(sink, Plus::Literal),
            (Dialect::Generic, _) => {
                uri::put_generic_path(sink, self.path.as_wire(), form != Form::Unnormalized);
            }
        }
    }

    fn put_query(&self, sink: &mut impl Sink, form: Form, secrets: Secrets) {
        match self.query.verbatim() {
            Some(line) if form.keeps_query() && secrets == Secrets::Included => sink.put(line),
            _ if form == Form::WireOrder => {
                self.put_pairs(sink, self.query.sorted_by_name().as_slice(), form, secrets);
            }
            _ => self.put_pairs(sink, self.sorted(), form, secrets),
        }
    }

    fn put_pairs(&self, sink: &mut impl Sink, pairs: &[Pair<'_>], form: Form, secrets: Secrets) {
        let mut separator: &[u8] = b"";
        for pair in pairs {
            let token = pair.is_named(presigned::SECURITY_TOKEN.as_bytes());
            if pair.is_named(presigned::SIGNATURE.as_bytes()) || (token && form == Form::WithoutToken) {
                continue;
            }
            sink.put(separator);
            separator = b"&";
            if token && secrets == Secrets::Redacted {
                sink.put(presigned::SECURITY_TOKEN.as_bytes());
                sink.put_byte(b'=');
                sink.put(REDACTED);
            } else {
                pair.put(sink);
            }
        }
    }

    fn put_headers(&self, sink: &mut impl Sink, form: Form, secrets: Secrets) {
        for field in self.fields.iter() {
            let name = self.fields.name(field);
            sink.put(name);
            sink.put_byte(b':');
            if secrets == Secrets::Redacted && CONFIDENTIAL.contains(&name) {
                sink.put(REDACTED);
            } else if name == b"host" {
                self.put_host(sink, form);
            } else {
                self.put_values(sink, field, form);
            }
            sink.put_byte(b'\n');
        }
    }

    fn put_values(&self, sink: &mut impl Sink, field: &Field<'_>, form: Form) {
        let put = |sink: &mut _, value: &[u8]| match form {
            Form::Latin1Values => put_value(sink, &transcode(value), true),
            form => put_value(sink, value, form != Form::UnfoldedValues),
        };
        put(sink, field.first().unwrap_or_default());
        for value in self.fields.more_values(field).into_iter().flatten() {
            sink.put_byte(b',');
            put(sink, value);
        }
    }

    fn put_host(&self, sink: &mut impl Sink, form: Form) {
        let host = self.host();
        if form == Form::HostWithoutPort
            && let Some(port) = port(host)
        {
            return sink.put(&host[..host.len() - port.len() - 1]);
        }
        put_value(sink, host, true);
        match form {
            Form::HostWithPort80 => sink.put(b":80"),
            Form::HostWithPort443 => sink.put(b":443"),
            _ => {}
        }
    }

    fn host(&self) -> &[u8] {
        self.fields.get("host").unwrap_or_default()
    }

    fn is_presigned(&self) -> bool {
        self.query.has(presigned::ALGORITHM_PARAMETER)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Secrets {
    Included,
    Redacted,
}

const REDACTED: &[u8] = b"REDACTED";

/// Headers whose value nobody but the two ends may read.
const CONFIDENTIAL: [&[u8]; 3] = [
    b"x-amz-security-token",
    b"x-amz-server-side-encryption-customer-key",
    b"x-amz-copy-source-server-side-encryption-customer-key",
];

/// The port of `host`, if it names one.
fn port(host: &[u8]) -> Option<&[u8]> {
    let at = host.iter().rposition(|&byte| byte == b':')?;
    let port = &host[at + 1..];
    (!port.is_empty() && port.iter().all(u8::is_ascii_digit)).then_some(port)
}

/// A string to sign, where it is written: moving it would cost more than writing it.
pub(crate) type StringToSign = Inline<u8, 256>;

/// Writes the string to sign of SigV4a over the hash of a canonical request. A [`SigningKey`](crate::SigningKey) has
/// most of its own ready.
pub(crate) fn put_string_to_sign(text: &mut StringToSign, date: &Stamp, scope: &Scope<'_>, hash: &[u8; 32]) {
    let algorithm = Algorithm::EcdsaP256Sha256;
    text.put(algorithm.name().as_bytes());
    text.put_byte(b'\n');
    text.put(date.basic());
    text.put_byte(b'\n');
    scope.put(algorithm, text);
    text.put_byte(b'\n');
    text.put(&hex::encode_hash(hash));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashing_in_pieces_equals_hashing_at_once() {
        let bytes: Vec<u8> = (0..5000u32).map(|n| n as u8).collect();
        for step in [1, 7, 64, 1000, 1023, 1024, 1025, 3000, 5000] {
            let mut sink = HashSink::new();
            bytes.chunks(step).for_each(|chunk| sink.put(chunk));
            assert_eq!(sink.finish(), sha256(&bytes), "pieces of {step}");
        }
    }

    #[test]
    fn a_port_is_what_follows_the_last_colon() {
        let table: [(&str, Option<&str>); 7] = [
            ("a", None),
            ("a:", None),
            ("a:443", Some("443")),
            ("[::1]", None),
            ("[::1]:80", Some("80")),
            ("a:b", None),
            ("", None),
        ];
        for (host, expected) in table {
            assert_eq!(port(host.as_bytes()), expected.map(str::as_bytes), "{host}");
        }
    }
}
