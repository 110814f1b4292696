//! The backend as its clients see it: operation by operation, and over a socket.

use http_body_util::BodyExt;
use s3s::dto::*;
use s3s::{Body, S3, S3ErrorCode, S3Request, S3Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::names::path_of;
use super::objects::{Objects, request};
use super::*;

const BUCKET: &str = "demo";
/// Keys that stock `s3s-fs` mixes up, refuses or lets out of the bucket.
const AWKWARD: [&str; 14] = [
    "plain/file.txt",
    "a//b",
    "a/b",
    "x/../y",
    "y",
    "../other/k",
    "/",
    "dir/",
    "./c",
    "%2E%2E/c",
    "%",
    "c d+é",
    "z/..",
    "nul\0",
];

struct Fixture {
    objects: Objects,
    directory: tempfile::TempDir,
}

async fn fixture() -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let objects = Objects::open(directory.path()).unwrap();
    for bucket in [BUCKET, "other"] {
        let input = CreateBucketInput { bucket: bucket.to_owned(), ..Default::default() };
        objects.create_bucket(request(input)).await.unwrap();
    }
    Fixture { objects, directory }
}

fn put_request(key: &str, content: impl Into<Vec<u8>>) -> S3Request<PutObjectInput> {
    let content = content.into();
    request(PutObjectInput {
        bucket: BUCKET.to_owned(),
        key: key.to_owned(),
        content_length: i64::try_from(content.len()).ok(),
        body: Some(Body::from(content).into()),
        ..Default::default()
    })
}

impl Fixture {
    fn stored(&self, key: &str) -> Option<Vec<u8>> {
        std::fs::read(path_of(self.directory.path(), BUCKET, key)).ok()
    }

    async fn put(&self, key: &str, content: &str) -> ETag {
        self.objects.put_object(put_request(key, content)).await.unwrap().output.e_tag.unwrap()
    }

    async fn get(&self, input: GetObjectInput) -> S3Result<(GetObjectOutput, Vec<u8>)> {
        let input = GetObjectInput { bucket: BUCKET.to_owned(), ..input };
        let mut output = self.objects.get_object(request(input)).await?.output;
        let body = Body::from(output.body.take().unwrap()).collect().await.unwrap();
        Ok((output, body.to_bytes().to_vec()))
    }

    async fn read(&self, key: &str) -> S3Result<Vec<u8>> {
        Ok(self.get(GetObjectInput { key: key.to_owned(), ..Default::default() }).await?.1)
    }

    async fn delete(&self, key: &str) {
        let (bucket, key) = (BUCKET.to_owned(), key.to_owned());
        let input = DeleteObjectInput { bucket, key, ..Default::default() };
        self.objects.delete_object(request(input)).await.unwrap();
    }

    async fn list(&self, input: ListObjectsV2Input) -> ListObjectsV2Output {
        let input = ListObjectsV2Input { bucket: BUCKET.to_owned(), ..input };
        self.objects.list_objects_v2(request(input)).await.unwrap().output
    }

    async fn keys(&self) -> Vec<String> {
        self.list(ListObjectsV2Input::default())
            .await
            .contents
            .unwrap()
            .into_iter()
            .filter_map(|o| o.key)
            .collect()
    }

    async fn start_upload(&self, key: &str) -> String {
        let (bucket, key) = (BUCKET.to_owned(), key.to_owned());
        let input = CreateMultipartUploadInput { bucket, key: key.clone(), ..Default::default() };
        let output = self.objects.create_multipart_upload(request(input)).await.unwrap().output;
        assert_eq!(output.key, Some(key));
        output.upload_id.unwrap()
    }

    async fn upload_part(
        &self,
        key: &str,
        upload_id: &str,
        part_number: i32,
        content: Vec<u8>,
    ) -> CompletedPart {
        let input = UploadPartInput {
            bucket: BUCKET.to_owned(),
            key: key.to_owned(),
            upload_id: upload_id.to_owned(),
            part_number,
            body: Some(Body::from(content).into()),
            ..Default::default()
        };
        let e_tag = self.objects.upload_part(request(input)).await.unwrap().output.e_tag;
        CompletedPart { e_tag, part_number: Some(part_number), ..Default::default() }
    }

    async fn complete(
        &self,
        key: &str,
        upload_id: &str,
        parts: Vec<CompletedPart>,
    ) -> S3Result<CompleteMultipartUploadOutput> {
        let input = CompleteMultipartUploadInput {
            bucket: BUCKET.to_owned(),
            key: key.to_owned(),
            upload_id: upload_id.to_owned(),
            multipart_upload: Some(CompletedMultipartUpload { parts: Some(parts) }),
            ..Default::default()
        };
        Ok(self.objects.complete_multipart_upload(request(input)).await?.output)
    }
}

fn code<T>(result: S3Result<T>) -> S3ErrorCode {
    result.err().expect("an error").code().clone()
}

#[tokio::test]
async fn awkward_keys_are_objects_of_their_own() {
    let fixture = fixture().await;
    let long = "long/".repeat(200);
    let mut keys: Vec<&str> = AWKWARD.into_iter().chain([long.as_str()]).collect();
    for key in &keys {
        fixture.put(key, &format!("content of {key}")).await;
    }
    keys.sort_unstable();
    assert_eq!(fixture.keys().await, keys);
    for key in &keys {
        let content = format!("content of {key}").into_bytes();
        assert_eq!(fixture.read(key).await.unwrap(), content);
        assert_eq!(fixture.stored(key), Some(content));
    }
    assert_eq!(std::fs::read_dir(fixture.directory.path().join("other")).unwrap().count(), 0);
    for key in &keys {
        fixture.delete(key).await;
        assert_eq!(code(fixture.read(key).await), S3ErrorCode::NoSuchKey);
    }
    assert!(fixture.keys().await.is_empty());
}

#[tokio::test]
async fn a_key_and_what_lies_below_it_exclude_each_other_cleanly() {
    let fixture = fixture().await;
    fixture.put("a/b", "1").await;
    assert_eq!(code(fixture.read("a").await), S3ErrorCode::NoSuchKey);
    for key in ["a", "a/b/c"] {
        assert_eq!(
            code(fixture.objects.put_object(put_request(key, "2")).await),
            S3ErrorCode::InvalidRequest
        );
    }
    fixture.delete("a").await;
    fixture.delete("a/b/c").await;
    assert_eq!(fixture.keys().await, ["a/b"]);
    fixture.delete("a/b").await;
    fixture.put("a", "2").await;
    assert_eq!(fixture.read("a").await.unwrap(), b"2");
}

#[tokio::test]
async fn listings_page_through_original_keys() {
    let fixture = fixture().await;
    for key in ["a b", "d//1", "d/../2", "e"] {
        fixture.put(key, "x").await;
    }
    let url = || Some(EncodingType::from_static(EncodingType::URL));
    let first = fixture
        .list(ListObjectsV2Input {
            max_keys: Some(2),
            delimiter: Some("/".into()),
            encoding_type: url(),
            ..Default::default()
        })
        .await;
    assert_eq!(first.contents.unwrap()[0].key.as_deref(), Some("a%20b"));
    assert_eq!(first.common_prefixes.unwrap()[0].prefix.as_deref(), Some("d/"));
    assert_eq!((first.key_count, first.is_truncated), (Some(2), Some(true)));
    let rest = ListObjectsV2Input {
        continuation_token: first.next_continuation_token,
        delimiter: Some("/".into()),
        ..Default::default()
    };
    let rest = fixture.list(rest).await;
    assert_eq!(rest.contents.unwrap()[0].key.as_deref(), Some("e"));
    assert_eq!(
        (rest.key_count, rest.is_truncated, rest.next_continuation_token),
        (Some(1), Some(false), None)
    );

    let input = ListObjectsInput {
        bucket: BUCKET.to_owned(),
        prefix: Some("d/".into()),
        marker: Some("d/../2".into()),
        ..Default::default()
    };
    let listed = fixture.objects.list_objects(request(input)).await.unwrap().output.contents.unwrap();
    assert_eq!(listed.iter().map(|o| o.key.as_deref().unwrap()).collect::<Vec<_>>(), ["d//1"]);
    assert!(listed[0].e_tag.is_some() && listed[0].size == Some(1) && listed[0].last_modified.is_some());
}

#[tokio::test]
async fn what_does_not_exist_is_told_as_s3_tells_it() {
    let fixture = fixture().await;
    let objects = &fixture.objects;
    assert_eq!(code(fixture.read("absent").await), S3ErrorCode::NoSuchKey);
    let mut to_nowhere = put_request("k", "x");
    to_nowhere.input.bucket = "absent".to_owned();
    assert_eq!(code(objects.put_object(to_nowhere).await), S3ErrorCode::NoSuchBucket);
    assert!(!fixture.directory.path().join("absent").exists());
    for bucket in ["absent", "..", "", "de/mo", ".tmp"] {
        let input = GetObjectInput { bucket: bucket.to_owned(), key: "k".to_owned(), ..Default::default() };
        assert_eq!(code(objects.get_object(request(input)).await), S3ErrorCode::NoSuchBucket, "{bucket}");
    }
    let again = CreateBucketInput { bucket: BUCKET.to_owned(), ..Default::default() };
    assert_eq!(code(objects.create_bucket(request(again)).await), S3ErrorCode::BucketAlreadyOwnedByYou);
    for upload_id in ["00000000-0000-0000-0000-000000000000", "../x", ""] {
        assert_eq!(code(fixture.complete("k", upload_id, Vec::new()).await), S3ErrorCode::NoSuchUpload);
    }
}

#[tokio::test]
async fn only_an_empty_bucket_is_deleted() {
    let fixture = fixture().await;
    let delete = || request(DeleteBucketInput { bucket: BUCKET.to_owned(), ..Default::default() });
    fixture.put("deep/down/k", "x").await;
    assert_eq!(code(fixture.objects.delete_bucket(delete()).await), S3ErrorCode::BucketNotEmpty);
    fixture.delete("deep/down/k").await;
    fixture.objects.delete_bucket(delete()).await.unwrap();
    assert_eq!(code(fixture.read("deep/down/k").await), S3ErrorCode::NoSuchBucket);
}

#[tokio::test]
async fn a_copy_keeps_content_and_metadata() {
    let fixture = fixture().await;
    let mut original = put_request("from//here", "content");
    original.input.content_type = Some("text/x".to_owned());
    original.input.content_encoding = Some("aws-chunked, gzip".to_owned());
    original.input.metadata = Some([("colour".to_owned(), "blue".to_owned())].into());
    fixture.objects.put_object(original).await.unwrap();
    let input = CopyObjectInput::builder()
        .bucket(BUCKET.to_owned())
        .key("../to".to_owned())
        .copy_source(CopySource::Bucket { bucket: BUCKET.into(), key: "from//here".into(), version_id: None })
        .build()
        .unwrap();
    fixture.objects.copy_object(request(input)).await.unwrap();
    let (output, content) =
        fixture.get(GetObjectInput { key: "../to".to_owned(), ..Default::default() }).await.unwrap();
    assert_eq!(content, b"content");
    assert_eq!(output.content_type.as_deref(), Some("text/x"));
    assert_eq!(output.content_encoding.as_deref(), Some("gzip"));
    assert_eq!(output.metadata.unwrap()["colour"], "blue");
}

#[tokio::test]
async fn ranges_and_conditions_are_honoured() {
    let fixture = fixture().await;
    let e_tag = fixture.put("k", "0123456789").await;
    fixture.put("empty", "").await;
    let get = |key: &str, range| {
        fixture.get(GetObjectInput { key: key.to_owned(), range: Some(range), ..Default::default() })
    };
    let (output, content) = get("k", Range::Int { first: 2, last: Some(4) }).await.unwrap();
    assert_eq!((content.as_slice(), output.content_range.as_deref()), (&b"234"[..], Some("bytes 2-4/10")));
    let (output, content) = get("k", Range::Suffix { length: 99 }).await.unwrap();
    assert_eq!(
        (content.as_slice(), output.content_range.as_deref()),
        (&b"0123456789"[..], Some("bytes 0-9/10"))
    );
    assert_eq!(code(get("k", Range::Int { first: 10, last: None }).await), S3ErrorCode::InvalidRange);
    assert_eq!(code(get("empty", Range::Suffix { length: 1 }).await), S3ErrorCode::InvalidRange);

    let other = ETag::Strong("other".to_owned());
    let conditional = |if_match: Option<&ETag>, if_none_match: Option<&ETag>| {
        let condition = |e_tag: &ETag| ETagCondition::ETag(e_tag.clone());
        fixture.get(GetObjectInput {
            key: "k".to_owned(),
            if_match: if_match.map(condition),
            if_none_match: if_none_match.map(condition),
            ..Default::default()
        })
    };
    assert!(conditional(Some(&e_tag), Some(&other)).await.is_ok());
    assert_eq!(code(conditional(Some(&other), None).await), S3ErrorCode::PreconditionFailed);
    let unchanged = conditional(None, Some(&e_tag)).await.err().unwrap();
    assert_eq!(unchanged.code(), &S3ErrorCode::NotModified);
    assert!(unchanged.headers().unwrap().contains_key(http::header::ETAG));
}

#[tokio::test]
async fn an_upload_in_parts_becomes_one_object() {
    let fixture = fixture().await;
    let long = "k".repeat(900);
    for key in ["a//multi", long.as_str()] {
        let upload_id = fixture.start_upload(key).await;
        let first = fixture.upload_part(key, &upload_id, 1, vec![b'1'; 5 << 20]).await;
        let second = fixture.upload_part(key, &upload_id, 2, b"2".to_vec()).await;
        assert!(fixture.stored(key).is_none());
        let input = ListPartsInput {
            bucket: BUCKET.to_owned(),
            key: key.to_owned(),
            upload_id: upload_id.clone(),
            ..Default::default()
        };
        let listed = fixture.objects.list_parts(request(input)).await.unwrap().output;
        assert_eq!(listed.key.as_deref(), Some(key));
        let e_tags: Vec<_> = listed.parts.unwrap().into_iter().map(|part| part.e_tag).collect();
        assert_eq!(e_tags, [first.e_tag.clone(), second.e_tag.clone()]);
        let completed = fixture.complete(key, &upload_id, vec![first, second]).await.unwrap();
        assert_eq!(completed.key.as_deref(), Some(key));
        assert!(completed.e_tag.unwrap().value().ends_with("-2"));
        let content = fixture.read(key).await.unwrap();
        assert_eq!((content.len(), content.last()), ((5 << 20) + 1, Some(&b'2')));
    }
}

#[tokio::test]
async fn an_upload_is_completed_only_from_the_parts_it_has() {
    let fixture = fixture().await;
    let upload_id = fixture.start_upload("k").await;
    let small = fixture.upload_part("k", &upload_id, 1, b"small".to_vec()).await;
    let last = fixture.upload_part("k", &upload_id, 2, b"last".to_vec()).await;
    let other = CompletedPart { e_tag: last.e_tag.clone(), ..small.clone() };
    let absent = CompletedPart { part_number: Some(2), ..Default::default() };
    for (parts, expected) in [
        (vec![other], S3ErrorCode::InvalidPart),
        (vec![last.clone(), small.clone()], S3ErrorCode::InvalidPartOrder),
        (vec![small.clone(), last], S3ErrorCode::EntityTooSmall),
    ] {
        assert_eq!(code(fixture.complete("k", &upload_id, parts).await), expected);
    }
    let elsewhere = fixture.start_upload("elsewhere").await;
    assert_eq!(code(fixture.complete("k", &elsewhere, vec![small.clone()]).await), S3ErrorCode::NoSuchUpload);
    assert_eq!(code(fixture.complete("k", &upload_id, vec![absent]).await), S3ErrorCode::InvalidPartOrder);
    assert!(fixture.stored("k").is_none());
    fixture.complete("k", &upload_id, vec![small]).await.unwrap();
    assert_eq!(fixture.stored("k").as_deref(), Some(&b"small"[..]));
}

#[tokio::test]
async fn an_object_never_shows_the_checksum_of_the_one_it_replaced() {
    let fixture = fixture().await;
    let mut first = put_request("k", "hello");
    first.headers.insert("x-amz-checksum-crc32", "NhCmhg==".parse().unwrap());
    first.input.checksum_crc32 = Some("NhCmhg==".to_owned());
    let output = fixture.objects.put_object(first).await.unwrap().output;
    assert_eq!(output.checksum_crc32.as_deref(), Some("NhCmhg=="));
    let upload_id = fixture.start_upload("k").await;
    let part = fixture.upload_part("k", &upload_id, 1, b"other".to_vec()).await;
    fixture.complete("k", &upload_id, vec![part]).await.unwrap();
    let (output, _) =
        fixture.get(GetObjectInput { key: "k".to_owned(), ..Default::default() }).await.unwrap();
    assert_eq!(output.checksum_crc32, None);
}

#[tokio::test]
async fn a_body_that_is_not_what_its_head_declares_leaves_nothing_behind() {
    let fixture = fixture().await;
    fixture.put("kept", "old").await;
    for (name, value, length, expected) in [
        ("content-md5", "XUFAKrxLKna5cZ2REBfFkg==", 5, None),
        ("content-md5", "XUFAKrxLKna5cZ2REBfFkA==", 5, Some(S3ErrorCode::BadDigest)),
        ("x-amz-checksum-crc32", "NhCmhg==", 5, None),
        ("x-amz-checksum-crc32", "NhCmhQ==", 5, Some(S3ErrorCode::BadDigest)),
        ("x-amz-checksum-sha256", "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=", 5, None),
        // Announced as a trailer that never came: the last chunk is missing.
        ("x-amz-trailer", "x-amz-checksum-crc32", 5, Some(S3ErrorCode::IncompleteBody)),
        ("x-amz-sdk-checksum-algorithm", "CRC64NVME", 5, Some(S3ErrorCode::IncompleteBody)),
        ("x-any", "", 5, None),
        ("x-any", "", 6, Some(S3ErrorCode::IncompleteBody)),
        ("x-any", "", 4, Some(S3ErrorCode::IncompleteBody)),
    ] {
        for key in ["new", "kept"] {
            let before = fixture.stored(key);
            let mut put = put_request(key, "hello");
            put.input.content_length = Some(length);
            put.headers.insert(name, value.parse().unwrap());
            if name == "x-amz-checksum-crc32" {
                put.input.checksum_crc32 = Some(value.to_owned());
            } else if name == "x-amz-checksum-sha256" {
                put.input.checksum_sha256 = Some(value.to_owned());
            }
            let result = fixture.objects.put_object(put).await;
            if let Some(expected) = expected.clone() {
                assert_eq!(code(result), expected, "{name}: {value}");
                assert_eq!(fixture.stored(key), before, "{name}: {value}");
            } else {
                result.unwrap();
                assert_eq!(fixture.stored(key).as_deref(), Some(&b"hello"[..]));
                fixture.put("kept", "old").await;
                fixture.delete("new").await;
            }
        }
    }
    let upload_id = fixture.start_upload("multi").await;
    let mut part = request(UploadPartInput {
        bucket: BUCKET.to_owned(),
        key: "multi".to_owned(),
        upload_id: upload_id.clone(),
        part_number: 1,
        body: Some(Body::from("hello".to_owned()).into()),
        ..Default::default()
    });
    part.headers.insert("x-amz-checksum-crc32", "NhCmhQ==".parse().unwrap());
    assert_eq!(code(fixture.objects.upload_part(part).await), S3ErrorCode::BadDigest);
    let part = CompletedPart { part_number: Some(1), ..Default::default() };
    assert_eq!(code(fixture.complete("multi", &upload_id, vec![part]).await), S3ErrorCode::InvalidPart);
}

/// Sends `head` and `body`, hangs up for writing, and returns the status line, if there is one.
async fn send(address: SocketAddr, head: &str, body: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(body).await.unwrap();
    socket.shutdown().await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_connection_cut_within_a_body_leaves_nothing_behind() {
    let fixture = fixture().await;
    let root = fixture.directory.path().to_owned();
    let files = || std::fs::read_dir(&root).unwrap().count();
    let before = files();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopping) = watch::channel(());
    // Without keys, so that requests need no signature to get to their body.
    let service = S3ServiceBuilder::new(fixture.objects).build();
    let server = tokio::spawn(serve(listener, service, stopping));
    let path = path_of(&root, BUCKET, "k");
    let sized = "PUT /demo/k HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n";
    let chunked = "PUT /demo/k HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    for (head, body) in [(sized, &b"short"[..]), (chunked, b"5\r\nshort\r\n"), (chunked, b"a\r\nshort")] {
        let answer = send(address, head, body).await;
        assert!(!answer.contains(" 200 "), "{answer}");
        assert!(!path.exists());
    }
    assert!(send(address, sized, b"long enough").await.contains(" 200 "));
    assert_eq!(std::fs::read(&path).unwrap(), b"long enoug");
    drop(stop);
    server.await.unwrap();
    assert_eq!(files(), before + 2, "the two files that are kept of a whole object, and no other");
}

#[tokio::test]
async fn takes_only_requests_that_are_signed() {
    let directory = tempfile::tempdir().unwrap();
    let backend = Backend::start(directory.path(), "AKIDEV", &SecretAccessKey::new("secret")).await.unwrap();
    let address = backend.address();
    let answer = send(address, "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", b"").await;
    assert!(answer.contains(" 403 "), "{answer}");
    backend.stop().await;
    assert!(TcpStream::connect(address).await.is_err(), "it has stopped");
}
