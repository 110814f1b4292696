//! The parameters of the query protocol, from the query and from a form body.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

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
    fn what_cannot_be_decoded_is_refused() {
        for query in ["/?Action=%", "/?Action=%4", "/?%zz=1", "/?Action=%ff"] {
            assert_eq!(code(&parts("GET", query, ""), b""), Some("MalformedQueryString"), "{query}");
        }
        assert_eq!(code(&parts("POST", "/", FORM), b"Action=\xff"), Some("MalformedQueryString"));
    }
}
