#!/usr/bin/env python
"""The project's command line; it starts the embedded database where none is configured."""

import os
import sys


def main() -> None:
    """Run one management command; what it writes is the doing of a job of its name."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "aforo.settings")
    from aforo import actors, devdb

    devdb.ensure_for_command(sys.argv)
    from django.core.management import execute_from_command_line

    with actors.acting(actors.job("".join(sys.argv[1:2]) or "help")):
        execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
