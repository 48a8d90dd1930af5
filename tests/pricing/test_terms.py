import json
from collections.abc import Mapping
from decimal import Decimal

import pytest

from aforo.errors import Invalid, Rejected
from pricing import terms
from pricing.terms import (
    BlockOverage,
    FlatRate,
    Graduated,
    IncludedQuota,
    Percentage,
    PerUnit,
    Rollover,
    RolloverMode,
    Terms,
    Tier,
    UnitOverage,
    Volume,
)


def faults(model: str, data: object) -> list[tuple[str, str]]:
    with pytest.raises(Invalid) as refused:
        terms.parse(model, data)
    return [(error.pointer, error.code) for error in refused.value.errors]


def sentence(model: str, data: object) -> str:
    with pytest.raises(Invalid) as refused:
        terms.parse(model, data)
    (error,) = refused.value.errors
    return error.detail


TIERS = [
    {"up_to": "1000", "unit_price": "0.01"},
    {"up_to": "10000", "unit_price": "0.008", "flat_fee": "7"},
    {"up_to": None, "unit_price": "0.005"},
]
PARSED_TIERS = (
    Tier(up_to=Decimal(1000), unit_price=Decimal("0.01")),
    Tier(up_to=Decimal(10000), unit_price=Decimal("0.008"), flat_fee=Decimal(7)),
    Tier(up_to=None, unit_price=Decimal("0.005")),
)

CANONICAL: list[tuple[str, dict[str, object], Terms]] = [
    ("PER_UNIT", {"unit_price": "0.0000025"}, PerUnit(unit_price=Decimal("0.0000025"))),
    (
        "PER_UNIT",
        {"unit_price": "0", "included_quantity": "0.5"},
        PerUnit(unit_price=Decimal(0), included_quantity=Decimal("0.5")),
    ),
    ("FLAT_RATE", {"flat_fee": "49.9"}, FlatRate(flat_fee=Decimal("49.90"))),
    ("VOLUME", {"tiers": TIERS}, Volume(tiers=PARSED_TIERS)),
    (
        "GRADUATED",
        {"tiers": TIERS, "included_quantity": "100"},
        Graduated(tiers=PARSED_TIERS, included_quantity=Decimal(100)),
    ),
    (
        "INCLUDED_QUOTA",
        {"included_quantity": "10000", "unit_price": "0.002"},
        IncludedQuota(
            included_quantity=Decimal(10000), overage=UnitOverage(unit_price=Decimal("0.002"))
        ),
    ),
    (
        "INCLUDED_QUOTA",
        {
            "included_quantity": "10000",
            "block_size": "1000",
            "block_price": "5",
            "rollover": {"mode": "CAPPED", "minimum": "100", "maximum": "5000", "cycles": 3},
        },
        IncludedQuota(
            included_quantity=Decimal(10000),
            overage=BlockOverage(block_size=Decimal(1000), block_price=Decimal(5)),
            rollover=Rollover(
                mode=RolloverMode.CAPPED,
                minimum=Decimal(100),
                maximum=Decimal(5000),
                cycles=3,
            ),
        ),
    ),
    ("PERCENTAGE", {"percent": "100"}, Percentage(percent=Decimal(100))),
    (
        "PERCENTAGE",
        {
            "percent": "2.9",
            "fixed_fee_per_event": "0.3",
            "minimum_fee": "5",
            "maximum_fee": "5",
        },
        Percentage(
            percent=Decimal("2.9"),
            fixed_fee_per_event=Decimal("0.30"),
            minimum_fee=Decimal(5),
            maximum_fee=Decimal(5),
        ),
    ),
]


class TestReading:
    @pytest.mark.parametrize(("model", "data", "parsed"), CANONICAL)
    def test_gives_the_terms_and_writes_them_back_as_they_came(
        self, model: str, data: dict[str, object], parsed: Terms
    ) -> None:
        assert terms.parse(model, data) == parsed
        assert terms.to_json(parsed) == data
        assert terms.model_of(parsed) == model

    @pytest.mark.parametrize(
        "spelling", ["0.50", "0.5", "+0.5", "5E-1", Decimal("0.5"), Decimal("0.500")]
    )
    def test_one_meaning_has_one_spelling(self, spelling: object) -> None:
        parsed = terms.parse("PER_UNIT", {"unit_price": spelling})

        assert terms.to_json(parsed) == {"unit_price": "0.5"}
        assert repr(parsed) == repr(PerUnit(unit_price=Decimal("0.5")))

    @pytest.mark.parametrize("spelling", [100000, "1e5", "100000.000", Decimal("1E+5")])
    def test_whole_numbers_are_written_out(self, spelling: object) -> None:
        assert terms.to_json(terms.parse("FLAT_RATE", {"flat_fee": spelling})) == {
            "flat_fee": "100000"
        }

    def test_null_is_the_same_as_leaving_an_optional_field_out(self) -> None:
        data = {"percent": "1", "minimum_fee": None, "maximum_fee": None}

        assert terms.parse("PERCENTAGE", data) == Percentage(percent=Decimal(1))

    def test_a_rollover_of_none_is_no_rollover(self) -> None:
        data = {"included_quantity": 1, "unit_price": 1, "rollover": {"mode": "NONE"}}

        parsed = terms.parse("INCLUDED_QUOTA", data)

        assert terms.to_json(parsed) == {"included_quantity": "1", "unit_price": "1"}

    def test_the_largest_numbers_that_the_columns_hold_are_taken(self) -> None:
        largest = {
            "unit_price": "9999999999999999.999999999999",
            "included_quantity": "99999999999999999999999999.999999999999",
        }

        assert terms.to_json(terms.parse("PER_UNIT", largest)) == largest

    def test_included_quantity_is_known_for_every_model(self) -> None:
        known = {model: terms.included_quantity(parsed) for model, _, parsed in CANONICAL}

        assert known == {
            "PER_UNIT": Decimal("0.5"),
            "FLAT_RATE": Decimal(0),
            "VOLUME": Decimal(0),
            "GRADUATED": Decimal(100),
            "INCLUDED_QUOTA": Decimal(10000),
            "PERCENTAGE": Decimal(0),
        }


class TestRefusedNumbers:
    @pytest.mark.parametrize(
        ("value", "code"),
        [
            ("", "invalid_number"),
            ("abc", "invalid_number"),
            (" 1", "invalid_number"),
            ("1\n", "invalid_number"),
            ("1_000", "invalid_number"),
            ("1,5", "invalid_number"),
            ("٣", "invalid_number"),
            ("NaN", "invalid_number"),
            ("Infinity", "invalid_number"),
            ("1E+999999", "invalid_number"),
            (Decimal("NaN"), "invalid_number"),
            (Decimal("sNaN"), "invalid_number"),
            (Decimal("-Infinity"), "invalid_number"),
            (True, "invalid_number"),
            ([], "invalid_number"),
            ({}, "invalid_number"),
            (json.loads("0.5"), "invalid_number"),
            (Decimal("1E+999999"), "too_large"),
            (10**16, "too_large"),
            ("1e16", "too_large"),
            (Decimal("1E-999999"), "too_many_decimals"),
            ("0.0000000000001", "too_many_decimals"),
            ("1.0000000000001", "too_many_decimals"),
            ("-0.01", "negative"),
            (-1, "negative"),
            (None, "required"),
        ],
    )
    def test_a_unit_price(self, value: object, code: str) -> None:
        assert faults("PER_UNIT", {"unit_price": value}) == [("/unit_price", code)]

    def test_numbers_of_5000_digits_are_refused_without_being_computed_with(self) -> None:
        assert faults("FLAT_RATE", {"flat_fee": "1" * 5000}) == [("/flat_fee", "invalid_number")]
        assert faults("FLAT_RATE", {"flat_fee": 10**5000}) == [("/flat_fee", "too_large")]

    def test_zeros_past_the_twelfth_decimal_do_no_harm(self) -> None:
        parsed = terms.parse("PER_UNIT", {"unit_price": "0.0000025000000000"})

        assert terms.to_json(parsed) == {"unit_price": "0.0000025"}

    @pytest.mark.parametrize(
        ("percent", "code"),
        [("0", "not_positive"), ("100.000001", "too_large"), ("250", "too_large"),
         ("-2.5", "negative"), ("1000", "too_large")],
    )  # fmt: skip
    def test_a_percent(self, percent: str, code: str) -> None:
        assert faults("PERCENTAGE", {"percent": percent}) == [("/percent", code)]

    def test_a_quantity_beyond_the_column(self) -> None:
        data = {"unit_price": 1, "included_quantity": "1e26"}

        assert faults("PER_UNIT", data) == [("/included_quantity", "too_large")]


class TestRefusedFields:
    @pytest.mark.parametrize(
        ("model", "data", "expected"),
        [
            ("PER_UNIT", {}, [("/unit_price", "required")]),
            ("FLAT_RATE", {}, [("/flat_fee", "required")]),
            ("VOLUME", {}, [("/tiers", "required")]),
            ("GRADUATED", {}, [("/tiers", "required")]),
            (
                "INCLUDED_QUOTA",
                {},
                [("/included_quantity", "required"), ("/unit_price", "required")],
            ),
            ("PERCENTAGE", {}, [("/percent", "required")]),
            ("PER_UNIT", {"unit_price": 1, "price": 1}, [("/price", "unknown_field")]),
            ("PER_UNIT", {"unit_price": 1, "tiers": []}, [("/tiers", "unknown_field")]),
            ("FLAT_RATE", {"flat_fee": 1, "a/b~c": 1}, [("/a~1b~0c", "unknown_field")]),
            (
                "FLAT_RATE",
                {"flat_fee": 1, "included_quantity": 1},
                [("/included_quantity", "unknown_field")],
            ),
            ("PER_UNIT", [], [("", "invalid_type")]),
            ("PER_UNIT", None, [("", "invalid_type")]),
            ("TIERED", {}, [("", "unknown_model")]),
            ("per_unit", {"unit_price": 1}, [("", "unknown_model")]),
        ],
    )
    def test_missing_and_unknown(
        self, model: str, data: object, expected: list[tuple[str, str]]
    ) -> None:
        assert faults(model, data) == expected

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ({"unit_price": 1, "block_size": 10, "block_price": 1},
             [("/unit_price", "not_combinable")]),
            ({"unit_price": 1, "block_size": 10},
             [("/unit_price", "not_combinable"), ("/block_price", "required")]),
            ({"block_size": 10}, [("/block_price", "required")]),
            ({"block_price": 10}, [("/block_size", "required")]),
            ({"block_size": 0, "block_price": 1}, [("/block_size", "not_positive")]),
            ({"block_size": -1, "block_price": -1},
             [("/block_size", "negative"), ("/block_price", "negative")]),
            ({"unit_price": 1, "rollover": "ALL"}, [("/rollover", "invalid_type")]),
            ({"unit_price": 1, "rollover": {}}, [("/rollover/mode", "required")]),
        ],
    )  # fmt: skip
    def test_included_quota(
        self, given: dict[str, object], expected: list[tuple[str, str]]
    ) -> None:
        assert faults("INCLUDED_QUOTA", {"included_quantity": 5, **given}) == expected

    def test_faults_of_a_rollover_are_named_inside_the_terms(self) -> None:
        data = {"included_quantity": 1, "unit_price": 1, "rollover": {"mode": "PERCENT"}}

        assert faults("INCLUDED_QUOTA", data) == [("/rollover/percent", "required")]

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ({"minimum_fee": 6, "maximum_fee": 5}, [("/minimum_fee", "minimum_above_maximum")]),
            ({"minimum_fee": 6, "maximum_fee": "x"}, [("/maximum_fee", "invalid_number")]),
            ({"minimum_fee": -6, "maximum_fee": 5}, [("/minimum_fee", "negative")]),
            ({"fixed_fee_per_event": -1}, [("/fixed_fee_per_event", "negative")]),
        ],
    )
    def test_percentage(self, given: dict[str, object], expected: list[tuple[str, str]]) -> None:
        assert faults("PERCENTAGE", {"percent": 1, **given}) == expected


def tiers(*bounds: object) -> Mapping[str, object]:
    return {"tiers": [{"up_to": bound, "unit_price": "1"} for bound in bounds]}


@pytest.mark.parametrize("model", ["VOLUME", "GRADUATED"])
class TestRefusedTiers:
    @pytest.mark.parametrize(
        ("_case", "data", "expected"),
        [
            ("none", {"tiers": []}, [("/tiers", "out_of_range")]),
            ("too many", tiers(*range(1, 101), None), [("/tiers", "out_of_range")]),
            ("no list", {"tiers": {"0": {}}}, [("/tiers", "invalid_type")]),
            ("text", {"tiers": "1000"}, [("/tiers", "invalid_type")]),
            ("no object", {"tiers": [5]}, [("/tiers/0", "invalid_type")]),
            ("descending", tiers(1000, 500, None), [("/tiers/1/up_to", "not_ascending")]),
            ("equal", tiers(1000, "1000.00", None), [("/tiers/1/up_to", "not_ascending")]),
            ("from zero", tiers(0, None), [("/tiers/0/up_to", "not_positive")]),
            ("below zero", tiers(-1, None), [("/tiers/0/up_to", "negative")]),
            ("no open end", tiers(1000, 2000), [("/tiers/1/up_to", "open_end_missing")]),
            ("open too early", tiers(None, None), [("/tiers/0/up_to", "open_end_not_last")]),
            (
                "open only too early",
                tiers(None, 1000),
                [("/tiers/0/up_to", "open_end_not_last"), ("/tiers/1/up_to", "open_end_missing")],
            ),
            ("no bound said", {"tiers": [{"unit_price": 1}]}, [("/tiers/0/up_to", "required")]),
            (
                "unknown field",
                {"tiers": [{"up_to": None, "unit_price": 1, "from": 0}]},
                [("/tiers/0/from", "unknown_field")],
            ),
        ],
    )
    def test_bounds_ascend_to_one_open_end(
        self, model: str, _case: str, data: object, expected: list[tuple[str, str]]
    ) -> None:
        assert faults(model, data) == expected

    def test_a_bound_that_cannot_be_read_does_not_blame_its_neighbours(self, model: str) -> None:
        assert faults(model, tiers(1000, "x", 2000, None)) == [("/tiers/1/up_to", "invalid_number")]

    def test_every_fault_is_named_at_once(self, model: str) -> None:
        data = {
            "tiers": [
                {"up_to": "10", "unit_price": "-1"},
                {"up_to": "5", "unit_price": "x", "flat_fee": "-2"},
                {"up_to": "20", "price": "1"},
            ],
            "included_quantity": "-1",
            "currency": "USD",
        }

        assert sorted(faults(model, data)) == [
            ("/currency", "unknown_field"),
            ("/included_quantity", "negative"),
            ("/tiers/0/unit_price", "negative"),
            ("/tiers/1/flat_fee", "negative"),
            ("/tiers/1/unit_price", "invalid_number"),
            ("/tiers/1/up_to", "not_ascending"),
            ("/tiers/2/price", "unknown_field"),
            ("/tiers/2/unit_price", "required"),
            ("/tiers/2/up_to", "open_end_missing"),
        ]


class TestSentences:
    @pytest.mark.parametrize(
        ("model", "data", "text"),
        [
            ("PER_UNIT", {"unit_price": "-1"}, "unit_price must not be negative."),
            (
                "GRADUATED",
                tiers(1000, 500, None),
                "up_to must be above 1000, the bound before it.",
            ),
            ("VOLUME", tiers(1000), "up_to of the last tier must be null (no end)."),
            (
                "INCLUDED_QUOTA",
                {"included_quantity": 1, "block_size": 0, "block_price": 1},
                "block_size must be above zero.",
            ),
            (
                "PERCENTAGE",
                {"percent": 1, "minimum_fee": 2, "maximum_fee": 1},
                "minimum_fee must not be above maximum_fee.",
            ),
            ("PERCENTAGE", {"percent": 250}, "percent must not be above 100."),
            (
                "PER_UNIT",
                {"unit_price": "0.0000000000001"},
                "unit_price must have at most 12 decimals.",
            ),
        ],
    )
    def test_name_the_field(self, model: str, data: object, text: str) -> None:
        assert sentence(model, data) == text

    def test_the_refusal_is_of_the_422_kind(self) -> None:
        with pytest.raises(Rejected) as refused:
            terms.parse("PER_UNIT", {})

        assert refused.value.status == 422
        assert refused.value.code == "required"
