//! `sigward events tail`

use std::io::{IsTerminal, Write};

use serde_json::Value;

use super::super::Failure;
use super::super::table::printable;
use super::SourceArgs;
use super::reading::Verb;
use crate::clock::{Clock, UnixMillis};
use crate::config::{Environment, parse_duration};
use crate::iam::AccessKeyId;
use crate::store::{Since, TailOptions};

/// Values of `--type`, which may also be written in full.
const TYPES: [&str; 5] =
    ["credential.issued", "access_key.created", "access_key.status", "access_key.deleted", "session.revoked"];

/// What stands in front of such a value and behind it when it is written in full.
const FULL: (&str, &str) = ("io.sigward.", ".v1");

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Begin with this sequence number, this long ago (15m, 2h, 1d), or at this time (RFC 3339). When absent: with the
    /// next event, or without --follow with the first there is
    #[arg(long, value_name = "SEQ|DURATION|TIME", value_parser = parse_since)]
    since: Option<Begin>,
    /// Go on with what comes (the default)
    #[arg(long, overrides_with = "no_follow")]
    follow: bool,
    /// End with what is there
    #[arg(long)]
    no_follow: bool,
    /// Only events of this type; may be given several times
    #[arg(long = "type", value_name = "TYPE", value_parser = parse_type)]
    types: Vec<String>,
    /// Only events about this access key id, and sessions issued to it
    #[arg(long, value_name = "ID", value_parser = parse_id)]
    access_key_id: Option<AccessKeyId>,
    #[command(flatten)]
    source: SourceArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begin {
    Seq(u64),
    Millis(i64),
    At(UnixMillis),
}

fn parse_since(text: &str) -> Result<Begin, &'static str> {
    if let Ok(seq) = text.parse() {
        return Ok(Begin::Seq(seq));
    }
    if let Some(time) = UnixMillis::parse_rfc3339(text) {
        return Ok(Begin::At(time));
    }
    let duration = parse_duration(text).and_then(|duration| i64::try_from(duration.as_millis()).ok());
    duration.map(Begin::Millis).ok_or("neither a sequence number, nor 15m, nor 2026-01-02T03:04:05Z")
}

fn parse_type(text: &str) -> Result<String, String> {
    let (before, behind) = FULL;
    let short = text.strip_prefix(before).and_then(|text| text.strip_suffix(behind)).unwrap_or(text);
    if TYPES.contains(&short) {
        return Ok(short.to_owned());
    }
    Err(format!("is none of {}", TYPES.join(", ")))
}

fn parse_id(text: &str) -> Result<AccessKeyId, &'static str> {
    AccessKeyId::parse(text).ok_or("is no access key id")
}

/// Shows events: JSON lines, or for a terminal a row each.
pub(super) async fn run(args: &Args, environment: &Environment) -> Result<(), Failure> {
    let options = args.options(Clock::system().now());
    let mut lines = args.source.read(Verb::Tail(options), environment).await?;
    let mut out = std::io::stdout().lock();
    let for_people = !args.source.admin.json && out.is_terminal();
    while let Some(line) = lines.next().await? {
        if for_people {
            writeln!(out, "{}", row(&line))?;
        } else {
            writeln!(out, "{line}")?;
            // Standard output keeps lines back when it is no terminal.
            out.flush()?;
        }
    }
    Ok(())
}

impl Args {
    fn options(&self, now: UnixMillis) -> TailOptions {
        let follow = !self.no_follow;
        let since = match self.since {
            Some(Begin::Seq(seq)) => Since::Seq(seq),
            Some(Begin::Millis(millis)) => Since::Time(now.plus(-millis)),
            Some(Begin::At(time)) => Since::Time(time),
            None if follow => Since::Now,
            None => Since::Seq(0),
        };
        TailOptions { since, follow, types: self.types.clone(), access_key_id: self.access_key_id.clone() }
    }
}

/// Place, time, type and what it is about.
fn row(line: &str) -> String {
    let event: Value = serde_json::from_str(line).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let sequence = text(&event["sequence"]);
    let sequence = sequence.trim_start_matches('0');
    if let Some(unreadable) = event["unreadable"].as_str() {
        return printable(&format!("{sequence:>8}  unreadable: {unreadable}"));
    }
    let kind = text(&event["type"]);
    let kind = kind.trim_start_matches(FULL.0).trim_end_matches(FULL.1);
    let data = &event["data"];
    let scopes = [
        "access_key_id",
        "issued_to",
        "principal",
        "role",
        "account",
        "identity_provider",
        "source_identity",
    ];
    let about = scopes.into_iter().find_map(|scope| data[scope].as_str().map(|name| (scope, name)));
    let about = about.map_or("-".to_owned(), |(scope, name)| match scope {
        "access_key_id" => name.to_owned(),
        _ => format!("{scope} {name}"),
    });
    let more = [&data["session_name"], &data["principal"]["arn"], &data["status"], &data["issued_before"]];
    let more = more.into_iter().filter_map(Value::as_str).collect::<Vec<_>>().join("  ");
    printable(&format!("{sequence:>8}  {}  {kind:<18}  {about}  {more}", text(&event["recordedtime"])))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Tail {
        #[command(flatten)]
        args: Args,
    }

    fn options(arguments: &[&str]) -> Option<TailOptions> {
        let parsed = Tail::try_parse_from([&["tail"], arguments].concat()).ok()?;
        Some(parsed.args.options(UnixMillis(10_000_000)))
    }

    #[test]
    fn begins_where_it_is_told() {
        let since = |arguments: &[&str]| options(arguments).map(|options| (options.since, options.follow));
        assert_eq!(since(&[]), Some((Since::Now, true)));
        assert_eq!(since(&["--no-follow"]), Some((Since::Seq(0), false)));
        assert_eq!(since(&["--since", "7"]), Some((Since::Seq(7), true)));
        assert_eq!(since(&["--since", "00000000000000000007"]), Some((Since::Seq(7), true)));
        assert_eq!(since(&["--since", "15m"]), Some((Since::Time(UnixMillis(9_100_000)), true)));
        let at = Since::Time(UnixMillis(1_000));
        assert_eq!(since(&["--no-follow", "--since", "1970-01-01T00:00:01Z"]), Some((at, false)));
        assert_eq!(since(&["--no-follow", "--follow"]), Some((Since::Now, true)));
        assert_eq!(since(&["--since", "yesterday"]), None);
    }

    #[test]
    fn knows_the_types_there_are() {
        let types = options(&["--type", "io.sigward.session.revoked.v1", "--type", "access_key.status"]);
        assert_eq!(
            types.map(|options| options.types),
            Some(vec!["session.revoked".into(), "access_key.status".into()])
        );
        assert!(options(&["--type", "session.revoke"]).is_none());
        assert!(options(&["--access-key-id", "a,b"]).is_none());
        assert!(options(&["--config", "a", "--admin", "http://localhost"]).is_none());
    }

    #[test]
    fn a_row_says_what_happened_to_whom() {
        let line = r#"{"type":"io.sigward.session.revoked.v1","sequence":"00000000000000000042",
            "recordedtime":"2026-01-02T03:04:05.000Z","data":{"role":"arn:r","session_name":"a\u001b[2J","issued_before":"t"}}"#;
        assert_eq!(row(line), "      42  2026-01-02T03:04:05.000Z  session.revoked     role arn:r  a?[2J  t");
        assert_eq!(
            row(r#"{"sequence":"00000000000000000001","unreadable":"why"}"#),
            "       1  unreadable: why"
        );
    }
}
