"""Which addresses webhooks may be sent to: those of the public internet.

A name is looked up when an endpoint is made and again for every message, and what is connected to
is the address that was checked, so that a name that changes its address meanwhile leads nowhere.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings

from aforo.errors import FieldError, Invalid

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Behind them stands an IPv4 address, which a gateway turns them into.
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")


class Refused(Exception):
    """A host that may not be connected to, with the code of a field that names it."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def check_url(url: str, *, livemode: bool) -> None:
    """Check that an address can be sent to; looks its name up.

    Raises: Invalid (`invalid_url`, `https_required`, `unresolvable`, `address_refused`).
    """
    try:
        host, port = _parts(url, livemode=livemode)
        look_up(host, port)
    except Refused as refused:
        raise Invalid([FieldError("/url", refused.code, refused.detail)]) from refused


def _parts(url: str, *, livemode: bool) -> tuple[str, int]:
    """Return the host and port of an address.

    Raises: Refused.
    """
    written = urlsplit(url) if url.isascii() and url.isprintable() and " " not in url else None
    try:
        port = written.port if written else None
    except ValueError:
        written, port = None, None
    if written is None or written.scheme not in {"http", "https"} or not written.hostname:
        raise Refused("invalid_url", "Write an address such as https://example.com/hook.")
    if written.username is not None or written.fragment:
        raise Refused("invalid_url", "The address may have no user and no fragment.")
    if livemode and written.scheme != "https":
        raise Refused("https_required", "In live mode the address begins with https.")
    return written.hostname, port or (443 if written.scheme == "https" else 80)


def look_up(host: str, port: int) -> list[str]:
    """Return the addresses of a host, each of which may be connected to.

    Raises: Refused, where there is none, or one of them may not be.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Refused("unresolvable", f"{host} has no address.") from error
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    for address in addresses:
        if not is_allowed(ipaddress.ip_address(address.partition("%")[0])):
            raise Refused("address_refused", f"{host} is not an address of the public internet.")
    return addresses


def is_allowed(address: Address) -> bool:
    """Return whether an address is of the public internet, or of this machine where that may be."""
    inner = _inside(address)
    if inner is not None:
        return is_allowed(inner)
    if address.is_loopback:
        return bool(settings.WEBHOOK_LOOPBACK)
    return address.is_global and not address.is_multicast and not address.is_reserved


def _inside(address: Address) -> Address | None:
    """Return the IPv4 address that an IPv6 address stands for."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1])
