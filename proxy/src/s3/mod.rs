//! What an S3 request asks for and how S3 says no: target, action and error document. Pure: no runtime, no
//! cache, no connection.

mod action;
mod error;
mod route;
mod target;

pub use action::Action;
pub use error::{
    access_denied, entity_too_large, internal_error, method_not_allowed, missing_content_length,
    request_timeout, respond, service_unavailable, slow_down,
};
pub use target::{Bucket, Domains, Key, Target, TargetError};
