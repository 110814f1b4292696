"""One meaning per request, or none: whoever stands before or behind the gateway must not read another request in the
same bytes (RFC 9112, section 11). Each message here is signed for its plain meaning and carries a second request, or is
written so that some server or intermediary has been known to read it otherwise."""

import pytest

from kit import uploads
from kit.server import start_serve
from kit.signing import EMPTY_SHA256, Signer, sha256
from kit.sink import recorded
from kit.wire import Connection, authority

INNER = b"PUT /bucket/smuggled HTTP/1.1\r\nHost: backend\r\nContent-Length: 1\r\n\r\nx"


@pytest.fixture
def gateway(tmp_path, sink):
    """In front of a backend that believes whatever the gateway forwards."""
    gateway = start_serve(tmp_path / "serve", sink.endpoint, {"auth": "identity"})
    yield gateway
    gateway.process.stop()


def put(gateway, body: bytes = b"body", extra=()) -> tuple[bytes, bytes]:
    """Head and body of a good upload without a body hash, as bytes."""
    upload = uploads.unsigned(gateway, "/bucket/object", body, list(extra), unsigned=("content-length",))
    return head("PUT", upload.target, upload.headers), body


def in_chunks(gateway) -> tuple[bytes, bytes]:
    """Head and body of a good upload in the chunks of HTTP."""
    good = trailing(gateway)
    message = without(head("PUT", good.target, good.headers), b"content-length")
    return with_lines(message, b"Transfer-Encoding: chunked"), b"%x\r\n%s\r\n0\r\n\r\n" % (len(good.body), good.body)


def trailing(gateway) -> uploads.Upload:
    """A good upload whose body ends in a checksum, and whose length may be said otherwise."""
    return uploads.unsigned_with_trailer(gateway, "/bucket/object", [b"body"], unsigned=("content-length",))


def get(gateway, target: str = "/bucket/4") -> bytes:
    headers, _ = Signer(gateway.credentials, gateway.region).headers(
        "GET", target, "", [("Host", authority(gateway.endpoint))]
    )
    return head("GET", target, headers)


def head(method: str, target: str, headers) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode()


def with_lines(message: bytes, *lines: bytes) -> bytes:
    """With header lines, exactly as given, at the end of the head."""
    return message[:-2] + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def without(message: bytes, name: bytes) -> bytes:
    lines = message.split(b"\r\n")
    return b"\r\n".join(line for line in lines if not line.lower().startswith(name.lower() + b":"))


def answers(gateway, message: bytes, seconds: float = 1.0) -> bytes:
    """All that comes back until the gateway closes or falls silent."""
    with Connection(gateway.endpoint) as connection:
        connection.send(message)
        return connection.rest(seconds)


def statuses(answer: bytes) -> list[int]:
    """Of all answers on the connection; bodies of errors hold no status line."""
    return [int(piece[:3]) for piece in answer.split(b"HTTP/1.1 ")[1:]]


def assert_refused(gateway, sink, message: bytes, with_status=(400,)) -> None:
    """One answer, which refuses; the connection is closed; the backend has heard nothing."""
    with Connection(gateway.endpoint) as connection:
        connection.send(message)
        answer = connection.rest(5.0)
        assert statuses(answer)[:1] and statuses(answer)[0] in with_status, answer[:300]
        assert len(statuses(answer)) == 1, answer
    assert recorded(sink) == []


def assert_first_only(gateway, sink, message: bytes, status: int) -> None:
    """The first request is answered; what follows stands on its own and is refused, for it is not signed."""
    seen = statuses(answers(gateway, message))
    assert seen[0] == status and all(400 <= later < 500 for later in seen[1:]), seen
    assert not any("smuggled" in request["target"] for request in recorded(sink))


# Lengths.

LENGTHS = {
    "plus": b"+4",
    "minus": b"-4",
    "hexadecimal": b"0x4",
    "list of different": b"4, 5",
    "empty": b"",
    "words": b"four",
    "fraction": b"4.0",
    "beyond 64 bits": b"18446744073709551620",
    "inner space": b"4 4",
    "underscore": b"4_0",
    "vertical tab": b"\x0b4",
    "quoted": b'"4"',
}


@pytest.mark.parametrize("value", LENGTHS.values(), ids=LENGTHS.keys())
def test_an_odd_length_is_refused(gateway, sink, value):
    message, body = put(gateway)
    assert_refused(gateway, sink, with_lines(without(message, b"content-length"), b"Content-Length: " + value) + body)


@pytest.mark.parametrize("order", [(b"4", b"50"), (b"50", b"4"), (b"0", b"4")])
def test_two_different_lengths_are_refused(gateway, sink, order):
    message, body = put(gateway)
    message = with_lines(without(message, b"content-length"), *(b"Content-Length: " + value for value in order))
    assert_refused(gateway, sink, message + body + INNER)


def test_the_same_length_twice_has_one_meaning_or_none(gateway, sink):
    message, body = put(gateway)
    seen = statuses(answers(gateway, with_lines(message, b"Content-Length: 4") + body))
    assert seen in ([400], [200])
    assert [request["headers"]["content-length"] for request in recorded(sink)] in ([], [["4"]])


@pytest.mark.parametrize("first", ["length", "coding"])
def test_a_length_beside_a_coding_ends_the_connection(gateway, sink, first):
    """The coding is what counts, and nothing that follows is read as a request (RFC 9112, 6.3)."""
    message, wire = in_chunks(gateway)
    lines = [b"Content-Length: 4", b"Transfer-Encoding: chunked"]
    message = with_lines(without(message, b"transfer-encoding"), *(lines if first == "length" else lines[::-1]))
    assert statuses(answers(gateway, message + wire + INNER)) in ([200], [400])
    assert [request["body"] for request in recorded(sink)] in ([], ["body"])


CODINGS = {
    "identity": b"Transfer-Encoding: identity",
    "unknown": b"Transfer-Encoding: xchunked",
    "chunked not last": b"Transfer-Encoding: chunked, identity",
    "compressed too": b"Transfer-Encoding: gzip, chunked",
    "vertical tab": b"Transfer-Encoding: \x0bchunked",
    "quoted": b'Transfer-Encoding: "chunked"',
    "parameter": b"Transfer-Encoding: chunked;q=1",
    "empty": b"Transfer-Encoding:",
    "comma": b"Transfer-Encoding: chunked,",
    "space before colon": b"Transfer-Encoding : chunked",
    "tab before colon": b"Transfer-Encoding\t: chunked",
    "leading space": b" Transfer-Encoding: chunked",
    "folded": b"Transfer-Encoding:\r\n chunked",
    "nul": b"Transfer-Encoding: chunked\x00",
}


@pytest.mark.parametrize("line", CODINGS.values(), ids=CODINGS.keys())
@pytest.mark.parametrize("with_length", [True, False], ids=["with a length", "without"])
def test_a_coding_some_would_not_read_is_refused(gateway, sink, line, with_length):
    message, wire = in_chunks(gateway)
    message = with_lines(without(message, b"transfer-encoding"), line)
    message = with_lines(message, b"Content-Length: %d" % len(wire)) if with_length else message
    assert_refused(gateway, sink, message + wire + INNER, (400, 501))


@pytest.mark.parametrize("lines", [[b"Transfer-Encoding: chunked"] * 2, [b"Transfer-Encoding: chunked, chunked"]])
def test_chunked_twice_is_refused(gateway, sink, lines):
    message, wire = in_chunks(gateway)
    assert_refused(gateway, sink, with_lines(without(message, b"transfer-encoding"), *lines) + wire, (400, 501))


def test_a_coding_in_http_1_0_is_refused(gateway, sink):
    message, wire = in_chunks(gateway)
    answer = answers(gateway, message.replace(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", 1) + wire)
    assert answer[:8] in (b"HTTP/1.0", b"HTTP/1.1") and answer[9:12] == b"400", answer[:100]
    assert recorded(sink) == []


CHUNKS = {
    "hexadecimal prefix": b"0x4\r\nbody\r\n0\r\n\r\n",
    "minus": b"-4\r\nbody\r\n0\r\n\r\n",
    "plus": b"+4\r\nbody\r\n0\r\n\r\n",
    "overflow": b"10000000000000004\r\nbody\r\n0\r\n\r\n",
    "no size": b"\r\nbody\r\n0\r\n\r\n",
    "no end of data": b"4\r\nbody0\r\n\r\n",
    "too much data": b"4\r\nbodybody\r\n0\r\n\r\n",
    "bare line feed in an extension": b"4;a\nb\r\nbody\r\n0\r\n\r\n",
    "bare carriage return after the size": b"4\rXbody\r\n0\r\n\r\n",
    "bare line feed after the data": b"4\r\nbody\n0\r\n\r\n",
    "leading space": b" 4\r\nbody\r\n0\r\n\r\n",
    "endless extension": b"4;" + b"a" * 70_000 + b"\r\nbody\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("body", CHUNKS.values(), ids=CHUNKS.keys())
def test_an_odd_chunk_completes_nothing(gateway, sink, body):
    """The length is declared, so that nothing but the chunk is at fault."""
    message, _ = in_chunks(gateway)
    seen = statuses(answers(gateway, message + body + INNER, 2.0))
    assert seen == [400], seen
    assert not any(request["complete"] for request in recorded(sink))
    assert not any("smuggled" in request["target"] for request in recorded(sink))


TRAILERS = [b"Content-Length: 50", b"Host: elsewhere", b"Authorization: x", b"x-amz-acl: public-read", b"x-sigward-account: 1"]


@pytest.mark.parametrize("trailer", TRAILERS)
def test_a_trailer_of_http_changes_nothing(gateway, sink, trailer):
    """Whether it is refused or dropped: the backend never sees it."""
    message, wire = in_chunks(gateway)
    assert statuses(answers(gateway, message + wire[:-2] + trailer + b"\r\n\r\n")) in ([200], [400])
    name = trailer.split(b":")[0].decode().lower()
    for request in recorded(sink):
        assert request["complete"] and request["body"] == "body"
        assert name in ("content-length", "host", "x-sigward-account") or name not in request["headers"]
        assert request["headers"].get("x-sigward-account") != ["1"]


# Heads.

HEADS = {
    "folded header": lambda m: with_lines(m, b"x-one: a", b" b"),
    "folded first header": lambda m: m.replace(b" HTTP/1.1\r\n", b" HTTP/1.1\r\n x: y\r\n", 1),
    "space before a colon": lambda m: with_lines(m, b"x-one : a"),
    "no colon": lambda m: with_lines(m, b"x-one"),
    "empty name": lambda m: with_lines(m, b": a"),
    "nul in a name": lambda m: with_lines(m, b"x-\x00one: a"),
    "nul in a value": lambda m: with_lines(m, b"x-one: a\x00b"),
    "bare carriage return in a value": lambda m: with_lines(m, b"x-one: a\rb"),
    "carriage return before the end of a line": lambda m: with_lines(m, b"x-one: a\r"),
    "space in a name": lambda m: with_lines(m, b"x one: a"),
    "parenthesis in a name": lambda m: with_lines(m, b"x(one): a"),
    "control character in a value": lambda m: with_lines(m, b"x-one: a\x01b"),
    "delete in a value": lambda m: with_lines(m, b"x-one: a\x7fb"),
    "nul in the target": lambda m: m.replace(b"/bucket/4 ", b"/bucket/4\x00 ", 1),
    "space in the target": lambda m: m.replace(b"/bucket/4 ", b"/bucket/4 x ", 1),
    "tab in the request line": lambda m: m.replace(b"GET ", b"GET\t", 1),
    "no version": lambda m: m.replace(b" HTTP/1.1\r\n", b"\r\n", 1),
    "version 2 in the line": lambda m: m.replace(b" HTTP/1.1\r\n", b" HTTP/2.0\r\n", 1),
    "version 1.2": lambda m: m.replace(b" HTTP/1.1\r\n", b" HTTP/1.2\r\n", 1),
    "text after the version": lambda m: m.replace(b" HTTP/1.1\r\n", b" HTTP/1.1 x\r\n", 1),
    "parenthesis in the method": lambda m: m.replace(b"GET ", b"G(T ", 1),
}


@pytest.mark.parametrize("spoil", HEADS.values(), ids=HEADS.keys())
def test_an_odd_head_is_refused(gateway, sink, spoil):
    message = get(gateway)
    spoilt = spoil(message)
    assert spoilt != message
    assert_refused(gateway, sink, spoilt)


def test_bare_line_feeds_have_one_meaning_or_none(gateway, sink):
    """RFC 9112 lets a recipient read them as ends of lines; what goes on has none."""
    answer = answers(gateway, get(gateway).replace(b"\r\n", b"\n"))
    assert statuses(answer) in ([200], [400])
    assert [request["target"] for request in recorded(sink)] in ([], ["/bucket/4"])


def test_a_fragment_has_no_meaning(gateway, sink):
    """No client sends one (RFC 9112, 3.2.1)."""
    message = get(gateway).replace(b"/bucket/4 ", b"/bucket/4#/../5 ", 1)
    assert statuses(answers(gateway, message)) in ([200], [400])
    assert [request["target"] for request in recorded(sink)] in ([], ["/bucket/4"])


ONCE = ["Authorization", "Host", "x-amz-date", "x-amz-content-sha256"]


@pytest.mark.parametrize("name", ONCE)
@pytest.mark.parametrize("same", [True, False], ids=["the same", "different"])
def test_what_names_one_thing_comes_once(gateway, sink, name, same):
    message = get(gateway)
    line = next(line for line in message.split(b"\r\n") if line.lower().startswith(name.lower().encode() + b":"))
    other = line if same else line[:-1] + (b"0" if line[-1:] != b"0" else b"1")
    for doubled in (with_lines(message, other), message.replace(line, other + b"\r\n" + line, 1)):
        seen = statuses(answers(gateway, doubled))
        assert len(seen) == 1 and seen[0] in (400, 403), seen
    assert recorded(sink) == []


def test_a_host_is_needed(gateway, sink):
    message = without(get(gateway), b"host")
    seen = statuses(answers(gateway, message))
    assert len(seen) == 1 and seen[0] in (400, 403), seen
    assert recorded(sink) == []


TARGETS = {
    "elsewhere": "http://elsewhere.example/bucket/4",
    "another scheme": "ftp://{host}/bucket/4",
    "user in front": "http://user@{host}/bucket/4",
    "authority alone": "{host}",
    "asterisk": "*",
    "no slash": "bucket/4",
}


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())
def test_a_target_that_disagrees_with_its_host_is_refused(gateway, sink, target):
    host = authority(gateway.endpoint)
    message = get(gateway).replace(b" /bucket/4 ", f" {target.format(host=host)} ".encode(), 1)
    seen = statuses(answers(gateway, message))
    assert len(seen) == 1 and seen[0] in (400, 403), seen
    assert recorded(sink) == []


def test_an_absolute_target_that_agrees_is_the_path(gateway, sink):
    """RFC 9112, 3.2.2: a server must accept the absolute form."""
    host = authority(gateway.endpoint)
    message = get(gateway).replace(b" /bucket/4 ", f" http://{host}/bucket/4 ".encode(), 1)
    assert statuses(answers(gateway, message)) == [200]
    assert [request["target"] for request in recorded(sink)] == ["/bucket/4"]


def test_an_absolute_target_of_another_host_is_refused(gateway, sink):
    message = get(gateway).replace(b" /bucket/4 ", b" http://other.example/bucket/4 ", 1)
    assert statuses(answers(gateway, message)) == [400]
    assert recorded(sink) == []


# Sizes.

def test_too_many_headers_are_refused(gateway, sink):
    assert_refused(gateway, sink, with_lines(get(gateway), *(b"x-%d: a" % n for n in range(2000))), (400, 431))


def test_a_head_without_end_is_cut(gateway, sink):
    message = get(gateway)[:-2]
    with Connection(gateway.endpoint) as connection:
        try:
            for n in range(64):
                connection.send(b"x-%d: %s\r\n" % (n, b"a" * 65_536) if n else message)
        except OSError:
            pass
        try:
            answer = connection.rest(5.0)
        except ConnectionResetError:
            answer = b""
    assert statuses(answer) in ([], [400], [431])
    assert recorded(sink) == []


def test_trailers_without_end_complete_nothing(gateway, sink):
    message, wire = in_chunks(gateway)
    with Connection(gateway.endpoint) as connection:
        try:
            connection.send(message + wire[:-2] + b"x: y\r\n" * 200_000)
            answer = connection.rest(5.0)
        except OSError:
            answer = b""
    assert statuses(answer) in ([], [400])
    assert not any(request["complete"] for request in recorded(sink))


# Boundaries.

def test_what_follows_a_body_is_a_request_of_its_own(gateway, sink):
    message, body = put(gateway)
    assert_first_only(gateway, sink, message + body + INNER, 200)


def test_what_follows_a_request_without_a_body_is_a_request_of_its_own(gateway, sink):
    assert_first_only(gateway, sink, get(gateway) + INNER, 200)


def test_a_body_of_a_get_is_a_body(gateway, sink):
    """Declared and hashed like any other: it is neither ignored nor taken for the next request."""
    headers, _ = Signer(gateway.credentials, gateway.region).headers(
        "GET", "/bucket/4", "", [("Host", authority(gateway.endpoint))], sha256(INNER)
    )
    message = head("GET", "/bucket/4", [*headers, ("Content-Length", str(len(INNER)))]) + INNER
    assert len(statuses(answers(gateway, message))) == 1
    assert not any("smuggled" in request["target"] for request in recorded(sink))


def test_an_undeclared_body_of_a_get_is_not_the_one_that_was_signed(gateway, sink):
    headers, _ = Signer(gateway.credentials, gateway.region).headers(
        "GET", "/bucket/4", "", [("Host", authority(gateway.endpoint))], EMPTY_SHA256
    )
    message = head("GET", "/bucket/4", [*headers, ("Content-Length", str(len(INNER)))]) + INNER
    assert statuses(answers(gateway, message)) == [400]
    assert not any(request["complete"] for request in recorded(sink))


UPGRADES = [
    (b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA", b"Connection: Upgrade, HTTP2-Settings"),
    (b"Upgrade: websocket", b"Sec-WebSocket-Key: eA==", b"Sec-WebSocket-Version: 13", b"Connection: Upgrade"),
]


@pytest.mark.parametrize("lines", UPGRADES, ids=["h2c", "websocket"])
def test_an_upgrade_is_not_passed_on(gateway, sink, lines):
    """A tunnel would carry requests that nobody verifies."""
    seen = statuses(answers(gateway, with_lines(get(gateway), *lines) + INNER))
    assert seen[0] == 200 and 101 not in seen
    assert [set(request["headers"]) & {"upgrade", "http2-settings", "connection"} for request in recorded(sink)][0] <= {
        "connection"
    }
    assert not any("smuggled" in request["target"] for request in recorded(sink))


# Paths.

PATHS = [
    "/bucket/a/../b",
    "/bucket/a/%2e%2e/b",
    "/bucket/a%2f..%2fb",
    "/bucket//b",
    "/bucket/./b",
    "/bucket/a;x=1/b",
    "/bucket/a%00b",
    "/bucket/a%5cb",
    "/bucket/a%252fb",
    "/bucket/%ff",
    "/bucket/a%0d%0ab",
]


@pytest.mark.parametrize("path", PATHS)
def test_the_path_that_was_signed_is_the_path_that_goes_on(gateway, sink, path):
    """Byte for byte but for a `;`, behind which some see parameters, so that no two readers can differ; or it is refused."""
    headers, _ = Signer(gateway.credentials, gateway.region).headers(
        "PUT", path, "", [("Host", authority(gateway.endpoint)), ("Content-Length", "0")]
    )
    status = statuses(answers(gateway, head("PUT", path, headers)))
    targets = [request["target"] for request in recorded(sink)]
    assert (status, targets) in (([200], [path.replace(";", "%3B")]), ([400], [])), (status, targets)
