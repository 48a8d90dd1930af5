"""The nine pure stages, by sums that can be done by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aforo.errors import InvariantBroken
from aforo.periods import Period
from billing import calculation
from billing.calculation import guards, presentation
from billing.calculation.calculation import (
    Calculation,
    ChargeTerms,
    CouponTerms,
    MetricUsage,
    Overage,
    Tax,
    changed,
)
from pricing.terms import parse
from wallets.lots.waterfall import Lot

JANUARY = Period(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
D = Decimal

TIERS = [
    {"up_to": "1000", "unit_price": "0.010"},
    {"up_to": "10000", "unit_price": "0.008"},
    {"up_to": None, "unit_price": "0.005"},
]


def lot(kind: str, available: str, number: int = 1) -> Lot:
    start = JANUARY.starts_at
    return Lot(UUID(int=number), kind, D(available), 100, None, start, start)


def charge(model: str, terms: dict[str, Any], *metrics: str, code: str = "c") -> ChargeTerms:
    feeds = tuple((metric, D(1)) for metric in metrics or ("tokens",))
    return ChargeTerms(code, model, parse(model, terms), feeds)


def draft(mode: str = "HYBRID", quantity: str = "15000", **context: Any) -> Calculation:
    context.setdefault("charges", (charge("PER_UNIT", {"unit_price": "0.002"}),))
    context.setdefault("usage", {"tokens": MetricUsage(D(quantity), 3)})
    return Calculation(currency="USD", billing_mode=mode, period=JANUARY, **context)


@pytest.mark.parametrize("mode", ["PREPAID", "HYBRID", "POSTPAID"])
@pytest.mark.parametrize(
    ("model", "terms", "quantity", "total"),
    [
        ("PER_UNIT", {"unit_price": "0.002"}, "15000", "30"),
        ("PER_UNIT", {"unit_price": "0.002", "included_quantity": "5000"}, "15000", "20"),
        ("FLAT_RATE", {"flat_fee": "49.90"}, "0", "49.9"),
        ("VOLUME", {"tiers": TIERS}, "15000", "75"),
        ("GRADUATED", {"tiers": TIERS}, "15000", "107"),
        ("INCLUDED_QUOTA", {"included_quantity": "1000", "unit_price": "0.5"}, "1004", "2"),
        (
            "INCLUDED_QUOTA",
            {"included_quantity": "1000", "block_size": "100", "block_price": "3"},
            "1201",
            "9",
        ),
        (
            "PERCENTAGE",
            {"percent": "2.5", "fixed_fee_per_event": "0.30"},
            "1000",
            "25.9",
        ),
    ],
)
def test_every_model_in_every_mode(
    mode: str, model: str, terms: dict[str, Any], quantity: str, total: str
) -> None:
    """The totals are the same in every mode; the mode only decides who pays the rest of 5 cash."""
    run = calculation.run(
        draft(mode, quantity, charges=(charge(model, terms),), money_lots=(lot("CASH", "5"),))
    )

    shown = presentation.totals(run)
    cash = D(0) if mode == "POSTPAID" else min(D(5), D(total))
    rest = D(total) - cash
    assert shown["total"] == total
    assert run.from_wallet["CASH"] == cash
    assert (run.to_invoice, run.arrears) == ((0, rest) if mode == "PREPAID" else (rest, 0))


def test_units_pay_before_anything_has_a_price() -> None:
    run = calculation.run(
        draft(
            unit_lots={"tokens": (lot("PROMO", "10000", 1), lot("BONUS", "2000", 2))},
            money_lots=(lot("CASH", "5", 3),),
        )
    )

    assert presentation.totals(run)["from_units"] == [
        {"metric": "tokens", "kind": "PROMO", "quantity": "10000"},
        {"metric": "tokens", "kind": "BONUS", "quantity": "2000"},
    ]
    assert (run.total, run.from_wallet["CASH"], run.to_invoice) == (6, 5, 1)


def test_a_free_unit_is_free_wherever_its_metric_counts() -> None:
    charges = (
        charge("PER_UNIT", {"unit_price": "1"}, code="a"),
        charge("PER_UNIT", {"unit_price": "2", "included_quantity": "4"}, code="b"),
    )
    run = calculation.run(
        draft(quantity="10", charges=charges, unit_lots={"tokens": (lot("PROMO", "7"),)})
    )

    # a: 10 - 7 = 3 x 1; b: 10 - 4 included - 6 of the 7 = 0.
    assert run.total == 3
    assert [burn.quantity for burn in run.unit_burns["tokens"]] == [7]


def test_weighted_metrics_feed_one_charge() -> None:
    terms = parse("PER_UNIT", {"unit_price": "0.01"})
    weighted = ChargeTerms("c", "PER_UNIT", terms, (("input", D(1)), ("output", D("2.5"))))
    usage = {"input": MetricUsage(D(100), 1), "output": MetricUsage(D(40), 1)}

    run = calculation.run(draft(charges=(weighted,), usage=usage))

    assert run.total == D("2")


@pytest.mark.parametrize(
    ("minimum", "maximum", "total", "kind"),
    [("50", None, "50", "COMMIT"), (None, "20", "20", "ADJUSTMENT"), ("10", "40", "30", None)],
)
def test_minimum_and_maximum_spend(
    minimum: str | None, maximum: str | None, total: str, kind: str | None
) -> None:
    run = calculation.run(
        draft(
            minimum_spend=None if minimum is None else D(minimum),
            maximum_spend=None if maximum is None else D(maximum),
        )
    )

    assert run.total == D(total)
    assert [line.kind for line in run.lines if line.kind != "USAGE"] == ([kind] if kind else [])


@pytest.mark.parametrize(
    ("coupon", "discount"),
    [
        (CouponTerms("TEN", percent=D(10)), "3"),
        (CouponTerms("FIVE", amount=D(5)), "5"),
        (CouponTerms("ALL", amount=D(500)), "30"),
    ],
)
def test_a_discount_is_never_more_than_the_subtotal(coupon: CouponTerms, discount: str) -> None:
    run = calculation.run(draft(coupons=(coupon,)))

    assert (run.discount, run.total) == (D(discount), 30 - D(discount))


def test_promo_money_lowers_the_taxable_base() -> None:
    lots = (lot("PROMO", "10", 1), lot("CASH", "11", 2))
    run = calculation.run(draft(tax_rate=Tax("VAT", D(10)), money_lots=lots))

    # Net 30, promo pays 10 of it untaxed: tax 2.00, total 32, cash 11, invoice 11.
    assert (run.tax, run.total, run.to_invoice) == (2, 32, 11)
    assert [(p.kind, p.gross, p.net, p.tax) for p in run.payers] == [
        ("PROMO", 10, 10, 0),
        ("CASH", 11, 10, 1),
        ("INVOICE", 11, 10, 1),
    ]


def test_the_last_burn_is_trimmed_to_whole_cents() -> None:
    """Wallet 29.9975, total 108.00: 29.99 burns, .0075 stays (docs/decisions.md#d11)."""
    run = calculation.run(draft(quantity="54000", money_lots=(lot("CASH", "29.9975"),)))

    assert (run.total, run.from_wallet["CASH"], run.to_invoice) == (108, D("29.99"), D("78.01"))


def test_a_document_is_rounded_once_and_shows_the_residue() -> None:
    run = calculation.run(
        draft(quantity="1001", charges=(charge("PER_UNIT", {"unit_price": "0.0025"}),))
    )

    # 2.5025 is 2.50 and a residue of -.0025.
    assert (run.total, run.rounding) == (D("2.50"), D("-0.0025"))
    assert [(line.kind, line.amount) for line in run.lines][-1] == ("ROUNDING", D("-0.0025"))


def test_a_prepaid_cycle_is_not_rounded() -> None:
    run = calculation.run(
        draft("PREPAID", "1001", charges=(charge("PER_UNIT", {"unit_price": "0.0025"}),),
              money_lots=(lot("CASH", "9"),))
    )  # fmt: skip

    assert (run.total, run.from_wallet["CASH"]) == (D("2.5025"), D("2.5025"))


def test_overage_of_debits_is_gross() -> None:
    run = calculation.run(
        draft(tax_rate=Tax("VAT", D(10)), overages=(Overage(UUID(int=9), D("1.5")),))
    )

    assert (run.tax, run.total) == (3, D("34.5"))
    assert [line.kind for line in run.lines] == ["USAGE", "TAX", "OVERAGE"]


def test_every_stage_leaves_its_trace() -> None:
    shown = presentation.stages(calculation.run(draft()))

    assert [stage["stage"] for stage in shown] == list(range(1, 10))
    assert all(stage["title"] and stage["notes"] for stage in shown)


def test_a_wrong_bill_stops() -> None:
    run = calculation.run(draft(money_lots=(lot("CASH", "5"),)))

    with pytest.raises(InvariantBroken, match="paid by credits"):
        guards.check(replace(run, to_invoice=run.to_invoice + 1))


kinds = st.sampled_from(["PROMO", "BONUS", "CASH"])
amounts = st.decimals(min_value=0, max_value=10**6, places=4, allow_nan=False)
modes = st.sampled_from(["PREPAID", "HYBRID", "POSTPAID"])


@given(
    mode=modes,
    quantity=amounts,
    lots=st.lists(st.tuples(kinds, amounts), max_size=5),
    units=st.lists(st.tuples(kinds, amounts), max_size=3),
    percent=st.decimals(min_value=0, max_value=30, places=2, allow_nan=False),
    off=st.decimals(min_value=0, max_value=100, places=1, allow_nan=False),
    order=st.permutations(["PROMO", "BONUS", "CASH"]),
)
def test_what_is_owed_is_paid_by_somebody(
    mode: str,
    quantity: Decimal,
    lots: list[tuple[str, Decimal]],
    units: list[tuple[str, Decimal]],
    percent: Decimal,
    off: Decimal,
    order: list[str],
) -> None:
    """`run` raises where an invariant breaks; the sums are checked once more from outside."""
    run = calculation.run(
        draft(
            mode,
            str(quantity),
            money_lots=tuple(lot(kind, str(a), n) for n, (kind, a) in enumerate(lots)),
            unit_lots={"tokens": tuple(lot(k, str(a), 100 + n) for n, (k, a) in enumerate(units))},
            tax_rate=Tax("VAT", percent),
            coupons=(CouponTerms("OFF", percent=off),) if off else (),
            money_order=tuple(order),
        )
    )

    wallet = sum(run.from_wallet.values(), D(0))
    assert wallet + run.to_invoice + run.arrears == run.total
    assert sum((line.amount for line in run.lines), D(0)) == run.total
    assert mode != "POSTPAID" or run.from_wallet["CASH"] == 0
    if run.to_invoice:
        assert run.to_invoice == run.to_invoice.quantize(D("0.01"))


def test_a_changed_calculation_is_what_replacing_makes_of_it() -> None:
    before = calculation.run(draft())

    after = changed(before, tax=D(3), lines=())

    assert after == replace(before, tax=D(3), lines=())
    assert (before.tax, after.total) != (D(3), D(0))
    with pytest.raises(AssertionError):
        changed(before, taxx=D(3))
