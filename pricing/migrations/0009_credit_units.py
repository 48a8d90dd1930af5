"""Credit units, which write the audit trail as the other tables of configuration do."""

from django.db import migrations, models

TRIGGER = """
CREATE TRIGGER pricing_creditunit_audit_trail
    AFTER INSERT OR UPDATE OR DELETE ON pricing_creditunit
    FOR EACH ROW EXECUTE FUNCTION access_record_change('', '', '');
ALTER TABLE pricing_creditunit ENABLE ALWAYS TRIGGER pricing_creditunit_audit_trail;
"""
NO_TRIGGER = "DROP TRIGGER pricing_creditunit_audit_trail ON pricing_creditunit;"


class Migration(migrations.Migration):

    dependencies = [
        ('access', '0004_audit_trail'),
        ('pricing', '0008_tax_inclusive'),
    ]

    operations = [
        migrations.CreateModel(
            name='CreditUnit',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('livemode', models.BooleanField()),
                ('code', models.CharField(help_text='4 to 10 capitals; three are an ISO 4217 currency.', max_length=10)),
                ('name', models.CharField(max_length=200)),
                ('decimals', models.PositiveSmallIntegerField(db_default=2, default=2, help_text='Of the credits that are sold, 0 to 6; never changes.')),
                ('rates', models.JSONField(blank=True, default=dict, help_text='What one credit costs, by currency: {"USD": "0.01"}.')),
                ('tax_at_sale', models.BooleanField(db_default=True, default=True, help_text='Tax comes on top when credits are sold; else it is inside as they are used.')),
                ('tax_class', models.CharField(blank=True, db_default='', default='', help_text='Whose tax rates they take.', max_length=40)),
                ('active', models.BooleanField(db_default=True, default=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('livemode', 'code'), name='pricing_creditunit_code'), models.CheckConstraint(condition=models.Q(('code__regex', '^[A-Z]{4,10}$')), name='pricing_creditunit_capitals'), models.CheckConstraint(condition=models.Q(('decimals__lte', 6)), name='pricing_creditunit_decimals')],
            },
        ),
        migrations.RunSQL(TRIGGER, NO_TRIGGER),
    ]
