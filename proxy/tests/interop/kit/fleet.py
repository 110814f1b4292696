"""Gateways with one sealing key and one log, each of which can be killed, held up and started again."""

import contextlib
import hashlib
import json
import signal
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from .history import SERVER, Sampled, View
from .nats import Nats
from .server import Gateway, Process, answers, binary, sealing_key, start_serve
from .signing import Headers
from .wire import Connection, Response, authority

# Longer than a gateway tries to get an event acknowledged and applied.
PATIENCE = 25.0

# A gateway needs a server that is killed all the time, and a machine that may be busy: how long is nobody's verdict.
READY_SECONDS = 600.0

# Sessions of one page.
PAGE = 1000

# Sums over the labels of these are sampled under their bare names.
SAMPLED = (
    "feed_gaps_total",
    "feed_resyncs_total",
    "feed_rewritten_total",
    "feed_losses_total",
    "feed_marks_ahead_total",
    "feed_lost_revocations",
    "feed_quarantined",
    "feed_age_seconds",
    "feed_gateways",
    "feed_head",
    "feed_packed",
    "store_log_position",
    "store_revocation_marks",
    "store_cache_entries",
    "store_page_cache_bytes",
)
UNREADABLE = 'feed_messages_total{outcome="unreadable"}'


class Node:
    """One gateway, through all of its lives."""

    def __init__(self, name: str, start: Callable[[], Gateway], within: Callable[[], AbstractContextManager]):
        self.name, self.life, self._within = name, 1, within
        with within():
            self.gateway = start()

    def exchange(self, base: str, method: str, target: str, headers: Headers, body: bytes = b"") -> Response:
        """One request to the endpoint or the admin listener. `OSError`, if there is no answer."""
        with self._within():
            connection = Connection(base, PATIENCE)
        with connection:
            connection.send_head(method, target, headers)
            if body:
                connection.send(body)
            return connection.receive(method)

    def admin(self, method: str, target: str, document: dict | None = None, kind: str = "application/json") -> Response:
        """One request to the API."""
        body = b"" if document is None else json.dumps(document).encode()
        headers = [("Host", authority(self.gateway.admin)), ("Content-Length", str(len(body))), ("Content-Type", kind)]
        return self.exchange(self.gateway.admin, method, target, headers, body)

    def kill(self) -> None:
        self.gateway.process.kill()

    def hold(self) -> None:
        self.gateway.process.send_signal(signal.SIGSTOP)

    def release(self) -> None:
        self.gateway.process.send_signal(signal.SIGCONT)

    def start(self) -> None:
        """Begins the next life; returns at once."""
        self.life += 1
        state = self.gateway.state
        command = [str(binary()), "serve", "--config", str(state / "sigward.toml")]
        with self._within():
            self.gateway.process = Process(command, state / f"logs-{self.life}")

    def ready(self) -> bool:
        with self._within():
            return answers(f"{self.gateway.admin}/readyz")

    def wait_ready(self) -> None:
        self.gateway.process.wait_for(self.ready, READY_SECONDS)

    def sample(self) -> Sampled:
        life = self.life
        text = self.exchange(self.gateway.admin, "GET", "/metrics", [("Host", "127.0.0.1")]).body.decode()
        values = dict.fromkeys(SAMPLED, 0.0) | {"unreadable": 0.0}
        for line in text.splitlines():
            if line.startswith("sigward_"):
                name, value = line.removeprefix("sigward_").rsplit(" ", 1)
                if name in values:
                    values[name] = float(value)
                elif name == UNREADABLE:
                    values["unreadable"] = float(value)
        return Sampled(self.name, life, time.monotonic(), values)

    def view(self) -> View:
        """What it knows of sessions, keys and revocations. What its configuration declares is its own."""
        sessions, after = [], ""
        while after is not None:
            page = self.admin("GET", f"/v1/sessions?expired=true&limit={PAGE}{after and f'&after={after}'}")
            told = json.loads(page.body)
            sessions += told["sessions"]
            after = told.get("next")
        keys = json.loads(self.admin("GET", "/v1/access-keys").body)["access_keys"]
        keys = [key for key in keys if key["source"] != "/config"]
        text = json.dumps([sessions, keys], sort_keys=True)
        values = self.sample().values
        return View(
            self.name,
            time.monotonic(),
            {session["access_key_id"]: session.get("revoked_by") for session in sessions},
            {key["access_key_id"]: key.get("revoked_by") for key in keys},
            hashlib.sha256(text.encode()).hexdigest(),
            int(values["store_log_position"]),
            int(values["store_revocation_marks"]),
        )

    def file_bytes(self) -> int:
        return (self.gateway.state / "sigward.redb").stat().st_size


class Fleet:
    """A server, gateways, and for each of them a backend that keeps nothing.

    `feed` holds further keys of the section, for each name. `within` says for each name in which
    surroundings it lives, and `address` is where the server listens there.
    """

    def __init__(
        self,
        directory: Path,
        count: int = 3,
        feed: Callable[[str], dict] = lambda _: {},
        store: dict | None = None,
        within: Callable[[str], Callable[[], AbstractContextManager]] = lambda _: contextlib.nullcontext,
        address: str = "127.0.0.1",
        log_filter: str = "info",
    ):
        self.directory = directory
        with within(SERVER)():
            self.nats = Nats(directory / "nats", address=address)
        here = {"PYTHONPATH": str(Path(__file__).parents[1])}
        key = sealing_key(directory / "sealing.key", "fleet")
        self._sinks, self.nodes = [], []
        for name in (f"gateway-{at}" for at in range(count)):
            surroundings = within(name)
            with surroundings():
                sink = Process([sys.executable, "-m", "kit.sink"], directory / f"sink-{name}", here)
            self._sinks.append(sink)

            def start(name=name, sink=sink) -> Gateway:
                return start_serve(
                    directory / name,
                    f"http://127.0.0.1:{sink.first_line()}",
                    {"auth": "identity"},
                    store={"sealing_key_files": [str(key)], **(store or {})},
                    feed={**self.nats.feed(name), **feed(name)},
                    log_filter=log_filter,
                )

            self.nodes.append(Node(name, start, surroundings))

    def wait_settled(self, seconds: float = 30.0) -> None:
        """Until all gateways are ready and have applied the same part of the log, which grows no more."""
        deadline, before = time.monotonic() + seconds, None
        while time.monotonic() < deadline:
            if all(node.ready() for node in self.nodes):
                values = [node.sample().values for node in self.nodes]
                places = {value["store_log_position"] for value in values} | {value["feed_head"] for value in values}
                if len(places) == 1 and places == before:
                    return
                before = places
            time.sleep(0.5)
        raise AssertionError(f"the gateways have not settled in {seconds} s: {before}")

    def stop(self) -> None:
        """Ends everything, whatever state it is in."""
        for process in [*(node.gateway.process for node in self.nodes), self.nats.process, *self._sinks]:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
            process.kill()
