"""Proof of the counters of budgets: by the documents of entries, by what reservations hold, and by
what debits and holds should have counted.
"""

from __future__ import annotations

from collections.abc import Iterator

from django.db import connection

from ledger.models import Book

# What each counter has, against what the documents of the book's entries and metered usage add up
# to, and what open reservations hold of it.
_COUNTERS = """
    SELECT b.code, c.value, c.starts_at, c.used, c.held,
        coalesce(told.used, 0) + coalesce(metered.quantity, 0), coalesce(told.held, 0),
        coalesce(reserved.held, 0)
    FROM wallets_budget AS b
    JOIN wallets_budgetcounter AS c ON c.budget_id = b.id
    LEFT JOIN (
        SELECT n.key AS counter, sum((n.value ->> 'used')::numeric) AS used,
            sum((n.value ->> 'held')::numeric) AS held
        FROM ledger_entry AS e, jsonb_each(e.document -> 'budgets') AS n
        WHERE e.book_id = %(book)s AND e.document ? 'budgets'
        GROUP BY n.key
    ) AS told ON told.counter = c.id::text
    LEFT JOIN (
        SELECT part.key AS counter, sum(part.value::numeric) AS held
        FROM wallets_reservation AS r, jsonb_each(r.counted) AS measure,
            jsonb_each(measure.value) AS budget, jsonb_each_text(budget.value) AS part
        WHERE r.book_id = %(book)s AND r.counted IS NOT NULL
        GROUP BY part.key
    ) AS reserved ON reserved.counter = c.id::text
    LEFT JOIN LATERAL (
        SELECT sum(d.quantity) AS quantity FROM wallets_budgetdelta AS d
        WHERE d.budget_id = b.id AND d.folded_at IS NOT NULL AND d.value = c.value
            AND d.starts_at = c.starts_at AND d.ends_at = c.ends_at
    ) AS metered ON true
    WHERE b.book_id = %(book)s
    ORDER BY b.code, c.value, c.starts_at
"""

# Debits and holds of credits that a budget matched for as long as it was there and active, against
# what their entries counted in it. A value that is not in the entry's attributes never matches.
_ENTRIES = """
    WITH life AS (
        SELECT b.*, m.code AS metric_code, min(c.sequence) AS since,
            max(c.sequence) FILTER (WHERE c.terms ? 'ended') AS until
        FROM wallets_budget AS b
        JOIN wallets_budgetchange AS c ON c.budget_id = b.id
        LEFT JOIN pricing_metric AS m ON m.id = b.metric_id
        WHERE b.book_id = %(book)s
        GROUP BY b.id, m.code
        HAVING bool_and((c.terms ->> 'active')::boolean)
    )
    SELECT e.sequence, life.code, (e.document ->> 'quantity')::numeric, coalesce(told.amount, 0)
    FROM life
    JOIN ledger_entry AS e ON e.book_id = life.book_id AND e.event IN ('DEBIT', 'HOLD')
        AND e.sequence > life.since AND (life.until IS NULL OR e.sequence <= life.until)
        AND (life.currency = e.document ->> 'currency'
            OR life.metric_code = e.document ->> 'metric')
    LEFT JOIN LATERAL (
        SELECT sum(coalesce((n.value ->> 'used')::numeric, (n.value ->> 'held')::numeric)) AS amount
        FROM jsonb_each(e.document -> 'budgets') AS n
        JOIN wallets_budgetcounter AS c ON c.id = n.key::uuid AND c.budget_id = life.id
            AND c.value = CASE life.per WHEN '' THEN '' ELSE e.attributes ->> life.per END
    ) AS told ON true
    WHERE (e.document ->> 'quantity')::numeric <> coalesce(told.amount, 0)
        AND e.attributes IS NOT NULL
        AND (life.per = '' OR e.attributes ? life.per)
        AND NOT EXISTS (
            SELECT FROM jsonb_each_text(life.match) AS wanted
            WHERE NOT e.attributes ? wanted.key
                OR wanted.value NOT IN ('*', e.attributes ->> wanted.key)
        )
    ORDER BY e.sequence, life.code LIMIT 1
"""


def faults(book: Book) -> Iterator[tuple[str, str | None]]:
    """Return each counter with its fault, if any, and the first entry that counted otherwise than
    it took.
    """
    with connection.cursor() as cursor:
        cursor.execute(_COUNTERS, {"book": book.pk})
        counters = cursor.fetchall()
        cursor.execute(_ENTRIES, {"book": book.pk})
        entries = cursor.fetchall()
    for code, value, starts_at, used, held, told, told_held, reserved in counters:
        named = f"budget {code}, {value or 'in all'}, from {starts_at:%Y-%m-%d %H:%M}"
        fault = None
        if (used, held) != (told, told_held):
            fault = (
                f"it has {used:f} used and {held:f} held, entries say {told:f} and {told_held:f}"
            )
        elif held != reserved:
            fault = f"it has {held:f} held, reservations hold {reserved:f}"
        yield named, fault
    for sequence, code, quantity, told in entries:
        yield (
            f"{book.key}#{sequence}",
            f"it took {quantity:f}, and counted {told:f} in the budget {code}",
        )
