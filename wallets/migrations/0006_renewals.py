"""Each wallet says when its customer renews, and where its overage limit counts from."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('wallets', '0005_promised_overage'),
    ]

    operations = [
        migrations.AddField(
            model_name='unitwallet',
            name='cycle_starts_at',
            field=models.DateTimeField(blank=True, help_text='The overage limit counts from here.', null=True),
        ),
        migrations.AddField(
            model_name='unitwallet',
            name='renews_at',
            field=models.DateTimeField(blank=True, help_text="When the first of the customer's cycles ends: what is asked later waits for the renewal. Kept by the database with the subscriptions.", null=True),
        ),
        migrations.AddField(
            model_name='wallet',
            name='cycle_starts_at',
            field=models.DateTimeField(blank=True, help_text='The overage limit counts from here.', null=True),
        ),
        migrations.AddField(
            model_name='wallet',
            name='renews_at',
            field=models.DateTimeField(blank=True, help_text="When the first of the customer's cycles ends: what is asked later waits for the renewal. Kept by the database with the subscriptions.", null=True),
        ),
    ]
