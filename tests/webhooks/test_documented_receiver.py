"""The receiver of docs/engineers.md, run as it is printed."""

from __future__ import annotations

import re
import threading
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.utils import timezone

from aforo.webhooks import delivery
from aforo.webhooks.models import OutboxEvent, WebhookDelivery
from tests.webhooks.sent import endpoint, happen

pytestmark = pytest.mark.django_db

PAGE = Path(__file__).parents[2] / "docs" / "engineers.md"


def printed() -> dict[str, Any]:
    """Execute the snippet; return what it defines."""
    snippets = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (code,) = (each for each in snippets if "class Receiver" in each)
    names: dict[str, Any] = {}
    exec(code, names)
    return names


def test_it_takes_what_is_ours_and_refuses_the_rest(settings: LazySettings) -> None:
    settings.WEBHOOK_LOOPBACK = True
    names = printed()
    server = ThreadingHTTPServer(("127.0.0.1", 0), names["Receiver"])
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    _, names["Receiver"].secret = endpoint(f"http://127.0.0.1:{server.server_port}/")
    happen("acme")
    try:
        delivery.deliver_due(clock=timezone.now)
        names["Receiver"].secret = "whsec_" + "A" * 43 + "="
        happen("other")
        delivery.deliver_due(clock=timezone.now)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

    mine = OutboxEvent.objects.get(customer_id="acme")
    assert list(names["handled"]) == [str(mine.pk)]
    answers = WebhookDelivery.objects.order_by("id").values_list("status", "response_status")
    assert list(answers) == [("DELIVERED", 204), ("PENDING", 400)]
