//! Files that change, and names that clients ask for.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use super::*;
use crate::config::TlsFiles;

/// A certificate for `name`, and its key. It is its own authority.
fn issue(directory: &Path, file: &str, name: &str) -> TlsFiles {
    let [certificate_file, private_key_file] =
        ["crt", "key"].map(|end| directory.join(format!("{file}.{end}")));
    let args = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test \
                -addext basicConstraints=critical,CA:FALSE";
    let done = Command::new("openssl")
        .args(args.split(' '))
        .args(["-addext", &format!("subjectAltName=DNS:{name},URI:spiffe://test/{name}")])
        .args([Path::new("-out"), &certificate_file, Path::new("-keyout"), &private_key_file])
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    TlsFiles { certificate_file, private_key_file }
}

fn settings(certificates: Vec<TlsFiles>) -> config::Tls {
    config::Tls { certificates, client_auth: ClientAuth::None, client_ca_file: None, client_crl_file: None }
}

fn der(path: &Path) -> rustls::pki_types::CertificateDer<'static> {
    rustls::pki_types::CertificateDer::from_pem_file(path).unwrap()
}

/// Takes any certificate, and shows which it was.
#[derive(Debug)]
struct Anything(rustls::crypto::WebPkiSupportedAlgorithms);

impl rustls::client::danger::ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &pki_types::CertificateDer<'_>,
        _: &[pki_types::CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &pki_types::CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &pki_types::CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.supported_schemes()
    }
}

fn client(identity: Option<&TlsFiles>) -> TlsConnector {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Arc::new(Anything(provider.signature_verification_algorithms));
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some(files) => {
            let key = pki_types::PrivateKeyDer::from_pem_file(&files.private_key_file).unwrap();
            builder.with_client_auth_cert(vec![der(&files.certificate_file)], key).unwrap()
        }
    };
    TlsConnector::from(Arc::new(config))
}

/// Both ends of a connection on which the client asked for `name`; `None`: the server refused.
async fn connect(
    tls: &Tls,
    connector: &TlsConnector,
    name: &str,
) -> Option<(tokio_rustls::client::TlsStream<TcpStream>, tokio_rustls::server::TlsStream<TcpStream>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (accepted, _) = listener.accept().await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let (client, server) = tokio::join!(connector.connect(name, stream), tls.acceptor().accept(accepted));
    Some((client.ok()?, server.ok()?))
}

/// Which certificate a client gets that asks for `name`.
async fn served(tls: &Tls, name: &str) -> pki_types::CertificateDer<'static> {
    let (client, _) = connect(tls, &client(None), name).await.unwrap();
    client.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

#[tokio::test]
async fn clients_get_the_certificate_for_the_name_they_ask_for() {
    let directory = TempDir::new().unwrap();
    let names = ["default.test", "exact.test", "*.wild.test"];
    let files: Vec<_> =
        names.iter().map(|name| issue(directory.path(), &name.replace('*', "_"), name)).collect();
    let tls = Tls::open(&settings(files.clone()), true).unwrap();
    for (name, expected) in [
        ("exact.test", 1),
        ("EXACT.test", 1),
        ("a.wild.test", 2),
        ("a.b.wild.test", 0),
        ("wild.test", 0),
        ("default.test", 0),
        ("unknown.test", 0),
        ("127.0.0.1", 0),
    ] {
        assert_eq!(served(&tls, name).await, der(&files[expected].certificate_file), "{name}");
    }
}

#[tokio::test]
async fn files_that_change_are_taken_over_as_soon_as_they_fit_together() {
    let directory = TempDir::new().unwrap();
    let versions: Vec<PathBuf> = ["one", "two"].map(|name| directory.path().join(name)).into();
    for version in &versions {
        std::fs::create_dir(version).unwrap();
        issue(version, "tls", "localhost");
    }
    // As Kubernetes mounts a secret: files are links into `..data`, which is a link to a version.
    let data = directory.path().join("..data");
    std::os::unix::fs::symlink(&versions[0], &data).unwrap();
    let [certificate_file, private_key_file] = ["tls.crt", "tls.key"].map(|name| data.join(name));
    let files = TlsFiles { certificate_file: certificate_file.clone(), private_key_file };
    let tls = Tls::open(&settings(vec![files]), true).unwrap();
    let first = served(&tls, "localhost").await;
    let (connected, _server) = connect(&tls, &client(None), "localhost").await.unwrap();
    assert!(matches!(tls.reload(), TlsReload::Unchanged));

    let turned = directory.path().join("..turned");
    std::os::unix::fs::symlink(&versions[1], &turned).unwrap();
    std::fs::rename(&turned, &data).unwrap();
    assert!(matches!(tls.reload(), TlsReload::Changed));
    assert_ne!(served(&tls, "localhost").await, first);
    let kept = connected.get_ref().1.peer_certificates().unwrap()[0].clone();
    assert_eq!(kept, first, "who is connected stays so");

    let second = served(&tls, "localhost").await;
    let good = std::fs::read(versions[1].join("tls.crt")).unwrap();
    for bad in [&std::fs::read(versions[0].join("tls.crt")).unwrap()[..], b"", b"-----BEGIN CERTIFICATE-----"]
    {
        std::fs::write(&certificate_file, bad).unwrap();
        assert!(matches!(tls.reload(), TlsReload::Refused(Some(_))));
        assert!(matches!(tls.reload(), TlsReload::Refused(None)), "it is said once");
        assert_eq!(served(&tls, "localhost").await, second);
    }
    std::fs::remove_file(&certificate_file).unwrap();
    assert!(matches!(tls.reload(), TlsReload::Refused(Some(TlsError::Unreadable { .. }))));
    assert!(matches!(tls.reload(), TlsReload::Refused(None)));
    std::fs::write(&certificate_file, good).unwrap();
    assert!(matches!(tls.reload(), TlsReload::Changed), "it is said that all is well again");
    assert_eq!(served(&tls, "localhost").await, second);
}

#[test]
fn what_does_not_serve_is_named_with_its_file() {
    let directory = TempDir::new().unwrap();
    let [one, two] = ["one", "two"].map(|name| issue(directory.path(), name, "localhost"));
    let mixed = TlsFiles { private_key_file: two.private_key_file, ..one.clone() };
    let error = Tls::open(&settings(vec![one, mixed]), true).err().unwrap().to_string();
    assert!(error.contains("two.key: the key does not belong to the certificate in "), "{error}");
    assert!(error.ends_with("one.crt"), "{error}");
}

#[tokio::test]
async fn clients_prove_a_certificate_where_they_are_asked() {
    let directory = TempDir::new().unwrap();
    let server = issue(directory.path(), "server", "localhost");
    let [alice, mallory] = ["alice", "mallory"].map(|name| issue(directory.path(), name, name));
    let asking = |client_auth| {
        let settings = config::Tls {
            client_auth,
            client_ca_file: Some(alice.certificate_file.clone()),
            ..settings(vec![server.clone()])
        };
        Tls::open(&settings, true).unwrap()
    };
    let names_of = async |tls: &Tls, identity: Option<&TlsFiles>| {
        let (mut client, mut server) = connect(tls, &client(identity), "localhost").await?;
        // A refusal of TLS 1.3 comes after the client believes that all is well.
        tokio::io::AsyncWriteExt::write_all(&mut server, b"x").await.ok()?;
        tokio::io::AsyncReadExt::read_exact(&mut client, &mut [0]).await.ok()?;
        let chain = server.get_ref().1.peer_certificates().map(<[_]>::to_vec).unwrap_or_default();
        Some(chain.first().map(|leaf| names(leaf).to_vec()).unwrap_or_default())
    };
    let alices = || Some(vec!["spiffe://test/alice".to_owned(), "alice".to_owned()]);
    let required = asking(ClientAuth::Required);
    assert_eq!(names_of(&required, Some(&alice)).await, alices());
    assert_eq!(names_of(&required, Some(&mallory)).await, None);
    assert_eq!(names_of(&required, None).await, None);
    let optional = asking(ClientAuth::Optional);
    assert_eq!(names_of(&optional, Some(&alice)).await, alices());
    assert_eq!(names_of(&optional, Some(&mallory)).await, None, "a bad one is no none");
    assert_eq!(names_of(&optional, None).await, Some(Vec::new()));
}

#[tokio::test]
async fn sessions_are_resumed_unless_clients_prove_a_certificate() {
    let directory = TempDir::new().unwrap();
    let server = issue(directory.path(), "server", "localhost");
    let alice = issue(directory.path(), "alice", "alice");
    let open = Tls::open(&settings(vec![server.clone()]), true).unwrap();
    let asking = config::Tls {
        client_auth: ClientAuth::Required,
        client_ca_file: Some(alice.certificate_file.clone()),
        ..settings(vec![server])
    };
    let asking = Tls::open(&asking, true).unwrap();
    for (tls, resumed) in [(&open, rustls::HandshakeKind::Resumed), (&asking, rustls::HandshakeKind::Full)] {
        let connector = client(Some(&alice));
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let (mut client, mut server) = connect(tls, &connector, "localhost").await.unwrap();
            // Tickets come with the first bytes.
            tokio::io::AsyncWriteExt::write_all(&mut server, b"x").await.unwrap();
            tokio::io::AsyncReadExt::read_exact(&mut client, &mut [0]).await.unwrap();
            kinds.push(client.get_ref().1.handshake_kind().unwrap());
        }
        assert_eq!(kinds, [rustls::HandshakeKind::Full, resumed]);
    }
}
