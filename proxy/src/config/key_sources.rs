//! `[[key_sources]]`: places outside of the configuration that declare long-term keys. Checked.

use std::path::PathBuf;
use std::time::Duration;

use http::Uri;

use super::TlsFiles;

/// A place that declares long-term keys, and is looked at again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySource {
    /// What logs, metrics and the list of keys call it; no other has this name.
    pub name: Box<str>,
    /// Where it is.
    pub place: KeySourcePlace,
    /// Largest document, or all files of a directory together, in bytes.
    pub max_bytes: usize,
    /// How often it is looked at.
    pub poll_interval: Duration,
    /// Time without success after which the log says so.
    pub stale_warn: Duration,
    /// Time without success after which the log says so as an error.
    pub stale_alert: Duration,
}

/// Where a source of keys is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySourcePlace {
    /// Files of this directory.
    Directory(PathBuf),
    /// A document of a web server.
    Https(HttpsKeySource),
}

/// A document with keys, and how it is asked for. Files are read for each request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpsKeySource {
    /// `https`, or `http` to this machine.
    pub url: Uri,
    /// Certificate authorities that sign the server's certificate, PEM; the web's when absent.
    pub ca_file: Option<PathBuf>,
    /// File with the bearer token that is sent.
    pub bearer_token_file: Option<PathBuf>,
    /// What is shown to a server that asks who connects.
    pub identity: Option<TlsFiles>,
    /// Time for the whole answer.
    pub timeout: Duration,
}
