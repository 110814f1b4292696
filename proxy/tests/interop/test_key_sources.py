"""Long-term keys of `[[key_sources]]`: a web server and directories, with boto3 as their user."""

import fcntl
import json
import os
import re
import shutil
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from kit import clients
from kit.clients import code
from kit.credentials import Credentials
from kit.keyserver import ACCOUNT, KeyServer, document, entry
from kit.server import Gateway, Process, answers, binary, resigned_for, self_signed, sigward, start_serve

FIRST = Credentials("AKIALISTEDFIRST00001", "listed/first/secret/0123456789")
SECOND = Credentials("AKIALISTEDSECOND0001", "listed/second/secret/0123456789")

UNKNOWN = "InvalidAccessKeyId"


def until(expected, actual, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while (found := actual()) != expected:
        assert time.monotonic() < deadline, f"{found} instead of {expected}"
        time.sleep(0.02)


def codes(gateway: Gateway, *credentials: Credentials):
    return lambda: [code(gateway, one) for one in credentials]


def metric(gateway: Gateway, name: str) -> float:
    """The value of a metric with its labels; 0 if there is none."""
    found = re.search(rf"^sigward_{re.escape(name)} (.*)$", gateway.metrics(), re.MULTILINE)
    return float(found.group(1)) if found else 0


def reads(gateway: Gateway, outcome: str, source: str = "web") -> float:
    return metric(gateway, f'key_source_reads_total{{outcome="{outcome}",source="{source}"}}')


def ready(gateway: Gateway) -> str:
    try:
        with urllib.request.urlopen(f"{gateway.admin}/readyz", timeout=5) as answer:
            return json.load(answer)["status"]
    except urllib.error.HTTPError as error:
        return json.load(error)["status"]


def web_source(keys: KeyServer, name: str = "web", **more) -> str:
    settings = {"name": name, "kind": "https", "url": keys.url, "ca_file": str(keys.certificate), **more}
    settings = {"poll_interval": "50ms", "timeout": "1s", **settings}
    return "[[key_sources]]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())


def directory_source(path: Path, name: str) -> str:
    return f'[[key_sources]]\nname = "{name}"\nkind = "directory"\npath = "{path}"\npoll_interval = "50ms"\n'


@pytest.fixture
def keys(tmp_path):
    keys = KeyServer(tmp_path / "keys")
    keys.serve(entry(FIRST))
    yield keys
    keys.stop()


@pytest.fixture
def serve(dev, tmp_path):
    """Starts a gateway with these sources, in a directory of this name."""
    started = []

    def start(sources: str, name: str = "serve", **sections) -> Gateway:
        backend = resigned_for(dev, tmp_path)
        gateway = start_serve(tmp_path / name, dev.endpoint, backend, more=sources, **sections)
        started.append(gateway)
        return gateway

    yield start
    for gateway in started:
        gateway.process.stop()


def test_keys_of_a_web_server_work_and_are_rotated_switched_off_and_removed(keys, serve):
    keys.serve(entry(FIRST), entry(SECOND, "second"))
    gateway = serve(web_source(keys))
    assert codes(gateway, FIRST, SECOND, gateway.credentials)() == ["OK", "OK", "OK"]
    assert clients.sts(gateway, SECOND).get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/second"

    session = clients.session(gateway, FIRST)
    rotated = FIRST.with_secret("listed/first/secret/rotated")
    keys.serve(entry(rotated), entry(SECOND, "second", status="Inactive"))
    until(["SignatureDoesNotMatch", "OK", UNKNOWN], codes(gateway, FIRST, rotated, SECOND))
    assert code(gateway, session) == "AccessDenied", "whoever had the former secret keeps no session by it"

    session = clients.session(gateway, rotated)
    keys.serve(entry(SECOND, "second"))
    until([UNKNOWN, "OK"], codes(gateway, rotated, SECOND))
    assert code(gateway, session) == "AccessDenied"
    keys.serve()
    until([UNKNOWN, "OK"], codes(gateway, SECOND, gateway.credentials))


def test_a_document_is_asked_for_by_its_tag(keys, serve):
    gateway = serve(web_source(keys))
    keys.asked(3)
    (first, none), *later = keys.answered
    assert (first, none) == (200, None)
    assert {status for status, _ in later} == {304} and all(tag for _, tag in later)
    assert reads(gateway, "changed") == 1 and reads(gateway, "unchanged") >= 2
    assert metric(gateway, 'key_source_keys{source="web"}') == 1
    keys.serve(entry(FIRST), entry(SECOND))
    until(["OK", "OK"], codes(gateway, FIRST, SECOND))
    assert reads(gateway, "changed") == 2


@pytest.mark.parametrize("trouble", ["error", "truncated", "slow", "stopped", "certificate", "token"])
def test_a_server_in_trouble_changes_nothing(keys, serve, tmp_path, trouble):
    token = tmp_path / "token"
    token.write_text("the-token\n")
    keys.token = "the-token"
    gateway = serve(web_source(keys, bearer_token_file=str(token)))
    assert code(gateway, FIRST) == "OK"
    match trouble:
        case "stopped":
            keys.stop()
        case "certificate":
            keys.stop()
            (tmp_path / "other").mkdir()
            keys.certificate, keys._key = self_signed(tmp_path / "other")
            keys.start()
        case "token":
            token.write_text("another")
        case _:
            keys.trouble = trouble
    until(True, lambda: reads(gateway, "unreachable") >= 1)
    keys.serve(entry(SECOND))
    until(True, lambda: metric(gateway, 'key_source_age_seconds{source="web"}') >= 2)
    assert codes(gateway, FIRST, SECOND)() == ["OK", UNKNOWN]
    assert ready(gateway) == "ready"
    said = gateway.process.output().decode()
    assert "a source of keys is wrong" in said
    assert not any(secret in said for secret in ("the-token", FIRST.secret_access_key, SECOND.secret_access_key))


def test_a_server_that_is_well_again_is_believed_again(keys, serve):
    gateway = serve(web_source(keys))
    keys.trouble = "error"
    keys.serve(entry(SECOND))
    until(True, lambda: reads(gateway, "unreachable") >= 2)
    keys.trouble = ""
    until([UNKNOWN, "OK"], codes(gateway, FIRST, SECOND))
    until(True, lambda: metric(gateway, 'key_source_age_seconds{source="web"}') <= 1)


@pytest.mark.parametrize(
    "wrong",
    [
        b"{",
        b"[]",
        document(entry(SECOND), entry(SECOND)),
        document(entry(SECOND), {**entry(SECOND), "access_key_id": "ASIASESSION000000001"}),
        document(entry(SECOND, color="blue")),
        document(entry(SECOND, status="Perhaps")),
        document(entry(SECOND, secret_access_key=None)),
        document(entry(SECOND, session_token="token")),
        b'{"access_keys": []}' + b" " * 2048,
    ],
)
def test_a_document_that_is_wrong_anywhere_is_refused_as_a_whole(keys, serve, wrong):
    gateway = serve(web_source(keys, max_size="1 KiB"))
    keys.body = wrong
    until(True, lambda: reads(gateway, "refused") + reads(gateway, "unreachable") >= 2)
    assert codes(gateway, FIRST, SECOND)() == ["OK", UNKNOWN]
    keys.serve(entry(SECOND))
    until([UNKNOWN, "OK"], codes(gateway, FIRST, SECOND))
    assert SECOND.secret_access_key not in gateway.process.output().decode()


def test_a_gateway_is_not_ready_before_each_source_was_read_once_and_serves_what_it_knows(keys, serve):
    gateway = serve(web_source(keys))
    assert code(gateway, FIRST) == "OK"
    keys.stop()
    gateway.process.stop()
    command = [str(binary()), "serve", "--config", str(gateway.state / "sigward.toml")]
    gateway.process = Process(command, gateway.state / "logs-again")
    gateway.process.wait_for(lambda: answers(f"{gateway.admin}/livez"))
    assert ready(gateway) == "waiting for the key source web"
    assert code(gateway, FIRST) == "OK", "what was known before the restart"
    keys.start()
    until("ready", lambda: ready(gateway), seconds=90)
    keys.stop()
    until(True, lambda: reads(gateway, "unreachable") >= 1)
    assert ready(gateway) == "ready"


def test_a_key_ends_in_its_time(keys, serve):
    ends = time.gmtime(time.time() + 4)
    keys.serve(entry(FIRST, expires_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", ends)), entry(SECOND))
    gateway = serve(web_source(keys))
    assert codes(gateway, FIRST, SECOND)() == ["OK", "OK"]
    session = clients.session(gateway, FIRST)
    keys.stop()
    until([UNKNOWN, "OK"], codes(gateway, FIRST, SECOND))
    until("AccessDenied", lambda: code(gateway, session), seconds=90)


def swap(volume: Path, name: str, files: dict[str, str]) -> None:
    """Replaces all files of a volume at once, as Kubernetes does."""
    new = volume / f"..{name}"
    for path, text in files.items():
        file = new / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o640)
    (volume / "..next").symlink_to(new.name)
    os.replace(volume / "..next", volume / "..data")
    for link in [path for path in volume.iterdir() if path.is_symlink() and path.name != "..data"]:
        if not link.exists():
            link.unlink()
    for top in {Path(path).parts[0] for path in files}:
        if not (volume / top).is_symlink():
            (volume / top).symlink_to(f"..data/{top}")


def test_a_mounted_volume_is_followed_through_its_swaps(serve, tmp_path):
    volume = tmp_path / "volume"
    volume.mkdir()
    swap(volume, "1", {"first.json": document(entry(FIRST)).decode()})
    gateway = serve(directory_source(volume, "mounted"))
    assert codes(gateway, FIRST, SECOND)() == ["OK", UNKNOWN]
    fields = {
        f"{SECOND.access_key_id}/secret_access_key": f"{SECOND.secret_access_key}\n",
        f"{SECOND.access_key_id}/user": "second",
        f"{SECOND.access_key_id}/account": ACCOUNT,
    }
    swap(volume, "2", {"first.json": document(entry(FIRST)).decode(), **fields})
    until(["OK", "OK"], codes(gateway, FIRST, SECOND))
    swap(volume, "3", fields)
    until([UNKNOWN, "OK"], codes(gateway, FIRST, SECOND))
    # A volume that is gone is no order to delete everybody.
    volume.rename(tmp_path / "elsewhere")
    until(True, lambda: reads(gateway, "unreachable", "mounted") >= 2)
    assert code(gateway, SECOND) == "OK"
    (tmp_path / "elsewhere").rename(volume)
    swap(volume, "4", {"none.json": document().decode()})
    until([UNKNOWN, UNKNOWN], codes(gateway, FIRST, SECOND))


def test_sealed_secrets_may_be_read_by_anybody_and_used_by_their_own_id_only(serve, tmp_path):
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / ".keep").touch()
    gateway = serve(directory_source(volume, "sealed"))
    command = ["keys", "seal", FIRST.access_key_id, "--sealing-key-file", str(gateway.state / "sealing.key")]
    sealed = sigward(*command, stdin=f"{FIRST.secret_access_key}\n".encode())
    assert sealed.returncode == 0, sealed.stderr.decode()
    text = sealed.stdout.decode().strip()
    own = entry(FIRST, secret_access_key=None, sealed_secret_access_key=text)
    file = volume / "keys.json"
    file.write_bytes(document(own))
    file.chmod(0o644)
    until("OK", lambda: code(gateway, FIRST))
    file.write_bytes(document({**own, "access_key_id": SECOND.access_key_id}))
    until(True, lambda: reads(gateway, "refused", "sealed") >= 1)
    assert codes(gateway, FIRST, SECOND.with_secret(FIRST.secret_access_key))() == ["OK", UNKNOWN]
    assert sigward(*command, stdin=b"\n").returncode == 1


def test_an_id_that_several_declare_belongs_to_the_first_of_them(keys, serve, tmp_path):
    volume = tmp_path / "volume"
    volume.mkdir()
    other = FIRST.with_secret("listed/first/of/another/source")
    file = volume / "keys.json"
    file.write_bytes(document(entry(other), entry(SECOND)))
    file.chmod(0o600)
    gateway = serve(web_source(keys) + directory_source(volume, "mounted"))
    assert codes(gateway, FIRST, other, SECOND)() == ["OK", "SignatureDoesNotMatch", "OK"]
    assert metric(gateway, 'key_source_conflicts{source="mounted"}') == 1
    refused = sigward("keys", "disable", FIRST.access_key_id, "--admin", gateway.admin)
    assert refused.returncode == 1 and b"key sources declares this key" in refused.stderr
    revoked = sigward("revoke", "--access-key-id", SECOND.access_key_id, "--admin", gateway.admin)
    assert revoked.returncode == 0
    assert code(gateway, SECOND) == "AccessDenied"
    keys.serve()
    until(["SignatureDoesNotMatch", "OK", "AccessDenied"], codes(gateway, FIRST, other, SECOND))
    assert metric(gateway, 'key_source_conflicts{source="mounted"}') == 0


def lease(file, seconds: float = 10) -> None:
    """Has whoever opens the file wait until it is closed here, but no longer than 45 s, as a server that is gone would."""
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    deadline = time.monotonic() + seconds
    while True:
        try:
            return fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except BlockingIOError:
            # Somebody has it open.
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_directory_that_does_not_answer_holds_up_neither_requests_nor_the_end(serve, tmp_path):
    volume = tmp_path / "volume"
    volume.mkdir()
    file = volume / "keys.json"
    file.write_bytes(document(entry(FIRST)))
    file.chmod(0o600)
    gateway = serve(directory_source(volume, "mounted"))
    with file.open("rb") as held:
        lease(held)
        until(True, lambda: metric(gateway, 'key_source_age_seconds{source="mounted"}') >= 2)
        before = reads(gateway, "unchanged", "mounted")
        assert code(gateway, FIRST) == "OK"
        assert reads(gateway, "unchanged", "mounted") == before, "it waits"
        began = time.monotonic()
        assert gateway.process.stop() == 0
        assert time.monotonic() - began < 10


def test_sources_come_and_go_with_a_reload(keys, serve, tmp_path):
    gateway = serve("")
    config = gateway.state / "sigward.toml"
    original = config.read_text()
    assert code(gateway, FIRST) == UNKNOWN
    config.write_text(original + web_source(keys))
    until("OK", lambda: code(gateway, FIRST))
    assert ready(gateway) == "ready"
    config.write_text(original)
    until(UNKNOWN, lambda: code(gateway, FIRST))
    assert 'source="web"' not in gateway.metrics()


def test_an_unprotected_secret_is_refused(serve, tmp_path):
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / ".keep").touch()
    gateway = serve(directory_source(volume, "open"))
    file = volume / "keys.json"
    file.write_bytes(document(entry(FIRST)))
    file.chmod(0o644)
    until(True, lambda: reads(gateway, "refused", "open") >= 1)
    assert code(gateway, FIRST) == UNKNOWN
    assert "has mode 644 and holds a secret in clear" in gateway.process.output().decode()
    file.chmod(0o640)
    until("OK", lambda: code(gateway, FIRST))
    shutil.rmtree(volume)
