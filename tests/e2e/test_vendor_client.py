"""The vendor's own metering client, in a process of its own, against the served project."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.utils import timezone

from aforo.access.services import create_api_key
from billing.jobs import due_work
from billing.lifecycle import subscribing
from billing.models import Settlement, UsageEvent
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)

# The client's package is called as this project is; outside of the checkout there is only it.
CLIENT = """
import json, sys
from aforo import AforoClient
url, key, occurred_at = sys.argv[1:]
client = AforoClient(api_key=key, options=None, base_url=url, flush_count=50, flush_interval=60)
for replay in range(2):
    for n in range(120):
        client.track(
            customer_id="cust_1", metric_name="tokens", quantity=1.5,
            idempotency_key=f"call-{n}", occurred_at=occurred_at,
            metadata={"model": "m-1", "replay": replay},
        )
    client.flush()
client.track(customer_id="cust_1", metric_name="unheard_of", occurred_at=occurred_at)
client.start_session("s1", customer_id="cust_1")
client.end_session()
client.shutdown()
print(json.dumps({"dropped": client.dropped_count}))
"""


def test_distinct_keys_are_what_is_billed(served_url: str, tmp_path: Path) -> None:
    """120 distinct keys of 1.5 tokens, sent twice: 180 tokens at 0.002 are 0.36."""
    factories.offering()
    factories.customer()
    start = timezone.now() - timedelta(days=20)
    subscribing.subscribe(
        livemode=False, customer_id="cust_1", offering="tokens_monthly", starts_at=start
    )
    _, secret = create_api_key(livemode=False, name="client", scopes=["usage"])
    occurred_at = (timezone.now() - timedelta(days=1)).isoformat()

    done = subprocess.run(
        [sys.executable, "-c", CLIENT, served_url, secret, occurred_at],
        cwd=tmp_path,
        env={"PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )

    assert json.loads(done.stdout) == {"dropped": 1}
    assert UsageEvent.objects.values("key").distinct().count() == 120
    assert UsageEvent.objects.count() == 120
    run = due_work.settle(
        livemode=False,
        as_of=timezone.now() + timedelta(days=20),
        customer_id="cust_1",
        clock=timezone.now,
    )
    assert (run.settled, run.failed) == (1, 0)
    totals = Settlement.objects.get().totals
    assert Decimal(totals["total"]) == Decimal("0.36")
