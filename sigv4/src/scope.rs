//! Credential scope: `date/region/service/aws4_request`.

use std::fmt;

use crate::algorithm::Algorithm;
use crate::canonical::Sink;

/// A calendar day in UTC as it stands in a credential scope: `YYYYMMDD`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Date([u8; 8]);

impl Date {
    /// Parses eight digits that name a day which exists.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let digits: [u8; 8] = text.try_into().ok()?;
        crate::time::Timestamp::parse_day(&digits)?;
        Some(Self(digits))
    }

    pub(crate) const fn from_digits(digits: [u8; 8]) -> Self {
        Self(digits)
    }

    pub(crate) fn digits(&self) -> &[u8; 8] {
        &self.0
    }

    /// The eight digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a Date holds ASCII digits only")
    }
}

impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a signing key, or a signature here, is good for: one day, one region, one service.
///
/// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope<'a> {
    /// The day of the request's own date, not of today.
    pub date: Date,
    /// For example `us-east-1`.
    pub region: &'a str,
    /// For example `s3`.
    pub service: &'a str,
}

impl Scope<'_> {
    /// The scope as it stands in a string to sign. That of SigV4a names no region.
    pub(crate) fn put(&self, algorithm: Algorithm, sink: &mut impl Sink) {
        sink.put(&self.date.0);
        sink.put_byte(b'/');
        if algorithm == Algorithm::HmacSha256 {
            sink.put(self.region.as_bytes());
            sink.put_byte(b'/');
        }
        sink.put(self.service.as_bytes());
        sink.put_byte(b'/');
        sink.put(TERMINATOR.as_bytes());
    }
}

/// The last element of every credential scope.
pub(crate) const TERMINATOR: &str = "aws4_request";

impl fmt::Display for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{TERMINATOR}", self.date, self.region, self.service)
    }
}
