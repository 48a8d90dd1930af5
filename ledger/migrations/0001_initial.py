import aforo.ids
import django.db.models.deletion
import django.db.models.fields.json
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('sandbox', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
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
            name='AccountingPeriod',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('livemode', models.BooleanField(default=True)),
                ('starts_on', models.DateField()),
                ('ends_on', models.DateField(help_text='Exclusive.')),
                ('status', models.CharField(choices=[('OPEN', 'Open'), ('PENDING_CLOSE', 'Pending close'), ('CLOSED', 'Closed'), ('REOPENED', 'Reopened')], default='OPEN', max_length=13)),
                ('closed_at', models.DateTimeField(blank=True, null=True)),
                ('closed_by', models.CharField(blank=True, max_length=150)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('livemode', 'starts_on'), name='ledger_accountingperiod_month'), models.CheckConstraint(condition=models.Q(('ends_on__gt', models.F('starts_on'))), name='ledger_accountingperiod_order'), models.CheckConstraint(condition=models.Q(('livemode', True)), name='ledger_accountingperiod_live')],
            },
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
            name='BreakageRate',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('proposed_at', models.DateTimeField()),
                ('approved_at', models.DateTimeField(blank=True, null=True)),
                ('evidence', models.TextField(help_text='What the decision rests on.')),
                ('livemode', models.BooleanField(default=True)),
                ('kind', models.CharField(choices=[('CASH', 'CASH'), ('BONUS', 'BONUS')], max_length=5)),
                ('currency', models.CharField(blank=True, help_text='Empty: every currency.', max_length=3)),
                ('sold_from', models.DateField(blank=True, help_text='The first month of sale.', null=True)),
                ('sold_until', models.DateField(blank=True, help_text='Exclusive; empty: no end.', null=True)),
                ('starts_on', models.DateField(help_text='The estimate is in force from this day on.')),
                ('percent', models.DecimalField(decimal_places=6, max_digits=9)),
                ('approved_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('proposed_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='ClosePack',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveSmallIntegerField()),
                ('closed_at', models.DateTimeField()),
                ('closed_by', models.CharField(max_length=150)),
                ('entries', models.PositiveBigIntegerField()),
                ('first_recorded_at', models.DateTimeField(blank=True, null=True)),
                ('last_recorded_at', models.DateTimeField(blank=True, null=True)),
                ('period', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='packs', to='ledger.accountingperiod')),
            ],
        ),
        migrations.CreateModel(
            name='CloseFile',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100)),
                ('content', models.TextField()),
                ('sha256', models.CharField(max_length=64)),
                ('pack', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='files', to='ledger.closepack')),
            ],
        ),
        migrations.CreateModel(
            name='CloseSum',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('event', models.CharField(max_length=20)),
                ('debit', models.CharField(max_length=10)),
                ('credit', models.CharField(max_length=10)),
                ('currency', models.CharField(max_length=3)),
                ('amount', models.DecimalField(decimal_places=12, max_digits=38)),
                ('postings', models.PositiveBigIntegerField()),
                ('pack', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='sums', to='ledger.closepack')),
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
                ('actor_kind', models.GeneratedField(db_persist=True, expression=django.db.models.fields.json.KeyTextTransform('kind', django.db.models.fields.json.KeyTextTransform('actor', 'document')), output_field=models.TextField(null=True))),
                ('actor_id', models.GeneratedField(db_persist=True, expression=django.db.models.fields.json.KeyTextTransform('id', django.db.models.fields.json.KeyTextTransform('actor', 'document')), output_field=models.TextField(null=True))),
                ('reason', models.GeneratedField(db_persist=True, expression=django.db.models.fields.json.KeyTextTransform('reason', 'document'), output_field=models.TextField(null=True))),
                ('attributes', models.GeneratedField(db_persist=True, expression=django.db.models.fields.json.KeyTransform('attributes', 'document'), output_field=models.JSONField(null=True))),
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
                ('totals', models.JSONField(default=dict, help_text='Debits and credits in the file, by currency.')),
                ('booked', models.JSONField(default=dict, help_text='What its entries posted, exact, by account, currency and side.')),
                ('residues', models.JSONField(blank=True, default=dict)),
                ('clearing', models.CharField(blank=True, help_text='The GL account that stood in for receivables and cash, if they were left out.', max_length=50)),
                ('mapping_version', models.CharField(max_length=64)),
                ('chart_version', models.CharField(max_length=64)),
                ('sha256', models.CharField(max_length=64)),
                ('journal_ids', models.JSONField(blank=True, default=list, help_text="What its journals are called in the file; the generic one has the entries' ids.")),
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
                ('file', models.PositiveIntegerField(help_text='Counted from one.')),
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
            name='ExportReceipt',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('journal', models.CharField(blank=True, help_text='Empty: the whole batch.', max_length=40)),
                ('target_id', models.CharField(max_length=200, verbose_name='its id there')),
                ('livemode', models.BooleanField()),
                ('format', models.CharField(choices=[('GENERIC', 'Generic CSV, one line a side'), ('QUICKBOOKS', 'QuickBooks Online'), ('XERO', 'Xero manual journals'), ('NETSUITE', 'NetSuite'), ('INTACCT', 'Sage Intacct'), ('FEC', 'French FEC')], max_length=10)),
                ('recorded_at', models.DateTimeField()),
                ('recorded_by', models.CharField(max_length=150)),
                ('batch', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='receipts', to='ledger.exportbatch')),
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
            name='ManualAdjustment',
            fields=[
                ('proposed_at', models.DateTimeField()),
                ('approved_at', models.DateTimeField(blank=True, null=True)),
                ('evidence', models.TextField(help_text='What the decision rests on.')),
                ('id', models.UUIDField(default=aforo.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('livemode', models.BooleanField(default=True)),
                ('reason', models.CharField(choices=[('BILLING_ERROR', 'Billing error'), ('PROCESSOR', 'Processor fee or payout'), ('REMITTANCE', 'Tax, refund or unclaimed property remitted'), ('CREDIT_LOSS', 'Expected credit loss'), ('EXCHANGE', 'Exchange difference'), ('MIGRATION', 'Opening balance of a replaced system'), ('UNEXPLAINED', 'Unexplained difference')], max_length=13)),
                ('occurred_at', models.DateTimeField()),
                ('rejected_at', models.DateTimeField(blank=True, null=True)),
                ('approved_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('book', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='adjustments', to='ledger.book')),
                ('entry', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='ledger.entry')),
                ('proposed_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('rejected_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='AdjustmentLine',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.PositiveSmallIntegerField()),
                ('amount', models.DecimalField(decimal_places=12, max_digits=38)),
                ('currency', models.CharField(max_length=3)),
                ('credit', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='ledger.account')),
                ('debit', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='ledger.account')),
                ('adjustment', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='lines', to='ledger.manualadjustment')),
            ],
        ),
        migrations.CreateModel(
            name='Policy',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('proposed_at', models.DateTimeField()),
                ('approved_at', models.DateTimeField(blank=True, null=True)),
                ('evidence', models.TextField(help_text='What the decision rests on.')),
                ('livemode', models.BooleanField(default=True)),
                ('starts_on', models.DateField()),
                ('breakage_method', models.CharField(choices=[('REMOTE', 'At expiry, when use has become remote'), ('PROPORTIONAL', 'In proportion to use, by cohort')], default='REMOTE', max_length=12)),
                ('bonus_allocation', models.CharField(choices=[('EFFECTIVE_RATE', 'At stand-alone prices'), ('RELATIVE_SSP', 'At stand-alone prices, less the bonus expected unused')], default='EFFECTIVE_RATE', max_length=14)),
                ('unclaimed_percent', models.DecimalField(decimal_places=6, default=0, help_text='Of lapsed cash credits, what has to be handed to a state.', max_digits=9)),
                ('unexplained_limit', models.DecimalField(decimal_places=12, default=100, help_text='The largest unexplained difference that may be posted by hand.', max_digits=38)),
                ('approved_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('proposed_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name_plural': 'policies',
                'abstract': False,
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
                ('book', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='ledger.book')),
                ('credit', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='ledger.account')),
                ('debit', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='ledger.account')),
                ('entry', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='postings', to='ledger.entry')),
            ],
        ),
        migrations.CreateModel(
            name='Reopening',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('proposed_at', models.DateTimeField()),
                ('approved_at', models.DateTimeField(blank=True, null=True)),
                ('evidence', models.TextField(help_text='What the decision rests on.')),
                ('approved_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('period', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='reopenings', to='ledger.accountingperiod')),
                ('proposed_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='Seal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('livemode', models.BooleanField()),
                ('number', models.PositiveIntegerField()),
                ('sealed_at', models.DateTimeField()),
                ('books', models.PositiveBigIntegerField()),
                ('entries', models.PositiveBigIntegerField()),
                ('root', models.CharField(max_length=64)),
                ('prev_hash', models.CharField(blank=True, max_length=64)),
                ('hash', models.CharField(max_length=64)),
                ('daily_on', models.DateField(blank=True, help_text='The day that it seals; none at the close of a month.', null=True)),
                ('lost', models.JSONField(blank=True, default=list, help_text='[{number, hash}] of seals lost by a restore.')),
                ('reason', models.TextField(blank=True, help_text='Why it goes on after lost seals.')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('livemode', 'number'), name='ledger_seal_number'), models.UniqueConstraint(fields=('livemode', 'prev_hash'), name='ledger_seal_follows'), models.UniqueConstraint(fields=('livemode', 'daily_on'), name='ledger_seal_daily'), models.CheckConstraint(condition=models.Q(('number__gt', 0)), name='ledger_seal_from_one')],
            },
        ),
        migrations.CreateModel(
            name='SealCopy',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('livemode', models.BooleanField()),
                ('number', models.PositiveIntegerField()),
                ('kept_at', models.DateTimeField()),
            ],
            options={
                'verbose_name_plural': 'seal copies',
                'constraints': [models.UniqueConstraint(fields=('livemode', 'number'), name='ledger_sealcopy_once')],
            },
        ),
        migrations.CreateModel(
            name='SealedHead',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('sequence', models.BigIntegerField()),
                ('hash', models.CharField(max_length=64)),
                ('book', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.PROTECT, related_name='sealed_heads', to='ledger.book')),
                ('seal', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='heads', to='ledger.seal')),
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
        migrations.AddConstraint(
            model_name='breakagerate',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('approved_at', None), ('approved_by', None)), models.Q(('approved_at__isnull', False), ('approved_by__isnull', False), models.Q(('approved_by', models.F('proposed_by')), _negated=True)), _connector='OR'), name='ledger_breakagerate_two_people'),
        ),
        migrations.AddConstraint(
            model_name='breakagerate',
            constraint=models.CheckConstraint(condition=models.Q(('evidence', ''), _negated=True), name='ledger_breakagerate_why'),
        ),
        migrations.AddConstraint(
            model_name='breakagerate',
            constraint=models.CheckConstraint(condition=models.Q(('percent__gte', 0), ('percent__lt', 100)), name='ledger_breakagerate_percent'),
        ),
        migrations.AddConstraint(
            model_name='breakagerate',
            constraint=models.CheckConstraint(condition=models.Q(('sold_from', None), ('sold_until', None), ('sold_until__gt', models.F('sold_from')), _connector='OR'), name='ledger_breakagerate_months'),
        ),
        migrations.AddConstraint(
            model_name='closepack',
            constraint=models.UniqueConstraint(fields=('period', 'number'), name='ledger_closepack_number'),
        ),
        migrations.AddConstraint(
            model_name='closefile',
            constraint=models.UniqueConstraint(fields=('pack', 'name'), name='ledger_closefile_name'),
        ),
        migrations.AddConstraint(
            model_name='closesum',
            constraint=models.UniqueConstraint(fields=('pack', 'event', 'debit', 'credit', 'currency'), name='ledger_closesum_once'),
        ),
        migrations.AddIndex(
            model_name='entry',
            index=models.Index(fields=['recorded_at', 'id'], name='ledger_entry_newest'),
        ),
        migrations.AddIndex(
            model_name='entry',
            index=models.Index(django.db.models.fields.json.KeyTextTransform('reverses', 'document'), condition=models.Q(('document__has_key', 'reverses')), name='ledger_entry_reverses'),
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
            model_name='entry',
            constraint=models.CheckConstraint(condition=models.Q(('actor_kind__in', ['API_KEY', 'STAFF', 'JOB']), ('actor_kind__isnull', False), ('actor_id__gt', ''), ('actor_id__isnull', False)), name='ledger_entry_actor'),
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
            model_name='exportreceipt',
            constraint=models.UniqueConstraint(fields=('batch', 'journal'), name='ledger_exportreceipt_once'),
        ),
        migrations.AddConstraint(
            model_name='exportreceipt',
            constraint=models.UniqueConstraint(condition=models.Q(('journal', ''), _negated=True), fields=('livemode', 'format', 'target_id'), name='ledger_exportreceipt_target'),
        ),
        migrations.AddConstraint(
            model_name='exportreceipt',
            constraint=models.CheckConstraint(condition=models.Q(('target_id', ''), _negated=True), name='ledger_exportreceipt_given'),
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
            model_name='manualadjustment',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('approved_at', None), ('approved_by', None)), models.Q(('approved_at__isnull', False), ('approved_by__isnull', False), models.Q(('approved_by', models.F('proposed_by')), _negated=True)), _connector='OR'), name='ledger_manualadjustment_two_people'),
        ),
        migrations.AddConstraint(
            model_name='manualadjustment',
            constraint=models.CheckConstraint(condition=models.Q(('evidence', ''), _negated=True), name='ledger_manualadjustment_why'),
        ),
        migrations.AddConstraint(
            model_name='manualadjustment',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('approved_by', None), ('entry', None)), models.Q(('approved_by__isnull', False), ('entry__isnull', False), ('rejected_by', None)), _connector='OR'), name='ledger_manualadjustment_posted'),
        ),
        migrations.AddConstraint(
            model_name='manualadjustment',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('rejected_at', None), ('rejected_by', None)), models.Q(('rejected_at__isnull', False), ('rejected_by__isnull', False)), _connector='OR'), name='ledger_manualadjustment_rejected'),
        ),
        migrations.AddConstraint(
            model_name='adjustmentline',
            constraint=models.UniqueConstraint(fields=('adjustment', 'position'), name='ledger_adjustmentline_position'),
        ),
        migrations.AddConstraint(
            model_name='adjustmentline',
            constraint=models.CheckConstraint(condition=models.Q(('amount__gt', 0)), name='ledger_adjustmentline_amount'),
        ),
        migrations.AddConstraint(
            model_name='adjustmentline',
            constraint=models.CheckConstraint(condition=models.Q(('debit', models.F('credit')), _negated=True), name='ledger_adjustmentline_accounts'),
        ),
        migrations.AddConstraint(
            model_name='policy',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('approved_at', None), ('approved_by', None)), models.Q(('approved_at__isnull', False), ('approved_by__isnull', False), models.Q(('approved_by', models.F('proposed_by')), _negated=True)), _connector='OR'), name='ledger_policy_two_people'),
        ),
        migrations.AddConstraint(
            model_name='policy',
            constraint=models.CheckConstraint(condition=models.Q(('evidence', ''), _negated=True), name='ledger_policy_why'),
        ),
        migrations.AddConstraint(
            model_name='policy',
            constraint=models.UniqueConstraint(condition=models.Q(('approved_by__isnull', False)), fields=('livemode', 'starts_on'), name='ledger_policy_one_a_day'),
        ),
        migrations.AddConstraint(
            model_name='policy',
            constraint=models.CheckConstraint(condition=models.Q(('unclaimed_percent__gte', 0), ('unclaimed_percent__lte', 100)), name='ledger_policy_unclaimed'),
        ),
        migrations.AddConstraint(
            model_name='policy',
            constraint=models.CheckConstraint(condition=models.Q(('unexplained_limit__gte', 0)), name='ledger_policy_unexplained'),
        ),
        migrations.AddIndex(
            model_name='posting',
            index=models.Index(condition=models.Q(('debit', '2190'), ('credit', '2190'), _connector='OR'), fields=['lot'], name='ledger_posting_breakage'),
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
        migrations.AddConstraint(
            model_name='reopening',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('approved_at', None), ('approved_by', None)), models.Q(('approved_at__isnull', False), ('approved_by__isnull', False), models.Q(('approved_by', models.F('proposed_by')), _negated=True)), _connector='OR'), name='ledger_reopening_two_people'),
        ),
        migrations.AddConstraint(
            model_name='reopening',
            constraint=models.CheckConstraint(condition=models.Q(('evidence', ''), _negated=True), name='ledger_reopening_why'),
        ),
        migrations.AddConstraint(
            model_name='sealedhead',
            constraint=models.UniqueConstraint(fields=('seal', 'book'), name='ledger_sealedhead_once'),
        ),
        migrations.AddConstraint(
            model_name='sealedhead',
            constraint=models.UniqueConstraint(fields=('book', 'sequence'), name='ledger_sealedhead_moved'),
        ),
    ]
