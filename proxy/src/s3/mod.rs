//! What an S3 request asks for and how S3 says no: target, action and error document. Pure: no runtime, no
//! cache, no connection.

mod action;
mod asked;
mod bounds;
mod copy_source;
mod cors;
mod deletions;
mod error;
mod hoisted;
mod parameters;
mod post_object;
pub mod rename;
mod route;
mod selector;
mod tagging;
mod target;

pub use crate::fault::form::entity_too_large;
pub use action::Action;
pub use asked::{Asked, Facts, Need, ObjectVersion, Unclear};
pub use copy_source::CopySource;
pub use cors::{CORS_METHODS, Cors, CorsRule, Wildcard};
pub use deletions::{Deletions, MAX_DELETIONS_BYTES, MalformedDeletions};
pub use error::{
    access_denied, head_too_large, internal_error, method_not_allowed, missing_checksum,
    missing_content_length, no_such_bucket, nowhere, request_timeout, respond, service_unavailable,
    slow_down,
};
pub use hoisted::without_hoisted;
pub use parameters::{Parameter, begins_with_either_spelling, vendor_prefix, without_parameters};
pub use post_object::{Stored, Success, object_key, put_headers, stored};
pub use selector::{BucketPattern, HostPattern, PathPrefix, Selector, resolved};
pub use target::{Bucket, Domains, Key, Target, TargetError, without_port};
