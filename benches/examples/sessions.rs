//! Prints what issuing sessions costs and what live ones take: issuances a second with every one of them on disk
//! before it is answered, and bytes a session in the log's file and in the cache.
//!
//! ```text
//! sessions [directory] [live sessions]
//! ```
//!
//! The directory decides what is measured: put it on the disk that the log would be on.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{Write, stdout};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{CONTENT_TYPE, HOST};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request};
use sigv4::{Dialect, Endpoint, Scope, SecretAccessKey, Signer, SigningKey, Target};
use sigward::admission::Admission;
use sigward::clock::{Clock, UnixMillis};
use sigward::config::Limits;
use sigward::events::{Event, EventData, Keyring, RevocationScope};
use sigward::iam::saml::RelyingParty;
use sigward::iam::{
    AccessKeyId, Ancestor, Credential, KeyStatus, Principal, Session, SessionKind, SessionTokenHash,
};
use sigward::identities::Identities;
use sigward::metrics::Metrics;
use sigward::store::{Store, StoreOptions};
use sigward::sts::{Incoming, Origin, Sts, StsParts};
use tokio::task::JoinSet;

const REGION: &str = "us-east-1";
const FORM: &str = "Action=GetSessionToken&Version=2011-06-15";
const ACCOUNT: &str = "123456789012";
const ISSUING: Duration = Duration::from_secs(10);
const CLIENTS: [usize; 3] = [1, 64, 256];
const BATCH: usize = 4_096;
/// Sessions that are looked up to see what the cache takes.
const CACHED: usize = 100_000;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().unwrap_or_else(|| ".".to_owned());
    let live = arguments.next().map_or(Ok(1_000_000), |count| count.parse())?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        issue(Path::new(&directory)).await?;
        keep(Path::new(&directory), live).await
    })
}

/// Clients that ask for a session, wait for the answer, and ask again.
async fn issue(directory: &Path) -> Result<(), Failure> {
    let mut out = stdout().lock();
    writeln!(out, "| clients | issuances a second | p50, ms | p99, ms |\n|---|---|---|---|")?;
    for clients in CLIENTS {
        let directory = tempfile::tempdir_in(directory)?;
        let (store, metrics) = open(directory.path(), 64 << 20)?;
        put(&store, vec![event("alice".to_owned(), EventData::AccessKeyCreated(alice()))]).await?;
        let identities = Identities::none(Clock::system(), &metrics);
        // Clients are as fast as they can: nothing of theirs is limited.
        let admission = Arc::new(Admission::new(Limits::default(), &metrics));
        let parts = StsParts { store: store.clone(), identities, admission, saml: RelyingParty::default() };
        let sts = Arc::new(Sts::new(parts, &Endpoint::s3(REGION), &metrics));
        let ends = Instant::now() + ISSUING;
        let mut running = JoinSet::new();
        for _ in 0..clients {
            running.spawn(ask_until(Arc::clone(&sts), ends));
        }
        let mut waits = Vec::new();
        for waited in running.join_all().await {
            waits.extend(waited?);
        }
        store.close().await;
        waits.sort_unstable();
        let quantile = |of: usize| waits[waits.len() * of / 100].as_secs_f64() * 1e3;
        let rate = waits.len() as f64 / ISSUING.as_secs_f64();
        writeln!(out, "| {clients} | {rate:.0} | {:.1} | {:.1} |", quantile(50), quantile(99))?;
    }
    Ok(())
}

async fn ask_until(sts: Arc<Sts>, ends: Instant) -> Result<Vec<Duration>, Failure> {
    let mut waits = Vec::new();
    while Instant::now() < ends {
        let now = Clock::system().now();
        let parts = signed(now)?;
        let origin = Origin { address: Ipv4Addr::LOCALHOST.into(), tls: false, certificate: &[], hosts: &[] };
        let began = Instant::now();
        let incoming = Incoming { parts: &parts, body: FORM.as_bytes(), request_id: "bench", origin, now };
        let status = sts.respond(&incoming).await.status();
        waits.push(began.elapsed());
        if !status.is_success() {
            return Err(format!("STS answered {status}").into());
        }
    }
    Ok(waits)
}

/// Live sessions of roles, with a session tag and a chain of one as most have.
async fn keep(directory: &Path, count: usize) -> Result<(), Failure> {
    let directory = tempfile::tempdir_in(directory)?;
    let before = resident()?;
    let (store, _) = open(directory.path(), 1 << 30)?;
    let now = Clock::system().now();
    let began = Instant::now();
    for first in (0..count).step_by(BATCH) {
        let batch = first..count.min(first + BATCH);
        let issued = |n| event(format!("issued {n}"), EventData::CredentialIssued(session(n, now)));
        put(&store, batch.map(issued).collect()).await?;
    }
    let written = began.elapsed();
    store.compact().await?;
    store.close().await;
    drop(store);
    let file = std::fs::metadata(directory.path().join("events.redb"))?.len();

    let began = Instant::now();
    let (store, _) = open(directory.path(), 1 << 30)?;
    let opened = began.elapsed();
    let empty = resident()?;
    for n in 0..CACHED.min(count) {
        store.load(&id(n)).await?.ok_or("a session is lost")?;
    }
    let cached = resident()?;
    let scope = RevocationScope::Account(ACCOUNT.to_owned());
    let began = Instant::now();
    let reached = store.reached(&scope, true, now.plus(1)).await?;
    let scanned = began.elapsed();
    if reached != count {
        return Err(format!("{reached} of {count} sessions are live").into());
    }
    let each = |bytes: u64, of: usize| bytes / of as u64;
    let elsewhere = RevocationScope::Role(format!("arn:aws:iam::{ACCOUNT}:role/writer"));
    let began = Instant::now();
    store.reached(&elsewhere, true, now.plus(1)).await?;
    let skimmed = began.elapsed();
    let mut out = stdout().lock();
    writeln!(out, "\n| {count} live sessions | |\n|---|---|")?;
    writeln!(out, "| written in batches of {BATCH} | {:.1} s |", written.as_secs_f64())?;
    writeln!(out, "| file, bytes a session | {} |", each(file, count))?;
    writeln!(out, "| memory of an open store, MiB | {} |", empty.saturating_sub(before) >> 20)?;
    writeln!(out, "| cache, bytes a session | {} |", each(cached.saturating_sub(empty), CACHED.min(count)))?;
    writeln!(out, "| opened again | {:.0} ms |", opened.as_secs_f64() * 1e3)?;
    writeln!(out, "| counted for a revocation that reaches all | {:.1} s |", scanned.as_secs_f64())?;
    writeln!(out, "| counted for one that reaches none | {:.1} s |", skimmed.as_secs_f64())?;
    Ok(())
}

fn open(directory: &Path, cache_bytes: u64) -> Result<(Store, Metrics), Failure> {
    let key = directory.join("sealing.key");
    if !key.exists() {
        Keyring::create(&key)?;
    }
    let metrics = Metrics::new();
    let options = StoreOptions::new(directory.join("events.redb"), cache_bytes);
    Ok((Store::open(&options, Keyring::load(&[key])?, Clock::system(), &metrics)?, metrics))
}

async fn put(store: &Store, events: Vec<Event>) -> Result<(), Failure> {
    store.append(events).await?;
    Ok(())
}

fn event(id: String, data: EventData) -> Event {
    Event { source: "/bench".to_owned(), id, time: Clock::system().now(), data }
}

fn secret() -> SecretAccessKey {
    SecretAccessKey::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
}

fn alice() -> Credential {
    Credential {
        access_key_id: AccessKeyId::parse("AKIAEXAMPLEALICE0001").expect("a legal id"),
        secret: secret(),
        principal: Principal {
            arn: format!("arn:aws:iam::{ACCOUNT}:user/alice"),
            user_id: "AIDAEXAMPLEALICE00001".to_owned(),
            account: ACCOUNT.to_owned(),
        },
        issued_at: UnixMillis(0),
        status: KeyStatus::Active,
        not_after: None,
        declared: false,
        session: None,
    }
}

fn id(n: usize) -> String {
    format!("ASIA{n:016}")
}

fn session(n: usize, now: UnixMillis) -> Credential {
    let (parent, name) = (alice(), format!("job-{n}"));
    let token = SessionTokenHash::of(name.as_bytes());
    let session = Session {
        role_arn: Some(format!("arn:aws:iam::{ACCOUNT}:role/reader")),
        tags: BTreeMap::from([("team".to_owned(), "storage".to_owned())]),
        lineage: Ancestor::lineage(&parent, now).expect("one is not too many"),
        parent_access_key_id: Some(parent.access_key_id),
        ..Session::new(SessionKind::AssumedRole, token, now.plus(12 * 3_600_000))
    };
    Credential {
        access_key_id: AccessKeyId::parse(&id(n)).expect("a legal id"),
        secret: secret(),
        principal: Principal {
            arn: format!("arn:aws:sts::{ACCOUNT}:assumed-role/reader/{name}"),
            user_id: format!("AROAEXAMPLEREADER0001:{name}"),
            account: ACCOUNT.to_owned(),
        },
        issued_at: now,
        status: KeyStatus::Active,
        not_after: None,
        declared: false,
        session: Some(Session { name: Some(name), ..session }),
    }
}

/// `POST /` with [`FORM`], signed by alice.
fn signed(now: UnixMillis) -> Result<Parts, Failure> {
    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_static("localhost:8080"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    let time = now.timestamp();
    let key = SigningKey::derive(&secret(), &Scope { date: time.date(), region: REGION, service: "sts" });
    let signer = Signer {
        key: &key,
        access_key_id: "AKIAEXAMPLEALICE0001",
        session_token: None,
        dialect: Dialect::Generic,
    };
    let hash = sigv4::hex::encode(ring::digest::digest(&ring::digest::SHA256, FORM.as_bytes()).as_ref());
    let target = Target { method: "POST", path: b"/", query: None };
    signer.sign(target, &mut headers, &hash, time)?;
    let mut request = Request::post("/").body(())?;
    *request.headers_mut() = headers;
    Ok(request.into_parts().0)
}

/// Memory the kernel holds for the process now.
fn resident() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? << 10)
}
