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
            Self::Variable { key, default } => {
                match (context.get(key).and_then(|value| value.single()), default) {
                    (Some(scalar), _) => Some(read(scalar.text(&mut Scratch::new()))),
                    (None, Some(default)) => Some(read(default)),
                    (None, None) => None,
                }
            }
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
