//! One call of an operation: what was passed, and under which circumstances.

use std::net::IpAddr;
use std::sync::OnceLock;

use http::HeaderMap;

use super::Operation;
use super::parameters::Parameters;
use crate::auth::Circumstances;
use crate::clock::UnixMillis;
use crate::iam::Federation;
use crate::iam::directory::Directory;
use crate::iam::policy::Context;

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The address of whoever sent it.
    pub address: IpAddr,
    /// Whether it came encrypted.
    pub tls: bool,
    /// The names in the certificate of whoever sent it; none without one.
    pub certificate: &'a [String],
    /// Hosts it may be signed for instead of the one it names.
    pub hosts: &'a [http::HeaderValue],
}

/// What operations see of a call.
pub(super) struct Call<'c> {
    pub(super) operation: Operation,
    pub(super) parameters: &'c Parameters<'c>,
    /// As it was when the call came in, to its end.
    pub(super) directory: Option<&'c Directory>,
    pub(super) origin: Origin<'c>,
    pub(super) headers: &'c HeaderMap,
    pub(super) region: &'c str,
    pub(super) now: UnixMillis,
    /// Whom an identity provider vouches for, once that is proved: for the audit trail, whatever comes of the call.
    pub(super) vouched_for: OnceLock<Federation>,
}

impl<'c> Call<'c> {
    /// What is known of the request, whoever made it.
    pub(super) fn context(&self) -> Context<'c> {
        let Origin { address, tls, certificate, hosts: _ } = self.origin;
        let (region, headers, now) = (self.region, self.headers, self.now);
        Circumstances { address, tls, certificate, region, headers, now }.context()
    }
}
