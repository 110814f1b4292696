//! Writes answers and errors of the query protocol, as XML or, for clients that accept only that, as JSON.

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use serde_json::{Value as Json, json};
use sigv4::Timestamp;
use zeroize::Zeroizing;

use super::Operation;
use crate::fault::Fault;
use crate::xml::XmlWriter;

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// The result of an operation. It may hold secrets, so it has no `Debug`.
pub(super) struct Answer {
    pub(super) operation: Operation,
    pub(super) result: Vec<(&'static str, Value)>,
}

/// The value of one element.
pub(super) enum Value {
    Text(String),
    Secret(Zeroizing<String>),
    Time(Timestamp),
    Number(i64),
    Structure(Vec<(&'static str, Value)>),
}

/// In which form a client wants to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Xml,
    Json,
}

impl Format {
    /// JSON if `Accept` names it and no XML beside it; XML otherwise.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let ranges = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let media_types = ranges.flat_map(|ranges| ranges.split(',')).map(media_type);
        let mut json = false;
        for media_type in media_types {
            match media_type.as_str() {
                "text/xml" | "application/xml" => return Self::Xml,
                "application/json" => json = true,
                _ => {}
            }
        }
        if json { Self::Json } else { Self::Xml }
    }

    /// The whole response.
    pub(super) fn render(self, result: Result<Answer, Fault>, request_id: &str) -> Response<Bytes> {
        let status = result.as_ref().map_or_else(|fault| fault.status, |_| StatusCode::OK);
        let (content_type, body) = match (self, &result) {
            (Self::Xml, Ok(answer)) => ("text/xml", answer_xml(answer, request_id)),
            (Self::Xml, Err(fault)) => ("text/xml", fault_xml(fault, request_id)),
            (Self::Json, Ok(answer)) => ("application/json", answer_json(answer, request_id).to_string()),
            (Self::Json, Err(fault)) => ("application/json", fault_json(fault, request_id).to_string()),
        };
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        // Answers hold secrets, and a presigned GET looks like something that can be cached.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Ok(id) = HeaderValue::from_str(request_id) {
            headers.insert(REQUEST_ID, id);
        }
        response
    }
}

fn media_type(range: &str) -> String {
    range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn answer_xml(answer: &Answer, request_id: &str) -> String {
    let mut xml = XmlWriter::new();
    xml.element_in(NAMESPACE, answer.operation.response_name(), |xml| {
        xml.element(answer.operation.result_name(), |xml| members_xml(&answer.result, xml));
        xml.element("ResponseMetadata", |xml| xml.text("RequestId", request_id));
    });
    xml.finish()
}

fn members_xml(members: &[(&'static str, Value)], xml: &mut XmlWriter) {
    for (name, value) in members {
        match value {
            Value::Text(text) => xml.text(name, text),
            Value::Secret(text) => xml.text(name, text),
            Value::Time(time) => xml.text(name, &time.to_string()),
            Value::Number(number) => xml.text(name, &number.to_string()),
            Value::Structure(members) => xml.element(name, |xml| members_xml(members, xml)),
        }
    }
}

fn fault_xml(fault: &Fault, request_id: &str) -> String {
    let mut xml = XmlWriter::new();
    xml.element_in(NAMESPACE, "ErrorResponse", |xml| {
        xml.element("Error", |xml| {
            xml.text("Type", blame(fault));
            xml.text("Code", fault.code);
            xml.text("Message", &fault.message);
        });
        xml.text("RequestId", request_id);
    });
    xml.finish()
}

fn answer_json(answer: &Answer, request_id: &str) -> Json {
    json!({
        answer.operation.response_name(): {
            answer.operation.result_name(): members_json(&answer.result),
            "ResponseMetadata": { "RequestId": request_id },
        }
    })
}

/// Times are seconds since the epoch, as in every JSON protocol of AWS.
fn members_json(members: &[(&'static str, Value)]) -> Json {
    let member = |(name, value): &(&'static str, Value)| {
        let value = match value {
            Value::Text(text) => Json::from(text.as_str()),
            Value::Secret(text) => Json::from(text.as_str()),
            Value::Time(time) => Json::from(time.unix()),
            Value::Number(number) => Json::from(*number),
            Value::Structure(members) => members_json(members),
        };
        ((*name).to_owned(), value)
    };
    Json::Object(members.iter().map(member).collect())
}

fn fault_json(fault: &Fault, request_id: &str) -> Json {
    json!({
        "Error": { "Code": fault.code, "Message": &*fault.message, "Type": blame(fault) },
        "RequestId": request_id,
    })
}

/// Whose fault it is.
fn blame(fault: &Fault) -> &'static str {
    if fault.status.is_server_error() { "Receiver" } else { "Sender" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Answer {
        let secret = |text: &str| Value::Secret(Zeroizing::new(text.to_owned()));
        let credentials = vec![
            ("AccessKeyId", Value::Text("ASIAX".to_owned())),
            ("SecretAccessKey", secret("a/b+c")),
            ("SessionToken", secret("t=")),
            ("Expiration", Value::Time(Timestamp::from_unix(1_767_323_045))),
        ];
        Answer {
            operation: Operation::GetSessionToken,
            result: vec![("Credentials", Value::Structure(credentials))],
        }
    }

    fn denied() -> Fault {
        Fault::new(StatusCode::FORBIDDEN, "AccessDenied", "<no>").with("Extra", "x")
    }

    fn accepting(accept: &str) -> Format {
        Format::of(&HeaderMap::from_iter([(ACCEPT, HeaderValue::from_str(accept).unwrap())]))
    }

    #[test]
    fn an_answer_is_the_xml_of_aws() {
        let response = Format::Xml.render(Ok(session()), "R1");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/xml");
        assert_eq!(response.headers()["x-amzn-requestid"], "R1");
        assert_eq!(
            response.body(),
            "<GetSessionTokenResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
             <GetSessionTokenResult><Credentials><AccessKeyId>ASIAX</AccessKeyId>\
             <SecretAccessKey>a/b+c</SecretAccessKey><SessionToken>t=</SessionToken>\
             <Expiration>2026-01-02T03:04:05Z</Expiration></Credentials></GetSessionTokenResult>\
             <ResponseMetadata><RequestId>R1</RequestId></ResponseMetadata></GetSessionTokenResponse>"
        );
    }

    #[test]
    fn an_error_is_the_xml_of_aws() {
        let response = Format::Xml.render(Err(denied()), "R1");
        assert_eq!(response.status(), 403);
        assert_eq!(response.headers()["content-type"], "text/xml");
        assert_eq!(
            response.body(),
            "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
             <Code>AccessDenied</Code><Message>&lt;no&gt;</Message></Error><RequestId>R1</RequestId>\
             </ErrorResponse>"
        );
    }

    #[test]
    fn failures_of_the_server_blame_the_receiver() {
        let fault = Fault::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", "");
        let response = Format::Xml.render(Err(fault), "R1");
        assert!(response.body().windows(21).any(|part| part == b"<Type>Receiver</Type>"));
    }

    #[test]
    fn json_has_the_same_members() {
        let response = Format::Json.render(Ok(session()), "R1");
        assert_eq!(response.headers()["content-type"], "application/json");
        let body: Json = serde_json::from_slice(response.body()).unwrap();
        let credentials = json!({
            "AccessKeyId": "ASIAX", "SecretAccessKey": "a/b+c", "SessionToken": "t=", "Expiration": 1_767_323_045,
        });
        let expected = json!({ "GetSessionTokenResponse": {
            "GetSessionTokenResult": { "Credentials": credentials },
            "ResponseMetadata": { "RequestId": "R1" },
        }});
        assert_eq!(body, expected);
        let body: Json = serde_json::from_slice(Format::Json.render(Err(denied()), "R1").body()).unwrap();
        let error = json!({ "Code": "AccessDenied", "Message": "<no>", "Type": "Sender" });
        assert_eq!(body, json!({ "Error": error, "RequestId": "R1" }));
    }

    #[test]
    fn json_is_for_those_who_accept_nothing_else() {
        for (accept, format) in [
            ("application/json", Format::Json),
            ("Application/JSON;q=0.9, */*", Format::Json),
            ("application/json, text/xml", Format::Xml),
            ("*/*", Format::Xml),
            ("", Format::Xml),
            ("application/jsonp", Format::Xml),
        ] {
            assert_eq!(accepting(accept), format, "{accept}");
        }
        assert_eq!(Format::of(&HeaderMap::new()), Format::Xml);
    }
}
