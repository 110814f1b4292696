//! Tests of the public API, one module per part.

mod log;
mod sts;
