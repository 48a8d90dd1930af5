"""Every figure leads to the entries behind it, over the API and in the back office."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from billing.finance import reports
from ledger.entries.entry_filters import postings_behind
from ledger.models import Posting
from ledger.reports.report_table import Row
from tests import factories
from tests.billing.finance.reports.conftest import rows, scope

pytestmark = pytest.mark.django_db
ZERO = Decimal(0)


def behind(found: dict[str, str]) -> list[Posting]:
    return list(postings_behind(livemode=False, asked=found))


def summed(row: Row, postings: list[Posting], accounts: set[str]) -> Decimal:
    """Add up what the accounts gained on their credit side, internal movements apart."""
    gained = sum((p.amount for p in postings if p.credit_id in accounts), ZERO)
    return gained - sum((p.amount for p in postings if p.debit_id in accounts), ZERO)


@pytest.mark.parametrize("name", ["contract-liability", "unbilled", "trial-balance", "revenue"])
@pytest.mark.parametrize("period", ["2026-01", "2026-02"])
def test_the_postings_behind_a_figure_sum_to_it(quarter: None, name: str, period: str) -> None:
    asked = scope(period)
    report = reports.find(name).make(asked)
    checked = 0
    for row in report.rows:
        for column in report.columns:
            figure = row.get(column.name)
            drill = column.drill(row) if column.drill and figure else None
            if not drill or column.name in {"debit", "credit"}:
                continue
            accounts = set(drill["account"].split(","))
            assert abs(summed(row, behind(dict(drill)), accounts)) == abs(figure), column.name  # type: ignore[arg-type]
            checked += 1
    assert checked > 0 or name == "unbilled"


def test_one_side_of_an_account(quarter: None) -> None:
    (clearing, *_) = rows("trial-balance")
    column = next(
        c for c in reports.find("trial-balance").make(scope()).columns if c.name == "debit"
    )
    assert column.drill is not None

    drill = column.drill(clearing)

    assert drill is not None
    assert sum(posting.amount for posting in behind(dict(drill))) == 140


def listed(api: APIClient, **query: str) -> list[tuple[str, str]]:
    answer = api.get(f"/v1/ledger/entries?{urlencode(query)}")
    assert answer.status_code == 200, answer.content
    return [(entry["customer_id"], entry["event"]) for entry in answer.json()["data"]]


def read(api: APIClient, path: str) -> bytes:
    answer = api.get(f"/v1/ledger/reports/{path}")
    assert answer.status_code == 200
    return b"".join(answer.streaming_content)  # type: ignore[attr-defined]


def answered(api: APIClient, path: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(read(api, path))
    return found


class TestEntries:
    def test_by_account(self, api: APIClient, quarter: None) -> None:
        assert listed(api, account="4200") == [("bob", "EXPIRY")]
        assert listed(api, account="2130,4200", customer_id="bob") == [
            ("bob", "EXPIRY"), ("bob", "DEBIT"), ("bob", "GRANT"),
        ]  # fmt: skip

    def test_by_one_side_and_by_the_other_sides_beginning(
        self, api: APIClient, quarter: None
    ) -> None:
        assert listed(api, debit="2110") == [("ann", "DEBIT")]
        assert listed(api, credit="2110") == [("ann", "TOP_UP")]
        assert listed(api, account="2110", counter="40") == [("ann", "DEBIT")]
        # Of one posting: no posting moves 2110 and 4000.
        assert listed(api, account="2110", counter="4000") == []

    def test_by_accounting_date(self, api: APIClient, quarter: None) -> None:
        assert listed(api, accounting_date="2026-01-20") == [("bob", "EXPIRY")]
        found = listed(api, accounting_from="2026-01-10", accounting_to="2026-01-20")
        assert found == [("bob", "DEBIT"), ("ann", "DEBIT")]

    def test_by_several_events_and_currency(self, api: APIClient, quarter: None) -> None:
        assert listed(api, event="EXPIRY,GRANT", currency="usd") == [
            ("bob", "EXPIRY"), ("bob", "GRANT"),
        ]  # fmt: skip
        assert listed(api, currency="EUR") == []

    @pytest.mark.parametrize(
        "query", ["event=EXPIRY,NOTHING", "accounting_date=soon", "lot=x", "entry=1"]
    )
    def test_a_bad_filter_is_named(self, api: APIClient, query: str) -> None:
        answer = api.get(f"/v1/ledger/entries?{query}")

        assert answer.status_code == 422
        name = query.partition("=")[0]
        assert [error["pointer"] for error in answer.json()["errors"]] == [f"/{name}"]

    def test_the_links_of_a_report_lead_there(self, api: APIClient, quarter: None) -> None:
        answer = answered(api, "revenue?period=2026-01&customer_id=bob")
        breakage = next(row for row in answer["data"] if row["account"] == "4200")

        found = api.get(breakage["links"]["net"]).json()["data"]

        assert [entry["event"] for entry in found] == ["EXPIRY"]


class TestApi:
    def test_it_lists_what_there_is(self, api: APIClient) -> None:
        data = api.get("/v1/ledger/reports").json()["data"]

        assert [offered["name"] for offered in data] == list(reports.NAMES)

    def test_json_and_files(self, api: APIClient, quarter: None) -> None:
        answer = answered(api, "trial-balance?period=2026-01")
        as_csv = api.get("/v1/ledger/reports/trial-balance?period=2026-01&format=csv")
        assert b"".join(as_csv.streaming_content).startswith(b"account,name")  # type: ignore[attr-defined]

        assert answer["data"][0]["closing"] == "140.00"
        assert answer["header"]["totals"]["USD"]["debit"] == "223.333333333334"
        assert as_csv["Aforo-Report-SHA256"] == answer["header"]["sha256"]
        name = "trial-balance-sandbox-2026-01-01-2026-01-31"
        assert as_csv["Content-Disposition"] == f'attachment; filename="{name}.csv"'
        assert read(api, "trial-balance?period=2026-01&format=xlsx")[:2] == b"PK"

    def test_a_live_key_sees_live_books_only(self, live_api: APIClient, quarter: None) -> None:
        assert answered(live_api, "trial-balance?period=2026-01")["data"] == []

    @pytest.mark.parametrize(
        ("path", "status", "code"),
        [
            ("nonsense", 404, "unknown_report"),
            ("trial-balance?customer_id=nobody", 404, "unknown_customer"),
            ("trial-balance?customer_id=a%00b", 422, None),
            ("trial-balance?period=x", 422, "invalid_period"),
            ("trial-balance?format=pdf", 422, None),
            ("trial-balance?perid=2026-01", 422, "unknown_filter"),
            ("trial-balance?as_of=9999-12-31", 422, "out_of_range"),
            ("trial-balance?recorded_until=now", 422, None),
        ],
    )
    def test_a_bad_question_is_refused(
        self, api: APIClient, path: str, status: int, code: str | None
    ) -> None:
        answer = api.get(f"/v1/ledger/reports/{path}")

        assert answer.status_code == status, answer.content
        assert code is None or answer.json()["code"] == code


class TestPages:
    def test_every_page_opens_with_its_links_and_downloads(
        self, admin_client: Client, quarter: None
    ) -> None:
        assert b"Trial balance" in admin_client.get(reverse("reports")).content
        for name in reports.NAMES:
            url = reverse("report", args=[name])
            page = admin_client.get(url, {"mode": "sandbox", "period": "2026-02"})
            assert page.status_code == 200, name
            assert b"February 2026, sandbox" in page.content
            for form in ("csv", "xlsx", "json"):
                file = admin_client.get(
                    url, {"mode": "sandbox", "period": "2026-02", "format": form}
                )
                assert b"".join(file.streaming_content)  # type: ignore[attr-defined]
                assert file["Content-Disposition"].startswith("attachment")

    def test_a_figure_leads_to_its_postings(self, admin_client: Client, quarter: None) -> None:
        figure = urlencode({"mode": "sandbox", "account": "4200", "accounting_from": "2026-01-01"})
        url = f"{reverse('admin:ledger_posting_changelist')}?{urlencode({'figure': figure})}"

        page = admin_client.get(url)

        found = page.context["cl"].queryset
        assert [posting.amount for posting in found] == [15]
        assert b"bob" in page.content
        nonsense = urlencode({"figure": "account=x&accounting_from=never"})
        empty = admin_client.get(f"{reverse('admin:ledger_posting_changelist')}?{nonsense}")
        assert empty.context["cl"].queryset.count() == 0

    def test_the_journals_page_is_for_people_and_leads_to_the_entries(
        self, admin_client: Client, quarter: None
    ) -> None:
        page = admin_client.get(
            reverse("report", args=["journal-detail"]), {"mode": "sandbox", "period": "2026-01"}
        )

        shown = [title for title, _ in page.context["columns"]]
        assert shown[:2] == ["Effective date", "Event type"]
        assert "Debit" in shown
        assert "Entry hash" in page.context["in_files_only"]
        linked = [cell for row in page.context["rows"] for cell in row if cell.link]
        assert linked
        postings = admin_client.get(linked[0].link).context["cl"].queryset
        assert {posting.entry.event for posting in postings} == {"TOP_UP"}

    def test_a_bad_question_is_answered_on_the_page(self, admin_client: Client) -> None:
        url = reverse("report", args=["trial-balance"])

        assert b"Write a month as YYYY-MM" in admin_client.get(url, {"period": "x"}).content
        assert b"no customer" in admin_client.get(url, {"customer_id": "nobody"}).content
        assert admin_client.get(url, {"mode": "both"}).status_code == 200
        assert admin_client.get(reverse("report", args=["nonsense"])).status_code == 404

    def test_only_who_may_see_the_books(self, client: Client) -> None:
        before = factories.everything()[1]
        get_user_model().objects.create_user("clerk", password="x", is_staff=True)
        client.login(username="clerk", password="x")

        assert client.get(reverse("reports")).status_code == 403
        assert client.get(reverse("report", args=["revenue"])).status_code == 403
        assert factories.everything()[1] == before
