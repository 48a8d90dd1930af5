"""Which addresses may be sent to, whatever they are written as."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import pytest
from django.conf import LazySettings

from aforo.webhooks import addresses

INSIDE = [
    "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
    "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1",
    "::", "fe80::1", "fc00::1", "ff02::1", "2001:db8::1",
    "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "2002:7f00:1::",
]  # fmt: skip
LOOPBACK = ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"]
OUTSIDE = ["8.8.8.8", "2606:4700:4700::1111", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", INSIDE)
@pytest.mark.parametrize("loopback", [True, False])
def test_inside_is_never_allowed(settings: LazySettings, address: str, loopback: bool) -> None:
    settings.WEBHOOK_LOOPBACK = loopback and not address.startswith("2002:7f")

    assert not addresses.is_allowed(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", LOOPBACK)
def test_loopback_is_allowed_where_it_is_set(settings: LazySettings, address: str) -> None:
    for allowed in (True, False):
        settings.WEBHOOK_LOOPBACK = allowed
        assert addresses.is_allowed(ipaddress.ip_address(address)) is allowed


@pytest.mark.parametrize("address", OUTSIDE)
def test_outside_is_allowed(settings: LazySettings, address: str) -> None:
    settings.WEBHOOK_LOOPBACK = False

    assert addresses.is_allowed(ipaddress.ip_address(address))


def test_a_name_with_one_address_inside_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(*args: Any, **kwargs: Any) -> list[Any]:
        kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        return [(*kind, ("8.8.8.8", 443)), (*kind, ("10.0.0.7", 443))]

    monkeypatch.setattr(socket, "getaddrinfo", found)

    with pytest.raises(addresses.Refused) as refused:
        addresses.look_up("rebinding.example", 443)
    assert refused.value.code == "address_refused"
