"""The checklist of a close: its steps, who may close, and the estimates of a closed month."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction

from billing.finance import closing
from ledger import account_mapping
from ledger.controls import adjustments, policies
from ledger.models import (
    AccountingPeriod,
    BreakageRate,
    CloseStep,
    Policy,
    ProvisionMatrix,
    Seal,
)
from tests import factories
from tests.billing.finance.test_allowance import PERCENTS
from tests.billing.finance.test_closing import FEBRUARY_5, append, close
from tests.ledger.seals.tampering import guards_off, sql

pytestmark = pytest.mark.django_db


class TestChecklist:
    def test_each_step_is_a_row_and_stands_in_the_pack(self) -> None:
        factories.customer(livemode=True)

        pack = close()

        steps = list(CloseStep.objects.order_by("pk"))
        assert [each.step for each in steps] == [
            "swept", "month's end reached", "breakage accrued", "allowance adjusted",
            "corrections decided", "cycles settled", "sealed", "tied out", "reports made",
        ]  # fmt: skip
        assert {(each.by, each.number, each.done_at) for each in steps} == {("ann", 1, FEBRUARY_5)}
        files = {file.name: file.content for file in pack.files.all()}
        checklist = json.loads(files["checklist.json"])
        assert [each["step"] for each in checklist["steps"]] == [each.step for each in steps]
        named = {each["step"]: each["evidence"] for each in checklist["steps"]}
        seal = Seal.objects.filter(livemode=True).latest("number")
        assert named["sealed"] == {"number": seal.number, "hash": seal.hash}
        assert named["tied out"]["sha256"] == checklist["files"]["tie-outs.csv"]
        assert named["reports made"]["trial-balance.csv"] == checklist["files"]["trial-balance.csv"]
        assert checklist["mapping_version"] == account_mapping.read().version
        assert json.loads(files["policies.json"])["policy"]["breakage_method"] == "REMOTE"

    def test_a_refused_close_leaves_the_steps_it_had_completed(self) -> None:
        book = factories.customer(livemode=True)
        append(book, datetime(2026, 1, 20, tzinfo=UTC))
        with guards_off("ledger_posting"):
            sql("UPDATE ledger_posting SET credit_id = '2100'")

        with pytest.raises(closing.NotReady):
            close()

        assert CloseStep.objects.latest("pk").step == "sealed"

    @pytest.mark.parametrize("name", ["nobody", "leaver"])
    def test_only_staff_closes(self, name: str) -> None:
        leaver = factories.person("leaver")
        leaver.is_active = False
        leaver.save(update_fields=["is_active"])

        with pytest.raises(CommandError, match=f"There is no member of staff {name}"):
            call_command("close_period", "2026-01", "--by", name)

        assert AccountingPeriod.objects.count() == CloseStep.objects.count() == 0

    def test_a_correction_of_the_month_that_nobody_decided_on_refuses(self) -> None:
        adjustments.propose_adjustment(
            livemode=True, reason="PROCESSOR", occurred_at=datetime(2026, 1, 31, tzinfo=UTC),
            evidence="Payout report.", by=factories.person("ann"), now=FEBRUARY_5,
            lines=[adjustments.Amount("1000", "1010", Decimal(5), "USD")],
        )  # fmt: skip

        with pytest.raises(closing.NotReady, match="1 corrections of the month wait"):
            close()

        assert AccountingPeriod.objects.get().status == "PENDING_CLOSE"


class TestEstimates:
    """January is closed: an estimate from a day of it on would say other figures than its pack."""

    @pytest.mark.parametrize("model", [Policy, BreakageRate, ProvisionMatrix])
    @pytest.mark.parametrize("starts_on", [date(2025, 2, 1), date(2026, 1, 31)])
    def test_none_starts_in_a_closed_month(
        self, model: type[Policy | BreakageRate | ProvisionMatrix], starts_on: date
    ) -> None:
        close()
        proposed = self.proposed(model, starts_on)

        with pytest.raises(policies.StartsInClosedMonth):
            policies.approve(proposed, by=factories.person("bob"), now=FEBRUARY_5)
        with pytest.raises(IntegrityError, match="closed month"), transaction.atomic():
            model.objects.update(approved_by=factories.person("bob"), approved_at=FEBRUARY_5)

        proposed.refresh_from_db()
        assert proposed.approved_at is None

    @pytest.mark.parametrize("model", [Policy, BreakageRate, ProvisionMatrix])
    def test_a_change_of_estimate_starts_in_the_open_month(
        self, model: type[Policy | BreakageRate | ProvisionMatrix]
    ) -> None:
        close()
        proposed = self.proposed(model, date(2026, 2, 1))

        policies.approve(proposed, by=factories.person("bob"), now=FEBRUARY_5)

        assert proposed.is_approved

    def proposed(
        self, model: type[Policy | BreakageRate | ProvisionMatrix], starts_on: date
    ) -> Policy | BreakageRate | ProvisionMatrix:
        terms: dict[type, dict[str, Any]] = {
            Policy: {}, BreakageRate: {"kind": "CASH", "percent": 5}, ProvisionMatrix: PERCENTS,
        }  # fmt: skip
        made = model(livemode=True, starts_on=starts_on, evidence="A memo.", **terms[model])
        return policies.propose(made, by=factories.person("ann"), now=FEBRUARY_5)
