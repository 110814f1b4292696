//! Policy documents, compiled.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html>

use super::condition::Condition;
use super::context::Context;
use super::evaluate::Asked;
use super::pattern::Pattern;
use super::requester::{AwsPrincipal, Naming, Principals};
use super::{Malformed, parse};

/// Which elements a document may and must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grammar {
    /// What is attached to a user, a group or a role, bounds one, or is passed for a session: no principals.
    Identity,
    /// Who may assume a role: principals and no resource, which is the role.
    Trust,
    /// What is attached to a resource such as a bucket: principals and resources.
    Resource,
}

/// A policy document, checked and compiled. Evaluating it allocates nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    name: Box<str>,
    grammar: Grammar,
    pub(super) statements: Box<[Statement]>,
}

impl Policy {
    /// Reads a document. `name` is what [`Decision`](super::Decision) tells the policy by: the name of an
    /// inline policy, the ARN of a managed one.
    ///
    /// # Errors
    /// The document is not JSON, has a key twice, or is no policy of this grammar. Nothing is skipped as unknown.
    pub fn parse(name: impl Into<Box<str>>, grammar: Grammar, text: &str) -> Result<Self, Malformed> {
        Ok(Self { name: name.into(), grammar, statements: parse::statements(grammar, text)? })
    }

    /// The name given to [`parse`](Self::parse).
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The grammar the document was read by.
    pub fn grammar(&self) -> Grammar {
        self.grammar
    }

    /// ARNs of the users, roles and sessions that the statements name as principals, in no order; some more than once.
    pub fn principal_arns(&self) -> impl Iterator<Item = &str> {
        let listed = self.statements.iter().filter_map(|statement| statement.principals.as_ref());
        listed.flat_map(|listed| {
            let (Listed::Only(principals) | Listed::AllBut(principals)) = listed;
            principals.aws.iter().filter_map(AwsPrincipal::arn)
        })
    }
}

/// What a statement says of what it fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Permits.
    Allow,
    /// Forbids, whatever else permits.
    Deny,
}

/// One member of `Statement`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Statement {
    pub(super) sid: Option<Box<str>>,
    pub(super) effect: Effect,
    /// `None` in an identity-based policy.
    pub(super) principals: Option<Listed<Principals>>,
    pub(super) actions: Listed<Box<[Pattern]>>,
    /// `None` in a trust policy.
    pub(super) resources: Option<Listed<Box<[Pattern]>>>,
    pub(super) conditions: Box<[Condition]>,
}

/// An element that comes in two forms: `Action` and `NotAction` and their like.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Listed<T> {
    /// What is listed.
    Only(T),
    /// Everything but what is listed.
    AllBut(T),
}

impl<T> Listed<T> {
    fn fits(&self, listed: impl FnOnce(&T) -> bool) -> bool {
        match self {
            Self::Only(items) => listed(items),
            Self::AllBut(items) => !listed(items),
        }
    }
}

impl Statement {
    /// How the statement names who asks, if it speaks about the request at all. A policy without principals names
    /// everybody it is attached to.
    pub(super) fn fits(&self, asked: &Asked<'_>) -> Option<Naming> {
        let request = asked.request;
        let context: &Context<'_> = request.context;
        let speaks = self
            .actions
            .fits(|patterns| patterns.iter().any(|pattern| pattern.matches_action(request.action)))
            && self.resources.as_ref().is_none_or(|listed| {
                listed.fits(|patterns| {
                    patterns.iter().any(|pattern| pattern.matches_arn(request.resource, context))
                })
            })
            && self.conditions.iter().all(|condition| condition.holds(context));
        speaks.then(|| self.naming(asked))?
    }

    /// `NotPrincipal` spares nobody whom a permissions boundary bounds.
    ///
    /// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html>
    fn naming(&self, asked: &Asked<'_>) -> Option<Naming> {
        let requester = &asked.request.requester;
        match &self.principals {
            None => Some(Naming::Exact),
            Some(Listed::Only(principals)) => principals.names(requester),
            Some(Listed::AllBut(principals)) => {
                (asked.bounded || !principals.spare(requester)).then_some(Naming::Anybody)
            }
        }
    }
}
