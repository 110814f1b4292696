//! `sigward keys`

use std::io::{Read, Write};
use std::path::PathBuf;

use http::Method;
use serde_json::{Value, json};
use sigv4::SecretAccessKey;
use sigv4::uri::encode_query;
use zeroize::Zeroizing;

use super::client::{AdminArgs, Client};
use super::{Failure, table};
use crate::config::Environment;
use crate::events::{Keyring, seal_secret};
use crate::iam::AccessKeyId;

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
    /// Seal a secret, read from standard input, for a document of [[key_sources]]; no gateway is asked
    Seal(Seal),
}

/// Whom the new key speaks for: a user of an account, or an ARN.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "sigward keys create [OPTIONS] <--user <NAME> --account <ID>|--arn <ARN>>",
    group = clap::ArgGroup::new("principal").args(["user", "arn"]).required(true)
)]
struct Create {
    /// Name of an IAM user
    #[arg(long, value_name = "NAME", requires = "account")]
    user: Option<String>,
    /// Account of the user: twelve digits
    #[arg(long, value_name = "ID", requires = "user")]
    account: Option<String>,
    /// ARN of an IAM user or of an account's root
    #[arg(long, value_name = "ARN", conflicts_with = "account")]
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

#[derive(Debug, clap::Args)]
struct Seal {
    /// Whose secret it is; it is good for no other
    #[arg(value_name = "ACCESS_KEY_ID", value_parser = access_key_id)]
    access_key_id: AccessKeyId,
    /// A sealing key of the gateways: one of store.sealing_key_files
    #[arg(long, value_name = "FILE")]
    sealing_key_file: PathBuf,
}

fn access_key_id(text: &str) -> Result<AccessKeyId, String> {
    AccessKeyId::try_from(text.to_owned()).map_err(str::to_owned)
}

/// Does what the subcommand says.
pub(super) async fn run(args: &Args, environment: &Environment) -> Result<(), Failure> {
    match &args.command {
        Command::Create(create) => create.run(environment).await,
        Command::List(list) => list.run(environment).await,
        Command::Disable(key) => key.change(Change::Disable, environment).await,
        Command::Enable(key) => key.change(Change::Enable, environment).await,
        Command::Delete(key) => key.change(Change::Delete, environment).await,
        Command::Seal(seal) => seal.run(),
    }
}

impl Seal {
    /// A line feed at the end is not part of the secret: editors and `echo` leave one there.
    fn run(&self) -> Result<(), Failure> {
        let keyring = Keyring::load(std::slice::from_ref(&self.sealing_key_file))
            .map_err(|error| Failure::Seal(error.to_string()))?;
        let mut secret = Zeroizing::new(Vec::with_capacity(64 << 10));
        std::io::stdin().lock().take(secret.capacity() as u64).read_to_end(&mut secret)?;
        let secret = secret.trim_ascii_end();
        if secret.is_empty() {
            return Err(Failure::Seal("standard input holds no secret".to_owned()));
        }
        let sealed = seal_secret(&self.access_key_id, &SecretAccessKey::new(secret), &keyring)
            .map_err(|error| Failure::Seal(error.to_string()))?;
        writeln!(std::io::stdout(), "{sealed}")?;
        Ok(())
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
            [text(&key["access_key_id"]), standing(key), text(&key["principal"]["arn"]), source]
        };
        let rows: Vec<_> = answer["access_keys"].as_array().into_iter().flatten().map(row).collect();
        table::write(&mut out, ["ACCESS KEY ID", "STATUS", "PRINCIPAL", "SOURCE"], &rows)?;
        Ok(())
    }
}

/// The status of a listed key, and whether it is refused all the same.
fn standing(key: &Value) -> String {
    let status = key["status"].as_str().unwrap_or("-");
    if key["revoked_by"].is_string() { format!("{status}, revoked") } else { status.to_owned() }
}

/// What becomes of a key.
#[derive(Clone, Copy)]
enum Change {
    Disable,
    Enable,
    Delete,
}

impl Named {
    async fn change(&self, change: Change, environment: &Environment) -> Result<(), Failure> {
        let key = format!("/v1/access-keys/{}", encode_query(self.access_key_id.as_bytes()));
        let status = |status: &str| (Method::PUT, format!("{key}/status"), Some(json!({ "status": status })));
        let (method, target, body) = match change {
            Change::Disable => status("Inactive"),
            Change::Enable => status("Active"),
            Change::Delete => (Method::DELETE, key, None),
        };
        let answer = Client::new(&self.admin, environment)?.call(method, &target, body.as_ref()).await?;
        let done = match change {
            Change::Disable => "disabled",
            Change::Enable => "enabled",
            Change::Delete => "deleted",
        };
        let mut out = std::io::stdout().lock();
        if self.admin.json {
            writeln!(out, "{answer}")?;
        } else {
            writeln!(out, "{}: {done}", table::printable(&self.access_key_id))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Keys {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn a_key_is_created_for_a_user_of_an_account_or_for_an_arn() {
        let refused = |arguments: &[&str]| {
            let parsed = Keys::try_parse_from([&["keys", "create"], arguments].concat());
            parsed.err().map(|error| error.to_string())
        };
        assert_eq!(refused(&["--user=alice", "--account=1"]), None);
        assert_eq!(refused(&["--arn=arn:a"]), None);
        let nobody = refused(&[]).unwrap();
        assert!(nobody.contains("  <--user <NAME>|--arn <ARN>>"), "{nobody}");
        assert!(nobody.contains("<--user <NAME> --account <ID>|--arn <ARN>>"), "{nobody}");
        for halves in [&["--user=alice"][..], &["--account=1"], &["--arn=a", "--user=b", "--account=1"]] {
            assert!(refused(halves).is_some(), "{halves:?}");
        }
        assert!(refused(&["--arn=a", "--account=1"]).is_some());
    }

    #[test]
    fn a_revoked_key_is_listed_as_revoked() {
        let mut key = json!({ "status": "Active" });
        assert_eq!(standing(&key), "Active");
        key["revoked_by"] = json!("access_key_id");
        assert_eq!(standing(&key), "Active, revoked");
    }
}
