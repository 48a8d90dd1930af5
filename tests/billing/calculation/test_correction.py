"""Who gets back what was charged too much."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aforo import money
from billing.calculation.correction import Borne, give_back

D = Decimal
CENTS = st.decimals(D(0), D(1000), places=2)


def borne(row: str) -> Borne:
    source, gross, net, currency = row.split()
    return Borne(source, D(gross), D(net), currency.strip("-"))


@pytest.mark.parametrize(
    ("net", "expected"),
    [
        # An invoice of 100.00 with 20.00 of tax, then promo of 5, then cash of 11 with 1 of tax.
        ("10", ["invoice 12 10"]),
        # 0.333 x 1.2 is paid in cents: .40.
        ("0.333", ["invoice 0.40 0.333"]),
        ("100", ["invoice 120 100"]),
        ("103", ["invoice 120 100", "promo 3 3"]),
        ("110", ["invoice 120 100", "promo 5 5", "cash 5.5 5"]),
        ("116", ["invoice 120 100", "promo 5 5", "cash 11 10"]),
    ],
)
def test_in_turn_each_with_its_own_tax(net: str, expected: list[str]) -> None:
    bearers = [borne(row) for row in ("invoice 120 100 USD", "promo 5 5 -", "cash 11 10 -")]

    shares, left = money.exact(give_back)(bearers, D(net))

    assert [(s.source, s.gross, s.net) for s in shares] == [
        (source, D(gross), D(part)) for source, gross, part in map(str.split, expected)
    ]
    assert left == max(D(net) - 115, 0)


@given(
    bearers=st.lists(st.tuples(CENTS, CENTS, st.sampled_from(["", "USD"])), max_size=5),
    net=CENTS,
    again=CENTS,
)
@money.exact
def test_nobody_gets_more_than_it_bears_however_often(
    bearers: list[tuple[Decimal, Decimal, str]], net: Decimal, again: Decimal
) -> None:
    start = [Borne(n, part + tax, part, code) for n, (part, tax, code) in enumerate(bearers)]

    first, left = give_back(start, net)
    gone = {share.source: share for share in first}
    rest = [
        Borne(
            each.source,
            each.gross - (gone[each.source].gross if each.source in gone else 0),
            each.net - (gone[each.source].net if each.source in gone else 0),
            each.currency,
        )
        for each in start
    ]
    second, _ = give_back(rest, again)

    assert sum((share.net for share in first), D(0)) + left == net
    assert all(share.tax >= 0 and share.gross >= share.net > 0 for share in (*first, *second))
    assert all(each.gross >= each.net >= 0 for each in rest)
    for each in start:
        given = sum(share.gross for share in (*first, *second) if share.source == each.source)
        assert given <= each.gross
