//! TLS towards servers this program calls: rustls with ring.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper_rustls::ConfigBuilderExt;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::{ClientConfig, RootCertStore};

/// Why no TLS can be spoken to a server.
#[derive(Debug, thiserror::Error)]
pub enum ClientTlsError {
    /// The file of certificate authorities cannot be read.
    #[error("{}: {source}", path.display())]
    CaFile {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: pem::Error,
    },
    /// One certificate of that file.
    #[error("{}: {source}", path.display())]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// What is wrong with the certificate.
        source: rustls::Error,
    },
    /// That file is there and holds none.
    #[error("{} holds no certificate", .0.display())]
    NoCertificate(PathBuf),
    /// The TLS library refused its own defaults.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

/// Trusts the authorities of `ca_file` alone if there is one, and those of the web otherwise.
pub fn client_tls(ca_file: Option<&Path>) -> Result<ClientConfig, ClientTlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let Some(path) = ca_file else { return Ok(builder.with_webpki_roots().with_no_client_auth()) };
    let unreadable = |source| ClientTlsError::CaFile { path: path.to_owned(), source };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
        roots
            .add(certificate.map_err(unreadable)?)
            .map_err(|source| ClientTlsError::Certificate { path: path.to_owned(), source })?;
    }
    if roots.is_empty() {
        return Err(ClientTlsError::NoCertificate(path.to_owned()));
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_authorities_must_hold_one() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let refused = client_tls(Some(file.path())).err();
        assert!(matches!(refused, Some(ClientTlsError::NoCertificate(path)) if path == file.path()));
        let missing = client_tls(Some(Path::new("/nonexistent/ca.pem"))).err();
        assert!(matches!(missing, Some(ClientTlsError::CaFile { .. })));
        assert!(client_tls(None).is_ok());
    }
}
