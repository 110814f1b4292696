//! `GET /v1/events…`: what this gateway has of the log, as lines of JSON that are sent while they are made.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::Either;

use super::answer::{Answer, ApiError};
use super::query::Query;
use super::{Admin, Caller, Phase};
use crate::clock::UnixMillis;
use crate::iam::AccessKeyId;
use crate::store::{EventLog, Lines, Since, StoreError, TailOptions};

/// Lines as a body. It breaks off, rather than to end, where some are missing.
pub struct LinesBody(Lines);

impl Body for LinesBody {
    type Data = Bytes;
    type Error = StoreError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StoreError>>> {
        let piece = std::task::ready!(self.0.poll_recv(context));
        if let Some(Err(error)) = &piece {
            tracing::error!(%error, "the log cannot be shown any further");
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }
}

/// Events, as CloudEvents: from sequence number `since_seq` or time `since` on, or those that come; of the types in `type`,
/// separated by commas; about `access_key_id`. `follow=false` ends with what is there.
pub(super) fn tail(admin: &Admin, query: Option<&str>) -> Result<Answer, ApiError> {
    let mut query = Query::parse(query)?;
    let seq = query.take_parsed("since_seq", "a sequence number")?;
    let time = query.take("since").map(|text| {
        UnixMillis::parse_rfc3339(&text)
            .ok_or_else(|| ApiError::invalid("since", "is no time such as 2026-01-02T03:04:05Z"))
    });
    let since = match (seq, time.transpose()?) {
        (Some(_), Some(_)) => return Err(ApiError::invalid("since", "excludes since_seq")),
        (Some(seq), None) => Since::Seq(seq),
        (None, Some(time)) => Since::Time(time),
        (None, None) => Since::Now,
    };
    let types = query.take("type").map(|types| types.split(',').map(str::to_owned).collect());
    let access_key_id = query.take("access_key_id").map(|text| {
        AccessKeyId::parse(&text).ok_or_else(|| ApiError::invalid("access_key_id", "is no access key id"))
    });
    let options = TailOptions {
        since,
        follow: query.take_parsed("follow", "true or false")?.unwrap_or(true),
        types: types.unwrap_or_default(),
        access_key_id: access_key_id.transpose()?,
    };
    query.finish()?;
    let readiness = admin.readiness.clone();
    // Whoever follows must not hold up the end of the process.
    let ending = move || readiness.phase() == Phase::Draining;
    Ok(streamed(EventLog::of_gateway(&admin.store).tail_lines(options, ending)))
}

/// The state, at one position.
pub(super) fn snapshot(admin: &Admin, query: Option<&str>) -> Result<Answer, ApiError> {
    Query::parse(query)?.finish()?;
    Ok(streamed(EventLog::of_gateway(&admin.store).snapshot_lines()))
}

/// What is wrong with the log.
pub(super) fn verify(admin: &Admin, query: Option<&str>) -> Result<Answer, ApiError> {
    Query::parse(query)?.finish()?;
    Ok(streamed(EventLog::of_gateway(&admin.store).verify_lines()))
}

/// The log as a file. Its secrets are sealed; all the same it travels where secrets may.
pub(super) fn export(admin: &Admin, caller: Caller<'_>, query: Option<&str>) -> Result<Answer, ApiError> {
    Query::parse(query)?.finish()?;
    caller.check_confidential()?;
    Ok(streamed(EventLog::of_gateway(&admin.store).export_lines()))
}

fn streamed(lines: Lines) -> Answer {
    let mut answer = Response::new(Either::Right(LinesBody(lines)));
    *answer.status_mut() = StatusCode::OK;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
