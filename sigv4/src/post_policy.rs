//! The policy document of a form upload: what its signer lets others upload, and until when.
//!
//! ```text
//! {"expiration": "2026-03-12T12:00:00.000Z",
//!  "conditions": [{"bucket": "photos"}, ["starts-with", "$key", "user/"], ["content-length-range", 1, 1048576]]}
//! ```
//!
//! Strict where a reader and a signer could differ: a member that comes twice or that nobody knows makes a document
//! none. Who signed it is not asked here.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html>

mod json;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};

use crate::error::Received;
use crate::post_error::{PolicyFault, PostError};
use crate::time::Timestamp;
use json::Json;

const EQUALS: &str = "eq";
const STARTS_WITH: &str = "starts-with";
const LENGTH_RANGE: &str = "content-length-range";

/// A policy document, well-formed.
#[derive(Debug)]
pub(crate) struct Policy {
    expiration: Timestamp,
    conditions: Vec<Condition>,
}

#[derive(Debug)]
enum Condition {
    Field {
        test: Test,
        name: String,
        value: String,
    },
    /// `None` where the limits are strings and no numbers: nothing has such a size.
    Size {
        range: Option<(u64, u64)>,
        text: String,
    },
}

#[derive(Clone, Copy, Debug)]
enum Test {
    Equals,
    StartsWith,
}

impl Policy {
    /// Reads the field `policy`. White space in the base64 and missing padding are overlooked: what was signed is
    /// the text as received.
    pub(crate) fn parse(base64: &str) -> Result<Self, PolicyFault> {
        const ENGINE: GeneralPurpose = GeneralPurpose::new(
            &alphabet::STANDARD,
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
        );
        let text: Vec<u8> = base64.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let document = ENGINE.decode(text).map_err(|_| PolicyFault::Base64)?;
        if document.trim_ascii().is_empty() {
            return Err(PolicyFault::Empty);
        }
        let Json::Object(members) = Json::parse(&document).ok_or(PolicyFault::Json)? else {
            return Err(PolicyFault::Json);
        };
        let (mut expiration, mut conditions) = (None, None);
        for (name, value) in members {
            match name.as_str() {
                "expiration" => expiration = Some(value),
                "conditions" => conditions = Some(value),
                _ => return Err(PolicyFault::UnexpectedMember { name: Received::new(name.as_bytes()) }),
            }
        }
        let expiration = expiration.ok_or(PolicyFault::MissingExpiration)?;
        let conditions = conditions.ok_or(PolicyFault::MissingConditions)?;
        let expiration = parse_time(&expiration)?;
        let Json::List(conditions) = conditions else { return Err(PolicyFault::ConditionsNotAList) };
        let conditions = conditions.into_iter().map(Condition::parse).collect::<Result<_, _>>()?;
        Ok(Self { expiration, conditions })
    }

    /// Whether the policy holds for a form. `value` gives the value of a field, or of `bucket`, by its name in
    /// lower case; the first of `names` that no condition mentions is refused.
    pub(crate) fn check<'v>(
        &self,
        now: Timestamp,
        value: impl Fn(&str) -> Option<&'v str>,
        names: impl IntoIterator<Item = &'v str>,
    ) -> Result<(), PostError> {
        if now > self.expiration {
            return Err(PostError::PolicyExpired);
        }
        if let Some(failed) = self.conditions.iter().find(|condition| !condition.holds(&value)) {
            return Err(PostError::ConditionFailed { condition: Received::new(failed.text().as_bytes()) });
        }
        let mentioned = |name: &str| self.conditions.iter().any(|condition| condition.is_about(name));
        match names.into_iter().find(|name| !mentioned(name)) {
            Some(name) => Err(PostError::ExtraField { name: Received::new(name.as_bytes()) }),
            None => Ok(()),
        }
    }

    /// Least and most bytes of the file, both included: what all conditions of that kind allow.
    pub(crate) fn size(&self) -> Option<(u64, u64)> {
        let ranges = self.conditions.iter().filter_map(|condition| match condition {
            Condition::Size { range, .. } => *range,
            Condition::Field { .. } => None,
        });
        ranges.reduce(|one, other| (one.0.max(other.0), one.1.min(other.1)))
    }
}

fn parse_time(value: &Json) -> Result<Timestamp, PolicyFault> {
    let text = value.as_text().unwrap_or_default();
    Timestamp::parse_extended(text.as_bytes())
        .ok_or_else(|| PolicyFault::Expiration { value: Received::new(text.as_bytes()) })
}

impl Condition {
    fn parse(json: Json) -> Result<Self, PolicyFault> {
        match json {
            Json::Object(members) => Self::exact(members),
            Json::List(elements) => Self::operation(&elements),
            Json::Text(_) | Json::Number(_) | Json::Other => Err(PolicyFault::ConditionType),
        }
    }

    /// `{"name": "value"}`
    fn exact(members: Vec<(String, Json)>) -> Result<Self, PolicyFault> {
        let [(name, value)] = <[_; 1]>::try_from(members).map_err(|_| PolicyFault::PropertyCount)?;
        let value = value.as_text().ok_or(PolicyFault::NotAString { condition: "Simple-Condition" })?;
        Ok(Self::Field { test: Test::Equals, name: format!("${name}"), value: value.to_owned() })
    }

    /// `["operation", …, …]`
    fn operation(elements: &[Json]) -> Result<Self, PolicyFault> {
        let name = elements.first().and_then(Json::as_text).ok_or(PolicyFault::MissingOperation)?;
        let test = match name {
            EQUALS => Some(Test::Equals),
            STARTS_WITH => Some(Test::StartsWith),
            LENGTH_RANGE => None,
            _ => return Err(PolicyFault::UnknownOperation { name: Received::new(name.as_bytes()) }),
        };
        let operation = test.map_or(LENGTH_RANGE, Test::name);
        let [_, first, second] = elements else { return Err(PolicyFault::ArgumentCount { operation }) };
        let Some(test) = test else {
            let range = first.as_size().zip(second.as_size());
            let text = list(&[json::quoted(operation), first.text(), second.text()]);
            return Ok(Self::Size { range, text });
        };
        let string = |json: &Json| json.as_text().map(str::to_owned);
        let arguments = string(first).zip(string(second));
        let (name, value) = arguments.ok_or(PolicyFault::NotAString { condition: operation })?;
        Ok(Self::Field { test, name, value })
    }

    fn holds<'v>(&self, value: impl Fn(&str) -> Option<&'v str>) -> bool {
        match self {
            Self::Field { test, name, value: wanted } => {
                let Some(name) = name.strip_prefix('$').map(str::to_ascii_lowercase) else { return false };
                value(&name).is_some_and(|value| test.passes(&name, value, wanted))
            }
            Self::Size { range, .. } => range.is_some(),
        }
    }

    fn is_about(&self, field: &str) -> bool {
        match self {
            Self::Field { name, .. } => {
                name.strip_prefix('$').is_some_and(|name| name.eq_ignore_ascii_case(field))
            }
            Self::Size { .. } => false,
        }
    }

    /// As S3 repeats it to the client.
    fn text(&self) -> String {
        match self {
            Self::Field { test, name, value } => list(&[test.name(), name, value].map(json::quoted)),
            Self::Size { text, .. } => text.clone(),
        }
    }
}

fn list(elements: &[String]) -> String {
    format!("[{}]", elements.join(", "))
}

impl Test {
    const fn name(self) -> &'static str {
        match self {
            Self::Equals => EQUALS,
            Self::StartsWith => STARTS_WITH,
        }
    }

    /// A `Content-Type` that is a list passes if each of its items does.
    fn passes(self, name: &str, value: &str, wanted: &str) -> bool {
        match self {
            Self::Equals => value == wanted,
            Self::StartsWith if name == "content-type" => {
                value.split(',').all(|item| item.trim_ascii().starts_with(wanted))
            }
            Self::StartsWith => value.starts_with(wanted),
        }
    }
}
