"""Every table of configuration writes the audit trail, whoever changes it and however.

The list is that of `aforo.database.audit_trail`; a later table gets its trigger in a later migration.
"""

from django.db import migrations

BOOK = "book_id=ledger_book"
PLAN = "plan_id=pricing_rateplan"
VERSION = f"version_id=pricing_rateplanversion {PLAN}"
# Table: counters, what is secret or personal, the way to the row that knows the mode.
TABLES = {
    "access_apikey": ("last_used_at", "digest", ""),
    "auth_group": ("", "", ""),
    "auth_group_permissions": ("", "", ""),
    "auth_user": ("last_login", "password first_name last_name email", ""),
    "auth_user_groups": ("", "", ""),
    "auth_user_user_permissions": ("", "", ""),
    "billing_customer": ("", "name email tax_id address", BOOK),
    "billing_taxrate": ("", "", ""),
    "ledger_account": ("", "", ""),
    "ledger_accountingperiod": ("", "", ""),
    "ledger_breakagerate": ("", "", ""),
    "ledger_exportbatch": ("totals booked residues journal_ids", "", ""),
    "ledger_glmapping": ("", "", ""),
    "ledger_manualadjustment": ("", "", ""),
    "ledger_policy": ("", "", ""),
    "ledger_reopening": ("", "", "period_id=ledger_accountingperiod"),
    "pricing_bonusslab": ("", "", "rule_id=pricing_topuprule"),
    "pricing_campaign": ("spent grants", "", ""),
    "pricing_charge": ("", "", VERSION),
    "pricing_chargemetric": ("", "", f"charge_id=pricing_charge {VERSION}"),
    "pricing_coupon": ("redemptions", "", ""),
    "pricing_granttemplate": ("", "", VERSION),
    "pricing_metric": ("", "", ""),
    "pricing_offering": ("", "", ""),
    "pricing_rateplan": ("", "", ""),
    "pricing_rateplanversion": ("", "", PLAN),
    "pricing_topuprule": ("", "", ""),
    "wallets_autorefill": ("failures next_attempt_at", "", BOOK),
    "wallets_budget": ("live_values live_until", "", BOOK),
    "webhooks_webhookendpoint": ("failing_since off_position", "", ""),
    "webhooks_webhooksecret": ("", "salt key_digest", "endpoint_id=webhooks_webhookendpoint"),
}
# Of a wallet only the customer's own limits are configuration.
LIMITS = ("own_overage_limit", "own_debt_limit", "low_balance_threshold")
WALLETS = ("wallets_wallet", "wallets_unitwallet")

TRIGGERS = "".join(
    f"""
CREATE TRIGGER {table}_audit_trail AFTER INSERT OR UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION access_record_change('{counters}', '{hidden}', '{way}');
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_audit_trail;
"""
    for table, (counters, hidden, way) in TABLES.items()
) + "".join(
    f"""
CREATE TRIGGER {table}_audit_trail AFTER UPDATE OF {", ".join(LIMITS)} ON {table}
    FOR EACH ROW WHEN ({" OR ".join(f"OLD.{each} IS DISTINCT FROM NEW.{each}" for each in LIMITS)})
    EXECUTE FUNCTION access_record_change('', '', '{BOOK}');
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_audit_trail;
"""
    for table in WALLETS
) + """
CREATE TRIGGER access_configurationchange_append_only
    BEFORE UPDATE OR DELETE ON access_configurationchange
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
ALTER TABLE access_configurationchange
    ENABLE ALWAYS TRIGGER access_configurationchange_append_only;
"""
NO_TRIGGERS = "".join(
    f"DROP TRIGGER {table}_audit_trail ON {table};" for table in (*TABLES, *WALLETS)
) + "DROP TRIGGER access_configurationchange_append_only ON access_configurationchange;"


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0015_tax_facts"),
        ("access", "0004_audit_trail"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("ledger", "0005_evidence"),
        ("pricing", "0004_tax_class"),
        ("wallets", "0011_refill_caps"),
        ("webhooks", "0003_endpoints"),
    ]
    operations = [migrations.RunSQL(TRIGGERS, NO_TRIGGERS)]
