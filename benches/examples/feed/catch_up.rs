//! From the start of a gateway that knows nothing to its being ready, and what it takes by then.

use std::io::{Write, stdout};
use std::path::Path;
use std::time::{Duration, Instant};

use sigward::clock::{Clock, UnixMillis};
use sigward::events::Keyring;
use sigward::feed::Feed;

use super::Failure;
use super::fleet::{Gateway, Nats, keyring};
use super::sessions::{HOUR_MILLIS, Numbered};
use super::wire::Wire;

/// Sessions that a gateway which has caught up is asked about.
const ASKED: u64 = 200;
/// Places of the log that are not worth a pack.
const UNPACKED: f64 = 16_384.0;
const PATIENCE: Duration = Duration::from_secs(600);

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Live sessions in the log.
    #[arg(long, default_value_t = 1_000_000)]
    live: u64,
    /// Events in the log in the end: what is more than the live sessions has expired.
    #[arg(long, default_value_t = 10_000_000)]
    events: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { live: 1_000_000, events: 10_000_000 }
    }
}

pub(super) async fn run(directory: &Path, options: &Options) -> Result<(), Failure> {
    let directory = tempfile::tempdir_in(directory)?;
    let directory = directory.path();
    let nats = Nats::start(directory).await?;
    let mut first = Gateway::start(directory, "first", &nats)?;
    first.ready(Duration::from_secs(30)).await?;
    let feed = Feed::connect(&nats.feed("writer")).await?;
    let keyring = keyring(directory)?;
    let now = Clock::system().now();
    let mut out = stdout();
    writeln!(
        out,
        "\n| in the log | written, events/s | bytes each in it | ready after, s | events/s | memory, MiB | at most, MiB | on disk, bytes a live session | ready again, s | cores: nats-server | load |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|---|---|---|---|")?;
    drop(first);

    let live = |number| Numbered { series: "live", number };
    let written = write(&feed, &keyring, options.live, |number| {
        live(number).issuance(now.plus(-1_000), now.plus(12 * HOUR_MILLIS))
    });
    let written = written.await?;
    let line = format!("{} live sessions", options.live);
    report_both(directory, &nats, (&line, "live", written), options).await?;

    if options.events > options.live {
        let expired = options.events - options.live;
        let long_ago = UnixMillis(now.0 - 14 * HOUR_MILLIS);
        let written = write(&feed, &keyring, expired, |number| {
            Numbered { series: "expired", number }.issuance(long_ago, long_ago.plus(12 * HOUR_MILLIS))
        });
        let written = written.await?;
        let line = format!("{} live sessions, then {expired} that have expired", options.live);
        report_both(directory, &nats, (&line, "all", written), options).await?;
    }
    Ok(())
}

/// Writes issuances to the log, as fast as it takes them; how many a second.
async fn write(
    feed: &Feed,
    keyring: &Keyring,
    count: u64,
    make: impl Fn(u64) -> Result<sigward::events::Event, Failure>,
) -> Result<f64, Failure> {
    let began = Instant::now();
    let events = (0..count).map_while(|number| make(number).ok());
    let taken = feed.import(events, keyring, &Clock::system()).await?;
    if taken != count {
        return Err(format!("the log took {taken} of {count} events").into());
    }
    Ok(count as f64 / began.elapsed().as_secs_f64())
}

/// A gateway that finds what nobody has packed, and one that comes when the other has.
async fn report_both(
    directory: &Path,
    nats: &Nats,
    (line, name, written): (&str, &str, f64),
    options: &Options,
) -> Result<(), Failure> {
    let gateway = report(directory, nats, (line, name, written), options).await?;
    let began = Instant::now();
    while gateway.metric("feed_packed").await? + UNPACKED < gateway.metric("store_log_position").await? {
        if began.elapsed() > PATIENCE {
            return Err("a gateway does not pack".into());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    drop(gateway);
    let (line, name) = (format!("{line}, packed"), format!("{name}-packed"));
    report(directory, nats, (&line, &name, written), options).await.map(drop)
}

async fn report(
    directory: &Path,
    nats: &Nats,
    (line, name, written): (&str, &str, f64),
    options: &Options,
) -> Result<Gateway, Failure> {
    let bytes_in_log = size(&directory.join("nats"))?;
    let busy = nats.process.cpu()?;
    let began = Instant::now();
    let mut gateway = Gateway::start(directory, name, nats)?;
    gateway.ready(PATIENCE).await?;
    let ready = began.elapsed().as_secs_f64();
    let busy = (nats.process.cpu()? - busy) / ready;
    let applied = gateway.metric("store_log_position").await?;
    let (resident, most) = (gateway.process.memory("VmRSS")?, gateway.process.memory("VmHWM")?);
    let bytes = gateway.file_bytes()?;
    ask(&gateway, options).await?;
    drop(gateway);
    let again = Instant::now();
    let mut gateway = Gateway::start(directory, name, nats)?;
    gateway.ready(PATIENCE).await?;
    let again = again.elapsed().as_secs_f64();
    writeln!(
        stdout(),
        "| {line} | {written:.0} | {:.0} | {ready:.1} | {:.0} | {resident} | {most} | {} | {again:.1} | {busy:.2} | {} |",
        bytes_in_log as f64 / applied,
        applied / ready,
        bytes / options.live,
        super::load()?,
    )?;
    Ok(gateway)
}

/// Whoever has caught up knows any session.
async fn ask(gateway: &Gateway, options: &Options) -> Result<(), Failure> {
    let mut wire = Wire::open(gateway.address).await?;
    for at in 0..ASKED {
        let number = options.live * at / ASKED;
        let status = wire.exchange(&Numbered { series: "live", number }.request()?).await?.status;
        if status != 200 {
            return Err(format!("session {number} gets {status}").into());
        }
    }
    Ok(())
}

/// Bytes of all files below a directory.
fn size(directory: &Path) -> Result<u64, Failure> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let found = entry.metadata()?;
        bytes += if found.is_dir() { size(&entry.path())? } else { found.len() };
    }
    Ok(bytes)
}
