"""What the database refuses whoever writes: usage is never edited, a cycle never overlaps another of
its subscription nor counts what another has counted, who pays a settlement pays its total, and a
customer's time zone exists. Each wallet knows when the first of its customer's cycles ends.
"""

from django.db import migrations

APPEND_ONLY = """
CREATE TRIGGER billing_usageevent_append_only BEFORE UPDATE OR DELETE ON billing_usageevent
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
ALTER TABLE billing_usageevent ENABLE ALWAYS TRIGGER billing_usageevent_append_only;

CREATE TRIGGER billing_unbilledusage_append_only BEFORE UPDATE OR DELETE ON billing_unbilledusage
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
ALTER TABLE billing_unbilledusage ENABLE ALWAYS TRIGGER billing_unbilledusage_append_only;
"""
NOT_APPEND_ONLY = """
DROP TRIGGER billing_unbilledusage_append_only ON billing_unbilledusage;
DROP TRIGGER billing_usageevent_append_only ON billing_usageevent;
"""

CYCLES_APART = """
CREATE FUNCTION billing_cycles_apart() RETURNS trigger LANGUAGE plpgsql AS $$
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

CREATE TRIGGER billing_settlement_apart
    BEFORE INSERT OR UPDATE OF starts_at, ends_at, counted_from, counted_until, status, kind
    ON billing_settlement FOR EACH ROW EXECUTE FUNCTION billing_cycles_apart();
"""
NOT_APART = """
DROP TRIGGER billing_settlement_apart ON billing_settlement;
DROP FUNCTION billing_cycles_apart();
"""

TOTALS = """
ALTER TABLE billing_settlement ADD CONSTRAINT billing_settlement_totals CHECK (
    status = 'SEALED' OR coalesce(
        (totals ->> 'total')::numeric =
            (totals #>> '{from_wallet,PROMO}')::numeric
            + (totals #>> '{from_wallet,BONUS}')::numeric
            + (totals #>> '{from_wallet,CASH}')::numeric
            + (totals ->> 'to_invoice')::numeric + (totals ->> 'arrears')::numeric
        AND (totals ->> 'to_invoice')::numeric >= 0 AND (totals ->> 'arrears')::numeric >= 0
        AND (totals ->> 'discount')::numeric BETWEEN 0 AND (totals ->> 'subtotal')::numeric,
        false
    )
);
"""
NO_TOTALS = "ALTER TABLE billing_settlement DROP CONSTRAINT billing_settlement_totals;"

# The database refuses a time zone that it cannot compute with by failing to compute with it.
CUSTOMERS = """
ALTER TABLE billing_customer
    ADD CONSTRAINT billing_customer_timezone
        CHECK (('epoch'::timestamptz AT TIME ZONE timezone) IS NOT NULL),
    ADD CONSTRAINT billing_customer_country CHECK (country ~ '^([A-Z]{2})?$');
"""
ANY_CUSTOMERS = """
ALTER TABLE billing_customer
    DROP CONSTRAINT billing_customer_timezone,
    DROP CONSTRAINT billing_customer_country;
"""

# Whoever spends from a wallet looks there, so the database itself fills it from the subscriptions,
# whoever writes them.
RENEWALS = """
CREATE FUNCTION billing_renews_at(customer bigint) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT min(current_ends_at) FROM billing_subscription
    WHERE customer_id = customer AND status IN ('TRIALING', 'ACTIVE', 'SUSPENDED')
$$;

CREATE FUNCTION billing_subscription_renews() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE moment timestamptz := billing_renews_at(NEW.customer_id);
BEGIN
    UPDATE wallets_wallet SET renews_at = moment
        WHERE book_id = NEW.customer_id AND renews_at IS DISTINCT FROM moment;
    UPDATE wallets_unitwallet SET renews_at = moment
        WHERE book_id = NEW.customer_id AND renews_at IS DISTINCT FROM moment;
    RETURN NULL;
END $$;

CREATE TRIGGER billing_subscription_renews AFTER INSERT OR UPDATE OF status, current_ends_at
    ON billing_subscription FOR EACH ROW EXECUTE FUNCTION billing_subscription_renews();
ALTER TABLE billing_subscription ENABLE ALWAYS TRIGGER billing_subscription_renews;

CREATE FUNCTION billing_wallet_renews() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.renews_at := billing_renews_at(NEW.book_id);
    RETURN NEW;
END $$;

CREATE TRIGGER wallets_wallet_renews BEFORE INSERT
    ON wallets_wallet FOR EACH ROW EXECUTE FUNCTION billing_wallet_renews();
ALTER TABLE wallets_wallet ENABLE ALWAYS TRIGGER wallets_wallet_renews;

CREATE TRIGGER wallets_unitwallet_renews BEFORE INSERT
    ON wallets_unitwallet FOR EACH ROW EXECUTE FUNCTION billing_wallet_renews();
ALTER TABLE wallets_unitwallet ENABLE ALWAYS TRIGGER wallets_unitwallet_renews;
"""
NO_RENEWALS = """
DROP TRIGGER wallets_unitwallet_renews ON wallets_unitwallet;
DROP TRIGGER wallets_wallet_renews ON wallets_wallet;
DROP FUNCTION billing_wallet_renews();
DROP TRIGGER billing_subscription_renews ON billing_subscription;
DROP FUNCTION billing_subscription_renews();
DROP FUNCTION billing_renews_at(bigint);
"""


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0001_initial"),
        ("ledger", "0002_guards"),
        ("wallets", "0001_initial"),
        ("pricing", "0001_initial"),
    ]
    operations = [
        migrations.RunSQL(APPEND_ONLY, NOT_APPEND_ONLY),
        migrations.RunSQL(CYCLES_APART, NOT_APART),
        migrations.RunSQL(TOTALS, NO_TOTALS),
        migrations.RunSQL(CUSTOMERS, ANY_CUSTOMERS),
        migrations.RunSQL(RENEWALS, NO_RENEWALS),
    ]
