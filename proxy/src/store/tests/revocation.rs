//! Who is reached by which revocation, and for how long.

use proptest::prelude::*;

use super::*;
use crate::events::EventData;
use crate::events::MAX_SESSION_MILLIS;

fn reader() -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/reader")
}

#[tokio::test]
async fn each_scope_reaches_its_sessions_and_nothing_else() {
    use RevocationScope::{AccessKey, Account, Principal, Role};
    let own = role_session("ASIA1", 1_000);
    let sibling = role_session("ASIA2", 1_000);
    let user = session("ASIA3", 1_000);
    let mut foreign = session("ASIA4", 1_000);
    foreign.principal = crate::iam::Principal {
        arn: "arn:aws:iam::210987654321:user/bob".into(),
        user_id: "AIDABOB".into(),
        account: "210987654321".into(),
    };
    foreign.session.as_mut().unwrap().parent_access_key_id = None;
    let everyone = [&own, &sibling, &user, &foreign];
    let three = |by| [Some(by), Some(by), Some(by), None];
    let table = [
        (AccessKey(id("ASIA1")), [Some(RevokedBy::AccessKey), None, None, None]),
        (AccessKey(id("AKIAPARENT")), three(RevokedBy::AccessKey)),
        (Principal(own.principal.arn.clone()), [Some(RevokedBy::Principal), None, None, None]),
        (Principal(own.principal.user_id.clone()), [Some(RevokedBy::Principal), None, None, None]),
        (Principal(alice().arn), [None, None, Some(RevokedBy::Principal), None]),
        (Principal(alice().user_id), [None, None, Some(RevokedBy::Principal), None]),
        (Role(reader()), [Some(RevokedBy::Role), Some(RevokedBy::Role), None, None]),
        (Account(ACCOUNT.into()), three(RevokedBy::Account)),
    ];
    for (scope, expected) in table {
        let mut bench = Bench::new();
        bench.put(revoked(scope.clone(), 1_001)).await.unwrap();
        for round in ["at once", "after a restart"] {
            let found = everyone.map(|credential| bench.store.revoked(credential));
            assert_eq!(found, expected, "{scope:?} {round}");
            bench.reopen().await;
        }
    }
}

/// A session from an identity provider, and what was chained from it: `first` → `second` → `third`, each a millisecond
/// after the other; and one that alice's key got directly.
fn family() -> [Credential; 4] {
    let mut first = role_session("ASIA1", 1_000);
    let session = first.session.as_mut().unwrap();
    session.kind = crate::iam::SessionKind::Saml;
    session.parent_access_key_id = None;
    session.source_identity = Some("carol".into());
    session.federation = Some(crate::iam::Federation {
        provider: IDP.into(),
        issuer: "https://idp".into(),
        subject: "carol".into(),
        audience: "https://sp".into(),
        saml: None,
    });
    let second = chained(&first, "ASIA2", "second", 1_001);
    let third = chained(&second, "ASIA3", "third", 1_002);
    let other = chained(&long_term("AKIAPARENT"), "ASIA4", "other", 1_000);
    [first, second, third, other]
}

const IDP: &str = "arn:aws:iam::123456789012:saml-provider/idp";

/// What becomes of the family by one event; `1` stands for refused.
async fn refused(event: Event) -> [u8; 4] {
    let mut bench = Bench::new();
    bench.clock.set(UnixMillis(2_000));
    bench.put(event).await.unwrap();
    let told = |bench: &Bench| family().map(|session| u8::from(bench.store.revoked(&session).is_some()));
    let at_once = told(&bench);
    bench.reopen().await;
    assert_eq!(told(&bench), at_once, "after a restart");
    at_once
}

#[tokio::test]
async fn a_plain_revocation_ends_at_its_scope_and_a_cascade_follows_the_chain() {
    use RevocationScope::{
        AccessKey, Account, IdentityProvider, Principal, Role, SessionName, SourceIdentity,
    };
    let [first, second, ..] = family();
    let name = |name: &str| SessionName { role: reader(), name: name.into() };
    let table = [
        (AccessKey(id("ASIA1")), [1, 1, 0, 0], [1, 1, 1, 0]),
        (AccessKey(id("ASIA2")), [0, 1, 1, 0], [0, 1, 1, 0]),
        (AccessKey(id("AKIAPARENT")), [0, 0, 0, 1], [0, 0, 0, 1]),
        (Principal(first.principal.arn), [1, 0, 0, 0], [1, 1, 1, 0]),
        (Principal(second.principal.user_id), [0, 1, 0, 0], [0, 1, 1, 0]),
        (Principal(alice().arn), [0, 0, 0, 0], [0, 0, 0, 1]),
        (Role(reader()), [1, 0, 0, 0], [1, 1, 1, 0]),
        (name("ASIA1"), [1, 0, 0, 0], [1, 1, 1, 0]),
        (name("ASIA2"), [0, 0, 0, 0], [0, 0, 0, 0]),
        (IdentityProvider(IDP.into()), [1, 0, 0, 0], [1, 1, 1, 0]),
        (SourceIdentity("carol".into()), [1, 1, 1, 0], [1, 1, 1, 0]),
        (SourceIdentity("dave".into()), [0, 0, 0, 0], [0, 0, 0, 0]),
        (Account(ACCOUNT.into()), [1, 1, 1, 1], [1, 1, 1, 1]),
    ];
    for (scope, plain, cascade) in table {
        assert_eq!(refused(revoked(scope.clone(), 1_900)).await, plain, "{scope:?}");
        assert_eq!(refused(cascading(scope.clone(), 1_900)).await, cascade, "{scope:?} with cascade");
    }
}

#[tokio::test]
async fn a_cascade_asks_when_the_ancestor_was_issued() {
    // The first was issued at 1000, and what was chained from it later falls with it.
    assert_eq!(refused(cascading(RevocationScope::Role(reader()), 1_001)).await, [1, 1, 1, 0]);
    assert_eq!(refused(cascading(RevocationScope::Role(reader()), 1_000)).await, [0, 0, 0, 0]);
    // A key lives on: what it is used for after the mark is alive.
    let alice = RevocationScope::Principal(alice().arn);
    assert_eq!(refused(cascading(alice.clone(), 1_001)).await, [0, 0, 0, 1]);
    assert_eq!(refused(cascading(alice, 1_000)).await, [0, 0, 0, 0]);
}

#[tokio::test]
async fn a_later_plain_mark_does_not_lengthen_an_earlier_cascade() {
    let bench = Bench::new();
    bench.clock.set(UnixMillis(2_000));
    let role = RevocationScope::Role(reader());
    bench.put(cascading(role.clone(), 1_000)).await.unwrap();
    bench.put(revoked(role, 1_900)).await.unwrap();
    let told = family().map(|session| bench.store.revoked(&session).is_some());
    assert_eq!(told, [true, false, false, false]);
}

#[tokio::test]
async fn a_user_is_revoked_with_what_it_got_for_others() {
    let bench = Bench::new();
    let mut federated = chained(&long_term("AKIAPARENT"), "ASIA1", "x", 1_000);
    federated.principal.arn = format!("arn:aws:sts::{ACCOUNT}:federated-user/bob");
    federated.principal.user_id = format!("{ACCOUNT}:bob");
    let session = federated.session.as_mut().unwrap();
    (session.kind, session.role_arn) = (crate::iam::SessionKind::Federation, None);
    for name in [alice().arn, alice().user_id, federated.principal.arn.clone()] {
        let bench = Bench::new();
        bench.put(revoked(RevocationScope::Principal(name), 1_001)).await.unwrap();
        assert_eq!(bench.store.revoked(&federated), Some(RevokedBy::Principal));
    }
    let assumed = chained(&long_term("AKIAPARENT"), "ASIA2", "x", 1_000);
    bench.put(revoked(RevocationScope::Principal(alice().arn), 1_001)).await.unwrap();
    assert_eq!(bench.store.revoked(&assumed), None, "a role that the user assumed is not the user");
}

#[tokio::test]
async fn now_and_the_count_of_the_reached_follow_the_chain_if_asked_to() {
    let bench = Bench::new();
    for session in family() {
        bench.put(issued(session)).await.unwrap();
    }
    let role = RevocationScope::Role(reader());
    assert_eq!(bench.store.reached(&role, false, UnixMillis(1_001)).await.unwrap(), 1);
    assert_eq!(bench.store.reached(&role, true, UnixMillis(1_001)).await.unwrap(), 3);
    assert_eq!(bench.store.reached(&role, true, UnixMillis(1_000)).await.unwrap(), 0);
    let ahead = chained(&role_session("ASIA5", 50_000), "ASIA6", "ahead", 60_000);
    bench.put(issued(ahead)).await.unwrap();
    assert_eq!(bench.store.mark_now(&role, false).await.unwrap(), UnixMillis(1_001));
    assert_eq!(bench.store.mark_now(&role, true).await.unwrap(), UnixMillis(50_001), "that of the ancestor");
}

#[tokio::test]
async fn a_name_that_json_writes_otherwise_is_found_too() {
    let bench = Bench::new();
    let strange = r#"AKIA"\\\"1"#;
    let mut issued_to = session("ASIA1", 60_000);
    issued_to.session.as_mut().unwrap().parent_access_key_id = Some(id(strange));
    issued_to.session.as_mut().unwrap().source_identity = Some("zo\u{eb}\n".into());
    bench.put(issued(issued_to)).await.unwrap();
    for scope in [
        RevocationScope::AccessKey(id(strange)),
        RevocationScope::SourceIdentity("zo\u{eb}\n".into()),
        RevocationScope::Principal(alice().arn),
    ] {
        let mark = bench.store.mark_now(&scope, false).await.unwrap();
        assert_eq!(mark, UnixMillis(60_001), "{scope:?}");
        assert_eq!(bench.store.reached(&scope, false, mark).await.unwrap(), 1, "{scope:?}");
    }
}

#[tokio::test]
async fn sessions_of_an_entity_that_is_gone_end_and_stay_ended() {
    let mut bench = Bench::new();
    let old = role_session("ASIA1", 1_000);
    bench.put(issued(old.clone())).await.unwrap();
    bench.put(issued(session("ASIA2", 1_000))).await.unwrap();
    let gone = vec![RevocationScope::Role(reader()), RevocationScope::Principal(alice().user_id)];
    bench.store.end_sessions(gone, "deleted").await.unwrap();
    bench.store.end_sessions(Vec::new(), "nothing").await.unwrap();
    bench.reopen().await;
    assert_eq!(bench.store.revoked(&old), Some(RevokedBy::Role));
    assert_eq!(bench.store.revoked(&session("ASIA2", 1_000)), Some(RevokedBy::Principal));
    assert_eq!(bench.store.revoked(&long_term("AKIAPARENT")), None);
    assert_eq!(bench.store.revoked(&role_session("ASIA3", 1_001)), None, "declared anew, and assumed anew");
    let events = bench.store.events(2, 9).await.unwrap();
    assert!(
        events.iter().all(
            |(_, event)| event.source == Event::CONFIG_SOURCE && format!("{event:?}").contains("deleted")
        )
    );
    assert_eq!(events.len(), 2);
}

#[tokio::test]
async fn a_session_issued_at_the_very_time_of_the_mark_is_not_reached() {
    let bench = Bench::new();
    bench.put(revoked(RevocationScope::Account(ACCOUNT.into()), 1_000)).await.unwrap();
    assert_eq!(bench.store.revoked(&session("ASIA1", 999)), Some(RevokedBy::Account));
    assert_eq!(bench.store.revoked(&session("ASIA1", 1_000)), None);
}

#[tokio::test]
async fn marks_only_grow() {
    let mut bench = Bench::new();
    let scope = RevocationScope::Role(reader());
    for before in [500, 900, 200] {
        bench.put(revoked(scope.clone(), before)).await.unwrap();
    }
    for _ in 0..2 {
        assert_eq!(bench.store.revoked(&role_session("ASIA1", 899)), Some(RevokedBy::Role));
        assert_eq!(bench.store.revoked(&role_session("ASIA1", 900)), None);
        bench.reopen().await;
    }
}

#[tokio::test]
async fn a_mark_that_was_raised_meanwhile_is_not_dropped_as_spent() {
    let bench = Bench::new();
    let scope = RevocationScope::Role(reader());
    let mark = |before| Mark::of(&scope, false, UnixMillis(before));
    let marks = &bench.store.state().revocations;
    marks.raise(&[mark(900)]);
    marks.drop_all(&[mark(500)]);
    assert_eq!(bench.store.revoked(&role_session("ASIA1", 899)), Some(RevokedBy::Role));
    marks.drop_all(&[mark(900)]);
    assert_eq!(bench.store.revoked(&role_session("ASIA1", 899)), None);
}

#[tokio::test]
async fn a_long_term_key_is_reached_by_its_own_id_only() {
    use RevocationScope::{AccessKey, Account, Principal, Role};
    let bench = Bench::new();
    let key = long_term("AKIA1");
    let alice = alice();
    for scope in
        [Principal(alice.arn.clone()), Principal(alice.user_id), Role(alice.arn), Account(ACCOUNT.into())]
    {
        bench.put(revoked(scope, 1_001)).await.unwrap();
        assert_eq!(bench.store.revoked(&key), None);
    }
    bench.put(revoked(AccessKey(id("AKIA1")), 1_001)).await.unwrap();
    assert_eq!(bench.store.revoked(&key), Some(RevokedBy::AccessKey));
    let renewed = Credential { issued_at: UnixMillis(1_001), ..key };
    assert_eq!(bench.store.revoked(&renewed), None, "a key created anew after the mark");
}

#[tokio::test]
async fn a_revoked_key_stays_revoked_however_it_is_described_anew() {
    let mut bench = Bench::new();
    bench.put(created(long_term("AKIA1"))).await.unwrap();
    bench.put(revoked(RevocationScope::AccessKey(id("AKIA1")), 1_001)).await.unwrap();
    let later = Credential { issued_at: UnixMillis(2_000), ..long_term("AKIA1") };
    let mut renamed = later.clone();
    renamed.principal.arn.push('2');
    bench.put(event("renamed", EventData::AccessKeyCreated(renamed.clone()))).await.unwrap();
    for _ in 0..2 {
        let record = bench.find("AKIA1").await.unwrap();
        assert_eq!(record.credential().principal, renamed.principal);
        assert_eq!(bench.store.revoked(record.credential()), Some(RevokedBy::AccessKey));
        bench.reopen().await;
    }
    let secret = sigv4::SecretAccessKey::new("another secret");
    let replaced = Credential { secret, issued_at: UnixMillis(2_001), ..later };
    bench.put(event("replaced", EventData::AccessKeyCreated(replaced))).await.unwrap();
    assert_eq!(bench.store.revoked(bench.find("AKIA1").await.unwrap().credential()), None);
}

#[tokio::test]
async fn a_cached_session_is_refused_the_moment_its_revocation_is_acknowledged() {
    let bench = Bench::new();
    bench.put(issued(session("ASIA1", 1_000))).await.unwrap();
    let record = bench.find("ASIA1").await.unwrap();
    let scope = RevocationScope::AccessKey(id("ASIA1"));
    let mark = bench.store.mark_now(&scope, false).await.unwrap();
    bench.put(revoked(scope, mark.0)).await.unwrap();
    assert_eq!(bench.store.revoked(record.credential()), Some(RevokedBy::AccessKey));
}

#[tokio::test]
async fn now_is_after_everything_issued_in_the_scope_by_any_clock() {
    let mut bench = Bench::new();
    let (role, other) = (
        RevocationScope::Role(reader()),
        RevocationScope::Role(format!("arn:aws:iam::{ACCOUNT}:role/other")),
    );
    bench.put(issued(role_session("ASIA1", 1_000))).await.unwrap();
    assert_eq!(
        bench.store.mark_now(&role, false).await.unwrap(),
        UnixMillis(1_001),
        "the same millisecond is reached"
    );
    bench.put(issued(role_session("ASIA2", 60_000))).await.unwrap();
    for _ in 0..2 {
        assert_eq!(bench.store.mark_now(&role, false).await.unwrap(), UnixMillis(60_001));
        assert_eq!(bench.store.mark_now(&other, false).await.unwrap(), UnixMillis(1_001));
        let own = RevocationScope::AccessKey(id("ASIA2"));
        assert_eq!(bench.store.mark_now(&own, false).await.unwrap(), UnixMillis(60_001));
        bench.reopen().await;
    }
}

#[tokio::test]
async fn compaction_drops_what_is_over_and_keeps_what_holds() {
    let mut bench = Bench::new();
    bench.put(created(long_term("AKIAPARENT"))).await.unwrap();
    bench.put(issued(session("ASIASHORT", 1_000))).await.unwrap();
    let mut long = session("ASIALONG", 1_000);
    long.session.as_mut().unwrap().expires_at = UnixMillis(1_000 + MAX_SESSION_MILLIS);
    bench.put(issued(long.clone())).await.unwrap();
    bench.put(revoked(RevocationScope::Role(reader()), 1_000)).await.unwrap();
    bench.put(revoked(RevocationScope::AccessKey(id("AKIAPARENT")), 1_001)).await.unwrap();
    bench.put(revoked(RevocationScope::AccessKey(id("ASIALONG")), 1_001)).await.unwrap();

    let counts = |compacted: Compacted| (compacted.sessions, compacted.events, compacted.marks);
    bench.clock.set(UnixMillis(1_000 + HOUR + HOUR - 1));
    assert_eq!(counts(bench.store.compact().await.unwrap()), (0, 0, 0), "expired, and still told so");
    bench.clock.set(UnixMillis(1_000 + HOUR + HOUR));
    assert_eq!(counts(bench.store.compact().await.unwrap()), (1, 1, 0));
    assert_eq!(bench.store.revoked(&long), Some(RevokedBy::AccessKey));

    bench.clock.set(UnixMillis(1_001 + MAX_SESSION_MILLIS + HOUR));
    assert_eq!(counts(bench.store.compact().await.unwrap()), (1, 4, 2));
    assert_eq!(
        bench.store.revoked(&long_term("AKIAPARENT")),
        Some(RevokedBy::AccessKey),
        "the key still exists"
    );
    bench.reopen().await;
    assert!(bench.find("ASIASHORT").await.is_none() && bench.find("ASIALONG").await.is_none());
    assert_eq!(bench.store.revoked(&long_term("AKIAPARENT")), Some(RevokedBy::AccessKey));
    assert_eq!(bench.store.state().metrics.revocation_marks.get(), 1);
    assert_eq!(bench.store.events(0, 10).await.unwrap().len(), 1, "the event that created the key");

    bench.put(deleted("1", "AKIAPARENT")).await.unwrap();
    bench.clock.set(bench.clock.now().plus(MAX_SESSION_MILLIS + HOUR + 1));
    assert_eq!(bench.store.compact().await.unwrap().marks, 1, "that of its sessions");
    assert_eq!(bench.store.state().metrics.revocation_marks.get(), 1, "the id may be declared at any time");
}

#[tokio::test]
async fn a_cascade_holds_until_the_last_session_of_the_longest_chain_is_over() {
    let mut bench = Bench::new();
    let mut first = session("ASIAFIRST", 1_000);
    first.session.as_mut().unwrap().expires_at = UnixMillis(1_000 + MAX_SESSION_MILLIS);
    let second = chained(&first, "ASIASECOND", "second", 999 + MAX_SESSION_MILLIS);
    let third = chained(&second, "ASIATHIRD", "third", 998 + MAX_SESSION_MILLIS + 12 * HOUR);
    let of_first = RevocationScope::AccessKey(id("ASIAFIRST"));
    bench.clock.set(UnixMillis(1_001 + 37 * HOUR));
    bench.put(cascading(of_first.clone(), 1_001)).await.unwrap();
    bench.put(revoked(of_first, 1_001)).await.unwrap();
    assert_eq!(bench.store.compact().await.unwrap().marks, 1, "the plain one, which reaches no further");
    for now in [37 * HOUR, 49 * HOUR, 64 * HOUR - 1] {
        bench.clock.set(UnixMillis(1_001 + now));
        assert_eq!(bench.store.compact().await.unwrap(), Compacted::default(), "{now}");
        for session in [&second, &third] {
            assert_eq!(bench.store.revoked(session), Some(RevokedBy::AccessKey), "{now}");
        }
        bench.reopen().await;
    }
    bench.clock.set(UnixMillis(1_001 + 64 * HOUR));
    let over = bench.store.compact().await.unwrap();
    assert_eq!((over.events, over.marks), (1, 1), "with its event");
}

fn any_revocation() -> impl Strategy<Value = Event> {
    let scope = prop_oneof![
        (0..4u8).prop_map(|n| RevocationScope::AccessKey(id(&format!("ASIA{n}")))),
        Just(RevocationScope::AccessKey(id("AKIAPARENT"))),
        Just(RevocationScope::SessionId(id("AKIAPARENT"))),
        Just(RevocationScope::SessionId(id("ASIA2"))),
        Just(RevocationScope::Principal(alice().arn)),
        Just(RevocationScope::Role(reader())),
        Just(RevocationScope::Account(ACCOUNT.into())),
        Just(RevocationScope::SessionName { role: reader(), name: "ASIA2".into() }),
        Just(RevocationScope::IdentityProvider(IDP.into())),
        Just(RevocationScope::SourceIdentity("carol".into())),
    ];
    (scope, 998..1_004i64, any::<bool>()).prop_map(|(scope, before, cascade)| {
        if cascade { cascading(scope, before) } else { revoked(scope, before) }
    })
}

fn credentials() -> [Credential; 4] {
    [
        session("ASIA0", 999),
        session("ASIA1", 1_001),
        role_session("ASIA2", 1_000),
        role_session("ASIA3", 1_002),
    ]
}

/// What a store decides about [`credentials`] after these events.
fn decisions(events: Vec<Event>) -> Vec<(bool, Option<RevokedBy>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let bench = Bench::new();
        bench.clock.set(UnixMillis(2_000));
        bench.store.append(events).await.unwrap();
        let mut found = Vec::new();
        for credential in credentials() {
            let known = bench.find(credential.access_key_id.as_str()).await.is_some();
            found.push((known, bench.store.revoked(&credential)));
        }
        found
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn order_and_repetition_of_events_do_not_matter(
        (ordered, shuffled) in proptest::collection::vec(any_revocation(), 0..6).prop_flat_map(|revocations| {
            let ordered: Vec<_> = credentials().map(issued).into_iter().chain(revocations).collect();
            let twice = [ordered.clone(), ordered.clone()].concat();
            (Just(ordered), Just(twice).prop_shuffle())
        })
    ) {
        prop_assert_eq!(decisions(ordered), decisions(shuffled));
    }

    #[test]
    fn the_index_answers_as_the_definition_does(revocations in proptest::collection::vec(any_revocation(), 0..8)) {
        let index = Revocations::new(prometheus::IntGauge::new("marks", "marks").unwrap());
        let marks: Vec<_> = revocations.iter().map(|event| match &event.data {
            crate::events::EventData::SessionRevoked { scope, cascade, issued_before, .. } => Mark::of(scope, *cascade, *issued_before),
            other => panic!("{other:?}"),
        }).collect();
        index.raise(&marks);
        for credential in credentials().into_iter().chain(family()).chain([long_term("AKIAPARENT"), Credential { declared: true, ..long_term("AKIAPARENT") }]) {
            let expected = marks.iter().any(|mark| mark.reaches(&credential));
            prop_assert_eq!(index.find(&credential).is_some(), expected);
        }
    }
}

#[tokio::test]
async fn a_revoked_key_that_is_said_again_as_of_later_is_revoked_for_whoever_reads_of_that_alone() {
    for (said, reached) in [(1_500, true), (900, false)] {
        let mut bench = Bench::new();
        bench.clock.set(UnixMillis(2_000));
        let later = Credential { issued_at: UnixMillis(said), ..long_term("AKIAPARENT") };
        bench.put(created(long_term("AKIAPARENT"))).await.unwrap();
        let before = if reached { 1_200 } else { 900 };
        bench.put(revoked(RevocationScope::AccessKey(id("AKIAPARENT")), before)).await.unwrap();
        bench.put(Event { id: "again".into(), ..created(later.clone()) }).await.unwrap();
        for round in ["at once", "after a restart"] {
            assert_eq!(bench.store.revoked(&later).is_some(), reached, "{said} {round}");
            bench.reopen().await;
        }
    }
}
