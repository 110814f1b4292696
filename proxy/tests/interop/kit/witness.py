"""Sends requests to gateways that share a log, and writes down what it saw, for `kit.checker` to judge."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from . import events
from .credentials import Credentials
from .directory import policy, statement
from .fleet import Node
from .history import Asked, History, Issued, Name, Outcome, Revoked
from .signing import Signer, sha256
from .wire import Response, authority

EVENT = "application/cloudevents+json"

# Without a policy federated users may do nothing.
EVERYTHING = quote(policy(statement("Allow", "*")))


@dataclass(frozen=True)
class Holding:
    """A credential that was acknowledged."""

    credentials: Credentials
    issued: Issued


@dataclass(frozen=True)
class Key:
    """A long-term key and whose it is."""

    credentials: Credentials
    user: str

    def names(self) -> set[Name]:
        """The scopes that reach sessions of the key."""
        identity = self.credentials.access_key_id
        return {
            ("principal", self.user),
            ("account", self.user.split(":")[4]),
            ("access_key_id", identity),
            ("key", identity),
        }


@dataclass(frozen=True)
class Draft:
    """A session as another STS makes it, to be sent as often as it takes."""

    document: dict
    credentials: Credentials
    names: frozenset[Name]
    millis: int
    expires: float


def draft(names: dict[str, str], lifetime: float) -> Draft:
    """`names` has `account`, `role`, `session_name`, `source_identity` and `identity_provider`."""
    credentials, account, session = events.new_credentials(), names["account"], names["session_name"]
    arn = f"arn:aws:sts::{account}:assumed-role/{names['role'].rpartition('/')[2]}/{session}"
    data = events.issued(
        credentials,
        timedelta(seconds=lifetime),
        kind="web_identity",
        principal={"arn": arn, "user_id": f"AROA{account}:{session}", "account": account},
        session_name=session,
        role_arn=names["role"],
        source_identity=names["source_identity"],
        federation={"provider": names["identity_provider"], "issuer": "i", "subject": "s", "audience": "a"},
    )
    reached = {(scope, names[scope]) for scope in ("account", "role", "source_identity", "identity_provider")}
    reached |= {("principal", arn), ("access_key_id", credentials.access_key_id)}
    reached.add(("session_name", f"{names['role']}/{session}"))
    document = events.event("credential.issued", data)
    return Draft(
        document, credentials, frozenset(reached), parse_millis(data["issued_at"]), time.monotonic() + lifetime
    )


class Witness:
    """Clients share one: what it does to its history threads may do at the same time."""

    def __init__(self, history: History):
        self.history = history

    def ask(self, node: Node, credentials: Credentials) -> Asked:
        """A signed request to the storage."""
        endpoint = node.gateway.endpoint
        signer = Signer(credentials, node.gateway.region)
        signed, _ = signer.headers("GET", "/bucket/0", "", [("Host", authority(endpoint))])
        began = time.monotonic()
        outcome, told, _ = attempt(lambda: node.exchange(endpoint, "GET", "/bucket/0", signed))
        return self._asked(node, began, outcome, told, credentials)

    def create_key(self, node: Node, account: str, user: str) -> tuple[Issued, Key | None]:
        document = {"user": user, "account": account}
        began, millis = time.monotonic(), now_millis()
        outcome, told, answer = attempt(lambda: node.admin("POST", "/v1/access-keys", document))
        times = (millis, now_millis())
        if answer is None:
            # Its id nobody knows.
            return self._issued(node, began, outcome, told, "", frozenset(), times, None), None
        made = json.loads(answer.body)
        identity = made["access_key_id"]
        own = frozenset({("access_key_id", identity), ("key", identity)})
        issued = self._issued(node, began, outcome, told, identity, own, times, None)
        key = Key(Credentials(identity, made["secret_access_key"]), f"arn:aws:iam::{account}:user/{user}")
        return issued, key

    def by_sts(
        self, node: Node, key: Key, lifetime: int = 3600, federated: bool = False
    ) -> tuple[Issued, Holding | None]:
        """A session of a long-term key, or of a federated user."""
        action = f"GetFederationToken&Name=guest&Policy={EVERYTHING}" if federated else "GetSessionToken"
        body = f"Action={action}&Version=2011-06-15&DurationSeconds={lifetime}".encode()
        endpoint = node.gateway.endpoint
        headers = [("Host", authority(endpoint)), ("Content-Type", "application/x-www-form-urlencoded")]
        headers.append(("Content-Length", str(len(body))))
        signer = Signer(key.credentials, node.gateway.region, "sts")
        signed, _ = signer.headers("POST", "/", "", headers, sha256(body))
        began, millis = time.monotonic(), now_millis()
        outcome, told, answer = attempt(lambda: node.exchange(endpoint, "POST", "/", signed, body))
        times = (millis, now_millis())
        if answer is None:
            # Whoever is refused is so by the key's own fault.
            if outcome is Outcome.REFUSED:
                self._asked(node, began, outcome, told, key.credentials)
            return self._issued(node, began, outcome, told, "", frozenset(), times, None), None
        self._asked(node, began, outcome, told, key.credentials)
        credentials = Credentials.from_sts(answer.error())
        identity = credentials.access_key_id
        names = frozenset(key.names() | {("access_key_id", identity)})
        issued = self._issued(node, began, outcome, told, identity, names, times, began + lifetime)
        return issued, Holding(credentials, issued)

    def by_event(self, node: Node, draft: Draft) -> tuple[Issued, Holding | None]:
        """A session that another STS issued."""
        began = time.monotonic()
        outcome, told, _ = attempt(lambda: node.admin("POST", "/v1/events", draft.document, EVENT))
        identity, times = draft.credentials.access_key_id, (draft.millis, draft.millis)
        issued = self._issued(node, began, outcome, told, identity, draft.names, times, draft.expires)
        return issued, Holding(draft.credentials, issued) if outcome is Outcome.DONE else None

    def revoke(self, node: Node, scope: Name, before: int | None = None, by_event: bool = False) -> Revoked:
        """Ends what a scope reaches: a long-term key and its sessions, or sessions issued before some time or now."""
        began = time.monotonic()
        outcome, told, answer = attempt(lambda: send_revocation(node, scope, before, by_event))
        if answer is not None and isinstance(said := json.loads(answer.body), dict) and "issued_before" in said:
            before = parse_millis(said["issued_before"])
        revoked = Revoked(node.name, began, time.monotonic(), outcome, told, scope, before)
        self.history.add(revoked)
        return revoked

    def _asked(self, node: Node, began: float, outcome: Outcome, told: str, credentials: Credentials) -> Asked:
        asked = Asked(node.name, began, time.monotonic(), outcome, told, credentials.access_key_id)
        self.history.add(asked)
        return asked

    def _issued(self, node, began, outcome, told, identity, names, times, expires) -> Issued:
        issued = Issued(node.name, began, time.monotonic(), outcome, told, identity, names, *times, expires)
        self.history.add(issued)
        return issued


def send_revocation(node: Node, scope: Name, before: int | None, by_event: bool) -> Response:
    kind, value = scope
    if kind == "key":
        return node.admin("DELETE", f"/v1/access-keys/{value}")
    body = {kind: value}
    if kind == "session_name":
        role, _, name = value.rpartition("/")
        body = {"role": role, "session_name": name}
    if before is not None:
        body["issued_before"] = rfc3339(before)
    if by_event and before is not None:
        return node.admin("POST", "/v1/events", events.event("session.revoked", body), EVENT)
    return node.admin("POST", "/v1/revocations", body)


def attempt(send: Callable[[], Response]) -> tuple[Outcome, str, Response | None]:
    """What became of a request, its status and code, and the answer if it was done."""
    try:
        answer = send()
    except OSError as error:
        return Outcome.LOST, type(error).__name__, None
    if answer.status < 300:
        return Outcome.DONE, "", answer
    outcome = Outcome.UNAVAILABLE if answer.status >= 500 else Outcome.REFUSED
    return outcome, f"{answer.status} {code(answer.body)}", None


def code(body: bytes) -> str:
    """The code in an error, of whichever listener."""
    try:
        if body.startswith(b"{"):
            return json.loads(body)["error"]["code"]
        return body.split(b"<Code>")[1].split(b"</Code>")[0].decode()
    except (ValueError, LookupError):
        return ""


def now_millis() -> int:
    return time.time_ns() // 1_000_000


def rfc3339(millis: int) -> str:
    return events.timestamp(datetime.fromtimestamp(millis // 1000, UTC) + timedelta(milliseconds=millis % 1000))


def parse_millis(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return int(moment.timestamp()) * 1000 + moment.microsecond // 1000
