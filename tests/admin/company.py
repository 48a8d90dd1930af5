"""A small company with two and more of almost everything, for what walks the whole back office."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.contrib.auth.models import Group, User
from django.utils import timezone
from django_celery_beat.models import ClockedSchedule, CrontabSchedule

from aforo.access.models import KeyedRequest
from aforo.access.services import create_api_key
from aforo.webhooks import endpoints
from aforo.webhooks.models import OutboxEvent, WebhookDelivery, WebhookStream
from billing.adjustments import corrections
from billing.campaigns import campaign_runs
from billing.finance import closing
from billing.invoicing import bank_payments, payments, tax_rates
from billing.invoicing.payment_lines import PaymentLine
from billing.jobs import due_work
from billing.models import (
    DunningPause,
    DunningSchedule,
    Invoice,
    InvoiceCharge,
    LateCredit,
    Mail,
    MonthEnd,
    OneTimeBenefit,
    PlanChange,
    Reminder,
    Settlement,
    SettlementRun,
    SettlementRunItem,
    Subscription,
    UnbilledUsage,
    UsageEvent,
    UsageRollup,
    WorkerHeartbeat,
)
from billing.realtime import usage_calls
from billing.realtime.usage_requests import UsageReserveRequest
from billing.simulation import backtest
from billing.usage import ingest
from ledger.controls import adjustments
from ledger.exports import batches, receipts
from ledger.models import (
    Account,
    AccountingPeriod,
    ApprovalLimit,
    ApprovalRequest,
    Book,
    BreakageRate,
    Entry,
    GlMapping,
    Policy,
    ProvisionMatrix,
)
from ledger.periods import periods
from pricing.models import BonusSlab, RatePlan, RatePlanVersion, TopUpRule
from pricing.offerings import coupons, credit_units, packs
from pricing.plans import plans
from tests import campaigns, factories
from tests.billing.invoicing.test_customer_credit import owed
from tests.factories import FEBRUARY, MARCH, START
from wallets.alerts.thresholds import Threshold, set_thresholds
from wallets.debits import engine
from wallets.models import TopUp
from wallets.reports import lots
from wallets.top_ups import disputes, refill, refunds

D = Decimal
WELCOME: list[dict[str, Any]] = [
    {"code": "welcome", "kind": "PROMO", "amount": D(5), "recurrence": "EVERY_CYCLE",
     "expires_at_cycle_end": True},
    {"code": "units", "kind": "PROMO", "metric": "tokens", "quantity": D(100),
     "recurrence": "EVERY_CYCLE", "expires_at_cycle_end": True},
]  # fmt: skip
FEE = {
    "code": "seat", "description": "Seat", "model": "FLAT_RATE", "timing": "ADVANCE",
    "terms": {"flat_fee": "3"},
}  # fmt: skip


def live() -> None:
    """Run January and February: sell, use, settle, correct, decide, close, export."""
    _catalogue()
    for key in ("ann", "ben"):
        _customer(key)
    _campaigns()
    _books()
    _access()
    _webhooks()
    _beyond_the_credits()
    _payments()
    _collections()
    _plan_changes()


def _catalogue() -> None:
    for number in (1, 2):
        factories.metric(f"calls_{number}")
        factories.offering(
            f"sold_{number}", grants=WELCOME, charges=[*factories.TOKENS_AT_2_MILLS, FEE]
        )
        plan = RatePlan.objects.get(code=f"plan_sold_{number}")
        plans.begin_draft(plan=plan)
        coupons.create_coupon(
            livemode=False, code=f"TEN_{number}", type="PERCENT", value=D(10), duration="ONCE"
        )
        unit, rates = ("CREDITS", "TOKENS")[number - 1], {"USD": "0.01"}
        credit_units.create_credit_unit(livemode=False, code=unit, name="Unit", rates=rates)
        sold = {"quantity": D(100), "prices": {"USD": "1"}}
        packs.create_pack(livemode=False, code=unit.lower(), name="Pack", unit=unit, **sold)
        rule = TopUpRule.objects.create(livemode=False, currency=("USD", "EUR")[number - 1])
        BonusSlab.objects.create(rule=rule, from_amount=D(1000), bonus=D(1))
    tax_rates.create_tax_rate(livemode=False, name="IVA", country="ES", percent=D(21), now=START)
    tax_rates.create_tax_rate(livemode=False, name="TVA", country="FR", percent=D(20), now=START)


def _customer(key: str) -> None:
    number = 1 if key == "ann" else 2
    book = factories.clocked_customer(key)
    factories.budget("team", "100", customer=key)
    factories.top_up(key, "40")
    factories.bundle(key, "20", bonus="4")
    factories.subscription(key, f"sold_{number}", coupons=[f"TEN_{number}"])
    for name in ("r1", "r2"):
        factories.debit(key, "1", f"{key}-{name}")
        asked = engine.ReserveRequest(customer_id=key, key=f"{key}-hold-{name}", amount=D(1))
        factories.body(engine.execute([asked], livemode=False)[0])
    for name in ("u1", "u2"):
        usage = UsageReserveRequest(
            customer_id=key,
            metric="tokens",
            quantity=D(300),
            key=f"{key}-{name}",
            expires_in=3600,
        )
        usage_calls.execute(livemode=False, ask=usage)
    events = [factories.event(key, 60_000, f"{key}-{n}", START + timedelta(days=n)) for n in (2, 3)]
    factories.advance(book, START + timedelta(days=4))
    assert ingest.ingest(livemode=False, events=events, received_at=timezone.now()).accepted == 2
    factories.advance(book, MARCH)
    settled = Settlement.objects.filter(book=book).order_by("cycle").first()
    assert settled is not None
    for name in ("a", "b"):
        corrections.adjust_settlement(
            livemode=False,
            settlement_id=settled.pk,
            key=name,
            reason="outage",
            by="support",
            lines=[corrections.Correction("Outage", D(-1))],
        )
    invoice = Invoice.objects.filter(customer__book=book, status="OPEN").first()
    assert invoice is not None
    for name in ("a", "b"):
        payments.pay(
            livemode=False, invoice=str(invoice.pk), amount=D(1), reference=name, key=f"pay-{name}"
        )
    for bought in TopUp.objects.filter(book=book):
        for state in ("opened", "lost"):
            disputes.dispute(
                livemode=False, top_up_id=bought.pk, state=state, key=f"{bought.pk}{state}"
            )
    factories.top_up(key, "30", name="refilled")
    refill.set_auto_refill(
        livemode=False,
        customer_id=key,
        currency="USD",
        threshold=D(1),
        amount=D(5),
        enabled=True,
        method="test_ok",
    )
    marks = [Threshold(D(number), "AMOUNT") for number in (1, 2)]
    set_thresholds(livemode=False, customer_id=key, currency="USD", thresholds=marks)
    factories.customer(f"{key}_live", livemode=True)
    factories.top_up(f"{key}_live", "10", livemode=True)
    due_work.settle(livemode=False, as_of=None, customer_id=key, clock=timezone.now)


def _beyond_the_credits() -> None:
    """Capture usage of which 1.00 of credits pays the first, and nothing the second."""
    factories.offering("sold_3", billing_mode="PREPAID")
    factories.clocked_customer("cora")
    factories.top_up("cora", "1")
    factories.subscription("cora", "sold_3")
    usage = UsageReserveRequest(
        customer_id="cora", metric="tokens", quantity=D(300), key="u", over_capture="AVAILABLE"
    )
    reserved = factories.body(usage_calls.execute(livemode=False, ask=usage))["id"]
    for name in ("a", "b"):
        more = engine.CaptureRequest(
            reservation=UUID(reserved), key=f"cora-{name}", quantity=D(1_000), final=False
        )
        factories.body(usage_calls.execute(livemode=False, ask=more))


def _payments() -> None:
    """Two payments of the bank that wait for a person, and money that a gateway is to pay back."""
    for name in ("one", "two"):
        line = PaymentLine("ES91", date(2026, 2, 1), D(7), "USD", bank_reference=name)
        bank_payments.take(livemode=False, line=line, now=timezone.now())
    factories.customer("rita")
    for number in (1, 2):
        factories.top_up("rita", "5", name=f"rita-{number}")
        refunds.refund(
            livemode=False,
            customer_id="rita",
            key=f"refund-{number}",
            amount=D(1),
            currency="USD",
            reason="asked",
        )


def _collections() -> None:
    """Reminders, mail, pauses and schedules of dunning; what is owed; approvals that wait."""
    invoices = Invoice.objects.order_by("pk")[:2]
    ann = factories.person("fin")
    for number, invoice in enumerate(invoices, start=1):
        DunningSchedule.objects.create(livemode=False, reminder_days=[number])
        Reminder.objects.create(
            invoice=invoice, day=number, action="REMIND", open=D(1), occurred_at=START
        )
        InvoiceCharge.objects.create(
            invoice=invoice, attempt=number, amount=1, currency="USD", method="m", created_at=START,
        )  # fmt: skip
        DunningPause.objects.create(customer=invoice.customer, reason="asked")
        Mail.objects.create(
            customer=invoice.customer, invoice=invoice, sameness=f"m{number}", to="a@b.example",
            subject="Overdue", text="x", status="KEPT", due_at=START,
        )  # fmt: skip
        owed(invoice.customer.book, "2210", "1")
        ApprovalLimit.objects.create(
            action="GOODWILL", currency="USD", amount=D(number), starts_at=START,
            evidence="A memo.", proposed_by=ann, proposed_at=START,
        )  # fmt: skip
        ApprovalRequest.objects.create(
            book=invoice.customer.book, livemode=False, action="GOODWILL",
            operation="wallets.grant", amount=D(number), currency="USD", content={},
            requested_at=START, expires_at=FEBRUARY,
        )  # fmt: skip


def _plan_changes() -> None:
    """Two changes of plan, from the terms that there were, as nothing has been settled by them."""
    for contract in Subscription.objects.order_by("-pk")[:2]:
        PlanChange.objects.create(
            subscription=contract,
            cycle=1,
            from_offering=contract.offering,
            from_version=contract.version,
            to_offering=contract.offering,
            to_version=contract.version,
            occurred_at=START,
        )


def _campaigns() -> None:
    for number in (1, 2):
        code = f"GIFT_{number}"
        campaigns.draft(f"DRAFT_{number}")
        campaigns.draft(code, trigger="EVERYBODY")
        _, run = campaign_runs.activate(livemode=False, code=code, now=timezone.now())
        assert run is not None
        campaign_runs.execute(run_id=run.pk, clock=timezone.now)
        campaigns.running(
            f"MILE_{number}", trigger="MILESTONE", milestone_metric="tokens", milestone_quantity="1"
        )
    due_work.sweep(now=timezone.now(), clock=timezone.now)


def _books() -> None:
    amount = adjustments.Amount("1000", "1010", D("9.70"), "USD")
    for number in (1, 2):
        adjustments.propose_adjustment(
            livemode=True,
            reason="PROCESSOR",
            occurred_at=timezone.now(),
            evidence="Payout report.",
            lines=[amount, amount],
            by=factories.person("fin"),
            now=timezone.now(),
            customer_id=None,
        )
        for model, terms in (
            (Policy, {}),
            (BreakageRate, {"kind": "CASH", "percent": 5, "currency": "USD"}),
            (
                ProvisionMatrix,
                {
                    "book": Book.objects.get(key="ann", livemode=False),
                    "current": 1,
                    "overdue_30": 5,
                    "overdue_60": 20,
                    "overdue_90": 50,
                    "overdue_later": 100,
                },
            ),
        ):
            model.objects.create(
                livemode=False,
                starts_on=date(2026, number, 1),
                evidence="A memo.",
                proposed_by=factories.person("fin"),
                proposed_at=START,
                **terms,
            )
        month = date(2026, number, 1)
        closing.close_period(month=month, by="fin", now=timezone.now(), clock=timezone.now)
    for period in AccountingPeriod.objects.filter(status="CLOSED"):
        periods.propose_reopening(
            period=period, reason="A late bill.", by=factories.person("fin"), now=timezone.now()
        )
    for account in Account.objects.all():
        GlMapping.objects.create(
            account=account, starts_on=date(2026, 1, 1), gl_code=f"9{account.code}", gl_name="X"
        )
    for number, form in ((1, "XERO"), (2, "GENERIC")):
        made = batches.export(
            batches.ExportRequest(
                livemode=False, format=form, starts_on=date(2026, number, 1),
                ends_on=date(2026, number + 1, 1),
            ),
            now=timezone.now(), by="fin", lots_of=lots.facts_of,
        )  # fmt: skip
        receipts.record(made, [receipts.of_import(f"J{number}")], now=timezone.now(), by="fin")
    for version in RatePlanVersion.objects.filter(status="PUBLISHED"):
        asked = backtest.start(version=version, starts_at=START, ends_at=FEBRUARY)
        backtest.execute(backtest_id=asked.pk, clock=timezone.now)


def _access() -> None:
    WorkerHeartbeat.objects.get_or_create(defaults={"seen_at": START})
    subscribed = Subscription.objects.order_by("pk")
    run = SettlementRun.objects.earliest("pk")
    for number in (1, 2):
        KeyedRequest.objects.create(
            livemode=False,
            key=f"k{number}",
            operation="pricing.metrics.create",
            content={},
            status=201,
        )
        contract = subscribed[number - 1]
        SettlementRunItem.objects.create(run=run, book_id=contract.customer_id)
        UsageRollup.objects.create(
            book_id=contract.customer_id,
            metric=factories.metric(),
            subscription=contract,
            starts_at=START,
            through=FEBRUARY,
        )
        OneTimeBenefit.objects.create(
            customer=contract.customer,
            offering=contract.offering,
            benefit="another",
            subscription=contract,
        )
        MonthEnd.objects.create(
            subscription=contract, cycle=1, ends_at=FEBRUARY, reached_at=FEBRUARY
        )
        settlement = contract.settlements.earliest("pk")
        LateCredit.objects.create(
            settlement=settlement,
            description="Late usage.",
            amount=D(1),
            created_at=FEBRUARY,
            entry=Entry.objects.filter(book=settlement.book_id).earliest("sequence"),
        )
        event = UsageEvent.objects.filter(book=contract.customer_id).earliest("pk")
        UnbilledUsage.objects.create(
            event=event, book=event.book, metric=event.metric, reason="paused", noted_at=START
        )
        create_api_key(livemode=False, name=f"Key {number}")
        Group.objects.create(name=f"Group {number}")
        CrontabSchedule.objects.create(minute=number)
        ClockedSchedule.objects.create(clocked_time=START + timedelta(days=number))
        User.objects.create_superuser(f"root_{number}")


def _webhooks() -> None:
    happened = OutboxEvent.objects.order_by("pk")
    for number in (1, 2):
        terms = {"url": f"http://127.0.0.1:{number}/"}
        endpoint, _ = endpoints.create(livemode=False, terms=terms)
        stream = WebhookStream.objects.create(endpoint=endpoint)
        WebhookDelivery.objects.create(
            stream=stream,
            endpoint=endpoint,
            event=happened[number],
            position=number,
            created_at=START,
        )
