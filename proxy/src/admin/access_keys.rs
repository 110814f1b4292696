//! `/v1/access-keys`: long-term keys that live in the event log rather than in the configuration.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sigv4::SecretAccessKey;

use super::answer::{self, Answer, ApiError};
use super::{Admin, Caller, admin_event};
use crate::events::EventData;
use crate::iam::{
    AccessKeyId, Credential, DeclaredPrincipal, KeyStatus, Principal, random_access_key_id,
    random_secret_access_key,
};
use crate::store::RevokedBy;

/// A key as it is listed.
#[derive(Serialize)]
struct Listed {
    access_key_id: AccessKeyId,
    principal: Principal,
    status: KeyStatus,
    created_at: String,
    /// Who created it: `/config` for a declared key.
    source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_by: Option<&'static str>,
}

/// All long-term keys.
pub(super) async fn list(admin: &Admin) -> Result<Answer, ApiError> {
    let keys = admin.store.access_keys().await?.into_iter().map(|key| Listed {
        access_key_id: key.access_key_id,
        principal: key.principal,
        status: key.status,
        created_at: key.created_at.to_rfc3339(),
        source: key.source,
        revoked_by: key.revoked.map(RevokedBy::as_str),
    });
    Ok(answer::json(StatusCode::OK, &json!({ "access_keys": keys.collect::<Vec<_>>() })))
}

/// Whom a new key speaks for: `user` and `account`, or `arn`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Creation {
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    account: Option<String>,
    #[serde(default)]
    arn: Option<String>,
    #[serde(default)]
    user_id: Option<String>,
}

#[derive(Serialize)]
struct Created<'a> {
    access_key_id: AccessKeyId,
    /// Given out this once.
    secret_access_key: &'a str,
    principal: Principal,
    seq: u64,
}

/// Creates a key and gives out its secret.
pub(super) async fn create(
    admin: &Admin,
    caller: Caller<'_>,
    creation: Creation,
) -> Result<Answer, ApiError> {
    caller.check_confidential()?;
    let Creation { user, account, arn, user_id } = creation;
    let by_id = user_id.is_some();
    let principal = DeclaredPrincipal { user, account, arn, user_id }.resolve()?;
    let principal = if by_id { principal } else { as_declared(admin, principal) };
    let (access_key_id, secret) = (random_access_key_id("AKIA")?, random_secret_access_key()?);
    let credential = Credential {
        access_key_id: access_key_id.clone(),
        secret: SecretAccessKey::new(secret.as_bytes()),
        principal: principal.clone(),
        issued_at: admin.clock.now(),
        status: KeyStatus::Active,
        not_after: None,
        declared: false,
        session: None,
    };
    let receipt = admin_event::append(admin, EventData::AccessKeyCreated(credential)).await?;
    tracing::info!(%access_key_id, principal = principal.arn, "access key created");
    let created = Created { access_key_id, secret_access_key: &secret, principal, seq: receipt.seq };
    Ok(answer::json(StatusCode::CREATED, &created))
}

/// The user of the IAM directory that is meant, as for a key of the configuration: with its path and its unique id.
fn as_declared(admin: &Admin, named: Principal) -> Principal {
    let current = admin.identities.current();
    current.as_ref().and_then(|directory| directory.bind(&named)).unwrap_or(named)
}

/// The status a key shall have.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Status {
    status: KeyStatus,
}

/// Activates or deactivates a key.
pub(super) async fn put_status(admin: &Admin, id: AccessKeyId, wanted: Status) -> Result<Answer, ApiError> {
    let event = EventData::AccessKeyStatus { access_key_id: id.clone(), status: wanted.status };
    let receipt = admin_event::append(admin, event).await?;
    tracing::info!(access_key_id = %id, status = ?wanted.status, "access key changed");
    let answer = json!({ "access_key_id": id, "status": wanted.status, "seq": receipt.seq });
    Ok(answer::json(StatusCode::OK, &answer))
}

/// Deletes a key for good.
pub(super) async fn delete(admin: &Admin, id: AccessKeyId) -> Result<Answer, ApiError> {
    let event = EventData::AccessKeyDeleted { access_key_id: id.clone() };
    let receipt = admin_event::append(admin, event).await?;
    tracing::info!(access_key_id = %id, "access key deleted");
    Ok(answer::json(StatusCode::OK, &json!({ "access_key_id": id, "seq": receipt.seq })))
}
