//! An error as AWS answers it: status, code, message and the extra elements of that code.
//!
//! This module owns the translation of the errors of signatures, forms and payloads. How a [`Fault`] is written, S3 XML or
//! query-protocol XML, is decided by who answers.

pub mod form;
pub mod payload;
pub mod signature;

use std::borrow::Cow;

use http::StatusCode;
use sigv4::hex;

/// One error answer of AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// For example 403.
    pub status: StatusCode,
    /// For example `SignatureDoesNotMatch`.
    pub code: &'static str,
    /// The text AWS sends with the code.
    pub message: Cow<'static, str>,
    /// Elements beside `Code` and `Message`, in order, for example `("AWSAccessKeyId", "AKIA…")`.
    pub elements: Vec<(&'static str, String)>,
}

impl Fault {
    /// An error without further elements.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, message: message.into(), elements: Vec::new() }
    }

    /// A header asks for what is not offered.
    pub fn not_implemented(header: &'static str) -> Self {
        Self::new(
            StatusCode::NOT_IMPLEMENTED,
            "NotImplemented",
            "A header you provided implies functionality that is not implemented.",
        )
        .with("Header", header)
    }

    /// Adds one element.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.elements.push((name, value.into()));
        self
    }
}

fn internal_error() -> Fault {
    Fault::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "InternalError",
        "We encountered an internal error. Please try again.",
    )
}

/// Bytes as S3 spells them out: `41 57 53 34`.
fn spelled(text: &str) -> String {
    text.bytes().map(|byte| hex::encode(&[byte])).collect::<Vec<_>>().join(" ")
}
