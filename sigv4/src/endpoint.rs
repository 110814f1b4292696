//! What the verifying side answers for: dialect, regions, service.

use http::HeaderName;

/// The two rule sets of SigV4. They differ in path canonicalisation, in what must be signed, in how the
/// payload hash is found and in the errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Amazon S3: the path is encoded once and never normalised; every `x-amz-*` header must be signed.
    S3,
    /// Every other service: the path is normalised and encoded once more; the payload hash is always the
    /// hash of the body.
    Generic,
}

/// The endpoint a request claims to be signed for.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The rule set.
    pub dialect: Dialect,
    /// Accepted regions; the first is named in errors. Never empty.
    pub regions: Vec<Box<str>>,
    /// The service of the credential scope, for example `s3` or `sts`.
    pub service: Box<str>,
    /// S3 only: `x-amz-*` headers that may be present without being signed.
    /// `x-amz-content-sha256` is in the canonical request anyway and is always accepted.
    pub unsigned_headers: Vec<HeaderName>,
    /// Whether only the standard canonical form is accepted. Otherwise, after it failed, the forms that
    /// deployed signers are known to produce are tried; each is a function of the bytes received. See
    /// [`Verified::plus_is_space`](crate::Verified::plus_is_space) for the one that concerns the caller.
    pub strict: bool,
    /// Whether a mismatch is [explained](crate::Explanation) by canonical request and string to sign, as S3 does it.
    /// To write them takes a tenth of what the verification took; without, a mismatch costs no more than a match.
    pub explain: bool,
    /// How many seconds a presigned request is valid from its date, whatever its `X-Amz-Expires` says: STS
    /// ignores that and uses 900. `None` takes the request's word, which in S3 must be there.
    pub presigned_lifetime: Option<u32>,
    /// Whether SigV4a is offered. If so, ask each request for its [`algorithm`](crate::SignedRequest::algorithm),
    /// and keep a [`VerifyingKey`](crate::VerifyingKey) with each credential. A signature takes some fifty times as
    /// long to verify as one of SigV4, and only the standard canonical form is tried.
    pub sigv4a: bool,
}

impl Endpoint {
    /// Amazon S3's rules for one region, without SigV4a.
    pub fn s3(region: &str) -> Self {
        Self {
            dialect: Dialect::S3,
            regions: vec![region.into()],
            service: "s3".into(),
            unsigned_headers: Vec::new(),
            strict: false,
            explain: true,
            presigned_lifetime: None,
            sigv4a: false,
        }
    }

    /// The rules of every other service for one region, without SigV4a.
    pub fn generic(service: &str, region: &str) -> Self {
        Self { dialect: Dialect::Generic, service: service.into(), ..Self::s3(region) }
    }
}
