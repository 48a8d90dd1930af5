"""Write the default chart of accounts; accounts that are there already are left as they are."""

from typing import Any

from django.db import migrations

from ledger.chart import DEFAULT_CHART


def write_chart(apps: Any, schema_editor: Any) -> None:
    account = apps.get_model("ledger", "Account")
    account.objects.using(schema_editor.connection.alias).bulk_create(
        [
            account(code=code, name=name, normal=normal, statement=statement)
            for code, name, normal, statement in DEFAULT_CHART
        ],
        ignore_conflicts=True,
    )


class Migration(migrations.Migration):
    dependencies = [("ledger", "0002_guards")]
    # Accounts may have been posted to, so going back leaves them; they go with their table.
    operations = [migrations.RunPython(write_chart, migrations.RunPython.noop)]
