//! Reads the answers of STS: XML of a fixed shape, of which elements with text are wanted.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;
use zeroize::Zeroizing;

/// Deepest nesting that is read. STS needs five.
const MAX_DEPTH: usize = 16;

/// The texts of an answer by the path of their element, for example `Credentials/AccessKeyId`. May hold secrets.
pub(in super::super) struct Answer(Vec<(String, Zeroizing<String>)>);

/// Not the XML of an STS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotAnAnswer;

impl Answer {
    /// Reads a whole document. Document types and processing instructions do not belong in one.
    pub(super) fn parse(text: &str) -> Result<Self, NotAnAnswer> {
        let mut reader = Reader::from_str(text);
        let mut path: Vec<String> = Vec::new();
        let mut content = Zeroizing::new(String::new());
        let mut texts = Vec::new();
        loop {
            match reader.read_event().map_err(|_| NotAnAnswer)? {
                Event::Start(start) if path.len() < MAX_DEPTH => {
                    path.push(start.local_name().as_ref().to_owned());
                    content.clear();
                }
                Event::Empty(empty) => {
                    let name = empty.local_name();
                    texts.push((joined(&path, Some(name.as_ref())), Zeroizing::default()));
                }
                Event::Text(text) => content.push_str(&text.xml10_content()),
                Event::CData(text) => content.push_str(&text.xml10_content()),
                Event::GeneralRef(reference) => {
                    match reference.resolve_char_ref().map_err(|_| NotAnAnswer)? {
                        Some(character) => content.push(character),
                        None => content.push_str(resolve_predefined_entity(&reference).ok_or(NotAnAnswer)?),
                    }
                }
                Event::End(_) => {
                    texts.push((joined(&path, None), std::mem::take(&mut content)));
                    path.pop();
                }
                Event::Decl(_) | Event::Comment(_) => {}
                Event::Eof if path.is_empty() && !texts.is_empty() => return Ok(Self(texts)),
                Event::Eof | Event::Start(_) | Event::DocType(_) | Event::PI(_) => return Err(NotAnAnswer),
            }
        }
    }

    /// The text of the element whose path ends in `path`, if there is exactly one.
    pub(in super::super) fn get(&self, path: &str) -> Option<&str> {
        let ends =
            |whole: &str| whole.strip_suffix(path).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'));
        let mut found = self.0.iter().filter(|(whole, _)| ends(whole));
        let text = found.next().map(|(_, text)| text.as_str());
        text.filter(|_| found.next().is_none())
    }
}

fn joined(path: &[String], last: Option<&str>) -> String {
    let names = path.iter().map(String::as_str).chain(last);
    names.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> Answer {
        Answer::parse(text).ok().unwrap()
    }

    #[test]
    fn texts_are_found_by_the_end_of_their_path() {
        let answer = answer(
            "<?xml version=\"1.0\"?>\n<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n \
             <AssumeRoleResult>\n  <Credentials><SecretAccessKey>a/b&amp;&#x2B;</SecretAccessKey>\
             <SessionToken><![CDATA[t=]]></SessionToken></Credentials><SourceIdentity/>\
             <AssumedRoleUser><Arn>1</Arn></AssumedRoleUser><Other><Arn>2</Arn></Other>\
             </AssumeRoleResult></AssumeRoleResponse>",
        );
        assert_eq!(answer.get("Credentials/SecretAccessKey"), Some("a/b&+"));
        assert_eq!(answer.get("SessionToken"), Some("t="));
        assert_eq!(answer.get("AssumedRoleUser/Arn"), Some("1"));
        assert_eq!(answer.get("SourceIdentity"), Some(""));
        for absent in ["Arn", "Token", "RoleUser/Arn", "AssumeRoleResult/Arn"] {
            assert_eq!(answer.get(absent), None, "{absent}");
        }
    }

    #[test]
    fn nothing_else_is_an_answer() {
        let deep = format!("{}{}", "<a>".repeat(100), "</a>".repeat(100));
        for text in [
            "",
            "{}",
            "<a>",
            "<a></b>",
            "<html><p></html>",
            "<a>&unknown;</a>",
            "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>",
            "<?php x?><a/>",
            &deep,
        ] {
            assert!(Answer::parse(text).is_err(), "{text}");
        }
    }
}
