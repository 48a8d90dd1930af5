"""The database itself fills the tax rates of wallets, whoever writes customers and rates."""

from django.db import migrations

# The rates of a customer, each from an instant on: its region's, and before the first of these the
# country's; zero percent for who has a tax id where the rate reverses the charge.
RATES = """
CREATE FUNCTION billing_tax_rates(customer bigint) RETURNS jsonb LANGUAGE sql STABLE AS $$
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

CREATE FUNCTION billing_customer_taxed() RETURNS trigger LANGUAGE plpgsql AS $$
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

CREATE TRIGGER billing_customer_taxed AFTER INSERT OR UPDATE
    ON billing_customer FOR EACH ROW EXECUTE FUNCTION billing_customer_taxed();
ALTER TABLE billing_customer ENABLE ALWAYS TRIGGER billing_customer_taxed;

CREATE FUNCTION billing_rate_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE one record;
BEGIN
    FOR one IN
        SELECT c.book_id, billing_tax_rates(c.book_id) AS rates
        FROM billing_customer c JOIN ledger_book b ON b.id = c.book_id
        WHERE (b.livemode, c.country) IN
            ((OLD.livemode, OLD.country), (NEW.livemode, NEW.country))
        ORDER BY c.book_id
    LOOP
        UPDATE wallets_wallet SET tax_rates = one.rates
            WHERE book_id = one.book_id AND tax_rates <> one.rates;
        UPDATE wallets_unitwallet SET tax_rates = one.rates
            WHERE book_id = one.book_id AND tax_rates <> one.rates;
    END LOOP;
    RETURN NULL;
END $$;

CREATE TRIGGER billing_taxrate_changed AFTER INSERT OR UPDATE OR DELETE
    ON billing_taxrate FOR EACH ROW EXECUTE FUNCTION billing_rate_changed();
ALTER TABLE billing_taxrate ENABLE ALWAYS TRIGGER billing_taxrate_changed;

CREATE FUNCTION billing_wallet_taxed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.tax_rates := billing_tax_rates(NEW.book_id);
    RETURN NEW;
END $$;

CREATE TRIGGER wallets_wallet_taxed BEFORE INSERT
    ON wallets_wallet FOR EACH ROW EXECUTE FUNCTION billing_wallet_taxed();
ALTER TABLE wallets_wallet ENABLE ALWAYS TRIGGER wallets_wallet_taxed;

CREATE TRIGGER wallets_unitwallet_taxed BEFORE INSERT
    ON wallets_unitwallet FOR EACH ROW EXECUTE FUNCTION billing_wallet_taxed();
ALTER TABLE wallets_unitwallet ENABLE ALWAYS TRIGGER wallets_unitwallet_taxed;

UPDATE wallets_wallet w SET tax_rates = billing_tax_rates(w.book_id)
    FROM billing_customer c WHERE c.book_id = w.book_id AND c.country <> '';
UPDATE wallets_unitwallet w SET tax_rates = billing_tax_rates(w.book_id)
    FROM billing_customer c WHERE c.book_id = w.book_id AND c.country <> '';
"""
NO_RATES = """
DROP TRIGGER wallets_unitwallet_taxed ON wallets_unitwallet;
DROP TRIGGER wallets_wallet_taxed ON wallets_wallet;
DROP FUNCTION billing_wallet_taxed();
DROP TRIGGER billing_taxrate_changed ON billing_taxrate;
DROP FUNCTION billing_rate_changed();
DROP TRIGGER billing_customer_taxed ON billing_customer;
DROP FUNCTION billing_customer_taxed();
DROP FUNCTION billing_tax_rates(bigint);
"""


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0006_bonus_lines"),
        ("wallets", "0006_tax_rates"),
    ]
    operations = [migrations.RunSQL(RATES, NO_RATES)]
