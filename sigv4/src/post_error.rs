//! Why a form upload is refused. No codes, no statuses: how a service words it is the caller's business.

use crate::error::{CredentialFault, Received};
use crate::payload_error::ChunkExplanation;

/// What is wrong with a body as a form, whoever sent it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// The body is not `multipart/form-data`.
    #[error("not multipart/form-data")]
    NotMultipart,
    /// `Content-Type` gives no boundary, or none that can be one.
    #[error("no boundary")]
    MissingBoundary,
    /// A part without a name, or one that can be read in two ways.
    #[error("malformed part")]
    MalformedPart,
    /// The body ended inside a part.
    #[error("the body ended inside a part")]
    Truncated,
    /// More than 20 KiB before the data of the file, or behind it.
    #[error("too much around the file")]
    FieldsTooLong,
    /// The form has no field called `file`.
    #[error("no file")]
    MissingFile,
    /// The file is not as long as its body let expect, since other fields follow it.
    #[error("the file is not the last field")]
    FileNotLast,
    /// The policy wants a larger file.
    #[error("a file of {size} bytes where {min} are the least")]
    FileTooSmall {
        /// Bytes of the file.
        size: u64,
        /// Fewest bytes allowed.
        min: u64,
    },
    /// The policy wants a smaller file.
    #[error("a file of {size} bytes where {max} are the most")]
    FileTooLarge {
        /// Bytes of the file as announced; one more than are allowed where nothing is.
        size: u64,
        /// Most bytes allowed.
        max: u64,
    },
}

/// Why a form is not one that the credential it names has signed for this upload, now.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// The form holds none of the fields of a signature.
    #[error("form is not signed")]
    Anonymous,
    /// Signature Version 2.
    #[error("Signature Version 2 is not supported")]
    SignatureV2,
    /// A mandatory field is missing, or stands behind the file.
    #[error("field {name} is missing")]
    MissingField {
        /// Its name.
        name: &'static str,
    },
    /// A field comes twice: no telling which one was meant.
    #[error("a field comes more than once")]
    RepeatedField {
        /// Its name.
        name: Received,
    },
    /// `x-amz-algorithm` names an algorithm that is not on offer.
    #[error("unsupported x-amz-algorithm")]
    Algorithm {
        /// What it is.
        value: Received,
    },
    /// `x-amz-date` is not a date.
    #[error("x-amz-date is not a date")]
    Date {
        /// What it is.
        value: Received,
    },
    /// The credential is malformed or scoped to something else. At least one fault, in order of checking.
    #[error("credential: {}", .faults.first().map_or_else(String::new, ToString::to_string))]
    Credential {
        /// The credential.
        value: Received,
        /// What is wrong.
        faults: Vec<CredentialFault>,
    },
    /// The caller brought a key that was derived for another scope. A fault of the program.
    #[error("signing key is of another scope")]
    ScopeMismatch,
    /// The signature is not the one that the key makes of this policy.
    #[error("signature does not match")]
    SignatureMismatch(Box<ChunkExplanation>),
    /// The policy is none.
    #[error("policy: {0}")]
    Policy(#[from] PolicyFault),
    /// The policy is no longer valid.
    #[error("policy has expired")]
    PolicyExpired,
    /// The form is not as the policy wants it.
    #[error("a condition of the policy does not hold")]
    ConditionFailed {
        /// The condition, as a JSON list.
        condition: Received,
    },
    /// A field, or the bucket, that no condition of the policy mentions.
    #[error("a field is not mentioned in the policy")]
    ExtraField {
        /// Its name.
        name: Received,
    },
    /// The key of the object is empty.
    #[error("the key is empty")]
    EmptyKey,
    /// With the name of its file put in, the form is too long.
    #[error(transparent)]
    Form(#[from] FormError),
}

/// Why a policy document cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyFault {
    /// Nothing but white space.
    #[error("empty")]
    Empty,
    /// Not base64.
    #[error("not base64")]
    Base64,
    /// Not a JSON object, or one with a member twice, or with a number that no size can be.
    #[error("not JSON")]
    Json,
    /// A member beside `expiration` and `conditions`.
    #[error("unexpected member")]
    UnexpectedMember {
        /// Its name.
        name: Received,
    },
    /// No `expiration`.
    #[error("no expiration")]
    MissingExpiration,
    /// `expiration` is not a time in UTC.
    #[error("expiration is not a time")]
    Expiration {
        /// What it is.
        value: Received,
    },
    /// No `conditions`.
    #[error("no conditions")]
    MissingConditions,
    /// `conditions` is not a list.
    #[error("conditions are not a list")]
    ConditionsNotAList,
    /// A condition that is neither a list nor an object.
    #[error("a condition is neither a list nor an object")]
    ConditionType,
    /// A condition that is an object without exactly one member.
    #[error("a condition has not exactly one property")]
    PropertyCount,
    /// A condition whose value is not a string.
    #[error("the value of a condition is not a string")]
    NotAString {
        /// `Simple-Condition` for an object, else the operation.
        condition: &'static str,
    },
    /// A condition that is a list does not begin with a string.
    #[error("a condition names no operation")]
    MissingOperation,
    /// A condition of an operation that does not exist.
    #[error("a condition names an unknown operation")]
    UnknownOperation {
        /// What it is.
        name: Received,
    },
    /// A condition that is a list of not three elements.
    #[error("wrong number of arguments to {operation}")]
    ArgumentCount {
        /// The operation.
        operation: &'static str,
    },
}
