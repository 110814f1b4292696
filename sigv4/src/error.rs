//! Why a request head is refused. No codes, no statuses: how a service words it is the caller's business.
//!
//! The variants carry what AWS's answers are known to repeat to the client, wrapped in [`Received`], and
//! never a secret, a session token or a computed signature.

use std::fmt;

use crate::algorithm::Algorithm;
use crate::request::Mechanism;
use crate::time::Timestamp;
use crate::uri::MalformedEscape;

/// Text that a client sent and that may be repeated to that client only: `Debug` does not print it.
///
/// Bytes that are not UTF-8 are replaced; what is beyond 2,048 bytes is cut off.
#[derive(Clone, PartialEq, Eq)]
pub struct Received(String);

impl Received {
    const MAX: usize = 2_048;

    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self(String::from_utf8_lossy(&bytes[..bytes.len().min(Self::MAX)]).into_owned())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Received({} bytes)", self.0.len())
    }
}

/// Why a head does not hold one well-formed, current signature for this endpoint.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// Neither an `Authorization` header nor signature parameters in the query.
    #[error("request is not signed")]
    Anonymous,
    /// The path holds a malformed escape.
    #[error("path: {fault}")]
    MalformedPath {
        /// The path.
        path: Received,
        /// What is wrong.
        fault: MalformedEscape,
    },
    /// The query holds a malformed escape.
    #[error("query: {0}")]
    MalformedQuery(MalformedEscape),
    /// Signed in more than one way.
    #[error("more than one authentication mechanism")]
    SeveralMechanisms {
        /// The `Authorization` header, if that is one of them.
        authorization: Option<Received>,
    },
    /// More than one `Authorization` header; only the S3 dialect refuses that.
    #[error("more than one Authorization header")]
    SeveralAuthorizations {
        /// The first.
        authorization: Received,
    },
    /// Several `Host` headers, or `Host` and `:authority` that differ: no telling which one was meant.
    #[error("more than one host")]
    ConflictingHosts,
    /// Algorithm and credential are not separated by exactly one space (S3).
    #[error("Authorization header without exactly one space after its algorithm")]
    AuthorizationSpace {
        /// The `Authorization` header.
        authorization: Received,
    },
    /// The `Authorization` header is of another scheme or another algorithm.
    #[error("unsupported Authorization scheme")]
    UnsupportedScheme {
        /// The `Authorization` header.
        authorization: Received,
        /// Its first word.
        scheme: Received,
    },
    /// Signature Version 2.
    #[error("Signature Version 2 is not supported")]
    SignatureV2,
    /// SigV4a, the asymmetric variant, where it is not [offered](crate::Endpoint::sigv4a).
    #[error("asymmetric signatures are not offered")]
    Asymmetric(Mechanism),
    /// The components of the `Authorization` header are not what they should be.
    #[error(transparent)]
    Authorization(#[from] AuthorizationFault),
    /// The signature parameters of the query are not what they should be.
    #[error(transparent)]
    Parameters(#[from] ParameterFault),
    /// The credential is malformed or scoped to something else. At least one fault, in order of checking.
    #[error("credential: {}", .faults.first().map_or_else(String::new, ToString::to_string))]
    Credential {
        /// Where the credential stands.
        mechanism: Mechanism,
        /// What is wrong.
        faults: Vec<CredentialFault>,
    },
    /// `host` is not signed (Generic dialect; S3 reports it with the other unsigned headers).
    #[error("host is not signed")]
    HostNotSigned,
    /// `x-amz-region-set` is not signed (SigV4a).
    #[error("x-amz-region-set is not signed")]
    RegionSetNotSigned,
    /// Neither `x-amz-date` nor `date`, or it cannot be read.
    #[error("no valid date")]
    Date {
        /// What was read in vain, if there was anything.
        date: Option<Received>,
    },
    /// The date of a request with an `Authorization` header is too far from now.
    #[error("request time is too far from the server's")]
    Skewed {
        /// The request's date.
        date: Timestamp,
        /// The time of checking.
        now: Timestamp,
        /// The largest difference allowed, in seconds.
        limit: u32,
    },
    /// The presigned request is no longer valid.
    #[error("presigned request has expired")]
    Expired {
        /// The request's date.
        date: Timestamp,
        /// Seconds it was valid for.
        lifetime: u32,
        /// The time of checking.
        now: Timestamp,
    },
    /// The presigned request is dated too far ahead.
    #[error("presigned request is not valid yet")]
    NotYetValid {
        /// The request's date.
        date: Timestamp,
        /// Seconds it is valid for.
        lifetime: u32,
        /// The time of checking.
        now: Timestamp,
        /// How far ahead of now a date may be, in seconds.
        limit: u32,
    },
}

/// What is wrong with the components of an `Authorization` header.
#[derive(Debug, thiserror::Error)]
pub enum AuthorizationFault {
    /// Not three components (S3).
    #[error("Authorization header does not have three components")]
    ComponentCount,
    /// A component without `=`, or with a value that is not legal.
    #[error("malformed component in Authorization header")]
    Component {
        /// The component.
        component: Received,
        /// The `Authorization` header.
        authorization: Received,
    },
    /// Components, or the date header, are missing.
    #[error("missing component in Authorization header")]
    Missing {
        /// Names of the missing components, in AWS's order. `X-Amz-Region-Set`, a header, comes alone.
        components: Vec<&'static str>,
        /// Whether there is neither an `x-amz-date` nor a `date` header (Generic; S3 has
        /// [`ParseError::Date`] for it).
        date: bool,
    },
}

/// What is wrong with the signature parameters of a query.
#[derive(Debug, thiserror::Error)]
pub enum ParameterFault {
    /// Mandatory parameters are missing.
    #[error("missing signature parameter in query")]
    Missing {
        /// Their names, in AWS's order.
        names: Vec<&'static str>,
    },
    /// A parameter comes twice (S3; the Generic dialect takes the first).
    #[error("{name} comes more than once")]
    Repeated {
        /// Its name.
        name: &'static str,
    },
    /// `X-Amz-Algorithm` names an unknown algorithm.
    #[error("unsupported X-Amz-Algorithm")]
    Algorithm,
    /// `X-Amz-Date` is not a date.
    #[error("X-Amz-Date is not a date")]
    Date {
        /// What it is.
        date: Received,
    },
    /// `X-Amz-Expires` is not a number.
    #[error("X-Amz-Expires is not a number")]
    ExpiresNotANumber,
    /// `X-Amz-Expires` is negative.
    #[error("X-Amz-Expires is negative")]
    ExpiresNegative,
    /// `X-Amz-Expires` is more than a week.
    #[error("X-Amz-Expires is more than a week")]
    ExpiresTooLong,
    /// `X-Amz-SignedHeaders` is not a list of lower-case names, each once.
    #[error("malformed X-Amz-SignedHeaders")]
    SignedHeaders,
}

/// What is wrong with a credential: the access key id or its scope.
#[derive(Debug, thiserror::Error)]
pub enum CredentialFault {
    /// Not `id/date/region/service/aws4_request` or, in SigV4a, not `id/date/service/aws4_request`; or the id is
    /// empty, too long or not printable ASCII.
    #[error("malformed")]
    Malformed {
        /// The credential.
        credential: Received,
        /// The algorithm it is used with.
        algorithm: Algorithm,
    },
    /// The date is not a day.
    #[error("malformed date")]
    Date {
        /// What it is.
        date: Received,
    },
    /// Another region, or a set of regions without one of the endpoint's.
    #[error("wrong region, expecting {expected}")]
    Region {
        /// The region that was signed for; in SigV4a the whole set.
        region: Received,
        /// The endpoint's first region.
        expected: String,
    },
    /// Another service.
    #[error("wrong service, expecting {expected}")]
    Service {
        /// The service that was signed for.
        service: Received,
        /// The endpoint's service.
        expected: String,
    },
    /// Not `aws4_request`.
    #[error("wrong terminator")]
    Terminator {
        /// What it is.
        terminator: Received,
    },
    /// The day is not that of the request's date.
    #[error("date differs from the request's, {request}")]
    DateMismatch {
        /// The day in the credential.
        date: Received,
        /// The request's date.
        request: Timestamp,
    },
}

/// Why a head that parses is not signed by the key it names.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The caller brought a key of another scope or another algorithm. A fault of the program.
    #[error("key is of another scope or algorithm")]
    KeyMismatch,
    /// No `x-amz-content-sha256` (S3, header).
    #[error("x-amz-content-sha256 is missing")]
    MissingContentSha256,
    /// `x-amz-content-sha256` is neither a hash nor one of the words known with the request's algorithm (S3, header).
    #[error("x-amz-content-sha256 is invalid")]
    InvalidContentSha256 {
        /// What it is.
        value: Received,
    },
    /// `x-amz-content-sha256` announces asymmetric chunk signatures where SigV4a is not offered.
    #[error("asymmetric chunk signatures are not offered")]
    AsymmetricChunks,
    /// A presigned request whose `x-amz-content-sha256` no body can have (S3).
    #[error("x-amz-content-sha256 of a presigned request is not a hash")]
    UnprovablePayload {
        /// What it is.
        value: Received,
    },
    /// `host` or `x-amz-*` headers are there but not signed (S3). Sorted by name.
    #[error("unsigned headers: {}", .names.join(", "))]
    UnsignedHeaders {
        /// Their names.
        names: Vec<String>,
    },
    /// The signature is not the one that the key makes of this request.
    #[error("signature does not match")]
    SignatureMismatch(Box<Explanation>),
}

/// What the verifier made of a request whose signature did not match, in the standard form.
///
/// Everything here follows from the request alone. The right signature is not among it, and session token
/// and customer-provided encryption keys read `REDACTED`; the string to sign holds the hash of the
/// canonical request as it was before that.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The canonical request; bytes that are not UTF-8 are replaced. Empty unless the endpoint
    /// [explains](crate::Endpoint::explain).
    pub canonical_request: String,
    /// The string to sign. Empty unless the endpoint [explains](crate::Endpoint::explain).
    pub string_to_sign: String,
    /// The signature the client sent.
    pub signature_provided: String,
    /// Signed headers that the request does not have: reason enough for the mismatch.
    pub absent_headers: Vec<String>,
}

/// Why a request cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// There is no `host` header, or more than one.
    #[error("request needs exactly one host header")]
    Host,
    /// More than 256 headers would have to be signed.
    #[error("too many headers to sign")]
    TooManyHeaders,
    /// The key is of another day than the request.
    #[error("signing key is of another day")]
    Date,
    /// Path or query hold a malformed escape.
    #[error("malformed escape: {0}")]
    Escape(#[from] MalformedEscape),
    /// The query holds signature parameters already.
    #[error("request is presigned already")]
    AlreadySigned,
    /// Access key id, session token or payload hash cannot stand in a header.
    #[error("value cannot stand in a header")]
    HeaderValue(#[from] http::header::InvalidHeaderValue),
    /// A presigned request is valid for 1 to 604,800 seconds.
    #[error("a presigned request is valid for 1 to 604800 seconds")]
    Lifetime,
}
