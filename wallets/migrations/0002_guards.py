"""Movements are append-only, for every writer."""

from django.db import migrations

GUARD = """
CREATE TRIGGER wallets_movement_append_only BEFORE UPDATE OR DELETE ON wallets_movement
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
ALTER TABLE wallets_movement ENABLE ALWAYS TRIGGER wallets_movement_append_only;

CREATE TRIGGER wallets_operation_append_only BEFORE UPDATE OR DELETE ON wallets_operation
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
ALTER TABLE wallets_operation ENABLE ALWAYS TRIGGER wallets_operation_append_only;

-- Of a lot only its counters and its expiry ever change; what it is stays as it was granted.
CREATE FUNCTION wallets_lot_terms_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the terms of a credit lot never change'
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER wallets_creditlot_terms_frozen
    BEFORE UPDATE OF id, book_id, wallet_id, unit_wallet_id, kind, source, cause, face, carrying,
        currency, granted_at, effective_at ON wallets_creditlot
    FOR EACH ROW EXECUTE FUNCTION wallets_lot_terms_frozen();
ALTER TABLE wallets_creditlot ENABLE ALWAYS TRIGGER wallets_creditlot_terms_frozen;
"""

REVERSE = """
DROP TRIGGER wallets_creditlot_terms_frozen ON wallets_creditlot;
DROP FUNCTION wallets_lot_terms_frozen();
DROP TRIGGER wallets_operation_append_only ON wallets_operation;
DROP TRIGGER wallets_movement_append_only ON wallets_movement;
"""


class Migration(migrations.Migration):
    dependencies = [("wallets", "0001_initial"), ("ledger", "0002_guards")]
    operations = [migrations.RunSQL(GUARD, REVERSE)]
