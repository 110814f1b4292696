//! `GetAccessKeyInfo`: the account an access key id belongs to.
//!
//! Source: <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetAccessKeyInfo.html>

use super::call::Call;
use super::constraints::{Constraints, Pattern};
use super::response::{Answer, Value};
use super::session_policies::validation;
use super::trust::not_permitted;
use crate::auth::Standing;
use crate::fault::Fault;
use crate::iam::SessionKind;
use crate::iam::policy::{Decision, Layer, Request, evaluate};
use crate::store::Store;

const ACCESS_KEY_ID: Pattern =
    Pattern { expression: "[\\w]*", legal: |c| c.is_ascii_alphanumeric() || c == '_' };

/// Answers for the long-term keys and sessions that the log holds.
pub(super) async fn run(store: &Store, caller: &Standing<'_>, call: &Call<'_>) -> Result<Answer, Fault> {
    let mut constraints = Constraints::default();
    let id = constraints.required("accessKeyId", call.parameters.get("AccessKeyId"));
    if let Some(id) = id {
        constraints.text("accessKeyId", id, 16..=128, &ACCESS_KEY_ID);
    }
    constraints.check()?;
    permitted(caller, call)?;
    let id = id.unwrap_or_default();
    let found = match store.cached(id) {
        Some(record) => Some(record),
        None => store.load(id).await.map_err(|error| super::store_failed(&error))?,
    };
    let record = found.ok_or_else(|| validation(format!("The access key id {id} is not known here.")))?;
    let account = record.credential().principal.account.clone();
    Ok(Answer { operation: call.operation, result: vec![("Account", Value::Text(account))] })
}

fn permitted(caller: &Standing<'_>, call: &Call<'_>) -> Result<(), Fault> {
    let credential = caller.credential();
    let (action, arn) = (call.operation.permission(), &credential.principal.arn);
    let kind = credential.session.as_ref().map(|session| session.kind);
    if let Some(SessionKind::SessionToken | SessionKind::Federation) = kind {
        return Err(not_permitted(arn, action, "*", &Decision::ImplicitDeny(Layer::Session)));
    }
    let mut context = call.context();
    caller.describe(&mut context, call.now);
    let request = Request {
        requester: caller.requester(),
        action,
        resource: "*",
        resource_account: &credential.principal.account,
        context: &context,
    };
    match evaluate(&request, &caller.layers(None)) {
        Decision::Allow(_) => Ok(()),
        refused => Err(not_permitted(arn, action, "*", &refused)),
    }
}
