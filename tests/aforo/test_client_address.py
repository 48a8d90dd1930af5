"""Who called, behind proxies and without, and which networks lie in which."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from django.conf import LazySettings
from django.test import RequestFactory

from aforo.access.addresses import client_address, covered


@pytest.mark.parametrize(
    ("remote", "forwarded", "found"),
    [
        ("203.0.113.7", "", "203.0.113.7"),
        # Whoever is no proxy of ours may write what it likes.
        ("203.0.113.7", "198.51.100.1", "203.0.113.7"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "192.0.2.9, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "192.0.2.9, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("::ffff:203.0.113.7", "", "203.0.113.7"),
        ("2001:db8::1", "", "2001:db8::1"),
        ("", "198.51.100.1", None),
    ],
)
def test_the_last_address_before_our_proxies_called(
    settings: LazySettings, remote: str, forwarded: str, found: str | None
) -> None:
    settings.TRUSTED_PROXIES = [ip_network("10.0.0.0/8")]
    request = RequestFactory().get("/", REMOTE_ADDR=remote, HTTP_X_FORWARDED_FOR=forwarded)

    address = client_address(request)

    assert (None if address is None else str(address)) == found


@pytest.mark.parametrize(
    ("inner", "outer", "expected"),
    [
        (["10.1.0.0/16"], ["10.0.0.0/8"], True),
        (["10.0.0.0/8"], ["10.1.0.0/16"], False),
        (["10.1.0.0/16", "192.0.2.0/24"], ["10.0.0.0/8"], False),
        ([], ["10.0.0.0/8"], False),
        (["10.0.0.0/8"], [], True),
        ([], [], True),
        (["2001:db8::/48"], ["2001:db8::/32"], True),
        (["2001:db8::/48"], ["0.0.0.0/0"], False),
    ],
)
def test_networks_lie_in_others(inner: list[str], outer: list[str], *, expected: bool) -> None:
    assert covered(inner, outer) is expected
