//! A small client of the admin listener's API, shared by the commands that talk to a running gateway.

use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::uri::Scheme;
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Collected, Full, Limited};
use hyper::body::Incoming;
use serde_json::Value;

use super::Failure;
use super::exchange::{Http, is_confidential};
use crate::config::Environment;
use crate::telemetry::with_causes;

/// The admin listener unless told otherwise.
const ADMIN_URL: &str = "http://127.0.0.1:9090";
/// The environment variable that names it.
const ADMIN_VARIABLE: &str = "SIGWARD_ADMIN";
/// Largest answer that is read.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// Largest error that is read.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// How a running gateway is reached.
#[derive(Debug, clap::Args)]
pub(super) struct AdminArgs {
    /// URL of the admin listener [env: SIGWARD_ADMIN] [default: http://127.0.0.1:9090]
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
    /// File with the admin listener's bearer token
    #[arg(long, value_name = "FILE")]
    admin_token_file: Option<PathBuf>,
    /// Certificate authorities that sign the admin listener's certificate, PEM
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Print JSON instead of text
    #[arg(long)]
    pub(super) json: bool,
}

/// Why the admin listener did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// There was no answer.
    #[error("{url}: {reason}")]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// What went wrong, outermost cause first.
        reason: String,
    },
    /// The answer is an error.
    #[error("{code}: {message}")]
    Refused {
        /// For example `NotFound`.
        code: String,
        /// For people; names the field at fault, if there is one.
        message: String,
    },
    /// The answer ended before it was complete.
    #[error("the answer of the admin listener broke off: {0}")]
    CutShort(String),
    /// The answer is none of ours.
    #[error("{url} answered {status}, and not as an admin listener does")]
    Foreign {
        /// Who answered.
        url: String,
        /// The status of the answer.
        status: StatusCode,
    },
}

/// Connection to an admin listener.
pub(super) struct Client {
    base: Uri,
    authorization: Option<HeaderValue>,
    http: Http,
}

/// Runs a command that waits for answers.
pub(super) fn block_on<F: Future<Output = Result<(), Failure>>>(command: F) -> Result<(), Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(command)
}

impl Client {
    /// Prepares a client; nothing is sent yet.
    pub(super) fn new(args: &AdminArgs, environment: &Environment) -> Result<Self, Failure> {
        let url = args.admin.as_deref().or(environment.get(ADMIN_VARIABLE)).unwrap_or(ADMIN_URL);
        let base = parse_base(url)?;
        let authorization = match &args.admin_token_file {
            Some(_) if !is_confidential(&base) => {
                let message = format!("the token would travel to {base} in the clear; use https");
                return Err(Failure::Usage(message));
            }
            Some(file) => Some(bearer(file)?),
            None => None,
        };
        Ok(Self { base, authorization, http: Http::new(args.ca_file.as_ref())? })
    }

    /// Sends a request for `target`, a path with an optional query; the JSON of a successful answer.
    pub(super) async fn call(
        &self,
        method: Method,
        target: &str,
        body: Option<&Value>,
    ) -> Result<Value, ClientError> {
        let unreachable = |reason| ClientError::Unreachable { url: self.base.to_string(), reason };
        let request = self.request(method, target, body).map_err(|error| unreachable(with_causes(&error)))?;
        let (status, body) = self.http.exchange(request, MAX_ANSWER_BYTES).await.map_err(unreachable)?;
        self.read(status, &body)
    }

    /// Asks for `target`; the body of a successful answer, which comes as it is made.
    pub(super) async fn open(&self, target: &str) -> Result<Incoming, ClientError> {
        let unreachable = |reason| ClientError::Unreachable { url: self.base.to_string(), reason };
        let request = self.request(Method::GET, target, None);
        let request = request.map_err(|error| unreachable(with_causes(&error)))?;
        let answer = self.http.open(request).await.map_err(unreachable)?;
        let (status, body) = (answer.status(), answer.into_body());
        if status.is_success() {
            return Ok(body);
        }
        let body = Limited::new(body, MAX_ERROR_BYTES).collect().await.map(Collected::to_bytes);
        self.read(status, &body.unwrap_or_default())?;
        Err(ClientError::Foreign { url: self.base.to_string(), status })
    }

    fn request(
        &self,
        method: Method,
        target: &str,
        body: Option<&Value>,
    ) -> Result<Request<Full<Bytes>>, http::Error> {
        let mut uri = self.base.clone().into_parts();
        uri.path_and_query = Some(target.parse()?);
        let mut request = Request::builder().method(method).uri(Uri::from_parts(uri)?);
        request = request.header(ACCEPT, "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        match body {
            Some(json) => {
                request.header(CONTENT_TYPE, "application/json").body(Bytes::from(json.to_string()).into())
            }
            None => request.body(Full::default()),
        }
    }

    fn read(&self, status: StatusCode, body: &[u8]) -> Result<Value, ClientError> {
        let foreign = || ClientError::Foreign { url: self.base.to_string(), status };
        let answer: Value = serde_json::from_slice(body).map_err(|_| foreign())?;
        if status.is_success() {
            return Ok(answer);
        }
        let error = &answer["error"];
        let text = |field: &str| error[field].as_str().map(str::to_owned);
        let (code, message) = text("code").zip(text("message")).ok_or_else(foreign)?;
        let message = text("path").map(|path| format!("{path}: {message}")).unwrap_or(message);
        Err(ClientError::Refused { code, message })
    }
}

fn parse_base(url: &str) -> Result<Uri, Failure> {
    let good = |uri: &Uri| {
        let scheme = [Some(&Scheme::HTTP), Some(&Scheme::HTTPS)].contains(&uri.scheme());
        scheme && uri.authority().is_some() && uri.path() == "/" && uri.query().is_none()
    };
    let fault = || Failure::Usage(format!("{url:?} is not http://host[:port] or https://host[:port]"));
    url.parse().ok().filter(good).ok_or_else(fault)
}

fn bearer(file: &PathBuf) -> Result<HeaderValue, Failure> {
    let token = fs::read(file).map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))?;
    let value = HeaderValue::from_bytes(&[b"Bearer ", token.trim_ascii()].concat());
    let mut value = value.map_err(|_| Failure::Usage(format!("{} holds no bearer token", file.display())))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(admin: &str, admin_token_file: Option<PathBuf>) -> Result<Client, Failure> {
        let args = AdminArgs { admin: Some(admin.into()), admin_token_file, ca_file: None, json: false };
        Client::new(&args, &Environment::default())
    }

    #[test]
    fn a_token_never_travels_in_the_clear() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "canary\n").unwrap();
        for admin in ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost", "https://admin.example"] {
            assert!(client(admin, Some(file.path().into())).is_ok(), "{admin}");
        }
        for admin in ["http://admin.example", "http://10.0.0.1:9090"] {
            let refused = client(admin, Some(file.path().into()));
            assert!(matches!(refused, Err(Failure::Usage(_))), "{admin}");
        }
    }

    #[test]
    fn refuses_what_is_not_an_admin_url() {
        for admin in ["", "127.0.0.1:9090", "ftp://a", "http://a/v1", "http://a/?q"] {
            assert!(matches!(client(admin, None), Err(Failure::Usage(_))), "{admin}");
        }
    }

    #[test]
    fn tells_an_admin_listener_from_anything_else() {
        let client = client("http://127.0.0.1:1", None).unwrap();
        let refused = client.read(
            StatusCode::BAD_REQUEST,
            br#"{"error":{"code":"InvalidRequest","message":"is missing","path":"data"}}"#,
        );
        assert_eq!(refused.unwrap_err().to_string(), "InvalidRequest: data: is missing");
        for body in [&b"<Error/>"[..], b"{}", b"[]"] {
            let error = client.read(StatusCode::NOT_FOUND, body).unwrap_err();
            assert!(matches!(error, ClientError::Foreign { .. }));
        }
        assert_eq!(client.read(StatusCode::OK, b"{}").unwrap(), serde_json::json!({}));
    }
}
