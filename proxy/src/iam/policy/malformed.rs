//! Why a document is no policy, and where.

use std::fmt;

/// `MalformedPolicyDocument`: what is wrong, in AWS's words where AWS has some, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Malformed {
    place: String,
    problem: Problem,
}

impl Malformed {
    pub(super) fn new(place: &Place<'_>, problem: Problem) -> Self {
        Self { place: place.to_string(), problem }
    }

    /// Where, as a path such as `Statement[1].Condition.StringEquals`; empty for the document as a whole.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// What AWS answers as the text of `MalformedPolicyDocument`.
    pub fn message(&self) -> String {
        self.problem.to_string()
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        fmt::Display::fmt(&self.problem, f)
    }
}

/// Each way to be no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Problem {
    #[error("This policy contains invalid Json: {0}")]
    Json(String),
    #[error("Syntax errors in policy: {0}")]
    Syntax(String),
    #[error("Unknown field {0}")]
    Unknown(String),
    #[error("Missing required field {0}")]
    Missing(&'static str),
    #[error("Has prohibited field {0}")]
    Prohibited(String),
    #[error("The fields {0} and {1} exclude each other")]
    Both(&'static str, &'static str),
    #[error("The policy version {0:?} is neither \"2012-10-17\" nor \"2008-10-17\"")]
    Version(String),
    #[error("The effect {0:?} is neither \"Allow\" nor \"Deny\"")]
    Effect(String),
    #[error(
        "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*"
    )]
    Sid,
    #[error("Statement IDs (SID) in a single policy must be unique.")]
    RepeatedSid,
    #[error("Policy statement must contain actions.")]
    NoActions,
    #[error("Policy statement must contain resources.")]
    NoResources,
    #[error("Policy document should not specify a principal.")]
    Principal,
    #[error("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")]
    Vendor,
    #[error("Vendor {0} is not valid")]
    ActionVendor(String),
    #[error("AssumeRole policy may only specify STS AssumeRole actions.")]
    NotOfSts,
    #[error("Resource {0} must be in ARN format or \"*\".")]
    NoArn(String),
    #[error("Partition {0:?} is not valid for resource {1:?}.")]
    Partition(String, String),
    #[error("Resource vendor must be fully qualified and cannot contain regexes.")]
    ResourceVendor,
    #[error("Resource {0} has a policy variable before its fifth colon.")]
    VariablePlace(String),
    #[error("Invalid principal in policy: {0}")]
    InvalidPrincipal(String),
    #[error("NotPrincipal with the effect Allow is not supported")]
    NotPrincipalAllows,
    #[error("Invalid Condition type : {0}")]
    Operator(String),
    #[error("Invalid value for condition key {key}: {reason}")]
    Operand { key: String, reason: String },
    #[error("Invalid policy variable: {0}")]
    Variable(String),
}

/// A path into the document, built while descending and written out for an error only.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'a> {
    Document,
    Member(&'a Place<'a>, &'a str),
    Item(&'a Place<'a>, usize),
}

impl Place<'_> {
    pub(super) fn error<T>(&self, problem: Problem) -> Result<T, Malformed> {
        Err(Malformed::new(self, problem))
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Document => Ok(()),
            Self::Member(Self::Document, name) => f.write_str(name),
            Self::Member(parent, name) => write!(f, "{parent}.{name}"),
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}
