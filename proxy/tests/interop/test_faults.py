"""What a client sees when the backend misbehaves: an exact answer, or an answer that is visibly cut; never one that looks
whole and is not, and never a write that was sent twice."""

import os
import sys
import time
from pathlib import Path

import pytest

from kit import uploads
from kit.faulty import BODY
from kit.server import Process, start_serve
from kit.signing import Signer
from kit.wire import Connection, authority, exchange

PATIENCE = {"connect_timeout": "1s", "response_timeout": "1s", "stall_timeout": "1s"}


@pytest.fixture(scope="module")
def faulty(tmp_path_factory) -> Process:
    process = Process(
        [sys.executable, "-m", "kit.faulty"],
        tmp_path_factory.mktemp("faulty"),
        {"PYTHONPATH": str(Path(__file__).parent)},
    )
    process.endpoint = f"http://127.0.0.1:{process.first_line()}"
    yield process
    process.kill()


@pytest.fixture(scope="module")
def gateway(faulty, tmp_path_factory):
    directory = tmp_path_factory.mktemp("gateway")
    gateway = start_serve(directory / "serve", faulty.endpoint, {"auth": "identity", **PATIENCE})
    yield gateway
    gateway.process.stop()


def seen(faulty, target: str) -> list[int]:
    """The connections by which requests for the target came."""
    lines = [line.split(" ") for line in faulty.stdout.read_text().splitlines()[1:]]
    return [int(number) for _, path, number in lines if path == target]


def signed(gateway, method: str, target: str, extra=()):
    headers = [("Host", authority(gateway.endpoint)), *extra]
    return Signer(gateway.credentials, gateway.region).headers(method, target, "", headers)[0]


def get(gateway, target: str):
    return exchange(gateway.endpoint, "GET", target, signed(gateway, "GET", target))


def put(gateway, target: str, size: int = 1000):
    return uploads.unsigned(gateway, target, b"x" * size).send()


# Without an answer, a client asks again later.

UNANSWERED = {
    "reset-before-head": "ServiceUnavailable",
    "close-before-head": "ServiceUnavailable",
    "reset-in-head": "ServiceUnavailable",
    "close-in-head": "ServiceUnavailable",
    "no-http": "ServiceUnavailable",
    "endless-head": "ServiceUnavailable",
    "two-lengths": "ServiceUnavailable",
    "hang-before-head": "SlowDown",
    "hang-in-head": "SlowDown",
}


@pytest.mark.parametrize("fault", UNANSWERED)
def test_a_get_without_an_answer_is_told_to_come_back(gateway, faulty, fault):
    answer = get(gateway, f"/bucket/get/{fault}")
    assert (answer.status, answer.code) == (503, UNANSWERED[fault])


LOST = [
    ("reset-before-head", "ServiceUnavailable"),
    ("close-before-head", "ServiceUnavailable"),
    ("reset-in-head", "ServiceUnavailable"),
    ("close-in-head", "ServiceUnavailable"),
    ("reset-at-once", "ServiceUnavailable"),
    ("reset-in-upload", "ServiceUnavailable"),
    ("hasty-200", None),
    ("hang-before-head", "SlowDown"),
    ("hang-in-upload", "SlowDown"),
]


# More than the kernel takes for a backend that does not read: what it has taken counts as sent.
TOO_MUCH = 64_000_000


@pytest.mark.parametrize("fault, code", LOST)
def test_a_put_without_an_answer_is_told_to_come_back_and_not_sent_twice(gateway, faulty, fault, code):
    target = f"/bucket/put/{fault}"
    answer = put(gateway, target, TOO_MUCH)
    assert answer.status == 503
    assert answer.code == (code or answer.code)
    assert len(seen(faulty, target)) == 1


# An answer that breaks off is broken off.


@pytest.mark.parametrize("fault", ["reset-in-body", "close-in-body", "hang-in-body", "close-in-chunks", "odd-chunk"])
def test_an_answer_that_breaks_off_does_not_look_whole(gateway, fault):
    with Connection(gateway.endpoint) as connection:
        target = f"/bucket/{fault}"
        connection.send_head("GET", target, signed(gateway, "GET", target))
        with pytest.raises(ConnectionError):
            connection.receive()


# An answer before the end of an upload is the answer.


@pytest.mark.parametrize("fault, status, code", [
    ("early-413", 413, "EntityTooLarge"),
    ("early-403", 403, "AccessDenied"),
    ("late-403", 403, "AccessDenied"),
])
@pytest.mark.parametrize("size", [1000, 300_000, 8_000_000, 40_000_000])
def test_an_early_answer_reaches_the_client(gateway, fault, status, code, size):
    if fault == "late-403" and size < 100_000:
        pytest.skip("it comes before its time only where there is more to read")
    answer = put(gateway, f"/bucket/{size}/{fault}", size)
    assert (answer.status, answer.code) == (status, code)
    assert b"from the backend" in answer.body


def test_an_early_success_counts_once_the_whole_body_is_proved(gateway):
    assert put(gateway, "/bucket/early-200", 4_000_000).status == 200


# What is odd, and does no harm.


@pytest.mark.parametrize("fault", ["interim", "until-closed", "answers-twice", "closes-afterwards"])
def test_an_odd_answer_is_passed_on_whole(gateway, fault):
    for _ in range(3):
        answer = get(gateway, f"/bucket/{fault}")
        assert (answer.status, answer.body) == (200, BODY)


@pytest.mark.parametrize("fault", ["answers-twice", "no-content-with-body"])
def test_an_answer_to_nobody_reaches_nobody(gateway, faulty, fault):
    target = f"/bucket/stray/{fault}"
    with Connection(gateway.endpoint) as connection:
        for _ in range(5):
            connection.send_head("GET", target, signed(gateway, "GET", target))
            assert connection.receive().status in (200, 204)
            connection.send_head("GET", "/bucket/good", signed(gateway, "GET", "/bucket/good"))
            assert connection.receive().body == BODY
    used = seen(faulty, target)
    assert len(set(used)) == len(used), "a connection with an answer too many was used again"


@pytest.mark.parametrize("pause", [0, 0.05])
def test_a_connection_that_was_closed_meanwhile_costs_no_request(gateway, faulty, pause):
    for number in range(20):
        assert get(gateway, f"/bucket/{pause}/closes-afterwards").status == 200
        time.sleep(pause)
        assert put(gateway, f"/bucket/{pause}/{number}").status == 200
        assert len(seen(faulty, f"/bucket/{pause}/{number}")) == 1


def test_a_backend_that_never_says_continue_gets_the_body(gateway):
    headers, _ = Signer(gateway.credentials, gateway.region).headers(
        "PUT", "/bucket/never-continues", "", [("Host", authority(gateway.endpoint))], "UNSIGNED-PAYLOAD"
    )
    with Connection(gateway.endpoint) as connection:
        extra = [("Content-Length", "4"), ("Expect", "100-continue")]
        connection.send_head("PUT", "/bucket/never-continues", [*headers, *extra])
        assert connection.receive("PUT").status == 100
        connection.send(b"body")
        assert connection.receive("PUT").status == 200


# Nothing stays behind.

LEAKS = ["reset-before-head", "close-in-head", "reset-in-body", "close-in-chunks", "no-http", "answers-twice"]


def descriptors(process: Process) -> int:
    return len(os.listdir(f"/proc/{process.pid}/fd"))


def settled(gateway, most: int) -> int:
    """Descriptors once what is under way has ended."""
    deadline = time.monotonic() + 10
    while (count := descriptors(gateway.process)) > most and time.monotonic() < deadline:
        time.sleep(0.1)
    return count


def test_faults_leave_no_socket_behind(tmp_path, faulty):
    gateway = start_serve(tmp_path / "serve", faulty.endpoint, {"auth": "identity", **PATIENCE, "idle_timeout": "1s"})
    try:
        get(gateway, "/bucket/good")
        before = descriptors(gateway.process)
        for _ in range(50):
            for fault in LEAKS:
                with Connection(gateway.endpoint) as connection:
                    target = f"/bucket/leak/{fault}"
                    connection.send_head("GET", target, signed(gateway, "GET", target))
                    try:
                        connection.receive()
                    except ConnectionError:
                        pass
            assert put(gateway, "/bucket/leak/early-413", 300_000).status == 413
        assert settled(gateway, before) <= before
    finally:
        gateway.process.stop()


