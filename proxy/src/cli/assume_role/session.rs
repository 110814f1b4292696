//! A session that STS issued, and the JSON in which others want to read it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::super::sts::Answer;
use crate::clock::UnixMillis;

/// Credentials of a role. Holds secrets: it has no `Debug`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Session {
    pub(super) access_key_id: String,
    pub(super) secret_access_key: Zeroizing<String>,
    pub(super) session_token: Zeroizing<String>,
    /// As STS wrote it: RFC 3339 in UTC.
    pub(super) expiration: String,
    pub(super) arn: String,
    pub(super) assumed_role_id: String,
}

impl Session {
    /// Out of the answer to any of the AssumeRole operations; `None` if it lacks something.
    pub(super) fn read(answer: &Answer) -> Option<Self> {
        let text = |path| answer.get(path).filter(|text| !text.is_empty()).map(str::to_owned);
        let session = Self {
            access_key_id: text("Credentials/AccessKeyId")?,
            secret_access_key: text("Credentials/SecretAccessKey")?.into(),
            session_token: text("Credentials/SessionToken")?.into(),
            expiration: text("Credentials/Expiration")?,
            arn: text("AssumedRoleUser/Arn")?,
            assumed_role_id: text("AssumedRoleUser/AssumedRoleId")?,
        };
        session.expires_at().is_some().then_some(session)
    }

    /// When it ends; `None` if it does not say so in a way that can be read.
    pub(super) fn expires_at(&self) -> Option<UnixMillis> {
        UnixMillis::parse_rfc3339(&self.expiration)
    }

    /// As `aws sts assume-role` prints it.
    pub(super) fn json(&self) -> Value {
        json!({
            "Credentials": {
                "AccessKeyId": self.access_key_id,
                "SecretAccessKey": *self.secret_access_key,
                "SessionToken": *self.session_token,
                "Expiration": self.expiration,
            },
            "AssumedRoleUser": { "AssumedRoleId": self.assumed_role_id, "Arn": self.arn },
        })
    }

    /// As the SDKs read it from a `credential_process`.
    ///
    /// Source: <https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html>
    pub(super) fn credential_process(&self) -> Value {
        json!({
            "Version": 1,
            "AccessKeyId": self.access_key_id,
            "SecretAccessKey": *self.secret_access_key,
            "SessionToken": *self.session_token,
            "Expiration": self.expiration,
        })
    }
}

#[cfg(test)]
pub(super) fn sample(expiration: &str) -> Session {
    Session {
        access_key_id: "ASIA1".into(),
        secret_access_key: "it's $HOME `x` \"y\" \\".to_owned().into(),
        session_token: "t/+=".to_owned().into(),
        expiration: expiration.into(),
        arn: "arn:aws:sts::123456789012:assumed-role/reader/alice".into(),
        assumed_role_id: "AROA1:alice".into(),
    }
}
