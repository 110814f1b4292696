//! AWS Signature Version 4: verification and signing, without I/O.
mod authorization;
mod canonical;
mod checksum;
mod chunked;
mod credential;
mod endpoint;
mod error;
mod inline;
mod key;
mod payload;
mod payload_error;
mod presigned;
mod request;
mod scope;
mod sign;
mod signed_headers;
mod time;
pub mod uri;
mod verify;

pub use checksum::{Checksum, ChecksumAlgorithm};
pub use chunked::{ChunkEncoder, ChunkSigner, Reframer};
pub use endpoint::{Dialect, Endpoint};
pub use error::{
    AuthorizationFault, CredentialFault, Explanation, ParameterFault, ParseError, Received, SignError,
    VerifyError,
};
pub use key::{SecretAccessKey, Signature, SigningKey};
pub use payload::{ChunkChain, PayloadHead, PayloadMode, PayloadVerifier, Proof};
pub use payload_error::{ChunkExplanation, PayloadError};
pub use request::{Head, Mechanism, Presented, SignedRequest};
pub use scope::{Date, Scope};
pub use sign::{Signer, Target};
pub use time::Timestamp;
pub use verify::{SignedNames, Verified};
