//! Which operation a request names.

use http::StatusCode;

use super::parameters::Parameters;
use crate::fault::Fault;
use crate::iam::SessionKind;

/// The only version of the API.
const VERSION: &str = "2011-06-15";

/// Rows: the operation, and what sessions it issues.
macro_rules! operations {
    ($($name:ident $kind:expr;)*) => {
        /// The operations on offer.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Operation {
            $(#[doc = concat!("`", stringify!($name), "`")] $name,)*
        }

        impl Operation {
            /// Every operation, in the order of `operation as usize`.
            pub const ALL: [Self; [$(stringify!($name)),*].len()] = [$(Self::$name),*];

            /// The value of `Action`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// The IAM action that permits it.
            pub(super) const fn permission(self) -> &'static str {
                match self {
                    $(Self::$name => concat!("sts:", stringify!($name)),)*
                }
            }

            /// The element that an answer is.
            pub(super) const fn response_name(self) -> &'static str {
                match self {
                    $(Self::$name => concat!(stringify!($name), "Response"),)*
                }
            }

            /// The element of an answer that holds the result.
            pub(super) const fn result_name(self) -> &'static str {
                match self {
                    $(Self::$name => concat!(stringify!($name), "Result"),)*
                }
            }

            /// What sessions it issues.
            pub(super) const fn issues(self) -> Option<SessionKind> {
                match self {
                    $(Self::$name => $kind,)*
                }
            }
        }
    };
}

operations! {
    AssumeRole Some(SessionKind::AssumedRole);
    AssumeRoleWithSAML Some(SessionKind::Saml);
    AssumeRoleWithWebIdentity Some(SessionKind::WebIdentity);
    GetSessionToken Some(SessionKind::SessionToken);
    GetFederationToken Some(SessionKind::Federation);
    GetCallerIdentity None;
    GetAccessKeyInfo None;
}

impl Operation {
    /// Whether it takes a signature: those that do not bring another proof.
    pub(super) const fn is_signed(self) -> bool {
        match self {
            Self::AssumeRoleWithSAML | Self::AssumeRoleWithWebIdentity => false,
            Self::AssumeRole
            | Self::GetSessionToken
            | Self::GetFederationToken
            | Self::GetCallerIdentity
            | Self::GetAccessKeyInfo => true,
        }
    }

    /// Reads `Action` and `Version`. Operations of STS that are not on offer are answered as if AWS had none of
    /// that name.
    pub(super) fn of(parameters: &Parameters) -> Result<Self, Fault> {
        let Some(action) = parameters.get("Action").filter(|action| !action.is_empty()) else {
            return Err(Fault::new(StatusCode::BAD_REQUEST, "MissingAction", "Missing Action"));
        };
        let version = parameters.get("Version").filter(|version| !version.is_empty());
        Self::ALL
            .into_iter()
            .find(|operation| operation.name() == action && version == Some(VERSION))
            .ok_or_else(|| unknown(action, version.unwrap_or("NO_VERSION_SPECIFIED")))
    }
}

fn unknown(action: &str, version: &str) -> Fault {
    Fault::new(
        StatusCode::BAD_REQUEST,
        "InvalidAction",
        format!("Could not find operation {action} for version {version}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(query: &str) -> Result<Operation, (&'static str, String)> {
        let (parts, ()) = http::Request::get(format!("/?{query}")).body(()).unwrap().into_parts();
        let parameters = Parameters::read(&parts, b"").unwrap();
        Operation::of(&parameters).map_err(|fault| (fault.code, fault.message.into_owned()))
    }

    #[test]
    fn an_operation_stands_at_its_own_index_and_is_found_by_its_name() {
        for (index, operation) in Operation::ALL.into_iter().enumerate() {
            assert_eq!(operation as usize, index);
            assert_eq!(of(&format!("Version=2011-06-15&Action={}", operation.name())), Ok(operation));
            assert_eq!(operation.response_name(), format!("{}Response", operation.name()));
            assert_eq!(operation.result_name(), format!("{}Result", operation.name()));
        }
    }

    #[test]
    fn no_action_and_no_such_operation_are_refused_as_aws_does() {
        for (query, code, message) in [
            ("Version=2011-06-15", "MissingAction", "Missing Action"),
            ("Action=&Version=2011-06-15", "MissingAction", "Missing Action"),
            ("action=GetCallerIdentity&Version=2011-06-15", "MissingAction", "Missing Action"),
            (
                "Action=AssumeRoot&Version=2011-06-15",
                "InvalidAction",
                "Could not find operation AssumeRoot for version 2011-06-15",
            ),
            (
                "Action=GetCallerIdentity&Version=2010-05-08",
                "InvalidAction",
                "Could not find operation GetCallerIdentity for version 2010-05-08",
            ),
            (
                "Action=GetCallerIdentity",
                "InvalidAction",
                "Could not find operation GetCallerIdentity for version NO_VERSION_SPECIFIED",
            ),
        ] {
            assert_eq!(of(query), Err((code, message.to_owned())), "{query}");
        }
    }
}
