//! The parameters of the query protocol, from the query and from a form body.

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use http::StatusCode;
use http::request::Parts;
use sigv4::uri;

use super::recognize::is_form;
use crate::fault::Fault;

/// Names and values of one request; no name occurs twice, in whatever case.
///
/// A request whose parameters can be read in two ways is refused: what one reader of it authorizes, another one
/// would run.
pub(super) struct Parameters<'a>(HashMap<String, Parameter<'a>>);

struct Parameter<'a> {
    name: Cow<'a, str>,
    value: Cow<'a, str>,
}

/// One member of a list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Member<'p> {
    /// From 1.
    pub(super) index: u32,
    fields: Vec<(&'p str, &'p str)>,
}

impl<'p> Member<'p> {
    /// A field of a member that is a structure.
    pub(super) fn field(&self, name: &str) -> Option<&'p str> {
        self.fields.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// The member itself, if it is a text.
    pub(super) fn value(&self) -> Option<&'p str> {
        self.field("")
    }
}

impl<'a> Parameters<'a> {
    /// Reads the query and, if the request is a POST of a form, the body.
    pub(super) fn read(parts: &'a Parts, body: &'a [u8]) -> Result<Self, Fault> {
        let query = parts.uri.query().unwrap_or_default().as_bytes();
        let form = if is_form(parts) { body } else { b"" };
        let mut parameters = Self(HashMap::new());
        for (name, value) in uri::pairs(query).chain(uri::pairs(form)) {
            parameters.add(decode(name)?, decode(value)?)?;
        }
        Ok(parameters)
    }

    /// The value of the parameter with exactly this name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let parameter = self.0.get(&name.to_ascii_lowercase())?;
        (parameter.name == name).then_some(&*parameter.value)
    }

    /// The members of the list `name`, in their order: `<name>.member.<index>` and `<name>.member.<index>.<field>`.
    /// Gaps between indices mean nothing.
    pub(super) fn list(&self, name: &str) -> Result<Vec<Member<'_>>, Fault> {
        let mut members: BTreeMap<u32, Member<'_>> = BTreeMap::new();
        let prefix = format!("{name}.member.");
        for parameter in self.0.values() {
            let Some(rest) = parameter.name.strip_prefix(&prefix) else { continue };
            let (digits, field) = rest.split_once('.').unwrap_or((rest, ""));
            let plain = |index: &u32| *index > 0 && index.to_string() == digits;
            let Some(index) = digits.parse().ok().filter(plain) else {
                let message = format!("{} is not a valid index", parameter.name);
                return Err(Fault::new(StatusCode::BAD_REQUEST, "MalformedInput", message));
            };
            let member = members.entry(index).or_insert_with(|| Member { index, fields: Vec::new() });
            member.fields.push((field, &parameter.value));
        }
        Ok(members.into_values().collect())
    }

    fn add(&mut self, name: Cow<'a, str>, value: Cow<'a, str>) -> Result<(), Fault> {
        match self.0.entry(name.to_ascii_lowercase()) {
            Entry::Vacant(place) => {
                place.insert(Parameter { name, value });
                Ok(())
            }
            Entry::Occupied(_) => Err(Fault::new(
                StatusCode::BAD_REQUEST,
                "InvalidQueryParameter",
                "A parameter was provided more than once",
            )),
        }
    }
}

/// `DurationSeconds`
pub(super) fn integer(text: &str) -> Result<i32, Fault> {
    text.parse().map_err(|_| {
        Fault::new(StatusCode::BAD_REQUEST, "MalformedInput", "DurationSeconds must be a 32-bit integer")
    })
}

fn decode(wire: &[u8]) -> Result<Cow<'_, str>, Fault> {
    let malformed = || {
        Fault::new(
            StatusCode::BAD_REQUEST,
            "MalformedQueryString",
            "The query string contains a syntax error",
        )
    };
    match uri::decode_query(wire).map_err(|_| malformed())? {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| malformed()),
        Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).map_err(|_| malformed()),
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use http::header::CONTENT_TYPE;

    use super::*;

    const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

    fn parts(method: &str, uri: &str, content_type: &str) -> Parts {
        let request = Request::builder().method(method).uri(uri).header(CONTENT_TYPE, content_type);
        request.body(()).unwrap().into_parts().0
    }

    fn code(parts: &Parts, body: &[u8]) -> Option<&'static str> {
        Parameters::read(parts, body).err().map(|fault| fault.code)
    }

    #[test]
    fn query_and_form_are_read_together() {
        let parts = parts("POST", "/?X-Amz-Date=d&Empty", FORM);
        let parameters =
            Parameters::read(&parts, b"&Action=Get+Session%20Token&SerialNumber=%C3%A9&").unwrap();
        assert_eq!(parameters.get("X-Amz-Date"), Some("d"));
        assert_eq!(parameters.get("Empty"), Some(""));
        assert_eq!(parameters.get("Action"), Some("Get Session Token"));
        assert_eq!(parameters.get("SerialNumber"), Some("\u{e9}"));
        assert_eq!(parameters.get("action"), None);
        assert_eq!(parameters.get("Version"), None);
    }

    #[test]
    fn a_body_that_is_no_form_holds_no_parameters() {
        for parts in [parts("GET", "/", FORM), parts("POST", "/", "application/json")] {
            assert_eq!(Parameters::read(&parts, b"Action=A").unwrap().get("Action"), None);
        }
    }

    #[test]
    fn a_parameter_that_occurs_twice_is_refused() {
        let in_both = parts("POST", "/?Action=A", FORM);
        assert_eq!(code(&in_both, b"Action=B"), Some("InvalidQueryParameter"));
        assert_eq!(code(&in_both, b"Version=B"), None);
        for query in ["/?Action=A&Action=A", "/?Action=A&action=B", "/?Action=A&%41ction=B"] {
            assert_eq!(code(&parts("GET", query, ""), b""), Some("InvalidQueryParameter"), "{query}");
        }
    }

    #[test]
    fn lists_are_read_in_the_order_of_their_indices() {
        let query =
            "/?T.member.10.Key=c&T.member.2.Value=v&T.member.2.Key=b&K.member.1=x&T.member.3.key=d&Tx=1";
        let parts = parts("GET", query, "");
        let parameters = Parameters::read(&parts, b"").unwrap();
        let tags = parameters.list("T").unwrap();
        let read: Vec<_> = tags.iter().map(|tag| (tag.index, tag.field("Key"), tag.field("Value"))).collect();
        assert_eq!(read, [(2, Some("b"), Some("v")), (3, None, None), (10, Some("c"), None)]);
        assert_eq!(parameters.list("K").unwrap()[0].value(), Some("x"));
        assert_eq!(parameters.list("X").unwrap(), []);
    }

    #[test]
    fn an_index_is_a_number_from_one_written_plainly() {
        for index in ["0", "01", "-1", "x", "", "1x", "4294967296", "%2B1"] {
            let query = format!("/?T.member.{index}=v");
            let parts = parts("GET", &query, "");
            let error = Parameters::read(&parts, b"").unwrap().list("T").unwrap_err();
            assert_eq!(error.code, "MalformedInput", "{index}");
        }
    }

    #[test]
    fn what_cannot_be_decoded_is_refused() {
        for query in ["/?Action=%", "/?Action=%4", "/?%zz=1", "/?Action=%ff"] {
            assert_eq!(code(&parts("GET", query, ""), b""), Some("MalformedQueryString"), "{query}");
        }
        assert_eq!(code(&parts("POST", "/", FORM), b"Action=\xff"), Some("MalformedQueryString"));
    }
}
