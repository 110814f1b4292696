//! Sigward: a gateway that verifies AWS Signature Version 4 on every request.
//!
//! # Life of a request
//!
//! ```text
//! listen ──► gateway::handle                          request id, the time, once
//!              │ 1 admission::authenticate            limits → parse → store (hit: no wait) → signing key → verify
//!              │ 2 s3::Target, s3::Action             only authenticated input reaches S3 parsing
//!              │ 3 auth::unrevoked, authorize          the revocation index, then policies ──► Permitted
//!              │ 4 ProvingBody                        a body that cannot end well unproved
//!              │ 5 upstream::forward(&Permitted, …)   nothing else can be forwarded
//!              ▼ 6 the answer, or GatewayError::into_response in one place
//! ```
//!
//! # Map
//!
//! Modules stand below in their total order: one may use only those above it, and a test holds that. `sts` walks
//! the same line as a request to S3 with other nouns. Credentials live in `iam`, because events carry them and the
//! store keeps them; each module registers its own metrics; [`auth::Permitted`] lives below the `upstream` that
//! demands it.
//!
//! The truth about credentials is the log of [`events`]; the [`store`] is a view of it with one writer, a cache in
//! front and the revocation index beside it. Where several gateways share one log, [`feed`] is the way there. STS,
//! the admin listener and the configuration append events and never touch the view.

pub mod clock;
pub mod xml;
pub mod fault;
pub mod metrics;
pub mod iam;
pub mod s3;
pub mod config;
pub mod telemetry;
pub mod events;
pub mod audit;
pub mod feed;
pub mod store;
pub mod identities;
pub mod auth;
pub mod admission;
pub mod upstream;
pub mod key_sources;
pub mod sts;
pub mod gateway;
pub mod admin;
pub mod listen;
pub mod server;
pub mod cli;
