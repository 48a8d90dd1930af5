"""What issued documents say, kept as it was issued."""

from __future__ import annotations

from django.db import models

from aforo.ids import new_id
from billing.models.invoices import Document
from ledger.models import Book


class IssuedDocument(models.Model):
    """The whole content of an issued invoice, statement or credit note, as canonical text.

    Guarantees: never changed or deleted; `sha256` is that of the text's bytes in UTF-8. Its HTML
    and PDF are made of nothing else.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    book = models.ForeignKey(Book, on_delete=models.PROTECT, related_name="documents")
    livemode = models.BooleanField()
    document = models.CharField(max_length=11, choices=Document.choices)
    number = models.CharField(max_length=40)
    subject = models.UUIDField(
        unique=True, help_text="The id of the invoice, settlement or credit note."
    )
    body = models.TextField()
    sha256 = models.CharField(max_length=64)
    issued_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["livemode", "document", "number"], name="billing_issueddocument_number"
            )
        ]

    def __str__(self) -> str:
        return self.number


class FileFormat(models.TextChoices):
    HTML = "HTML"
    PDF = "PDF"


class DocumentFile(models.Model):
    """A document as a file, made once, at its first reading.

    Guarantees: never changed or deleted, so that whoever reads it has the same bytes, whatever
    becomes of the template.
    """

    document = models.ForeignKey(IssuedDocument, on_delete=models.PROTECT, related_name="files")
    format = models.CharField(max_length=4, choices=FileFormat.choices)
    content = models.BinaryField()
    sha256 = models.CharField(max_length=64)
    made_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["document", "format"], name="billing_documentfile_once")
        ]

    def __str__(self) -> str:
        return f"{self.document.number}.{self.format.lower()}"
