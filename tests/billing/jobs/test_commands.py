"""The commands: one clear line, the right exit, safe to repeat."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from aforo.access.models import ApiKey
from billing.cycle_end import runs
from billing.jobs import tasks
from billing.lifecycle import subscribing
from billing.models import Settlement, SettlementRun
from billing.quickstart import demo
from tests import factories
from wallets.models import CreditLot

pytestmark = pytest.mark.django_db


def run(command: str, *arguments: str, **options: Any) -> str:
    out = StringIO()
    call_command(command, *arguments, stdout=out, **options)
    return out.getvalue()


def test_the_demo_changes_nothing_the_second_time() -> None:
    first = demo.run()
    before = factories.everything()

    second = demo.run()

    assert factories.everything() == before
    assert second.invoice == first.invoice
    assert [result.body for result in second.debits] == [result.body for result in first.debits]
    assert all(result.replayed for result in second.debits)


def test_verify_ledger_counts_or_names_the_first_bad_row() -> None:
    factories.customer()
    factories.top_up("cust_1", "10")
    assert run("verify_ledger") == (
        "ok: 1 books, 1 entries, 1 lots, 0 burns of cycles, 0 documents, 0 seals, 0 closed months "
        "prove themselves\n"
    )
    CreditLot.objects.update(remaining=9, carrying_remaining=9)

    with pytest.raises(CommandError, match="its movements say 10"):
        run("verify_ledger", customer="cust_1")


def test_verify_ledger_of_an_unknown_customer() -> None:
    with pytest.raises(CommandError, match="There is no customer nobody"):
        run("verify_ledger", customer="nobody")


def test_create_api_key_prints_the_key_alone() -> None:
    secret = run("create_api_key", mode="sandbox", name="ci", scopes="usage,wallets").strip()

    key = ApiKey.objects.get()
    assert secret.startswith("sk_test_")
    assert secret not in key.digest
    assert (key.livemode, key.scopes) == (False, ["usage", "wallets"])
    with pytest.raises(CommandError, match="no scope everything"):
        run("create_api_key", mode="live", name="ci", scopes="everything")


def test_settle_and_sweep_with_nothing_due() -> None:
    assert run("settle").splitlines() == [
        "live: 0 cycles settled for 0 customers, 0 failed",
        "sandbox: 0 cycles settled for 0 customers, 0 failed",
    ]
    before = SettlementRun.objects.count()
    assert run("sweep") == (
        "0 payments answered, 0 cycles settled, 0 lots lapsed, 0 refills begun\n"
    )
    assert SettlementRun.objects.count() == before
    assert run("expire_credits") == "0 lots lapsed\n"


@pytest.mark.usefixtures("eager_tasks")
def test_a_worker_executes_a_run_once() -> None:
    factories.offering()
    factories.customer()
    subscribing.subscribe(
        livemode=False,
        customer_id="cust_1",
        offering="tokens_monthly",
        starts_at=timezone.now() - timedelta(days=32),
    )
    run = runs.start_run(livemode=False, as_of=None, customer_id=None, now=timezone.now())

    tasks.execute_run(str(run.pk))
    tasks.execute_run(str(run.pk))

    run.refresh_from_db()
    assert (run.status, run.due, run.settled) == ("DONE", 1, 1)
    tasks.sweep()
    assert Settlement.objects.count() == 1
