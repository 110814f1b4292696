//! Sigward: a gateway that verifies AWS Signature Version 4 on every request.

pub mod clock;
pub mod xml;
pub mod fault;
pub mod metrics;
pub mod iam;
pub mod s3;
pub mod config;
pub mod telemetry;
pub mod events;
pub mod store;
pub mod auth;
pub mod upstream;
pub mod sts;
pub mod gateway;
pub mod admin;
pub mod listen;
pub mod server;
pub mod cli;
