"""The way to the shared log: TLS, each kind of login, and what a gateway's user has to be allowed."""

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from kit import clients, events
from kit.clients import code
from kit.credentials import Credentials
from kit.nats import Nats
from kit.nkeys import Nkey, Operator
from kit.server import REPOSITORY, Gateway, resigned_for, sealing_key, self_signed, sigward, start_serve

PASSWORD = "the password of gateways"

# What README.md says: publish and subscribe, where streams are there already; and what creates them.
PUBLISH = [
    "sigward.log.>",
    "sigward.beat.*",
    "$JS.API.STREAM.INFO.sigward_log",
    "$JS.API.STREAM.INFO.sigward_state",
    "$JS.API.STREAM.MSG.GET.sigward_log",
    "$JS.API.CONSUMER.CREATE.sigward_log",
    "$JS.API.CONSUMER.CREATE.sigward_state",
    "$JS.API.CONSUMER.INFO.sigward_log.*",
    "$JS.API.CONSUMER.MSG.NEXT.sigward_log.*",
    "$JS.API.CONSUMER.MSG.NEXT.sigward_state.*",
]
SUBSCRIBE = ["sigward.beat.*", "_INBOX.>"]
PURGE = "$JS.API.STREAM.PURGE.sigward_log"
CREATE = ["$JS.API.STREAM.CREATE.sigward_log", "$JS.API.STREAM.CREATE.sigward_state", PURGE]


# What packs need beyond that, and what makes their stream.
PACKS = [
    "sigward.pack",
    "$JS.API.STREAM.INFO.sigward_packs",
    "$JS.API.CONSUMER.CREATE.sigward_packs",
    "$JS.API.CONSUMER.MSG.NEXT.sigward_packs.*",
    "$JS.API.DIRECT.GET.sigward_packs",
]
CREATE_PACKS = "$JS.API.STREAM.CREATE.sigward_packs"


class Site:
    """Starts gateways of one log."""

    def __init__(self, dev: Gateway, directory: Path):
        self._dev, self._directory, self._started = dev, directory, []
        self._key, self._backend = sealing_key(directory / "sealing.key", "site"), resigned_for(dev, directory)

    def gateway(self, name: str, feed: dict, ready: bool = True) -> Gateway:
        # Tokens that say nothing: what works on another gateway came through the log.
        store = {"sealing_key_files": [str(self._key)], "sealed_tokens": False}
        gateway = start_serve(
            self._directory / name, self._dev.endpoint, self._backend, store=store, feed=feed, ready=ready
        )
        self._started.append(gateway)
        return gateway

    def secret(self, name: str, text: str) -> str:
        file = self._directory / name
        file.write_text(text)
        file.chmod(0o600)
        return str(file)

    def stop(self) -> None:
        for gateway in self._started:
            gateway.process.stop()


@pytest.fixture
def site(dev, tmp_path):
    site = Site(dev, tmp_path)
    yield site
    site.stop()


@pytest.fixture
def start_nats(tmp_path):
    started = []

    def start(config: str) -> Nats:
        started.append(Nats(tmp_path / f"nats-{len(started)}", config))
        return started[-1]

    yield start
    for nats in started:
        nats.stop()


def shares(first: Gateway, second: Gateway) -> None:
    """What one issues and revokes holds on the other."""
    session = clients.session(first)
    assert code(second, session) == "OK"
    arguments = ["--admin", second.admin, "--access-key-id", session.access_key_id]
    assert sigward("revoke", *arguments, "--wait=2").returncode == 0
    assert [code(gateway, session) for gateway in (first, second)] == ["AccessDenied"] * 2


def says(gateway: Gateway, *words: str, seconds: float = 20) -> str:
    """The line of the log with all these words; waited for."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        lines = gateway.process.output().decode().splitlines()
        if found := next((line for line in lines if all(word in line for word in words)), None):
            return found
        time.sleep(0.05)
    raise AssertionError(f"{words} is not in {gateway.process.output().decode()[-3000:]}")


def waits(gateway: Gateway, why: str) -> None:
    """It lives, serves nobody before it knows who is revoked, and says why."""
    says(gateway, why)
    assert code(gateway, gateway.credentials) == "ServiceUnavailable"
    assert PASSWORD not in gateway.process.output().decode()


def login(user: str, password_file: str) -> dict:
    return {"user": user, "password_file": password_file}


def tls_config(directory: Path, names: str | None = None, verify: Path | None = None) -> tuple[str, Path]:
    directory.mkdir()
    certificate, key = self_signed(directory, names) if names else self_signed(directory)
    more = f'ca_file: "{verify}", verify: true' if verify else ""
    return f'tls {{ cert_file: "{certificate}", key_file: "{key}", {more} }}', certificate


def test_a_log_behind_tls_is_shared(site, start_nats, tmp_path):
    config, certificate = tls_config(tmp_path / "tls")
    nats = start_nats(config)
    trusted = {"tls.ca_file": str(certificate)}
    first = site.gateway("first", nats.feed("first", "tls", "localhost", **trusted))
    # The server asks for TLS, whatever the address says.
    second = site.gateway("second", nats.feed("second", "nats", "localhost", **{"tls.required": True}, **trusted))
    shares(first, second)
    nats.kill()
    nats.start()
    shares(second, first)


def test_a_server_that_cannot_prove_its_name_is_not_spoken_to(site, start_nats, tmp_path):
    config, certificate = tls_config(tmp_path / "tls")
    other_config, other = tls_config(tmp_path / "other", "DNS:other.example")
    nats, misnamed = start_nats(config), start_nats(other_config)
    for name, feed, why in [
        ("stranger", nats.feed("a", "tls", "localhost", **{"tls.ca_file": str(other)}), "invalid peer certificate"),
        ("web", nats.feed("a", "tls", "localhost"), "invalid peer certificate"),
        ("misnamed", misnamed.feed("a", "tls", "localhost", **{"tls.ca_file": str(other)}), "not valid for name"),
    ]:
        gateway = site.gateway(name, feed, ready=False)
        waits(gateway, why)
    plain = start_nats("")
    waits(site.gateway("plain", plain.feed("a", "tls"), ready=False), "IO error: received corrupt message")
    # A file that is no certificate is found at the start.
    broken = nats.feed("a", "tls", "localhost", **{"tls.ca_file": site.secret("empty.pem", "nothing")})
    with pytest.raises(AssertionError, match=r"ended with 1: .*feed\.tls\.ca_file"):
        site.gateway("broken", broken)


def test_a_server_may_ask_who_connects(site, start_nats, tmp_path):
    (tmp_path / "own").mkdir()
    own, key = self_signed(tmp_path / "own")
    config, certificate = tls_config(tmp_path / "tls", verify=own)
    nats = start_nats(config)
    trusted = {"tls.ca_file": str(certificate)}
    shown = {"tls.certificate_file": str(own), "tls.private_key_file": str(key)}
    known = [site.gateway(name, nats.feed(name, "tls", "localhost", **trusted, **shown)) for name in ("a", "b")]
    shares(*known)
    waits(site.gateway("c", nats.feed("c", "tls", "localhost", **trusted), ready=False), "ertificate")


def by_password(site: Site) -> tuple[str, dict, dict]:
    config = f'authorization {{ users: [ {{ user: "gateways", password: "{PASSWORD}" }} ] }}'
    good = login("gateways", site.secret("password", f"{PASSWORD}\n"))
    return config, good, login("gateways", site.secret("wrong-password", "something else"))


def by_nkey(site: Site) -> tuple[str, dict, dict]:
    user, other = Nkey.new("user"), Nkey.new("user")
    config = f"authorization {{ users: [ {{ nkey: {user.public} }} ] }}"
    good, wrong = site.secret("seed", f"{user.seed}\n"), site.secret("wrong-seed", other.seed)
    return config, {"nkey_file": good}, {"nkey_file": wrong}


def by_credentials(site: Site) -> tuple[str, dict, dict]:
    operator = Operator()
    texts = [who.credentials("gateways", [*PUBLISH, *CREATE], SUBSCRIBE) for who in (operator, Operator())]
    good, wrong = (site.secret(name, text) for name, text in zip(("good.creds", "wrong.creds"), texts))
    return operator.config(), {"credentials_file": good}, {"credentials_file": wrong}


@pytest.mark.parametrize("kind", [by_password, by_nkey, by_credentials])
def test_a_gateway_logs_in_and_one_that_may_not_says_so_and_tries_on(site, start_nats, kind: Callable):
    config, good, wrong = kind(site)
    nats = start_nats(config)
    first, second = (site.gateway(name, nats.feed(name, **good)) for name in ("first", "second"))
    shares(first, second)
    for name, feed in [("wrong", wrong), ("nobody", {})]:
        gateway = site.gateway(name, nats.feed(name, **feed), ready=False)
        waits(gateway, "uthorization")
    # It goes on trying: once the server lets it in it is there.
    nats.configure("")
    nats.kill()
    nats.start()
    session = clients.session(first)
    deadline = time.monotonic() + 30
    while code(gateway, session) != "OK":
        assert time.monotonic() < deadline, gateway.process.output().decode()[-2000:]
        time.sleep(0.1)


@pytest.mark.parametrize("key", ["nkey_file", "credentials_file"])
def test_a_file_that_is_no_login_is_found_at_the_start(site, start_nats, key):
    nats = start_nats("")
    secret = "SUANOTASEEDNOTASEED"
    with pytest.raises(AssertionError, match=rf"ended with 1: .*feed\.{key}") as ended:
        site.gateway("broken", nats.feed("a", **{key: site.secret("file", secret)}))
    assert secret not in str(ended.value)


def users(**permissions: tuple[list[str], list[str]]) -> str:
    def user(name: str) -> str:
        publish, subscribe = ([f'"{subject}"' for subject in subjects] for subjects in permissions[name])
        allow = f"publish: {{ allow: [{', '.join(publish)}] }}, subscribe: {{ allow: [{', '.join(subscribe)}] }}"
        return f'{{ user: "{name}", password: "{PASSWORD}", permissions: {{ {allow} }} }}'

    return f"authorization {{ users: [ {', '.join(user(name) for name in permissions)} ] }}"


def test_the_readme_lists_these_permissions():
    text = (REPOSITORY / "README.md").read_text()
    assert [one for one in [*PUBLISH, *SUBSCRIBE, *CREATE, *PACKS, CREATE_PACKS] if f"`{one}`" not in text] == []


def without(subjects: list[str], kind: str, less: tuple[str, str]) -> list[str]:
    return [subject for subject in subjects if (kind, subject) != less]


@pytest.fixture
def limited(site, start_nats):
    """A log, and what starts gateways of users that may do so much; `creator` may make the streams."""

    def start(**permissions: tuple[list[str], list[str]]) -> tuple[Nats, Callable[..., Gateway]]:
        nats = start_nats(users(creator=([*PUBLISH, *CREATE, *PACKS, CREATE_PACKS], SUBSCRIBE), **permissions))
        file = site.secret("password", PASSWORD)

        def gateway(name: str, ready: bool = True) -> Gateway:
            feed = nats.feed(name, **login(name, file), create_streams=name == "creator")
            return site.gateway(name, feed, ready)

        return nats, gateway

    return start


def trim(nats: Nats) -> None:
    """Has the log begin later: what was before is in the compacted stream only."""
    done = nats.ask(PURGE, {"keep": 1}, {"user": "creator", "pass": PASSWORD})
    assert done["success"], done


def test_the_permissions_of_the_readme_are_enough(limited):
    nats, gateway = limited(least=(PUBLISH, SUBSCRIBE), also=(PUBLISH, SUBSCRIBE))
    creator = gateway("creator")
    first = gateway("least")
    shares(creator, first)
    events.issue(creator)
    trim(nats)
    second = gateway("also")
    shares(first, second)
    nats.kill()
    nats.start()
    shares(second, first)
    for one in (creator, first, second):
        assert "ermissions" not in one.process.output().decode()


def metric(gateway: Gateway, name: str) -> float:
    found = re.search(rf"^sigward_{name} (\S+)$", gateway.metrics(), re.MULTILINE)
    assert found, name
    return float(found[1])


def test_packs_need_some_permissions_more_and_who_lacks_them_reads_the_log(limited):
    names = {f"less-{at}": less for at, less in enumerate(PACKS)}
    less = {name: (without([*PUBLISH, *PACKS], "Publish", ("Publish", one)), SUBSCRIBE) for name, one in names.items()}
    _, gateway = limited(enough=([*PUBLISH, *PACKS], SUBSCRIBE), none=(PUBLISH, SUBSCRIBE), **less)
    creator = gateway("creator")
    # Sessions that little came behind are not packed.
    sessions = events.issue_many(creator, 18_000)
    deadline = time.monotonic() + 60
    while metric(creator, "feed_packed") == 0:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    for name in ["enough", "none", *less]:
        started = gateway(name)
        takes = name == "enough" or names.get(name) == "sigward.pack"
        assert (metric(started, "feed_unpacked_total") > 10_000) == takes, name
        assert {code(started, sessions[at]) for at in range(0, len(sessions), 999)} == {"OK"}
        assert ("ermissions" in started.process.output().decode()) == (not takes), name
        started.process.stop()


def ready(gateway: Gateway) -> str:
    try:
        with urllib.request.urlopen(f"{gateway.admin}/readyz", timeout=10) as answer:
            return json.load(answer)["status"]
    except urllib.error.HTTPError as error:
        return json.load(error)["status"]


def issues(gateway: Gateway) -> int:
    """The status of the answer to who asks for a session."""
    try:
        return clients.sts(gateway).get_session_token()["ResponseMetadata"]["HTTPStatusCode"]
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"]


BEHIND = "catching up with the shared log"

# What fails where one of the permissions is missing: how far a gateway gets, whether it issues, what it says of a key that
# nobody knows. Before it is ready it says nothing of keys.
LESS = {
    ("Publish", "sigward.log.>"): ("ready", 503, "InvalidAccessKeyId"),
    # Others do not hear of it. Alone it would never be ready.
    ("Publish", "sigward.beat.*"): ("ready", 200, "InvalidAccessKeyId"),
    ("Publish", "$JS.API.STREAM.INFO.sigward_log"): (BEHIND, 503, "ServiceUnavailable"),
    ("Publish", "$JS.API.STREAM.INFO.sigward_state"): (BEHIND, 503, "ServiceUnavailable"),
    ("Publish", "$JS.API.STREAM.MSG.GET.sigward_log"): ("ready", 200, "ServiceUnavailable"),
    ("Publish", "$JS.API.CONSUMER.CREATE.sigward_log"): (BEHIND, 503, "ServiceUnavailable"),
    ("Publish", "$JS.API.CONSUMER.CREATE.sigward_state"): (BEHIND, 503, "ServiceUnavailable"),
    # Asked after a loss of the connection, to see whether reading can go on.
    ("Publish", "$JS.API.CONSUMER.INFO.sigward_log.*"): ("ready", 200, "InvalidAccessKeyId"),
    ("Publish", "$JS.API.CONSUMER.MSG.NEXT.sigward_log.*"): (BEHIND, 503, "ServiceUnavailable"),
    ("Publish", "$JS.API.CONSUMER.MSG.NEXT.sigward_state.*"): (BEHIND, 503, "ServiceUnavailable"),
    ("Subscription", "sigward.beat.*"): ("waiting for the list of revocations", 503, "ServiceUnavailable"),
    ("Subscription", "_INBOX.>"): (BEHIND, 503, "ServiceUnavailable"),
}


def test_one_permission_less_is_too_little_and_the_log_names_it(limited):
    assert set(LESS) == {("Publish", one) for one in PUBLISH} | {("Subscription", one) for one in SUBSCRIBE}
    names = {f"less-{at}": less for at, less in enumerate(LESS)}
    permissions = {
        name: (without(PUBLISH, "Publish", less), without(SUBSCRIBE, "Subscription", less))
        for name, less in names.items()
    }
    nats, gateway = limited(**permissions)
    creator = gateway("creator")
    revoked = clients.session(creator)
    assert sigward("revoke", "--admin", creator.admin, "--access-key-id", revoked.access_key_id).returncode == 0
    events.issue(creator)
    trim(nats)
    started = {name: gateway(name, ready=False) for name in names}

    def found(name: str) -> tuple[str, int, str]:
        one = started[name]
        deadline = time.monotonic() + 20
        while (status := ready(one)) != LESS[names[name]][0] and time.monotonic() < deadline:
            time.sleep(0.1)
        return status, issues(one), code(one, Credentials("AKIAUNKNOWN000000001", "secret"))

    # Time enough to get further, for those that can.
    time.sleep(5)
    with ThreadPoolExecutor(len(names)) as pool:
        assert dict(zip(LESS, pool.map(found, names))) == LESS
    nats.kill()
    nats.start()
    for name, (kind, subject) in names.items():
        pattern = re.escape(subject).replace(r"\*", r"\S+").replace(">", r"\S+")
        line = says(started[name], "sigward::feed", f"Permissions Violation for {kind}")
        assert re.search(rf"{kind} to \S*{pattern}", line), line
