//! A body that ends well only when it is what the head declared: its length, its MD5 and its checksum.
//!
//! [`s3s_fs`] gives an object its name first and compares checksums afterwards, does neither for parts, and
//! [`s3s`] takes an aws-chunked body without its last chunk for complete. Here the fault comes in place of the end
//! of the body, so that what was written never gets a name.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::{Checksum, StreamingBlob};
use s3s::{Body, S3Error, S3Result, StdError, TrailingHeaders, s3_error};

/// What the name of a checksum header, or trailer, starts with.
const CHECKSUM: &str = "x-amz-checksum-";

/// The checksum algorithms of S3, as header names spell them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
}

/// How a body ended, once it has.
#[derive(Clone, Default)]
pub(super) struct Outcome(Arc<Mutex<Option<S3Result<Checksum>>>>);

/// What the head of a request says of its body.
pub(super) struct Declared {
    length: Option<u64>,
    md5: Option<String>,
    /// The algorithm, and the checksum unless it comes in a trailer.
    checksum: Option<(Algorithm, Option<String>)>,
    trailers: Option<TrailingHeaders>,
}

impl Algorithm {
    const ALL: [Self; 5] = [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256];

    /// The name in headers (`x-amz-checksum-…`) and, in upper case, in `x-amz-sdk-checksum-algorithm`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "crc32",
            Self::Crc32c => "crc32c",
            Self::Crc64Nvme => "crc64nvme",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    fn hasher(self) -> ChecksumHasher {
        let mut hasher = ChecksumHasher::default();
        match self {
            Self::Crc32 => hasher.crc32 = Some(Default::default()),
            Self::Crc32c => hasher.crc32c = Some(Default::default()),
            Self::Crc64Nvme => hasher.crc64nvme = Some(Default::default()),
            Self::Sha1 => hasher.sha1 = Some(Default::default()),
            Self::Sha256 => hasher.sha256 = Some(Default::default()),
        }
        hasher
    }

    fn value(self, checksum: &Checksum) -> Option<&str> {
        match self {
            Self::Crc32 => checksum.checksum_crc32.as_deref(),
            Self::Crc32c => checksum.checksum_crc32c.as_deref(),
            Self::Crc64Nvme => checksum.checksum_crc64nvme.as_deref(),
            Self::Sha1 => checksum.checksum_sha1.as_deref(),
            Self::Sha256 => checksum.checksum_sha256.as_deref(),
        }
    }
}

impl Outcome {
    /// The fault of the body where there is one, for it tells more than the `result` of reading it.
    pub(super) fn or<T>(&self, result: S3Result<T>) -> S3Result<(T, Checksum)> {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(Ok(checksum)) => result.map(|value| (value, checksum)),
            Some(Err(fault)) => Err(fault),
            None => result.map(|value| (value, Checksum::default())),
        }
    }

    fn set(&self, outcome: S3Result<Checksum>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
    }
}

impl Declared {
    /// Reads the head. `length` is the decoded one; `trailers` are filled in when an aws-chunked body ends.
    pub(super) fn read(
        headers: &HeaderMap,
        length: Option<i64>,
        trailers: Option<TrailingHeaders>,
    ) -> S3Result<Self> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let announced = text("x-amz-trailer").unwrap_or_default();
        let mut algorithms: Vec<_> = Algorithm::ALL
            .into_iter()
            .filter(|algorithm| headers.contains_key(format!("{CHECKSUM}{}", algorithm.name())))
            .chain(
                announced.split(',').filter_map(|name| Algorithm::named(name.trim().strip_prefix(CHECKSUM)?)),
            )
            .chain(text("x-amz-sdk-checksum-algorithm").and_then(|name| Algorithm::named(&name)))
            .collect();
        algorithms.dedup();
        if algorithms.len() > 1 {
            return Err(s3_error!(InvalidRequest, "Expecting a single x-amz-checksum- header"));
        }
        let checksum = algorithms
            .first()
            .map(|&algorithm| (algorithm, text(&format!("{CHECKSUM}{}", algorithm.name()))));
        Ok(Self {
            length: length.and_then(|length| length.try_into().ok()),
            md5: text("content-md5"),
            checksum,
            trailers,
        })
    }

    /// The algorithm of the checksum, if one is declared.
    pub(super) fn algorithm(&self) -> Option<Algorithm> {
        self.checksum.as_ref().map(|&(algorithm, _)| algorithm)
    }

    /// Holds `body` to what is declared.
    pub(super) fn prove(self, body: StreamingBlob) -> (StreamingBlob, Outcome) {
        let outcome = Outcome::default();
        let hasher = self.algorithm().map(Algorithm::hasher).unwrap_or_default();
        let md5 = self.md5.is_some().then(Md5::new);
        let open = Some(Open { declared: self, length: 0, md5, hasher });
        let body = Proving { inner: body.into(), open, outcome: outcome.clone() };
        (Body::http_body(body).into(), outcome)
    }
}

/// A body that has not ended yet.
struct Open {
    declared: Declared,
    length: u64,
    /// Only where one is declared.
    md5: Option<Md5>,
    hasher: ChecksumHasher,
}

impl Open {
    fn update(&mut self, data: &[u8]) {
        self.length += data.len() as u64;
        if let Some(md5) = &mut self.md5 {
            md5.update(data);
        }
        self.hasher.update(data);
    }

    fn finish(self) -> S3Result<Checksum> {
        let Declared { length, md5, checksum, trailers } = self.declared;
        if length.is_some_and(|length| length != self.length) {
            return Err(s3_error!(IncompleteBody, "The body is not as long as its head says"));
        }
        if md5 != self.md5.map(|md5| STANDARD.encode(md5.finalize())) {
            return Err(s3_error!(
                BadDigest,
                "The Content-MD5 you specified did not match what we received."
            ));
        }
        let computed = self.hasher.finalize();
        if let Some((algorithm, in_header)) = checksum {
            let name = format!("{CHECKSUM}{}", algorithm.name());
            let trailer = |trailers: &HeaderMap| Some(trailers.get(&name)?.to_str().ok()?.to_owned());
            let in_trailer = || trailers.as_ref()?.read(trailer)?;
            match in_header.or_else(in_trailer) {
                None => return Err(s3_error!(IncompleteBody, "The body ended without {name}")),
                Some(given) if Some(given.as_str()) != algorithm.value(&computed) => {
                    return Err(s3_error!(
                        BadDigest,
                        "The {name} you specified did not match what we received."
                    ));
                }
                Some(_) => {}
            }
        }
        Ok(computed)
    }
}

struct Proving {
    inner: Body,
    open: Option<Open>,
    outcome: Outcome,
}

impl Proving {
    /// Ends the body in a fault. The reader only has to know that it must not keep what it has.
    fn fail(&mut self, fault: S3Error) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        self.open = None;
        self.outcome.set(Err(fault));
        Poll::Ready(Some(Err("the body is not what its head declares".into())))
    }
}

impl http_body::Body for Proving {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let this = &mut *self;
        let Some(open) = &mut this.open else { return Poll::Ready(None) };
        match ready!(http_body::Body::poll_frame(Pin::new(&mut this.inner), cx)) {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    open.update(data);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(fault)) => {
                this.fail(s3_error!(IncompleteBody, "The body did not arrive whole: {fault}"))
            }
            None => match this.open.take().map_or_else(|| Ok(Checksum::default()), Open::finish) {
                Ok(checksum) => {
                    this.outcome.set(Ok(checksum));
                    Poll::Ready(None)
                }
                Err(fault) => this.fail(fault),
            },
        }
    }
}
