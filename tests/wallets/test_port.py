"""The circle that no import shows: what wallets ask of billing, from where, and who answers."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from billing.port import Billing
from wallets import port

ROOT = Path(__file__).parent.parent.parent

# Who asks -> what billing is asked.
ASKED = {
    "billing/adjustments/corrections.py:_charge": {"credits_fell"},
    "billing/adjustments/credit_notes.py:_credit": {"credits_fell"},
    "billing/adjustments/credit_notes.py:_follow_up": {"credits_arrived"},
    "billing/adjustments/voids.py:_void": {"credits_arrived", "credits_fell"},
    "billing/invoicing/payments.py:close": {"credits_arrived"},
    "billing/invoicing/write_offs.py:_write_off": {"credits_fell"},
    "billing/prepaid/reactivation.py:burn_prepaid": {"credits_fell"},
    "wallets/api/shapes.py:resolve_expiry": {"traits_of"},
    "wallets/debits/combiner.py:execute": {"renew"},
    "wallets/debits/combiner.py:execute_list": {"renew"},
    "wallets/debits/engine/accounts.py:_usage_overage": {"usage_overage"},
    "wallets/debits/engine/batch.py:_notify": {"credits_fell"},
    "wallets/debits/engine/batch.py:_waiting": {"waiting_for_credits"},
    "wallets/debits/engine/batch.py:_write_consequences": {"credits_arrived", "credits_owed"},
    "wallets/debits/engine/over_capture.py:bear": {"debt"},
    "wallets/debits/shortages.py:_read_selling": {"owed"},
    "wallets/debits/reversals.py:_open_debt": {"debt_of"},
    "wallets/debits/reversals.py:reverse": {"credits_arrived", "debt_forgiven"},
    "wallets/budgets/budgets.py:create_budget": {"traits_of"},
    "wallets/grants/campaign_grants.py:_refusals": {"traits_of"},
    "wallets/grants/campaign_grants.py:grant_credits": {"credits_arrived", "traits_of"},
    "wallets/grants/campaign_grants.py:match_top_up": {"traits_of"},
    "wallets/grants/grants.py:_grant": {"credits_arrived"},
    "wallets/holds/reservation_holds.py:lapse_returned": {"credits_returned"},
    "wallets/holds/reservations.py:release_due": {"credits_arrived"},
    "wallets/top_ups/disputes.py:dispute": {"credits_arrived", "credits_lost"},
    "wallets/top_ups/payments.py:_expiry": {"traits_of"},
    "wallets/top_ups/payments.py:fulfil_top_up": {"credits_arrived"},
    "wallets/top_ups/refill.py:_has_left": {"service_ended_at"},
    "wallets/top_ups/refill.py:_owed": {"owed"},
    "wallets/top_ups/refill.py:refill_if_low": {"renew"},
    "wallets/top_ups/refill.py:set_auto_refill": {"credits_fell", "service_ended_at"},
    "wallets/top_ups/refunds.py:_refund": {"money_leaves"},
    "wallets/top_ups/sale_tax.py:of_order": {"sale_tax"},
    "wallets/top_ups/sales.py:_bonus": {"unit_price"},
    "wallets/top_ups/sales.py:_sell_on_account": {"sold_on_account"},
}

# What billing is asked -> the service that answers, in a file below the port's.
ANSWERED = {
    "traits_of": "audiences.traits_of",
    "credits_arrived": "arrears.pay_arrears",
    "waiting_for_credits": "arrears.waiting",
    "credits_fell": "tasks.refill",
    "money_leaves": "unbilled_usage.pay_first",
    "credits_returned": "returned_credits.pay_with_returned",
    "credits_lost": "arrears.claim_lost_credits",
    "credits_owed": "debts.claim_debt",
    "debt_of": "debts.open_debt",
    "debt_forgiven": "debts.forgive",
    "debt": "debts.owed",
    "owed": "arrears.owed",
    "usage_overage": "unbilled_usage.overage",
    "service_ended_at": "arrears.service_ended_at",
    "unit_price": "advance_fees.unit_price",
    "sale_tax": "sale_tax.on_top",
    "sold_on_account": "on_account.invoice_top_up",
    "renew": "renewal.renew",
}


def functions(path: Path) -> Iterator[ast.FunctionDef]:
    """Yield the functions and methods of a file; what is defined inside them is part of them."""
    module = ast.parse(path.read_text())
    classes = [node for node in module.body if isinstance(node, ast.ClassDef)]
    for body in (module.body, *(each.body for each in classes)):
        yield from (node for node in body if isinstance(node, ast.FunctionDef))


def asked_by(function: ast.FunctionDef) -> set[str]:
    return {
        node.attr
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "port.billing()"
    }


def test_who_asks_what() -> None:
    found = {
        f"{path.relative_to(ROOT)}:{function.name}": asked
        for app in ("wallets", "billing")
        for path in (ROOT / app).rglob("*.py")
        for function in functions(path)
        if (asked := asked_by(function))
    }

    assert found == ASKED


def test_nothing_is_asked_in_another_way() -> None:
    """The port has no use but `port.billing().method()`, so that the picture above is whole."""
    for app in ("aforo", "ledger", "pricing", "wallets", "billing"):
        for path in (ROOT / app).rglob("*.py"):
            text = path.read_text()
            if path.name != "port.py":
                assert text.count("port.billing()") == text.count("port.billing()."), path
                assert "from wallets.port import" not in text.replace(
                    "from wallets.port import Traits\n", ""
                ), path


def test_every_question_is_asked_and_answered_by_one_service_in_one_line() -> None:
    answers = {each.name: each for each in functions(ROOT / "billing/port.py")}
    asked = {each.name for each in functions(ROOT / "wallets/port.py")} - {"install", "billing"}

    assert asked == set().union(*ASKED.values()) == set(answers) == set(ANSWERED)
    for name, service in ANSWERED.items():
        (only,) = answers[name].body
        assert service in ast.unparse(only)


def test_without_billing_a_call_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port, "_installed", [])

    with pytest.raises(RuntimeError, match="no port to billing"):
        port.billing()


def test_it_is_installed_once_when_billing_is_ready() -> None:
    before = port.billing()
    assert isinstance(before, Billing)

    with pytest.raises(RuntimeError, match="installed already"):
        port.install(Billing())

    assert port.billing() is before
