//! The policy language of IAM: documents compiled once, requests decided without allocating.
//!
//! ```text
//! text ── Policy::parse ──► Policy      strict: what is not understood is MalformedPolicyDocument
//!                             │
//! Request, Context ───────► evaluate(&Request, &Layers) ──► Decision, with the statement that decided
//! ```
//!
//! Stricter than AWS in what would otherwise be lost silently: a value that is no number below a numeric operator,
//! a variable that does not parse, an operator or an element nobody knows. Patterns are matched without regular
//! expressions, names of keys are told apart when a document is compiled.
//!
//! Who calls it supplies the context: what is not set there does not exist, and what a missing key means is the
//! operator's to say.

mod condition;
mod context;
mod document;
mod evaluate;
mod json;
mod key;
mod malformed;
mod operand;
mod parse;
mod pattern;
mod requester;
#[cfg(test)]
mod tests;

pub use context::{Context, Tags, Value};
pub use document::{Effect, Grammar, Policy};
pub use evaluate::{Deciding, Decision, Grant, Identity, Layer, Layers, Request, evaluate};
pub use key::{Name, TagFamily};
pub use malformed::Malformed;
pub use operand::Network;
pub use requester::Requester;
