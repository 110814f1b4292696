//! Tags of users, roles and sessions: what a key and a value may hold.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html#id_tags_rules>

use std::collections::BTreeMap;

/// Key and value of each tag. Keys keep their case and are compared without it: no map holds two that differ in case
/// only, so look them up by [`tag`].
pub type Tags = BTreeMap<String, String>;

/// The most tags one user, role or session has.
pub const MAX_TAGS: usize = 50;
/// Longest key, in characters.
pub const MAX_TAG_KEY: usize = 128;
/// Longest value, in characters.
pub const MAX_TAG_VALUE: usize = 256;
/// The regular expression of AWS for keys and values.
pub const TAG_PATTERN: &str = r"[\p{L}\p{Z}\p{N}_.:/=+\-@]+";

/// The value of the tag with this key, in whatever case.
pub fn tag<'t>(tags: &'t Tags, key: &str) -> Option<&'t str> {
    // The exact key is there in all but odd cases.
    let exact = tags.get(key);
    let found =
        exact.or_else(|| tags.iter().find(|(known, _)| same_tag_key(known, key)).map(|(_, value)| value));
    found.map(String::as_str)
}

/// Whether two keys name the same tag.
pub fn same_tag_key(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.eq_ignore_ascii_case(other)
        || !(one.is_ascii() && other.is_ascii()) && one.to_lowercase() == other.to_lowercase()
}

/// Whether a key or a value may hold it: a letter, digit or separator of any script, or one of `_.:/=+-@`.
pub fn is_tag_character(c: char) -> bool {
    // Separators of Unicode's category Z: what is white space without being a control character.
    let separator = c.is_whitespace() && !c.is_control();
    c.is_alphabetic() || c.is_numeric() || separator || "_.:/=+-@".contains(c)
}

fn is_tag_text(text: &str) -> bool {
    text.chars().all(is_tag_character)
}

/// Whether a key begins with `aws:`, in whatever case: those are not for users.
pub fn is_reserved_tag_key(key: &str) -> bool {
    key.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("aws:"))
}

/// What is wrong with the tags of a declared user or role, for people.
pub(super) fn tag_problem(tags: &Tags) -> Option<String> {
    if tags.len() > MAX_TAGS {
        return Some(format!("has more than {MAX_TAGS} tags"));
    }
    let mut seen: Vec<&str> = Vec::new();
    for (key, value) in tags {
        if key.is_empty() || key.chars().count() > MAX_TAG_KEY || !is_tag_text(key) {
            return Some(format!("{key:?} is not 1 to {MAX_TAG_KEY} characters of {TAG_PATTERN}"));
        }
        if is_reserved_tag_key(key) {
            return Some(format!("{key:?} begins with \"aws:\""));
        }
        if value.chars().count() > MAX_TAG_VALUE || !is_tag_text(value) {
            return Some(format!(
                "the value of {key:?} is not up to {MAX_TAG_VALUE} characters of {TAG_PATTERN}"
            ));
        }
        if seen.iter().any(|other| same_tag_key(other, key)) {
            return Some(format!("{key:?} is there twice, in different case"));
        }
        seen.push(key);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn keys_are_found_in_any_case() {
        let tags = tags(&[("Environment", "prod"), ("Größe", "m")]);
        assert_eq!(tag(&tags, "environment"), Some("prod"));
        assert_eq!(tag(&tags, "GRÖßE"), Some("m"));
        assert_eq!(tag(&tags, "Env"), None);
    }

    #[test]
    fn texts_are_letters_digits_separators_and_a_few_signs() {
        for text in ["", "a b", "Größe", "x_.:/=+-@", "東京", "\u{a0}", "½"] {
            assert!(is_tag_text(text), "{text:?}");
        }
        for text in ["a\tb", "a\n", "a*", "<", "#", "\u{0}", "a,b"] {
            assert!(!is_tag_text(text), "{text:?}");
        }
    }

    #[test]
    fn names_what_is_wrong_with_declared_tags() {
        let long = "x".repeat(129);
        for (pairs, says) in [
            (vec![("a", "1"), ("A", "2")], "twice"),
            (vec![("aws:x", "1")], "aws:"),
            (vec![("AWS:x", "1")], "aws:"),
            (vec![("", "1")], "1 to 128"),
            (vec![(long.as_str(), "1")], "1 to 128"),
            (vec![("a", "*")], "value"),
        ] {
            let problem = tag_problem(&tags(&pairs)).unwrap();
            assert!(problem.contains(says), "{problem}");
        }
        assert_eq!(tag_problem(&tags(&[("a", ""), ("b", "1")])), None);
    }
}
