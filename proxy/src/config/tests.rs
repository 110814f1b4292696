//! The shipped file against the defaults, and what loading refuses.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::raw::Raw;
use super::*;

const SHIPPED: &str = include_str!("../../../config/sigward.toml");

/// The shipped file with every commented-out key put to use. Prose has a space after its `#`.
fn shipped_with_every_key() -> String {
    let uncomment = |line: &'static str| match line.strip_prefix('#') {
        Some(key) if key.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()) => key,
        _ => line,
    };
    SHIPPED.lines().map(uncomment).collect::<Vec<_>>().join("\n")
}

/// Every key below `value`, dotted, without the places in lists.
fn keys_of(value: &serde_json::Value, prefix: &str, keys: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(map) => {
            for (key, inner) in map {
                let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                keys.insert(key.clone());
                keys_of(inner, &key, keys);
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| keys_of(item, prefix, keys)),
        _ => {}
    }
}

#[test]
fn shipped_file_is_the_defaults() {
    assert_eq!(toml::from_str::<Raw>(SHIPPED).unwrap(), Raw::default());
}

#[test]
fn shipped_file_shows_every_key() {
    let full: Raw = toml::from_str(&shipped_with_every_key()).unwrap();
    let tls = || raw::Tls { certificates: vec![Default::default()], ..Default::default() };
    let cors = vec![Default::default()];
    let known = Raw {
        access_keys: vec![Default::default()],
        key_sources: vec![Default::default()],
        backends: vec![Default::default()],
        routes: vec![raw::Route { cors, ..Default::default() }],
        listeners: vec![raw::Listener {
            tls: tls(),
            domains: Some(Vec::new()),
            trusted_proxies: Some(Vec::new()),
            ..Default::default()
        }],
        gateway: raw::Gateway { tls: tls(), ..Default::default() },
        admin: raw::Admin { tls: tls(), ..Default::default() },
        ..Raw::default()
    };
    let [mut shown, mut expected] = [BTreeSet::new(), BTreeSet::new()];
    // Null members too: serde writes a key whose value is `None`.
    keys_of(&serde_json::to_value(&known).unwrap(), "", &mut expected);
    let document: serde_json::Value = toml::from_str(&shipped_with_every_key()).unwrap();
    keys_of(&document, "", &mut shown);
    // Named backends have the keys of the one without a name, which are shown once.
    let once = |keys: BTreeSet<String>| -> BTreeSet<String> {
        keys.into_iter().map(|key| key.replacen("backends.", "backend.", 1)).collect()
    };
    assert_eq!(once(shown), once(expected));
    assert_eq!(full.access_keys.len(), 1);
}

/// A directory with the files that configurations below name.
fn directory() -> TempDir {
    let dir = TempDir::new().unwrap();
    for (name, text) in [("secret", "s3cret\n"), ("sealing.key", "x"), ("blank", " \n"), ("ca.pem", "x")] {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

const GOOD: &str = r#"
    backend = { endpoint = "http://127.0.0.1:9000", access_key_id = "b", secret_access_key_file = "secret" }
    store = { sealing_key_files = ["sealing.key"] }
"#;

fn load_in(dir: &Path, text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let file = dir.join("sigward.toml");
    std::fs::write(&file, text).unwrap();
    Config::load(&file, &variables.iter().copied().collect())
}

fn load(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    load_in(directory().path(), text, variables)
}

fn faulty_keys(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
    load(text, variables).unwrap_err().faults.into_iter().map(|fault| fault.key).collect()
}

/// [`GOOD`] with one more line; the keys at fault.
fn faulty_keys_with(line: &str) -> Vec<String> {
    faulty_keys(&format!("{GOOD}\n{line}"), &[])
}

#[test]
fn paths_start_at_the_file_and_secrets_lose_their_line_feed() {
    let dir = directory();
    let config = load_in(dir.path(), GOOD, &[]).unwrap();
    assert_eq!(config.store.sealing_key_files, [dir.path().join("sealing.key")]);
    let BackendAuth::Resign { secret, region, .. } = config.backend.unwrap().auth else {
        panic!("resign by default")
    };
    assert_eq!(secret.expose_secret(), b"s3cret");
    assert_eq!(&*region, "us-east-1");
}

#[test]
fn an_embedding_program_starts_from_the_same_defaults() {
    let loaded = load(GOOD, &[]).unwrap();
    assert_eq!(format!("{:?}", loaded.gateway), format!("{:?}", Gateway::default()));
    let sealing_key_files = Store::default().sealing_key_files;
    assert_eq!(
        format!("{:?}", Store { sealing_key_files, ..loaded.store }),
        format!("{:?}", Store::default())
    );
}

#[test]
fn environment_wins_over_the_file() {
    let text = format!("{GOOD}\n[gateway]\nlisten = \"127.0.0.1:1\"\nstrict = true");
    let variables = [
        ("SIGWARD__GATEWAY__LISTEN", "127.0.0.1:2"),
        ("SIGWARD__GATEWAY__STRICT", "false"),
        ("SIGWARD__GATEWAY__REGIONS", "eu-west-1, eu-west-2"),
        ("SIGWARD__GATEWAY__DOMAINS", r#"["S3.example.com."]"#),
        ("SIGWARD__GATEWAY__MAX_CONNECTIONS", "7"),
        ("SIGWARD__GATEWAY__HEAD_TIMEOUT", " 3s "),
        ("SIGWARD__BACKEND__ACCESS_KEY_ID", "0123"),
    ];
    let config = load(&text, &variables).unwrap();
    assert_eq!(config.gateway.listen, "127.0.0.1:2".parse::<SocketAddr>().unwrap());
    assert!(!config.gateway.strict);
    assert_eq!(config.gateway.regions, ["eu-west-1".into(), "eu-west-2".into()]);
    assert_eq!(config.gateway.domains, ["s3.example.com"]);
    assert_eq!(config.gateway.max_connections, 7);
    assert_eq!(config.gateway.head_timeout, Duration::from_secs(3));
    let BackendAuth::Resign { access_key_id, .. } = config.backend.unwrap().auth else { panic!("resign") };
    assert_eq!(access_key_id, "0123");
}

#[test]
fn blank_and_foreign_variables_change_nothing() {
    let variables = [
        ("SIGWARD__GATEWAY__LISTEN", "  "),
        ("SIGWARD__ADMIN__TOKEN_FILE", ""),
        ("SIGWARD_PORT", "tcp://10.0.0.1:80"),
        ("PATH", "/bin"),
    ];
    let config = load(GOOD, &variables).unwrap();
    assert_eq!(config.gateway.listen.port(), 8080);
    assert!(config.admin.token.is_none());
}

#[test]
fn every_fault_is_reported_with_its_origin() {
    let text = r#"
        colour = "red"
        [gateway]
        listen = "localhost:8080"
        max_connections = "many"
        regoins = []
        head_timeout = "10"
        [backend]
        auth = "magic"
        [[access_keys]]
        access_key_id = "AKIA1"
        secret_access_key = "in the open"
        user = "alice"
        [drain]
        delay = "5s"
    "#;
    let variables = [("SIGWARD__LOG__LEVEL", "debug"), ("SIGWARD__DRAIN__DELAY", "soon")];
    let error = load(text, &variables).unwrap_err();
    let keys: BTreeSet<&str> = error.faults.iter().map(|fault| fault.key.as_str()).collect();
    let expected = [
        "access_keys[0].account",
        "access_keys[0].secret_access_key",
        "access_keys[0].secret_access_key_file",
        "backend.access_key_id",
        "backend.auth",
        "backend.endpoint",
        "backend.secret_access_key_file",
        "colour",
        "drain.delay",
        "gateway.head_timeout",
        "gateway.listen",
        "gateway.max_connections",
        "gateway.regoins",
        "log.level",
        "store.sealing_key_files",
    ];
    assert_eq!(keys, BTreeSet::from(expected), "{error}");
    let origin = |key: &str| error.faults.iter().find(|fault| fault.key == key).unwrap().origin.clone();
    assert!(origin("gateway.listen").unwrap().ends_with("sigward.toml"));
    assert!(origin("gateway.regoins").unwrap().ends_with("sigward.toml"));
    assert_eq!(origin("log.level").as_deref(), Some("environment variable SIGWARD__LOG__LEVEL"));
    assert_eq!(origin("drain.delay").as_deref(), Some("environment variable SIGWARD__DRAIN__DELAY"));
    assert_eq!(origin("backend.endpoint"), None);
    assert!(!error.to_string().contains("in the open"), "{error}");
}

#[test]
fn a_file_that_is_missing_or_no_toml_is_named() {
    let dir = directory();
    let missing = Config::load(&dir.path().join("nowhere.toml"), &Environment::default()).unwrap_err();
    assert!(missing.to_string().contains("nowhere.toml"), "{missing}");
    let broken = load("[gateway", &[]).unwrap_err();
    assert_eq!(broken.faults.len(), 1);
    assert!(broken.to_string().contains("sigward.toml"), "{broken}");
}

#[test]
fn a_variable_that_names_no_key_is_refused() {
    assert_eq!(faulty_keys(GOOD, &[("SIGWARD__GATEWAY__TLS__FILE", "x")]), ["gateway.tls.file"]);
    assert_eq!(faulty_keys(GOOD, &[("SIGWARD__ACCESS_KEYS__0__USER", "x")]), ["access_keys"]);
    for name in ["SIGWARD__GATEWAY", "SIGWARD__"] {
        let error = load(GOOD, &[(name, "x")]).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn names_the_key_that_breaks_a_rule() {
    let cases = [
        ("gateway.regions = []", "gateway.regions"),
        ("gateway.regions = [\"a\", \"a\"]", "gateway.regions"),
        ("gateway.regions = [\"us east\"]", "gateway.regions[0]"),
        ("gateway.domains = [\"a\", \"a..b\"]", "gateway.domains[1]"),
        ("gateway.unsigned_headers = [\"authorization\"]", "gateway.unsigned_headers[0]"),
        ("gateway.max_connections = 0", "gateway.max_connections"),
        ("gateway.max_connections = -1", "gateway.max_connections"),
        ("gateway.max_connections = 9223372036854775807", "gateway.max_connections"),
        ("gateway.head_timeout = \"0s\"", "gateway.head_timeout"),
        ("gateway.max_head_size = \"4 KiB\"", "gateway.max_head_size"),
        ("gateway.max_head_size = \"1 GiB\"", "gateway.max_head_size"),
        ("gateway.max_sts_body_size = \"0 B\"", "gateway.max_sts_body_size"),
        ("gateway.tls.certificate_file = \"ca.pem\"", "gateway.tls.private_key_file"),
        ("admin.tls.private_key_file = \"ca.pem\"", "admin.tls.certificate_file"),
        ("admin.listen = \"127.0.0.1:8080\"", "admin.listen"),
        ("admin.token_file = \"blank\"", "admin.token_file"),
        ("admin.token_file = \"nowhere\"", "admin.token_file"),
        ("admin.token_env = \"NOBODY_SET_THIS\"", "admin.token_env"),
        ("admin = { token_env = \"A\", token_file = \"secret\" }", "admin.token_env"),
        ("log.filter = \"sigward=loud\"", "log.filter"),
        ("log.format = \"xml\"", "log.format"),
        ("drain.timeout = \"48h\"", "drain.timeout"),
        ("feed.replicas = 6", "feed.replicas"),
        ("feed.stale.warn = \"1s\"", "feed.stale.warn"),
    ];
    for (line, key) in cases {
        assert_eq!(faulty_keys_with(line), [key], "{line}");
    }
}

#[test]
fn says_what_a_value_could_be() {
    let told = |line: &str| {
        let error = load(&format!("{line}\n{GOOD}"), &[]).unwrap_err();
        let [fault] = &error.faults[..] else { panic!("{error}") };
        fault.message.clone()
    };
    assert!(told("gateway.max_head_size = 65536").starts_with("65536 is not a size such as \"512 B\""));
    assert!(told("drain.delay = 2.5").starts_with("2.5 is not a duration such as \"500ms\""));
    assert!(told("limits.requests_per_address = 100").starts_with("100 is not a rate such as \"100/s\""));
    assert!(told("drain.delay = [5]").contains("neither text nor a number"));
    assert_eq!(told("log.format = \"xml\""), "\"xml\" is none of json, text");
    assert_eq!(told("admin.tls.client_auth = \"maybe\""), "\"maybe\" is none of none, optional, required");
}

#[test]
fn names_the_backend_key_that_breaks_a_rule() {
    let with = |backend: &str| {
        faulty_keys(&format!("store.sealing_key_files = [\"sealing.key\"]\n[backend]\n{backend}"), &[])
    };
    for endpoint in
        ["", "127.0.0.1:9000", "ftp://a", "http://a/path", "http://a/?q", "http://u:p@a", "http://"]
    {
        let backend = format!("auth = \"identity\"\nendpoint = \"{endpoint}\"");
        assert_eq!(with(&backend), ["backend.endpoint"], "{endpoint}");
    }
    let missing = with("endpoint = \"http://a\"");
    assert_eq!(missing, ["backend.access_key_id", "backend.secret_access_key_file"]);
    for auth in ["identity", "passthrough"] {
        let backend =
            format!("endpoint = \"https://a\"\nauth = \"{auth}\"\nregion = \"r\"\naccess_key_id = \"b\"");
        assert_eq!(with(&backend), ["backend.access_key_id", "backend.region"], "{auth}");
    }
    let base = "endpoint = \"https://a\"\nauth = \"identity\"\n";
    for (line, key) in [
        ("ca_file = \".\"", "backend.ca_file"),
        ("endpoints = [\"http://b\"]", "backend.endpoint"),
        ("server_name = \"a b\"", "backend.server_name"),
        ("certificate_file = \"ca.pem\"", "backend.private_key_file"),
        ("stall_timeout = \"0s\"", "backend.stall_timeout"),
        ("total_timeout = \"0s\"", "backend.total_timeout"),
        ("max_connections = 0", "backend.max_connections"),
        ("max_tries = 0", "backend.max_tries"),
        ("retry_percent = 101", "backend.retry_percent"),
        ("max_eject_time = \"1s\"", "backend.max_eject_time"),
        ("health_check.path = \"health\"", "backend.health_check.path"),
        ("health_check.status = \"399-200\"", "backend.health_check.status"),
    ] {
        assert_eq!(with(&format!("{base}{line}")), [key], "{line}");
    }
    let identity = |lines: &str| with(&format!("auth = \"identity\"\n{lines}"));
    assert_eq!(identity("endpoints = [\"http://a\", \"http://A:80/x\"]"), ["backend.endpoints[1]"]);
    assert_eq!(identity("endpoints = [\"http://a\", \"http://A\"]"), ["backend.endpoints[1]"], "twice");
    let address = "endpoint = \"http://127.0.0.1\"\naddressing = \"virtual\"";
    assert_eq!(identity(address), ["backend.addressing"]);
}

#[test]
fn a_backend_may_be_in_several_places() {
    let text = r#"
        store = { sealing_key_files = ["sealing.key"] }
        [backend]
        auth = "identity"
        endpoints = ["http://a:9000", "https://[::1]"]
        [backend.health_check]
        path = "/health"
        status = "204"
    "#;
    let backend = load(text, &[]).unwrap().backend.unwrap();
    let authorities: Vec<_> = backend.endpoints.iter().map(|endpoint| endpoint.authority.as_str()).collect();
    assert_eq!(authorities, ["a:9000", "[::1]"]);
    assert_eq!(backend.health_check.unwrap().status, 204..=204);
    let defaults = Backend::new(backend.endpoints.clone(), BackendAuth::Identity);
    let loaded = load(&text.replace("path = \"/health\"", ""), &[]).unwrap().backend.unwrap();
    assert_eq!(format!("{loaded:?}"), format!("{defaults:?}"));
}

#[test]
fn declared_access_keys_are_read() {
    let text = format!(
        "{GOOD}
        [[access_keys]]
        access_key_id = \"AKIA1\"
        secret_access_key_file = \"secret\"
        user = \"alice\"
        account = \"123456789012\"
        [[access_keys]]
        access_key_id = \"AKIA2\"
        secret_access_key_env = \"ROOT_SECRET\"
        arn = \"arn:aws:iam::123456789012:root\"
        status = \"Inactive\""
    );
    let config = load(&text, &[("ROOT_SECRET", "hush\n")]).unwrap();
    let [alice, root] = &config.access_keys[..] else { panic!("two keys") };
    assert_eq!((alice.access_key_id.as_str(), alice.status), ("AKIA1", KeyStatus::Active));
    assert_eq!(alice.principal.arn, "arn:aws:iam::123456789012:user/alice");
    assert_eq!((root.secret.expose_secret(), root.status), (&b"hush"[..], KeyStatus::Inactive));
    let twice = text.replace("AKIA2", "AKIA1");
    assert_eq!(faulty_keys(&twice, &[("ROOT_SECRET", "hush")]), ["access_keys[1].access_key_id"]);
}

#[test]
fn debug_shows_no_secret() {
    let text = format!("{GOOD}\nadmin.token_env = \"TOKEN\"");
    let config = load(&text, &[("TOKEN", "canary")]).unwrap();
    let printed = format!("{config:?}");
    assert!(!printed.contains("canary") && !printed.contains("s3cret"), "{printed}");
    assert!(config.admin.token.is_some());
}

#[test]
fn a_rotated_secret_makes_another_backend() {
    let auth = |id: &str, secret: &str| BackendAuth::Resign {
        access_key_id: id.into(),
        secret: SecretAccessKey::new(secret),
        region: "r".into(),
    };
    assert_eq!(auth("a", "s"), auth("a", "s"));
    assert_ne!(auth("a", "s"), auth("a", "t"));
    assert_ne!(auth("a", "s"), auth("b", "s"));
    assert_ne!(BackendAuth::Identity, BackendAuth::Passthrough);
    assert_ne!(auth("a", "s"), BackendAuth::Identity);
}

/// [`GOOD`] with a backend called `archive` and these routes, one a line.
fn routed(routes: &[&str]) -> String {
    let routes: String =
        routes.iter().map(|route| format!("[[routes]]\n{}\n", route.replace("; ", "\n"))).collect();
    format!(
        "{GOOD}\n[[backends]]\nname = \"archive\"\nendpoint = \"http://a\"\nauth = \"identity\"\n{routes}"
    )
}

#[test]
fn routes_lead_to_named_backends() {
    let text = routed(&[
        "buckets = [\"logs-*\"]; backend = \"archive\"; bucket = \"old-*\"; key_prefix = \"a/\"",
        "hosts = [\"*.example.com\"]",
    ]);
    let config = load(&text, &[]).unwrap();
    assert!(config.backend.is_some() && config.backends.contains_key("archive"));
    let [archive, host] = &config.routes[..] else { panic!("two routes") };
    assert_eq!((archive.backend.as_deref(), host.backend.as_deref()), (Some("archive"), None));
    assert!(archive.rename.is_some() && host.rename.is_none());
}

#[test]
fn the_backend_without_a_name_may_be_left_out_where_others_are() {
    let text = "store.sealing_key_files = [\"sealing.key\"]\n[[backends]]\nname = \"a\"\nendpoint = \"http://a\"\nauth = \"identity\"\n";
    let config = load(text, &[]).unwrap();
    assert!(config.backend.is_none());
    assert_eq!(faulty_keys(&format!("{text}[[routes]]\nbuckets = [\"b\"]"), &[]), ["routes[0].backend"]);
    let twice = format!("{text}{}", &text[text.find("[[").unwrap()..]);
    assert_eq!(faulty_keys(&twice, &[]), ["backends[1].name"]);
    let nameless = text.replace("name = \"a\"\n", "").replace("http://a", "ftp://a");
    assert_eq!(faulty_keys(&nameless, &[]), ["backends[0].name", "backends[0].endpoint"]);
    let named = GOOD.replace("backend = { ", "backend = { name = \"a\", ");
    assert_eq!(faulty_keys(&named, &[]), ["backend.name"]);
}

#[test]
fn names_the_route_that_breaks_a_rule() {
    for (routes, keys) in [
        (&["backend = \"archive\""][..], &["routes[0]"][..]),
        (&["buckets = [\"b\"]; backend = \"nobody\""], &["routes[0].backend"]),
        (&["buckets = [\"a/b\", \"b\"]"], &["routes[0].buckets[0]"]),
        (&["hosts = [\"a:80\"]"], &["routes[0].hosts[0]"]),
        (&["path_prefix = \"/b/../c/\""], &["routes[0].path_prefix"]),
        (&["buckets = [\"a\"]; path_prefix = \"/b/c/\""], &["routes[0].path_prefix"]),
        (&["buckets = [\"b\"]; bucket = \"a-*\""], &["routes[0].bucket"]),
        (&["hosts = [\"h\"]; bucket = \"a\""], &["routes[0].bucket"]),
        (&["buckets = [\"b\"]; key_prefix = \"a\""], &["routes[0].key_prefix"]),
        (&["buckets = [\"b-*\"]", "buckets = [\"b-1\"]"], &["routes[1]"]),
        (&["buckets = [\"b\"]", "buckets = [\"b\"]; hosts = [\"h\"]"], &["routes[1]"]),
    ] {
        assert_eq!(faulty_keys(&routed(routes), &[]), keys, "{routes:?}");
    }
    let text = routed(&["buckets = [\"b\"]; backend = \"archive\"; key_prefix = \"a/\""]);
    assert_eq!(faulty_keys(&text.replace("\"identity\"", "\"passthrough\""), &[]), ["routes[0].backend"]);
}

#[test]
fn a_key_source_has_a_name_of_its_own_and_the_keys_of_its_kind() {
    let source = |keys: &str| format!("[[key_sources]]\nname = \"a\"\n{keys}");
    let directory = source("kind = \"directory\"\npath = \"keys\"");
    let https = |url: &str| source(&format!("kind = \"https\"\nurl = \"{url}\""));
    let good = format!("{GOOD}\n{directory}\n{}", https("http://127.0.0.1:1/k").replace("\"a\"", "\"b\""));
    let config = load(&good, &[]).unwrap();
    assert_eq!(config.key_sources.len(), 2);
    assert_eq!(config.key_sources[0].poll_interval, Duration::from_secs(10));
    for (text, key) in [
        ("[[key_sources]]\nkind = \"directory\"\npath = \"keys\"".to_owned(), "name"),
        (format!("{directory}\n{directory}"), "name"),
        (source("kind = \"directory\"\npath = \"keys\"").replace("\"a\"", "\"a b\""), "name"),
        (source("path = \"keys\""), "kind"),
        (source("kind = \"directory\""), "path"),
        (format!("{directory}\nurl = \"https://k.example\""), "url"),
        (format!("{directory}\nbearer_token_file = \"secret\""), "bearer_token_file"),
        (source("kind = \"https\""), "url"),
        (format!("{}\npath = \"keys\"", https("https://k.example/")), "path"),
        (https("http://k.example/"), "url"),
        (https("ftp://127.0.0.1/"), "url"),
        (https("https://user@k.example/"), "url"),
        (https("/keys.json"), "url"),
        (format!("{}\nca_file = \"missing\"", https("https://k.example/")), "ca_file"),
        (format!("{}\ncertificate_file = \"ca.pem\"", https("https://k.example/")), "private_key_file"),
        (format!("{directory}\npoll_interval = \"0s\""), "poll_interval"),
        (format!("{directory}\npoll_interval = \"3m\""), "stale_warn"),
        (format!("{directory}\nstale_alert = \"1m\""), "stale_alert"),
        (format!("{directory}\nmax_size = \"1 GiB\""), "max_size"),
    ] {
        let faults = faulty_keys_with(&text);
        assert!(faults.iter().any(|fault| fault.ends_with(&format!(".{key}"))), "{text}: {faults:?}");
    }
}
