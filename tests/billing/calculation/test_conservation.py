"""What holds for every cycle: nothing is lost, nothing is paid twice, nobody pays below zero."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from aforo.money import ZERO, round_amount, to_books
from billing import calculation
from billing.calculation.calculation import (
    Calculation,
    ChargeTerms,
    CouponTerms,
    MetricUsage,
    Overage,
    Tax,
)
from pricing.terms import BlockOverage, FlatRate, IncludedQuota, Percentage, PerUnit, Tier, Volume
from tests.billing.calculation.calculations import charge, draft, lot
from wallets.lots.waterfall import Lot

KINDS = ("PROMO", "BONUS", "CASH")


def decimals(least: str, most: str, places: int) -> st.SearchStrategy[Decimal]:
    return st.decimals(Decimal(least), Decimal(most), places=places)


MODES = st.sampled_from(["PREPAID", "HYBRID", "POSTPAID"])
QUANTITIES = st.one_of(decimals("-2", "40", 0), decimals("0", "100000", 6))
PRICES = st.one_of(decimals("0", "5", 2), decimals("0", "1", 12))
AMOUNTS = st.one_of(decimals("0", "40", 2), decimals("0", "100", 12))
ORDERS = st.permutations(KINDS).flatmap(
    lambda kinds: st.integers(1, 3).map(lambda length: tuple(kinds[:length]))
)
WEIGHTS = st.sampled_from(["1", "3", "0.7"])
TERMS = st.one_of(
    st.builds(PerUnit, unit_price=PRICES, included_quantity=decimals("0", "20", 1)),
    st.builds(FlatRate, flat_fee=PRICES),
    st.builds(
        lambda first, then, fee: Volume(
            tiers=(
                Tier(up_to=Decimal(10), unit_price=first, flat_fee=fee),
                Tier(up_to=None, unit_price=then),
            )
        ),
        PRICES,
        PRICES,
        PRICES,
    ),
    st.builds(
        lambda included, size, price: IncludedQuota(
            included_quantity=included, overage=BlockOverage(block_size=size, block_price=price)
        ),
        decimals("0", "20", 1),
        decimals("0.1", "7", 1),
        PRICES,
    ),
    st.builds(Percentage, percent=decimals("0", "9", 3), minimum_fee=PRICES),
)


@st.composite
def charges(draw: st.DrawFn) -> tuple[ChargeTerms, ...]:
    metrics = st.sets(st.sampled_from(["input", "output"]), min_size=1)
    return tuple(
        charge(
            draw(TERMS),
            code=f"c{number}",
            feeds={metric: draw(WEIGHTS) for metric in sorted(draw(metrics))},
        )
        for number in range(draw(st.integers(0, 3)))
    )


@st.composite
def lots(draw: st.DrawFn, start: int, amounts: st.SearchStrategy[Decimal]) -> tuple[Lot, ...]:
    drawn = draw(st.lists(st.tuples(st.sampled_from(KINDS), amounts), max_size=4))
    return tuple(lot(kind, str(a), start + n) for n, (kind, a) in enumerate(drawn))


LIMITS = st.sampled_from([frozenset[str](), frozenset({"c0"}), frozenset({"c1", "c2"})])
COUPONS = st.lists(
    st.one_of(
        st.builds(CouponTerms, st.just("OFF"), percent=decimals("0", "100", 3), charges=LIMITS),
        st.builds(CouponTerms, st.just("OFF"), amount=AMOUNTS, charges=LIMITS),
    ),
    max_size=3,
).map(tuple)
DRAFTS = st.builds(
    draft,
    MODES,
    currency=st.sampled_from(["USD", "JPY", "KWD"]),
    charges=charges(),
    usage=st.fixed_dictionaries(
        {
            metric: st.builds(MetricUsage, QUANTITIES, st.integers(0, 9))
            for metric in ("input", "output")
        }
    ),
    served=st.sampled_from([Decimal(7), Decimal(30)]),
    of_full=st.just(Decimal(30)),
    rolled_in=st.dictionaries(st.sampled_from(["c0", "c1"]), decimals("0", "9", 1)),
    unit_lots=st.fixed_dictionaries(
        {"input": lots(1, decimals("0", "30", 3)), "output": lots(11, decimals("0", "30", 3))}
    ),
    money_lots=lots(21, AMOUNTS),
    money_order=ORDERS,
    minimum_spend=st.one_of(st.none(), AMOUNTS),
    maximum_spend=st.one_of(st.none(), AMOUNTS),
    coupons=COUPONS,
    tax_rate=st.one_of(st.none(), st.builds(Tax, st.just("VAT"), decimals("0", "100", 3))),
    tax_inclusive=st.booleans(),
    overages=st.lists(AMOUNTS, max_size=2).map(
        lambda drawn: tuple(Overage(UUID(int=n), a) for n, a in enumerate(drawn, start=90))
    ),
)


def due(settled: Calculation) -> Decimal:
    return settled.to_invoice + settled.arrears


@given(before=DRAFTS)
def test_the_total_is_paid_once_and_by_somebody(before: Calculation) -> None:
    settled = calculation.run(before)

    assert sum(settled.from_wallet.values(), ZERO) + due(settled) == settled.total
    assert sum((line.amount for line in settled.lines), ZERO) == settled.total
    assert sum((p.gross for p in settled.payers), ZERO) == settled.total
    # Tax that they hold and do not owe is in BONUS (docs/decisions.md#d44).
    assert sum((p.tax for p in settled.payers), ZERO) == settled.tax + settled.bonus
    assert all(min(p.gross, p.net, p.tax) >= 0 and p.gross == p.net + p.tax for p in settled.payers)
    residues = sum((line.amount for line in settled.lines if line.kind == "ROUNDING"), ZERO)
    assert settled.rounding == residues


@given(before=DRAFTS)
def test_the_mode_decides_who_owes_the_rest(before: Calculation) -> None:
    settled = calculation.run(before)

    match settled.billing_mode:
        case "PREPAID":
            assert settled.to_invoice == 0
        case mode:
            assert settled.arrears == 0
            assert settled.to_invoice == round_amount(settled.to_invoice, settled.currency)
            assert mode == "HYBRID" or settled.from_wallet["CASH"] == 0


@given(before=DRAFTS)
def test_what_is_settled_fits_the_books(before: Calculation) -> None:
    settled = calculation.run(before)

    burns = [*settled.money_burns, *(b for bs in settled.unit_burns.values() for b in bs)]
    found = [
        *(line.amount for line in settled.lines),
        *(amount for p in settled.payers for amount in (p.gross, p.net, p.tax)),
        *(burn.quantity for burn in burns),
        settled.subtotal,
        settled.discount,
        settled.commitment,
        settled.rounding,
        settled.total,
    ]
    assert all(value == to_books(value) for value in found)


@given(before=DRAFTS)
def test_units_never_relieve_more_than_was_used(before: Calculation) -> None:
    settled = calculation.run(before)

    for asked in settled.demands:
        assert asked.used == asked.included + asked.from_units + asked.billable
        assert min(asked.included, asked.from_units, asked.billable) >= 0
    for metric, burns in settled.unit_burns.items():
        # A unit more than was metered would be burned for nothing; a weight of 0.7 divides back to
        # the 12 places of the books.
        metered = max(before.usage[metric].quantity, ZERO)
        assert sum((b.quantity for b in burns), ZERO) <= metered + Decimal("0.000000000001")


@given(before=DRAFTS, order=st.permutations(KINDS))
def test_a_last_kind_that_covers_all_leaves_nothing_due(
    before: Calculation, order: list[str]
) -> None:
    full = lot(order[-1], "100000000", 60)
    mode = "HYBRID" if before.billing_mode == "POSTPAID" else before.billing_mode

    settled = calculation.run(
        replace(
            before,
            billing_mode=mode,
            money_lots=(*before.money_lots, full),
            money_order=tuple(order),
        )
    )

    assert due(settled) == 0


@given(before=DRAFTS, more=AMOUNTS)
def test_more_cash_never_makes_more_due(before: Calculation, more: Decimal) -> None:
    before = replace(before, money_order=KINDS)
    richer = replace(before, money_lots=(*before.money_lots, lot("CASH", str(more), 60)))

    assert due(calculation.run(richer)) <= due(calculation.run(before))


@given(before=DRAFTS)
def test_promo_that_burns_first_lowers_the_base_by_what_it_pays(before: Calculation) -> None:
    settled = calculation.run(replace(before, money_order=KINDS))

    net = settled.subtotal - settled.discount
    rate = ZERO if settled.tax_rate is None else settled.tax_rate.percent.scaleb(-2)
    exact = rate * (net - min(settled.from_wallet["PROMO"], net))
    rounded = round_amount(exact, settled.currency) if settled.is_rounded else to_books(exact)
    assert settled.tax == rounded
