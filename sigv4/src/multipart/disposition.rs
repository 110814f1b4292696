//! Header values of the form `value; name=text; name="text"`.

use std::borrow::Cow;

/// A value with parameters: `Content-Disposition` of a part, `Content-Type` of a body.
pub(super) struct Disposition<'a> {
    pub(super) value: &'a [u8],
    parameters: Vec<(&'a [u8], Cow<'a, [u8]>)>,
}

/// More than any client writes. Each name is compared with those before it: a longer list could only buy time.
const MAX_PARAMETERS: usize = 16;

impl<'a> Disposition<'a> {
    /// `None` for a quote that does not end, a parameter without `=`, too many of them, and a parameter that comes
    /// twice: no telling which one others would take.
    pub(super) fn parse(text: &'a [u8]) -> Option<Self> {
        let end = text.iter().position(|&byte| byte == b';').unwrap_or(text.len());
        let (value, mut rest) = text.split_at(end);
        let mut parameters: Vec<(&[u8], Cow<'_, [u8]>)> = Vec::new();
        while let Some(parameter) = rest.strip_prefix(b";") {
            let parameter = parameter.trim_ascii_start();
            if parameter.is_empty() {
                rest = parameter;
                continue;
            }
            let (name, after) = crate::scan::cut(parameter, b'=')?;
            let name = name.trim_ascii_end();
            let (text, after) = match after.strip_prefix(b"\"") {
                Some(quoted) => unquote(quoted)?,
                None => {
                    let end = after.iter().position(|&byte| byte == b';').unwrap_or(after.len());
                    (Cow::Borrowed(after[..end].trim_ascii()), &after[end..])
                }
            };
            let is_repeated = parameters.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
            if is_repeated || parameters.len() == MAX_PARAMETERS {
                return None;
            }
            parameters.push((name, text));
            rest = after.trim_ascii_start();
        }
        rest.is_empty().then_some(Self { value: value.trim_ascii(), parameters })
    }

    /// The parameter called `name`, in any case.
    pub(super) fn parameter(&self, name: &str) -> Option<Cow<'a, [u8]>> {
        let same = |(other, _): &&(&[u8], Cow<'a, [u8]>)| other.eq_ignore_ascii_case(name.as_bytes());
        self.parameters.iter().find(same).map(|(_, text)| text.clone())
    }
}

/// The text up to the closing quote, and what follows it.
///
/// A backslash protects a quote or another backslash and is itself anywhere else: some browsers send whole paths,
/// `C:\pictures\cat.jpg`, as they are.
fn unquote(text: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let mut unquoted = Vec::new();
    let mut copied = 0;
    let mut at = 0;
    loop {
        match (text.get(at)?, text.get(at + 1)) {
            (b'"', _) => break,
            (b'\\', Some(b'"' | b'\\')) => {
                unquoted.extend_from_slice(&text[copied..at]);
                copied = at + 1;
                at += 2;
            }
            _ => at += 1,
        }
    }
    let rest = &text[at + 1..];
    if copied == 0 {
        return Some((Cow::Borrowed(&text[..at]), rest));
    }
    unquoted.extend_from_slice(&text[copied..at]);
    Some((Cow::Owned(unquoted), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(text: &str) -> Option<Vec<(String, String)>> {
        let parsed = Disposition::parse(text.as_bytes())?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Some(parsed.parameters.iter().map(|(name, value)| (text(name), text(value))).collect())
    }

    #[test]
    fn parameters_are_read_quoted_or_not() {
        for (text, expected) in [
            ("form-data", &[][..]),
            ("form-data;", &[]),
            ("form-data; name=key", &[("name", "key")]),
            ("form-data;name=\"a;b\" ; filename=\"c\"", &[("name", "a;b"), ("filename", "c")]),
            ("form-data; name=\"\"", &[("name", "")]),
            ("form-data; filename=\"C:\\cats\\a.jpg\"", &[("filename", "C:\\cats\\a.jpg")]),
            ("form-data; filename=\"a\\\"b\\\\\\\\c\"", &[("filename", "a\"b\\\\c")]),
            ("form-data; name = x", &[("name", "x")]),
        ] {
            let expected = expected.iter().map(|(name, value)| (name.to_string(), value.to_string()));
            assert_eq!(parameters(text), Some(expected.collect()), "{text}");
        }
    }

    #[test]
    fn parameters_are_few() {
        let text =
            |count| (0..count).fold("form-data".to_owned(), |text, number| format!("{text}; a{number}=b"));
        assert_eq!(parameters(&text(MAX_PARAMETERS)).map(|list| list.len()), Some(MAX_PARAMETERS));
        assert_eq!(parameters(&text(MAX_PARAMETERS + 1)), None);
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_not_read() {
        for text in [
            "form-data; name",
            "form-data; name=\"a",
            "form-data; name=\"a\\\"",
            "form-data; name=\"a\"b",
            "form-data; name=a; NAME=b",
        ] {
            assert_eq!(parameters(text), None, "{text}");
        }
    }
}
