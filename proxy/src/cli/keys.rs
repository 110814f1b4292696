//! `sigward keys`

use std::io::Write;

use http::Method;
use serde_json::{Value, json};
use sigv4::uri::encode_query;

use super::client::{AdminArgs, Client};
use super::{Failure, table};
use crate::config::Environment;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Create an access key and print its secret, this once
    Create(Create),
    /// List access keys
    List(List),
    /// Make a key answer as if it did not exist, until it is enabled
    Disable(Named),
    /// Let a disabled key be used again
    Enable(Named),
    /// Delete a key for good
    Delete(Named),
}

/// Whom the new key speaks for: a user of an account, or an ARN.
#[derive(Debug, clap::Args)]
struct Create {
    /// Name of an IAM user
    #[arg(long, value_name = "NAME", requires = "account", required_unless_present = "arn")]
    user: Option<String>,
    /// Account of the user: twelve digits
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    /// ARN of an IAM user or of an account's root
    #[arg(long, value_name = "ARN", conflicts_with_all = ["user", "account"])]
    arn: Option<String>,
    /// Unique id of the principal; derived from its ARN when absent
    #[arg(long, value_name = "ID")]
    user_id: Option<String>,
    #[command(flatten)]
    admin: AdminArgs,
}

#[derive(Debug, clap::Args)]
struct List {
    #[command(flatten)]
    admin: AdminArgs,
}

#[derive(Debug, clap::Args)]
struct Named {
    /// Which key
    #[arg(value_name = "ACCESS_KEY_ID")]
    access_key_id: String,
    #[command(flatten)]
    admin: AdminArgs,
}

/// Does what the subcommand says.
pub(super) async fn run(args: &Args, environment: &Environment) -> Result<(), Failure> {
    match &args.command {
        Command::Create(create) => create.run(environment).await,
        Command::List(list) => list.run(environment).await,
        Command::Disable(key) => key.put_status("Inactive", environment).await,
        Command::Enable(key) => key.put_status("Active", environment).await,
        Command::Delete(key) => key.call(Method::DELETE, "", None, "deleted", environment).await,
    }
}

impl Create {
    async fn run(&self, environment: &Environment) -> Result<(), Failure> {
        let fields = [
            ("user", &self.user),
            ("account", &self.account),
            ("arn", &self.arn),
            ("user_id", &self.user_id),
        ];
        let given =
            fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value.as_ref()?))));
        let client = Client::new(&self.admin, environment)?;
        let answer = client.call(Method::POST, "/v1/access-keys", Some(&given.collect())).await?;
        let mut out = std::io::stdout().lock();
        if self.admin.json {
            writeln!(out, "{answer}")?;
            return Ok(());
        }
        let text = |value: &Value| table::printable(value.as_str().unwrap_or("?"));
        writeln!(out, "principal:         {}", text(&answer["principal"]["arn"]))?;
        writeln!(out, "access key id:     {}", text(&answer["access_key_id"]))?;
        writeln!(out, "secret access key: {}", text(&answer["secret_access_key"]))?;
        writeln!(out, "The secret cannot be shown again.")?;
        Ok(())
    }
}

impl List {
    async fn run(&self, environment: &Environment) -> Result<(), Failure> {
        let answer =
            Client::new(&self.admin, environment)?.call(Method::GET, "/v1/access-keys", None).await?;
        let mut out = std::io::stdout().lock();
        if self.admin.json {
            writeln!(out, "{answer}")?;
            return Ok(());
        }
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let row = |key: &Value| {
            let source = text(&key["source"]);
            [text(&key["access_key_id"]), text(&key["status"]), text(&key["principal"]["arn"]), source]
        };
        let rows: Vec<_> = answer["access_keys"].as_array().into_iter().flatten().map(row).collect();
        table::write(&mut out, ["ACCESS KEY ID", "STATUS", "PRINCIPAL", "SOURCE"], &rows)?;
        Ok(())
    }
}

impl Named {
    async fn put_status(&self, status: &str, environment: &Environment) -> Result<(), Failure> {
        let body = json!({ "status": status });
        self.call(Method::PUT, "/status", Some(&body), &status.to_ascii_lowercase(), environment).await
    }

    async fn call(
        &self,
        method: Method,
        below: &str,
        body: Option<&Value>,
        done: &str,
        environment: &Environment,
    ) -> Result<(), Failure> {
        let id = encode_query(self.access_key_id.as_bytes());
        let target = format!("/v1/access-keys/{id}{below}");
        let answer = Client::new(&self.admin, environment)?.call(method, &target, body).await?;
        let mut out = std::io::stdout().lock();
        if self.admin.json {
            writeln!(out, "{answer}")?;
        } else {
            writeln!(out, "{}: {done}", table::printable(&self.access_key_id))?;
        }
        Ok(())
    }
}
