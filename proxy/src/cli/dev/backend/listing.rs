//! Which objects a bucket holds, page by page, in the order S3 lists them.
//!
//! The directory is read anew for every page: simple, right under concurrent writes, and as fast as a development
//! backend has to be.

use std::fs;
use std::io;
use std::path::Path;

use super::names;

/// What a page is asked for with.
pub(super) struct Query<'a> {
    /// What every key starts with.
    pub(super) prefix: &'a str,
    /// Keys that share what comes before it, after the prefix, are told as one.
    pub(super) delimiter: Option<&'a str>,
    /// The key or common prefix after which the page begins.
    pub(super) after: Option<&'a str>,
    /// At most so many entries.
    pub(super) limit: usize,
}

/// One line of a page.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// The key of an object.
    Object(String),
    /// What several keys have in common.
    Prefix(String),
}

/// Entries in the order of their bytes.
pub(super) struct Page {
    pub(super) entries: Vec<Entry>,
    /// With what in [`Query::after`] the next page begins, if there is one.
    pub(super) next: Option<String>,
}

impl Entry {
    fn of(key: String, query: &Query<'_>) -> Option<Self> {
        let rest = key.strip_prefix(query.prefix)?;
        let Some(delimiter) = query.delimiter.filter(|delimiter| !delimiter.is_empty()) else {
            return Some(Self::Object(key));
        };
        Some(match rest.find(delimiter) {
            Some(at) => Self::Prefix(key[..query.prefix.len() + at + delimiter.len()].to_owned()),
            None => Self::Object(key),
        })
    }

    fn text(&self) -> &str {
        match self {
            Self::Object(text) | Self::Prefix(text) => text,
        }
    }
}

/// The page of `keys`, which are sorted, that `query` asks for.
pub(super) fn page(keys: Vec<String>, query: &Query<'_>) -> Page {
    let mut entries: Vec<Entry> = Vec::new();
    for key in keys.into_iter().filter(|key| query.after.is_none_or(|after| key.as_str() > after)) {
        let Some(entry) = Entry::of(key, query) else { continue };
        // A common prefix that ended the page before covers keys that sort after it.
        if entries.last() == Some(&entry) || query.after == Some(entry.text()) {
            continue;
        }
        if entries.len() == query.limit {
            let next = entries.last().map(|last| last.text().to_owned());
            return Page { entries, next };
        }
        entries.push(entry);
    }
    Page { entries, next: None }
}

/// Every key below the `directory` of `bucket`, sorted by bytes.
pub(super) fn keys(directory: &Path, bucket: &str) -> io::Result<Vec<String>> {
    let mut keys = Vec::new();
    let mut open = vec![(directory.to_owned(), String::new())];
    while let Some((path, above)) = open.pop() {
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let Ok(segment) = entry.file_name().into_string() else { continue };
            let name = format!("{above}{segment}");
            let kind = entry.file_type()?;
            if kind.is_dir() {
                open.push((entry.path(), name + "/"));
            } else if kind.is_file() {
                keys.extend(names::key_of(directory, bucket, &name));
            }
        }
    }
    keys.sort_unstable();
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 7] = ["a", "a-b", "a/1", "a/2/x", "a//", "b/1", "é"];

    /// Pages of `limit`, each as text with common prefixes in brackets.
    fn pages(prefix: &str, delimiter: Option<&str>, limit: usize) -> Vec<Vec<String>> {
        let mut keys = KEYS.map(str::to_owned).to_vec();
        keys.sort();
        let (mut pages, mut after) = (Vec::new(), None::<String>);
        loop {
            let query = Query { prefix, delimiter, after: after.as_deref(), limit };
            let Page { entries, next } = page(keys.clone(), &query);
            pages.push(
                entries
                    .iter()
                    .map(|entry| match entry {
                        Entry::Object(key) => key.clone(),
                        Entry::Prefix(prefix) => format!("[{prefix}]"),
                    })
                    .collect(),
            );
            match next {
                Some(next) => after = Some(next),
                None => return pages,
            }
        }
    }

    #[test]
    fn lists_by_prefix_and_delimiter_in_order_of_bytes() {
        assert_eq!(pages("", None, 1000), [["a", "a-b", "a//", "a/1", "a/2/x", "b/1", "é"]]);
        assert_eq!(pages("", Some("/"), 1000), [["a", "a-b", "[a/]", "[b/]", "é"]]);
        assert_eq!(pages("a/", Some("/"), 1000), [["[a//]", "a/1", "[a/2/]"]]);
        assert_eq!(pages("a/", None, 1000), [["a//", "a/1", "a/2/x"]]);
        assert_eq!(pages("", Some(""), 1000), pages("", None, 1000));
        assert_eq!(pages("none", None, 1000), [[""; 0]]);
    }

    #[test]
    fn every_entry_is_on_exactly_one_page() {
        for delimiter in [None, Some("/"), Some("-")] {
            let whole = pages("", delimiter, 1000).concat();
            for limit in 1..=whole.len() {
                let pages = pages("", delimiter, limit);
                assert_eq!(pages.len(), whole.len().div_ceil(limit));
                assert_eq!(pages.concat(), whole);
            }
        }
    }

    #[test]
    fn a_page_of_nothing_is_the_last() {
        assert_eq!(pages("", None, 0), [[""; 0]]);
    }

    #[test]
    fn a_start_within_a_common_prefix_still_tells_it() {
        let query = Query { prefix: "", delimiter: Some("/"), after: Some("a/1"), limit: 1 };
        let keys = vec!["a/1".to_owned(), "a/2".to_owned()];
        assert_eq!(page(keys, &query).entries, [Entry::Prefix("a/".to_owned())]);
    }
}
