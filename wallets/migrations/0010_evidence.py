"""What credits were sold, burned and held for keeps its facts: counters and states change, which
movements prove, and no row is deleted.
"""

from django.db import migrations

# Table -> the columns whose change asks, where others change with every call; what may change.
KEPT = [
    (
        "wallets_topup",
        "UPDATE",
        "status, asked, ask_again_at, paid_at, failed_at, paid_by, dispute, disputed, dispute_fee, "
        "refunded",
    ),
    ("wallets_debit", "UPDATE", "overage_billed, reversed, overage_reversed, debt_reversed"),
    (
        "wallets_reservation",
        "UPDATE OF id, book_id, kind, wallet_id, unit_wallet_id, strategy, created_at, attributes",
        "quantity, held, captured, promised, uncovered, debt, status, expires_at, counted, "
        "ended_at, entry_id, operation_id, over_capture, grace_seconds",
    ),
    (
        "wallets_hold",
        "UPDATE OF id, book_id, reservation_id, lot_id, position",
        "quantity, captured, released",
    ),
]
FROZEN = "".join(
    f"""
CREATE TRIGGER {table}_kept BEFORE {asks} OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION ledger_frozen_but({changing});
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_kept;
"""
    for table, asks, changing in KEPT
) + """
-- Its other terms are frozen by a trigger of their own.
CREATE TRIGGER wallets_creditlot_kept
    BEFORE UPDATE OF reason, priority, top_up_id, taxed_at_sale OR DELETE ON wallets_creditlot
    FOR EACH ROW EXECUTE FUNCTION ledger_frozen_but(
        remaining, held, carrying_remaining, expires_at, rollover, frozen_at, rolled, lapsing,
        lapsing_since);
ALTER TABLE wallets_creditlot ENABLE ALWAYS TRIGGER wallets_creditlot_kept;

CREATE TRIGGER wallets_campaigngrant_append_only BEFORE UPDATE OR DELETE ON wallets_campaigngrant
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
ALTER TABLE wallets_campaigngrant ENABLE ALWAYS TRIGGER wallets_campaigngrant_append_only;
"""
NOT_FROZEN = """
DROP TRIGGER wallets_campaigngrant_append_only ON wallets_campaigngrant;
DROP TRIGGER wallets_creditlot_kept ON wallets_creditlot;
""" + "".join(f"DROP TRIGGER {table}_kept ON {table};" for table, _, _ in KEPT)


class Migration(migrations.Migration):
    dependencies = [("wallets", "0009_ways_and_disputes"), ("ledger", "0005_evidence")]
    operations = [migrations.RunSQL(FROZEN, NOT_FROZEN)]
