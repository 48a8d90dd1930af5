"""What goes wrong with codes everywhere in the catalogue."""

from __future__ import annotations

from aforo.errors import Conflict


class CodeTaken(Conflict):
    default_code = "code_taken"
