//! Query parameters, each at most once, none unknown.

use std::collections::BTreeMap;
use std::str::FromStr;

use sigv4::uri::{decode_query, pairs};

use super::answer::ApiError;

/// Parameters that have not been looked at yet.
pub(super) struct Query(BTreeMap<String, String>);

impl Query {
    pub(super) fn parse(query: Option<&str>) -> Result<Self, ApiError> {
        let mut parameters = BTreeMap::new();
        for (name, value) in pairs(query.unwrap_or_default().as_bytes()) {
            let (name, value) = (decode(name)?, decode(value)?);
            if parameters.contains_key(&name) {
                return Err(ApiError::invalid(name, "is given twice"));
            }
            parameters.insert(name, value);
        }
        Ok(Self(parameters))
    }

    /// The value of `name`; an empty one counts as not given.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name).filter(|value| !value.is_empty())
    }

    pub(super) fn take_parsed<T: FromStr>(&mut self, name: &str, what: &str) -> Result<Option<T>, ApiError> {
        let Some(text) = self.take(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| ApiError::invalid(name, format!("is not {what}")))
    }

    /// A misspelt filter would show more than was asked for: what is left over is an error.
    pub(super) fn finish(self) -> Result<(), ApiError> {
        self.0.into_keys().next().map_or(Ok(()), |name| Err(ApiError::invalid(name, "is no parameter here")))
    }
}

fn decode(text: &[u8]) -> Result<String, ApiError> {
    let bytes = decode_query(text).map_err(|error| ApiError::invalid("", error.to_string()))?;
    String::from_utf8(bytes.into_owned()).map_err(|_| ApiError::invalid("", "the query is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_each_parameter_once() {
        let mut query = Query::parse(Some("role=arn%3Aaws+x&limit=7&after=")).unwrap();
        assert_eq!(query.take("role").as_deref(), Some("arn:aws x"));
        assert_eq!(query.take_parsed("limit", "a number").ok().flatten(), Some(7));
        assert_eq!(query.take("after"), None);
        assert!(query.finish().is_ok());
    }

    #[test]
    fn refuses_repeated_unknown_and_broken_parameters() {
        assert!(Query::parse(Some("a=1&%61=2")).is_err());
        assert!(Query::parse(Some("a=%zz")).is_err());
        assert!(Query::parse(Some("a=%ff")).is_err());
        assert!(Query::parse(Some("rolle=x")).unwrap().finish().is_err());
        assert!(Query::parse(Some("limit=x")).unwrap().take_parsed::<usize>("limit", "a number").is_err());
    }
}
