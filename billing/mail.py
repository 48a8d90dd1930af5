"""Mail to customers: written in the transaction of its cause, sent once that has committed.

A mail is claimed before it is sent, so that whoever is killed in between has sent it at most once:
it is FAILED then, and a person decides whether to send it again. Where the mail server refused it,
it is tried again.
"""

from __future__ import annotations

import logging
import smtplib
from collections.abc import Callable
from datetime import datetime, timedelta

from django.core.mail import EmailMessage

from billing.models import Customer, Invoice, Mail, MailStatus

logger = logging.getLogger(__name__)

# After an attempt that the mail server refused; then it is given up.
RETRY_AFTER = [timedelta(minutes=5), timedelta(hours=1), timedelta(hours=6), timedelta(days=1)]
# Whoever takes longer was killed.
LEASE = timedelta(minutes=15)
# At most this many in one pass, so that the rest of a sweep goes on.
AT_ONCE = 200


def write(
    *,
    customer: Customer,
    subject: str,
    text: str,
    sameness: str,
    now: datetime,
    invoice: Invoice | None = None,
) -> Mail | None:
    """Write a mail, once by its `sameness`; none to a customer without an address. The
    sandbox keeps its mails and sends none.
    """
    if not customer.email:
        return None
    status = MailStatus.WAITING if customer.book.livemode else MailStatus.KEPT
    mail, _ = Mail.objects.get_or_create(
        sameness=sameness,
        defaults={
            "customer": customer,
            "invoice": invoice,
            "to": customer.email,
            "subject": subject,
            "text": text,
            "status": status,
            "due_at": now,
        },
    )
    return mail


def send_due(*, clock: Callable[[], datetime]) -> int:
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
            sent += _send(Mail.objects.get(pk=mail_id), clock)
    return sent


def _give_up_lost(now: datetime) -> None:
    lost = Mail.objects.filter(status=MailStatus.SENDING, due_at__lte=now)
    lost.update(status=MailStatus.FAILED, failure="Interrupted: it may have been sent.")


def _send(mail: Mail, clock: Callable[[], datetime]) -> bool:
    """Send a claimed mail; return whether the server took it."""
    mail.attempts += 1
    try:
        EmailMessage(mail.subject, mail.text, to=[mail.to]).send()
    except (smtplib.SMTPException, OSError) as error:
        logger.warning("Mail %s was not sent: %s", mail.pk, type(error).__name__)
        mail.failure = f"{type(error).__name__}: {error}"[:300]
        again = mail.attempts <= len(RETRY_AFTER)
        mail.status = MailStatus.WAITING if again else MailStatus.FAILED
        if again:
            mail.due_at = clock() + RETRY_AFTER[mail.attempts - 1]
    else:
        mail.status, mail.sent_at, mail.failure = MailStatus.SENT, clock(), ""
    values = {
        name: getattr(mail, name) for name in ("attempts", "status", "due_at", "sent_at", "failure")
    }
    Mail.objects.filter(pk=mail.pk, status=MailStatus.SENDING).update(**values)
    return mail.status == MailStatus.SENT


def send_again(mail: Mail, *, now: datetime) -> bool:
    """Queue a mail that failed once more; return whether it had failed."""
    failed = Mail.objects.filter(pk=mail.pk, status=MailStatus.FAILED)
    return bool(failed.update(status=MailStatus.WAITING, due_at=now, attempts=0))
