"""A hold is in a book, as its reservation and its lot are; there must be no holds yet. What names an
entry or a lot is in the same book as it.
"""

import django.db.models.deletion
from django.db import migrations, models

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
"""
REVERSE = """
DROP FUNCTION wallets_in_book_of_reservation();
DROP FUNCTION wallets_in_book_of_lot();
"""

TRIGGER = """
CREATE TRIGGER {table}_in_book_of_{of} BEFORE INSERT ON {table}
    FOR EACH ROW EXECUTE FUNCTION {app}_in_book_of_{of}();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_in_book_of_{of};
"""
UNDO = "DROP TRIGGER {table}_in_book_of_{of} ON {table};"
HELD = [
    ("wallets_movement", "ledger", "entry"),
    ("wallets_movement", "wallets", "lot"),
    ("wallets_debit", "ledger", "entry"),
    ("wallets_reservation", "ledger", "entry"),
    ("wallets_hold", "wallets", "lot"),
    ("wallets_hold", "wallets", "reservation"),
]


class Migration(migrations.Migration):
    dependencies = [("wallets", "0013_wallet_balance_after"), ("ledger", "0009_posting_book")]
    operations = [
        migrations.AddField(
            model_name="hold",
            name="book",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="ledger.book",
            ),
        ),
        migrations.RunSQL(IN_BOOK, REVERSE),
        *(
            migrations.RunSQL(
                TRIGGER.format(table=table, app=app, of=of), UNDO.format(table=table, of=of)
            )
            for table, app, of in HELD
        ),
    ]
