//! `sigward events`: of a running gateway, of a file, and into another log.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use super::*;
use crate::event_log::nats::Nats;

impl Running {
    fn config(&self) -> String {
        self.dir.path().join("sigward.toml").to_str().unwrap().to_owned()
    }

    /// Stops the gateway; what it leaves behind.
    fn stop(self) -> TempDir {
        let Self { runtime, server, dir, .. } = self;
        runtime.block_on(async {
            server.store().close().await;
            drop(server);
        });
        runtime.shutdown_timeout(Duration::from_secs(5));
        dir
    }
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn complaint(arguments: &[&str]) -> (Option<i32>, String) {
    let output = sigward(arguments);
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// Says of a log or a file what is wrong with it, and with which exit code.
fn verdict(arguments: &[&str]) -> (Option<i32>, String) {
    let output = sigward(&[&["events", "verify"], arguments].concat());
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn events_of_a_running_gateway_are_shown_as_they_come() {
    let running = Running::start();
    running.issue("ASIAEXAMPLE1");
    running.text(&["revoke", "--access-key-id", "ASIAEXAMPLE1"]);
    let text = running.text(&["events", "tail", "--no-follow", "--access-key-id", "ASIAEXAMPLE1"]);
    let [issued, revoked] = &json_lines(&text)[..] else { panic!("{text}") };
    assert_eq!(
        (&issued["type"], &revoked["type"]),
        (&"io.sigward.credential.issued.v1".into(), &"io.sigward.session.revoked.v1".into(),)
    );
    assert!(!text.contains("secret of"), "{text}");
    let state = json_lines(&running.text(&["events", "snapshot"]));
    let session = state.iter().find(|line| line["kind"] == "session").unwrap();
    assert_eq!((&session["usable"], &session["revoked_by"]), (&false.into(), &"access_key_id".into()));

    let mut command = Command::new(env!("CARGO_BIN_EXE_sigward"));
    command.args([
        "events",
        "tail",
        "--since",
        "1h",
        "--type",
        "access_key.deleted",
        "--admin",
        &running.admin,
    ]);
    let mut following = command.env_clear().stdout(Stdio::piped()).spawn().unwrap();
    let created = running.json(&["keys", "create", "--user", "bob", "--account", "123456789012"]);
    let key = created["access_key_id"].as_str().unwrap();
    running.text(&["keys", "delete", key]);
    let mut line = String::new();
    BufReader::new(following.stdout.take().unwrap()).read_line(&mut line).unwrap();
    following.kill().unwrap();
    following.wait().unwrap();
    assert_eq!(json_lines(&line)[0]["data"]["access_key_id"], key);
}

#[test]
fn verify_ends_with_1_for_a_fault_and_with_2_where_it_cannot_look() {
    let running = Running::start();
    running.issue("ASIAEXAMPLE1");
    let (code, told) = verdict(&["--admin", &running.admin]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("sessions 1"), "{told}");
    let config = running.config();
    assert_eq!(verdict(&["--config", &config]), (Some(2), String::new()), "a gateway has the file open");
    let (_, held) = complaint(&["events", "verify", "--config", &config]);
    assert!(held.contains("a running gateway has it open; ask that by its admin listener"), "{held}");
    assert_eq!(verdict(&["--admin", "http://127.0.0.1:1"]).0, Some(2));
    assert_eq!(verdict(&["--config", "/nonexistent"]).0, Some(2));
    let dir = running.stop();
    assert_eq!(verdict(&["--config", &config]).0, Some(0));
    fs::remove_file(dir.path().join("secrets/sealing.key")).unwrap();
    Keyring::create(&dir.path().join("secrets/sealing.key")).unwrap();
    let (code, told) = verdict(&["--config", &config]);
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.starts_with("sealing key ")
            && told.contains(" is missing: it sealed 3 rows, the first of them event 1"),
        "{told}"
    );
}

#[test]
fn an_exported_file_is_for_its_owner_alone_and_tells_what_is_wrong_with_it() {
    let running = Running::start();
    running.issue("ASIAEXAMPLE1");
    let file = running.dir.path().join("exported");
    let path = file.to_str().unwrap();
    let told = running.json(&["events", "export", path]);
    assert_eq!((&told["events"], &told["left_out"]), (&2.into(), &0.into()), "{told}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let exported = fs::read_to_string(&file).unwrap();
    assert!(!exported.contains("secret of"));
    let config = running.config();
    assert_eq!(verdict(&[path, "--config", &config]).0, Some(0));
    fs::write(&file, exported.replacen("\"seq\":2", "\"seq\":3", 1)).unwrap();
    let (code, told) = verdict(&[path, "--config", &config]);
    assert!(code == Some(1) && told.starts_with("line 3: is not what was written here"), "{told}");
    let (before, _) = exported.trim_end().rsplit_once('\n').unwrap();
    fs::write(&file, before).unwrap();
    let (code, told) = verdict(&[path, "--config", &config]);
    assert!(code == Some(1) && told.starts_with("line 4: is missing: the file was cut short"), "{told}");
    assert_eq!(verdict(&["/nonexistent", "--config", &config]).0, Some(2));
    let (code, refused) = complaint(&["events", "import", path, "--config", &config]);
    assert!(code == Some(1) && refused.contains("a running gateway has it open"), "{refused}");
    let dir = running.stop();
    let (code, refused) = complaint(&["events", "import", path, "--config", &config]);
    assert!(code == Some(1) && refused.contains("nothing was imported: line 4: is missing"), "{refused}");
    drop(dir);
}

#[test]
fn a_stopped_gateways_log_is_imported_into_jetstream() {
    let running = Running::start();
    running.issue("ASIAEXAMPLE1");
    running.issue("ASIAEXAMPLE2");
    running.text(&["revoke", "--access-key-id", "ASIAEXAMPLE2"]);
    let created = running.json(&["keys", "create", "--user", "bob", "--account", "123456789012"]);
    let config = running.config();
    let dir = running.stop();
    let file = dir.path().join("exported");
    let path = file.to_str().unwrap();
    said(&["events", "export", path, "--config", &config]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let Some(nats) = runtime.block_on(Nats::start(dir.path())) else { return };
    let server = &nats.feed("moved").servers[0];
    let shared = dir.path().join("shared.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(
        &shared,
        format!("{text}\n[feed]\nkind = \"jetstream\"\nservers = [\"{server}\"]\nheartbeat = \"200ms\"\n"),
    )
    .unwrap();
    let shared = shared.to_str().unwrap();
    let empty = said(&["events", "import", path, "--config", shared, "--json"]);
    let empty: Value = serde_json::from_str(&empty).unwrap();
    assert_eq!(
        (&empty["sessions"], &empty["access_keys"], &empty["revocations"]),
        (&2.into(), &1.into(), &1.into())
    );
    let again: Value =
        serde_json::from_str(&said(&["events", "import", path, "--config", shared, "--json"])).unwrap();
    assert_eq!((&again["sessions"], &again["known"]), (&0.into(), &3.into()), "{again}");
    assert_eq!(verdict(&["--config", shared]).0, Some(0));
    let state = json_lines(&said(&["events", "snapshot", "--config", shared]));
    let usable = state.iter().filter(|line| line["usable"] == true);
    let ids: Vec<_> = usable.map(|line| line["data"]["access_key_id"].clone()).collect();
    assert_eq!(ids, [Value::from("ASIAEXAMPLE1"), created["access_key_id"].clone()]);
    let events = json_lines(&said(&["events", "tail", "--no-follow", "--config", shared]));
    assert_eq!(events[0]["type"], "io.sigward.session.revoked.v1", "what takes away comes first");
}
