"""What is lived through once for a file of tests: each starts from it, and undoes only its own.

A file with such a fixture has no test that wants an empty database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.test import TestCase
from pytest_django import DjangoDbBlocker

from tests.factories.books import ensure_chart


@contextmanager
def once(live: Callable[[], None], blocker: DjangoDbBlocker) -> Iterator[None]:
    """Live through something in a transaction around the tests that follow, as Django's own do."""

    class Lived(TestCase):
        @classmethod
        def setUpTestData(cls) -> None:
            ensure_chart()
            live()

    with blocker.unblock():
        Lived.setUpClass()
    yield
    with blocker.unblock():
        Lived.tearDownClass()
        Lived.doClassCleanups()
