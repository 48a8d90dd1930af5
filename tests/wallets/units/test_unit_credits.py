"""Credits of a unit: what they carry stays in the money that was paid for them."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from aforo.errors import Invalid, NotCovered
from billing import approvals
from billing.finance import verification
from billing.invoicing import tax_rates
from billing.models import Claim
from ledger.controls import policies
from ledger.models import ApprovalLimit, ApprovalRequest, Entry
from pricing.offerings import credit_units
from tests import factories
from tests.factories import START
from tests.wallets.units import example
from tests.wallets.units.example import UNIT, D, buy, contest, give, posted, refund, spend
from wallets.debits import engine, reversals
from wallets.debits.combiner import execute_list
from wallets.models import CreditLot, TopUp
from wallets.top_ups import sales

pytestmark = pytest.mark.django_db


def lots() -> list[tuple[str, str, Decimal, Decimal]]:
    """Return kind, currency of what is carried, what is left, and what that carries."""
    found = CreditLot.objects.order_by("granted_at", "id")
    return [(lot.kind, lot.currency, lot.remaining, lot.carrying_remaining) for lot in found]


def test_two_debits_release_what_each_lot_was_paid_with() -> None:
    """150: promo 100, then 50 of the dollars' 1,000. 2,000 more do not fit: 1,950 do."""
    example.customer()

    first = spend("150")
    second = spend("1900")

    assert [(a["kind"], a["amount"]) for a in first["allocations"]] == [
        ("PROMO", "100"), ("CASH", "50"),
    ]  # fmt: skip
    assert first["currency"] == UNIT
    # The dollars' last 950, then 950 of the euros' 1,000.
    assert [a["amount"] for a in second["allocations"]] == ["950", "950"]
    assert lots() == [
        ("CASH", "USD", 0, 0), ("CASH", "EUR", 50, D("0.45")), ("PROMO", "", 0, 0),
    ]  # fmt: skip
    # 50 for .50 USD; then 9.50 USD and 8.55 EUR in one entry, each in its own currency.
    lines = Entry.objects.get(pk=second["entry"]).postings.order_by("position")
    assert [(line.currency, line.amount) for line in lines] == [
        ("USD", D("9.5")), ("EUR", D("8.55")),
    ]  # fmt: skip
    assert (posted("2100", "USD"), posted("2100", "EUR")) == (0, D("-0.45"))
    assert (posted("4000", "USD"), posted("4000", "EUR")) == (-10, D("-8.55"))
    assert verification.verify().ok


def test_what_credits_do_not_cover_is_refused_and_offered_in_each_currency() -> None:
    example.customer()
    before = factories.everything()

    refused = factories.refusal(factories.debit("cust_1", "2150.005", currency=UNIT))

    assert isinstance(refused, NotCovered)
    assert refused.extra["shortfall"] == "50.005"
    # 50.01 credits, cut to two decimals, cost .5001 USD and .45009 EUR: up to whole cents.
    assert [(o["amount"], o["currency"], o["body"]["unit"]) for o in offers(refused)] == [
        (D("0.46"), "EUR", UNIT), (D("0.51"), "USD", UNIT),
    ]  # fmt: skip
    assert factories.everything() == before


def offers(refused: NotCovered) -> list[dict[str, Any]]:
    found: Any = refused.extra["offers"]
    return list(found)


def test_a_reversal_restores_the_lots_and_their_money() -> None:
    example.customer()
    spent = spend("1200")

    answer = example.read(
        reversals.reverse(
            livemode=False, debit_id=spent["id"], key="back", reason="Mistake", amount=D(600)
        )
    )

    # Last burned first: 100 of the euros, then 500 of the dollars.
    assert [a["amount"] for a in answer["allocations"]] == ["100", "500"]
    assert lots() == [
        ("CASH", "USD", 500, 5), ("CASH", "EUR", 1000, 9), ("PROMO", "", 0, 0),
    ]  # fmt: skip
    assert (posted("4000", "USD"), posted("4000", "EUR")) == (-5, 0)
    assert verification.verify().ok


def test_a_refund_pays_the_currency_of_its_purchase() -> None:
    """500 of the euros' 1,000 pay 4.50 EUR."""
    example.customer()
    euros = TopUp.objects.get(currency="EUR")

    answer = refund("500", top_up=euros.pk)

    assert (answer["amount"], answer["currency"]) == ("500", UNIT)
    assert (answer["refunded"], answer["paid_currency"]) == ("4.5", "EUR")
    assert (posted("2100", "EUR"), posted("2100", "USD")) == (D("-4.5"), -10)
    euros.refresh_from_db()
    assert euros.refunded == D("4.5")
    assert verification.verify().ok


@pytest.mark.parametrize(("terms", "code"), [
    ({}, "paid_currencies"),
    ({"top_up": "00000000-0000-0000-0000-000000000001"}, "unknown_top_up"),
])  # fmt: skip
def test_a_refund_of_several_paid_currencies_needs_the_purchase(
    terms: dict[str, Any], code: str
) -> None:
    example.customer()
    before = factories.everything()

    with pytest.raises(Invalid) as refused:
        refund("500", **terms)

    assert (refused.value.code, refused.value.errors[0].pointer) == (code, "/top_up")
    assert factories.everything() == before


def test_more_than_a_purchase_has_left_is_not_refunded() -> None:
    example.customer()
    before = factories.everything()

    with pytest.raises(NotCovered) as refused:
        refund("1000.01", top_up=TopUp.objects.get(currency="EUR").pk)

    assert refused.value.extra["available"] == "1000"
    assert factories.everything() == before


def test_a_lapse_is_breakage_in_the_currency_paid() -> None:
    book = factories.clocked_customer()
    example.register()
    buy("10")
    buy("9", "EUR", expires_at=START + timedelta(days=10))
    spend("250")

    factories.advance(book, START + timedelta(days=11))

    # The sooner to expire burns first: 250 of the euros' 1,000; 750 lapse, which carry 6.75 EUR.
    assert lots() == [("CASH", "USD", 1000, 10), ("CASH", "EUR", 0, 0)]
    assert (posted("4000", "EUR"), posted("4200", "EUR")) == (D("-2.25"), D("-6.75"))
    assert posted("2100", "EUR") == 0
    assert verification.verify().ok


def test_a_lost_dispute_claims_the_credits_and_the_next_ones_repay_it() -> None:
    """400 of the euros' 1,000 are spent: 600 are revoked (5.40), 3.60 is lost, 400 are claimed."""
    factories.clocked_customer()
    example.register()
    sold = buy("9", "EUR")
    spend("400")
    contest(sold["id"], "opened")

    lost = contest(sold["id"], "lost")

    assert (lost["owed"], lost["currency"]) == ("400", "EUR")
    claim = Claim.objects.get()
    assert (claim.amount, claim.currency, claim.lost) == (400, UNIT, D("3.6"))
    assert (posted("4940", "EUR"), posted("2100", "EUR")) == (D("3.6"), 0)

    buy("10")

    # 400 of the dollars' 1,000 pay it: 4.00 USD of the loss are got back.
    claim.refresh_from_db()
    assert claim.paid == 400
    assert (posted("4940", "USD"), posted("2100", "USD")) == (-4, -6)
    assert spend("600")["balance"]["available"] == "0"
    assert verification.verify().ok


def test_a_bonus_carries_as_much_a_credit_as_what_was_bought() -> None:
    """1,000 and 250 more for 10 USD: .008 each; 500 spent of the bonus first release 4.00."""
    factories.clocked_customer()
    example.register()
    buy("10", bonus=sales.Bonus(amount=D(250)))

    spend("500")

    assert (posted("4000", "USD"), posted("4010", "USD")) == (-2, -2)
    answer = refund("750")
    assert (answer["refunded"], answer["clawed_back"]) == ("6", "0")
    assert verification.verify().ok


def test_a_reservation_holds_credits_and_its_capture_burns_them() -> None:
    example.customer()
    asked = engine.ReserveRequest(customer_id="cust_1", key="r", amount=D(300), currency=UNIT)
    held = factories.body(execute_list([asked], livemode=False)[0])

    capture = engine.CaptureRequest(reservation=UUID(held["id"]), key="c", amount=D(180))
    answer = factories.body(execute_list([capture], livemode=False)[0])

    assert [a["amount"] for a in answer["allocations"]] == ["100", "80"]
    assert answer["balance"]["held"] == "0"
    assert posted("4000", "USD") == D("-0.8")
    assert verification.verify().ok


def test_goodwill_is_valued_where_the_unit_is_sold_in_one_currency() -> None:
    """50 credits at .01 USD reduce revenue by .50; lapsed, it was no reduction."""
    factories.clocked_customer()
    example.register(rates={"USD": "0.01"})

    give("50", source="GOODWILL")

    assert lots() == [("PROMO", "USD", 50, D("0.5"))]
    assert (posted("4930", "USD"), posted("2130", "USD")) == (D("0.5"), D("-0.5"))
    assert verification.verify().ok


def test_goodwill_of_a_unit_sold_in_several_currencies_is_a_memo() -> None:
    factories.clocked_customer()
    example.register()

    give("50", source="GOODWILL")

    assert lots() == [("PROMO", "", 50, 0)]
    assert posted("4930", "USD") == posted("4930", "EUR") == 0
    assert verification.verify().ok


def test_an_inactive_unit_makes_no_new_credits_and_the_old_ones_live_on() -> None:
    example.customer()
    credit_units.update_credit_unit(livemode=False, code=UNIT, changes={"active": False})
    before = factories.everything()

    with pytest.raises(Invalid) as of_sale:
        buy("10")
    with pytest.raises(Invalid) as of_grant:
        give("5")
    assert (of_sale.value.code, of_grant.value.code) == ("inactive_unit", "inactive_unit")
    assert factories.everything() == before

    assert spend("150")["balance"]["available"] == "1950"
    assert refund("100", top_up=TopUp.objects.get(currency="EUR").pk)["refunded"] == "0.9"


@pytest.mark.parametrize(("amount", "currency", "code"), [
    ("10", "GBP", "no_rate"), ("0.01", "JPY", "not_payable"), ("0.01", "CHF", "buys_no_credit"),
])  # fmt: skip
def test_what_buys_nothing_is_refused(amount: str, currency: str, code: str) -> None:
    factories.clocked_customer()
    example.register(decimals=0, rates={"USD": "0.01", "CHF": "0.02", "JPY": "1"})
    before = factories.everything()

    with pytest.raises(Invalid) as refused:
        buy(amount, currency)

    assert refused.value.code == code
    if code == "no_rate":
        assert "CHF, JPY, USD" in refused.value.errors[0].detail
    assert factories.everything() == before


def test_credits_are_cut_to_the_units_decimals_and_all_of_the_payment_is_carried() -> None:
    """10 USD at .03 buy 333.33 credits; the third of a cent is not lost: 10.00 is carried."""
    factories.clocked_customer()
    example.register(rates={"USD": "0.03"})

    sold = buy("10")

    assert (sold["unit"], sold["credits"]) == (UNIT, "333.33")
    lot = CreditLot.objects.get()
    assert (lot.face, lot.carrying, lot.credit_unit) == (D("333.33"), 10, UNIT)


def test_an_unknown_unit_is_no_shortage() -> None:
    example.customer()

    refused = factories.refusal(factories.debit("cust_1", "5", currency="COINS"))

    assert isinstance(refused, Invalid)
    assert refused.code == "unknown_currency"


@pytest.mark.parametrize(
    ("at_sale", "paid", "revenue", "tax"), [(True, "12", "-1.2", "-2"), (False, "10", "-1", "-0.2")]
)
def test_tax_is_due_at_sale_unless_the_unit_says_else(
    at_sale: bool, paid: str, revenue: str, tax: str
) -> None:
    """20 %: on top of 10 when 1,000 credits are sold, or .20 in the 1.20 that 120 of them carry."""
    tax_rates.create_tax_rate(livemode=False, name="VAT", country="DE", percent=D(20), now=START)
    factories.clocked_customer(country="DE")
    example.register(tax_at_sale=at_sale)

    buy("10")
    spend("120")

    assert posted("1010", "USD") == D(paid)
    assert posted("4000", "USD") == D(revenue)
    assert posted("2300", "USD") == D(tax)
    assert verification.verify().ok


@pytest.mark.parametrize(("asked", "waits"), [("500", True), ("400", False)])
def test_a_limit_of_refunds_is_of_the_money(asked: str, waits: bool) -> None:
    """4.00 EUR may be paid back at once: 400 credits cost 3.60, 500 cost 4.50."""
    now = timezone.now()
    limit = ApprovalLimit(
        livemode=False, action="REFUND", currency="EUR", amount=D(4), evidence="The board.",
        starts_at=START - timedelta(days=1),
    )  # fmt: skip
    policies.propose(limit, by=factories.person("ann"), now=now)
    policies.approve(limit, by=factories.person("bob"), now=now)
    example.customer()
    euros = TopUp.objects.get(currency="EUR")

    answer = refund(asked, top_up=euros.pk)

    assert (answer.get("status") == "PENDING") == waits
    if waits:
        waiting = ApprovalRequest.objects.get()
        assert (waiting.amount, waiting.currency) == (D("4.5"), "EUR")
        assert posted("2100", "EUR") == -9
        approvals.approve(request_id=waiting.pk, by=factories.person("bob"), now=START)
        assert posted("2100", "EUR") == D("-4.5")


def test_a_budget_counts_credits() -> None:
    example.customer()
    factories.budget("team", "200", currency=UNIT)
    team = {"team": "search"}
    spend_ = factories.debit("cust_1", "150", currency=UNIT, attributes=team)
    assert factories.body(spend_)["amount"] == "150"
    before = factories.everything()

    refused = factories.refusal(factories.debit("cust_1", "51", currency=UNIT, attributes=team))

    assert refused.code == "budget_exceeded"
    assert factories.everything() == before
