//! Packs: the messages of a part of the shared log, many together, under one seal.
//!
//! ```text
//! integer × 5  log, place before the first and the identity of the message there, last place and the identity of that message
//! integer      how many issuances follow, of sessions that are not over
//! of each:
//! integer        its place, less the one before it, or less the place before the first
//! bytes          its row
//! integer      how many other messages follow
//! of each:
//! integer        its place, less the one before it, or less the place before the first
//! integer        when the log took it in, milliseconds
//! byte           what it is about: 1 a session, 2 a long-term key, 3 a revocation
//! byte           1 if a revocation in the clear follows, as bytes and an integer, else 0
//! bytes          its body
//! integer      how many messages are so long that they are to be read in the log, and the place of each, as above
//! ```
//!
//! All of it is the header, in compact form, of a row that seals an empty secret: its seal proves that a holder of the key made the
//! pack, whose business it is to have proved the issuances in it. So who reads a pack need not prove them one by one. What else
//! there is comes as the log has it. The first line is sealed by itself as well: what a pack covers can be told without it, and packs
//! can be told from what somebody else puts beside them.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sigv4::SecretAccessKey;

use super::Keyring;
use super::compact::{Reader, Writer};
use super::envelope::{self, Form, Row, RowError, RowKind};
use crate::clock::UnixMillis;

/// A part of the shared log: all between two of its places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Which log.
    pub(crate) log: u64,
    /// The place before the first.
    pub(crate) after: u64,
    /// Which message the log has there; 0: nobody has looked.
    pub(crate) before: u64,
    /// The last place.
    pub(crate) upto: u64,
    /// Which message the log has at the last place.
    pub(crate) last: u64,
}

/// What a pack holds. Places rise.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Pack {
    pub(crate) part: Part,
    /// Places and rows of issuances.
    pub(crate) issuances: Vec<(u64, Bytes)>,
    pub(crate) others: Vec<PackedMessage>,
    /// Places of messages that are to be read in the log.
    pub(crate) absent: Vec<u64>,
}

/// A message of the log that is no issuance, or one that has not been proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PackedMessage {
    pub(crate) place: u64,
    pub(crate) published: UnixMillis,
    pub(crate) about: About,
    /// Key and time of a revocation that stands in the clear.
    pub(crate) mark: Option<(String, UnixMillis)>,
    pub(crate) body: Bytes,
}

/// What a message is about, by its subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    Session = 1,
    Key = 2,
    Revocation = 3,
}

/// Seals a pack; all places are within its part.
pub(crate) fn write_pack(pack: &Pack, keyring: &Keyring) -> Result<Vec<u8>, RowError> {
    let Pack { part, issuances, others, absent } = pack;
    let mut to = Writer::growing();
    put_part(part, &mut to);
    to.integer(issuances.len() as u64);
    let mut places = Places::of(part);
    for (place, row) in issuances {
        places.put(*place, &mut to);
        to.bytes(row);
    }
    to.integer(others.len() as u64);
    let mut places = Places::of(part);
    for message in others {
        places.put(message.place, &mut to);
        to.time(message.published);
        to.put(&[message.about as u8, u8::from(message.mark.is_some())]);
        if let Some((key, time)) = &message.mark {
            to.bytes(key.as_bytes());
            to.time(*time);
        }
        to.bytes(&message.body);
    }
    to.integer(absent.len() as u64);
    let mut places = Places::of(part);
    for place in absent {
        places.put(*place, &mut to);
    }
    seal(RowKind::Pack, to, keyring)
}

/// Seals what a pack covers by itself, as text.
pub(crate) fn write_part(part: &Part, keyring: &Keyring) -> Result<String, RowError> {
    let mut to = Writer::growing();
    put_part(part, &mut to);
    seal(RowKind::Part, to, keyring).map(|row| STANDARD.encode(row))
}

/// What a pack covers; `None`: nobody who has a sealing key of this keyring says so.
pub(crate) fn read_part(text: &str, keyring: &Keyring) -> Option<Part> {
    let bytes = STANDARD.decode(text).ok()?;
    let row = Row::parse(RowKind::Part, &bytes).ok()?;
    row.unseal(keyring).ok()??;
    part(&mut Reader::new(row.header))
}

fn seal(kind: RowKind, content: Writer<'_>, keyring: &Keyring) -> Result<Vec<u8>, RowError> {
    let content = content.finish().ok_or(RowError::Sealing)?;
    envelope::write((kind, Form::Compact), &content, Some(&SecretAccessKey::new([])), keyring)
}

fn put_part(part: &Part, to: &mut Writer<'_>) {
    let Part { log, after, before, upto, last } = part;
    for number in [log, after, before, upto, last] {
        to.integer(*number);
    }
}

fn part(from: &mut Reader<'_>) -> Option<Part> {
    let (log, after, before) = (from.integer()?, from.integer()?, from.integer()?);
    let part = Part { log, after, before, upto: from.integer()?, last: from.integer()? };
    (part.after < part.upto).then_some(part)
}

/// Proves and reads a pack.
pub(crate) fn read_pack(bytes: &Bytes, keyring: &Keyring) -> Result<Pack, RowError> {
    let row = Row::parse(RowKind::Pack, bytes)?;
    if row.unseal(keyring)?.is_none() {
        return Err(RowError::Malformed("a pack without a seal".into()));
    }
    read(bytes, row.header).ok_or_else(|| RowError::Malformed("a pack".into()))
}

fn read(bytes: &Bytes, content: &[u8]) -> Option<Pack> {
    let mut from = Reader::new(content);
    let part = part(&mut from)?;
    let mut places = Places::of(&part);
    let issuances = (0..from.length()?).map(|_| Some((places.next(&mut from)?, slice(bytes, &mut from)?)));
    let issuances = issuances.collect::<Option<Vec<_>>>()?;
    let mut places = Places::of(&part);
    let others = (0..from.length()?).map(|_| other(bytes, &mut from, &mut places));
    let others = others.collect::<Option<Vec<_>>>()?;
    let mut places = Places::of(&part);
    let absent = (0..from.length()?).map(|_| places.next(&mut from)).collect::<Option<Vec<_>>>()?;
    let mut taken = BTreeSet::new();
    let all = issuances.iter().map(|(place, _)| *place).chain(others.iter().map(|other| other.place));
    let once = all.chain(absent.iter().copied()).all(|place| taken.insert(place));
    (once && from.at_end()).then_some(Pack { part, issuances, others, absent })
}

fn other(bytes: &Bytes, from: &mut Reader<'_>, places: &mut Places) -> Option<PackedMessage> {
    let (place, published) = (places.next(from)?, from.time()?);
    let about = match from.byte()? {
        1 => About::Session,
        2 => About::Key,
        3 => About::Revocation,
        _ => return None,
    };
    let mark = match from.byte()? {
        0 => None,
        1 => Some((String::from_utf8(slice(bytes, from)?.to_vec()).ok()?, from.time()?)),
        _ => return None,
    };
    Some(PackedMessage { place, published, about, mark, body: slice(bytes, from)? })
}

fn slice(bytes: &Bytes, from: &mut Reader<'_>) -> Option<Bytes> {
    let length = from.length()?;
    Some(bytes.slice_ref(from.take(length)?))
}

/// Places of a pack, one after the other.
struct Places {
    last: u64,
    upto: u64,
}

impl Places {
    const fn of(part: &Part) -> Self {
        Self { last: part.after, upto: part.upto }
    }

    fn put(&mut self, place: u64, to: &mut Writer<'_>) {
        to.integer(place - self.last);
        self.last = place;
    }

    fn next(&mut self, from: &mut Reader<'_>) -> Option<u64> {
        let step = from.integer().filter(|step| *step > 0)?;
        self.last = self.last.checked_add(step).filter(|place| *place <= self.upto)?;
        Some(self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PART: Part = Part { log: 5, after: 1 << 33, before: 4, upto: (1 << 33) + 900, last: 3 };

    fn pack(steps: &[u64]) -> Pack {
        let body = |step: &u64| Bytes::from(vec![7; usize::try_from(*step).unwrap()]);
        let place = |step: &u64| PART.after + step;
        let (issuances, rest) = steps.split_at(steps.len() / 2);
        let (others, absent) = rest.split_at(rest.len() * 3 / 4);
        let issuances = issuances.iter().map(|step| (place(step), body(step))).collect();
        let kinds = [
            (About::Session, None),
            (About::Key, None),
            (About::Revocation, Some(("role:ü".into(), UnixMillis(5)))),
        ];
        let others = others.iter().zip(kinds.into_iter().cycle()).map(|(step, (about, mark))| {
            PackedMessage { place: place(step), published: UnixMillis(9), about, mark, body: body(step) }
        });
        Pack { part: PART, issuances, others: others.collect(), absent: absent.iter().map(place).collect() }
    }

    fn packed(steps: &[u64], keyring: &Keyring) -> Bytes {
        write_pack(&pack(steps), keyring).unwrap().into()
    }

    #[test]
    fn what_is_packed_comes_out_again() {
        let keyring = Keyring::ephemeral().unwrap();
        for steps in [&[][..], &[1], &[1, 2, 300, 900], &[1, 2, 3, 4, 5, 6, 70, 800, 900]] {
            assert_eq!(read_pack(&packed(steps, &keyring), &keyring).unwrap(), pack(steps));
        }
    }

    #[test]
    fn no_bit_of_a_pack_can_be_changed_and_none_be_left_out() {
        let keyring = Keyring::ephemeral().unwrap();
        let good = packed(&[1, 2, 30], &keyring);
        for at in 0..good.len() * 8 {
            let mut bad = good.to_vec();
            bad[at / 8] ^= 1 << (at % 8);
            assert!(read_pack(&bad.into(), &keyring).is_err(), "bit {at}");
        }
        for length in 0..good.len() {
            assert!(read_pack(&good.slice(..length), &keyring).is_err(), "length {length}");
        }
    }

    #[test]
    fn what_a_pack_covers_is_said_by_who_has_the_key() {
        let (keyring, other) = (Keyring::ephemeral().unwrap(), Keyring::ephemeral().unwrap());
        let text = write_part(&PART, &keyring).unwrap();
        assert_eq!((read_part(&text, &keyring), read_part(&text, &other)), (Some(PART), None));
        let row = STANDARD.decode(&text).unwrap();
        for at in 0..row.len() * 8 {
            let mut bad = row.clone();
            bad[at / 8] ^= 1 << (at % 8);
            assert_eq!(read_part(&STANDARD.encode(bad), &keyring), None, "bit {at}");
        }
        let whole = STANDARD.encode(packed(&[], &keyring));
        assert_eq!(read_part(&whole, &keyring), None, "a pack is no part");
    }

    #[test]
    fn a_place_is_taken_once() {
        let keyring = Keyring::ephemeral().unwrap();
        let mut twice = pack(&[1, 2, 3, 4]);
        twice.absent = vec![twice.issuances[0].0];
        assert!(read_pack(&write_pack(&twice, &keyring).unwrap().into(), &keyring).is_err());
    }

    #[test]
    fn only_who_has_the_key_makes_a_pack_and_no_other_row_is_one() {
        let (keyring, other) = (Keyring::ephemeral().unwrap(), Keyring::ephemeral().unwrap());
        let good = packed(&[1], &keyring);
        assert!(read_pack(&good, &other).is_err());
        let header = Row::parse(RowKind::Pack, &good).unwrap().header.to_vec();
        let write = |kind, secret: Option<&SecretAccessKey>| {
            Bytes::from(envelope::write((kind, Form::Compact), &header, secret, &keyring).unwrap())
        };
        let nothing = SecretAccessKey::new([]);
        assert!(read_pack(&write(RowKind::Event, Some(&nothing)), &keyring).is_err());
        assert!(read_pack(&write(RowKind::Pack, None), &keyring).is_err());
        assert!(read_pack(&write(RowKind::Pack, Some(&nothing)), &keyring).is_ok());
    }

    #[test]
    fn places_rise_and_stay_within_the_part() {
        let keyring = Keyring::ephemeral().unwrap();
        assert!(read_pack(&packed(&[900], &keyring), &keyring).is_ok());
        assert!(read_pack(&packed(&[901], &keyring), &keyring).is_err());
        assert!(read_pack(&packed(&[5, 5], &keyring), &keyring).is_err());
        assert!(read_pack(&packed(&[0], &keyring), &keyring).is_err());
    }
}
