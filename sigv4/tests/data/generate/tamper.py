"""Right requests with one thing changed after they were signed, and what each must be refused as."""

import re
from collections.abc import Iterator
from dataclasses import replace

from .rows import Row

# Rows that everything is tried on: each signer, algorithm, mechanism and dialect once.
BASES = [
    "botocore get 'object'",
    "botocore put 'object'",
    "botocore s3v4a signed payload",
    "botocore s3v4 signed payload",
    "botocore presigned get 'object'",
    "botocore sts assume_role session",
    "botocore sts presigned",
    "awscrt sigv4a region set 0 None",
    "awscrt sigv4a region set 3 60",
    "awscrt sigv4a value 3",
    "awscrt sigv4a sts long-term",
    "awscrt sigv4a sts presigned long-term",
    "awscrt sigv4 sts presigned odd",
    "smithy header value 1",
    "smithy presigned headers 0",
    "smithy sigv4a key 'a b'",
    "smithy sigv4a sts session",
]


def rows(right: list[Row]) -> Iterator[Row]:
    named = {row.id: row for row in right}
    for name in BASES:
        row = replace(named[name], content=None)
        yield from request(row)
        yield from lookup(row)
        yield from (query(row) if "X-Amz-Signature=" in row.target else header(row))
        if "ECDSA" in row.target + (row.header("authorization") or ""):
            yield from asymmetric(row)
        yield from body(row)


def request(row: Row):
    yield row.spoilt("another method", "SignatureMismatch", method="PATCH")
    path, mark, rest = row.target.partition("?")
    yield row.spoilt("another path", "SignatureMismatch", target=f"{path}x{mark}{rest}")
    yield row.spoilt("one parameter more", "SignatureMismatch", target=f"{row.target}{'&' if mark else '?'}added=1")
    yield row.spoilt("a broken escape in the path", "MalformedPath", target=f"{path}%zz{mark}{rest}")
    yield row.spoilt("a broken escape in the query", "MalformedQuery", target=f"{row.target}{'&' if mark else '?'}a=%4")
    yield row.with_header("host", "elsewhere.example.com").spoilt("another host", "SignatureMismatch")
    yield row.spoilt("two hosts", "ConflictingHosts", headers=[*row.headers, ("Host", "elsewhere.example.com")])
    if row.dialect == "s3":
        yield row.spoilt("an x-amz header more", "UnsignedHeaders", headers=[*row.headers, ("x-amz-copy-source", "/a/b")])


def lookup(row: Row):
    other = replace(row.credential, access_key_id="AKIAANOTHER0000EXAMPLE")
    yield row.spoilt("an unknown key", "UnknownAccessKey", credential=other)
    other = replace(row.credential, secret=row.credential.secret[:-1])
    yield row.spoilt("another secret", "SignatureMismatch", credential=other)
    if row.credential.session_token is not None:
        other = replace(row.credential, session_token="another")
        yield row.spoilt("another token", "InvalidToken", credential=other)
        other = replace(row.credential, session_token=None)
        yield row.spoilt("a token that belongs to none", "InvalidToken", credential=other)
        if row.header("x-amz-security-token"):
            yield row.with_header("x-amz-security-token", None).spoilt("its token taken away", "MissingToken")
    else:
        other = replace(row.credential, session_token="a token")
        yield row.spoilt("a key that has a token", "MissingToken", credential=other)


def header(row: Row):
    """With an `Authorization` header."""
    value, s3 = row.header("authorization"), row.dialect == "s3"
    algorithm, _, rest = value.partition(" ")
    credential = re.search(r"Credential=([^,]+)", value)[1]
    day, service = "20260312", row.service
    signature = value.rpartition("Signature=")[2]

    def to(what: str, expect: str, changed: str):
        assert changed != value, what
        return row.with_header("authorization", changed).spoilt(what, expect)

    last = "0" if signature[-1] != "0" else "1"
    yield to("the last digit of the signature", "SignatureMismatch", value[:-1] + last)
    yield to("a signature in upper case", "SignatureMismatch", value.replace(signature, signature.upper()))
    yield to("a signature cut short", "SignatureMismatch", value[:-2])
    yield to("a signature and more", "SignatureMismatch", value + "00")
    yield to("no signature", "SignatureMismatch", value.replace(signature, ""))
    yield to("another day in the scope", "Credential.DateMismatch", value.replace(f"/{day}/", "/20260311/"))
    yield to("another service", "Credential.Service", value.replace(f"/{service}/aws4", "/other/aws4"))
    yield to("another terminator", "Credential.Terminator", value.replace("aws4_request", "aws5_request"))
    yield to("a scope cut short", "Credential.Malformed", value.replace(credential, credential.partition("/")[2].partition("/")[2]))
    yield to("no key id", "Credential.Malformed", value.replace(credential, credential[credential.index(f"/{day}") :]))
    yield to("no Signature", f"Authorization.{'ComponentCount' if s3 else 'Missing'}", value.rpartition(",")[0])
    yield to("a component without value", "Authorization.Component", value.replace("SignedHeaders=", "SignedHeaders"))
    yield to("a name twice in SignedHeaders", "Authorization.Component", value.replace("SignedHeaders=", "SignedHeaders=host;"))
    yield to("another scheme", "UnsupportedScheme", "Basic dXNlcjpwYXNz")
    yield to("an algorithm nobody knows", "UnsupportedScheme", value.replace(algorithm, "AWS4-HMAC-SHA512"))
    yield to("version 2", "SignatureV2", "AWS AKIAIOSFODNN7EXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg=")
    if s3:
        yield to("two spaces", "AuthorizationSpace", f"{algorithm}  {rest}")
        twice = [*row.headers, ("Authorization", value)]
        yield row.spoilt("given twice", "SeveralAuthorizations", headers=twice)
        yield row.with_header("x-amz-content-sha256", None).spoilt("no content hash", "MissingContentSha256")
        yield row.with_header("x-amz-content-sha256", "unsigned-payload").spoilt("no known word", "InvalidContentSha256")
        if row.header("x-amz-content-sha256") != "UNSIGNED-PAYLOAD":
            yield row.with_header("x-amz-content-sha256", "UNSIGNED-PAYLOAD").spoilt("the hash replaced", "SignatureMismatch")
        yield to("host not signed", "UnsignedHeaders", value.replace("host;", ""))
    else:
        yield to("host not signed", "HostNotSigned", value.replace("host;", ""))
    yield row.with_header("x-amz-date", "20260312T081531Z").spoilt("a second later", "SignatureMismatch")
    yield row.with_header("x-amz-date", "20260312T083031Z").spoilt("a quarter of an hour later", "Skewed")
    yield row.with_header("x-amz-date", "20260312T080029Z").spoilt("a quarter of an hour earlier", "Skewed")
    yield row.with_header("x-amz-date", "20260312 081530").spoilt("a date that is none", "Date")
    yield row.with_header("x-amz-date", None).spoilt("no date", "Date" if s3 else "Authorization.Missing")
    yield row.spoilt("too late", "Skewed", now="2026-03-12T08:30:31Z")
    yield row.spoilt("too early", "Skewed", now="2026-03-12T08:00:29Z")
    both = f"{row.target}{'&' if '?' in row.target else '?'}X-Amz-Algorithm=AWS4-HMAC-SHA256"
    yield row.spoilt("signed in the query as well", "SeveralMechanisms", target=both)
    yield row.with_header("authorization", None).spoilt("not signed", "Anonymous")
    for name in re.search(r"SignedHeaders=([^,]+)", value)[1].split(";"):
        if name.startswith("x-amz-meta") or name == "content-type":
            yield row.with_header(name, "changed").spoilt(f"{name} changed", "SignatureMismatch")
            yield row.with_header(name, None).spoilt(f"{name} removed", "SignatureMismatch")
            added = [*row.headers, (name, "more")]
            yield row.spoilt(f"{name} repeated", "SignatureMismatch", headers=added)
    if "ECDSA" not in algorithm:
        yield to("another region", "Credential.Region", value.replace(f"/{row.region}/", "/eu-west-9/"))


def query(row: Row):
    """Presigned."""
    s3 = row.dialect == "s3"
    expires = int(re.search(r"X-Amz-Expires=(\d+)", row.target)[1])

    def to(what: str, expect: str, pattern: str, by: str):
        changed = re.sub(pattern, by, row.target, count=1)
        assert changed != row.target, what
        return row.spoilt(what, expect, target=changed)

    for name in ("Algorithm", "Credential", "Date", "SignedHeaders", "Signature"):
        yield to(f"without X-Amz-{name}", "Parameters.Missing", rf"X-Amz-{name}=[^&]*&?", "")
    yield to("an algorithm nobody knows", "Parameters.Algorithm", r"(?<=X-Amz-Algorithm=)[^&]*", "AWS4-HMAC-SHA512")
    yield to("a second later", "SignatureMismatch", "T081530Z", "T081531Z")
    yield to("a date that is none", "Parameters.Date", r"(?<=X-Amz-Date=)[^&]*", "today")
    yield to("a name twice in the list", "Parameters.SignedHeaders", r"(?<=X-Amz-SignedHeaders=)", "host%3B")
    yield to("another terminator", "Credential.Terminator", "aws4_request", "aws5_request")
    yield to("another service", "Credential.Service", rf"%2F{row.service}%2Faws4", "%2Fother%2Faws4")
    yield to("another day in the scope", "Credential.DateMismatch", "%2F20260312%2F", "%2F20260311%2F")
    yield to("a credential encoded twice", "Credential.Malformed", r"(?<=X-Amz-Credential=)[^&]*", "AKIA%252F20260312%252Fs3")
    yield to("the last digit of the signature", "SignatureMismatch", r"(X-Amz-Signature=[0-9a-f]+)[0-9a-f](?=&|$)", r"\1!")
    yield to("a signature in upper case", "SignatureMismatch", r"(?<=X-Amz-Signature=)[0-9a-f]+", "ABCDEF01")
    yield row.spoilt("from the future", "NotYetValid", now="2026-03-12T08:00:29Z")
    yield row.spoilt("signed in a header as well", "SeveralMechanisms", headers=[*row.headers, ("Authorization", "AWS4-HMAC-SHA256 a")])
    yield to("a longer life", "SignatureMismatch", r"X-Amz-Expires=\d+", f"X-Amz-Expires={expires + 1}")
    yield to("longer than a week", "Parameters.ExpiresTooLong", r"X-Amz-Expires=\d+", "X-Amz-Expires=604801")
    yield to("a negative life", "Parameters.ExpiresNegative", r"X-Amz-Expires=\d+", "X-Amz-Expires=-1")
    yield to("a life that is no number", "Parameters.ExpiresNotANumber", r"X-Amz-Expires=\d+", "X-Amz-Expires=1e3")
    minutes, seconds = divmod(15 * 60 + 30 + expires + 1, 60)
    yield row.spoilt("expired", "Expired", now=f"2026-03-12T08:{minutes:02}:{seconds:02}Z")
    if s3:
        yield to("without X-Amz-Expires", "Parameters.Missing", r"X-Amz-Expires=\d+&?", "")
        yield row.spoilt("a parameter twice", "Parameters.Repeated", target=f"{row.target}&X-Amz-Expires=60")
        yield to("another region", "Credential.Region", f"%2F{row.region}%2F", "%2Feu-west-9%2F") if "ECDSA" not in row.target else to(
            "a region in the scope", "Credential.Malformed", "%2F20260312%2F", "%2F20260312%2Fus-east-1%2F"
        )
        yield to("host not signed", "UnsignedHeaders", r"(?<=X-Amz-SignedHeaders=)[^&]*", "range")
    else:
        yield to("host not signed", "HostNotSigned", r"(?<=X-Amz-SignedHeaders=)[^&]*", "range")


def asymmetric(row: Row):
    """SigV4a: the region set, and the algorithm."""
    if value := row.header("authorization"):
        yield row.with_header("x-amz-region-set", "us-east-1,us-*").spoilt("another region set", "SignatureMismatch")
        yield row.with_header("x-amz-region-set", "eu-*,ap-south-1").spoilt("a set without the region", "Credential.Region")
        yield row.with_header("x-amz-region-set", None).spoilt("no region set", "Authorization.Missing")
        for name in ("x-amz-region-set", "X-Amz-Region-Set"):
            more = [*row.headers, (name, "us-east-1")]
            yield row.spoilt(f"one more {name}", "SignatureMismatch", headers=more)
        unsigned = value.replace(";x-amz-region-set", "")
        yield row.with_header("authorization", unsigned).spoilt("a region set not signed", "RegionSetNotSigned")
        five = value.replace("/20260312/", "/20260312/us-east-1/")
        yield row.with_header("authorization", five).spoilt("a region in the scope", "Credential.Malformed")
        other = five.replace("ECDSA-P256", "HMAC")
        yield row.with_header("authorization", other).spoilt("named SigV4", "SignatureMismatch")
        zero = value.rpartition("=")[0] + "=3006020100020100"
        yield row.with_header("authorization", zero).spoilt("r and s of zero", "SignatureMismatch")
    else:
        for what, by, expect in [
            ("another region set", "us-%2A", "SignatureMismatch"),
            ("a set without the region", "eu-west-1", "Credential.Region"),
        ]:
            yield row.spoilt(what, expect, target=re.sub(r"(?<=X-Amz-Region-Set=)[^&]*", by, row.target))
        without = re.sub(r"X-Amz-Region-Set=[^&]*&", "", row.target)
        yield row.spoilt("no region set", "Parameters.Missing", target=without)


def body(row: Row):
    """Whatever proves the body."""
    declared = row.header("x-amz-content-sha256") or ""
    if not row.body:
        return
    changed = row.body[:-1] + bytes([row.body[-1] ^ 1])
    if row.dialect == "generic":
        yield row.spoilt("another body", "SignatureMismatch", body=changed)
    elif len(declared) == 64:
        yield row.spoilt("another body", "Sha256Mismatch", body=changed)
        if row.header("content-length"):
            yield row.spoilt("a shorter body", "LengthMismatch", body=row.body[:-1])
            yield row.spoilt("a longer body", "LengthMismatch", body=row.body + b"!")
    elif "TRAILER" in declared:
        yield row.spoilt("another byte", "ChecksumMismatch", body=row.body.replace(b"hello", b"hallo"))
        yield row.spoilt("cut off", "Truncated", body=row.body[:-20])
        yield row.spoilt("another checksum", "ChecksumMismatch", body=re.sub(rb"(crc32:)....", rb"\1AAAA", row.body))
