//! Packing the log for gateways that start: whichever gateway sees first that enough has come makes the next pack.
//!
//! A pack is made of the log's own messages, and not of what this gateway came to by them: what nobody can read, or what is
//! refused, is in it as well, and whoever reads it decides alike.

use std::collections::{BTreeMap, VecDeque};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::super::{Store, StoreError};
use super::Shared;
use super::delivery::ReadMessage;
use super::follow::fraction;
use super::reader::FAR_BEHIND;
use crate::clock::UnixMillis;
use crate::events::{Keyring, Pack, Part};
use crate::feed::{Bounds, Delivered, FeedError, Listed, SealedPack, Tail};

/// How often each gateway looks.
const EVERY: Duration = Duration::from_secs(5);

/// Bytes of messages in one pack, but for the last of them; well below what servers take by default.
const PACK_BYTES: usize = 512 << 10;

/// How long a message may take that is due.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a message takes in a pack at most beside its body and its revocation in the clear.
const OVERHEAD: usize = 64;

/// The log's messages on their way into packs.
struct Packer {
    tail: Tail,
    /// Read, and in no pack yet.
    read: VecDeque<Delivered>,
    log: u64,
    /// Last place in a pack, and the message there.
    packed: (u64, u64),
    /// Last place that the log had.
    end: u64,
}

impl Store {
    /// Packs what of the shared log no pack covers yet, as the store does itself every few seconds; how many packs that
    /// came to. None where the log is embedded or lacks messages, too little has come since, or another gateway packs.
    ///
    /// # Errors
    /// The log does not answer, or its stream of packs is not what it must be.
    pub async fn pack_log(&self) -> Result<u64, StoreError> {
        let Some(shared) = &self.0.shared else { return Ok(0) };
        let connects = shared.feed.connects();
        let bounds = shared.feed.bounds().await?;
        if !bounds.whole || bounds.identity != self.state().log() {
            return Ok(0);
        }
        let (former, mut end) = self.packed(shared, bounds).await?;
        let packed = former.map_or((bounds.first - 1, 0), |former| (former.part.upto, former.part.last));
        let (mut packs, mut last) = (0, former);
        let (log, mut upto) = (bounds.identity, packed.0);
        if bounds.last.saturating_sub(upto) >= FAR_BEHIND {
            let tail = shared.feed.tail(upto + 1).await?;
            let mut packer = Packer { tail, read: VecDeque::new(), log, packed, end: bounds.last };
            loop {
                let began = Instant::now();
                let Some((part, messages)) = packer.next().await? else { break };
                let (keyring, now) = (self.0.keyring.clone(), self.state().clock.now());
                let sealed =
                    self.block(move || SealedPack::seal(&sorted(part, messages, &keyring, now), &keyring));
                let sealed = sealed.await?.map_err(StoreError::Seal)?;
                // A log that came back older than it was has been lost in between.
                if shared.feed.connects() != connects {
                    break;
                }
                let Some(place) = shared.feed.put_pack(end, sealed).await? else { break };
                (end, upto, packs, last) = (place, part.upto, packs + 1, Some(Listed { part, place }));
                // Those who are served come first.
                tokio::time::sleep(began.elapsed()).await;
            }
        }
        *shared.last_pack.lock().unwrap_or_else(PoisonError::into_inner) = last;
        shared.packed.store(upto, Ordering::Release);
        shared.metrics.packed.set(i64::try_from(upto).unwrap_or(i64::MAX));
        Ok(packs)
    }

    /// The last of the packs that cover the log without a gap, and where their stream ends. What they say of a log that is
    /// lost does not count.
    async fn packed(&self, shared: &Shared, bounds: Bounds) -> Result<(Option<Listed>, u64), FeedError> {
        let former = *shared.last_pack.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Listed { part, place }) = former.filter(|former| former.part.log == bounds.identity) {
            let found = self.last_of_chain(shared, bounds, (place, part.after)).await?;
            if found.0.is_some() {
                return Ok(found);
            }
        }
        self.last_of_chain(shared, bounds, (0, bounds.first - 1)).await
    }

    /// The same of the packs from one place of their stream on, which cover the log behind `after`.
    async fn last_of_chain(
        &self,
        shared: &Shared,
        bounds: Bounds,
        (from, after): (u64, u64),
    ) -> Result<(Option<Listed>, u64), FeedError> {
        let (listed, end) = shared.feed.packs_to_follow(&self.0.keyring, from).await?;
        let Some(last) = chain(listed, bounds, after).pop() else { return Ok((None, end)) };
        let there = shared.feed.identity_at(last.part.upto).await?;
        Ok((Some(last).filter(|last| there == Some(last.part.last)), end))
    }

    pub(super) async fn keep_packed(&self, shared: &Shared) {
        if !shared.feed.options().packs {
            return std::future::pending().await;
        }
        let mut told = None;
        loop {
            tokio::time::sleep(EVERY.mul_f64(0.8 + 0.4 * fraction(shared.feed.name()))).await;
            let applied = self.position();
            if applied.saturating_sub(shared.packed.load(Ordering::Acquire)) < FAR_BEHIND
                || shared.due(applied) > FAR_BEHIND
                || shared.freshness.caught_up(applied).is_err()
            {
                continue;
            }
            match self.pack_log().await {
                Ok(packs) => {
                    tracing::debug!(packs, "packed what has come to the shared log");
                    told = None;
                }
                // It can last: once is enough.
                Err(error) => {
                    let error = error.to_string();
                    if told.as_ref() != Some(&error) {
                        tracing::warn!(error, "the log is not packed for gateways that start");
                        told = Some(error);
                    }
                }
            }
        }
    }
}

impl Packer {
    /// What the next pack covers, and its messages; `None`: it is not worth one, or the log lacks what comes next.
    async fn next(&mut self) -> Result<Option<(Part, Vec<Delivered>)>, FeedError> {
        let (after, before) = self.packed;
        let (mut upto, mut messages, mut bytes) = (after, Vec::new(), 0);
        while bytes < PACK_BYTES && upto < self.end {
            let Some(message) = self.read.pop_front() else {
                self.read.extend(self.tail.next(PATIENCE).await?);
                if self.read.is_empty() {
                    return Ok(None);
                }
                continue;
            };
            if message.seq != upto + 1 {
                return Ok(None);
            }
            upto = message.seq;
            bytes += OVERHEAD + if message.is_long() { 0 } else { message.packed_bytes() };
            messages.push(message);
        }
        let worth = bytes >= PACK_BYTES || upto - after >= FAR_BEHIND;
        let Some(last) = messages.last().filter(|_| worth).map(Delivered::identity) else { return Ok(None) };
        self.packed = (upto, last);
        Ok(Some((Part { log: self.log, after, before, upto, last }, messages)))
    }
}

/// The packs of this log that cover it without a gap from behind `applied`, no further than `bounds`. Each says which message
/// its predecessor ends with, so that what the last one says of the log holds for all; of several the last that was put.
pub(super) fn chain(listed: Vec<Listed>, bounds: Bounds, applied: u64) -> Vec<Listed> {
    let of_this = listed.into_iter().filter(|Listed { part, .. }| {
        part.log == bounds.identity && part.upto <= bounds.last && part.upto > applied
    });
    let mut by_start: BTreeMap<u64, Vec<Listed>> = BTreeMap::new();
    for listed in of_this {
        by_start.entry(listed.part.after).or_default().push(listed);
    }
    let mut chain = Vec::new();
    let first = by_start.range(..=applied).flat_map(|(_, listed)| listed).max_by_key(|listed| listed.place);
    let mut next = first.copied();
    while let Some(listed) = next {
        chain.push(listed);
        let following = by_start.get(&listed.part.upto).into_iter().flatten();
        next = following.rev().find(|following| following.part.before == listed.part.last).copied();
    }
    chain
}

/// Messages as a pack holds them: issuances proved, those of sessions that are over left out, those that are too long as
/// their places, everything else as it came.
pub(super) fn sorted(part: Part, messages: Vec<Delivered>, keyring: &Keyring, now: UnixMillis) -> Pack {
    let mut pack = Pack { part, issuances: Vec::new(), others: Vec::new(), absent: Vec::new() };
    for message in messages {
        if message.is_long() {
            pack.absent.push(message.seq);
            continue;
        }
        let read = ReadMessage::new(message.clone(), keyring, now);
        if read.is_proved_issuance(keyring) {
            pack.issuances.push((message.seq, message.body));
        } else if !read.is_over() {
            pack.others.push(message.into_packed());
        }
    }
    pack
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: Bounds = Bounds { identity: 1, first: 1, last: 100, whole: true };

    /// Log, place before the first and message there, last place and message there.
    type Covers = (u64, (u64, u64), (u64, u64));

    fn covered(parts: &[Covers], applied: u64) -> Vec<(u64, u64)> {
        let packs = parts.iter().zip(1..).map(|(&(log, (after, before), (upto, last)), place)| Listed {
            part: Part { log, after, before, upto, last },
            place,
        });
        chain(packs.collect(), LOG, applied)
            .iter()
            .map(|listed| (listed.part.after, listed.part.upto))
            .collect()
    }

    #[test]
    fn packs_are_read_from_where_a_gateway_is_as_far_as_there_is_no_gap() {
        let parts =
            [(1, (0, 0), (10, 1)), (1, (10, 1), (20, 2)), (1, (20, 2), (30, 3)), (1, (31, 4), (40, 5))];
        assert_eq!(covered(&parts, 0), [(0, 10), (10, 20), (20, 30)]);
        assert_eq!(covered(&parts, 10), [(10, 20), (20, 30)]);
        assert_eq!(covered(&parts, 15), [(10, 20), (20, 30)], "what it has it has");
        assert_eq!(covered(&parts, 30), []);
        assert_eq!(covered(&parts, 31), [(31, 40)]);
        assert_eq!(covered(&parts[1..], 0), [], "the first ones are gone");
        assert_eq!(covered(&[], 0), []);
    }

    #[test]
    fn packs_of_another_log_or_of_what_the_log_has_not_are_passed_over() {
        let parts =
            [(2, (0, 0), (10, 9)), (1, (0, 0), (10, 1)), (2, (10, 9), (20, 9)), (1, (10, 1), (101, 2))];
        assert_eq!(covered(&parts, 0), [(0, 10)]);
    }

    #[test]
    fn where_somebody_began_anew_the_last_ones_count_and_none_follows_one_of_what_is_lost() {
        let former = [(1, (0, 0), (10, 1)), (1, (10, 1), (20, 2)), (1, (20, 2), (30, 3))];
        let anew = [(1, (0, 0), (10, 7)), (1, (10, 7), (20, 8))];
        let both = [&former[..], &anew].concat();
        assert_eq!(covered(&both, 0), [(0, 10), (10, 20)], "(20, 30) followed another one");
        // Somebody puts the former ones there again.
        let replayed = [&anew[..], &former[..1]].concat();
        assert_eq!(covered(&replayed, 0), [(0, 10)], "and nothing follows");
        assert_eq!(covered(&[&former[..], &former[..2]].concat(), 0), [(0, 10), (10, 20), (20, 30)]);
    }
}
