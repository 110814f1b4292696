//! `GET /v1/sessions`, `POST /v1/revocations`: what is alive, and how it ends.

use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::answer::{self, Answer, ApiError};
use super::query::Query;
use super::{Admin, admin_event};
use crate::clock::UnixMillis;
use crate::events::{EventData, RevocationScope};
use crate::iam::{AccessKeyId, Principal, SessionKind};
use crate::store::{RevokedBy, SessionFilter, SessionSummary};

/// Sessions of one answer, unless the query asks for another number.
const PAGE: usize = 100;
const LARGEST_PAGE: usize = 1000;

#[derive(Serialize)]
struct Page {
    sessions: Vec<Listed>,
    /// What to pass as `after` for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<AccessKeyId>,
}

#[derive(Serialize)]
struct Listed {
    access_key_id: AccessKeyId,
    kind: SessionKind,
    principal: Principal,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_access_key_id: Option<AccessKeyId>,
    issued_at: String,
    expires_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_by: Option<&'static str>,
}

/// Sessions, narrowed down by the query: `access_key_id`, `principal`, `role`, `account`, `expired=true`; `limit`
/// and `after` page through them.
pub(super) async fn list(admin: &Admin, query: Option<&str>) -> Result<Answer, ApiError> {
    let mut query = Query::parse(query)?;
    let filter = SessionFilter {
        access_key_id: query.take("access_key_id"),
        principal: query.take("principal"),
        role: query.take("role"),
        account: query.take("account"),
        expired: query.take_parsed("expired", "true or false")?.unwrap_or(false),
    };
    let limit = query.take_parsed("limit", "a number")?.unwrap_or(PAGE).clamp(1, LARGEST_PAGE);
    let after = match query.take("after") {
        Some(text) => {
            Some(AccessKeyId::parse(&text).ok_or_else(|| ApiError::invalid("after", "is no access key id"))?)
        }
        None => None,
    };
    query.finish()?;
    // One more than asked for tells whether there is a next page.
    let mut found = admin.store.sessions(filter, limit + 1, after).await?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|session| session.access_key_id.clone());
    let sessions = found.into_iter().map(Listed::from).collect();
    Ok(answer::json(StatusCode::OK, &Page { sessions, next }))
}

impl From<SessionSummary> for Listed {
    fn from(session: SessionSummary) -> Self {
        Self {
            access_key_id: session.access_key_id,
            kind: session.kind,
            principal: session.principal,
            session_name: session.session_name,
            role_arn: session.role_arn,
            parent_access_key_id: session.parent_access_key_id,
            issued_at: session.issued_at.to_rfc3339(),
            expires_at: session.expires_at.to_rfc3339(),
            revoked_by: session.revoked.map(revoked_by),
        }
    }
}

/// As the members of a revocation are called.
pub(super) const fn revoked_by(cause: RevokedBy) -> &'static str {
    match cause {
        RevokedBy::AccessKey => "access_key_id",
        RevokedBy::Principal => "principal",
        RevokedBy::Role => "role",
        RevokedBy::Account => "account",
    }
}

/// The body of a revocation: exactly one of the first four.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Revocation {
    #[serde(default)]
    access_key_id: Option<AccessKeyId>,
    #[serde(default)]
    principal: Option<String>,
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    account: Option<String>,
    #[serde(default)]
    issued_before: Option<String>,
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Serialize)]
struct Revoked {
    /// Sessions issued strictly before this time are refused from now on.
    issued_before: String,
    /// Live sessions the revocation reaches, those that were revoked before included.
    sessions: usize,
    /// The revocation's place in the log.
    seq: u64,
}

/// Revokes, and answers once the revocation is on disk and in force.
pub(super) async fn revoke(admin: &Admin, revocation: Revocation) -> Result<Answer, ApiError> {
    let scope = revocation.scope()?;
    let issued_before = match &revocation.issued_before {
        Some(text) => UnixMillis::parse_rfc3339(text)
            .ok_or_else(|| ApiError::invalid("issued_before", "is no time such as 2026-01-02T03:04:05Z"))?,
        None => admin.store.mark_now(&scope).await?,
    };
    let filter = filter_of(&scope);
    let revoked = format!("{scope:?}");
    let event = EventData::SessionRevoked { scope, issued_before, reason: revocation.reason };
    let receipt = admin_event::append(admin, event).await?;
    let sessions = count(admin, filter, issued_before).await?;
    let answer = Revoked { issued_before: issued_before.to_rfc3339(), sessions, seq: receipt.seq };
    tracing::info!(scope = revoked, sessions, issued_before = answer.issued_before, "sessions revoked");
    Ok(answer::json(StatusCode::OK, &answer))
}

impl Revocation {
    fn scope(&self) -> Result<RevocationScope, ApiError> {
        let scopes = [
            self.access_key_id.clone().map(RevocationScope::AccessKey),
            self.principal.clone().map(RevocationScope::Principal),
            self.role.clone().map(RevocationScope::Role),
            self.account.clone().map(RevocationScope::Account),
        ];
        let mut given = scopes.into_iter().flatten();
        match (given.next(), given.next()) {
            (Some(scope), None) => Ok(scope),
            _ => {
                let message = "exactly one of access_key_id, principal, role and account says what to revoke";
                Err(ApiError::invalid("", message))
            }
        }
    }
}

fn filter_of(scope: &RevocationScope) -> SessionFilter {
    let mut filter = SessionFilter::default();
    match scope {
        RevocationScope::AccessKey(id) => filter.access_key_id = Some(id.as_str().to_owned()),
        RevocationScope::Principal(name) => filter.principal = Some(name.clone()),
        RevocationScope::Role(arn) => filter.role = Some(arn.clone()),
        RevocationScope::Account(account) => filter.account = Some(account.clone()),
    }
    filter
}

/// Live sessions that match and were issued before `mark`.
async fn count(admin: &Admin, filter: SessionFilter, mark: UnixMillis) -> Result<usize, ApiError> {
    let mut total = 0;
    let mut after = None;
    loop {
        let page = admin.store.sessions(filter.clone(), LARGEST_PAGE, after).await?;
        total += page.iter().filter(|session| session.issued_at < mark).count();
        after = page.last().map(|session| session.access_key_id.clone());
        if page.len() < LARGEST_PAGE {
            return Ok(total);
        }
    }
}
