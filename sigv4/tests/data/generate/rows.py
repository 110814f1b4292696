"""Rows of the corpus, and how they are written."""

import base64
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

NOW = datetime(2026, 3, 12, 8, 15, 30, tzinfo=UTC)
BASIC = NOW.strftime("%Y%m%dT%H%M%SZ")
REGION = "us-east-1"

Headers = list[tuple[str, str]]


@dataclass(frozen=True)
class Credential:
    access_key_id: str
    secret: str
    session_token: str | None = None


LONG_TERM = Credential("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
SESSION = Credential(
    "ASIAIOSFODNN7EXAMPLE", "bWluaW9+c2VjcmV0/K7MDENG+bPxRfiCYEXAMPLE", "IQoJb3JpZ2luX2VjE" + "Ab3/+x=" * 10 + "=="
)
# As other servers' users have them: any characters, any length.
ODD = Credential("tenant/user+1=", "päss wörd/+=%")
CREDENTIALS = {"long-term": LONG_TERM, "session": SESSION, "odd": ODD}


@dataclass(frozen=True)
class Row:
    """One request and its verdict: `ok`, or the name of the error."""

    id: str
    signer: str
    method: str
    target: str
    headers: Headers
    body: bytes = b""
    credential: Credential = LONG_TERM
    region: str = REGION
    service: str = "s3"
    dialect: str = "s3"
    now: str = NOW.strftime("%Y-%m-%dT%H:%M:%SZ")
    expect: str = "ok"
    # Accepted only where deviations of signers are.
    lenient: bool = False
    # The bucket of a form.
    bucket: str | None = None
    # What is left of the body's framing: `None` if it is the body.
    content: bytes | None = field(default=None, repr=False)

    def header(self, name: str) -> str | None:
        return next((value for given, value in self.headers if given.lower() == name), None)

    def with_header(self, name: str, value: str | None) -> "Row":
        """With a header replaced in its place, appended, or (with None) removed."""
        found = any(given.lower() == name for given, _ in self.headers)
        if value is None or found:
            headers = [(n, value if n.lower() == name else v) for n, v in self.headers]
            headers = [(n, v) for n, v in headers if v is not None]
        else:
            headers = [*self.headers, (name, value)]
        return replace(self, headers=headers)

    def spoilt(self, what: str, expect: str, **changes) -> "Row":
        """This row with something changed after it was signed."""
        return replace(self, id=f"{self.id} / {what}", expect=expect, **changes)

    def json(self) -> str:
        row = {
            "id": self.id,
            "signer": self.signer,
            "expect": self.expect,
            "dialect": self.dialect,
            "region": self.region,
            "service": self.service,
            "now": self.now,
            "access_key_id": self.credential.access_key_id,
            "secret": self.credential.secret,
            "session_token": self.credential.session_token,
            "method": self.method,
            "target": self.target,
            "headers": self.headers,
            "body": pieces(self.body),
            "content": pieces(self.content) if self.content is not None else None,
            "lenient": self.lenient or None,
            "bucket": self.bucket,
        }
        kept = {name: value for name, value in row.items() if value not in (None, [])}
        return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))


def pieces(data: bytes) -> list:
    """Bytes as text, `[byte, times]` for runs, and `{"base64": …}` for what is neither."""
    found, start = [], 0
    while start < len(data):
        run = start
        while run < len(data) and data[run] == data[start]:
            run += 1
        if run - start >= 64:
            found.append([data[start], run - start])
            start = run
            continue
        end = start
        while end < len(data) and not data.startswith(bytes([data[end]]) * 64, end):
            end += 1
        part = data[start:end]
        found.append(part.decode() if is_text(part) else {"base64": base64.b64encode(part).decode()})
        start = end
    return found


def is_text(part: bytes) -> bool:
    try:
        return all(c.isprintable() or c in "\r\n\t" for c in part.decode())
    except UnicodeDecodeError:
        return False
