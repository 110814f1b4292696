//! The tags of an object: as a form states them, in XML, and as a header does, as a query.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_Tagging.html>

use sigv4::uri;

/// The value of `x-amz-tagging` for a `Tagging` document; `None` if it is none.
///
/// Only the shape of the documentation is read: no comments, no other elements, no attribute but the namespace.
/// Anything else a backend might read otherwise.
pub(super) fn to_header(document: &str) -> Option<String> {
    let mut reader = Reader(document.trim_ascii());
    reader.declaration()?;
    if !reader.skip("<Tagging>") {
        reader.expect("<Tagging xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">")?;
    }
    let mut tags = Vec::new();
    if !reader.skip("<TagSet/>") {
        reader.expect("<TagSet>")?;
        while !reader.skip("</TagSet>") {
            tags.push(reader.tag()?);
        }
    }
    reader.expect("</Tagging>")?;
    reader.0.is_empty().then(|| tags.join("&"))
}

/// What is left of a document.
struct Reader<'a>(&'a str);

impl<'a> Reader<'a> {
    /// Passes over `markup` if that comes next, white space aside.
    fn skip(&mut self, markup: &str) -> bool {
        match self.0.trim_ascii_start().strip_prefix(markup) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, markup: &str) -> Option<()> {
        self.skip(markup).then_some(())
    }

    fn declaration(&mut self) -> Option<()> {
        if self.0.starts_with("<?xml ") {
            self.0 = self.0.split_once("?>")?.1;
        }
        Some(())
    }

    /// `key=value`, encoded.
    fn tag(&mut self) -> Option<String> {
        self.expect("<Tag>")?;
        let key = self.text("<Key>", "</Key>")?;
        let value = self.text("<Value>", "</Value>")?;
        self.expect("</Tag>")?;
        Some(format!("{}={}", uri::encode_query(key.as_bytes()), uri::encode_query(value.as_bytes())))
    }

    fn text(&mut self, open: &str, close: &str) -> Option<String> {
        self.expect(open)?;
        let (text, rest) = self.0.split_once(close)?;
        self.0 = rest;
        unescape(text)
    }
}

/// Text without markup, its references resolved.
fn unescape(text: &str) -> Option<String> {
    let mut pieces = text.split('&');
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (reference, rest) = piece.split_once(';')?;
        out.push(match reference {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            number => {
                let number = number.strip_prefix('#')?;
                let code = match number.strip_prefix('x') {
                    Some(digits) => u32::from_str_radix(digits, 16),
                    None => number.parse(),
                };
                char::from_u32(code.ok()?)?
            }
        });
        out.push_str(rest);
    }
    (!text.contains('<')).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_become_a_query() {
        for (document, expected) in [
            ("<Tagging><TagSet></TagSet></Tagging>", Some("")),
            ("<Tagging><TagSet/></Tagging>", Some("")),
            (
                "<?xml version=\"1.0\"?>\n<Tagging xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\n  <TagSet>\n    \
                 <Tag>\n <Key>a b</Key>\n <Value>1&amp;2</Value> </Tag>\n<Tag><Key>\u{e9}</Key><Value></Value></Tag>\
                 </TagSet>\n</Tagging>\n",
                Some("a%20b=1%262&%C3%A9="),
            ),
            (
                "<Tagging><TagSet><Tag><Key>&#65;&#x42;&lt;</Key><Value>&quot;</Value></Tag></TagSet></Tagging>",
                Some("AB%3C=%22"),
            ),
            ("", None),
            ("a=b", None),
            ("<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>", None),
            ("<Tagging><TagSet><Tag><Key>a</Key><Value>&b;</Value></Tag></TagSet></Tagging>", None),
            ("<Tagging><TagSet><Tag><Key>a</Key><Value>&#55296;</Value></Tag></TagSet></Tagging>", None),
            ("<Tagging><TagSet><Tag><Key><b/></Key><Value>c</Value></Tag></TagSet></Tagging>", None),
            ("<Tagging><TagSet></TagSet></Tagging><x/>", None),
            ("<!DOCTYPE x><Tagging><TagSet></TagSet></Tagging>", None),
        ] {
            assert_eq!(to_header(document).as_deref(), expected, "{document}");
        }
    }
}
