"""How the tests of the posting rules write and read postings."""

from __future__ import annotations

from uuid import UUID

from hypothesis import strategies as st

from ledger.chart import DEFAULT_CHART
from ledger.posting_rules import PostingLine

LOT = UUID("018f0000-0000-7000-8000-000000000001")
CHART = {code for code, _, _, _ in DEFAULT_CHART}
Short = list[tuple[str, str, str]]


def short(lines: list[PostingLine]) -> Short:
    return [(line.debit, line.credit, f"{line.amount:f}") for line in lines]


amounts = st.decimals(min_value=0, max_value=10**12, places=12)
