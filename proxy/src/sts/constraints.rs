//! The constraints of parameters, and the one error that names all that are violated.
//!
//! Source: the shapes of the API reference, for example
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html>

use std::ops::RangeInclusive;

use http::StatusCode;

use crate::fault::Fault;

/// Characters a value may hold, under the regular expression AWS names in the error.
pub(super) struct Pattern {
    pub(super) expression: &'static str,
    pub(super) legal: fn(char) -> bool,
}

/// Names of sessions and users, and source identities.
pub(super) const NAME: Pattern =
    Pattern { expression: "[\\w+=,.@-]*", legal: |c| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c) };
/// ARNs of roles, policies and identity providers.
pub(super) const ARN: Pattern = Pattern {
    expression: "[\\u0009\\u000A\\u000D\\u0020-\\u007E\\u0085\\u00A0-\\uD7FF\\uE000-\\uFFFD\\u10000-\\u10FFFF]+",
    legal: |c| matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..),
};
/// Policy documents.
pub(super) const DOCUMENT: Pattern = Pattern {
    expression: "[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+",
    legal: |c| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{ff}'),
};

/// Collects violations over all parameters of a request.
#[derive(Default)]
pub(super) struct Constraints {
    violations: Vec<String>,
}

impl Constraints {
    /// Checks that a number lies in `range`.
    pub(super) fn number(&mut self, member: &str, value: i32, range: RangeInclusive<i32>) {
        let (least, most) = range.into_inner();
        if value < least {
            self.violated(
                member,
                &value.to_string(),
                &format!("have value greater than or equal to {least}"),
            );
        }
        if value > most {
            self.violated(member, &value.to_string(), &format!("have value less than or equal to {most}"));
        }
    }

    /// Checks that a text has a number of characters in `length`, all of them of `pattern`.
    pub(super) fn text(
        &mut self,
        member: &str,
        value: &str,
        length: RangeInclusive<usize>,
        pattern: &Pattern,
    ) {
        let (least, most) = length.into_inner();
        let characters = value.chars().count();
        if characters < least {
            self.violated(member, value, &format!("have length greater than or equal to {least}"));
        }
        if characters > most {
            self.violated(member, value, &format!("have length less than or equal to {most}"));
        }
        if !value.chars().all(pattern.legal) {
            let expression = pattern.expression;
            self.violated(member, value, &format!("satisfy regular expression pattern: {expression}"));
        }
    }

    /// Checks that a value is there.
    pub(super) fn required<'v>(&mut self, member: &str, value: Option<&'v str>) -> Option<&'v str> {
        if value.is_none() {
            let violation =
                format!("Value null at '{member}' failed to satisfy constraint: Member must not be null");
            self.violations.push(violation);
        }
        value
    }

    /// Checks that a list has no more than `most` members.
    pub(super) fn count(&mut self, member: &str, values: &[&str], most: usize) {
        if values.len() > most {
            let list = format!("[{}]", values.join(", "));
            self.violated(member, &list, &format!("have length less than or equal to {most}"));
        }
    }

    /// Checks every member of a list as [`text`](Self::text) does, and notes at most one violation for all.
    pub(super) fn members(
        &mut self,
        member: &str,
        values: &[&str],
        length: RangeInclusive<usize>,
        pattern: &Pattern,
    ) {
        let good = |value: &&str| length.contains(&value.chars().count()) && value.chars().all(pattern.legal);
        if !values.iter().all(good) {
            let (list, expression) = (values.join(", "), pattern.expression);
            let (least, most) = (length.start(), length.end());
            let each = format!(
                "satisfy constraint: [Member must have length less than or equal to {most}, Member must have length \
                 greater than or equal to {least}, Member must satisfy regular expression pattern: {expression}]"
            );
            self.violated(member, &format!("[{list}]"), &each);
        }
    }

    /// Notes a violation of a value that must not be repeated.
    pub(super) fn secret(&mut self, member: &str, must: &str) {
        self.violated(member, "***", must);
    }

    fn violated(&mut self, member: &str, value: &str, must: &str) {
        let violation =
            format!("Value '{value}' at '{member}' failed to satisfy constraint: Member must {must}");
        self.violations.push(violation);
    }

    /// The error of AWS, if anything was violated.
    pub(super) fn check(self) -> Result<(), Fault> {
        let count = self.violations.len();
        let errors = match count {
            0 => return Ok(()),
            1 => "error",
            _ => "errors",
        };
        let message = format!("{count} validation {errors} detected: {}", self.violations.join("; "));
        Err(Fault::new(StatusCode::BAD_REQUEST, "ValidationError", message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: Pattern = Pattern { expression: "[\\d]*", legal: |c| c.is_ascii_digit() };

    fn message(check: impl Fn(&mut Constraints)) -> Option<String> {
        let mut constraints = Constraints::default();
        check(&mut constraints);
        constraints.check().err().map(|fault| {
            assert_eq!((fault.status, fault.code), (StatusCode::BAD_REQUEST, "ValidationError"));
            fault.message.into_owned()
        })
    }

    #[test]
    fn what_is_within_bounds_passes() {
        assert_eq!(message(|c| c.number("n", 900, 900..=1000)), None);
        assert_eq!(message(|c| c.number("n", 1000, 900..=1000)), None);
        assert_eq!(message(|c| c.text("t", "123456", 6..=6, &DIGITS)), None);
    }

    #[test]
    fn violations_read_as_aws_writes_them() {
        assert_eq!(
            message(|c| c.number("durationSeconds", 899, 900..=129_600)).as_deref(),
            Some(
                "1 validation error detected: Value '899' at 'durationSeconds' failed to satisfy constraint: \
                 Member must have value greater than or equal to 900"
            )
        );
        assert_eq!(
            message(|c| c.text("tokenCode", "12345", 6..=6, &DIGITS)).as_deref(),
            Some(
                "1 validation error detected: Value '12345' at 'tokenCode' failed to satisfy constraint: \
                 Member must have length greater than or equal to 6"
            )
        );
    }

    #[test]
    fn all_violations_are_told_at_once() {
        let told = message(|c| {
            c.number("n", 7, 1..=6);
            c.text("t", "1234\u{e9}x7", 6..=6, &DIGITS);
        });
        assert_eq!(
            told.as_deref(),
            Some(
                "3 validation errors detected: \
                 Value '7' at 'n' failed to satisfy constraint: Member must have value less than or equal to 6; \
                 Value '1234\u{e9}x7' at 't' failed to satisfy constraint: \
                 Member must have length less than or equal to 6; \
                 Value '1234\u{e9}x7' at 't' failed to satisfy constraint: \
                 Member must satisfy regular expression pattern: [\\d]*"
            )
        );
    }
}
