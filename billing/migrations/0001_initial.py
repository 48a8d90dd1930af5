import aforo.ids
import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.math
import djmoney.models.fields
from decimal import Decimal
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('ledger', '0001_initial'),
        ('pricing', '0001_initial'),
        ('wallets', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Customer',
            fields=[
                ('book', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='customer', serialize=False, to='ledger.book')),
                ('name', models.CharField(max_length=200)),
                ('email', models.EmailField(blank=True, max_length=254)),
                ('country', models.CharField(blank=True, help_text='ISO 3166-1 alpha-2.', max_length=2)),
                ('region', models.CharField(blank=True, max_length=50)),
                ('tax_id', models.CharField(blank=True, max_length=50)),
                ('timezone', models.CharField(default='UTC', help_text='Decides period bounds.', max_length=50)),
                ('tags', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=50), blank=True, default=list, size=None)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.CreateModel(
            name='MilestoneWatch',
            fields=[
                ('campaign', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='watch', serialize=False, to='pricing.campaign')),
                ('checked_through', models.DateTimeField()),
                ('passed_over', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), blank=True, default=list, help_text='Books that failed or were locked: they are looked at again.', size=None)),
            ],
            options={
                'verbose_name_plural': 'milestone watches',
            },
        ),
        migrations.CreateModel(
            name='UsageEvent',
            fields=[
                ('id', models.UUIDField(default=aforo.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('key', models.CharField(max_length=255)),
                ('quantity', models.DecimalField(decimal_places=6, max_digits=20)),
                ('occurred_at', models.DateTimeField()),
                ('counted_at', models.DateTimeField(help_text='None for usage that was sold by itself, outside every cycle.', null=True)),
                ('received_at', models.DateTimeField()),
                ('properties', models.JSONField(default=dict)),
                ('behind', models.BigIntegerField(help_text='The rollup that was there when it came, if it counts before its end.', null=True)),
                ('book', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='usage_events', to='ledger.book')),
                ('metric', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='pricing.metric')),
            ],
        ),
        migrations.CreateModel(
            name='Backtest',
            fields=[
                ('id', models.UUIDField(default=aforo.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('livemode', models.BooleanField()),
                ('customers', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=64), blank=True, default=list, help_text='Empty: all of the offering, or else of the plan.', size=None)),
                ('starts_at', models.DateTimeField(help_text='Cycles that end after this,')),
                ('ends_at', models.DateTimeField(help_text='and no later than this.')),
                ('with_credits', models.BooleanField(default=False, help_text='Let money credits pay too, as they stood then.')),
                ('status', models.CharField(choices=[('QUEUED', 'Queued'), ('RUNNING', 'Running'), ('DONE', 'Done')], default='QUEUED', max_length=10)),
                ('due', models.PositiveIntegerField(default=0, help_text='Customers in question.')),
                ('done', models.PositiveIntegerField(default=0, help_text='Customers priced so far.')),
                ('summary', models.JSONField(blank=True, default=dict)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('heartbeat_at', models.DateTimeField(blank=True, null=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('offering', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='pricing.offering')),
                ('version', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='pricing.rateplanversion')),
            ],
        ),
        migrations.CreateModel(
            name='CampaignRun',
            fields=[
                ('id', models.UUIDField(default=aforo.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('status', models.CharField(choices=[('QUEUED', 'Queued'), ('RUNNING', 'Running'), ('DONE', 'Done')], default='QUEUED', max_length=10)),
                ('total', models.PositiveIntegerField(default=0)),
                ('done', models.PositiveIntegerField(default=0)),
                ('granted', models.PositiveIntegerField(default=0)),
                ('skipped', models.PositiveIntegerField(default=0)),
                ('last_book', models.BigIntegerField(default=0, help_text='Customers up to this one are done.')),
                ('passed_over', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), blank=True, default=list, help_text='Books that failed or were locked: counted as skipped, tried again at the end.', size=None)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('heartbeat_at', models.DateTimeField(blank=True, null=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('campaign', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='runs', to='pricing.campaign')),
            ],
        ),
        migrations.CreateModel(
            name='Claim',
            fields=[
                ('id', models.UUIDField(default=aforo.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('currency', models.CharField(max_length=3)),
                ('amount', models.DecimalField(decimal_places=12, max_digits=38)),
                ('paid', models.DecimalField(decimal_places=12, default=0, max_digits=38)),
                ('created_at', models.DateTimeField()),
                ('book', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='claims', to='ledger.book')),
                ('top_up', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='claim', to='wallets.topup')),
            ],
        ),
        migrations.CreateModel(
            name='Invoice',
            fields=[
                ('id', models.UUIDField(default=aforo.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('livemode', models.BooleanField()),
                ('number', models.CharField(blank=True, max_length=40, null=True)),
                ('status', models.CharField(choices=[('DRAFT', 'Draft'), ('OPEN', 'Open'), ('PAID', 'Paid'), ('VOID', 'Void'), ('UNCOLLECTIBLE', 'Uncollectible')], default='DRAFT', max_length=15)),
                ('starts_at', models.DateTimeField()),
                ('ends_at', models.DateTimeField()),
                ('subtotal', models.DecimalField(decimal_places=12, default=0, max_digits=38)),
                ('discount', models.DecimalField(decimal_places=12, default=0, max_digits=38)),
                ('tax', models.DecimalField(decimal_places=12, default=0, max_digits=38)),
                ('currency', djmoney.models.fields.CurrencyField(choices=[('AED', 'AED'), ('AUD', 'AUD'), ('BHD', 'BHD'), ('BRL', 'BRL'), ('CAD', 'CAD'), ('CHF', 'CHF'), ('CLP', 'CLP'), ('CNY', 'CNY'), ('CZK', 'CZK'), ('DKK', 'DKK'), ('EUR', 'EUR'), ('GBP', 'GBP'), ('HKD', 'HKD'), ('HUF', 'HUF'), ('ILS', 'ILS'), ('INR', 'INR'), ('JPY', 'JPY'), ('KRW', 'KRW'), ('KWD', 'KWD'), ('MXN', 'MXN'), ('NOK', 'NOK'), ('NZD', 'NZD'), ('PLN', 'PLN'), ('RON', 'RON'), ('SAR', 'SAR'), ('SEK', 'SEK'), ('SGD', 'SGD'), ('THB', 'THB'), ('TRY', 'TRY'), ('USD', 'USD'), ('ZAR', 'ZAR')], default=None, editable=False, max_length=3)),
                ('total', djmoney.models.fields.MoneyField(currency_field_name='currency', decimal_places=12, max_digits=38)),
                ('from_wallet', models.DecimalField(decimal_places=12, default=0, max_digits=38)),
                ('amount_due', models.DecimalField(decimal_places=12, default=0, max_digits=38)),
                ('due_tax', models.DecimalField(decimal_places=12, default=0, help_text='The tax in the amount due.', max_digits=38)),
                ('paid', models.DecimalField(decimal_places=12, default=0, max_digits=38)),
                ('credited', models.DecimalField(decimal_places=12, default=0, max_digits=38)),
                ('returned', models.DecimalField(decimal_places=12, default=0, max_digits=38)),
                ('issued_at', models.DateTimeField(blank=True, null=True)),
                ('due_at', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='invoices', to='billing.customer')),
                ('top_up', models.OneToOneField(blank=True, help_text='The credits sold on account.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='invoice', to='wallets.topup')),
            ],
        ),
        migrations.CreateModel(
            name='InvoiceLine',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.PositiveSmallIntegerField()),
                ('kind', models.CharField(choices=[('USAGE', 'Usage'), ('FEE', 'Fee'), ('COMMIT', 'Commit'), ('DISCOUNT', 'Discount'), ('TAX', 'Tax'), ('PRORATION', 'Proration'), ('OVERAGE', 'Overage'), ('ADJUSTMENT', 'Adjustment'), ('ROUNDING', 'Rounding'), ('CREDITS', 'Credits')], max_length=10)),
                ('charge', models.CharField(blank=True, max_length=64)),
                ('description', models.CharField(max_length=300)),
                ('quantity', models.DecimalField(decimal_places=12, max_digits=38, null=True)),
                ('unit_price', models.DecimalField(decimal_places=12, max_digits=38, null=True)),
                ('amount', models.DecimalField(decimal_places=12, max_digits=38)),
                ('steps', models.JSONField(default=list)),
                ('invoice', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='lines', to='billing.invoice')),
            ],
        ),
        migrations.CreateModel(
            name='InvoicePayment',
            fields=[
                ('id', models.UUIDField(default=aforo.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('amount', models.DecimalField(decimal_places=12, max_digits=38)),
                ('applied', models.DecimalField(decimal_places=12, max_digits=38)),
                ('reference', models.CharField(max_length=200)),
                ('received_at', models.DateTimeField()),
                ('entry', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='ledger.entry')),
                ('invoice', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='payments', to='billing.invoice')),
            ],
        ),
        migrations.CreateModel(
            name='InvoiceSeries',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('livemode', models.BooleanField()),
                ('document', models.CharField(choices=[('INVOICE', 'Invoice'), ('STATEMENT', 'Statement of a PREPAID settlement')], default='INVOICE', max_length=9)),
                ('prefix', models.CharField(max_length=20)),
                ('last_number', models.BigIntegerField(default=0)),
            ],
            options={
                'verbose_name_plural': 'invoice series',
                'constraints': [models.UniqueConstraint(fields=('livemode', 'document'), name='billing_series_once')],
            },
        ),
        migrations.CreateModel(
            name='Settlement',
            fields=[
                ('id', models.UUIDField(default=aforo.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('CYCLE', 'A cycle, and the fees in advance of the next'), ('OPENING', 'The fees in advance of a cycle that begins apart')], default='CYCLE', max_length=10)),
                ('cycle', models.PositiveIntegerField()),
                ('starts_at', models.DateTimeField()),
                ('ends_at', models.DateTimeField()),
                ('full_starts_at', models.DateTimeField(help_text='The whole period, of which it may be a part.')),
                ('full_ends_at', models.DateTimeField()),
                ('period_number', models.IntegerField(help_text='Which paid period of the subscription it lies in, from 0; -1 is the trial.')),
                ('counted_from', models.DateTimeField(help_text="Usage that counts in [counted_from, counted_until) is this cycle's.")),
                ('counted_until', models.DateTimeField()),
                ('billing_mode', models.CharField(choices=[('PREPAID', 'Prepaid: refused'), ('HYBRID', 'Hybrid: credits first, the rest to the invoice'), ('POSTPAID', 'Postpaid: to the invoice, no cash credits')], max_length=8)),
                ('status', models.CharField(choices=[('SEALED', 'Sealed'), ('SETTLED', 'Settled'), ('VOIDED', 'Voided')], default='SEALED', max_length=10)),
                ('statement_number', models.CharField(blank=True, help_text='Of a PREPAID settlement, which is its own document; without gaps.', max_length=40, null=True, unique=True)),
                ('sealed_at', models.DateTimeField()),
                ('settled_at', models.DateTimeField(blank=True, null=True)),
                ('currency', models.CharField(max_length=3)),
                ('arrears', models.DecimalField(decimal_places=12, default=0, max_digits=38)),
                ('arrears_tax', models.DecimalField(decimal_places=12, default=0, help_text='The tax in the arrears.', max_digits=38)),
                ('arrears_paid', models.DecimalField(decimal_places=12, default=0, max_digits=38)),
                ('stages', models.JSONField(default=list)),
                ('totals', models.JSONField(default=dict)),
                ('rolled_on', models.JSONField(default=dict)),
                ('late_adjusted', models.DecimalField(decimal_places=12, default=0, help_text='What later settlements billed, or took back, for usage that arrived late.', max_digits=38)),
                ('book', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='settlements', to='ledger.book')),
                ('entry', models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='ledger.entry')),
            ],
        ),
        migrations.CreateModel(
            name='LateCredit',
            fields=[
                ('id', models.UUIDField(default=aforo.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('description', models.CharField(max_length=300)),
                ('amount', models.DecimalField(decimal_places=12, max_digits=38)),
                ('used', models.DecimalField(decimal_places=12, default=Decimal('0'), max_digits=38)),
                ('paid_out', models.DecimalField(decimal_places=12, default=Decimal('0'), max_digits=38)),
                ('tax_rate', models.JSONField(help_text='{name, percent, jurisdiction}', null=True)),
                ('created_at', models.DateTimeField()),
                ('entry', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='ledger.entry')),
                ('settlement', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='late_credits', to='billing.settlement')),
            ],
        ),
        migrations.AddField(
            model_name='invoice',
            name='settlement',
            field=models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='invoice', to='billing.settlement'),
        ),
        migrations.CreateModel(
            name='BacktestCycle',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('ends_at', models.DateTimeField()),
                ('paid', models.DecimalField(decimal_places=12, max_digits=38)),
                ('priced', models.DecimalField(decimal_places=12, help_text='None where it could not be priced.', max_digits=38, null=True)),
                ('figures', models.JSONField(help_text='Both sides: subtotal, discount, tax, who pays.')),
                ('error', models.CharField(blank=True, max_length=500)),
                ('backtest', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='cycles', to='billing.backtest')),
                ('book', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='ledger.book')),
                ('settlement', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='billing.settlement')),
            ],
        ),
        migrations.CreateModel(
            name='SettlementAdjustment',
            fields=[
                ('id', models.UUIDField(default=aforo.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('lines', models.JSONField(help_text='[{description, amount, charge}], before tax')),
                ('reason', models.CharField(max_length=300)),
                ('by', models.CharField(max_length=200)),
                ('net', models.DecimalField(decimal_places=12, max_digits=38)),
                ('tax', models.DecimalField(decimal_places=12, default=Decimal('0'), max_digits=38)),
                ('receivable', models.DecimalField(decimal_places=12, default=Decimal('0'), max_digits=38)),
                ('customer_credit', models.DecimalField(decimal_places=12, default=Decimal('0'), max_digits=38)),
                ('arrears', models.DecimalField(decimal_places=12, default=Decimal('0'), max_digits=38)),
                ('wallet', models.DecimalField(decimal_places=12, default=Decimal('0'), max_digits=38)),
                ('created_at', models.DateTimeField()),
                ('entry', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='ledger.entry')),
                ('settlement', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='adjustments', to='billing.settlement')),
            ],
        ),
        migrations.AddField(
            model_name='invoice',
            name='adjustment',
            field=models.OneToOneField(blank=True, help_text='The correction that charges more.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='invoice', to='billing.settlementadjustment'),
        ),
        migrations.CreateModel(
            name='SettlementRun',
            fields=[
                ('id', models.UUIDField(default=aforo.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('livemode', models.BooleanField()),
                ('as_of', models.DateTimeField()),
                ('status', models.CharField(choices=[('QUEUED', 'Queued'), ('RUNNING', 'Running'), ('DONE', 'Done')], default='QUEUED', max_length=10)),
                ('due', models.PositiveIntegerField(default=0)),
                ('settled', models.PositiveIntegerField(default=0)),
                ('failed', models.PositiveIntegerField(default=0)),
                ('failures', models.JSONField(blank=True, default=list, help_text='[{customer_id, reason}]')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('heartbeat_at', models.DateTimeField(blank=True, null=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('book', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='runs', to='ledger.book')),
            ],
        ),
        migrations.AddField(
            model_name='settlement',
            name='run',
            field=models.ForeignKey(blank=True, help_text='The run that settled it, unless a clock or the end of a subscription did.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='settlements', to='billing.settlementrun'),
        ),
        migrations.CreateModel(
            name='SettlementRunItem',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('status', models.CharField(choices=[('PENDING', 'Pending'), ('CLAIMED', 'Claimed'), ('DONE', 'Done'), ('FAILED', 'Failed')], default='PENDING', max_length=10)),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('claimed_at', models.DateTimeField(blank=True, null=True)),
                ('settled', models.PositiveIntegerField(default=0)),
                ('reason', models.TextField(blank=True)),
                ('book', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='ledger.book')),
                ('run', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='items', to='billing.settlementrun')),
            ],
        ),
        migrations.CreateModel(
            name='Subscription',
            fields=[
                ('id', models.UUIDField(default=aforo.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('billing_mode', models.CharField(choices=[('PREPAID', 'Prepaid: refused'), ('HYBRID', 'Hybrid: credits first, the rest to the invoice'), ('POSTPAID', 'Postpaid: to the invoice, no cash credits')], max_length=10)),
                ('is_single', models.BooleanField(default=True, help_text='The customer may have no other live one of its offering.')),
                ('status', models.CharField(choices=[('CREATED', 'Created'), ('TRIALING', 'Trialing'), ('ACTIVE', 'Active'), ('PAUSED', 'Paused'), ('SUSPENDED', 'Suspended'), ('CANCELLED', 'Cancelled')], max_length=10)),
                ('starts_at', models.DateTimeField()),
                ('subscribed_at', models.DateTimeField(help_text="The customer's time when it subscribed; a period over by then brings no credits.")),
                ('anchor_date', models.DateField(help_text='Periods end this plus n intervals, by the wall clock.')),
                ('anchor_time', models.TimeField()),
                ('timezone', models.CharField(help_text="The zone that ends the open cycle; the customer's counts from the next one on.", max_length=50)),
                ('trial_ends_at', models.DateTimeField(blank=True, help_text='Cycle 0 is then the trial, which costs nothing.', null=True)),
                ('cycle', models.PositiveIntegerField(default=0, help_text='Number of the open cycle.')),
                ('anchor_index', models.IntegerField(default=0, help_text='Number of intervals from the anchor to the period of the open cycle.')),
                ('period_number', models.IntegerField(default=0, help_text="Paid periods begun before the open cycle's; -1 is the trial.")),
                ('current_starts_at', models.DateTimeField()),
                ('current_ends_at', models.DateTimeField()),
                ('full_starts_at', models.DateTimeField(help_text='The whole period, of which the open cycle may be a part.')),
                ('full_ends_at', models.DateTimeField()),
                ('counted_from', models.DateTimeField(help_text='Usage that counts from here on belongs to the open cycle.')),
                ('usage_closed_through', models.DateTimeField(help_text='Usage before this is sealed; what arrives later is late.')),
                ('is_fee_due', models.BooleanField(default=False, help_text="The open cycle's fees in advance wait for credits that cover them.")),
                ('burned_through', models.DateTimeField(blank=True, help_text='Up to here the metered usage of a PREPAID subscription was last burned.', null=True)),
                ('cancel_at', models.DateTimeField(blank=True, null=True)),
                ('paused_at', models.DateTimeField(blank=True, null=True)),
                ('cancelled_at', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('coupon', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='subscriptions', to='pricing.coupon')),
                ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='subscriptions', to='billing.customer')),
                ('offering', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='subscriptions', to='pricing.offering')),
                ('version', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='subscriptions', to='pricing.rateplanversion')),
            ],
        ),
        migrations.AddField(
            model_name='settlement',
            name='subscription',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='settlements', to='billing.subscription'),
        ),
        migrations.CreateModel(
            name='OneTimeBenefit',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('benefit', models.CharField(max_length=255)),
                ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='billing.customer')),
                ('offering', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='pricing.offering')),
                ('subscription', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='billing.subscription')),
            ],
            options={
                'verbose_name': 'one-time benefit',
            },
        ),
        migrations.CreateModel(
            name='CycleBurn',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('CYCLE', 'A cycle, and the fees in advance of the next'), ('OPENING', 'The fees in advance of a cycle that begins apart')], default='CYCLE', max_length=10)),
                ('cycle', models.PositiveIntegerField()),
                ('quantity', models.DecimalField(decimal_places=12, max_digits=38)),
                ('kept', models.DecimalField(decimal_places=12, default=0, max_digits=38)),
                ('late', models.DecimalField(decimal_places=12, default=0, help_text='What usage that came after the cycle was settled took of it, or gave back.', max_digits=38)),
                ('carrying', models.DecimalField(decimal_places=12, max_digits=38)),
                ('tax', models.DecimalField(decimal_places=12, max_digits=38)),
                ('advance_fee', models.DecimalField(decimal_places=12, default=0, max_digits=38)),
                ('lot', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='wallets.creditlot')),
                ('subscription', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='burns', to='billing.subscription')),
            ],
        ),
        migrations.CreateModel(
            name='AdvanceFee',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('cycle', models.PositiveIntegerField()),
                ('starts_at', models.DateTimeField()),
                ('ends_at', models.DateTimeField()),
                ('currency', models.CharField(max_length=3)),
                ('amount', models.DecimalField(decimal_places=12, max_digits=38)),
                ('recognised', models.DecimalField(decimal_places=12, default=0, max_digits=38)),
                ('recognised_through', models.DateTimeField()),
                ('book', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='advance_fees', to='ledger.book')),
                ('settlement', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='advance_fee', to='billing.settlement')),
                ('subscription', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='advance_fees', to='billing.subscription')),
            ],
        ),
        migrations.CreateModel(
            name='TaxRate',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('livemode', models.BooleanField()),
                ('name', models.CharField(max_length=100)),
                ('country', models.CharField(max_length=2)),
                ('region', models.CharField(blank=True, max_length=50)),
                ('percent', models.DecimalField(decimal_places=6, max_digits=9)),
                ('reverse_charge', models.BooleanField(default=False)),
                ('valid_from', models.DateTimeField()),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('livemode', 'country', 'region', 'valid_from'), name='billing_taxrate_once'), models.CheckConstraint(condition=models.Q(('percent__gte', 0), ('percent__lte', 100)), name='billing_taxrate_percent')],
            },
        ),
        migrations.CreateModel(
            name='UnbilledUsage',
            fields=[
                ('event', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='unbilled', serialize=False, to='billing.usageevent')),
                ('reason', models.CharField(choices=[('no_subscription', 'Nothing that the customer subscribed to charges it then.'), ('paused', 'The subscription was paused.'), ('too_old', 'It came too long after its cycle was settled.'), ('missing_property', 'It lacks the property that the metric reads.'), ('not_a_number', 'The property that the metric adds up is no number.')], max_length=20)),
                ('noted_at', models.DateTimeField()),
            ],
            options={
                'verbose_name_plural': 'unbilled usage',
            },
        ),
        migrations.CreateModel(
            name='UsageReservation',
            fields=[
                ('reservation', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='usage', serialize=False, to='wallets.reservation')),
                ('quantity', models.DecimalField(decimal_places=6, max_digits=20)),
                ('captured', models.DecimalField(decimal_places=6, default=0, max_digits=20)),
                ('properties', models.JSONField(default=dict)),
                ('metric', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='pricing.metric')),
                ('subscription', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='billing.subscription')),
            ],
        ),
        migrations.CreateModel(
            name='UsageRollup',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('starts_at', models.DateTimeField()),
                ('through', models.DateTimeField()),
                ('events', models.PositiveBigIntegerField(null=True)),
                ('total', models.DecimalField(decimal_places=70, max_digits=200, null=True)),
                ('deciding', models.UUIDField(null=True)),
                ('book', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='ledger.book')),
                ('metric', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='pricing.metric')),
                ('subscription', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='billing.subscription')),
            ],
        ),
        migrations.CreateModel(
            name='WorkerHeartbeat',
            fields=[
                ('id', models.PositiveSmallIntegerField(default=1, editable=False, primary_key=True, serialize=False)),
                ('seen_at', models.DateTimeField()),
                ('swept_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('id', 1)), name='billing_heartbeat_single')],
            },
        ),
        migrations.AddConstraint(
            model_name='backtest',
            constraint=models.CheckConstraint(condition=models.Q(('ends_at__gt', models.F('starts_at'))), name='billing_backtest_window'),
        ),
        migrations.AddConstraint(
            model_name='campaignrun',
            constraint=models.UniqueConstraint(condition=models.Q(('status', 'DONE'), _negated=True), fields=('campaign',), name='billing_campaignrun_one_open'),
        ),
        migrations.AddConstraint(
            model_name='campaignrun',
            constraint=models.CheckConstraint(condition=models.Q(('done', django.db.models.expressions.CombinedExpression(models.F('granted'), '+', models.F('skipped')))), name='billing_campaignrun_done'),
        ),
        migrations.AddIndex(
            model_name='claim',
            index=models.Index(condition=models.Q(('amount__gt', models.F('paid'))), fields=['book'], name='billing_claim_open'),
        ),
        migrations.AddConstraint(
            model_name='claim',
            constraint=models.CheckConstraint(condition=models.Q(('amount__gt', 0), ('paid__gte', 0), ('paid__lte', models.F('amount'))), name='billing_claim_paid'),
        ),
        migrations.AddConstraint(
            model_name='invoiceline',
            constraint=models.UniqueConstraint(fields=('invoice', 'position'), name='billing_line_position'),
        ),
        migrations.AddConstraint(
            model_name='invoicepayment',
            constraint=models.CheckConstraint(condition=models.Q(('amount__gt', 0), ('applied__gt', 0), ('applied__lte', models.F('amount'))), name='billing_invoicepayment_amounts'),
        ),
        migrations.AddIndex(
            model_name='latecredit',
            index=models.Index(condition=models.Q(('amount__gt', django.db.models.expressions.CombinedExpression(models.F('used'), '+', models.F('paid_out')))), fields=['settlement'], name='billing_latecredit_open'),
        ),
        migrations.AddConstraint(
            model_name='latecredit',
            constraint=models.CheckConstraint(condition=models.Q(('amount__gt', 0), ('amount__gte', django.db.models.expressions.CombinedExpression(models.F('used'), '+', models.F('paid_out'))), ('paid_out__gte', 0), ('used__gte', 0)), name='billing_latecredit_amounts'),
        ),
        migrations.AddIndex(
            model_name='backtestcycle',
            index=models.Index(fields=['backtest', 'book'], name='billing_backtestcycle_book'),
        ),
        migrations.AddConstraint(
            model_name='backtestcycle',
            constraint=models.UniqueConstraint(fields=('backtest', 'settlement'), name='billing_backtestcycle_once'),
        ),
        migrations.AddConstraint(
            model_name='settlementadjustment',
            constraint=models.CheckConstraint(condition=models.Q(('receivable', django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(models.F('net'), '+', models.F('tax')), '-', models.F('customer_credit')), '-', models.F('arrears')), '-', models.F('wallet')))), name='billing_adjustment_sums'),
        ),
        migrations.AddConstraint(
            model_name='settlementadjustment',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('net__gt', 0), ('tax__gte', 0)), models.Q(('net__lt', 0), ('tax__lte', 0)), _connector='OR'), name='billing_adjustment_sign'),
        ),
        migrations.AddConstraint(
            model_name='invoice',
            constraint=models.UniqueConstraint(fields=('livemode', 'number'), name='billing_invoice_number'),
        ),
        migrations.AddConstraint(
            model_name='invoice',
            constraint=models.CheckConstraint(condition=models.Q(('total', django.db.models.expressions.CombinedExpression(models.F('from_wallet'), '+', models.F('amount_due')))), name='billing_invoice_sums'),
        ),
        migrations.AddConstraint(
            model_name='invoice',
            constraint=models.CheckConstraint(condition=models.Q(('amount_due__gte', 0), ('credited__gte', 0), ('due_tax__gte', 0), ('due_tax__lte', models.F('amount_due')), ('paid__gte', 0), ('paid__lte', django.db.models.expressions.CombinedExpression(models.F('amount_due'), '-', models.F('credited'))), ('returned__gte', 0), ('returned__lte', models.F('paid'))), name='billing_invoice_paid'),
        ),
        migrations.AddConstraint(
            model_name='invoice',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('amount_due', None), ('amount_due', django.db.models.functions.math.Round(models.F('amount_due'), precision=models.Case(models.When(models.Q(('currency__in', ['CLP', 'JPY', 'KRW'])), then=models.Value(0)), models.When(models.Q(('currency__in', ['BHD', 'KWD'])), then=models.Value(3)), default=models.Value(2)))), _connector='OR'), models.Q(('paid', None), ('paid', django.db.models.functions.math.Round(models.F('paid'), precision=models.Case(models.When(models.Q(('currency__in', ['CLP', 'JPY', 'KRW'])), then=models.Value(0)), models.When(models.Q(('currency__in', ['BHD', 'KWD'])), then=models.Value(3)), default=models.Value(2)))), _connector='OR')), name='billing_invoice_payable'),
        ),
        migrations.AddConstraint(
            model_name='invoice',
            constraint=models.CheckConstraint(condition=models.Q(('discount__gte', 0), ('discount__lte', models.F('subtotal')), ('from_wallet__gte', 0), ('subtotal__gte', 0), ('tax__gte', 0)), name='billing_invoice_discount'),
        ),
        migrations.AddConstraint(
            model_name='invoice',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('number', None), ('status', 'DRAFT')), models.Q(models.Q(('status', 'DRAFT'), _negated=True), ('number__isnull', False)), _connector='OR'), name='billing_invoice_numbered'),
        ),
        migrations.AddConstraint(
            model_name='settlementrun',
            constraint=models.UniqueConstraint(condition=models.Q(('status', 'DONE'), _negated=True), fields=('livemode', 'book'), name='billing_run_one_per_scope', nulls_distinct=False),
        ),
        migrations.AddIndex(
            model_name='settlementrunitem',
            index=models.Index(condition=models.Q(('status__in', ['PENDING', 'CLAIMED'])), fields=['run', 'id'], name='billing_runitem_unfinished'),
        ),
        migrations.AddConstraint(
            model_name='settlementrunitem',
            constraint=models.UniqueConstraint(fields=('run', 'book'), name='billing_runitem_once'),
        ),
        migrations.AddConstraint(
            model_name='settlementrunitem',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'CLAIMED'), _negated=True), ('claimed_at__isnull', False), _connector='OR'), name='billing_runitem_claimed'),
        ),
        migrations.AddIndex(
            model_name='subscription',
            index=models.Index(condition=models.Q(('status', 'CANCELLED'), _negated=True), fields=['current_ends_at'], name='billing_subscription_due'),
        ),
        migrations.AddConstraint(
            model_name='subscription',
            constraint=models.UniqueConstraint(condition=models.Q(('is_single', True), models.Q(('status', 'CANCELLED'), _negated=True)), fields=('customer', 'offering'), name='billing_subscription_single'),
        ),
        migrations.AddConstraint(
            model_name='subscription',
            constraint=models.CheckConstraint(condition=models.Q(('current_ends_at__gte', models.F('current_starts_at'))), name='billing_subscription_period'),
        ),
        migrations.AddConstraint(
            model_name='subscription',
            constraint=models.CheckConstraint(condition=models.Q(('full_ends_at__gt', models.F('full_starts_at')), ('full_starts_at__lte', models.F('current_starts_at')), ('full_ends_at__gte', models.F('current_ends_at'))), name='billing_subscription_full_period'),
        ),
        migrations.AddConstraint(
            model_name='subscription',
            constraint=models.CheckConstraint(condition=models.Q(('counted_from__gte', models.F('current_starts_at'))), name='billing_subscription_counted'),
        ),
        migrations.AddIndex(
            model_name='settlement',
            index=models.Index(condition=models.Q(('billing_mode', 'PREPAID'), ('statement_number', None), ('status', 'SETTLED')), fields=['book'], name='billing_settlement_unnumbered'),
        ),
        migrations.AddConstraint(
            model_name='settlement',
            constraint=models.UniqueConstraint(condition=models.Q(('status', 'VOIDED'), _negated=True), fields=('subscription', 'cycle', 'kind'), name='billing_settlement_once'),
        ),
        migrations.AddConstraint(
            model_name='settlement',
            constraint=models.CheckConstraint(condition=models.Q(('ends_at__gte', models.F('starts_at'))), name='billing_settlement_period'),
        ),
        migrations.AddConstraint(
            model_name='settlement',
            constraint=models.CheckConstraint(condition=models.Q(('counted_from__gte', models.F('starts_at')), ('counted_until__gte', models.F('counted_from')), ('counted_until__gte', models.F('ends_at'))), name='billing_settlement_counted'),
        ),
        migrations.AddConstraint(
            model_name='settlement',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('settled_at', None), ('status', 'SEALED')), models.Q(models.Q(('status', 'SEALED'), _negated=True), ('settled_at__isnull', False)), _connector='OR'), name='billing_settlement_settled'),
        ),
        migrations.AddConstraint(
            model_name='settlement',
            constraint=models.CheckConstraint(condition=models.Q(('arrears__gte', 0), ('arrears_paid__gte', 0), ('arrears_paid__lte', models.F('arrears'))), name='billing_settlement_arrears'),
        ),
        migrations.AddConstraint(
            model_name='settlement',
            constraint=models.CheckConstraint(condition=models.Q(('arrears_tax__gte', 0), ('arrears_tax__lte', models.F('arrears'))), name='billing_settlement_arrears_tax'),
        ),
        migrations.AddConstraint(
            model_name='settlement',
            constraint=models.CheckConstraint(condition=models.Q(('statement_number', None), models.Q(('billing_mode', 'PREPAID'), ('status', 'SETTLED')), _connector='OR'), name='billing_settlement_statement'),
        ),
        migrations.AddConstraint(
            model_name='onetimebenefit',
            constraint=models.UniqueConstraint(fields=('customer', 'offering', 'benefit'), name='billing_onetimebenefit_once'),
        ),
        migrations.AddConstraint(
            model_name='cycleburn',
            constraint=models.UniqueConstraint(fields=('subscription', 'cycle', 'kind', 'lot'), name='billing_cycleburn_lot'),
        ),
        migrations.AddConstraint(
            model_name='cycleburn',
            constraint=models.CheckConstraint(condition=models.Q(('advance_fee__gte', 0), ('carrying__gte', Decimal('-1E-9')), ('kept__gte', 0), ('quantity__gte', models.F('kept')), ('tax__gte', 0)), name='billing_cycleburn_amounts'),
        ),
        migrations.AddIndex(
            model_name='advancefee',
            index=models.Index(condition=models.Q(('recognised__lt', models.F('amount'))), fields=['recognised_through'], name='billing_fee_unearned'),
        ),
        migrations.AddConstraint(
            model_name='advancefee',
            constraint=models.UniqueConstraint(fields=('subscription', 'cycle'), name='billing_advancefee_cycle'),
        ),
        migrations.AddConstraint(
            model_name='advancefee',
            constraint=models.CheckConstraint(condition=models.Q(('ends_at__gt', models.F('starts_at'))), name='billing_advancefee_period'),
        ),
        migrations.AddConstraint(
            model_name='advancefee',
            constraint=models.CheckConstraint(condition=models.Q(('recognised__gte', 0), ('recognised__lte', models.F('amount'))), name='billing_advancefee_recognised'),
        ),
        migrations.AddField(
            model_name='unbilledusage',
            name='book',
            field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='ledger.book'),
        ),
        migrations.AddField(
            model_name='unbilledusage',
            name='metric',
            field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='pricing.metric'),
        ),
        migrations.AddIndex(
            model_name='usageevent',
            index=models.Index(fields=['book', 'metric', 'counted_at'], name='billing_usage_cycle'),
        ),
        migrations.AddIndex(
            model_name='usageevent',
            index=models.Index(fields=['book', 'received_at'], name='billing_usage_received'),
        ),
        migrations.AddIndex(
            model_name='usageevent',
            index=models.Index(condition=models.Q(('behind__isnull', False)), fields=['book', 'metric', 'behind'], name='billing_usage_behind'),
        ),
        migrations.AddConstraint(
            model_name='usageevent',
            constraint=models.UniqueConstraint(fields=('book', 'key'), name='billing_usage_key'),
        ),
        migrations.AddConstraint(
            model_name='usageevent',
            constraint=models.CheckConstraint(condition=models.Q(('quantity__gt', 0)), name='billing_usage_quantity'),
        ),
        migrations.AddConstraint(
            model_name='usageevent',
            constraint=models.CheckConstraint(condition=models.Q(('counted_at__gte', models.F('occurred_at'))), name='billing_usage_counted'),
        ),
        migrations.AddConstraint(
            model_name='usagereservation',
            constraint=models.CheckConstraint(condition=models.Q(('captured__gte', 0), ('quantity__gt', 0)), name='billing_usagereservation_sound'),
        ),
        migrations.AddIndex(
            model_name='usagerollup',
            index=models.Index(fields=['book', 'metric', 'id'], name='billing_usagerollup_latest'),
        ),
        migrations.AddConstraint(
            model_name='usagerollup',
            constraint=models.UniqueConstraint(condition=models.Q(('events', None)), fields=('book', 'metric'), name='billing_usagerollup_one_uncounted'),
        ),
        migrations.AddConstraint(
            model_name='usagerollup',
            constraint=models.CheckConstraint(condition=models.Q(('through__gte', models.F('starts_at'))), name='billing_usagerollup_span'),
        ),
        migrations.AddIndex(
            model_name='unbilledusage',
            index=models.Index(fields=['book', 'event'], name='billing_unbilled_book'),
        ),
        migrations.AddConstraint(
            model_name='unbilledusage',
            constraint=models.CheckConstraint(condition=models.Q(('reason__in', ['no_subscription', 'paused', 'too_old', 'missing_property', 'not_a_number'])), name='billing_unbilledusage_reason'),
        ),
    ]
