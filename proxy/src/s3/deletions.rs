//! The body of `DeleteObjects`, read for who may not delete everything.
//!
//! Strict, since what is permitted here must be what the backend deletes: what two readers could take for two things
//! is refused, for example a key that begins or ends with white space, which some trim.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html>

use http::StatusCode;
use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};

use super::asked::ObjectVersion;
use crate::fault::Fault;

/// The longest list, in bytes, that is read.
pub const MAX_DELETIONS_BYTES: usize = 2 << 20;
/// The most objects of one request.
const MAX_OBJECTS: usize = 1_000;

/// The body is no list of objects to delete, or could be read as two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body lists no objects to delete")]
pub struct MalformedDeletions;

impl MalformedDeletions {
    /// As S3 answers it.
    pub fn fault(&self) -> Fault {
        let message =
            "The XML you provided was not well-formed or did not validate against our published schema";
        Fault::new(StatusCode::BAD_REQUEST, "MalformedXML", message)
    }
}

/// The longest reference to a character, without what encloses it: some readers stop at fewer leading zeros.
const MAX_REFERENCE: usize = 16;

/// The name of an element and its text.
type Condition = (&'static str, String);

/// What is to be deleted: 1 to 1,000 objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletions {
    /// In the order of the list.
    pub objects: Vec<ObjectVersion>,
    /// Of each object, elements that say in which state it is to be deleted.
    conditions: Vec<Vec<Condition>>,
    /// Whether the answer is to be silent about what was deleted.
    quiet: bool,
}

impl Deletions {
    /// Reads a list.
    pub fn parse(document: &[u8]) -> Result<Self, MalformedDeletions> {
        let document = std::str::from_utf8(document).map_err(|_| MalformedDeletions)?;
        let mut list = List { tokens: Reader::from_str(document) };
        let mut read = Self { objects: Vec::new(), conditions: Vec::new(), quiet: false };
        list.open("Delete")?;
        while let Some(element) = list.next()? {
            match element.as_str() {
                "Object" if read.objects.len() < MAX_OBJECTS => {
                    let (object, conditions) = list.object()?;
                    read.objects.push(object);
                    read.conditions.push(conditions);
                }
                "Quiet" => read.quiet = matches!(list.text()?.trim(), "true" | "True" | "TRUE" | "1"),
                _ => return Err(MalformedDeletions),
            }
        }
        list.end()?;
        if read.objects.is_empty() { Err(MalformedDeletions) } else { Ok(read) }
    }

    /// The list anew, with `key_prefix` before each key. Nothing of the client's own spelling is in it.
    pub fn document(&self, key_prefix: &str) -> Vec<u8> {
        let mut xml = String::from("<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
        if self.quiet {
            element(&mut xml, "Quiet", "true");
        }
        for (ObjectVersion { key, version }, conditions) in self.objects.iter().zip(&self.conditions) {
            xml.push_str("<Object>");
            element(&mut xml, "Key", &format!("{key_prefix}{key}"));
            if let Some(version) = version {
                element(&mut xml, "VersionId", version);
            }
            for (name, text) in conditions {
                element(&mut xml, name, text);
            }
            xml.push_str("</Object>");
        }
        xml.push_str("</Delete>");
        xml.into_bytes()
    }
}

/// Control characters as references: as they are, readers change some of them and refuse others.
fn element(xml: &mut String, name: &str, text: &str) {
    use std::fmt::Write as _;
    // Writing to a String cannot fail.
    let _ = write!(xml, "<{name}>");
    for character in text.chars() {
        match character {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            control if control.is_control() => drop(write!(xml, "&#{};", u32::from(control))),
            plain => xml.push(plain),
        }
    }
    let _ = write!(xml, "</{name}>");
}

struct List<'d> {
    tokens: Reader<&'d [u8]>,
}

impl<'d> List<'d> {
    fn token(&mut self) -> Result<Event<'d>, MalformedDeletions> {
        self.tokens.read_event().map_err(|_| MalformedDeletions)
    }

    /// The start of the root.
    fn open(&mut self, name: &str) -> Result<(), MalformedDeletions> {
        loop {
            match self.token()? {
                Event::Decl(declaration) => {
                    let encoding = declaration.encoding().transpose().map_err(|_| MalformedDeletions)?;
                    if !encoding.is_none_or(|encoding| encoding.eq_ignore_ascii_case("UTF-8")) {
                        return Err(MalformedDeletions);
                    }
                }
                Event::Text(text) if is_blank(&text) => {}
                Event::Start(start) if start.name().as_ref() == name => return Ok(()),
                _ => return Err(MalformedDeletions),
            }
        }
    }

    /// The name of the next child; `None` at the end of its parent.
    fn next(&mut self) -> Result<Option<String>, MalformedDeletions> {
        loop {
            match self.token()? {
                Event::Text(text) if is_blank(&text) => {}
                Event::Start(start) => return plain(&start).map(Some),
                Event::End(_) => return Ok(None),
                _ => return Err(MalformedDeletions),
            }
        }
    }

    fn object(&mut self) -> Result<(ObjectVersion, Vec<Condition>), MalformedDeletions> {
        const CONDITIONS: [&str; 3] = ["ETag", "LastModifiedTime", "Size"];
        let (mut key, mut version, mut conditions) = (None, None, Vec::new());
        while let Some(element) = self.next()? {
            let text = self.text()?;
            let replaced = match element.as_str() {
                "Key" => key.replace(text),
                "VersionId" => version.replace(text),
                name => {
                    let known = CONDITIONS.into_iter().find(|known| *known == name);
                    conditions.push((known.ok_or(MalformedDeletions)?, text));
                    None
                }
            };
            if replaced.is_some() {
                return Err(MalformedDeletions);
            }
        }
        let trimmed = |text: &String| !text.is_empty() && text.trim() == text;
        let Some(key) = key.filter(trimmed) else { return Err(MalformedDeletions) };
        if !version.as_ref().is_none_or(trimmed) {
            return Err(MalformedDeletions);
        }
        Ok((ObjectVersion { key, version }, conditions))
    }

    /// The content of an element that has no children.
    fn text(&mut self) -> Result<String, MalformedDeletions> {
        let mut content = String::new();
        loop {
            match self.token()? {
                Event::Text(text) => {
                    // XML makes a line feed of it, some readers do not.
                    if text.contains('\r') {
                        return Err(MalformedDeletions);
                    }
                    content.push_str(&text);
                }
                Event::GeneralRef(reference) => content.push(character(&reference)?),
                Event::End(_) => return Ok(content),
                _ => return Err(MalformedDeletions),
            }
        }
    }

    /// Nothing stands behind the root.
    fn end(&mut self) -> Result<(), MalformedDeletions> {
        loop {
            match self.token()? {
                Event::Text(text) if is_blank(&text) => {}
                Event::Eof => return Ok(()),
                _ => return Err(MalformedDeletions),
            }
        }
    }
}

fn is_blank(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_whitespace())
}

/// The name of an element without attributes.
fn plain(start: &BytesStart<'_>) -> Result<String, MalformedDeletions> {
    let bare = start.attributes().next().is_none();
    bare.then(|| start.name().as_ref().to_owned()).ok_or(MalformedDeletions)
}

fn character(reference: &BytesRef<'_>) -> Result<char, MalformedDeletions> {
    if reference.len() > MAX_REFERENCE {
        return Err(MalformedDeletions);
    }
    match reference.resolve_char_ref() {
        Ok(Some(character)) => Ok(character),
        Ok(None) => match reference.as_ref() {
            "amp" => Ok('&'),
            "lt" => Ok('<'),
            "gt" => Ok('>'),
            "apos" => Ok('\''),
            "quot" => Ok('"'),
            _ => Err(MalformedDeletions),
        },
        Err(_) => Err(MalformedDeletions),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(xml: &str) -> Result<Vec<(String, Option<String>)>, MalformedDeletions> {
        let read = Deletions::parse(xml.as_bytes())?;
        Ok(read.objects.into_iter().map(|object| (object.key, object.version)).collect())
    }

    #[test]
    fn reads_what_sdks_send() {
        let xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                   <Quiet>true</Quiet><Object><Key>a/b &amp; c&#x9;.txt</Key></Object>\n  \
                   <Object>\n<Key>größe</Key><VersionId>v1</VersionId><ETag>\"x\"</ETag></Object></Delete>\n";
        let expected = vec![("a/b & c\t.txt".to_owned(), None), ("größe".to_owned(), Some("v1".to_owned()))];
        assert_eq!(listed(xml), Ok(expected));
    }

    #[test]
    fn refuses_what_could_be_read_in_two_ways() {
        let many = format!("<Delete>{}</Delete>", "<Object><Key>k</Key></Object>".repeat(1_001));
        for xml in [
            "",
            "<Delete/>",
            "<Delete></Delete>",
            "<Remove><Object><Key>k</Key></Object></Remove>",
            "<Delete><Object><Key>k</Key></Object>",
            "<Delete><Object><Key>k</Key></Object></Delete><Delete/>",
            "<Delete><Object></Object></Delete>",
            "<Delete><Object><Key></Key></Object></Delete>",
            "<Delete><Object><Key>k</Key><Key>l</Key></Object></Delete>",
            "<Delete><Object><Key> k</Key></Object></Delete>",
            "<Delete><Object><Key>k\r</Key></Object></Delete>",
            "<Delete><Object><Key>k<!-- --></Key></Object></Delete>",
            "<Delete><Object><Key><![CDATA[k]]></Key></Object></Delete>",
            "<Delete><Object><Key>&x;</Key></Object></Delete>",
            "<Delete><Object><Key>k</Key><VersionId></VersionId></Object></Delete>",
            "<Delete><Object><Key>k</Key><Other>l</Other></Object></Delete>",
            "<Delete><Object x=\"y\"><Key>k</Key></Object></Delete>",
            "<Delete><x:Object><Key>k</Key></x:Object></Delete>",
            "<!DOCTYPE Delete><Delete><Object><Key>k</Key></Object></Delete>",
            "<?xml version=\"1.0\" encoding=\"UTF-16\"?><Delete><Object><Key>k</Key></Object></Delete>",
            "<Delete>text<Object><Key>k</Key></Object></Delete>",
            &many,
        ] {
            assert_eq!(listed(xml), Err(MalformedDeletions), "{}", &xml[..xml.len().min(90)]);
        }
        assert_eq!(
            Deletions::parse(b"<Delete><Object><Key>\xff</Key></Object></Delete>"),
            Err(MalformedDeletions)
        );
    }

    #[test]
    fn a_reference_is_no_longer_than_every_reader_takes_it() {
        let of = |zeros: usize| {
            format!("<Delete><Object><Key>&#{}116;</Key></Object></Delete>", "0".repeat(zeros))
        };
        assert_eq!(listed(&of(12)), Ok(vec![("t".to_owned(), None)]));
        for zeros in [13, 33_000] {
            assert_eq!(listed(&of(zeros)), Err(MalformedDeletions), "{zeros}");
        }
    }

    #[test]
    fn every_key_of_the_list_anew_has_the_prefix() {
        let long = "k".repeat(40_000);
        let xml = format!(
            "<?xml version=\"1.0\"?>\n<Delete><Quiet>true</Quiet><Object>\n<Key>a &amp;&#60;&#10;b</Key>\
             <VersionId>v&amp;</VersionId></Object><Object><ETag>\"x\"</ETag><Key>{long}</Key></Object></Delete>"
        );
        let read = Deletions::parse(xml.as_bytes()).unwrap();
        let expected = format!(
            "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet><Object>\
             <Key>t-a/a &amp;&lt;&#10;b</Key><VersionId>v&amp;</VersionId></Object>\
             <Object><Key>t-a/{long}</Key><ETag>\"x\"</ETag></Object></Delete>"
        );
        let document = read.document("t-a/");
        assert_eq!(String::from_utf8(document.clone()).unwrap(), expected);
        let prefixed = Deletions::parse(&document).unwrap();
        assert!(
            prefixed
                .objects
                .iter()
                .zip(&read.objects)
                .all(|(new, old)| new.key == format!("t-a/{}", old.key))
        );
        assert_eq!((prefixed.conditions, prefixed.quiet), (read.conditions, read.quiet));
    }
}
