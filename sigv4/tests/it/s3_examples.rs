//! The examples of the Amazon S3 API reference, signatures and all.
//!
//! Sources: <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html> and
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html>

use sigv4::{Endpoint, PayloadMode, Timestamp};

use crate::sample::{EMPTY_SHA256, Sample, assert_refused};

const DATE: &str = "20130524T000000Z";
const WELCOME_SHA256: &str = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";

/// A request of the page, to its bucket, with its credential.
fn example(method: &str, target: &str, signed_headers: &str, signature: &str) -> Sample {
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
         SignedHeaders={signed_headers},Signature={signature}"
    );
    let sample = Sample::new(method, target.as_bytes())
        .with("host", "examplebucket.s3.amazonaws.com")
        .with("x-amz-content-sha256", EMPTY_SHA256)
        .with("x-amz-date", DATE)
        .with("authorization", &authorization);
    Sample { secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(), ..sample }
}

fn at(hour: i64) -> Timestamp {
    Timestamp::parse_basic(DATE.as_bytes()).unwrap().plus(hour * 3600)
}

fn strict() -> Endpoint {
    Endpoint { strict: true, ..Endpoint::s3("us-east-1") }
}

#[test]
fn accepts_get_object_with_range() {
    let signature = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41";
    let request = example("GET", "/test.txt", "host;range;x-amz-content-sha256;x-amz-date", signature)
        .with("range", "bytes=0-9");
    let verified = request.verify_at(&strict(), at(0)).unwrap();
    assert!(matches!(verified.payload(), PayloadMode::Sha256(hash) if hash[..2] == [0xe3, 0xb0]));
    assert_refused!(request.with("range", "bytes=0-10").verify_at(&strict(), at(0)), Err(_));
}

#[test]
fn accepts_put_object_with_a_dollar_in_its_key() {
    let signed = "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class";
    let signature = "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd";
    let request = example("PUT", "/test$file.text", signed, signature)
        .with("date", "Fri, 24 May 2013 00:00:00 GMT")
        .with("x-amz-storage-class", "REDUCED_REDUNDANCY")
        .with("x-amz-content-sha256", WELCOME_SHA256);
    request.assert_accepted_at(&strict(), at(0));
    request.to("/test%24file.text").assert_accepted_at(&strict(), at(0));
}

#[test]
fn accepts_get_bucket_lifecycle() {
    let signature = "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543";
    let request = example("GET", "/?lifecycle", "host;x-amz-content-sha256;x-amz-date", signature);
    request.assert_accepted_at(&strict(), at(0));
}

#[test]
fn accepts_list_objects() {
    let signature = "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7";
    let request = example("GET", "/?max-keys=2&prefix=J", "host;x-amz-content-sha256;x-amz-date", signature);
    request.assert_accepted_at(&strict(), at(0));
    request.to("/?prefix=J&max-keys=2").assert_accepted_at(&strict(), at(0));
}

#[test]
fn accepts_the_presigned_url_for_a_day() {
    let target = "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256\
        &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
        &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
        &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
    let request = Sample::new("GET", target.as_bytes()).with("host", "examplebucket.s3.amazonaws.com");
    let request = Sample { secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(), ..request };
    let verified = request.verify_at(&strict(), at(24)).unwrap();
    assert!(matches!(verified.payload(), PayloadMode::Unsigned));
    assert_refused!(request.verify_at(&strict(), at(24).plus(1)), Err(_));
}

#[test]
fn accepts_the_heads_of_chunked_uploads() {
    let upload = |signed: &str, signature: &str, length: &str, word: &str| {
        example("PUT", "/examplebucket/chunkObject.txt", signed, signature)
            .with("host", "s3.amazonaws.com")
            .with("x-amz-storage-class", "REDUCED_REDUNDANCY")
            .with("x-amz-content-sha256", word)
            .with("content-encoding", "aws-chunked")
            .with("x-amz-decoded-content-length", "66560")
            .with("content-length", length)
    };
    let chunked = upload(
        "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;\
         x-amz-storage-class",
        "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
        "66824",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    );
    let verified = chunked.verify_at(&strict(), at(0)).unwrap();
    assert!(matches!(verified.payload(), PayloadMode::SignedChunks { trailer: false, .. }));
    assert_refused!(chunked.with("content-length", "66825").verify_at(&strict(), at(0)), Err(_));

    let trailing = upload(
        "content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;\
         x-amz-trailer",
        "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
        "66946",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
    )
    .with("x-amz-trailer", "x-amz-checksum-crc32c");
    let verified = trailing.verify_at(&strict(), at(0)).unwrap();
    assert!(matches!(verified.payload(), PayloadMode::SignedChunks { trailer: true, .. }));
}
