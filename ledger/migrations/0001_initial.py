import aforo.ids
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('sandbox', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Account',
            fields=[
                ('code', models.CharField(max_length=10, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=100)),
                ('normal', models.CharField(choices=[('DEBIT', 'Debit'), ('CREDIT', 'Credit')], max_length=6)),
                ('statement', models.CharField(choices=[('ASSET', 'Asset'), ('LIABILITY', 'Liability'), ('EQUITY', 'Equity'), ('INCOME', 'Income'), ('EXPENSE', 'Expense')], max_length=10)),
            ],
        ),
        migrations.CreateModel(
            name='Book',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('livemode', models.BooleanField()),
                ('key', models.CharField(help_text="The customer's id, chosen by the client.", max_length=64)),
                ('sequence', models.BigIntegerField(default=0)),
                ('head_hash', models.CharField(blank=True, default='', max_length=64)),
                ('last_recorded_at', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('test_clock', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='books', to='sandbox.testclock')),
            ],
        ),
        migrations.CreateModel(
            name='Entry',
            fields=[
                ('id', models.UUIDField(default=aforo.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('sequence', models.BigIntegerField()),
                ('event', models.CharField(choices=[('GRANT', 'Credits granted'), ('TOP_UP', 'Credits bought'), ('DEBIT', 'Credits burned'), ('HOLD', 'Credits reserved'), ('CAPTURE', 'Reservation captured'), ('RELEASE', 'Reservation released'), ('REVERSAL', 'Debit reversed'), ('EXPIRY', 'Credits lapsed'), ('ROLLOVER', 'Credits rolled over'), ('REFUND', 'Credits refunded'), ('DISPUTE', 'Top-up disputed'), ('ADJUSTMENT', 'Credits adjusted'), ('USAGE_BURNED', 'Metered usage paid by credits'), ('SETTLEMENT', 'Cycle settled'), ('USAGE_ACCRUED', 'Uncovered usage accrued'), ('FEE_RECOGNISED', 'Plan fee earned'), ('BREAKAGE_ACCRUED', 'Breakage accrued'), ('INVOICE', 'Invoice issued'), ('PAYMENT', 'Invoice paid'), ('CREDIT_NOTE', 'Credit note issued'), ('WRITE_OFF', 'Receivable written off'), ('MANUAL', 'Manual correction'), ('OPENING_BALANCE', 'Opening balance')], max_length=20)),
                ('occurred_at', models.DateTimeField()),
                ('recorded_at', models.DateTimeField()),
                ('accounting_date', models.DateField(db_index=True)),
                ('document', models.JSONField()),
                ('prev_hash', models.CharField(blank=True, max_length=64)),
                ('hash', models.CharField(max_length=64)),
                ('book', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='entries', to='ledger.book')),
            ],
            options={
                'verbose_name_plural': 'entries',
            },
        ),
        migrations.CreateModel(
            name='ExportBatch',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('livemode', models.BooleanField()),
                ('format', models.CharField(choices=[('GENERIC', 'Generic CSV, one line a side'), ('QUICKBOOKS', 'QuickBooks Online'), ('XERO', 'Xero manual journals'), ('NETSUITE', 'NetSuite'), ('INTACCT', 'Sage Intacct'), ('FEC', 'French FEC')], max_length=10)),
                ('number', models.PositiveIntegerField()),
                ('starts_on', models.DateField(help_text='The first day of the month.')),
                ('created_at', models.DateTimeField()),
                ('created_by', models.CharField(max_length=150)),
                ('entries', models.PositiveBigIntegerField()),
                ('rows', models.PositiveBigIntegerField()),
                ('journals', models.PositiveBigIntegerField()),
                ('totals', models.JSONField(help_text='Debits and credits in the file, by currency.')),
                ('residues', models.JSONField(blank=True, default=dict)),
                ('clearing', models.CharField(blank=True, help_text='The GL account that stood in for receivables and cash, if they were left out.', max_length=50)),
                ('mapping_version', models.CharField(max_length=64)),
                ('chart_version', models.CharField(max_length=64)),
                ('sha256', models.CharField(max_length=64)),
                ('receipt', models.CharField(blank=True, help_text="The accounting system's id of the import.", max_length=200)),
            ],
            options={
                'verbose_name_plural': 'export batches',
                'constraints': [models.UniqueConstraint(fields=('livemode', 'format', 'number'), name='ledger_exportbatch_number'), models.CheckConstraint(condition=models.Q(('number__gt', 0)), name='ledger_exportbatch_from_one')],
            },
        ),
        migrations.CreateModel(
            name='ExportPart',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.PositiveIntegerField()),
                ('content', models.BinaryField()),
                ('batch', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='parts', to='ledger.exportbatch')),
            ],
        ),
        migrations.CreateModel(
            name='ExportRange',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('format', models.CharField(choices=[('GENERIC', 'Generic CSV, one line a side'), ('QUICKBOOKS', 'QuickBooks Online'), ('XERO', 'Xero manual journals'), ('NETSUITE', 'NetSuite'), ('INTACCT', 'Sage Intacct'), ('FEC', 'French FEC')], max_length=10)),
                ('starts_on', models.DateField()),
                ('after', models.BigIntegerField()),
                ('through', models.BigIntegerField()),
                ('batch', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='ranges', to='ledger.exportbatch')),
                ('book', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='ledger.book')),
            ],
        ),
        migrations.CreateModel(
            name='GlMapping',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('currency', models.CharField(blank=True, help_text='Empty: every currency.', max_length=3)),
                ('starts_on', models.DateField()),
                ('ends_on', models.DateField(blank=True, help_text='Exclusive; empty: no end.', null=True)),
                ('gl_code', models.CharField(help_text='The code in the general ledger.', max_length=50)),
                ('gl_name', models.CharField(blank=True, help_text='The name there, as Parent:Sub where it has parents.', max_length=150)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='mappings', to='ledger.account')),
            ],
            options={
                'verbose_name': 'GL mapping',
            },
        ),
        migrations.CreateModel(
            name='Period',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('livemode', models.BooleanField(default=True)),
                ('starts_on', models.DateField()),
                ('ends_on', models.DateField(help_text='Exclusive.')),
                ('status', models.CharField(choices=[('OPEN', 'Open'), ('CLOSED', 'Closed')], default='OPEN', max_length=10)),
                ('closed_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('livemode', 'starts_on'), name='ledger_period_month'), models.CheckConstraint(condition=models.Q(('ends_on__gt', models.F('starts_on'))), name='ledger_period_order'), models.CheckConstraint(condition=models.Q(('livemode', True)), name='ledger_period_live')],
            },
        ),
        migrations.CreateModel(
            name='Posting',
            fields=[
                ('id', models.UUIDField(default=aforo.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('position', models.PositiveSmallIntegerField()),
                ('amount', models.DecimalField(decimal_places=12, max_digits=38)),
                ('currency', models.CharField(max_length=3)),
                ('lot', models.UUIDField(blank=True, null=True)),
                ('credit', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='ledger.account')),
                ('debit', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='ledger.account')),
                ('entry', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='postings', to='ledger.entry')),
            ],
        ),
        migrations.AddConstraint(
            model_name='book',
            constraint=models.UniqueConstraint(fields=('livemode', 'key'), name='ledger_book_key'),
        ),
        migrations.AddConstraint(
            model_name='book',
            constraint=models.CheckConstraint(condition=models.Q(('key', ''), _negated=True), name='ledger_book_key_given'),
        ),
        migrations.AddConstraint(
            model_name='book',
            constraint=models.CheckConstraint(condition=models.Q(('sequence__gte', 0)), name='ledger_book_sequence'),
        ),
        migrations.AddConstraint(
            model_name='book',
            constraint=models.CheckConstraint(condition=models.Q(('livemode', False), ('test_clock', None), _connector='OR'), name='ledger_book_sandbox_clock'),
        ),
        migrations.AddIndex(
            model_name='entry',
            index=models.Index(fields=['recorded_at', 'id'], name='ledger_entry_newest'),
        ),
        migrations.AddConstraint(
            model_name='entry',
            constraint=models.UniqueConstraint(fields=('book', 'sequence'), name='ledger_entry_sequence'),
        ),
        migrations.AddConstraint(
            model_name='entry',
            constraint=models.CheckConstraint(condition=models.Q(('sequence__gt', 0)), name='ledger_entry_from_one'),
        ),
        migrations.AddConstraint(
            model_name='exportpart',
            constraint=models.UniqueConstraint(fields=('batch', 'position'), name='ledger_exportpart_position'),
        ),
        migrations.AddConstraint(
            model_name='exportrange',
            constraint=models.UniqueConstraint(fields=('book', 'format', 'starts_on', 'after'), name='ledger_exportrange_once'),
        ),
        migrations.AddConstraint(
            model_name='exportrange',
            constraint=models.CheckConstraint(condition=models.Q(('after__gte', 0), ('through__gt', models.F('after'))), name='ledger_exportrange_order'),
        ),
        migrations.AddConstraint(
            model_name='glmapping',
            constraint=models.UniqueConstraint(fields=('account', 'currency', 'starts_on'), name='ledger_glmapping_once'),
        ),
        migrations.AddConstraint(
            model_name='glmapping',
            constraint=models.CheckConstraint(condition=models.Q(('ends_on', None), ('ends_on__gt', models.F('starts_on')), _connector='OR'), name='ledger_glmapping_order'),
        ),
        migrations.AddConstraint(
            model_name='glmapping',
            constraint=models.CheckConstraint(condition=models.Q(('gl_code', ''), _negated=True), name='ledger_glmapping_code'),
        ),
        migrations.AddConstraint(
            model_name='posting',
            constraint=models.UniqueConstraint(fields=('entry', 'position'), name='ledger_posting_position'),
        ),
        migrations.AddConstraint(
            model_name='posting',
            constraint=models.CheckConstraint(condition=models.Q(('amount__gt', 0)), name='ledger_posting_amount'),
        ),
        migrations.AddConstraint(
            model_name='posting',
            constraint=models.CheckConstraint(condition=models.Q(('debit', models.F('credit')), _negated=True), name='ledger_posting_accounts'),
        ),
    ]
