"""A posting is in the book of its entry, in a column; there must be no postings yet."""

import django.db.models.deletion
from django.db import migrations, models

# Also for the tables of the wallets that name an entry. One look by the primary key a row, whatever
# the planner thinks of the size of the table.
IN_BOOK = """
CREATE FUNCTION ledger_in_book_of_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.entry_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM ledger_entry WHERE id = NEW.entry_id AND book_id = NEW.book_id
    ) THEN
        RAISE EXCEPTION '% is not in the book of its entry: refused', TG_TABLE_NAME
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER ledger_posting_in_book_of_entry BEFORE INSERT ON ledger_posting
    FOR EACH ROW EXECUTE FUNCTION ledger_in_book_of_entry();
ALTER TABLE ledger_posting ENABLE ALWAYS TRIGGER ledger_posting_in_book_of_entry;
"""

REVERSE = """
DROP TRIGGER ledger_posting_in_book_of_entry ON ledger_posting;
DROP FUNCTION ledger_in_book_of_entry();
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0008_one_name_each")]
    operations = [
        migrations.AddField(
            model_name="posting",
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
    ]
