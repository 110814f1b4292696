//! The members of a JSON object, taken out one by one. Every refusal names the path of what is wrong.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::clock::UnixMillis;
use crate::events::EventError;
use crate::iam::{AccessKeyId, Arn, Principal};

/// The members of one JSON object and where it stands.
pub(super) struct Fields {
    pub(super) map: Map<String, Value>,
    /// With a dot at its end.
    prefix: String,
}

impl Fields {
    pub(super) fn new(map: Map<String, Value>, prefix: impl Into<String>) -> Self {
        Self { map, prefix: prefix.into() }
    }

    pub(super) fn fault(&self, key: &str, problem: &str) -> EventError {
        EventError::new(format!("{}{key}", self.prefix), problem)
    }

    pub(super) fn text(&mut self, key: &str) -> Result<String, EventError> {
        self.optional_text(key)?.ok_or_else(|| self.fault(key, "is missing"))
    }

    pub(super) fn optional_text(&mut self, key: &str) -> Result<Option<String>, EventError> {
        match self.map.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.fault(key, "must be a string")),
        }
    }

    pub(super) fn time(&self, key: &str) -> Result<Option<UnixMillis>, EventError> {
        match self.map.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => {
                UnixMillis::parse_rfc3339(text).map(Some).ok_or_else(|| self.time_fault(key))
            }
            Some(_) => Err(self.time_fault(key)),
        }
    }

    fn time_fault(&self, key: &str) -> EventError {
        self.fault(key, "must be RFC 3339 in UTC, for example 2026-01-02T03:04:05Z")
    }

    pub(super) fn access_key_id(&mut self) -> Result<AccessKeyId, EventError> {
        self.access_key_id_at("access_key_id")
    }

    pub(super) fn access_key_id_at(&mut self, key: &str) -> Result<AccessKeyId, EventError> {
        self.optional_access_key_id(key)?.ok_or_else(|| self.fault(key, "is missing"))
    }

    pub(super) fn optional_access_key_id(&mut self, key: &str) -> Result<Option<AccessKeyId>, EventError> {
        let Some(text) = self.optional_text(key)? else { return Ok(None) };
        let id = AccessKeyId::parse(&text);
        id.map(Some).ok_or_else(|| {
            self.fault(key, "must have 1 to 128 printable ASCII characters, no space, no comma")
        })
    }

    /// `arn:partition:service:region:account:resource`, up to 2,048 bytes.
    pub(super) fn arn(&mut self, key: &str) -> Result<String, EventError> {
        self.optional_arn(key)?.ok_or_else(|| self.fault(key, "is missing"))
    }

    pub(super) fn optional_arn(&mut self, key: &str) -> Result<Option<String>, EventError> {
        let Some(text) = self.optional_text(key)? else { return Ok(None) };
        if !is_arn(&text) {
            return Err(self.fault(key, "must be an ARN: arn:partition:service:region:account:resource"));
        }
        Ok(Some(text))
    }

    pub(super) fn account(&mut self) -> Result<String, EventError> {
        let account = self.text("account")?;
        if !Arn::is_account(&account) {
            return Err(self.fault("account", "must be twelve digits"));
        }
        Ok(account)
    }

    /// `principal`: `{arn, user_id, account}`.
    pub(super) fn principal(&mut self) -> Result<Principal, EventError> {
        let Some(mut fields) = self.optional_object("principal", "with arn, user_id and account")? else {
            return Err(self.fault("principal", "is missing"));
        };
        let account = fields.account()?;
        let arn = fields.arn("arn")?;
        let named = arn.split(':').nth(4).unwrap_or_default();
        if !named.is_empty() && named != account {
            let problem = format!("names another account than {}account", fields.prefix);
            return Err(fields.fault("arn", &problem));
        }
        Ok(Principal { arn, user_id: fields.text("user_id")?, account })
    }

    /// `with` says of what the object consists.
    pub(super) fn optional_object(&mut self, key: &str, with: &str) -> Result<Option<Self>, EventError> {
        match self.map.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Self::new(map, format!("{}{key}.", self.prefix)))),
            Some(_) => Err(self.fault(key, format!("must be an object {with}").trim_end())),
        }
    }

    /// At most `most` elements, each turned by `read` into what it stands for.
    pub(super) fn array<T>(
        &mut self,
        key: &str,
        most: usize,
        read: impl Fn(Value) -> Option<T>,
        problem: &str,
    ) -> Result<Vec<T>, EventError> {
        let values = match self.map.remove(key) {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::Array(values)) if values.len() <= most => values,
            Some(_) => return Err(self.fault(key, problem)),
        };
        values.into_iter().map(read).collect::<Option<_>>().ok_or_else(|| self.fault(key, problem))
    }

    pub(super) fn parsed<T: DeserializeOwned>(&mut self, key: &str, problem: &str) -> Result<T, EventError> {
        let value = self.map.remove(key).ok_or_else(|| self.fault(key, "is missing"))?;
        serde_json::from_value(value).map_err(|_| self.fault(key, problem))
    }
}

/// `arn:partition:service:region:account:resource`, up to 2,048 bytes.
pub(crate) fn is_arn(text: &str) -> bool {
    let resource = text.strip_prefix("arn:").and_then(|rest| rest.splitn(5, ':').nth(4));
    let printable = text.len() <= 2_048 && !text.chars().any(|c| c.is_whitespace() || c.is_control());
    printable && resource.is_some_and(|resource| !resource.is_empty())
}
