//! S3's rules for cross-origin requests, by example.

use super::*;

fn rule(origins: &[&str], methods: &[Method], headers: &[&str]) -> CorsRule {
    let patterns = |texts: &[&str]| texts.iter().map(|text| Wildcard::parse(text).unwrap()).collect();
    CorsRule {
        allowed_origins: patterns(origins),
        allowed_methods: methods.to_vec(),
        allowed_headers: patterns(headers),
        expose_headers: vec![HeaderName::from_static("etag"), HeaderName::from_static("x-amz-request-id")],
        max_age: Some(3000),
    }
}

/// The example of AWS's guide: one site may write, everybody may read.
fn rules() -> Cors {
    Cors(vec![
        rule(&["https://www.example.com"], &[Method::PUT, Method::POST, Method::DELETE], &["*"]),
        rule(&["https://*.example.org"], &[Method::PUT], &["content-type", "x-amz-meta-*"]),
        rule(&["*"], &[Method::GET], &[]),
    ])
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
}

fn preflight(origin: &str, method: &str, requested: &str) -> Result<HeaderMap, Fault> {
    let mut asked = headers(&[("origin", origin), ("access-control-request-method", method)]);
    if !requested.is_empty() {
        asked.insert("access-control-request-headers", requested.parse().unwrap());
    }
    rules().preflight(&asked, "OBJECT")
}

fn text<'a>(answer: &'a HeaderMap, name: &str) -> Option<&'a str> {
    answer.get(name).map(|value| value.to_str().unwrap())
}

#[test]
fn the_first_rule_that_fits_answers_a_preflight() {
    let answer = preflight("https://www.example.com", "PUT", "Content-Type, X-Amz-Date").unwrap();
    assert_eq!(text(&answer, "access-control-allow-origin"), Some("https://www.example.com"));
    assert_eq!(text(&answer, "access-control-allow-methods"), Some("PUT, POST, DELETE"));
    assert_eq!(text(&answer, "access-control-allow-headers"), Some("content-type, x-amz-date"));
    assert_eq!(text(&answer, "access-control-expose-headers"), Some("etag, x-amz-request-id"));
    assert_eq!(text(&answer, "access-control-max-age"), Some("3000"));
    assert_eq!(text(&answer, "access-control-allow-credentials"), Some("true"));
    assert_eq!(text(&answer, "vary"), Some(VARIES));
}

#[test]
fn anybody_may_come_without_cookies_only() {
    let answer = preflight("https://anywhere.test", "GET", "").unwrap();
    assert_eq!(text(&answer, "access-control-allow-origin"), Some("*"));
    assert!(!answer.contains_key("access-control-allow-credentials"));
    assert!(!answer.contains_key("access-control-allow-headers"));
}

#[test]
fn origin_method_and_every_header_must_fit() {
    for (origin, method, requested, fits) in [
        ("https://a.example.org", "PUT", "x-amz-meta-a,content-type", true),
        ("https://a.b.example.org", "PUT", "", true),
        ("https://example.org", "PUT", "", false),
        ("https://a.example.org.evil.test", "PUT", "", false),
        ("HTTPS://A.EXAMPLE.ORG", "PUT", "", false),
        ("https://a.example.org", "DELETE", "", false),
        ("https://a.example.org", "PUT", "content-type, authorization", false),
        ("https://a.example.org", "PUT", "content type", false),
        ("https://a.example.org", "GET", "x-anything", false),
        ("https://a.example.org", "HEAD", "", false),
        ("null", "PUT", "", false),
    ] {
        let answer = preflight(origin, method, requested);
        assert_eq!(answer.is_ok(), fits, "{origin} {method} {requested}");
        if let Err(fault) = answer {
            assert_eq!((fault.status.as_u16(), fault.code), (403, "AccessForbidden"));
            assert!(fault.message.starts_with("CORSResponse: This CORS request is not allowed."));
            assert_eq!(fault.elements, [("Method", method.to_owned()), ("ResourceType", "OBJECT".into())]);
        }
    }
}

#[test]
fn a_preflight_says_who_asks_and_for_what() {
    let fault = rules().preflight(&HeaderMap::new(), "BUCKET").unwrap_err();
    assert_eq!((fault.status.as_u16(), fault.code), (400, "BadRequest"));
    assert_eq!(fault.message, "Insufficient information. Origin request header needed.");
    let fault = rules().preflight(&headers(&[("origin", "https://a.test")]), "BUCKET").unwrap_err();
    assert_eq!(fault.message, "Invalid Access-Control-Request-Method: null");
    let fault = preflight("https://a.test", "PATCH", "").unwrap_err();
    assert_eq!(fault.message, "Invalid Access-Control-Request-Method: PATCH");
}

#[test]
fn without_rules_nothing_is_enabled() {
    let asked = headers(&[("origin", "https://a.test"), ("access-control-request-method", "GET")]);
    let fault = Cors::default().preflight(&asked, "BUCKET").unwrap_err();
    assert_eq!((fault.status.as_u16(), fault.code), (403, "AccessForbidden"));
    assert_eq!(fault.message, "CORSResponse: CORS is not enabled for this bucket.");
    let mut answer = headers(&[("access-control-allow-origin", "*")]);
    Cors::default().describe(&Method::GET, &asked, &mut answer);
    assert_eq!(text(&answer, "access-control-allow-origin"), Some("*"), "the backend's word stands");
}

#[test]
fn answers_say_what_the_rule_says_and_nothing_else() {
    let asked = headers(&[("origin", "https://a.example.org")]);
    let backend = [("access-control-allow-origin", "https://backend.test"), ("vary", "Accept-Encoding")];
    let mut answer = headers(&backend);
    rules().describe(&Method::PUT, &asked, &mut answer);
    assert_eq!(text(&answer, "access-control-allow-origin"), Some("https://a.example.org"));
    assert_eq!(text(&answer, "access-control-allow-methods"), Some("PUT"));
    let vary: Vec<_> = answer.get_all("vary").iter().collect();
    assert_eq!(vary, [VARIES, "Accept-Encoding"]);

    for (origin, method) in [("https://a.example.org", Method::DELETE), ("", Method::GET)] {
        let asked = if origin.is_empty() { HeaderMap::new() } else { headers(&[("origin", origin)]) };
        let mut answer = headers(&backend);
        rules().describe(&method, &asked, &mut answer);
        assert!(!answer.contains_key("access-control-allow-origin"), "{method}");
        assert_eq!(answer.get_all("vary").iter().next().unwrap(), VARIES);
    }
}

#[test]
fn one_wildcard_is_allowed() {
    for text in ["", "**", "http://*.*.com"] {
        assert_eq!(Wildcard::parse(text), None, "{text}");
    }
    assert!(!Wildcard::parse("ab*ba").unwrap().matches("aba"), "the wildcard overlaps nothing");
    assert!(Wildcard::parse("ab*ba").unwrap().matches("abba"));
}
