"""Cycles know the whole period they lie in, its zone and which usage is theirs; anniversaries count
from a wall time. No two cycles that charge a metric of a customer count the same usage.
"""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from dateutil.relativedelta import relativedelta
from django.db import migrations, models
from django.db.models import F, Q

STEPS = {"DAY": "days", "WEEK": "weeks", "MONTH": "months", "YEAR": "years"}
KNOWN = """
UPDATE billing_settlement cycle
SET counted_from = cycle.starts_at, counted_until = cycle.ends_at,
    period_number = cycle.cycle - CASE WHEN mine.trial_ends_at IS NULL THEN 0 ELSE 1 END
FROM billing_subscription mine WHERE mine.id = cycle.subscription_id;
"""
COUNTED_APART = """
CREATE OR REPLACE FUNCTION billing_cycles_apart() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.kind <> 'CYCLE' OR NEW.status = 'VOIDED' THEN
        RETURN NEW;
    END IF;
    IF EXISTS (
        SELECT 1 FROM billing_settlement other
        WHERE other.subscription_id = NEW.subscription_id AND other.id <> NEW.id
            AND other.kind = 'CYCLE' AND other.status <> 'VOIDED'
            AND other.starts_at < NEW.ends_at AND other.ends_at > NEW.starts_at
    ) THEN
        RAISE EXCEPTION 'cycle % of subscription % overlaps another', NEW.cycle, NEW.subscription_id
            USING ERRCODE = 'exclusion_violation';
    END IF;
    IF EXISTS (
        SELECT 1 FROM billing_settlement other
        WHERE other.book_id = NEW.book_id AND other.id <> NEW.id
            AND other.kind = 'CYCLE' AND other.status <> 'VOIDED'
            AND other.counted_from < NEW.counted_until AND other.counted_until > NEW.counted_from
            AND EXISTS (
                SELECT 1
                FROM billing_subscription mine
                JOIN pricing_charge charge ON charge.version_id = mine.version_id
                JOIN pricing_chargemetric feed ON feed.charge_id = charge.id
                JOIN pricing_chargemetric their_feed ON their_feed.metric_id = feed.metric_id
                JOIN pricing_charge their_charge ON their_charge.id = their_feed.charge_id
                JOIN billing_subscription theirs ON theirs.version_id = their_charge.version_id
                WHERE mine.id = NEW.subscription_id AND theirs.id = other.subscription_id
            )
    ) THEN
        RAISE EXCEPTION 'cycle % of subscription % counts usage that another one has counted',
            NEW.cycle, NEW.subscription_id USING ERRCODE = 'exclusion_violation';
    END IF;
    RETURN NEW;
END $$;
DROP TRIGGER billing_settlement_apart ON billing_settlement;
CREATE TRIGGER billing_settlement_apart
    BEFORE INSERT OR UPDATE OF starts_at, ends_at, counted_from, counted_until, status, kind
    ON billing_settlement FOR EACH ROW EXECUTE FUNCTION billing_cycles_apart();
"""
CYCLES_APART = """
CREATE OR REPLACE FUNCTION billing_cycles_apart() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.kind = 'CYCLE' AND NEW.status <> 'VOIDED' AND EXISTS (
        SELECT 1 FROM billing_settlement other
        WHERE other.subscription_id = NEW.subscription_id AND other.id <> NEW.id
            AND other.kind = 'CYCLE' AND other.status <> 'VOIDED'
            AND other.starts_at < NEW.ends_at AND other.ends_at > NEW.starts_at
    ) THEN
        RAISE EXCEPTION 'cycle % of subscription % overlaps another', NEW.cycle, NEW.subscription_id
            USING ERRCODE = 'exclusion_violation';
    END IF;
    RETURN NEW;
END $$;
DROP TRIGGER billing_settlement_apart ON billing_settlement;
CREATE TRIGGER billing_settlement_apart BEFORE INSERT OR UPDATE OF starts_at, ends_at, status, kind
    ON billing_settlement FOR EACH ROW EXECUTE FUNCTION billing_cycles_apart();
"""


def _bound(found, index):
    wall = datetime.combine(found.anchor_date, found.anchor_time)
    step = STEPS[found.offering.interval]
    moved = wall + relativedelta(**{step: found.offering.interval_count * index})
    return moved.replace(tzinfo=ZoneInfo(found.timezone)).astimezone(UTC)


def know_periods(apps, schema_editor):
    subscriptions = apps.get_model("billing", "Subscription").objects
    for found in subscriptions.select_related("customer", "offering").iterator():
        found.timezone = found.customer.timezone
        anchor = found.anchor_at.astimezone(ZoneInfo(found.timezone))
        found.anchor_date, found.anchor_time = anchor.date(), anchor.time()
        found.period_number = found.cycle - (0 if found.trial_ends_at is None else 1)
        found.anchor_index = found.first_index + found.period_number
        found.counted_from = found.current_starts_at
        if found.period_number < 0:
            found.full_starts_at, found.full_ends_at = found.starts_at, found.trial_ends_at
        else:
            found.full_starts_at = min(_bound(found, found.anchor_index), found.current_starts_at)
            found.full_ends_at = max(_bound(found, found.anchor_index + 1), found.current_ends_at)
        found.save()


def forget_periods(apps, schema_editor):
    subscriptions = apps.get_model("billing", "Subscription").objects
    for found in subscriptions.select_related("offering").iterator():
        found.anchor_at = _bound(found, 0)
        paid = found.cycle - (0 if found.trial_ends_at is None else 1)
        found.first_index = found.anchor_index - paid
        found.save()


class Migration(migrations.Migration):
    dependencies = [("billing", "0007_sound_customers"), ("pricing", "0001_initial")]
    operations = [
        *(
            migrations.RemoveConstraint(model_name=model, name=f"billing_{model}_period")
            for model in ("subscription", "settlement")
        ),
        *(
            migrations.AddField("subscription", name, field)
            for name, field in (
                ("anchor_date", models.DateField(null=True)),
                ("anchor_time", models.TimeField(null=True)),
                ("timezone", models.CharField(max_length=50, null=True)),
                ("anchor_index", models.IntegerField(
                    default=0,
                    help_text="Number of intervals from the anchor to the period of the open cycle.",
                )),
                ("period_number", models.IntegerField(
                    default=0,
                    help_text="Paid periods begun before the open cycle's; -1 is the trial.",
                )),
                ("full_starts_at", models.DateTimeField(null=True)),
                ("full_ends_at", models.DateTimeField(null=True)),
                ("counted_from", models.DateTimeField(null=True)),
            )
        ),
        *(
            migrations.AddField("settlement", name, field)
            for name, field in (
                ("period_number", models.IntegerField(null=True)),
                ("counted_from", models.DateTimeField(null=True)),
                ("counted_until", models.DateTimeField(null=True)),
            )
        ),
        migrations.AlterField("subscription", "anchor_at", models.DateTimeField(null=True)),
        migrations.RunPython(know_periods, forget_periods),
        migrations.RunSQL(KNOWN, migrations.RunSQL.noop),
        *(
            migrations.AlterField("subscription", name, field)
            for name, field in (
                ("anchor_date", models.DateField(
                    help_text="Periods end this plus n intervals, by the wall clock."
                )),
                ("anchor_time", models.TimeField()),
                ("timezone", models.CharField(
                    max_length=50,
                    help_text="The zone that ends the open cycle; the customer's counts from the "
                    "next one on.",
                )),
                ("full_starts_at", models.DateTimeField(
                    help_text="The whole period, of which the open cycle may be a part."
                )),
                ("full_ends_at", models.DateTimeField()),
                ("counted_from", models.DateTimeField(
                    help_text="Usage that counts from here on belongs to the open cycle."
                )),
            )
        ),
        *(
            migrations.AlterField("settlement", name, field)
            for name, field in (
                ("period_number", models.IntegerField(
                    help_text="Which paid period of the subscription it lies in, from 0; -1 is the "
                    "trial."
                )),
                ("counted_from", models.DateTimeField(
                    help_text="Usage that counts in [counted_from, counted_until) is this cycle's."
                )),
                ("counted_until", models.DateTimeField()),
            )
        ),
        migrations.RemoveField("subscription", "anchor_at"),
        migrations.RemoveField("subscription", "first_index"),
        *(
            migrations.AddConstraint(model, models.CheckConstraint(condition=condition, name=name))
            for model, name, condition in (
                (
                    "subscription", "billing_subscription_period",
                    Q(current_ends_at__gte=F("current_starts_at")),
                ),
                (
                    "subscription", "billing_subscription_full_period",
                    Q(full_ends_at__gt=F("full_starts_at"))
                    & Q(full_starts_at__lte=F("current_starts_at"))
                    & Q(full_ends_at__gte=F("current_ends_at")),
                ),
                (
                    "subscription", "billing_subscription_counted",
                    Q(counted_from__gte=F("current_starts_at")),
                ),
                ("settlement", "billing_settlement_period", Q(ends_at__gte=F("starts_at"))),
                (
                    "settlement", "billing_settlement_counted",
                    Q(counted_from__gte=F("starts_at"))
                    & Q(counted_until__gte=F("counted_from"))
                    & Q(counted_until__gte=F("ends_at")),
                ),
            )
        ),
        migrations.RunSQL(COUNTED_APART, CYCLES_APART),
    ]  # fmt: skip
