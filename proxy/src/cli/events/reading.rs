//! Lines of a log, from wherever it is read.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use sigv4::uri::encode_query;

use super::super::Failure;
use super::super::client::{AdminArgs, Client, ClientError};
use crate::clock::UnixMillis;
use crate::config::Environment;
use crate::store::{EventLog, Lines, Since, TailOptions};
use crate::telemetry::with_causes;

/// What is read.
pub(super) enum Verb {
    Tail(TailOptions),
    Snapshot,
    Verify,
    Export,
}

/// Lines as they come.
pub(super) struct Reading {
    pieces: Pieces,
    buffer: BytesMut,
}

enum Pieces {
    Log(Lines),
    Gateway(Incoming),
}

impl Reading {
    /// Of a log that is read here.
    pub(super) fn of_log(log: &EventLog, verb: Verb) -> Self {
        Self::of_lines(match verb {
            Verb::Tail(options) => log.tail_lines(options, || false),
            Verb::Snapshot => log.snapshot_lines(),
            Verb::Verify => log.verify_lines(),
            Verb::Export => log.export_lines(),
        })
    }

    pub(super) fn of_lines(lines: Lines) -> Self {
        Self { pieces: Pieces::Log(lines), buffer: BytesMut::new() }
    }

    /// Of a running gateway, by its admin listener.
    pub(super) async fn of_gateway(
        admin: &AdminArgs,
        environment: &Environment,
        verb: &Verb,
    ) -> Result<Self, Failure> {
        let target = match verb {
            Verb::Tail(options) => tail_target(options),
            Verb::Snapshot => "/v1/events/snapshot".to_owned(),
            Verb::Verify => "/v1/events/verify".to_owned(),
            Verb::Export => "/v1/events/export".to_owned(),
        };
        let body = Client::new(admin, environment)?.open(&target).await?;
        Ok(Self { pieces: Pieces::Gateway(body), buffer: BytesMut::new() })
    }

    /// The next line, without its line feed; `None`: that was all. Empty lines are passed over.
    pub(super) async fn next(&mut self) -> Result<Option<String>, Failure> {
        let mut looked = 0;
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.buffer[looked..]) {
                let line = self.buffer.split_to(looked + end + 1);
                looked = 0;
                if line.len() > 1 {
                    return Ok(Some(String::from_utf8_lossy(&line[..line.len() - 1]).into_owned()));
                }
                continue;
            }
            looked = self.buffer.len();
            match self.pieces.next().await? {
                Some(piece) => self.buffer.extend_from_slice(&piece),
                None => return Ok(None),
            }
        }
    }
}

impl Pieces {
    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        match self {
            Self::Log(lines) => Ok(lines.recv().await.transpose()?),
            Self::Gateway(body) => loop {
                match body.frame().await {
                    None => return Ok(None),
                    Some(Ok(frame)) => {
                        if let Ok(piece) = frame.into_data() {
                            return Ok(Some(piece));
                        }
                    }
                    Some(Err(error)) => return Err(ClientError::CutShort(with_causes(&error)).into()),
                }
            },
        }
    }
}

fn tail_target(options: &TailOptions) -> String {
    let mut target = format!("/v1/events?follow={}", options.follow);
    let mut add = |name: &str, value: &str| {
        target.push_str(&format!("&{name}={}", encode_query(value.as_bytes())));
    };
    match options.since {
        Since::Seq(seq) => add("since_seq", &seq.to_string()),
        Since::Time(time) => add("since", &UnixMillis::to_rfc3339(time)),
        Since::Now => {}
    }
    if !options.types.is_empty() {
        add("type", &options.types.join(","));
    }
    if let Some(id) = &options.access_key_id {
        add("access_key_id", id.as_str());
    }
    target
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iam::AccessKeyId;

    #[test]
    fn a_gateway_is_asked_for_what_was_asked_of_us() {
        let options = TailOptions {
            since: Since::Time(UnixMillis(0)),
            follow: false,
            types: vec!["session.revoked".into(), "a&b".into()],
            access_key_id: AccessKeyId::parse("ASIA1"),
        };
        let expected = "/v1/events?follow=false&since=1970-01-01T00%3A00%3A00.000Z\
                        &type=session.revoked%2Ca%26b&access_key_id=ASIA1";
        assert_eq!(tail_target(&options), expected);
        let options = TailOptions { since: Since::Seq(7), follow: true, types: vec![], access_key_id: None };
        assert_eq!(tail_target(&options), "/v1/events?follow=true&since_seq=7");
    }

    #[tokio::test]
    async fn lines_come_whole_however_they_travel() {
        let (pieces, lines) = tokio::sync::mpsc::channel(9);
        for piece in ["{\"a\":", "1}\n{\"b\":2}\n\n", "\n", "{\"c\"", ":3}\n", "cut short"] {
            pieces.send(Ok(Bytes::from(piece))).await.unwrap();
        }
        drop(pieces);
        let mut reading = Reading::of_lines(lines);
        for expected in ["{\"a\":1}", "{\"b\":2}", "{\"c\":3}"] {
            assert_eq!(reading.next().await.unwrap().as_deref(), Some(expected));
        }
        assert_eq!(reading.next().await.unwrap(), None);
    }
}
