//! The connection to NATS: where, as whom, over which TLS, and how it comes back.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::time::Instant;

use super::FeedError;
use crate::config::{self, FeedLogin};

/// Longest pause between two attempts to connect.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// A server that says nothing to two of these is taken for gone. Where packets vanish nothing else shows it for long:
/// TCP waits twice as long for each repetition, and so could go on being silent after the network has healed.
const PING_EVERY: Duration = Duration::from_secs(2);
const CONNECT_WAIT: Duration = Duration::from_secs(5);
const REQUEST_WAIT: Duration = Duration::from_secs(5);

/// An explanation that has been given holds for so long.
const EXPLAIN_EVERY: Duration = Duration::from_secs(10);

/// Returns at once; the connection is made and kept in the background.
pub(super) async fn connect(options: &config::Feed, name: &str) -> Result<Client, FeedError> {
    let reporter =
        Arc::new(Reporter { options: options.clone(), name: name.to_owned(), explained: Mutex::default() });
    let connection = prepare(options, name)
        .await?
        .retry_on_initial_connect()
        .reconnect_delay_callback(pause)
        .event_callback(move |event| {
            let reporter = Arc::clone(&reporter);
            async move { reporter.report(&event) }
        });
    connection
        .connect(&options.servers)
        .await
        .map_err(|error| FeedError::Setup(format!("feed.servers: {error}")))
}

/// Where, as whom and over which TLS.
async fn prepare(options: &config::Feed, name: &str) -> Result<ConnectOptions, FeedError> {
    let mut connection = ConnectOptions::new()
        .name(name)
        .connection_timeout(CONNECT_WAIT)
        .request_timeout(Some(REQUEST_WAIT))
        .ping_interval(PING_EVERY);
    if let Some(file) = &options.tls.ca_file {
        check_certificates("feed.tls.ca_file", file)?;
        connection = connection.add_root_certificates(file.clone());
    }
    if let Some(client) = &options.tls.client {
        check_certificates("feed.tls.certificate_file", &client.certificate_file)?;
        let (key, file) = ("feed.tls.private_key_file", &client.private_key_file);
        PrivateKeyDer::from_pem_file(file).map_err(|error| unreadable(key, file, &error))?;
        connection = connection
            .add_client_certificate(client.certificate_file.clone(), client.private_key_file.clone());
    }
    Ok(login(connection, &options.login).await?.require_tls(options.tls.required))
}

async fn login(connection: ConnectOptions, login: &FeedLogin) -> Result<ConnectOptions, FeedError> {
    Ok(match login {
        FeedLogin::None => connection,
        FeedLogin::Credentials(file) => connection
            .credentials_file(file)
            .await
            .map_err(|error| unreadable("feed.credentials_file", file, &error))?,
        FeedLogin::Nkey(file) => {
            let seed = tokio::fs::read_to_string(file).await;
            let seed = seed.map_err(|error| unreadable("feed.nkey_file", file, &error))?;
            if !is_user_seed(seed.trim()) {
                return Err(unreadable("feed.nkey_file", file, &"holds no seed of a user's nkey"));
            }
            connection.nkey(seed.trim().to_owned())
        }
        FeedLogin::Password { user, file } => {
            let password = tokio::fs::read_to_string(file).await;
            let password = password.map_err(|error| unreadable("feed.password_file", file, &error))?;
            connection.user_and_password(user.clone(), password.trim_end().to_owned())
        }
    })
}

/// The client would say so at every attempt to connect, without saying which file it means.
fn check_certificates(key: &str, file: &Path) -> Result<(), FeedError> {
    let found = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match found.map_err(|error| unreadable(key, file, &error))?.is_empty() {
        true => Err(unreadable(key, file, &"holds no certificate")),
        false => Ok(()),
    }
}

/// Whether a text looks like the seed of a user: 36 bytes in base 32, whose first say what they are.
///
/// Source: <https://github.com/nats-io/nkeys>
fn is_user_seed(text: &str) -> bool {
    let base32 = |b: u8| b.is_ascii_uppercase() || (b'2'..=b'7').contains(&b);
    text.len() == 58 && text.starts_with("SU") && text.bytes().all(base32)
}

fn unreadable(key: &str, file: &Path, error: &impl std::fmt::Display) -> FeedError {
    FeedError::Setup(format!("{key}: {}: {error}", file.display()))
}

/// Doubles from attempt to attempt. All gateways lose a server at the same time; their clocks spread them enough.
fn pause(attempt: usize) -> Duration {
    let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or(u32::MAX).min(10);
    (FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE)
}

/// Says what becomes of the connection.
struct Reporter {
    options: config::Feed,
    name: String,
    explained: Mutex<Option<Instant>>,
}

impl Reporter {
    fn report(self: Arc<Self>, event: &Event) {
        match event {
            Event::Connected => tracing::info!("connected to the shared log"),
            Event::Disconnected => tracing::warn!("the connection to the shared log is lost"),
            // Says that an attempt has failed and not why.
            Event::ClientError(_) => self.explain(),
            other => tracing::warn!(event = %other, "the shared log"),
        }
    }

    /// Makes one attempt of its own, whose failure is told with its cause.
    fn explain(self: Arc<Self>) {
        let now = Instant::now();
        let mut explained = self.explained.lock().unwrap_or_else(PoisonError::into_inner);
        if explained.is_some_and(|at| now.duration_since(at) < EXPLAIN_EVERY) {
            return;
        }
        *explained = Some(now);
        drop(explained);
        tokio::spawn(async move {
            let attempt = match prepare(&self.options, &self.name).await {
                Ok(connection) => {
                    connection.connect(&self.options.servers).await.map_err(|error| error.to_string())
                }
                Err(error) => Err(error.to_string()),
            };
            if let Err(error) = attempt {
                tracing::warn!(error, "the shared log cannot be connected to; trying again");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_two_seconds() {
        let millis: Vec<_> = [0, 1, 2, 3, 9, 1_000_000].map(|at| pause(at).as_millis()).into();
        assert_eq!(millis, [20, 20, 40, 80, 2_000, 2_000]);
    }

    #[test]
    fn a_seed_is_told_from_other_texts() {
        let seed = format!("SU{}", "A7".repeat(28));
        assert!(is_user_seed(&seed));
        for text in
            ["", "SUA", &seed[1..], &seed.to_lowercase(), &seed.replace("SU", "SA"), &seed.replace('7', "1")]
        {
            assert!(!is_user_seed(text), "{text}");
        }
    }

    #[test]
    fn a_file_without_certificates_is_named_with_its_key() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let told = check_certificates("feed.tls.ca_file", file.path()).unwrap_err().to_string();
        assert!(told.starts_with("feed.tls.ca_file: ") && told.ends_with("holds no certificate"), "{told}");
        assert!(check_certificates("feed.tls.ca_file", Path::new("/nonexistent/ca.pem")).is_err());
    }
}
