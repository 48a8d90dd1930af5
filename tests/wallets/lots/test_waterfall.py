"""The waterfall, by tables a person can check, and by what always holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallets.lots.cost_basis import remaining_carrying
from wallets.lots.waterfall import Lot, allocate

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
DEFAULT = ("PROMO", "BONUS", "CASH")


def lot(
    number: int,
    kind: str,
    available: str,
    *,
    priority: int = 100,
    expires_in: int | None = None,
    granted: int = 0,
) -> Lot:
    return Lot(
        id=UUID(int=number),
        kind=kind,
        available=Decimal(available),
        priority=priority,
        expires_at=None if expires_in is None else NOON + timedelta(days=expires_in),
        granted_at=NOON + timedelta(minutes=granted),
        effective_at=NOON,
    )


def given_by(lots: list[Lot], need: str, order: tuple[str, ...] = DEFAULT) -> list[tuple[int, str]]:
    outcome = allocate(lots, Decimal(need), order)
    return [(a.lot.int, str(a.quantity)) for a in outcome.allocations]


def test_promo_then_bonus_then_cash() -> None:
    lots = [lot(1, "CASH", "100"), lot(2, "BONUS", "20"), lot(3, "PROMO", "10")]

    assert given_by(lots, "50") == [(3, "10"), (2, "20"), (1, "20")]


def test_what_no_lot_covers_is_the_shortfall() -> None:
    outcome = allocate([lot(1, "CASH", "5")], Decimal(6), DEFAULT)

    assert (outcome.covered, outcome.shortfall) == (Decimal(5), Decimal(1))


def test_a_kind_missing_from_the_order_is_never_burned() -> None:
    lots = [lot(1, "CASH", "100"), lot(2, "PROMO", "10")]

    outcome = allocate(lots, Decimal(50), ("PROMO", "BONUS"))

    assert [a.kind for a in outcome.allocations] == ["PROMO"]
    assert outcome.shortfall == 40


@pytest.mark.parametrize(
    ("_case", "first", "second"),
    [
        ("low priority number first", lot(9, "PROMO", "1", priority=1), lot(1, "PROMO", "1")),
        (
            "soonest expiry first",
            lot(9, "PROMO", "1", expires_in=1),
            lot(1, "PROMO", "1", expires_in=2),
        ),
        ("an expiry before none", lot(9, "PROMO", "1", expires_in=900), lot(1, "PROMO", "1")),
        ("oldest grant first", lot(9, "PROMO", "1"), lot(1, "PROMO", "1", granted=1)),
        ("the id decides the last tie", lot(1, "PROMO", "1"), lot(2, "PROMO", "1")),
        (
            "priority before expiry",
            lot(9, "PROMO", "1", priority=1, expires_in=9),
            lot(1, "PROMO", "1", expires_in=1),
        ),
    ],
)
def test_inside_a_kind_every_tie_is_decided(_case: str, first: Lot, second: Lot) -> None:
    assert given_by([second, first], "1") == [(first.id.int, "1")]
    assert given_by([first, second], "1") == [(first.id.int, "1")]


def test_a_lot_is_spendable_until_its_expiry_exactly() -> None:
    expiring = lot(1, "PROMO", "1", expires_in=1)
    end = NOON + timedelta(days=1)

    assert expiring.spendable_at(end - timedelta(microseconds=1))
    assert not expiring.spendable_at(end)
    assert not expiring.spendable_at(NOON - timedelta(microseconds=1))


amounts = st.decimals(min_value=0, max_value=10**9, places=6, allow_nan=False)
kinds = st.sampled_from(["PROMO", "BONUS", "CASH"])


@given(st.lists(st.tuples(kinds, amounts, st.integers(0, 3)), max_size=8), amounts)
def test_nothing_is_lost_or_made(parts: list[tuple[str, Decimal, int]], need: Decimal) -> None:
    lots = [lot(n, kind, str(a), priority=p) for n, (kind, a, p) in enumerate(parts)]

    outcome = allocate(lots, need, DEFAULT)

    assert outcome.covered + outcome.shortfall == need
    offered = {candidate.id: candidate.available for candidate in lots}
    assert all(0 < a.quantity <= offered[a.lot] for a in outcome.allocations)
    if outcome.shortfall:
        assert outcome.covered == sum(offered.values(), Decimal(0))


def test_a_lot_releases_its_consideration_to_the_last_unit() -> None:
    carrying, face = Decimal("83.333333333333"), Decimal(100)

    after_20 = remaining_carrying(carrying=carrying, face=face, remaining=Decimal(80))
    after_all = remaining_carrying(carrying=carrying, face=face, remaining=Decimal(0))

    assert after_20 == Decimal("66.666666666666")
    assert after_all == 0
