//! The `Condition` block, compiled: one test for each operator and key, all of which must hold.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html>

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::context::{Context, Scalar, Scratch};
use super::key::Key;
use super::operand::{Decimal, Network, parse_date};
use super::pattern::{Pattern, Syntax, VariableError};
use crate::clock::UnixMillis;

/// One key under one operator.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Condition {
    key: Key,
    quantifier: Quantifier,
    /// What holds where the key is missing: `…IfExists`, or what the operator says of nothing.
    if_exists: bool,
    negated: bool,
    operands: Operands,
}

/// How the values of a key in the request count together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantifier {
    /// No qualifier: there is one value. Of a key that has several by nature nothing holds, neither that one of
    /// them fits nor that none does.
    Plain,
    /// `ForAllValues:`
    All,
    /// `ForAnyValue:`
    Any,
}

/// The values of the policy, of which any may fit, and how.
#[derive(Clone, Debug, PartialEq)]
enum Operands {
    Text(Box<[Pattern]>),
    TextIgnoringCase(Box<[Pattern]>),
    Arn(Box<[Pattern]>),
    Number(Order, Box<[Decimal]>),
    Date(Order, Box<[UnixMillis]>),
    Flag(Box<[bool]>),
    /// In base 64, as the policy and the request have it.
    Binary(Box<[Box<str>]>),
    Network(Box<[Network]>),
    /// Whether the key is to be missing.
    Null(Box<[bool]>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    fn holds<T: Ord>(self, value: &T, operand: &T) -> bool {
        match self {
            Self::Equal => value == operand,
            Self::Less => value < operand,
            Self::LessOrEqual => value <= operand,
            Self::Greater => value > operand,
            Self::GreaterOrEqual => value >= operand,
        }
    }
}

/// What the values below an operator are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Text { wildcards: bool },
    TextIgnoringCase,
    Arn,
    Number(Order),
    Date(Order),
    Flag,
    Binary,
    Network,
    Null,
}

/// A condition operator, as it is written before the block of its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operator {
    quantifier: Quantifier,
    family: Family,
    negated: bool,
    if_exists: bool,
}

/// Why a value cannot stand below its operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum OperandError {
    #[error(transparent)]
    Variable(#[from] VariableError),
    #[error("{value:?} is not {expected}")]
    Kind { value: String, expected: &'static str },
}

impl Operator {
    /// `None` for what is no operator, `NullIfExists` and qualified `Null` included.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (quantifier, rest) = match text.split_once(':') {
            Some(("ForAllValues", rest)) => (Quantifier::All, rest),
            Some(("ForAnyValue", rest)) => (Quantifier::Any, rest),
            Some(_) => return None,
            None => (Quantifier::Plain, text),
        };
        let (name, if_exists) = rest.strip_suffix("IfExists").map_or((rest, false), |name| (name, true));
        let (family, negated) = match name {
            "StringEquals" => (Family::Text { wildcards: false }, false),
            "StringNotEquals" => (Family::Text { wildcards: false }, true),
            "StringEqualsIgnoreCase" => (Family::TextIgnoringCase, false),
            "StringNotEqualsIgnoreCase" => (Family::TextIgnoringCase, true),
            "StringLike" => (Family::Text { wildcards: true }, false),
            "StringNotLike" => (Family::Text { wildcards: true }, true),
            "NumericEquals" => (Family::Number(Order::Equal), false),
            "NumericNotEquals" => (Family::Number(Order::Equal), true),
            "NumericLessThan" => (Family::Number(Order::Less), false),
            "NumericLessThanEquals" => (Family::Number(Order::LessOrEqual), false),
            "NumericGreaterThan" => (Family::Number(Order::Greater), false),
            "NumericGreaterThanEquals" => (Family::Number(Order::GreaterOrEqual), false),
            "DateEquals" => (Family::Date(Order::Equal), false),
            "DateNotEquals" => (Family::Date(Order::Equal), true),
            "DateLessThan" => (Family::Date(Order::Less), false),
            "DateLessThanEquals" => (Family::Date(Order::LessOrEqual), false),
            "DateGreaterThan" => (Family::Date(Order::Greater), false),
            "DateGreaterThanEquals" => (Family::Date(Order::GreaterOrEqual), false),
            "Bool" => (Family::Flag, false),
            "BinaryEquals" => (Family::Binary, false),
            "IpAddress" => (Family::Network, false),
            "NotIpAddress" => (Family::Network, true),
            "ArnEquals" | "ArnLike" => (Family::Arn, false),
            "ArnNotEquals" | "ArnNotLike" => (Family::Arn, true),
            "Null" if quantifier == Quantifier::Plain && !if_exists => (Family::Null, false),
            _ => return None,
        };
        Some(Self { quantifier, family, negated, if_exists })
    }

    /// The test that `key` has one of `values`.
    pub(super) fn condition(
        self,
        key: Key,
        values: &[&str],
        variables: bool,
    ) -> Result<Condition, OperandError> {
        let operands = self.family.operands(values, variables)?;
        let Self { quantifier, negated, if_exists, .. } = self;
        Ok(Condition { key, quantifier, if_exists, negated, operands })
    }
}

impl Family {
    fn operands(self, values: &[&str], variables: bool) -> Result<Operands, OperandError> {
        let patterns = |wildcards| {
            let syntax = Syntax { wildcards, variables };
            values.iter().map(|value| Pattern::compile(value, syntax)).collect::<Result<_, _>>()
        };
        Ok(match self {
            Self::Text { wildcards } => Operands::Text(patterns(wildcards)?),
            Self::TextIgnoringCase => Operands::TextIgnoringCase(patterns(false)?),
            Self::Arn => {
                let syntax = Syntax { wildcards: true, variables };
                let compiled = values.iter().map(|value| Pattern::compile_arn(value, syntax));
                Operands::Arn(compiled.collect::<Result<_, _>>()?)
            }
            Self::Number(order) => Operands::Number(order, each(values, "a number", Decimal::parse)?),
            Self::Date(order) => {
                Operands::Date(order, each(values, "a date in ISO 8601 or epoch time", parse_date)?)
            }
            Self::Flag => Operands::Flag(each(values, "true or false", parse_flag)?),
            Self::Binary => Operands::Binary(each(values, "base 64", |text| {
                STANDARD.decode(text).ok().map(|_| text.into())
            })?),
            Self::Network => {
                Operands::Network(each(values, "an IP address or a range in CIDR notation", Network::parse)?)
            }
            Self::Null => Operands::Null(each(values, "true or false", parse_flag)?),
        })
    }
}

fn each<T>(
    values: &[&str],
    expected: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Box<[T]>, OperandError> {
    let one = |value: &&str| {
        parse(value).ok_or_else(|| OperandError::Kind { value: (*value).to_owned(), expected })
    };
    values.iter().map(one).collect()
}

fn parse_flag(text: &str) -> Option<bool> {
    match text {
        text if text.eq_ignore_ascii_case("true") => Some(true),
        text if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

impl Condition {
    /// Whether the condition holds of a request.
    pub(super) fn holds(&self, context: &Context<'_>) -> bool {
        let value = context.get(&self.key);
        if let Operands::Null(missing) = &self.operands {
            return missing.contains(&value.is_none());
        }
        // Qualified operators take an empty text for no value: "a null dataset, such as an empty string".
        let nothing = |scalar: Scalar<'_>| matches!(scalar, Scalar::Text(""));
        let value = match self.quantifier {
            Quantifier::Plain => value,
            Quantifier::All | Quantifier::Any => value.filter(|value| value.any(|scalar| !nothing(scalar))),
        };
        let Some(value) = value else {
            return self.if_exists
                || match self.quantifier {
                    Quantifier::Plain => self.negated,
                    Quantifier::All => true,
                    Quantifier::Any => false,
                };
        };
        match self.quantifier {
            Quantifier::Plain => {
                value.single().is_some_and(|scalar| self.operands.fit(scalar, context) != self.negated)
            }
            Quantifier::All => !value.any(|scalar| self.operands.fit(scalar, context) == self.negated),
            Quantifier::Any => value.any(|scalar| self.operands.fit(scalar, context) != self.negated),
        }
    }
}

impl Operands {
    /// Whether any of them fits a value of the request. What cannot be read as what the operator compares fits none.
    fn fit(&self, scalar: Scalar<'_>, context: &Context<'_>) -> bool {
        let scratch = &mut Scratch::new();
        match self {
            Self::Text(patterns) => {
                let text = scalar.text(scratch);
                patterns.iter().any(|pattern| pattern.matches(text, context))
            }
            Self::TextIgnoringCase(patterns) => {
                let text = scalar.text(scratch);
                patterns.iter().any(|pattern| pattern.equals_ignoring_case(text, context))
            }
            Self::Arn(patterns) => {
                let text = scalar.text(scratch);
                patterns.iter().any(|pattern| pattern.matches_arn(text, context))
            }
            Self::Number(order, operands) => scalar
                .decimal()
                .is_some_and(|number| operands.iter().any(|operand| order.holds(&number, operand))),
            Self::Date(order, operands) => {
                scalar.date().is_some_and(|date| operands.iter().any(|operand| order.holds(&date, operand)))
            }
            Self::Flag(operands) => {
                parse_flag(scalar.text(scratch)).is_some_and(|flag| operands.contains(&flag))
            }
            Self::Binary(operands) => {
                let text = scalar.text(scratch);
                operands.iter().any(|operand| **operand == *text)
            }
            Self::Network(operands) => scalar
                .address()
                .is_some_and(|address| operands.iter().any(|network| network.contains(address))),
            // Whether a key is missing is asked before its values are.
            Self::Null(missing) => missing.contains(&false),
        }
    }
}

impl Scalar<'_> {
    fn decimal(self) -> Option<Decimal> {
        match self {
            Self::Number(number) => Some(Decimal::from_integer(number)),
            Self::Text(text) => Decimal::parse(text),
            Self::Flag(_) | Self::Time(_) | Self::Address(_) => None,
        }
    }

    fn date(self) -> Option<UnixMillis> {
        match self {
            Self::Time(time) => Some(time),
            Self::Number(seconds) => seconds.checked_mul(1000).map(UnixMillis),
            Self::Text(text) => parse_date(text),
            Self::Flag(_) | Self::Address(_) => None,
        }
    }

    fn address(self) -> Option<std::net::IpAddr> {
        match self {
            Self::Address(address) => Some(address),
            Self::Text(text) => text.parse().ok(),
            Self::Flag(_) | Self::Number(_) | Self::Time(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
