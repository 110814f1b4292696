"""Requests signed by AWS's C library (aws-c-auth), which every CRT-based SDK signs with."""

import io

from awscrt import auth, http

from .rows import CREDENTIALS, LONG_TERM, NOW, REGION, SESSION, Credential, Headers, Row

HOST = ("Host", "s3.example.com")

PATHS = [
    "/", "/bucket", "/bucket/", "/bucket/a//b", "/bucket/./a/../b", "/bucket/a%20b%2Bc%252F", "/bucket/%C3%BC/%F0%9F%99%82",
    "/bucket/~-._%21%24%26%27%28%29%2A%2C%3B%3D%3A%40", "/bucket/a%3Db%23c%3Fd",
]
QUERIES = [
    "", "?", "?acl", "?a=", "?=b", "?b=2&a=1&A=0", "?a=2&a=1&a=", "?prefix=a%20b%2Bc%26d%3De&delimiter=%2F",
    "?list-type=2&start-after=%C3%BC~", "?x=" + "y" * 900, "?" + "&".join(f"n{n:02}={n}" for n in range(40)),
]
VALUES = [
    "", " ", "plain", "  a   b  c ", "a\tb", "\ta\t\tb\t", '"quoted  text"', "a,b", "x" * 2000, "grüße  日本", "a: b; c=d",
]


def signed(
    method: str,
    target: str,
    headers: Headers,
    credential: Credential,
    payload: str | None,
    *,
    region: str = REGION,
    service: str = "s3",
    asymmetric: bool = False,
    expires: int | None = None,
    body: bytes | None = None,
    **options,
) -> tuple[str, Headers]:
    """Target and headers as the library signs them. Without `payload` it hashes the body."""
    request = http.HttpRequest(method, target, http.HttpHeaders(headers), io.BytesIO(body) if body else None)
    algorithms, kinds, bodies = auth.AwsSigningAlgorithm, auth.AwsSignatureType, auth.AwsSignedBodyHeaderType
    in_header = expires is None and service == "s3"
    config = auth.AwsSigningConfig(
        algorithm=algorithms.V4_ASYMMETRIC if asymmetric else algorithms.V4,
        signature_type=kinds.HTTP_REQUEST_HEADERS if expires is None else kinds.HTTP_REQUEST_QUERY_PARAMS,
        credentials_provider=auth.AwsCredentialsProvider.new_static(
            credential.access_key_id, credential.secret, credential.session_token
        ),
        region=region,
        service=service,
        date=NOW,
        signed_body_value=payload,
        signed_body_header_type=bodies.X_AMZ_CONTENT_SHA_256 if in_header else bodies.NONE,
        expiration_in_seconds=expires,
        **{"use_double_uri_encode": service != "s3", "should_normalize_uri_path": service != "s3", **options},
    )
    auth.aws_sign_request(request, config).result(timeout=20)
    return request.path, list(request.headers)


def row(name: str, method: str, target: str, headers: Headers, credential: Credential, payload=None, body=b"", **options):
    fields = {key: options.pop(key) for key in ("dialect", "lenient", "content", "expect") if key in options}
    if "service" in options:
        fields["service"] = options["service"]
    path, signed_headers = signed(method, target, headers, credential, payload, body=body or None, **options)
    kind = "sigv4a" if options.get("asymmetric") else "sigv4"
    return Row(f"awscrt {kind} {name}", "awscrt", method, path, signed_headers, body, credential, **fields)


def s3_rows():
    unsigned = auth.AwsSignedBodyValue.UNSIGNED_PAYLOAD
    for asymmetric in (False, True):
        region = "eu-west-1,us-east-1" if asymmetric else REGION
        options = {"asymmetric": asymmetric, "region": region}
        for number, path in enumerate(PATHS):
            yield row(f"path {number}", "GET", path, [HOST], LONG_TERM, **options)
            yield row(f"presigned path {number}", "GET", path, [HOST], SESSION, unsigned, expires=60, **options)
        for number, query in enumerate(QUERIES):
            yield row(f"query {number}", "GET", f"/bucket{query}", [HOST], SESSION, **options)
            if number not in (1,):
                yield row(f"presigned query {number}", "GET", f"/bucket{query}", [HOST], LONG_TERM, unsigned, expires=604800, **options)
        for number, value in enumerate(VALUES):
            headers = [HOST, ("x-amz-meta-a", value), ("X-Amz-Meta-B", "first"), ("x-amz-meta-b", value), ("Content-Length", "5")]
            yield row(f"value {number}", "PUT", "/bucket/k", headers, LONG_TERM, body=b"hello", content=b"hello", **options)
        many = [HOST, *((f"x-amz-meta-{n}", str(n)) for n in range(60))]
        yield row("sixty headers", "GET", "/bucket/k", many, LONG_TERM, **options)
        for name, credential in CREDENTIALS.items():
            for method in ("GET", "HEAD", "DELETE", "POST", "PUT", "OPTIONS"):
                headers = [HOST, ("Content-Length", "0")] if method in ("POST", "PUT") else [HOST]
                yield row(f"{method} {name}", method, "/bucket/k", headers, credential, unsigned, **options)
        yield row("host with a port", "GET", "/", [("Host", "localhost:9000")], LONG_TERM, **options)
        yield row("host in upper case", "GET", "/", [("Host", "S3.Example.COM")], LONG_TERM, **options)
        long = Credential(SESSION.access_key_id, SESSION.secret, "T" * 3000)
        yield row("long token", "GET", "/", [HOST], long, **options)
        yield row("long token presigned", "GET", "/", [HOST], long, unsigned, expires=1, **options)
    for number, region_set in enumerate(["us-east-1", "*", "us-*", "us-east-1,eu-west-1", "eu-*, us-east-*"]):
        for expires in (None, 60):
            payload = None if expires is None else unsigned
            yield row(f"region set {number} {expires}", "GET", "/b/k", [HOST], SESSION, payload, asymmetric=True, region=region_set, expires=expires)


def generic_rows():
    """The options that the library has for services other than S3."""
    host, form = ("Host", "sts.us-east-1.amazonaws.com"), ("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
    body = b"Action=GetCallerIdentity&Version=2011-06-15"
    for asymmetric in (False, True):
        options = {"service": "sts", "dialect": "generic", "asymmetric": asymmetric, "region": "*" if asymmetric else REGION}
        headers = [host, form, ("Content-Length", str(len(body)))]
        for name, credential in CREDENTIALS.items():
            yield row(f"sts {name}", "POST", "/", headers, credential, body=body, **options)
            target = "/?" + body.decode()
            yield row(f"sts presigned {name}", "GET", target, [host], credential, expires=60, **options)
            yield row(
                f"sts presigned, token afterwards {name}", "GET", target, [host], credential, expires=60, omit_session_token=True, **options
            )
        for number, path in enumerate(PATHS):
            yield row(f"generic path {number}", "GET", path, [host], LONG_TERM, **options)
            changed = path in ("/bucket/a//b", "/bucket/./a/../b")
            yield row(
                f"generic path {number} as it stands", "GET", path, [host], LONG_TERM, should_normalize_uri_path=False, lenient=changed, **options
            )


def rows():
    yield from s3_rows()
    yield from generic_rows()
