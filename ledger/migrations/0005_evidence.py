"""What the books rest on keeps its facts, whoever writes: of a row only the columns that its trigger
names may change, and no row is deleted.
"""

from django.db import migrations

# TG_ARGV names the columns that may change; every other one, later ones included, is a fact.
FROZEN_BUT = """
CREATE FUNCTION ledger_frozen_but() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changing text[] := coalesce(TG_ARGV, '{}');
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION '% is kept: DELETE refused', TG_TABLE_NAME
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF to_jsonb(OLD) - changing IS DISTINCT FROM to_jsonb(NEW) - changing THEN
        RAISE EXCEPTION '% keeps its facts: UPDATE refused', TG_TABLE_NAME
            USING ERRCODE = 'integrity_constraint_violation',
                  HINT = 'What may change: ' || coalesce(nullif(array_to_string(changing, ', '), ''), 'nothing');
    END IF;
    RETURN NEW;
END $$;
"""
NOT_FROZEN = "DROP FUNCTION ledger_frozen_but();"

TABLES = """
CREATE TRIGGER ledger_account_kept BEFORE UPDATE OR DELETE ON ledger_account
    FOR EACH ROW EXECUTE FUNCTION ledger_frozen_but();
ALTER TABLE ledger_account ENABLE ALWAYS TRIGGER ledger_account_kept;

-- Every entry updates its book, so that only an update of who it is asks.
CREATE TRIGGER ledger_book_kept
    BEFORE UPDATE OF id, livemode, key, created_at OR DELETE ON ledger_book
    FOR EACH ROW EXECUTE FUNCTION ledger_frozen_but(
        sequence, head_hash, last_recorded_at, test_clock_id, has_budgets);
ALTER TABLE ledger_book ENABLE ALWAYS TRIGGER ledger_book_kept;

-- A closed month's own guard, `stays_closed`, goes first.
CREATE TRIGGER ledger_accountingperiod_unchanged BEFORE UPDATE OR DELETE ON ledger_accountingperiod
    FOR EACH ROW EXECUTE FUNCTION ledger_frozen_but(status, closed_at, closed_by);
ALTER TABLE ledger_accountingperiod ENABLE ALWAYS TRIGGER ledger_accountingperiod_unchanged;
CREATE TRIGGER ledger_accountingperiod_unchanged_close BEFORE UPDATE ON ledger_accountingperiod
    FOR EACH ROW WHEN (OLD.status = 'CLOSED') EXECUTE FUNCTION ledger_frozen_but(status);
ALTER TABLE ledger_accountingperiod ENABLE ALWAYS TRIGGER ledger_accountingperiod_unchanged_close;

-- A batch has its hash once its files are written, in the transaction that makes it.
CREATE TRIGGER ledger_exportbatch_kept BEFORE UPDATE OR DELETE ON ledger_exportbatch
    FOR EACH ROW WHEN (OLD.sha256 <> '') EXECUTE FUNCTION ledger_frozen_but();
ALTER TABLE ledger_exportbatch ENABLE ALWAYS TRIGGER ledger_exportbatch_kept;

-- A claimed key has its answer, with a status, in the transaction that claims it.
CREATE TRIGGER access_keyedrequest_kept BEFORE UPDATE OR DELETE ON access_keyedrequest
    FOR EACH ROW WHEN (OLD.status <> 0) EXECUTE FUNCTION ledger_frozen_but();
ALTER TABLE access_keyedrequest ENABLE ALWAYS TRIGGER access_keyedrequest_kept;
"""
NO_TABLES = """
DROP TRIGGER access_keyedrequest_kept ON access_keyedrequest;
DROP TRIGGER ledger_exportbatch_kept ON ledger_exportbatch;
DROP TRIGGER ledger_accountingperiod_unchanged_close ON ledger_accountingperiod;
DROP TRIGGER ledger_accountingperiod_unchanged ON ledger_accountingperiod;
DROP TRIGGER ledger_book_kept ON ledger_book;
DROP TRIGGER ledger_account_kept ON ledger_account;
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0004_budgets"), ("access", "0002_webhooks_scope")]
    operations = [
        migrations.RunSQL(FROZEN_BUT, NOT_FROZEN),
        migrations.RunSQL(TABLES, NO_TABLES),
    ]
