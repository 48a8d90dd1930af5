"""Budgets in the back office: made, changed and ended by their services."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tests import factories
from tests.wallets.budgets.spending import debit
from wallets.models import Budget, BudgetChange

pytestmark = pytest.mark.django_db

LIST = "admin:wallets_budget_changelist"
PAGE = "admin:wallets_budget_change"


@pytest.fixture(autouse=True)
def customer() -> None:
    factories.clocked_customer()
    factories.top_up("cust_1", "100")
    factories.budget("other", "1", match={"x": "y"})


def sent(**more: Any) -> dict[str, Any]:
    book = Budget.objects.get(code="other").book
    return {
        "book": book.pk, "code": "search", "match": "team=search\n\n", "currency": "USD",
        "limit": "50", "window": "DAY", "hard": "on", "active": "on", "alert_at": "50,100",
    } | more  # fmt: skip


def test_one_is_made_shown_changed_and_ended(admin_client: Client) -> None:
    made = admin_client.post(reverse("admin:wallets_budget_add"), sent())

    assert made.status_code == 302, made.context["errors"]
    budget = Budget.objects.get(code="search")
    assert (budget.match, budget.limit, budget.alert_at) == ({"team": "search"}, 50, [50, 100])
    debit("20")
    page = admin_client.get(reverse(PAGE, args=[budget.pk])).content.decode()
    assert len(re.findall(r">\s*20\s*<", page)) == 1, "what it has counted"
    assert "team = search" in admin_client.get(reverse(LIST)).content.decode()
    terms = {"limit": "60", "hard": "on", "active": "on", "alert_at": "50,100"}
    for inline in ("counters", "changes"):
        terms |= {f"{inline}-TOTAL_FORMS": "0", f"{inline}-INITIAL_FORMS": "0"}
    admin_client.post(reverse(PAGE, args=[budget.pk]), terms)
    budget.refresh_from_db()
    assert budget.limit == Decimal(60)
    admin_client.post(reverse("admin:wallets_budget_delete", args=[budget.pk]), {"post": "yes"})
    budget.refresh_from_db()
    assert budget.ended_at is not None
    changes = BudgetChange.objects.filter(budget=budget)
    assert {change.actor_kind for change in changes} == {"STAFF"}
    assert changes.count() == 3


@pytest.mark.parametrize("match", ["", "team", "= search", "team ="])
def test_what_matches_nothing_is_refused(admin_client: Client, match: str) -> None:
    page = admin_client.post(reverse("admin:wallets_budget_add"), sent(match=match))

    assert list(page.context["adminform"].form.errors) == ["match"]
    assert Budget.objects.count() == 1


def test_what_the_service_refuses_is_shown(admin_client: Client) -> None:
    page = admin_client.post(reverse("admin:wallets_budget_add"), sent(alert_at="0"))
    twice = admin_client.post(reverse("admin:wallets_budget_add"), sent(code="other"), follow=True)

    assert page.status_code == 200
    assert b"1 to 100 percent" in page.content
    assert b"has a budget other" in twice.content
    assert Budget.objects.count() == 1
