//! `sigward revoke`

use std::io::Write;

use http::Method;
use serde_json::{Value, json};

use super::Failure;
use super::client::{AdminArgs, Client};
use super::table::printable;
use crate::clock::UnixMillis;
use crate::config::Environment;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    scope: Scope,
    /// Revoke sessions issued before this time: RFC 3339 in UTC, or `now`
    #[arg(long, value_name = "TIME", default_value = "now", value_parser = parse_time)]
    issued_before: IssuedBefore,
    /// Why, for the log
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    admin: AdminArgs,
}

/// Which sessions are reached.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Scope {
    /// One credential, long-term or temporary, and the sessions issued to it
    #[arg(long, value_name = "ID")]
    access_key_id: Option<String>,
    /// Every session of the principal with this ARN or unique id
    #[arg(long, value_name = "ARN")]
    principal: Option<String>,
    /// Every session of the role with this ARN
    #[arg(long, value_name = "ARN")]
    role: Option<String>,
    /// Every session of the account
    #[arg(long, value_name = "ID")]
    account: Option<String>,
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
        return Ok(());
    }
    let text = |field: &str| printable(answer[field].as_str().unwrap_or("?"));
    let number = |field: &str| answer[field].as_u64().unwrap_or_default();
    writeln!(out, "revoked: sessions issued before {}", text("issued_before"))?;
    writeln!(out, "live sessions reached: {}", number("sessions"))?;
    writeln!(out, "log position: {}", number("seq"))?;
    Ok(())
}

fn request(args: &Args) -> Value {
    let scope = &args.scope;
    let fields = [
        ("access_key_id", scope.access_key_id.clone()),
        ("principal", scope.principal.clone()),
        ("role", scope.role.clone()),
        ("account", scope.account.clone()),
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
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value?)))).collect()
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
    }

    #[test]
    fn refuses_no_scope_two_scopes_and_other_times() {
        use clap::error::ErrorKind;

        assert_eq!(parse(&[]), Err(ErrorKind::MissingRequiredArgument));
        assert_eq!(parse(&["--role", "a", "--account", "b"]), Err(ErrorKind::ArgumentConflict));
        let yesterday = parse(&["--role", "a", "--issued-before", "yesterday"]);
        assert_eq!(yesterday, Err(ErrorKind::ValueValidation));
    }
}
