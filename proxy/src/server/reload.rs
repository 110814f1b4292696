//! Whether a configuration that has been read again is to be taken over, and what is said about it.
//!
//! It is known by its [`Fingerprint`], which covers every file it names: what has not changed is not taken over again,
//! and what is wrong is said once, however often it is looked at.

use std::fmt::Display;

use prometheus::IntGauge;

use crate::clock::Clock;
use crate::config::{Config, Fingerprint};
use crate::metrics::Metrics;

/// What was read last, and what cannot change while the process runs.
pub(super) struct Reloading {
    /// `None`: nobody said what the process started with.
    seen: Option<Seen>,
    fixed: Fixed,
    successful: IntGauge,
    succeeded_at: IntGauge,
}

#[derive(PartialEq, Eq)]
enum Seen {
    Good(Fingerprint),
    /// With what is wrong.
    Bad(String),
}

/// Settings that take a restart, by key, as text.
type Fixed = Vec<(&'static str, String)>;

impl Reloading {
    pub(super) fn new(config: &Config, metrics: &Metrics) -> Self {
        let successful = metrics.gauge(
            "config_reload_successful",
            "1 if the configuration in force is the one that was read last, 0 if that one was refused.",
        );
        successful.set(1);
        let succeeded_at = metrics.gauge(
            "config_reload_success_timestamp_seconds",
            "When a configuration was last taken over while running, in seconds since 1970; 0: never.",
        );
        Self { seen: None, fixed: fixed(config), successful, succeeded_at }
    }

    /// The configuration, if it is to be taken over: it can be read, and has changed or was `asked` for.
    pub(super) fn look<E: Display>(
        &mut self,
        read: Result<(Config, Fingerprint), E>,
        asked: bool,
    ) -> Option<Config> {
        let (config, now) = match read {
            Ok((config, fingerprint)) => (Some(config), Seen::Good(fingerprint)),
            Err(error) => (None, Seen::Bad(error.to_string())),
        };
        let same = self.seen.as_ref() == Some(&now);
        let told = match &now {
            Seen::Bad(_) if same && !asked => return None,
            Seen::Bad(error) => Some(error.clone()),
            Seen::Good(_) => None,
        };
        self.seen = Some(now);
        if let Some(error) = told {
            self.refused(&error);
            return None;
        }
        config.filter(|_| asked || !same)
    }

    /// Says what is in force.
    pub(super) fn started_with(&mut self, fingerprint: Fingerprint) {
        self.seen = Some(Seen::Good(fingerprint));
    }

    /// Says that nothing has changed.
    pub(super) fn refused(&self, error: &dyn Display) {
        self.successful.set(0);
        tracing::error!(%error, "configuration not reloaded: what was in force stays so");
    }

    /// Says that it is in force.
    pub(super) fn succeeded(&mut self, clock: &Clock) {
        self.successful.set(1);
        self.succeeded_at.set(clock.now().timestamp().unix());
        tracing::info!("configuration reloaded");
    }

    /// Says which of its settings are not taken over.
    pub(super) fn tell_fixed(&self, config: &Config) {
        for ((key, running), (_, read)) in self.fixed.iter().zip(fixed(config)) {
            if *running != read {
                tracing::warn!(key, "has changed, and takes a restart");
            }
        }
    }
}

fn fixed(config: &Config) -> Fixed {
    let gateway = &config.gateway;
    let listeners = gateway.listeners();
    let doors: Vec<_> =
        listeners.iter().map(|(_, door)| (door.listen, door.http2, &door.proxy_protocol)).collect();
    let tls: Vec<_> = listeners.iter().map(|(_, door)| &door.tls).collect();
    let limits = (gateway.max_connections, gateway.max_connections_per_source);
    vec![
        ("gateway.listen, listeners", format!("{doors:?}")),
        ("gateway.tls, listeners.tls: which files", format!("{tls:?}")),
        ("gateway.workers", gateway.workers.to_string()),
        ("gateway.max_connections, max_connections_per_source", format!("{limits:?}")),
        ("admin", format!("{:?}", config.admin)),
        ("store", format!("{:?}", config.store)),
        ("feed", format!("{:?}", config.feed)),
        (
            "iam.directory, iam.poll_interval",
            format!("{:?} {:?}", config.iam.directory, config.iam.poll_interval),
        ),
        ("log.format, log.filter", format!("{:?} {}", config.log.format, config.log.filter)),
        ("audit", format!("{:?}", config.audit)),
    ]
}
