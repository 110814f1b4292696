//! What users of the crate rely on, seen from outside.

mod attacks;
mod presigned;
mod roundtrip;
mod s3_examples;
mod sample;
mod vectors;
mod bodies;
mod chunked;
mod chunked_examples;
mod chunked_properties;
mod payload;
