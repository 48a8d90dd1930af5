"""Verification of the books: chains, lots against movements and liability accounts, cycles'
burns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db import connection, transaction
from django.db.models import Sum

from aforo import money
from aforo.money import ZERO
from billing.finance import (
    credit_verification,
    document_verification,
    payment_verification,
    tax_verification,
)
from billing.models import MonthEnd
from ledger.entries import books as ledger_books
from ledger.entries import chain_verification
from ledger.entries.chain_verification import BadEntry
from ledger.models import Book, LedgerEvent, Posting
from ledger.periods import close_packs, month_ends
from ledger.posting_rules import FEE_REVENUE, LOT_LIABILITIES, OVERAGE_REVENUE, UNBILLED
from ledger.seals import seal_proof
from ledger.seals import seals as ledger_seals
from wallets.budgets import proof as budget_proof
from wallets.lots import queries
from wallets.reports import lots


@dataclass(frozen=True, slots=True)
class Proof:
    """How much was verified, the first row that fails, and notes."""

    books: int = 0
    entries: int = 0
    lots: int = 0
    burns: int = 0
    seals: int = 0
    months: int = 0
    documents: int = 0
    first_bad: BadEntry | None = None
    notes: tuple[str, ...] = ()

    def joined(self, other: Proof) -> Proof:
        """Return the sum with what was verified next."""
        return Proof(
            self.books + other.books,
            self.entries + other.entries,
            self.lots + other.lots,
            self.burns + other.burns,
            self.seals + other.seals,
            self.months + other.months,
            self.documents + other.documents,
            other.first_bad,
            self.notes + other.notes,
        )

    @property
    def ok(self) -> bool:
        return self.first_bad is None


# What remains of a lot is what was granted less what left it; the kind says the side. What was
# granted is what its terms say, and all of it happened in the lot's own book.
_LOTS_AGAINST_MOVEMENTS = """
    SELECT lot.id,
        count(m.id) FILTER (WHERE m.book_id <> lot.book_id OR e.id IS NULL),
        ARRAY[lot.face, lot.carrying, lot.remaining, lot.held, lot.carrying_remaining],
        ARRAY[
            coalesce(sum(m.quantity) FILTER (WHERE m.kind = 'GRANT'), 0),
            coalesce(sum(m.carrying) FILTER (WHERE m.kind = 'GRANT'), 0),
            coalesce(sum(m.quantity * side.total), 0),
            coalesce(sum(m.quantity * side.hold), 0),
            coalesce(sum(m.carrying * side.total), 0)]
    FROM wallets_creditlot lot
    LEFT JOIN wallets_movement m ON m.lot_id = lot.id
    LEFT JOIN ledger_entry e ON e.id = m.entry_id AND e.book_id = %s
    LEFT JOIN (VALUES
        ('GRANT', 1, 0), ('REVERSE', 1, 0), ('BURN', -1, 0), ('EXPIRE', -1, 0),
        ('REFUND', -1, 0), ('ADJUST', -1, 0), ('HOLD', 0, 1), ('RELEASE', 0, -1)
    ) AS side(kind, total, hold) ON side.kind = m.kind
    WHERE lot.book_id = %s
    GROUP BY lot.id ORDER BY lot.id
"""
_COUNTERS = ("face", "carrying", "remaining", "held", "carrying_remaining")

# The liability of each lot, as posted, against what the lot still carries.
_LOTS_AGAINST_LIABILITIES = """
    SELECT lot.id, lot.carrying_remaining, coalesce(sum(
        CASE WHEN p.credit_id = ANY(%s) THEN p.amount ELSE 0 END
        - CASE WHEN p.debit_id = ANY(%s) THEN p.amount ELSE 0 END), 0)
    FROM wallets_creditlot lot
    LEFT JOIN ledger_posting p
        JOIN ledger_entry e ON e.id = p.entry_id AND e.book_id = %s
        ON p.lot = lot.id
    WHERE lot.book_id = %s
    GROUP BY lot.id ORDER BY lot.id
"""

# What each movement says its wallet had after it, against the movements up to it in the order of
# the book; the first that differs.
_BALANCES_AGAINST_MOVEMENTS = """
    SELECT sequence, position, kept, added FROM (
        SELECT e.sequence, m.position, m.wallet_balance_after AS kept,
            sum(m.quantity * coalesce(side.sign, 0)) OVER (
                PARTITION BY coalesce(lot.wallet_id, -lot.unit_wallet_id)
                ORDER BY e.sequence, m.position) AS added
        FROM ledger_entry e
        JOIN wallets_movement m ON m.entry_id = e.id
        JOIN wallets_creditlot lot ON lot.id = m.lot_id
        LEFT JOIN {signs} ON side.kind = m.kind
        WHERE e.book_id = %s
    ) AS history
    WHERE kept <> added ORDER BY sequence, position LIMIT 1
""".replace("{signs}", lots.SIGNS)

# What is in another book than the entry, the reservation or the lot that it belongs to.
_ASTRAY = """
    SELECT 'debit ' || d.id FROM ledger_entry e JOIN wallets_debit d ON d.entry_id = e.id
    WHERE e.book_id = %(book)s AND d.book_id <> e.book_id
    UNION ALL
    SELECT 'reservation ' || r.id
    FROM ledger_entry e JOIN wallets_reservation r ON r.entry_id = e.id
    WHERE e.book_id = %(book)s AND r.book_id <> e.book_id
    UNION ALL
    SELECT 'hold ' || h.id
    FROM wallets_reservation r
    JOIN wallets_hold h ON h.reservation_id = r.id
    JOIN wallets_creditlot lot ON lot.id = h.lot_id
    WHERE r.book_id = %(book)s AND (h.book_id <> r.book_id OR h.book_id <> lot.book_id)
    ORDER BY 1
"""

# What is counted in something else than its wallet, or is not what was bought.
_COUNTED_OTHERWISE = """
    SELECT 'lot ' || lot.id
    FROM wallets_creditlot lot JOIN wallets_wallet w ON w.id = lot.wallet_id
    WHERE lot.book_id = %(book)s
        AND w.currency <> coalesce(nullif(lot.credit_unit, ''), lot.currency)
    UNION ALL
    SELECT 'top-up ' || t.id
    FROM wallets_topup t JOIN wallets_creditlot lot ON lot.top_up_id = t.id AND lot.kind = 'CASH'
    WHERE t.book_id = %(book)s
        AND (lot.credit_unit <> t.credit_unit OR lot.face <> coalesce(t.credits, t.amount))
    ORDER BY 1
"""

# What each cycle burned of each lot, as billing keeps it, against the movements whose entries name
# the cycle or its settlement; either side may be missing. What a return restores of the
# consideration is rounded anew, so that each may differ by the last place.
_BURNS_AGAINST_MOVEMENTS = """
    WITH moved AS (
        SELECT coalesce(st.subscription_id::text, e.document->>'subscription') AS subscription,
            coalesce(st.cycle::text, e.document->>'cycle') AS cycle,
            coalesce(st.kind, 'CYCLE') AS kind, m.lot_id AS lot,
            sum(CASE m.kind WHEN 'BURN' THEN m.quantity ELSE -m.quantity END) AS quantity,
            sum(CASE m.kind WHEN 'BURN' THEN m.carrying ELSE -m.carrying END) AS carrying,
            count(*) FILTER (WHERE m.kind = 'REVERSE') * 0.000000000001 AS last_places
        FROM ledger_entry e
        JOIN wallets_movement m ON m.entry_id = e.id AND m.kind IN ('BURN', 'REVERSE')
        LEFT JOIN billing_settlement st ON st.id = (e.document->>'settlement')::uuid
        WHERE e.book_id = %s AND e.event IN ('USAGE_BURNED', 'SETTLEMENT', 'ADJUSTMENT')
            AND e.document ?| ARRAY['cycle', 'settlement']
        GROUP BY 1, 2, 3, 4
    ), kept AS (
        SELECT b.subscription_id::text AS subscription, b.cycle::text AS cycle, b.kind,
            b.lot_id AS lot, b.quantity, b.carrying
        FROM billing_cycleburn b JOIN billing_subscription s ON s.id = b.subscription_id
        WHERE s.customer_id = %s
    )
    SELECT subscription, kind, cycle, lot,
        ARRAY[coalesce(kept.quantity, 0), coalesce(kept.carrying, 0)],
        ARRAY[coalesce(moved.quantity, 0),
            CASE WHEN abs(kept.carrying - moved.carrying) <= moved.last_places THEN kept.carrying
                ELSE coalesce(moved.carrying, 0) END]
    FROM kept FULL JOIN moved USING (subscription, cycle, kind, lot)
    ORDER BY subscription, cycle, kind, lot
"""
_BURNED = ("quantity", "carrying")


# What was paid back of each top-up is the consideration that was taken back for it, rounded once.
_REFUNDS_AGAINST_MOVEMENTS = """
    SELECT t.id, t.currency, t.refunded, coalesce(sum(m.carrying), 0)
    FROM wallets_topup t
    LEFT JOIN wallets_creditlot lot ON lot.top_up_id = t.id
    LEFT JOIN wallets_movement m ON m.lot_id = lot.id AND m.kind = 'REFUND'
    WHERE t.book_id = %s
    GROUP BY t.id HAVING t.refunded > 0 OR count(m.id) > 0 ORDER BY t.id
"""


def verify(
    *,
    livemode: bool | None = None,
    customer_id: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Proof:
    """Verify seals and numbers, then every book of a mode, or one customer's books alone, each in
    one snapshot, then the packs of closed months, in bounded memory.

    `progress` is called with the entries done, and all of them. Raises: UnknownCustomer.
    """
    books = Book.objects.order_by("pk")
    if livemode is not None:
        books = books.filter(livemode=livemode)
    if customer_id is not None:
        books = books.filter(key=customer_id)
        if not books.exists():
            raise ledger_books.UnknownCustomer(f"There is no customer {customer_id}.")
    proof = _verify_shared(livemode) if customer_id is None else Proof()
    total, done = books.aggregate(n=Sum("sequence"))["n"] or 0, 0

    def advance(entries: int) -> None:
        nonlocal done
        done += entries
        progress(done, total)

    for book_id in books.values_list("pk", flat=True).iterator():
        if proof.first_bad is not None:
            break
        proof = proof.joined(_verify_book(book_id, advance))
    if proof.first_bad is None and customer_id is None and livemode is not False:
        proof = proof.joined(_verify_months())
    return proof


def _verify_shared(livemode: bool | None) -> Proof:  # noqa: FBT001
    """Verify what is of no one book: the seals, and the numbers of documents, of a mode or both."""
    proof = Proof()
    for mode in (True, False) if livemode is None else (livemode,):
        if proof.first_bad is None:
            report = seal_proof.verify_seals(livemode=mode)
            proved = Proof(seals=report.seals, first_bad=report.first_bad, notes=report.notes)
            proof = proof.joined(proved)
        if proof.first_bad is None:
            wrong = document_verification.check_numbers(livemode=mode)
            proof = proof.joined(Proof(first_bad=wrong))
    return proof


def _verify_months() -> Proof:
    """Verify the packs of closed months; the sandbox closes none."""
    with transaction.atomic():
        _take_snapshot()
        report = close_packs.verify_packs(livemode=True)
    return Proof(months=report.packs, first_bad=report.first_bad)


def _verify_book(book_id: int, advance: Callable[[int], None]) -> Proof:
    with transaction.atomic():
        _take_snapshot()
        book = Book.objects.get(pk=book_id)
        report = chain_verification.verify_chain(
            book=book,
            movements=queries.movement_lines,
            sealed=ledger_seals.sealed_heads(book),
            progress=advance,
        )
        if report.first_bad is not None:
            return Proof(1, report.entries, 0, first_bad=report.first_bad)
        proved = Proof(1, report.entries)
        for check, counted in (
            (_check_lots, Proof(lots=1)),
            (_check_balances, Proof()),
            (_check_books, Proof()),
            (_check_burns, Proof(burns=1)),
            (_check_refunds, Proof()),
            (_check_accruals, Proof()),
            (tax_verification.check_tax, Proof()),
            (document_verification.check_documents, Proof(documents=1)),
            (payment_verification.check_bank_payments, Proof()),
            (credit_verification.check_credit, Proof()),
            (budget_proof.faults, Proof()),
        ):
            for named, reason in check(book):
                if reason is not None:
                    return proved.joined(Proof(first_bad=BadEntry(named, reason)))
                proved = proved.joined(counted)
        return proved


def _take_snapshot() -> None:
    """Begin a snapshot of the book, unless the caller's transaction has begun to read already."""
    if len(connection.savepoint_ids) == 0:
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            # A book is a small part of its tables: by their indexes, at what a page costs today.
            cursor.execute("SET LOCAL random_page_cost = 1.1")


def _check_lots(book: Book) -> Iterator[tuple[str, str | None]]:
    """Return each lot with its fault, if any."""
    with connection.cursor() as cursor:
        cursor.execute(_LOTS_AGAINST_MOVEMENTS, [book.pk, book.pk])
        moved = cursor.fetchall()
        owed_on = list(LOT_LIABILITIES)
        cursor.execute(_LOTS_AGAINST_LIABILITIES, [owed_on, owed_on, book.pk, book.pk])
        posted = {lot_id: (carried, owed) for lot_id, carried, owed in cursor.fetchall()}
    for lot_id, astray, counters, by_moves in moved:
        fault = _difference(_COUNTERS, counters, by_moves)
        carried, owed = posted[lot_id]
        if astray:
            fault = f"{astray} of its movements are in another book"
        elif fault is None and carried != owed:
            fault = f"it carries {carried:f}, the liability accounts say {owed:f}"
        yield f"lot {lot_id}", fault


def _check_balances(book: Book) -> Iterator[tuple[str, str | None]]:
    """Return the first entry with a movement that has another balance of its wallet than the
    movements up to it add up to, if any.
    """
    with connection.cursor() as cursor:
        cursor.execute(_BALANCES_AGAINST_MOVEMENTS, [book.pk])
        wrong = cursor.fetchall()
    for sequence, position, kept, added in wrong:
        fault = _difference(["the wallet's balance"], [kept], [added])
        yield f"{book.key}#{sequence}, movement {position}", fault


def _check_books(book: Book) -> Iterator[tuple[str, str | None]]:
    """Return what belongs to the book and is in another, if anything."""
    with connection.cursor() as cursor:
        cursor.execute(_ASTRAY, {"book": book.pk})
        astray = cursor.fetchall()
        cursor.execute(_COUNTED_OTHERWISE, {"book": book.pk})
        otherwise = cursor.fetchall()
    for (named,) in astray:
        yield named, "it is in another book than what it belongs to"
    for (named,) in otherwise:
        yield named, "it is not in what its wallet is in, or not what was bought"


def _check_burns(book: Book) -> Iterator[tuple[str, str | None]]:
    """Return each burn of a cycle with its fault, if any."""
    with connection.cursor() as cursor:
        cursor.execute(_BURNS_AGAINST_MOVEMENTS, [book.pk, book.pk])
        burns = cursor.fetchall()
    for subscription, kind, cycle, lot, kept, moved in burns:
        named = f"burns of lot {lot} by {kind.lower()} {cycle} of subscription {subscription}"
        yield named, _difference(_BURNED, kept, moved)


def _check_refunds(book: Book) -> Iterator[tuple[str, str | None]]:
    """Return each refunded top-up with the fault of its repayments, if any."""
    with connection.cursor() as cursor:
        cursor.execute(_REFUNDS_AGAINST_MOVEMENTS, [book.pk])
        refunds = cursor.fetchall()
    for top_up_id, currency, refunded, carried in refunds:
        whole = money.round_amount(carried, currency)
        yield f"top-up {top_up_id}", _difference(["refunded"], [refunded], [whole])


def _check_accruals(book: Book) -> Iterator[tuple[str, str | None]]:
    """Return each month's end of a cycle with its fault, if any: what it has accrued is what its
    entries posted there, and took back on the 1st.
    """
    posted = dict[tuple[str, ...], Decimal]()
    lines = Posting.objects.filter(entry__book=book, entry__event=LedgerEvent.USAGE_ACCRUED)
    for line in lines.select_related("entry"):
        document = line.entry.document
        cycle = [str(document[name]) for name in ("subscription", "cycle", "period")]
        is_back = document["what"] != "accrued"
        is_debited = line.debit_id == UNBILLED
        account = line.credit_id if is_debited else line.debit_id
        amount = line.amount if is_debited != is_back else -line.amount
        key = (*cycle, str(document["what"]), account)
        posted[key] = posted.get(key, ZERO) + amount
    for reached in MonthEnd.objects.filter(subscription__customer=book.pk).order_by("pk"):
        period = f"{month_ends.last_day(reached.ends_at):%Y-%m}"
        cycle = [str(reached.subscription_id), str(reached.cycle), period]
        for what in ("accrued", "taken back"):
            moved = [
                posted.pop((*cycle, what, account), ZERO)
                for account in (OVERAGE_REVENUE, FEE_REVENUE)
            ]
            named = f"{period}, {what} of cycle {reached.cycle} of {reached.subscription_id}"
            yield named, _difference(("usage", "fees"), (reached.usage, reached.fees), moved)
    for key, amount in posted.items():
        if amount != 0:
            yield " ".join(key), f"accrued is 0, its entries say {amount:f}"


def _difference(
    names: Sequence[str], counters: Sequence[Decimal], movements: Sequence[Decimal]
) -> str | None:
    for name, counter, moved in zip(names, counters, movements, strict=True):
        if counter != moved:
            return f"{name} is {counter:f}, its movements say {moved:f}"
    return None
