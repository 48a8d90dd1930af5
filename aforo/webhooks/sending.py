"""One message to one address: no redirects, no proxies, no address that was not checked, and an end
to waiting.
"""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import httpcore

from aforo.webhooks import addresses

logger = logging.getLogger(__name__)

# From the look-up of the name to the end of the answer.
SECONDS: Final = 15
EXCERPT_BYTES: Final = 500


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a message: the status and beginning of an answer, or why there was none."""

    status: int | None = None
    excerpt: str = ""
    error: str = ""

    @property
    def is_success(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def is_gone(self) -> bool:
        """Whether the receiver wants no more messages."""
        return self.status == 410


class _Stream(httpcore.NetworkStream):
    """A connection that is given up at a deadline, however slowly something keeps coming."""

    def __init__(self, inner: httpcore.NetworkStream, until: Any) -> None:
        self._inner = inner
        self._until = until

    def _left(self, late: type[Exception]) -> Any:
        left = self._until - time.monotonic()
        if left <= 0:
            raise late("timed out")
        return left

    def read(self, max_bytes: int, timeout: Any = None) -> bytes:
        """Read what comes before the deadline."""
        return self._inner.read(max_bytes, self._left(httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: Any = None) -> None:
        """Write before the deadline."""
        self._inner.write(buffer, self._left(httpcore.WriteTimeout))

    def close(self) -> None:
        """Close the connection."""
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: Any = None
    ) -> httpcore.NetworkStream:
        """Encrypt the connection; the certificate has to be of the name that was looked up."""
        left = self._left(httpcore.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left), self._until)

    def get_extra_info(self, info: str) -> Any:
        """Return what is known of the connection."""
        return self._inner.get_extra_info(info)


class _CheckedNetwork(httpcore.NetworkBackend):
    """A network that looks names up by itself, and connects to nothing but what was checked."""

    def __init__(self) -> None:
        self._inner = httpcore.SyncBackend()
        self._until = time.monotonic() + SECONDS

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: Any = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address of a host that answers.

        Raises: addresses.Refused.
        """
        failure: Exception = httpcore.ConnectTimeout("timed out")
        for address in addresses.look_up(host, port):
            left = self._until - time.monotonic()
            if left <= 0:
                break
            try:
                return _Stream(self._inner.connect_tcp(address, port, left), self._until)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


@cache
def _tls() -> ssl.SSLContext:
    return httpcore.default_ssl_context()


def post(url: str, *, body: bytes, headers: Mapping[bytes | str, bytes | str]) -> Outcome:
    """Send a message; whatever goes wrong is an outcome, too."""
    try:
        with (
            httpcore.ConnectionPool(_tls(), network_backend=_CheckedNetwork()) as pool,
            pool.stream("POST", url, headers=headers, content=body) as answer,
        ):
            return Outcome(answer.status, _beginning(answer))
    except addresses.Refused as refused:
        return Outcome(error=refused.detail)
    except (httpcore.TimeoutException, TimeoutError):
        return Outcome(error=f"No answer within {SECONDS} seconds.")
    except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
        return Outcome(error=f"{type(error).__name__}: {error}"[:200])
    except Exception:
        # A receiver that is answered by a fault of ours must not stop the others.
        logger.exception("Sending to %s failed", url)
        return Outcome(error="It could not be sent; the log says why.")


def _beginning(answer: httpcore.Response) -> str:
    """Read the beginning of an answer, and no more."""
    read = b""
    for part in answer.iter_stream():
        read += part
        if len(read) >= EXCERPT_BYTES:
            break
    return read[:EXCERPT_BYTES].decode(errors="replace").replace("\x00", "")
