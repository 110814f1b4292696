//! Which query parameters S3 has, and which could mean something to a backend that they do not mean here.
//!
//! S3 ignores parameters that it does not know; others do not. Some backends know more operations than S3, each by a
//! parameter of its own, some read headers from the query, and one splits a parameter at `=` only after decoding it.
//!
//! Sources: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/LogFormat.html> ("Custom access log information")

use std::borrow::Cow;

use sigv4::uri;

use super::asked::{Asked, Unclear};
use super::route::is_subresource;
use super::target::Target;

/// What a parameter is to a request, by its decoded name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// Selects an operation on what the request addresses, or belongs to some operation.
    Operation,
    /// Sets a header of the answer.
    Answer,
    /// Begins with `x-` and is no vendor's: of a signature, in place of a header, or ignored by S3.
    Extension,
    /// S3 has none of this name. It might select an operation that only the backend knows.
    Unknown,
}

/// Parameters of operations that select none.
const OF_OPERATIONS: &[&str] = &[
    "bucket-region",
    "continuation-token",
    "delimiter",
    "encoding-type",
    "fetch-owner",
    "id",
    "key-marker",
    "list-type",
    "marker",
    "max-buckets",
    "max-directory-buckets",
    "max-keys",
    "max-parts",
    "max-uploads",
    "part-number-marker",
    "partNumber",
    "prefix",
    "select-type",
    "start-after",
    "upload-id-marker",
    "version-id-marker",
    "versionId",
    "x-id",
];

/// Parameters of `GetObject`. Some backends compare their names in any case.
const OF_ANSWERS: &[&str] = &[
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
];

/// What names begin with that only one vendor's servers act upon, between servers of theirs most of them; and the names
/// that this gateway speaks by to its backend.
const OF_VENDORS: &[&str] = &[
    "x-minio-",
    "x-rustfs-",
    "x-seaweedfs-",
    "seaweed-",
    "x-rgw-",
    "rgwx-",
    "x-sigward-",
    // Of answers on S3; MinIO stores a request that has it as a replica.
    "x-amz-replication-status",
];

/// What `name`, of a header or decoded of a parameter, begins with if only one vendor's servers act upon it: in any case,
/// and with `_` for `-`, which are one to some backends.
pub fn vendor_prefix(name: &[u8]) -> Option<&'static str> {
    OF_VENDORS.iter().copied().find(|prefix| begins_with_either_spelling(name, prefix))
}

/// Whether a name begins with `prefix`, which is in lower case, as those read it that take `_` for `-`: in any case.
pub fn begins_with_either_spelling(name: &[u8], prefix: &str) -> bool {
    let same = |(have, want): (&u8, u8)| have.to_ascii_lowercase() == want || (*have == b'_' && want == b'-');
    name.len() >= prefix.len() && name.iter().zip(prefix.bytes()).all(same)
}

impl Parameter {
    /// Of a request to `target`.
    pub fn of(target: &Target, name: &[u8]) -> Self {
        let is = |known: &&str| name.eq_ignore_ascii_case(known.as_bytes());
        if OF_OPERATIONS.iter().any(|known| known.as_bytes() == name) || is_subresource(target, name) {
            Self::Operation
        } else if OF_ANSWERS.iter().any(is) {
            Self::Answer
        } else if name.get(..2).is_some_and(|start| start.eq_ignore_ascii_case(b"x-"))
            && vendor_prefix(name).is_none()
        {
            Self::Extension
        } else {
            Self::Unknown
        }
    }
}

/// Whether nobody can take a part of the decoded `name` for what separates parameters, or for the value. No client of
/// S3 sends another.
pub(super) fn is_plain(name: &[u8]) -> bool {
    name.iter().all(|byte| byte.is_ascii_graphic() && !b"=&?;#+%".contains(byte))
}

/// The query without the parameters whose decoded names `goes` is true of; everything else keeps its bytes and its order,
/// names that do not decode as well.
pub fn without_parameters(query: &str, goes: impl Fn(&[u8]) -> bool) -> Cow<'_, str> {
    let stays = |piece: &&str| {
        let name = piece.split('=').next().unwrap_or_default();
        !uri::decode_query(name.as_bytes()).is_ok_and(|name| goes(&name))
    };
    if query.split('&').all(|piece| stays(&piece)) {
        return Cow::Borrowed(query);
    }
    Cow::Owned(query.split('&').filter(stays).collect::<Vec<_>>().join("&"))
}

impl Asked<'_> {
    /// That S3 has every parameter of the query, or ignores it by its name.
    ///
    /// # Errors
    /// The first that it has not.
    pub fn has_known_parameters(&self) -> Result<(), Unclear> {
        for (name, _) in uri::pairs(self.query.unwrap_or_default()) {
            let name = uri::decode_query(name).map_err(|_| Unclear::Ambiguous("query"))?;
            if Parameter::of(self.target, &name) == Parameter::Unknown {
                return Err(Unclear::Parameter(String::from_utf8_lossy(&name).into_owned()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Parameter::{Answer, Extension, Operation, Unknown};
    use super::*;
    use crate::s3::Domains;

    fn target(path: &str) -> Target {
        Target::parse(path.as_bytes(), None, &Domains::default()).unwrap()
    }

    #[test]
    fn parameters_are_what_s3_takes_them_for() {
        for (path, name, expected) in [
            ("/", "max-buckets", Operation),
            ("/", "bucket-region", Operation),
            ("/b", "prefix", Operation),
            ("/b", "policy", Operation),
            ("/b/k", "policy", Unknown),
            ("/b/k", "attributes", Operation),
            ("/b", "attributes", Unknown),
            ("/b/k", "versionId", Operation),
            ("/b/k", "versionid", Unknown),
            ("/b/k", "x-id", Operation),
            ("/b/k", "response-content-type", Answer),
            ("/b/k", "Response-Expires", Answer),
            ("/b/k", "response-other", Unknown),
            ("/b/k", "X-Amz-Signature", Extension),
            ("/b/k", "x-amz-meta-a", Extension),
            ("/b/k", "x-trace", Extension),
            ("/b/k", "x_amz_acl", Unknown),
            ("/b", "events", Unknown),
            ("/b/k", "lambdaArn", Unknown),
            ("/b/k", "content-type", Unknown),
            ("/b/k", "", Unknown),
        ] {
            assert_eq!(Parameter::of(&target(path), name.as_bytes()), expected, "{path}?{name}");
        }
    }

    #[test]
    fn what_vendors_call_their_own_is_unknown_in_every_spelling() {
        let key = target("/b/k");
        for name in [
            "X-Minio-Replication-Ssec-Crc",
            "x_minio_source-mtime",
            "x-rustfs-a",
            "X-SeaweedFS-Principal",
            "Seaweed-X-Amz-Acl",
            "x-rgw-a",
            "rgwx-uid",
            "x-sigward-principal",
            "X-Amz-Replication-Status",
        ] {
            assert!(vendor_prefix(name.as_bytes()).is_some(), "{name}");
            assert_eq!(Parameter::of(&key, name.as_bytes()), Unknown, "{name}");
        }
        for name in ["x-minio", "x-amz-meta-x-minio-a", "seaweed"] {
            assert_eq!(vendor_prefix(name.as_bytes()), None, "{name}");
        }
    }

    #[test]
    fn names_of_clients_are_plain() {
        for name in
            ["X-Amz-SignedHeaders", "x-amz-meta-a.b_c~d", "partNumber", "list-type", "response-expires"]
        {
            assert!(is_plain(name.as_bytes()), "{name}");
        }
        for name in ["acl=", "?acl", "a&b", "a;b", "a#", "a+b", "a b", "a%3D", "a\0", "a\u{e9}"] {
            assert!(!is_plain(name.as_bytes()), "{name}");
        }
    }
}
