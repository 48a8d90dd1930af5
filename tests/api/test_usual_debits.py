"""Debits that are read without the serializer are read as it reads them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rest_framework import serializers

from wallets.api import usual_debits
from wallets.api.debits import DebitBody

USUAL = {
    "customer_id": "cust_1", "amount": "12.50", "currency": "USD", "idempotency_key": "k 1",
}  # fmt: skip
TEXTS = st.one_of(
    st.sampled_from(["", " ", "cust_1", " cust", "cust ", "a b", "x" * 64, "x" * 65, "x" * 256]),
    st.sampled_from(["\x00", "é", "\ud800", "a\nb", "a\n", "~", "\x7f", "\x00k"]),
    st.text("ab ~-\x00\u00e9", max_size=4),
)
AMOUNTS = st.one_of(
    st.sampled_from(
        ["0", "0.0", "00.10", "1e2", "-1", "+1", ".5", "5.", "1_0", "\u0661", "1\n", "NaN"]
    ),
    st.sampled_from([f"{10**26}", f"{10**26 - 1}", "0.000000000001", "1.0000000000000"]),
    st.decimals(0, 10, places=3).map(str),
)
ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 1, Decimal("1.5"), Decimal("1E+2"), [], {"a": "b"}]
)
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "customer_id": TEXTS | ODD,
        "amount": AMOUNTS | ODD,
        "currency": st.sampled_from(["USD", "EUR", "usd", "XXX", " USD", ""]) | ODD,
        "idempotency_key": TEXTS | ODD,
        "strategy": st.sampled_from(["WATERFALL", "PROMO", "?"]),
        "metric": TEXTS,
        "attributes": st.sampled_from([{}, {"team": "search"}]),
    },
)


def serialized(data: Any) -> dict[str, Any]:
    """Read a debit by the serializer, field by field."""
    found: dict[str, Any] = serializers.Serializer.run_validation(DebitBody(), data)
    return dict(found)


@given(BODIES, st.lists(st.sampled_from(list(USUAL)), unique=True))
def test_whatever_is_read_is_what_the_serializer_reads(
    odd: dict[str, Any], usual: list[str]
) -> None:
    """Bodies of which some members are as usual, and the others are anything."""
    data = odd | {name: USUAL[name] for name in usual}

    found = usual_debits.read(data)

    if found is not None:
        assert found == serialized(data)


@pytest.mark.parametrize("amount", ["1", "0.000000000001", "12.50", "99999999999999999999999999"])
def test_the_usual_ones_are_read(amount: str) -> None:
    keyed = USUAL | {"amount": amount}
    unkeyed = {name: text for name, text in keyed.items() if name != "idempotency_key"}

    for data in (keyed, unkeyed):
        assert usual_debits.read(data) == serialized(data) != {}


@pytest.mark.parametrize("data", [None, [], "x", {}, USUAL | {"strategy": "PROMO"}])
def test_others_are_left_to_the_serializer(data: object) -> None:
    assert usual_debits.read(data) is None
