"""Documents as files, kept as they were made first."""

import django.db.models.deletion
from django.db import migrations, models

APPEND_ONLY = """
ALTER TABLE billing_documentfile ADD CONSTRAINT billing_documentfile_sha256
    CHECK (sha256 = encode(sha256(content), 'hex'));
CREATE TRIGGER billing_documentfile_append_only BEFORE UPDATE OR DELETE ON billing_documentfile
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
ALTER TABLE billing_documentfile ENABLE ALWAYS TRIGGER billing_documentfile_append_only;
"""
NOT_ANY_MORE = """
DROP TRIGGER billing_documentfile_append_only ON billing_documentfile;
ALTER TABLE billing_documentfile DROP CONSTRAINT billing_documentfile_sha256;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0017_coupons'),
    ]

    operations = [
        migrations.CreateModel(
            name='DocumentFile',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('format', models.CharField(choices=[('HTML', 'Html'), ('PDF', 'Pdf')], max_length=4)),
                ('content', models.BinaryField()),
                ('sha256', models.CharField(max_length=64)),
                ('made_at', models.DateTimeField(auto_now_add=True)),
                ('document', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='files', to='billing.issueddocument')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('document', 'format'), name='billing_documentfile_once')],
            },
        ),
        migrations.RunSQL(APPEND_ONLY, NOT_ANY_MORE),
    ]
