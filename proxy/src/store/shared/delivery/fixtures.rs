//! Messages for tests.

use crate::clock::UnixMillis;
use crate::events::{Event, EventData, Keyring, LoggedEvent, RevocationScope, write_event};
use crate::feed::Delivered;
use crate::iam::Credential;
use crate::store::fixtures::{ACCOUNT, HOUR, created, deleted, event, issued, long_term, revoked, session};

pub(in crate::store::shared) const NOW: UnixMillis = UnixMillis(100 * HOUR);

pub(super) fn delivered(seq: u64, event: &Event, keyring: &Keyring) -> Delivered {
    let logged = LoggedEvent { event: event.clone(), recorded_at: NOW };
    Delivered {
        seq,
        published: NOW,
        sealed_since: UnixMillis(0),
        id: None,
        revocation: matches!(event.data, EventData::SessionRevoked { .. }),
        of_key: false,
        mark: None,
        body: write_event(&logged, keyring).unwrap().into(),
    }
}

/// Sessions, and between them whatever may befall a message.
pub(in crate::store::shared) fn log_of_all_kinds(keyring: &Keyring) -> Vec<Delivered> {
    let again = |id: &str, credential: Credential| event(id, EventData::CredentialIssued(credential));
    let fresh = |id: &str| session(id, NOW.0);
    let mut contradicting = fresh("ASIA1");
    contradicting.principal.user_id = "another".into();
    let mut too_long = fresh("ASIATOOLONG");
    too_long.session.as_mut().unwrap().expires_at = NOW.plus(40 * HOUR);
    let events = [
        issued(fresh("ASIA2")),
        issued(fresh("ASIA1")),
        issued(fresh("ASIA1")),
        again("another", fresh("ASIA2")),
        again("contradiction", contradicting),
        again("issued ASIA2", fresh("ASIAKNOWN")),
        created(long_term("AKIA1")),
        issued(fresh("AKIA1")),
        issued(fresh("ASIA3")),
        issued(fresh("ASIAPOISON")),
        issued(fresh("ASIA5")),
        issued(fresh("ASIALOCKED")),
        issued(fresh("ASIA4")),
        issued(too_long),
        issued(fresh("ASIA7")),
        revoked(RevocationScope::Account(ACCOUNT.into()), NOW.0),
        issued(session("ASIA6", NOW.0 - HOUR)),
        issued(session("ASIAOVER", NOW.0 - 3 * HOUR)),
        issued(fresh("ASIA8")),
        created(long_term("ASIA8")),
        deleted("deleted", "AKIA1"),
        issued(fresh("AKIA1")),
        issued(fresh("ASIA9")),
    ];
    let other = Keyring::ephemeral().unwrap();
    let messages = events.iter().zip(1..).map(|(event, place)| {
        let locked = event.id.ends_with("LOCKED");
        // Some numbers are missing, as in a log that has been compacted.
        let mut message = delivered(place * 2, event, if locked { &other } else { keyring });
        if event.id.ends_with("POISON") {
            message.body = "\x03".into();
        }
        message
    });
    messages.collect()
}
