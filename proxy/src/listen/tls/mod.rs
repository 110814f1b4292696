//! TLS of a listener: rustls with ring, TLS 1.2 and 1.3, several certificates, and files that change under it.
//!
//! Connections keep what they began with; a reload counts for handshakes from then on. Files are known by the hash of
//! their content, so it does not matter how they change: written over, renamed, or by the symbolic link that
//! Kubernetes turns. Files that do not fit together, as between the two writes of a pair, leave everything as it was.
//!
//! Sessions are resumed by tickets, whose key is made here and rotated every six hours, and by a cache for clients of
//! TLS 1.2. Not where clients prove a certificate: a resumed session would outlive its revocation.

mod certificates;
mod clients;

pub(super) use clients::names;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use ring::digest::{Context, SHA256};
use rustls::crypto::CryptoProvider;
use rustls::server::{
    NoServerSessionStorage, ProducesTickets, ServerSessionMemoryCache, StoresServerSessions,
};
use rustls::{ServerConfig, pki_types};
use tokio_rustls::TlsAcceptor;

use certificates::Certificates;

use crate::config::{self, ClientAuth};

/// Sessions of TLS 1.2 kept for clients that do not take tickets.
const CACHED_SESSIONS: usize = 4096;

/// Why a listener cannot speak TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file is not PEM, or not of what it should hold.
    #[error("{}: {source}", path.display())]
    Pem {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: pki_types::pem::Error,
    },
    /// A file of certificates holds none.
    #[error("{}: no certificate is there", .0.display())]
    NoCertificate(PathBuf),
    /// A certificate is none.
    #[error("{}: {problem}", path.display())]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The key belongs to another certificate.
    #[error("{}: the key does not belong to the certificate in {}", key.display(), certificate.display())]
    Mismatch {
        /// File of the certificate.
        certificate: PathBuf,
        /// File of the key.
        key: PathBuf,
    },
    /// Authorities or revocation lists of clients do not serve.
    #[error("client certificates: {0}")]
    Clients(String),
    /// The TLS library refused its own defaults.
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
}

/// What a look at the files led to.
#[derive(Debug)]
pub enum TlsReload {
    /// They are as they were.
    Unchanged,
    /// They count from now on.
    Changed,
    /// They changed and do not serve; `None` if that has been said already. What was loaded before stays.
    Refused(Option<TlsError>),
}

/// TLS as it is now; clones share it.
#[derive(Clone)]
pub struct Tls(Arc<Shared>);

struct Shared {
    settings: config::Tls,
    http2: bool,
    tickets: Option<Arc<dyn ProducesTickets>>,
    sessions: Arc<dyn StoresServerSessions>,
    current: ArcSwap<Loaded>,
    /// Of the files when they were last looked at.
    seen: Mutex<Digest>,
}

type Digest = [u8; 32];

/// What is made of the files.
struct Loaded {
    acceptor: TlsAcceptor,
    /// When the first of the certificates ends, in seconds since 1970.
    not_after: i64,
    digest: Digest,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// One of them does not serve.
    pub fn open(settings: &config::Tls, http2: bool) -> Result<Self, TlsError> {
        let resumes = settings.client_auth == ClientAuth::None;
        let tickets = resumes.then(rustls::crypto::ring::Ticketer::new).transpose()?;
        let sessions: Arc<dyn StoresServerSessions> = if resumes {
            ServerSessionMemoryCache::new(CACHED_SESSIONS)
        } else {
            Arc::new(NoServerSessionStorage {})
        };
        let files = Files::read(settings)?;
        let loaded = load(settings, http2, &files, (&tickets, &sessions))?;
        let seen = Mutex::new(loaded.digest);
        let (settings, current) = (settings.clone(), ArcSwap::from_pointee(loaded));
        Ok(Self(Arc::new(Shared { settings, http2, tickets, sessions, current, seen })))
    }

    /// For the next handshake.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.0.current.load().acceptor.clone()
    }

    /// When the first of the certificates ends, in seconds since 1970.
    pub fn not_after(&self) -> i64 {
        self.0.current.load().not_after
    }

    /// Looks at the files and takes them over if they have changed and serve. Reads files: not for a worker.
    pub fn reload(&self) -> TlsReload {
        let shared = &*self.0;
        let mut seen = shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let files = match Files::read(&shared.settings) {
            Ok(files) => files,
            Err(error) => {
                // A file that is gone has no hash; zeros stand for it.
                let told = std::mem::take(&mut *seen) == [0; 32];
                return TlsReload::Refused((!told).then_some(error));
            }
        };
        let before = std::mem::replace(&mut *seen, files.digest);
        if files.digest == shared.current.load().digest {
            return if before == files.digest { TlsReload::Unchanged } else { TlsReload::Changed };
        }
        if before == files.digest {
            return TlsReload::Refused(None);
        }
        match load(&shared.settings, shared.http2, &files, (&shared.tickets, &shared.sessions)) {
            Ok(loaded) => {
                shared.current.store(Arc::new(loaded));
                TlsReload::Changed
            }
            Err(error) => TlsReload::Refused(Some(error)),
        }
    }
}

/// The content of all files at one time.
struct Files {
    /// Chain and key of each certificate.
    certificates: Vec<[Vec<u8>; 2]>,
    authorities: Option<Vec<u8>>,
    revocations: Option<Vec<u8>>,
    digest: Digest,
}

impl Files {
    fn read(settings: &config::Tls) -> Result<Self, TlsError> {
        let mut context = Context::new(&SHA256);
        let mut read = |path: &Path| {
            let bytes = std::fs::read(path)
                .map_err(|source| TlsError::Unreadable { path: path.to_owned(), source })?;
            context.update(&(bytes.len() as u64).to_be_bytes());
            context.update(&bytes);
            Ok::<_, TlsError>(bytes)
        };
        let mut certificates = Vec::new();
        for files in &settings.certificates {
            certificates.push([read(&files.certificate_file)?, read(&files.private_key_file)?]);
        }
        let authorities = settings.client_ca_file.as_deref().map(&mut read).transpose()?;
        let revocations = settings.client_crl_file.as_deref().map(&mut read).transpose()?;
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        Ok(Self { certificates, authorities, revocations, digest })
    }
}

fn load(
    settings: &config::Tls,
    http2: bool,
    files: &Files,
    (tickets, sessions): (&Option<Arc<dyn ProducesTickets>>, &Arc<dyn StoresServerSessions>),
) -> Result<Loaded, TlsError> {
    let provider: Arc<CryptoProvider> = Arc::new(rustls::crypto::ring::default_provider());
    let certificates = Certificates::load(settings, &files.certificates, &provider)?;
    let not_after = certificates.not_after();
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
    let builder = match (settings.client_auth, &files.authorities) {
        (ClientAuth::None, _) | (_, None) => builder.with_no_client_auth(),
        (asked, Some(authorities)) => builder.with_client_cert_verifier(clients::verifier(
            asked,
            authorities,
            files.revocations.as_deref(),
            provider,
        )?),
    };
    let mut config = builder.with_cert_resolver(Arc::new(certificates));
    let protocols: &[&[u8]] = if http2 { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    config.session_storage = Arc::clone(sessions);
    match tickets {
        Some(tickets) => config.ticketer = Arc::clone(tickets),
        None => config.send_tls13_tickets = 0,
    }
    Ok(Loaded { acceptor: TlsAcceptor::from(Arc::new(config)), not_after, digest: files.digest })
}

#[cfg(test)]
mod tests;
