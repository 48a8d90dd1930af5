"""Errors of ours to Sentry, for whoever sets SENTRY_DSN; needs the extra `sentry`."""

from __future__ import annotations

from typing import Any

import sentry_sdk


def send_to(dsn: str, **options: Any) -> None:
    """Report unexpected errors from here on, without bodies, cookies, users and local variables:
    these have amounts and keys.
    """
    sentry_sdk.init(
        dsn=dsn,
        max_request_body_size="never",
        include_local_variables=False,
        **options,
    )
