"""What was settled, corrected, claimed and earned keeps its facts: what changes of it later is what
is named here, and no row is deleted.
"""

from django.db import migrations

# Table, when it asks, under which condition, what may change.
KEPT = [
    (
        "billing_settlement",
        "UPDATE OR DELETE",
        "WHEN (OLD.status <> 'SEALED')",
        "status, statement_number, arrears, arrears_tax, arrears_paid, late_adjusted, rolled_on",
    ),
    ("billing_latecredit", "UPDATE OR DELETE", "", "used, paid_out"),
    (
        "billing_advancefee",
        "UPDATE OR DELETE",
        "",
        "amount, ends_at, recognised, recognised_through",
    ),
    ("billing_monthend", "UPDATE OR DELETE", "", "usage, fees, reached_at"),
    # Changes with every usage that is priced at once, so that only an update of whose it is asks.
    (
        "billing_cycleburn",
        "UPDATE OF id, subscription_id, kind, cycle, lot_id OR DELETE",
        "",
        "quantity, kept, late, carrying, tax, advance_fee",
    ),
    ("billing_claim", "UPDATE", "", "amount, paid"),
]
APPEND_ONLY = ["billing_settlementadjustment"]
FROZEN = "".join(
    f"""
CREATE TRIGGER {table}_kept BEFORE {asks} ON {table}
    FOR EACH ROW {when} EXECUTE FUNCTION ledger_frozen_but({changing});
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_kept;
"""
    for table, asks, when, changing in KEPT
) + "".join(
    f"""
CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_append_only;
"""
    for table in APPEND_ONLY
) + """
-- A debt that was forgiven before anything of it was paid goes; what was paid of, or lost, stays.
CREATE TRIGGER billing_claim_stays BEFORE DELETE ON billing_claim
    FOR EACH ROW WHEN (OLD.paid > 0 OR OLD.top_up_id IS NOT NULL)
    EXECUTE FUNCTION ledger_frozen_but();
ALTER TABLE billing_claim ENABLE ALWAYS TRIGGER billing_claim_stays;

CREATE TRIGGER billing_settlement_stays BEFORE DELETE ON billing_settlement
    FOR EACH ROW WHEN (OLD.status = 'SEALED') EXECUTE FUNCTION ledger_frozen_but();
ALTER TABLE billing_settlement ENABLE ALWAYS TRIGGER billing_settlement_stays;
"""
NOT_FROZEN = (
    "DROP TRIGGER billing_settlement_stays ON billing_settlement;"
    "DROP TRIGGER billing_claim_stays ON billing_claim;"
    + "".join(f"DROP TRIGGER {table}_append_only ON {table};" for table in APPEND_ONLY)
    + "".join(f"DROP TRIGGER {table}_kept ON {table};" for table, *_ in KEPT)
)


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0009_payment_ways"),
        ("ledger", "0005_evidence"),
        ("wallets", "0010_evidence"),
    ]
    operations = [migrations.RunSQL(FROZEN, NOT_FROZEN)]
