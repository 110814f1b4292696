//! `sigward revoke`

use std::io::Write;

use http::Method;
use serde_json::{Value, json};

use super::Failure;
use super::client::{AdminArgs, Client};
use super::table::printable;
use crate::clock::UnixMillis;
use crate::config::Environment;
use crate::iam::AccessKeyId;

/// Scopes that `--session-name` cannot narrow down.
const NOT_ROLE: [&str; 5] = ["access_key_id", "principal", "account", "identity_provider", "source_identity"];

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    scope: Scope,
    /// Of the role, only sessions of this name
    #[arg(long, value_name = "NAME", requires = "role", conflicts_with_all = NOT_ROLE)]
    session_name: Option<String>,
    /// Revoke sessions chained from those as well, directly or not
    #[arg(long)]
    cascade: bool,
    /// Revoke sessions issued before this time: RFC 3339 in UTC, or `now`; a long-term key is revoked as of now only
    #[arg(long, value_name = "TIME", default_value = "now", value_parser = parse_time)]
    issued_before: IssuedBefore,
    /// Why, for the log
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Return when the gateways that share the log have applied it: all that are there, or so many
    #[arg(long, value_name = "COUNT", num_args = 0..=1, require_equals = true, default_missing_value = "all", value_parser = parse_wait)]
    wait: Option<Wait>,
    /// How long to wait for them: 1 to 60
    #[arg(long, value_name = "SECONDS", requires = "wait", value_parser = clap::value_parser!(u64).range(1..=60))]
    wait_seconds: Option<u64>,
    #[command(flatten)]
    admin: AdminArgs,
}

/// Whom to wait for.
#[derive(Clone, Copy, Debug)]
enum Wait {
    All,
    Count(usize),
}

fn parse_wait(text: &str) -> Result<Wait, &'static str> {
    match (text, text.parse()) {
        ("all", _) => Ok(Wait::All),
        (_, Ok(count)) if count > 0 => Ok(Wait::Count(count)),
        _ => Err("neither all nor a number of gateways"),
    }
}

/// Which sessions are reached.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Scope {
    /// One credential and the sessions issued to it; a long-term key is revoked for good
    #[arg(long, value_name = "ID")]
    access_key_id: Option<String>,
    /// Every session of the principal with this ARN or unique id, and those a user got for others
    #[arg(long, visible_alias = "user", value_name = "ARN")]
    principal: Option<String>,
    /// Every session of the role with this ARN
    #[arg(long, value_name = "ARN")]
    role: Option<String>,
    /// Every session of the account
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    /// Every session that the identity provider with this ARN vouched for
    #[arg(long, value_name = "ARN")]
    identity_provider: Option<String>,
    /// Every session with this source identity
    #[arg(long, value_name = "NAME")]
    source_identity: Option<String>,
}

#[derive(Clone, Copy, Debug)]
enum IssuedBefore {
    Now,
    Time(UnixMillis),
}

fn parse_time(text: &str) -> Result<IssuedBefore, &'static str> {
    match text {
        "now" => Ok(IssuedBefore::Now),
        text => UnixMillis::parse_rfc3339(text)
            .map(IssuedBefore::Time)
            .ok_or("neither now nor a time such as 2026-01-02T03:04:05Z"),
    }
}

/// Revokes and says what changed.
pub(super) async fn run(args: &Args, environment: &Environment) -> Result<(), Failure> {
    let answer = Client::new(&args.admin, environment)?
        .call(Method::POST, "/v1/revocations", Some(&request(args)))
        .await?;
    let mut out = std::io::stdout().lock();
    if args.admin.json {
        writeln!(out, "{answer}")?;
        return args.check_reached(&answer);
    }
    let text = |field: &str| printable(answer[field].as_str().unwrap_or("?"));
    let number = |field: &str| answer[field].as_u64().unwrap_or_default();
    let chained = if args.cascade { ", and sessions chained from them" } else { "" };
    writeln!(out, "revoked: {} issued before {}{chained}", args.described(), text("issued_before"))?;
    if args.scope.access_key_id.as_ref().is_some_and(|id| !id.starts_with(AccessKeyId::TEMPORARY)) {
        writeln!(out, "a long-term key of this id is revoked for good")?;
    }
    writeln!(out, "live sessions reached: {}", number("sessions"))?;
    writeln!(out, "log position: {}", number("seq"))?;
    if answer["applied"].is_array() {
        writeln!(out, "in force on: {}", names(&answer["applied"]))?;
    }
    args.check_reached(&answer)
}

fn names(list: &Value) -> String {
    let names = list.as_array().map(Vec::as_slice).unwrap_or_default();
    printable(&names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "))
}

impl Args {
    /// Fails when fewer gateways have applied the revocation than were asked for. A gateway whose log is its own names
    /// none, and is all there is.
    fn check_reached(&self, answer: &Value) -> Result<(), Failure> {
        let count = |list: &Value| list.as_array().map(Vec::len);
        let Some(applied) = count(&answer["applied"]) else { return Ok(()) };
        let lagging = count(&answer["lagging"]).unwrap_or_default();
        let enough = match self.wait {
            None => true,
            Some(Wait::All) => lagging == 0 && applied > 0,
            Some(Wait::Count(wanted)) => applied >= wanted,
        };
        if enough {
            return Ok(());
        }
        let behind = match (lagging, self.wait) {
            (0, Some(Wait::Count(wanted))) => format!(" of {wanted} gateways; no others have been heard of"),
            (0, _) => " gateways; none has been heard of".to_owned(),
            _ => format!(" gateways; not yet on: {}", names(&answer["lagging"])),
        };
        Err(Failure::Lagging(format!("in force on {applied}{behind}")))
    }

    /// The sessions in words.
    fn described(&self) -> String {
        let Scope { access_key_id, principal, role, account, identity_provider, source_identity } =
            &self.scope;
        let named = [
            ("access key id", access_key_id),
            ("principal", principal),
            ("role", role),
            ("account", account),
            ("identity provider", identity_provider),
            ("source identity", source_identity),
        ];
        let scope = named.iter().find_map(|(what, name)| Some(format!("{what} {}", name.as_deref()?)));
        let name = self.session_name.as_ref().map(|name| format!("{name} of "));
        printable(&format!("sessions {}{}", name.unwrap_or("of ".into()), scope.unwrap_or_default()))
    }
}

fn request(args: &Args) -> Value {
    let scope = &args.scope;
    let fields = [
        ("access_key_id", scope.access_key_id.clone()),
        ("principal", scope.principal.clone()),
        ("role", scope.role.clone()),
        ("account", scope.account.clone()),
        ("identity_provider", scope.identity_provider.clone()),
        ("source_identity", scope.source_identity.clone()),
        ("session_name", args.session_name.clone()),
        ("reason", args.reason.clone()),
        (
            "issued_before",
            match args.issued_before {
                // The server's now, not this host's.
                IssuedBefore::Now => None,
                IssuedBefore::Time(time) => Some(time.to_rfc3339()),
            },
        ),
    ];
    let given = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value?))));
    let wait = args.wait.map(|wait| match wait {
        Wait::All => json!("all"),
        Wait::Count(count) => json!(count),
    });
    let more = [
        ("cascade", args.cascade.then_some(json!(true))),
        ("wait", wait),
        ("wait_seconds", args.wait_seconds.map(|seconds| json!(seconds))),
    ];
    given.chain(more.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)))).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Revoke {
        #[command(flatten)]
        args: Args,
    }

    fn parse(arguments: &[&str]) -> Result<Value, clap::error::ErrorKind> {
        let parsed = Revoke::try_parse_from([&["revoke"], arguments].concat());
        parsed.map(|revoke| request(&revoke.args)).map_err(|error| error.kind())
    }

    #[test]
    fn sends_one_scope_and_leaves_now_to_the_server() {
        assert_eq!(parse(&["--access-key-id", "ASIA1"]), Ok(json!({ "access_key_id": "ASIA1" })));
        assert_eq!(
            parse(&["--role", "arn", "--issued-before", "2026-01-02T03:04:05Z", "--reason", "leak"]),
            Ok(json!({ "role": "arn", "issued_before": "2026-01-02T03:04:05.000Z", "reason": "leak" })),
        );
        assert_eq!(parse(&["--account", "1", "--issued-before", "now"]), Ok(json!({ "account": "1" })));
        assert_eq!(parse(&["--user", "AIDA1"]), Ok(json!({ "principal": "AIDA1" })));
        assert_eq!(
            parse(&["--role", "arn", "--session-name", "build", "--cascade"]),
            Ok(json!({ "role": "arn", "session_name": "build", "cascade": true })),
        );
        assert_eq!(parse(&["--identity-provider", "arn"]), Ok(json!({ "identity_provider": "arn" })));
        assert_eq!(parse(&["--source-identity", "bob"]), Ok(json!({ "source_identity": "bob" })));
        assert_eq!(parse(&["--account", "1", "--wait"]), Ok(json!({ "account": "1", "wait": "all" })));
        assert_eq!(
            parse(&["--account", "1", "--wait=3", "--wait-seconds", "5"]),
            Ok(json!({ "account": "1", "wait": 3, "wait_seconds": 5 })),
        );
    }

    #[test]
    fn refuses_no_scope_two_scopes_and_other_times() {
        use clap::error::ErrorKind;

        assert_eq!(parse(&[]), Err(ErrorKind::MissingRequiredArgument));
        assert_eq!(parse(&["--role", "a", "--account", "b"]), Err(ErrorKind::ArgumentConflict));
        assert_eq!(parse(&["--session-name", "a"]), Err(ErrorKind::MissingRequiredArgument));
        assert_eq!(parse(&["--account", "1", "--wait=none"]), Err(ErrorKind::ValueValidation));
        assert_eq!(parse(&["--account", "1", "--session-name", "a"]), Err(ErrorKind::ArgumentConflict));
        let yesterday = parse(&["--role", "a", "--issued-before", "yesterday"]);
        assert_eq!(yesterday, Err(ErrorKind::ValueValidation));
    }
}
