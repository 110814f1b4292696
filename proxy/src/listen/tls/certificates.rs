//! The certificates of a listener, and which of them a client gets.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::TlsError;
use crate::config::{self, TlsFiles};

/// Certificates by the names they are for.
#[derive(Debug)]
pub(super) struct Certificates {
    default: Arc<CertifiedKey>,
    /// In lower case.
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// By what follows `*.`, in lower case.
    wildcard: HashMap<String, Arc<CertifiedKey>>,
    not_after: i64,
}

impl Certificates {
    /// `pem` holds chain and key of each certificate of `settings`, in this order. Where two are for one name, the
    /// first counts.
    pub(super) fn load(
        settings: &config::Tls,
        pem: &[[Vec<u8>; 2]],
        provider: &CryptoProvider,
    ) -> Result<Self, TlsError> {
        let mut default = None;
        let (mut exact, mut wildcard) = (HashMap::new(), HashMap::new());
        let mut not_after = i64::MAX;
        for (files, [chain, key]) in settings.certificates.iter().zip(pem) {
            let (certified, names, end) = certified(files, chain, key, provider)?;
            not_after = not_after.min(end);
            default.get_or_insert_with(|| Arc::clone(&certified));
            for name in names {
                let name = name.to_ascii_lowercase();
                match name.strip_prefix("*.") {
                    Some(parent) => {
                        wildcard.entry(parent.to_owned()).or_insert_with(|| Arc::clone(&certified))
                    }
                    None => exact.entry(name).or_insert_with(|| Arc::clone(&certified)),
                };
            }
        }
        let default = default.ok_or_else(|| Error::General("no certificate is configured".to_owned()))?;
        Ok(Self { default, exact, wildcard, not_after })
    }

    /// When the first of them ends, in seconds since 1970.
    pub(super) const fn not_after(&self) -> i64 {
        self.not_after
    }

    /// An exact name goes before a wildcard, which stands for one label (RFC 9525, 6.3).
    fn find(&self, name: Option<&str>) -> &Arc<CertifiedKey> {
        let found = name.map(str::to_ascii_lowercase).and_then(|name| {
            let parent = || name.split_once('.').and_then(|(_, parent)| self.wildcard.get(parent));
            self.exact.get(&name).or_else(parent)
        });
        found.unwrap_or(&self.default)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(self.find(hello.server_name())))
    }
}

/// A certificate with its key, the DNS names it is for, and when it ends.
fn certified(
    files: &TlsFiles,
    chain: &[u8],
    key: &[u8],
    provider: &CryptoProvider,
) -> Result<(Arc<CertifiedKey>, Vec<String>, i64), TlsError> {
    let TlsFiles { certificate_file, private_key_file } = files;
    let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|source| TlsError::Pem { path: certificate_file.clone(), source })?;
    let leaf = chain.first().ok_or_else(|| TlsError::NoCertificate(certificate_file.clone()))?;
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|source| TlsError::Pem { path: private_key_file.clone(), source })?;
    let bad = |problem: String| TlsError::Certificate { path: certificate_file.clone(), problem };
    let (_, parsed) = X509Certificate::from_der(leaf).map_err(|error| bad(error.to_string()))?;
    let alternative = parsed.subject_alternative_name().map_err(|error| bad(error.to_string()))?;
    let names = alternative.iter().flat_map(|extension| &extension.value.general_names);
    let names = names.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    let (names, not_after) = (names.collect(), parsed.validity().not_after.timestamp());
    let certified = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            TlsError::Mismatch { certificate: certificate_file.clone(), key: private_key_file.clone() }
        }
        error => TlsError::Certificate { path: private_key_file.clone(), problem: error.to_string() },
    })?;
    Ok((Arc::new(certified), names, not_after))
}
