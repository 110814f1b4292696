//! Long-term keys of a shared log that is read late, again, or after it was made anew: all gateways come to the same, in
//! whatever order it reaches them.

use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::prelude::*;
use redb::ReadableTable;
use redb::backends::InMemoryBackend;

use super::*;
use crate::events::{EventData, LoggedEvent, read_event, write_event};
use crate::store::shared::{self, Outcome};

const AT: UnixMillis = UnixMillis(1_000);

/// The file of one gateway.
struct View {
    db: redb::Database,
    keyring: Keyring,
    /// Messages by the ids of their events: each is sealed once.
    sealed: RefCell<BTreeMap<String, Vec<u8>>>,
}

/// How a message reaches a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arrival {
    Read,
    /// It cannot be read yet.
    SetAside,
    /// The gateway never sees it in this reading.
    Missed,
}

impl View {
    fn new() -> Self {
        let db = redb::Builder::new().create_with_backend(InMemoryBackend::new()).unwrap();
        let keyring = Keyring::ephemeral().unwrap();
        database::prepare(&db, &keyring, AT).unwrap();
        Self { db, keyring, sealed: RefCell::default() }
    }

    /// Follows a log from its beginning.
    fn of(log: u64) -> Self {
        let view = Self::new();
        view.adopt(log);
        view
    }

    fn adopt(&self, log: u64) {
        database::adopt(&self.db, (log, 0), 0).unwrap();
    }

    fn batch<T>(&self, work: impl FnOnce(&mut Batch<'_, '_>) -> T) -> T {
        let txn = tables::begin_write(&self.db).unwrap();
        let mut batch = Batch::begin(&txn, &self.keyring, AT).unwrap();
        let done = work(&mut batch);
        batch.finish().unwrap();
        txn.commit().unwrap();
        done
    }

    fn message(&self, event: &Event) -> (LoggedEvent, Vec<u8>) {
        let logged = LoggedEvent { event: event.clone(), recorded_at: AT };
        let seal = || write_event(&logged, &self.keyring).unwrap();
        let body = self.sealed.borrow_mut().entry(event.id.clone()).or_insert_with(seal).clone();
        (logged, body)
    }

    /// Makes the file what a program of the second layout would have made it; it noted these changes.
    fn make_second(&self, changes: &[(&str, u64)]) {
        let txn = tables::begin_write(&self.db).unwrap();
        let mut tables = tables::Tables::open(&txn).unwrap();
        let known = tables.known.iter().unwrap().map(Result::unwrap);
        let known: Vec<_> = known.map(|(name, place)| (name.value(), place.value())).collect();
        for (name, place) in known {
            tables.known.insert(name, tables::seq_of(place)).unwrap();
        }
        tables.changes.retain(|_, _| false).unwrap();
        for (id, seq) in changes {
            tables.changes.insert(*id, seq).unwrap();
        }
        tables.meta.remove(tables::META_SINCE).unwrap();
        tables.meta.insert(tables::META_SCHEMA, migrate::SECOND).unwrap();
        drop(tables);
        txn.commit().unwrap();
    }

    /// Has this program open the file.
    fn migrate(&self) {
        database::prepare(&self.db, &self.keyring, AT).unwrap();
    }

    /// What becomes of the event at `seq`.
    fn read(&self, seq: u64, event: &Event) -> Option<Receipt> {
        let (logged, body) = self.message(event);
        self.batch(|batch| batch.apply_at(seq, (&logged, &body), AT).ok())
    }

    fn set_aside(&self, seq: u64, event: &Event) {
        let (_, body) = self.message(event);
        self.batch(|batch| batch.quarantine((seq, AT), &body, None).unwrap());
    }

    fn retry(&self) -> Vec<Outcome> {
        self.batch(|batch| shared::retry(batch, &self.keyring).unwrap())
    }

    fn receive(&self, log: &[Event], arrivals: &[Arrival]) {
        for ((event, arrival), seq) in log.iter().zip(arrivals).zip(1..) {
            match arrival {
                Arrival::Read => {
                    self.read(seq, event);
                }
                Arrival::SetAside => self.set_aside(seq, event),
                Arrival::Missed => self.batch(|batch| batch.pass(seq)),
            }
        }
    }

    /// Access key ids to secrets and statuses.
    fn keys(&self) -> BTreeMap<String, (Vec<u8>, KeyStatus)> {
        let stored = view::stored_access_keys(&self.db, &self.keyring).unwrap();
        let key = |stored: crate::events::StoredCredential| {
            let Credential { access_key_id, secret, status, .. } = stored.credential;
            (access_key_id.as_str().to_owned(), (secret.expose_secret().to_vec(), status))
        };
        stored.into_iter().map(key).collect()
    }

    fn has(&self, access_key_id: &str) -> bool {
        self.keys().contains_key(access_key_id)
    }
}

fn make(name: &str, access_key_id: &str, secret: &str) -> Event {
    let secret = sigv4::SecretAccessKey::new(secret);
    event(name, EventData::AccessKeyCreated(Credential { secret, ..long_term(access_key_id) }))
}

#[test]
fn a_deletion_that_was_set_aside_is_applied_when_its_log_is_gone() {
    let view = View::of(1);
    for (seq, name) in (1..).zip(["AKIA1", "AKIA2"]) {
        view.read(seq, &make(name, name, "s"));
    }
    view.set_aside(90, &deleted("gone", "AKIA1"));
    view.adopt(2);
    view.read(1, &make("other", "AKIAOTHER", "s"));
    assert!(matches!(view.retry()[..], [Outcome::Applied(Receipt { seq: 90, duplicate: false })]));
    assert!(!view.has("AKIA1") && view.has("AKIA2"));
}

#[test]
fn what_a_former_log_said_late_holds_up_nothing_that_the_present_one_says() {
    let view = View::of(1);
    view.read(1, &make("first", "AKIA1", "one"));
    view.set_aside(90, &make("late", "AKIA1", "two"));
    view.adopt(2);
    assert!(matches!(view.retry()[..], [Outcome::Applied(Receipt { duplicate: false, .. })]));
    let gone = view.read(5, &deleted("gone", "AKIA1")).unwrap();
    assert_eq!(gone, Receipt { seq: 5, duplicate: false });
    assert!(!view.has("AKIA1"), "deleted under a lower number than the late one had");
    view.read(6, &make("anew", "AKIA1", "three"));
    assert_eq!(view.keys()["AKIA1"].0, b"three");
}

#[test]
fn what_the_present_log_said_is_not_undone_by_a_former_one() {
    let view = View::of(1);
    view.read(1, &make("first", "AKIA1", "one"));
    for (seq, event) in [(70, deleted("gone", "AKIA1")), (80, make("late", "AKIA2", "one"))] {
        view.set_aside(seq, &event);
    }
    view.adopt(2);
    view.read(3, &make("anew", "AKIA1", "two"));
    view.read(4, &make("made", "AKIA2", "two"));
    view.read(5, &deleted("gone too", "AKIA2"));
    let [Outcome::Applied(first), Outcome::Applied(second)] = view.retry()[..] else {
        panic!("both are of no consequence")
    };
    assert_eq!(first, Receipt { seq: 3, duplicate: true }, "a number, whatever log it is of");
    assert_eq!(second, Receipt { seq: 5, duplicate: true });
    assert!(view.has("AKIA1") && !view.has("AKIA2"));
}

#[test]
fn a_log_that_is_read_again_brings_back_nothing_and_takes_nothing_away() {
    let view = View::of(1);
    let log = [
        make("first", "AKIA1", "one"),
        deleted("gone", "AKIA1"),
        make("kept", "AKIA2", "one"),
        make("changed", "AKIA2", "two"),
    ];
    view.receive(&log, &[Arrival::Read; 4]);
    for _ in 0..2 {
        view.adopt(1);
        for (event, seq) in log.iter().zip(1..) {
            assert_eq!(view.read(seq, event), Some(Receipt { seq, duplicate: true }));
            assert!(!view.has("AKIA1") && view.keys()["AKIA2"].0 == b"two", "at no time");
        }
    }
    // Said again by whoever kept it.
    assert!(view.read(9, &log[0]).unwrap().duplicate && !view.has("AKIA1"));
}

#[test]
fn a_change_that_was_missed_does_not_outlast_what_came_after_it() {
    let view = View::of(1);
    let log = [make("first", "AKIA1", "one"), make("missed", "AKIA1", "two"), deleted("gone", "AKIA1")];
    view.receive(&log, &[Arrival::Read, Arrival::Missed, Arrival::Read]);
    assert!(!view.has("AKIA1"));
    view.adopt(1);
    view.receive(&log, &[Arrival::Read; 3]);
    assert!(!view.has("AKIA1"), "the deletion is known, and comes after it all the same");
}

#[test]
fn a_deletion_that_found_nothing_takes_nothing_when_it_is_read_again() {
    let view = View::of(1);
    let log = [deleted("nothing", "AKIA1"), make("first", "AKIA1", "one")];
    view.receive(&log, &[Arrival::Read; 2]);
    view.adopt(1);
    view.receive(&log[..1], &[Arrival::Read]);
    assert!(view.has("AKIA1"));
    assert!(database::load(&view.db).unwrap().marks.is_empty());
}

#[test]
fn a_log_that_was_read_as_often_as_can_be_counted_is_still_followed() {
    let view = View::of(1);
    let txn = tables::begin_write(&view.db).unwrap();
    txn.open_table(tables::META).unwrap().insert(tables::META_LOGS, tables::MOST_LOGS - 1).unwrap();
    txn.commit().unwrap();
    for log in [2, 3, 4] {
        view.adopt(log);
        view.read(5, &make(&format!("made {log}"), "AKIA1", "one"));
        assert!(view.has("AKIA1"));
        view.read(6, &deleted(&format!("gone {log}"), "AKIA1"));
        assert!(!view.has("AKIA1"), "{log}");
    }
}

#[test]
fn an_overtaken_deletion_still_ends_the_sessions_from_before_it() {
    let view = View::of(1);
    view.read(1, &make("first", "AKIA1", "one"));
    view.set_aside(2, &deleted("gone", "AKIA1"));
    view.read(3, &make("anew", "AKIA1", "one"));
    view.retry();
    let marks = database::load(&view.db).unwrap().marks;
    assert_eq!(marks, [Mark { before: AT.plus(1), ..Mark::issued_to(&id("AKIA1"), AT) }]);
}

#[test]
fn a_file_of_the_second_layout_becomes_one_of_this() {
    let view = View::of(1);
    view.read(60, &make("first", "AKIA1", "one"));
    view.read(61, &deleted("gone", "AKIA1"));
    view.set_aside(70, &make("late", "AKIA1", "two"));
    view.adopt(2);
    view.read(5, &make("other", "AKIA2", "one"));
    view.read(6, &make("third", "AKIA3", "one"));
    // The numbers of the log that was read last, and one of the log before it.
    view.make_second(&[("AKIA2", 5), ("AKIA3", 90)]);
    view.migrate();
    assert!(view.read(4, &deleted("late too", "AKIA2")).unwrap().duplicate, "at an earlier place");
    view.read(7, &deleted("gone three", "AKIA3"));
    assert!(view.has("AKIA2") && !view.has("AKIA3"), "at a later place than in the log before");
    view.batch(|batch| {
        let places: Vec<_> = batch.quarantined().unwrap().into_iter().map(|(place, ..)| place).collect();
        assert_eq!(places, [tables::place(1, 70)]);
    });
    view.retry();
    assert_eq!(view.keys()["AKIA1"].0, b"two", "what came after the deletion in its log");
}

#[test]
fn a_change_that_was_missed_does_not_outlast_what_came_after_it_in_a_file_of_the_second_layout_either() {
    let log = [make("first", "AKIA1", "one"), make("missed", "AKIA1", "two"), deleted("gone", "AKIA1")];
    for readings in 1..=2 {
        let view = View::of(1);
        view.receive(&log, &[Arrival::Read, Arrival::Missed, Arrival::Read]);
        for _ in 1..readings {
            view.adopt(1);
            view.receive(&log, &[Arrival::Read, Arrival::Missed, Arrival::Read]);
        }
        view.make_second(&[("AKIA1", 3)]);
        view.migrate();
        for _ in 0..2 {
            view.adopt(1);
            view.receive(&log, &[Arrival::Read; 3]);
            assert!(!view.has("AKIA1"), "read {readings} times before");
        }
    }
}

#[test]
fn a_deletion_that_is_tried_again_deletes_on_a_file_of_the_second_layout_as_on_a_new_one() {
    let (migrated, new) = (View::of(1), View::of(1));
    let first = [make("first", "AKIA1", "one"), deleted("gone", "AKIA1")];
    migrated.receive(&first, &[Arrival::Read; 2]);
    migrated.make_second(&[("AKIA1", 2)]);
    migrated.migrate();
    // The log has lost its tail, and other events took the places.
    migrated.adopt(1);
    let log = [first[0].clone(), make("anew", "AKIA1", "two"), first[1].clone()];
    for view in [&migrated, &new] {
        view.receive(&log, &[Arrival::Read; 3]);
        assert!(!view.has("AKIA1"));
    }
}

#[test]
fn a_key_whose_secret_was_said_again_is_as_old_in_the_log_of_an_older_file_as_it_is() {
    let view = View::new();
    let again = Credential { issued_at: AT.plus(5), ..long_term("AKIA1") };
    let events = [created(long_term("AKIA1")), event("again", EventData::AccessKeyCreated(again))];
    view.batch(|batch| assert!(batch.append(&events).is_ok()));
    let txn = tables::begin_write(&view.db).unwrap();
    // As it was said.
    txn.open_table(tables::EVENTS).unwrap().insert(2, view.message(&events[1]).1.as_slice()).unwrap();
    txn.commit().unwrap();
    view.make_second(&[]);
    view.migrate();
    let txn = redb::ReadableDatabase::begin_read(&view.db).unwrap();
    let row = txn.open_table(tables::EVENTS).unwrap().get(2).unwrap().unwrap().value().to_vec();
    let EventData::AccessKeyCreated(told) = read_event(&row, &view.keyring).unwrap().event.data else {
        panic!("another event")
    };
    assert_eq!(told.issued_at, long_term("AKIA1").issued_at);
}

fn events(log: &'static str) -> impl Strategy<Value = Vec<Event>> {
    let change = (0..2_usize, 0..5_usize);
    prop::collection::vec(change, 1..8).prop_map(move |changes| {
        let event = |(at, (key, change)): (usize, (usize, usize))| {
            let (name, key) = (format!("{log} {at}"), ["AKIA1", "AKIA2"][key]);
            let created = make(&name, key, ["one", "two", "three", "one", ""][change]);
            match (change, created.data) {
                (4, _) => deleted(&name, key),
                (3, EventData::AccessKeyCreated(credential)) => {
                    let inactive = Credential { status: KeyStatus::Inactive, ..credential };
                    event(&name, EventData::AccessKeyCreated(inactive))
                }
                (_, data) => event(&name, data),
            }
        };
        changes.into_iter().enumerate().map(event).collect()
    })
}

fn arrivals() -> impl Strategy<Value = Vec<Arrival>> {
    let arrival =
        prop_oneof![3 => Just(Arrival::Read), 1 => Just(Arrival::SetAside), 1 => Just(Arrival::Missed)];
    prop::collection::vec(arrival, 8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_gateways_come_to_the_same_keys_in_whatever_order_they_read(
        logs in (events("first"), events("second")),
        first in arrivals(),
        again in arrivals(),
        second in arrivals(),
        retries in prop::collection::vec(any::<bool>(), 4),
    ) {
        // Nothing is missed twice, and what could be read once, or when it was tried again, can be read from then on.
        let again: Vec<_> = again.into_iter().zip(&first).map(|arrival| match arrival {
            (Arrival::SetAside, Arrival::Missed) => Arrival::SetAside,
            (Arrival::SetAside, Arrival::SetAside) if !retries[0] => Arrival::SetAside,
            _ => Arrival::Read,
        }).collect();
        let ordered = View::of(1);
        ordered.receive(&logs.0, &[Arrival::Read; 8]);
        ordered.adopt(2);
        ordered.receive(&logs.1, &[Arrival::Read; 8]);

        let view = View::of(1);
        let retry = |at: usize| if retries[at] { drop(view.retry()) };
        view.receive(&logs.0, &first);
        retry(0);
        view.adopt(1);
        view.receive(&logs.0, &again);
        view.adopt(2);
        retry(1);
        view.receive(&logs.1, &second);
        retry(2);
        view.adopt(2);
        view.receive(&logs.1, &[Arrival::Read; 8]);
        view.retry();
        prop_assert_eq!(view.keys(), ordered.keys());
    }
}
