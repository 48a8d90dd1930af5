"""Campaigns in the back office: one form, refused where the API refuses, moved by actions."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from billing.jobs import tasks
from billing.models import CampaignRun
from pricing.models import Campaign, Metric, Offering
from tests import campaigns, factories
from tests.campaigns import BAD_TERMS, MATCH, TEN_THOUSAND
from wallets.models import CampaignGrant

pytestmark = pytest.mark.django_db

LIST = "admin:pricing_campaign_changelist"


@pytest.fixture(autouse=True)
def tokens() -> None:
    factories.metric("tokens")


def form(**members: Any) -> dict[str, Any]:
    """Fill the form in as a browser would."""
    fields: dict[str, Any] = {"audience": "ALL", "audience_list": "", "code": "C", "priority": ""}
    for name, value in members.items():
        if value is None:
            continue
        if name in {"starts_at", "ends_at", "expires_at"}:
            fields[f"{name}_0"], fields[f"{name}_1"] = value[:10], value[11:19]
        elif name in {"metric", "milestone_metric"}:
            found = Metric.objects.filter(code=value).first()
            fields[name] = "" if found is None else found.pk
        elif name == "audience_list":
            fields[name] = "\n".join(value)
        else:
            fields[name] = value
    return fields


def add(client: Client, **members: Any) -> Any:
    return client.post(reverse("admin:pricing_campaign_add"), form(**members))


def act(client: Client, action: str, *found: Campaign) -> str:
    chosen = [campaign.pk for campaign in found]
    page = client.post(reverse(LIST), {"action": action, "_selected_action": chosen}, follow=True)
    return page.content.decode()


def test_ten_thousand_free_tokens_for_14_days_is_one_form(admin_client: Client) -> None:
    page = add(admin_client, **TEN_THOUSAND | {"trigger": "EVERYBODY", "budget": "50000"})

    assert page.status_code == 302
    made = Campaign.objects.get()
    assert (made.quantity, made.unit, made.expires_after_days) == (10_000, "tokens", 14)
    assert (made.kind, made.status, made.priority) == ("PROMO", "DRAFT", 100)


def test_defaults_follow_the_trigger(admin_client: Client) -> None:
    add(admin_client, **MATCH | {"code": "M"})
    add(admin_client, **TEN_THOUSAND | {"audience": "TAGS", "audience_list": ["a, b", "c"]})

    match, code = Campaign.objects.order_by("pk")
    assert (match.kind, match.redemption_code) == ("BONUS", "")
    assert (code.kind, code.redemption_code, code.audience_list) == ("PROMO", "C", ["a", "b", "c"])


@pytest.mark.parametrize(("_case", "changes", "faults"), BAD_TERMS)
def test_terms_that_do_not_hold_together(
    admin_client: Client, _case: str, changes: dict[str, Any], faults: dict[str, str]
) -> None:
    campaigns.draft("TAKEN")

    page = add(admin_client, **TEN_THOUSAND | changes)

    assert page.status_code == 200
    fields = {pointer.split("/")[1] for pointer in faults}
    assert set(page.context["adminform"].form.errors) == fields
    assert Campaign.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"quantity": "0"}, "quantity"),
        ({"quantity": "many"}, "quantity"),
        ({"budget": "-5"}, "budget"),
        ({"expires_after_days": "0"}, "expires_after_days"),
        ({"expires_after_days": "36501"}, "expires_after_days"),
        ({"max_grants": "0"}, "max_grants"),
        ({"max_per_customer": "99999999999"}, "max_per_customer"),
        ({"priority": "-1"}, "priority"),
        ({"code": "a b"}, "code"),
        ({"code": "TAKEN"}, "__all__"),
        ({"trigger": "LUCK"}, "trigger"),
        ({"starts_at": "someday   x"}, "starts_at"),
        ({"currency": "XXX"}, "currency"),
    ],
)
def test_a_field_that_cannot_be_read(
    admin_client: Client, changes: dict[str, Any], field: str
) -> None:
    campaigns.draft("TAKEN", redemption_code="OTHER")

    page = add(admin_client, **TEN_THOUSAND | changes)

    assert page.status_code == 200
    assert field in page.context["adminform"].form.errors
    assert Campaign.objects.count() == 1


def test_metrics_and_offerings_of_the_other_mode_are_refused(admin_client: Client) -> None:
    factories.offering("sandbox_only")
    list_ = {"audience": "OFFERINGS", "audience_list": ["sandbox_only"]}

    page = add(admin_client, **TEN_THOUSAND | list_ | {"livemode": "on"})

    assert set(page.context["adminform"].form.errors) == {"metric", "audience_list"}
    assert Offering.objects.count() == 1
    assert not Campaign.objects.exists()


def test_a_draft_is_edited_and_a_running_campaign_is_read(admin_client: Client) -> None:
    campaign = campaigns.draft("C", audience="TAGS", audience_list=["a", "b"])
    url = reverse("admin:pricing_campaign_change", args=[campaign.pk])
    body = form(**TEN_THOUSAND | {"name": "Other", "code": "X", "livemode": "on"})

    assert b"a\nb" in admin_client.get(url).content
    assert admin_client.post(url, body).status_code == 302
    campaign.refresh_from_db()
    assert (campaign.name, campaign.code, campaign.livemode) == ("Other", "C", False)
    assert (campaign.audience, campaign.audience_list) == ("ALL", [])

    act(admin_client, "activate", campaign)
    assert admin_client.post(url, body).status_code == 403
    assert b"_save" not in admin_client.get(url).content
    delete = reverse("admin:pricing_campaign_delete", args=[campaign.pk])
    assert admin_client.post(delete, {"post": "yes"}).status_code == 403


def test_actions_move_it_and_say_what_they_did(admin_client: Client) -> None:
    campaign = campaigns.draft("C")
    said = [
        act(admin_client, action, campaign)
        for action in ("pause", "activate", "run", "pause", "end", "activate")
    ]

    texts = [
        "The campaign C is a draft.",
        "C is active.",
        "is not for everybody at once.",
        "C is paused.",
        "C is ended.",
        "has ended: draft another one.",
    ]
    assert [text for text, page in zip(texts, said, strict=True) if text not in page] == []
    campaign.refresh_from_db()
    assert campaign.status == "ENDED"


def test_the_page_shows_budget_grants_and_progress(admin_client: Client) -> None:
    for n in range(3):
        factories.customer(f"cust_{n}")
    free = TEN_THOUSAND | {"trigger": "EVERYBODY"}
    campaign = campaigns.draft("C", free, budget="25000", max_grants=100)
    act(admin_client, "activate", campaign)
    run = CampaignRun.objects.get()
    tasks.run_campaign(str(run.pk))

    page = admin_client.get(reverse("admin:pricing_campaign_change", args=[campaign.pk]))
    listed = admin_client.get(reverse(LIST)).content.decode()
    grants = admin_client.get(
        reverse("admin:wallets_campaigngrant_changelist"), {"campaign__id__exact": campaign.pk}
    )

    shown = page.content.decode()
    for text in (
        "20000 tokens of 25000",
        "2 of 100",
        "done: 3 of 3 customers, 2 granted, 1 skipped",
        f"campaign__id__exact={campaign.pk}",
    ):
        assert text in shown
    assert "20000 tokens of 25000" in listed
    assert grants.status_code == 200
    assert CampaignGrant.objects.count() == 2
    assert b"cust_0" in grants.content


def test_what_was_activated_in_the_form_gives(admin_client: Client) -> None:
    factories.customer()
    add(admin_client, **MATCH | {"code": "M"})
    act(admin_client, "activate", Campaign.objects.get())

    factories.top_up("cust_1", "100", name=str(timezone.now()))

    assert campaigns.given("M") == [("cust_1", "20")]
