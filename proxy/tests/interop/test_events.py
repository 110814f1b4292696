"""An operator's work on the event log: watching it, checking it, and moving it from a file to JetStream."""

import json
import stat
import subprocess

import pytest

from kit import clients, events
from kit.clients import code
from kit.credentials import Credentials
from kit.nats import Nats
from kit.server import Gateway, binary, clean_environment, resigned_for, running, sigward, start_again, start_serve


@pytest.fixture
def gateway(dev, tmp_path) -> Gateway:
    """Its tokens say nothing: all it knows of a session is in the log."""
    directory = tmp_path / "gateway"
    gateway = start_serve(directory, dev.endpoint, resigned_for(dev, tmp_path), store={"sealed_tokens": False})
    yield gateway
    if gateway.process in running:
        gateway.process.stop()


def did(*arguments: str) -> str:
    done = sigward("events", *arguments)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    return done.stdout.decode()


def test_what_boto3_does_is_seen_as_it_happens_and_without_its_secrets(gateway):
    command = [str(binary()), "events", "tail", "--admin", gateway.admin, "--since", "1"]
    watching = subprocess.Popen(command, stdout=subprocess.PIPE, env=clean_environment())
    session = clients.session(gateway)
    lines = [json.loads(watching.stdout.readline()) for _ in range(2)]
    watching.kill()
    watching.wait()
    watching.stdout.close()
    created, issued = lines
    assert (created["type"], created["source"]) == ("io.sigward.access_key.created.v1", "/config")
    assert issued["data"]["access_key_id"] == session.access_key_id
    assert issued["data"]["parent_access_key_id"] == gateway.credentials.access_key_id
    text = json.dumps(lines)
    for secret in (session.secret_access_key, session.session_token, gateway.credentials.secret_access_key):
        assert secret not in text


def test_who_follows_does_not_hold_up_the_end_of_a_gateway(gateway):
    command = [str(binary()), "events", "tail", "--admin", gateway.admin]
    watching = subprocess.Popen(command, stdout=subprocess.PIPE, env=clean_environment())
    clients.session(gateway)
    assert watching.stdout.readline()
    assert gateway.process.stop() == 0
    assert watching.wait(10) == 0, "the stream ends, and is not cut"
    watching.stdout.close()


def test_a_log_moves_from_a_file_to_jetstream_and_sessions_do_not_notice(gateway, tmp_path):
    works, revoked = clients.session(gateway), clients.session(gateway)
    made = sigward("keys", "create", "--admin", gateway.admin, "--json", "--user", "bob", "--account", "111122223333")
    made = json.loads(made.stdout)
    key = Credentials(made["access_key_id"], made["secret_access_key"])
    answer = events.post(gateway, events.event("session.revoked", {"access_key_id": revoked.access_key_id}))
    assert answer.status == 200, answer
    ended = clients.session(gateway, key)
    for command in ("disable", "enable"):
        assert sigward("keys", command, "--admin", gateway.admin, key.access_key_id).returncode == 0
    expected = {works: "OK", revoked: "AccessDenied", ended: "AccessDenied", key: "OK"}
    assert {each: code(gateway, each) for each in expected} == expected

    config, file = str(gateway.state / "sigward.toml"), tmp_path / "exported"
    assert sigward("events", "verify", "--config", config).returncode == 2, "the gateway has the file open"
    gateway.process.stop()
    did("verify", "--config", config)
    did("export", str(file), "--config", config)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    did("verify", str(file), "--config", config)

    nats = Nats(tmp_path / "nats")
    try:
        text = (gateway.state / "sigward.toml").read_text()
        feed = "\n".join(f"{name} = {json.dumps(value)}" for name, value in nats.feed("moved").items())
        text = text.replace("[feed]", f"[feed]\n{feed}").replace("sigward.redb", "view.redb")
        (gateway.state / "sigward.toml").write_text(text)
        did("import", str(file), "--config", config)
        start_again(gateway)
        assert {each: code(gateway, each) for each in expected} == expected
        again = json.loads(did("import", str(file), "--config", config, "--json"))
        assert (again["sessions"], again["access_keys"], again["revocations"]) == (0, 0, 0), "nothing is there twice"
        did("verify", "--config", config)
        did("verify", "--admin", gateway.admin)
        gateway.process.kill()
        (gateway.state / "view.redb").unlink()
        start_again(gateway)
        assert {each: code(gateway, each) for each in expected} == expected, "the log is all it takes"
    finally:
        if gateway.process in running:
            gateway.process.kill()
        nats.stop()
