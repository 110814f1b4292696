//! Listeners: where they listen, whom they trust, how they speak TLS.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::super::{ClientAuth, Gateway, Listener, Network, Tls, TlsFiles, raw};
use super::{Check, domain};

impl Check<'_> {
    /// The listeners beside that of `[gateway]`, whose domains and proxies are theirs unless they have their own.
    pub(super) fn listeners(
        &mut self,
        raw: Vec<raw::Listener>,
        gateway: Option<&Gateway>,
    ) -> Option<Vec<Listener>> {
        let mut taken: Vec<(SocketAddr, String)> = Vec::new();
        taken.extend(gateway.map(|gateway| (gateway.listen, "gateway.listen".to_owned())));
        let count = raw.len();
        let mut listeners = Vec::new();
        for (at, raw) in raw.into_iter().enumerate() {
            let key = format!("listeners[{at}]");
            let Some(listener) = self.listener(&key, raw, gateway) else { continue };
            let key = format!("{key}.listen");
            for (other, name) in &taken {
                self.apart(&key, listener.listen, (name, *other));
            }
            taken.push((listener.listen, key));
            listeners.push(listener);
        }
        (listeners.len() == count).then_some(listeners)
    }

    fn listener(&mut self, at: &str, raw: raw::Listener, gateway: Option<&Gateway>) -> Option<Listener> {
        let key = |name: &str| format!("{at}.{name}");
        let listen = match &raw.listen {
            Some(text) => self.address(&key("listen"), text),
            None => self.fault(&key("listen"), "is required"),
        };
        let domains = match &raw.domains {
            Some(own) => self.each(&key("domains"), own, "a domain name", domain),
            None => Some(gateway.map(|gateway| gateway.domains.clone()).unwrap_or_default()),
        };
        let trusted_proxies = match &raw.trusted_proxies {
            Some(own) => self.networks(&key("trusted_proxies"), own),
            None => Some(gateway.map(|gateway| gateway.trusted_proxies.clone()).unwrap_or_default()),
        };
        let proxy_protocol = self.networks(&key("proxy_protocol"), &raw.proxy_protocol);
        let tls = self.tls(&key("tls"), raw.tls);
        Some(Listener {
            listen: listen?,
            domains: domains?,
            http2: raw.http2,
            proxy_protocol: proxy_protocol?,
            trusted_proxies: trusted_proxies?,
            tls: tls?,
        })
    }

    /// The operators' listener shares no port with the clients'.
    pub(super) fn separate(&mut self, gateway: &Gateway, admin: SocketAddr) {
        for (key, listener) in gateway.listeners() {
            self.apart("admin.listen", admin, (&format!("{key}.listen"), listener.listen));
        }
    }

    /// Two listeners cannot share a port unless they listen on different addresses.
    fn apart(&mut self, key: &str, address: SocketAddr, (other, taken): (&str, SocketAddr)) {
        let unspecified = taken.ip().is_unspecified() || address.ip().is_unspecified();
        let overlap = taken.ip() == address.ip() || unspecified;
        if taken.port() != 0 && taken.port() == address.port() && overlap {
            let _: Option<()> = self.fault(key, format!("{address} is taken by {other} ({taken})"));
        }
    }

    /// Networks in CIDR notation.
    pub(super) fn networks(&mut self, key: &str, texts: &[String]) -> Option<Vec<Network>> {
        self.each(key, texts, "an address or a network such as 10.0.0.0/8", Network::parse)
    }

    pub(super) fn tls(&mut self, key: &str, raw: raw::Tls) -> Option<Option<Tls>> {
        let further = raw.certificates.len();
        let first = raw::Certificate {
            certificate_file: raw.certificate_file,
            private_key_file: raw.private_key_file,
        };
        if first == raw::Certificate::default() {
            let others = [
                ("certificates", further > 0),
                ("client_auth", raw.client_auth != ClientAuth::None),
                ("client_ca_file", raw.client_ca_file.is_some()),
                ("client_crl_file", raw.client_crl_file.is_some()),
            ];
            return match others.into_iter().find(|(_, given)| *given) {
                Some((name, _)) => {
                    self.fault(&format!("{key}.certificate_file"), format!("is required beside {name}"))
                }
                None => Some(None),
            };
        }
        let mut certificates = Vec::new();
        certificates.extend(self.certificate(key, first));
        for (at, raw) in raw.certificates.into_iter().enumerate() {
            certificates.extend(self.certificate(&format!("{key}.certificates[{at}]"), raw));
        }
        let client_ca_file = match (raw.client_auth, raw.client_ca_file) {
            (ClientAuth::None, None) => Some(None),
            (ClientAuth::None, Some(_)) => {
                self.fault(&format!("{key}.client_ca_file"), "means nothing with client_auth = \"none\"")
            }
            (ClientAuth::Optional | ClientAuth::Required, None) => {
                self.fault(&format!("{key}.client_ca_file"), "is required to ask clients for a certificate")
            }
            (ClientAuth::Optional | ClientAuth::Required, Some(file)) => {
                self.readable(&format!("{key}.client_ca_file"), &file).map(Some)
            }
        };
        let client_crl_file = self.crl(key, raw.client_auth, raw.client_crl_file);
        let complete = certificates.len() == further + 1;
        let (client_ca_file, client_crl_file) = (client_ca_file?, client_crl_file?);
        let tls = Tls { certificates, client_auth: raw.client_auth, client_ca_file, client_crl_file };
        complete.then_some(Some(tls))
    }

    fn crl(&mut self, key: &str, asked: ClientAuth, file: Option<PathBuf>) -> Option<Option<PathBuf>> {
        let key = format!("{key}.client_crl_file");
        match file {
            None => Some(None),
            Some(_) if asked == ClientAuth::None => {
                self.fault(&key, "means nothing with client_auth = \"none\"")
            }
            Some(file) => self.readable(&key, &file).map(Some),
        }
    }

    /// A certificate with its key: both files.
    pub(super) fn certificate(&mut self, key: &str, raw: raw::Certificate) -> Option<TlsFiles> {
        let keys = [format!("{key}.certificate_file"), format!("{key}.private_key_file")];
        match (raw.certificate_file, raw.private_key_file) {
            (Some(certificate), Some(private_key)) => {
                let certificate_file = self.readable(&keys[0], &certificate);
                let private_key_file = self.readable(&keys[1], &private_key);
                Some(TlsFiles { certificate_file: certificate_file?, private_key_file: private_key_file? })
            }
            (None, Some(_)) => self.fault(&keys[0], "is required beside private_key_file"),
            (Some(_), None) => self.fault(&keys[1], "is required beside certificate_file"),
            (None, None) => self.fault(&keys[0], "is required"),
        }
    }
}
