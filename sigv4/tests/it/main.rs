//! it
mod bodies;
mod chunked;
mod chunked_examples;
mod chunked_properties;
mod payload;
