//! What users of the crate rely on, seen from outside.
#![expect(clippy::unwrap_used, reason = "what fails in a helper of a test fails the test")]
#![expect(clippy::print_stdout, reason = "a test that has nothing to read says so")]

mod attacks;
mod bodies;
mod chunked;
mod chunked_examples;
mod chunked_properties;
mod corpus;
mod forms;
mod fuzz_replay;
mod multipart;
mod payload;
mod post_policy;
mod presigned;
mod reference;
mod replay;
mod roundtrip;
mod s3_examples;
mod sample;
mod sigv4a;
mod vectors;
