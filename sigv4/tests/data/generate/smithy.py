"""Requests signed by AWS's SDK for JavaScript, through `sign.mjs`."""

import json
import subprocess
from pathlib import Path
from urllib.parse import quote

from .boto import KEYS
from .rows import CREDENTIALS, LONG_TERM, NOW, REGION, SESSION, Row

HERE = Path(__file__).parent
HOST = "bucket.s3.example.com"


def path(key: str) -> str:
    """As the SDK writes keys: segment by segment, everything but unreserved characters escaped."""
    return "/" + quote(key, safe="/-._~")


def credentials(how: str):
    """Its SigV4a takes the letters of a secret for bytes: secrets beyond ASCII, which AWS never makes, are lost on it."""
    return [(name, one) for name, one in CREDENTIALS.items() if how != "sigv4a" or one.secret.isascii()]


def requests():
    """Name, fields of the row, and what to sign."""

    def ask(name, how="header", method="GET", where="/", query=None, headers=None, body=None, credential=LONG_TERM, **other):
        fields = {key: other.pop(key) for key in ("dialect", "content") if key in other}
        asked = {
            "how": how,
            "method": method,
            "path": where,
            "query": query or {},
            "headers": {"host": HOST, **(headers or {})},
            "body": body,
            "credentials": {"accessKeyId": credential.access_key_id, "secretAccessKey": credential.secret},
            "region": other.pop("region", "*" if how == "sigv4a" else REGION),
            "service": other.pop("service", "s3"),
            "date": NOW.isoformat(),
            **other,
        }
        if credential.session_token is not None:
            asked["credentials"]["sessionToken"] = credential.session_token
        return name, credential, fields, asked

    for how in ("header", "presigned", "sigv4a"):
        options = {"how": how, "expires": 300}
        for key in KEYS:
            yield ask(f"{how} key {key[:20]!r}", where=path(key), credential=SESSION, query={"x-id": "GetObject"}, **options)
        queries = [
            {"acl": ""}, {"b": "2", "a": "1", "A": "0"}, {"a": ["2", "1", ""]}, {"prefix": "a b+c&d=e/ü'()*!~", "list-type": "2"},
            {"partNumber": "1", "uploadId": "up+load/id="},
        ]
        for number, query in enumerate(queries):
            yield ask(f"{how} query {number}", query=query, **options)
        for name, credential in credentials(how):
            yield ask(f"{how} {name}", method="DELETE", where="/k", credential=credential, **options)
    for how in ("header", "sigv4a"):
        for number, value in enumerate(["", "a  b", " padded ", "grüße", '"x  y"', "a,b, c"]):
            headers = {"x-amz-meta-a": value, "content-type": "text/plain", "content-length": "5"}
            yield ask(f"{how} value {number}", how, "PUT", "/k", headers=headers, body="hello", content=b"hello")
        body = "Action=GetCallerIdentity&Version=2011-06-15"
        sts = {"host": "sts.us-east-1.amazonaws.com", "content-type": "application/x-www-form-urlencoded"}
        for name, credential in credentials(how):
            yield ask(f"{how} sts {name}", how, "POST", "/", None, sts, body, credential, service="sts", dialect="generic")
        for number, where in enumerate(["/a//b/", "/a/./b/../c", "/a%20b/%2F", "/restapis/a%2Fb/~x"]):
            yield ask(f"{how} generic path {number}", how, where=where, service="execute-api", dialect="generic")
    # Headers that the SDK moves into the query, and some that it is told to leave.
    for number, presigning in enumerate([{}, {"unhoistable": ["x-amz-meta-owner"]}, {"hoistable": ["range"]}]):
        headers = {"x-amz-meta-owner": "me & you", "x-amz-acl": "private", "range": "bytes=0-9"}
        yield ask(f"presigned headers {number}", "presigned", "PUT", "/k", headers=headers, expires=60, presigning=presigning)


def rows():
    asked = list(requests())
    answer = subprocess.run(
        ["node", HERE / "sign.mjs"], input=json.dumps([request for *_, request in asked]).encode(), stdout=subprocess.PIPE, check=True
    )
    for (name, credential, fields, request), made in zip(asked, json.loads(answer.stdout), strict=True):
        body = (request["body"] or "").encode()
        headers = [tuple(pair) for pair in made["headers"]]
        if request["method"] == "PUT" and "content-length" not in request["headers"]:
            headers.append(("content-length", "0"))
        yield Row(
            f"smithy {name}", "smithy", request["method"], made["target"], headers, body, credential, service=request["service"], **fields
        )
