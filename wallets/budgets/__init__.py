"""Budgets: limits on what a part of a customer's use may take of its credits.

`windows` says which hour, day or cycle counts; `counting` is what the engine asks: check and count
what a request takes; `counters` carries what entries change of the counters to the database, and
what a reservation holds of them; `budgets` makes, changes and ends them; `figures` shows them.
"""
