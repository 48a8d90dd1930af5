"""Tax rates end, are of product classes, and add up; what one says never changes."""

from django.db import migrations, models

# Of spellings that come to one, the first is corrected: the others never applied.
CAPITALS = """
UPDATE billing_customer SET region = upper(btrim(region)) WHERE region <> upper(btrim(region));
UPDATE billing_taxrate rate SET region = upper(btrim(rate.region))
FROM (
    SELECT id, row_number() OVER (
        PARTITION BY livemode, country, upper(btrim(region)), valid_from
        ORDER BY region <> upper(btrim(region)), id
    ) AS number
    FROM billing_taxrate
) spelt
WHERE spelt.id = rate.id AND spelt.number = 1 AND rate.region <> upper(btrim(rate.region));
"""

# The rates of a customer for a class of products, each from an instant on: at every instant at which
# one begins or ends, that of its region in place of its country's, or beside it; of rates in force
# together those of the class, then the latest. A name that is empty says that none is in force.
RATES = """
CREATE FUNCTION billing_tax_rates_of(customer bigint, class text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    who record;
    found jsonb;
BEGIN
    SELECT b.livemode, c.country, c.region, c.tax_id INTO who
    FROM billing_customer c JOIN ledger_book b ON b.id = c.book_id WHERE c.book_id = customer;
    IF coalesce(who.country, '') = '' THEN
        RETURN '[]';
    END IF;
    WITH mine AS (
        SELECT r.*, r.reverse_charge AND who.tax_id <> '' AS reversed FROM billing_taxrate r
        WHERE r.livemode = who.livemode AND r.country = who.country
            AND r.region IN ('', who.region) AND r.product_class IN ('', class)
            AND (r.valid_until IS NULL OR r.valid_until > r.valid_from)
    ), instants AS (
        SELECT valid_from AS at FROM mine
        UNION SELECT valid_until FROM mine WHERE valid_until IS NOT NULL
    ), levels AS (
        SELECT DISTINCT ON (i.at, m.region) i.at, m.*
        FROM instants i
        JOIN mine m ON m.valid_from <= i.at AND (m.valid_until IS NULL OR m.valid_until > i.at)
        ORDER BY i.at, m.region, m.product_class DESC, m.valid_from DESC
    ), parts AS (
        SELECT l.at, l.region,
            l.name || CASE WHEN l.reversed THEN ', reverse charge' ELSE '' END AS name,
            CASE WHEN l.reversed THEN 0 ELSE l.percent END AS percent,
            l.country || CASE l.region WHEN '' THEN '' ELSE '-' || l.region END AS jurisdiction
        FROM levels l
        WHERE l.region <> '' OR NOT EXISTS (
            SELECT FROM levels own
            WHERE own.at = l.at AND own.region <> '' AND NOT own.adds_to_country
        )
    ), states AS (
        SELECT i.at, jsonb_build_object(
                'name', coalesce(string_agg(p.name, ' + ' ORDER BY p.region), ''),
                'percent', trim_scale(coalesce(sum(p.percent), 0))::text,
                'jurisdiction', coalesce(max(p.jurisdiction), '')
            ) || CASE WHEN count(p.at) < 2 THEN '{}' ELSE jsonb_build_object(
                'parts', jsonb_agg(jsonb_build_object(
                    'name', p.name,
                    'percent', trim_scale(p.percent)::text,
                    'jurisdiction', p.jurisdiction
                ) ORDER BY p.region)
            ) END AS state
        FROM instants i LEFT JOIN parts p ON p.at = i.at GROUP BY i.at
    ), changes AS (
        SELECT s.at, s.state, lag(s.state) OVER (ORDER BY s.at) AS before FROM states s
    )
    SELECT jsonb_agg(jsonb_build_object(
            'from', to_char(c.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')
        ) || c.state ORDER BY c.at) INTO found
    FROM changes c WHERE c.state IS DISTINCT FROM c.before;
    RETURN coalesce(found, '[]');
END $$;

CREATE OR REPLACE FUNCTION billing_tax_rates(customer bigint) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT billing_tax_rates_of(customer, '')
$$;
"""
FORMER_RATES = """
CREATE OR REPLACE FUNCTION billing_tax_rates(customer bigint) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object(
            'from', to_char(r.valid_from AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'),
            'name', r.name || CASE WHEN reversed THEN ', reverse charge' ELSE '' END,
            'percent', CASE WHEN reversed THEN '0' ELSE trim_scale(r.percent)::text END,
            'jurisdiction', r.country || CASE r.region WHEN '' THEN '' ELSE '-' || r.region END
        ) ORDER BY r.valid_from), '[]')
    FROM billing_customer c
    JOIN ledger_book b ON b.id = c.book_id
    JOIN billing_taxrate r ON r.livemode = b.livemode AND r.country = c.country
    CROSS JOIN LATERAL (SELECT r.reverse_charge AND c.tax_id <> '') AS charge(reversed)
    WHERE c.book_id = customer AND c.country <> '' AND (
        r.region = c.region
        OR r.region = '' AND NOT EXISTS (
            SELECT FROM billing_taxrate own
            WHERE own.livemode = r.livemode AND own.country = r.country
                AND own.region = c.region AND own.valid_from <= r.valid_from
        )
    )
$$;
DROP FUNCTION billing_tax_rates_of(bigint, text);
"""

# Documents, wallets and late usage read what was in force then, so it cannot become another. A live
# rate ends from now on, give or take what clocks differ; the sandbox has clocks of its own.
KEPT = """
CREATE TRIGGER billing_taxrate_kept BEFORE UPDATE OR DELETE ON billing_taxrate
    FOR EACH ROW EXECUTE FUNCTION ledger_frozen_but(valid_until);
ALTER TABLE billing_taxrate ENABLE ALWAYS TRIGGER billing_taxrate_kept;

CREATE FUNCTION billing_taxrate_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF least(OLD.valid_until, NEW.valid_until) < now() - interval '5 minutes' THEN
        RAISE EXCEPTION 'a tax rate cannot end, or begin again, in the past'
            USING ERRCODE = 'integrity_constraint_violation', HINT = 'Add another one.';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_taxrate_ended BEFORE UPDATE OF valid_until ON billing_taxrate
    FOR EACH ROW WHEN (NEW.livemode AND OLD.valid_until IS DISTINCT FROM NEW.valid_until)
    EXECUTE FUNCTION billing_taxrate_ended();
ALTER TABLE billing_taxrate ENABLE ALWAYS TRIGGER billing_taxrate_ended;
"""
NOT_KEPT = """
DROP TRIGGER billing_taxrate_ended ON billing_taxrate;
DROP FUNCTION billing_taxrate_ended();
DROP TRIGGER billing_taxrate_kept ON billing_taxrate;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0010_evidence"),
        ("ledger", "0005_evidence"),
    ]
    operations = [
        migrations.AddField(
            model_name="taxrate",
            name="product_class",
            field=models.CharField(
                blank=True, db_default="", help_text="Of plans; empty for all.", max_length=40
            ),
        ),
        migrations.AddField(
            model_name="taxrate",
            name="adds_to_country",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Levied beside the country's rate, as QST is beside GST; else it replaces it.",
            ),
        ),
        migrations.AddField(
            model_name="taxrate",
            name="valid_until",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.RemoveConstraint(model_name="taxrate", name="billing_taxrate_once"),
        migrations.AddConstraint(
            model_name="taxrate",
            constraint=models.UniqueConstraint(
                condition=models.Q(
                    ("valid_until", None),
                    ("valid_until__gt", models.F("valid_from")),
                    _connector="OR",
                ),
                fields=("livemode", "country", "region", "product_class", "valid_from"),
                name="billing_taxrate_one_from",
            ),
        ),
        migrations.AddConstraint(
            model_name="taxrate",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("valid_until", None),
                    ("valid_until__gte", models.F("valid_from")),
                    _connector="OR",
                ),
                name="billing_taxrate_span",
            ),
        ),
        migrations.AddConstraint(
            model_name="taxrate",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("adds_to_country", False),
                    models.Q(("region", ""), _negated=True),
                    _connector="OR",
                ),
                name="billing_taxrate_adds",
            ),
        ),
        migrations.RunSQL(RATES, FORMER_RATES),
        migrations.RunSQL(CAPITALS, migrations.RunSQL.noop),
        migrations.RunSQL(KEPT, NOT_KEPT),
    ]
