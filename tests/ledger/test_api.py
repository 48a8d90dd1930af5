"""GET /v1/ledger/entries and /v1/ledger/trial-balance."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from aforo.access.services import create_api_key
from ledger.entries import books as ledger_books
from ledger.entries import entries
from ledger.models import Book
from ledger.posting_rules import PostingLine

NOON = datetime(2026, 3, 15, 12, tzinfo=UTC)


def fill(book: Book, count: int, amount: str = "5") -> None:
    entries.append(
        [
            entries.EntryDraft(
                book,
                "TOP_UP",
                NOON + timedelta(days=n),
                {"n": str(n)},
                [
                    PostingLine("1010", "2100", Decimal(amount), "USD"),
                    PostingLine("1010", "2300", Decimal(1), "USD"),
                ],
            )
            for n in range(count)
        ]
    )


@pytest.fixture
def books(db: None) -> tuple[Book, Book]:
    first = ledger_books.open_book(livemode=False, key="first")
    second = ledger_books.open_book(livemode=False, key="second")
    fill(first, 3)
    fill(second, 2)
    fill(ledger_books.open_book(livemode=True, key="first"), 1, amount="1000")
    return first, second


def listed(api: APIClient, query: str = "") -> list[tuple[str, int]]:
    answer = api.get(f"/v1/ledger/entries{query}")
    assert answer.status_code == 200, answer.content
    return [(e["customer_id"], e["sequence"]) for e in answer.json()["data"]]


class TestEntries:
    def test_it_lists_the_newest_of_the_keys_mode_first(
        self, api: APIClient, books: tuple[Book, Book]
    ) -> None:
        assert listed(api) == [
            ("second", 2), ("second", 1), ("first", 3), ("first", 2), ("first", 1),
        ]  # fmt: skip

    def test_an_entry_shows_its_postings_and_its_place_in_the_chain(
        self, api: APIClient, books: tuple[Book, Book]
    ) -> None:
        newest, _, oldest = api.get("/v1/ledger/entries?customer_id=first").json()["data"]

        actor = {"kind": "JOB", "id": "tests"}
        assert newest["document"] == {"n": "2", "actor": actor}
        assert (newest["actor"], newest["reason"]) == (actor, None)
        assert newest["postings"] == [
            {"debit": "1010", "credit": "2100", "amount": "5", "currency": "USD", "lot": None},
            {"debit": "1010", "credit": "2300", "amount": "1", "currency": "USD", "lot": None},
        ]
        assert newest["event"] == "TOP_UP"
        assert newest["occurred_at"] == "2026-03-17T12:00:00Z"
        assert newest["accounting_date"] == "2026-03-17"
        assert newest["recorded_at"] > oldest["recorded_at"]
        assert oldest["prev_hash"] == ""
        assert newest["hash"] == Book.objects.get(livemode=False, key="first").head_hash

    def test_from_and_to_bound_occurred_at_half_open(
        self, api: APIClient, books: tuple[Book, Book]
    ) -> None:
        query = "?customer_id=first&from=2026-03-16T12:00:00Z&to=2026-03-17T12:00:00Z"

        assert listed(api, query) == [("first", 2)]

    @pytest.mark.parametrize("query", ["?page_size=2", "?page_size=2&customer_id=first"])
    def test_pages_follow_each_other_without_loss(
        self, api: APIClient, books: tuple[Book, Book], query: str
    ) -> None:
        seen, following = [], f"/v1/ledger/entries{query}"
        while following:
            page = api.get(following).json()
            seen += [(e["customer_id"], e["sequence"]) for e in page["data"]]
            following = page["next"]

        assert seen == listed(api, query.replace("page_size=2", "page_size=500"))
        assert len(seen) == (3 if "first" in query else 5)

    def test_the_number_of_statements_does_not_grow(
        self, api: APIClient, books: tuple[Book, Book]
    ) -> None:
        def statements() -> int:
            with CaptureQueriesContext(connection) as queries:
                listed(api, "?page_size=100")
            return len(queries)

        before = statements()
        fill(books[0], 40)

        assert statements() <= before

    @pytest.mark.parametrize("query", ["?customer_id=nobody", "?event=REFUND"])
    def test_nothing_found_is_an_empty_list(
        self, api: APIClient, books: tuple[Book, Book], query: str
    ) -> None:
        assert listed(api, query) == []

    @pytest.mark.parametrize(
        "query", ["?from=yesterday", "?to=1", "?event=NOTHING", "?customer_id=a%00b"]
    )
    def test_a_bad_filter_is_named(
        self, api: APIClient, books: tuple[Book, Book], query: str
    ) -> None:
        answer = api.get(f"/v1/ledger/entries{query}")

        assert answer.status_code == 422, answer.content
        name = query[1:].partition("=")[0]
        assert [e["pointer"] for e in answer.json()["errors"]] == [f"/{name}"]

    def test_a_bad_cursor_is_refused(self, api: APIClient, books: tuple[Book, Book]) -> None:
        assert api.get("/v1/ledger/entries?cursor=%00nonsense").status_code in {400, 404, 422}


class TestTrialBalance:
    def test_each_account_has_both_sides_and_its_balance(
        self, api: APIClient, books: tuple[Book, Book]
    ) -> None:
        """Five entries of 5 and 1: 25 and 5."""
        answer = api.get("/v1/ledger/trial-balance")

        assert answer.json() == [
            self.row("1010", "Processor clearing", debit="30", balance="30"),
            self.row("2100", "Contract liability: cash credits", credit="25", balance="25"),
            self.row("2300", "Sales tax and VAT payable", credit="5", balance="5"),
        ]

    def row(
        self, account: str, name: str, *, debit: str = "0", credit: str = "0", balance: str
    ) -> dict[str, str]:
        return {
            "account": account,
            "name": name,
            "currency": "USD",
            "debit": debit,
            "credit": credit,
            "balance": balance,
        }

    def test_as_of_counts_the_whole_day(self, api: APIClient, books: tuple[Book, Book]) -> None:
        rows = api.get("/v1/ledger/trial-balance?as_of=2026-03-15&currency=usd").json()

        assert [(r["account"], r["balance"]) for r in rows] == [
            ("1010", "12"), ("2100", "10"), ("2300", "2"),
        ]  # fmt: skip
        assert api.get("/v1/ledger/trial-balance?as_of=2026-03-14").json() == []
        assert api.get("/v1/ledger/trial-balance?currency=EUR").json() == []

    @pytest.mark.parametrize(
        ("query", "pointer"),
        [
            ("?as_of=2026-02-30", "/as_of"),
            ("?currency=XXX", "/currency"),
            ("?curency=USD", "/curency"),
        ],
    )
    def test_a_bad_question_is_named(self, api: APIClient, query: str, pointer: str) -> None:
        answer = api.get(f"/v1/ledger/trial-balance{query}")

        assert answer.status_code == 422
        assert [e["pointer"] for e in answer.json()["errors"]] == [pointer]


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/v1/ledger/entries", "/v1/ledger/trial-balance"])
def test_the_books_need_a_key_with_their_scope(path: str) -> None:
    _, secret = create_api_key(livemode=False, name="usage", scopes=["usage"])

    assert APIClient().get(path).status_code == 401
    assert APIClient(headers={"X-API-Key": secret}).get(path).status_code == 403
