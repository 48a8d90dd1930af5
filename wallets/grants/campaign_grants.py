"""Grants of campaigns: to a customer who redeems a code or tops up, or to whole lists at once.

A campaign gives once per book and cause, never more than it may, and only to its audience. Lock
order: the books first, by the caller, then the campaign's row until the commit
(docs/decisions.md#d1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

from aforo import money
from aforo.database import bulk
from aforo.errors import Conflict
from aforo.protocol.idempotency import Answer
from aforo.sandbox.services import now_for
from ledger.models import Book, LedgerEvent
from pricing.campaigns import campaigns
from pricing.models import Campaign, CampaignTrigger
from wallets import port
from wallets.grants.grants import notify_granted
from wallets.lots import queries
from wallets.lots.credit_journal import CreditJournal
from wallets.lots.new_lots import lot_document, new_lot
from wallets.models import CampaignGrant, CreditLot, CreditSource, MovementKind, UnitWallet, Wallet
from wallets.operations import idempotency
from wallets.operations.responses import grant_answer
from wallets.port import Traits

REDEEM = "wallets.campaigns.redeem"
CODE_CAUSE = "code"
EVERYBODY_CAUSE = "everybody"
HUNDRED = Decimal(100)


class NotInAudience(Conflict):
    """The campaign is not for this customer.

    Nothing was granted; the campaign names its audience.
    """

    default_code = "not_in_audience"


class AlreadyGranted(Conflict):
    """The customer has had this grant of the campaign.

    Nothing was granted; do not repeat it.
    """

    default_code = "already_granted"


@dataclass(frozen=True, slots=True)
class GrantResult:
    """The grants of a list of customers, and why the others were refused, by book."""

    grants: Mapping[int, CampaignGrant]
    refusals: Mapping[int, Conflict]


def grant_credits(
    *,
    campaign: Campaign,
    books: Sequence[Book],
    cause: str,
    at: datetime | None = None,
    traits: Mapping[int, Traits] | None = None,
) -> GrantResult:
    """Grant a campaign's credits to customers for a cause, in a handful of statements.

    The books must be locked, and be in the order in which the budget serves them. `at` is when the
    cause occurred, if not now; `traits` are compared with the audience, if not the customers'
    traits of now. A refusal is a result: it changes nothing, and stops nobody else.
    """
    refusals = _refusals(campaign, books, cause, at, traits)
    entitled = [book for book in books if book.pk not in refusals]
    if not entitled:
        return GrantResult({}, refusals)
    try:
        claimed = campaigns.claim(campaign=campaign, each=campaign.each, grants=len(entitled))
    except Conflict as refusal:
        return GrantResult({}, refusals | dict.fromkeys((book.pk for book in entitled), refusal))
    served, rest = entitled[: claimed.grants], entitled[claimed.grants :]
    assert not rest or claimed.short is not None, "a claim that falls short says why"
    wallets = _wallets(campaign, served)
    theirs = port.billing().traits_of(served) if campaign.expires_after_days is not None else {}
    journal, grants = CreditJournal(), {}
    for book in served:
        now = now_for(book)
        lapses_at = campaign.lapses_at(now, ZoneInfo(theirs.get(book.pk, Traits()).zone))
        lot = _lot(campaign, wallets[book.pk], cause, campaign.each, now, lapses_at)
        document = {"campaign": campaign.code, **lot_document(lot)}
        entry = journal.entry(
            book=book, event=LedgerEvent.GRANT, occurred_at=lot.granted_at, document=document
        )
        entry.grant(lot)
        grants[book.pk] = _grant(campaign, lot, cause)
    journal.write()
    bulk.insert_models(CampaignGrant, list(grants.values()))
    for book in served:
        lot = grants[book.pk].lot
        notify_granted(book, [lot], lot.granted_at)
        port.billing().credits_arrived(book)
    left_out = {book.pk: claimed.short for book in rest if claimed.short is not None}
    return GrantResult(grants, refusals | left_out)


def _refusals(
    campaign: Campaign,
    books: Sequence[Book],
    cause: str,
    at: datetime | None,
    traits: Mapping[int, Traits] | None,
) -> dict[int, Conflict]:
    """Return who gets nothing, and why, before anything is claimed from the budget."""
    if traits is None:
        traits = port.billing().traits_of(books)
    had: dict[int, list[str]] = {book.pk: [] for book in books}
    given = CampaignGrant.objects.filter(campaign=campaign, book__in=books)
    for book_id, earlier in given.values_list("book_id", "cause"):
        had[book_id].append(earlier)
    refusals = {
        book.pk: _refusal(campaign, book, cause, at or now_for(book), had[book.pk], traits[book.pk])
        for book in books
    }
    return {book_id: refusal for book_id, refusal in refusals.items() if refusal is not None}


def _refusal(
    campaign: Campaign,
    book: Book,
    cause: str,
    moment: datetime,
    had: Sequence[str],
    traits: Traits,
) -> Conflict | None:
    if cause in had:
        return AlreadyGranted(f"{book.key} has had the campaign {campaign.code} for this already.")
    closed = campaigns.refusal_of(campaign, moment)
    if closed is not None:
        return closed
    if not campaign.wants(key=book.key, tags=traits.tags, offerings=traits.offerings):
        return NotInAudience(f"The campaign {campaign.code} is not for {book.key}.")
    if campaign.max_per_customer is not None and len(had) >= campaign.max_per_customer:
        detail = f"{book.key} has had the campaign {campaign.code} as often as a customer may."
        return campaigns.LimitReached(detail)
    return None


def _wallets(campaign: Campaign, books: Sequence[Book]) -> Mapping[int, Wallet | UnitWallet]:
    """Return the wallets of locked books that a campaign fills, opened where they are missing."""
    if campaign.metric is None:
        money_wallets = Wallet.objects.filter(book__in=books, currency=campaign.currency)
        known = set(money_wallets.values_list("book_id", flat=True))
        Wallet.objects.bulk_create(
            Wallet(book=book, currency=campaign.currency) for book in books if book.pk not in known
        )
        return {wallet.book_id: wallet for wallet in money_wallets.all()}
    unit_wallets = UnitWallet.objects.filter(book__in=books, metric=campaign.metric)
    known = set(unit_wallets.values_list("book_id", flat=True))
    UnitWallet.objects.bulk_create(
        UnitWallet(book=book, metric=campaign.metric) for book in books if book.pk not in known
    )
    return {wallet.book_id: wallet for wallet in unit_wallets.select_related("metric")}


def _lot(
    campaign: Campaign,
    wallet: Wallet | UnitWallet,
    cause: str,
    quantity: Decimal,
    now: datetime,
    expires_at: datetime | None,
    top_up_id: UUID | None = None,
) -> CreditLot:
    return new_lot(
        wallet=wallet,
        kind=campaign.kind,
        source=CreditSource.CAMPAIGN,
        quantity=quantity,
        now=now,
        cause=f"campaign:{campaign.code}:{cause}",
        reason=campaign.name,
        priority=campaign.priority,
        expires_at=expires_at,
        top_up_id=top_up_id,
    )


def _grant(campaign: Campaign, lot: CreditLot, cause: str) -> CampaignGrant:
    return CampaignGrant(
        campaign=campaign,
        book_id=lot.book_id,
        cause=cause,
        quantity=lot.face,
        lot=lot,
        granted_at=lot.granted_at,
    )


def redeem(*, livemode: bool, customer_id: str, code: str, key: str) -> Answer:
    """Grant the credits of a code to a customer, once.

    Raises: UnknownCustomer; Invalid (`unknown_code`); CampaignNotActive, CampaignOver, BudgetSpent,
    LimitReached, NotInAudience, AlreadyGranted.
    """

    def make(book: Book, operation_id: UUID) -> dict[str, object]:
        campaign = campaigns.find_redeemable(livemode=livemode, code=code)
        given = grant_credits(campaign=campaign, books=[book], cause=CODE_CAUSE)
        if book.pk in given.refusals:
            raise given.refusals[book.pk]
        lot = given.grants[book.pk].lot
        wallet = lot.wallet or lot.unit_wallet
        assert wallet is not None, "a lot has one wallet"
        entry = lot.movements.get(kind=MovementKind.GRANT).entry_id
        return grant_answer(
            id=operation_id,
            book=book,
            wallet=wallet,
            lots=[lot],
            entry=entry,
            extra={"campaign": campaign.code, "kind": lot.kind, **queries.measured(lot, lot.face)},
        )

    return idempotency.once(
        livemode=livemode,
        customer_id=customer_id,
        key=key,
        operation=REDEEM,
        content={"customer_id": customer_id, "code": code},
        make=make,
    )


@money.exact
def match_top_up(
    *, book: Book, wallet: Wallet, top_up_id: UUID, amount: Decimal, now: datetime
) -> list[CreditLot]:
    """Build the BONUS lots that running campaigns add to a paid top-up (docs/decisions.md#d39).

    The book must be locked, and the caller issues the lots in the top-up's own entry, with their
    share of what was paid. A match is rounded to the currency, capped per top-up, and cut to what
    is left of the budget; a campaign that gives nothing never stops the top-up.
    """
    lots = []
    cause = str(top_up_id)
    for campaign in campaigns.running_campaigns(
        livemode=book.livemode, trigger=CampaignTrigger.TOP_UP
    ):
        quantity = _matched(campaign, amount)
        if campaign.currency != wallet.currency or quantity <= 0:
            continue
        if _refusals(campaign, [book], cause, now, None):
            continue
        try:
            claimed = campaigns.claim(campaign=campaign, each=quantity, clip=True)
        except Conflict:
            continue
        lapses_at = campaign.lapses_at(
            now, ZoneInfo(port.billing().traits_of([book])[book.pk].zone)
        )
        lot = _lot(campaign, wallet, cause, claimed.quantity, now, lapses_at, top_up_id)
        _grant(campaign, lot, cause).save(force_insert=True)
        lots.append(lot)
    return lots


def _matched(campaign: Campaign, amount: Decimal) -> Decimal:
    """Return the match of a top-up: 20 % of 100.00 is 20.00, at most `max_per_top_up`."""
    assert campaign.match_percent is not None, "a top-up campaign has one"
    matched = money.proportion(amount, campaign.match_percent, HUNDRED)
    matched = money.round_amount(matched, campaign.currency)
    return matched if campaign.max_per_top_up is None else min(matched, campaign.max_per_top_up)
