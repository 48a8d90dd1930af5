"""Corrections by hand keep off control accounts, and name the customer whose account they move."""

from django.db import migrations, models

MATRIX = """
CREATE FUNCTION ledger_adjustment_allowed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    control text[] := ARRAY['1100', '1200', '2100', '2110', '2130', '2190'];
    of_customer text[] := ARRAY['2120', '2200', '2210', '2220'];
    moved text[] := ARRAY[NEW.debit_id, NEW.credit_id];
    asked ledger_manualadjustment;
BEGIN
    SELECT * INTO asked FROM ledger_manualadjustment WHERE id = NEW.adjustment_id;
    IF moved && control AND NOT (asked.reason = 'ACCRUAL' AND NEW.debit_id = '1200'
        AND NEW.credit_id IN ('4020', '4030', '4040'))
    THEN
        RAISE EXCEPTION 'nobody posts to a control account by hand: line refused'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF asked.book_id IS NULL AND (moved && of_customer OR asked.reason = 'ACCRUAL') THEN
        RAISE EXCEPTION 'the account is kept by customer: line refused'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER ledger_adjustmentline_allowed BEFORE INSERT ON ledger_adjustmentline
    FOR EACH ROW EXECUTE FUNCTION ledger_adjustment_allowed();
ALTER TABLE ledger_adjustmentline ENABLE ALWAYS TRIGGER ledger_adjustmentline_allowed;
"""
NO_MATRIX = """
DROP TRIGGER ledger_adjustmentline_allowed ON ledger_adjustmentline;
DROP FUNCTION ledger_adjustment_allowed();
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0005_evidence")]
    operations = [
        migrations.AlterField(
            "manualadjustment",
            "reason",
            models.CharField(
                choices=[
                    ("BILLING_ERROR", "Billing error"),
                    ("ACCRUAL", "Accrual at a month's end, taken back on the next day"),
                    ("PROCESSOR", "Processor fee or payout"),
                    ("REMITTANCE", "Tax, refund or unclaimed property remitted"),
                    ("CREDIT_LOSS", "Expected credit loss"),
                    ("EXCHANGE", "Exchange difference"),
                    ("MIGRATION", "Opening balance of a replaced system"),
                    ("UNEXPLAINED", "Unexplained difference"),
                ],
                max_length=13,
            ),
        ),
        migrations.RunSQL(MATRIX, NO_MATRIX),
    ]
