"""The credit journal holds against every writer: movements and operations are append-only, the terms
of a lot never change, and what names an entry, a lot or a reservation is in the same book as it.
"""

from django.db import migrations

APPEND_ONLY = """
CREATE TRIGGER wallets_movement_append_only BEFORE UPDATE OR DELETE ON wallets_movement
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
ALTER TABLE wallets_movement ENABLE ALWAYS TRIGGER wallets_movement_append_only;

CREATE TRIGGER wallets_operation_append_only BEFORE UPDATE OR DELETE ON wallets_operation
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
ALTER TABLE wallets_operation ENABLE ALWAYS TRIGGER wallets_operation_append_only;
"""
NOT_APPEND_ONLY = """
DROP TRIGGER wallets_operation_append_only ON wallets_operation;
DROP TRIGGER wallets_movement_append_only ON wallets_movement;
"""

# Of a lot only its counters and its expiry ever change; what it is stays as it was granted.
FROZEN = """
CREATE FUNCTION wallets_lot_terms_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the terms of a credit lot never change'
        USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE TRIGGER wallets_creditlot_terms_frozen
    BEFORE UPDATE OF id, book_id, wallet_id, unit_wallet_id, kind, source, cause, face, carrying,
        currency, granted_at, effective_at, subscription_id, grant_code, grant_period
    ON wallets_creditlot FOR EACH ROW EXECUTE FUNCTION wallets_lot_terms_frozen();
ALTER TABLE wallets_creditlot ENABLE ALWAYS TRIGGER wallets_creditlot_terms_frozen;
"""
NOT_FROZEN = """
DROP TRIGGER wallets_creditlot_terms_frozen ON wallets_creditlot;
DROP FUNCTION wallets_lot_terms_frozen();
"""

NAMED = [
    ("wallets_movement", "ledger", "entry"),
    ("wallets_movement", "wallets", "lot"),
    ("wallets_debit", "ledger", "entry"),
    ("wallets_reservation", "ledger", "entry"),
    ("wallets_hold", "wallets", "lot"),
    ("wallets_hold", "wallets", "reservation"),
]

IN_BOOK = """
CREATE FUNCTION wallets_in_book_of_lot() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM wallets_creditlot WHERE id = NEW.lot_id AND book_id = NEW.book_id
    ) THEN
        RAISE EXCEPTION '% is not in the book of its lot: refused', TG_TABLE_NAME
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION wallets_in_book_of_reservation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM wallets_reservation WHERE id = NEW.reservation_id AND book_id = NEW.book_id
    ) THEN
        RAISE EXCEPTION '% is not in the book of its reservation: refused', TG_TABLE_NAME
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
""" + "".join(
    f"""
CREATE TRIGGER {table}_in_book_of_{named} BEFORE INSERT ON {table}
    FOR EACH ROW EXECUTE FUNCTION {app}_in_book_of_{named}();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_in_book_of_{named};
"""
    for table, app, named in NAMED
)
NOT_IN_BOOK = (
    "".join(f"DROP TRIGGER {table}_in_book_of_{named} ON {table};" for table, _, named in NAMED)
    + "DROP FUNCTION wallets_in_book_of_reservation(); DROP FUNCTION wallets_in_book_of_lot();"
)


class Migration(migrations.Migration):
    dependencies = [("wallets", "0001_initial"), ("ledger", "0002_guards")]
    operations = [
        migrations.RunSQL(APPEND_ONLY, NOT_APPEND_ONLY),
        migrations.RunSQL(FROZEN, NOT_FROZEN),
        migrations.RunSQL(IN_BOOK, NOT_IN_BOOK),
    ]
