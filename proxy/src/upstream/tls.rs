//! TLS towards servers this program calls: rustls with ring.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper_rustls::ConfigBuilderExt;
use ring::digest::{Context, SHA256};
use rustls::client::WantsClientCert;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use zeroize::Zeroizing;

use crate::config::{BackendTls, TlsFiles};

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

/// What the files of a backend's TLS settings hold, by which one can tell later whether they still do. Taken before they
/// are used: if they change in between, they are taken for others the next time, and read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FilesDigest([u8; 32]);

impl FilesDigest {
    /// A file that cannot be read counts as one without content; who uses it says what is wrong.
    pub(super) fn of(settings: &BackendTls) -> Self {
        let identity =
            settings.identity.iter().flat_map(|files| [&files.certificate_file, &files.private_key_file]);
        let mut context = Context::new(&SHA256);
        for file in settings.ca_file.iter().chain(identity) {
            let content = std::fs::read(file).map(Zeroizing::new).unwrap_or_default();
            context.update(&(content.len() as u64).to_be_bytes());
            context.update(&content);
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        Self(digest)
    }
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
    fn settings_whose_files_have_changed_are_others() {
        let write = |content: &[u8]| {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), content).unwrap();
            file
        };
        let (ca, chain, key) = (write(b"ca"), write(b"chain"), write(b"key"));
        let files = TlsFiles { certificate_file: chain.path().into(), private_key_file: key.path().into() };
        let settings =
            BackendTls { ca_file: Some(ca.path().into()), server_name: None, identity: Some(files) };
        let before = FilesDigest::of(&settings);
        assert_eq!(before, FilesDigest::of(&settings));
        for file in [&ca, &chain, &key] {
            let content = std::fs::read(file.path()).unwrap();
            std::fs::write(file.path(), b"another").unwrap();
            assert_ne!(before, FilesDigest::of(&settings));
            std::fs::write(file.path(), content).unwrap();
        }
        assert_eq!(before, FilesDigest::of(&settings));
    }

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
