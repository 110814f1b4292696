//! `/v1/iam`: what is declared, and what is wrong with the files as they are now.

use http::StatusCode;
use serde_json::{Value, json};

use super::answer::{self, Answer};
use crate::iam::directory::DirectoryFault;
use crate::identities::{Identities, Report};

/// Faults are those of the last reading: while there are any, what was declared before stays in force.
pub(super) fn report(identities: &Identities) -> Answer {
    let Report { loaded_at, faults, warnings } = identities.report();
    let current = identities.current();
    let count = |count: fn(&crate::iam::directory::Directory) -> usize| current.as_deref().map_or(0, count);
    let told = json!({
        "configured": current.is_some(),
        "loaded_at": loaded_at.map(|at| at.to_rfc3339()),
        "users": count(|directory| directory.users().count()),
        "groups": count(|directory| directory.groups().count()),
        "roles": count(|directory| directory.roles().count()),
        "providers": count(|directory| directory.oidc_providers().count() + directory.saml_providers().count()),
        "faults": faults.iter().map(fault).collect::<Vec<_>>(),
        "warnings": warnings.iter().map(fault).collect::<Vec<_>>(),
    });
    answer::json(StatusCode::OK, &told)
}

fn fault(fault: &DirectoryFault) -> Value {
    json!({ "file": fault.file, "line": fault.line, "message": fault.message })
}
