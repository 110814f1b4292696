//! Putting what is appended into the log, and waiting until it has come back from there and is in force here.

use std::collections::HashSet;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::super::tables::identity;
use super::super::{Store, StoreError};
use super::plan::{self, Planned};
use super::{Outcome, Shared, is_local, plain_mark};
use crate::events::{Event, EventData, Receipt};
use crate::feed::{Ack, FeedError, Outgoing};

/// How long an append waits until what it published has come back and is applied.
const APPLIED_WITHIN: Duration = Duration::from_secs(10);

/// Events that are under way at a time, at most.
const LONGEST_RUN: usize = 1_024;

/// An event that is to come back: takes the append from the list of those that wait, however it ends.
struct Waiting<'a> {
    shared: &'a Shared,
    /// As the file knows the event.
    identity: u128,
    message: Outgoing,
    outcome: oneshot::Receiver<Outcome>,
}

impl<'a> Waiting<'a> {
    fn new(shared: &'a Shared, event: &Event, message: Outgoing) -> Self {
        let (reply, outcome) = oneshot::channel();
        shared.waiting().insert(message.id.as_str().into(), reply);
        Self { shared, identity: identity(&event.source, &event.id), message, outcome }
    }

    /// What becomes of it, given that the log has it where `ack` says. `None`: if it has come, it was before this append
    /// began to wait.
    async fn back(&mut self, ack: Ack) -> Result<Option<Receipt>, StoreError> {
        let mut seen = self.shared.seen.subscribe();
        tokio::select! {
            biased;
            outcome = &mut self.outcome => outcome.map_err(|_| StoreError::Closed)?.into_receipt(ack.seq).map(Some),
            seen = seen.wait_for(|seen| ack.duplicate && *seen >= ack.seq) => {
                seen.map_err(|_| StoreError::Closed)?;
                Ok(None)
            }
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.shared.waiting().remove(self.message.id.as_str());
    }
}

/// What there is to do about an event of a run.
enum Step<'a> {
    Known(u64),
    Publish(Waiting<'a>),
}

impl Store {
    /// Publishes events in order. Issuances that follow one another are published at once and waited for together;
    /// everything else is applied here before the next is looked at. What the configuration of this gateway and its
    /// sources declare is nobody else's business and stays here.
    pub(in crate::store) async fn append_shared(
        &self,
        shared: &Shared,
        events: Vec<Event>,
    ) -> Result<Vec<Receipt>, StoreError> {
        let mut receipts = Vec::with_capacity(events.len());
        let mut rest = events.into_iter().peekable();
        while let Some(event) = rest.next() {
            if is_local(&event) {
                receipts.extend(self.write(vec![event], true).await?);
                continue;
            }
            let mut run = Run::of(event);
            while run.events.len() < LONGEST_RUN
                && let Some(event) = rest.next_if(|event| run.takes(event))
            {
                run.events.push(event);
            }
            receipts.extend(self.publish(shared, run.events).await?);
        }
        Ok(receipts)
    }

    /// Publishes events that do not depend on each other. When one is refused here, those before it are published and
    /// waited for, and those after it are not published.
    async fn publish(&self, shared: &Shared, events: Vec<Event>) -> Result<Vec<Receipt>, StoreError> {
        let now = self.state().clock.now();
        let (checked, wrong) = until_err(events.into_iter().map(|event| event.check(now).map(|()| event)));
        let store = self.clone();
        let planned = move || store.state().with_db(|db| plan::plan_all(db, &store.0.keyring, checked));
        let (planned, refused) = self.block(planned).await??;
        let steps = planned.into_iter().map(|planned| match planned {
            Planned::Known(seq) => Ok(Step::Known(seq)),
            Planned::Publish(event) => {
                let message = Outgoing::seal(&event, plain_mark(&event).as_ref(), &self.0.keyring, now)?;
                Ok(Step::Publish(Waiting::new(shared, &event, message)))
            }
        });
        let (steps, unsealed) = until_err(steps);
        let receipts = self.settle(shared, steps).await?;
        match unsealed.map(StoreError::Seal).or(refused).or(wrong.map(StoreError::from)) {
            Some(error) => Err(error),
            None => Ok(receipts),
        }
    }

    /// Sends what is to be published, and waits until all of it is in force.
    async fn settle(&self, shared: &Shared, mut steps: Vec<Step<'_>>) -> Result<Vec<Receipt>, StoreError> {
        let timer = shared.metrics.publish_seconds.start_timer();
        let messages = steps.iter().filter_map(|step| match step {
            Step::Known(_) => None,
            Step::Publish(waiting) => Some(&waiting.message),
        });
        let mut acks = shared.feed.publish_all(messages).await.into_iter();
        timer.observe_duration();
        let deadline = Instant::now() + APPLIED_WITHIN;
        let mut receipts = Vec::with_capacity(steps.len());
        for step in &mut steps {
            let waiting = match step {
                Step::Known(seq) => {
                    receipts.push(Receipt { seq: *seq, duplicate: true });
                    continue;
                }
                Step::Publish(waiting) => waiting,
            };
            let lost = || FeedError::Unreachable("no acknowledgement".to_owned());
            let ack = acks.next().unwrap_or_else(|| Err(lost()))?;
            shared.knows_of(ack.seq);
            let back = tokio::time::timeout_at(deadline, waiting.back(ack)).await;
            receipts.push(match back.unwrap_or(Err(StoreError::NotApplied { seq: ack.seq }))? {
                Some(receipt) => receipt,
                // The server remembers for a while what the log held, whether or not it still does.
                None => self.known(waiting.identity, ack.seq).await?,
            });
        }
        Ok(receipts)
    }

    /// The receipt of an event that stood at `seq` and has been applied here.
    async fn known(&self, identity: u128, seq: u64) -> Result<Receipt, StoreError> {
        if self.read(move |db| plan::is_known(db, identity)).await? {
            return Ok(Receipt { seq, duplicate: true });
        }
        Err(StoreError::NotApplied { seq })
    }
}

/// Events that can be under way at the same time: issuances of different sessions, or a single one of anything.
struct Run {
    events: Vec<Event>,
    /// Of issuances: access key ids, sources and ids so far.
    names: HashSet<String>,
}

impl Run {
    fn of(event: Event) -> Self {
        let mut run = Self { events: Vec::new(), names: HashSet::new() };
        run.takes(&event);
        run.events.push(event);
        run
    }

    /// Whether `event` can be under way together with the others.
    fn takes(&mut self, event: &Event) -> bool {
        let EventData::CredentialIssued(credential) = &event.data else { return false };
        let alone = self.names.is_empty() && !self.events.is_empty();
        !alone
            && self.names.insert(credential.access_key_id.as_str().to_owned())
            && self.names.insert(format!("{} {}", event.source, event.id))
    }
}

/// What comes before the first error, and that error.
fn until_err<T, E>(items: impl Iterator<Item = Result<T, E>>) -> (Vec<T>, Option<E>) {
    let mut error = None;
    let good = items.map_while(|item| item.map_err(|found| error = Some(found)).ok()).collect();
    (good, error)
}
