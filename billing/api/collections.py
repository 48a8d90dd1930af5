"""What corrects and settles an invoice: `/v1/invoices/{reference}/write-off`."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request

from aforo.access.models import ApiScope
from aforo.api.fields import StrictSerializer
from aforo.api.idempotency import respond
from aforo.api.views import ApiView
from billing.invoicing import write_offs


class WriteOffBody(StrictSerializer):
    reason = serializers.CharField(max_length=300)
    tax_relief = serializers.BooleanField(
        required=False, help_text="The law relieves the tax in it, so that it is not owed any more."
    )
    idempotency_key = serializers.CharField(max_length=255, required=False)


class WriteOffAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    customer_id = serializers.CharField()
    invoice = serializers.CharField()
    status = serializers.CharField()
    currency = serializers.CharField()
    written_off = serializers.CharField()
    tax_relieved = serializers.CharField()
    unearned = serializers.CharField(help_text="Fees in advance that nobody will earn.")
    revoked = serializers.CharField(help_text="What the unspent credits carried that are gone.")
    loss = serializers.CharField(help_text="The rest: off the allowance, or an expense.")
    reason = serializers.CharField()
    entry = serializers.UUIDField()
    occurred_at = serializers.DateTimeField()


class WriteOffView(ApiView):
    scope = ApiScope.BILLING
    names = {"post": "writeOffInvoice"}
    refusals = ("unknown_invoice", "invoice_not_open", "credits_held_back")
    operation = write_offs.WRITE_OFF

    @extend_schema(request=WriteOffBody, responses=WriteOffAnswer)
    def post(self, request: Request, reference: str) -> HttpResponse:
        """Write off what is open of an invoice: it is UNCOLLECTIBLE then, and recovered where it is
        paid after all.
        """
        key, body = self.read_keyed(WriteOffBody, request)
        return respond(
            write_offs.write_off(livemode=self.livemode, invoice=reference, key=key, **body)
        )
