"""Product staff launch "10,000 free tokens, gone in 14 days" in a browser, with one form."""

from __future__ import annotations

import os

import pytest
from django.contrib.auth import get_user_model
from playwright.sync_api import Page

from tests import factories
from tests.e2e.test_browser import page  # noqa: F401

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def address(served_url: str) -> str:
    # The browser's loop runs in this thread, so the database is used before it starts.
    factories.metric("tokens")
    for n in range(3):
        factories.customer(f"cust_{n}")
    get_user_model().objects.create_superuser("product", password="a-long-password")
    return served_url


def test_one_form_launches_it(address: str, page: Page) -> None:  # noqa: F811
    _fill_in(page, address)
    page.fill("#id_budget", "5000")
    _look(page, "form")
    page.click("button[name=_save]")
    page.get_by_text("The budget does not cover one grant.").wait_for()
    page.fill("#id_budget", "20000")
    page.click("button[name=_save]")

    page.check("input[name=_selected_action]")
    page.select_option("select[name=action]", "activate")
    page.click("button[name=index]")
    page.get_by_text("SPRING_10K is active.").wait_for()
    for _ in range(30):
        page.reload()
        if "20000 tokens of 20000" in page.inner_text("body"):
            break
        page.wait_for_timeout(500)
    _look(page, "list")
    page.click("text=SPRING_10K >> nth=-1")

    page.get_by_text("3 of 3 customers, 2 granted, 1 skipped").wait_for()
    _look(page, "page")
    assert page.locator("[name=_save]").count() == 0
    page.click("text=Show the grants")
    page.get_by_text("cust_0").wait_for()


def _fill_in(page: Page, address: str) -> None:  # noqa: F811
    page.set_viewport_size({"width": 1300, "height": 1100})
    page.goto(f"{address}/admin/pricing/campaign/add/")
    page.fill("#id_username", "product")
    page.fill("#id_password", "a-long-password")
    page.click("button[type=submit]")
    page.fill("#id_code", "SPRING_10K")
    page.fill("#id_name", "10,000 free tokens")
    page.fill("#id_quantity", "10000")
    page.select_option("#id_metric", label="tokens (sandbox)")
    page.fill("#id_expires_after_days", "14")
    page.select_option("#id_trigger", "EVERYBODY")


def _look(page: Page, name: str) -> None:  # noqa: F811
    """Write a screenshot where the environment asks for one."""
    if where := os.environ.get("AFORO_SCREENSHOTS"):
        page.screenshot(path=f"{where}/campaign-{name}.png", full_page=True)
