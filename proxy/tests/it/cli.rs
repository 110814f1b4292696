//! The program as operators run it: what it prints, and the exit code scripts go by.

mod events;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;
use sigv4::SecretAccessKey;
use sigward::clock::{Clock, UnixMillis};
use sigward::config::{Config, Environment};
use sigward::events::{Event, EventData, Keyring};
use sigward::iam::{AccessKeyId, Credential, KeyStatus, Principal, Session, SessionKind, SessionTokenHash};
use sigward::server::Server;
use tempfile::TempDir;

fn sigward(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sigward"));
    command.args(arguments).env_clear().output().unwrap()
}

fn exit_code(arguments: &[&str]) -> Option<i32> {
    sigward(arguments).status.code()
}

/// Standard output of a command that succeeds.
fn said(arguments: &[&str]) -> String {
    let output = sigward(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The shipped minimal configuration, with its secrets beside it.
fn directory() -> TempDir {
    let dir = TempDir::new().unwrap();
    let secrets = dir.path().join("secrets");
    fs::create_dir(&secrets).unwrap();
    for name in ["backend", "alice"] {
        fs::write(secrets.join(name), "secret of a long-term key\n").unwrap();
    }
    Keyring::create(&secrets.join("sealing.key")).unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/minimal.toml");
    fs::copy(shipped, dir.path().join("sigward.toml")).unwrap();
    dir
}

/// Its own runtime keeps serving while the test waits for the program.
struct Running {
    runtime: tokio::runtime::Runtime,
    server: Server,
    admin: String,
    dir: TempDir,
}

impl Running {
    fn start() -> Self {
        let dir = directory();
        let anywhere =
            [("SIGWARD__GATEWAY__LISTEN", "127.0.0.1:0"), ("SIGWARD__ADMIN__LISTEN", "127.0.0.1:0")];
        let environment: Environment = anywhere.into_iter().collect();
        let config = Config::load(&dir.path().join("sigward.toml"), &environment).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let server = runtime.block_on(Server::start(config, Clock::system())).unwrap();
        let admin = format!("http://{}", server.admin_address());
        Self { runtime, server, admin, dir }
    }

    /// Issues a session of the role `reader` to alice's key.
    fn issue(&self, id: &str) {
        let now = Clock::system().now();
        let arn = "arn:aws:sts::123456789012:assumed-role/reader/job".to_owned();
        let credential = Credential {
            access_key_id: AccessKeyId::parse(id).unwrap(),
            secret: SecretAccessKey::new("secret of a session"),
            principal: Principal { arn, user_id: "AROAREADER:job".into(), account: "123456789012".into() },
            issued_at: now,
            status: KeyStatus::Active,
            not_after: None,
            declared: false,
            session: Some(session(now)),
        };
        let data = EventData::CredentialIssued(credential);
        let event = Event { source: "/test".into(), id: id.into(), time: now, data };
        self.runtime.block_on(self.server.store().append(vec![event])).unwrap();
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&said(&[arguments, &["--json", "--admin", &self.admin]].concat())).unwrap()
    }

    fn text(&self, arguments: &[&str]) -> String {
        said(&[arguments, &["--admin", &self.admin]].concat())
    }
}

fn session(now: UnixMillis) -> Session {
    let expires_at = now.plus(i64::try_from(Duration::from_secs(3600).as_millis()).unwrap());
    Session {
        name: Some("job".into()),
        role_arn: Some("arn:aws:iam::123456789012:role/reader".into()),
        parent_access_key_id: AccessKeyId::parse("AKIAEXAMPLEALICE0001"),
        ..Session::new(SessionKind::AssumedRole, SessionTokenHash::of(b"token"), expires_at)
    }
}

#[test]
fn check_config_prints_every_fault_and_exits_with_1() {
    let dir = directory();
    let file = dir.path().join("sigward.toml");
    let file = file.to_str().unwrap();
    assert!(said(&["check-config", "--config", file]).contains("ok"));

    fs::write(dir.path().join("secrets/sealing.key"), "not a sealing key").unwrap();
    let output = sigward(&["check-config", "--config", file]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("store.sealing_key_files"), "{output:?}");

    fs::write(file, "colour = 1\n[gateway]\nlisten = \"here\"").unwrap();
    let output = sigward(&["check-config", "--config", file]);
    assert_eq!(output.status.code(), Some(1));
    let complaint = String::from_utf8(output.stderr).unwrap();
    for key in ["colour", "gateway.listen", "backend.endpoint", "store.sealing_key_files"] {
        assert!(complaint.contains(&format!("{key}: ")), "{key} in {complaint}");
    }
}

#[test]
fn exit_codes_tell_misuse_from_failure() {
    for misuse in [
        &["revoke"][..],
        &["revoke", "--role", "a", "--account", "b"],
        &["keys", "create", "--user", "alice"],
        &["sessions", "--admin", "nowhere"],
        &["dance"],
    ] {
        assert_eq!(exit_code(misuse), Some(2), "{misuse:?}");
    }
    // Nobody listens on port 1.
    assert_eq!(exit_code(&["sessions", "--admin", "http://127.0.0.1:1"]), Some(1));
    assert_eq!(exit_code(&["serve", "--config", "/nonexistent"]), Some(1));
    assert_eq!(exit_code(&["--version"]), Some(0));
}

#[test]
fn whoami_says_whose_the_credentials_are() {
    let running = Running::start();
    let endpoint = format!("http://{}", running.server.gateway_address());
    let whoami = |arguments: &[&str], secret: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sigward"));
        command.arg("whoami").args(arguments).env_clear().env("AWS_ENDPOINT_URL_STS", &endpoint);
        command.env("AWS_ACCESS_KEY_ID", "AKIAEXAMPLEALICE0001").env("AWS_SECRET_ACCESS_KEY", secret);
        command.output().unwrap()
    };
    let told = whoami(&["--json"], "secret of a long-term key");
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    let [arn, account] = ["arn:aws:iam::123456789012:user/alice", "123456789012"];
    assert_eq!((&told["Arn"], &told["Account"]), (&arn.into(), &account.into()));
    assert!(String::from_utf8(whoami(&[], "secret of a long-term key").stdout).unwrap().contains(arn));

    let refused = whoami(&[], "canary");
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0));
    let complaint = String::from_utf8(refused.stderr).unwrap();
    assert!(complaint.starts_with("sigward: SignatureDoesNotMatch: "), "{complaint}");
    assert!(!complaint.contains("canary"));
    assert_eq!(exit_code(&["whoami", "--endpoint-url", "http://127.0.0.1:1"]), Some(1));
    assert_eq!(exit_code(&["whoami", "--endpoint-url", "http://sts.example"]), Some(2));
}

#[test]
fn sessions_are_listed_and_revoked() {
    let running = Running::start();
    running.issue("ASIAEXAMPLE1");
    running.issue("ASIAEXAMPLE2");
    let listed = running.json(&["sessions", "--role", "arn:aws:iam::123456789012:role/reader"]);
    assert_eq!(listed["sessions"].as_array().map(Vec::len), Some(2));
    assert_eq!(running.json(&["sessions", "--limit", "1"])["more"], true);
    let by_kind = ["sessions", "list", "--kind", "assumed_role", "--session-name", "job"];
    assert_eq!(running.json(&by_kind)["sessions"].as_array().map(Vec::len), Some(2));
    assert_eq!(running.json(&["sessions", "list", "--kind", "saml"])["sessions"], serde_json::json!([]));

    let revoked = running.json(&["revoke", "--access-key-id", "ASIAEXAMPLE1", "--reason", "leaked"]);
    assert_eq!(
        (&revoked["sessions"], revoked["seq"].as_u64()),
        (&1.into(), Some(running.server.store().position()))
    );
    let table = running.text(&["sessions"]);
    let revoked: Vec<bool> = table.lines().skip(1).map(|line| line.ends_with("access_key_id")).collect();
    assert_eq!(revoked, [true, false], "{table}");
    let told = running.text(&["revoke", "--account", "123456789012", "--cascade"]);
    assert!(told.starts_with("revoked: sessions of account 123456789012 issued before 2"), "{told}");
    assert!(told.contains(", and sessions chained from them\nlive sessions reached: 2\n"), "{told}");
}

#[test]
fn keys_are_created_disabled_and_deleted() {
    let running = Running::start();
    let created = running.json(&["keys", "create", "--user", "bob", "--account", "123456789012"]);
    let id = created["access_key_id"].as_str().unwrap();
    let status = |id: &str| {
        let listed = running.json(&["keys", "list"]);
        let keys = listed["access_keys"].as_array().unwrap().clone();
        keys.into_iter().find(|key| key["access_key_id"] == id).map(|key| key["status"].clone())
    };
    assert_eq!(status(id), Some("Active".into()));
    running.text(&["keys", "disable", id]);
    assert_eq!(status(id), Some("Inactive".into()));
    running.text(&["keys", "delete", id]);
    assert_eq!(status(id), None);
    // What the configuration declares is changed there.
    assert_eq!(exit_code(&["keys", "delete", "AKIAEXAMPLEALICE0001", "--admin", &running.admin]), Some(1));
    assert_eq!(status("AKIAEXAMPLEALICE0001"), Some("Active".into()));
}
