"""What tests are built of: factories that call the services, and a word for each in the tests."""

from tests.factories.books import available, decide, everything, posted
from tests.factories.catalogue import TOKENS_AT_2_MILLS, metric, offering
from tests.factories.credits import (
    body,
    budget,
    bundle,
    debit,
    grant,
    grant_units,
    refusal,
    top_up,
    use,
)
from tests.factories.customers import (
    advance,
    clocked_customer,
    customer,
    event,
    meter,
    person,
    set_clock,
    sold,
    subscribed,
    subscribed_since,
    subscription,
)
from tests.factories.months import FEBRUARY, MARCH, START

__all__ = [
    "FEBRUARY",
    "MARCH",
    "START",
    "TOKENS_AT_2_MILLS",
    "advance",
    "available",
    "body",
    "budget",
    "bundle",
    "clocked_customer",
    "customer",
    "debit",
    "decide",
    "event",
    "everything",
    "grant",
    "grant_units",
    "meter",
    "metric",
    "offering",
    "person",
    "posted",
    "refusal",
    "set_clock",
    "sold",
    "subscribed",
    "subscribed_since",
    "subscription",
    "top_up",
    "use",
]
