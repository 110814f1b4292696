"""The kit itself: signatures against AWS's published examples and botocore, framing, and the directory's watch."""

from datetime import UTC, datetime

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from kit import asymmetric, signing
from kit.backend import BackendDirectory
from kit.credentials import Credentials
from kit.signing import Signer

EXAMPLE = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
SIGNER = Signer(EXAMPLE, "us-east-1", when=datetime(2013, 5, 24, tzinfo=UTC))
HOST = ("Host", "examplebucket.s3.amazonaws.com")

PUBLISHED = {
    "get object": (
        ("GET", "/test.txt", "", [HOST, ("Range", "bytes=0-9")], signing.EMPTY_SHA256),
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    ),
    "put object": (
        (
            "PUT",
            "/test%24file.text",
            "",
            [HOST, ("Date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")],
            signing.sha256(b"Welcome to Amazon S3."),
        ),
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    ),
    "get lifecycle": (
        ("GET", "/", "lifecycle", [HOST], signing.EMPTY_SHA256),
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    ),
    "list objects": (
        ("GET", "/", "max-keys=2&prefix=J", [HOST], signing.EMPTY_SHA256),
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ),
}

CHUNKED = [
    ("Host", "s3.amazonaws.com"),
    ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
    ("Content-Encoding", "aws-chunked"),
    ("x-amz-decoded-content-length", "66560"),
]
PIECES = [b"a" * 65536, b"a" * 1024]


def test_the_key_pair_of_a_credential_is_the_published_one():
    public = asymmetric.key_pair(EXAMPLE).get_public_coords()
    assert public.x.hex() == "18b7d04643359f6ec270dcbab8dce6d169d66ddc9778c75cfb08dfdb701637ab"
    assert public.y.hex() == "fa36b35e4fe67e3112261d2e17a956ef85b06e44712d2850bcd3c2161e9993f2"


@pytest.mark.parametrize("name", PUBLISHED)
def test_signatures_are_those_aws_publishes(name):
    request, signature = PUBLISHED[name]
    assert SIGNER.headers(*request)[1].signature == signature


def test_presigned_signature_is_the_one_aws_publishes():
    query = SIGNER.presign("GET", "/test.txt", "", [HOST], 86400)
    assert query.endswith("=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404")


def test_chunk_signatures_are_those_aws_publishes():
    headers = [*CHUNKED, ("Content-Length", "66824")]
    seed = SIGNER.headers("PUT", "/examplebucket/chunkObject.txt", "", headers, signing.SIGNED_CHUNKS)[1]
    wire = signing.signed_chunks(seed, PIECES)
    assert seed.signature == "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
    assert b"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648" in wire[0]
    assert b"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497" in wire[1]
    assert b"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9" in wire[2]
    assert len(b"".join(wire)) == 66824


def test_trailer_signature_is_the_one_aws_publishes():
    headers = [*CHUNKED, ("x-amz-trailer", "x-amz-checksum-crc32c")]
    seed = SIGNER.headers("PUT", "/examplebucket/chunkObject.txt", "", headers, signing.SIGNED_CHUNKS_TRAILER)[1]
    wire = signing.signed_chunks(seed, PIECES, ("x-amz-checksum-crc32c", "sOO8/Q=="))
    assert seed.signature == "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
    assert b"d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435" in wire[3]


@pytest.mark.parametrize("token", [None, "a/session+token=="])
def test_signatures_are_those_of_botocore(token, monkeypatch):
    moment = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: moment)
    key, query = "a b//ü/../+%", "list-type=2&prefix=a%20b%2F&delimiter=%2F&marker"
    request = AWSRequest("GET", f"http://127.0.0.1:8080/bucket/{signing.encode_key(key)}?{query}", data=b"")
    botocore.auth.S3SigV4Auth(BotoCredentials("AKIDEXAMPLE", "secret", token), "s3", "eu-west-1").add_auth(request)
    signer = Signer(Credentials("AKIDEXAMPLE", "secret", token), "eu-west-1", when=moment)
    headers, _ = signer.headers("GET", f"/bucket/{signing.encode_key(key)}", query, [("Host", "127.0.0.1:8080")])
    assert dict(headers)["Authorization"] == request.headers["Authorization"]


def test_crc32_has_its_check_value():
    assert signing.crc32(b"123456789") == "y/Q5Jg=="


def test_a_directory_that_changes_is_noticed(tmp_path):
    (tmp_path / "bucket").mkdir()
    backend = BackendDirectory(tmp_path)
    with pytest.raises(AssertionError, match="bucket/object"), backend.untouched():
        (tmp_path / "bucket" / "object").write_bytes(b"forged")


def test_a_temporary_file_that_stays_is_noticed(tmp_path):
    with pytest.raises(AssertionError, match="left behind"), BackendDirectory(tmp_path).untouched(settle=0.1):
        (tmp_path / ".tmp.1").write_bytes(b"half")


def test_a_directory_that_stays_as_it_was_passes(tmp_path):
    (tmp_path / "bucket").mkdir()
    (tmp_path / "bucket" / "object").write_bytes(b"kept")
    backend = BackendDirectory(tmp_path)
    with backend.untouched():
        backend.assert_stored("bucket", b"kept")
    with pytest.raises(AssertionError):
        backend.assert_stored("bucket", b"other")
