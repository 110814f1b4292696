//! `sigward sessions`

use std::io::Write;

use http::Method;
use serde_json::{Value, json};
use sigv4::uri::encode_query;

use super::client::{AdminArgs, Client};
use super::{Failure, table};
use crate::config::Environment;

/// Values of `--kind`.
const KINDS: [&str; 5] = ["session_token", "assumed_role", "web_identity", "saml", "federation"];

/// Sessions asked for at once.
const PAGE: usize = 1000;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List sessions that have not expired, as `sessions` alone does
    List(ListArgs),
}

#[derive(Debug, clap::Args)]
struct ListArgs {
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
    /// Only sessions of this name
    #[arg(long, value_name = "NAME")]
    session_name: Option<String>,
    /// Only sessions that the identity provider with this ARN vouched for
    #[arg(long, value_name = "ARN")]
    identity_provider: Option<String>,
    /// Only sessions with this source identity
    #[arg(long, value_name = "NAME")]
    source_identity: Option<String>,
    /// Only sessions from one operation of STS
    #[arg(long, value_parser = KINDS)]
    kind: Option<String>,
    /// Show at most this many
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    limit: usize,
    #[command(flatten)]
    admin: AdminArgs,
}

/// Lists sessions, page by page, until there are no more or the limit is reached.
pub(super) async fn run(args: &Args, environment: &Environment) -> Result<(), Failure> {
    let args = match &args.command {
        Some(Command::List(args)) => args,
        None => &args.list,
    };
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
    let header = [
        "ACCESS KEY ID",
        "KIND",
        "PRINCIPAL",
        "SESSION",
        "SOURCE IDENTITY",
        "CHAINED FROM",
        "ISSUED",
        "EXPIRES",
        "REVOKED BY",
    ];
    table::write(&mut out, header, &sessions.iter().map(row).collect::<Vec<_>>())?;
    if after.is_some() {
        writeln!(out, "… and more: raise --limit")?;
    }
    Ok(())
}

fn target(args: &ListArgs, limit: usize, after: Option<&str>) -> String {
    let filters = [
        ("access_key_id", args.access_key_id.as_deref()),
        ("principal", args.principal.as_deref()),
        ("role", args.role.as_deref()),
        ("account", args.account.as_deref()),
        ("session_name", args.session_name.as_deref()),
        ("identity_provider", args.identity_provider.as_deref()),
        ("source_identity", args.source_identity.as_deref()),
        ("kind", args.kind.as_deref()),
        ("after", after),
    ];
    let given = filters.into_iter().filter_map(|(name, value)| Some((name, value?)));
    given.fold(format!("/v1/sessions?limit={limit}"), |target, (name, value)| {
        format!("{target}&{name}={}", encode_query(value.as_bytes()))
    })
}

fn row(session: &Value) -> [String; 9] {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let chain: Vec<_> = session["chain"].as_array().into_iter().flatten().collect();
    let chain = chain.iter().map(|ancestor| text(&ancestor["access_key_id"])).collect::<Vec<_>>().join(" < ");
    [
        text(&session["access_key_id"]),
        text(&session["kind"]),
        text(&session["principal"]["arn"]),
        text(&session["session_name"]),
        text(&session["source_identity"]),
        if chain.is_empty() { "-".to_owned() } else { chain },
        text(&session["issued_at"]),
        text(&session["expires_at"]),
        text(&session["revoked_by"]),
    ]
}
