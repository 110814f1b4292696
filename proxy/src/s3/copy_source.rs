//! The source of a copy: `x-amz-copy-source`.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html#API_CopyObject_RequestSyntax>

use sigv4::uri;

use super::target::Bucket;

/// An object, or one version of it, that is to be copied; decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopySource {
    /// Its bucket.
    pub bucket: Bucket,
    /// Its key; never empty.
    pub key: String,
    /// `None`: the latest version.
    pub version: Option<String>,
}

impl CopySource {
    /// Reads a value as received; `None` for what could be read in two ways.
    pub fn parse(raw: &str) -> Option<Self> {
        let path = raw.strip_prefix('/').unwrap_or(raw);
        let (path, version) =
            path.split_once("?versionId=").map_or((path, None), |(path, version)| (path, Some(version)));
        // To some, what follows either is no part of the key.
        if path.contains(['?', '#']) {
            return None;
        }
        // Some read a `+` as a space, and some look for the version when the rest is decoded.
        let decoded = |text: &str| {
            let bytes = uri::decode_path(text.as_bytes()).ok()?.into_owned();
            String::from_utf8(bytes)
                .ok()
                .filter(|plain| !text.contains('+') && !plain.contains("?versionId="))
        };
        let path = decoded(path)?;
        let (bucket, key) = path.split_once('/').filter(|(_, key)| !key.is_empty())?;
        let bucket = Bucket::parse(bucket).ok()?;
        let version = match version {
            Some(raw) => {
                let one = |text: &str| !text.is_empty() && !text.contains(['?', '#', '&']);
                Some(decoded(raw).filter(|version| one(raw) && one(version))?)
            }
            None => None,
        };
        Some(Self { bucket, key: key.to_owned(), version })
    }
}
