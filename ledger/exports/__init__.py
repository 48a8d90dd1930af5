"""Files for the company's general ledger: summarised journals that balance, in numbered batches.

`journals` sums and rounds (pure), `formats` writes each target's file (pure), `batches` decides
what goes into one, `storage` keeps its files.
"""
