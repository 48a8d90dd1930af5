"""Certificates of exemption, and when VAT numbers were checked; documents keep both."""

import django.db.models.deletion
from django.db import migrations, models

# As before, and what a certificate or a reversed charge takes away, with its evidence.
RATES = """
CREATE OR REPLACE FUNCTION billing_tax_rates_of(customer bigint, class text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    who record;
    found jsonb;
BEGIN
    SELECT b.livemode, c.country, c.region, c.tax_id, c.tax_id_checked_at INTO who
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
        UNION SELECT bound.at FROM billing_taxexemption e
            CROSS JOIN LATERAL unnest(ARRAY[e.valid_from, e.valid_until]) AS bound(at)
            WHERE e.customer_id = customer AND e.country = who.country AND bound.at IS NOT NULL
    ), levels AS (
        SELECT DISTINCT ON (i.at, m.region) i.at, m.*
        FROM instants i
        JOIN mine m ON m.valid_from <= i.at AND (m.valid_until IS NULL OR m.valid_until > i.at)
        ORDER BY i.at, m.region, m.product_class DESC, m.valid_from DESC
    ), certified AS (
        SELECT l.*, (
            SELECT e.number FROM billing_taxexemption e
            WHERE e.customer_id = customer AND e.country = who.country
                AND e.region IN ('', l.region)
                AND e.valid_from <= l.at AND (e.valid_until IS NULL OR e.valid_until > l.at)
            ORDER BY e.valid_from DESC, e.id DESC LIMIT 1
        ) AS certificate
        FROM levels l
        WHERE l.region <> '' OR NOT EXISTS (
            SELECT FROM levels own
            WHERE own.at = l.at AND own.region <> '' AND NOT own.adds_to_country
        )
    ), parts AS (
        SELECT l.at, l.region,
            l.name || CASE WHEN l.certificate IS NOT NULL THEN ', exempt'
                WHEN l.reversed THEN ', reverse charge' ELSE '' END AS name,
            CASE WHEN l.certificate IS NOT NULL OR l.reversed THEN 0 ELSE l.percent END AS percent,
            l.country || CASE l.region WHEN '' THEN '' ELSE '-' || l.region END AS jurisdiction,
            CASE WHEN l.certificate IS NOT NULL THEN jsonb_build_object(
                'treatment', 'EXEMPT', 'certificate', l.certificate
            ) WHEN l.reversed THEN jsonb_strip_nulls(jsonb_build_object(
                'treatment', 'REVERSE_CHARGE', 'tax_id', who.tax_id, 'tax_id_checked_at', to_char(
                    who.tax_id_checked_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
            )) END AS evidence
        FROM certified l
    ), states AS (
        SELECT i.at, jsonb_build_object(
                'name', coalesce(string_agg(p.name, ' + ' ORDER BY p.region), ''),
                'percent', trim_scale(coalesce(sum(p.percent), 0))::text,
                'jurisdiction', coalesce(max(p.jurisdiction), '')
            ) || CASE
                WHEN count(p.at) > 1 THEN jsonb_build_object(
                    'parts', jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                        'name', p.name,
                        'percent', trim_scale(p.percent)::text,
                        'jurisdiction', p.jurisdiction,
                        'evidence', p.evidence
                    )) ORDER BY p.region))
                WHEN count(p.evidence) > 0 THEN
                    jsonb_build_object('evidence', (jsonb_agg(p.evidence)) -> 0)
                ELSE '{}'
            END AS state
        FROM instants i LEFT JOIN parts p ON p.at = i.at GROUP BY i.at
    ), changes AS (
        SELECT s.at, s.state, lag(s.state) OVER (ORDER BY s.at) AS before FROM states s
    )
    SELECT jsonb_agg(jsonb_build_object(
            'from', to_char(c.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')
        ) || c.state ORDER BY c.at) INTO found
    FROM changes c WHERE c.state IS DISTINCT FROM c.before
        AND NOT (c.before IS NULL AND c.state ->> 'name' = '');
    RETURN coalesce(found, '[]');
END $$;
"""
FORMER_RATES = """
CREATE OR REPLACE FUNCTION billing_tax_rates_of(customer bigint, class text) RETURNS jsonb
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
"""

# Wallets follow certificates, and a number that is checked anew, as they follow the customer.
FOLLOWED = """
CREATE FUNCTION billing_exemption_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE rates jsonb := billing_tax_rates(NEW.customer_id);
BEGIN
    UPDATE wallets_wallet SET tax_rates = rates
        WHERE book_id = NEW.customer_id AND tax_rates <> rates;
    UPDATE wallets_unitwallet SET tax_rates = rates
        WHERE book_id = NEW.customer_id AND tax_rates <> rates;
    RETURN NULL;
END $$;
CREATE TRIGGER billing_taxexemption_changed AFTER INSERT OR UPDATE
    ON billing_taxexemption FOR EACH ROW EXECUTE FUNCTION billing_exemption_changed();
ALTER TABLE billing_taxexemption ENABLE ALWAYS TRIGGER billing_taxexemption_changed;

CREATE TRIGGER billing_taxexemption_kept BEFORE UPDATE OR DELETE ON billing_taxexemption
    FOR EACH ROW EXECUTE FUNCTION ledger_frozen_but(valid_until);
ALTER TABLE billing_taxexemption ENABLE ALWAYS TRIGGER billing_taxexemption_kept;

CREATE OR REPLACE FUNCTION billing_customer_taxed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE rates jsonb;
BEGIN
    IF (OLD.country, OLD.region, OLD.tax_id, OLD.tax_id_checked_at) IS NOT DISTINCT FROM
        (NEW.country, NEW.region, NEW.tax_id, NEW.tax_id_checked_at) THEN
        RETURN NULL;
    END IF;
    rates := billing_tax_rates(NEW.book_id);
    UPDATE wallets_wallet SET tax_rates = rates
        WHERE book_id = NEW.book_id AND tax_rates <> rates;
    UPDATE wallets_unitwallet SET tax_rates = rates
        WHERE book_id = NEW.book_id AND tax_rates <> rates;
    RETURN NULL;
END $$;
"""
NOT_FOLLOWED = """
CREATE OR REPLACE FUNCTION billing_customer_taxed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE rates jsonb;
BEGIN
    IF (OLD.country, OLD.region, OLD.tax_id) IS NOT DISTINCT FROM
        (NEW.country, NEW.region, NEW.tax_id) THEN
        RETURN NULL;
    END IF;
    rates := billing_tax_rates(NEW.book_id);
    UPDATE wallets_wallet SET tax_rates = rates
        WHERE book_id = NEW.book_id AND tax_rates <> rates;
    UPDATE wallets_unitwallet SET tax_rates = rates
        WHERE book_id = NEW.book_id AND tax_rates <> rates;
    RETURN NULL;
END $$;
DROP TRIGGER billing_taxexemption_kept ON billing_taxexemption;
DROP TRIGGER billing_taxexemption_changed ON billing_taxexemption;
DROP FUNCTION billing_exemption_changed();
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0014_documents")]
    operations = [
        migrations.AddField(
            model_name="customer",
            name="tax_id_checked_at",
            field=models.DateTimeField(
                blank=True,
                help_text="When form and check digits of a VAT number were checked.",
                null=True,
            ),
        ),
        migrations.CreateModel(
            name="TaxExemption",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.CharField(max_length=100)),
                ("country", models.CharField(max_length=2)),
                ("region", models.CharField(blank=True, help_text="Empty: the rates of the country and all its regions.", max_length=50)),
                ("valid_from", models.DateTimeField()),
                ("valid_until", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("customer", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name="exemptions", to="billing.customer")),
            ],
            options={
                "verbose_name": "exemption certificate",
                "constraints": [
                    models.UniqueConstraint(fields=("customer", "country", "region", "number"), name="billing_exemption_once"),
                    models.CheckConstraint(condition=models.Q(("valid_until", None), ("valid_until__gte", models.F("valid_from")), _connector="OR"), name="billing_exemption_span"),
                ],
            },
        ),
        migrations.RunSQL(RATES, FORMER_RATES),
        migrations.RunSQL(FOLLOWED, NOT_FOLLOWED),
    ]
