//! The examples of chunked uploads in the documentation of Amazon S3,
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html> and
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html>: 66560 times the letter
//! `a`, in chunks of 64 KiB and 1 KiB.

use std::collections::VecDeque;

use sigv4::{ChecksumAlgorithm, ChunkEncoder, ChunkSigner, PayloadError, Signature};

use crate::bodies::{Form, Request, date, signing_key, verdict};

struct Example {
    form: Form,
    seed: &'static str,
    chunks: [&'static str; 3],
    end: &'static str,
    content_length: u64,
}

const CHUNKED: Example = Example {
    form: Form::Signed,
    seed: "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
    chunks: [
        "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
        "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
        "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
    ],
    end: "\r\n",
    content_length: 66_824,
};

const WITH_TRAILER: Example = Example {
    form: Form::SignedTrailer,
    seed: "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
    chunks: [
        "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
        "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
        "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
    ],
    end: "x-amz-checksum-crc32c:sOO8/Q==\r\n\
          x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n",
    content_length: 66_946,
};

impl Example {
    fn seed(&self) -> Signature {
        Signature::parse(self.seed.as_bytes()).expect("hexadecimal")
    }

    fn request(&self) -> Request {
        let request = Request::chunked(66_560).with("content-length", &self.content_length.to_string());
        match self.form {
            Form::SignedTrailer => request.with("x-amz-trailer", "x-amz-checksum-crc32c"),
            Form::Signed | Form::Unsigned => request,
        }
    }

    fn wire(&self) -> Vec<u8> {
        let mut wire = Vec::new();
        for (signature, size) in self.chunks.iter().zip([65_536, 1_024, 0]) {
            wire.extend(format!("{size:x};chunk-signature={signature}\r\n").bytes());
            wire.extend(vec![b'a'; size]);
            wire.extend(if size == 0 { &b""[..] } else { b"\r\n" });
        }
        wire.extend(self.end.bytes());
        wire
    }

    fn encoder(&self) -> ChunkEncoder {
        let encoder = ChunkEncoder::signed(ChunkSigner::new(&signing_key(), date(), self.seed()));
        match self.form {
            Form::SignedTrailer => encoder.with_trailer(ChecksumAlgorithm::Crc32c),
            Form::Signed | Form::Unsigned => encoder,
        }
    }
}

#[test]
fn examples_verify() {
    for example in [CHUNKED, WITH_TRAILER] {
        let (data, proof) = example.request().verify(example.form.mode_from(example.seed()), &example.wire());
        assert_eq!(verdict(&proof), "ok");
        assert!(data.len() == 66_560 && data.iter().all(|&b| b == b'a'));
        let trailer = proof.unwrap().trailer.map(|checksum| checksum.base64());
        assert_eq!(trailer.as_deref(), (example.form == Form::SignedTrailer).then_some("sOO8/Q=="));
    }
}

#[test]
fn the_encoder_writes_the_examples() {
    for example in [CHUNKED, WITH_TRAILER] {
        let mut encoder = example.encoder();
        assert_eq!(encoder.encoded_length(66_560, 65_536), example.content_length);
        let mut out = VecDeque::new();
        encoder.push(vec![b'a'; 65_536].into(), &mut out);
        encoder.push(vec![b'a'; 1_024].into(), &mut out);
        encoder.finish(&mut out);
        assert!(Vec::from(out).concat() == example.wire());
    }
}

#[test]
fn a_wrong_chunk_signature_is_explained_by_the_chunks_string_to_sign() {
    let mut wire = CHUNKED.wire();
    wire[b"10000;chunk-signature=".len()] = b'0';
    let (_, verdict) = CHUNKED.request().verify(CHUNKED.form.mode_from(CHUNKED.seed()), &wire);
    let Err(PayloadError::SignatureMismatch(explanation)) = verdict else {
        panic!("{verdict:?}");
    };
    assert_eq!(explanation.signature_provided[1..], CHUNKED.chunks[0][1..]);
    assert_eq!(
        explanation.string_to_sign,
        "AWS4-HMAC-SHA256-PAYLOAD\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n\
         4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9\n\
         e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n\
         bf718b6f653bebc184e1479f1935b8da974d701b893afcf49e701f3e2f9f9c5a"
    );
}

#[test]
fn a_wrong_trailer_signature_is_explained_by_the_trailers_string_to_sign() {
    let mut wire = WITH_TRAILER.wire();
    let last = wire.len() - 5;
    wire[last] = b'0';
    let (data, verdict) =
        WITH_TRAILER.request().verify(WITH_TRAILER.form.mode_from(WITH_TRAILER.seed()), &wire);
    assert_eq!(data.len(), 66_560);
    let Err(PayloadError::SignatureMismatch(explanation)) = verdict else {
        panic!("{verdict:?}");
    };
    assert_eq!(
        explanation.string_to_sign,
        "AWS4-HMAC-SHA256-TRAILER\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n\
         2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\n\
         1e376db7e1a34a8ef1c4bcee131a2d60a1cb62503747488624e10995f448d774"
    );
}

#[test]
fn an_error_prints_no_signature() {
    let mut wire = CHUNKED.wire();
    wire[100] = b'b';
    let (_, verdict) = CHUNKED.request().verify(CHUNKED.form.mode_from(CHUNKED.seed()), &wire);
    let error = verdict.unwrap_err();
    let printed = format!("{error} {error:?} {:?} {:?}", CHUNKED.encoder(), Form::Signed.mode());
    for signature in CHUNKED.chunks.iter().chain([&CHUNKED.seed]) {
        assert!(!printed.contains(signature), "{printed}");
    }
}
