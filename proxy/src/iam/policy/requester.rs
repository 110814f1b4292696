//! Who asks, and how a policy that has principals names them.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html>

use crate::iam::arn::Arn;
use crate::iam::{Principal, Session, SessionKind};

/// Who makes a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requester<'a> {
    /// The root user of an account.
    Root {
        /// Twelve digits.
        account: &'a str,
    },
    /// An IAM user, by a long-term key or by a session of `GetSessionToken`.
    User {
        /// Twelve digits.
        account: &'a str,
        /// `arn:aws:iam::<account>:user/<path><name>`
        arn: &'a str,
        /// `AIDA…`
        id: &'a str,
    },
    /// A session of a role.
    Role {
        /// Twelve digits.
        account: &'a str,
        /// `arn:aws:sts::<account>:assumed-role/<role>/<session>`
        session: &'a str,
        /// `arn:aws:iam::<account>:role/<path><role>`, if it is known.
        role: Option<&'a str>,
        /// `AROA…:<session>`
        id: &'a str,
    },
    /// A session of `GetFederationToken`.
    Federated {
        /// Twelve digits.
        account: &'a str,
        /// `arn:aws:sts::<account>:federated-user/<name>`
        session: &'a str,
        /// ARN of the user who asked for the session, if it is known.
        user: Option<&'a str>,
    },
    /// Somebody an identity provider vouches for, who has no credentials yet.
    Provider {
        /// ARN of the OIDC or SAML provider, or its host name where AWS knows it by that.
        name: &'a str,
    },
    /// An AWS service.
    Service {
        /// `<service>.amazonaws.com`
        name: &'a str,
    },
    /// Nobody known.
    Anonymous,
}

impl<'a> Requester<'a> {
    /// Who a credential speaks for.
    pub fn of(principal: &'a Principal, session: Option<&'a Session>) -> Self {
        let Principal { arn, user_id: id, account } = principal;
        let Some(session) = session else { return Self::holder(principal) };
        match session.kind {
            SessionKind::SessionToken => Self::holder(principal),
            SessionKind::AssumedRole | SessionKind::WebIdentity | SessionKind::Saml => {
                Self::Role { account, session: arn, role: session.role_arn.as_deref(), id }
            }
            SessionKind::Federation => {
                let user = session.lineage.first().map(|parent| parent.principal.arn.as_str());
                Self::Federated { account, session: arn, user }
            }
        }
    }

    fn holder(Principal { arn, user_id: id, account }: &'a Principal) -> Self {
        if arn.ends_with(":root") { Self::Root { account } } else { Self::User { account, arn, id } }
    }

    /// The account whose identity-based policies speak about the requester.
    pub fn account(&self) -> Option<&'a str> {
        match self {
            Self::Root { account }
            | Self::User { account, .. }
            | Self::Role { account, .. }
            | Self::Federated { account, .. } => Some(account),
            Self::Provider { .. } | Self::Service { .. } | Self::Anonymous => None,
        }
    }
}

/// How closely a policy names a requester: what a grant skips depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Naming {
    /// By account: the account's own policies decide.
    Account,
    /// By the user or role whose session asks.
    Issuer,
    /// As everybody.
    Anybody,
    /// As the very user, session, provider or service that asks.
    Exact,
}

/// The content of `Principal` or `NotPrincipal`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Principals {
    pub(super) anybody: bool,
    pub(super) aws: Vec<AwsPrincipal>,
    pub(super) federated: Vec<Box<str>>,
    pub(super) services: Vec<Box<str>>,
}

/// An entry below `AWS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AwsPrincipal {
    /// Twelve digits, or the ARN of the root.
    Account(Box<str>),
    /// A user, a role, or a session of either.
    Arn(Box<str>),
    /// `AIDA…` or `AROA…`: what AWS makes of an ARN once a policy is saved.
    Id(Box<str>),
}

impl AwsPrincipal {
    /// `None` for what AWS refuses: other ARNs, and wildcards within one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if Arn::is_account(text) {
            return Some(Self::Account(text.into()));
        }
        if (16..=128).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        {
            return Some(Self::Id(text.into()));
        }
        let arn = Arn::parse(text).filter(|_| !text.contains(['*', '?']))?;
        if !Arn::is_partition(arn.partition) || !arn.region.is_empty() || !Arn::is_account(arn.account) {
            return None;
        }
        let (kind, name) = arn.resource.split_once('/').unwrap_or((arn.resource, ""));
        match (arn.service, kind, name) {
            ("iam", "root", "") => Some(Self::Account(arn.account.into())),
            ("iam", "user" | "role", name) | ("sts", "federated-user", name) if !name.is_empty() => {
                Some(Self::Arn(text.into()))
            }
            ("sts", "assumed-role", name) => {
                let (role, session) = name.split_once('/')?;
                (!role.is_empty() && !session.is_empty()).then(|| Self::Arn(text.into()))
            }
            _ => None,
        }
    }

    /// The ARN, where it is one.
    pub(super) fn arn(&self) -> Option<&str> {
        match self {
            Self::Arn(arn) => Some(arn),
            Self::Account(_) | Self::Id(_) => None,
        }
    }

    fn names(&self, requester: &Requester<'_>) -> Option<Naming> {
        match self {
            Self::Account(named) => {
                requester.account().filter(|account| **account == **named).map(|_| Naming::Account)
            }
            Self::Arn(named) => match requester {
                Requester::User { arn, .. } => (**arn == **named).then_some(Naming::Exact),
                Requester::Role { session, role: issuer, .. }
                | Requester::Federated { session, user: issuer, .. } => {
                    let by_issuer = issuer.filter(|issuer| *issuer == &**named).map(|_| Naming::Issuer);
                    if **session == **named { Some(Naming::Exact) } else { by_issuer }
                }
                Requester::Root { .. }
                | Requester::Provider { .. }
                | Requester::Service { .. }
                | Requester::Anonymous => None,
            },
            Self::Id(named) => match requester {
                Requester::User { id, .. } => (**id == **named).then_some(Naming::Exact),
                Requester::Role { id, .. } => {
                    let role = id.split_once(':').map_or(*id, |(role, _)| role);
                    (*role == **named).then_some(Naming::Issuer)
                }
                Requester::Root { .. }
                | Requester::Federated { .. }
                | Requester::Provider { .. }
                | Requester::Service { .. }
                | Requester::Anonymous => None,
            },
        }
    }
}

impl Principals {
    /// The closest of the entries that name `requester`.
    pub(super) fn names(&self, requester: &Requester<'_>) -> Option<Naming> {
        let by_name = match requester {
            Requester::Provider { name } => {
                self.federated.iter().any(|known| **known == **name).then_some(Naming::Exact)
            }
            Requester::Service { name } => {
                self.services.iter().any(|known| known.eq_ignore_ascii_case(name)).then_some(Naming::Exact)
            }
            Requester::Anonymous => None,
            Requester::Root { .. }
            | Requester::User { .. }
            | Requester::Role { .. }
            | Requester::Federated { .. } => self.aws.iter().filter_map(|entry| entry.names(requester)).max(),
        };
        by_name.max(self.anybody.then_some(Naming::Anybody))
    }

    /// Whether `NotPrincipal` spares `requester`. AWS checks the account, then the role, then the session: each of
    /// them must be listed.
    ///
    /// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html>
    pub(super) fn spare(&self, requester: &Requester<'_>) -> bool {
        let listed = |naming| self.aws.iter().any(|entry| entry.names(requester) == Some(naming));
        self.anybody
            || match requester {
                Requester::Root { .. } => listed(Naming::Account),
                Requester::User { .. } => listed(Naming::Account) && listed(Naming::Exact),
                Requester::Role { .. } => {
                    listed(Naming::Account) && listed(Naming::Issuer) && listed(Naming::Exact)
                }
                Requester::Federated { .. } => listed(Naming::Account) && listed(Naming::Exact),
                Requester::Provider { .. } | Requester::Service { .. } | Requester::Anonymous => {
                    self.names(requester).is_some()
                }
            }
    }
}
