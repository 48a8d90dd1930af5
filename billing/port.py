"""What wallets ask of billing, each answered by one of its services (`wallets.port` says what)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from uuid import UUID

from aforo import actors
from aforo.database.after_commit import after_commit
from billing.campaigns import audiences
from billing.cycle_end import renewal
from billing.invoicing import on_account, sale_tax
from billing.jobs import tasks
from billing.prepaid import arrears, debts, unbilled_usage
from billing.settlement import returned_credits
from billing.subscriptions import advance_fees
from ledger.models import Book
from pricing.models import Metric
from wallets.models import TopUp
from wallets.port import Traits


class Billing:
    """Billing, as the wallets see it."""

    def traits_of(self, books: Sequence[Book]) -> Mapping[int, Traits]:
        return audiences.traits_of(books)

    def credits_arrived(self, book: Book) -> None:
        arrears.pay_arrears(book)

    def waiting_for_credits(self, book_ids: Collection[int]) -> set[int]:
        return arrears.waiting(book_ids)

    def credits_fell(self, book_ids: Collection[int]) -> None:
        after_commit("the refill after a fall of credits", partial(tasks.refill, book_ids))

    @actors.acting(actors.job("usage_burn"))
    def money_leaves(self, book: Book) -> None:
        unbilled_usage.pay_first(book)

    @actors.acting(actors.job("returned_credits"))
    def credits_returned(self, book: Book, expired_at: datetime, at: datetime) -> bool:
        return returned_credits.pay_with_returned(book, expired_at, at)

    def credits_lost(self, book: Book, top_up: TopUp, owed: Decimal, lost: Decimal) -> None:
        arrears.claim_lost_credits(book, top_up, owed, lost)

    def credits_owed(self, book: Book, debit: UUID, currency: str, owed: Decimal) -> None:
        debts.claim_debt(book, debit, currency, owed)

    def debt_of(self, debit: UUID) -> Decimal:
        return debts.open_debt(debit)

    def debt_forgiven(self, book: Book, debit: UUID, quantity: Decimal) -> None:
        debts.forgive(book, debit, quantity)

    def debt(self, book: Book, currency: str) -> Decimal:
        return debts.owed(book, currency)

    def owed(self, book_ids: Collection[int]) -> Mapping[tuple[int, str], Decimal]:
        return arrears.owed(book_ids)

    def usage_overage(self, book: Book, currency: str) -> Decimal:
        return unbilled_usage.overage(book, currency)

    def service_ended_at(self, book: Book, currency: str) -> datetime | None:
        return arrears.service_ended_at(book, currency)

    def unit_price(self, book: Book, currency: str, metric: Metric) -> Decimal | None:
        return advance_fees.unit_price(book, currency, metric)

    def sale_tax(
        self, book: Book, net: Decimal, currency: str, product_class: str, now: datetime
    ) -> tuple[Decimal, Mapping[str, object] | None]:
        return sale_tax.on_top(book, net, currency, product_class, now)

    def sold_on_account(self, book: Book, top_up: TopUp) -> str:
        return on_account.invoice_top_up(book, top_up)

    def renew(self, book_id: int) -> None:
        renewal.renew(book_id)
