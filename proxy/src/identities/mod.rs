//! The IAM directory in force: read from disk, read again when it changes, kept when it cannot be read.
//!
//! - `tree` reads files, `crate::iam::directory` says what they mean.
//! - A change is taken as a whole or not at all: while anything is wrong with the files, what was declared before
//!   stays in force, and what is wrong is logged, counted and told by [`Identities::report`].
//! - The sessions of those who are gone or disabled are revoked. That is for other gateways and for the record: here
//!   they count as nobody as soon as the change is in force.

mod tree;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwapOption, Guard};
use prometheus::{IntCounter, IntGauge};

use crate::clock::{Clock, UnixMillis};
use crate::events::RevocationScope;
use crate::iam::directory::{Directory, DirectoryFault, Register};
use crate::metrics::Metrics;
use crate::store::Store;
use tree::{Loaded, Tree, TreeError};

/// The IAM directory in force, if one is configured; clones share it.
#[derive(Clone)]
pub struct Identities(Arc<Inner>);

struct Inner {
    current: ArcSwapOption<Directory>,
    source: Option<Source>,
    clock: Clock,
    metrics: IdentityMetrics,
}

struct Source {
    tree: Tree,
    /// Where the register is kept.
    register_file: PathBuf,
    state: Mutex<State>,
}

/// What is remembered from one reading to the next.
struct State {
    /// Of the last reading, good or bad.
    fingerprint: [u8; 32],
    register: Register,
    report: Report,
}

/// How the last reading of the files went.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// When what is in force was read; `None`: no directory is configured.
    pub loaded_at: Option<UnixMillis>,
    /// What is wrong with the files as they are now; empty: they are in force.
    pub faults: Vec<DirectoryFault>,
    /// What is not wrong and yet surprises.
    pub warnings: Vec<DirectoryFault>,
}

/// What came of looking at the files again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// They are as they were.
    Unchanged,
    /// They have changed and are in force.
    Changed,
    /// They have changed and are wrong: what was declared before stays in force.
    Refused,
}

/// Why there is no directory.
#[derive(Debug, thiserror::Error)]
pub enum IdentitiesError {
    /// The files are wrong.
    #[error("{}", Lines(.0))]
    Faults(Vec<DirectoryFault>),
    /// They cannot be read.
    #[error(transparent)]
    Unreadable(#[from] TreeError),
    /// What must be remembered of them cannot be.
    #[error("{path}: {source}")]
    Register {
        /// The file of the register.
        path: PathBuf,
        /// What is wrong with it.
        source: std::io::Error,
    },
}

/// One fault a line.
struct Lines<'f>(&'f [DirectoryFault]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

struct IdentityMetrics {
    changed: IntCounter,
    refused: IntCounter,
    faults: IntGauge,
    loaded: IntGauge,
}

impl IdentityMetrics {
    fn register(metrics: &Metrics) -> Self {
        let family = metrics.counters(
            "iam_reloads_total",
            "Changes of the IAM directory: taken over, or refused because something is wrong with them.",
            &["outcome"],
        );
        Self {
            changed: family.with_label_values(&["changed"]),
            refused: family.with_label_values(&["refused"]),
            faults: metrics
                .gauge("iam_directory_faults", "What is wrong with the IAM directory as it is on disk."),
            loaded: metrics.gauge(
                "iam_directory_loaded_timestamp_seconds",
                "When the IAM directory in force was read; 0: none is configured.",
            ),
        }
    }
}

impl Identities {
    /// No directory: nobody is declared, no role can be assumed, and permissions are the backend's business.
    pub fn none(clock: Clock, metrics: &Metrics) -> Self {
        Self(Arc::new(Inner {
            current: ArcSwapOption::empty(),
            source: None,
            clock,
            metrics: IdentityMetrics::register(metrics),
        }))
    }

    /// Reads the directory at `root`. What must be remembered of it is kept in `register_file`.
    ///
    /// # Errors
    /// The files cannot be read or are wrong, or the register cannot be read or written.
    pub fn open(
        root: &Path,
        register_file: &Path,
        clock: Clock,
        metrics: &Metrics,
    ) -> Result<Self, IdentitiesError> {
        let tree = Tree::new(root);
        let register = read_register(register_file)?;
        let Loaded { fingerprint, read } = tree.load(&register)?;
        let read = read.map_err(IdentitiesError::Faults)?;
        write_register(register_file, &register, &read.register)?;
        let now = clock.now();
        log_warnings(&read.warnings);
        let report = Report { loaded_at: Some(now), faults: Vec::new(), warnings: read.warnings };
        let state = Mutex::new(State { fingerprint, register: read.register, report });
        let inner = Inner {
            current: ArcSwapOption::from_pointee(read.directory),
            source: Some(Source { tree, register_file: register_file.to_owned(), state }),
            clock,
            metrics: IdentityMetrics::register(metrics),
        };
        inner.metrics.loaded.set(now.timestamp().unix());
        Ok(Self(Arc::new(inner)))
    }

    /// The directory at `root`, without putting it in force: changes nothing.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn check(root: &Path, register_file: &Path) -> Result<Directory, IdentitiesError> {
        let register = read_register(register_file)?;
        let read = Tree::new(root).load(&register)?.read.map_err(IdentitiesError::Faults)?;
        Ok(read.directory)
    }

    /// The directory in force; `None`: none is configured. A request asks once and sees one directory to its end.
    pub fn current(&self) -> Guard<Option<Arc<Directory>>> {
        self.0.current.load()
    }

    /// How the last reading went.
    pub fn report(&self) -> Report {
        self.0.source.as_ref().map(|source| source.state().report.clone()).unwrap_or_default()
    }

    /// Looks at the files, and takes them over if they have changed and nothing is wrong with them. Then revokes the
    /// sessions of those who are gone or disabled.
    pub async fn reload(&self, store: &Store) -> Reloaded {
        let identities = self.clone();
        let before = self.0.current.load_full();
        // Reading waits for the disk. Fails when the runtime is shutting down.
        let outcome = tokio::task::spawn_blocking(move || identities.reload_blocking()).await;
        let outcome = outcome.unwrap_or(Reloaded::Unchanged);
        if let (Reloaded::Changed, Some(before), Some(after)) = (outcome, before, self.0.current.load_full())
        {
            let ended = ended(&before, &after);
            if let Err(error) = store.end_sessions(ended, "deleted or disabled in the IAM directory").await {
                tracing::error!(%error, "sessions of those who are gone could not be revoked");
            }
        }
        outcome
    }

    fn reload_blocking(&self) -> Reloaded {
        let Some(source) = &self.0.source else { return Reloaded::Unchanged };
        let mut state = source.state();
        let result = source.tree.load(&state.register);
        let (fingerprint, result) = match result {
            Ok(loaded) if loaded.fingerprint == state.fingerprint => return Reloaded::Unchanged,
            Ok(Loaded { fingerprint, read }) => (fingerprint, read.map_err(IdentitiesError::Faults)),
            // A fingerprint that no tree has: the next reading is a change again.
            Err(error) => ([0; 32], Err(error.into())),
        };
        let result = result.and_then(|read| {
            write_register(&source.register_file, &state.register, &read.register).map(|()| read)
        });
        let seen_before = std::mem::replace(&mut state.fingerprint, fingerprint) == fingerprint;
        match result {
            Ok(read) => {
                let now = self.0.clock.now();
                self.0.current.store(Some(Arc::new(read.directory)));
                log_warnings(&read.warnings);
                tracing::info!("the IAM directory has changed and is in force");
                self.0.metrics.changed.inc();
                self.0.metrics.faults.set(0);
                self.0.metrics.loaded.set(now.timestamp().unix());
                state.register = read.register;
                state.report = Report { loaded_at: Some(now), faults: Vec::new(), warnings: read.warnings };
                Reloaded::Changed
            }
            Err(error) => {
                if !seen_before {
                    tracing::error!(%error, "the IAM directory has changed and is wrong: what was declared before stays");
                    self.0.metrics.refused.inc();
                }
                let faults = error.into_faults();
                self.0.metrics.faults.set(faults.len().try_into().unwrap_or(i64::MAX));
                state.report.faults = faults;
                Reloaded::Refused
            }
        }
    }
}

impl Source {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IdentitiesError {
    /// As a report has them.
    fn into_faults(self) -> Vec<DirectoryFault> {
        match self {
            Self::Faults(faults) => faults,
            Self::Unreadable(TreeError { path, message }) => {
                vec![DirectoryFault { file: path.display().to_string(), line: None, message }]
            }
            Self::Register { path, source } => {
                let message = source.to_string();
                vec![DirectoryFault { file: path.display().to_string(), line: None, message }]
            }
        }
    }
}

/// Users and roles that were live and are not any more, as what a revocation reaches.
fn ended(before: &Directory, after: &Directory) -> Vec<RevocationScope> {
    let users = before.users().filter(|user| !user.disabled).filter(|user| {
        let now = after.user(&user.principal.arn);
        now.is_none_or(|now| now.disabled || now.principal.user_id != user.principal.user_id)
    });
    let roles = before.roles().filter(|role| !role.disabled).filter(|role| {
        let now = after.role(&role.arn);
        now.is_none_or(|now| now.disabled || now.id != role.id)
    });
    let users = users.map(|user| RevocationScope::Principal(user.principal.user_id.clone()));
    users.chain(roles.map(|role| RevocationScope::Role(role.arn.clone()))).collect()
}

fn log_warnings(warnings: &[DirectoryFault]) {
    for warning in warnings {
        tracing::warn!(%warning, "IAM directory");
    }
}

/// No file: nothing to remember.
fn read_register(path: &Path) -> Result<Register, IdentitiesError> {
    let failed = |source| IdentitiesError::Register { path: path.to_owned(), source };
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| failed(error.into())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Register::default()),
        Err(error) => Err(failed(error)),
    }
}

/// Replaces the file as a whole and waits for the disk: what is in force has been remembered.
fn write_register(path: &Path, old: &Register, new: &Register) -> Result<(), IdentitiesError> {
    use std::io::Write;
    if old == new && path.exists() {
        return Ok(());
    }
    let write = || {
        let aside = path.with_extension("new");
        let mut file = std::fs::File::create(&aside)?;
        file.write_all(&serde_json::to_vec_pretty(new)?)?;
        file.sync_all()?;
        std::fs::rename(&aside, path)?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        std::fs::File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(|source| IdentitiesError::Register { path: path.to_owned(), source })
}
