//! `GetCallerIdentity`: who the credential speaks for. Needs no permission.
//!
//! Source: <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>

use super::Operation;
use super::response::{Answer, Value};
use crate::iam::Credential;

/// Answers with the principal of any live credential.
pub(super) fn run(caller: &Credential) -> Answer {
    let principal = &caller.principal;
    Answer {
        operation: Operation::GetCallerIdentity,
        result: vec![
            ("Arn", Value::Text(principal.arn.clone())),
            ("UserId", Value::Text(principal.user_id.clone())),
            ("Account", Value::Text(principal.account.clone())),
        ],
    }
}
