//! The sessions of a run: of a role, with a tag and a lineage of one, as events, and requests that are signed with them.

use std::collections::BTreeMap;

use http::header::HOST;
use http::{HeaderMap, HeaderValue};
use ring::digest::{SHA256, digest};
use sigv4::{Dialect, Scope, SecretAccessKey, Signer, SigningKey, Target};
use sigward::clock::{Clock, UnixMillis};
use sigward::events::{Event, EventData};
use sigward::iam::{
    AccessKeyId, Ancestor, Credential, KeyStatus, Principal, Session, SessionKind, SessionTokenHash,
};

use super::Failure;

const ACCOUNT: &str = "123456789012";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
pub(super) const HOUR_MILLIS: i64 = 3_600_000;

/// The n-th session of a series. Ids lie as far apart as random ones do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbered {
    pub(super) series: &'static str,
    pub(super) number: u64,
}

impl Numbered {
    pub(super) fn access_key_id(&self) -> String {
        const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let hash = digest(&SHA256, format!("{} {}", self.series, self.number).as_bytes());
        let letters = hash.as_ref().iter().take(16).map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
        "ASIA".chars().chain(letters).collect()
    }

    fn event_id(&self) -> String {
        format!("{}-{}", self.series, self.number)
    }

    fn name(&self) -> String {
        format!("job-{}", self.number)
    }

    fn token(&self) -> String {
        format!("token-{}-{}", self.series, self.number)
    }

    /// Its issuance, as the STS records one.
    pub(super) fn issuance(&self, issued_at: UnixMillis, expires_at: UnixMillis) -> Result<Event, Failure> {
        let (parent, name) = (alice()?, self.name());
        let token = SessionTokenHash::of(self.token().as_bytes());
        let session = Session {
            role_arn: Some(format!("arn:aws:iam::{ACCOUNT}:role/reader")),
            tags: BTreeMap::from([("team".to_owned(), "storage".to_owned())]),
            lineage: Ancestor::lineage(&parent, issued_at).map_err(|_| "one ancestor is too many")?,
            parent_access_key_id: Some(parent.access_key_id),
            ..Session::new(SessionKind::AssumedRole, token, expires_at)
        };
        let credential = Credential {
            access_key_id: AccessKeyId::parse(&self.access_key_id()).ok_or("no id")?,
            secret: SecretAccessKey::new(SECRET),
            principal: Principal {
                arn: format!("arn:aws:sts::{ACCOUNT}:assumed-role/reader/{name}"),
                user_id: format!("AROAEXAMPLEREADER0001:{name}"),
                account: ACCOUNT.to_owned(),
            },
            issued_at,
            status: KeyStatus::Active,
            not_after: None,
            declared: false,
            session: Some(Session { name: Some(name), ..session }),
        };
        let data = EventData::CredentialIssued(credential);
        Ok(Event { source: "/bench/sts".to_owned(), id: self.event_id(), time: issued_at, data })
    }

    /// Its issuance as a CloudEvent, alive for an hour.
    pub(super) fn cloud_event(&self, now: UnixMillis) -> String {
        let (id, name) = (self.access_key_id(), self.name());
        format!(
            r#"{{"specversion":"1.0","type":"io.sigward.credential.issued.v1","source":"/bench/sts","id":"{}","data":{{"access_key_id":"{id}","secret_access_key":"{SECRET}","session_token":"{}","kind":"assumed_role","session_name":"{name}","expires_at":"{}","role_arn":"arn:aws:iam::{ACCOUNT}:role/reader","tags":{{"team":"storage"}},"principal":{{"arn":"arn:aws:sts::{ACCOUNT}:assumed-role/reader/{name}","user_id":"AROAEXAMPLEREADER0001:{name}","account":"{ACCOUNT}"}}}}}}"#,
            self.event_id(),
            self.token(),
            now.plus(HOUR_MILLIS).to_rfc3339(),
        )
    }

    /// `GetCallerIdentity`, signed with it: what a gateway answers without anybody's help.
    pub(super) fn request(&self) -> Result<Vec<u8>, Failure> {
        const QUERY: &str = "Action=GetCallerIdentity&Version=2011-06-15";
        let time = Clock::system().now().timestamp();
        let scope = Scope { date: time.date(), region: "us-east-1", service: "sts" };
        let (key, id, token) =
            (SigningKey::derive(&SecretAccessKey::new(SECRET), &scope), self.access_key_id(), self.token());
        let signer = Signer {
            key: &key,
            access_key_id: &id,
            session_token: Some(token.as_bytes()),
            dialect: Dialect::Generic,
        };
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("gateway"));
        let target = Target { method: "GET", path: b"/", query: Some(QUERY.as_bytes()) };
        signer.sign(target, &mut headers, &sigv4::hex::encode(digest(&SHA256, b"").as_ref()), time)?;
        let mut request = format!("GET /?{QUERY} HTTP/1.1\r\n").into_bytes();
        for (name, value) in &headers {
            request.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        request.extend_from_slice(b"\r\n");
        Ok(request)
    }
}

fn alice() -> Result<Credential, Failure> {
    Ok(Credential {
        access_key_id: AccessKeyId::parse("AKIAEXAMPLEALICE0001").ok_or("no id")?,
        secret: SecretAccessKey::new(SECRET),
        principal: Principal {
            arn: format!("arn:aws:iam::{ACCOUNT}:user/alice"),
            user_id: "AIDAEXAMPLEALICE00001".to_owned(),
            account: ACCOUNT.to_owned(),
        },
        issued_at: UnixMillis(0),
        status: KeyStatus::Active,
        not_after: None,
        declared: false,
        session: None,
    })
}
