"""From which address a request comes, and whether it lies in a list of networks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def read_network(text: str) -> Network:
    """Return the network that a text names, or the one address alone.

    Raises: ValueError.
    """
    return ip_network(text.strip())


def client_address(request: HttpRequest) -> Address | None:
    """Return who called: the last address before our own proxies; None where there is none.

    Whatever a client has written into X-Forwarded-For itself stands before what our proxies add, so
    it is read from its end, and only where a proxy of ours (TRUSTED_PROXIES) has sent it.
    """
    trusted = settings.TRUSTED_PROXIES
    hops = request.headers.get("X-Forwarded-For", "").split(",")
    found = _address(request.META.get("REMOTE_ADDR", ""))
    while found is not None and hops and lies_in(found, trusted):
        before = _address(hops.pop())
        if before is None:
            break
        found = before
    return found


def lies_in(address: Address, networks: Iterable[Network]) -> bool:
    """Return whether an address is in one of the networks."""
    return any(address in network for network in networks)


def covered(inner: Sequence[str], outer: Sequence[str]) -> bool:
    """Return whether networks lie within others, of which none are all there is."""
    if not outer:
        return True
    wider = [read_network(each) for each in outer]
    return bool(inner) and all(
        any(_is_within(read_network(each), other) for other in wider) for each in inner
    )


def _is_within(inner: Network, outer: Network) -> bool:
    match inner, outer:
        case (IPv4Network(), IPv4Network()):
            return inner.subnet_of(outer)
        case (IPv6Network(), IPv6Network()):
            return inner.subnet_of(outer)
    return False


def _address(text: str) -> Address | None:
    """Return the address, that of IPv4 where it is written in IPv6."""
    try:
        found = ip_address(text.strip())
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
