"""Approvals of wallets move to those of everything, in the ledger."""

from django.db import migrations

LIMIT = (
    "proposed_at, approved_at, evidence, livemode, action, currency, amount, starts_at, "
    "approved_by_id, key_id, proposed_by_id"
)
REQUEST = (
    "id, book_id, action, amount, currency, content, actor_kind, actor_id, requested_at, "
    "expires_at, approved_at, rejected_at, approved_by_id, rejected_by_id"
)
MOVE = f"""
INSERT INTO ledger_approvallimit ({LIMIT}) SELECT {LIMIT} FROM wallets_approvallimit ORDER BY id;
INSERT INTO ledger_approvalrequest (livemode, operation, {REQUEST})
    SELECT (SELECT b.livemode FROM ledger_book b WHERE b.id = book_id),
        CASE action WHEN 'GOODWILL' THEN 'wallets.grant' ELSE 'wallets.refund' END, {REQUEST}
    FROM wallets_approvalrequest;
SET CONSTRAINTS ALL IMMEDIATE;
"""
# What 0014 took from the database, made again, and what was there.
MOVE_BACK = "".join(
    f"""
CREATE TRIGGER {table}_decided_once BEFORE UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION ledger_decided_once();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_decided_once;
"""
    for table in ("wallets_approvallimit", "wallets_approvalrequest")
) + f"""
CREATE TRIGGER wallets_approvallimit_audit_trail AFTER INSERT OR UPDATE OR DELETE
    ON wallets_approvallimit FOR EACH ROW EXECUTE FUNCTION access_record_change('', '', '');
ALTER TABLE wallets_approvallimit ENABLE ALWAYS TRIGGER wallets_approvallimit_audit_trail;
ALTER TABLE wallets_approvalrequest ADD CONSTRAINT wallets_approvalrequest_two_people
    CHECK (approved_by_id IS NULL OR actor_kind <> 'STAFF' OR actor_id <> approved_by_id::text);
INSERT INTO wallets_approvallimit ({LIMIT}) SELECT {LIMIT} FROM ledger_approvallimit
    WHERE action IN ('GOODWILL', 'REFUND') AND role_id IS NULL ORDER BY id;
INSERT INTO wallets_approvalrequest ({REQUEST}) SELECT {REQUEST} FROM ledger_approvalrequest
    WHERE action IN ('GOODWILL', 'REFUND');
SET CONSTRAINTS ALL IMMEDIATE;
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0010_approvals"), ("wallets", "0014_approvals")]

    operations = [
        migrations.RunSQL(MOVE, MOVE_BACK),
        migrations.DeleteModel(name="ApprovalLimit"),
        migrations.DeleteModel(name="ApprovalRequest"),
    ]
