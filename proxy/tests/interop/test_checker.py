"""The checker of histories finds what it is there to find: each rule broken, and histories that break none."""

import dataclasses

import pytest

from kit.checker import Bounds, Windows, check
from kit.history import SERVER, Asked, Fault, History, Issued, Outcome, Revoked, Sampled, View

BOUNDS = Bounds(propagation=1.0, staleness=5.0, recovery=2.0)
SESSION, KEY, ROLE = "ASIA1", "AKIA1", ("role", "arn:aws:iam::1:role/r")
SAMPLE = {
    "feed_gaps_total": 0,
    "feed_rewritten_total": 0,
    "feed_marks_ahead_total": 0,
    "feed_lost_revocations": 0,
    "feed_resyncs_total": 0,
    "feed_losses_total": 0,
    "unreadable": 0,
}


def issued(gateway="a", ended=10.0, outcome=Outcome.DONE, millis=9_990, expires=1_000.0, identity=SESSION) -> Issued:
    names = frozenset({ROLE, ("access_key_id", identity), ("key", KEY)})
    return Issued(gateway, ended - 0.1, ended, outcome, "", identity, names, millis - 10, millis, expires)


def revoked(gateway="a", ended=20.0, outcome=Outcome.DONE, before=15_000, scope=ROLE) -> Revoked:
    return Revoked(gateway, ended - 0.1, ended, outcome, "", scope, before)


def asked(gateway="a", began=11.0, outcome=Outcome.DONE, identity=SESSION) -> Asked:
    return Asked(gateway, began, began + 0.1, outcome, "", identity)


def view(gateway="a", sessions=None, keys=None, digest="d", position=7, marks=1, at=50.0) -> View:
    sessions = {SESSION: None} if sessions is None else sessions
    return View(gateway, at, sessions, keys or {}, digest, position, marks)


def sampled(at=30.0, gateway="a", life=1, **values) -> Sampled:
    return Sampled(gateway, life, at, {**SAMPLE, **values})


def rules(*entries, bounds=BOUNDS) -> list[str]:
    history = History()
    for entry in entries:
        history.add(entry)
    return [violation.rule for violation in check(history, bounds)[0]]


REFUSED, UNAVAILABLE, LOST = Outcome.REFUSED, Outcome.UNAVAILABLE, Outcome.LOST

BROKEN = {
    "an acknowledged session is refused": ("valid-refused", [issued(), asked(outcome=REFUSED)]),
    "a session that came elsewhere is refused": ("valid-refused", [issued(), asked("b", outcome=REFUSED)]),
    "a long-term key is refused": ("valid-refused", [issued(expires=None), asked(outcome=REFUSED)]),
    "a session is refused before its revocation was asked for": (
        "valid-refused",
        [issued(), asked(began=19.0, outcome=REFUSED), revoked()],
    ),
    "a session issued after the revocation's time is refused": (
        "valid-refused",
        [issued(ended=30.0, millis=30_000), revoked(), asked(began=31.0, outcome=REFUSED)],
    ),
    "a revocation that was refused is enforced": (
        "valid-refused",
        [issued(), revoked(outcome=REFUSED), asked(began=21.0, outcome=REFUSED)],
    ),
    "a fault is no reason to refuse": (
        "valid-refused",
        [issued(), Fault("a", "kill", 10.5, 12.0), asked(outcome=REFUSED)],
    ),
    "a revoked session is served where that was acknowledged": (
        "revoked-served",
        [issued(), revoked(), asked(began=20.01)],
    ),
    "a revoked session is served there after a kill": (
        "revoked-served",
        [issued(), revoked(), Fault("a", "kill", 20.5, 21.0), asked(began=21.0)],
    ),
    "a revoked session is served elsewhere after the bound": (
        "revoked-served",
        [issued(), revoked(), asked("b", began=21.5)],
    ),
    "a fault does not put off the bound of staleness": (
        "revoked-served",
        [issued(), revoked(), Fault("b", "hold", 19.0, 30.0), asked("b", began=25.5)],
    ),
    "a fault of one gateway does not put off the bound of another": (
        "revoked-served",
        [issued(), revoked(), Fault("c", "hold", 19.0, 30.0), asked("b", began=21.5)],
    ),
    "a deleted key is served": (
        "revoked-served",
        [issued(expires=None), revoked(scope=("key", KEY), before=None), asked(began=20.5)],
    ),
    "a session of a deleted key is served": (
        "revoked-served",
        [issued(), revoked(scope=("key", KEY), before=None), asked(began=20.5)],
    ),
    "an expired session is served": ("expired-served", [issued(expires=100.0), asked(began=102.0)]),
    "what nobody issued is served": ("invented-served", [asked(identity="ASIA9")]),
    "503 without a fault": ("unavailable-without-fault", [issued(), asked(outcome=UNAVAILABLE)]),
    "503 long after a fault": (
        "unavailable-without-fault",
        [Fault("a", "kill", 1.0, 2.0), issued(), asked(outcome=UNAVAILABLE)],
    ),
    "503 during a fault of another gateway": (
        "unavailable-without-fault",
        [Fault("b", "kill", 10.5, 12.0), issued(), asked(outcome=UNAVAILABLE)],
    ),
    "an issuance is turned away without a fault": ("unavailable-without-fault", [issued(outcome=UNAVAILABLE)]),
    "a revocation is turned away without a fault": ("unavailable-without-fault", [revoked(outcome=UNAVAILABLE)]),
    "silence without a fault": ("lost-without-fault", [asked(outcome=LOST)]),
    "a session is forgotten": ("event-lost", [issued(), view(sessions={})]),
    "a key is forgotten": ("event-lost", [issued(expires=None, identity=KEY), view()]),
    "a revocation is forgotten": ("revocation-lost", [issued(), revoked(), view()]),
    "a deleted key is still there": (
        "revocation-lost",
        [
            issued(expires=None, identity=KEY),
            revoked(scope=("key", KEY), before=None),
            view(keys={KEY: None}),
        ],
    ),
    "a session is revoked by nobody": ("revoked-by-nobody", [issued(), view(sessions={SESSION: "role"})]),
    "gateways list other sessions": ("views-differ", [view(), view("b", sessions={SESSION: None, "ASIA2": None})]),
    "gateways revoked other sessions": ("views-differ", [view(), view("b", sessions={SESSION: "role"})]),
    "gateways list other keys": ("views-differ", [view(), view("b", keys={KEY: None})]),
    "gateways tell other things of them": ("views-differ", [view(), view("b", digest="e")]),
    "gateways stand at other places": ("views-differ", [view(), view("b", position=8)]),
    "gateways have other revocations": ("views-differ", [view(), view("b", marks=2)]),
    **{
        f"{name} is counted": (name, [sampled(**{name: 1})])
        for name in SAMPLE
        if name not in ("feed_resyncs_total", "feed_losses_total")
    },
    **{
        f"{name} grows without a fault": (
            f"{name}-without-fault",
            [Fault("a", "kill", 1.0, 2.0), sampled(at=20.0, **{name: 1}), sampled(at=30.0, **{name: 2})],
        )
        for name in ("feed_resyncs_total", "feed_losses_total")
    },
}

SOUND = {
    "sessions are served": [issued(), asked(), asked("b"), view(), view("b")],
    "a request overtakes the answer of the issuance": [issued(), asked(began=9.95, outcome=REFUSED)],
    "an issuance that nobody acknowledged": [
        issued(outcome=LOST),
        Fault("a", "kill", 9.0, 10.0),
        asked("b", outcome=REFUSED),
    ],
    "what nobody acknowledged is served": [issued(outcome=LOST), Fault("a", "kill", 9.0, 10.0), asked("b")],
    "an expired session is refused": [issued(expires=100.0), asked(began=99.5, outcome=REFUSED)],
    "a revoked session is refused": [
        issued(),
        revoked(),
        asked(began=20.01, outcome=REFUSED),
        view(sessions={SESSION: "role"}),
    ],
    "a revocation under way": [issued(), revoked(), asked(began=19.95), asked(began=19.95, outcome=REFUSED)],
    "a revocation is on its way": [issued(), revoked(), asked("b", began=20.5)],
    "a revocation cannot come through yet": [
        issued(),
        revoked(),
        Fault("b", "hold", 19.0, 30.0),
        asked("b", began=24.5),
    ],
    "a deleted key cannot be known of": [
        issued(expires=None, identity=KEY),
        revoked(scope=("key", KEY), before=None),
        Fault("b", "partition", 19.0, 60.0),
        asked("b", began=40.0, identity=KEY),
    ],
    "a revocation without an answer": [
        issued(),
        revoked(outcome=LOST),
        Fault("a", "kill", 19.5, 20.5),
        asked(began=22.0),
        asked(began=22.0, outcome=REFUSED),
        view(sessions={SESSION: None}),
    ],
    "a session of the very millisecond": [
        issued(millis=15_000),
        revoked(before=15_000),
        asked(began=21.0),
        asked(began=21.0, outcome=REFUSED),
    ],
    "503 during and soon after a fault": [
        issued(),
        Fault("a", "kill", 10.5, 12.0),
        asked(began=13.5, outcome=UNAVAILABLE),
        asked(began=11.0, outcome=LOST),
    ],
    "503 while the server is away": [issued(), Fault(SERVER, "kill", 10.5, 12.0), asked("b", outcome=UNAVAILABLE)],
    "a counter that a fault moved": [Fault("a", "kill", 21.0, 22.0), sampled(at=20.0), sampled(feed_losses_total=3)],
    "a counter that begins anew": [
        Fault("a", "kill", 21.0, 22.0),
        sampled(at=22.0, feed_losses_total=3),
        sampled(at=40.0, life=2),
    ],
    "an expired session is no longer listed": [issued(), view(sessions={}, at=5_000.0)],
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_promise_is_found(name):
    rule, entries = BROKEN[name]
    assert set(rules(*entries)) == {rule}


@pytest.mark.parametrize("name", SOUND)
def test_a_promise_that_was_kept_is_not_found_broken(name):
    assert rules(*SOUND[name]) == []


def test_a_gateway_that_does_not_fail_closed_owes_revocations_when_it_hears_again():
    static = dataclasses.replace(BOUNDS, static=frozenset("b"))
    partition = Fault("b", "partition", 19.0, 60.0)
    during, after = asked("b", began=50.0), asked("b", began=62.5)
    assert rules(issued(), revoked(), partition, during, bounds=static) == []
    assert rules(issued(), revoked(), partition, during) == ["revoked-served"]
    assert rules(issued(), revoked(), partition, after, bounds=static) == []
    assert rules(issued(), revoked(), partition, asked("b", began=63.1), bounds=static) == ["revoked-served"]
    assert rules(issued(), revoked(ended=62.5), partition, asked("b", began=63.1), bounds=static) == []
    assert rules(issued(), revoked(ended=62.5), partition, asked("b", began=63.6), bounds=static) == ["revoked-served"]


def test_a_gateway_that_does_not_fail_closed_owes_service_to_those_it_knows():
    static = dataclasses.replace(BOUNDS, static=frozenset("b"))
    entries = [issued(), Fault("b", "partition", 19.0, 60.0), asked("b", began=50.0, outcome=UNAVAILABLE)]
    assert rules(*entries, bounds=static) == []
    assert (
        rules(*entries, asked("b", began=51.0, outcome=UNAVAILABLE), asked("b"), bounds=static)
        == ["known-turned-away"] * 2
    )
    assert rules(*entries, asked("b")) == []
    assert rules(*entries, asked("b"), revoked("b", ended=49.0), bounds=static) == []


def test_windows_are_those_of_the_gateway_and_of_the_server():
    windows = Windows([Fault("a", "kill", 10, 12), Fault("a", "kill", 13, 14), Fault(SERVER, "kill", 30, 31)], 2.0)
    struck = [(9, 9.9), (9, 10), (12.5, 12.6), (15.9, 16), (16.1, 29.9), (32, 40), (33.1, 40)]
    assert [windows.touch("a", *span) for span in struck] == [False, True, True, True, False, True, False]
    assert [windows.touch("b", *span) for span in struck] == [False, False, False, False, False, True, False]
    assert windows.longest() == 6
    assert [windows.calm("a", at) for at in (9, 11, 16, 20, 34)] == [float("inf"), 0, 0, 4, 1]


def test_figures_say_how_much_was_judged():
    history = History()
    for entry in [
        issued(),
        asked(),
        revoked(),
        asked(began=21.0, outcome=REFUSED),
        asked("b", began=22.0, outcome=REFUSED),
    ]:
        history.add(entry)
    figures = check(history, BOUNDS)[1]
    assert (figures.must_serve, figures.must_refuse, figures.must_refuse_elsewhere, figures.calm) == (1, 2, 1, 5)
