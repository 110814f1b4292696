"""Clients of several gateways that issue, revoke and use credentials at random, in every way."""

import random
import threading
from dataclasses import dataclass, field

from . import events
from .fleet import Fleet, Node
from .history import History, Name, Outcome
from .witness import Holding, Key, Witness, draft, now_millis

# Credentials that share names; then other names are used.
COHORT = 40

# How often each scope is revoked; `key` deletes a long-term key.
SCOPES = {
    "access_key_id": 40,
    "session_name": 15,
    "source_identity": 12,
    "principal": 10,
    "role": 8,
    "identity_provider": 6,
    "account": 4,
    "key": 5,
}

# Long-term keys that sessions are made with at one time.
KEYS = 20


@dataclass(frozen=True)
class Rates:
    """Operations a second, of all gateways together."""

    issue: float
    revoke: float
    ask: float
    # Threads that share each of these on each gateway: one that is held up holds up no other.
    clients: int = 2
    # Seconds that sessions of events last, drawn from these.
    lifetimes: tuple[float, ...] = (15, 60, 3600)
    # Seconds that sessions of STS last, and how much of what is issued is issued by STS.
    sts_lifetime: int = 3600
    sts_share: float = 0.46


@dataclass
class Ledger:
    """What can be used and revoked. Old holdings are forgotten."""

    capacity: int = 20_000
    held: list[Holding] = field(default_factory=list)
    revoked: list[Holding] = field(default_factory=list)
    keys: list[Key] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, holding: Holding) -> None:
        with self.lock:
            self.held.append(holding)
            del self.held[: -self.capacity]

    def add_key(self, key: Key) -> None:
        with self.lock:
            self.keys.append(key)
            del self.keys[:-KEYS]

    def drop_key(self, identity: str) -> None:
        with self.lock:
            self.keys = [key for key in self.keys if key.credentials.access_key_id != identity]

    def mark(self, scope: Name) -> None:
        """Remembers some of those that a revocation reaches, to be asked for often."""
        with self.lock:
            self.revoked += [held for held in self.held[-400:] if scope in held.issued.names]
            del self.revoked[:-150]

    def scope(self, rng: random.Random) -> Name | None:
        """One that reaches something new."""
        kind = rng.choices(list(SCOPES), list(SCOPES.values()))[0]
        with self.lock:
            if kind == "key":
                return (kind, rng.choice(self.keys).credentials.access_key_id) if self.keys else None
            recent = [name for held in self.held[-200:] for name in held.issued.names if name[0] == kind]
            return rng.choice(recent) if recent else None

    def pick(self, rng: random.Random) -> Holding | None:
        with self.lock:
            draw = rng.random()
            of = self.revoked if draw < 0.35 else self.held[-250:] if draw < 0.8 else self.held
            return rng.choice(of) if of else None


class Workload:
    """Threads that run until they are stopped."""

    def __init__(self, fleet: Fleet, history: History, rates: Rates, seed: int):
        self.ledger, self.witness = Ledger(), Witness(history)
        self._fleet, self._rates = fleet, rates
        self._stop, self._count = threading.Event(), 0
        self._failures: list[BaseException] = []
        each = len(fleet.nodes) * rates.clients
        targets = [
            (self._issue, rates.issue / each),
            (self._ask, rates.ask / each),
            (self._revoke, rates.revoke / each),
        ]
        self._threads = [
            threading.Thread(target=self._run, args=(work, rate, node, random.Random(f"{seed} {at} {node.name}")))
            for node in fleet.nodes
            for at, (work, rate) in enumerate(targets * rates.clients)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(90)
            assert not thread.is_alive(), "a client hangs"
        if self._failures:
            raise self._failures[0]

    def _run(self, work, rate: float, node: Node, rng: random.Random) -> None:
        while not self._stop.wait(rng.expovariate(rate)):
            try:
                work(node, rng)
            except Exception as failure:
                self._failures.append(failure)
                return

    def _names(self) -> dict[str, str]:
        """The names of the current cohort."""
        self._count += 1
        cohort, member = divmod(self._count, COHORT)
        account, half = f"{100_000_000_000 + cohort}", member % 2
        return {
            "account": account,
            "role": f"arn:aws:iam::{account}:role/role-{half}",
            "session_name": f"session-{member % 8}",
            "source_identity": f"source-{cohort}-{member % 6}",
            "identity_provider": f"arn:aws:iam::{account}:oidc-provider/idp-{half}",
            "user": f"user-{cohort}",
        }

    def _issue(self, node: Node, rng: random.Random) -> None:
        with self.ledger.lock:
            key = rng.choice(self.ledger.keys) if self.ledger.keys else None
        draw = rng.random()
        if key is None or draw < 0.04:
            names = self._names()
            issued, key = self.witness.create_key(node, names["account"], names["user"])
            if key is not None:
                self.ledger.add_key(key)
                self.ledger.add(Holding(key.credentials, issued))
        elif draw < 0.04 + self._rates.sts_share:
            _, holding = self.witness.by_sts(node, key, self._rates.sts_lifetime, rng.random() < 0.3)
            if holding is not None:
                self.ledger.add(holding)
        else:
            self._by_event(node, rng)

    def _by_event(self, node: Node, rng: random.Random) -> None:
        """Sent again elsewhere, as often as not, when there was no answer."""
        drafted = draft(self._names(), rng.choice(self._rates.lifetimes))
        for target in self._tries(node, rng):
            issued, holding = self.witness.by_event(target, drafted)
            if holding is not None:
                self.ledger.add(holding)
            if issued.outcome in (Outcome.DONE, Outcome.REFUSED):
                return

    def _tries(self, node: Node, rng: random.Random) -> list[Node]:
        """Whom to ask in turn."""
        return [node, rng.choice(self._fleet.nodes)] if rng.random() < 0.5 else [node]

    def _revoke(self, node: Node, rng: random.Random) -> None:
        scope = self.ledger.scope(rng)
        if scope is None:
            return
        # With a time of its own, one without an answer puts nothing in doubt that was issued afterwards.
        dated = scope[0] != "key" and (scope[0] not in ("access_key_id", "session_name") or rng.random() < 0.5)
        before = now_millis() if dated else None
        self.ledger.mark(scope)
        for target in self._tries(node, rng):
            revoked = self.witness.revoke(target, scope, before, rng.random() < 0.5)
            if revoked.outcome in (Outcome.DONE, Outcome.REFUSED):
                break
        if scope[0] == "key":
            self.ledger.drop_key(scope[1])

    def _ask(self, node: Node, rng: random.Random) -> None:
        holding = self.ledger.pick(rng)
        if holding is not None:
            made_up = rng.random() < 0.01
            self.witness.ask(node, events.new_credentials() if made_up else holding.credentials)
