//! Packs: messages of the log, many to a message, in a stream of their own. Whoever starts reads them sooner than one by one.
//!
//! A pack says in a header, sealed, which part of which log it covers; what has no such header is none. Packs follow one another,
//! each put behind all that its maker saw, so that of two who make the next one only one comes in. Nothing rests on them:
//! what no pack covers is read from the log.

use std::sync::atomic::Ordering;

use async_nats::HeaderMap;
use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::{Info, PublishMessage};
use bytes::Bytes;

use super::message::PlainMark;
use super::tail::Delivered;
use super::tail::broken;
use super::{ACK_WAIT, Feed, FeedError, streams};
use crate::events::{
    About, Keyring, MAX_AHEAD_MILLIS, MAX_ROW_BYTES, Pack, PackedMessage, Part, RowError, read_part,
    write_pack, write_part,
};

/// What a pack covers, sealed.
const PART: &str = "sigward-part";
/// The same for people: the places before the first and of the last message.
const AFTER: &str = "sigward-after";
const UPTO: &str = "sigward-upto";

/// A pack of the stream: what it holds is to be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// What it covers.
    pub(crate) part: Part,
    /// Its place in the stream of packs.
    pub(crate) place: u64,
}

/// A pack on its way into the stream.
pub(crate) struct SealedPack {
    part: Part,
    sealed_part: String,
    body: Vec<u8>,
}

impl SealedPack {
    pub(crate) fn seal(pack: &Pack, keyring: &Keyring) -> Result<Self, RowError> {
        let sealed_part = write_part(&pack.part, keyring)?;
        Ok(Self { part: pack.part, sealed_part, body: write_pack(pack, keyring)? })
    }
}

impl Feed {
    /// All packs, in their order; none if there is no stream of them.
    pub(crate) async fn packs(&self, keyring: &Keyring) -> Result<Vec<Listed>, FeedError> {
        match streams::existing_packs(&self.0.context, &self.0.names).await? {
            Some(info) if info.state.messages > 0 => self.listed(keyring, 0).await,
            Some(_) | None => Ok(Vec::new()),
        }
    }

    /// Makes or checks the stream of packs; what it holds from some place on, and the place of its last message.
    pub(crate) async fn packs_to_follow(
        &self,
        keyring: &Keyring,
        from: u64,
    ) -> Result<(Vec<Listed>, u64), FeedError> {
        let info = streams::packs(&self.0.context, &self.0.names, &self.0.options).await?;
        // One that comes meanwhile is behind that place, and shows when the next is put there.
        let listed = if info.state.messages > 0 && from <= info.state.last_sequence {
            self.listed(keyring, from).await?
        } else {
            Vec::new()
        };
        Ok((listed, info.state.last_sequence))
    }

    async fn listed(&self, keyring: &Keyring, from: u64) -> Result<Vec<Listed>, FeedError> {
        let deliver_policy = DeliverPolicy::ByStartSequence { start_sequence: from.max(1) };
        let config = OrderedConfig { deliver_policy, headers_only: true, ..OrderedConfig::default() };
        let mut found = Vec::new();
        let take = |message: &Message, info: &Info<'_>| {
            let sealed = message.headers.as_ref().and_then(|headers| headers.get(PART));
            let part = sealed.and_then(|sealed| read_part(sealed.as_str(), keyring));
            found.extend(part.map(|part| Listed { part, place: info.stream_sequence }));
        };
        self.read_present(&self.0.names.packs, config, take).await?;
        Ok(found)
    }

    /// What a pack holds, sealed.
    pub(crate) async fn pack(&self, listed: &Listed) -> Result<Bytes, FeedError> {
        let stream = self.0.context.get_stream_no_info(&self.0.names.packs).await;
        let stream = stream.map_err(|error| broken(&error))?;
        let message = stream.direct_get(listed.place).await.map_err(|error| broken(&error))?;
        Ok(message.payload)
    }

    /// Puts a pack behind the message at `end`, unless another one has come there; its place.
    pub(crate) async fn put_pack(&self, end: u64, pack: SealedPack) -> Result<Option<u64>, FeedError> {
        let SealedPack { part, sealed_part, body } = pack;
        let mut headers = HeaderMap::new();
        headers.insert(PART, sealed_part);
        headers.insert(AFTER, part.after.to_string());
        headers.insert(UPTO, part.upto.to_string());
        let message = PublishMessage::build().headers(headers).payload(body.into());
        let message = message.expected_stream(&self.0.names.packs).expected_last_sequence(end);
        let put = async { self.0.context.send_publish(self.0.names.pack(), message).await?.await };
        match tokio::time::timeout(ACK_WAIT, put).await {
            Ok(Ok(ack)) => Ok(Some(ack.sequence)),
            Ok(Err(error)) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(None),
            Ok(Err(error)) => Err(broken(&error)),
            Err(_) => Err(FeedError::Unreachable("no acknowledgement".to_owned())),
        }
    }

    /// How often the connection was made: what was read over two of them may be of two logs.
    pub(crate) fn connects(&self) -> u64 {
        self.0.context.client().statistics().connects.load(Ordering::Relaxed)
    }

    /// That a pack cannot be used, as an error of its stream.
    pub(crate) fn unusable_pack(&self, problem: &impl ToString) -> FeedError {
        streams::wrong(&self.0.names.packs, problem.to_string())
    }
}

impl Delivered {
    /// Whether it is longer than anything that a gateway keeps, and so better read by itself.
    pub(crate) fn is_long(&self) -> bool {
        self.packed_bytes() > MAX_ROW_BYTES
    }

    /// Bytes that it takes in a pack, but for a few.
    pub(crate) fn packed_bytes(&self) -> usize {
        self.body.len() + self.mark.as_ref().map_or(0, |mark| mark.key.len())
    }

    /// As a pack holds it, which says nothing of its id.
    pub(crate) fn into_packed(self) -> PackedMessage {
        let about = match (self.revocation, self.of_key) {
            (true, _) => About::Revocation,
            (false, true) => About::Key,
            (false, false) => About::Session,
        };
        let mark = self.mark.map(|mark| (mark.key, mark.before));
        PackedMessage { place: self.seq, published: self.published, about, mark, body: self.body }
    }

    /// As it came from the log.
    pub(crate) fn of_packed(packed: PackedMessage) -> Self {
        let PackedMessage { place: seq, published, about, mark, body } = packed;
        Self {
            seq,
            published,
            sealed_since: published.plus(-MAX_AHEAD_MILLIS),
            id: None,
            revocation: about == About::Revocation,
            of_key: about == About::Key,
            mark: mark.map(|(key, before)| PlainMark { key, before }),
            body,
        }
    }
}
