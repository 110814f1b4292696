//! Proving what the log brings on several threads, so that whoever reads it and whoever writes the file wait for none of
//! it. The log's order is kept.

use futures_util::StreamExt;
use futures_util::future::{Either, Ready, ready};
use futures_util::stream::FuturesOrdered;
use tokio::task::{JoinError, JoinHandle, spawn_blocking};

use super::delivery::ReadMessage;
use crate::clock::UnixMillis;
use crate::events::Keyring;
use crate::feed::Delivered;

/// Threads at most.
const THREADS: usize = 2;

/// For fewer messages another thread costs more time than it saves.
const WORTH_A_THREAD: usize = 64;

/// Messages that are being proved, as they came.
pub(super) struct Proving {
    keyring: Keyring,
    batches: FuturesOrdered<Either<Ready<Proved>, JoinHandle<Vec<ReadMessage>>>>,
}

/// Fails when proving panicked, or the runtime is shutting down.
type Proved = Result<Vec<ReadMessage>, JoinError>;

impl Proving {
    pub(super) fn new(keyring: &Keyring) -> Self {
        Self { keyring: keyring.clone(), batches: FuturesOrdered::new() }
    }

    /// Whether nothing is being proved.
    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Whether nothing more can be proved before what is has been taken.
    pub(super) fn is_full(&self) -> bool {
        self.batches.len() >= THREADS
    }

    /// Has messages proved that came behind all others.
    pub(super) fn add(&mut self, messages: Vec<Delivered>, now: UnixMillis) {
        let batch = if messages.len() < WORTH_A_THREAD {
            Either::Left(ready(Ok(prove(messages, &self.keyring, now))))
        } else {
            let keyring = self.keyring.clone();
            Either::Right(spawn_blocking(move || prove(messages, &keyring, now)))
        };
        self.batches.push_back(batch);
    }

    /// The messages that came first of those that have not been taken; `None`: there are none. Nothing is lost when it
    /// is not waited for to the end.
    pub(super) async fn next(&mut self) -> Option<Proved> {
        self.batches.next().await
    }
}

pub(super) fn prove(messages: Vec<Delivered>, keyring: &Keyring, now: UnixMillis) -> Vec<ReadMessage> {
    messages.into_iter().map(|message| ReadMessage::new(message, keyring, now)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::delivery::fixtures::{NOW, log_of_all_kinds};
    use super::*;

    #[tokio::test]
    async fn messages_keep_their_order_whatever_is_between_them_and_however_long_each_takes() {
        let keyring = Keyring::ephemeral().unwrap();
        let kinds = log_of_all_kinds(&keyring);
        let log = (1..=1_000).zip(kinds.iter().cycle());
        let log: Vec<_> = log.map(|(seq, message)| Delivered { seq, ..message.clone() }).collect();
        let expected = prove(log.clone(), &keyring, NOW);
        let mut proving = Proving::new(&keyring);
        let mut proved = Vec::new();
        let mut rest = &log[..];
        // By turns a batch that takes a while and one that is there at once.
        for size in [300, 1, 200, 63, 64, 2, 300, 70] {
            if proving.is_full() {
                proved.extend(proving.next().await.unwrap().unwrap());
            }
            let (batch, behind) = rest.split_at(size);
            proving.add(batch.to_vec(), NOW);
            rest = behind;
        }
        while let Some(batch) = proving.next().await {
            proved.extend(batch.unwrap());
        }
        assert!(rest.is_empty() && proving.is_empty());
        assert_eq!(format!("{proved:?}"), format!("{expected:?}"));
    }
}
