//! presigned
