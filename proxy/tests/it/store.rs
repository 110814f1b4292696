//! The store across processes: one is killed in the middle of its work, the next finds everything acknowledged.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "how the process that is killed tells what was acknowledged")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use sigv4::SecretAccessKey;
use sigward::clock::Clock;
use sigward::events::{Event, EventData, Keyring, RevocationScope};
use sigward::iam::{AccessKeyId, Credential, KeyStatus, Principal, Session, SessionKind, SessionTokenHash};
use sigward::metrics::Metrics;
use sigward::store::{RevokedBy, Store, StoreOptions};

const DIRECTORY: &str = "SIGWARD_TEST_STORE";

fn open(directory: &Path) -> Store {
    let options = StoreOptions::new(directory.join("sigward.redb"), 1 << 20);
    let keyring = Keyring::load(&[directory.join("sealing.key")]).unwrap();
    Store::open(&options, keyring, Clock::system(), &Metrics::new()).unwrap()
}

fn session(access_key_id: &str) -> Credential {
    let now = Clock::system().now();
    Credential {
        access_key_id: AccessKeyId::parse(access_key_id).unwrap(),
        secret: SecretAccessKey::new(format!("secret of {access_key_id}")),
        principal: Principal {
            arn: "arn:aws:iam::123456789012:user/alice".into(),
            user_id: "AIDAALICE".into(),
            account: "123456789012".into(),
        },
        issued_at: now,
        status: KeyStatus::Active,
        not_after: None,
        declared: false,
        session: Some(Session::new(
            SessionKind::SessionToken,
            SessionTokenHash::of(access_key_id.as_bytes()),
            now.plus(3_600_000),
        )),
    }
}

fn event(id: String, data: EventData) -> Event {
    Event { source: "/test".into(), id, time: Clock::system().now(), data }
}

/// Issues credentials, revokes every other one, and prints each id once both are acknowledged.
async fn issue_and_revoke(store: Store, worker: u32) {
    for n in 0.. {
        let name = format!("ASIA{worker}N{n}");
        let issued = event(format!("issue {name}"), EventData::CredentialIssued(session(&name)));
        store.append(vec![issued]).await.unwrap();
        if n % 2 == 0 {
            let scope = RevocationScope::AccessKey(AccessKeyId::parse(&name).unwrap());
            let issued_before = store.mark_now(&scope, false).await.unwrap();
            let revoked = EventData::SessionRevoked { scope, cascade: false, issued_before, reason: None };
            store.append(vec![event(format!("revoke {name}"), revoked)]).await.unwrap();
        }
        println!("acknowledged {name} {}", n % 2 == 0);
    }
}

#[tokio::test]
#[ignore = "the process that the next test starts and kills"]
async fn works_until_it_is_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let store = open(Path::new(&directory));
    let workers: Vec<_> =
        (0..8).map(|worker| tokio::spawn(issue_and_revoke(store.clone(), worker))).collect();
    for worker in workers {
        worker.await.unwrap();
    }
}

#[tokio::test]
async fn what_was_acknowledged_before_a_kill_holds_after_it() {
    let directory = tempfile::tempdir().unwrap();
    Keyring::create(&directory.path().join("sealing.key")).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::works_until_it_is_killed", "--ignored", "--nocapture"])
        .env(DIRECTORY, directory.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut acknowledged: Vec<String> =
        lines.by_ref().filter(|line| line.starts_with("acknowledged")).take(300).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    // What was still in the pipe was acknowledged as well; the last line may be cut short.
    acknowledged.extend(lines.filter(|line| line.ends_with("true") || line.ends_with("false")));
    assert!(acknowledged.len() >= 300);

    let store = open(directory.path());
    for line in acknowledged {
        let [_, name, revoked] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let record = store.load(name).await.unwrap().unwrap_or_else(|| panic!("{name} is lost"));
        let expected = (revoked == "true").then_some(RevokedBy::AccessKey);
        assert_eq!(store.revoked(record.credential()), expected, "{name}");
    }
    store.close().await;
}
