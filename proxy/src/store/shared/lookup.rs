//! What to do about a credential that this view does not know: the log may hold it already.
//!
//! The log is asked for its last word on the access key id, and if that is further on than this view, the view is waited
//! for. Nothing is applied out of order. Questions about one id share one request and its answer, and all of them share a
//! budget, so that made up ids cost the log no more than that. What a source asks in vain has a bound of its own, so that
//! one that makes ids up does not use up the questions of others.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::super::{Store, StoreError};
use super::Shared;
use super::shares::Shares;
use crate::config::Source;

/// Questions a second, and how many may come at once.
const PER_SECOND: f64 = 50.0;
const BURST: f64 = 100.0;

/// How long a request waits for the view, or for the answer to another request's question.
const ARRIVES_WITHIN: Duration = Duration::from_secs(2);

/// What [`Store::awaited`] tells; `None`: not known yet.
type Answer = Option<Result<bool, StoreError>>;

#[derive(Default)]
pub(super) struct Lookups {
    budget: Mutex<Option<Budget>>,
    shares: Shares,
    /// Ids that are being asked for. A sender that is gone without an answer leaves the question open.
    asked: Mutex<HashMap<Box<str>, watch::Receiver<Answer>>>,
}

struct Budget {
    left: f64,
    at: Instant,
}

/// Ends a question, however it ends.
struct Asking<'a> {
    lookups: &'a Lookups,
    access_key_id: &'a str,
    answer: watch::Sender<Answer>,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let mut asked = self.lookups.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.remove(self.access_key_id);
    }
}

impl Lookups {
    /// The right to ask, or whom to wait for.
    fn begin<'a>(&'a self, access_key_id: &'a str) -> Result<Asking<'a>, watch::Receiver<Answer>> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(other) = asked.get(access_key_id) {
            return Err(other.clone());
        }
        let (answer, other) = watch::channel(None);
        asked.insert(access_key_id.into(), other);
        Ok(Asking { lookups: self, access_key_id, answer })
    }

    /// The answer of `ask`, or of whoever asks about the same id already. "No" is the answer only to a question that was
    /// asked after this call began: the event may have come to the log since an earlier one.
    async fn shared<F>(&self, access_key_id: &str, ask: impl FnOnce() -> F) -> Result<bool, StoreError>
    where
        F: Future<Output = Result<bool, StoreError>>,
    {
        let mut earlier = true;
        loop {
            let mut other = match self.begin(access_key_id) {
                Ok(asking) => {
                    let answer = ask().await;
                    asking.answer.send_replace(Some(answer.clone()));
                    return answer;
                }
                Err(other) => other,
            };
            match tokio::time::timeout(ARRIVES_WITHIN, other.wait_for(Answer::is_some)).await {
                Ok(Ok(answer)) if !earlier || !matches!(*answer, Some(Ok(false))) => {
                    return answer.clone().unwrap_or(Err(StoreError::Behind));
                }
                // "No", or whoever asked has given up.
                Ok(Ok(_) | Err(_)) => earlier = false,
                Err(_) => return Err(StoreError::Behind),
            }
        }
    }

    fn spend(&self, now: Instant) -> bool {
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        let budget = budget.get_or_insert(Budget { left: BURST, at: now });
        let earned = now.duration_since(budget.at).as_secs_f64() * PER_SECOND;
        (budget.left, budget.at) = ((budget.left + earned).min(BURST), now);
        let enough = budget.left >= 1.0;
        budget.left -= f64::from(u8::from(enough));
        enough
    }
}

impl Store {
    /// Whether a credential that [`load`](Self::load) does not find may be there now: the log holds it, and this view has
    /// come to it. Never with an embedded log, which has nothing that the view has not, and never for a source that has
    /// asked too much in vain.
    ///
    /// # Errors
    /// [`StoreError::Behind`]: that cannot be said. The log holds something that does not arrive, or it is out of reach.
    pub async fn awaited(
        &self,
        access_key_id: &str,
        temporary: bool,
        source: Source,
    ) -> Result<bool, StoreError> {
        let Some(shared) = &self.0.shared else { return Ok(false) };
        // Before it joins others: they must not get its answer for theirs.
        if !shared.lookups.shares.has_left(source, Instant::now()) {
            shared.metrics.unasked_of_source.inc();
            return Ok(false);
        }
        shared.lookups.shared(access_key_id, || self.ask(shared, access_key_id, temporary, source)).await
    }

    async fn ask(
        &self,
        shared: &Shared,
        access_key_id: &str,
        temporary: bool,
        source: Source,
    ) -> Result<bool, StoreError> {
        // Taken before the answer is there, so that many questions at once are no way around it.
        if !shared.lookups.shares.take(source, Instant::now()) {
            shared.metrics.unasked_of_source.inc();
            return Ok(false);
        }
        if !shared.lookups.spend(Instant::now()) {
            shared.lookups.shares.give_back(source, Instant::now());
            shared.metrics.unasked.inc();
            return Ok(false);
        }
        shared.metrics.asked.inc();
        let last = shared.feed.last_of(access_key_id, temporary).await;
        if !matches!(last, Ok(None)) {
            shared.lookups.shares.give_back(source, Instant::now());
        }
        let seq = match last {
            Ok(Some(seq)) => seq,
            Ok(None) => return Ok(false),
            Err(_) => return Err(StoreError::Behind),
        };
        shared.knows_of(seq);
        let mut seen = shared.seen.subscribe();
        if *seen.borrow() >= seq {
            // Arrived in between, or refused.
            return Ok(true);
        }
        match tokio::time::timeout(ARRIVES_WITHIN, seen.wait_for(|seen| *seen >= seq)).await {
            Ok(Ok(_)) => Ok(true),
            Ok(Err(_)) | Err(_) => Err(StoreError::Behind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn late(answer: Result<bool, StoreError>) -> Result<bool, StoreError> {
        tokio::time::sleep(Duration::from_secs(1)).await;
        answer
    }

    #[test]
    fn made_up_ids_cost_no_more_than_the_budget() {
        let (lookups, now) = (Lookups::default(), Instant::now());
        assert_eq!((0..1_000).filter(|_| lookups.spend(now)).count(), 100);
        let later = now + Duration::from_secs(1);
        assert_eq!((0..1_000).filter(|_| lookups.spend(later)).count(), 50);
    }

    #[test]
    fn one_id_is_asked_for_once_at_a_time() {
        let lookups = Lookups::default();
        let asking = lookups.begin("ASIA1").ok().unwrap();
        assert!(lookups.begin("ASIA1").is_err() && lookups.begin("ASIA2").is_ok());
        drop(asking);
        assert!(lookups.begin("ASIA1").is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn everybody_gets_the_answer_of_the_one_who_asks() {
        let lookups = Lookups::default();
        for answer in [Ok(true), Err(StoreError::Behind)] {
            let first = lookups.shared("ASIA1", || late(answer.clone()));
            let second = lookups.shared("ASIA1", || async { panic!("asked twice") });
            let told = format!("{answer:?}");
            let (first, second) = tokio::join!(first, second);
            assert_eq!((format!("{first:?}"), format!("{second:?}")), (told.clone(), told));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_earlier_question_says_yes_to_later_requests_but_not_no() {
        let lookups = Lookups::default();
        let first = lookups.shared("ASIA1", || late(Ok(false)));
        let second = lookups.shared("ASIA1", || late(Ok(true)));
        let third = lookups.shared("ASIA1", || late(Ok(true)));
        let (first, second, third) = tokio::join!(first, second, third);
        assert!(matches!((first, second, third), (Ok(false), Ok(true), Ok(true))));
        let questions = std::cell::Cell::new(0);
        let ask = || {
            questions.set(questions.get() + 1);
            late(Ok(false))
        };
        let [one, two, three] = [(); 3].map(|()| lookups.shared("ASIA1", ask));
        let told = tokio::join!(one, two, three);
        assert!(matches!(told, (Ok(false), Ok(false), Ok(false))));
        assert_eq!(questions.get(), 2, "however many wait");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_one_who_gives_up_asks_and_who_waits_too_long_knows_nothing() {
        let lookups = Lookups::default();
        let asking = lookups.begin("ASIA1").ok().unwrap();
        let gives_up = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(asking);
        };
        let (told, ()) = tokio::join!(lookups.shared("ASIA1", || async { Ok(false) }), gives_up);
        assert!(matches!(told, Ok(false)));
        let _asking = lookups.begin("ASIA1").ok().unwrap();
        let told = lookups.shared("ASIA1", || async { panic!("asked twice") }).await;
        assert!(matches!(told, Err(StoreError::Behind)));
    }
}
