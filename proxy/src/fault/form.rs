//! The answers Amazon S3 gives to form uploads: that the body is no form, that the form is not signed, that it is not
//! what its policy allows.
//!
//! Sources: <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html>; texts that these pages do not give are those
//! the service is seen to send.

use http::StatusCode;
use sigv4::{CredentialFault, FormError, PolicyFault, PostError, Received};

use super::payload::signature_mismatch;
use super::signature::{V2_REFUSED, credential_text};
use super::{Fault, payload};

/// The answer to a body that is not the form it should be.
pub fn form_fault(error: &FormError) -> Fault {
    match error {
        FormError::NotMultipart => Fault::new(
            StatusCode::PRECONDITION_FAILED,
            "PreconditionFailed",
            "At least one of the pre-conditions you specified did not hold",
        )
        .with("Condition", "Bucket POST must be of the enclosure-type multipart/form-data"),
        FormError::MissingBoundary | FormError::MalformedPart | FormError::Truncated => {
            payload::bad_request("MalformedPOSTRequest", MALFORMED)
        }
        // AWS has no such answer: it does not need to know the length of a file before its end.
        FormError::FileNotLast => payload::bad_request(
            "MalformedPOSTRequest",
            "The file of a large upload must be the last field of its form.",
        ),
        FormError::FieldsTooLong => payload::bad_request(
            "MaxPostPreDataLengthExceededError",
            "Your POST request fields preceding the upload file were too large.",
        ),
        FormError::MissingFile => {
            invalid_argument("POST requires exactly one file upload per request.", "file", "0")
        }
        FormError::FileTooSmall { size, min } => payload::bad_request(
            "EntityTooSmall",
            "Your proposed upload is smaller than the minimum allowed size",
        )
        .with("ProposedSize", size.to_string())
        .with("MinSizeAllowed", min.to_string()),
        FormError::FileTooLarge { size, max } => entity_too_large(*size, *max),
    }
}

/// The answer to more bytes than are allowed.
pub fn entity_too_large(proposed_bytes: u64, max_bytes: u64) -> Fault {
    payload::bad_request("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
        .with("ProposedSize", proposed_bytes.to_string())
        .with("MaxSizeAllowed", max_bytes.to_string())
}

/// The answer to a form that `access_key_id` did not sign for this upload.
pub fn post_fault(error: &PostError, access_key_id: &str) -> Fault {
    match error {
        PostError::Anonymous => access_denied("Access Denied".to_owned()),
        PostError::SignatureV2 => payload::invalid_request(V2_REFUSED),
        PostError::MissingField { name } => invalid_argument(
            format!(
                "Bucket POST must contain a field named '{name}'.  If it is specified, please check the order of the fields."
            ),
            *name,
            "",
        ),
        PostError::RepeatedField { name } => invalid_argument(
            format!("Bucket POST must contain exactly one field named '{}'.", name.as_str()),
            name.as_str(),
            "",
        ),
        PostError::Algorithm { value } => {
            invalid_argument("Only AWS4-HMAC-SHA256 is supported", "X-Amz-Algorithm", value.as_str())
        }
        PostError::Date { value } => invalid_argument(
            "X-Amz-Date must be formated via ISO8601 Long format",
            "X-Amz-Date",
            value.as_str(),
        ),
        PostError::Credential { value, faults } => {
            invalid_argument(first_fault(faults), "x-amz-credential", value.as_str())
        }
        PostError::ScopeMismatch => super::internal_error(),
        PostError::SignatureMismatch(explanation) => signature_mismatch(explanation, access_key_id),
        PostError::Policy(fault) => {
            payload::bad_request("InvalidPolicyDocument", format!("Invalid Policy: {}", policy_text(fault)))
        }
        PostError::PolicyExpired => not_according_to_policy("Policy expired."),
        PostError::ConditionFailed { condition } => {
            not_according_to_policy(&format!("Policy Condition failed: {}", condition.as_str()))
        }
        PostError::ExtraField { name } => {
            not_according_to_policy(&format!("Extra input fields: {}", name.as_str()))
        }
        PostError::EmptyKey => invalid_argument("User key must have a length greater than 0.", "key", ""),
        PostError::Form(error) => form_fault(error),
    }
}

const MALFORMED: &str = "The body of your POST request is not well-formed multipart/form-data.";

fn invalid_argument(
    message: impl Into<std::borrow::Cow<'static, str>>,
    name: impl Into<String>,
    value: impl Into<String>,
) -> Fault {
    payload::bad_request("InvalidArgument", message).with("ArgumentName", name).with("ArgumentValue", value)
}

fn access_denied(message: String) -> Fault {
    Fault::new(StatusCode::FORBIDDEN, "AccessDenied", message)
}

fn not_according_to_policy(text: &str) -> Fault {
    access_denied(format!("Invalid according to Policy: {text}"))
}

fn first_fault(faults: &[CredentialFault]) -> String {
    faults.first().map(credential_text).unwrap_or_default()
}

fn policy_text(fault: &PolicyFault) -> String {
    let received = |text: &Received| text.as_str().to_owned();
    match fault {
        PolicyFault::Empty => "Expecting '{' but found End-of-Input".to_owned(),
        PolicyFault::Base64 => "invalid Base64 encoding.".to_owned(),
        PolicyFault::Json => "Invalid JSON.".to_owned(),
        PolicyFault::UnexpectedMember { name } => format!("Unexpected: \"{}\"", received(name)),
        PolicyFault::MissingExpiration => "Policy missing expiration.".to_owned(),
        PolicyFault::Expiration { value } => format!("Invalid 'expiration' value: '{}'", received(value)),
        PolicyFault::MissingConditions => "Policy missing conditions.".to_owned(),
        PolicyFault::ConditionsNotAList => "Invalid 'conditions' value: must be a List.".to_owned(),
        PolicyFault::ConditionType => "Invalid condition test: must be a List or Object.".to_owned(),
        PolicyFault::PropertyCount => {
            "Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.".to_owned()
        }
        PolicyFault::NotAString { condition } => format!("Invalid {condition}: value must be a string."),
        PolicyFault::MissingOperation => "Invalid Condition: missing operation identifier.".to_owned(),
        PolicyFault::UnknownOperation { name } => {
            format!("Invalid Condition: unknown operation '{}'.", received(name))
        }
        PolicyFault::ArgumentCount { operation } => {
            format!("Invalid {operation}: wrong number of arguments.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(fault: &Fault) -> Vec<(&str, &str)> {
        fault.elements.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }

    #[test]
    fn a_body_that_is_no_form_is_answered_in_the_words_of_s3() {
        let condition = "Bucket POST must be of the enclosure-type multipart/form-data";
        for (error, status, code, message, expected) in [
            (
                FormError::NotMultipart,
                412,
                "PreconditionFailed",
                "At least one of the pre-conditions you specified did not hold",
                vec![("Condition", condition)],
            ),
            (FormError::MissingBoundary, 400, "MalformedPOSTRequest", MALFORMED, vec![]),
            (FormError::MalformedPart, 400, "MalformedPOSTRequest", MALFORMED, vec![]),
            (FormError::Truncated, 400, "MalformedPOSTRequest", MALFORMED, vec![]),
            (
                FormError::FileNotLast,
                400,
                "MalformedPOSTRequest",
                "The file of a large upload must be the last field of its form.",
                vec![],
            ),
            (
                FormError::FieldsTooLong,
                400,
                "MaxPostPreDataLengthExceededError",
                "Your POST request fields preceding the upload file were too large.",
                vec![],
            ),
            (
                FormError::MissingFile,
                400,
                "InvalidArgument",
                "POST requires exactly one file upload per request.",
                vec![("ArgumentName", "file"), ("ArgumentValue", "0")],
            ),
            (
                FormError::FileTooSmall { size: 2, min: 100 },
                400,
                "EntityTooSmall",
                "Your proposed upload is smaller than the minimum allowed size",
                vec![("ProposedSize", "2"), ("MinSizeAllowed", "100")],
            ),
            (
                FormError::FileTooLarge { size: 10, max: 5 },
                400,
                "EntityTooLarge",
                "Your proposed upload exceeds the maximum allowed size",
                vec![("ProposedSize", "10"), ("MaxSizeAllowed", "5")],
            ),
        ] {
            for fault in [form_fault(&error), payload::payload_fault(&error.clone().into(), "AKID")] {
                assert_eq!((fault.status.as_u16(), fault.code, &*fault.message), (status, code, message));
                assert_eq!(elements(&fault), expected);
            }
        }
    }

    #[test]
    fn a_form_that_is_not_signed_is_answered_in_the_words_of_s3() {
        let explanation = Box::new(sigv4::ChunkExplanation {
            string_to_sign: "e30=".into(),
            signature_provided: "bad".into(),
        });
        for (error, status, code, message, expected) in [
            (PostError::Anonymous, 403, "AccessDenied", "Access Denied", vec![]),
            (PostError::SignatureV2, 400, "InvalidRequest", V2_REFUSED, vec![]),
            (
                PostError::MissingField { name: "key" },
                400,
                "InvalidArgument",
                "Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the fields.",
                vec![("ArgumentName", "key"), ("ArgumentValue", "")],
            ),
            (
                PostError::EmptyKey,
                400,
                "InvalidArgument",
                "User key must have a length greater than 0.",
                vec![("ArgumentName", "key"), ("ArgumentValue", "")],
            ),
            (
                PostError::SignatureMismatch(explanation),
                403,
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided. Check your key and \
                 signing method.",
                vec![
                    ("AWSAccessKeyId", "AKID"),
                    ("StringToSign", "e30="),
                    ("SignatureProvided", "bad"),
                    ("StringToSignBytes", "65 33 30 3d"),
                ],
            ),
            (
                PostError::PolicyExpired,
                403,
                "AccessDenied",
                "Invalid according to Policy: Policy expired.",
                vec![],
            ),
        ] {
            let fault = post_fault(&error, "AKID");
            assert_eq!((fault.status.as_u16(), fault.code, &*fault.message), (status, code, message));
            assert_eq!(elements(&fault), expected);
        }
    }

    #[test]
    fn what_is_no_policy_is_answered_in_the_words_of_s3() {
        for (fault, text) in [
            (PolicyFault::Empty, "Expecting '{' but found End-of-Input"),
            (PolicyFault::Base64, "invalid Base64 encoding."),
            (PolicyFault::Json, "Invalid JSON."),
            (PolicyFault::MissingExpiration, "Policy missing expiration."),
            (PolicyFault::MissingConditions, "Policy missing conditions."),
            (PolicyFault::ConditionsNotAList, "Invalid 'conditions' value: must be a List."),
            (PolicyFault::ConditionType, "Invalid condition test: must be a List or Object."),
            (
                PolicyFault::PropertyCount,
                "Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.",
            ),
            (
                PolicyFault::NotAString { condition: "Simple-Condition" },
                "Invalid Simple-Condition: value must be a string.",
            ),
            (PolicyFault::MissingOperation, "Invalid Condition: missing operation identifier."),
            (PolicyFault::ArgumentCount { operation: "eq" }, "Invalid eq: wrong number of arguments."),
        ] {
            let fault = post_fault(&fault.into(), "AKID");
            assert_eq!((fault.status.as_u16(), fault.code), (400, "InvalidPolicyDocument"));
            assert_eq!(fault.message, format!("Invalid Policy: {text}"));
        }
    }
}
