"""Browser uploads: forms as botocore signs them, filled in as a browser would."""

import io
from dataclasses import replace

from .boto import freeze, s3
from .rows import CREDENTIALS, LONG_TERM, SESSION, Row

BOUNDARY = "----WebKitFormBoundary7MA4YWxkTrZu0gW"


def form(fields: list[tuple[str, str]], content: bytes, filename: str = "photo.jpg") -> bytes:
    out = io.BytesIO()
    for name, value in fields:
        out.write(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode())
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n'
    out.write(f"{head}Content-Type: image/jpeg\r\n\r\n".encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode())
    return out.getvalue()


def post(name: str, fields: dict[str, str] | list, content=b"picture", credential=LONG_TERM, filename="photo.jpg", **other) -> Row:
    body = form(list(fields.items()) if isinstance(fields, dict) else fields, content, filename)
    headers = [
        ("Host", "s3.example.com"),
        ("Content-Type", f"multipart/form-data; boundary={BOUNDARY}"),
        ("Content-Length", str(len(body))),
    ]
    return Row(
        f"botocore form {name}", "botocore", "POST", "/bucket", headers, body, credential, bucket="bucket", content=content, **other
    )


def signed(credential=LONG_TERM, key="user/${filename}", fields=None, conditions=(), expires=60) -> dict[str, str]:
    made = s3(credential, signature_version="s3v4")
    conditions = list(conditions) + [{name: value} for name, value in (fields or {}).items()]
    return made.generate_presigned_post("bucket", key, fields, conditions, expires)["fields"]


def rows():
    freeze()
    for name, credential in CREDENTIALS.items():
        yield post(f"plain {name}", signed(credential), credential=credential)
    for number, key in enumerate(["k", "a b/ü.jpg", "a//b", "${filename}", "x/y/${filename}"]):
        yield post(f"key {number}", signed(key=key))
    for number, name in enumerate(["a b.txt", "C:\\fakepath\\x.png", "ü日本.jpg", "../../etc/passwd"]):
        yield post(f"file name {number}", signed(), filename=name)
    fields = {"acl": "private", "x-amz-meta-owner": "me", "success_action_status": "201"}
    yield post("fields", signed(fields=fields))
    prefix = signed(conditions=[["starts-with", "$Content-Type", "image/"], ["starts-with", "$x-amz-meta-tag", ""]])
    yield post("prefixes", {**prefix, "Content-Type": "image/png", "x-amz-meta-tag": "anything"})
    ranged = signed(conditions=[["content-length-range", 5, 10]])
    yield post("size in range", ranged)
    yield post("an ignored field", {**signed(), "x-ignore-me": "1"})
    yield post("no bytes", signed(), content=b"")
    yield from refused(ranged, prefix)


def refused(ranged, prefix):
    good = signed()

    def bad(name, fields, expect, **other):
        return replace(post(f"/ {name}", fields, **other), expect=expect, content=None)

    yield bad("another key", {**good, "key": "other/${filename}"}, "ConditionFailed")
    yield bad("an extra field", {**good, "acl": "public-read"}, "ExtraField")
    yield bad("a prefix not met", {**prefix, "Content-Type": "text/html", "x-amz-meta-tag": ""}, "ConditionFailed")
    yield bad("too small", ranged, "FileTooSmall", content=b"1234")
    yield bad("too large", ranged, "FileTooLarge", content=b"12345678901")
    flipped = good["x-amz-signature"][:-1] + ("0" if good["x-amz-signature"][-1] != "0" else "1")
    yield bad("another signature", {**good, "x-amz-signature": flipped}, "SignatureMismatch")
    yield bad("no signature in lower case", {**good, "x-amz-signature": good["x-amz-signature"].upper()}, "SignatureMismatch")
    policy = signed(expires=3600)["policy"]
    yield bad("another policy", {**good, "policy": policy}, "SignatureMismatch")
    for name in ("policy", "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature"):
        yield bad(f"without {name}", {key: value for key, value in good.items() if key != name}, "MissingField")
    yield bad("without key", {key: value for key, value in good.items() if key != "key"}, "MissingField")
    yield bad("a field twice", [*good.items(), ("key", good["key"])], "RepeatedField")
    yield bad("another algorithm", {**good, "x-amz-algorithm": "AWS4-ECDSA-P256-SHA256"}, "Algorithm")
    credential = good["x-amz-credential"]
    yield bad("another region", {**good, "x-amz-credential": credential.replace("us-east-1", "eu-west-1")}, "Credential.Region")
    yield bad("another service", {**good, "x-amz-credential": credential.replace("/s3/", "/sts/")}, "Credential.Service")
    yield bad("another day", {**good, "x-amz-credential": credential.replace("20260312", "20260311")}, "Credential.DateMismatch")
    yield bad("another key id", {**good, "x-amz-credential": credential.replace("AKIA", "AKIB")}, "UnknownAccessKey")
    yield bad("a date that is none", {**good, "x-amz-date": "today"}, "Date")
    late = replace(post("/ too late", good), now="2026-03-12T08:16:31Z", expect="PolicyExpired", content=None)
    yield late
    token = signed(SESSION)
    other = {**token, "x-amz-security-token": "another"}
    yield bad("another token", other, "InvalidToken", credential=SESSION)
    without = {key: value for key, value in token.items() if key != "x-amz-security-token"}
    yield bad("without token", without, "MissingToken", credential=SESSION)
    elsewhere = replace(post("/ another bucket", good), bucket="other", target="/other", expect="ConditionFailed", content=None)
    yield elsewhere
