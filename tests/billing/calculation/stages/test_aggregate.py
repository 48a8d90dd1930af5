"""Stage 3: usage is added up per charge, weighted."""

from decimal import Decimal

from billing.calculation.calculation import MetricUsage
from billing.calculation.stages.aggregate import aggregate
from pricing.terms import FlatRate
from tests.billing.calculation.calculations import charge, draft, metered

USAGE = {"input": MetricUsage(Decimal(100), 3), "output": MetricUsage(Decimal(40), 2)}


def test_a_charge_adds_up_its_metrics_by_weight() -> None:
    both = charge(feeds={"input": "1", "output": "2.5"})

    (asked,) = aggregate(draft(charges=(both,), usage=USAGE)).demands

    # 100 x 1 + 40 x 2.5
    assert asked.used == Decimal(200)
    assert asked.weighted == {"input": Decimal(100), "output": Decimal(100)}
    assert asked.events == 5


def test_a_metric_counts_in_every_charge_that_it_feeds() -> None:
    charges = (charge(code="a"), charge(code="b", feeds={"tokens": "3"}))

    asked = aggregate(draft(charges=charges, usage=metered("10"))).demands

    assert [d.used for d in asked] == [Decimal(10), Decimal(30)]


def test_an_aggregate_below_zero_counts_as_zero_and_lowers_no_other() -> None:
    usage = {"input": MetricUsage(Decimal(-5), 1), "output": MetricUsage(Decimal(10), 1)}
    both = charge(feeds={"input": "1", "output": "1"})

    added = aggregate(draft(charges=(both,), usage=usage))

    assert added.demands[0].weighted == {"input": Decimal(0), "output": Decimal(10)}
    assert added.trace[0].notes == ("2 events.", "input: the aggregate -5 counts as zero.")


def test_an_aggregate_of_zero_needs_no_explanation() -> None:
    added = aggregate(draft(charges=(charge(),), usage=metered("0")))

    assert added.trace[0].notes == ("1 events.",)


def test_a_metric_without_usage_and_a_charge_without_metric_ask_for_nothing() -> None:
    fee = charge(FlatRate(flat_fee=Decimal(9)), code="fee", feeds={})

    asked = aggregate(draft(charges=(charge(), fee))).demands

    assert [(d.used, d.events) for d in asked] == [(0, 0), (0, 0)]


def test_a_weighted_quantity_keeps_the_12_places_of_the_books() -> None:
    # 0.000001 x 0.0000015 is 0.0000000000015: half even, 0.000000000002.
    third = charge(feeds={"tokens": "0.0000015"})

    (asked,) = aggregate(draft(charges=(third,), usage=metered("0.000001"))).demands

    assert asked.used == Decimal("0.000000000002")
