//! The streams: their names, what they must be like, and how far they reach.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use async_nats::jetstream::context::{CreateStreamErrorKind, GetStreamErrorKind};
use async_nats::jetstream::stream::{Config, DiscardPolicy, Info, RetentionPolicy, Source, StorageType};
use futures_util::StreamExt;

use super::FeedError;
use super::message::Place;
use super::tail::{STALLED_AFTER, broken, copied_from};
use crate::clock::UnixMillis;
use crate::config;
use crate::events::MAX_SESSION_MILLIS;

/// How long the log keeps what it holds: the longest session, the hour that marks are kept beyond it, and slack.
const RETENTION: Duration = Duration::from_secs(40 * 3_600);

/// Less than this, and a mark that still matters could be gone from the log.
const SHORTEST_RETENTION: Duration = Duration::from_millis(MAX_SESSION_MILLIS as u64 + 2 * 3_600_000);

/// Within this time the server itself stores nothing twice.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

/// By how much a log that was made anew counts further than what is compacted of the one before it: that may have come much
/// further since.
const UNCOPIED: u64 = 1 << 32;

/// What a cluster answers that has no leader yet.
const UNAVAILABLE: usize = 503;

/// What the streams and subjects of one deployment are called.
#[derive(Clone, Debug)]
pub(super) struct Names {
    prefix: String,
    pub(super) log: String,
    pub(super) state: String,
    pub(super) packs: String,
}

/// Which log it is and how far it reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Tells this stream from one of the same name that was made anew.
    pub(crate) identity: u64,
    /// First sequence number that is still there; one more than `last` if there is none.
    pub(crate) first: u64,
    /// Last sequence number.
    pub(crate) last: u64,
    /// Whether all messages in between are there.
    pub(crate) whole: bool,
}

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        let stream = |what: &str| format!("{prefix}_{what}");
        Self { prefix: prefix.to_owned(), log: stream("log"), state: stream("state"), packs: stream("packs") }
    }

    pub(super) fn subject(&self, place: &Place) -> String {
        format!("{}.log.{place}", self.prefix)
    }

    pub(super) fn beat(&self, what: &str) -> String {
        format!("{}.beat.{what}", self.prefix)
    }

    pub(super) fn pack(&self) -> String {
        format!("{}.pack", self.prefix)
    }

    fn state_filter(&self) -> String {
        format!("{}.log.state.>", self.prefix)
    }

    fn log_config(&self, replicas: usize) -> Config {
        Config {
            name: self.log.clone(),
            description: Some("Sigward: events of credentials".to_owned()),
            subjects: vec![format!("{}.log.>", self.prefix)],
            retention: RetentionPolicy::Limits,
            storage: StorageType::File,
            discard: DiscardPolicy::New,
            max_age: RETENTION,
            duplicate_window: DUPLICATE_WINDOW,
            num_replicas: replicas,
            allow_direct: true,
            ..Config::default()
        }
    }

    fn state_config(&self, replicas: usize) -> Config {
        Config {
            name: self.state.clone(),
            description: Some("Sigward: long-term keys and revocations, the last of each".to_owned()),
            sources: Some(vec![Source {
                name: self.log.clone(),
                filter_subject: Some(self.state_filter()),
                ..Source::default()
            }]),
            retention: RetentionPolicy::Limits,
            storage: StorageType::File,
            max_messages_per_subject: 1,
            num_replicas: replicas,
            ..Config::default()
        }
    }

    fn packs_config(&self, replicas: usize) -> Config {
        Config {
            name: self.packs.clone(),
            description: Some("Sigward: the log once more, many events to a message".to_owned()),
            subjects: vec![self.pack()],
            retention: RetentionPolicy::Limits,
            storage: StorageType::File,
            // What is missing is read from the log.
            discard: DiscardPolicy::Old,
            max_age: RETENTION,
            num_replicas: replicas,
            allow_direct: true,
            ..Config::default()
        }
    }
}

/// Creates or checks both streams.
pub(super) async fn prepare(
    context: &Context,
    names: &Names,
    options: &config::Feed,
) -> Result<Bounds, FeedError> {
    let log = numbered(context, names, options).await?;
    check_log(&log.config, names, options.replicas).map_err(|problem| wrong(&names.log, problem))?;
    let wanted = names.state_config(options.replicas);
    let state = match find(context, &names.state).await? {
        Some(state) => state,
        None => create(context, wanted, options.create_streams).await?,
    };
    check_state(&state.config, names, options.replicas).map_err(|problem| wrong(&names.state, problem))?;
    Ok(Bounds::of(&log))
}

/// The stream of packs, made or checked.
pub(super) async fn packs(
    context: &Context,
    names: &Names,
    options: &config::Feed,
) -> Result<Info, FeedError> {
    match existing_packs(context, names).await? {
        Some(packs) => Ok(packs),
        None => create(context, names.packs_config(options.replicas), options.create_streams).await,
    }
}

/// The stream of packs, if there is one that is what it must be.
pub(super) async fn existing_packs(context: &Context, names: &Names) -> Result<Option<Info>, FeedError> {
    let Some(packs) = find(context, &names.packs).await? else { return Ok(None) };
    check_packs(&packs.config, names).map_err(|problem| wrong(&names.packs, problem))?;
    Ok(Some(packs))
}

/// How far the log reaches now.
pub(super) async fn bounds(context: &Context, names: &Names) -> Result<Bounds, FeedError> {
    match context.get_stream(&names.log).await {
        Ok(stream) => Ok(Bounds::of(stream.cached_info())),
        Err(error) => Err(match error.kind() {
            GetStreamErrorKind::JetStream(cause) if cause.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                wrong(&names.log, "does not exist".to_owned())
            }
            GetStreamErrorKind::JetStream(_)
            | GetStreamErrorKind::EmptyName
            | GetStreamErrorKind::Request
            | GetStreamErrorKind::InvalidStreamName => FeedError::Unreachable(error.to_string()),
        }),
    }
}

/// For how long the log keeps a message; without end, `i64::MAX`.
pub(super) async fn keeps_millis(context: &Context, names: &Names) -> Result<i64, FeedError> {
    let stream = context.get_stream(&names.log).await;
    let stream = stream.map_err(|error| FeedError::Unreachable(error.to_string()))?;
    let keeps = Some(stream.cached_info().config.max_age).filter(|age| !age.is_zero());
    Ok(keeps.and_then(|age| i64::try_from(age.as_millis()).ok()).unwrap_or(i64::MAX))
}

async fn find(context: &Context, name: &str) -> Result<Option<Info>, FeedError> {
    match context.get_stream(name).await {
        Ok(stream) => Ok(Some(stream.cached_info().clone())),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(cause) if cause.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                Ok(None)
            }
            // A cluster that has no leader just now.
            GetStreamErrorKind::JetStream(cause) if cause.code() == UNAVAILABLE => {
                Err(FeedError::Unreachable(cause.to_string()))
            }
            GetStreamErrorKind::JetStream(cause) => Err(wrong(name, cause.to_string())),
            GetStreamErrorKind::EmptyName
            | GetStreamErrorKind::Request
            | GetStreamErrorKind::InvalidStreamName => Err(FeedError::Unreachable(error.to_string())),
        },
    }
}

/// The log, made if it is not there. One that is empty counts on from the one before it, as far as the compacted stream
/// tells of that: its server takes over what has a higher number than what it took last, and gateways tell messages by
/// their numbers, so that what stood under numbers that were used before would be lost to new gateways.
async fn numbered(context: &Context, names: &Names, options: &config::Feed) -> Result<Info, FeedError> {
    // Before the log, which may grow meanwhile: it is behind only if it was so then.
    let copied = last_copied(context, &names.state).await?;
    let first = copied.saturating_add(UNCOPIED);
    let log = match find(context, &names.log).await? {
        Some(log) => log,
        None => {
            let mut wanted = names.log_config(options.replicas);
            wanted.first_sequence = Some(first).filter(|_| copied > 0);
            create(context, wanted, options.create_streams).await?
        }
    };
    if log.state.last_sequence >= copied {
        return Ok(log);
    }
    if log.state.messages > 0 {
        tracing::error!(
            log = names.log,
            last = log.state.last_sequence,
            copied,
            "another log was here before, which reached further: until this one does so too, what is said of long-term \
             keys does not get into the compacted stream, where gateways look that are new 40 hours from now"
        );
        return Ok(log);
    }
    if !options.create_streams {
        let problem = format!(
            "begins anew behind {}, and {} holds what another one said up to {copied}: it must begin beyond that",
            log.state.last_sequence, names.state
        );
        return Err(wrong(&names.log, problem));
    }
    // Servers before 2.10 make no stream that begins anywhere else than at 1.
    let stream = context.get_stream(&names.log).await.map_err(|error| broken(&error))?;
    let now = &stream.cached_info().state;
    if now.messages == 0 && now.last_sequence < copied {
        stream.purge().sequence(first).await.map_err(|error| broken(&error))?;
    }
    let log = find(context, &names.log).await?;
    log.ok_or_else(|| wrong(&names.log, "does not exist".to_owned()))
}

/// The number in the log of what the compacted stream took over last; 0: it holds nothing, or is not there.
async fn last_copied(context: &Context, name: &str) -> Result<u64, FeedError> {
    if find(context, name).await?.is_none_or(|state| state.state.messages == 0) {
        return Ok(0);
    }
    let config =
        OrderedConfig { deliver_policy: DeliverPolicy::Last, headers_only: true, ..OrderedConfig::default() };
    let consumer = context.create_consumer_on_stream(config, name).await.map_err(|error| broken(&error))?;
    let mut messages = consumer.messages().await.map_err(|error| broken(&error))?;
    match tokio::time::timeout(STALLED_AFTER, messages.next()).await {
        Ok(Some(message)) => Ok(copied_from(&message.map_err(|error| broken(&error))?).unwrap_or(0)),
        Ok(None) | Err(_) => Err(broken(&format_args!("{name} fell silent"))),
    }
}

async fn create(context: &Context, wanted: Config, create: bool) -> Result<Info, FeedError> {
    let name = wanted.name.clone();
    if !create {
        return Err(wrong(&name, "does not exist, and feed.create_streams is false".to_owned()));
    }
    match context.create_stream(wanted).await {
        Ok(stream) => {
            tracing::info!(stream = name, "stream created");
            Ok(stream.cached_info().clone())
        }
        Err(error) => match error.kind() {
            CreateStreamErrorKind::TimedOut
            | CreateStreamErrorKind::JetStreamUnavailable
            | CreateStreamErrorKind::Response => Err(FeedError::Unreachable(error.to_string())),
            // Another gateway is making it at this very moment: what it is like shows when it is there.
            CreateStreamErrorKind::JetStream(cause) if cause.error_code() == ErrorCode::STREAM_NAME_EXIST => {
                Err(FeedError::Unreachable(error.to_string()))
            }
            CreateStreamErrorKind::JetStream(cause) if cause.code() == UNAVAILABLE => {
                Err(FeedError::Unreachable(error.to_string()))
            }
            CreateStreamErrorKind::JetStream(_)
            | CreateStreamErrorKind::EmptyStreamName
            | CreateStreamErrorKind::InvalidStreamName
            | CreateStreamErrorKind::DomainAndExternalSet
            | CreateStreamErrorKind::NotFound
            | CreateStreamErrorKind::ResponseParse => {
                Err(wrong(&name, format!("cannot be created: {error}")))
            }
        },
    }
}

fn check_log(found: &Config, names: &Names, replicas: usize) -> Result<(), String> {
    check_common(found, replicas)?;
    let subject = format!("{}.log.>", names.prefix);
    if found.subjects != [subject.as_str()] {
        return Err(format!("takes {:?}; it must take {subject} and nothing else", found.subjects));
    }
    if found.discard != DiscardPolicy::New {
        return Err("must discard new messages when it is full: an old one may be a revocation".to_owned());
    }
    if !found.max_age.is_zero() && found.max_age < SHORTEST_RETENTION {
        let hours = SHORTEST_RETENTION.as_secs() / 3_600;
        return Err(format!("keeps messages for {:?}; at least {hours} hours are needed", found.max_age));
    }
    if found.max_messages_per_subject > 0 {
        return Err("must not limit the messages of a subject".to_owned());
    }
    Ok(())
}

fn check_state(found: &Config, names: &Names, replicas: usize) -> Result<(), String> {
    check_common(found, replicas)?;
    let from_log = |source: &Source| {
        source.name == names.log && source.filter_subject.as_deref() == Some(&names.state_filter())
    };
    let sources = found.sources.as_deref().unwrap_or_default();
    if !matches!(sources, [source] if from_log(source)) || !found.subjects.is_empty() {
        return Err(format!("must take {} from {} and nothing else", names.state_filter(), names.log));
    }
    if found.max_messages_per_subject != 1 {
        return Err("must keep exactly the last message of each subject".to_owned());
    }
    if !found.max_age.is_zero() {
        return Err("must not drop messages by age: long-term keys have none".to_owned());
    }
    Ok(())
}

/// Packs hold nothing that the log does not hold: how long they are kept, and by how many servers, is nobody's business.
fn check_packs(found: &Config, names: &Names) -> Result<(), String> {
    if found.subjects != [names.pack()] {
        return Err(format!("takes {:?}; it must take {} and nothing else", found.subjects, names.pack()));
    }
    if !found.allow_direct {
        return Err("must allow direct access".to_owned());
    }
    Ok(())
}

fn check_common(found: &Config, replicas: usize) -> Result<(), String> {
    if found.storage != StorageType::File {
        return Err("must be kept in files".to_owned());
    }
    if found.retention != RetentionPolicy::Limits {
        return Err("must have the retention policy limits".to_owned());
    }
    if found.num_replicas < replicas {
        return Err(format!("has {} replicas; feed.replicas asks for {replicas}", found.num_replicas));
    }
    Ok(())
}

pub(super) fn wrong(stream: &str, problem: String) -> FeedError {
    FeedError::Stream { stream: stream.to_owned(), problem }
}

impl Bounds {
    fn of(info: &Info) -> Self {
        let nanos = info.created.unix_timestamp_nanos();
        let (first, last) = (info.state.first_sequence.max(1), info.state.last_sequence);
        Self {
            // Never 0, which stands for no stream.
            identity: u64::try_from(nanos).unwrap_or(1).max(1),
            first,
            last,
            whole: info.state.messages == (last + 1).saturating_sub(first),
        }
    }
}

/// The time of a message, to the millisecond.
pub(super) fn millis(unix_nanos: i128) -> UnixMillis {
    UnixMillis(i64::try_from(unix_nanos.div_euclid(1_000_000)).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_created_passes_the_check() {
        let names = Names::new("sigward");
        assert_eq!(check_log(&names.log_config(3), &names, 3), Ok(()));
        assert_eq!(check_state(&names.state_config(3), &names, 3), Ok(()));
        assert_eq!(check_packs(&names.packs_config(3), &names), Ok(()));
    }

    #[test]
    fn a_stream_that_could_lose_a_revocation_is_refused_with_the_reason() {
        let names = Names::new("sigward");
        let log = |change: fn(&mut Config)| {
            let mut config = names.log_config(1);
            change(&mut config);
            check_log(&config, &names, 1).unwrap_err()
        };
        assert!(log(|config| config.discard = DiscardPolicy::Old).contains("discard new"));
        assert!(log(|config| config.max_age = Duration::from_secs(3_600)).contains("at least 38 hours"));
        assert!(log(|config| config.storage = StorageType::Memory).contains("files"));
        assert!(log(|config| config.num_replicas = 0).contains("replicas"));
        assert!(log(|config| config.max_messages_per_subject = 1).contains("limit"));
        assert!(log(|config| config.subjects.push("other".into())).contains("nothing else"));
        let state = |change: fn(&mut Config)| {
            let mut config = names.state_config(1);
            change(&mut config);
            check_state(&config, &names, 1).unwrap_err()
        };
        assert!(state(|config| config.max_age = RETENTION).contains("by age"));
        assert!(state(|config| config.max_messages_per_subject = 2).contains("the last message"));
        assert!(state(|config| config.sources = None).contains("sigward_log"));
        let packs = |change: fn(&mut Config)| {
            let mut config = names.packs_config(1);
            change(&mut config);
            check_packs(&config, &names).unwrap_err()
        };
        assert!(packs(|config| config.subjects.push("other".into())).contains("nothing else"));
        assert!(packs(|config| config.allow_direct = false).contains("direct"));
    }
}
