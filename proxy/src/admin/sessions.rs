//! `GET /v1/sessions`, `POST /v1/revocations`: what is alive, and how it ends.

use std::time::Duration;

use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::answer::{self, Answer, ApiError};
use super::query::Query;
use super::{Admin, admin_event};
use crate::clock::UnixMillis;
use crate::events::{EventData, RevocationScope, cloudevents};
use crate::iam::{AccessKeyId, Ancestor, Arn, Principal, SessionKind};
use crate::store::{Reached, RevokedBy, SessionFilter, SessionSummary, WaitFor};

/// Sessions of one answer, unless the query asks for another number.
const PAGE: usize = 100;
const LARGEST_PAGE: usize = 1000;

/// How long a revocation waits for other gateways unless told otherwise, and at most.
const WAIT_SECONDS: u64 = 10;
const LONGEST_WAIT_SECONDS: u64 = 60;

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
    #[serde(skip_serializing_if = "Option::is_none")]
    identity_provider: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_identity: Option<String>,
    /// The credentials it descends from, nearest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    chain: Vec<Link>,
    issued_at: String,
    expires_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_by: Option<&'static str>,
}

#[derive(Serialize)]
struct Link {
    access_key_id: AccessKeyId,
    arn: String,
}

/// Sessions, narrowed down by the query: `access_key_id`, `principal`, `role`, `account`, `session_name`,
/// `identity_provider`, `source_identity`, `kind`, `expired=true`; `limit` and `after` page through them.
pub(super) async fn list(admin: &Admin, query: Option<&str>) -> Result<Answer, ApiError> {
    let mut query = Query::parse(query)?;
    let filter = SessionFilter {
        access_key_id: query.take("access_key_id"),
        principal: query.take("principal"),
        role: query.take("role"),
        account: query.take("account"),
        session_name: query.take("session_name"),
        identity_provider: query.take("identity_provider"),
        source_identity: query.take("source_identity"),
        kind: query.take("kind").map(kind).transpose()?,
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

fn kind(text: String) -> Result<SessionKind, ApiError> {
    serde_json::from_value(text.into()).map_err(|_| {
        ApiError::invalid("kind", "is none of session_token, assumed_role, web_identity, saml, federation")
    })
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
            identity_provider: session.identity_provider,
            source_identity: session.source_identity,
            chain: session.lineage.into_iter().map(Link::from).collect(),
            issued_at: session.issued_at.to_rfc3339(),
            expires_at: session.expires_at.to_rfc3339(),
            revoked_by: session.revoked.map(RevokedBy::as_str),
        }
    }
}

impl From<Ancestor> for Link {
    fn from(ancestor: Ancestor) -> Self {
        Self { access_key_id: ancestor.access_key_id, arn: ancestor.principal.arn }
    }
}

/// The body of a revocation: exactly one scope, of which `session_name` narrows `role` down.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Revocation {
    access_key_id: Option<AccessKeyId>,
    principal: Option<String>,
    role: Option<String>,
    session_name: Option<String>,
    account: Option<String>,
    identity_provider: Option<String>,
    source_identity: Option<String>,
    /// Whether sessions chained from those are revoked as well.
    cascade: bool,
    issued_before: Option<String>,
    reason: Option<String>,
    /// How many gateways of a shared log have to have applied it before the answer: a number, or `all` that are there.
    wait: Option<Wait>,
    /// How long to wait for them at most.
    wait_seconds: Option<u64>,
}

/// Whom a revocation waits for.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
enum Wait {
    Count(usize),
    All(All),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum All {
    All,
}

#[derive(Serialize)]
struct Revoked {
    /// Sessions issued strictly before this time are refused from now on.
    issued_before: String,
    /// Live sessions the revocation reaches, those that were revoked before included.
    sessions: usize,
    /// The revocation's place in the log.
    seq: u64,
    /// Gateways that have applied it, if the answer waited for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    applied: Option<Vec<String>>,
    /// Gateways that are there and have not.
    #[serde(skip_serializing_if = "Option::is_none")]
    lagging: Option<Vec<String>>,
}

/// Revokes, and answers once the revocation is on disk and in force.
pub(super) async fn revoke(admin: &Admin, revocation: Revocation) -> Result<Answer, ApiError> {
    let cascade = revocation.cascade;
    let scope = revocation.scope()?;
    let whom = revocation.whom()?;
    let issued_before = match &revocation.issued_before {
        Some(text) => {
            let issued_before = UnixMillis::parse_rfc3339(text).ok_or_else(|| {
                ApiError::invalid("issued_before", "is no time such as 2026-01-02T03:04:05Z")
            })?;
            check_date(admin, &scope, (issued_before, admin.clock.now())).await?;
            issued_before
        }
        None => admin.store.mark_now(&scope, cascade).await?,
    };
    let reason = revocation.reason;
    let event = EventData::SessionRevoked { scope: scope.clone(), cascade, issued_before, reason };
    let receipt = admin_event::append(admin, event).await?;
    let sessions = admin.store.reached(&scope, cascade, issued_before).await?;
    let reached = match whom {
        Some((whom, patience)) => admin.store.wait_applied(receipt.seq, whom, patience).await,
        None => None,
    };
    let (applied, lagging) = reached.map(|Reached { applied, lagging }| (applied, lagging)).unzip();
    let issued_before = issued_before.to_rfc3339();
    let answer = Revoked { issued_before, sessions, seq: receipt.seq, applied, lagging };
    let issued_before = &answer.issued_before;
    tracing::info!(?scope, cascade, sessions, issued_before, "sessions revoked");
    Ok(answer::json(StatusCode::OK, &answer))
}

/// Refuses a revocation of a time before the one it is made at, where that would not spare what is newer: a long-term key
/// is revoked as a whole, and for good. Only for a time that somebody gave: one without is not to be refused.
pub(super) async fn check_date(
    admin: &Admin,
    scope: &RevocationScope,
    (issued_before, made): (UnixMillis, UnixMillis),
) -> Result<(), ApiError> {
    if issued_before >= made || admin.store.may_be_dated(scope).await? {
        return Ok(());
    }
    let message = "cannot be in the past with an access_key_id that no session has: a long-term key is revoked as a \
                   whole, and for good";
    Err(ApiError::invalid("issued_before", message))
}

impl Revocation {
    /// Whom to wait for, and for how long.
    fn whom(&self) -> Result<Option<(WaitFor, Duration)>, ApiError> {
        let seconds = self.wait_seconds.unwrap_or(WAIT_SECONDS);
        if !(1..=LONGEST_WAIT_SECONDS).contains(&seconds) {
            return Err(ApiError::invalid("wait_seconds", "must be 1 to 60"));
        }
        let whom = match self.wait {
            None if self.wait_seconds.is_some() => {
                return Err(ApiError::invalid("wait_seconds", "belongs beside wait"));
            }
            None => return Ok(None),
            Some(Wait::Count(0)) => return Err(ApiError::invalid("wait", "must be all or at least 1")),
            Some(Wait::Count(count)) => WaitFor::Count(count),
            Some(Wait::All(All::All)) => WaitFor::All,
        };
        Ok(Some((whom, Duration::from_secs(seconds))))
    }

    fn scope(&self) -> Result<RevocationScope, ApiError> {
        // What names nobody would be taken for a revocation that found nobody yet.
        check_arn("role", self.role.as_deref())?;
        check_arn("identity_provider", self.identity_provider.as_deref())?;
        if self.account.as_deref().is_some_and(|account| !Arn::is_account(account)) {
            return Err(ApiError::invalid("account", "must be twelve digits"));
        }
        let role = self.role.clone().map(|role| match &self.session_name {
            Some(name) => RevocationScope::SessionName { role, name: name.clone() },
            None => RevocationScope::Role(role),
        });
        if self.session_name.is_some() && role.is_none() {
            return Err(ApiError::invalid("session_name", "belongs beside role"));
        }
        let scopes = [
            self.access_key_id.clone().map(RevocationScope::AccessKey),
            self.principal.clone().map(RevocationScope::Principal),
            role,
            self.account.clone().map(RevocationScope::Account),
            self.identity_provider.clone().map(RevocationScope::IdentityProvider),
            self.source_identity.clone().map(RevocationScope::SourceIdentity),
        ];
        let mut given = scopes.into_iter().flatten();
        match (given.next(), given.next()) {
            (Some(scope), None) => Ok(scope),
            _ => {
                let message = "exactly one of access_key_id, principal, role, account, identity_provider and \
                               source_identity says what to revoke";
                Err(ApiError::invalid("", message))
            }
        }
    }
}

fn check_arn(path: &'static str, given: Option<&str>) -> Result<(), ApiError> {
    match given {
        Some(text) if !cloudevents::is_arn(text) => {
            Err(ApiError::invalid(path, "must be an ARN: arn:partition:service:region:account:resource"))
        }
        Some(_) | None => Ok(()),
    }
}
