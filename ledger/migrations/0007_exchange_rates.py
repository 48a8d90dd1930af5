"""What other currencies are worth, day by day, which is kept as it was recorded."""

from django.db import migrations, models


KEPT = """
CREATE TRIGGER ledger_exchangerate_kept BEFORE UPDATE OR DELETE ON ledger_exchangerate
    FOR EACH ROW EXECUTE FUNCTION ledger_frozen_but();
ALTER TABLE ledger_exchangerate ENABLE ALWAYS TRIGGER ledger_exchangerate_kept;
CREATE TRIGGER ledger_exchangerate_audit_trail AFTER INSERT OR UPDATE OR DELETE ON ledger_exchangerate
    FOR EACH ROW EXECUTE FUNCTION access_record_change('', '', '');
ALTER TABLE ledger_exchangerate ENABLE ALWAYS TRIGGER ledger_exchangerate_audit_trail;
"""
NOT_KEPT = """
DROP TRIGGER ledger_exchangerate_audit_trail ON ledger_exchangerate;
DROP TRIGGER ledger_exchangerate_kept ON ledger_exchangerate;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('access', '0004_audit_trail'),
        ("ledger", "0006_manual_matrix"),
    ]

    operations = [
        migrations.CreateModel(
            name='ExchangeRate',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('currency', models.CharField(max_length=3)),
                ('day', models.DateField()),
                ('rate', models.DecimalField(decimal_places=12, help_text="Units of the company's currency for one.", max_digits=38)),
                ('source', models.CharField(help_text='Who published it.', max_length=200)),
                ('recorded_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('currency', 'day'), name='ledger_exchangerate_once'), models.CheckConstraint(condition=models.Q(('rate__gt', 0)), name='ledger_exchangerate_positive')],
            },
        ),
        migrations.RunSQL(KEPT, NOT_KEPT),
    ]
