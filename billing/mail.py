"""Mail to customers: written in the transaction of its cause, sent once that has committed.

A mail is claimed before it is sent, so that whoever is killed in between has sent it at most once:
it is FAILED then, and a person decides whether to send it again. Where the mail server refused it,
it is tried again.
"""

from __future__ import annotations

import logging
import smtplib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.core.mail import EmailMessage

from billing.models import Customer, Invoice, IssuedDocument, Mail, MailStatus

logger = logging.getLogger(__name__)

# After an attempt that the mail server refused; then it is given up.
RETRY_AFTER = [timedelta(minutes=5), timedelta(hours=1), timedelta(hours=6), timedelta(days=1)]
# Whoever takes longer was killed.
LEASE = timedelta(minutes=15)
# At most this many in one pass, so that the rest of a sweep goes on.
AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Attachment:
    """A document as a file of a mail."""

    name: str
    content: bytes
    content_type: str


Attach = Callable[[IssuedDocument], Attachment]


def write(
    *,
    customer: Customer,
    subject: str,
    text: str,
    sameness: str,
    now: datetime,
    invoice: Invoice | None = None,
    document: IssuedDocument | None = None,
) -> None:
    """Write a mail, once by its `sameness`; to a customer without an address it is a row that says
    so. The sandbox keeps its mails and sends none.
    """
    Mail.objects.bulk_create(
        [
            Mail(
                customer=customer,
                invoice=invoice,
                document=document,
                sameness=sameness,
                to=customer.email,
                subject=subject,
                text=text,
                status=_first_status(customer),
                due_at=now,
            )
        ],
        ignore_conflicts=True,
    )


def _first_status(customer: Customer) -> MailStatus:
    if not customer.email:
        return MailStatus.NO_ADDRESS
    return MailStatus.WAITING if customer.book.livemode else MailStatus.KEPT


def send_due(*, clock: Callable[[], datetime], attach: Attach) -> int:
    """Send the mails that wait; return how many were sent. Takes no lock while it sends."""
    _give_up_lost(clock())
    due = Mail.objects.filter(status=MailStatus.WAITING, due_at__lte=clock())
    ids = list(due.order_by("due_at", "pk").values_list("pk", flat=True)[:AT_ONCE])
    sent = 0
    for mail_id in ids:
        claimed = Mail.objects.filter(pk=mail_id, status=MailStatus.WAITING).update(
            status=MailStatus.SENDING, due_at=clock() + LEASE
        )
        if claimed:
            sent += _send(Mail.objects.select_related("document").get(pk=mail_id), clock, attach)
    return sent


def _give_up_lost(now: datetime) -> None:
    lost = Mail.objects.filter(status=MailStatus.SENDING, due_at__lte=now)
    lost.update(status=MailStatus.FAILED, failure="Interrupted: it may have been sent.")


def _send(mail: Mail, clock: Callable[[], datetime], attach: Attach) -> bool:
    """Send a claimed mail; return whether the server took it."""
    mail.attempts += 1
    try:
        _message(mail, attach).send()
    except (smtplib.SMTPException, OSError) as error:
        logger.warning("Mail %s was not sent: %s", mail.pk, type(error).__name__)
        again = mail.attempts <= len(RETRY_AFTER)
        mail.status = MailStatus.WAITING if again else MailStatus.FAILED
        mail.failure = _said(error)
        if again:
            mail.due_at = clock() + RETRY_AFTER[mail.attempts - 1]
    except Exception as error:
        # Whatever is wrong with one mail, the others leave.
        logger.exception("Mail %s cannot be sent", mail.pk)
        mail.status, mail.failure = MailStatus.FAILED, _said(error)
    else:
        mail.status, mail.sent_at, mail.failure = MailStatus.SENT, clock(), ""
    names = ("attempts", "status", "due_at", "sent_at", "failure", "attached")
    values = {name: getattr(mail, name) for name in names}
    Mail.objects.filter(pk=mail.pk, status=MailStatus.SENDING).update(**values)
    return mail.status == MailStatus.SENT


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]


def _message(mail: Mail, attach: Attach) -> EmailMessage:
    """Return the mail with its document attached, and named in its text."""
    if mail.document is None:
        return EmailMessage(mail.subject, mail.text, to=[mail.to])
    file = attach(mail.document)
    mail.attached = file.name
    message = EmailMessage(mail.subject, f"{mail.text}\nAttached: {file.name}\n", to=[mail.to])
    message.attach(file.name, file.content, file.content_type)
    return message


def send_again(mail: Mail, *, now: datetime) -> bool:
    """Queue a mail that failed once more, or one that had no address if there is one now; return
    whether it was queued.
    """
    mine = Mail.objects.filter(pk=mail.pk)
    queued = mine.filter(status=MailStatus.FAILED).update(
        status=MailStatus.WAITING, due_at=now, attempts=0
    )
    customer = Customer.objects.select_related("book").get(pk=mail.customer_id)
    if not queued and customer.email:
        queued = mine.filter(status=MailStatus.NO_ADDRESS).update(
            status=_first_status(customer), to=customer.email, due_at=now
        )
    return bool(queued)
