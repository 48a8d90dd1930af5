"""Each wallet says when the first of its customer's cycles ends: whoever spends from it looks there,
so the database itself keeps it in step with the subscriptions, whoever writes them.
"""

from django.db import migrations

KEEP_IN_STEP = """
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

UPDATE wallets_wallet SET renews_at = billing_renews_at(book_id);
UPDATE wallets_unitwallet SET renews_at = billing_renews_at(book_id);
"""
UNDO = """
DROP TRIGGER wallets_unitwallet_renews ON wallets_unitwallet;
DROP TRIGGER wallets_wallet_renews ON wallets_wallet;
DROP FUNCTION billing_wallet_renews();
DROP TRIGGER billing_subscription_renews ON billing_subscription;
DROP FUNCTION billing_subscription_renews();
DROP FUNCTION billing_renews_at(bigint);
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0004_payable_invoices"), ("wallets", "0006_renewals")]
    operations = [migrations.RunSQL(KEEP_IN_STEP, UNDO)]
