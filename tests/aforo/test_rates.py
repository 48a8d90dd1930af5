"""How many requests a minute a key may send; worked by hand for a limit of 6."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import LazySettings
from django.core.cache import cache
from rest_framework.test import APIClient

from aforo.access import rates, services
from aforo.access.models import ApiKey
from aforo.access.rates import estimate, take

MINUTE = 1_000 * 60


@pytest.fixture(autouse=True)
def empty_counters() -> Iterator[None]:
    """Forget what was counted before and after."""
    cache.clear()
    yield
    cache.clear()


@pytest.mark.parametrize(
    ("before", "count", "into", "used"),
    [
        (0, 4, 0, 4),
        (60, 0, 0, 60),  # All of the minute before counts at a minute's first second,
        (60, 5, 15, 50),  # three quarters of it after a quarter, 45,
        (60, 5, 59, 6),  # and a sixtieth of it at its last.
    ],
)
def test_the_last_minute_is_estimated(before: int, count: int, into: int, used: int) -> None:
    assert estimate(before=before, count=count, into=into) == used


def test_a_burst_is_cut_and_does_not_count() -> None:
    taken = [take(name="k", limit=6, now=MINUTE) for _ in range(9)]

    assert [each.remaining for each in taken] == [5, 4, 3, 2, 1, 0, 0, 0, 0]
    assert [each.retry_after for each in taken[:6]] == [None] * 6
    # Of 6 in one minute, 5 are left 1 second into the next one: 6 * 59 // 60; 61 seconds from now.
    assert {each.retry_after for each in taken[6:]} == {61}
    assert take(name="k", limit=6, now=MINUTE + 61).retry_after is None
    assert take(name="k", limit=6, now=MINUTE + 61).retry_after is not None


def test_the_border_of_two_minutes_gives_nothing_away() -> None:
    for _ in range(6):
        assert take(name="k", limit=6, now=MINUTE + 59).retry_after is None

    refused = take(name="k", limit=6, now=MINUTE + 60)

    assert (refused.remaining, refused.retry_after) == (0, 1)


def test_names_are_counted_apart() -> None:
    assert take(name="a", limit=1, now=MINUTE).retry_after is None
    assert take(name="b", limit=1, now=MINUTE).retry_after is None
    assert take(name="a", limit=1, now=MINUTE).retry_after is not None


@pytest.mark.django_db
def test_a_key_beyond_its_limit_is_told_when(
    api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aforo.access.rates.time.time", lambda: MINUTE)
    services.change_api_key(key=ApiKey.objects.get(), changes={"requests_per_minute": 2})

    answers = [api.get("/v1/metrics") for _ in range(3)]

    assert [each.status_code for each in answers] == [200, 200, 429]
    assert [each["RateLimit-Remaining"] for each in answers] == ["1", "0", "0"]
    assert {(each["RateLimit-Limit"], each["RateLimit-Reset"]) for each in answers} == {("2", "60")}
    assert answers[2].json()["code"] == "throttled"
    # 2 * 29 // 60 = 0 are left after 31 seconds of the next minute, 1 before.
    assert int(answers[2]["Retry-After"]) >= 61


@pytest.mark.django_db
def test_the_servers_limit_is_of_keys_without_their_own(
    api: APIClient, settings: LazySettings
) -> None:
    assert "RateLimit-Limit" not in api.get("/v1/metrics")
    settings.RATE_LIMIT = 100

    assert api.get("/v1/metrics")["RateLimit-Limit"] == "100"


@pytest.mark.django_db
def test_without_its_cache_requests_pass(
    api: APIClient, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ConnectionError

    settings.RATE_LIMIT = 1
    monkeypatch.setattr(rates, "take", fail)

    assert api.get("/v1/metrics").status_code == 200
    assert api.get("/v1/metrics").status_code == 200
