"""One file a target: its columns, and how a journal becomes lines
(docs/accounting.md#files). Pure.
"""

from __future__ import annotations

from ledger.exports.formats import fec, intacct, netsuite, quickbooks, xero
from ledger.exports.formats.target import Company, ExportTarget, MappedJournal

TARGETS: dict[str, ExportTarget] = {
    "QUICKBOOKS": quickbooks.TARGET,
    "XERO": xero.TARGET,
    "NETSUITE": netsuite.TARGET,
    "INTACCT": intacct.TARGET,
    "FEC": fec.TARGET,
}

__all__ = ["TARGETS", "Company", "ExportTarget", "MappedJournal"]
