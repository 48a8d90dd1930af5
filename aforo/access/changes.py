"""Changes of configuration as people read them. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping


def readable(values: Mapping[str, object]) -> str:
    """Return columns with their values in one line; what is empty is left out."""
    return "; ".join(
        f"{name}: {value if isinstance(value, str) else json.dumps(value)}"
        for name, value in sorted(values.items())
        if value not in (None, "", [], {})
    )
