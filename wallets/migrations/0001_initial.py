import aforo.actors
import aforo.ids
import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.math
import pricing.models.catalogue
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('ledger', '0001_initial'),
        ('pricing', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='AutoRefill',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('threshold', models.DecimalField(decimal_places=12, max_digits=38)),
                ('amount', models.DecimalField(decimal_places=12, max_digits=38)),
                ('max_per_day', models.PositiveIntegerField(blank=True, help_text='Most refills in a day (UTC); empty: any number.', null=True)),
                ('max_per_month', models.PositiveIntegerField(blank=True, help_text='Most refills in a month (UTC); empty: any number.', null=True)),
                ('method', models.CharField(help_text='How the gateway takes the money.', max_length=50)),
                ('failures', models.PositiveSmallIntegerField(default=0, help_text='Failed payments since the last one that succeeded.')),
                ('next_attempt_at', models.DateTimeField(blank=True, help_text='Not before this, after a failure.', null=True)),
                ('switched_off_at', models.DateTimeField(blank=True, null=True)),
                ('set_after', models.DateTimeField(blank=True, help_text="When the customer's last subscription had ended as this was set; a later end switches it off.", null=True)),
                ('book', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='auto_refills', to='ledger.book')),
            ],
            options={
                'verbose_name': 'auto-refill',
            },
        ),
        migrations.CreateModel(
            name='CreditLot',
            fields=[
                ('id', models.UUIDField(default=aforo.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('PROMO', 'Promo'), ('BONUS', 'Bonus'), ('CASH', 'Cash')], max_length=5)),
                ('source', models.CharField(choices=[('PLAN', 'Plan'), ('CAMPAIGN', 'Campaign'), ('TOP_UP', 'Top Up'), ('REFILL', 'Refill'), ('MANUAL', 'Manual'), ('GOODWILL', 'Goodwill'), ('REVERSAL', 'Reversal'), ('OPENING', 'Opening')], max_length=10)),
                ('cause', models.CharField(blank=True, help_text='What it was granted for; once per book.', max_length=255)),
                ('subscription_id', models.UUIDField(blank=True, help_text='The subscription whose plan granted it.', null=True)),
                ('grant_code', models.CharField(blank=True, help_text='The grant of that plan by its code.', max_length=64)),
                ('grant_period', models.PositiveIntegerField(blank=True, help_text='The period granted for; none where a plan grants once.', null=True)),
                ('reason', models.CharField(blank=True, max_length=500)),
                ('face', models.DecimalField(decimal_places=12, max_digits=38)),
                ('remaining', models.DecimalField(decimal_places=12, max_digits=38)),
                ('held', models.DecimalField(decimal_places=12, default=0, max_digits=38)),
                ('carrying', models.DecimalField(decimal_places=12, default=0, max_digits=38)),
                ('carrying_remaining', models.DecimalField(decimal_places=12, default=0, max_digits=38)),
                ('currency', models.CharField(blank=True, max_length=3)),
                ('priority', models.PositiveSmallIntegerField(default=100)),
                ('granted_at', models.DateTimeField()),
                ('effective_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('rollover', models.JSONField(blank=True, null=True)),
                ('frozen_at', models.DateTimeField(blank=True, help_text='Set while the payment of its top-up is disputed.', null=True)),
                ('rolled', models.PositiveSmallIntegerField(default=0, help_text='Into how many further cycles it has been rolled.')),
                ('lapsing', models.DecimalField(decimal_places=12, default=0, help_text='How much of what is held has not rolled: it lapses if it is released.', max_digits=38)),
                ('lapsing_since', models.DateTimeField(blank=True, help_text='The expiry that `lapsing` has kept.', null=True)),
                ('book', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='lots', to='ledger.book')),
            ],
        ),
        migrations.CreateModel(
            name='Operation',
            fields=[
                ('key', models.CharField(max_length=255)),
                ('operation', models.CharField(help_text='What was asked, by its stable name.', max_length=100)),
                ('content', models.JSONField(help_text='What was asked, in canonical form.')),
                ('status', models.PositiveSmallIntegerField()),
                ('body', models.TextField()),
                ('actor_kind', models.CharField(choices=[('API_KEY', 'API_KEY'), ('STAFF', 'STAFF'), ('JOB', 'JOB')], default=aforo.actors.current_kind, max_length=7)),
                ('actor_id', models.CharField(default=aforo.actors.current_id, max_length=100)),
                ('id', models.UUIDField(default=aforo.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField()),
                ('book', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='operations', to='ledger.book')),
            ],
        ),
        migrations.CreateModel(
            name='Reservation',
            fields=[
                ('id', models.UUIDField(default=aforo.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('CREDITS', 'Credits'), ('USAGE', 'Usage')], default='CREDITS', max_length=7)),
                ('strategy', models.CharField(choices=[('WATERFALL', 'Waterfall'), ('PROMO', 'Promo'), ('BONUS', 'Bonus'), ('CASH', 'Cash')], max_length=10)),
                ('quantity', models.DecimalField(decimal_places=12, max_digits=38)),
                ('held', models.DecimalField(decimal_places=12, max_digits=38)),
                ('captured', models.DecimalField(decimal_places=12, default=0, max_digits=38)),
                ('promised', models.DecimalField(decimal_places=12, default=0, help_text='Overage that it may still come to; it counts against the overage limit.', max_digits=38)),
                ('status', models.CharField(choices=[('HELD', 'Held'), ('CAPTURED', 'Captured'), ('VOIDED', 'Voided'), ('EXPIRED', 'Expired')], default='HELD', max_length=8)),
                ('created_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField()),
                ('attributes', models.JSONField(blank=True, help_text="A copy of its entry's, to filter by.", null=True)),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('book', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='reservations', to='ledger.book')),
                ('entry', models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='ledger.entry')),
                ('operation', models.OneToOneField(db_constraint=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='reservation', to='wallets.operation')),
            ],
        ),
        migrations.CreateModel(
            name='Hold',
            fields=[
                ('id', models.UUIDField(default=aforo.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('position', models.PositiveSmallIntegerField()),
                ('quantity', models.DecimalField(decimal_places=12, max_digits=38)),
                ('captured', models.DecimalField(decimal_places=12, default=0, max_digits=38)),
                ('released', models.DecimalField(decimal_places=12, default=0, max_digits=38)),
                ('book', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='ledger.book')),
                ('lot', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='holds', to='wallets.creditlot')),
                ('reservation', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='holds', to='wallets.reservation')),
            ],
        ),
        migrations.CreateModel(
            name='TopUp',
            fields=[
                ('id', models.UUIDField(default=aforo.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('currency', models.CharField(max_length=3)),
                ('amount', models.DecimalField(decimal_places=12, max_digits=38)),
                ('bonus', models.DecimalField(blank=True, decimal_places=12, max_digits=38, null=True)),
                ('bonus_unit_price', models.DecimalField(blank=True, decimal_places=12, help_text='What one unit of the bonus costs alone: by it the payment is spread.', max_digits=38, null=True)),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('lifetime_days', models.PositiveIntegerField(blank=True, help_text='Counted from the delivery, where no expiry was given.', null=True)),
                ('channel', models.CharField(choices=[('GATEWAY', 'Gateway'), ('MANUAL', 'Elsewhere'), ('ON_ACCOUNT', 'On account')], max_length=10)),
                ('method', models.CharField(blank=True, max_length=50)),
                ('status', models.CharField(choices=[('PENDING', 'Pending'), ('SUCCEEDED', 'Succeeded'), ('FAILED', 'Failed')], max_length=10)),
                ('key', models.CharField(blank=True, help_text="The client's; none for a refill.", max_length=255)),
                ('content', models.JSONField(blank=True, help_text='What the client asked for.', null=True)),
                ('actor_kind', models.CharField(choices=[('API_KEY', 'API_KEY'), ('STAFF', 'STAFF'), ('JOB', 'JOB')], default=aforo.actors.current_kind, max_length=7)),
                ('actor_id', models.CharField(default=aforo.actors.current_id, max_length=100)),
                ('created_at', models.DateTimeField()),
                ('asked', models.PositiveIntegerField(default=0, help_text='How often the gateway had no answer about the payment.')),
                ('ask_again_at', models.DateTimeField(blank=True, help_text='The sweep asks again then; sooner when somebody asks.', null=True)),
                ('paid_at', models.DateTimeField(blank=True, null=True)),
                ('failed_at', models.DateTimeField(blank=True, null=True)),
                ('dispute', models.CharField(blank=True, choices=[('opened', 'Opened'), ('won', 'Won'), ('lost', 'Lost')], max_length=6)),
                ('disputed', models.DecimalField(decimal_places=12, default=0, help_text='What the payer contested.', max_digits=38)),
                ('refunded', models.DecimalField(decimal_places=12, default=0, help_text='What was paid back of it.', max_digits=38)),
                ('auto_refill', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='top_ups', to='wallets.autorefill')),
                ('bonus_metric', models.ForeignKey(blank=True, db_constraint=False, help_text='The bonus is units of it; without one it is money.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='pricing.metric')),
                ('book', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='top_ups', to='ledger.book')),
            ],
            options={
                'verbose_name': 'top-up',
            },
        ),
        migrations.AddField(
            model_name='creditlot',
            name='top_up',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='lots', to='wallets.topup'),
        ),
        migrations.CreateModel(
            name='UnitWallet',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('billing_mode', models.CharField(choices=[('PREPAID', 'Prepaid: refused'), ('HYBRID', 'Hybrid: credits first, the rest to the invoice'), ('POSTPAID', 'Postpaid: to the invoice, no cash credits')], default='PREPAID', max_length=10)),
                ('burn_order', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('PROMO', 'Promo'), ('BONUS', 'Bonus'), ('CASH', 'Cash')], max_length=5), default=pricing.models.catalogue.default_burn_order, size=None)),
                ('overage_limit', models.DecimalField(blank=True, decimal_places=12, max_digits=38, null=True)),
                ('own_overage_limit', models.DecimalField(blank=True, decimal_places=12, help_text="The customer's own; it goes before the offering's.", max_digits=38, null=True)),
                ('low_balance_threshold', models.DecimalField(blank=True, decimal_places=12, max_digits=38, null=True)),
                ('spend_state', models.CharField(choices=[('ACTIVE', 'Active'), ('SUSPENDED', 'Suspended'), ('PAUSED', 'Paused')], default='ACTIVE', max_length=10)),
                ('renews_at', models.DateTimeField(blank=True, help_text="When the first of the customer's cycles ends: what is asked later waits for the renewal. Kept by the database with the subscriptions.", null=True)),
                ('cycle_starts_at', models.DateTimeField(blank=True, help_text='The overage limit counts from here.', null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('book', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='unit_wallets', to='ledger.book')),
                ('metric', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='pricing.metric')),
            ],
        ),
        migrations.AddField(
            model_name='reservation',
            name='unit_wallet',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='reservations', to='wallets.unitwallet'),
        ),
        migrations.AddField(
            model_name='creditlot',
            name='unit_wallet',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='lots', to='wallets.unitwallet'),
        ),
        migrations.CreateModel(
            name='Wallet',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('billing_mode', models.CharField(choices=[('PREPAID', 'Prepaid: refused'), ('HYBRID', 'Hybrid: credits first, the rest to the invoice'), ('POSTPAID', 'Postpaid: to the invoice, no cash credits')], default='PREPAID', max_length=10)),
                ('burn_order', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('PROMO', 'Promo'), ('BONUS', 'Bonus'), ('CASH', 'Cash')], max_length=5), default=pricing.models.catalogue.default_burn_order, size=None)),
                ('overage_limit', models.DecimalField(blank=True, decimal_places=12, max_digits=38, null=True)),
                ('own_overage_limit', models.DecimalField(blank=True, decimal_places=12, help_text="The customer's own; it goes before the offering's.", max_digits=38, null=True)),
                ('low_balance_threshold', models.DecimalField(blank=True, decimal_places=12, max_digits=38, null=True)),
                ('spend_state', models.CharField(choices=[('ACTIVE', 'Active'), ('SUSPENDED', 'Suspended'), ('PAUSED', 'Paused')], default='ACTIVE', max_length=10)),
                ('renews_at', models.DateTimeField(blank=True, help_text="When the first of the customer's cycles ends: what is asked later waits for the renewal. Kept by the database with the subscriptions.", null=True)),
                ('cycle_starts_at', models.DateTimeField(blank=True, help_text='The overage limit counts from here.', null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('currency', models.CharField(max_length=3)),
                ('preferred_at', models.DateTimeField(blank=True, help_text='Set on the one that a debit without currency means.', null=True)),
                ('book', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='wallets', to='ledger.book')),
            ],
        ),
        migrations.AddField(
            model_name='reservation',
            name='wallet',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='reservations', to='wallets.wallet'),
        ),
        migrations.CreateModel(
            name='Debit',
            fields=[
                ('id', models.UUIDField(default=aforo.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('quantity', models.DecimalField(decimal_places=12, max_digits=38)),
                ('overage', models.DecimalField(decimal_places=12, default=0, max_digits=38)),
                ('overage_billed', models.DecimalField(decimal_places=12, default=0, help_text='How much of the overage a settlement has taken.', max_digits=38)),
                ('strategy', models.CharField(choices=[('WATERFALL', 'Waterfall'), ('PROMO', 'Promo'), ('BONUS', 'Bonus'), ('CASH', 'Cash')], max_length=10)),
                ('reservation', models.UUIDField(blank=True, help_text='The reservation that this captures.', null=True)),
                ('attributes', models.JSONField(blank=True, help_text="A copy of its entry's, to filter by.", null=True)),
                ('reversed', models.DecimalField(decimal_places=12, default=0, help_text='How much of it was taken back.', max_digits=38)),
                ('overage_reversed', models.DecimalField(decimal_places=12, default=0, max_digits=38)),
                ('occurred_at', models.DateTimeField()),
                ('book', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='debits', to='ledger.book')),
                ('entry', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='ledger.entry')),
                ('operation', models.OneToOneField(db_constraint=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='debit', to='wallets.operation')),
                ('unit_wallet', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='debits', to='wallets.unitwallet')),
                ('wallet', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='debits', to='wallets.wallet')),
            ],
        ),
        migrations.AddField(
            model_name='creditlot',
            name='wallet',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='lots', to='wallets.wallet'),
        ),
        migrations.AddField(
            model_name='autorefill',
            name='wallet',
            field=models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='auto_refill', to='wallets.wallet'),
        ),
        migrations.CreateModel(
            name='CampaignGrant',
            fields=[
                ('id', models.UUIDField(default=aforo.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('cause', models.CharField(help_text='The subscription or top-up, the month, or the words code and everybody.', max_length=64)),
                ('quantity', models.DecimalField(decimal_places=12, max_digits=38)),
                ('granted_at', models.DateTimeField()),
                ('book', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='campaign_grants', to='ledger.book')),
                ('campaign', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='given', to='pricing.campaign')),
                ('lot', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='campaign_grant', to='wallets.creditlot')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('campaign', 'book', 'cause'), name='wallets_campaigngrant_once'), models.CheckConstraint(condition=models.Q(('quantity__gt', 0)), name='wallets_campaigngrant_some')],
            },
        ),
        migrations.CreateModel(
            name='Movement',
            fields=[
                ('id', models.UUIDField(default=aforo.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('position', models.PositiveSmallIntegerField()),
                ('kind', models.CharField(choices=[('GRANT', 'Grant'), ('HOLD', 'Hold'), ('RELEASE', 'Release'), ('BURN', 'Burn'), ('EXPIRE', 'Expire'), ('ROLLOVER', 'Rollover'), ('REVERSE', 'Reverse'), ('REFUND', 'Refund'), ('ADJUST', 'Adjust')], max_length=8)),
                ('quantity', models.DecimalField(decimal_places=12, max_digits=38)),
                ('carrying', models.DecimalField(decimal_places=12, max_digits=38)),
                ('balance_after', models.DecimalField(decimal_places=12, max_digits=38)),
                ('held_after', models.DecimalField(decimal_places=12, max_digits=38)),
                ('wallet_balance_after', models.DecimalField(decimal_places=12, max_digits=38)),
                ('book', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.PROTECT, related_name='movements', to='ledger.book')),
                ('entry', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='ledger.entry')),
                ('lot', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='movements', to='wallets.creditlot')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('entry', 'position'), name='wallets_movement_position'), models.CheckConstraint(condition=models.Q(('balance_after__gte', 0), ('carrying__gte', 0), ('quantity__gt', 0)), name='wallets_movement_amounts'), models.CheckConstraint(condition=models.Q(('held_after__gte', 0), ('held_after__lte', models.F('balance_after'))), name='wallets_movement_held'), models.CheckConstraint(condition=models.Q(('wallet_balance_after__gte', models.F('balance_after'))), name='wallets_movement_wallet_balance')],
            },
        ),
        migrations.AddConstraint(
            model_name='operation',
            constraint=models.UniqueConstraint(fields=('book', 'key'), name='wallets_operation_key'),
        ),
        migrations.AddConstraint(
            model_name='hold',
            constraint=models.UniqueConstraint(fields=('reservation', 'position'), name='wallets_hold_position'),
        ),
        migrations.AddConstraint(
            model_name='hold',
            constraint=models.CheckConstraint(condition=models.Q(('captured__gte', 0), ('quantity__gt', 0), ('quantity__gte', django.db.models.expressions.CombinedExpression(models.F('captured'), '+', models.F('released'))), ('released__gte', 0)), name='wallets_hold_ends_once'),
        ),
        migrations.AddIndex(
            model_name='topup',
            index=models.Index(condition=models.Q(('status', 'PENDING')), fields=['created_at'], name='wallets_topup_pending'),
        ),
        migrations.AddConstraint(
            model_name='topup',
            constraint=models.UniqueConstraint(condition=models.Q(('status', 'PENDING'), models.Q(('key', ''), _negated=True)), fields=('book', 'key'), name='wallets_topup_one_pending'),
        ),
        migrations.AddConstraint(
            model_name='topup',
            constraint=models.UniqueConstraint(condition=models.Q(('status', 'PENDING')), fields=('auto_refill',), name='wallets_topup_one_refill'),
        ),
        migrations.AddConstraint(
            model_name='topup',
            constraint=models.CheckConstraint(condition=models.Q(('amount__gt', 0)), name='wallets_topup_amount'),
        ),
        migrations.AddConstraint(
            model_name='topup',
            constraint=models.CheckConstraint(condition=models.Q(('amount', None), ('amount', django.db.models.functions.math.Round(models.F('amount'), precision=models.Case(models.When(models.Q(('currency__in', ['CLP', 'JPY', 'KRW'])), then=models.Value(0)), models.When(models.Q(('currency__in', ['BHD', 'KWD'])), then=models.Value(3)), default=models.Value(2)))), _connector='OR'), name='wallets_topup_payable'),
        ),
        migrations.AddConstraint(
            model_name='topup',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('disputed', None), ('disputed', django.db.models.functions.math.Round(models.F('disputed'), precision=models.Case(models.When(models.Q(('currency__in', ['CLP', 'JPY', 'KRW'])), then=models.Value(0)), models.When(models.Q(('currency__in', ['BHD', 'KWD'])), then=models.Value(3)), default=models.Value(2)))), _connector='OR'), models.Q(('refunded', None), ('refunded', django.db.models.functions.math.Round(models.F('refunded'), precision=models.Case(models.When(models.Q(('currency__in', ['CLP', 'JPY', 'KRW'])), then=models.Value(0)), models.When(models.Q(('currency__in', ['BHD', 'KWD'])), then=models.Value(3)), default=models.Value(2)))), _connector='OR')), name='wallets_topup_paid_back_payable'),
        ),
        migrations.AddConstraint(
            model_name='topup',
            constraint=models.CheckConstraint(condition=models.Q(('disputed__gte', 0), ('refunded__gte', 0), ('refunded__lte', models.F('amount')), models.Q(('dispute__in', ['', 'won']), ('refunded__lte', django.db.models.expressions.CombinedExpression(models.F('amount'), '-', models.F('disputed'))), _connector='OR')), name='wallets_topup_paid_back'),
        ),
        migrations.AddConstraint(
            model_name='topup',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('bonus', None), ('bonus_metric', None)), ('bonus__gt', 0), _connector='OR'), name='wallets_topup_bonus'),
        ),
        migrations.AddConstraint(
            model_name='topup',
            constraint=models.CheckConstraint(condition=models.Q(('bonus_unit_price', None), models.Q(('bonus_metric__isnull', False), ('bonus_unit_price__gt', 0)), _connector='OR'), name='wallets_topup_bonus_price'),
        ),
        migrations.AddConstraint(
            model_name='topup',
            constraint=models.CheckConstraint(condition=models.Q(('paid_at__isnull', False), models.Q(('status', 'SUCCEEDED'), _negated=True), ('channel', 'ON_ACCOUNT'), _connector='OR'), name='wallets_topup_paid'),
        ),
        migrations.AddConstraint(
            model_name='topup',
            constraint=models.CheckConstraint(condition=models.Q(('failed_at__isnull', False), models.Q(('status', 'FAILED'), _negated=True), _connector='XOR'), name='wallets_topup_failed'),
        ),
        migrations.AddConstraint(
            model_name='topup',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('dispute', ''), ('disputed', 0)), models.Q(models.Q(('dispute', ''), _negated=True), ('status', 'SUCCEEDED')), _connector='OR'), name='wallets_topup_dispute'),
        ),
        migrations.AddConstraint(
            model_name='unitwallet',
            constraint=models.UniqueConstraint(fields=('book', 'metric'), name='wallets_unitwallet_metric'),
        ),
        migrations.AddConstraint(
            model_name='wallet',
            constraint=models.UniqueConstraint(fields=('book', 'currency'), name='wallets_wallet_currency'),
        ),
        migrations.AddConstraint(
            model_name='wallet',
            constraint=models.UniqueConstraint(condition=models.Q(('preferred_at__isnull', False)), fields=('book',), name='wallets_wallet_one_preferred'),
        ),
        migrations.AddConstraint(
            model_name='wallet',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('overage_limit', None), ('overage_limit__gte', 0), _connector='OR'), models.Q(('own_overage_limit', None), ('own_overage_limit__gte', 0), _connector='OR')), name='wallets_wallet_overage_limit'),
        ),
        migrations.AddIndex(
            model_name='reservation',
            index=models.Index(condition=models.Q(('status', 'HELD')), fields=['book', 'expires_at'], name='wallets_reserved'),
        ),
        migrations.AddIndex(
            model_name='reservation',
            index=models.Index(condition=models.Q(('status', 'HELD')), fields=['expires_at'], name='wallets_reserved_due'),
        ),
        migrations.AddIndex(
            model_name='reservation',
            index=models.Index(condition=models.Q(('promised__gt', 0)), fields=['wallet'], name='wallets_reserved_promised'),
        ),
        migrations.AddConstraint(
            model_name='reservation',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('unit_wallet', None), ('wallet__isnull', False)), models.Q(('unit_wallet__isnull', False), ('wallet', None)), _connector='OR'), name='wallets_reservation_one_wallet'),
        ),
        migrations.AddConstraint(
            model_name='reservation',
            constraint=models.CheckConstraint(condition=models.Q(('held__gte', 0), ('held__lte', models.F('quantity')), ('quantity__gte', 0), models.Q(('quantity__gt', 0), ('kind', 'USAGE'), _connector='OR')), name='wallets_reservation_held'),
        ),
        migrations.AddConstraint(
            model_name='reservation',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('entry__isnull', False), ('kind', 'CREDITS')), models.Q(('kind', 'USAGE'), ('wallet__isnull', False)), _connector='OR'), name='wallets_reservation_kind'),
        ),
        migrations.AddConstraint(
            model_name='reservation',
            constraint=models.CheckConstraint(condition=models.Q(('captured__gte', 0)), name='wallets_reservation_captured'),
        ),
        migrations.AddConstraint(
            model_name='reservation',
            constraint=models.CheckConstraint(condition=models.Q(('promised', 0), models.Q(('promised__gt', 0), ('status', 'HELD')), _connector='OR'), name='wallets_reservation_promised'),
        ),
        migrations.AddConstraint(
            model_name='reservation',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('ended_at', None), ('status', 'HELD')), models.Q(models.Q(('status', 'HELD'), _negated=True), ('ended_at__isnull', False)), _connector='OR'), name='wallets_reservation_ended'),
        ),
        migrations.AddConstraint(
            model_name='reservation',
            constraint=models.CheckConstraint(condition=models.Q(('expires_at__gt', models.F('created_at'))), name='wallets_reservation_lifetime'),
        ),
        migrations.AddIndex(
            model_name='debit',
            index=models.Index(condition=models.Q(('overage__gt', django.db.models.expressions.CombinedExpression(models.F('overage_billed'), '+', models.F('overage_reversed')))), fields=['book'], name='wallets_debit_unbilled'),
        ),
        migrations.AddConstraint(
            model_name='debit',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('unit_wallet', None), ('wallet__isnull', False)), models.Q(('unit_wallet__isnull', False), ('wallet', None)), _connector='OR'), name='wallets_debit_one_wallet'),
        ),
        migrations.AddConstraint(
            model_name='debit',
            constraint=models.CheckConstraint(condition=models.Q(('overage__gte', 0), ('overage__lte', models.F('quantity')), ('quantity__gt', 0)), name='wallets_debit_overage'),
        ),
        migrations.AddConstraint(
            model_name='debit',
            constraint=models.CheckConstraint(condition=models.Q(('overage__gte', django.db.models.expressions.CombinedExpression(models.F('overage_billed'), '+', models.F('overage_reversed'))), ('overage_billed__gte', 0), ('overage_reversed__gte', 0)), name='wallets_debit_overage_billed'),
        ),
        migrations.AddConstraint(
            model_name='debit',
            constraint=models.CheckConstraint(condition=models.Q(('reversed__gte', models.F('overage_reversed')), ('reversed__lte', models.F('quantity'))), name='wallets_debit_reversed'),
        ),
        migrations.AddIndex(
            model_name='creditlot',
            index=models.Index(condition=models.Q(('remaining__gt', 0)), fields=['book'], name='wallets_lot_open'),
        ),
        migrations.AddIndex(
            model_name='creditlot',
            index=models.Index(condition=models.Q(('expires_at__isnull', False), ('remaining__gt', 0)), fields=['expires_at'], name='wallets_lot_lapsing'),
        ),
        migrations.AddConstraint(
            model_name='creditlot',
            constraint=models.UniqueConstraint(condition=models.Q(('cause', ''), _negated=True), fields=('book', 'cause'), name='wallets_lot_cause'),
        ),
        migrations.AddConstraint(
            model_name='creditlot',
            constraint=models.UniqueConstraint(condition=models.Q(('subscription_id__isnull', False)), fields=('subscription_id', 'grant_code', 'grant_period'), name='wallets_lot_plan_grant', nulls_distinct=False),
        ),
        migrations.AddConstraint(
            model_name='creditlot',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('grant_code', ''), ('grant_period', None), ('subscription_id', None)), models.Q(('subscription_id__isnull', False), models.Q(('grant_code', ''), _negated=True)), _connector='OR'), name='wallets_lot_granted_by'),
        ),
        migrations.AddConstraint(
            model_name='creditlot',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('unit_wallet', None), ('wallet__isnull', False)), models.Q(('unit_wallet__isnull', False), ('wallet', None)), _connector='OR'), name='wallets_lot_one_wallet'),
        ),
        migrations.AddConstraint(
            model_name='creditlot',
            constraint=models.CheckConstraint(condition=models.Q(('face__gt', 0), ('remaining__gte', 0), ('remaining__lte', models.F('face'))), name='wallets_lot_remaining'),
        ),
        migrations.AddConstraint(
            model_name='creditlot',
            constraint=models.CheckConstraint(condition=models.Q(('held__gte', 0), ('held__lte', models.F('remaining'))), name='wallets_lot_held'),
        ),
        migrations.AddConstraint(
            model_name='creditlot',
            constraint=models.CheckConstraint(condition=models.Q(('lapsing__gte', 0), ('lapsing__lte', models.F('held')), models.Q(('lapsing', 0), ('lapsing_since__isnull', False), _connector='OR')), name='wallets_lot_lapsing_held'),
        ),
        migrations.AddConstraint(
            model_name='creditlot',
            constraint=models.CheckConstraint(condition=models.Q(('carrying__gte', 0), ('carrying_remaining__gte', 0), ('carrying_remaining__lte', models.F('carrying'))), name='wallets_lot_carrying'),
        ),
        migrations.AddConstraint(
            model_name='creditlot',
            constraint=models.CheckConstraint(condition=models.Q(('remaining__gt', 0), ('carrying_remaining', 0), _connector='OR'), name='wallets_lot_carrying_spent'),
        ),
        migrations.AddConstraint(
            model_name='creditlot',
            constraint=models.CheckConstraint(condition=models.Q(('expires_at', None), ('expires_at__gt', models.F('effective_at')), _connector='OR'), name='wallets_lot_lifetime'),
        ),
        migrations.AddConstraint(
            model_name='autorefill',
            constraint=models.CheckConstraint(condition=models.Q(('amount__gt', 0), ('threshold__gte', 0)), name='wallets_refill_amounts'),
        ),
        migrations.AddConstraint(
            model_name='autorefill',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('max_per_day', None), ('max_per_day__gt', 0), _connector='OR'), models.Q(('max_per_month', None), ('max_per_month__gt', 0), _connector='OR')), name='wallets_refill_caps'),
        ),
    ]
