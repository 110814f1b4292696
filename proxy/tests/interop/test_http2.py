"""HTTP/2 as no client library speaks it: malformed requests mean nothing, and floods cost the gateway nothing it has not
set aside for one connection (RFC 9113, sections 8.1.1 and 10.5)."""

import time

import pytest
from hyperframe import frame as frames

from kit.http2 import Connection, Fields, frame
from kit.server import start_serve
from kit.signing import UNSIGNED, Signer
from kit.sink import recorded
from kit.wire import authority, exchange


@pytest.fixture
def gateway(tmp_path, sink):
    gateway = start_serve(tmp_path / "serve", sink.endpoint, {"auth": "identity"})
    yield gateway
    gateway.process.stop()


def fields(gateway, method: str = "GET", path: str = "/bucket/4", extra: Fields = (), **options) -> Fields:
    """A good request; `:authority` is what was signed as `Host`."""
    host = authority(gateway.endpoint)
    signed, _ = Signer(gateway.credentials, gateway.region).headers(
        method, path, "", [("Host", host)], options.get("payload", UNSIGNED)
    )
    rest = [(name.lower(), value) for name, value in signed if name != "Host"]
    return [(":method", method), (":scheme", "http"), (":authority", host), (":path", path), *rest, *extra]


def still_serves(gateway) -> bool:
    with Connection(gateway.endpoint) as connection:
        return connection.answer(connection.request(fields(gateway))).status == 200


# What it is for.


def test_a_request_by_prior_knowledge_is_verified_and_answered(gateway, sink):
    with Connection(gateway.endpoint) as connection:
        answer = connection.answer(connection.request(fields(gateway)))
        assert (answer.status, answer.body) == (200, bytes(4))
        stream = connection.request(fields(gateway, "PUT", "/bucket/object", [("content-length", "4")]), b"body")
        assert connection.answer(stream).status == 200
    last = recorded(sink)[-1]
    assert (last["body"], last["headers"]["content-length"], last["complete"]) == ("body", ["4"], True)


def test_many_streams_share_a_connection(gateway):
    with Connection(gateway.endpoint) as connection:
        streams = [connection.request(fields(gateway, path=f"/bucket/{size}")) for size in range(1, 61)]
        for size, stream in zip(range(1, 61), streams, strict=True):
            assert len(connection.answer(stream).body) == size


def test_the_authority_is_the_host_that_was_signed(gateway, sink):
    spoilt = [(name, "elsewhere" if name == ":authority" else value) for name, value in fields(gateway)]
    with Connection(gateway.endpoint) as connection:
        assert connection.answer(connection.request(spoilt)).status == 403
    assert recorded(sink) == []


# Malformed requests.


def replaced(request: Fields, name: str, value: str | None) -> Fields:
    return [(n, value if n == name else v) for n, v in request if n != name or value is not None]


MALFORMED = {
    "no method": lambda f: replaced(f, ":method", None),
    "no path": lambda f: replaced(f, ":path", None),
    "no scheme": lambda f: replaced(f, ":scheme", None),
    "empty path": lambda f: replaced(f, ":path", ""),
    "relative path": lambda f: replaced(f, ":path", "bucket/4"),
    "path with a space": lambda f: replaced(f, ":path", "/bucket/4 HTTP/1.1"),
    "path with an end of line": lambda f: replaced(f, ":path", "/bucket/4 HTTP/1.1\r\nx: y"),
    "path twice": lambda f: [(":path", "/bucket/5"), *f],
    "method twice": lambda f: [(":method", "PUT"), *f],
    "authority twice": lambda f: [(":authority", "elsewhere"), *f],
    "unknown pseudo-header": lambda f: [(":user", "x"), *f],
    "status in a request": lambda f: [(":status", "200"), *f],
    "protocol without connect": lambda f: [(":protocol", "websocket"), *f],
    "pseudo-header after a header": lambda f: [f[-1], *f[:-1]],
    "upper-case name": lambda f: [*f, ("X-One", "a")],
    "name with a space": lambda f: [*f, ("x one", "a")],
    "name with a colon": lambda f: [*f, ("x:one", "a")],
    "empty name": lambda f: [*f, ("", "a")],
    "value with an end of line": lambda f: [*f, ("x-one", "a\r\nx-two: b")],
    "value with a line feed": lambda f: [*f, ("x-one", "a\nb")],
    "value with a nul": lambda f: [*f, ("x-one", "a\x00b")],
    "connection": lambda f: [*f, ("connection", "x-one")],
    "transfer-encoding": lambda f: [*f, ("transfer-encoding", "chunked")],
    "keep-alive": lambda f: [*f, ("keep-alive", "timeout=5")],
    "upgrade": lambda f: [*f, ("upgrade", "websocket")],
    "te": lambda f: [*f, ("te", "gzip")],
    "another host": lambda f: [*f, ("host", "elsewhere")],
    "odd length": lambda f: [*f, ("content-length", "+4")],
    "two lengths": lambda f: [*f, ("content-length", "0"), ("content-length", "4")],
    "method with a space": lambda f: replaced(f, ":method", "GET /x"),
    "connect": lambda f: replaced(replaced(replaced(f, ":method", "CONNECT"), ":path", None), ":scheme", None),
}


@pytest.mark.parametrize("spoil", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_request_goes_no_further(gateway, sink, spoil):
    with Connection(gateway.endpoint) as connection:
        stream = connection.request(spoil(fields(gateway)))
        answer = connection.answer(stream, 5.0)
        assert answer.reset is not None or connection.goaway or answer.status in (400, 403, 405), answer
    assert recorded(sink) == []
    assert still_serves(gateway)


@pytest.mark.parametrize("declared, sent", [("4", b"bodybody"), ("8", b"body"), ("0", b"body")])
def test_a_body_that_is_not_as_long_as_declared_completes_nothing(gateway, sink, declared, sent):
    with Connection(gateway.endpoint) as connection:
        request = fields(gateway, "PUT", "/bucket/object", [("content-length", declared)])
        answer = connection.answer(connection.request(request, sent), 5.0)
        assert answer.reset is not None or answer.status == 400, answer
    assert not any(request["complete"] and request["body"] for request in recorded(sink))


def test_trailers_are_not_headers(gateway, sink):
    with Connection(gateway.endpoint) as connection:
        stream = connection.stream()
        request = fields(gateway, "PUT", "/bucket/object", [("content-length", "4")])
        connection.send(connection.headers(stream, request, end=False))
        connection.send(frame(frames.DataFrame, stream, b"body"))
        connection.send(connection.headers(stream, [("x-amz-acl", "public-read"), ("x-sigward-account", "1")]))
        assert connection.answer(stream).status == 200
    assert [set(request["headers"]) & {"x-amz-acl"} for request in recorded(sink)] == [set()]
    assert recorded(sink)[0]["headers"].get("x-sigward-account") != ["1"]


def test_pseudo_headers_in_trailers_mean_nothing(gateway, sink):
    with Connection(gateway.endpoint) as connection:
        stream = connection.stream()
        request = fields(gateway, "PUT", "/bucket/object", [("content-length", "4")])
        connection.send(connection.headers(stream, request, end=False))
        connection.send(frame(frames.DataFrame, stream, b"body"))
        connection.send(connection.headers(stream, [(":path", "/bucket/other")]))
        answer = connection.answer(stream, 5.0)
        assert answer.reset is not None or connection.goaway or answer.status in (200, 400)
    assert {request["target"] for request in recorded(sink)} <= {"/bucket/object"}


def test_a_stream_cut_in_the_middle_completes_nothing(gateway, sink):
    with Connection(gateway.endpoint) as connection:
        stream = connection.stream()
        connection.send(connection.headers(stream, fields(gateway, "PUT", "/bucket/object", [("content-length", "8")]), False))
        connection.send(frame(frames.DataFrame, stream, b"body"))
        connection.send_frame(frames.RstStreamFrame(stream, error_code=8))
        connection.drain(0.5)
    assert not any(request["complete"] for request in recorded(sink))


# Floods.


def attacked(gateway, attack, seconds: float = 20.0) -> tuple[Connection, int]:
    """Runs the attack until the gateway ends the connection, or the attack is over; by how much memory grew."""
    before = gateway.process.resident_bytes()
    with Connection(gateway.endpoint) as connection:
        deadline = time.monotonic() + seconds
        try:
            for data in attack(connection):
                connection.send(data)
                if time.monotonic() > deadline:
                    break
        except OSError:
            connection.closed = True
        connection.drain(1.0)
        return connection, gateway.process.resident_bytes() - before


MIB = 1 << 20


def test_rapid_reset_ends_the_connection(gateway, sink):
    """CVE-2023-44487: requests that are taken back at once must not keep the backend busy."""

    def attack(connection):
        request = fields(gateway, path="/bucket/100000")
        for _ in range(20_000):
            stream = connection.stream()
            yield connection.headers(stream, request) + frame(frames.RstStreamFrame, stream, (8).to_bytes(4, "big"))

    connection, grown = attacked(gateway, attack)
    assert connection.goaway or connection.closed
    assert len(recorded(sink)) < 2_000
    assert grown < 32 * MIB
    assert still_serves(gateway)


def test_resets_that_the_server_is_made_to_send_end_the_connection(gateway):
    """The same the other way round ("MadeYouReset", CVE-2025-8671): each request is answered, and spoilt, at once."""

    def attack(connection):
        request = fields(gateway, "PUT", "/bucket/object", [("content-length", "1")])
        for _ in range(20_000):
            stream = connection.stream()
            yield connection.headers(stream, request, end=False) + frame(frames.DataFrame, stream, b"too much")

    connection, grown = attacked(gateway, attack)
    assert connection.goaway or connection.closed
    assert grown < 32 * MIB
    assert still_serves(gateway)


def test_headers_without_end_end_the_connection(gateway):
    """The CONTINUATION flood (VU#421644)."""

    def attack(connection):
        stream = connection.stream()
        yield frame(frames.HeadersFrame, stream, connection.encoder.encode(fields(gateway), huffman=False))
        piece = connection.encoder.encode([(f"x-{n}", "y" * 100) for n in range(100)], huffman=False)
        for _ in range(100_000):
            yield frame(frames.ContinuationFrame, stream, piece[:16384])

    connection, grown = attacked(gateway, attack)
    assert connection.goaway or connection.closed
    assert grown < 16 * MIB
    assert still_serves(gateway)


def test_empty_continuations_without_end_end_the_connection(gateway):
    def attack(connection):
        stream = connection.stream()
        yield frame(frames.HeadersFrame, stream, connection.encoder.encode(fields(gateway), huffman=False))
        for _ in range(1_000):
            yield frame(frames.ContinuationFrame, stream, b"") * 100

    connection, grown = attacked(gateway, attack)
    assert connection.goaway or connection.closed
    assert grown < 16 * MIB
    assert still_serves(gateway)


def test_a_small_block_that_unpacks_to_much_is_refused(gateway, sink):
    """An HPACK bomb: one entry of the table, named thousands of times."""
    with Connection(gateway.endpoint) as connection:
        stream = connection.stream()
        block = connection.encoder.encode([*fields(gateway), ("x-bomb", "y" * 3000)], huffman=False)
        block += connection.encoder.encode([("x-bomb", "y" * 3000)], huffman=False)[-1:] * 10_000
        connection.send(frame(frames.HeadersFrame, stream, block[:16000], "END_STREAM"))
        connection.send(frame(frames.ContinuationFrame, stream, block[16000:], "END_HEADERS"))
        answer = connection.answer(stream, 5.0)
        assert answer.reset is not None or connection.goaway or answer.status in (400, 431), answer
    assert recorded(sink) == []
    assert still_serves(gateway)


FLOODS = {
    "settings": lambda: frame(frames.SettingsFrame, 0, b""),
    "pings": lambda: frame(frames.PingFrame, 0, b"12345678"),
    "priorities": lambda: frame(frames.PriorityFrame, 1, b"\0\0\0\0\1"),
    "window updates": lambda: frame(frames.WindowUpdateFrame, 0, (1).to_bytes(4, "big")),
    "unknown frames": lambda: b"\0\0\x04\xfa\0\0\0\0\0abcd",
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS.keys())
def test_a_flood_of_control_frames_is_borne_or_ended(gateway, flood):
    """The peer never reads: what it makes the gateway answer must not pile up."""

    def attack(_):
        for _ in range(3_000):
            yield flood() * 100

    _, grown = attacked(gateway, attack, 10.0)
    assert grown < 32 * MIB
    assert still_serves(gateway)


def test_empty_data_frames_without_end_are_borne_or_ended(gateway, sink):
    def attack(connection):
        stream = connection.stream()
        yield connection.headers(stream, fields(gateway, "PUT", "/bucket/object", [("content-length", "1")]), end=False)
        for _ in range(2_000):
            yield frame(frames.DataFrame, stream, b"") * 100

    _, grown = attacked(gateway, attack, 10.0)
    assert grown < 16 * MIB
    assert not any(request["complete"] for request in recorded(sink))
    assert still_serves(gateway)


def test_answers_that_nobody_reads_do_not_pile_up(gateway):
    """A hundred streams of 16 MiB each, and a window that never opens."""
    before = gateway.process.resident_bytes()
    with Connection(gateway.endpoint, window=0) as connection:
        for _ in range(100):
            connection.request(fields(gateway, path=f"/bucket/{16 * MIB}"))
        connection.drain(2.0)
        assert gateway.process.resident_bytes() - before < 100 * MIB
    assert still_serves(gateway)


def test_a_request_of_http_1_and_one_of_http_2_are_the_same_to_the_backend(gateway, sink):
    headers, _ = Signer(gateway.credentials, gateway.region).headers(
        "GET", "/bucket/4", "", [("Host", authority(gateway.endpoint))], UNSIGNED
    )
    assert exchange(gateway.endpoint, "GET", "/bucket/4", headers).status == 200
    assert still_serves(gateway)
    first, second = recorded(sink)
    differ = {"x-sigward-request-id", "x-amz-date", "traceparent"}
    strip = lambda request: {name: value for name, value in request["headers"].items() if name not in differ}  # noqa: E731
    assert strip(first) == strip(second)
