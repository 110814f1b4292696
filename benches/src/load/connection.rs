//! Connections to the gateway, encrypted or not.

use std::error::Error;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::options::Options;

/// Something that carries bytes both ways.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Where connections go.
pub(super) struct Target {
    address: SocketAddr,
    /// `host:port`, as requests name it.
    pub(super) authority: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Target {
    /// Resolves the target once.
    pub(super) fn new(options: &Options) -> Result<Self, Box<dyn Error>> {
        let (scheme, authority) =
            options.target.split_once("://").ok_or("the target is http:// or https://")?;
        let authority = authority.trim_end_matches('/').to_owned();
        let address = authority.to_socket_addrs()?.next().ok_or("the target has no address")?;
        let host = authority.rsplit_once(':').ok_or("the target names its port")?.0.to_owned();
        let tls = match scheme {
            "http" => None,
            "https" => Some((connector(options)?, ServerName::try_from(host)?)),
            _ => return Err("the target is http:// or https://".into()),
        };
        Ok(Self { address, authority, tls })
    }

    /// Opens a connection.
    pub(super) async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        match &self.tls {
            None => Ok(Box::new(stream)),
            Some((connector, name)) => Ok(Box::new(connector.connect(name.clone(), stream).await?)),
        }
    }
}

fn connector(options: &Options) -> Result<TlsConnector, Box<dyn Error>> {
    let mut roots = RootCertStore::empty();
    let file = options.ca.as_ref().ok_or("https wants --ca")?;
    for certificate in CertificateDer::pem_file_iter(file)? {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![if options.streams > 0 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
    Ok(TlsConnector::from(Arc::new(config)))
}
