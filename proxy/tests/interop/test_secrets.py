"""Canaries: known secrets, tokens and signatures go through a gateway that logs all it can, and come out nowhere."""

import base64
import json
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kit import clients, events, uploads
from kit.credentials import Credentials
from kit.server import resigned_for, sigward, start_serve
from kit.signing import EMPTY_SHA256, Signer
from kit.wire import authority, exchange


class Canaries:
    """What must not be found, by what it is."""

    def __init__(self):
        self.needles: dict[str, str] = {}

    def credential(self, name: str, credentials: Credentials) -> Credentials:
        self.needles[f"secret of the {name}"] = credentials.secret_access_key
        if credentials.session_token:
            self.needles[f"token of the {name}"] = credentials.session_token
        return credentials

    def found_in(self, haystack: bytes) -> list[str]:
        forms = {
            "": lambda needle: needle,
            " in base64": lambda needle: base64.b64encode(needle).rstrip(b"="),
            " in hex": lambda needle: needle.hex().encode(),
        }
        return [
            name + form
            for name, needle in self.needles.items()
            for form, encode in forms.items()
            if encode(needle.encode()) in haystack
        ]


def visit(gateway, canaries: Canaries) -> None:
    """Good and bad requests of every kind."""
    s3 = clients.s3(gateway)
    s3.create_bucket(Bucket="canaries")
    target, host = "/canaries/object", [("Host", authority(gateway.endpoint))]
    session = canaries.credential("session", clients.session(gateway))
    foreign = canaries.credential("event's session", events.issue(gateway))
    rejected = canaries.credential("rejected event", events.new_credentials())
    events.post(
        gateway, events.event("credential.issued", events.issued(rejected, timedelta(hours=1), principal="nobody"))
    )

    for name, who in {"key": gateway.credentials, "session": session, "event's session": foreign}.items():
        for kind, make in {"body": uploads.plain, "chunks": uploads.chunked}.items():
            upload = make(gateway, target, b"content" if kind == "body" else [b"content"], credentials=who)
            canaries.needles[f"signature of the {name}'s {kind}"] = upload.seed.signature
            assert upload.send().status == 200
        query = Signer(who, gateway.region).presign("GET", target, "", host, 600)
        canaries.needles[f"signature of the {name}'s URL"] = query.rpartition("=")[2]
        assert exchange(gateway.endpoint, "GET", f"{target}?{query}", host).status == 200

    broken = uploads.chunked(gateway, target, [b"content"])
    canaries.needles["signature before a broken chunk"] = broken.seed.signature
    broken.wire[0] = broken.wire[0].replace(b"content", b"CONTENT")
    assert broken.send().status == 403

    # A request changed in flight: the signature that would have been right for it, not the one it came with.
    signer = Signer(gateway.credentials, gateway.region, when=datetime.now(UTC))
    sent, _ = signer.headers("GET", "/", "", [*host, ("x-extra", "signed")])
    _, right = signer.headers("GET", "/", "", [*host, ("x-extra", "changed")])
    canaries.needles["right signature of a refused request"] = right.signature
    changed = [(name, "changed" if name == "x-extra" else value) for name, value in sent]
    answer = exchange(gateway.endpoint, "GET", "/", changed)
    assert answer.status == 403
    assert canaries.found_in(answer.body) == []

    wrong = session.with_token("canary-token-that-is-wrong-" + os.urandom(8).hex())
    canaries.needles["wrong token"] = wrong.session_token
    headers, _ = Signer(wrong, gateway.region).headers("GET", "/", "", host, EMPTY_SHA256)
    assert exchange(gateway.endpoint, "GET", "/", headers).status == 400
    assert clients.sts(gateway, session).get_caller_identity()
    assert sigward("revoke", "--admin", gateway.admin, "--access-key-id", session.access_key_id).returncode == 0
    assert exchange(gateway.endpoint, "GET", f"{target}?{query}", host).status == 200


@pytest.fixture(scope="module")
def visited(dev, tmp_path_factory):
    """A gateway that logs all it can, in front of `dev`, after its visitors."""
    top = tmp_path_factory.mktemp("canaries")
    gateway = start_serve(top / "serve", dev.endpoint, resigned_for(dev, top), log_filter="trace", audit={"file": str(top / "audit.jsonl")})
    canaries = Canaries()
    visit(gateway, canaries)
    yield gateway, canaries
    gateway.process.stop()


def test_no_secret_reaches_logs_metrics_or_listings(visited):
    gateway, canaries = visited
    whole = Canaries()
    whole.needles = dict(canaries.needles)
    whole.credential("long-term key", gateway.credentials)
    logs = gateway.process.output()
    assert b"canaries" in logs, "nothing was logged: this test would see nothing"
    assert whole.found_in(logs) == []
    assert whole.found_in(gateway.metrics().encode()) == []
    for listing in (["keys", "list"], ["sessions"]):
        done = sigward(*listing, "--admin", gateway.admin, "--json")
        assert done.returncode == 0
        assert whole.found_in(done.stdout + done.stderr) == []


def test_the_audit_trail_tells_what_happened_and_no_secret(visited):
    gateway, canaries = visited
    trail = (gateway.state.parent / "audit.jsonl").read_bytes()
    records = [json.loads(line) for line in trail.splitlines()]
    named = {record["eventName"] for record in records}
    assert {"GetSessionToken", "GetCallerIdentity", "IssueSession", "RevokeSessions", "CreateAccessKey"} <= named
    (issued,) = (record for record in records if record["eventName"] == "GetSessionToken")
    assert issued["userIdentity"]["accessKeyId"] == gateway.credentials.access_key_id
    assert set(issued["responseElements"]["credentials"]) == {"accessKeyId", "expiration"}
    assert issued["sourceIPAddress"] == "127.0.0.1" and "Boto3" in issued["userAgent"]
    whole = Canaries()
    whole.needles = dict(canaries.needles)
    whole.credential("long-term key", gateway.credentials)
    assert whole.found_in(trail) == []


def test_no_secret_lies_open_in_the_store(visited):
    gateway, canaries = visited
    (store,) = gateway.state.glob("*.redb")
    assert canaries.found_in(store.read_bytes()) == []


def test_dev_shows_its_key_on_one_line_and_to_nobody_else(dev):
    ready, _, later = dev.process.stdout.read_bytes().partition(b"\n")
    secret = dev.credentials.secret_access_key.encode()
    assert secret in ready
    assert secret not in later + dev.process.stderr.read_bytes()
    for path in (path for path in dev.state.rglob("*") if path.is_file()):
        assert private(dev.state) or private(path), f"others may read {path}"


def private(path: Path) -> bool:
    return stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
