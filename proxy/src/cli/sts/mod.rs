//! A small client of STS, AWS's or any other: who is asking, where it is, one signed or unsigned request.

mod answer;
mod profile;

use std::path::PathBuf;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderValue};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::Full;
use sigv4::uri::encode_query;
use sigv4::{Dialect, Scope, SecretAccessKey, Signer, SigningKey, Target, hex};
use zeroize::Zeroizing;

use super::Failure;
use super::exchange::{Http, is_confidential};
use super::table::printable;
use crate::clock::{Clock, UnixMillis};
use crate::config::Environment;
use profile::Settings;

pub(super) use answer::Answer;

/// The version of the API.
const VERSION: &str = "2011-06-15";
/// Largest answer that is read.
const MAX_ANSWER_BYTES: usize = 1 << 20;
/// Where AWS answers when nobody says which region.
const DEFAULT_REGION: &str = "us-east-1";

/// Which STS is asked, and with whose credentials.
#[derive(Debug, clap::Args)]
pub(super) struct StsArgs {
    /// Profile of the AWS configuration files; outranks credentials in the environment [env: AWS_PROFILE]
    #[arg(long, value_name = "NAME")]
    pub(super) profile: Option<String>,
    /// Region requests are signed for [env: AWS_REGION] [default: us-east-1]
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// URL of the STS [env: AWS_ENDPOINT_URL_STS, AWS_ENDPOINT_URL] [default: AWS's in that region]
    #[arg(long, value_name = "URL")]
    endpoint_url: Option<String>,
    /// Certificate authorities that sign its certificate, PEM [env: AWS_CA_BUNDLE]
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Let credentials come over plain HTTP from another machine
    #[arg(long)]
    insecure_http: bool,
}

/// The environment as a command sees it: a variable's value by its name.
pub(super) type Variables<'a> = &'a dyn Fn(&str) -> Option<&'a str>;

/// An STS, and who asks it.
pub(super) struct Sts {
    endpoint: Uri,
    region: String,
    ca_file: Option<PathBuf>,
    login: Option<Login>,
    /// Settings of the profile that no variable says: they hold while its credentials are used.
    pub(super) from_profile: Vec<(&'static str, String)>,
}

/// Credentials to sign with.
struct Login {
    access_key_id: String,
    secret: SecretAccessKey,
    session_token: Option<Zeroizing<String>>,
}

/// Why STS did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum StsError {
    /// There was no answer.
    #[error("{endpoint}: {reason}")]
    Unreachable {
        /// Where it was looked for.
        endpoint: Uri,
        /// What went wrong, outermost cause first.
        reason: String,
    },
    /// The answer is an error.
    #[error("{code}: {message}")]
    Refused {
        /// For example `AccessDenied`.
        code: String,
        /// For people.
        message: String,
    },
    /// The answer is none of an STS.
    #[error("{endpoint} answered {status}, and not as an STS does")]
    Foreign {
        /// Who answered.
        endpoint: Uri,
        /// The status of the answer.
        status: StatusCode,
    },
    /// There is nothing to sign with.
    #[error(
        "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a --profile that has \
         aws_access_key_id and aws_secret_access_key"
    )]
    NoCredentials,
    /// The credentials cannot be signed with.
    #[error("the request cannot be signed: {0}")]
    Unsignable(#[from] sigv4::SignError),
}

impl Sts {
    /// Finds endpoint, region and credentials: arguments first, then variables, then the profile.
    pub(super) fn find(
        args: &StsArgs,
        variable: Variables<'_>,
        environment: &Environment,
    ) -> Result<Self, Failure> {
        let named = args.profile.as_deref();
        let profile = named.or_else(|| variable("AWS_PROFILE")).or_else(|| variable("AWS_DEFAULT_PROFILE"));
        let settings = Settings::read(profile, environment)?;
        let environment_login = || {
            let (id, secret) = (variable("AWS_ACCESS_KEY_ID")?, variable("AWS_SECRET_ACCESS_KEY")?);
            let token = variable("AWS_SESSION_TOKEN").or_else(|| variable("AWS_SECURITY_TOKEN"));
            Some(Login::new(id, secret, token))
        };
        let profile_login = || {
            let (id, secret) = (settings.get("aws_access_key_id")?, settings.get("aws_secret_access_key")?);
            Some(Login::new(id, secret, settings.get("aws_session_token")))
        };
        let login = match named {
            Some(_) => profile_login(),
            None => environment_login().or_else(profile_login),
        };
        let mut from_profile = Vec::new();
        let mut setting = |said: Option<&str>, variable: &'static str, name: &str| match said {
            Some(said) => Some(said.to_owned()),
            None => settings
                .get(name)
                .inspect(|value| from_profile.push((variable, (*value).to_owned())))
                .map(Into::into),
        };
        let region = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION"));
        let region = setting(args.region.as_deref().or(region), "AWS_REGION", "region");
        let region = region.unwrap_or_else(|| DEFAULT_REGION.to_owned());
        let endpoint = variable("AWS_ENDPOINT_URL_STS").or_else(|| variable("AWS_ENDPOINT_URL"));
        let endpoint = setting(args.endpoint_url.as_deref().or(endpoint), "AWS_ENDPOINT_URL", "endpoint_url");
        let endpoint = parse_endpoint(&endpoint.unwrap_or_else(|| regional(&region)))?;
        if !is_confidential(&endpoint) && !args.insecure_http {
            let message =
                format!("credentials would come from {endpoint} in the clear; use https or --insecure-http");
            return Err(Failure::Usage(message));
        }
        let ca_file = args.ca_file.clone().or_else(|| variable("AWS_CA_BUNDLE").map(PathBuf::from));
        Ok(Self { endpoint, region, ca_file, login, from_profile })
    }

    /// Where it is.
    pub(super) fn endpoint(&self) -> &Uri {
        &self.endpoint
    }

    /// Whose credentials requests are signed with.
    pub(super) fn access_key_id(&self) -> Result<&str, StsError> {
        self.login.as_ref().map(|login| login.access_key_id.as_str()).ok_or(StsError::NoCredentials)
    }

    /// Calls `action` with `parameters`; `signed` or as somebody who has no credentials.
    pub(super) async fn call(
        &self,
        action: &str,
        parameters: &[(String, Zeroizing<String>)],
        signed: bool,
    ) -> Result<Answer, Failure> {
        let request = self.request(form(action, parameters), signed, Clock::system().now())?;
        let http = Http::new(self.ca_file.as_ref())?;
        let (status, body) = http
            .exchange(request, MAX_ANSWER_BYTES)
            .await
            .map_err(|reason| StsError::Unreachable { endpoint: self.endpoint.clone(), reason })?;
        Ok(self.read(status, &body)?)
    }

    fn request(&self, form: Bytes, signed: bool, now: UnixMillis) -> Result<Request<Full<Bytes>>, StsError> {
        let path = self.endpoint.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::new(Full::from(form.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.endpoint.clone();
        let host = self.endpoint.authority().map_or("", |authority| authority.as_str());
        let host = HeaderValue::from_str(host).expect("an authority is a header value");
        let headers = request.headers_mut();
        headers.insert(HOST, host);
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8"),
        );
        if signed {
            let login = self.login.as_ref().ok_or(StsError::NoCredentials)?;
            let now = now.timestamp();
            let scope = Scope { date: now.date(), region: &self.region, service: "sts" };
            let signer = Signer {
                key: &SigningKey::derive(&login.secret, &scope),
                access_key_id: &login.access_key_id,
                session_token: login.session_token.as_ref().map(|token| token.as_bytes()),
                dialect: Dialect::Generic,
            };
            let target = Target { method: "POST", path: path.as_bytes(), query: None };
            let hash = hex::encode(ring::digest::digest(&ring::digest::SHA256, &form).as_ref());
            signer.sign(target, headers, &hash, now)?;
        }
        Ok(request)
    }

    fn read(&self, status: StatusCode, body: &[u8]) -> Result<Answer, StsError> {
        let foreign = || self.foreign(status);
        let answer =
            str::from_utf8(body).ok().and_then(|text| Answer::parse(text).ok()).ok_or_else(foreign)?;
        if status.is_success() {
            return Ok(answer);
        }
        let (code, message) =
            answer.get("Error/Code").zip(answer.get("Error/Message")).ok_or_else(foreign)?;
        Err(StsError::Refused { code: printable(code), message: printable(message) })
    }

    /// The error for an answer that lacks what it must have.
    pub(super) fn foreign(&self, status: StatusCode) -> StsError {
        StsError::Foreign { endpoint: self.endpoint.clone(), status }
    }
}

impl Login {
    fn new(access_key_id: &str, secret: &str, session_token: Option<&str>) -> Self {
        Self {
            access_key_id: access_key_id.to_owned(),
            secret: SecretAccessKey::new(secret.as_bytes()),
            session_token: session_token.map(|token| Zeroizing::new(token.to_owned())),
        }
    }
}

fn form(action: &str, parameters: &[(String, Zeroizing<String>)]) -> Bytes {
    let mut form = format!("Action={action}&Version={VERSION}");
    for (name, value) in parameters {
        for text in ["&", name, "=", &encode_query(value.as_bytes())] {
            form.push_str(text);
        }
    }
    form.into()
}

/// AWS's endpoint in a region.
fn regional(region: &str) -> String {
    let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
    format!("https://sts.{region}.amazonaws.com{suffix}")
}

fn parse_endpoint(url: &str) -> Result<Uri, Failure> {
    let good = |uri: &Uri| {
        let scheme = uri.scheme_str().is_some_and(|scheme| ["http", "https"].contains(&scheme));
        let authority = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        scheme && authority && uri.query().is_none()
    };
    let fault = || Failure::Usage(format!("{url:?} is not the URL of an STS: http or https, a host, a path"));
    url.parse().ok().filter(good).ok_or_else(fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRETS: [(&str, &str); 3] =
        [("AWS_ACCESS_KEY_ID", "ASIA1"), ("AWS_SECRET_ACCESS_KEY", "canary"), ("AWS_SESSION_TOKEN", "token")];

    fn args() -> StsArgs {
        StsArgs { profile: None, region: None, endpoint_url: None, ca_file: None, insecure_http: false }
    }

    fn find(args: &StsArgs, variables: &[(&str, &str)]) -> Result<Sts, Failure> {
        let environment: Environment = variables.iter().copied().collect();
        Sts::find(args, &|name| environment.get(name), &environment)
    }

    #[test]
    fn finds_awss_own_endpoint_unless_told_otherwise() {
        let endpoint = |variables: &[(&str, &str)]| find(&args(), variables).unwrap().endpoint.to_string();
        assert_eq!(endpoint(&[]), "https://sts.us-east-1.amazonaws.com/");
        assert_eq!(endpoint(&[("AWS_REGION", "eu-north-1")]), "https://sts.eu-north-1.amazonaws.com/");
        assert_eq!(
            endpoint(&[("AWS_DEFAULT_REGION", "cn-north-1")]),
            "https://sts.cn-north-1.amazonaws.com.cn/"
        );
        let both =
            [("AWS_ENDPOINT_URL", "https://all.example"), ("AWS_ENDPOINT_URL_STS", "https://sts.example")];
        assert_eq!(endpoint(&both), "https://sts.example/");
        assert_eq!(endpoint(&both[..1]), "https://all.example/");
        let told = StsArgs { endpoint_url: Some("http://127.0.0.1:1/sts".into()), ..args() };
        assert_eq!(find(&told, &both).unwrap().endpoint, "http://127.0.0.1:1/sts");
    }

    #[test]
    fn credentials_never_come_in_the_clear_unasked() {
        let plain = [("AWS_ENDPOINT_URL", "http://sts.example")];
        assert!(matches!(find(&args(), &plain), Err(Failure::Usage(_))));
        assert!(find(&StsArgs { insecure_http: true, ..args() }, &plain).is_ok());
        for url in ["", "sts.example", "ftp://a", "https://a@b", "https://a/?b", "http://"] {
            let told = StsArgs { endpoint_url: Some(url.into()), ..args() };
            assert!(matches!(find(&told, &[]), Err(Failure::Usage(_))), "{url}");
        }
    }

    #[test]
    fn requests_are_signed_for_sts_or_not_at_all() {
        let now = UnixMillis(1_767_323_045_000);
        let sts = find(&args(), &SECRETS).unwrap();
        let signed = sts.request(form("GetCallerIdentity", &[]), true, now).unwrap();
        let authorization = signed.headers()["authorization"].to_str().unwrap();
        assert!(
            authorization.contains("Credential=ASIA1/20260102/us-east-1/sts/aws4_request"),
            "{authorization}"
        );
        assert_eq!(signed.headers()["x-amz-security-token"], "token");
        let unsigned = sts.request(form("AssumeRoleWithSAML", &[]), false, now).unwrap();
        assert!(!unsigned.headers().contains_key("authorization"));
        let nobody = find(&args(), &SECRETS[..1]).unwrap();
        assert!(matches!(nobody.request(Bytes::new(), true, now), Err(StsError::NoCredentials)));
    }

    #[test]
    fn parameters_are_encoded() {
        let parameters = [("Policy".to_owned(), Zeroizing::new("{\"a\": \"b&c=+é\"}".to_owned()))];
        let form = form("AssumeRole", &parameters);
        let expected =
            "Action=AssumeRole&Version=2011-06-15&Policy=%7B%22a%22%3A%20%22b%26c%3D%2B%C3%A9%22%7D";
        assert_eq!(form, expected);
    }

    #[test]
    fn errors_show_code_and_message_and_strangers_are_told_apart() {
        let sts = find(&args(), &[]).unwrap();
        let refused = sts.read(
            StatusCode::FORBIDDEN,
            b"<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no &amp; no</Message></Error>\
              <RequestId>1</RequestId></ErrorResponse>",
        );
        assert_eq!(refused.err().unwrap().to_string(), "AccessDenied: no & no");
        for body in [&b"<html>"[..], b"{}", b"<a/>", b"\xff"] {
            let error = sts.read(StatusCode::BAD_GATEWAY, body).err().unwrap();
            assert!(matches!(error, StsError::Foreign { .. }));
        }
    }
}
