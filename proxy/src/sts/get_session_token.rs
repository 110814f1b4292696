//! `GetSessionToken`: a session for the holder of a long-term key.
//!
//! Source: <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html>

use super::access_denied;
use super::call::Call;
use super::constraints::Constraints;
use super::issue::{Grant, Mint};
use super::parameters::{Parameters, integer};
use super::response::Answer;
use super::second_factor::{SecondFactor, UsedCodes};
use crate::auth::Standing;
use crate::fault::Fault;
use crate::iam::SessionKind;

const DEFAULT_SECONDS: i32 = 43_200;
/// Also of `GetFederationToken`.
pub(super) const SHORTEST_SECONDS: i32 = 900;
pub(super) const LONGEST_SECONDS: i32 = 129_600;
/// Default and maximum for the root user of an account; a longer request is shortened, not refused.
const LONGEST_ROOT_SECONDS: i32 = 3_600;

/// Issues a session that speaks for the same principal as `caller`. No policy is asked: AWS lets every user do so.
pub(super) async fn run(
    mint: &Mint,
    used: &UsedCodes,
    caller: &Standing<'_>,
    call: &Call<'_>,
) -> Result<Answer, Fault> {
    let (duration, second_factor) = read(call.parameters)?;
    let credential = caller.credential();
    if credential.session.is_some() {
        return Err(access_denied("Cannot call GetSessionToken with session credentials"));
    }
    let mfa_authenticated_at = second_factor.prove(caller.identity(), used, call.now)?;
    let seconds = seconds(duration, credential.principal.is_root());
    let grant = Grant {
        mfa_authenticated_at,
        ..Grant::new(SessionKind::SessionToken, &credential.principal, Some(credential), seconds)
    };
    let issued = mint.issue(&grant, call.now).await?;
    Ok(Answer { operation: call.operation, result: vec![issued.credentials()] })
}

fn read<'p>(parameters: &'p Parameters<'_>) -> Result<(Option<i32>, SecondFactor<'p>), Fault> {
    let duration = parameters.get("DurationSeconds").map(integer).transpose()?;
    let mut constraints = Constraints::default();
    if let Some(seconds) = duration {
        constraints.number("durationSeconds", seconds, SHORTEST_SECONDS..=LONGEST_SECONDS);
    }
    let second_factor = SecondFactor::read(parameters, &mut constraints);
    constraints.check()?;
    Ok((duration, second_factor))
}

/// Also for `GetFederationToken`, whose bounds are the same.
pub(super) fn seconds(requested: Option<i32>, root: bool) -> i32 {
    let seconds = requested.unwrap_or(DEFAULT_SECONDS);
    if root { seconds.min(LONGEST_ROOT_SECONDS) } else { seconds }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixMillis;

    fn parse(query: &str) -> Result<Option<i32>, (&'static str, String)> {
        let (parts, ()) = http::Request::get(format!("/?{query}")).body(()).unwrap().into_parts();
        let parameters = Parameters::read(&parts, b"").unwrap();
        let (duration, second_factor) =
            read(&parameters).map_err(|fault| (fault.code, fault.message.into_owned()))?;
        let proved = second_factor.prove(None, &UsedCodes::default(), UnixMillis(0));
        proved.map(|_| duration).map_err(|fault| (fault.code, fault.message.into_owned()))
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
        assert_eq!(seconds(None, true), 3_600);
        assert_eq!(seconds(Some(43_200), true), 3_600);
        assert_eq!(seconds(Some(900), true), 900);
        assert_eq!(seconds(None, false), 43_200);
        assert_eq!(seconds(Some(129_600), false), 129_600);
    }
}
