//! What a tree of files declares, and what is wrong with others.

use std::path::Path;

use sigv4::SecretAccessKey;

use super::*;
use crate::clock::UnixMillis;
use crate::iam::{AccessKeyId, Ancestor, KeyStatus, Session, SessionTokenHash};

const ACCOUNT: &str = "123456789012";
const SEED: &[u8] = b"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const ALLOW: &str =
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;
const METADATA: &str = include_str!("../../../tests/data/saml/metadata/default.xml");
const TRUST_ALICE: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole",
    "Principal":{"AWS":"arn:aws:iam::123456789012:user/alice"}}}"#;

fn files(entries: &[(&str, &str)]) -> Files {
    Files::new(entries.iter().map(|(path, text)| (format!("{ACCOUNT}/{path}"), text.as_bytes().to_vec())))
}

fn read_with(files: &Files, register: &Register) -> Result<Read, Vec<DirectoryFault>> {
    Directory::read(files, register, &mut |path: &Path| match path.file_name().and_then(|name| name.to_str())
    {
        Some("seed") => Ok(SEED.to_vec()),
        Some("keys.json") => Ok(b"{}".to_vec()),
        _ => Err("there is no such file".to_owned()),
    })
}

fn read(entries: &[(&str, &str)]) -> Read {
    read_with(&files(entries), &Register::default()).unwrap()
}

fn arn(resource: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:{resource}")
}

/// The only fault: its file, from the account on, and what it says.
fn fault(entries: &[(&str, &str)]) -> (String, Option<usize>, String) {
    let faults = read_with(&files(entries), &Register::default()).unwrap_err();
    let [fault] = &faults[..] else { panic!("one fault is expected: {faults:#?}") };
    let file = fault.file.strip_prefix(&format!("{ACCOUNT}/")).unwrap_or(&fault.file);
    (file.to_owned(), fault.line, fault.message.clone())
}

#[test]
fn the_shipped_example_is_a_directory() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/iam");
    let mut files = Files::default();
    let mut waiting = vec![root.clone()];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            files.insert(path.strip_prefix(&root).unwrap().to_str().unwrap(), std::fs::read(&path).unwrap());
        }
    }
    let Read { directory, warnings, .. } = read_with(&files, &Register::default()).unwrap();
    assert_eq!(warnings, []);
    let alice = directory.user(&arn("user/alice")).unwrap();
    assert_eq!(alice.permissions.policies.len(), 2, "those of her group");
    let reader = directory.role(&arn("role/reader")).unwrap();
    assert_eq!(reader.max_session_duration, 3_600);
    let deployer = directory.role(&arn("role/deployer")).unwrap();
    assert_eq!(deployer.permissions.boundary.as_ref().unwrap().name(), arn("policy/no-deletes"));
    let github = directory.oidc_provider(&arn("oidc-provider/token.actions.githubusercontent.com")).unwrap();
    assert_eq!(github.client_ids, ["sts.amazonaws.com"]);
    let corporate = directory.saml_provider(&arn("saml-provider/corporate")).unwrap();
    assert_eq!(corporate.metadata.entity_id(), "https://idp.example.com/saml/metadata");
    assert!(directory.role(&arn("role/analyst")).is_some());
}

#[test]
fn the_shipped_example_shows_every_key() {
    for (path, keys) in [
        (
            "users/alice/user.toml",
            vec![
                "path",
                "id",
                "groups",
                "attached_policies",
                "permissions_boundary",
                "disabled",
                "serial_number",
                "secret_file",
                "[[mfa_devices]]",
                "[tags]",
            ],
        ),
        (
            "roles/reader/role.toml",
            vec![
                "path",
                "id",
                "description",
                "attached_policies",
                "permissions_boundary",
                "max_session_duration",
                "disabled",
                "[tags]",
            ],
        ),
        ("oidc-providers/github.toml", vec!["url", "client_ids", "ca_file", "jwks_file", "jwks_url"]),
    ] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/iam").join(ACCOUNT).join(path);
        let text = std::fs::read_to_string(file).unwrap();
        let shown = |key: &&str| {
            let assigned = format!("{key} = ");
            text.lines()
                .map(|line| line.trim_start_matches('#'))
                .any(|line| line.starts_with(&assigned) || line == *key)
        };
        assert_eq!(keys.iter().find(|key| !shown(key)), None, "{path}");
    }
}

#[test]
fn an_entity_needs_no_settings_where_its_defaults_will_do() {
    let read = read(&[("users/alice/policies/s3.json", ALLOW), ("roles/reader/trust.json", TRUST_ALICE)]);
    let alice = read.directory.user(&arn("user/alice")).unwrap();
    assert!(alice.principal.user_id.starts_with("AIDA"));
    assert_eq!(alice.permissions.policies[0].name(), "s3");
    let reader = read.directory.role(&arn("role/reader")).unwrap();
    assert!(reader.id.starts_with("AROA"));
    assert!(reader.trust.means(&alice.principal.arn, &alice.principal.user_id));
    assert!(!reader.trust.means(&alice.principal.arn, "AIDASOMEBODYELSE00000"));
}

#[test]
fn settings_are_those_of_iam() {
    let user = "path = \"/division/\"\nid = \"AIDAEXAMPLEALICE00001\"\ngroups = [\"g\"]\n\
        attached_policies = [\"arn:aws:iam::aws:policy/AdministratorAccess\", \"own\"]\n\
        permissions_boundary = \"own\"\ndisabled = true\n\
        [[mfa_devices]]\nserial_number = \"arn:aws:iam::123456789012:mfa/alice\"\nsecret_file = \"seed\"\n\
        [tags]\nTeam = \"a b\"\n";
    let read = read(&[
        ("users/alice/user.toml", user),
        ("groups/g/group.toml", "attached_policies = [\"own\"]"),
        ("policies/own.json", ALLOW),
    ]);
    let alice = read.directory.user(&arn("user/division/alice")).unwrap();
    assert_eq!(alice.principal.user_id, "AIDAEXAMPLEALICE00001");
    let names: Vec<_> = alice.permissions.policies.iter().map(|policy| policy.name()).collect();
    let own = arn("policy/own");
    assert_eq!(names, ["arn:aws:iam::aws:policy/AdministratorAccess", &own, &own]);
    assert_eq!(alice.permissions.boundary.as_ref().unwrap().name(), own);
    assert_eq!(alice.mfa_devices[0].secret.step("287082", UnixMillis(59_000)), Some(1));
    assert_eq!(alice.tags["Team"], "a b");
    assert!(alice.disabled);
    let key = Principal { arn: arn("user/alice"), user_id: "any".into(), account: ACCOUNT.into() };
    assert_eq!(read.directory.bind(&key).as_ref(), Some(&alice.principal), "found without its path");
}

#[test]
fn providers_have_arns_and_defaults() {
    let read = read(&[
        (
            "oidc-providers/k8s.toml",
            "url = \"https://k8s.example/cluster\"\nclient_ids = [\"sts\"]\njwks_file = \"keys.json\"",
        ),
        ("oidc-providers/keys.json", "{}"),
        ("saml-providers/corp.xml", METADATA),
    ]);
    let oidc = read.directory.oidc_provider(&arn("oidc-provider/k8s.example/cluster")).unwrap();
    assert_eq!(oidc.keys, OidcKeys::Document(Arc::from(*b"{}")));
    let saml = read.directory.saml_provider(&arn("saml-provider/corp")).unwrap();
    assert_eq!(saml.metadata.entity_id(), "https://idp.example/metadata");
}

/// The only fault of a directory that has one more file than it should, in that file.
fn fault_in(path: &str, text: &str, others: &[(&str, &str)]) -> (Option<usize>, String) {
    let entries: Vec<_> = others.iter().copied().chain([(path, text)]).collect();
    let (file, line, message) = fault(&entries);
    assert_eq!(file, path, "{text}: {message}");
    (line, message)
}

#[test]
fn says_what_is_wrong_with_a_user() {
    let device = |number: &str, file: &str| {
        format!("[[mfa_devices]]\nserial_number = \"{number}\"\nsecret_file = \"{file}\"")
    };
    for (settings, line, says) in [
        ("path = \"/\"\ngroup = []", Some(2), "unknown field"),
        ("path = 1", Some(1), "invalid type"),
        ("path = \"x\"", None, "path:"),
        ("id = \"AROA1\"", None, "id:"),
        ("groups = [\"g\"]", None, "not a group"),
        ("attached_policies = [\"p\"]", None, "policy/p is not"),
        ("permissions_boundary = \"arn:aws:iam::aws:policy/X\"", None, "permissions_boundary"),
        ("[tags]\n\"aws:x\" = \"1\"", None, "tags:"),
        (&device("123456789", "nowhere"), None, "no such file"),
        (&device("123456789", "keys.json"), None, "base 32"),
        (&device("1", "seed"), None, "9 to 256"),
    ] {
        let (at, message) = fault_in("users/alice/user.toml", settings, &[]);
        assert_eq!(at, line, "{settings}: {message}");
        assert!(message.contains(says), "{settings}: {message}");
    }
    assert!(fault_in("users/al ice/user.toml", "", &[]).1.contains("is not a name"));
    let twins = fault_in("users/alice/user.toml", "", &[("users/Alice/user.toml", "")]);
    assert!(twins.1.contains("other case"));
}

#[test]
fn says_what_is_wrong_with_a_role_or_a_policy() {
    let trust = [("roles/r/trust.json", TRUST_ALICE)];
    for duration in ["3599", "43201", "-1"] {
        let settings = format!("max_session_duration = {duration}");
        let (_, message) = fault_in("roles/r/role.toml", &settings, &trust);
        assert!(message.contains("3600 to 43200"), "{message}");
    }
    assert!(fault_in("roles/r/role.toml", "", &[]).1.contains("no trust.json"));
    assert!(fault_in("roles/r/policy.json", ALLOW, &[]).1.contains("no place"));
    assert!(fault_in("role/r/trust.json", ALLOW, &[]).1.contains("no place"));
    for (path, text) in [
        ("users/alice/policies/p.json", "{"),
        ("policies/p.json", "\u{0}"),
        ("policies/p.json", TRUST_ALICE),
        ("roles/r/trust.json", ALLOW),
    ] {
        fault_in(path, text, &[]);
    }
}

#[test]
fn says_what_is_wrong_with_a_provider() {
    let with = |rest: &str| format!("url = \"https://o\"\nclient_ids = [\"a\"]\n{rest}");
    for (settings, line, says) in [
        ("url = \"http://o\"\nclient_ids = [\"a\"]", None, "url:"),
        ("url = \"https://o?x\"\nclient_ids = [\"a\"]", None, "url:"),
        ("url = \"https://o\"\nclient_ids = []", None, "client_ids:"),
        ("url = \"https://o\"", Some(1), "client_ids"),
        (&with("algorithms = [\"RS256\"]"), Some(3), "unknown field"),
        (&with("jwks_url = \"http://o\""), None, "jwks_url:"),
        (&with("jwks_url = \"https://o\"\njwks_file = \"keys.json\""), None, "too many"),
    ] {
        let (at, message) = fault_in("oidc-providers/o.toml", settings, &[]);
        assert_eq!(at, line, "{settings}: {message}");
        assert!(message.contains(says), "{settings}: {message}");
    }
}

#[test]
fn says_what_is_wrong_with_a_saml_provider() {
    for (metadata, says) in [
        ("<x/>", "need an EntityDescriptor"),
        ("", "malformed"),
        (
            METADATA.replace("use=\"signing\"", "use=\"encryption\"").as_str(),
            "need a certificate for signing",
        ),
    ] {
        let (_, message) = fault_in("saml-providers/s.xml", metadata, &[]);
        assert!(message.contains(says), "{message}");
    }
}

#[test]
fn says_which_account_is_none() {
    let elsewhere = Files::new([("accounts/users/a/user.toml".to_owned(), Vec::new())]);
    let faults = read_with(&elsewhere, &Register::default()).unwrap_err();
    assert_eq!(faults[0].to_string(), "accounts: is not an account of twelve digits");
}

#[test]
fn all_faults_are_told_at_once() {
    let faults = read_with(
        &files(&[("users/a/user.toml", "x = 1"), ("roles/r/role.toml", ""), ("policies/p.json", "")]),
        &Register::default(),
    );
    let files: Vec<String> = faults.unwrap_err().into_iter().map(|fault| fault.file).collect();
    let expected = ["policies/p.json", "roles/r/role.toml", "users/a/user.toml"];
    assert_eq!(files, expected.map(|file| format!("{ACCOUNT}/{file}")));
}

#[test]
fn documentation_and_what_settings_refer_to_may_lie_about() {
    read(&[("README.md", "x"), ("users/alice/seed.txt", "x"), ("users/alice/user.toml", "")]);
}

/// The directory with and without alice, one after the other, with a role that trusts her.
#[test]
fn whoever_is_declared_again_inherits_neither_id_nor_trust() {
    let with = files(&[("users/alice/user.toml", ""), ("roles/reader/trust.json", TRUST_ALICE)]);
    let without = files(&[("roles/reader/trust.json", TRUST_ALICE)]);
    let first = read_with(&with, &Register::default()).unwrap();
    let gone = read_with(&without, &first.register).unwrap();
    let second = read_with(&with, &gone.register).unwrap();
    let id = |read: &Read| read.directory.user(&arn("user/alice")).unwrap().principal.user_id.clone();
    assert_ne!(id(&first), id(&second));
    let trust = &second.directory.role(&arn("role/reader")).unwrap().trust;
    assert!(trust.means(&arn("user/alice"), &id(&first)));
    assert!(!trust.means(&arn("user/alice"), &id(&second)));
    assert_eq!(second.warnings.len(), 1, "and the operator is told");

    let saved = format!("{TRUST_ALICE}\n");
    let rewritten = files(&[("users/alice/user.toml", ""), ("roles/reader/trust.json", &saved)]);
    let third = read_with(&rewritten, &second.register).unwrap();
    let trust = &third.directory.role(&arn("role/reader")).unwrap().trust;
    assert!(trust.means(&arn("user/alice"), &id(&second)), "the policy was written again");
    assert_eq!(third.warnings, []);
}

#[test]
fn a_session_that_a_trust_policy_names_is_one_of_the_role_it_was_written_about() {
    let session = "arn:aws:sts::123456789012:assumed-role/first/s1";
    let trust = TRUST_ALICE.replace("arn:aws:iam::123456789012:user/alice", session);
    let first = ("roles/first/trust.json", TRUST_ALICE);
    let with = files(&[first, ("roles/second/trust.json", &trust)]);
    let without = files(&[("roles/second/trust.json", &trust)]);
    let before = read_with(&with, &Register::default()).unwrap();
    let gone = read_with(&without, &before.register).unwrap();
    let after = read_with(&with, &gone.register).unwrap();
    let id = |read: &Read| read.directory.role(&arn("role/first")).unwrap().id.clone();
    let trust = &after.directory.role(&arn("role/second")).unwrap().trust;
    assert!(trust.means(session, &id(&before)));
    assert!(!trust.means(session, &id(&after)));
}

fn credential(principal: Principal, session: Option<Session>) -> Credential {
    Credential {
        access_key_id: AccessKeyId::parse("AKIA1").unwrap(),
        secret: SecretAccessKey::new("secret"),
        principal,
        issued_at: UnixMillis(1),
        status: KeyStatus::Active,
        not_after: None,
        declared: false,
        session,
    }
}

fn session(kind: SessionKind, asked: Option<&Credential>) -> Session {
    let lineage = asked.map_or(Vec::new(), |asked| Ancestor::lineage(asked, UnixMillis(1)).unwrap());
    Session { lineage, ..Session::new(kind, SessionTokenHash::from_bytes([0; 32]), UnixMillis(9)) }
}

#[test]
fn a_credential_has_the_permissions_of_who_it_was_issued_to() {
    let read = read(&[
        ("users/alice/user.toml", ""),
        ("users/mallory/user.toml", "disabled = true"),
        ("roles/reader/trust.json", TRUST_ALICE),
    ]);
    let directory = &read.directory;
    let alice = directory.user(&arn("user/alice")).unwrap().principal.clone();
    let role = directory.role(&arn("role/reader")).unwrap();
    let key = credential(alice.clone(), None);
    let name = |credential: &Credential| match directory.identify(credential) {
        Identity::Root => "root".to_owned(),
        Identity::User(user) => user.name.clone(),
        Identity::Role(role) => role.name.clone(),
        Identity::Unknown => "nobody".to_owned(),
    };
    assert_eq!(name(&key), "alice");
    assert_eq!(
        name(&credential(alice.clone(), Some(session(SessionKind::SessionToken, Some(&key))))),
        "alice"
    );
    let federated = Principal { arn: "arn:aws:sts::123456789012:federated-user/bob".into(), ..alice.clone() };
    assert_eq!(name(&credential(federated, Some(session(SessionKind::Federation, Some(&key))))), "alice");

    let of_role = |id: &str| {
        let principal = Principal {
            arn: "arn:aws:sts::123456789012:assumed-role/reader/s".into(),
            user_id: format!("{id}:s"),
            account: ACCOUNT.into(),
        };
        let role_arn = Some(role.arn.clone());
        credential(principal, Some(Session { role_arn, ..session(SessionKind::AssumedRole, Some(&key)) }))
    };
    assert_eq!(name(&of_role(&role.id)), "reader");
    assert_eq!(name(&of_role("AROASOMEBODYELSE00000")), "nobody");

    let root = Principal { arn: arn("root"), user_id: ACCOUNT.into(), account: ACCOUNT.into() };
    assert_eq!(name(&credential(root, None)), "root");
    let former = Principal { user_id: "AIDAFORMER".into(), ..alice };
    assert_eq!(name(&credential(former, None)), "nobody");
    let mallory = directory.user(&arn("user/mallory")).unwrap().principal.clone();
    assert_eq!(name(&credential(mallory, None)), "nobody", "disabled");
}
