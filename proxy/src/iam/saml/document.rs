//! Reads an XML document into a small immutable tree with its namespaces resolved.
//!
//! Only what a SAML message needs exists: elements, attributes, text. Comments are dropped and the text around
//! them is one text, as canonicalization without comments has it, so a comment cannot cut a value short. A
//! document type, an entity of its own, a processing instruction or anything that is not well-formed is refused,
//! and so is a document that is deep, wide or large: the work is linear in its length.
//!
//! Tokens come from `quick-xml`, which is lenient; what it lets pass and XML 1.0 forbids is refused here.
//!
//! Source: <https://www.w3.org/TR/xml/>, <https://www.w3.org/TR/xml-names/>

use std::borrow::Cow;
use std::rc::Rc;

use quick_xml::Reader;
use quick_xml::events::{BytesDecl, BytesRef, BytesStart, Event};

/// Deepest nesting of elements. A response of Shibboleth or AD FS has ten.
const MAX_DEPTH: usize = 32;
/// Most namespace declarations from the root to any element, both included. Everything that looks a prefix up
/// searches no more than these.
const MAX_DECLARATIONS: usize = 64;
/// Most attributes of one element, namespace declarations included.
const MAX_ATTRIBUTES: usize = 128;

/// Longest `<?xml …?>`, in bytes.
const MAX_DECLARATION: usize = 128;

/// What the prefix `xml` is bound to without being declared.
pub(super) const XML_NAMESPACE: &str = "http://www.w3.org/XML/1998/namespace";
const XMLNS_NAMESPACE: &str = "http://www.w3.org/2000/xmlns/";

/// An element and everything in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Element {
    /// Empty: none.
    pub(super) prefix: Box<str>,
    pub(super) local: Box<str>,
    /// Empty: in no namespace.
    pub(super) namespace: Rc<str>,
    /// What the element itself declares: prefix (empty: the default) and namespace (empty: none any more).
    pub(super) declarations: Vec<(Box<str>, Rc<str>)>,
    /// Without namespace declarations; by namespace, then by local name, which is the canonical order.
    pub(super) attributes: Vec<Attribute>,
    pub(super) children: Vec<Child>,
}

/// An attribute that declares no namespace.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Attribute {
    /// Empty: none, and in no namespace.
    pub(super) prefix: Box<str>,
    pub(super) local: Box<str>,
    pub(super) namespace: Rc<str>,
    /// Normalized as XML says, references resolved.
    pub(super) value: String,
}

/// What stands between two tags. No two texts are neighbours, and no text is empty.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Child {
    Element(Element),
    /// References resolved, CDATA and comments merged in.
    Text(String),
}

/// Why a text is no document that is read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// It is not well-formed, or its namespaces are not.
    #[error("the XML is malformed: {0}")]
    Malformed(&'static str),
    /// It holds what no SAML message needs and what parsers were attacked with.
    #[error("the XML holds {0}, which is not accepted")]
    Forbidden(&'static str),
    /// It exceeds a bound.
    #[error("the XML has too {0}")]
    TooLarge(&'static str),
}

use DocumentError::{Forbidden, Malformed, TooLarge};

impl Element {
    /// Reads a document of at most `max_length` bytes and returns its root.
    pub(super) fn parse(text: &str, max_length: usize) -> Result<Self, DocumentError> {
        if text.len() > max_length {
            return Err(TooLarge("many bytes"));
        }
        let text = with_line_feeds(text);
        let mut reader = Reader::from_str(&text);
        reader.config_mut().check_comments = true;
        let mut builder = Builder::default();
        loop {
            let event = reader.read_event().map_err(|_| Malformed("markup"))?;
            if let Event::Eof = event {
                return builder.finish();
            }
            builder.take(event)?;
            builder.begun = true;
        }
    }

    /// Whether it is `local` of `namespace`.
    pub(super) fn is(&self, namespace: &str, local: &str) -> bool {
        *self.local == *local && *self.namespace == *namespace
    }

    /// The child elements.
    pub(super) fn elements(&self) -> impl Iterator<Item = &Self> {
        self.children.iter().filter_map(|child| match child {
            Child::Element(element) => Some(element),
            Child::Text(_) => None,
        })
    }

    /// The child elements of one name.
    pub(super) fn all<'a, 'n>(
        &'a self,
        namespace: &'n str,
        local: &'n str,
    ) -> impl Iterator<Item = &'a Self> + use<'a, 'n> {
        self.elements().filter(move |element| element.is(namespace, local))
    }

    /// The only child element of a name: `Err` if there are several.
    pub(super) fn at_most_one(&self, namespace: &str, local: &str) -> Result<Option<&Self>, Repeated> {
        let mut found = self.all(namespace, local);
        let first = found.next();
        if found.next().is_some() { Err(Repeated) } else { Ok(first) }
    }

    /// The value of an attribute without a prefix.
    pub(super) fn attribute(&self, local: &str) -> Option<&str> {
        let found = self
            .attributes
            .iter()
            .find(|attribute| attribute.namespace.is_empty() && *attribute.local == *local);
        found.map(|attribute| attribute.value.as_str())
    }

    /// All of the text; `None` if there are elements in it.
    pub(super) fn text(&self) -> Option<&str> {
        match self.children.as_slice() {
            [] => Some(""),
            [Child::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Calls `visit` with this element and every one below it.
    pub(super) fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Self)) {
        visit(self);
        for element in self.elements() {
            element.walk(visit);
        }
    }
}

/// There are several elements where there may be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Repeated;

/// A tree under construction.
#[derive(Default)]
struct Builder {
    /// Elements whose end was not seen yet, and how many namespaces were in scope outside each.
    open: Vec<(Element, usize)>,
    /// Namespaces in scope, the innermost last.
    scope: Vec<(Box<str>, Rc<str>)>,
    root: Option<Element>,
    begun: bool,
}

impl Builder {
    fn take(&mut self, event: Event<'_>) -> Result<(), DocumentError> {
        match event {
            Event::Start(tag) => self.start(&tag),
            Event::Empty(tag) => self.start(&tag).map(|()| self.end()),
            Event::End(_) => {
                self.end();
                Ok(())
            }
            Event::Text(text) if text.contains("]]>") => Err(Malformed("]]> in text")),
            Event::Text(text) => self.text(&text),
            Event::CData(text) if self.open.is_empty() => Err(outside(&text)),
            Event::CData(text) => self.text(&text),
            Event::GeneralRef(reference) if self.open.is_empty() => Err(outside(&reference)),
            Event::GeneralRef(reference) => {
                let character = character(&reference)?;
                self.text(character.encode_utf8(&mut [0; 4]))
            }
            Event::Comment(text) => legal(&text).map(|_| ()),
            Event::Decl(declaration) => self.declaration(&declaration),
            Event::PI(_) => Err(Forbidden("a processing instruction")),
            Event::DocType(_) => Err(Forbidden("a document type")),
            Event::Eof => Ok(()),
        }
    }

    fn declaration(&self, declaration: &BytesDecl<'_>) -> Result<(), DocumentError> {
        if self.begun {
            return Err(Malformed("a declaration that is not at the start"));
        }
        // The reader compares each of its attributes with each.
        if declaration.len() > MAX_DECLARATION {
            return Err(TooLarge("long a declaration"));
        }
        if declaration.version().ok().as_deref() != Some("1.0") {
            return Err(Forbidden("a version other than 1.0"));
        }
        match declaration.encoding() {
            None => Ok(()),
            Some(Ok(encoding)) if encoding.eq_ignore_ascii_case("UTF-8") => Ok(()),
            Some(_) => Err(Forbidden("an encoding other than UTF-8")),
        }
    }

    fn start(&mut self, tag: &BytesStart<'_>) -> Result<(), DocumentError> {
        if self.open.len() == MAX_DEPTH {
            return Err(TooLarge("deep a nesting"));
        }
        if self.open.is_empty() && self.root.is_some() {
            return Err(Malformed("a second root"));
        }
        let outside = self.scope.len();
        let mut raw = Vec::new();
        for attribute in tag.attributes().with_checks(false) {
            let attribute = attribute.map_err(|_| Malformed("attributes"))?;
            if raw.len() == MAX_ATTRIBUTES {
                return Err(TooLarge("many attributes"));
            }
            let value = attribute_value(&attribute.value)?;
            match split(attribute.key.into_inner())? {
                ("", "xmlns") => self.declare("", value)?,
                ("xmlns", prefix) => self.declare(prefix, value)?,
                (prefix, local) => raw.push((prefix.into(), local.into(), value)),
            }
        }
        let declarations = self.scope[outside..].to_vec();
        if has_repetition(declarations.iter().map(|(prefix, _)| prefix)) {
            return Err(Malformed("a namespace prefix that is declared twice"));
        }
        let (prefix, local) = split(tag.name().into_inner())?;
        let namespace = self.resolve(prefix)?;
        let attributes = self.attributes(raw)?;
        let (prefix, local) = (prefix.into(), local.into());
        let element = Element { prefix, local, namespace, declarations, attributes, children: Vec::new() };
        self.open.push((element, outside));
        Ok(())
    }

    fn end(&mut self) {
        // That every end has its start is what the reader checks.
        let Some((element, outside)) = self.open.pop() else { return };
        self.scope.truncate(outside);
        match self.open.last_mut() {
            Some((parent, _)) => parent.children.push(Child::Element(element)),
            None => self.root = Some(element),
        }
    }

    fn text(&mut self, text: &str) -> Result<(), DocumentError> {
        let text = legal(text)?;
        let Some((parent, _)) = self.open.last_mut() else {
            let blank = text.bytes().all(|byte| b" \t\n".contains(&byte));
            return if blank { Ok(()) } else { Err(outside(text)) };
        };
        match parent.children.last_mut() {
            Some(Child::Text(before)) => before.push_str(text),
            _ if text.is_empty() => {}
            _ => parent.children.push(Child::Text(text.to_owned())),
        }
        Ok(())
    }

    fn declare(&mut self, prefix: &str, namespace: String) -> Result<(), DocumentError> {
        let reserved = [XML_NAMESPACE, XMLNS_NAMESPACE].contains(&namespace.as_str());
        if reserved || ["xml", "xmlns"].contains(&prefix) {
            return Err(Forbidden("a declaration of a reserved namespace"));
        }
        if namespace.is_empty() && !prefix.is_empty() {
            return Err(Malformed("a prefix without a namespace"));
        }
        if self.scope.len() == MAX_DECLARATIONS {
            return Err(TooLarge("many namespaces"));
        }
        self.scope.push((prefix.into(), namespace.into()));
        Ok(())
    }

    /// The namespace of a prefix; of an empty one, the default.
    fn resolve(&self, prefix: &str) -> Result<Rc<str>, DocumentError> {
        if prefix == "xml" {
            return Ok(XML_NAMESPACE.into());
        }
        match self.scope.iter().rev().find(|(known, _)| **known == *prefix) {
            Some((_, namespace)) => Ok(Rc::clone(namespace)),
            None if prefix.is_empty() => Ok("".into()),
            None => Err(Malformed("a prefix that is not declared")),
        }
    }

    fn attributes(&self, raw: Vec<(Box<str>, Box<str>, String)>) -> Result<Vec<Attribute>, DocumentError> {
        let mut attributes = Vec::with_capacity(raw.len());
        for (prefix, local, value) in raw {
            // The default namespace is not that of attributes.
            let namespace = if prefix.is_empty() { "".into() } else { self.resolve(&prefix)? };
            attributes.push(Attribute { prefix, local, namespace, value });
        }
        attributes.sort_by(|a, b| (&a.namespace, &a.local).cmp(&(&b.namespace, &b.local)));
        let twice =
            |pair: &[Attribute]| pair[0].local == pair[1].local && pair[0].namespace == pair[1].namespace;
        if attributes.windows(2).any(twice) {
            return Err(Malformed("an attribute that is there twice"));
        }
        Ok(attributes)
    }

    fn finish(self) -> Result<Element, DocumentError> {
        if !self.open.is_empty() {
            return Err(Malformed("an element without an end"));
        }
        self.root.ok_or(Malformed("no root"))
    }
}

fn outside(_: &str) -> DocumentError {
    Malformed("text outside the root")
}

fn has_repetition<'a>(names: impl Iterator<Item = &'a Box<str>>) -> bool {
    let mut names: Vec<_> = names.collect();
    names.sort();
    names.windows(2).any(|pair| pair[0] == pair[1])
}

/// Prefix and local name.
fn split(name: &str) -> Result<(&str, &str), DocumentError> {
    let (prefix, local) = name.split_once(':').unwrap_or(("", name));
    let legal = is_name(local) && (is_name(prefix) || prefix.is_empty() && !name.starts_with(':'));
    if legal { Ok((prefix, local)) } else { Err(Malformed("a name")) }
}

/// A name without a colon. Source: <https://www.w3.org/TR/xml-names/#NT-NCName>
fn is_name(name: &str) -> bool {
    let start = |c: char| {
        matches!(c, 'A'..='Z' | 'a'..='z' | '_' | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}'
            | '\u{f8}'..='\u{2ff}' | '\u{370}'..='\u{37d}' | '\u{37f}'..='\u{1fff}'
            | '\u{200c}'..='\u{200d}' | '\u{2070}'..='\u{218f}' | '\u{2c00}'..='\u{2fef}'
            | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}'
            | '\u{10000}'..='\u{effff}')
    };
    let further = |c: char| matches!(c, '-' | '.' | '0'..='9' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}');
    name.starts_with(start) && name.chars().all(|c| start(c) || further(c))
}

/// Line ends as XML has them read: a carriage return is a line feed unless it was written as a reference.
fn with_line_feeds(text: &str) -> Cow<'_, str> {
    if text.contains('\r') {
        Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Refuses characters that no XML document may hold. Source: <https://www.w3.org/TR/xml/#charsets>
fn legal(text: &str) -> Result<&str, DocumentError> {
    if text.chars().all(is_character) { Ok(text) } else { Err(Malformed("a character XML does not have")) }
}

fn is_character(c: char) -> bool {
    !matches!(c, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}')
}

/// The value of an attribute: white space is spaces, references are resolved.
fn attribute_value(raw: &str) -> Result<String, DocumentError> {
    let mut value = String::with_capacity(raw.len());
    let mut rest = legal(raw)?;
    while let Some(at) = rest.find(['<', '&', '\t', '\n']) {
        value.push_str(&rest[..at]);
        let special = rest.as_bytes()[at];
        rest = &rest[at + 1..];
        match special {
            b'<' => return Err(Malformed("< in an attribute")),
            b'&' => {
                let (name, after) = rest.split_once(';').ok_or(Malformed("a reference"))?;
                value.push(character(&BytesRef::new(name))?);
                rest = after;
            }
            _ => value.push(' '),
        }
    }
    value.push_str(rest);
    Ok(value)
}

/// What a reference stands for. There are no entities but the five of XML itself.
fn character(reference: &BytesRef<'_>) -> Result<char, DocumentError> {
    if let Some(character) = reference.resolve_char_ref().map_err(|_| Malformed("a reference"))? {
        return if is_character(character) { Ok(character) } else { Err(Malformed("a reference")) };
    }
    match &**reference {
        "amp" => Ok('&'),
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        _ => Err(Forbidden("an entity")),
    }
}
