"""Packs, whose versions never change, and which write the audit trail."""

import django.db.models.deletion
from django.db import migrations, models

TRIGGERS = """
CREATE TRIGGER pricing_pack_audit_trail AFTER INSERT OR UPDATE OR DELETE ON pricing_pack
    FOR EACH ROW EXECUTE FUNCTION access_record_change('', '', '');
ALTER TABLE pricing_pack ENABLE ALWAYS TRIGGER pricing_pack_audit_trail;
CREATE TRIGGER pricing_pack_kept BEFORE UPDATE OR DELETE ON pricing_pack
    FOR EACH ROW EXECUTE FUNCTION ledger_frozen_but(archived_at);
ALTER TABLE pricing_pack ENABLE ALWAYS TRIGGER pricing_pack_kept;
"""
NO_TRIGGERS = """
DROP TRIGGER pricing_pack_kept ON pricing_pack;
DROP TRIGGER pricing_pack_audit_trail ON pricing_pack;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0005_evidence'),
        ('pricing', '0009_credit_units'),
    ]

    operations = [
        migrations.CreateModel(
            name='Pack',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('livemode', models.BooleanField()),
                ('code', models.CharField(max_length=64)),
                ('version', models.PositiveIntegerField(default=1)),
                ('name', models.CharField(max_length=200)),
                ('quantity', models.DecimalField(decimal_places=12, help_text='Credits bought.', max_digits=38)),
                ('bonus_quantity', models.DecimalField(blank=True, decimal_places=12, help_text='Credits that come with them, of the kind BONUS.', max_digits=38, null=True)),
                ('prices', models.JSONField(help_text='What it costs, by currency: {"USD": "10.00"}.')),
                ('expires_after_days', models.PositiveIntegerField(blank=True, help_text='Counted from the payment; empty: its credits stay.', null=True)),
                ('available_from', models.DateTimeField(blank=True, null=True)),
                ('available_until', models.DateTimeField(blank=True, null=True)),
                ('max_per_customer', models.PositiveIntegerField(blank=True, help_text='How often a customer may buy it, all versions together.', null=True)),
                ('archived_at', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('unit', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='packs', to='pricing.creditunit')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('livemode', 'code', 'version'), name='pricing_pack_version'), models.CheckConstraint(condition=models.Q(('quantity__gt', 0), models.Q(('bonus_quantity', None), ('bonus_quantity__gt', 0), _connector='OR'), models.Q(('expires_after_days', None), ('expires_after_days__gt', 0), _connector='OR'), models.Q(('max_per_customer', None), ('max_per_customer__gt', 0), _connector='OR')), name='pricing_pack_amounts'), models.CheckConstraint(condition=models.Q(('available_from', None), ('available_until', None), ('available_until__gt', models.F('available_from')), _connector='OR'), name='pricing_pack_window')],
            },
        ),
        migrations.RunSQL(TRIGGERS, NO_TRIGGERS),
    ]
