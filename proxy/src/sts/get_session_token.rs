//! `GetSessionToken`: a session for the holder of a long-term key.
//!
//! Source: <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html>

use http::StatusCode;

use super::constraints::{Constraints, Pattern};
use super::issue::{Grant, Issued, Mint};
use super::parameters::Parameters;
use super::response::{Answer, Value};
use super::{Operation, access_denied};
use crate::clock::UnixMillis;
use crate::fault::Fault;
use crate::iam::{Credential, SessionKind};

const DEFAULT_SECONDS: i32 = 43_200;
const SHORTEST_SECONDS: i32 = 900;
const LONGEST_SECONDS: i32 = 129_600;
/// Default and maximum for the root user of an account; a longer request is shortened, not refused.
const LONGEST_ROOT_SECONDS: i32 = 3_600;

const SERIAL_NUMBER: Pattern = Pattern {
    expression: "[\\w+=/:,.@-]*",
    legal: |b| b.is_ascii_alphanumeric() || b"_+=/:,.@-".contains(&b),
};
const TOKEN_CODE: Pattern = Pattern { expression: "[\\d]*", legal: |b| b.is_ascii_digit() };

/// Issues a session that speaks for the same principal as `caller`.
pub(super) async fn run(
    mint: &Mint,
    caller: &Credential,
    parameters: &Parameters<'_>,
    now: UnixMillis,
) -> Result<Answer, Fault> {
    let request = Request::parse(parameters)?;
    if caller.session.is_some() {
        return Err(access_denied("Cannot call GetSessionToken with session credentials"));
    }
    request.refuse_second_factor()?;
    let seconds = seconds(request.duration, is_root(&caller.principal.arn));
    let grant = Grant::new(SessionKind::SessionToken, &caller.principal, Some(caller), seconds);
    Ok(answer(mint.issue(&grant, now).await?))
}

struct Request<'a> {
    duration: Option<i32>,
    serial_number: Option<&'a str>,
    token_code: Option<&'a str>,
}

impl<'a> Request<'a> {
    fn parse(parameters: &'a Parameters<'_>) -> Result<Self, Fault> {
        let duration = parameters.get("DurationSeconds").map(integer).transpose()?;
        let (serial_number, token_code) = (parameters.get("SerialNumber"), parameters.get("TokenCode"));
        let mut constraints = Constraints::default();
        if let Some(seconds) = duration {
            constraints.number("durationSeconds", seconds, SHORTEST_SECONDS..=LONGEST_SECONDS);
        }
        if let Some(serial_number) = serial_number {
            constraints.text("serialNumber", serial_number, 9..=256, &SERIAL_NUMBER);
        }
        if let Some(token_code) = token_code {
            constraints.text("tokenCode", token_code, 6..=6, &TOKEN_CODE);
        }
        constraints.check()?;
        Ok(Self { duration, serial_number, token_code })
    }

    /// No principal has an MFA device here, so whatever is presented is answered as AWS answers an unknown device.
    /// A session that was asked for with a second factor must never be issued without one.
    fn refuse_second_factor(&self) -> Result<(), Fault> {
        match (self.serial_number, self.token_code) {
            (None, None) => Ok(()),
            (Some(_), Some(_)) => Err(access_denied(
                "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial \
                 number is valid and associated with this user.",
            )),
            (Some(_), None) | (None, Some(_)) => Err(access_denied(
                "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code.",
            )),
        }
    }
}

fn integer(text: &str) -> Result<i32, Fault> {
    text.parse().map_err(|_| {
        Fault::new(StatusCode::BAD_REQUEST, "MalformedInput", "DurationSeconds must be a 32-bit integer")
    })
}

fn seconds(requested: Option<i32>, root: bool) -> i32 {
    let seconds = requested.unwrap_or(DEFAULT_SECONDS);
    if root { seconds.min(LONGEST_ROOT_SECONDS) } else { seconds }
}

/// Whether an ARN is `arn:partition:iam::account:root`.
fn is_root(arn: &str) -> bool {
    arn.splitn(6, ':').nth(5) == Some("root")
}

fn answer(issued: Issued) -> Answer {
    let credentials = vec![
        ("AccessKeyId", Value::Text(issued.access_key_id.as_str().to_owned())),
        ("SecretAccessKey", Value::Secret(issued.secret_access_key)),
        ("SessionToken", Value::Secret(issued.session_token)),
        ("Expiration", Value::Time(issued.expires_at)),
    ];
    Answer {
        operation: Operation::GetSessionToken,
        result: vec![("Credentials", Value::Structure(credentials))],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<Option<i32>, (&'static str, String)> {
        let (parts, ()) = http::Request::get(format!("/?{query}")).body(()).unwrap().into_parts();
        let parameters = Parameters::read(&parts, b"").unwrap();
        let request = Request::parse(&parameters);
        request
            .and_then(|request| request.refuse_second_factor().map(|()| request.duration))
            .map_err(|fault| (fault.code, fault.message.into_owned()))
    }

    #[test]
    fn durations_within_the_limits_pass() {
        for (query, duration) in [
            ("", None),
            ("DurationSeconds=900", Some(900)),
            ("DurationSeconds=129600", Some(129_600)),
            ("DurationSeconds=%2B3600", Some(3_600)),
        ] {
            assert_eq!(parse(query), Ok(duration), "{query}");
        }
    }

    #[test]
    fn durations_beyond_the_limits_are_refused() {
        for (query, bound) in [
            ("DurationSeconds=899", "greater than or equal to 900"),
            ("DurationSeconds=-1", "greater than or equal to 900"),
            ("DurationSeconds=129601", "less than or equal to 129600"),
        ] {
            let (code, message) = parse(query).unwrap_err();
            assert_eq!(code, "ValidationError");
            assert!(message.ends_with(&format!("Member must have value {bound}")), "{message}");
        }
    }

    #[test]
    fn what_is_no_integer_is_malformed() {
        for text in ["", "1e3", "900.0", "abc", "99999999999", "%20900"] {
            let (code, _) = parse(&format!("DurationSeconds={text}")).unwrap_err();
            assert_eq!(code, "MalformedInput", "{text}");
        }
    }

    #[test]
    fn a_second_factor_is_never_silently_accepted() {
        let serial = "SerialNumber=arn:aws:iam::123456789012:mfa/alice";
        for (query, text) in [
            (serial.to_owned(), "must provide both MFA serial number and one time pass code."),
            ("TokenCode=123456".to_owned(), "must provide both MFA serial number and one time pass code."),
            (
                format!("{serial}&TokenCode=123456"),
                "unable to validate MFA code.  Please verify your MFA serial number is valid and associated with \
                 this user.",
            ),
        ] {
            let message = format!("MultiFactorAuthentication failed, {text}");
            assert_eq!(parse(&query), Err(("AccessDenied", message)), "{query}");
        }
    }

    #[test]
    fn every_violation_of_a_request_is_told() {
        let (code, message) = parse("DurationSeconds=1&SerialNumber=%20&TokenCode=abc").unwrap_err();
        assert_eq!(code, "ValidationError");
        assert!(message.starts_with("5 validation errors detected: "), "{message}");
    }

    #[test]
    fn root_gets_an_hour_at_most() {
        assert!(is_root("arn:aws:iam::123456789012:root"));
        for arn in ["arn:aws:iam::123456789012:user/root", "arn:aws:iam::123456789012:user/a:root", "root"] {
            assert!(!is_root(arn), "{arn}");
        }
        assert_eq!(seconds(None, true), 3_600);
        assert_eq!(seconds(Some(43_200), true), 3_600);
        assert_eq!(seconds(Some(900), true), 900);
        assert_eq!(seconds(None, false), 43_200);
        assert_eq!(seconds(Some(129_600), false), 129_600);
    }
}
