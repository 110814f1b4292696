//! r
use crate::{Endpoint, ParseError, PayloadMode, Scope, SigningKey, Timestamp, VerifyError};
use http::HeaderMap;
use std::borrow::Cow;
/// Request head as received.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// Method, as received.
    pub method: &'a str,
    /// Raw path of the target; never empty.
    pub path: &'a [u8],
    /// What follows the first `?`.
    pub query: Option<&'a [u8]>,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// `:authority` of an HTTP/2 request.
    pub authority: Option<&'a str>,
}
impl<'a> Head<'a> {
    /// x
    pub fn from_parts(_parts: &'a http::request::Parts) -> Self {
        todo!()
    }
}
/// m
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// h
    Header,
    /// q
    Query,
}
/// The session token a request presents.
#[derive(Debug)]
pub enum Presented<'a> {
    /// n
    None,
    /// o
    One(Cow<'a, [u8]>),
    /// s
    Several,
}
/// s
#[must_use]
pub struct SignedRequest<'a> {
    head: Head<'a>,
}
impl<'a> SignedRequest<'a> {
    /// x
    pub fn parse(_head: Head<'a>, _endpoint: &'a Endpoint, _now: Timestamp) -> Result<Self, ParseError> {
        todo!()
    }
    /// x
    pub fn access_key_id(&self) -> &str {
        self.head.method
    }
    /// x
    pub fn scope(&self) -> Scope<'_> {
        todo!()
    }
    /// x
    pub fn mechanism(&self) -> Mechanism {
        todo!()
    }
    /// x
    pub fn session_token(&self) -> Presented<'_> {
        todo!()
    }
    /// x
    pub fn date(&self) -> Timestamp {
        todo!()
    }
    /// x
    pub fn verify(self, _key: &SigningKey) -> Result<Verified, VerifyError> {
        todo!()
    }
    /// x
    pub fn verify_body(self, _key: &SigningKey, _body: &[u8]) -> Result<Verified, VerifyError> {
        todo!()
    }
}
/// v
#[must_use]
pub struct Verified {
    payload: PayloadMode,
}
impl Verified {
    /// x
    pub fn payload(&self) -> &PayloadMode {
        &self.payload
    }
    /// x
    pub fn into_payload(self) -> PayloadMode {
        self.payload
    }
    /// x
    pub fn mechanism(&self) -> Mechanism {
        todo!()
    }
}
