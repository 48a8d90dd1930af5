"""The back office in a real browser: it opens, shows the month, loads nothing from elsewhere."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from django.contrib.auth import get_user_model
from playwright.sync_api import Page, sync_playwright

from billing.quickstart import demo

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-background-networking", "--disable-component-update"],
        )
        yield browser.new_page()
        browser.close()


@pytest.fixture
def address(served_url: str) -> str:
    # The browser's loop runs in this thread, so the database is used before it starts.
    demo.run()
    get_user_model().objects.create_superuser("finance", password="a-long-password")
    return served_url


def test_finance_finds_the_invoice(address: str, page: Page) -> None:
    elsewhere: list[str] = []
    failed: list[str] = []
    page.on("request", lambda r: None if r.url.startswith(address) else elsewhere.append(r.url))
    page.on("requestfailed", lambda r: failed.append(r.url))
    page.on("pageerror", lambda error: failed.append(str(error)))
    page.on("console", lambda m: failed.append(m.text) if m.type == "error" else None)

    page.goto(f"{address}/admin/")
    page.fill("#id_username", "finance")
    page.fill("#id_password", "a-long-password")
    page.click("button[type=submit]")
    page.goto(f"{address}/admin/billing/invoice/")
    page.click("text=TEST-000001")

    page.wait_for_selector("text=Invoice lines")
    content = page.inner_text("body")
    assert "46.40" in content
    assert "Platform fee" in content
    assert page.locator("input[name=_save]").count() == 0
    page.goto(f"{address}/v1/docs")
    # The viewer writes what is in sight.
    page.get_by_text("/v1/api-keys", exact=True).first.wait_for()
    assert [url for url in elsewhere if not url.startswith("data:")] == []
    assert failed == []
