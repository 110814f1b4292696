"""Form uploads written byte by byte: a good one to start from, every part of which a test may spoil."""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from .credentials import Credentials
from .server import Gateway
from .signing import ALGORITHM
from .wire import Connection, Response, authority, exchange

BOUNDARY = "----suite7MA4YWxkTrZu0gW"


def signing_key(secret: str, scope: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


@dataclass
class Form:
    """The fields and the file of an upload as they will stand on the wire."""

    gateway: Gateway
    bucket: str
    fields: list[tuple[str, str]]
    file: bytes
    filename: str = "picture.jpg"
    boundary: str = BOUNDARY
    content_type: str = "multipart/form-data; boundary={}"
    preamble: bytes = b""
    # What follows the delimiter that ends the file.
    end: bytes = b"--\r\n"
    target: str = ""
    host: str = ""
    extra: list[tuple[str, str]] = field(default_factory=list)

    def set(self, name: str, value: str | None) -> "Form":
        """Replaces, adds or (with None) removes a field, after the form was signed."""
        kept = [(given, old) for given, old in self.fields if given.lower() != name.lower()]
        self.fields = kept + ([(name, value)] if value is not None else [])
        return self

    def head(self) -> bytes:
        parts = [
            f'--{self.boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in self.fields
        ]
        disposition = f'Content-Disposition: form-data; name="file"; filename="{self.filename}"'
        parts.append(f"--{self.boundary}\r\n{disposition}\r\nContent-Type: image/jpeg\r\n\r\n")
        return self.preamble + "".join(parts).encode()

    def tail(self) -> bytes:
        return f"\r\n--{self.boundary}".encode() + self.end

    @property
    def body(self) -> bytes:
        return self.head() + self.file + self.tail()

    def headers(self, length: int) -> list[tuple[str, str]]:
        content_type = self.content_type.format(self.boundary)
        kind = [("Content-Type", content_type)] if content_type else []
        host = self.host or authority(self.gateway.endpoint)
        return [("Host", host), *kind, ("Content-Length", str(length)), *self.extra]

    def send(self) -> Response:
        body = self.body
        return exchange(self.gateway.endpoint, "POST", self.target or f"/{self.bucket}", self.headers(len(body)), body)

    def start(self, length: int | None = None) -> Connection:
        """Sends the head of the request alone."""
        connection = Connection(self.gateway.endpoint)
        headers = self.headers(len(self.body) if length is None else length)
        connection.send_head("POST", self.target or f"/{self.bucket}", headers)
        return connection


def signed(
    gateway: Gateway,
    policy: str | dict,
    fields: list[tuple[str, str]],
    credentials: Credentials | None = None,
    region: str | None = None,
) -> list[tuple[str, str]]:
    """The fields with those of a signature over `policy` behind them."""
    credentials = credentials or gateway.credentials
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{now[:8]}/{region or gateway.region}/s3/aws4_request"
    own = [
        ("x-amz-algorithm", ALGORITHM),
        ("x-amz-credential", f"{credentials.access_key_id}/{scope}"),
        ("x-amz-date", now),
    ]
    if credentials.session_token is not None:
        own.append(("x-amz-security-token", credentials.session_token))
    if isinstance(policy, dict):
        conditions = policy["conditions"]
        if isinstance(conditions, list):
            conditions = [*conditions, *({name: value} for name, value in own)]
        policy = json.dumps({**policy, "conditions": conditions})
    text = base64.b64encode(policy.encode()).decode()
    key = signing_key(credentials.secret_access_key, scope)
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    return [*fields, *own, ("policy", text), ("x-amz-signature", signature)]


def until(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def form(
    gateway: Gateway,
    bucket: str,
    file: bytes,
    conditions: list | None = None,
    fields: list[tuple[str, str]] | None = None,
    key: str = "object",
    **options,
) -> Form:
    """A form for an hour to `key`, with further fields and what its policy says about them."""
    policy = {"expiration": until(3600), "conditions": [{"bucket": bucket}, {"key": key}, *(conditions or [])]}
    return Form(gateway, bucket, signed(gateway, policy, [("key", key), *(fields or [])], **options), file)
