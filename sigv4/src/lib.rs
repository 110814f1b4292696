//! AWS Signature Version 4: verification and signing, without I/O.
//!
//! Nothing here opens a socket, reads a clock or writes a log: bytes and `now` come in, verdicts come out.
//! A request is verified in three steps, and each step's result is what the next one needs:
//!
//! 1. [`SignedRequest::parse`] finds the signature and refuses all that can be refused without its key. It
//!    names the access key id, the session token and the [`Scope`] to derive a [`SigningKey`] for. Where SigV4a is
//!    [offered](Endpoint::sigv4a), it names the [`Algorithm`] too.
//! 2. [`SignedRequest::verify`] checks the signature, with the [`Key`] that goes with the algorithm. Its [`Verified`]
//!    says what must be proved about the body.
//! 3. [`PayloadVerifier`] takes the body as it comes and ends in a [`Proof`].
//!
//! ```
//! use std::collections::VecDeque;
//! use bytes::Bytes;
//! use sigv4::*;
//!
//! let now = Timestamp::parse_basic(b"20260312T081530Z").unwrap();
//! let endpoint = Endpoint::s3("us-east-1");
//! let secret = SecretAccessKey::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
//!
//! // A client signs.
//! let scope = Scope { date: now.date(), region: "us-east-1", service: "s3" };
//! let key = SigningKey::derive(&secret, &scope);
//! let signer = Signer { key: &key, access_key_id: "AKIDEXAMPLE", session_token: None, dialect: Dialect::S3 };
//! let target = Target { method: "PUT", path: b"/bucket/hello.txt", query: None };
//! let sha256_of_hello = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
//! let mut headers = http::HeaderMap::new();
//! headers.insert("host", "s3.example.com".parse()?);
//! headers.insert("content-length", "5".parse()?);
//! signer.sign(target, &mut headers, sha256_of_hello, now)?;
//!
//! // 1. The server parses the head, then looks up the secret and checks the session token.
//! let head = Head { method: "PUT", path: b"/bucket/hello.txt", query: None, headers: &headers, authority: None };
//! let request = SignedRequest::parse(head, &endpoint, now)?;
//! assert_eq!(request.access_key_id(), "AKIDEXAMPLE");
//! assert!(matches!(request.session_token(), Presented::None));
//!
//! // 2. It verifies the head. A server keeps the key for the day.
//! let key = SigningKey::derive(&secret, &request.scope());
//! let mode = request.verify(&key)?.into_payload();
//!
//! // 3. It verifies the body, however it is cut.
//! let facts = PayloadHead::parse(&head, &mode)?;
//! let mut body = PayloadVerifier::new(mode, facts);
//! let mut content = VecDeque::new();
//! body.push(Bytes::from("hel"), &mut content)?;
//! body.push(Bytes::from("lo"), &mut content)?;
//! body.finish()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A form upload goes the same three steps: [`FormReader`] and [`SignedForm::parse`] stand for the first,
//! [`SignedForm::verify`] for the second, and its [`VerifiedForm`] says what must be proved about the file.
//!
//! # Words
//!
//! - *canonical request*: the one text that client and server make of a request, whatever happened to its
//!   spelling on the way.
//! - *string to sign*: algorithm, date, credential scope and the hash of the canonical request.
//! - *credential scope*: day, region and service a signature is good for. See [`Scope`].
//! - *signing key*: derived from the secret access key for one scope. See [`SigningKey`].
//! - *seed signature*: that of the head; the signatures of chunks chain on it. See [`ChunkChain`].
//! - *presigned*: signed with query parameters, for a time. See [`Mechanism::Query`].
//! - *policy*: what the signer of a form lets others upload. See [`SignedForm`].
//! - *SigV4a*: signatures with a key pair that is derived from the secret, good for a *region set* that is signed
//!   beside the scope. See [`VerifyingKey`].
//! - *dialect*: Amazon S3's rules or those of every other service. See [`Dialect`].
//!
//! What this crate defends against, and the test that proves it, is listed in [`manual`].

mod algorithm;
mod authorization;
mod canonical;
mod checksum;
mod chunked;
mod credential;
mod endpoint;
mod error;
mod inline;
pub mod hex;
mod key;
pub mod manual;
mod multipart;
mod notable;
mod payload;
mod payload_error;
mod post_error;
mod post_form;
mod post_policy;
mod presigned;
mod replay;
mod request;
mod scan;
mod scope;
mod sign;
mod signed_headers;
mod sigv4a;
mod time;
pub mod uri;
mod verify;

pub use algorithm::{Algorithm, Key};
pub use checksum::{Checksum, ChecksumAlgorithm};
pub use chunked::{ChunkEncoder, ChunkSigner, Reframer};
pub use endpoint::{Dialect, Endpoint};
pub use error::{
    AuthorizationFault, CredentialFault, Explanation, ParameterFault, ParseError, Received, SignError,
    VerifyError,
};
pub use key::{SecretAccessKey, Signature, SigningKey};
pub use multipart::{Boundary, FormFile, FormReader, PostForm};
pub use payload::{ChunkChain, PayloadHead, PayloadMode, PayloadVerifier, Proof};
pub use payload_error::{ChunkExplanation, PayloadError};
pub use post_error::{FormError, PolicyFault, PostError};
pub use post_form::{SignedForm, VerifiedForm};
pub use replay::ReplayKey;
pub use request::{Head, Mechanism, Presented, SignedRequest};
pub use scope::{Date, Scope};
pub use sign::{Signer, Target};
pub use sigv4a::VerifyingKey;
pub use time::Timestamp;
pub use verify::{SignedNames, Verified, unsigned_payload};
