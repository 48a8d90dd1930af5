"""What promotions cost: credits given without a price, used, lapsed and outstanding."""

from __future__ import annotations

from collections.abc import Iterator

from ledger.reports.report_table import Column, ColumnKind, Report, ReportScope, Row, text_column
from wallets.reports import lots

_PROMO = """
    SELECT lot.source,
        coalesce(campaign.code, nullif(lot.reason, ''), split_part(lot.cause, ':', 1)), lot.kind,
        coalesce(metric.code, nullif(lot.credit_unit, ''), lot.currency) AS unit,
        count(DISTINCT lot.id), count(DISTINCT lot.book_id),
        sum(m.quantity) FILTER (WHERE m.kind = 'GRANT'),
        -sum(m.quantity * side.sign) FILTER (WHERE m.kind IN ('BURN', 'REVERSE')),
        -sum(m.quantity * side.sign) FILTER (WHERE m.kind IN ('REFUND', 'ADJUST')),
        sum(m.quantity) FILTER (WHERE m.kind = 'EXPIRE'),
        sum(m.quantity * side.sign)
    FROM {movements}
    LEFT JOIN wallets_unitwallet held ON held.id = lot.unit_wallet_id
    LEFT JOIN pricing_metric metric ON metric.id = held.metric_id
    LEFT JOIN wallets_campaigngrant given ON given.lot_id = lot.id
    LEFT JOIN pricing_campaign campaign ON campaign.id = given.campaign_id
    WHERE {scope} AND (lot.kind = 'PROMO' OR lot.source = 'CAMPAIGN')
    GROUP BY 1, 2, 3, 4
    ORDER BY 1, 2, 3, 4
"""
_NAMES = ("grants", "customers", "granted", "used", "taken_back", "lapsed", "outstanding")


def report(scope: ReportScope) -> Report:
    """Return, for each campaign or other source, what it granted up to the end of the span.

    Units stand in units and money at face, which is its list price.
    """
    return Report(
        name="promo-cost",
        title="Promotions by campaign",
        scope=scope,
        columns=[
            text_column("source", "Source"),
            text_column("campaign", "Campaign or reason"),
            text_column("kind", "Kind"),
            text_column("unit", "Unit"),
            Column("grants", "Grants", ColumnKind.COUNT),
            Column("customers", "Customers", ColumnKind.COUNT),
            Column("granted", "Granted", ColumnKind.QUANTITY),
            Column("used", "Used at face", ColumnKind.QUANTITY),
            Column("taken_back", "Taken back", ColumnKind.QUANTITY),
            Column("lapsed", "Lapsed", ColumnKind.QUANTITY),
            Column("outstanding", "Outstanding", ColumnKind.QUANTITY),
        ],
        rows=_rows(scope),
    )


def _rows(scope: ReportScope) -> Iterator[Row]:
    for source, campaign, kind, unit, *figures in lots.fetch(_PROMO, scope):
        counted = dict(zip(_NAMES, (figure or 0 for figure in figures), strict=True))
        yield {"source": source, "campaign": campaign, "kind": kind, "unit": unit, **counted}
