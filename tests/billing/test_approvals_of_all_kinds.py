"""Every kind of what a second person may have to approve: it waits, and is done as it was asked."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from aforo import actors
from aforo.access.models import ConfigurationChange
from aforo.actors import Actor, ActorKind
from billing import approvals
from billing.models import BankPayment, Invoice, TaxRate
from ledger import approvals as gate
from ledger.approvals import AboveAuthority, Asked
from ledger.controls import adjustments, policies
from ledger.models import (
    ApprovalLimit,
    ApprovalRequest,
    Entry,
    ExchangeRate,
    GlMapping,
    ManualAdjustment,
)
from tests import factories
from tests.billing.adjustments import test_corrections as corrected
from tests.billing.invoicing import test_customer_credit as credited
from tests.billing.invoicing import test_write_offs as written_off
from tests.billing.invoicing.test_write_offs import balances, billed, holds
from wallets.models import CreditLot

pytestmark = pytest.mark.django_db
D = Decimal


def limit(
    action: str, amount: str = "0", currency: str = "USD", *, livemode: bool = False, **whose: Any
) -> ApprovalLimit:
    """Return a limit that two people have set, since 2020."""
    now = timezone.now()
    proposal = ApprovalLimit(
        livemode=livemode, action=action, currency=currency, amount=D(amount),
        starts_at=now - timedelta(days=2500), evidence="Board, 3 January.", **whose,
    )  # fmt: skip
    policies.propose(proposal, by=factories.person("ann"), now=now)
    return policies.approve(proposal, by=factories.person("bob"), now=now)


def approve(by: str = "cleo") -> object:
    waiting = ApprovalRequest.objects.get()
    return approvals.approve(request_id=waiting.pk, by=factories.person(by), now=timezone.now())


def last_entry() -> dict[str, Any]:
    """Return the document of the last entry, whose approver it names."""
    document = Entry.objects.latest("recorded_at").document
    assert document["approval"] == str(ApprovalRequest.objects.get().pk)
    assert document["approved_by"] == f"STAFF:{factories.person('cleo').pk}"
    return dict(document)


def test_a_write_off_by_what_is_open(api: APIClient) -> None:
    """500 are billed, 300 paid: 200 are above 199.99."""
    billed()
    written_off.pay(api, "300")
    limit("WRITE_OFF", "199.99")
    before = factories.everything()[1:5]

    answer = written_off.ask(api, "write-off", reason="insolvent")

    assert answer.status_code == 202, answer.content
    waiting = ApprovalRequest.objects.get()
    assert answer.json() == {"approval": str(waiting.pk), "status": "PENDING"}
    assert (waiting.amount, waiting.currency, waiting.content["reason"]) == (
        200,
        "USD",
        "insolvent",
    )
    assert factories.everything()[1:5] == before
    assert Invoice.objects.get().status == "OPEN"

    approve()

    assert Invoice.objects.get().status == "UNCOLLECTIBLE"
    assert balances("6200") == ["200"]
    assert last_entry()["reason"] == "insolvent"
    assert Entry.objects.latest("recorded_at").actor_kind == "API_KEY"
    assert holds()


def test_a_write_off_that_is_not_above(api: APIClient) -> None:
    billed()
    limit("WRITE_OFF", "500")

    written_off.write_off(api)

    assert ApprovalRequest.objects.count() == 0
    assert "approved_by" not in Entry.objects.latest("recorded_at").document


def test_what_cannot_be_written_off_never_waits(api: APIClient) -> None:
    billed()
    written_off.pay(api, "500")
    limit("WRITE_OFF")

    assert written_off.ask(api, "write-off", reason="x").status_code == 409
    assert ApprovalRequest.objects.count() == 0


def test_a_refund_of_what_is_owed(api: APIClient) -> None:
    credited.owed(billed(), "2210", "30")
    limit("CREDIT_REFUND", "10")

    assert credited.refund(api, "10", "r1").status_code == 201
    assert credited.refund(api, "15", "r2").status_code == 202
    assert credited.credit(api) == {"USD": "20"}

    approve()

    assert credited.credit(api) == {"USD": "5"}
    assert last_entry()["reference"] == "wire 7"


def test_a_correction_of_a_settlement_by_its_sum(api: APIClient) -> None:
    """50,000 tokens are 120.00 with tax, open on an invoice; 20 less are 24."""
    corrected.lived("POSTPAID")
    limit("ADJUSTMENT", "19.99")

    assert corrected.ask(api, "-30", "10").status_code == 202
    assert balances("1100") == ["120"]

    approve()

    assert balances("1100") == ["96"]
    assert last_entry()["approved_by"].startswith("STAFF:")
    assert holds()


def test_tax_rates_are_added_and_ended_by_two(api: APIClient) -> None:
    limit("TAX_RATE", currency="")
    body = {"name": "IVA", "country": "es", "percent": "21", "valid_from": "2026-03-01T00:00:00Z"}

    answer = api.post("/v1/tax-rates", body)

    assert answer.status_code == 202, answer.content
    assert TaxRate.objects.count() == 0
    assert api.post("/v1/tax-rates", body | {"percent": "101"}).status_code == 422

    approve()

    made = TaxRate.objects.get()
    assert (made.country, made.percent, made.livemode) == ("ES", 21, False)
    change = ConfigurationChange.objects.get(table_name="billing_taxrate")
    assert change.actor_kind == "API_KEY"
    assert change.reason.startswith("Approval ")
    assert change.reason.endswith(f"by STAFF:{factories.person('cleo').pk}")

    until = {"valid_until": "2026-04-01T00:00:00Z"}
    assert api.post(f"/v1/tax-rates/{made.pk}/end", until).status_code == 202
    assert TaxRate.objects.filter(valid_until=None).count() == 1
    waiting = ApprovalRequest.objects.get(approved_at=None)
    approvals.approve(request_id=waiting.pk, by=factories.person("cleo"), now=timezone.now())
    ended = TaxRate.objects.get().valid_until
    assert ended is not None
    assert ended.isoformat() == "2026-04-01T00:00:00+00:00"


class TestMappings:
    FORM: ClassVar = {
        "account": "2100",
        "currency": "",
        "starts_on": "2026-01-01",
        "gl_code": "40100",
    }

    @pytest.fixture(autouse=True)
    def decided(self, db: None) -> None:
        limit("MAPPING", currency="", livemode=True)

    def test_a_rule_is_written_changed_and_deleted_by_two(
        self, admin_client: Client, admin_user: User
    ) -> None:
        added = admin_client.post(reverse("admin:ledger_glmapping_add"), self.FORM, follow=True)
        assert "waits for another person" in added.text
        assert "was added" not in added.text
        assert GlMapping.objects.count() == 0
        approve()
        rule = GlMapping.objects.get()
        assert (rule.account_id, rule.gl_code, rule.starts_on) == (
            "2100", "40100", date(2026, 1, 1),
        )  # fmt: skip

        page = reverse("admin:ledger_glmapping_change", args=[rule.pk])
        changed = admin_client.post(page, self.FORM | {"gl_code": "40200"}, follow=True)
        assert "waits for another person" in changed.text
        self._approve_next()
        rule.refresh_from_db()
        assert rule.gl_code == "40200"

        gone = reverse("admin:ledger_glmapping_delete", args=[rule.pk])
        deleted = admin_client.post(gone, {"post": "yes"}, follow=True)
        assert "waits for another person" in deleted.text
        assert GlMapping.objects.count() == 1
        self._approve_next()
        assert GlMapping.objects.count() == 0

        admin_client.post(reverse("admin:ledger_glmapping_add"), self.FORM)
        waiting = ApprovalRequest.objects.get(approved_at=None)
        with pytest.raises(policies.SamePerson):
            approvals.approve(request_id=waiting.pk, by=admin_user, now=timezone.now())

    def _approve_next(self) -> None:
        waiting = ApprovalRequest.objects.get(approved_at=None)
        approvals.approve(request_id=waiting.pk, by=factories.person("cleo"), now=timezone.now())


def test_exchange_rates_from_a_file_and_by_hand(admin_client: Client, tmp_path: Path) -> None:
    limit("EXCHANGE_RATE", currency="", livemode=True)
    path = tmp_path / "rates.csv"
    path.write_text("day,currency,rate\n2026-02-02,EUR,1.085\n2026-02-03,EUR,1.09\n")

    call_command("import_rates", str(path), "--source", "ECB")

    assert ExchangeRate.objects.count() == 0
    approve()
    assert list(ExchangeRate.objects.order_by("day").values_list("day", "rate", "source")) == [
        (date(2026, 2, 2), D("1.085"), "ECB"),
        (date(2026, 2, 3), D("1.09"), "ECB"),
    ]

    form = {"currency": "GBP", "day": "2026-02-02", "rate": "1.2", "source": "ECB"}
    page = admin_client.post(reverse("admin:ledger_exchangerate_add"), form, follow=True)
    assert "waits for another person" in page.text
    assert ExchangeRate.objects.count() == 2


def test_opening_balances_of_a_file_wait_together(tmp_path: Path) -> None:
    """Money by its face, units by what they carry: 60 + 30 + 10.50 are above 100."""
    limit("IMPORT", "100", livemode=True)
    for key in ("one", "two"):
        factories.customer(key, livemode=True)
    factories.metric("tokens", livemode=True)
    columns = "customer_id,kind,currency,metric,quantity,carrying,expires_at,priority,external_id\n"
    path = tmp_path / "balances.csv"
    path.write_text(
        columns + "one,CASH,USD,,60,50,2030-01-01T00:00:00Z,,a\none,PROMO,USD,,30,,,,b\n"
        "two,CASH,USD,tokens,9000,10.5,,7,c\n"
    )

    call_command("import_balances", str(path))

    assert CreditLot.objects.count() == 0
    waiting = ApprovalRequest.objects.get()
    assert (waiting.action, waiting.amount, waiting.book) == ("IMPORT", D("100.5"), None)
    approve()
    lots = CreditLot.objects.order_by("cause")
    assert [(each.kind, each.face, each.carrying, each.priority) for each in lots] == [
        ("CASH", 60, 50, 100), ("PROMO", 30, 0, 100), ("CASH", 9000, D("10.5"), 7),
    ]  # fmt: skip
    assert lots[0].expires_at is not None
    assert lots[0].expires_at.isoformat() == "2030-01-01T00:00:00+00:00"
    assert last_entry()["actor"]["kind"] == "JOB"


def test_a_file_of_the_bank_waits_whole(tmp_path: Path) -> None:
    book = billed()
    limit("IMPORT", "499.99")
    number = Invoice.objects.get(customer=book.pk).number
    path = tmp_path / "bank.csv"
    path.write_text(
        f"account,booked_on,amount,currency,text\nES1,2026-02-03,500.00,USD,Invoice {number}\n"
    )

    call_command("import_payments", str(path), "--mode", "sandbox")

    assert BankPayment.objects.count() == 0
    approve()
    assert BankPayment.objects.get().state == "MATCHED"
    assert Invoice.objects.get().status == "PAID"
    assert last_entry()["approved_by"].startswith("STAFF:")
    with pytest.raises(policies.Decided):
        approve("dan")


class TestRoles:
    """The limit of a role: what its members do alone, and what they approve of others."""

    def _is_above(self, who: str, amount: str) -> bool:
        asked = Asked("GOODWILL", "x", {}, False, timezone.now(), D(amount), "USD")
        with actors.acting(Actor(ActorKind.STAFF, str(factories.person(who).pk))):
            return gate.is_above(asked)

    def test_goes_before_the_one_for_all_and_of_several_the_highest_counts(self, db: None) -> None:
        small, large = Group.objects.create(name="Small"), Group.objects.create(name="Large")
        limit("GOODWILL", "10")
        limit("GOODWILL", "50", role=small)
        limit("GOODWILL", "500", role=large)
        factories.person("sam").groups.add(small)
        factories.person("eve").groups.add(small, large)

        assert [self._is_above("joe", each) for each in ("10", "10.01")] == [False, True]
        assert [self._is_above("sam", each) for each in ("50", "50.01")] == [False, True]
        assert [self._is_above("eve", each) for each in ("500", "500.01")] == [False, True]

    def test_nobody_approves_above_the_limit_of_their_roles(self, api: APIClient) -> None:
        approvers = Group.objects.create(name="Approvers")
        billed()
        limit("WRITE_OFF", "100")
        limit("WRITE_OFF", "499.99", role=approvers)
        factories.person("cleo").groups.add(approvers)
        written_off.ask(api, "write-off", reason="insolvent")
        before = factories.everything()

        with pytest.raises(AboveAuthority, match=r"up to 499\.99 USD"):
            approve("cleo")

        assert factories.everything() == before
        assert ApprovalRequest.objects.get().status == "PENDING"
        approve("dan")
        assert Invoice.objects.get().status == "UNCOLLECTIBLE"

    def test_that_holds_for_corrections_of_the_books_too(self, db: None) -> None:
        approvers = Group.objects.create(name="Approvers")
        limit("ADJUSTMENT", "9.69", livemode=True, role=approvers)
        factories.person("cleo").groups.add(approvers)
        line = adjustments.Amount("1000", "1010", D("9.70"), "USD")
        proposal = adjustments.propose_adjustment(
            livemode=True, reason="PROCESSOR", occurred_at=factories.START, evidence="Payout.",
            lines=[line], by=factories.person("ann"), now=timezone.now(),
        )  # fmt: skip

        with pytest.raises(AboveAuthority):
            adjustments.approve_adjustment(
                adjustment_id=proposal.pk, by=factories.person("cleo"), now=timezone.now()
            )
        assert ManualAdjustment.objects.get().status == "PROPOSED"
        assert Entry.objects.count() == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"action": "MAPPING", "currency": "USD"},
        {"action": "TAX_RATE", "currency": "", "amount": D(1)},
        {"action": "GOODWILL", "currency": ""},
        {"action": "GOODWILL", "currency": "USD", "amount": D(-1)},
    ],
)
def test_a_limit_has_a_currency_where_there_are_amounts(db: None, wrong: dict[str, Any]) -> None:
    now = timezone.now()
    with pytest.raises(IntegrityError, match="ledger_approvallimit"), transaction.atomic():
        ApprovalLimit.objects.create(
            starts_at=now,
            evidence="x",
            proposed_by=factories.person("ann"),
            proposed_at=now,
            **wrong,
        )
