//! Tests of the proxy through its public interface.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

mod access;
mod cli;
mod config;
mod event_log;
mod gateway;
mod layers;
mod limits;
mod log;
mod monitoring;
mod permissions;
mod policy;
mod post_object;
mod query;
mod rig;
mod store;
mod sts;
mod trusted;
mod upstream;
