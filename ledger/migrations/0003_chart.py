"""Write the chart of accounts of this version; accounts that are there already are left as they are."""

from django.db import migrations

CHART = [
    ("1000", "Cash and bank", "DEBIT", "ASSET"),
    ("1010", "Processor clearing", "DEBIT", "ASSET"),
    ("1020", "Disputes receivable", "DEBIT", "ASSET"),
    ("1100", "Accounts receivable", "DEBIT", "ASSET"),
    ("1150", "Allowance for credit losses", "CREDIT", "ASSET"),
    ("1200", "Unbilled receivable", "DEBIT", "ASSET"),
    ("2100", "Contract liability: cash credits", "CREDIT", "LIABILITY"),
    ("2110", "Contract liability: bonus credits", "CREDIT", "LIABILITY"),
    ("2120", "Contract liability: plan fees", "CREDIT", "LIABILITY"),
    ("2130", "Contract liability: goodwill credits", "CREDIT", "LIABILITY"),
    ("2190", "Expected breakage recognised", "DEBIT", "LIABILITY"),
    ("2191", "Bonus discount deferred", "DEBIT", "LIABILITY"),
    ("2200", "Refund liability", "CREDIT", "LIABILITY"),
    ("2210", "Customer credit balance", "CREDIT", "LIABILITY"),
    ("2220", "Unapplied payments", "CREDIT", "LIABILITY"),
    ("2300", "Sales tax and VAT payable", "CREDIT", "LIABILITY"),
    ("2400", "Unclaimed property payable", "CREDIT", "LIABILITY"),
    ("3900", "Opening balance equity", "CREDIT", "EQUITY"),
    ("4000", "Usage revenue: cash credits", "CREDIT", "INCOME"),
    ("4010", "Usage revenue: bonus credits", "CREDIT", "INCOME"),
    ("4020", "Usage revenue: overage", "CREDIT", "INCOME"),
    ("4030", "Plan fee revenue", "CREDIT", "INCOME"),
    ("4040", "Commitment true-up revenue", "CREDIT", "INCOME"),
    ("4100", "Usage at list price: promo", "CREDIT", "INCOME"),
    ("4200", "Breakage revenue: cash credits", "CREDIT", "INCOME"),
    ("4210", "Breakage revenue: bonus credits", "CREDIT", "INCOME"),
    ("4900", "Promotional discount", "DEBIT", "INCOME"),
    ("4901", "Bonus discount", "DEBIT", "INCOME"),
    ("4910", "Credit notes and allowances", "DEBIT", "INCOME"),
    ("4920", "Refunds", "DEBIT", "INCOME"),
    ("4930", "Goodwill and SLA credits", "DEBIT", "INCOME"),
    ("4940", "Dispute losses", "DEBIT", "INCOME"),
    ("6100", "Processing fees", "DEBIT", "EXPENSE"),
    ("6200", "Credit loss expense", "DEBIT", "EXPENSE"),
    ("6210", "Bad debt recoveries", "CREDIT", "INCOME"),
    ("6300", "Dispute fees", "DEBIT", "EXPENSE"),
    ("7100", "Realised FX", "DEBIT", "EXPENSE"),
    ("7110", "Unrealised FX", "DEBIT", "EXPENSE"),
    ("7900", "Rounding", "DEBIT", "EXPENSE"),
]


def write_chart(apps, schema_editor):
    account = apps.get_model("ledger", "Account")
    account.objects.using(schema_editor.connection.alias).bulk_create(
        [
            account(code=code, name=name, normal=normal, statement=statement)
            for code, name, normal, statement in CHART
        ],
        ignore_conflicts=True,
    )


class Migration(migrations.Migration):
    dependencies = [("ledger", "0002_guards")]
    # Accounts may have been posted to, so going back leaves them; they go with their table.
    operations = [migrations.RunPython(write_chart, migrations.RunPython.noop)]
