//! Policies that are passed for a session, and the room they and its tags may take.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies.html#policies_session>

use http::StatusCode;

use super::constraints::{ARN, Constraints, DOCUMENT};
use super::parameters::Parameters;
use crate::fault::Fault;
use crate::iam::directory::Directory;
use crate::iam::policy::{Grammar, Policy};
use crate::iam::{Arn, Tags};

/// The most managed policies of one session.
const MAX_POLICY_ARNS: usize = 10;
/// Longest inline policy, in characters.
const MAX_POLICY: usize = 2_048;
/// Bytes that policies, their ARNs and tags may take together. AWS compresses them into a size it does not tell; this
/// holds the longest policy and fifty tags of ordinary length.
const PACKED_BYTES: usize = 4_096;

/// Policies that limit a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SessionPolicies {
    /// The inline policy, JSON.
    pub(super) documents: Vec<String>,
    /// Managed policies.
    pub(super) arns: Vec<String>,
}

impl SessionPolicies {
    /// Reads `Policy` and `PolicyArns.member.N.arn`, and notes what breaks the limits of texts. `AssumeRole` bounds a
    /// policy by its packed size only.
    pub(super) fn read(
        parameters: &Parameters<'_>,
        bounded: bool,
        constraints: &mut Constraints,
    ) -> Result<Self, Fault> {
        let document = parameters.get("Policy");
        if let Some(document) = document {
            let most = if bounded { MAX_POLICY } else { usize::MAX };
            constraints.text("policy", document, 1..=most, &DOCUMENT);
        }
        let mut arns = Vec::new();
        for member in parameters.list("PolicyArns")? {
            let at = format!("policyArns.{}.member.arn", member.index);
            if let Some(arn) = constraints.required(&at, member.field("arn")) {
                constraints.text(&at, arn, 20..=2_048, &ARN);
                arns.push(arn.to_owned());
            }
        }
        let list: Vec<&str> = arns.iter().map(String::as_str).collect();
        constraints.count("policyArns", &list, MAX_POLICY_ARNS);
        Ok(Self { documents: document.map(str::to_owned).into_iter().collect(), arns })
    }

    /// Checks that the documents are policies and that the ARNs are of policies that `account` has.
    pub(super) fn check(&self, account: &str, directory: Option<&Directory>) -> Result<(), Fault> {
        for document in &self.documents {
            Policy::parse("session policy", Grammar::Identity, document).map_err(|malformed| {
                Fault::new(StatusCode::BAD_REQUEST, "MalformedPolicyDocument", malformed.message())
            })?;
        }
        for arn in &self.arns {
            let parsed =
                Arn::parse(arn).filter(|arn| arn.service == "iam" && arn.resource.starts_with("policy/"));
            let Some(parsed) = parsed else {
                return Err(validation(format!("{arn} is invalid")));
            };
            let own = parsed.account == account || parsed.account == "aws";
            if !own || directory.and_then(|directory| directory.policy(arn)).is_none() {
                return Err(validation(format!("Policy {arn} does not exist or is not attachable.")));
            }
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.documents.is_empty() && self.arns.is_empty()
    }

    /// Percent of the room that is taken.
    ///
    /// # Errors
    /// There is not enough of it.
    pub(super) fn packed_percent(&self, tags: &Tags) -> Result<i64, Fault> {
        let policies: usize = self.documents.iter().chain(&self.arns).map(String::len).sum();
        let tags: usize = tags.iter().map(|(key, value)| key.len() + value.len()).sum();
        let percent = (100 * (policies + tags)).div_ceil(PACKED_BYTES);
        if percent > 100 {
            return Err(Fault::new(
                StatusCode::BAD_REQUEST,
                "PackedPolicyTooLarge",
                format!(
                    "Packed size of session policy and session tags consumes {percent}% of allotted space."
                ),
            ));
        }
        Ok(percent as i64)
    }
}

/// A parameter that is well formed and yet not right.
pub(super) fn validation(message: impl Into<std::borrow::Cow<'static, str>>) -> Fault {
    Fault::new(StatusCode::BAD_REQUEST, "ValidationError", message)
}
