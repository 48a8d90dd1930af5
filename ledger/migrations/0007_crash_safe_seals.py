"""A seal is committed before its copy is written, and says that it is kept once it is."""

from django.db import migrations, models

# Every seal before this one had its copy before it was committed.
KEPT = """
INSERT INTO ledger_sealcopy (livemode, number, kept_at)
SELECT livemode, number, sealed_at FROM ledger_seal;
CREATE TRIGGER ledger_sealcopy_append_only BEFORE UPDATE OR DELETE ON ledger_sealcopy
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
ALTER TABLE ledger_sealcopy ENABLE ALWAYS TRIGGER ledger_sealcopy_append_only;
"""
NOT_KEPT = "DROP TRIGGER ledger_sealcopy_append_only ON ledger_sealcopy;"


class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0006_seals_wait_for_no_book'),
    ]

    operations = [
        migrations.CreateModel(
            name='SealCopy',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('livemode', models.BooleanField()),
                ('number', models.PositiveIntegerField()),
                ('kept_at', models.DateTimeField()),
            ],
        ),
        migrations.AddField(
            model_name='seal',
            name='daily_on',
            field=models.DateField(blank=True, help_text='The day that it seals; none at the close of a month.', null=True),
        ),
        migrations.AddField(
            model_name='seal',
            name='lost',
            field=models.JSONField(blank=True, default=list, help_text='[{number, hash}] of seals lost by a restore.'),
        ),
        migrations.AddField(
            model_name='seal',
            name='reason',
            field=models.TextField(blank=True, help_text='Why it goes on after lost seals.'),
        ),
        migrations.AddConstraint(
            model_name='seal',
            constraint=models.UniqueConstraint(fields=('livemode', 'prev_hash'), name='ledger_seal_follows'),
        ),
        migrations.AddConstraint(
            model_name='seal',
            constraint=models.UniqueConstraint(fields=('livemode', 'daily_on'), name='ledger_seal_daily'),
        ),
        migrations.AddConstraint(
            model_name='sealcopy',
            constraint=models.UniqueConstraint(fields=('livemode', 'number'), name='ledger_sealcopy_once'),
        ),
        migrations.RunSQL(KEPT, NOT_KEPT),
    ]
