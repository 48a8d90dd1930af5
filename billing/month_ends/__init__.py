"""Month's ends: what open cycles have burned and earned by the end of a month, dated there."""
