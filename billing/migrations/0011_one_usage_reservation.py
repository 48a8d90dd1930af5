"""A usage reservation is one object with one reservation of the wallets, under its own id; usage
that is sold by itself counts toward no cycle.
"""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q

# Each gets the wallets' row that it is one with, which takes over what its parts held; the parts go.
JOIN = """
INSERT INTO wallets_reservation (id, book_id, kind, wallet_id, strategy, quantity, held, captured,
    promised, status, created_at, expires_at, ended_at)
SELECT u.id, u.book_id, 'USAGE', w.id, 'WATERFALL', parts.held, parts.held, 0, 0,
    CASE WHEN u.status = 'HELD' AND parts.timed_out THEN 'EXPIRED' ELSE u.status END,
    u.created_at, u.expires_at,
    CASE WHEN u.status = 'HELD' AND parts.timed_out THEN u.expires_at ELSE u.ended_at END
FROM billing_usagereservation u
JOIN billing_subscription s ON s.id = u.subscription_id
JOIN pricing_rateplanversion v ON v.id = s.version_id
JOIN pricing_rateplan p ON p.id = v.plan_id
JOIN wallets_wallet w ON w.book_id = u.book_id AND w.currency = p.currency
CROSS JOIN LATERAL (
    SELECT coalesce(sum(r.held) FILTER (WHERE r.wallet_id IS NOT NULL), 0) AS held,
        coalesce(bool_or(r.status = 'EXPIRED'), false) AS timed_out
    FROM billing_usagereservation_holds m JOIN wallets_reservation r ON r.id = m.reservation_id
    WHERE m.usagereservation_id = u.id AND r.status = u.status
        OR m.usagereservation_id = u.id AND r.status = 'EXPIRED'
) AS parts
WHERE NOT EXISTS (SELECT FROM wallets_reservation there WHERE there.id = u.id);
-- Whoever went back and comes again is one already.
DELETE FROM billing_usagereservation_holds WHERE usagereservation_id = reservation_id;
UPDATE wallets_reservation SET kind = 'USAGE'
    WHERE id IN (SELECT id FROM billing_usagereservation);
UPDATE wallets_hold h SET reservation_id = joined.usage, position = joined.place
FROM (
    SELECT h.id, m.usagereservation_id AS usage,
        row_number() OVER (PARTITION BY m.usagereservation_id
            ORDER BY r.created_at, r.id, h.position) - 1 AS place
    FROM billing_usagereservation_holds m
    JOIN wallets_reservation r ON r.id = m.reservation_id
    JOIN wallets_hold h ON h.reservation_id = r.id
) AS joined
WHERE joined.id = h.id;
CREATE TEMP TABLE joined_parts ON COMMIT DROP AS
    SELECT m.usagereservation_id AS usage, m.reservation_id AS part, r.entry_id,
        row_number() OVER (PARTITION BY m.usagereservation_id ORDER BY r.created_at, r.id) AS place
    FROM billing_usagereservation_holds m JOIN wallets_reservation r ON r.id = m.reservation_id;
DELETE FROM billing_usagereservation_holds;
DELETE FROM wallets_reservation WHERE id IN (SELECT part FROM joined_parts);
UPDATE wallets_reservation r SET entry_id = j.entry_id FROM joined_parts j
    WHERE j.usage = r.id AND j.place = 1;
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
"""
PART = """
INSERT INTO billing_usagereservation_holds (usagereservation_id, reservation_id)
    SELECT id, id FROM billing_usagereservation;
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
"""
GIVE_BACK = """
UPDATE billing_usagereservation u SET book_id = r.book_id, status = r.status,
    created_at = r.created_at, expires_at = r.expires_at, ended_at = r.ended_at
    FROM wallets_reservation r WHERE r.id = u.id;
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
"""
SOUND = Q(quantity__gt=0, captured__gte=0)
MODEL = "usagereservation"


def nullable(name, field):
    return migrations.AlterField(MODEL, name, field)


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0010_passed_over"),
        ("wallets", "0010_usage_reservations"),
        ("pricing", "0001_initial"),
    ]

    operations = [
        migrations.AlterField(
            "usageevent",
            "counted_at",
            models.DateTimeField(
                null=True, help_text="None for usage that was sold by itself, outside every cycle."
            ),
        ),
        migrations.RunSQL(JOIN, migrations.RunSQL.noop),
        migrations.RunSQL(migrations.RunSQL.noop, PART),
        migrations.RemoveField(MODEL, "holds"),
        migrations.RemoveConstraint(MODEL, "billing_usagereservation_sound"),
        migrations.RemoveConstraint(MODEL, "billing_usagereservation_ended"),
        # So that the way back can add them before it fills them.
        nullable("book", models.ForeignKey(
            null=True, on_delete=django.db.models.deletion.PROTECT,
            related_name="usage_reservations", to="ledger.book",
        )),
        nullable("created_at", models.DateTimeField(null=True)),
        nullable("expires_at", models.DateTimeField(null=True)),
        migrations.RunSQL(migrations.RunSQL.noop, GIVE_BACK),
        *(
            migrations.RemoveField(MODEL, name)
            for name in ("book", "status", "created_at", "expires_at", "ended_at")
        ),
        migrations.RenameField(MODEL, "id", "reservation"),
        migrations.AlterField(
            MODEL,
            "reservation",
            models.OneToOneField(
                on_delete=django.db.models.deletion.PROTECT, primary_key=True,
                related_name="usage", serialize=False, to="wallets.reservation",
            ),
        ),
        migrations.AddConstraint(
            MODEL,
            models.CheckConstraint(condition=SOUND, name="billing_usagereservation_sound"),
        ),
    ]
