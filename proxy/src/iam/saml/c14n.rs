//! Exclusive XML Canonicalization 1.0 without comments, of one element and what is in it.
//!
//! Source: <https://www.w3.org/TR/xml-exc-c14n/>, <https://www.w3.org/TR/xml-c14n>

use std::rc::Rc;

use super::document::{Attribute, Child, Element};

/// Most bytes that are written. Exclusive canonicalization repeats a declaration on each sibling that uses it, so
/// the length is not bounded by that of the document.
pub(super) const MAX_LENGTH: usize = 512 * 1024;
/// Most prefixes of an `InclusiveNamespaces`.
const MAX_PREFIXES: usize = 16;

/// The canonical form is longer than anything that is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the canonical form or the list of inclusive prefixes is too long")]
pub(super) struct TooLong;

/// Prefixes that are canonicalized as Canonical XML does it: wherever they are in scope, used or not.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct InclusivePrefixes(Vec<Box<str>>);

impl InclusivePrefixes {
    /// Reads a `PrefixList`: names divided by white space, `#default` among them.
    pub(super) fn parse(list: &str) -> Result<Self, TooLong> {
        let names = list.split_ascii_whitespace().map(|name| if name == "#default" { "" } else { name });
        let prefixes: Vec<Box<str>> = names.take(MAX_PREFIXES + 1).map(Into::into).collect();
        if prefixes.len() > MAX_PREFIXES { Err(TooLong) } else { Ok(Self(prefixes)) }
    }
}

/// The canonical form of `apex`, whose ancestors are `ancestors`, the root first. `without` and what is in it are
/// left out.
pub(super) fn canonicalize(
    apex: &Element,
    ancestors: &[&Element],
    without: Option<&Element>,
    inclusive: &InclusivePrefixes,
) -> Result<String, TooLong> {
    let scope = ancestors.iter().flat_map(|ancestor| &ancestor.declarations);
    let mut writer = Writer {
        out: String::new(),
        without,
        inclusive,
        scope: scope.map(Namespace::of).collect(),
        written: Vec::new(),
    };
    writer.element(apex)?;
    Ok(writer.out)
}

/// A prefix and what it is bound to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Namespace<'a> {
    prefix: &'a str,
    name: &'a str,
}

impl<'a> Namespace<'a> {
    fn of((prefix, name): &'a (Box<str>, Rc<str>)) -> Self {
        Self { prefix, name }
    }

    /// What a prefix is bound to by the innermost of `declarations` that says so; by none, nothing.
    fn bound(prefix: &str, declarations: &[Self]) -> Option<&'a str> {
        declarations.iter().rev().find(|declared| declared.prefix == prefix).map(|declared| declared.name)
    }
}

struct Writer<'a> {
    out: String,
    without: Option<&'a Element>,
    inclusive: &'a InclusivePrefixes,
    /// Declarations of the document from its root to the element at hand.
    scope: Vec<Namespace<'a>>,
    /// Declarations that were written on the elements around the one at hand. There are never more than in
    /// `scope`: one is written anew only below a declaration that changed it.
    written: Vec<Namespace<'a>>,
}

impl<'a> Writer<'a> {
    fn element(&mut self, element: &'a Element) -> Result<(), TooLong> {
        let (outer_scope, outer_written) = (self.scope.len(), self.written.len());
        self.scope.extend(element.declarations.iter().map(Namespace::of));
        self.out.push('<');
        self.name(&element.prefix, &element.local);
        for namespace in self.namespaces(element) {
            self.declare(namespace);
            self.written.push(namespace);
        }
        for attribute in &element.attributes {
            self.attribute(attribute);
        }
        self.out.push('>');
        for child in &element.children {
            match child {
                Child::Element(child) if self.without.is_some_and(|without| std::ptr::eq(without, child)) => {
                }
                Child::Element(child) => self.element(child)?,
                Child::Text(text) => self.text(text),
            }
        }
        self.out.push_str("</");
        self.name(&element.prefix, &element.local);
        self.out.push('>');
        self.scope.truncate(outer_scope);
        self.written.truncate(outer_written);
        if self.out.len() > MAX_LENGTH { Err(TooLong) } else { Ok(()) }
    }

    /// What an element has to declare: what its own name and its attributes use and what the inclusive prefixes
    /// are bound to, unless the elements around it say so already.
    fn namespaces(&self, element: &'a Element) -> Vec<Namespace<'a>> {
        let own = Namespace { prefix: &element.prefix, name: &element.namespace };
        let of_attributes = element.attributes.iter().filter(|attribute| !attribute.prefix.is_empty());
        let of_attributes = of_attributes
            .map(|attribute| Namespace { prefix: &attribute.prefix, name: &attribute.namespace });
        let inclusive = self.inclusive.0.iter().filter_map(|prefix| {
            let declared = self.scope.iter().rev().find(|declared| *declared.prefix == **prefix);
            declared.copied()
        });
        let mut namespaces: Vec<_> = std::iter::once(own)
            .chain(of_attributes)
            .chain(inclusive)
            .filter(|namespace| namespace.prefix != "xml")
            // No default namespace is what there is as long as nobody declares one.
            .filter(|namespace| {
                namespace.name != Namespace::bound(namespace.prefix, &self.written).unwrap_or_default()
            })
            .collect();
        namespaces.sort();
        namespaces.dedup();
        namespaces
    }

    fn name(&mut self, prefix: &str, local: &str) {
        if !prefix.is_empty() {
            self.out.push_str(prefix);
            self.out.push(':');
        }
        self.out.push_str(local);
    }

    fn declare(&mut self, namespace: Namespace<'_>) {
        self.out.push_str(" xmlns");
        if !namespace.prefix.is_empty() {
            self.out.push(':');
            self.out.push_str(namespace.prefix);
        }
        self.value(namespace.name);
    }

    fn attribute(&mut self, attribute: &Attribute) {
        self.out.push(' ');
        self.name(&attribute.prefix, &attribute.local);
        self.value(&attribute.value);
    }

    fn value(&mut self, value: &str) {
        self.out.push_str("=\"");
        self.escaped(value, |c| match c {
            b'&' => Some("&amp;"),
            b'<' => Some("&lt;"),
            b'"' => Some("&quot;"),
            b'\t' => Some("&#x9;"),
            b'\n' => Some("&#xA;"),
            b'\r' => Some("&#xD;"),
            _ => None,
        });
        self.out.push('"');
    }

    fn text(&mut self, text: &str) {
        self.escaped(text, |c| match c {
            b'&' => Some("&amp;"),
            b'<' => Some("&lt;"),
            b'>' => Some("&gt;"),
            b'\r' => Some("&#xD;"),
            _ => None,
        });
    }

    fn escaped(&mut self, text: &str, escape: impl Fn(u8) -> Option<&'static str>) {
        let mut from = 0;
        for (at, byte) in text.bytes().enumerate() {
            if let Some(escaped) = escape(byte) {
                self.out.push_str(&text[from..at]);
                self.out.push_str(escaped);
                from = at + 1;
            }
        }
        self.out.push_str(&text[from..]);
    }
}
