"""Long-term access keys: declared in the configuration, at start and on SIGHUP, or made by `sigward keys`."""

import json
import signal

import pytest

from kit import clients
from kit.clients import code
from kit.credentials import Credentials
from kit.server import resigned_for, sigward, start_serve

SECOND = Credentials("AKIADECLAREDSECOND01", "declared/second/secret")


def declaration(directory, credentials: Credentials, status: str = "Active") -> str:
    secret = directory / f"secret-of-{credentials.access_key_id}"
    secret.write_text(credentials.secret_access_key)
    secret.chmod(0o600)
    return (
        f'[[access_keys]]\naccess_key_id = "{credentials.access_key_id}"\nsecret_access_key_file = "{secret}"\n'
        f'arn = "arn:aws:iam::111122223333:user/second"\nuser_id = "AIDASECOND"\naccount = "111122223333"\n'
        f'status = "{status}"\n'
    )


@pytest.fixture
def gateway(dev, tmp_path):
    gateway = start_serve(tmp_path / "serve", dev.endpoint, resigned_for(dev, tmp_path))
    yield gateway
    gateway.process.stop()


@pytest.fixture
def reload(gateway):
    """Rewrites the configuration and waits until the process has said what it made of it."""
    config = gateway.state / "sigward.toml"
    original = config.read_text()

    def change(added: str, without_first: bool = False) -> str:
        kept = original.partition("[[access_keys]]")[0] if without_first else original
        config.write_text(kept + added)
        before = len(gateway.process.output())
        gateway.process.send_signal(signal.SIGHUP)
        verdicts = ("configuration reloaded", "not reconciled", "not reloaded")

        def said() -> str | None:
            new = gateway.process.output()[before:].decode()
            return new if any(verdict in new for verdict in verdicts) else None

        return gateway.process.wait_for(said)

    return change


def test_a_key_works_once_it_is_declared_and_no_longer_when_it_is_not(gateway, reload):
    assert code(gateway, SECOND) == "InvalidAccessKeyId"
    reload(declaration(gateway.state, SECOND))
    assert [code(gateway, who) for who in (gateway.credentials, SECOND)] == ["OK", "OK"]
    reload(declaration(gateway.state, SECOND), without_first=True)
    assert [code(gateway, who) for who in (gateway.credentials, SECOND)] == ["InvalidAccessKeyId", "OK"]
    reload("")
    assert [code(gateway, who) for who in (gateway.credentials, SECOND)] == ["OK", "InvalidAccessKeyId"]


def test_a_key_can_be_switched_off_and_on(gateway, reload):
    for status, expected in [("Active", "OK"), ("Inactive", "InvalidAccessKeyId"), ("Active", "OK")]:
        reload(declaration(gateway.state, SECOND, status))
        assert code(gateway, SECOND) == expected


def test_a_secret_can_be_replaced(gateway, reload):
    replaced = SECOND.with_secret("declared/second/secret/replaced")
    reload(declaration(gateway.state, SECOND))
    assert code(gateway, SECOND) == "OK"
    reload(declaration(gateway.state, replaced))
    assert [code(gateway, who) for who in (SECOND, replaced)] == ["SignatureDoesNotMatch", "OK"]


def test_a_configuration_at_fault_changes_nothing(gateway, reload):
    reload(declaration(gateway.state, SECOND))
    said = reload(declaration(gateway.state, SECOND) + 'color = "blue"\n', without_first=True)
    assert "access_keys[0].color" in said
    assert [code(gateway, who) for who in (gateway.credentials, SECOND)] == ["OK", "OK"]


def keys(gateway, *arguments: str) -> str:
    done = sigward("keys", *arguments, "--admin", gateway.admin)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def create(gateway) -> Credentials:
    made = json.loads(keys(gateway, "create", "--user", "made", "--account", "111122223333", "--json"))
    return Credentials(made["access_key_id"], made["secret_access_key"])


def test_a_made_key_works_until_it_is_deleted(gateway):
    made = create(gateway)
    identity = clients.sts(gateway, made).get_caller_identity()
    assert (identity["Arn"], identity["Account"]) == ("arn:aws:iam::111122223333:user/made", "111122223333")
    for change, expected in [
        ("disable", "InvalidAccessKeyId"),
        ("enable", "OK"),
        ("delete", "InvalidAccessKeyId"),
    ]:
        keys(gateway, change, made.access_key_id)
        assert code(gateway, made) == expected
    assert code(gateway, gateway.credentials) == "OK"


def test_a_made_key_survives_a_configuration_that_does_not_name_it(gateway, reload):
    made = create(gateway)
    reload(declaration(gateway.state, SECOND))
    assert [code(gateway, who) for who in (made, SECOND)] == ["OK", "OK"]
    assert "user/made" in keys(gateway, "list")
