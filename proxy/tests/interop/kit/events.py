"""What another STS would send: CloudEvents to the admin listener."""

import json
import secrets
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from .credentials import Credentials
from .server import Gateway

ACCOUNT = "444455556666"
PREFIX = "io.sigward"


def timestamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Answer:
    status: int
    body: dict | None


def event(kind: str, data: dict, source: str = "/interop", identity: str | None = None) -> dict:
    return {
        "specversion": "1.0",
        "id": identity or str(uuid.uuid4()),
        "source": source,
        "type": f"{PREFIX}.{kind}.v1",
        "time": timestamp(datetime.now(UTC)),
        "datacontenttype": "application/json",
        "data": data,
    }


def post(gateway: Gateway, document: dict | list | bytes) -> Answer:
    """Sends one event, or a list of them; refusals are answers too."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    form = "cloudevents-batch" if isinstance(document, list) else "cloudevents"
    request = urllib.request.Request(
        f"{gateway.admin}/v1/events", data=body, headers={"Content-Type": f"application/{form}+json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return Answer(answer.status, parsed(answer.read()))
    except urllib.error.HTTPError as refusal:
        with refusal:
            return Answer(refusal.code, parsed(refusal.read()))


def parsed(body: bytes) -> dict | None:
    try:
        return json.loads(body)
    except ValueError:
        return None


def new_credentials() -> Credentials:
    """As an STS would mint them."""
    return Credentials(f"ASIA{secrets.token_hex(8).upper()}", secrets.token_urlsafe(30), secrets.token_urlsafe(260))


def issued(credentials: Credentials, lifetime: timedelta, **changes) -> dict:
    """The data of `credential.issued` for a role session."""
    now = datetime.now(UTC)
    return {
        "access_key_id": credentials.access_key_id,
        "secret_access_key": credentials.secret_access_key,
        "session_token": credentials.session_token,
        "kind": "assumed_role",
        "issued_at": timestamp(now),
        "expires_at": timestamp(now + lifetime),
        "principal": {
            "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/reader/interop",
            "user_id": "AROAINTEROPROLE000001:interop",
            "account": ACCOUNT,
        },
        "session_name": "interop",
        "role_arn": f"arn:aws:iam::{ACCOUNT}:role/reader",
        "tags": {"team": "storage"},
        **changes,
    }


def issue(gateway: Gateway, lifetime: timedelta = timedelta(minutes=15), **changes) -> Credentials:
    """Issues a role session through an event; returns when it is acknowledged."""
    credentials = new_credentials()
    answer = post(gateway, event("credential.issued", issued(credentials, lifetime, **changes)))
    assert 200 <= answer.status < 300, answer
    return credentials


def issue_many(gateway: Gateway, count: int, at_once: int = 200) -> list[Credentials]:
    """Issues role sessions through events, some at a time; returns when all are acknowledged."""
    issued_all = [new_credentials() for _ in range(count)]
    for first in range(0, count, at_once):
        batch = issued_all[first : first + at_once]
        answer = post(gateway, [event("credential.issued", issued(one, timedelta(minutes=15))) for one in batch])
        assert 200 <= answer.status < 300, answer
    return issued_all
