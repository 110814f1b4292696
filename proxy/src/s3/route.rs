//! Which operation a request is: by method, by what it addresses, and by subresource.
//!
//! A request that names two subresources is no operation here. Otherwise this gateway might pick one of them and
//! the backend the other.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method};
use sigv4::uri;

use super::{
    Action::{self, *},
    Target,
};

/// A query parameter that turns a request into another operation, and what it is for each method.
struct Subresource {
    name: &'static str,
    get: Action,
    put: Action,
    post: Action,
    delete: Action,
}

/// In the tables: no such operation.
const NONE: Action = Unknown;

const fn row(name: &'static str, [get, put, post, delete]: [Action; 4]) -> Subresource {
    Subresource { name, get, put, post, delete }
}

/// Columns: GET, PUT, POST, DELETE.
#[rustfmt::skip]
const OF_BUCKETS: &[Subresource] = &[
    row("abac", [GetBucketAbac, PutBucketAbac, NONE, NONE]),
    row("accelerate", [GetBucketAccelerateConfiguration, PutBucketAccelerateConfiguration, NONE, NONE]),
    row("acl", [GetBucketAcl, PutBucketAcl, NONE, NONE]),
    row("analytics", [GetBucketAnalyticsConfiguration, PutBucketAnalyticsConfiguration, NONE, DeleteBucketAnalyticsConfiguration]),
    row("cors", [GetBucketCors, PutBucketCors, NONE, DeleteBucketCors]),
    row("delete", [NONE, NONE, DeleteObjects, NONE]),
    row("encryption", [GetBucketEncryption, PutBucketEncryption, NONE, DeleteBucketEncryption]),
    row("intelligent-tiering", [GetBucketIntelligentTieringConfiguration, PutBucketIntelligentTieringConfiguration, NONE, DeleteBucketIntelligentTieringConfiguration]),
    row("inventory", [GetBucketInventoryConfiguration, PutBucketInventoryConfiguration, NONE, DeleteBucketInventoryConfiguration]),
    row("lifecycle", [GetBucketLifecycleConfiguration, PutBucketLifecycleConfiguration, NONE, DeleteBucketLifecycle]),
    row("location", [GetBucketLocation, NONE, NONE, NONE]),
    row("logging", [GetBucketLogging, PutBucketLogging, NONE, NONE]),
    row("metadataConfiguration", [GetBucketMetadataConfiguration, NONE, CreateBucketMetadataConfiguration, DeleteBucketMetadataConfiguration]),
    row("metadataInventoryTable", [NONE, UpdateBucketMetadataInventoryTableConfiguration, NONE, NONE]),
    row("metadataJournalTable", [NONE, UpdateBucketMetadataJournalTableConfiguration, NONE, NONE]),
    row("metadataTable", [GetBucketMetadataTableConfiguration, NONE, CreateBucketMetadataTableConfiguration, DeleteBucketMetadataTableConfiguration]),
    row("metrics", [GetBucketMetricsConfiguration, PutBucketMetricsConfiguration, NONE, DeleteBucketMetricsConfiguration]),
    row("notification", [GetBucketNotificationConfiguration, PutBucketNotificationConfiguration, NONE, NONE]),
    row("object-lock", [GetObjectLockConfiguration, PutObjectLockConfiguration, NONE, NONE]),
    row("ownershipControls", [GetBucketOwnershipControls, PutBucketOwnershipControls, NONE, DeleteBucketOwnershipControls]),
    row("policy", [GetBucketPolicy, PutBucketPolicy, NONE, DeleteBucketPolicy]),
    row("policyStatus", [GetBucketPolicyStatus, NONE, NONE, NONE]),
    row("publicAccessBlock", [GetPublicAccessBlock, PutPublicAccessBlock, NONE, DeletePublicAccessBlock]),
    row("replication", [GetBucketReplication, PutBucketReplication, NONE, DeleteBucketReplication]),
    row("requestPayment", [GetBucketRequestPayment, PutBucketRequestPayment, NONE, NONE]),
    row("session", [CreateSession, NONE, NONE, NONE]),
    row("tagging", [GetBucketTagging, PutBucketTagging, NONE, DeleteBucketTagging]),
    row("uploads", [ListMultipartUploads, NONE, NONE, NONE]),
    row("versioning", [GetBucketVersioning, PutBucketVersioning, NONE, NONE]),
    row("versions", [ListObjectVersions, NONE, NONE, NONE]),
    row("website", [GetBucketWebsite, PutBucketWebsite, NONE, DeleteBucketWebsite]),
];

/// Columns: GET, PUT, POST, DELETE.
#[rustfmt::skip]
const OF_OBJECTS: &[Subresource] = &[
    row("acl", [GetObjectAcl, PutObjectAcl, NONE, NONE]),
    row("attributes", [GetObjectAttributes, NONE, NONE, NONE]),
    row("encryption", [NONE, UpdateObjectEncryption, NONE, NONE]),
    row("legal-hold", [GetObjectLegalHold, PutObjectLegalHold, NONE, NONE]),
    row("renameObject", [NONE, RenameObject, NONE, NONE]),
    row("restore", [NONE, NONE, RestoreObject, NONE]),
    row("retention", [GetObjectRetention, PutObjectRetention, NONE, NONE]),
    row("select", [NONE, NONE, SelectObjectContent, NONE]),
    row("tagging", [GetObjectTagging, PutObjectTagging, NONE, DeleteObjectTagging]),
    row("torrent", [GetObjectTorrent, NONE, NONE, NONE]),
    row("uploadId", [ListParts, UploadPart, CompleteMultipartUpload, AbortMultipartUpload]),
    row("uploads", [NONE, NONE, CreateMultipartUpload, NONE]),
];

impl Action {
    /// Recognises the operation. `query` is what follows the first `?`, as received.
    pub fn of(method: &Method, target: &Target, query: Option<&[u8]>, headers: &HeaderMap) -> Self {
        let query = query.unwrap_or_default();
        match (target.bucket(), target.key()) {
            _ if method == Method::OPTIONS => Options,
            (None, _) if method == Method::GET => ListBuckets,
            (None, _) => Unknown,
            (Some(_), None) => on_bucket(method, &Query::scan(query, OF_BUCKETS), headers),
            (Some(_), Some(_)) => on_object(method, &Query::scan(query, OF_OBJECTS), headers),
        }
    }
}

/// Whether `name`, decoded, selects an operation on what `target` is.
pub(super) fn is_subresource(target: &Target, name: &[u8]) -> bool {
    let table = if target.key().is_some() { OF_OBJECTS } else { OF_BUCKETS };
    table.iter().any(|row| row.name.as_bytes() == name)
}

/// What of a query decides which operation a request is.
struct Query {
    selected: Selected,
    list_type_2: bool,
    id: bool,
    part_number: bool,
    copy_source: bool,
}

enum Selected {
    Nothing,
    One(&'static Subresource),
    Several,
}

impl Query {
    fn scan(query: &[u8], table: &'static [Subresource]) -> Self {
        let mut seen = Self {
            selected: Selected::Nothing,
            list_type_2: false,
            id: false,
            part_number: false,
            copy_source: false,
        };
        for (name, value) in uri::pairs(query) {
            // A backend decodes names, so `%61cl` is `acl` here as well.
            let Ok(name) = uri::decode_query(name) else { continue };
            match &*name {
                b"list-type" => {
                    seen.list_type_2 |= uri::decode_query(value).is_ok_and(|value| *value == *b"2")
                }
                b"id" => seen.id = true,
                b"partNumber" => seen.part_number = true,
                // Presigned requests may carry `x-amz-*` headers as parameters.
                name if name.eq_ignore_ascii_case(b"x-amz-copy-source") => seen.copy_source = true,
                name => seen.select(table.iter().find(|row| row.name.as_bytes() == name)),
            }
        }
        seen
    }

    fn select(&mut self, row: Option<&'static Subresource>) {
        let Some(row) = row else { return };
        self.selected = match self.selected {
            Selected::Nothing => Selected::One(row),
            Selected::One(other) if other.name == row.name => Selected::One(row),
            Selected::One(_) | Selected::Several => Selected::Several,
        };
    }
}

impl Subresource {
    fn action(&self, method: &Method) -> Action {
        match *method {
            Method::GET => self.get,
            Method::PUT => self.put,
            Method::POST => self.post,
            Method::DELETE => self.delete,
            _ => Unknown,
        }
    }
}

fn on_bucket(method: &Method, query: &Query, headers: &HeaderMap) -> Action {
    match query.selected {
        Selected::Several => Unknown,
        Selected::One(subresource) if query.id => subresource.action(method),
        Selected::One(subresource) => list_of(subresource.action(method)),
        Selected::Nothing => match *method {
            Method::GET if query.list_type_2 => ListObjectsV2,
            Method::GET => ListObjects,
            Method::HEAD => HeadBucket,
            Method::PUT => CreateBucket,
            Method::POST if is_form(headers) => PostObject,
            Method::DELETE => DeleteBucket,
            _ => Unknown,
        },
    }
}

/// Configurations that a bucket has several of are listed when no `id` says which one is meant.
fn list_of(action: Action) -> Action {
    match action {
        GetBucketAnalyticsConfiguration => ListBucketAnalyticsConfigurations,
        GetBucketIntelligentTieringConfiguration => ListBucketIntelligentTieringConfigurations,
        GetBucketInventoryConfiguration => ListBucketInventoryConfigurations,
        GetBucketMetricsConfiguration => ListBucketMetricsConfigurations,
        other => other,
    }
}

fn on_object(method: &Method, query: &Query, headers: &HeaderMap) -> Action {
    let copies = query.copy_source || headers.contains_key("x-amz-copy-source");
    match query.selected {
        Selected::Several => Unknown,
        Selected::One(subresource) => match subresource.action(method) {
            UploadPart if !query.part_number => Unknown,
            UploadPart if copies => UploadPartCopy,
            action => action,
        },
        Selected::Nothing => match *method {
            Method::GET => GetObject,
            Method::HEAD => HeadObject,
            Method::PUT if copies => CopyObject,
            Method::PUT => PutObject,
            Method::DELETE => DeleteObject,
            _ => Unknown,
        },
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    const FORM: &[u8] = b"multipart/form-data";
    let declared = headers.get(CONTENT_TYPE).map(|value| value.as_bytes());
    declared.and_then(|value| value.get(..FORM.len())).is_some_and(|value| value.eq_ignore_ascii_case(FORM))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::s3::Domains;

    /// `METHOD path[?query][ header]`, where the header is `copy` or `form`.
    fn action(request: &str) -> Action {
        let mut words = request.split(' ');
        let method = Method::from_bytes(words.next().unwrap().as_bytes()).unwrap();
        let uri = words.next().unwrap();
        let (path, query) = uri.split_once('?').map_or((uri, None), |(path, query)| (path, Some(query)));
        let target = Target::parse(path.as_bytes(), None, &Domains::default()).unwrap();
        let mut headers = HeaderMap::new();
        match words.next() {
            Some("copy") => drop(headers.insert("x-amz-copy-source", HeaderValue::from_static("/b/k"))),
            Some("form") => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("Multipart/form-data; boundary=x"));
            }
            Some(other) => panic!("{other}"),
            None => {}
        }
        Action::of(&method, &target, query.map(str::as_bytes), &headers)
    }

    #[test]
    fn every_operation_is_recognised() {
        let requests = [
            ("GET /", ListBuckets),
            ("GET /?max-buckets=10&x-id=ListBuckets", ListBuckets),
            ("PUT /b", CreateBucket),
            ("PUT /b/", CreateBucket),
            ("DELETE /b", DeleteBucket),
            ("HEAD /b", HeadBucket),
            ("GET /b", ListObjects),
            ("GET /b?prefix=acl&delimiter=/", ListObjects),
            ("GET /b?list-type=2&prefix=a", ListObjectsV2),
            ("GET /b?list-type=%32", ListObjectsV2),
            ("GET /b?versions", ListObjectVersions),
            ("GET /b?uploads&prefix=a", ListMultipartUploads),
            ("GET /b?location", GetBucketLocation),
            ("POST /b?delete", DeleteObjects),
            ("POST /b form", PostObject),
            ("GET /b?session", CreateSession),
            ("GET /b/k", GetObject),
            ("GET /b/k?versionId=1&partNumber=2&response-content-type=a", GetObject),
            ("GET /b/k?X-Amz-Algorithm=a&X-Amz-Signature=b", GetObject),
            ("GET /b/k?policy", GetObject),
            ("HEAD /b/k?partNumber=1", HeadObject),
            ("PUT /b/k", PutObject),
            ("PUT /b/k?x-id=PutObject", PutObject),
            ("PUT /b/k copy", CopyObject),
            ("PUT /b/k?X-Amz-Copy-Source=%2Fb%2Fk", CopyObject),
            ("DELETE /b/k?versionId=1", DeleteObject),
            ("POST /b/k?uploads", CreateMultipartUpload),
            ("PUT /b/k?partNumber=1&uploadId=u", UploadPart),
            ("PUT /b/k?uploadId=u&partNumber=1 copy", UploadPartCopy),
            ("POST /b/k?uploadId=u", CompleteMultipartUpload),
            ("DELETE /b/k?uploadId=u", AbortMultipartUpload),
            ("GET /b/k?uploadId=u&max-parts=1", ListParts),
            ("POST /b/k?select&select-type=2", SelectObjectContent),
            ("POST /b/k?restore&versionId=1", RestoreObject),
            ("GET /b/k?attributes", GetObjectAttributes),
            ("GET /b/k?torrent", GetObjectTorrent),
            ("PUT /b/k?renameObject", RenameObject),
            ("PUT /b/k?encryption", UpdateObjectEncryption),
            ("OPTIONS /b/k", Options),
            ("OPTIONS /", Options),
            ("GET /b?analytics&id=a", GetBucketAnalyticsConfiguration),
            ("GET /b?analytics", ListBucketAnalyticsConfigurations),
            ("GET /b?inventory", ListBucketInventoryConfigurations),
            ("GET /b?metrics", ListBucketMetricsConfigurations),
            ("GET /b?intelligent-tiering", ListBucketIntelligentTieringConfigurations),
            ("DELETE /b?metrics&id=a", DeleteBucketMetricsConfiguration),
            ("GET /b?acl", GetBucketAcl),
            ("GET /b?acl=", GetBucketAcl),
            ("GET /b?%61cl", GetBucketAcl),
            ("GET /b?&acl&", GetBucketAcl),
            ("GET /b?acl&acl", GetBucketAcl),
            ("GET /b/k?acl&versionId=1", GetObjectAcl),
        ];
        for (request, expected) in requests {
            assert_eq!(action(request), expected, "{request}");
        }
    }

    #[test]
    fn a_subresource_means_the_operation_that_bears_its_name() {
        let methods = [(Method::GET, "Get"), (Method::PUT, "Put"), (Method::DELETE, "Delete")];
        let irregular = ["delete", "session", "uploads", "uploadId", "versions", "renameObject"];
        for (path, table) in [("/b", OF_BUCKETS), ("/b/k", OF_OBJECTS)] {
            for row in table.iter().filter(|row| !irregular.contains(&row.name)) {
                for (method, verb) in &methods {
                    let found = action(&format!("{method} {path}?{}&id=1", row.name));
                    let stem = row.name.replace('-', "").to_ascii_lowercase();
                    let name = found.name().to_ascii_lowercase();
                    let update = found.name().starts_with("Update") && *method == Method::PUT;
                    let fits = (found.name().starts_with(verb) || update) && name.contains(&stem);
                    assert!(found == Unknown || fits, "{method} {path}?{} is {found:?}", row.name);
                }
            }
        }
    }

    #[test]
    fn every_action_has_a_request_that_reaches_it() {
        let mut reached = std::collections::HashSet::from([Unknown]);
        for method in ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"] {
            for header in ["", " copy", " form"] {
                let plain = ["/", "/b", "/b?list-type=2", "/b/k"].map(str::to_owned);
                let on_bucket = OF_BUCKETS
                    .iter()
                    .flat_map(|row| [format!("/b?{}", row.name), format!("/b?{}&id=1", row.name)]);
                let on_object = OF_OBJECTS.iter().map(|row| format!("/b/k?{}&partNumber=1", row.name));
                for uri in plain.into_iter().chain(on_bucket).chain(on_object) {
                    reached.insert(action(&format!("{method} {uri}{header}")));
                }
            }
        }
        for expected in Action::ALL {
            assert!(reached.contains(expected), "{expected:?}");
        }
    }

    #[test]
    fn what_could_be_two_operations_is_none() {
        for request in [
            "DELETE /b?tagging&policy",
            "GET /b?acl&policy",
            "GET /b?acl&%70olicy",
            "PUT /b/k?acl&tagging",
            "PUT /b/k?uploadId=u&partNumber=1&acl",
        ] {
            assert_eq!(action(request), Unknown, "{request}");
        }
    }

    #[test]
    fn what_is_no_operation_is_unknown() {
        for request in [
            "POST /",
            "HEAD /",
            "DELETE /",
            "POST /b",
            "POST /b/k form",
            "PATCH /b/k",
            "HEAD /b?acl",
            "HEAD /b/k?acl",
            "DELETE /b?versioning",
            "DELETE /b?delete",
            "PUT /b/k?uploadId=u",
            "PUT /b/k?uploads",
            "POST /b/k?select-type=2",
        ] {
            assert_eq!(action(request), Unknown, "{request}");
        }
    }
}
