//! The answers AWS gives to a head whose signature is missing, malformed, too old or wrong.
//!
//! Sources: <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html> and
//! <https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html>; texts that these pages do not
//! give are those the services are seen to send.

use http::{HeaderValue, StatusCode};
use sigv4::{
    Algorithm, AuthorizationFault, CredentialFault, Dialect, Explanation, Mechanism, ParameterFault,
    ParseError, Received, Timestamp, VerifyError,
};

use super::{Fault, internal_error, spelled};

/// The answer to a head that does not hold one well-formed, current signature.
pub fn parse_fault(error: &ParseError, dialect: Dialect) -> Fault {
    match dialect {
        Dialect::S3 => s3_parse(error),
        Dialect::Generic => generic_parse(error),
    }
}

/// The answer to a head that `access_key_id` did not sign.
///
/// In the S3 dialect a mismatch carries canonical request and string to sign, as S3 does;
/// [`without_explanation`] takes them out again.
pub fn verify_fault(error: &VerifyError, dialect: Dialect, access_key_id: &str) -> Fault {
    match error {
        VerifyError::KeyMismatch => internal_error(),
        VerifyError::MissingContentSha256 => {
            invalid_request("Missing required header for this request: x-amz-content-sha256")
        }
        VerifyError::InvalidContentSha256 { value } => {
            invalid_argument(CONTENT_SHA256_WORDS, "x-amz-content-sha256", value)
        }
        VerifyError::AsymmetricChunks => Fault::not_implemented("x-amz-content-sha256"),
        VerifyError::UnprovablePayload { value } => Fault::new(
            StatusCode::BAD_REQUEST,
            "XAmzContentSHA256Mismatch",
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        )
        .with("ClientComputedContentSHA256", value.as_str()),
        VerifyError::UnsignedHeaders { names } => {
            access_denied("There were headers present in the request which were not signed")
                .with("HeadersNotSigned", names.join(", "))
        }
        VerifyError::SignatureMismatch(explanation) => match dialect {
            Dialect::S3 => s3_mismatch(explanation, access_key_id),
            Dialect::Generic => generic_mismatch(GENERIC_MISMATCH),
        },
    }
}

/// The same answer without what tells how the signature was checked.
#[must_use]
pub fn without_explanation(mut fault: Fault) -> Fault {
    const EXPLAINING: [&str; 4] =
        ["StringToSign", "StringToSignBytes", "CanonicalRequest", "CanonicalRequestBytes"];
    fault.elements.retain(|(name, _)| !EXPLAINING.contains(name));
    fault
}

/// The answer of S3 to a request that is signed in more than one way, by header among them if there is one.
pub fn several_mechanisms(authorization: Option<&HeaderValue>) -> Fault {
    let fault = Fault::new(StatusCode::BAD_REQUEST, "InvalidArgument", SEVERAL_MECHANISMS);
    let Some(value) = authorization else { return fault };
    let value = String::from_utf8_lossy(value.as_bytes());
    fault.with("ArgumentName", "Authorization").with("ArgumentValue", value)
}

const CONTENT_SHA256_WORDS: &str = "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, \
    STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, \
    STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD, \
    STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER or a valid sha256 value.";

const SEVERAL_MECHANISMS: &str = "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, \
    Signature query string parameter or the Authorization header should be specified";

const GENERIC_MISMATCH: &str = "The request signature we calculated does not match the signature you provided. \
    Check your AWS Secret Access Key and signing method. Consult the service documentation for details.";

pub(super) const V2_REFUSED: &str =
    "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.";

fn s3_parse(error: &ParseError) -> Fault {
    match error {
        ParseError::Anonymous => access_denied("Access Denied"),
        ParseError::MalformedPath { path, .. } => invalid_uri().with("URI", path.as_str()),
        ParseError::MalformedQuery(_) => invalid_uri(),
        ParseError::SeveralMechanisms { authorization: Some(value) }
        | ParseError::SeveralAuthorizations { authorization: value } => {
            invalid_argument(SEVERAL_MECHANISMS, "Authorization", value)
        }
        ParseError::SeveralMechanisms { authorization: None } => {
            Fault::new(StatusCode::BAD_REQUEST, "InvalidArgument", SEVERAL_MECHANISMS)
        }
        ParseError::ConflictingHosts => invalid_request("The request names more than one host."),
        ParseError::AuthorizationSpace { authorization } => invalid_argument(
            "Authorization header is invalid -- one and only one ' ' (space) required.",
            "Authorization",
            authorization,
        ),
        ParseError::UnsupportedScheme { authorization, .. } => {
            invalid_argument("Unsupported Authorization Type", "Authorization", authorization)
        }
        ParseError::SignatureV2 => invalid_request(V2_REFUSED),
        ParseError::Asymmetric(Mechanism::Header | Mechanism::Form) => {
            Fault::not_implemented("Authorization")
        }
        ParseError::Asymmetric(Mechanism::Query) => {
            query_malformed("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"")
        }
        ParseError::Authorization(fault) => header_malformed(s3_authorization(fault)),
        ParseError::Parameters(fault) => query_malformed(s3_parameter(fault)),
        ParseError::Credential { mechanism, faults } => s3_credential(*mechanism, faults),
        ParseError::HostNotSigned => {
            access_denied("There were headers present in the request which were not signed")
                .with("HeadersNotSigned", "host")
        }
        ParseError::RegionSetNotSigned => {
            access_denied("There were headers present in the request which were not signed")
                .with("HeadersNotSigned", "x-amz-region-set")
        }
        ParseError::Date { .. } => {
            access_denied("AWS authentication requires a valid Date or x-amz-date header")
        }
        ParseError::Skewed { date, now, limit } => Fault::new(
            StatusCode::FORBIDDEN,
            "RequestTimeTooSkewed",
            "The difference between the request time and the server's time is too large.",
        )
        .with("RequestTime", basic(*date))
        .with("ServerTime", now.to_string())
        .with("MaxAllowedSkewMilliseconds", (u64::from(*limit) * 1000).to_string()),
        ParseError::Expired { date, lifetime, now } => {
            outside_window("Request has expired", *date, *lifetime, *now)
        }
        ParseError::NotYetValid { date, lifetime, now, .. } => {
            outside_window("Request is not valid yet", *date, *lifetime, *now)
        }
    }
}

fn outside_window(message: &'static str, date: Timestamp, lifetime: u32, now: Timestamp) -> Fault {
    access_denied(message)
        .with("X-Amz-Expires", lifetime.to_string())
        .with("Expires", date.plus(i64::from(lifetime)).to_string())
        .with("ServerTime", now.to_string())
}

fn s3_authorization(fault: &AuthorizationFault) -> String {
    match fault {
        AuthorizationFault::ComponentCount => {
            "the authorization header requires three components: Credential, \
            SignedHeaders, and Signature."
                .to_owned()
        }
        AuthorizationFault::Component { component, .. } => {
            format!("the authorization component \"{}\" is malformed.", component.as_str())
        }
        AuthorizationFault::Missing { components, .. } => {
            format!("missing {}.", components.first().unwrap_or(&"Credential"))
        }
    }
}

fn s3_parameter(fault: &ParameterFault) -> String {
    match fault {
        ParameterFault::Missing { names } if *names == ["X-Amz-Region-Set"] => {
            "Query-string authentication with AWS4-ECDSA-P256-SHA256 requires the X-Amz-Region-Set parameter."
                .to_owned()
        }
        ParameterFault::Missing { .. } => {
            "Query-string authentication version 4 requires the X-Amz-Algorithm, \
            X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
                .to_owned()
        }
        ParameterFault::Repeated { name } => format!("{name} must be given once"),
        ParameterFault::Algorithm => {
            "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256\"".to_owned()
        }
        ParameterFault::Date { .. } => {
            "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"".to_owned()
        }
        ParameterFault::ExpiresNotANumber => "X-Amz-Expires should be a number".to_owned(),
        ParameterFault::ExpiresNegative => "X-Amz-Expires must be non-negative".to_owned(),
        ParameterFault::ExpiresTooLong => {
            "X-Amz-Expires must be less than a week (in seconds); that is, the given \
            X-Amz-Expires must be less than 604800 seconds"
                .to_owned()
        }
        ParameterFault::SignedHeaders => "X-Amz-SignedHeaders is malformed".to_owned(),
    }
}

/// S3 names the first fault only; `Region` is what SDKs use to ask again in the right one.
fn s3_credential(mechanism: Mechanism, faults: &[CredentialFault]) -> Fault {
    let Some(first) = faults.first() else { return internal_error() };
    let text = credential_text(first);
    let fault = match (mechanism, first) {
        (Mechanism::Query, CredentialFault::DateMismatch { date, request }) => query_malformed(format!(
            "Invalid credential date \"{}\". This date is not the same as X-Amz-Date: \"{}\".",
            date.as_str(),
            request.date()
        )),
        (Mechanism::Query, _) => {
            query_malformed(format!("Error parsing the X-Amz-Credential parameter; {text}"))
        }
        (Mechanism::Header | Mechanism::Form, _) => header_malformed(text),
    };
    if let CredentialFault::Region { expected, .. } = first {
        return fault.with("Region", expected.clone());
    }
    fault
}

/// What S3 says about one fault.
pub(super) fn credential_text(fault: &CredentialFault) -> String {
    match fault {
        CredentialFault::Malformed { algorithm, .. } => {
            let region = match algorithm {
                Algorithm::HmacSha256 => "REGION/",
                Algorithm::EcdsaP256Sha256 => "",
            };
            format!(
                "the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/{region}SERVICE/aws4_request\"."
            )
        }
        CredentialFault::Date { date } => format!(
            "incorrect date format \"{}\". This date in the credential must be in the format \"yyyyMMdd\".",
            date.as_str()
        ),
        CredentialFault::Region { region, expected } => {
            format!("the region '{}' is wrong; expecting '{expected}'", region.as_str())
        }
        CredentialFault::Service { service, expected } => {
            format!("incorrect service \"{}\". This endpoint belongs to \"{expected}\".", service.as_str())
        }
        CredentialFault::Terminator { terminator } => {
            format!("incorrect terminal \"{}\". This endpoint uses \"aws4_request\".", terminator.as_str())
        }
        CredentialFault::DateMismatch { .. } => {
            "Invalid credential date. Date is not the same as X-Amz-Date.".to_owned()
        }
    }
}

fn s3_mismatch(explanation: &Explanation, access_key_id: &str) -> Fault {
    Fault::new(
        StatusCode::FORBIDDEN,
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. \
         Check your key and signing method.",
    )
    .with("AWSAccessKeyId", access_key_id)
    .with("StringToSign", explanation.string_to_sign.clone())
    .with("SignatureProvided", explanation.signature_provided.clone())
    .with("StringToSignBytes", spelled(&explanation.string_to_sign))
    .with("CanonicalRequest", explanation.canonical_request.clone())
    .with("CanonicalRequestBytes", spelled(&explanation.canonical_request))
}

fn generic_parse(error: &ParseError) -> Fault {
    match error {
        ParseError::Anonymous | ParseError::Parameters(ParameterFault::Algorithm) => Fault::new(
            StatusCode::FORBIDDEN,
            "MissingAuthenticationToken",
            "Request is missing Authentication Token",
        ),
        ParseError::MalformedPath { .. } => invalid_uri(),
        ParseError::MalformedQuery(fault) => {
            Fault::new(StatusCode::BAD_REQUEST, "MalformedQueryString", escape_text(*fault))
        }
        ParseError::SeveralMechanisms { .. } => generic_mismatch(""),
        ParseError::SeveralAuthorizations { .. } | ParseError::ConflictingHosts => {
            incomplete_signature("The request is ambiguous: more than one Authorization or host.")
        }
        ParseError::AuthorizationSpace { .. } => unsupported_algorithm(""),
        ParseError::UnsupportedScheme { scheme, .. } => unsupported_algorithm(scheme.as_str()),
        ParseError::SignatureV2 => unsupported_algorithm("AWS"),
        ParseError::Asymmetric(_) => unsupported_algorithm("AWS4-ECDSA-P256-SHA256"),
        ParseError::Authorization(fault) => incomplete_signature(generic_authorization(fault)),
        ParseError::Parameters(fault) => incomplete_signature(generic_parameter(fault)),
        ParseError::Credential { faults, .. } => generic_credential(faults),
        ParseError::HostNotSigned => {
            generic_mismatch("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
        }
        ParseError::RegionSetNotSigned => {
            generic_mismatch("'X-Amz-Region-Set' must be a 'SignedHeader' in the AWS Authorization.")
        }
        ParseError::Date { date } => incomplete_signature(not_iso(date.as_ref())),
        ParseError::Skewed { date, now, limit } if date > now => {
            generic_mismatch(not_yet_current(*date, *now, *limit))
        }
        ParseError::Skewed { date, now, limit } => generic_mismatch(expired(*date, *now, *limit)),
        ParseError::Expired { date, lifetime, now } => generic_mismatch(expired(*date, *now, *lifetime)),
        ParseError::NotYetValid { date, now, limit, .. } => {
            generic_mismatch(not_yet_current(*date, *now, *limit))
        }
    }
}

fn escape_text(fault: sigv4::uri::MalformedEscape) -> String {
    use sigv4::uri::MalformedEscape::{Illegal, Incomplete};
    match fault {
        Incomplete => "Incomplete trailing escape % sequence".to_owned(),
        Illegal(digits) => {
            format!(
                "Illegal hex character in escape % pattern: %{}",
                digits.map(char::from).iter().collect::<String>()
            )
        }
    }
}

fn generic_authorization(fault: &AuthorizationFault) -> String {
    match fault {
        AuthorizationFault::ComponentCount => {
            "Authorization header requires 'Credential' parameter.".to_owned()
        }
        AuthorizationFault::Component { component, authorization } => format!(
            "'{}' not a valid key=value pair (missing equal-sign) in Authorization header: '{}'.",
            component.as_str(),
            authorization.as_str()
        ),
        AuthorizationFault::Missing { components, date } => {
            let mut text: String = components
                .iter()
                .map(|name| format!("Authorization header requires '{name}' parameter. "))
                .collect();
            if *date {
                text +=
                    "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ";
            }
            text + "Authorization=AWS4-HMAC-SHA256"
        }
    }
}

fn generic_parameter(fault: &ParameterFault) -> String {
    match fault {
        ParameterFault::Missing { names } => {
            let missing =
                names.iter().map(|name| format!("AWS query-string parameters must include '{name}'. "));
            missing.collect::<String>() + "Re-examine the query-string parameters."
        }
        ParameterFault::Date { date } => not_iso(Some(date)),
        ParameterFault::Repeated { .. }
        | ParameterFault::Algorithm
        | ParameterFault::ExpiresNotANumber
        | ParameterFault::ExpiresNegative
        | ParameterFault::ExpiresTooLong
        | ParameterFault::SignedHeaders => format!("{fault}. Re-examine the query-string parameters."),
    }
}

fn generic_credential(faults: &[CredentialFault]) -> Fault {
    if let [CredentialFault::Malformed { credential, algorithm }] = faults {
        let elements = match algorithm {
            Algorithm::HmacSha256 => "5 slash-delimited elements, e.g. keyid/date/region/service/term",
            Algorithm::EcdsaP256Sha256 => "4 slash-delimited elements, e.g. keyid/date/service/term",
        };
        let credential = credential.as_str();
        return incomplete_signature(format!("Credential must have exactly {elements}, got '{credential}'"));
    }
    let text = faults.iter().map(|fault| match fault {
        CredentialFault::Malformed { .. } => String::new(),
        CredentialFault::Region { region, .. } => {
            format!("Credential should be scoped to a valid region, not '{}'. ", region.as_str())
        }
        CredentialFault::Service { expected, .. } => {
            format!("Credential should be scoped to correct service: '{expected}'. ")
        }
        CredentialFault::Terminator { terminator } => format!(
            "Credential should be scoped with a valid terminator: 'aws4_request', not '{}'. ",
            terminator.as_str()
        ),
        CredentialFault::Date { date } => {
            format!("Date in Credential scope is not YYYYMMDD: '{}'. ", date.as_str())
        }
        CredentialFault::DateMismatch { date, request } => format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: \
             '{}' != '{}', from '{}'. ",
            date.as_str(),
            request.date(),
            basic(*request)
        ),
    });
    generic_mismatch(text.collect::<String>().trim_end().to_owned())
}

fn expired(date: Timestamp, now: Timestamp, seconds: u32) -> String {
    let earliest = now.plus(-i64::from(seconds));
    format!(
        "Signature expired: {} is now earlier than {} ({} - {} min.)",
        basic(date),
        basic(earliest),
        basic(now),
        seconds / 60
    )
}

fn not_yet_current(date: Timestamp, now: Timestamp, seconds: u32) -> String {
    let latest = now.plus(i64::from(seconds));
    format!(
        "Signature not yet current: {} is still later than {} ({} + {} min.)",
        basic(date),
        basic(latest),
        basic(now),
        seconds / 60
    )
}

fn not_iso(date: Option<&Received>) -> String {
    format!(
        "Date must be in ISO-8601 'basic format'. Got '{}'. See http://en.wikipedia.org/wiki/ISO_8601",
        date.map_or("", Received::as_str)
    )
}

fn basic(time: Timestamp) -> String {
    time.basic().map(char::from).iter().collect()
}

fn access_denied(message: &'static str) -> Fault {
    Fault::new(StatusCode::FORBIDDEN, "AccessDenied", message)
}

fn invalid_request(message: &'static str) -> Fault {
    Fault::new(StatusCode::BAD_REQUEST, "InvalidRequest", message)
}

fn invalid_argument(message: &'static str, name: &str, value: &Received) -> Fault {
    Fault::new(StatusCode::BAD_REQUEST, "InvalidArgument", message)
        .with("ArgumentName", name)
        .with("ArgumentValue", value.as_str())
}

fn invalid_uri() -> Fault {
    Fault::new(StatusCode::BAD_REQUEST, "InvalidURI", "Couldn't parse the specified URI.")
}

fn header_malformed(text: impl AsRef<str>) -> Fault {
    let message = format!("The authorization header is malformed; {}", text.as_ref());
    Fault::new(StatusCode::BAD_REQUEST, "AuthorizationHeaderMalformed", message)
}

fn query_malformed(message: impl Into<String>) -> Fault {
    Fault::new(StatusCode::BAD_REQUEST, "AuthorizationQueryParametersError", message.into())
}

fn incomplete_signature(message: impl Into<String>) -> Fault {
    Fault::new(StatusCode::BAD_REQUEST, "IncompleteSignature", message.into())
}

fn unsupported_algorithm(algorithm: &str) -> Fault {
    incomplete_signature(format!("Unsupported AWS 'algorithm': '{algorithm}'."))
}

fn generic_mismatch(message: impl Into<String>) -> Fault {
    Fault::new(StatusCode::FORBIDDEN, "SignatureDoesNotMatch", message.into())
}

#[cfg(test)]
mod tests;
