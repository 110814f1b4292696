//! The keys of the declared providers, as fresh as they can be had.
//!
//! Keys are good for [`FRESH`]; then the next token that needs them waits for new ones. A provider that is out of
//! reach does not lock anybody out at once: its last keys serve until they are [`STALE`]. A token with an unknown
//! key id is reason to ask again, but not more often than every [`PATIENCE`], whoever sends such tokens. Of many
//! that wait for one provider one asks, and none asks again right after a failure.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntGaugeVec};

use super::claims::name_of;
use super::fetch::{FetchError, fetch};
use super::jwks::KeySet;
use crate::clock::UnixMillis;
use crate::iam::directory::OidcProvider;
use crate::metrics::Metrics;

/// How long keys are used without asking again.
pub(super) const FRESH: Duration = Duration::from_secs(10 * 60);
/// How old keys may get while their provider is out of reach. A key that its provider withdrew works no longer
/// than this.
pub(super) const STALE: Duration = Duration::from_secs(60 * 60);
/// Least time between two questions about an unknown key id.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// Least time after a failure.
pub(super) const REST: Duration = Duration::from_secs(5);

/// The keys of every provider that was asked for.
pub(super) struct ProviderKeys {
    sources: Mutex<HashMap<OidcProvider, Arc<Source>>>,
    metrics: KeyMetrics,
}

/// The keys of one provider.
struct Source {
    state: Mutex<State>,
    /// Held by whoever fetches.
    flight: tokio::sync::Mutex<()>,
}

#[derive(Clone, Debug, Default)]
struct State {
    held: Option<Held>,
    asked_at: Option<UnixMillis>,
    failed: bool,
    used_at: Option<UnixMillis>,
}

/// Keys and when they came.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) keys: Arc<KeySet>,
    fetched_at: UnixMillis,
}

struct KeyMetrics {
    fetched: IntCounter,
    failed: IntCounter,
    stale: IntCounter,
    seconds: Histogram,
    fetched_at: IntGaugeVec,
}

impl ProviderKeys {
    pub(super) fn new(metrics: &Metrics) -> Self {
        Self { sources: Mutex::default(), metrics: KeyMetrics::register(metrics) }
    }

    /// Keys to verify a token of `provider` with.
    pub(super) async fn get(&self, provider: &OidcProvider, now: UnixMillis) -> Result<Held, FetchError> {
        let source = self.source(provider, now);
        if let Some(held) = source.state().usable(FRESH, now) {
            return Ok(held);
        }
        let fetched = self.refresh(&source, provider, now, |state| state.usable(FRESH, now)).await;
        fetched.or_else(|error| {
            let stale = source.state().usable(STALE, now).ok_or(error)?;
            self.metrics.stale.inc();
            Ok(stale)
        })
    }

    /// Keys that came after `known`, for a token that means none of those.
    ///
    /// `None`: it is too early to ask again.
    pub(super) async fn newer(
        &self,
        provider: &OidcProvider,
        known: &Held,
        now: UnixMillis,
    ) -> Result<Option<Held>, FetchError> {
        let source = self.source(provider, now);
        let newer = |state: &State| state.held.clone().filter(|held| !Arc::ptr_eq(&held.keys, &known.keys));
        if let Some(held) = newer(&source.state()) {
            return Ok(Some(held));
        }
        if source.state().asked_within(PATIENCE, now) {
            return Ok(None);
        }
        self.refresh(&source, provider, now, newer).await.map(Some)
    }

    /// Asks the provider, unless somebody else has just done so and `settled` says it will do.
    async fn refresh(
        &self,
        source: &Source,
        provider: &OidcProvider,
        now: UnixMillis,
        settled: impl Fn(&State) -> Option<Held>,
    ) -> Result<Held, FetchError> {
        let _flight = source.flight.lock().await;
        {
            let state = source.state();
            if let Some(held) = settled(&state) {
                return Ok(held);
            }
            if state.failed && state.asked_within(REST, now) {
                return Err(FetchError::Resting);
            }
        }
        let timer = self.metrics.seconds.start_timer();
        let fetched = fetch(provider).await;
        timer.observe_duration();
        let mut state = source.state();
        state.asked_at = Some(now);
        state.failed = fetched.is_err();
        match fetched {
            Ok(keys) => {
                let held = Held { keys: Arc::new(keys), fetched_at: now };
                state.held = Some(held.clone());
                self.metrics.fetched.inc();
                self.metrics.age_of(provider).set(now.timestamp().unix());
                Ok(held)
            }
            Err(error) => {
                self.metrics.failed.inc();
                tracing::warn!(issuer = provider.url, %error, "the keys of an identity provider cannot be had");
                Err(error)
            }
        }
    }

    /// The keys of `provider`, exactly as it is declared. Those of declarations that nobody asks for any longer, for
    /// example because they were changed, are let go.
    fn source(&self, provider: &OidcProvider, now: UnixMillis) -> Arc<Source> {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let source = match sources.get(provider) {
            Some(source) => Arc::clone(source),
            None => {
                sources.retain(|_, source| source.state().used_within(STALE, now));
                let source =
                    Arc::new(Source { state: Mutex::default(), flight: tokio::sync::Mutex::default() });
                sources.insert(provider.clone(), Arc::clone(&source));
                source
            }
        };
        source.state().used_at = Some(now);
        source
    }
}

impl Source {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn usable(&self, age: Duration, now: UnixMillis) -> Option<Held> {
        self.held.clone().filter(|held| is_within(held.fetched_at, age, now))
    }

    fn asked_within(&self, age: Duration, now: UnixMillis) -> bool {
        self.asked_at.is_some_and(|asked_at| is_within(asked_at, age, now))
    }

    fn used_within(&self, age: Duration, now: UnixMillis) -> bool {
        self.used_at.is_some_and(|used_at| is_within(used_at, age, now))
    }
}

/// Whether less than `age` has passed since `then`; since a time to come, none has.
fn is_within(then: UnixMillis, age: Duration, now: UnixMillis) -> bool {
    i128::from(now.0) - i128::from(then.0) < age.as_millis().cast_signed()
}

impl KeyMetrics {
    fn register(metrics: &Metrics) -> Self {
        let fetches = metrics.counters(
            "oidc_fetches_total",
            "Attempts to get the keys of an identity provider, by outcome: ok, failed.",
            &["outcome"],
        );
        Self {
            fetched: fetches.with_label_values(&["ok"]),
            failed: fetches.with_label_values(&["failed"]),
            stale: metrics.counter(
                "oidc_stale_keys_used_total",
                "Tokens verified with keys past their time because the identity provider is out of reach.",
            ),
            seconds: metrics.seconds(
                "oidc_fetch_duration_seconds",
                "Time it takes to get the keys of an identity provider.",
            ),
            fetched_at: metrics.gauges(
                "oidc_keys_fetched_timestamp_seconds",
                "When the keys in use came from the declared identity provider.",
                &["provider"],
            ),
        }
    }

    fn age_of(&self, provider: &OidcProvider) -> prometheus::IntGauge {
        self.fetched_at.with_label_values(&[name_of(provider)])
    }
}
