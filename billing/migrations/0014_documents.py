"""Issued documents: kept as canonical text with its hash, and refused any change by the database."""

import aforo.ids
import django.db.models.deletion
from django.db import migrations, models

# The text is the document: the database itself computes what its hash has to be.
DOCUMENTS = """
ALTER TABLE billing_issueddocument ADD CONSTRAINT billing_issueddocument_sha256
    CHECK (sha256 = encode(sha256(convert_to(body, 'UTF8')), 'hex'));
CREATE TRIGGER billing_issueddocument_append_only BEFORE UPDATE OR DELETE ON billing_issueddocument
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
ALTER TABLE billing_issueddocument ENABLE ALWAYS TRIGGER billing_issueddocument_append_only;
"""
ANY_DOCUMENTS = """
DROP TRIGGER billing_issueddocument_append_only ON billing_issueddocument;
ALTER TABLE billing_issueddocument DROP CONSTRAINT billing_issueddocument_sha256;
"""

# Of an issued invoice only its state changes: what is paid, credited, written off, and its status.
# A number, and what a document says, is set once; an earlier version did not write the latter.
FROZEN = """
CREATE FUNCTION billing_set_once() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY TG_ARGV LOOP
        IF to_jsonb(OLD) -> name <> 'null'::jsonb
            AND to_jsonb(OLD) -> name IS DISTINCT FROM to_jsonb(NEW) -> name
        THEN
            RAISE EXCEPTION '% of % is set once: UPDATE refused', name, TG_TABLE_NAME
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
    END LOOP;
    RETURN NEW;
END $$;

CREATE TRIGGER billing_invoice_kept BEFORE UPDATE OR DELETE ON billing_invoice
    FOR EACH ROW WHEN (OLD.number IS NOT NULL)
    EXECUTE FUNCTION ledger_frozen_but(
        status, paid, credited, returned, written_off, recovered, tax_relieved, content);
ALTER TABLE billing_invoice ENABLE ALWAYS TRIGGER billing_invoice_kept;
CREATE TRIGGER billing_invoice_once BEFORE UPDATE ON billing_invoice
    FOR EACH ROW WHEN (OLD.number IS NOT NULL) EXECUTE FUNCTION billing_set_once(content);
ALTER TABLE billing_invoice ENABLE ALWAYS TRIGGER billing_invoice_once;

CREATE FUNCTION billing_line_of_draft() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM billing_invoice WHERE id = NEW.invoice_id AND number IS NOT NULL) THEN
        RAISE EXCEPTION 'the invoice % is issued: INSERT of a line refused', NEW.invoice_id
            USING ERRCODE = 'integrity_constraint_violation', HINT = 'Issue another invoice.';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_invoiceline_of_draft BEFORE INSERT ON billing_invoiceline
    FOR EACH ROW EXECUTE FUNCTION billing_line_of_draft();
ALTER TABLE billing_invoiceline ENABLE ALWAYS TRIGGER billing_invoiceline_of_draft;
CREATE TRIGGER billing_invoiceline_append_only BEFORE UPDATE OR DELETE ON billing_invoiceline
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
ALTER TABLE billing_invoiceline ENABLE ALWAYS TRIGGER billing_invoiceline_append_only;

CREATE OR REPLACE TRIGGER billing_settlement_kept BEFORE UPDATE OR DELETE ON billing_settlement
    FOR EACH ROW WHEN (OLD.status <> 'SEALED') EXECUTE FUNCTION ledger_frozen_but(
        status, statement_number, content, arrears, arrears_tax, arrears_paid, late_adjusted,
        rolled_on);
ALTER TABLE billing_settlement ENABLE ALWAYS TRIGGER billing_settlement_kept;
CREATE TRIGGER billing_settlement_once BEFORE UPDATE ON billing_settlement
    FOR EACH ROW WHEN (OLD.status <> 'SEALED')
    EXECUTE FUNCTION billing_set_once(statement_number, content);
ALTER TABLE billing_settlement ENABLE ALWAYS TRIGGER billing_settlement_once;

CREATE TRIGGER billing_invoiceseries_kept BEFORE UPDATE OR DELETE ON billing_invoiceseries
    FOR EACH ROW EXECUTE FUNCTION ledger_frozen_but(last_number);
ALTER TABLE billing_invoiceseries ENABLE ALWAYS TRIGGER billing_invoiceseries_kept;
CREATE FUNCTION billing_series_ascends() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the series % counts up by one: UPDATE refused', OLD.prefix
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER billing_invoiceseries_ascends BEFORE UPDATE ON billing_invoiceseries
    FOR EACH ROW WHEN (NEW.last_number <> OLD.last_number + 1)
    EXECUTE FUNCTION billing_series_ascends();
ALTER TABLE billing_invoiceseries ENABLE ALWAYS TRIGGER billing_invoiceseries_ascends;
"""
NOT_FROZEN = """
DROP TRIGGER billing_invoiceseries_ascends ON billing_invoiceseries;
DROP FUNCTION billing_series_ascends();
DROP TRIGGER billing_invoiceseries_kept ON billing_invoiceseries;
DROP TRIGGER billing_settlement_once ON billing_settlement;
CREATE OR REPLACE TRIGGER billing_settlement_kept BEFORE UPDATE OR DELETE ON billing_settlement
    FOR EACH ROW WHEN (OLD.status <> 'SEALED') EXECUTE FUNCTION ledger_frozen_but(
        status, statement_number, arrears, arrears_tax, arrears_paid, late_adjusted, rolled_on);
ALTER TABLE billing_settlement ENABLE ALWAYS TRIGGER billing_settlement_kept;
DROP TRIGGER billing_invoiceline_append_only ON billing_invoiceline;
DROP TRIGGER billing_invoiceline_of_draft ON billing_invoiceline;
DROP FUNCTION billing_line_of_draft();
DROP TRIGGER billing_invoice_once ON billing_invoice;
DROP TRIGGER billing_invoice_kept ON billing_invoice;
DROP FUNCTION billing_set_once();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0013_write_offs'),
        ('ledger', '0005_evidence'),
    ]

    operations = [
        migrations.CreateModel(
            name='IssuedDocument',
            fields=[
                ('id', models.UUIDField(default=aforo.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('book', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='documents', to='ledger.book')),
                ('livemode', models.BooleanField()),
                ('document', models.CharField(choices=[('INVOICE', 'Invoice'), ('STATEMENT', 'Statement of a PREPAID settlement'), ('CREDIT_NOTE', 'Credit note')], max_length=11)),
                ('number', models.CharField(max_length=40)),
                ('subject', models.UUIDField(help_text='The id of the invoice, settlement or credit note.', unique=True)),
                ('body', models.TextField()),
                ('sha256', models.CharField(max_length=64)),
                ('issued_at', models.DateTimeField()),
            ],
        ),
        migrations.AddField(
            model_name='customer',
            name='address',
            field=models.TextField(blank=True, db_default='', default='', help_text='As documents show it, line by line.'),
        ),
        migrations.AddField(
            model_name='invoice',
            name='content',
            field=models.JSONField(blank=True, help_text='What its document says beside these columns: lines, payers, taxes.', null=True),
        ),
        migrations.AddField(
            model_name='settlement',
            name='content',
            field=models.JSONField(blank=True, help_text='What the statement of a PREPAID settlement says: lines, payers, taxes.', null=True),
        ),
        migrations.AlterField(
            model_name='invoiceseries',
            name='document',
            field=models.CharField(choices=[('INVOICE', 'Invoice'), ('STATEMENT', 'Statement of a PREPAID settlement'), ('CREDIT_NOTE', 'Credit note')], default='INVOICE', max_length=11),
        ),
        migrations.AddIndex(
            model_name='invoice',
            index=models.Index(condition=models.Q(('content__isnull', True), ('number__isnull', False)), fields=['customer'], name='billing_invoice_undocumented'),
        ),
        migrations.AddIndex(
            model_name='settlement',
            index=models.Index(condition=models.Q(('content__isnull', True), ('statement_number__isnull', False)), fields=['book'], name='billing_stmt_undocumented'),
        ),
        migrations.AddConstraint(
            model_name='issueddocument',
            constraint=models.UniqueConstraint(fields=('livemode', 'document', 'number'), name='billing_issueddocument_number'),
        ),
        migrations.RunSQL(DOCUMENTS, ANY_DOCUMENTS),
        migrations.RunSQL(FROZEN, NOT_FROZEN),
    ]
