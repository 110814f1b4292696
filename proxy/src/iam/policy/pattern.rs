//! Strings of a policy, compiled: literals, wildcards and policy variables.
//!
//! Matching is by bytes, backtracks no further than the last `*`, and copies nothing. What a variable stands for is
//! literal: a `*` in a user's tag is an asterisk. A string with a variable that stands for nothing never matches.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html>

use super::context::{Context, Scratch, lower_case};
use super::key::Key;

/// What a string of a policy may hold beside literal text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Syntax {
    /// `*` and `?` are wildcards.
    pub(super) wildcards: bool,
    /// `${…}` is a variable: since version 2012-10-17 of the policy language.
    pub(super) variables: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(Box<str>),
    /// `?`: one character.
    One,
    /// `*`: any characters, or none.
    Many,
    Variable {
        key: Key,
        default: Option<Box<str>>,
    },
}

/// A string of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(Box<[Piece]>);

/// Why a string of a policy means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum VariableError {
    #[error("the variable that begins with {0:?} does not end")]
    Unclosed(String),
    #[error("{0:?} is not a policy variable")]
    Unknown(String),
}

impl Pattern {
    pub(super) fn compile(text: &str, syntax: Syntax) -> Result<Self, VariableError> {
        let mut pieces = Pieces::default();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if syntax.variables && rest.starts_with("${") {
                let end = rest.find('}').ok_or_else(|| VariableError::Unclosed(rest.to_owned()))?;
                pieces.variable(&rest[2..end])?;
                rest = &rest[end + 1..];
                continue;
            }
            match first {
                '*' if syntax.wildcards => pieces.wildcard(Piece::Many),
                '?' if syntax.wildcards => pieces.wildcard(Piece::One),
                _ => pieces.literal.push(first),
            }
            rest = &rest[first.len_utf8()..];
        }
        pieces.flush();
        Ok(Self(pieces.done.into()))
    }

    /// As [`compile`](Self::compile), for the name of a resource: what lacks parts gets `*` for each, as AWS does.
    pub(super) fn compile_arn(text: &str, syntax: Syntax) -> Result<Self, VariableError> {
        let Self(pieces) = Self::compile(text, syntax)?;
        let literal = |piece: &Piece| match piece {
            Piece::Literal(text) => Some(text.matches(':').count()),
            Piece::One | Piece::Many => Some(0),
            Piece::Variable { .. } => None,
        };
        let colons = pieces.iter().map(literal).sum::<Option<usize>>();
        let missing = colons.map_or(0, |colons| 5_usize.saturating_sub(colons));
        let completed = (0..missing).flat_map(|_| [Piece::Literal(":".into()), Piece::Many]);
        Ok(Self(if *pieces == [Piece::Many] {
            pieces
        } else {
            pieces.into_iter().chain(completed).collect()
        }))
    }

    /// Whether it is `*` and nothing else.
    pub(super) fn is_anything(&self) -> bool {
        *self.0 == [Piece::Many]
    }

    /// Whether `subject` is such a string, byte by byte.
    pub(super) fn matches(&self, subject: &str, context: &Context<'_>) -> bool {
        self.glob(&Subject { text: subject, apart: 0, fold: false }, context)
    }

    /// Whether `subject` is such a string, ASCII letters in any case: for names of actions.
    pub(super) fn matches_action(&self, subject: &str) -> bool {
        self.glob(&Subject { text: subject, apart: 0, fold: true }, &Context::default())
    }

    /// Whether `subject` is such an ARN: no wildcard reaches across the colon between two parts.
    pub(super) fn matches_arn(&self, subject: &str, context: &Context<'_>) -> bool {
        if self.is_anything() {
            return true;
        }
        let fifth = subject.bytes().enumerate().filter(|(_, byte)| *byte == b':').nth(4);
        fifth
            .is_some_and(|(at, _)| self.glob(&Subject { text: subject, apart: at + 1, fold: false }, context))
    }

    /// Whether `subject` is this string, letters of any script in any case. Wildcards do not occur.
    pub(super) fn equals_ignoring_case(&self, subject: &str, context: &Context<'_>) -> bool {
        let mut rest = lower_case(subject);
        let equal = self.0.iter().all(|piece| {
            let found = piece.with_text(context, |text| lower_case(text).all(|c| rest.next() == Some(c)));
            found.unwrap_or(false)
        });
        equal && rest.next().is_none()
    }

    fn glob(&self, subject: &Subject<'_>, context: &Context<'_>) -> bool {
        let mut runs = self.0.split(|piece| *piece == Piece::Many);
        let first = runs.next().unwrap_or_default();
        let Some(mut at) = subject.run(first, 0, context) else { return false };
        let mut waiting = runs.next();
        if waiting.is_none() {
            return at == subject.text.len();
        }
        while let Some(run) = waiting {
            waiting = runs.next();
            let last = waiting.is_none();
            let Some(end) = subject.find(run, at, last, context) else { return false };
            at = end;
        }
        true
    }
}

impl Piece {
    /// Hands the text it stands for to `read`; `None` where it stands for none.
    fn with_text<T>(&self, context: &Context<'_>, read: impl FnOnce(&str) -> T) -> Option<T> {
        match self {
            Self::Literal(text) => Some(read(text)),
            // A key of several values stands for none of them, and is not missing either.
            Self::Variable { key, default } => match context.get(key) {
                Some(value) => value.single().map(|scalar| read(scalar.text(&mut Scratch::new()))),
                None => default.as_deref().map(read),
            },
            Self::One | Self::Many => None,
        }
    }
}

struct Subject<'a> {
    text: &'a str,
    /// Wildcards take no colon before this byte.
    apart: usize,
    /// ASCII letters count in any case.
    fold: bool,
}

impl Subject<'_> {
    /// Where the first place after a `*` that fits `run`, at or after `from`, ends; at the very end of the
    /// text for the `last` run.
    fn find(&self, run: &[Piece], from: usize, last: bool, context: &Context<'_>) -> Option<usize> {
        let end = self.text.len();
        if last && run.is_empty() {
            return self.text.as_bytes()[from..]
                .iter()
                .zip(from..)
                .all(|(b, at)| self.takes(*b, at))
                .then_some(end);
        }
        let mut at = from;
        loop {
            match self.run(run, at, context) {
                Some(found) if !last || found == end => return Some(found),
                Some(_) | None => {}
            }
            at = self.one(at)?;
        }
    }

    /// Where `run` ends if it fits at `at`. It holds no `*`.
    fn run(&self, run: &[Piece], mut at: usize, context: &Context<'_>) -> Option<usize> {
        for piece in run {
            at = match piece {
                Piece::One => self.one(at)?,
                piece => piece.with_text(context, |text| self.literal(text, at))??,
            };
        }
        Some(at)
    }

    fn literal(&self, text: &str, at: usize) -> Option<usize> {
        let found = self.text.as_bytes().get(at..at + text.len())?;
        let same =
            if self.fold { found.eq_ignore_ascii_case(text.as_bytes()) } else { found == text.as_bytes() };
        same.then_some(at + text.len())
    }

    /// The end of the one character a wildcard takes at `at`.
    fn one(&self, at: usize) -> Option<usize> {
        let next = self.text.get(at..)?.chars().next()?;
        self.takes(self.text.as_bytes()[at], at).then_some(at + next.len_utf8())
    }

    fn takes(&self, byte: u8, at: usize) -> bool {
        byte != b':' || at >= self.apart
    }
}

#[derive(Default)]
struct Pieces {
    done: Vec<Piece>,
    literal: String,
}

impl Pieces {
    fn flush(&mut self) {
        if !self.literal.is_empty() {
            self.done.push(Piece::Literal(std::mem::take(&mut self.literal).into()));
        }
    }

    fn wildcard(&mut self, piece: Piece) {
        self.flush();
        if piece == Piece::One || self.done.last() != Some(&Piece::Many) {
            self.done.push(piece);
        }
    }

    /// `inner` stands between the braces: a key, perhaps with a default behind it, or one of the characters that
    /// would otherwise mean something.
    fn variable(&mut self, inner: &str) -> Result<(), VariableError> {
        if let "*" | "?" | "$" = inner {
            self.literal.push_str(inner);
            return Ok(());
        }
        let unknown = || VariableError::Unknown(format!("${{{inner}}}"));
        let (name, default) = match inner.split_once(',') {
            Some((name, quoted)) => {
                let quoted = quoted.trim().strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
                (name, Some(quoted.filter(|text| !text.contains('\'')).ok_or_else(unknown)?))
            }
            None => (inner, None),
        };
        let key = Key::parse(name.trim()).ok_or_else(unknown)?;
        self.flush();
        self.done.push(Piece::Variable { key, default: default.map(Into::into) });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::context::{Tags, Value};
    use super::super::key::{Name, TagFamily};
    use super::*;

    const ALL: Syntax = Syntax { wildcards: true, variables: true };

    fn known() -> Context<'static> {
        let mut context = Context::default();
        context.set(Name::UserName, Value::Text("alice"));
        context.set(Name::UserId, Value::Text("a*b"));
        context.set(Name::EpochTime, Value::Number(1_700_000_000));
        context.set(Name::SecureTransport, Value::Flag(true));
        context.set(Name::SourceIp, Value::Address("2001:db8::7".parse().unwrap()));
        context.set(Name::StsTransitiveTagKeys, Value::Texts(&["team"]));
        context.set_tags(TagFamily::Principal, Tags::Pairs(&[("Team", "blue"), ("none", "")]));
        context
    }

    fn matches(pattern: &str, subject: &str) -> bool {
        Pattern::compile(pattern, ALL).unwrap().matches(subject, &known())
    }

    #[test]
    fn wildcards_and_variables_fit_as_documented() {
        for (pattern, subject, expected) in [
            ("", "", true),
            ("", "a", false),
            ("a", "a", true),
            ("a", "A", false),
            ("*", "", true),
            ("**", "abc", true),
            ("a*", "a", true),
            ("a*c", "abcbc", true),
            ("a*bc*d", "abcbcxd", true),
            ("*ab", "aab", true),
            ("*a?", "abac", true),
            ("?", "é", true),
            ("?", "", false),
            ("??", "é", false),
            ("a?c", "a*c", true),
            ("home/${aws:username}/*", "home/alice/k", true),
            ("home/${AWS:UserName}/*", "home/alice/", true),
            ("home/${aws:username}/*", "home/bob/k", false),
            ("*${aws:username}*", "xxalicexx", true),
            ("${aws:userid}", "a*b", true),
            ("${aws:userid}", "axb", false),
            ("${aws:PrincipalTag/team}", "blue", true),
            ("x${aws:PrincipalTag/none}y", "xy", true),
            ("${aws:PrincipalTag/absent}", "", false),
            ("${aws:PrincipalTag/absent}*", "anything", false),
            ("*${aws:PrincipalTag/absent}", "", false),
            ("${aws:PrincipalTag/absent, 'all'}", "all", true),
            ("${aws:PrincipalTag/absent, ''}", "", true),
            ("${aws:PrincipalTag/absent, '*'}", "x", false),
            ("${aws:PrincipalTag/team, 'all'}", "blue", true),
            ("${aws:EpochTime}/${aws:SecureTransport}", "1700000000/true", true),
            ("${aws:SourceIp}", "2001:db8::7", true),
            ("${sts:TransitiveTagKeys}", "team", false),
            ("${sts:TransitiveTagKeys, 'team'}", "team", false),
            ("a${*}b${?}c${$}", "a*b?c$", true),
            ("a${*}b", "axb", false),
            ("$aws:username", "$aws:username", true),
        ] {
            assert_eq!(matches(pattern, subject), expected, "{pattern} on {subject:?}");
        }
    }

    #[test]
    fn without_the_syntax_everything_is_literal() {
        let plain = Syntax { wildcards: false, variables: false };
        for text in ["a*b?", "${aws:username}", "${", "${nonsense"] {
            let pattern = Pattern::compile(text, plain).unwrap();
            assert!(pattern.matches(text, &known()), "{text}");
        }
    }

    #[test]
    fn what_is_no_variable_is_refused() {
        for text in ["${", "a${aws:username", "${}", "${username}", "${aws:}", "${aws:username, none}"] {
            assert!(Pattern::compile(text, ALL).is_err(), "{text}");
        }
        for text in ["${aws:username, 'a'b'}", "${aws:username, '}", "${aws:PrincipalTag/}", "${**}"] {
            assert!(Pattern::compile(text, ALL).is_err(), "{text}");
        }
    }

    #[test]
    fn no_wildcard_of_an_arn_reaches_across_a_colon() {
        for (pattern, subject, expected) in [
            ("*", "not an arn", true),
            ("arn:aws:s3:::b/*", "arn:aws:s3:::b/k", true),
            ("arn:aws:s3:::b/*", "arn:aws:s3:::b/k:l", true),
            ("arn:aws:sns:*:123456789012:t", "arn:aws:sns:eu-west-1:123456789012:t", true),
            ("arn:aws:sns:*:t", "arn:aws:sns:eu-west-1:123456789012:t", false),
            ("arn:aws:s*:t", "arn:aws:sns:eu-west-1:123456789012:t", false),
            ("arn:aws:sns:*:*:*", "arn:aws:sns:eu-west-1:123456789012:t:u", true),
            ("arn:aws:sns:?u-*1:*2:*u", "arn:aws:sns:eu-west-1:123456789012:t:u", true),
            ("arn:*", "arn:aws:s3:::b", true),
            ("arn:aws:s3", "arn:aws:s3:::b", true),
            ("arn:aws:s3", "arn:aws:sns:::b", false),
            ("arn:aws:s3:*", "arn:aws:s3:::b", true),
            ("arn:aws:s3:::*", "arn:aws:s3:eu:1:b", false),
            ("arn:aws:s3:::*", "arn:aws:s3::", false),
            ("arn:aws:iam::*:user/${aws:username}", "arn:aws:iam::123456789012:user/alice", true),
            ("arn:aws:iam::1:ip/${aws:SourceIp}", "arn:aws:iam::1:ip/2001:db8::7", true),
            ("arn:aws:s3:::b/**", "arn:aws:s3:::b/", true),
        ] {
            let compiled = Pattern::compile_arn(pattern, ALL).unwrap();
            assert_eq!(compiled.matches_arn(subject, &known()), expected, "{pattern} on {subject}");
        }
    }

    #[test]
    fn actions_and_texts_ignore_case_each_in_its_way() {
        let action = Pattern::compile("s3:Get*", Syntax { wildcards: true, variables: false }).unwrap();
        assert!(action.matches_action("S3:GETOBJECT"));
        assert!(!action.matches_action("s3:PutObject"));
        for (pattern, subject, expected) in [
            ("GRÖSSE", "grösse", true),
            ("Alice", "ALICE", true),
            ("Alice", "ALICEX", false),
            ("Alice", "ALIC", false),
            ("x${aws:username}", "XALICE", true),
            ("${aws:PrincipalTag/absent}", "", false),
            ("a*", "A*", true),
        ] {
            let syntax = Syntax { wildcards: false, variables: true };
            let compiled = Pattern::compile(pattern, syntax).unwrap();
            assert_eq!(compiled.equals_ignoring_case(subject, &known()), expected, "{pattern} on {subject}");
        }
    }

    /// Says the same by trying everything.
    fn naive(pattern: &[char], subject: &[char]) -> bool {
        match pattern.split_first() {
            None => subject.is_empty(),
            Some(('*', rest)) => (0..=subject.len()).any(|taken| naive(rest, &subject[taken..])),
            Some(('?', rest)) => !subject.is_empty() && naive(rest, &subject[1..]),
            Some((literal, rest)) => subject.first() == Some(literal) && naive(rest, &subject[1..]),
        }
    }

    fn naive_text(pattern: &str, subject: &str) -> bool {
        let characters = |text: &str| text.chars().collect::<Vec<_>>();
        naive(&characters(pattern), &characters(subject))
    }

    proptest! {
        #[test]
        fn agrees_with_a_naive_matcher(pattern in "[ab*?é]{0,8}", subject in "[abé]{0,10}") {
            prop_assert_eq!(matches(&pattern, &subject), naive_text(&pattern, &subject));
        }

        #[test]
        fn agrees_with_a_naive_matcher_part_by_part(
            pattern in prop::collection::vec("[ab*?]{0,4}", 6),
            last in "[ab:*?]{0,6}",
            subject in prop::collection::vec("[ab]{0,4}", 6),
            rest in "[ab:]{0,6}",
        ) {
            let (pattern, subject) = (pattern[..5].iter().chain([&last]), subject[..5].iter().chain([&rest]));
            let (pattern, subject): (Vec<_>, Vec<_>) = (pattern.collect(), subject.collect());
            let expected = pattern.iter().zip(&subject).all(|(pattern, part)| naive_text(pattern, part));
            let join = |parts: &[&String]| parts.iter().map(|part| part.as_str()).collect::<Vec<_>>().join(":");
            let compiled = Pattern::compile_arn(&join(&pattern), ALL).unwrap();
            prop_assert_eq!(compiled.matches_arn(&join(&subject), &known()), expected);
        }

        #[test]
        fn compiles_or_refuses_any_text(text in ".{0,40}", subject in ".{0,40}") {
            if let Ok(pattern) = Pattern::compile(&text, ALL) {
                let _ = pattern.matches(&subject, &known());
                let _ = pattern.matches_arn(&subject, &known());
            }
        }
    }
}
