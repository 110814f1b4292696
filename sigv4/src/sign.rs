//! s
use crate::{Dialect, Signature, SigningKey, Timestamp, error::SignError};
use http::HeaderMap;
/// s
pub struct Signer<'a> {
    /// k
    pub key: &'a SigningKey,
    /// a
    pub access_key_id: &'a str,
    /// t
    pub session_token: Option<&'a [u8]>,
    /// d
    pub dialect: Dialect,
}
/// What of a request is signed beside its headers.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Method.
    pub method: &'a str,
    /// Raw path.
    pub path: &'a [u8],
    /// Raw query.
    pub query: Option<&'a [u8]>,
}
impl Signer<'_> {
    /// x
    pub fn sign(
        &self,
        _target: Target<'_>,
        _headers: &mut HeaderMap,
        _payload_sha256: &str,
        _now: Timestamp,
    ) -> Result<Signature, SignError> {
        todo!()
    }
    /// x
    pub fn presign(
        &self,
        _target: Target<'_>,
        _headers: &HeaderMap,
        _now: Timestamp,
        _expires_seconds: u32,
    ) -> Result<String, SignError> {
        todo!()
    }
}
