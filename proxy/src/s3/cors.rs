//! Cross-origin requests: which a browser may make, what it is told in a preflight and in every answer.
//!
//! S3 takes the first rule that fits a request: its origin, its method and, in a preflight, every header that is to
//! be sent. What the rule says goes into the answer. Without a rule that fits, a preflight is refused, and another
//! request is answered as if it were no cross-origin one: the browser then withholds the answer.
//!
//! Sources: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/cors.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/ManageCorsUsing.html>

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::fault::Fault;

/// Text with at most one `*`, which stands for any text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wildcard {
    before: Box<str>,
    /// `None`: there is no `*`.
    after: Option<Box<str>>,
}

/// What pages of some origins may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorsRule {
    /// Compared byte by byte, as browsers send them: `https://app.example.com`.
    pub allowed_origins: Vec<Wildcard>,
    /// Some of GET, PUT, POST, DELETE, HEAD.
    pub allowed_methods: Vec<Method>,
    /// Headers that a preflight may ask for, in lower case.
    pub allowed_headers: Vec<Wildcard>,
    /// Headers of answers that pages may read.
    pub expose_headers: Vec<HeaderName>,
    /// For how many seconds browsers may remember the answer to a preflight.
    pub max_age: Option<u32>,
}

/// Rules in the order in which they are asked. Without any, cross-origin requests are not enabled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cors(pub Vec<CorsRule>);

/// Methods that a rule may allow.
pub const CORS_METHODS: [Method; 5] = [Method::GET, Method::PUT, Method::POST, Method::DELETE, Method::HEAD];

/// What the answer to any request depends on as soon as there are rules: caches must know.
const VARIES: &str = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method";

impl Wildcard {
    /// `None` for empty text and for more than one `*`.
    pub fn parse(text: &str) -> Option<Self> {
        let (before, after) = match text.split_once('*') {
            Some((before, after)) => (before, Some(after)),
            None => (text, None),
        };
        let good = !text.is_empty() && !after.is_some_and(|after| after.contains('*'));
        good.then(|| Self { before: before.into(), after: after.map(Into::into) })
    }

    /// Whether `text` is one that it stands for.
    pub fn matches(&self, text: &str) -> bool {
        match &self.after {
            None => *text == *self.before,
            Some(after) => text.strip_prefix(&*self.before).is_some_and(|rest| rest.ends_with(&**after)),
        }
    }

    /// `*` alone.
    fn is_anything(&self) -> bool {
        self.before.is_empty() && self.after.as_deref() == Some("")
    }
}

/// The headers that a preflight asks for, in lower case.
fn requested_headers(headers: &HeaderMap) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for value in headers.get_all(ACCESS_CONTROL_REQUEST_HEADERS) {
        for name in value.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            if !name.is_empty() {
                names.push(HeaderName::from_bytes(name).ok()?.as_str().to_owned());
            }
        }
    }
    Some(names)
}

impl CorsRule {
    /// The pattern by which the rule is about this request.
    fn fits(&self, origin: &str, method: &Method, requested: &[String]) -> Option<&Wildcard> {
        let allowed = |name: &String| self.allowed_headers.iter().any(|pattern| pattern.matches(name));
        let by = self.allowed_origins.iter().find(|pattern| pattern.matches(origin))?;
        (self.allowed_methods.contains(method) && requested.iter().all(allowed)).then_some(by)
    }

    /// What a browser is told about a request that the rule fits by the pattern `by`.
    fn describe(&self, by: &Wildcard, origin: &HeaderValue, answer: &mut HeaderMap) {
        let mut text = |name, text: String| {
            if let Ok(value) = HeaderValue::try_from(text) {
                answer.insert(name, value);
            }
        };
        let methods: Vec<&str> = self.allowed_methods.iter().map(Method::as_str).collect();
        text(ACCESS_CONTROL_ALLOW_METHODS, methods.join(", "));
        if !self.expose_headers.is_empty() {
            let names: Vec<&str> = self.expose_headers.iter().map(HeaderName::as_str).collect();
            text(ACCESS_CONTROL_EXPOSE_HEADERS, names.join(", "));
        }
        if let Some(seconds) = self.max_age {
            text(ACCESS_CONTROL_MAX_AGE, seconds.to_string());
        }
        if by.is_anything() {
            // Whoever may be anybody may not be somebody with cookies.
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        } else {
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        answer.insert(VARY, HeaderValue::from_static(VARIES));
    }
}

impl Cors {
    /// Whether there are rules.
    pub fn is_enabled(&self) -> bool {
        !self.0.is_empty()
    }

    /// The headers of the answer to a preflight with these `headers`, which has no body. `resource_type` is for the
    /// error: `BUCKET` or `OBJECT`.
    pub fn preflight(&self, headers: &HeaderMap, resource_type: &str) -> Result<HeaderMap, Fault> {
        let origin = headers.get(ORIGIN).ok_or_else(no_origin)?;
        let asked = headers.get(ACCESS_CONTROL_REQUEST_METHOD);
        if !self.is_enabled() {
            let method = asked.map_or("OPTIONS".into(), |asked| String::from_utf8_lossy(asked.as_bytes()));
            return Err(forbidden("CORS is not enabled for this bucket.", &method, resource_type));
        }
        let method = asked.and_then(|value| Method::from_bytes(value.as_bytes()).ok());
        let Some(method) = method.filter(|method| CORS_METHODS.contains(method)) else {
            return Err(no_method(asked));
        };
        let refused = || forbidden(NOT_ALLOWED, method.as_str(), resource_type);
        let requested = requested_headers(headers).ok_or_else(refused)?;
        let text = origin.to_str().map_err(|_| refused())?;
        let fitting = |rule| CorsRule::fits(rule, text, &method, &requested).map(|by| (rule, by));
        let (rule, by) = self.0.iter().find_map(fitting).ok_or_else(refused)?;
        let mut answer = HeaderMap::new();
        rule.describe(by, origin, &mut answer);
        if let (false, Ok(names)) = (requested.is_empty(), HeaderValue::try_from(requested.join(", "))) {
            answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, names);
        }
        Ok(answer)
    }

    /// Tells the browser behind a request with these `headers` whether its page may see the answer, errors included.
    ///
    /// What the store behind said about that is taken away: two that speak at once are refused by browsers. Without
    /// rules the answer stays as it is.
    pub fn describe(&self, method: &Method, headers: &HeaderMap, answer: &mut HeaderMap) {
        if !self.is_enabled() {
            return;
        }
        for name in [
            ACCESS_CONTROL_ALLOW_CREDENTIALS,
            ACCESS_CONTROL_ALLOW_HEADERS,
            ACCESS_CONTROL_ALLOW_METHODS,
            ACCESS_CONTROL_ALLOW_ORIGIN,
            ACCESS_CONTROL_EXPOSE_HEADERS,
            ACCESS_CONTROL_MAX_AGE,
        ] {
            answer.remove(name);
        }
        let before: Vec<HeaderValue> = answer.get_all(VARY).iter().cloned().collect();
        let origin = headers.get(ORIGIN);
        let found = origin.and_then(|origin| {
            let text = origin.to_str().ok()?;
            let (rule, by) = self.0.iter().find_map(|rule| Some((rule, rule.fits(text, method, &[])?)))?;
            Some((rule, by, origin))
        });
        match found {
            Some((rule, by, origin)) => rule.describe(by, origin, answer),
            None => {
                answer.insert(VARY, HeaderValue::from_static(VARIES));
            }
        }
        for value in before.into_iter().filter(|value| value.as_bytes() != VARIES.as_bytes()) {
            answer.append(VARY, value);
        }
    }
}

const NOT_ALLOWED: &str = "This CORS request is not allowed. This is usually because the evalution of Origin, \
    request method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the \
    resource's CORS spec.";

fn forbidden(why: &str, method: &str, resource_type: &str) -> Fault {
    Fault::new(StatusCode::FORBIDDEN, "AccessForbidden", format!("CORSResponse: {why}"))
        .with("Method", method)
        .with("ResourceType", resource_type)
}

fn no_origin() -> Fault {
    let message = "Insufficient information. Origin request header needed.";
    Fault::new(StatusCode::BAD_REQUEST, "BadRequest", message)
}

fn no_method(asked: Option<&HeaderValue>) -> Fault {
    let asked = asked.map_or("null".into(), |value| String::from_utf8_lossy(value.as_bytes()));
    let message = format!("Invalid Access-Control-Request-Method: {asked}");
    Fault::new(StatusCode::BAD_REQUEST, "BadRequest", message)
}

#[cfg(test)]
mod tests;
