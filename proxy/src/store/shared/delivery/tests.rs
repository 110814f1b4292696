//! What a message comes to by itself, and in the company of others.

use std::fs;
use std::path::Path;

use redb::{ReadableDatabase, ReadableTable};

use super::super::pack::sorted;
use super::super::unpack::{Unpacked, Unpacking};
use super::fixtures::{NOW, delivered, log_of_all_kinds};
use super::*;
use crate::events::{Part, RevocationScope, event_identity, read_pack, write_pack};
use crate::feed::PlainMark;
use crate::store::apply::Effects;
use crate::store::fixtures::{HOUR, issued, revoked, session};
use crate::store::tables::{
    DUE, EVENTS, ISSUED, KNOWN, META, META_APPLIED, META_REVISION, QUARANTINE, REVOCATIONS, SEALS,
    begin_write, meta,
};
use crate::store::writer::settle;

fn read(event: &Event, change: impl FnOnce(&mut Delivered)) -> ReadMessage {
    let keyring = Keyring::ephemeral().unwrap();
    let mut message = delivered(1, event, &keyring);
    change(&mut message);
    ReadMessage::new(message, &keyring, NOW)
}

#[test]
fn a_revocation_is_in_force_once_seen_unless_it_reaches_nobody_or_is_of_a_time_to_come() {
    let revocation = |before: UnixMillis| revoked(RevocationScope::Account("1".into()), before.0);
    let mark = |before| read(&revocation(before), |_| ()).mark(NOW).map(|mark| (mark.key(), mark.before));
    assert_eq!(mark(NOW), Some(("account:1".to_owned(), NOW)));
    assert_eq!(mark(UnixMillis(NOW.0 - 40 * HOUR)), None, "spent");
    assert_eq!(mark(NOW.plus(HOUR)), None, "no gateway applies it");
    let unreadable = read(&revocation(NOW), |message| {
        message.body = "\x03".into();
        message.mark = Some(PlainMark { key: "account:2".into(), before: NOW });
    });
    assert_eq!(unreadable.mark(NOW).unwrap().key(), "account:2", "by its headers");
    assert!(read(&issued(session("ASIA1", NOW.0)), |_| ()).mark(NOW).is_none());
}

#[test]
fn sessions_that_nobody_keeps_any_more_are_not_taken_in() {
    let over =
        |issued_at| matches!(read(&issued(session("ASIA1", issued_at)), |_| ()).content, Content::Over);
    assert!(over(NOW.0 - 2 * HOUR), "expired for an hour");
    assert!(!over(NOW.0 - 2 * HOUR + 1), "whoever has it is told that it expired");
}

/// A file and who follows a log with it.
struct Follower {
    db: redb::Database,
    keyring: Keyring,
}

impl Follower {
    fn open(path: &Path, keyring: &Keyring) -> Self {
        Self { db: redb::Database::create(path).unwrap(), keyring: keyring.clone() }
    }

    /// What becomes of messages in one transaction.
    fn deliver(&self, log: &[Delivered]) -> Vec<String> {
        self.deliver_until(log, false, |effects, txn| drop(settle(effects, txn).unwrap()))
    }

    fn deliver_until(
        &self,
        log: &[Delivered],
        much_follows: bool,
        end: impl FnOnce(Option<Effects>, redb::WriteTransaction),
    ) -> Vec<String> {
        let read = |message: &Delivered| ReadMessage::new(message.clone(), &self.keyring, NOW);
        let delivery = Delivery {
            messages: log.iter().map(read).collect(),
            upto: log.last().map_or(0, |last| last.seq),
            much_follows,
        };
        let txn = begin_write(&self.db).unwrap();
        let mut batch = Batch::begin(&txn, &self.keyring, NOW).unwrap();
        let outcomes = delivery.apply(&mut batch).unwrap();
        end(batch.finish().unwrap(), txn);
        outcomes.iter().map(|(outcome, live)| format!("{outcome:?}, {live} live")).collect()
    }

    fn position(&self) -> u64 {
        meta(&self.db.begin_read().unwrap(), META_APPLIED).unwrap()
    }

    /// All that the file holds but seals, which are never the same.
    fn content(&self) -> Vec<String> {
        let txn = self.db.begin_read().unwrap();
        let mut content = Vec::new();
        let mut add = |line: String| content.push(line);
        for row in txn.open_table(EVENTS).unwrap().iter().unwrap() {
            let (place, row) = row.unwrap();
            add(format!("event {} {:?}", place.value(), event_identity(row.value()).unwrap()));
        }
        for row in txn.open_table(ISSUED).unwrap().iter().unwrap() {
            let (id, place) = row.unwrap();
            add(format!("issued {} {}", id.value(), place.value()));
        }
        for row in txn.open_table(KNOWN).unwrap().iter().unwrap() {
            let (identity, seq) = row.unwrap();
            add(format!("known {} {}", identity.value(), seq.value()));
        }
        for row in txn.open_table(DUE).unwrap().iter().unwrap() {
            let (when, id) = row.unwrap();
            add(format!("due {:?} {}", when.value(), id.value()));
        }
        for row in txn.open_table(SEALS).unwrap().iter().unwrap() {
            let (key_id, count) = row.unwrap();
            add(format!("seals {} {}", key_id.value(), count.value()));
        }
        for row in txn.open_table(REVOCATIONS).unwrap().iter().unwrap() {
            let (key, before) = row.unwrap();
            add(format!("revoked {} {}", key.value(), before.value()));
        }
        for row in txn.open_table(QUARANTINE).unwrap().iter().unwrap() {
            let (place, row) = row.unwrap();
            add(format!("quarantine {} {:?}", place.value(), row.value()));
        }
        for row in txn.open_table(META).unwrap().iter().unwrap() {
            let (name, value) = row.unwrap();
            if name.value() != META_REVISION {
                add(format!("{} {}", name.value(), value.value()));
            }
        }
        content
    }
}

#[test]
fn messages_come_to_the_same_together_and_one_by_one() {
    let dir = tempfile::tempdir().unwrap();
    let keyring = Keyring::ephemeral().unwrap();
    let log = log_of_all_kinds(&keyring);
    let single = Follower::open(&dir.path().join("single"), &keyring);
    let one_by_one: Vec<_> = log.chunks(1).flat_map(|message| single.deliver(message)).collect();
    let count = |what: &str| one_by_one.iter().filter(|outcome| outcome.starts_with(what)).count();
    let rest = one_by_one.iter().filter(|outcome| outcome.contains("duplicate: true")).count();
    assert_eq!((count("Applied"), rest, count("Refused"), count("Unreadable")), (17, 3, 4, 2));
    for size in 2..=log.len() {
        let follower = Follower::open(&dir.path().join(size.to_string()), &keyring);
        let together: Vec<_> = log.chunks(size).flat_map(|some| follower.deliver(some)).collect();
        assert_eq!(together, one_by_one, "{size} at a time");
        assert_eq!(follower.content(), single.content(), "{size} at a time");
        let again = follower.deliver(&log);
        assert!(again.iter().all(|outcome| outcome.contains("duplicate: true")), "{again:?}");
        assert_eq!(follower.content(), single.content(), "read twice");
    }
}

#[test]
fn what_comes_by_packs_comes_to_the_same_as_message_by_message() {
    let dir = tempfile::tempdir().unwrap();
    let keyring = Keyring::ephemeral().unwrap();
    let kinds = log_of_all_kinds(&keyring);
    let log: Vec<_> = (1..).zip(kinds).map(|(seq, message)| Delivered { seq, ..message }).collect();
    let reader = Follower::open(&dir.path().join("reader"), &keyring);
    reader.deliver(&log);
    let end = log.last().unwrap();
    for (known, size, together) in
        [(0, 1, 99), (0, 3, 99), (0, 100, 99), (4, 5, 99), (9, 2, 99), (17, 4, 99), (0, 1, 1), (0, 2, 5)]
    {
        let starter = Follower::open(&dir.path().join(format!("{known} {size} {together}")), &keyring);
        starter.deliver(&log[..known]);
        let packs = log.chunks(size).map(|some| {
            let (after, upto) = (some[0].seq - 1, some[some.len() - 1].seq);
            let part = Part { log: 1, after, before: 0, upto, last: end.identity() };
            let sealed = write_pack(&sorted(part, some.to_vec(), &keyring, NOW), &keyring).unwrap();
            Unpacked::of(read_pack(&sealed.into(), &keyring).unwrap(), part, &keyring, NOW).unwrap()
        });
        let mut unpacking = Some(Unpacking::fixed(packs.collect()));
        while let Some(some) = unpacking {
            let txn = begin_write(&starter.db).unwrap();
            let mut batch = Batch::begin(&txn, &keyring, NOW).unwrap();
            unpacking = some.apply_some(&mut batch, together).unwrap().rest;
            settle(batch.finish().unwrap(), txn).unwrap();
        }
        assert_eq!(
            starter.content(),
            reader.content(),
            "{known} known, {size} in a pack, {together} in a transaction"
        );
    }
}

#[test]
fn a_pack_of_sessions_under_a_key_that_is_not_here_is_not_read() {
    let (keyring, other) = (Keyring::ephemeral().unwrap(), Keyring::ephemeral().unwrap());
    let log = [delivered(1, &issued(session("ASIA1", NOW.0)), &keyring)];
    let part = Part { log: 1, after: 0, before: 0, upto: 1, last: 1 };
    let pack = || sorted(part, log.to_vec(), &keyring, NOW);
    assert!(Unpacked::of(pack(), part, &keyring, NOW).is_ok());
    assert!(Unpacked::of(pack(), part, &other, NOW).is_err());
    assert!(
        Unpacked::of(pack(), Part { after: 1, ..part }, &keyring, NOW).is_err(),
        "not what it says it is"
    );
}

#[test]
fn who_dies_while_catching_up_goes_on_where_the_file_ends_and_comes_to_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let keyring = Keyring::ephemeral().unwrap();
    let log = log_of_all_kinds(&keyring);
    let undisturbed = Follower::open(&dir.path().join("undisturbed"), &keyring);
    undisturbed.deliver(&log);
    for died_at in 1..log.len() {
        let [path, left] = ["file", "left"].map(|name| dir.path().join(format!("{died_at} {name}")));
        let follower = Follower::open(&path, &keyring);
        follower.deliver(&log[..died_at]);
        follower.deliver_until(&log[died_at..], false, |_, uncommitted| {
            // As it lies on the disk meanwhile.
            fs::copy(&path, &left).unwrap();
            uncommitted.abort().unwrap();
        });
        let next = Follower::open(&left, &keyring);
        assert_eq!(next.position(), log[died_at - 1].seq);
        let rest = log.iter().position(|message| message.seq > next.position()).unwrap();
        next.deliver(&log[rest..]);
        assert_eq!(next.content(), undisturbed.content(), "died behind message {died_at}");
    }
}

#[test]
fn sessions_that_many_follow_are_on_disk_with_the_next_message_that_must_be_and_revocations_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let keyring = Keyring::ephemeral().unwrap();
    let path = dir.path().join("file");
    let follower = Follower::open(&path, &keyring);
    let sessions = (1..=6).map(|at| issued(session(&format!("ASIA{at}"), NOW.0)));
    let revocation = revoked(RevocationScope::Account("1".into()), NOW.0);
    let log = sessions.chain([revocation]);
    let log: Vec<_> = (1..).zip(log).map(|(seq, event)| delivered(seq, &event, &keyring)).collect();
    let deliver = |some: &[Delivered], much_follows| {
        follower.deliver_until(some, much_follows, |effects, txn| drop(settle(effects, txn).unwrap()));
        let left = dir.path().join("left");
        fs::copy(&path, &left).unwrap();
        (follower.position(), Follower::open(&left, &keyring).position())
    };
    assert_eq!(deliver(&log[..1], false), (1, 1));
    assert_eq!(deliver(&log[1..2], true), (2, 1), "seen, and gone with the process");
    assert_eq!(deliver(&log[2..3], true), (3, 1));
    assert_eq!(deliver(&log[3..4], false), (4, 4), "nothing is waited for any more");
    assert_eq!(deliver(&log[4..5], true), (5, 4));
    assert_eq!(deliver(&log[5..], true), (7, 7), "a revocation lasts");
}
