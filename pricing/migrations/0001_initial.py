import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.math
import django.db.models.functions.text
import pricing.models.catalogue
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Charge',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('code', models.CharField(max_length=64)),
                ('model', models.CharField(choices=[('PER_UNIT', 'Per Unit'), ('FLAT_RATE', 'Flat Rate'), ('VOLUME', 'Volume'), ('GRADUATED', 'Graduated'), ('INCLUDED_QUOTA', 'Included Quota'), ('PERCENTAGE', 'Percentage')], max_length=20)),
                ('description', models.CharField(blank=True, max_length=200)),
                ('terms', models.JSONField(help_text='See pricing.terms; decimals are strings.')),
                ('timing', models.CharField(choices=[('ARREARS', 'Arrears'), ('ADVANCE', 'Advance')], default='ARREARS', max_length=10)),
                ('position', models.PositiveSmallIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name='Coupon',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('livemode', models.BooleanField()),
                ('code', models.CharField(max_length=64)),
                ('type', models.CharField(choices=[('PERCENT', 'Percent'), ('FIXED', 'Fixed')], max_length=10)),
                ('value', models.DecimalField(decimal_places=12, max_digits=38)),
                ('currency', models.CharField(blank=True, max_length=3)),
                ('duration', models.CharField(choices=[('ONCE', 'Once'), ('REPEATING', 'Repeating'), ('FOREVER', 'Forever')], max_length=10)),
                ('cycles', models.PositiveIntegerField(blank=True, null=True)),
                ('max_redemptions', models.PositiveIntegerField(blank=True, null=True)),
                ('redemptions', models.PositiveIntegerField(default=0)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('livemode', 'code'), name='pricing_coupon_code'), models.CheckConstraint(condition=models.Q(models.Q(('currency', ''), ('type', 'PERCENT'), ('value__gt', 0), ('value__lte', 100)), models.Q(('type', 'FIXED'), ('value__gt', 0), models.Q(('currency', ''), _negated=True)), _connector='OR'), name='pricing_coupon_value'), models.CheckConstraint(condition=models.Q(models.Q(('cycles__gt', 0), ('duration', 'REPEATING')), models.Q(models.Q(('duration', 'REPEATING'), _negated=True), ('cycles', None)), _connector='OR'), name='pricing_coupon_cycles'), models.CheckConstraint(condition=models.Q(('max_redemptions', None), ('redemptions__lte', models.F('max_redemptions')), _connector='OR'), name='pricing_coupon_redemptions')],
            },
        ),
        migrations.CreateModel(
            name='Metric',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('livemode', models.BooleanField()),
                ('code', models.CharField(max_length=255)),
                ('name', models.CharField(max_length=200)),
                ('aggregation', models.CharField(choices=[('COUNT', 'Count'), ('SUM', 'Sum'), ('MAX', 'Max'), ('UNIQUE', 'Unique'), ('LATEST', 'Latest'), ('AVERAGE', 'Average'), ('P95', 'P95')], max_length=10)),
                ('property', models.CharField(blank=True, help_text='The event property that is aggregated.', max_length=100)),
                ('filters', models.JSONField(blank=True, default=list, help_text='[{property, op, value}]')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('livemode', 'code'), name='pricing_metric_code')],
            },
        ),
        migrations.CreateModel(
            name='ChargeMetric',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('weight', models.DecimalField(decimal_places=12, default=1, max_digits=28)),
                ('charge', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='feeds', to='pricing.charge')),
                ('metric', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='feeds', to='pricing.metric')),
            ],
        ),
        migrations.AddField(
            model_name='charge',
            name='metrics',
            field=models.ManyToManyField(related_name='charges', through='pricing.ChargeMetric', to='pricing.metric'),
        ),
        migrations.CreateModel(
            name='Campaign',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('livemode', models.BooleanField()),
                ('code', models.CharField(max_length=64)),
                ('name', models.CharField(max_length=200)),
                ('status', models.CharField(choices=[('DRAFT', 'Draft'), ('SCHEDULED', 'Scheduled'), ('ACTIVE', 'Active'), ('PAUSED', 'Paused'), ('ENDED', 'Ended')], default='DRAFT', max_length=10)),
                ('trigger', models.CharField(choices=[('SUBSCRIPTION', 'A subscription starts'), ('TOP_UP', 'A top-up is paid: a part of it is added'), ('CODE', 'A code is redeemed'), ('MILESTONE', 'Usage of a month reaches a quantity'), ('EVERYBODY', 'Nothing: everybody who matches gets it now')], max_length=12)),
                ('redemption_code', models.CharField(blank=True, max_length=64)),
                ('milestone_quantity', models.DecimalField(blank=True, decimal_places=12, max_digits=38, null=True)),
                ('match_percent', models.DecimalField(blank=True, decimal_places=12, max_digits=38, null=True)),
                ('max_per_top_up', models.DecimalField(blank=True, decimal_places=12, max_digits=38, null=True)),
                ('audience', models.CharField(choices=[('ALL', 'All customers'), ('OFFERINGS', 'Subscribers of the offerings listed'), ('TAGS', 'Customers with one of the tags listed'), ('CUSTOMERS', 'The customers listed')], default='ALL', max_length=9)),
                ('audience_list', models.JSONField(blank=True, default=list)),
                ('starts_at', models.DateTimeField(blank=True, null=True)),
                ('ends_at', models.DateTimeField(blank=True, null=True)),
                ('kind', models.CharField(blank=True, choices=[('PROMO', 'Promo'), ('BONUS', 'Bonus')], max_length=5)),
                ('amount', models.DecimalField(blank=True, decimal_places=12, max_digits=38, null=True)),
                ('currency', models.CharField(blank=True, max_length=3)),
                ('quantity', models.DecimalField(blank=True, decimal_places=12, max_digits=38, null=True)),
                ('expires_after_days', models.PositiveIntegerField(blank=True, null=True)),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('priority', models.PositiveSmallIntegerField(default=100)),
                ('budget', models.DecimalField(blank=True, decimal_places=12, max_digits=38, null=True)),
                ('spent', models.DecimalField(decimal_places=12, default=0, editable=False, max_digits=38)),
                ('max_grants', models.PositiveIntegerField(blank=True, null=True)),
                ('grants', models.PositiveIntegerField(default=0, editable=False)),
                ('max_per_customer', models.PositiveIntegerField(blank=True, null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('metric', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='pricing.metric')),
                ('milestone_metric', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='pricing.metric')),
            ],
        ),
        migrations.CreateModel(
            name='RatePlan',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('livemode', models.BooleanField()),
                ('code', models.CharField(max_length=64)),
                ('name', models.CharField(max_length=200)),
                ('currency', models.CharField(max_length=3)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('livemode', 'code'), name='pricing_rateplan_code')],
            },
        ),
        migrations.CreateModel(
            name='Offering',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('livemode', models.BooleanField()),
                ('code', models.CharField(max_length=64)),
                ('name', models.CharField(max_length=200)),
                ('billing_mode', models.CharField(choices=[('PREPAID', 'Prepaid: refused'), ('HYBRID', 'Hybrid: credits first, the rest to the invoice'), ('POSTPAID', 'Postpaid: to the invoice, no cash credits')], max_length=10)),
                ('interval', models.CharField(choices=[('DAY', 'DAY'), ('WEEK', 'WEEK'), ('MONTH', 'MONTH'), ('YEAR', 'YEAR')], max_length=5)),
                ('interval_count', models.PositiveSmallIntegerField(default=1)),
                ('trial_days', models.PositiveSmallIntegerField(default=0)),
                ('overage_limit', models.DecimalField(blank=True, decimal_places=12, help_text='Most overage a customer may run up in a cycle.', max_digits=38, null=True)),
                ('several_per_customer', models.BooleanField(default=False, help_text='A customer may have several live subscriptions of it.')),
                ('gives_again', models.BooleanField(default=False, help_text='Trial and once-only grants come with each subscription, not only the first.')),
                ('status', models.CharField(choices=[('DRAFT', 'Draft'), ('ACTIVE', 'Active'), ('ARCHIVED', 'Archived')], default='ACTIVE', max_length=10)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('plan', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='offerings', to='pricing.rateplan')),
            ],
        ),
        migrations.CreateModel(
            name='RatePlanVersion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField()),
                ('status', models.CharField(choices=[('DRAFT', 'Draft'), ('PUBLISHED', 'Published'), ('RETIRED', 'Retired')], default='DRAFT', max_length=10)),
                ('burn_order', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('PROMO', 'Promo'), ('BONUS', 'Bonus'), ('CASH', 'Cash')], max_length=5), default=pricing.models.catalogue.default_burn_order, size=None)),
                ('minimum_spend', models.DecimalField(blank=True, decimal_places=12, max_digits=38, null=True)),
                ('maximum_spend', models.DecimalField(blank=True, decimal_places=12, max_digits=38, null=True)),
                ('caps', models.JSONField(blank=True, default=dict, help_text='Hard cap per metric and cycle: {"metric": {"quantity": "1000", "beyond": "PRICED"}}. With "REFUSED", usage beyond it is not billed.')),
                ('grace_hours', models.PositiveIntegerField(default=0, help_text='How long after its end a cycle waits for late events.')),
                ('lapse_grace_hours', models.PositiveIntegerField(default=0, help_text="How long after a credit's expiry usage of its lifetime may still arrive.")),
                ('late_usage', models.CharField(choices=[('RERATE', 'Priced by the terms of its own cycle'), ('NEXT_CYCLE', 'Billed as usage of the next cycle')], default='RERATE', help_text='What becomes of usage that arrives after its cycle was settled.', max_length=10)),
                ('published_at', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('plan', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='versions', to='pricing.rateplan')),
            ],
        ),
        migrations.CreateModel(
            name='GrantTemplate',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('code', models.CharField(max_length=64)),
                ('kind', models.CharField(choices=[('PROMO', 'Promo'), ('BONUS', 'Bonus'), ('CASH', 'Cash')], max_length=5)),
                ('quantity', models.DecimalField(decimal_places=12, help_text='Money without a metric, else units.', max_digits=38)),
                ('recurrence', models.CharField(choices=[('ONCE', 'Once'), ('EVERY_CYCLE', 'Every Cycle')], max_length=15)),
                ('expires_after_days', models.PositiveIntegerField(blank=True, null=True)),
                ('expires_at_cycle_end', models.BooleanField(default=False)),
                ('priority', models.PositiveSmallIntegerField(default=100)),
                ('rollover', models.JSONField(blank=True, help_text='{mode, percent, ...}', null=True)),
                ('ssp_unit_price', models.DecimalField(blank=True, decimal_places=12, help_text='Stand-alone selling price of one unit, to allocate the fee over a bundle.', max_digits=28, null=True)),
                ('position', models.PositiveSmallIntegerField(default=0)),
                ('metric', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='pricing.metric')),
                ('version', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='grants', to='pricing.rateplanversion')),
            ],
        ),
        migrations.AddField(
            model_name='charge',
            name='version',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='charges', to='pricing.rateplanversion'),
        ),
        migrations.CreateModel(
            name='TopUpRule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('livemode', models.BooleanField()),
                ('currency', models.CharField(max_length=3)),
                ('minimum', models.DecimalField(blank=True, decimal_places=12, max_digits=38, null=True)),
                ('maximum', models.DecimalField(blank=True, decimal_places=12, max_digits=38, null=True)),
                ('expires_after_days', models.PositiveIntegerField(blank=True, help_text='Counted from the payment; empty: bought credits stay.', null=True)),
                ('on_account', models.CharField(choices=[('HELD_BACK', 'Invoiced; the credits come when it is paid'), ('AT_ONCE', 'Invoiced; the credits come at once'), ('REFUSED', 'Refused')], default='HELD_BACK', max_length=10)),
            ],
            options={
                'verbose_name': 'top-up rule',
                'constraints': [models.UniqueConstraint(fields=('livemode', 'currency'), name='pricing_topuprule_once'), models.CheckConstraint(condition=models.Q(models.Q(('minimum', None), ('minimum__gt', 0), _connector='OR'), models.Q(('maximum', None), ('maximum__gt', 0), _connector='OR'), models.Q(('minimum', None), ('maximum', None), ('minimum__lte', models.F('maximum')), _connector='OR')), name='pricing_topuprule_bounds'), models.CheckConstraint(condition=models.Q(models.Q(('minimum', None), ('minimum', django.db.models.functions.math.Round(models.F('minimum'), precision=models.Case(models.When(models.Q(('currency__in', ['CLP', 'JPY', 'KRW'])), then=models.Value(0)), models.When(models.Q(('currency__in', ['BHD', 'KWD'])), then=models.Value(3)), default=models.Value(2)))), _connector='OR'), models.Q(('maximum', None), ('maximum', django.db.models.functions.math.Round(models.F('maximum'), precision=models.Case(models.When(models.Q(('currency__in', ['CLP', 'JPY', 'KRW'])), then=models.Value(0)), models.When(models.Q(('currency__in', ['BHD', 'KWD'])), then=models.Value(3)), default=models.Value(2)))), _connector='OR')), name='pricing_topuprule_payable'), models.CheckConstraint(condition=models.Q(('expires_after_days', None), ('expires_after_days__gt', 0), _connector='OR'), name='pricing_topuprule_expiry')],
            },
        ),
        migrations.CreateModel(
            name='BonusSlab',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('from_amount', models.DecimalField(decimal_places=12, max_digits=38)),
                ('bonus', models.DecimalField(decimal_places=12, max_digits=38)),
                ('rule', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='slabs', to='pricing.topuprule')),
            ],
        ),
        migrations.AddConstraint(
            model_name='chargemetric',
            constraint=models.UniqueConstraint(fields=('charge', 'metric'), name='pricing_chargemetric_once'),
        ),
        migrations.AddConstraint(
            model_name='chargemetric',
            constraint=models.CheckConstraint(condition=models.Q(('weight__gt', 0)), name='pricing_chargemetric_weight'),
        ),
        migrations.AddIndex(
            model_name='campaign',
            index=models.Index(condition=models.Q(('status__in', ['SCHEDULED', 'ACTIVE'])), fields=['livemode', 'trigger'], name='pricing_campaign_running'),
        ),
        migrations.AddConstraint(
            model_name='campaign',
            constraint=models.UniqueConstraint(fields=('livemode', 'code'), name='pricing_campaign_code'),
        ),
        migrations.AddConstraint(
            model_name='campaign',
            constraint=models.UniqueConstraint(models.F('livemode'), django.db.models.functions.text.Upper('redemption_code'), condition=models.Q(('redemption_code', ''), _negated=True), name='pricing_campaign_redemption_code'),
        ),
        migrations.AddConstraint(
            model_name='campaign',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('amount', None), ('kind', 'BONUS'), ('match_percent__gt', 0), ('match_percent__isnull', False), ('metric', None), ('quantity', None), ('trigger', 'TOP_UP')), models.Q(models.Q(('trigger', 'TOP_UP'), _negated=True), ('match_percent', None), ('max_per_top_up', None)), _connector='OR'), name='pricing_campaign_match'),
        ),
        migrations.AddConstraint(
            model_name='campaign',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('metric', None), ('quantity', None), models.Q(('currency', ''), _negated=True)), models.Q(('amount', None), ('currency', ''), ('metric__isnull', False), ('quantity__isnull', False)), _connector='OR'), name='pricing_campaign_money_or_units'),
        ),
        migrations.AddConstraint(
            model_name='campaign',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['PROMO', 'BONUS'])), name='pricing_campaign_kind'),
        ),
        migrations.AddConstraint(
            model_name='campaign',
            constraint=models.CheckConstraint(condition=models.Q(('trigger', 'TOP_UP'), models.Q(('amount__gt', 0), ('amount__isnull', False)), models.Q(('quantity__gt', 0), ('quantity__isnull', False)), _connector='OR'), name='pricing_campaign_grant'),
        ),
        migrations.AddConstraint(
            model_name='campaign',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('milestone_metric__isnull', False), ('milestone_quantity__gt', 0), ('milestone_quantity__isnull', False), ('trigger', 'MILESTONE')), models.Q(models.Q(('trigger', 'MILESTONE'), _negated=True), ('milestone_metric', None), ('milestone_quantity', None)), _connector='OR'), name='pricing_campaign_milestone'),
        ),
        migrations.AddConstraint(
            model_name='campaign',
            constraint=models.CheckConstraint(condition=models.Q(('redemption_code', ''), ('trigger', 'CODE'), _connector='XOR'), name='pricing_campaign_redeemable'),
        ),
        migrations.AddConstraint(
            model_name='campaign',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('audience', 'ALL'), ('audience_list', [])), models.Q(models.Q(('audience', 'ALL'), _negated=True), models.Q(('audience_list', []), _negated=True)), _connector='OR'), name='pricing_campaign_audience'),
        ),
        migrations.AddConstraint(
            model_name='campaign',
            constraint=models.CheckConstraint(condition=models.Q(('starts_at', None), ('ends_at', None), ('ends_at__gt', models.F('starts_at')), _connector='OR'), name='pricing_campaign_window'),
        ),
        migrations.AddConstraint(
            model_name='campaign',
            constraint=models.CheckConstraint(condition=models.Q(('expires_after_days', None), ('expires_at', None), _connector='OR'), name='pricing_campaign_one_expiry'),
        ),
        migrations.AddConstraint(
            model_name='campaign',
            constraint=models.CheckConstraint(condition=models.Q(('spent__gte', 0), models.Q(('budget', None), ('spent__lte', models.F('budget')), _connector='OR')), name='pricing_campaign_budget'),
        ),
        migrations.AddConstraint(
            model_name='campaign',
            constraint=models.CheckConstraint(condition=models.Q(('max_grants', None), ('grants__lte', models.F('max_grants')), _connector='OR'), name='pricing_campaign_max_grants'),
        ),
        migrations.AddConstraint(
            model_name='offering',
            constraint=models.UniqueConstraint(fields=('livemode', 'code'), name='pricing_offering_code'),
        ),
        migrations.AddConstraint(
            model_name='offering',
            constraint=models.CheckConstraint(condition=models.Q(('interval_count__gte', 1)), name='pricing_offering_interval'),
        ),
        migrations.AddConstraint(
            model_name='rateplanversion',
            constraint=models.UniqueConstraint(fields=('plan', 'number'), name='pricing_version_number'),
        ),
        migrations.AddConstraint(
            model_name='rateplanversion',
            constraint=models.UniqueConstraint(condition=models.Q(('status', 'DRAFT')), fields=('plan',), name='pricing_version_one_draft'),
        ),
        migrations.AddConstraint(
            model_name='rateplanversion',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('published_at', None), ('status', 'DRAFT')), models.Q(models.Q(('status', 'DRAFT'), _negated=True), ('published_at__isnull', False)), _connector='OR'), name='pricing_version_published'),
        ),
        migrations.AddConstraint(
            model_name='granttemplate',
            constraint=models.UniqueConstraint(fields=('version', 'code'), name='pricing_grant_code'),
        ),
        migrations.AddConstraint(
            model_name='granttemplate',
            constraint=models.CheckConstraint(condition=models.Q(('quantity__gt', 0)), name='pricing_grant_quantity'),
        ),
        migrations.AddConstraint(
            model_name='granttemplate',
            constraint=models.CheckConstraint(condition=models.Q(('expires_after_days', None), ('expires_at_cycle_end', False), _connector='OR'), name='pricing_grant_one_expiry'),
        ),
        migrations.AddConstraint(
            model_name='charge',
            constraint=models.UniqueConstraint(fields=('version', 'code'), name='pricing_charge_code'),
        ),
        migrations.AddConstraint(
            model_name='bonusslab',
            constraint=models.UniqueConstraint(fields=('rule', 'from_amount'), name='pricing_slab_once'),
        ),
        migrations.AddConstraint(
            model_name='bonusslab',
            constraint=models.CheckConstraint(condition=models.Q(('bonus__gt', 0), ('from_amount__gt', 0)), name='pricing_slab_amounts', violation_error_message='Both are above zero.'),
        ),
    ]
