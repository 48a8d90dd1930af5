"""Credit notes, of which the database refuses any change but their number, once."""

import aforo.ids
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.math
from django.db import migrations, models

KEPT = """
CREATE TRIGGER billing_creditnote_kept BEFORE UPDATE OR DELETE ON billing_creditnote
    FOR EACH ROW EXECUTE FUNCTION ledger_frozen_but(number, issued_at);
ALTER TABLE billing_creditnote ENABLE ALWAYS TRIGGER billing_creditnote_kept;
CREATE TRIGGER billing_creditnote_once BEFORE UPDATE ON billing_creditnote
    FOR EACH ROW EXECUTE FUNCTION billing_set_once(number, issued_at);
ALTER TABLE billing_creditnote ENABLE ALWAYS TRIGGER billing_creditnote_once;
"""
NOT_KEPT = """
DROP TRIGGER billing_creditnote_once ON billing_creditnote;
DROP TRIGGER billing_creditnote_kept ON billing_creditnote;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0031_invoice_charges'),
        ('ledger', '0010_approvals'),
    ]

    operations = [
        migrations.CreateModel(
            name='CreditNote',
            fields=[
                ('id', models.UUIDField(default=aforo.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('livemode', models.BooleanField()),
                ('number', models.CharField(blank=True, max_length=40, null=True)),
                ('currency', models.CharField(max_length=3)),
                ('amount', models.DecimalField(decimal_places=12, help_text='With its tax.', max_digits=38)),
                ('tax', models.DecimalField(decimal_places=12, max_digits=38)),
                ('unearned', models.DecimalField(decimal_places=12, default=0, max_digits=38)),
                ('revoked', models.DecimalField(decimal_places=12, default=0, max_digits=38)),
                ('credited', models.DecimalField(decimal_places=12, max_digits=38)),
                ('returned', models.DecimalField(decimal_places=12, max_digits=38)),
                ('lines', models.JSONField(help_text='[{description, amount, line?}], before tax')),
                ('reason', models.CharField(max_length=300)),
                ('created_at', models.DateTimeField()),
                ('issued_at', models.DateTimeField(blank=True, null=True)),
                ('adjustment', models.ForeignKey(blank=True, help_text='The correction of a settled cycle that it is of.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='credit_notes', to='billing.settlementadjustment')),
                ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='credit_notes', to='billing.customer')),
                ('entry', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='ledger.entry')),
                ('invoice', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='credit_notes', to='billing.invoice')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('number__isnull', True)), fields=['customer'], name='billing_creditnote_unnumbered')],
                'constraints': [models.UniqueConstraint(fields=('livemode', 'number'), name='billing_creditnote_number'), models.CheckConstraint(condition=models.Q(('amount', django.db.models.expressions.CombinedExpression(models.F('credited'), '+', models.F('returned'))), ('amount__gt', 0), ('credited__gte', 0), ('returned__gte', 0), ('revoked__gte', 0), ('tax__gte', 0), ('tax__lte', models.F('amount')), ('unearned__gte', 0)), name='billing_creditnote_amounts'), models.CheckConstraint(condition=models.Q(models.Q(('amount', None), ('amount', django.db.models.functions.math.Round(models.F('amount'), precision=models.Case(models.When(models.Q(('currency__in', ['CLP', 'JPY', 'KRW'])), then=models.Value(0)), models.When(models.Q(('currency__in', ['BHD', 'KWD'])), then=models.Value(3)), default=models.Value(2)))), _connector='OR'), models.Q(('credited', None), ('credited', django.db.models.functions.math.Round(models.F('credited'), precision=models.Case(models.When(models.Q(('currency__in', ['CLP', 'JPY', 'KRW'])), then=models.Value(0)), models.When(models.Q(('currency__in', ['BHD', 'KWD'])), then=models.Value(3)), default=models.Value(2)))), _connector='OR'), models.Q(('returned', None), ('returned', django.db.models.functions.math.Round(models.F('returned'), precision=models.Case(models.When(models.Q(('currency__in', ['CLP', 'JPY', 'KRW'])), then=models.Value(0)), models.When(models.Q(('currency__in', ['BHD', 'KWD'])), then=models.Value(3)), default=models.Value(2)))), _connector='OR')), name='billing_creditnote_payable'), models.CheckConstraint(condition=models.Q(models.Q(('issued_at', None), ('number', None)), models.Q(('issued_at__isnull', False), ('number__isnull', False)), _connector='OR'), name='billing_creditnote_numbered')],
            },
        ),
        migrations.RunSQL(KEPT, NOT_KEPT),
    ]
