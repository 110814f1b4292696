//! `[[key_sources]]`, as typed.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::super::units::{Size, Span};

/// `[[key_sources]]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct KeySource {
    /// What logs, metrics and the list of keys call it.
    pub(in crate::config) name: Option<String>,
    /// Where the keys stand.
    pub(in crate::config) kind: Option<KeySourceKind>,
    /// `directory`: which one.
    pub(in crate::config) path: Option<PathBuf>,
    /// `https`: the document.
    pub(in crate::config) url: Option<String>,
    /// `https`: certificate authorities that sign the server's certificate, PEM; the web's when absent.
    pub(in crate::config) ca_file: Option<PathBuf>,
    /// `https`: file with the bearer token that is sent.
    pub(in crate::config) bearer_token_file: Option<PathBuf>,
    /// `https`: certificate chain that is shown to the server, PEM, leaf first.
    pub(in crate::config) certificate_file: Option<PathBuf>,
    /// `https`: private key of its leaf, PEM.
    pub(in crate::config) private_key_file: Option<PathBuf>,
    /// `https`: time for the whole answer.
    pub(in crate::config) timeout: Span,
    /// Largest document.
    pub(in crate::config) max_size: Size,
    /// How often it is looked at.
    pub(in crate::config) poll_interval: Span,
    /// Time without success after which the log says so.
    pub(in crate::config) stale_warn: Span,
    /// Time without success after which the log says so as an error.
    pub(in crate::config) stale_alert: Span,
}

/// `key_sources.kind`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum KeySourceKind {
    /// Files of a directory.
    Directory,
    /// A document of a web server.
    Https,
}

impl Default for KeySource {
    fn default() -> Self {
        Self {
            name: None,
            kind: None,
            path: None,
            url: None,
            ca_file: None,
            bearer_token_file: None,
            certificate_file: None,
            private_key_file: None,
            timeout: Span::seconds(10),
            max_size: Size(4 << 20),
            poll_interval: Span::seconds(10),
            stale_warn: Span::seconds(5 * 60),
            stale_alert: Span::seconds(60 * 60),
        }
    }
}
