"""What a top-up was taxed when it was sold, and what of that was paid back."""

from django.db import migrations, models
from django.db.models import F, Q

import aforo.payable

_KEPT = """
CREATE OR REPLACE TRIGGER wallets_topup_kept BEFORE UPDATE OR DELETE ON wallets_topup
    FOR EACH ROW EXECUTE FUNCTION ledger_frozen_but(
        status, asked, ask_again_at, paid_at, failed_at, paid_by, dispute, disputed, dispute_fee,
        refunded%s);
ALTER TABLE wallets_topup ENABLE ALWAYS TRIGGER wallets_topup_kept;
"""
KEPT, FORMER = _KEPT % ", tax_refunded", _KEPT % ""


class Migration(migrations.Migration):
    dependencies = [("wallets", "0011_refill_caps")]
    operations = [
        migrations.AlterField(
            model_name="topup",
            name="refunded",
            field=models.DecimalField(
                decimal_places=12,
                default=0,
                help_text="What was paid back of the amount, without tax.",
                max_digits=38,
            ),
        ),
        migrations.AddField(
            model_name="topup",
            name="taxed_at_sale",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name="topup",
            name="tax",
            field=models.DecimalField(
                db_default=0,
                decimal_places=12,
                default=0,
                help_text="Charged on top of the amount, when it was sold.",
                max_digits=38,
            ),
        ),
        migrations.AddField(
            model_name="topup",
            name="tax_rate",
            field=models.JSONField(blank=True, help_text="By which it was taxed.", null=True),
        ),
        migrations.AddField(
            model_name="topup",
            name="tax_refunded",
            field=models.DecimalField(
                db_default=0,
                decimal_places=12,
                default=0,
                help_text="Paid back with it.",
                max_digits=38,
            ),
        ),
        migrations.RemoveConstraint(model_name="topup", name="wallets_topup_paid_back"),
        migrations.AddConstraint(
            model_name="topup",
            constraint=models.CheckConstraint(
                condition=Q(disputed__gte=0, refunded__gte=0, refunded__lte=F("amount"))
                & (
                    Q(dispute__in=["", "won"])
                    | Q(refunded__lte=F("amount") + F("tax") - F("tax_refunded") - F("disputed"))
                ),
                name="wallets_topup_paid_back",
            ),
        ),
        migrations.AddConstraint(
            model_name="topup",
            constraint=models.CheckConstraint(
                condition=aforo.payable.columns("tax", "tax_refunded")
                & Q(tax__gte=0, tax_refunded__gte=0, tax_refunded__lte=F("tax"))
                & (Q(tax=0) | Q(taxed_at_sale=True, tax_rate__isnull=False)),
                name="wallets_topup_tax",
            ),
        ),
        migrations.RunSQL(KEPT, FORMER),
    ]
