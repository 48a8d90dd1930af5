"""How dates are written: as in the files, whatever the language."""
