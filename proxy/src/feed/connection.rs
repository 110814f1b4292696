//! The connection to NATS: where, as whom, over which TLS, and how it comes back.

use std::path::Path;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event};

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

/// Returns at once; the connection is made and kept in the background.
pub(super) async fn connect(options: &config::Feed, name: &str) -> Result<Client, FeedError> {
    let mut connection = ConnectOptions::new()
        .name(name)
        .retry_on_initial_connect()
        .connection_timeout(CONNECT_WAIT)
        .request_timeout(Some(REQUEST_WAIT))
        .ping_interval(PING_EVERY)
        .reconnect_delay_callback(pause)
        .event_callback(|event| async move { report(&event) });
    if let Some(file) = &options.tls.ca_file {
        connection = connection.add_root_certificates(file.clone());
    }
    if let Some(client) = &options.tls.client {
        connection = connection
            .add_client_certificate(client.certificate_file.clone(), client.private_key_file.clone());
    }
    connection = login(connection, &options.login).await?;
    connection
        .require_tls(options.tls.required)
        .connect(&options.servers)
        .await
        .map_err(|error| FeedError::Setup(format!("feed.servers: {error}")))
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
            connection.nkey(seed.trim().to_owned())
        }
        FeedLogin::Password { user, file } => {
            let password = tokio::fs::read_to_string(file).await;
            let password = password.map_err(|error| unreadable("feed.password_file", file, &error))?;
            connection.user_and_password(user.clone(), password.trim_end().to_owned())
        }
    })
}

fn unreadable(key: &str, file: &Path, error: &std::io::Error) -> FeedError {
    FeedError::Setup(format!("{key}: {}: {error}", file.display()))
}

/// Doubles from attempt to attempt. All gateways lose a server at the same time; their clocks spread them enough.
fn pause(attempt: usize) -> Duration {
    let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or(u32::MAX).min(10);
    (FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE)
}

fn report(event: &Event) {
    match event {
        Event::Connected => tracing::info!("connected to the shared log"),
        Event::Disconnected => tracing::warn!("the connection to the shared log is lost"),
        other => tracing::warn!(event = %other, "the shared log"),
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
}
