"""What is owed to customers, as rows that the database writes with the postings they stand for."""

import django.db.models.deletion
from django.db import migrations, models


# Whoever posts: documents, payments, refunds, corrections by hand.
ROWS = """
CREATE FUNCTION billing_credit_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE side record;
BEGIN
    FOR side IN
        SELECT account, change FROM
            (VALUES (NEW.credit_id, NEW.amount), (NEW.debit_id, -NEW.amount)) AS s(account, change)
        WHERE account IN ('2210', '2220')
    LOOP
        INSERT INTO billing_customercredit
            (book_id, account, currency, amount, entry_id, posting_id)
        VALUES (NEW.book_id, side.account, NEW.currency, side.change, NEW.entry_id, NEW.id);
        IF side.change < 0 AND (
            SELECT sum(amount) FROM billing_customercredit
            WHERE book_id = NEW.book_id AND account = side.account AND currency = NEW.currency
        ) < 0 THEN
            RAISE EXCEPTION 'less is owed to the customer on % than % %',
                side.account, -side.change, NEW.currency USING ERRCODE = 'check_violation';
        END IF;
    END LOOP;
    RETURN NULL;
END $$;

INSERT INTO billing_customercredit (book_id, account, currency, amount, entry_id, posting_id)
SELECT e.book_id, side.account, p.currency, side.change, p.entry_id, p.id
FROM ledger_posting p
JOIN ledger_entry e ON e.id = p.entry_id
CROSS JOIN LATERAL (VALUES (p.credit_id, p.amount), (p.debit_id, -p.amount)) AS side(account, change)
WHERE (p.credit_id IN ('2210', '2220') OR p.debit_id IN ('2210', '2220'))
    AND side.account IN ('2210', '2220')
ORDER BY e.book_id, e.sequence, p.position;

CREATE TRIGGER billing_credit_changed AFTER INSERT ON ledger_posting FOR EACH ROW
    WHEN (NEW.credit_id IN ('2210', '2220') OR NEW.debit_id IN ('2210', '2220'))
    EXECUTE FUNCTION billing_credit_changed();

CREATE TRIGGER billing_customercredit_append_only BEFORE UPDATE OR DELETE ON billing_customercredit
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
ALTER TABLE billing_customercredit ENABLE ALWAYS TRIGGER billing_customercredit_append_only;
"""
NO_ROWS = """
DROP TRIGGER billing_customercredit_append_only ON billing_customercredit;
DROP TRIGGER billing_credit_changed ON ledger_posting;
DROP FUNCTION billing_credit_changed();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0022_bank_payments'),
        ('ledger', '0005_evidence'),
    ]

    operations = [
        migrations.AddField(
            model_name='customer',
            name='apply_credit',
            field=models.BooleanField(db_default=False, default=False, help_text='What is owed to the customer pays its invoices by itself, the oldest first.'),
        ),
        migrations.CreateModel(
            name='CustomerCredit',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('account', models.CharField(max_length=10)),
                ('currency', models.CharField(max_length=3)),
                ('amount', models.DecimalField(decimal_places=12, max_digits=38)),
                ('book', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='credit_changes', to='ledger.book')),
                ('entry', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='ledger.entry')),
                ('posting', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='ledger.posting')),
            ],
            options={
                'verbose_name': 'change of customer credit',
                'verbose_name_plural': 'customer credit',
                'indexes': [models.Index(fields=['book', 'account', 'currency'], name='billing_credit_of_book')],
                'constraints': [models.UniqueConstraint(fields=('posting', 'account'), name='billing_credit_once'), models.CheckConstraint(condition=models.Q(('amount', 0), _negated=True), name='billing_credit_amount')],
            },
        ),
        migrations.RunSQL(ROWS, NO_ROWS),
    ]
