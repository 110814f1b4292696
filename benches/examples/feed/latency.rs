//! From the moment a revocation is asked for to the first request that each of three gateways refuses, while sessions
//! are issued through all of them.

use std::io::{Write, stdout};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sigward::clock::Clock;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval_at, sleep};

use super::Failure;
use super::fleet::{Gateway, Nats};
use super::sessions::Numbered;
use super::wire::Wire;

const GATEWAYS: usize = 3;
/// Writers of each gateway, each with a connection of its own.
const LANES: usize = 4;
/// Issuances of one `POST /v1/events`.
const BATCH: u64 = 50;
const BATCH_TYPE: &str = "application/cloudevents-batch+json";
/// Issuances go on for so long before the first revocation.
const WARM_UP: Duration = Duration::from_secs(3);
/// From one revocation to the next, at least.
const PAUSE: Duration = Duration::from_millis(60);
/// From one probe of a gateway to the next: figures are exact to this.
const PROBE_EVERY: Duration = Duration::from_millis(1);

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Issuances a second, one row of the table each.
    #[arg(long, value_delimiter = ',', default_values_t = [0, 1_000, 5_000])]
    rates: Vec<u32>,
    /// Revocations of each row.
    #[arg(long, default_value_t = 300)]
    revocations: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { rates: vec![0, 1_000, 5_000], revocations: 300 }
    }
}

/// Waits of one row.
#[derive(Default)]
struct Waits {
    acknowledged: Vec<Duration>,
    /// One for each gateway and revocation.
    refused: Vec<Duration>,
    /// Until the last gateway refused.
    everywhere: Vec<Duration>,
}

pub(super) async fn run(directory: &Path, options: &Options) -> Result<(), Failure> {
    let directory = tempfile::tempdir_in(directory)?;
    let nats = Nats::start(directory.path()).await?;
    let mut gateways = Vec::new();
    for name in ["a", "b", "c"] {
        let mut gateway = Gateway::start(directory.path(), name, &nats)?;
        gateway.ready(Duration::from_secs(30)).await?;
        gateways.push(gateway);
    }
    let gateways = Arc::new(gateways);
    let mut out = stdout();
    writeln!(
        out,
        "{GATEWAYS} gateways; issuances by `POST /v1/events` in batches of {BATCH} over {LANES} connections to each; \
         revocations by `POST /v1/revocations` to each in turn. Milliseconds, exact to {}.\n\n\
         | issuances a second: asked for | done | refused at a gateway: p50 | p99 | longest \
         | at all: p50 | p99 | answered: p50 | p99 | cores: gateways | nats-server | load |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|",
        PROBE_EVERY.as_millis()
    )?;
    for rate in &options.rates {
        let cpu = || Ok::<_, Failure>((cpu_of(&gateways)?, nats.process.cpu()?));
        let issued = Arc::new(AtomicU64::new(0));
        let _writers = issue(&gateways, *rate, &issued);
        sleep(WARM_UP).await;
        let (before, began, first) = (cpu()?, Instant::now(), issued.load(Ordering::Relaxed));
        let mut waits = revoke(&gateways, *rate, options.revocations).await?;
        let (after, seconds) = (cpu()?, began.elapsed().as_secs_f64());
        let done = (issued.load(Ordering::Relaxed) - first) as f64 / seconds;
        let longest = waits.refused.iter().max().copied().unwrap_or_default().as_secs_f64() * 1e3;
        writeln!(
            out,
            "| {rate} | {done:.0} | {} | {longest:.1} | {} | {} | {:.2} | {:.2} | {} |",
            quantiles(&mut waits.refused),
            quantiles(&mut waits.everywhere),
            quantiles(&mut waits.acknowledged),
            (after.0 - before.0) / seconds,
            (after.1 - before.1) / seconds,
            super::load()?,
        )?;
    }
    Ok(())
}

fn cpu_of(gateways: &[Gateway]) -> Result<f64, Failure> {
    gateways.iter().map(|gateway| gateway.process.cpu()).sum()
}

fn quantiles(waits: &mut [Duration]) -> String {
    waits.sort_unstable();
    let quantile =
        |of: usize| waits.get(waits.len() * of / 100).copied().unwrap_or_default().as_secs_f64() * 1e3;
    format!("{:.1} | {:.1}", quantile(50), quantile(99))
}

/// Issues sessions through all gateways until what is returned is dropped.
fn issue(gateways: &Arc<Vec<Gateway>>, rate: u32, issued: &Arc<AtomicU64>) -> JoinSet<()> {
    let mut writers = JoinSet::new();
    if rate == 0 {
        return writers;
    }
    let lanes = (GATEWAYS * LANES) as u32;
    let every = Duration::from_secs_f64(f64::from(lanes) * BATCH as f64 / f64::from(rate));
    let numbers = Arc::new(AtomicU64::new(u64::from(rate) << 32));
    for lane in 0..lanes {
        let address = gateways[lane as usize % GATEWAYS].admin;
        let (numbers, issued) = (Arc::clone(&numbers), Arc::clone(issued));
        let first = tokio::time::Instant::now() + every * lane / lanes;
        writers.spawn(async move {
            let mut due = interval_at(first, every);
            due.set_missed_tick_behavior(MissedTickBehavior::Skip);
            let Ok(mut wire) = Wire::open(address).await else { return };
            loop {
                due.tick().await;
                let first = numbers.fetch_add(BATCH, Ordering::Relaxed);
                if let Err(error) = post(&mut wire, "load", first..first + BATCH).await {
                    let _ = writeln!(std::io::stderr(), "feed: a writer gives up: {error}");
                    return;
                }
                issued.fetch_add(BATCH, Ordering::Relaxed);
            }
        });
    }
    writers
}

async fn post(wire: &mut Wire, series: &'static str, numbers: std::ops::Range<u64>) -> Result<(), Failure> {
    let now = Clock::system().now();
    let events: Vec<_> = numbers.map(|number| Numbered { series, number }.cloud_event(now)).collect();
    wire.post("/v1/events", BATCH_TYPE, &format!("[{}]", events.join(","))).await?;
    Ok(())
}

/// Revokes sessions one after the other.
async fn revoke(gateways: &[Gateway], rate: u32, count: u64) -> Result<Waits, Failure> {
    let first = u64::from(rate) << 32;
    let (mut probes, mut admins) = (Vec::new(), Vec::new());
    for gateway in gateways {
        probes.push(Wire::open(gateway.address).await?);
        admins.push(Wire::open(gateway.admin).await?);
    }
    let mut waits = Waits::default();
    for number in first..first + count {
        let victim = Numbered { series: "victim", number };
        let admin = &mut admins[number as usize % GATEWAYS];
        post(admin, victim.series, number..number + 1).await?;
        let request: Arc<[u8]> = victim.request()?.into();
        for probe in &mut probes {
            let answer = probe.exchange(&request).await?;
            if answer.status != 200 {
                return Err(format!("before it is revoked a session gets {}", answer.status).into());
            }
        }
        sleep(PAUSE).await;
        let began = Instant::now();
        let mut watching = JoinSet::new();
        for mut probe in std::mem::take(&mut probes) {
            let request = Arc::clone(&request);
            watching.spawn(async move {
                while probe.exchange(&request).await?.status != 403 {
                    if began.elapsed() > Duration::from_secs(30) {
                        return Err("a revocation does not arrive".into());
                    }
                    sleep(PROBE_EVERY).await;
                }
                Ok::<_, Failure>((probe, began.elapsed()))
            });
        }
        let scope = format!(r#"{{"access_key_id":"{}"}}"#, victim.access_key_id());
        admin.post("/v1/revocations", "application/json", &scope).await?;
        waits.acknowledged.push(began.elapsed());
        let mut last = Duration::ZERO;
        while let Some(seen) = watching.join_next().await {
            let (probe, wait) = seen??;
            probes.push(probe);
            waits.refused.push(wait);
            last = last.max(wait);
        }
        waits.everywhere.push(last);
    }
    Ok(waits)
}
