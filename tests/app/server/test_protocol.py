"""Connections that no honest client keeps: each kind ends, whatever is sent or not sent on it."""

import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from foodscene.app.server import protocol

pytestmark = pytest.mark.slow

Connect = Callable[[], socket.socket]


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers `/early` at once, `/never` never, `/large` with 40 MB, and else the body when all of it is there."""
    body, more = b"", scope["path"] not in ("/early", "/large")
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        more = message["more_body"]
    if scope["path"] == "/never":
        await receive()
        return
    body = body or scope["method"].encode()
    if scope["path"] == "/large":
        body = b"x" * 40_000_000
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]}
    )
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:
    """Opens connections to `echo`, which is served by our protocol with short times."""
    for name, seconds in {"HEAD_SECONDS": 0.15, "LINGER_SECONDS": 0.15, "_LOOK_SECONDS": 0.02}.items():
        monkeypatch.setattr(protocol, name, seconds)
    loop = uvloop.new_event_loop()
    config = uvicorn.Config(
        echo, http=protocol.Protocol, ws="none", access_log=False, log_config=None, timeout_keep_alive=1
    )
    config.load()
    state = ServerState()
    serving = loop.create_server(lambda: protocol.Protocol(config, state, {"deadline_seconds": 0.15}), "127.0.0.1", 0)
    server = loop.run_until_complete(serving)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield lambda: socket.create_connection(server.sockets[0].getsockname(), timeout=10)
    for connection in list(state.connections):
        loop.call_soon_threadsafe(connection.transport.abort)
    until = time.monotonic() + 5
    while state.tasks:
        assert time.monotonic() < until, "a request is worked on whose client has gone"
        time.sleep(0.01)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def all_of(connection: socket.socket) -> bytes:
    """What comes until the other side closes."""
    received = b""
    with suppress(ConnectionResetError):
        while chunk := connection.recv(65536):
            received += chunk
    return received


def next_of(connection: socket.socket) -> bytes:
    """The next answer, which is short."""
    received = connection.recv(1000)
    while not received.partition(b"\r\n\r\n")[2]:
        chunk = connection.recv(1000)
        assert chunk, received
        received += chunk
    return received


def seconds_open(connection: socket.socket, head: bytes, drop: bytes, every: float = 0.02) -> float:
    """For how long `drop` can be sent again and again after `head`, at most 5 seconds."""
    started = time.monotonic()
    with suppress(ConnectionError):
        connection.sendall(head)
        while time.monotonic() < started + 5:
            time.sleep(every)
            connection.sendall(drop)
    return time.monotonic() - started


def flood(connection: socket.socket, head: bytes, block: bytes) -> int:
    """How many bytes of `block` can be sent after `head`, at most 50 MB."""
    sent = 0
    with suppress(ConnectionError):
        connection.sendall(head)
        while sent < 50_000_000:
            connection.sendall(block)
            sent += len(block)
    return sent


POST = b"POST / HTTP/1.1\r\nHost: x\r\n"
EARLY = b"POST /early HTTP/1.1\r\nHost: x\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
LENGTH = b"Content-Length: 1000000\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    ("head", "drop"),
    [
        pytest.param(b"", b"", id="nothing"),
        pytest.param(b"GET / HTTP/1.1\r\n", b"a: b\r\n", id="slow head"),
        pytest.param(b"GET / HTTP/1.1\r\na: ", b"b", id="slow header"),
        pytest.param(POST + LENGTH, b"a", id="slow body"),
        pytest.param(POST + CHUNKED, b"1\r\na\r\n", id="slow chunks"),
        pytest.param(POST + CHUNKED + b"1;", b"a", id="slow chunk extension"),
        pytest.param(POST + CHUNKED + b"0\r\n", b"a: b\r\n", id="slow trailers"),
        pytest.param(POST + CHUNKED + b"0\r\na: ", b"b", id="slow trailer"),
        pytest.param(EARLY + LENGTH, b"a", id="slow body after the answer"),
        pytest.param(EARLY + CHUNKED, b"1\r\na\r\n", id="slow chunks after the answer"),
        pytest.param(EARLY + CHUNKED + b"0\r\n", b"a: b\r\n", id="slow trailers after the answer"),
        pytest.param(b"", b"\r\n", id="blank lines"),
        pytest.param(GET, b"\r\n", id="blank lines after an answer"),
        pytest.param(GET, b"", id="nothing after an answer"),
        pytest.param(GET + GET[:-2], b"a: b\r\n", id="slow second head"),
        pytest.param(GET.replace(b"/ ", b"/never "), b"", id="no answer"),
        pytest.param(GET.replace(b"/ ", b"/never ") + GET, b"", id="no answer to the first of two"),
        pytest.param(GET.replace(b"/ ", b"/large "), b"", id="an answer that is not taken"),
    ],
)
def test_every_connection_has_an_end(connect: Connect, head: bytes, drop: bytes) -> None:
    with connect() as connection:
        if drop:
            assert seconds_open(connection, head, drop) < 2.5
            return
        connection.sendall(head)
        time.sleep(0.5)  # without reading
        connection.settimeout(2.5)
        assert len(all_of(connection)) < 40_000_000


@pytest.mark.parametrize(
    ("head", "block"),
    [
        pytest.param(POST + CHUNKED + b"0\r\n", b"x: " + b"a" * 200 + b"\r\n", id="trailers"),
        pytest.param(POST + CHUNKED + b"0\r\nx: ", b"a" * 200, id="one trailer"),
        pytest.param(EARLY + CHUNKED + b"0\r\n", b"x: " + b"a" * 200 + b"\r\n", id="trailers after the answer"),
        pytest.param(POST + CHUNKED + b"1;", b"a" * 200, id="chunk extension"),
        pytest.param(POST + CHUNKED, b"1\r\na\r\n" * 30, id="chunks of a byte"),
        pytest.param(EARLY + CHUNKED, b"1\r\na\r\n" * 30, id="chunks of a byte after the answer"),
        pytest.param(POST, b"x: " + b"a" * 200 + b"\r\n", id="headers"),
        pytest.param(b"GET /", b"a" * 200, id="path"),
        pytest.param(b"", b"\r\n" * 100, id="blank lines"),
        pytest.param(b"", GET.replace(b"/ ", b"/never ") * 8, id="requests whose answers are not waited for"),
    ],
)
def test_what_has_no_end_is_cut_off_before_it_fills_the_memory(connect: Connect, head: bytes, block: bytes) -> None:
    tracemalloc.start()
    try:
        with connect() as connection:
            sent = flood(connection, head, block * 50)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sent < 20_000_000
    assert peak < 5_000_000


def test_trailers_do_not_become_headers(connect: Connect) -> None:
    with connect() as connection:
        connection.sendall(POST + CHUNKED + b"2\r\nhi\r\n0\r\nHost: evil\r\n\r\n" + GET)
        connection.shutdown(socket.SHUT_WR)
        answers = all_of(connection)
    assert answers.count(b"HTTP/1.1 200 OK") >= 1
    assert b"\r\n\r\nhi" in answers


def test_an_answer_before_the_end_of_its_request_is_the_last_and_arrives(connect: Connect) -> None:
    with connect() as connection:
        connection.sendall(EARLY + LENGTH + b"a" * 500_000)
        answer = all_of(connection)
        connection.sendall(b"a" * 400_000)  # a client that sends to the end before it reads is not reset
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"\r\nconnection: close\r\n" in answer


def test_an_idle_connection_is_kept_for_its_own_time_and_a_begun_head_for_less(connect: Connect) -> None:
    with connect() as connection:
        for _ in range(2):
            connection.sendall(GET)
            assert next_of(connection).endswith(b"GET")
            time.sleep(0.4)  # more than a head may take
        connection.sendall(b"GET / HT")
        started = time.monotonic()
        assert all_of(connection) == b""
        assert time.monotonic() - started < 0.4
    with connect() as connection:
        connection.sendall(GET)
        next_of(connection)
        started = time.monotonic()
        assert all_of(connection) == b""
        assert 0.6 < time.monotonic() - started < 3


def test_a_connection_whose_requests_have_ended_goes_on(connect: Connect) -> None:
    with connect() as connection:
        for _ in range(3):
            connection.sendall(EARLY + b"Content-Length: 3\r\n\r\nabc")
            answer = next_of(connection)
            assert answer.endswith(b"\r\n\r\nPOST")
            assert b"connection: close" not in answer


@pytest.mark.parametrize("offer", [b"h2c", b"websocket", b"TLS/1.0"])
@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    "body", [b"Content-Length: 5\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"]
)
def test_an_offer_of_another_protocol_is_ignored(connect: Connect, offer: bytes, at_once: bool, body: bytes) -> None:
    request = POST + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: " + offer + b"\r\nHTTP2-Settings: AAMAAABk\r\n"
    request += body
    with connect() as connection:
        for _ in range(2):
            for part in [request] if at_once else [request[:60], request[60:-6], request[-6:]]:
                connection.sendall(part)
                time.sleep(0.02)
            answer = next_of(connection)
            assert answer.startswith(b"HTTP/1.1 200 OK")
            assert answer.endswith(b"\r\n\r\nhello")


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    "body", [b"Content-Length: 0\r\n\r\n", b"Content-Length: 5\r\n\r\nhello", CHUNKED + b"5\r\nhello\r\n0\r\n\r\n"]
)
@pytest.mark.parametrize(
    ("version", "wish"), [(b"1.1", b"close, upgrade"), (b"1.0", b"upgrade"), (b"1.0", b"keep-alive, upgrade")]
)
def test_an_offer_on_a_connection_that_is_to_be_closed_is_ignored(
    connect: Connect, version: bytes, wish: bytes, body: bytes, at_once: bool
) -> None:
    request = b"POST / HTTP/" + version + b"\r\nHost: x\r\nConnection: " + wish + b"\r\nUpgrade: h2c\r\n" + body
    with connect() as connection:
        for part in [request] if at_once else [request[:40], request[40:-3], request[-3:]]:
            connection.sendall(part)
            time.sleep(0.02)
        answer = all_of(connection)
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert answer.endswith(b"hello" if b"hello" in body else b"POST")


def test_nobody_gets_a_tunnel(connect: Connect) -> None:
    with connect() as connection:
        connection.sendall(b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert all_of(connection).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    "wrong",
    [
        b"get / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nx: a\0b\r\n\r\n",
        POST + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + CHUNKED + b"5\nabcde\r\n",
        POST + CHUNKED + b"fffffffffffffffff\r\n",
        POST + b"x: " + b"a" * 70_000 + b"\r\n\r\n",
        POST + b"a: b\r\n" * 300 + b"\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
        GET + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_what_is_no_request_is_told(connect: Connect, wrong: bytes) -> None:
    with connect() as connection:
        if wrong.startswith(GET):
            connection.sendall(GET)
            assert next_of(connection).endswith(b"GET")
            wrong = wrong.removeprefix(GET)
        connection.sendall(wrong)
        assert all_of(connection).startswith(b"HTTP/1.1 400")
