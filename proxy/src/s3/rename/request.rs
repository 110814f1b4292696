//! Names in a request's head: path, query and the source of a copy, as the backend knows them.

use sigv4::uri;

use super::Mapping;
use crate::s3::copy_source::CopySource;
use crate::s3::{Action, Target, Unclear};

impl Mapping {
    /// The path for a backend that is reached in path style. `path` is as received; of its key no byte is changed.
    pub fn path(&self, target: &Target, path: &[u8]) -> Vec<u8> {
        let bucket = self.backend.as_str().as_bytes();
        match target.key() {
            None => [b"/", bucket].concat(),
            Some(_) => {
                [b"/", bucket, b"/", self.key_prefix.as_str().as_bytes(), target.key_on_wire(path)].concat()
            }
        }
    }

    /// The query, with keys as the backend knows them. Continuation tokens, which are the backend's own, stay.
    ///
    /// # Errors
    /// A name that cannot be decoded, which might be that of a key to somebody else.
    pub fn query(&self, action: Action, query: Option<&str>) -> Result<Option<String>, Unclear> {
        let keys = parameters(action);
        let prefix = self.key_prefix.as_str();
        let Some((filter, _)) = keys.split_first().filter(|_| !prefix.is_empty()) else {
            return Ok(query.map(str::to_owned));
        };
        let (mut pieces, mut filtered) = (Vec::new(), false);
        for piece in query.unwrap_or_default().split('&').filter(|piece| !piece.is_empty()) {
            let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
            let decoded = uri::decode_query(name.as_bytes()).map_err(|_| Unclear::Ambiguous("query"))?;
            filtered |= *decoded == *filter.as_bytes();
            // No marker is the beginning; before everything is before what has the prefix.
            let is_key = keys.iter().any(|key| *decoded == *key.as_bytes());
            if is_key && (!value.is_empty() || *decoded == *filter.as_bytes()) {
                pieces.push(format!("{name}={}{value}", uri::encode_query(prefix.as_bytes())));
            } else {
                pieces.push(piece.to_owned());
            }
        }
        if !filtered {
            pieces.push(format!("{filter}={}", uri::encode_query(prefix.as_bytes())));
        }
        Ok(Some(pieces.join("&")))
    }

    /// The source of a copy that lies in this bucket.
    pub fn copy_source(&self, source: &CopySource) -> String {
        let key = uri::encode_path(source.key.as_bytes());
        let version = source.version.as_deref().map(|version| uri::encode_query(version.as_bytes()));
        let version = version.map(|version| format!("?versionId={version}")).unwrap_or_default();
        format!("/{}/{}{key}{version}", self.backend, self.key_prefix.as_str())
    }
}

/// The parameters of a listing that hold keys: what they begin with, then where the listing begins.
fn parameters(action: Action) -> &'static [&'static str] {
    match action {
        Action::ListObjects => &["prefix", "marker"],
        Action::ListObjectsV2 => &["prefix", "start-after"],
        Action::ListObjectVersions | Action::ListMultipartUploads => &["prefix", "key-marker"],
        _ => &[],
    }
}

/// Whether the operation is offered under other names.
///
/// Behind a key prefix lies a part of a bucket: what concerns the bucket as a whole concerns others as well. Of an
/// operation that is unknown nobody can say where names stand.
pub fn is_offered(action: Action, key_prefix: bool) -> bool {
    use Action::*;
    match action {
        // What is restored by a query is written wherever the body says, by names that are not looked at.
        Unknown | Options | CreateSession | RenameObject | GetObjectTorrent | ListBuckets | RestoreObject => {
            false
        }
        AbortMultipartUpload
        | CompleteMultipartUpload
        | CopyObject
        | CreateMultipartUpload
        | DeleteObject
        | DeleteObjects
        | DeleteObjectTagging
        | GetBucketLocation
        | GetBucketVersioning
        | GetObject
        | GetObjectAcl
        | GetObjectAttributes
        | GetObjectLegalHold
        | GetObjectRetention
        | GetObjectTagging
        | HeadBucket
        | HeadObject
        | ListMultipartUploads
        | ListObjects
        | ListObjectsV2
        | ListObjectVersions
        | ListParts
        | PostObject
        | PutObject
        | PutObjectAcl
        | PutObjectLegalHold
        | PutObjectRetention
        | PutObjectTagging
        | SelectObjectContent
        | UpdateObjectEncryption
        | UploadPart
        | UploadPartCopy => true,
        _ => !key_prefix,
    }
}

/// Whether a good answer is a document with names in it. Every error is one.
pub fn names_in_answer(action: Action) -> bool {
    matches!(
        action,
        Action::CompleteMultipartUpload
            | Action::CopyObject
            | Action::CreateMultipartUpload
            | Action::DeleteObjects
            | Action::ListMultipartUploads
            | Action::ListObjects
            | Action::ListObjectsV2
            | Action::ListObjectVersions
            | Action::ListParts
            | Action::UploadPartCopy
    )
}

/// Whether the client asked for keys that are URL-encoded.
pub fn is_url_encoded(query: Option<&str>) -> bool {
    let is = |wire: &[u8], text: &[u8]| uri::decode_query(wire).is_ok_and(|plain| *plain == *text);
    uri::pairs(query.unwrap_or_default().as_bytes())
        .any(|(name, value)| is(name, b"encoding-type") && is(value, b"url"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::rename::KeyPrefix;
    use crate::s3::{Bucket, Domains};

    fn mapping(prefix: &str) -> Mapping {
        Mapping {
            client: Bucket::parse("photos").unwrap(),
            backend: Bucket::parse("shared").unwrap(),
            key_prefix: KeyPrefix::parse(prefix).unwrap_or_default(),
        }
    }

    #[test]
    fn of_a_key_no_byte_is_changed() {
        let domains = Domains::new(["s3.test"]);
        for (host, path, expected) in [
            ("h", "/photos/a%2f//b%7e", "/shared/t/a%2f//b%7e"),
            ("photos.s3.test", "/a%2f//b%7e", "/shared/t/a%2f//b%7e"),
            ("h", "/photos", "/shared"),
            ("h", "/photos/", "/shared"),
            ("photos.s3.test", "/", "/shared"),
            ("h", "/ph%6ftos//", "/shared/t//"),
        ] {
            let target = Target::parse(path.as_bytes(), Some(host.as_bytes()), &domains).unwrap();
            let sent = mapping("t/").path(&target, path.as_bytes());
            assert_eq!(String::from_utf8(sent).unwrap(), expected, "{path}");
        }
    }

    #[test]
    fn keys_in_a_query_are_those_of_the_backend() {
        use Action::*;
        for (action, query, expected) in [
            (ListObjectsV2, Some("list-type=2&prefix=a%2Fb+c"), "list-type=2&prefix=t%2Fa%2Fb+c"),
            (
                ListObjectsV2,
                Some("list-type=2&start-after=x&continuation-token=p"),
                "list-type=2&start-after=t%2Fx&continuation-token=p&prefix=t%2F",
            ),
            (ListObjects, None, "prefix=t%2F"),
            (ListObjects, Some("prefix&marker="), "prefix=t%2F&marker="),
            (ListObjects, Some("prefix=&prefix=a&%70refix=b"), "prefix=t%2F&prefix=t%2Fa&%70refix=t%2Fb"),
            (
                ListObjectVersions,
                Some("versions&key-marker=k&version-id-marker=v"),
                "versions&key-marker=t%2Fk&version-id-marker=v&prefix=t%2F",
            ),
            (ListMultipartUploads, Some("uploads&prefix=k"), "uploads&prefix=t%2Fk"),
            (ListParts, Some("uploadId=u&prefix=k"), "uploadId=u&prefix=k"),
        ] {
            let sent = mapping("t/").query(action, query).unwrap();
            assert_eq!(sent.as_deref(), Some(expected), "{query:?}");
        }
        assert_eq!(mapping("").query(ListObjects, Some("prefix=a")).unwrap().as_deref(), Some("prefix=a"));
        assert!(mapping("t/").query(ListObjects, Some("%zz=1")).is_err());
    }

    #[test]
    fn the_source_of_a_copy_is_spelt_anew() {
        for (raw, expected) in [
            ("photos/a%2Bb/c", "/shared/t/a%2Bb/c"),
            ("/photos%2Fa b?versionId=v%3D1", "/shared/t/a%20b?versionId=v%3D1"),
        ] {
            let source = CopySource::parse(raw).unwrap();
            assert_eq!(mapping("t/").copy_source(&source), expected, "{raw}");
        }
    }

    #[test]
    fn behind_a_key_prefix_nothing_is_offered_that_concerns_the_whole_bucket() {
        for (action, renamed, prefixed) in [
            (Action::GetObject, true, true),
            (Action::PutBucketPolicy, true, false),
            (Action::DeleteBucket, true, false),
            (Action::PutObjectLockConfiguration, true, false),
            (Action::RestoreObject, false, false),
            (Action::Unknown, false, false),
        ] {
            assert_eq!(
                (is_offered(action, false), is_offered(action, true)),
                (renamed, prefixed),
                "{action:?}"
            );
        }
    }
}
