//! The negative matrix: who asks for what, and with which status, code and text it is refused. One row is one request;
//! rows are grouped by theme, one file each, and run by one test.

mod authentication;
mod callers;
mod limits;
mod meaning;
mod permissions;
mod second_factor;

use std::collections::{BTreeMap, BTreeSet};

use sigv4::uri;

use super::roles::{allow, trust, trusting};
use super::*;

pub(super) const READER: &str = "arn:aws:iam::123456789012:role/reader";
const ALICE_ARN: &str = "arn:aws:iam::123456789012:user/alice";

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    /// A user who may assume roles, federate users and look access keys up, by a key; she has an MFA device.
    Alice,
    /// A user who has no policies.
    Bob,
    /// A user to whom every operation of STS is denied.
    Carol,
    /// The root of the account.
    Root,
    /// A session of `GetSessionToken` of alice's.
    UserSession,
    /// A session of the role reader, with a transitive tag and a source identity.
    RoleSession,
    /// A session of `GetFederationToken` of alice's.
    Federated,
    /// A user that is disabled.
    Disabled,
    /// A user that is not declared.
    Undeclared,
    /// A session that was revoked.
    Revoked,
    /// A session that is over.
    Expired,
    /// A session whose access key is presented without its token.
    Tokenless,
    /// A session whose access key is presented with the token of another.
    ForeignToken,
    /// A long-term key that is presented with a session token.
    LongTermWithToken,
    /// A key that was deactivated.
    Inactive,
    /// A key that nobody has.
    UnknownKey,
    /// Alice's key with another secret.
    WrongSecret,
    /// Nobody: no signature.
    Nobody,
}

/// One request and its answer.
#[derive(Debug)]
struct Row {
    who: Who,
    form: String,
    status: u16,
    code: &'static str,
    message: String,
}

/// `Action=…&Version=…` and parameters, encoded.
fn form(action: &str, parameters: &[(&str, &str)]) -> String {
    let named = [("Action", action), ("Version", "2011-06-15")];
    let pairs = named.iter().chain(parameters);
    let pairs = pairs.map(|(name, value)| format!("{name}={}", uri::encode_query(value.as_bytes())));
    pairs.collect::<Vec<_>>().join("&")
}

/// A request to assume reader that is good but for `parameters`, which come in the place of their namesakes.
fn assume(parameters: &[(&str, &str)]) -> String {
    let good = [("RoleArn", READER), ("RoleSessionName", "s1")];
    let kept = good.into_iter().filter(|(name, _)| !parameters.iter().any(|(other, _)| other == name));
    // A parameter that is to be missing is one without a name.
    let given = parameters.iter().copied().filter(|(_, value)| *value != ABSENT);
    form("AssumeRole", &kept.chain(given).collect::<Vec<_>>())
}

/// The value of a parameter that is left out.
const ABSENT: &str = "\u{0}absent";

fn row(who: Who, form: String, (status, code): (u16, &'static str), message: impl Into<String>) -> Row {
    Row { who, form, status, code, message: message.into() }
}

fn not_authorized(arn: &str, action: &str, resource: &str) -> String {
    format!("User: {arn} is not authorized to perform: sts:{action} on resource: {resource}")
}

const DENIED: (u16, &str) = (403, "AccessDenied");
const VALIDATION: (u16, &str) = (400, "ValidationError");

async fn world() -> World {
    let everything = r#"["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]"#;
    let alice = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Resource":"*","Action":["sts:AssumeRole",
        "sts:TagSession","sts:SetSourceIdentity","sts:GetFederationToken","sts:GetAccessKeyInfo"]}}"#;
    let account = r#"{"AWS":"123456789012"}"#;
    let (foreign, reader) = (r#"{"AWS":"999999999999"}"#, format!(r#"{{"AWS":"{READER}"}}"#));
    let only_alice = format!(r#"{{"AWS":"{ALICE_ARN}"}}"#);
    let but_alice = trust(&only_alice, everything, "").replace("Allow", "Deny");
    let but_alice =
        format!(r#"{{"Version":"2012-10-17","Statement":[{},{but_alice}]}}"#, trust(account, everything, ""));
    let device =
        "[[mfa_devices]]\nserial_number = \"arn:aws:iam::123456789012:mfa/alice\"\nsecret_file = \"seed\"\n";
    let [open, closed, chained, plain] = [
        trusting(account, everything, ""),
        trusting(foreign, everything, ""),
        trusting(&reader, everything, ""),
        trusting(&only_alice, r#""sts:AssumeRole""#, ""),
    ];
    let info = allow("sts:GetAccessKeyInfo", "*");
    World::declared(&[
        ("users/alice/user.toml", device),
        ("users/alice/seed", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"),
        ("users/alice/policies/sts.json", alice),
        ("users/bob/user.toml", ""),
        ("users/carol/policies/sts.json", alice),
        ("users/carol/policies/deny.json", &allow("sts:*", "*").replace("Allow", "Deny")),
        ("users/gone/user.toml", "disabled = true"),
        ("roles/reader/trust.json", &open),
        ("roles/reader/policies/info.json", &info),
        ("roles/next/trust.json", &chained),
        ("roles/next/role.toml", "max_session_duration = 43200"),
        ("roles/closed/trust.json", &closed),
        ("roles/off/trust.json", &open),
        ("roles/off/role.toml", "disabled = true"),
        ("roles/but-alice/trust.json", &but_alice),
        ("roles/plain/trust.json", &plain),
    ])
    .await
}

/// Everybody who asks, with what they sign.
async fn cast(world: &World) -> BTreeMap<Who, Signatory> {
    let key = Signatory::long_term;
    let get =
        |form: String| async move { Signatory::from_answer(&world.post(&key("AKIAALICE"), &form).await) };
    let session = || get(form("GetSessionToken", &[("DurationSeconds", "3600")]));
    let tagged = [
        ("Tags.member.1.Key", "Env"),
        ("Tags.member.1.Value", "dev"),
        ("TransitiveTagKeys.member.1", "Env"),
        ("SourceIdentity", "alice"),
    ];
    let (one, other, token) = (session().await, session().await, session().await);
    let stranger = Principal {
        arn: "arn:aws:iam::123456789012:user/stranger".into(),
        user_id: "AIDASTRANGER".into(),
        account: "123456789012".into(),
    };
    let created = |id, principal| EventData::AccessKeyCreated(long_term(id, principal));
    append(&world.store, "stranger", created("AKIASTRANGER", stranger.clone())).await;
    append(&world.store, "inactive", created("AKIAINACTIVE", stranger)).await;
    let inactive = AccessKeyId::parse("AKIAINACTIVE").unwrap();
    let status = EventData::AccessKeyStatus { access_key_id: inactive, status: KeyStatus::Inactive };
    append(&world.store, "status", status).await;
    let revoked = session().await;
    let scope = RevocationScope::AccessKey(AccessKeyId::parse(&revoked.access_key_id).unwrap());
    append(&world.store, "revoked", revocation(scope, NOW.plus(1))).await;
    BTreeMap::from([
        (Who::Alice, key("AKIAALICE")),
        (Who::Bob, key("AKIABOB")),
        (Who::Carol, key("AKIACAROL")),
        (Who::Root, key("AKIAROOT")),
        (Who::UserSession, session().await),
        (Who::RoleSession, get(assume(&tagged)).await),
        (Who::Federated, get(form("GetFederationToken", &[("Name", "bob")])).await),
        (Who::Disabled, key("AKIAGONE")),
        (Who::Undeclared, key("AKIASTRANGER")),
        (Who::Revoked, revoked),
        (Who::Expired, get(form("GetSessionToken", &[("DurationSeconds", "900")])).await),
        (Who::Tokenless, Signatory { token: None, ..session().await }),
        (Who::ForeignToken, Signatory { token: other.token, ..one }),
        (Who::LongTermWithToken, Signatory { token: token.token, ..key("AKIAALICE") }),
        (Who::Inactive, key("AKIAINACTIVE")),
        (Who::UnknownKey, key("AKIANOBODYHASTHIS000")),
        (Who::WrongSecret, Signatory { secret: "wrong".into(), ..key("AKIAALICE") }),
    ])
}

#[tokio::test]
async fn every_refusal_has_the_status_the_code_and_the_text_of_aws() {
    let world = world().await;
    let cast = cast(&world).await;
    let rows: Vec<Row> = [
        limits::rows(),
        meaning::rows(),
        callers::rows(),
        permissions::rows(),
        second_factor::rows(),
        authentication::rows(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let different: BTreeSet<(Who, &str)> = rows.iter().map(|row| (row.who, row.form.as_str())).collect();
    assert!(different.len() >= 150, "{} different rows", different.len());
    let mut wrong = Vec::new();
    for row in &rows {
        // The session of Expired lasts a quarter of an hour.
        let now = if row.who == Who::Expired { NOW.plus(900_000) } else { NOW };
        let response = match cast.get(&row.who) {
            Some(signatory) => world.ask(&signatory.post("sts", &row.form, now), &row.form, now).await,
            None => world.ask(&unsigned(), &row.form, now).await,
        };
        let refused =
            if response.status() == 200 { (200, String::new(), String::new()) } else { error(&response) };
        if refused != (row.status, row.code.to_owned(), row.message.clone()) {
            wrong.push(format!("{row:?}\n  but: {refused:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

fn unsigned() -> Parts {
    let mut headers = host();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    parts("POST", "/", headers)
}
