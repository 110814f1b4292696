//! `sigward explain`: the gateway's verdict on one captured request, and why.
//!
//! The request goes through the gateway's own code, head and body. The only credential known is the one given.
//! Where the signature does not match, variations of the request are tried to find the part that changed on
//! the way; see [`hints`].

mod hints;
mod raw;

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use sigv4::{Dialect, Endpoint, PayloadError, PayloadHead, PayloadVerifier, SecretAccessKey, SignedRequest};
use sigv4::{Explanation, VerifyError};

use self::hints::Hint;
use self::raw::RawRequest;
use super::Failure;
use crate::auth::{self, AuthError};
use crate::clock::{Clock, UnixMillis};
use crate::fault::{Fault, payload};
use crate::iam::{AccessKeyId, Credential, KeyStatus, Principal, Session, SessionKind, SessionTokenHash};
use crate::store::Record;
use crate::sts;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Raw HTTP/1.1 request, body included; standard input when absent or `-`
    #[arg(value_name = "FILE")]
    request: Option<PathBuf>,
    /// The access key id that is known
    #[arg(long, value_name = "ID")]
    access_key_id: String,
    /// File that holds its secret
    #[arg(long, value_name = "FILE")]
    secret_access_key_file: PathBuf,
    /// File that holds its session token, if it is temporary
    #[arg(long, value_name = "FILE")]
    session_token_file: Option<PathBuf>,
    /// When the session ends; never when absent
    #[arg(long, value_name = "RFC3339", requires = "session_token_file", value_parser = time)]
    session_expires: Option<UnixMillis>,
    /// Region the gateway answers for
    #[arg(long, default_value = "us-east-1")]
    region: String,
    /// Service the gateway answers for
    #[arg(long, default_value = "s3")]
    service: String,
    /// Rule set; that of S3 for the service `s3`
    #[arg(long)]
    dialect: Option<DialectName>,
    /// Accept only the standard canonical form
    #[arg(long)]
    strict: bool,
    /// The time to judge at; now when absent
    #[arg(long, value_name = "RFC3339", value_parser = time)]
    now: Option<UnixMillis>,
    /// Answer in one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum DialectName {
    S3,
    Generic,
}

fn time(text: &str) -> Result<UnixMillis, &'static str> {
    UnixMillis::parse_rfc3339(text).ok_or("not a time like 2026-01-02T03:04:05Z")
}

/// Prints the verdict. Exit code 0 if the request is accepted, 1 if it is not.
pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let options = args.options()?;
    let verdict = explain(&args.input()?, &options);
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", verdict.json())?;
    } else {
        write!(out, "{}", verdict.text())?;
    }
    Ok(if verdict.0.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Args {
    fn options(&self) -> Result<Options, Failure> {
        let access_key_id = AccessKeyId::parse(&self.access_key_id)
            .ok_or_else(|| Failure::Usage(format!("{:?} is no access key id", self.access_key_id)))?;
        let secret = SecretAccessKey::new(trimmed(&self.secret_access_key_file)?);
        let session = match &self.session_token_file {
            Some(file) => Some(session(&trimmed(file)?, self.session_expires)),
            None => None,
        };
        let dialect = match self.dialect {
            Some(DialectName::S3) => Dialect::S3,
            Some(DialectName::Generic) => Dialect::Generic,
            None if self.service == "s3" => Dialect::S3,
            None => Dialect::Generic,
        };
        let endpoint = Endpoint {
            dialect,
            service: self.service.as_str().into(),
            strict: self.strict,
            sigv4a: true,
            presigned_lifetime: (self.service == "sts").then_some(sts::PRESIGNED_LIFETIME),
            ..Endpoint::s3(&self.region)
        };
        let record = Record::new(credential(access_key_id, secret, session));
        Ok(Options { record, endpoint, now: self.now.unwrap_or_else(|| Clock::system().now()) })
    }

    fn input(&self) -> Result<Vec<u8>, Failure> {
        let mut input = Vec::new();
        match self.request.as_deref().filter(|file| *file != Path::new("-")) {
            Some(file) => input = read(file)?,
            None => _ = std::io::stdin().lock().read_to_end(&mut input)?,
        }
        Ok(input)
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(file).map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))
}

/// The content of a file without the white space that editors and shells leave at its end; an empty one is refused.
fn trimmed(file: &Path) -> Result<Vec<u8>, Failure> {
    let mut content = read(file)?;
    content.truncate(content.trim_ascii_end().len());
    if content.is_empty() {
        return Err(Failure::Usage(format!("{} is empty", file.display())));
    }
    Ok(content)
}

fn session(token: &[u8], expires_at: Option<UnixMillis>) -> Session {
    let token = SessionTokenHash::of(token);
    Session::new(SessionKind::SessionToken, token, expires_at.unwrap_or(UnixMillis(i64::MAX)))
}

/// Whom the credential speaks for has no part in the verdict.
fn credential(access_key_id: AccessKeyId, secret: SecretAccessKey, session: Option<Session>) -> Credential {
    let account = "000000000000";
    Credential {
        access_key_id,
        secret,
        principal: Principal {
            arn: format!("arn:aws:iam::{account}:root"),
            user_id: account.to_owned(),
            account: account.to_owned(),
        },
        issued_at: UnixMillis(0),
        status: KeyStatus::Active,
        not_after: None,
        declared: false,
        session,
    }
}

/// What the request is judged by.
pub(super) struct Options {
    /// The only credential there is.
    record: Arc<Record>,
    endpoint: Endpoint,
    now: UnixMillis,
}

/// The verdict on a request: nothing to say, or why not.
#[derive(Debug)]
pub(super) struct Verdict(Result<(), Box<Rejection>>);

/// What the client would be answered, and what can be found out about it.
#[derive(Debug)]
struct Rejection {
    fault: Fault,
    /// Canonical request and string to sign, where a signature was compared.
    explanation: Option<Explanation>,
    hints: Vec<Hint>,
}

/// Judges the request in `raw` as the gateway would.
pub(super) fn explain(raw: &[u8], options: &Options) -> Verdict {
    let request = match RawRequest::read(raw) {
        Ok(request) => request,
        Err(error) => {
            let fault = Fault::new(http::StatusCode::BAD_REQUEST, "BadRequest", error.to_string());
            return Verdict(Err(Box::new(Rejection { fault, explanation: None, hints: Vec::new() })));
        }
    };
    Verdict(judge(&request, options).map_err(|refusal| {
        let hints = hints::find(&request, &refusal, options);
        let id = options.record.credential().access_key_id.as_str();
        let (fault, explanation) = match refusal {
            Refusal::Head(error) => (error.fault(options.endpoint.dialect), explanation(error)),
            Refusal::Body(error) => (payload::payload_fault(&error, id), None),
        };
        Box::new(Rejection { fault, explanation, hints })
    }))
}

/// At which step the gateway refuses a request.
#[derive(Debug)]
enum Refusal {
    Head(AuthError),
    Body(PayloadError),
}

/// The gateway's own steps, with the one record in place of the store.
fn judge(request: &RawRequest, options: &Options) -> Result<(), Refusal> {
    let head = request.head();
    let signed = SignedRequest::parse(head, &options.endpoint, options.now.timestamp())
        .map_err(|error| Refusal::Head(error.into()))?;
    let known = signed.access_key_id() == options.record.credential().access_key_id.as_str();
    let record = known.then(|| Arc::clone(&options.record));
    let whole = match options.endpoint.dialect {
        Dialect::S3 => None,
        Dialect::Generic => Some(request.body.as_slice()),
    };
    let authenticated = auth::authenticate_with(signed, record, options.now, whole).map_err(Refusal::Head)?;
    let mode = authenticated.into_payload();
    prove(&head, mode, &request.body).map_err(Refusal::Body)
}

fn prove(head: &sigv4::Head<'_>, mode: sigv4::PayloadMode, body: &[u8]) -> Result<(), PayloadError> {
    let facts = PayloadHead::parse(head, &mode)?;
    let mut verifier = PayloadVerifier::new(mode, facts);
    verifier.push(Bytes::copy_from_slice(body), &mut VecDeque::new())?;
    let _proof = verifier.finish()?;
    Ok(())
}

fn explanation(error: AuthError) -> Option<Explanation> {
    match error {
        AuthError::Verify { source: VerifyError::SignatureMismatch(explanation), .. } => Some(*explanation),
        AuthError::Verify { .. }
        | AuthError::Parse(_)
        | AuthError::UnknownAccessKey(_)
        | AuthError::MissingToken(_)
        | AuthError::InvalidToken
        | AuthError::ExpiredToken
        | AuthError::Elsewhere(_)
        | AuthError::Store(_) => None,
    }
}

/// Elements of an answer that are shown under names of their own, or only repeat these as bytes.
const SHOWN_APART: [&str; 5] =
    ["StringToSign", "StringToSignBytes", "CanonicalRequest", "CanonicalRequestBytes", "SignatureProvided"];

impl Rejection {
    fn element(&self, name: &str) -> Option<&str> {
        self.fault.elements.iter().find(|(found, _)| *found == name).map(|(_, value)| value.as_str())
    }

    fn canonical_request(&self) -> Option<&str> {
        self.explanation
            .as_ref()
            .map(|it| &*it.canonical_request)
            .or_else(|| self.element("CanonicalRequest"))
    }

    fn string_to_sign(&self) -> Option<&str> {
        self.explanation.as_ref().map(|it| &*it.string_to_sign).or_else(|| self.element("StringToSign"))
    }

    fn signature_provided(&self) -> Option<&str> {
        self.explanation
            .as_ref()
            .map(|it| &*it.signature_provided)
            .or_else(|| self.element("SignatureProvided"))
    }

    fn other_elements(&self) -> impl Iterator<Item = (&str, &str)> {
        let elements = self.fault.elements.iter().map(|(name, value)| (*name, value.as_str()));
        elements.filter(|(name, _)| !SHOWN_APART.contains(name))
    }
}

impl Verdict {
    fn json(&self) -> Value {
        let Err(rejection) = &self.0 else { return json!({ "verdict": "ok" }) };
        let mut answer = json!({
            "verdict": "rejected",
            "code": rejection.fault.code,
            "status": rejection.fault.status.as_u16(),
            "message": rejection.fault.message,
        });
        let texts = [
            ("canonical_request", rejection.canonical_request()),
            ("string_to_sign", rejection.string_to_sign()),
            ("signature_provided", rejection.signature_provided()),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                answer[name] = text.into();
            }
        }
        let elements: serde_json::Map<_, _> =
            rejection.other_elements().map(|(name, value)| (name.to_owned(), value.into())).collect();
        if !elements.is_empty() {
            answer["elements"] = elements.into();
        }
        if !rejection.hints.is_empty() {
            let hints = rejection.hints.iter();
            answer["hints"] =
                hints.map(|hint| json!({ "component": hint.component, "text": hint.text })).collect();
        }
        answer
    }

    fn text(&self) -> String {
        let Err(rejection) = &self.0 else { return "ok\n".to_owned() };
        let fault = &rejection.fault;
        let mut text = format!("rejected: {} {}\n{}\n", fault.status.as_u16(), fault.code, fault.message);
        for (name, value) in rejection.other_elements() {
            text += &format!("{name}: {value}\n");
        }
        for hint in &rejection.hints {
            text += &format!("\n{}: {}\n", hint.component, hint.text);
        }
        let parts = [
            ("canonical request", rejection.canonical_request()),
            ("string to sign", rejection.string_to_sign()),
            ("signature provided", rejection.signature_provided()),
        ];
        for (name, part) in parts {
            if let Some(part) = part {
                text += &format!("\n--- {name}\n{part}\n");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests;
