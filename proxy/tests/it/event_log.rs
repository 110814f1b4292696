//! What every event log has to keep, asked of both: the embedded one and the one that gateways share.
//!
//! `conformance` holds for one gateway on any log, `shared` for several on one, `forged` for what no gateway says,
//! `checkpoints` for what gateways find out about each other, `journal` for what people see, `keys` for keys that are said
//! again, `anew` for a log in the place of another one, `packs` for what is packed for those who start.

#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]
#![expect(clippy::print_stderr, reason = "a test that cannot be made says so")]

mod anew;
mod checkpoints;
mod conformance;
mod declared;
mod forged;
mod journal;
mod keys;
pub(crate) mod nats;
mod packs;
mod shared;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nats::Nats;
use sigv4::SecretAccessKey;
use sigward::clock::{Clock, UnixMillis};
use sigward::events::{Event, EventData, Keyring, Receipt, RevocationScope};
use sigward::feed::Feed;
use sigward::iam::{
    AccessKeyId, Credential, KeyStatus, Principal, Session, SessionKind, SessionTokenHash, random_id,
};
use sigward::metrics::Metrics;
use sigward::store::{Record, Store, StoreError, StoreOptions};
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// Both kinds of log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Embedded,
    Shared,
}

/// One log and what its gateways have in common.
struct Log {
    nats: Option<Nats>,
    directory: TempDir,
    keyring: Keyring,
}

/// One gateway's store.
struct Gateway {
    store: Store,
    metrics: Metrics,
    name: String,
    follower: JoinHandle<()>,
}

impl Log {
    /// `None`: there is nothing to test with.
    async fn new(kind: Kind) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let nats = match kind {
            Kind::Embedded => None,
            Kind::Shared => Some(Nats::start(directory.path()).await?),
        };
        Some(Self { nats, directory, keyring: Keyring::ephemeral().unwrap() })
    }

    fn nats(&mut self) -> &mut Nats {
        self.nats.as_mut().unwrap()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(format!("{name}.redb"))
    }

    async fn options(&self, name: &str) -> StoreOptions {
        let mut options = StoreOptions::new(self.file(name), 1 << 20);
        if let Some(nats) = &self.nats {
            options.feed = Some(Feed::connect(&nats.feed(name)).await.unwrap());
        }
        options
    }

    /// A gateway of this name, with what its file holds, ready to be asked.
    async fn gateway(&self, name: &str) -> Gateway {
        let gateway = self.starting(name, &self.keyring).await;
        until("the gateway is ready", async || gateway.store.ready().is_ok()).await;
        gateway
    }

    /// A gateway that has only begun to catch up.
    async fn starting(&self, name: &str, keyring: &Keyring) -> Gateway {
        self.starting_at(name, keyring, Clock::system()).await
    }

    async fn starting_at(&self, name: &str, keyring: &Keyring, clock: Clock) -> Gateway {
        let metrics = Metrics::new();
        let options = self.options(name).await;
        let store = Store::open(&options, keyring.clone(), clock, &metrics).unwrap();
        let follower = tokio::spawn(store.clone().follow());
        Gateway { store, metrics, name: name.into(), follower }
    }
}

impl Gateway {
    async fn put(&self, event: Event) -> Result<Receipt, StoreError> {
        self.store.append(vec![event]).await.map(|receipts| receipts[0])
    }

    async fn find(&self, access_key_id: &str) -> Option<Arc<Record>> {
        self.store.load(access_key_id).await.unwrap()
    }

    async fn is_revoked(&self, access_key_id: &str) -> bool {
        let record = self.find(access_key_id).await.unwrap();
        self.store.revoked(record.credential()).is_some()
    }

    async fn close(self) {
        self.follower.abort();
        self.store.close().await;
    }

    async fn reopen(self, log: &Log) -> Self {
        let name = self.name.clone();
        self.close().await;
        log.gateway(&name).await
    }

    /// A metric, by its name without prefix, labels included.
    fn metric(&self, name: &str) -> f64 {
        let text = String::from_utf8(self.metrics.render()).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("sigward_{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }
}

/// Waits until something holds; fails after a time that no machine needs.
async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    for _ in 0..1_500 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("in vain: {what}");
}

fn now() -> UnixMillis {
    Clock::system().now()
}

fn id(text: &str) -> AccessKeyId {
    AccessKeyId::parse(text).unwrap()
}

fn long_term(access_key_id: &str, secret: &str) -> Credential {
    Credential {
        access_key_id: id(access_key_id),
        secret: SecretAccessKey::new(secret),
        principal: Principal {
            arn: "arn:aws:iam::123456789012:user/alice".into(),
            user_id: "AIDAALICE".into(),
            account: "123456789012".into(),
        },
        issued_at: now(),
        status: KeyStatus::Active,
        not_after: None,
        declared: false,
        session: None,
    }
}

/// A session that `AKIAPARENT` got.
fn session(access_key_id: &str) -> Credential {
    let token = SessionTokenHash::of(access_key_id.as_bytes());
    let session = Session {
        parent_access_key_id: Some(id("AKIAPARENT")),
        ..Session::new(SessionKind::SessionToken, token, now().plus(3_600_000))
    };
    let secret = format!("secret of {access_key_id}");
    Credential { session: Some(session), ..long_term(access_key_id, &secret) }
}

fn event(data: EventData) -> Event {
    Event { source: "/test".into(), id: random_id().unwrap(), time: now(), data }
}

fn issued(access_key_id: &str) -> Event {
    event(EventData::CredentialIssued(session(access_key_id)))
}

fn created(access_key_id: &str, secret: &str) -> Event {
    event(EventData::AccessKeyCreated(long_term(access_key_id, secret)))
}

fn status(access_key_id: &str, status: KeyStatus) -> Event {
    event(EventData::AccessKeyStatus { access_key_id: id(access_key_id), status })
}

fn deleted(access_key_id: &str) -> Event {
    event(EventData::AccessKeyDeleted { access_key_id: id(access_key_id) })
}

fn revoked(access_key_id: &str) -> Event {
    revoked_before(access_key_id, now().plus(1_000))
}

fn revoked_before(access_key_id: &str, issued_before: UnixMillis) -> Event {
    let scope = RevocationScope::AccessKey(id(access_key_id));
    event(EventData::SessionRevoked { scope, cascade: false, issued_before, reason: None })
}
