//! What a verified token says, and what of it becomes the session's.
//!
//! Source: <https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation>,
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html#condition-keys-wif>,
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html#id_session-tags_adding-assume-role-idp>

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::error::TokenError;
use crate::clock::UnixMillis;
use crate::iam::directory::OidcProvider;

/// How far a provider's clock may be ahead of this one, in seconds, for tokens that were issued a moment ago. The
/// end of a token's time is taken at its word.
const LEEWAY: i64 = 60;

/// The claim that carries session tags, and the prefix of its members where they are claims of their own.
const TAGS: &str = "https://aws.amazon.com/tags";
const SOURCE_IDENTITY: &str = "https://aws.amazon.com/source_identity";

/// Claims whose condition keys are made with care; no other claim may be spelled so that it looks like one.
const RESERVED: [&str; 6] = ["iss", "sub", "aud", "azp", "oaud", "amr"];

/// The claims of a token whose signature has been verified, and nothing else.
#[derive(Debug)]
pub(super) struct Claims<'a>(pub(super) &'a Map<String, Value>);

/// Who a token speaks for: everything that AssumeRoleWithWebIdentity takes from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WebIdentity {
    /// ARN of the provider.
    pub(crate) provider: String,
    /// Claim `iss`.
    pub(crate) issuer: String,
    /// Claim `sub`.
    pub(crate) subject: String,
    /// Which of the provider's client ids the token is for.
    pub(crate) audience: String,
    /// Session tags in the order of their names, limits and characters unchecked.
    pub(crate) tags: Vec<(String, String)>,
    /// Names of the tags that follow into chained sessions, unchecked.
    pub(crate) transitive_tag_keys: Vec<String>,
    /// The source identity, unchecked.
    pub(crate) source_identity: Option<String>,
    /// Condition keys and their values, `<provider>:<claim>`.
    pub(crate) condition_keys: Vec<(String, Vec<String>)>,
}

impl Claims<'_> {
    /// Checks times and audience.
    pub(super) fn accept(&self, provider: &OidcProvider, now: UnixMillis) -> Result<WebIdentity, TokenError> {
        self.check_times(now.timestamp().unix())?;
        let subject = self.text("sub")?.ok_or(TokenError::Missing("sub"))?;
        if subject.is_empty() {
            return Err(TokenError::Claim("sub"));
        }
        let audiences = self.texts("aud")?.ok_or(TokenError::Missing("aud"))?;
        let party = self.text("azp")?;
        // As AWS has it: the party a token was issued to stands for its audience.
        let mut meant = party.map_or(audiences.clone(), |party| vec![party]);
        meant.retain(|audience| provider.client_ids.iter().any(|id| id == audience));
        let audience = *meant.first().ok_or(TokenError::Audience)?;
        let tags = Tags::read(self.0).ok_or(TokenError::Claim(TAGS))?;
        Ok(WebIdentity {
            provider: provider.arn.clone(),
            issuer: provider.url.clone(),
            subject: subject.to_owned(),
            audience: audience.to_owned(),
            tags: tags.principal,
            transitive_tag_keys: tags.transitive,
            source_identity: self.text(SOURCE_IDENTITY)?.map(str::to_owned),
            condition_keys: self.condition_keys(name_of(provider), subject, &meant, &audiences)?,
        })
    }

    fn check_times(&self, now: i64) -> Result<(), TokenError> {
        let expires = self.time("exp")?.ok_or(TokenError::Missing("exp"))?;
        let issued = self.time("iat")?.ok_or(TokenError::Missing("iat"))?;
        let begins = self.time("nbf")?.map_or(issued, |not_before| not_before.max(issued));
        if now >= expires {
            return Err(TokenError::Expired { now, expires });
        }
        if now.saturating_add(LEEWAY) < begins {
            return Err(TokenError::NotYet { now, begins });
        }
        Ok(())
    }

    /// Seconds since the epoch. AWS takes whole seconds only.
    fn time(&self, name: &'static str) -> Result<Option<i64>, TokenError> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        value.as_i64().map(Some).ok_or(TokenError::Claim(name))
    }

    fn text(&self, name: &'static str) -> Result<Option<&str>, TokenError> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        value.as_str().map(Some).ok_or(TokenError::Claim(name))
    }

    /// A string or an array of strings, never empty.
    fn texts(&self, name: &'static str) -> Result<Option<Vec<&str>>, TokenError> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        strings(value).filter(|texts| !texts.is_empty()).map(Some).ok_or(TokenError::Claim(name))
    }

    /// `aud` is for whom the token is meant here: one value unless several of the provider's client ids are in it. If
    /// the token names the party it was issued to, that is `aud`, and `oaud` the original audience. Beyond AWS's keys
    /// every claim that is a string, a number, a boolean or an array of those is one.
    fn condition_keys(
        &self,
        provider: &str,
        subject: &str,
        meant: &[&str],
        audiences: &[&str],
    ) -> Result<Vec<(String, Vec<String>)>, TokenError> {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let mut keys = vec![("sub".to_owned(), vec![subject.to_owned()]), ("aud".to_owned(), owned(meant))];
        if let Some(party) = self.text("azp")? {
            keys.push(("azp".to_owned(), vec![party.to_owned()]));
            keys.push(("oaud".to_owned(), owned(audiences)));
        }
        if let Some(methods) = self.0.get("amr").and_then(strings) {
            keys.push(("amr".to_owned(), owned(&methods)));
        }
        // Condition keys know no case. Of two claims that differ in case alone neither is one.
        let mut spellings: HashMap<String, usize> = HashMap::new();
        for name in self.0.keys() {
            *spellings.entry(name.to_ascii_lowercase()).or_default() += 1;
        }
        let unambiguous = |name: &str| {
            let lower = name.to_ascii_lowercase();
            spellings[&lower] == 1 && !RESERVED.contains(&&*lower)
        };
        let others = self.0.iter().filter(|(name, _)| is_key_name(name) && unambiguous(name));
        keys.extend(others.filter_map(|(name, value)| Some((name.clone(), scalars(value)?))));
        for (key, _) in &mut keys {
            key.insert_str(0, &format!("{provider}:"));
        }
        Ok(keys)
    }
}

/// Session tags, from the one claim in which AWS nests them or, for providers that cannot nest, from claims flattened
/// with `/`.
#[derive(Default)]
struct Tags {
    principal: Vec<(String, String)>,
    transitive: Vec<String>,
}

impl Tags {
    fn read(claims: &Map<String, Value>) -> Option<Self> {
        let mut tags = Self::default();
        for (name, value) in claims {
            match name.strip_prefix(TAGS) {
                Some("") => tags.nested(value.as_object()?)?,
                Some(path) if path.starts_with('/') => tags.flat(&path[1..], value)?,
                Some(_) | None => {}
            }
        }
        tags.principal.sort_unstable();
        Some(tags)
    }

    fn nested(&mut self, claim: &Map<String, Value>) -> Option<()> {
        for (member, value) in claim {
            match value.as_object() {
                Some(tags) => {
                    tags.iter().try_for_each(|(key, value)| self.flat(&format!("{member}/{key}"), value))?;
                }
                None => self.flat(member, value)?,
            }
        }
        Some(())
    }

    /// A tag has one value, be it alone or in an array. What is neither tag nor list of keys is refused: tags that
    /// somebody relies on must not be lost by a slip of the pen.
    fn flat(&mut self, path: &str, value: &Value) -> Option<()> {
        let values = strings(value)?;
        match (path.strip_prefix("principal_tags/"), &values[..]) {
            (Some(key), [value]) => self.principal.push((key.to_owned(), (*value).to_owned())),
            (None, keys) if path == "transitive_tag_keys" => {
                self.transitive.extend(keys.iter().map(|key| (*key).to_owned()));
            }
            (Some(_) | None, _) => return None,
        }
        Some(())
    }
}

/// The issuer without its scheme, as ARNs and condition keys have it: `oidc.example.com/realm`.
pub(super) fn name_of(provider: &OidcProvider) -> &str {
    provider.url.split_once("://").map_or(&provider.url, |(_, name)| name)
}

/// Names with other characters, such as `:`, could be taken for a key of another provider.
fn is_key_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
}

/// A string, or an array of strings.
fn strings(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::String(text) => Some(vec![text]),
        Value::Array(items) => items.iter().map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

fn scalars(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Array(items) => items.iter().map(scalar).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            scalar(value).map(|text| vec![text])
        }
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(value) => Some(value.to_string()),
        Value::String(text) => Some(text.clone()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
