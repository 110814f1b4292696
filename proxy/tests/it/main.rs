//! Tests of the proxy through its public interface.

mod config;
mod layers;
mod log;
mod sts;
