"""What fails after a commit is logged by its name, and goes no further."""

from __future__ import annotations

from functools import partial

import pytest
from django.contrib.auth.models import Group
from django.db import transaction

from aforo.database.after_commit import after_commit

pytestmark = pytest.mark.django_db(transaction=True)


class Nameless:
    """Work without a name of its own, as a partial function is."""

    def __call__(self) -> None:
        raise RuntimeError("afterwards")


@pytest.mark.parametrize("work", [Nameless(), partial(Nameless())])
def test_a_failure_is_logged_and_what_was_committed_stands(
    work: Nameless, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []
    with transaction.atomic():
        Group.objects.create(name="kept")
        after_commit("the first", work)
        after_commit("the second", lambda: done.append("second"))
        assert done == []

    assert Group.objects.filter(name="kept").exists()
    assert done == ["second"]
    (record,) = caplog.records
    assert "the first failed" in record.getMessage()
    assert "afterwards" in caplog.text


def test_what_was_rolled_back_is_followed_by_nothing() -> None:
    done: list[str] = []
    with transaction.atomic():
        after_commit("never", lambda: done.append("never"))
        transaction.set_rollback(True)

    assert done == []


def test_without_a_transaction_it_is_done_at_once(caplog: pytest.LogCaptureFixture) -> None:
    after_commit("at once", Nameless())

    assert "at once failed" in caplog.text
