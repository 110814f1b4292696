//! `sigward whoami`

use std::io::Write;

use http::StatusCode;
use serde_json::json;

use super::Failure;
use super::sts::{Sts, StsArgs};
use super::table::printable;
use crate::config::Environment;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    sts: StsArgs,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

/// Says whose the credentials are that are used in this shell.
pub(super) async fn run(args: &Args, environment: &Environment) -> Result<(), Failure> {
    let sts = Sts::find(&args.sts, &|name| environment.get(name), environment)?;
    let answer = sts.call("GetCallerIdentity", &[], true).await?;
    let fields = ["UserId", "Account", "Arn"].map(|name| Some((name, answer.get(name)?)));
    let [Some(user_id), Some(account), Some(arn)] = fields else {
        return Err(sts.foreign(StatusCode::OK).into());
    };
    let mut out = std::io::stdout().lock();
    if args.json {
        let object: serde_json::Map<_, _> =
            [user_id, account, arn].into_iter().map(|(name, text)| (name.to_owned(), json!(text))).collect();
        writeln!(out, "{}", serde_json::Value::Object(object))?;
        return Ok(());
    }
    for (name, (_, text)) in [("arn", arn), ("account", account), ("user id", user_id)] {
        writeln!(out, "{:9} {}", format!("{name}:"), printable(text))?;
    }
    Ok(())
}
