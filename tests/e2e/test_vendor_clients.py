"""All seven published metering clients, unchanged, in an environment of their own.

Each runs in a process that cannot see this project, whose name the first of them shares, against
the served project; what it metered is then settled.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pytest
from django.db.models import Count
from django.utils import timezone

from aforo.access.services import create_api_key
from billing.jobs import due_work
from billing.lifecycle import subscribing
from billing.models import Settlement, UsageEvent
from tests import factories

pytestmark = [pytest.mark.clients, pytest.mark.django_db(transaction=True)]

PINS = Path(__file__).with_name("vendor_clients.txt")
PRELUDE = """
import asyncio, json, sys, threading
url, key, elsewhere = sys.argv[1:]
settings = dict(tenant_id="t1", product_id="p1", api_key=key, ingestor_url=url)
"""
# Some send a full list in a thread of its own, for which no shutdown waits: it would end unsent.
OUTCOME = """
for thread in threading.enumerate():
    if thread is not threading.current_thread():
        thread.join(30)
print(json.dumps({"dropped": client.dropped_count}))
"""


class Case(NamedTuple):
    """A client's program, what it has to have metered, and how many events it saw refused."""

    program: str
    metered: dict[str, int]
    dropped: int = 1


CASES = {
    "metering": Case(
        """
        from aforo import AforoClient
        client = AforoClient(api_key=key, options=None, base_url=url, flush_interval=60)
        client.start_session("s1", customer_id="cust_1")
        for repeat in range(2):
            for n in range(120):
                client.track(
                    customer_id="cust_1", metric_name="tokens", idempotency_key=f"call-{n}"
                )
            client.flush()
        client.track(customer_id=elsewhere, metric_name="tokens")
        client.end_session()
        client.shutdown()
        """,
        {"tokens": 120},
    ),
    "agent": Case(
        """
        from aforo_agent_metering import AforoAgentClient
        # A flush that it schedules by itself would be cut off by its own shutdown.
        client = AforoAgentClient(**settings, default_customer_id="cust_1", flush_count=1000)

        async def main():
            await client.start()
            for n in range(70):
                client.record_capability("search", "agent-1", session_id="s1", input_tokens=n)
            for n in range(5):
                client.record_step("agent-1", "s1", "THOUGHT", metadata={"n": n})
            client.record_capability("search", "agent-1", customer_id=elsewhere)
            await client.shutdown()

        asyncio.run(main())
        """,
        {"ai_agent.capability_invocations": 70, "ai_agent.steps": 5},
    ),
    "mcp": Case(
        """
        from aforo_mcp_metering import AforoMcpBilling
        client = AforoMcpBilling(**settings)

        @client.wrap_tool_handler
        async def tool(name, arguments=None, **context):
            return {"content": []}

        async def main():
            await client.start()
            for n in range(60):
                await tool("search", {"n": n}, agent_id="cust_1", session_id="s1")
            await tool("search", {}, agent_id=elsewhere)
            await client.end_session()
            await client.shutdown()

        asyncio.run(main())
        """,
        {"mcp_server.tool_invocations": 60},
    ),
    "graphql": Case(
        """
        from aforo_graphql_metering import AforoGraphQlBilling
        client = AforoGraphQlBilling(**settings)
        for customer in ["cust_1"] * 55 + [elsewhere]:
            client.record(customer, "query Q { a { b c } }", "Q", 12, False, result={"data": {}})
        client.shutdown()
        """,
        {"graphql_api.operations": 55},
    ),
    "grpc": Case(
        """
        from aforo_grpc_metering import AforoGrpcBilling
        client = AforoGrpcBilling(**settings, service_name="pkg.Service")
        for customer in ["cust_1"] * 55 + [elsewhere]:
            client.record("Get", "UNARY", customer, "OK", 1, 3, data_bytes=10)
        client.shutdown()
        """,
        {"grpc_api.rpc_calls": 55},
    ),
    "ws": Case(
        """
        from aforo_ws_metering import AforoWsBilling
        client = AforoWsBilling(**settings)
        for customer in ["cust_1"] * 30 + [elsewhere]:
            client.push({"customerId": customer, "wsConnectionId": "c1", "dataBytes": 7})
        client.push({"customerId": "cust_1", "wsConnectionId": "c1", "wsFrameType": "CLOSE"})
        client.shutdown()
        """,
        {"websocket_api.message": 30, "websocket_api.connection_closed": 1},
    ),
    "mqtt": Case(
        """
        from aforo_mqtt_metering import AforoMqttBilling
        client = AforoMqttBilling(**settings)
        event = dict(topic="a/b", qos=1, retained=False, client_id="c1", data_bytes=3)
        for customer in ["cust_1"] * 30 + [elsewhere]:
            client.push(customer_id=customer, event_type="PUBLISH", **event)
        client.push(customer_id="cust_1", event_type="CONNECT", **event)
        client.shutdown()
        """,
        {"mqtt_broker.publish": 30, "mqtt_broker.connect": 1},
    ),
}
METRICS = sorted({metric for case in CASES.values() for metric in case.metered})


@pytest.fixture(scope="session")
def clients_python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The interpreter of an environment that holds the clients and nothing of this project."""
    home = tmp_path_factory.mktemp("clients")
    python = home / "bin" / "python"
    environment = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv:
        make = [uv, "venv", "--quiet", "--python", sys.executable, "--clear", str(home)]
        install = [uv, "pip", "install", "--quiet", "--python", str(python), "-r", str(PINS)]
    else:
        make = [sys.executable, "-m", "venv", str(home)]
        install = [str(python), "-m", "pip", "install", "--quiet", "-r", str(PINS)]
    for command in (make, install):
        subprocess.run(command, env=environment, check=True, timeout=300)
    yield python
    shutil.rmtree(home)


@pytest.mark.parametrize("name", CASES)
def test_what_a_client_meters_is_what_is_billed(
    name: str, clients_python: Path, served_url: str, tmp_path: Path
) -> None:
    """Every metric costs 0.25 a unit, and the client learns of the one event that is refused."""
    case = CASES[name]
    for metric in METRICS:
        factories.metric(metric)
    charges = [
        {
            "code": f"c{number}",
            "model": "PER_UNIT",
            "metric": metric,
            "terms": {"unit_price": "0.25"},
        }
        for number, metric in enumerate(METRICS)
    ]
    factories.offering(charges=charges)
    factories.customer()
    subscribing.subscribe(
        livemode=False,
        customer_id="cust_1",
        offering="tokens_monthly",
        starts_at=timezone.now() - timedelta(days=20),
    )
    _, secret = create_api_key(livemode=False, name=name, scopes=["usage"])

    program = PRELUDE + textwrap.dedent(case.program) + OUTCOME
    done = subprocess.run(
        [str(clients_python), "-I", "-c", program, served_url, secret, "nobody"],
        cwd=tmp_path,
        env={"PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"dropped": case.dropped}, done.stderr
    stored = UsageEvent.objects.values_list("metric__code").annotate(Count("pk"))
    assert dict(stored) == case.metered
    run = due_work.settle(
        livemode=False,
        as_of=timezone.now() + timedelta(days=20),
        customer_id="cust_1",
        clock=timezone.now,
    )
    assert (run.settled, run.failed) == (1, 0)
    total = Decimal(Settlement.objects.get().totals["total"])
    assert total == sum(case.metered.values()) * Decimal("0.25")
