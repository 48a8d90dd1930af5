"""A receiver of webhooks on loopback, which answers as a test says and verifies what it gets by the
package of the standard.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook


class Receiver:
    """What came in, in order; `answers` are the statuses of the next answers, then 200."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.headers: dict[str, str] = {}
        self.answer_body = b"thanks"
        self.hangs = threading.Event()
        self.hangs.set()
        self.got: list[dict[str, Any]] = []
        self.raw: list[tuple[dict[str, str], bytes]] = []
        self.url = ""

    @property
    def seen(self) -> list[tuple[str, str]]:
        return [(event["customer_id"], event["type"]) for event in self.got]

    def verified(self, secret: str, number: int = -1) -> Any:
        """Verify a message as its receiver would; raise where it is not ours."""
        headers, body = self.raw[number]
        return Webhook(secret).verify(body, headers)


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Serve a receiver while the block runs."""
    given = Receiver()
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            with lock:
                given.raw.append(({k.lower(): v for k, v in self.headers.items()}, body))
                given.got.append(json.loads(body))
                status = given.answers.pop(0) if given.answers else 200
            given.hangs.wait(30)
            self.send_response(status)
            for name, value in given.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(given.answer_body)))
            self.end_headers()
            self.wfile.write(given.answer_body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    given.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield given
    finally:
        given.hangs.set()
        server.shutdown()
        server.server_close()
        thread.join()
