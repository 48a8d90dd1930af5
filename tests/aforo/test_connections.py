"""Slow clients take no thread, and a server that is told to end waits for no idle connection."""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx
import pytest

from aforo.serving.connections import MAX_BODY, MAX_HEAD, TooLarge, length_of
from tests import serving

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
HALVES = {
    "nothing": b"",
    "a line": b"POST /v1/wallets/debit HTTP/1.1\r\n",
    "half a head": b"POST /v1/wallets/debit HTTP/1.1\r\nHost: localhost\r\nContent-Le",
    "half a body": b"POST /v1/wallets/debit HTTP/1.1\r\nContent-Length: 50\r\n\r\n{",
    "half of its chunks": (
        b"POST /v1/wallets/debit HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"
    ),
    "half a second one": GET + b"POST /v1/wallets/debit HTTP/1.1\r\nContent-Length: 9",
}


@pytest.mark.parametrize(
    ("received", "length"),
    [
        (GET, len(GET)),
        (GET + GET, len(GET)),
        (GET[:-1], None),
        (b"POST / HTTP/1.1\r\ncontent-LENGTH:  3 \r\n\r\nab", 43),
        (b"POST / HTTP/1.1\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", None),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=1\r\nabc\r\n0\r\n\r\nGET", 64),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n", 58),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 51),
    ],
)
def test_how_long_the_first_request_is(received: bytes, length: int | None) -> None:
    assert length_of(bytearray(received)) == length


@pytest.mark.parametrize(
    "received",
    [
        b"GET / HTTP/1.1\r\nX: " + b"y" * MAX_HEAD,
        b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1),
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n",
    ],
)
def test_what_is_too_large_is_not_waited_for(received: bytes) -> None:
    with pytest.raises(TooLarge):
        length_of(bytearray(received))


@contextmanager
def half_sent(url: str, sent: bytes, number: int = 60) -> Iterator[list[socket.socket]]:
    """Open so many connections that send a part of a request and no more."""
    address = urlsplit(url)
    assert address.hostname is not None
    opened = [
        socket.create_connection((address.hostname, address.port or 80)) for _ in range(number)
    ]
    try:
        for each in opened:
            each.sendall(sent)
        yield opened
    finally:
        for each in opened:
            each.close()


def is_refused(url: str) -> bool:
    """Return whether nobody listens any more."""
    try:
        with half_sent(url, GET, 1):
            return False
    except OSError as error:
        return isinstance(error, ConnectionRefusedError)


@pytest.mark.xdist_group("served")
@pytest.mark.parametrize("what", HALVES)
def test_sixty_half_sent_requests_keep_nobody_waiting(
    served_url: serving.Served, what: str
) -> None:
    """There are 2 x 25 threads: if one waited for each of these, nobody would be answered before
    the first of them is given up.
    """
    with half_sent(served_url, HALVES[what]) as opened:
        if HALVES[what].startswith(GET):
            for each in opened:
                while b'{"status": "ok"}' not in each.recv(4096):
                    pass  # The head alone.
        with httpx.Client(base_url=served_url, timeout=None) as client:
            assert client.post("/v1/wallets/debit", content=b"{}").status_code == 401
            # All of them are still waited for.
            assert select.select(opened, [], [], 0)[0] == []


@pytest.mark.xdist_group("served")
def test_what_does_not_arrive_in_time_is_refused(served_url: serving.Served) -> None:
    with half_sent(served_url, HALVES["half a head"], 3) as opened:
        for each in opened:
            each.settimeout(60)
            assert each.recv(4096).startswith(b"HTTP/1.1 408 ")


@pytest.mark.xdist_group("served")
def test_requests_arrive_in_pieces_and_one_behind_the_other(served_url: serving.Served) -> None:
    body = b'{"customer_id": "nobody"}'
    post = (
        b"POST /v1/wallets/debit HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
        % len(body)
    )
    with half_sent(served_url, b"\r\n", 1) as (client,):
        client.settimeout(30)
        for byte in post + body:
            client.sendall(bytes([byte]))
        assert client.recv(65536).startswith(b"HTTP/1.1 401 ")
        client.sendall(GET + GET + GET[:20])
        received = b""
        while received.count(b'{"status": "ok"}') < 2:
            received += client.recv(65536)
        client.sendall(GET[20:])
        while received.count(b'{"status": "ok"}') < 3:
            received += client.recv(65536)


@pytest.mark.xdist_group("served")
def test_a_client_that_asks_first_may_go_on_and_a_large_body_may_not(
    served_url: serving.Served,
) -> None:
    head = b"POST /v1/wallets/debit HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
    with half_sent(served_url, head + b"Content-Length: 2\r\n\r\n", 1) as (client,):
        client.settimeout(30)
        assert client.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"{}")
        assert client.recv(4096).startswith(b"HTTP/1.1 401 ")
    with half_sent(served_url, head + b"Content-Length: 99999999\r\n\r\n", 1) as (client,):
        client.settimeout(30)
        answer = client.recv(4096)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"application/problem+json" in answer


@pytest.mark.xdist_group("served")
@pytest.mark.django_db(transaction=True)
def test_told_to_end_it_waits_for_no_idle_connection() -> None:
    with serving.serve() as url, half_sent(url, b"", 9) as idle, half_sent(url, GET, 9) as kept:
        for each in kept:
            # Head and body may come one after the other.
            with each.makefile("rb") as answer:
                assert answer.readline().split()[1] == b"200"
                lines = iter(answer.readline, b"\r\n")
                head = dict(line.lower().split(b": ", 1) for line in lines)
                assert answer.read(int(head[b"content-length"])) == b'{"status": "ok"}'
        os.kill(url.pid, signal.SIGTERM)
        # The server closes them, not the clients, who have 15 seconds as long as it runs.
        assert [each.recv(4096) for each in (*idle, *kept)] == [b""] * 18
        # A process that is ending may hold the listening socket a moment longer.
        for _ in range(600):
            if is_refused(url):
                break
            time.sleep(0.1)
        assert is_refused(url)
