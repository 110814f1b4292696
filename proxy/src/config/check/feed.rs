//! The rules of `[feed]`.

use std::time::Duration;

use super::{Check, raw};
use crate::config::units::Span;
use crate::config::{Feed, FeedLogin, FeedTls, Stale};

const MOST_REPLICAS: usize = 5;
const LONGEST_HEARTBEAT: Duration = Duration::from_secs(60);
const LONGEST_NAME: usize = 32;

impl Check<'_> {
    /// The inner `None`: the log is embedded.
    pub(super) fn feed(&mut self, raw: raw::Feed) -> Option<Option<Feed>> {
        let is_embedded = raw.kind == raw::FeedKind::Embedded;
        if is_embedded && !self.unused(&raw) {
            return None;
        }
        // Values that nothing looks at yet are checked all the same.
        let feed = self.jetstream(raw)?;
        Some((!is_embedded).then_some(feed))
    }

    fn jetstream(&mut self, raw: raw::Feed) -> Option<Feed> {
        let servers = self.each("feed.servers", &raw.servers, "nats://host:port or tls://host:port", server);
        let prefix = self.parsed("feed.prefix", &raw.prefix, "1 to 32 letters, digits, - and _", name);
        let gateway = match &raw.gateway {
            Some(text) => {
                self.parsed("feed.gateway", text, "1 to 32 letters, digits, - and _", name).map(Some)
            }
            None => Some(None),
        };
        let replicas = self.count("feed.replicas", raw.replicas, 1..=MOST_REPLICAS);
        let heartbeat = self.wait("feed.heartbeat", raw.heartbeat);
        if heartbeat.is_some_and(|heartbeat| heartbeat > LONGEST_HEARTBEAT) {
            return self.fault("feed.heartbeat", format!("is more than {}", Span(LONGEST_HEARTBEAT)));
        }
        if raw.servers.is_empty() {
            return self.fault("feed.servers", "at least one server is needed");
        }
        let login = self.feed_login(&raw);
        let tls = self.feed_tls(raw.tls);
        let stale = self.stale(&raw.stale, raw.heartbeat.0);
        Some(Feed {
            servers: servers?,
            prefix: prefix?,
            gateway: gateway?,
            replicas: replicas?,
            create_streams: raw.create_streams,
            packs: raw.packs,
            login: login?,
            tls: tls?,
            heartbeat: heartbeat?,
            stale: stale?,
        })
    }

    /// A login that would silently not be used is a misunderstanding.
    fn unused(&mut self, raw: &raw::Feed) -> bool {
        let given = [
            ("feed.credentials_file", raw.credentials_file.is_some()),
            ("feed.nkey_file", raw.nkey_file.is_some()),
            ("feed.user", raw.user.is_some()),
            ("feed.password_file", raw.password_file.is_some()),
            ("feed.gateway", raw.gateway.is_some()),
        ];
        for (key, _) in given.iter().filter(|(_, given)| *given) {
            let _: Option<()> = self.fault(key, "only means something with kind = \"jetstream\"");
        }
        given.iter().all(|(_, given)| !given)
    }

    fn feed_login(&mut self, raw: &raw::Feed) -> Option<FeedLogin> {
        let given = [raw.credentials_file.is_some(), raw.nkey_file.is_some(), raw.user.is_some()];
        if given.iter().filter(|given| **given).count() > 1 {
            return self.fault("feed", "credentials_file, nkey_file and user: one of them is enough");
        }
        if raw.user.is_some() != raw.password_file.is_some() {
            return self.fault("feed.password_file", "user and password_file belong together");
        }
        if let Some(path) = &raw.credentials_file {
            return self.readable("feed.credentials_file", path).map(FeedLogin::Credentials);
        }
        if let Some(path) = &raw.nkey_file {
            return self.readable("feed.nkey_file", path).map(FeedLogin::Nkey);
        }
        let (Some(user), Some(path)) = (&raw.user, &raw.password_file) else { return Some(FeedLogin::None) };
        let file = self.readable("feed.password_file", path)?;
        Some(FeedLogin::Password { user: user.clone(), file })
    }

    fn feed_tls(&mut self, raw: raw::FeedTls) -> Option<FeedTls> {
        let ca_file = match &raw.ca_file {
            Some(path) => self.readable("feed.tls.ca_file", path).map(Some),
            None => Some(None),
        };
        let files = raw::Certificate {
            certificate_file: raw.certificate_file,
            private_key_file: raw.private_key_file,
        };
        let client = match files == raw::Certificate::default() {
            true => Some(None),
            false => self.certificate("feed.tls", files).map(Some),
        };
        Some(FeedTls { required: raw.required, ca_file: ca_file?, client: client? })
    }

    fn stale(&mut self, raw: &raw::Stale, heartbeat: Duration) -> Option<Stale> {
        let warn = self.wait("feed.stale.warn", raw.warn)?;
        let alert = self.wait("feed.stale.alert", raw.alert)?;
        let hard = self.wait("feed.stale.hard", raw.hard)?;
        if warn < heartbeat * 2 {
            return self.fault("feed.stale.warn", "is less than two heartbeats: one may be late");
        }
        if alert < warn || hard < alert {
            return self.fault("feed.stale.hard", "warn, alert and hard do not rise in this order");
        }
        let raw::Stale { fail_closed, accept_newer_sessions, .. } = *raw;
        Some(Stale { warn, alert, hard, fail_closed, accept_newer_sessions })
    }
}

fn server(text: &str) -> Option<String> {
    let address = text.strip_prefix("nats://").or_else(|| text.strip_prefix("tls://"))?;
    let plain = !address.is_empty() && !address.contains(['@', '/', '?', ' ']);
    plain.then(|| text.to_owned())
}

pub(super) fn name(text: &str) -> Option<String> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    ((1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(legal)).then(|| text.to_owned())
}
