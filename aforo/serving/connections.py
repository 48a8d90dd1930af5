"""Read requests as they arrive, and pass them to a thread only once they are whole.

A thread that waits for the rest of a request answers nobody else, and a few dozen clients that
never send theirs would take all of them. Here one loop reads for all connections; what is not
there in time is refused, and no thread has waited for it.
"""

from __future__ import annotations

import re
import selectors
import socket
import struct
import time
from functools import partial
from typing import Any, Final

from gunicorn.workers.gthread import TConn, ThreadWorker

from aforo import errors

# From the first byte to the end of the head, and to the end of the body.
HEAD_SECONDS: Final = 10
BODY_SECONDS: Final = 60
# A client that does not read its answer for this long has gone.
ANSWER_SECONDS: Final = 30
MAX_HEAD: Final = 64 * 1024
# The largest request, and how many bytes of unfinished requests a process buffers in all.
MAX_BODY: Final = 8 * 1024 * 1024
MAX_KEPT: Final = 256 * 1024 * 1024
_PIECE: Final = 256 * 1024

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,18})[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked[ \t]*\r\n", re.IGNORECASE)
_EXPECT = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*(?=\r\n)", re.IGNORECASE)

# The words of the status line, and the code that the same refusal has elsewhere.
_REASONS: Final = {
    408: ("Request Timeout", errors.RequestTimeout.default_code),
    413: ("Content Too Large", errors.TooLarge.default_code),
    503: ("Service Unavailable", errors.Busy.default_code),
}


class TooLarge(Exception):
    """A head or a body beyond what is taken."""


def length_of(received: bytearray) -> int | None:
    """Return how many bytes the first request has, or None while that cannot be said.

    What is malformed counts as whole: the parser that it is given to refuses it.
    Raises: TooLarge.
    """
    end = received.find(b"\r\n\r\n")
    if end < 0:
        if len(received) > MAX_HEAD:
            raise TooLarge
        return None
    head, body = bytes(received[: end + 2]), end + 4
    if _CHUNKED.search(head):
        return _end_of_chunks(received, body)
    found = _LENGTH.search(head)
    length = int(found[1]) if found else 0
    if length > MAX_BODY:
        raise TooLarge
    return body + length


def _end_of_chunks(received: bytearray, start: int) -> int | None:
    at = start
    while (line := received.find(b"\r\n", at)) >= 0:
        try:
            size = int(bytes(received[at:line]).partition(b";")[0], 16)
        except ValueError:
            return len(received)
        if size == 0:
            trailer = received.find(b"\r\n\r\n", line)
            return None if trailer < 0 else trailer + 4
        at = line + 2 + size + 2
        if size < 0 or at - start > MAX_BODY + MAX_HEAD:
            raise TooLarge
    if len(received) - start > MAX_BODY + MAX_HEAD:
        raise TooLarge
    return None


class Connection(TConn):  # type: ignore[misc]
    """A client's connection, with what has arrived of its next request."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.received = bytearray()
        self.deadline = 0.0
        self.is_head_known = False
        # The kernel's limits hold whatever mode a thread sets the socket to.
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            limit = struct.pack("ll", ANSWER_SECONDS, 0)
            self.sock.setsockopt(socket.SOL_SOCKET, option, limit)

    @property
    def length(self) -> int | None:
        """How long the first request is, once its head is there."""
        return length_of(self.received) if self.received else None


class Worker(ThreadWorker):  # type: ignore[misc]
    """Gunicorn's threads, without any of them waiting for a client."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.reading: set[Connection] = set()
        self.kept = 0
        self.looked_at = 0.0

    def accept(self, listener: socket.socket) -> None:
        """Accept a connection, and read what has arrived on it."""
        try:
            client, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        self.nr_conns += 1
        connection = Connection(self.cfg, client, address, listener.getsockname())
        connection.init()
        self._await(connection)

    def on_client_socket_readable(self, conn: Connection, client: socket.socket) -> None:
        """Read on from a connection that was kept."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._await(conn)

    def finish_request(self, conn: Connection, fs: Any) -> None:
        """Close a connection or wait on it; serve the next request at once if it is there."""
        super().finish_request(conn, fs)
        if conn.received and conn in self.keepalived_conns:
            self.on_client_socket_readable(conn, conn.sock)

    def murder_pending(self) -> None:
        """Refuse the requests that have not arrived in time; looks once a second."""
        now = time.monotonic()
        if now - self.looked_at < 1:
            return
        self.looked_at = now
        for connection in [each for each in self.reading if each.deadline <= now]:
            self._refuse(connection, 408)

    def _cap_keepalive(self, deadline: float) -> None:
        """Close, while the worker ends, the connections on which nothing has arrived."""
        super()._cap_keepalive(deadline)
        for connection in [each for each in self.reading if not each.received]:
            self._drop(connection)

    def _await(self, connection: Connection) -> None:
        connection.sock.settimeout(0)
        # Whoever has sent nothing has the time of any idle connection.
        connection.deadline = time.monotonic() + self.cfg.keepalive
        connection.is_head_known = False
        self.reading.add(connection)
        self.kept += len(connection.received)
        self.poller.register(
            connection.sock, selectors.EVENT_READ, partial(self._on_readable, connection)
        )
        if connection.received:
            self._begin_head(connection)
        self._on_readable(connection, connection.sock)

    def _begin_head(self, connection: Connection) -> None:
        connection.deadline = time.monotonic() + HEAD_SECONDS

    def _on_readable(self, connection: Connection, _socket: object) -> None:
        try:
            piece = connection.sock.recv(_PIECE)
        except BlockingIOError:
            piece = None
        except OSError:
            piece = b""
        if piece == b"":
            self._drop(connection)
            return
        if piece and not connection.received:
            # Empty lines before a request are nothing (RFC 9112, section 2.2).
            piece = piece.lstrip(b"\r\n")
        if piece:
            if not connection.received:
                self._begin_head(connection)
            connection.received += piece
            self.kept += len(piece)
        self._look(connection)

    def _look(self, connection: Connection) -> None:
        """Pass a whole request to a thread, or go on waiting for the rest."""
        try:
            length = connection.length
        except TooLarge:
            self._refuse(connection, 413)
            return
        if length is None or length > len(connection.received):
            if self.kept > MAX_KEPT:
                self._refuse(connection, 503)
            elif not connection.is_head_known and b"\r\n\r\n" in connection.received:
                self._begin_body(connection)
            return
        self._stop_reading(connection)
        request = bytes(connection.received[:length])
        del connection.received[:length]
        connection.parser.unreader.unread(request)
        self.enqueue_req(connection)

    def _begin_body(self, connection: Connection) -> None:
        connection.is_head_known = True
        connection.deadline = time.monotonic() + BODY_SECONDS
        head_end = connection.received.index(b"\r\n\r\n")
        expected = _EXPECT.search(bytes(connection.received[: head_end + 2]))
        if expected:
            # Answered here, and so not again by whoever reads the body.
            del connection.received[expected.start() : expected.end()]
            self.kept -= expected.end() - expected.start()
            self._send(connection, b"HTTP/1.1 100 Continue\r\n\r\n")

    def _refuse(self, connection: Connection, status: int) -> None:
        reason, code = _REASONS[status]
        body = (
            f'{{"type": "about:blank", "title": "{reason}", "status": {status}, "code": "{code}"}}'
        )
        answer = (
            f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/problem+json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}"
        )
        if connection.received:
            self._send(connection, answer.encode())
        self._drop(connection)

    def _send(self, connection: Connection, answer: bytes) -> None:
        try:
            connection.sock.send(answer)
        except OSError:
            connection.deadline = 0

    def _stop_reading(self, connection: Connection) -> None:
        self.reading.discard(connection)
        self.kept -= len(connection.received)
        self.poller.unregister(connection.sock)

    def _drop(self, connection: Connection) -> None:
        self._stop_reading(connection)
        self.nr_conns -= 1
        connection.close()
