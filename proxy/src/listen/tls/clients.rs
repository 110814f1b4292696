//! Certificates of clients: whom they go back to, and what they say.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::TlsError;
use crate::config::ClientAuth;

/// Takes certificates that go back to `authorities` and, where there are `revocations`, are covered by one of them and
/// not on it. Both are PEM.
pub(super) fn verifier(
    asked: ClientAuth,
    authorities: &[u8],
    revocations: Option<&[u8]>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let bad = |error: &dyn std::fmt::Display| TlsError::Clients(error.to_string());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authorities) {
        let certificate = certificate.map_err(|error| bad(&error))?;
        roots.add(certificate).map_err(|error| bad(&error))?;
    }
    if roots.is_empty() {
        return Err(TlsError::Clients("client_ca_file holds no certificate".to_owned()));
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    if let Some(revocations) = revocations {
        let lists = CertificateRevocationListDer::pem_slice_iter(revocations).collect::<Result<Vec<_>, _>>();
        let lists = lists.map_err(|error| bad(&error))?;
        if lists.is_empty() {
            return Err(TlsError::Clients("client_crl_file holds no revocation list".to_owned()));
        }
        builder = builder.with_crls(lists);
    }
    if asked == ClientAuth::Optional {
        builder = builder.allow_unauthenticated();
    }
    builder.build().map_err(|error| bad(&error))
}

/// The names of a certificate that has been verified: its URIs (a SPIFFE ID is one), then its DNS names.
pub(in crate::listen) fn names(certificate: &CertificateDer<'_>) -> Arc<[String]> {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return Arc::new([]) };
    let alternative = parsed.subject_alternative_name().ok().flatten();
    let all = || alternative.iter().flat_map(|extension| &extension.value.general_names);
    let uris = all().filter_map(|name| match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    });
    let dns = all().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    uris.chain(dns).collect()
}
