//! `sigward assume-role`

mod cache;
mod session;
mod shell;

use std::fs;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use zeroize::Zeroizing;

use super::Failure;
use super::sts::{Sts, StsArgs};
use crate::clock::Clock;
use crate::config::Environment;
use cache::Cache;
use session::Session;
use shell::{Dialect, Shell};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "In a shell: eval \"$(sigward assume-role ARN)\", and back: eval \"$(sigward assume-role \
                        --unset)\".\nIn ~/.aws/config: credential_process = sigward assume-role ARN \
                        --credential-process"
)]
pub(super) struct Args {
    /// ARN of the role
    #[arg(value_name = "ROLE_ARN", required_unless_present = "unset")]
    role_arn: Option<String>,
    #[command(flatten)]
    session: SessionArgs,
    #[command(flatten)]
    proof: ProofArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    sts: StsArgs,
    /// Assume it with the role this shell works as, not with the credentials from before
    #[arg(long)]
    chain: bool,
    /// Ask STS even if an earlier answer is good for a while, and keep none
    #[arg(long)]
    no_cache: bool,
}

/// What the session is to be.
#[derive(Debug, clap::Args)]
struct SessionArgs {
    /// Name of the session [default: $USER, else $LOGNAME, else sigward]
    #[arg(long, value_name = "NAME")]
    role_session_name: Option<String>,
    /// How long it lasts, in seconds [default: as STS has it]
    #[arg(long, value_name = "SECONDS")]
    duration_seconds: Option<u32>,
    /// Session policy, JSON: what the session may do at most
    #[arg(long, value_name = "JSON", conflicts_with = "policy_file")]
    policy: Option<String>,
    /// File with a session policy
    #[arg(long, value_name = "FILE")]
    policy_file: Option<PathBuf>,
    /// ARN of a managed policy as a session policy; may be repeated
    #[arg(long, value_name = "ARN")]
    policy_arn: Vec<String>,
}

/// How the right to assume the role is proved: by credentials, if by nothing else.
#[derive(Debug, clap::Args)]
struct ProofArgs {
    /// The secret an outside party agreed on with the role's owner
    #[arg(long, value_name = "ID", conflicts_with_all = FEDERATED)]
    external_id: Option<String>,
    /// Session tag; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_tag, conflicts_with_all = FEDERATED)]
    tag: Vec<(String, String)>,
    /// Tag that follows into chained sessions; may be repeated
    #[arg(long, value_name = "KEY", conflicts_with_all = FEDERATED)]
    transitive_tag_key: Vec<String>,
    /// Who acts in the end, for every log along the chain
    #[arg(long, value_name = "NAME", conflicts_with_all = FEDERATED)]
    source_identity: Option<String>,
    /// MFA device of the user; its code is asked for
    #[arg(long, value_name = "ARN", conflicts_with_all = FEDERATED)]
    serial_number: Option<String>,
    /// Code of the MFA device
    #[arg(long, value_name = "CODE", requires = "serial_number")]
    token_code: Option<String>,
    /// File with the token of an OpenID Connect provider, in place of credentials
    #[arg(long, value_name = "FILE", conflicts_with = "saml_assertion_file")]
    web_identity_token_file: Option<PathBuf>,
    /// File with the response of a SAML provider, XML or base64, in place of credentials
    #[arg(long, value_name = "FILE", requires = "principal_arn")]
    saml_assertion_file: Option<PathBuf>,
    /// ARN of the SAML provider
    #[arg(long, value_name = "ARN", requires = "saml_assertion_file")]
    principal_arn: Option<String>,
}

const FEDERATED: [&str; 2] = ["web_identity_token_file", "saml_assertion_file"];

/// What is printed.
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
struct OutputArgs {
    /// Lines for this shell to evaluate
    #[arg(long, value_enum, default_value = "posix")]
    shell: Dialect,
    /// JSON, as `aws sts assume-role` prints it
    #[arg(long)]
    json: bool,
    /// JSON, as the SDKs read it from a `credential_process`
    #[arg(long)]
    credential_process: bool,
    /// Lines that bring this shell back to where it was before the first role
    #[arg(long, conflicts_with = "role_arn")]
    unset: bool,
}

fn parse_tag(text: &str) -> Result<(String, String), &'static str> {
    let (key, value) = text.split_once('=').ok_or("not KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Prints the credentials of a role, kept ones or new ones.
pub(super) async fn run(args: &Args, environment: &Environment) -> Result<(), Failure> {
    let shell = Shell::new(environment);
    let Some(role) = args.role_arn.as_deref() else {
        return print(&shell.unset(args.output.shell));
    };
    let variable = |name: &str| if args.chain { environment.get(name) } else { shell.original(name) };
    let sts = Sts::find(&args.sts, &variable, environment)?;
    let session = args.session(role, &sts, environment).await?;
    if args.output.json {
        return print(&Zeroizing::new(format!("{:#}\n", session.json())));
    }
    if args.output.credential_process {
        return print(&Zeroizing::new(format!("{}\n", session.credential_process())));
    }
    if std::io::stdout().is_terminal() {
        writeln!(std::io::stderr(), "# these lines are for a shell: eval \"$(sigward assume-role {role})\"")?;
    }
    print(&shell.assume(args.output.shell, role, &session, &sts.from_profile))
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// An operation of STS and what it is called with.
struct Call {
    action: &'static str,
    parameters: Vec<(String, Zeroizing<String>)>,
    signed: bool,
}

impl Call {
    fn add(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.parameters.push((name.into(), Zeroizing::new(value.into())));
    }
}

impl Args {
    async fn session(&self, role: &str, sts: &Sts, environment: &Environment) -> Result<Session, Failure> {
        let mut call = self.call(role, environment)?;
        let clock = Clock::system();
        let cache = if self.no_cache { None } else { self.cache(&call, sts, environment)? };
        if let Some(session) = cache.as_ref().and_then(|cache| cache.get(clock.now())) {
            return Ok(session);
        }
        self.proof.add_secrets(&mut call)?;
        let answer = sts.call(call.action, &call.parameters, call.signed).await?;
        let session = Session::read(&answer).ok_or_else(|| sts.foreign(StatusCode::OK))?;
        let Some(cache) = cache else { return Ok(session) };
        let (session, kept) = cache.put(session, clock.now());
        if let Err(error) = kept {
            writeln!(std::io::stderr(), "sigward: the session cannot be kept: {error}")?;
        }
        Ok(session)
    }

    /// The call but for what proves the right to it.
    fn call(&self, role: &str, environment: &Environment) -> Result<Call, Failure> {
        let proof = &self.proof;
        let action = match (&proof.web_identity_token_file, &proof.saml_assertion_file) {
            (Some(_), _) => "AssumeRoleWithWebIdentity",
            (None, Some(_)) => "AssumeRoleWithSAML",
            (None, None) => "AssumeRole",
        };
        let mut call = Call { action, parameters: Vec::new(), signed: action == "AssumeRole" };
        call.add("RoleArn", role);
        // A SAML response names the session itself.
        if proof.saml_assertion_file.is_none() {
            let name = self.session.role_session_name.clone();
            call.add("RoleSessionName", name.unwrap_or_else(|| session_name(environment)));
        }
        if let Some(seconds) = self.session.duration_seconds {
            call.add("DurationSeconds", seconds.to_string());
        }
        let policy = match (&self.session.policy, &self.session.policy_file) {
            (Some(policy), _) => Some(policy.clone()),
            (None, Some(file)) => Some(read(file)?.to_string()),
            (None, None) => None,
        };
        let texts = [
            ("Policy", policy.as_ref()),
            ("ExternalId", proof.external_id.as_ref()),
            ("SourceIdentity", proof.source_identity.as_ref()),
            ("SerialNumber", proof.serial_number.as_ref()),
            ("PrincipalArn", proof.principal_arn.as_ref()),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                call.add(name, text);
            }
        }
        for (arn, n) in self.session.policy_arn.iter().zip(1..) {
            call.add(format!("PolicyArns.member.{n}.arn"), arn);
        }
        for ((key, value), n) in proof.tag.iter().zip(1..) {
            call.add(format!("Tags.member.{n}.Key"), key);
            call.add(format!("Tags.member.{n}.Value"), value);
        }
        for (key, n) in proof.transitive_tag_key.iter().zip(1..) {
            call.add(format!("TransitiveTagKeys.member.{n}"), key);
        }
        Ok(call)
    }

    /// Everything but the proof makes a difference, and who is asking: another token in the same file is a new proof of
    /// the same right.
    fn cache(&self, call: &Call, sts: &Sts, environment: &Environment) -> Result<Option<Cache>, Failure> {
        let endpoint = sts.endpoint().to_string();
        let files = [&self.proof.web_identity_token_file, &self.proof.saml_assertion_file];
        let files = files.map(|file| file.as_ref().map(std::path::absolute).transpose());
        let mut asker = Vec::new();
        for file in files {
            asker.extend(file?.map(|path| path.to_string_lossy().into_owned()));
        }
        if call.signed {
            asker.push(sts.access_key_id()?.to_owned());
        }
        let mut question = vec![call.action, &endpoint];
        question.extend(asker.iter().map(String::as_str));
        for (name, value) in &call.parameters {
            question.extend([name, value.as_str()]);
        }
        Ok(Cache::of(&question, environment))
    }
}

impl ProofArgs {
    fn add_secrets(&self, call: &mut Call) -> Result<(), Failure> {
        if let Some(device) = &self.serial_number {
            let code = self.token_code.clone().map_or_else(|| ask_for_code(device), Ok)?;
            call.add("TokenCode", code);
        }
        if let Some(file) = &self.web_identity_token_file {
            call.add("WebIdentityToken", read(file)?.trim());
        }
        if let Some(file) = &self.saml_assertion_file {
            let response = read(file)?;
            let response = response.trim();
            let encoded =
                if response.starts_with('<') { STANDARD.encode(response) } else { response.to_owned() };
            call.add("SAMLAssertion", encoded);
        }
        Ok(())
    }
}

fn read(file: &Path) -> Result<Zeroizing<String>, Failure> {
    let text = fs::read_to_string(file);
    text.map(Zeroizing::new).map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))
}

/// Asks at the terminal itself: standard output is for the shell.
fn ask_for_code(device: &str) -> Result<String, Failure> {
    let terminal = fs::OpenOptions::new().read(true).write(true).open("/dev/tty");
    let mut terminal = terminal.map_err(|_| {
        Failure::Usage(
            "there is no terminal to ask for the code of the MFA device; use --token-code".to_owned(),
        )
    })?;
    write!(terminal, "MFA code of {device}: ")?;
    terminal.flush()?;
    let mut code = String::new();
    BufReader::new(terminal).read_line(&mut code)?;
    Ok(code.trim().to_owned())
}

/// The user's name in the characters that STS allows; `sigward` if there is none.
fn session_name(environment: &Environment) -> String {
    let user = environment.get("USER").or_else(|| environment.get("LOGNAME")).unwrap_or_default();
    let legal = |c: char| if c.is_ascii_alphanumeric() || "_=,.@-".contains(c) { c } else { '-' };
    let name: String = user.chars().map(legal).take(64).collect();
    if name.len() < 2 { "sigward".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use clap::error::ErrorKind;

    use super::*;

    const ROLE: &str = "arn:aws:iam::123456789012:role/reader";

    #[derive(Parser)]
    struct AssumeRole {
        #[command(flatten)]
        args: Args,
    }

    fn parse(arguments: &[&str]) -> Result<Args, ErrorKind> {
        let parsed = AssumeRole::try_parse_from([&["assume-role"], arguments].concat());
        parsed.map(|parsed| parsed.args).map_err(|error| error.kind())
    }

    fn call(arguments: &[&str]) -> (&'static str, bool, String) {
        let args = parse(&[&[ROLE], arguments].concat()).unwrap();
        let environment = [("USER", "al ice")].into_iter().collect();
        let mut call = args.call(ROLE, &environment).unwrap();
        args.proof.add_secrets(&mut call).unwrap();
        let parameters = call.parameters.iter().skip(1).map(|(name, value)| format!("{name}={}", **value));
        (call.action, call.signed, parameters.collect::<Vec<_>>().join("&"))
    }

    #[test]
    fn arguments_become_the_parameters_of_sts() {
        assert_eq!(call(&[]), ("AssumeRole", true, "RoleSessionName=al-ice".to_owned()));
        let all = call(&[
            "--role-session-name=s1",
            "--duration-seconds=900",
            "--policy={}",
            "--external-id=x",
            "--source-identity=alice",
            "--serial-number=arn:mfa",
            "--token-code=123456",
            "--policy-arn=arn:p",
            "--policy-arn=arn:q",
            "--tag=a=b=c",
            "--tag=d=",
            "--transitive-tag-key=a",
        ]);
        let expected = "RoleSessionName=s1&DurationSeconds=900&Policy={}&ExternalId=x&SourceIdentity=alice\
            &SerialNumber=arn:mfa&PolicyArns.member.1.arn=arn:p&PolicyArns.member.2.arn=arn:q\
            &Tags.member.1.Key=a&Tags.member.1.Value=b=c&Tags.member.2.Key=d&Tags.member.2.Value=\
            &TransitiveTagKeys.member.1=a&TokenCode=123456";
        assert_eq!(all, ("AssumeRole", true, expected.to_owned()));
    }

    #[test]
    fn federation_needs_no_credentials() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &str| {
            fs::write(dir.path().join(name), content).unwrap();
            dir.path().join(name).to_str().unwrap().to_owned()
        };
        let (token, xml, base64) =
            (file("token", " a.b.c\n"), file("xml", "<a/>\n"), file("base64", "PGEvPg==\n"));
        let web = call(&["--web-identity-token-file", &token]);
        let expected = "RoleSessionName=al-ice&WebIdentityToken=a.b.c";
        assert_eq!(web, ("AssumeRoleWithWebIdentity", false, expected.to_owned()));
        for assertion in [xml, base64] {
            let saml = call(&["--saml-assertion-file", &assertion, "--principal-arn", "arn:idp"]);
            let expected = "PrincipalArn=arn:idp&SAMLAssertion=PGEvPg==";
            assert_eq!(saml, ("AssumeRoleWithSAML", false, expected.to_owned()));
        }
    }

    #[test]
    fn refuses_what_does_not_go_together() {
        let web = "--web-identity-token-file=t";
        for (arguments, kind) in [
            (&[][..], ErrorKind::MissingRequiredArgument),
            (&[ROLE, "--unset"], ErrorKind::ArgumentConflict),
            (&[ROLE, "--json", "--credential-process"], ErrorKind::ArgumentConflict),
            (&[ROLE, web, "--tag=a=b"], ErrorKind::ArgumentConflict),
            (&[ROLE, web, "--serial-number=d"], ErrorKind::ArgumentConflict),
            (&[ROLE, web, "--saml-assertion-file=s", "--principal-arn=p"], ErrorKind::ArgumentConflict),
            (&[ROLE, "--saml-assertion-file=s"], ErrorKind::MissingRequiredArgument),
            (&[ROLE, "--principal-arn=p"], ErrorKind::MissingRequiredArgument),
            (&[ROLE, "--token-code=1"], ErrorKind::MissingRequiredArgument),
            (&[ROLE, "--tag=a"], ErrorKind::ValueValidation),
        ] {
            assert_eq!(parse(arguments).err(), Some(kind), "{arguments:?}");
        }
        assert!(parse(&["--unset"]).is_ok());
    }

    #[test]
    fn a_session_is_named_after_the_user() {
        let name = |user: &str| session_name(&[("USER", user)].into_iter().collect());
        assert_eq!(name("alice@example.com"), "alice@example.com");
        assert_eq!(name("DOM\\é"), "DOM--");
        assert_eq!(name("x"), "sigward");
        assert_eq!(name(&"a".repeat(65)), "a".repeat(64));
    }
}
