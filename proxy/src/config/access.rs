//! What holds for the requests of a route, whoever makes them.

use serde::{Deserialize, Serialize};

use super::units::Span;
use crate::s3::Cors;

/// `[[routes.cors]]`, as typed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawCorsRule {
    /// Origins of pages, with one `*` at most.
    pub(super) allowed_origins: Vec<String>,
    /// Some of GET, PUT, POST, DELETE, HEAD.
    pub(super) allowed_methods: Vec<String>,
    /// Headers of requests, with one `*` at most.
    pub(super) allowed_headers: Vec<String>,
    /// Headers of answers that pages may read.
    pub(super) expose_headers: Vec<String>,
    /// How long browsers may remember the answer to a preflight.
    pub(super) max_age: Option<Span>,
}

/// What holds for the requests of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Largest body in bytes, without its framing; a backend with `passthrough` gets it with. `None`: the gateway's.
    pub max_body_bytes: Option<u64>,
    /// Whether a request that writes succeeds once only.
    pub replay_protection: bool,
    /// What everybody may do without a signature, for example `s3:GetObject`.
    pub anonymous_actions: Vec<&'static str>,
    /// Whether the backend says what pages of other origins may do; there are no rules then.
    pub forward_preflights: bool,
    /// What pages of other origins may do.
    pub cors: Cors,
}
