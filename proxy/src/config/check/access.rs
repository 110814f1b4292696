//! What holds for the requests of a route.

use http::{HeaderName, Method};

use super::super::access::{Access, RawCorsRule};
use super::{Check, raw};
use crate::s3::{Action, CORS_METHODS, Cors, CorsRule, Wildcard};

impl Check<'_> {
    /// What the route `at` says about its requests.
    pub(super) fn access(&mut self, at: &str, raw: &raw::Route) -> Option<Access> {
        let what = "an IAM action of S3 such as s3:GetObject";
        let key = format!("{at}.anonymous_actions");
        let anonymous_actions = self.each(&key, &raw.anonymous_actions, what, iam_action);
        if raw.forward_preflights {
            let key = format!("{at}.forward_preflights");
            if !raw.cors.is_empty() {
                return self.fault(&key, "leaves the answer to the backend: cors has no say beside it");
            }
            if raw.bucket.is_some() || raw.key_prefix.is_some() {
                return self.fault(&key, "is not offered for buckets and keys under other names");
            }
        }
        let mut rules = Vec::new();
        for (number, rule) in raw.cors.iter().enumerate() {
            rules.extend(self.cors_rule(&format!("{at}.cors[{number}]"), rule));
        }
        Some(Access {
            max_body_bytes: raw.max_body_size.map(|size| size.0),
            replay_protection: raw.replay_protection,
            anonymous_actions: anonymous_actions?,
            forward_preflights: raw.forward_preflights,
            cors: (rules.len() == raw.cors.len()).then_some(Cors(rules))?,
        })
    }

    fn cors_rule(&mut self, at: &str, raw: &RawCorsRule) -> Option<CorsRule> {
        let key = |name: &str| format!("{at}.{name}");
        for (name, list) in
            [("allowed_origins", &raw.allowed_origins), ("allowed_methods", &raw.allowed_methods)]
        {
            if list.is_empty() {
                return self.fault(&key(name), "at least one is needed");
            }
        }
        let what = "an origin such as https://app.example.com, with one * at most";
        let allowed_origins = self.each(&key("allowed_origins"), &raw.allowed_origins, what, Wildcard::parse);
        let what = "one of GET, PUT, POST, DELETE, HEAD";
        let allowed_methods = self.each(&key("allowed_methods"), &raw.allowed_methods, what, cors_method);
        let what = "the name of a header, with one * at most";
        let allowed_headers = self.each(&key("allowed_headers"), &raw.allowed_headers, what, |text| {
            Wildcard::parse(&text.to_ascii_lowercase())
        });
        let what = "the name of a header";
        let expose_headers = self
            .each(&key("expose_headers"), &raw.expose_headers, what, |text| text.parse::<HeaderName>().ok());
        Some(CorsRule {
            allowed_origins: allowed_origins?,
            allowed_methods: allowed_methods?,
            allowed_headers: allowed_headers?,
            expose_headers: expose_headers?,
            max_age: raw.max_age.map(|span| u32::try_from(span.0.as_secs()).unwrap_or(u32::MAX)),
        })
    }
}

fn cors_method(text: &str) -> Option<Method> {
    CORS_METHODS.into_iter().find(|method| method.as_str() == text)
}

fn iam_action(text: &str) -> Option<&'static str> {
    let names = Action::ALL.iter().flat_map(|action| [action.iam_action(), action.iam_version_action()]);
    names.flatten().find(|name| *name == text)
}
