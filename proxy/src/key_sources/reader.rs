//! Reading a source once, of whatever kind it is.

use super::aside::Asides;
use super::directory::{Directory, PATIENCE};
use super::https::Https;
use crate::config::{KeySource, KeySourcePlace};
use crate::events::Keyring;
use crate::store::DeclaredKey;

/// A source, and what it said before.
pub(super) enum Reader {
    Directory(Directory),
    Https(Https),
}

/// What a source says.
pub(super) struct Reading {
    /// All of its keys, if they may differ from those of the reading before.
    pub(super) keys: Option<Vec<DeclaredKey>>,
    /// What is wrong with parts of it, which keep what they said before.
    pub(super) faults: Vec<String>,
}

/// Why a source says nothing: what it said before stays in force.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ReadError {
    /// It cannot be reached.
    #[error("{0}")]
    Unreachable(String),
    /// What it says is wrong.
    #[error("{0}")]
    Refused(String),
}

impl Reading {
    /// As the reading before.
    pub(super) fn unchanged() -> Self {
        Self { keys: None, faults: Vec::new() }
    }
}

impl Reader {
    pub(super) fn new(source: &KeySource, keyring: Keyring, asides: &Asides) -> Self {
        match source.place.clone() {
            KeySourcePlace::Directory(path) => {
                let scanner = asides.of(&path, PATIENCE);
                Self::Directory(Directory::new(path, source.max_bytes, keyring, scanner))
            }
            KeySourcePlace::Https(settings) => Self::Https(Https::new(settings, source.max_bytes, keyring)),
        }
    }

    pub(super) async fn read(&mut self) -> Result<Reading, ReadError> {
        match self {
            Self::Directory(directory) => directory.read().await,
            Self::Https(https) => https.read().await,
        }
    }

    /// Whether it costs somebody else something to be asked, so that one in trouble is asked less often.
    pub(super) fn is_remote(&self) -> bool {
        match self {
            Self::Directory(_) => false,
            Self::Https(_) => true,
        }
    }
}
