"""A top-up is matched in its own entry, never beyond the budget, and never fails for it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from billing.finance import verification
from ledger.models import Book, Entry
from tests import campaigns, factories
from tests.campaigns import MATCH
from tests.factories import FEBRUARY
from wallets.models import CampaignGrant, CreditLot, TopUp
from wallets.top_ups import disputes

pytestmark = pytest.mark.django_db


@pytest.fixture
def book() -> Book:
    return factories.clocked_customer()


def test_a_top_up_is_matched_in_its_own_entry_at_the_effective_rate(book: Book) -> None:
    """100 + 20 for 100.00 carry 83.33 and 16.67, as with any bonus."""
    campaigns.running("MORE", MATCH)

    factories.top_up("cust_1", "100")

    lots = CreditLot.objects.order_by("pk")
    assert [(lot.kind, lot.source, lot.face, lot.carrying) for lot in lots] == [
        ("CASH", "TOP_UP", 100, Decimal("83.333333333333")),
        ("BONUS", "CAMPAIGN", 20, Decimal("16.666666666667")),
    ]
    assert {lot.top_up_id for lot in lots} == {lots[0].top_up_id}
    entry = Entry.objects.get()
    posted = {(p.credit_id, p.amount) for p in entry.postings.all()}
    assert posted == {
        ("2100", Decimal("83.333333333333")),
        ("2110", Decimal("16.666666666667")),
    }
    assert CampaignGrant.objects.get().cause == str(lots[0].top_up_id)
    assert campaigns.counters("MORE") == (20, 1)
    assert verification.verify().ok


@pytest.mark.parametrize(
    ("_case", "members", "top_ups", "matches"),
    [
        ("each one", {}, ["100", "50"], ["20", "10"]),
        ("rounded to the cent", {"match_percent": "12.5"}, ["33.33"], ["4.17"]),
        ("capped", {"max_per_top_up": "15"}, ["100", "50"], ["15", "10"]),
        ("cut to the budget", {"budget": "25"}, ["100", "100", "100"], ["20", "5"]),
        ("so many", {"max_grants": 1}, ["100", "100"], ["20"]),
        ("so many a customer", {"max_per_customer": 1}, ["100", "100"], ["20"]),
        ("less than a cent", {}, ["0.02"], []),
        ("another currency", {"currency": "EUR"}, ["100"], []),
        ("not begun", {"starts_at": FEBRUARY}, ["100"], []),
        ("not tagged", {"audience": "TAGS", "audience_list": ["vip"]}, ["100"], []),
    ],
)
def test_a_match_is_cut_or_left_out_and_the_top_up_succeeds(
    book: Book, _case: str, members: dict[str, Any], top_ups: list[str], matches: list[str]
) -> None:
    campaigns.running("MORE", MATCH, **members)

    for n, amount in enumerate(top_ups):
        factories.top_up("cust_1", amount, name=f"t{n}")

    assert campaigns.given("MORE") == [("cust_1", match) for match in matches]
    bought = CreditLot.objects.filter(kind="CASH").order_by("pk")
    assert [lot.face for lot in bought] == [Decimal(amount) for amount in top_ups]
    paid = sum((lot.carrying for lot in CreditLot.objects.all()), Decimal(0))
    assert paid == sum(map(Decimal, top_ups)), "what was paid is carried, no more, no less"
    assert campaigns.counters("MORE") == (sum(map(Decimal, matches)), len(matches))
    assert verification.verify().ok


def test_a_repeated_top_up_is_matched_once(book: Book) -> None:
    campaigns.running("MORE", MATCH)

    factories.top_up("cust_1", "100", name="same")
    factories.top_up("cust_1", "100", name="same")

    assert campaigns.given("MORE") == [("cust_1", "20")]


def test_a_lost_dispute_returns_what_was_unspent_of_the_match_to_the_budget(book: Book) -> None:
    """20 of 25 match 100.00; 8 of the 20 are burned, so 12 return, and 17 can be given again."""
    campaigns.running("MORE", MATCH, budget="25")
    factories.top_up("cust_1", "100")
    factories.debit("cust_1", "8")
    bought = TopUp.objects.get()

    for state in ("opened", "lost"):
        disputes.dispute(livemode=False, top_up_id=bought.pk, state=state, key=state)

    assert campaigns.counters("MORE") == (8, 1)
    assert verification.verify().ok
    factories.grant("cust_1", "50", name="pays what is owed")
    factories.top_up("cust_1", "100", name="again")
    assert campaigns.counters("MORE") == (25, 2)
    assert campaigns.given("MORE") == [("cust_1", "20"), ("cust_1", "17")]
