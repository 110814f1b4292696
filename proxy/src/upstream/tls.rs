//! TLS towards servers this program calls: rustls with ring.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper_rustls::ConfigBuilderExt;
use rustls::client::WantsClientCert;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};

use crate::config::TlsFiles;

/// Who may vouch for a server.
#[derive(Clone, Copy, Debug)]
pub enum Authorities<'a> {
    /// Those of the web.
    Web,
    /// Those of a file alone, PEM.
    File(&'a Path),
    /// These alone, PEM.
    Pem(&'a [u8]),
}

/// Why no TLS can be spoken to a server.
#[derive(Debug, thiserror::Error)]
pub enum ClientTlsError {
    /// The file of authorities cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The authorities are not PEM.
    #[error("certificate authorities: {0}")]
    Pem(#[from] pem::Error),
    /// There are none.
    #[error("certificate authorities: no certificate is there")]
    NoCertificate,
    /// One of the authorities is no certificate, or the TLS library refused its own defaults.
    #[error("certificate authorities: {0}")]
    Tls(#[from] rustls::Error),
    /// The gateway's own certificate or its key cannot be read.
    #[error("{}: {source}", path.display())]
    Identity {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: pem::Error,
    },
    /// They do not fit, or are of an unsupported kind.
    #[error("certificate and private key: {0}")]
    Pair(rustls::Error),
}

/// Trusts `authorities`, and says to nobody who it is.
pub fn client_tls(authorities: Authorities<'_>) -> Result<ClientConfig, ClientTlsError> {
    Ok(trusting(authorities)?.with_no_client_auth())
}

/// Trusts `authorities`, and shows `identity` to servers that ask.
pub(super) fn client_tls_as(
    authorities: Authorities<'_>,
    identity: Option<&TlsFiles>,
) -> Result<ClientConfig, ClientTlsError> {
    let builder = trusting(authorities)?;
    Ok(match identity {
        None => builder.with_no_client_auth(),
        Some(TlsFiles { certificate_file, private_key_file }) => {
            let unreadable = |path: &Path| {
                let path = path.to_owned();
                move |source| ClientTlsError::Identity { path, source }
            };
            let chain = CertificateDer::pem_file_iter(certificate_file)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(unreadable(certificate_file))?;
            let key = PrivateKeyDer::from_pem_file(private_key_file).map_err(unreadable(private_key_file))?;
            builder.with_client_auth_cert(chain, key).map_err(ClientTlsError::Pair)?
        }
    })
}

fn trusting(
    authorities: Authorities<'_>,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, ClientTlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let read;
    let certificates = match authorities {
        Authorities::Web => return Ok(builder.with_webpki_roots()),
        Authorities::File(path) => {
            let unreadable = |source| ClientTlsError::Unreadable { path: path.to_owned(), source };
            read = std::fs::read(path).map_err(unreadable)?;
            &read
        }
        Authorities::Pem(bytes) => bytes,
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(certificates) {
        roots.add(certificate?)?;
    }
    if roots.is_empty() {
        return Err(ClientTlsError::NoCertificate);
    }
    Ok(builder.with_root_certificates(roots))
}

impl<'a, P: AsRef<Path>> From<Option<&'a P>> for Authorities<'a> {
    /// A file that is named, or else those of the web.
    fn from(file: Option<&'a P>) -> Self {
        file.map_or(Self::Web, |path| Self::File(path.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_authorities_must_hold_one() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(client_tls(Authorities::File(file.path())), Err(ClientTlsError::NoCertificate)));
        assert!(matches!(client_tls(Authorities::Pem(b"not PEM")), Err(ClientTlsError::NoCertificate)));
        let missing = client_tls(Authorities::File(Path::new("/nonexistent/ca.pem")));
        assert!(matches!(missing, Err(ClientTlsError::Unreadable { .. })));
        assert!(client_tls(Authorities::Web).is_ok());
    }
}
