//! One record: who did what, from where, and what came of it.

use std::net::IpAddr;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::clock::UnixMillis;
use crate::events::{Event, EventData, cloudevents};
use crate::iam::{Credential, Federation, Principal, Session, SessionKind, random_bytes};

/// Longest text that comes from a client: user agent and message of an error, in characters.
const MAX_TEXT: usize = 1_024;

/// A record of the audit trail.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    event_version: &'static str,
    user_identity: Identity,
    event_time: String,
    event_source: &'static str,
    event_name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    aws_region: Option<String>,
    #[serde(rename = "sourceIPAddress")]
    source_ip_address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<String>,
    request_parameters: Option<Value>,
    response_elements: Option<Value>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    additional_event_data: Map<String, Value>,
    #[serde(rename = "requestID")]
    request_id: String,
    #[serde(rename = "eventID", skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    read_only: bool,
    event_type: &'static str,
    management_event: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient_account_id: Option<String>,
    event_category: &'static str,
}

/// Who did it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity_provider: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    invoked_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_context: Option<Value>,
}

impl Record {
    /// A request to STS at `time`, for an operation and by somebody unknown so far.
    pub fn of_request(request_id: &str, time: UnixMillis) -> Self {
        Self {
            event_version: "1.11",
            user_identity: Identity::unknown(),
            event_time: seconds(time),
            event_source: "sts.amazonaws.com",
            event_name: "Unknown",
            aws_region: None,
            source_ip_address: String::new(),
            user_agent: None,
            error_code: None,
            error_message: None,
            request_parameters: None,
            response_elements: None,
            additional_event_data: Map::new(),
            request_id: request_id.to_owned(),
            event_id: event_id(),
            read_only: true,
            event_type: "AwsApiCall",
            management_event: true,
            recipient_account_id: None,
            event_category: "Management",
        }
    }

    /// An event that is in force. Its source stands where the address of a client would.
    pub fn of_event(event: &Event) -> Self {
        let name = match &event.data {
            EventData::CredentialIssued(_) => "IssueSession",
            EventData::AccessKeyCreated(_) => "CreateAccessKey",
            EventData::AccessKeyStatus { .. } => "UpdateAccessKey",
            EventData::AccessKeyDeleted { .. } => "DeleteAccessKey",
            EventData::SessionRevoked { .. } => "RevokeSessions",
        };
        let mut described = cloudevents::to_json(event);
        Self {
            user_identity: Identity { invoked_by: Some(event.source.clone()), ..Identity::new("Service") },
            event_source: "sigward",
            event_name: name,
            read_only: false,
            source_ip_address: event.source.clone(),
            request_parameters: Some(described["data"].take()),
            event_type: "AwsServiceEvent",
            ..Self::of_request(&event.id, event.time)
        }
    }

    /// For which operation.
    pub fn named(&mut self, name: &'static str) -> &mut Self {
        self.event_name = name;
        self
    }

    /// From where the request came.
    pub fn from(&mut self, address: IpAddr, user_agent: Option<&str>) -> &mut Self {
        self.source_ip_address = address.to_canonical().to_string();
        self.user_agent = user_agent.map(shortened);
        self
    }

    /// In which region.
    pub fn in_region(&mut self, region: &str) -> &mut Self {
        self.aws_region = Some(region.to_owned());
        self
    }

    /// By whom.
    pub fn by(&mut self, identity: Identity) -> &mut Self {
        self.recipient_account_id = identity.account_id.clone();
        self.user_identity = identity;
        self
    }

    /// What was asked for. The caller leaves out what is secret.
    pub fn asking(&mut self, parameters: Map<String, Value>) -> &mut Self {
        self.request_parameters = (!parameters.is_empty()).then_some(Value::Object(parameters));
        self
    }

    /// What was answered. The caller leaves out what is secret.
    pub fn answered(&mut self, elements: Map<String, Value>) -> &mut Self {
        self.response_elements = (!elements.is_empty()).then_some(Value::Object(elements));
        self
    }

    /// Why it was refused. Of the message the first line: those after it quote the request.
    pub fn refused(&mut self, code: &'static str, message: &str) -> &mut Self {
        self.error_code = Some(code);
        self.error_message = message.lines().next().map(shortened);
        self
    }

    /// Something that CloudTrail has no field for.
    pub fn with(&mut self, name: &str, value: impl Into<Value>) -> &mut Self {
        self.additional_event_data.insert(name.to_owned(), value.into());
        self
    }

    /// One line.
    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Identity {
    const fn new(r#type: &'static str) -> Self {
        Self {
            r#type,
            principal_id: None,
            arn: None,
            account_id: None,
            access_key_id: None,
            user_name: None,
            identity_provider: None,
            invoked_by: None,
            session_context: None,
        }
    }

    /// Nobody who could be authenticated.
    pub const fn unknown() -> Self {
        Self::new("Unknown")
    }

    /// Whoever an identity provider vouches for.
    pub fn federated(federation: &Federation) -> Self {
        let Federation { provider, issuer, subject, audience, saml } = federation;
        let (r#type, principal_id) = match saml {
            Some(saml) => ("SAMLUser", format!("{}:{subject}", saml.name_qualifier)),
            None => ("WebIdentityUser", format!("{provider}:{audience}:{subject}")),
        };
        Self {
            principal_id: Some(principal_id),
            user_name: Some(subject.clone()),
            identity_provider: Some(issuer.clone()),
            ..Self::new(r#type)
        }
    }

    /// The holder of a credential.
    pub fn of(credential: &Credential) -> Self {
        let Principal { arn, user_id, account } = &credential.principal;
        let session = credential.session.as_ref();
        let r#type = match session.map(|session| session.kind) {
            None | Some(SessionKind::SessionToken) => user_type(arn),
            Some(SessionKind::AssumedRole | SessionKind::WebIdentity | SessionKind::Saml) => "AssumedRole",
            Some(SessionKind::Federation) => "FederatedUser",
        };
        Self {
            principal_id: Some(user_id.clone()),
            arn: Some(arn.clone()),
            account_id: Some(account.clone()),
            access_key_id: Some(credential.access_key_id.as_str().to_owned()),
            user_name: (r#type == "IAMUser").then(|| name_of(arn)),
            session_context: session.map(|session| session_context(credential, session)),
            ..Self::new(r#type)
        }
    }
}

fn session_context(credential: &Credential, session: &Session) -> Value {
    let mut context = json!({
        "attributes": {
            "creationDate": seconds(credential.issued_at),
            "mfaAuthenticated": session.mfa_authenticated_at.is_some().to_string(),
        },
    });
    if let Some(issuer) = session_issuer(credential, session) {
        context["sessionIssuer"] = issuer;
    }
    if let Some(source_identity) = &session.source_identity {
        context["sourceIdentity"] = json!(source_identity);
    }
    if let (SessionKind::WebIdentity, Some(federation)) = (session.kind, &session.federation) {
        context["webIdFederationData"] = json!({
            "federatedProvider": federation.provider,
            "attributes": { "aud": federation.audience, "sub": federation.subject },
        });
    }
    context
}

/// The role of a role's session, the user behind a federated one.
fn session_issuer(credential: &Credential, session: &Session) -> Option<Value> {
    if let Some(role) = &session.role_arn {
        let (id, _) = credential.principal.user_id.split_once(':')?;
        let account = role.split(':').nth(4);
        return Some(json!({
            "type": "Role", "principalId": id, "arn": role, "accountId": account, "userName": name_of(role),
        }));
    }
    let user = &session.lineage.first().filter(|_| session.kind == SessionKind::Federation)?.principal;
    Some(json!({
        "type": user_type(&user.arn), "principalId": user.user_id, "arn": user.arn, "accountId": user.account,
        "userName": name_of(&user.arn),
    }))
}

fn user_type(arn: &str) -> &'static str {
    if arn.ends_with(":root") { "Root" } else { "IAMUser" }
}

/// What stands behind the last `/`, where paths end.
fn name_of(arn: &str) -> String {
    arn.rsplit('/').next().unwrap_or_default().to_owned()
}

fn shortened(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

fn seconds(time: UnixMillis) -> String {
    time.timestamp().to_string()
}

/// A random UUID; none if the system has no random numbers, which ends more than records.
fn event_id() -> Option<String> {
    let mut bytes = random_bytes::<16>().ok()?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = sigv4::hex::encode(&*bytes);
    Some(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
}
