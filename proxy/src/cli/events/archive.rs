//! `sigward events export`, `sigward events import`

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::{ConfigArgs, Failure, private};
use super::reading::{Reading, Verb};
use super::{SourceArgs, keyring};
use crate::clock::Clock;
use crate::config::{Config, Environment};
use crate::events::{ArchiveItem, ArchiveReader, ArchiveTrailer};
use crate::feed::Feed;
use crate::metrics::Metrics;
use crate::server;
use crate::store::{Imported, Store, StoreOptions};

/// How long a shared log may take to be read before anything is imported into it.
const READY_WITHIN: Duration = Duration::from_secs(600);

/// How often it is asked whether it has been.
const READY_EVERY: Duration = Duration::from_millis(50);

#[derive(Debug, clap::Args)]
pub(super) struct ExportArgs {
    /// Where to write; nobody else may read it
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    source: SourceArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct ImportArgs {
    /// What `sigward events export` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    config: ConfigArgs,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

/// Writes the file, whole or not at all.
pub(super) async fn export(args: &ExportArgs, environment: &Environment) -> Result<(), Failure> {
    let mut lines = args.source.read(Verb::Export, environment).await?;
    let mut file = private::Partial::create(&args.file)?;
    let (trailer, left_out) = copy(&mut lines, &mut file).await?;
    file.keep()?;
    if left_out > 0 {
        let warning =
            format!("{left_out} events wait for a sealing key where the log was read, and are not in it");
        writeln!(std::io::stderr(), "sigward: {warning}")?;
    }
    let ArchiveTrailer { events, marks, access_keys } = trailer;
    let mut out = std::io::stdout().lock();
    if args.source.admin.json {
        let told = serde_json::json!({
            "events": events, "revocations": marks, "access_keys": access_keys, "left_out": left_out,
        });
        writeln!(out, "{told}")?;
    } else {
        let file = args.file.display();
        writeln!(out, "{file}: {events} events, {marks} revocations in force, {access_keys} long-term keys")?;
    }
    Ok(())
}

/// Copies a log and makes sure that all of it has come. Returns its last line, and how many events are not in it.
async fn copy(lines: &mut Reading, file: &mut private::Partial) -> Result<(ArchiveTrailer, u64), Failure> {
    let foreign = |error| Failure::Server(Box::new(error));
    let mut out = BufWriter::new(file);
    let first = lines.next().await?.unwrap_or_default();
    let (mut archive, header) = ArchiveReader::begin(&first).map_err(foreign)?;
    writeln!(out, "{first}")?;
    let mut end = ArchiveTrailer::default();
    while let Some(line) = lines.next().await? {
        if let ArchiveItem::End(trailer) = archive.read(&line, None).map_err(foreign)? {
            end = trailer;
        }
        writeln!(out, "{line}")?;
    }
    archive.finish().map_err(foreign)?;
    out.flush()?;
    Ok((end, header.left_out))
}

/// Imports into the log that the configuration names: into its file while no gateway runs on that, or into JetStream.
pub(super) async fn import(args: &ImportArgs, environment: &Environment) -> Result<(), Failure> {
    let config = args.config.load(environment)?;
    let imported = match &config.feed {
        None => import_into(&args.file, &config, config.store.path.clone(), None).await?,
        Some(feed) => {
            let view = tempfile::tempdir()?;
            let feed = Feed::connect_to_look(feed).await?;
            import_into(&args.file, &config, view.path().join("view.redb"), Some(feed)).await?
        }
    };
    let mut out = std::io::stdout().lock();
    let Imported { revocations, sessions, access_keys, deleted, known, expired, kept, declared } = imported;
    if args.json {
        let told = serde_json::json!({
            "revocations": revocations, "sessions": sessions, "access_keys": access_keys, "deleted": deleted,
            "known": known, "expired": expired, "kept": kept, "declared": declared,
        });
        writeln!(out, "{told}")?;
        return Ok(());
    }
    writeln!(out, "imported: {revocations} revocations, {sessions} sessions, {access_keys} long-term keys")?;
    writeln!(out, "long-term keys deleted: {deleted}")?;
    writeln!(out, "known before: {known}")?;
    writeln!(out, "sessions that are over: {expired}")?;
    writeln!(out, "long-term keys that were deleted or changed here later, and stay so: {kept}")?;
    writeln!(out, "long-term keys of configurations, which are declared and not imported: {declared}")?;
    Ok(())
}

async fn import_into(
    archive: &Path,
    config: &Config,
    path: PathBuf,
    feed: Option<Feed>,
) -> Result<Imported, Failure> {
    let metrics = Metrics::new();
    let audit = server::audit(&config.audit, &metrics).map_err(|error| Failure::Server(Box::new(error)))?;
    let shared = feed.is_some();
    let options = StoreOptions { feed, audit, ..StoreOptions::new(path, config.store.cache_bytes) };
    let store = Store::open(&options, keyring(config)?, Clock::system(), &metrics)?;
    // What is wrong with the streams is told at once, rather than tried again and again.
    store.check_log().await?;
    let follower = tokio::spawn(store.clone().follow());
    let imported = async {
        if shared {
            ready(&store).await?;
        }
        store.import(archive).await.map_err(|error| Failure::Server(Box::new(error)))
    };
    let imported = imported.await;
    follower.abort();
    store.close().await;
    imported
}

/// Waits until all of a shared log has been read: what it knows counts.
async fn ready(store: &Store) -> Result<(), Failure> {
    let waiting = async {
        while store.ready().is_err() {
            tokio::time::sleep(READY_EVERY).await;
        }
    };
    if tokio::time::timeout(READY_WITHIN, waiting).await.is_ok() {
        return Ok(());
    }
    store.ready().map_err(|not_ready| Failure::Server(Box::new(not_ready)))
}
