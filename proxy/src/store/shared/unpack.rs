//! Reading packs: a gateway that is far behind takes what it lacks from there, many messages at a time, and reads from the log
//! itself what comes behind them.
//!
//! Packs count while the log still has the message that the last one ends with: each says the same of its predecessor. The first
//! one that cannot be read ends it: the log is read from there on, and all of it where messages are missing in it.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use redb::ReadableDatabase;
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::super::Store;
use super::super::apply::{Batch, Packed, Staged};
use super::super::tables::{META_UNPACKED, meta};
use super::super::writer::Command;
use super::Shared;
use super::delivery::{Outcome, ReadMessage, apply, apply_packed};
use super::pack::chain;
use super::proving::prove;
use super::reader::{FAR_BEHIND, Interrupted, ended};
use crate::clock::UnixMillis;
use crate::events::{Keyring, Pack, Part, RowError, read_pack};
use crate::feed::{Bounds, Delivered, Listed};

/// Packs that are fetched and read at the same time.
const AT_ONCE: usize = 4;

/// Packs that may wait for the file.
const AHEAD: usize = 32;

/// Sessions that are sorted at once, at most.
const TOGETHER: usize = 1 << 20;

/// How long one transaction waits for packs: whoever else writes waits for it.
const LONGEST: Duration = Duration::from_secs(4);

/// A pack that has been read.
#[derive(Debug)]
pub(super) struct Unpacked {
    pub(super) part: Part,
    /// Issuances that its maker has proved.
    pub(super) sessions: Vec<Packed>,
    /// Everything else.
    pub(super) others: Vec<ReadMessage>,
}

/// Packs on their way into the file.
#[derive(Debug)]
pub(in crate::store) struct Unpacking(Receiver<Unpacked>);

/// What one transaction took from packs.
#[derive(Debug)]
pub(in crate::store) struct Taken {
    /// Sessions of which there is nothing to say.
    sessions: usize,
    /// What became of the rest.
    outcomes: Vec<Outcome>,
    /// What is left.
    pub(super) rest: Option<Unpacking>,
}

impl Store {
    /// Takes in what is packed, if much of the log is due. What goes wrong with it is no harm.
    pub(super) async fn unpack(&self, shared: &Shared, bounds: Bounds) -> Result<(), Interrupted> {
        let far_behind = bounds.last.saturating_sub(self.position()) >= FAR_BEHIND;
        // Whoever waits for an event waits for its message, and no pack covers what is published from now on.
        let awaited = !shared.waiting().is_empty();
        // Gaps are seen, and filled, by reading message by message.
        if !shared.feed.options().packs || !bounds.whole || !far_behind || awaited {
            return Ok(());
        }
        let unpacked = self.read(|db| meta(&db.begin_read()?, META_UNPACKED)).await?;
        if self.position() < unpacked {
            return Ok(());
        }
        match self.take_packs(shared, bounds).await {
            Err(Interrupted::Feed(error)) => {
                tracing::warn!(%error, at = self.position(), "packs cannot be used; reading the log itself");
                Ok(())
            }
            done => done,
        }
    }

    async fn take_packs(&self, shared: &Shared, bounds: Bounds) -> Result<(), Interrupted> {
        let applied = self.position();
        let listed = chain(shared.feed.packs(&self.0.keyring).await?, bounds, applied);
        let Some(Part { upto, last, .. }) = listed.last().map(|last| last.part) else { return Ok(()) };
        if shared.feed.identity_at(upto).await? != Some(last) {
            return Err(shared.feed.unusable_pack(&"holds packs of what the log has lost").into());
        }
        tracing::info!(applied, upto, packs = listed.len(), "reading packs");
        let (ahead, packs) = mpsc::channel(AHEAD);
        let unpacking = Unpacking(packs);
        let (read, taken) =
            tokio::join!(self.read_packs(shared, listed, ahead), self.apply_packs(shared, unpacking));
        taken?;
        read
    }

    /// Fetches and reads packs in their order.
    async fn read_packs(
        &self,
        shared: &Shared,
        packs: Vec<Listed>,
        ahead: Sender<Unpacked>,
    ) -> Result<(), Interrupted> {
        let mut read = stream::iter(packs).map(|listed| self.read_one(shared, listed)).buffered(AT_ONCE);
        while let Some(unpacked) = read.next().await {
            let unpacked = unpacked?;
            self.enforce(&unpacked.others);
            ahead.send(unpacked).await.map_err(|_| ended())?;
        }
        Ok(())
    }

    async fn read_one(&self, shared: &Shared, listed: Listed) -> Result<Unpacked, Interrupted> {
        let body = shared.feed.pack(&listed).await?;
        let (keyring, now) = (self.0.keyring.clone(), self.state().clock.now());
        let read = self.block(move || {
            let mut pack = read_pack(&body, &keyring)?;
            let absent = std::mem::take(&mut pack.absent);
            Ok((absent, Unpacked::of(pack, listed.part, &keyring, now)?))
        });
        let (absent, mut unpacked) =
            read.await?.map_err(|error: RowError| shared.feed.unusable_pack(&error))?;
        for place in absent {
            let Some(message) = shared.feed.message_at(place).await? else {
                return Err(shared.feed.unusable_pack(&"tells of what the log has lost").into());
            };
            unpacked.others.push(ReadMessage::new(message, &self.0.keyring, now));
        }
        unpacked.others.sort_by_key(ReadMessage::seq);
        Ok(unpacked)
    }

    /// Has packs applied as they come, until no more do.
    async fn apply_packs(&self, shared: &Shared, mut unpacking: Unpacking) -> Result<(), Interrupted> {
        loop {
            let taken = self.command(|reply| Command::Unpack(unpacking, reply)).await?;
            shared.metrics.unpacked.inc_by(taken.sessions as u64);
            shared.metrics.applied.inc_by(taken.sessions as u64);
            self.account(shared, &taken.outcomes);
            if taken.outcomes.iter().any(|outcome| matches!(outcome, Outcome::Unreadable { .. })) {
                self.count_quarantine(shared);
            }
            shared.seen.send_replace(self.position());
            shared.freshness.applied(self.position());
            match taken.rest {
                Some(rest) => unpacking = rest,
                None => return Ok(()),
            }
        }
    }
}

impl Unpacking {
    /// Applies packs as they come, in one transaction, until there are no more or many sessions are to be sorted.
    pub(in crate::store) fn apply(self, batch: &mut Batch<'_, '_>) -> Result<Taken, redb::Error> {
        self.apply_some(batch, TOGETHER)
    }

    /// The same for so many sessions, and what comes with them.
    pub(super) fn apply_some(
        mut self,
        batch: &mut Batch<'_, '_>,
        together: usize,
    ) -> Result<Taken, redb::Error> {
        let mut staged = Staged::default();
        let mut taken = Taken { sessions: 0, outcomes: Vec::new(), rest: None };
        let began = Instant::now();
        while let Some(Unpacked { part, mut sessions, mut others }) = self.0.blocking_recv() {
            let applied = batch.position();
            sessions.drain(..sessions.partition_point(|session| session.seq <= applied));
            others.drain(..others.partition_point(|other| other.seq() <= applied));
            for other in others {
                let rest = sessions.split_off(sessions.partition_point(|session| session.seq < other.seq()));
                batch.stage(std::mem::replace(&mut sessions, rest), &mut staged)?;
                if other.asks_for_sessions() {
                    taken.add(std::mem::take(&mut staged), batch)?;
                }
                taken.outcomes.push(apply(&other, batch)?);
            }
            batch.stage(sessions, &mut staged)?;
            batch.pass(part.upto);
            batch.anchor(part.last);
            if staged.len() >= together || began.elapsed() >= LONGEST {
                taken.add(staged, batch)?;
                taken.rest = Some(self);
                return Ok(taken);
            }
        }
        taken.add(staged, batch)?;
        Ok(taken)
    }
}

#[cfg(test)]
impl Unpacking {
    /// Packs that have come.
    pub(super) fn fixed(packs: Vec<Unpacked>) -> Self {
        let (ahead, behind) = mpsc::channel(packs.len().max(1));
        for unpacked in packs {
            ahead.try_send(unpacked).unwrap();
        }
        Self(behind)
    }
}

impl Unpacked {
    /// Reads a pack that covers `part`, as its headers say.
    pub(super) fn of(pack: Pack, part: Part, keyring: &Keyring, now: UnixMillis) -> Result<Self, RowError> {
        if pack.part != part {
            return Err(RowError::Malformed("a pack of another part of the log".into()));
        }
        let sessions =
            pack.issuances.into_iter().filter_map(|row| Packed::read(row, keyring, now).transpose());
        let others = pack.others.into_iter().map(Delivered::of_packed);
        Ok(Self {
            part,
            sessions: sessions.collect::<Result<_, _>>()?,
            others: prove(others.collect(), keyring, now),
        })
    }
}

impl Taken {
    /// Takes in what is staged; what has to do with other sessions one by one.
    fn add(&mut self, staged: Staged, batch: &mut Batch<'_, '_>) -> Result<(), redb::Error> {
        self.sessions += staged.len();
        for (seq, row) in batch.take_staged(staged)? {
            self.sessions -= 1;
            self.outcomes.push(apply_packed(seq, row, batch)?);
        }
        Ok(())
    }
}
