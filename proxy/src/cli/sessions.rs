//! `sigward sessions`

use std::io::Write;

use http::Method;
use serde_json::{Value, json};
use sigv4::uri::encode_query;

use super::client::{AdminArgs, Client};
use super::{Failure, table};
use crate::config::Environment;

/// Sessions asked for at once.
const PAGE: usize = 1000;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this session, and the sessions issued to this long-term key
    #[arg(long, value_name = "ID")]
    access_key_id: Option<String>,
    /// Only sessions of the principal with this ARN or unique id
    #[arg(long, value_name = "ARN")]
    principal: Option<String>,
    /// Only sessions of the role with this ARN
    #[arg(long, value_name = "ARN")]
    role: Option<String>,
    /// Only sessions of the account
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    /// Show at most this many
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    limit: usize,
    #[command(flatten)]
    admin: AdminArgs,
}

/// Lists sessions, page by page, until there are no more or the limit is reached.
pub(super) async fn run(args: &Args, environment: &Environment) -> Result<(), Failure> {
    let client = Client::new(&args.admin, environment)?;
    let mut sessions: Vec<Value> = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let limit = args.limit.saturating_sub(sessions.len()).min(PAGE);
        let mut page = client.call(Method::GET, &target(args, limit, after.as_deref()), None).await?;
        if let Value::Array(items) = page["sessions"].take() {
            sessions.extend(items);
        }
        after = page["next"].as_str().map(str::to_owned);
        if after.is_none() || sessions.len() >= args.limit {
            break;
        }
    }
    let mut out = std::io::stdout().lock();
    if args.admin.json {
        writeln!(out, "{}", json!({ "sessions": sessions, "more": after.is_some() }))?;
        return Ok(());
    }
    let header = ["ACCESS KEY ID", "PRINCIPAL", "SESSION", "ISSUED", "EXPIRES", "REVOKED BY"];
    table::write(&mut out, header, &sessions.iter().map(row).collect::<Vec<_>>())?;
    if after.is_some() {
        writeln!(out, "… and more: raise --limit")?;
    }
    Ok(())
}

fn target(args: &Args, limit: usize, after: Option<&str>) -> String {
    let filters = [
        ("access_key_id", args.access_key_id.as_deref()),
        ("principal", args.principal.as_deref()),
        ("role", args.role.as_deref()),
        ("account", args.account.as_deref()),
        ("after", after),
    ];
    let given = filters.into_iter().filter_map(|(name, value)| Some((name, value?)));
    given.fold(format!("/v1/sessions?limit={limit}"), |target, (name, value)| {
        format!("{target}&{name}={}", encode_query(value.as_bytes()))
    })
}

fn row(session: &Value) -> [String; 6] {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    [
        text(&session["access_key_id"]),
        text(&session["principal"]["arn"]),
        text(&session["session_name"]),
        text(&session["issued_at"]),
        text(&session["expires_at"]),
        text(&session["revoked_by"]),
    ]
}
