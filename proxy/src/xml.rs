//! Writes XML: elements, text and one default namespace, escaped. There is no reader.

/// The declaration that opens the documents of S3.
const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// An XML document under construction. Elements nest by closures, so every one that is opened is closed.
///
/// ```
/// let mut xml = sigward::xml::XmlWriter::new();
/// xml.element("Error", |xml| xml.text("Code", "AccessDenied"));
/// assert_eq!(xml.finish(), "<Error><Code>AccessDenied</Code></Error>");
/// ```
#[derive(Default)]
pub struct XmlWriter {
    out: String,
}

impl XmlWriter {
    /// An empty document without a declaration, as the query protocol has it.
    pub fn new() -> Self {
        Self::default()
    }

    /// A document that opens with the declaration and a line feed, as S3 has it.
    pub fn with_declaration() -> Self {
        Self { out: DECLARATION.to_owned() }
    }

    /// Writes an element whose content `content` writes.
    pub fn element(&mut self, name: &'static str, content: impl FnOnce(&mut Self)) {
        self.open(name);
        self.out.push('>');
        content(self);
        self.close(name);
    }

    /// Writes an element that declares `namespace` as the default one.
    pub fn element_in(&mut self, namespace: &str, name: &'static str, content: impl FnOnce(&mut Self)) {
        self.open(name);
        self.out.push_str(" xmlns=\"");
        self.escape(namespace);
        self.out.push_str("\">");
        content(self);
        self.close(name);
    }

    /// Writes an element that holds text.
    pub fn text(&mut self, name: &'static str, text: &str) {
        self.element(name, |xml| xml.escape(text));
    }

    /// The document.
    pub fn finish(self) -> String {
        self.out
    }

    fn open(&mut self, name: &'static str) {
        debug_assert!(is_name(name), "{name:?} is no element name");
        self.out.push('<');
        self.out.push_str(name);
    }

    fn close(&mut self, name: &'static str) {
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
    }

    /// A carriage return is written as a reference because a parser would read a bare one as a line feed.
    /// Characters that no XML 1.0 document can carry, not even as a reference, become U+FFFD.
    ///
    /// Source: <https://www.w3.org/TR/xml/#charsets>, <https://www.w3.org/TR/xml/#sec-line-ends>
    fn escape(&mut self, text: &str) {
        for character in text.chars() {
            match character {
                '&' => self.out.push_str("&amp;"),
                '<' => self.out.push_str("&lt;"),
                '>' => self.out.push_str("&gt;"),
                '"' => self.out.push_str("&quot;"),
                '\r' => self.out.push_str("&#13;"),
                '\t' | '\n' => self.out.push(character),
                '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => self.out.push(char::REPLACEMENT_CHARACTER),
                _ => self.out.push(character),
            }
        }
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &str) -> String {
        let mut xml = XmlWriter::new();
        xml.escape(text);
        xml.finish()
    }

    #[test]
    fn text_cannot_end_its_element_or_attribute() {
        assert_eq!(escaped("</a>&\"'"), "&lt;/a&gt;&amp;&quot;'");
        assert_eq!(escaped("]]>"), "]]&gt;");
    }

    #[test]
    fn line_ends_survive_a_parser() {
        assert_eq!(escaped("a\tb\nc\r\nd"), "a\tb\nc&#13;\nd");
    }

    #[test]
    fn characters_outside_xml_are_replaced() {
        assert_eq!(escaped("a\0\u{1b}\u{ffff}é\u{10ffff}"), "a\u{fffd}\u{fffd}\u{fffd}é\u{10ffff}");
    }

    #[test]
    fn elements_nest_and_close() {
        let mut xml = XmlWriter::with_declaration();
        xml.element_in("urn:a&b", "Root", |xml| {
            xml.element("List", |xml| {
                xml.text("Item", "1");
                xml.text("Item", "");
            });
        });
        assert_eq!(
            xml.finish(),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <Root xmlns=\"urn:a&amp;b\"><List><Item>1</Item><Item></Item></List></Root>"
        );
    }
}
