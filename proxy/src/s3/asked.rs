//! What a request asks, as policies see it: which permissions it needs, and what is known of it.
//!
//! Whoever is limited by policies may be out to be read in two ways: a parameter or header that comes twice, or that
//! does not decode to text, might mean one thing here and another to the backend. So might a key with `.` or `..`
//! between slashes, which intermediaries and file systems resolve. Such a request is refused. A key with a slash at its
//! beginning or two in a row is another one to backends that leave such slashes out: both must be permitted.
//!
//! What only a body says is not known here: the location of a new bucket, the tags of `PutObjectTagging`. Neither are
//! the tags that objects have. To conditions all of that is missing. The objects of `DeleteObjects` are told apart.
//!
//! Sources: <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html>

use std::borrow::Cow;

use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use sigv4::{Mechanism, Timestamp, uri};

use super::action::Action;
use super::copy_source::CopySource;
use super::target::{Bucket, Key, Target, has_dot_segment};
use crate::clock::UnixMillis;
use crate::fault::Fault;
use crate::iam::policy::{Context, Name, TagFamily, Tags, Value};

/// A request to S3, as far as permissions depend on it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The operation.
    pub action: Action,
    /// Bucket and key.
    pub target: &'a Target,
    /// What follows the first `?`, as received.
    pub query: Option<&'a [u8]>,
    /// As received; of a form, the headers that its fields stand for.
    pub headers: &'a HeaderMap,
    /// What `DeleteObjects` lists, once its body has been read.
    pub objects: Option<&'a [ObjectVersion]>,
}

/// An object, or one version of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectVersion {
    /// Decoded.
    pub key: String,
    /// `None`: the latest.
    pub version: Option<String>,
}

/// One permission that a request needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// For example `s3:GetObject`.
    pub action: &'static str,
    /// ARN of what is asked for.
    pub resource: String,
    /// The version that is named, for `s3:VersionId`.
    pub version: Option<String>,
}

/// Why it cannot be said what a request asks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unclear {
    /// A parameter or header could be read in two ways.
    #[error("{0} comes twice, is empty, is no plain text, or could be read in two ways")]
    Ambiguous(&'static str),
    /// A parameter is none of S3. Holds its name, decoded.
    #[error("{0:?} is no query parameter of this operation")]
    Parameter(String),
    /// No IAM action names the operation.
    #[error("the operation is unknown")]
    Unnamed,
    /// The objects that are to be deleted have not been read.
    #[error("the objects to delete are unknown")]
    Unread,
}

impl Unclear {
    /// As S3 answers it.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Ambiguous(name) => Fault::new(StatusCode::BAD_REQUEST, "InvalidArgument", self.to_string())
                .with("ArgumentName", *name),
            Self::Parameter(name) => Fault::new(StatusCode::BAD_REQUEST, "InvalidArgument", self.to_string())
                .with("ArgumentName", name),
            Self::Unnamed | Self::Unread => super::access_denied(),
        }
    }
}

const ACL_HEADERS: [&str; 6] = [
    "x-amz-acl",
    "x-amz-grant-full-control",
    "x-amz-grant-read",
    "x-amz-grant-read-acp",
    "x-amz-grant-write",
    "x-amz-grant-write-acp",
];

impl Asked<'_> {
    /// Every permission that the request needs, in `partition`, for example `aws`: at least one.
    pub fn needs(&self, partition: &str) -> Result<Vec<Need>, Unclear> {
        self.has_known_parameters()?;
        let of = |action, resource| Need { action, resource, version: None };
        let resource = arn(partition, self.target.bucket(), self.target.key().map(Key::as_str));
        let version = self.parameter("versionId", "versionId")?.map(Cow::into_owned);
        if version.as_deref() == Some("") {
            return Err(Unclear::Ambiguous("versionId"));
        }
        let named =
            if version.is_some() { self.action.iam_version_action() } else { self.action.iam_action() };
        let named = named.ok_or(Unclear::Unnamed)?;
        let mut needs = match self.action {
            Action::DeleteObjects => self.deletions(partition)?,
            _ => vec![Need { action: named, resource: resource.clone(), version: version.clone() }],
        };
        match self.action {
            Action::CopyObject | Action::UploadPartCopy => needs.push(self.source(partition)?),
            Action::GetObjectAttributes => {
                let read = if version.is_some() { "s3:GetObjectVersion" } else { "s3:GetObject" };
                needs.push(Need { action: read, resource: resource.clone(), version });
            }
            _ => {}
        }
        for (action, headers) in self.beside() {
            if self.has_any(headers) {
                needs.push(of(action, resource.clone()));
            }
        }
        if needs.iter().any(|need| has_dot_segment(&need.resource)) {
            return Err(Unclear::Ambiguous("key"));
        }
        for at in 0..needs.len() {
            if let Some(resource) = without_empty_segments(&needs[at].resource)? {
                needs.push(Need { resource, ..needs[at].clone() });
            }
        }
        Ok(needs)
    }

    /// Permissions that the presence of a header asks for.
    pub(super) fn beside(&self) -> &'static [(&'static str, &'static [&'static str])] {
        match self.action {
            Action::PutObject | Action::CopyObject | Action::CreateMultipartUpload | Action::PostObject => &[
                ("s3:PutObjectAcl", &ACL_HEADERS),
                ("s3:PutObjectTagging", &["x-amz-tagging"]),
                ("s3:PutObjectRetention", &["x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date"]),
                ("s3:PutObjectLegalHold", &["x-amz-object-lock-legal-hold"]),
            ],
            Action::CreateBucket => &[
                ("s3:PutBucketAcl", &ACL_HEADERS),
                ("s3:PutBucketOwnershipControls", &["x-amz-object-ownership"]),
                ("s3:PutBucketObjectLockConfiguration", &["x-amz-bucket-object-lock-enabled"]),
                ("s3:PutBucketVersioning", &["x-amz-bucket-object-lock-enabled"]),
            ],
            Action::DeleteObject | Action::PutObjectRetention => {
                &[("s3:BypassGovernanceRetention", &["x-amz-bypass-governance-retention"])]
            }
            _ => &[],
        }
    }

    fn deletions(&self, partition: &str) -> Result<Vec<Need>, Unclear> {
        let objects = self.objects.filter(|objects| !objects.is_empty()).ok_or(Unclear::Unread)?;
        let bypass = self.has_any(&["x-amz-bypass-governance-retention"]);
        let mut needs = Vec::with_capacity(objects.len());
        for ObjectVersion { key, version } in objects {
            let resource = arn(partition, self.target.bucket(), Some(key));
            if bypass {
                let action = "s3:BypassGovernanceRetention";
                needs.push(Need { action, resource: resource.clone(), version: version.clone() });
            }
            let action = if version.is_some() { "s3:DeleteObjectVersion" } else { "s3:DeleteObject" };
            needs.push(Need { action, resource, version: version.clone() });
        }
        Ok(needs)
    }

    /// To read what is to be copied.
    fn source(&self, partition: &str) -> Result<Need, Unclear> {
        let CopySource { bucket, key, version } = self.copy_source()?;
        let action = if version.is_some() { "s3:GetObjectVersion" } else { "s3:GetObject" };
        Ok(Need { action, resource: arn(partition, Some(&bucket), Some(&key)), version })
    }

    /// What is to be copied.
    ///
    /// # Errors
    /// Nothing is named, or what is could be read in two ways.
    pub fn copy_source(&self) -> Result<CopySource, Unclear> {
        const NAME: &str = "x-amz-copy-source";
        let raw = self.header(NAME)?;
        raw.as_deref().and_then(CopySource::parse).ok_or(Unclear::Ambiguous(NAME))
    }

    /// What conditions may ask about the request.
    pub fn facts(&self, mechanism: Mechanism, now: UnixMillis) -> Result<Facts, Unclear> {
        let mut facts = Facts::default();
        if let Action::ListObjects | Action::ListObjectsV2 | Action::ListObjectVersions = self.action {
            for (name, parameter) in
                [(Name::S3Prefix, "prefix"), (Name::S3Delimiter, "delimiter"), (Name::S3MaxKeys, "max-keys")]
            {
                facts.set(name, self.parameter(parameter, parameter)?);
            }
        }
        for (name, header) in CONDITIONS {
            facts.set(*name, self.header(header)?);
        }
        if let Some(tagging) = self.header("x-amz-tagging")? {
            facts.tags = tags(&tagging).ok_or(Unclear::Ambiguous("x-amz-tagging"))?;
        }
        let (auth_type, signed_at) = match mechanism {
            Mechanism::Header => ("REST-HEADER", self.header("x-amz-date")?),
            Mechanism::Query => ("REST-QUERY-STRING", self.header("x-amz-date")?),
            Mechanism::Form => ("POST", None),
        };
        let signed_at = signed_at.and_then(|text| Timestamp::parse_basic(text.as_bytes()));
        facts.auth_type = auth_type;
        facts.signature_version = self.signature_version()?;
        facts.signature_age = signed_at.map(|at| now.0 - UnixMillis::from_timestamp(at).0);
        Ok(facts)
    }

    /// Whether parameters stand for no headers.
    pub(super) fn is_signed_by_header(&self) -> bool {
        self.headers.contains_key(AUTHORIZATION)
    }

    /// A header, or the parameter that a presigned request has in its place. Beside a signature in a header such a
    /// parameter is a header to some readers and nothing to others.
    pub(super) fn header(&self, name: &'static str) -> Result<Option<Cow<'_, str>>, Unclear> {
        let mut values = self.headers.get_all(name).iter();
        let (value, more) = (values.next(), values.next().is_some());
        let parameter =
            self.parameter_by(name, |found| found.eq_ignore_ascii_case(name.as_bytes()), false)?;
        match (value, parameter) {
            (Some(_), Some(_)) => Err(Unclear::Ambiguous(name)),
            (None, Some(_)) if self.is_signed_by_header() => Err(Unclear::Ambiguous(name)),
            _ if more => Err(Unclear::Ambiguous(name)),
            (Some(value), None) => match std::str::from_utf8(value.as_bytes()) {
                Ok(text) => Ok(Some(text.into())),
                Err(_) => Err(Unclear::Ambiguous(name)),
            },
            (None, parameter) => Ok(parameter),
        }
    }

    /// The request is verified: its algorithm is one of two.
    fn signature_version(&self) -> Result<&'static str, Unclear> {
        let asymmetric = "AWS4-ECDSA-P256-SHA256";
        let header = self.headers.get(AUTHORIZATION);
        let by_header = header.is_some_and(|value| value.as_bytes().starts_with(asymmetric.as_bytes()));
        let by_query = self.header("x-amz-algorithm")?.is_some_and(|name| name == asymmetric);
        Ok(if by_header || by_query { asymmetric } else { "AWS4-HMAC-SHA256" })
    }

    fn has_any(&self, headers: &[&'static str]) -> bool {
        headers.iter().any(|name| !matches!(self.header(name), Ok(None)))
    }

    /// A parameter of the query.
    fn parameter(&self, name: &str, shown: &'static str) -> Result<Option<Cow<'_, str>>, Unclear> {
        self.parameter_by(shown, |found| found == name.as_bytes(), true)
    }

    /// `plain`: a raw `+`, which some read as a space, is refused.
    fn parameter_by(
        &self,
        shown: &'static str,
        is_it: impl Fn(&[u8]) -> bool,
        plain: bool,
    ) -> Result<Option<Cow<'_, str>>, Unclear> {
        let mut found = None;
        for (name, value) in uri::pairs(self.query.unwrap_or_default()) {
            if !uri::decode_query(name).is_ok_and(|name| is_it(&name)) {
                continue;
            }
            let text = match uri::decode_query(value) {
                Ok(Cow::Borrowed(bytes)) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
                Ok(Cow::Owned(bytes)) => String::from_utf8(bytes).ok().map(Cow::Owned),
                Err(_) => None,
            };
            let clear = found.is_none() && !(plain && value.contains(&b'+'));
            found = Some(text.filter(|_| clear).ok_or(Unclear::Ambiguous(shown))?);
        }
        Ok(found)
    }
}

/// Headers by the conditions that see them.
pub(super) const CONDITIONS: &[(Name, &str)] = &[
    (Name::S3Acl, "x-amz-acl"),
    (Name::S3ContentSha256, "x-amz-content-sha256"),
    (Name::S3CopySource, "x-amz-copy-source"),
    (Name::S3GrantFullControl, "x-amz-grant-full-control"),
    (Name::S3GrantRead, "x-amz-grant-read"),
    (Name::S3GrantReadAcp, "x-amz-grant-read-acp"),
    (Name::S3GrantWrite, "x-amz-grant-write"),
    (Name::S3GrantWriteAcp, "x-amz-grant-write-acp"),
    (Name::S3MetadataDirective, "x-amz-metadata-directive"),
    (Name::S3ObjectLockLegalHold, "x-amz-object-lock-legal-hold"),
    (Name::S3ObjectLockMode, "x-amz-object-lock-mode"),
    (Name::S3ObjectLockRetainUntilDate, "x-amz-object-lock-retain-until-date"),
    (Name::S3ServerSideEncryption, "x-amz-server-side-encryption"),
    (Name::S3ServerSideEncryptionKmsKeyId, "x-amz-server-side-encryption-aws-kms-key-id"),
    (Name::S3StorageClass, "x-amz-storage-class"),
    (Name::S3WebsiteRedirectLocation, "x-amz-website-redirect-location"),
];

/// `arn:<partition>:s3:::<bucket>/<key>`; every bucket, for the service itself.
fn arn(partition: &str, bucket: Option<&Bucket>, key: Option<&str>) -> String {
    match (bucket.map(Bucket::as_str), key) {
        (None, _) => format!("arn:{partition}:s3:::*"),
        (Some(bucket), None) => format!("arn:{partition}:s3:::{bucket}"),
        (Some(bucket), Some(key)) => format!("arn:{partition}:s3:::{bucket}/{key}"),
    }
}

/// The resource of an object to a backend that leaves out slashes which separate nothing; `None`: the same.
///
/// # Errors
/// Nothing else is left of the key: that would be the bucket.
fn without_empty_segments(resource: &str) -> Result<Option<String>, Unclear> {
    let Some((bucket, key)) = resource.split_once('/') else { return Ok(None) };
    let Some(plain) = collapsed(key) else { return Ok(None) };
    if plain.is_empty() { Err(Unclear::Ambiguous("key")) } else { Ok(Some(format!("{bucket}/{plain}"))) }
}

/// A key, or the beginning of one, without slashes at its beginning and without one that follows another; `None`: the same.
fn collapsed(key: &str) -> Option<String> {
    if !key.starts_with('/') && !key.contains("//") {
        return None;
    }
    let end = if key.ends_with('/') { "/" } else { "" };
    let segments: Vec<_> = key.split('/').filter(|segment| !segment.is_empty()).collect();
    Some(if segments.is_empty() { String::new() } else { segments.join("/") + end })
}

/// `x-amz-tagging`: pairs as in a query. `None` for what could be read in two ways: keys of tags differ by case, and
/// policies compare them without.
fn tags(header: &str) -> Option<Vec<(String, String)>> {
    let decoded = |text| String::from_utf8(uri::decode_query(text).ok()?.into_owned()).ok();
    let tags = uri::pairs(header.as_bytes()).map(|(key, value)| Some((decoded(key)?, decoded(value)?)));
    let tags = tags.collect::<Option<Vec<_>>>()?;
    let mut keys: Vec<_> = tags.iter().map(|(key, _)| key.to_lowercase()).collect();
    keys.sort_unstable();
    keys.windows(2).all(|pair| pair[0] != pair[1]).then_some(tags)
}

/// What is known of a request beside who makes it, decoded.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    texts: Vec<(Name, String)>,
    tags: Vec<(String, String)>,
    auth_type: &'static str,
    signature_version: &'static str,
    /// In milliseconds.
    signature_age: Option<i64>,
}

impl Facts {
    fn set(&mut self, name: Name, value: Option<Cow<'_, str>>) {
        if let Some(value) = value {
            self.texts.push((name, value.into_owned()));
        }
    }

    /// The same to a backend that leaves out slashes which separate nothing, if a prefix has such.
    pub fn without_empty_segments(&self) -> Option<Self> {
        let at = self.texts.iter().position(|(name, _)| *name == Name::S3Prefix)?;
        let prefix = collapsed(&self.texts[at].1)?;
        let mut facts = self.clone();
        facts.texts[at].1 = prefix;
        Some(facts)
    }

    /// The tags an object is to have.
    pub fn tags(&self) -> Vec<(&str, &str)> {
        self.tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
    }

    /// Sets everything. `tags` are [`tags`](Self::tags).
    pub fn describe<'a>(&'a self, tags: &'a [(&'a str, &'a str)], context: &mut Context<'a>) {
        for (name, value) in &self.texts {
            context.set(*name, Value::Text(value));
        }
        context.set_tags(TagFamily::RequestObject, Tags::Pairs(tags));
        context.set(Name::S3SignatureVersion, Value::Text(self.signature_version));
        context.set(Name::S3AuthType, Value::Text(self.auth_type));
        context.set(Name::S3SignatureAge, self.signature_age.map(Value::Number));
    }
}

#[cfg(test)]
mod tests;
