"""`manage.py quickstart`: set everything up, run the main job on demo usage, then serve."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from rich import box
from rich.console import Console
from rich.table import Table

from aforo import money
from aforo.serving import processes, server
from billing.finance import verification
from billing.quickstart import accounts, demo
from ledger import reports
from ledger.models import Posting


class Command(BaseCommand):
    help = "Set everything up, run the main job on demo usage, show it, and serve."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--no-serve", action="store_true", help="Stop before serving.")

        parser.add_argument(
            "--existing",
            action="store_true",
            help="Add the demo and a sandbox key to a database that quickstart did not make.",
        )

    def handle(self, *, port: int, no_serve: bool, existing: bool, **options: Any) -> None:
        """Set up, print the demonstration, serve."""
        console = Console(highlight=False, width=110)
        with _only_one():
            is_ours = accounts.is_ours()
            if not is_ours and not existing:
                raise CommandError(
                    "This database is in use, and quickstart did not make it. With --existing it "
                    "adds its demo to the sandbox and a sandbox key; it changes no account and "
                    "makes no live key."
                )
            call_command("migrate", verbosity=0, skip_checks=False)
            credentials = accounts.credentials(is_ours=is_ours, now=timezone.now())
            shown = demo.run(modes=(False, True) if is_ours else (False,))
            _show(console, shown)
            _show_access(console, credentials, port)
        if not no_serve:
            with processes.beside():
                server.run(
                    host="127.0.0.1", port=port, workers=server.WORKERS, threads=server.THREADS
                )


@contextmanager
def _only_one() -> Iterator[None]:
    """Lock the set-up against a second quickstart. Raises: CommandError."""
    settings.VAR_DIR.mkdir(parents=True, exist_ok=True)
    with (settings.VAR_DIR / "quickstart.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CommandError("Another quickstart is setting up; wait for it.") from error
        yield


def _table(title: str, *columns: str, right: tuple[str, ...] = ()) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, title_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left")
    return table


def _show(console: Console, shown: demo.Shown) -> None:
    _show_debits(console, shown)
    _show_stages(console, shown)
    _show_invoice(console, shown)
    _show_journal(console, shown)
    found = verification.verify()
    if found.first_bad is not None:
        raise CommandError(f"{found.first_bad.entry}: {found.first_bad.reason}")
    console.print(
        f"The books prove themselves: {found.books} books, {found.entries} entries, "
        f"{found.lots} lots.\n"
    )


def _show_debits(console: Console, shown: demo.Shown) -> None:
    table = _table(
        "1. Debits burn promo, then bonus, then cash",
        "Debit", "Paid by", "Amount", "Left in lot", "Available after",
        right=("Debit", "Amount", "Left in lot", "Available after"),
    )  # fmt: skip
    for result in shown.debits:
        debit = json.loads(result.body)
        for number, part in enumerate(debit["allocations"]):
            first = number == 0
            table.add_row(
                f"{debit['amount']} {debit['currency']}" if first else "",
                f"{part['kind']} ({part['source'].lower()})",
                part["amount"],
                part["balance_after"],
                debit["balance"]["available"] if first else "",
            )
    console.print(table)


def _show_stages(console: Console, shown: demo.Shown) -> None:
    table = _table("2. September settles in ten stages", "Stage", "In", "Out", "Why")
    for stage in shown.settlement.stages:
        table.add_row(
            f"{stage['stage']} {stage['title']}",
            "\n".join(f"{name} {value}" for name, value in stage["in"].items()),
            "\n".join(f"{name} {value}" for name, value in stage["out"].items()),
            "\n".join(note.replace(_lot_id(note), "") for note in stage["notes"]),
        )
    console.print(table)


def _lot_id(note: str) -> str:
    """Return the id in a note, which the table leaves out."""
    return next((f" {word}" for word in note.split() if word.count("-") == 4), "\0")


def _show_invoice(console: Console, shown: demo.Shown) -> None:
    invoice = shown.invoice
    title = f"3. Invoice {invoice.number}, {invoice.status}, {invoice.currency}"
    table = _table(
        title,
        "Line",
        "Quantity",
        "Unit price",
        "Amount",
        right=("Quantity", "Unit price", "Amount"),
    )
    for line in invoice.lines.order_by("position"):
        table.add_row(
            line.description,
            "" if line.quantity is None else money.plain(line.quantity),
            "" if line.unit_price is None else money.plain(line.unit_price),
            money.amount_text(line.amount, invoice.currency),
        )
    for name, amount in (
        ("Total", invoice.total.amount),
        ("Paid by credits", -invoice.from_wallet),
        ("Amount due", invoice.amount_due),
    ):
        text = money.amount_text(amount, invoice.currency)
        table.add_row(f"[bold]{name}", "", "", f"[bold]{text}")
    console.print(table)


def _show_journal(console: Console, shown: demo.Shown) -> None:
    names = {row.account: row.name for row in reports.trial_balance(livemode=False)}
    table = _table(
        "4. The journal, hash-chained per customer",
        "#", "Event", "Day", "Debit", "Credit", "Amount",
        right=("#", "Amount"),
    )  # fmt: skip
    for entry in shown.entries:
        postings: list[Posting | None] = [*entry.postings.all()] or [None]
        for number, posting in enumerate(postings):
            first = number == 0
            table.add_row(
                str(entry.sequence) if first else "",
                entry.event if first else "",
                f"{entry.accounting_date:%d %b}" if first else "",
                "" if posting is None else f"{posting.debit_id} {names[posting.debit_id]}",
                "" if posting is None else f"{posting.credit_id} {names[posting.credit_id]}",
                "" if posting is None else money.plain(posting.amount),
            )
    console.print(table)


def _show_access(console: Console, credentials: accounts.Credentials, port: int) -> None:
    key = credentials.sandbox_key
    console.print(f"Admin      http://localhost:{port}/admin/")
    console.print(f"           {credentials.admin}", soft_wrap=True)
    console.print(f"API docs   http://localhost:{port}/v1/docs")
    console.print(f"Test key   {key}", soft_wrap=True)
    console.print(f"Live key   {credentials.live_key}", soft_wrap=True)
    console.print("\nDebit 50 from a customer, in another terminal:\n")
    body = (
        f'{{"customer_id": "{demo.LANDING_CUSTOMER}", "amount": 50, "strategy": "WATERFALL", '
        '"idempotency_key": "req_9982"}'
    )
    console.print(
        f"curl -X POST http://localhost:{port}/v1/wallets/debit "
        f"-H \"Authorization: Bearer {key}\" -d '{body}'\n",
        soft_wrap=True,
        markup=False,
    )
