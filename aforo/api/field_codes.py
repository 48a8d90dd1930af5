"""The codes of invalid fields: when each comes, and what to do.

A field's code stands in `errors` of a 422, and is the code of the whole problem where one field
alone is invalid. What each field takes, its sentence says.
"""

from __future__ import annotations

from typing import Final

from aforo.errors import Advice

FIELD_CODES: Final[dict[str, Advice]] = {
    # What is there and what is not.
    "required": ("The field is missing, and needed here.", "Send it."),
    "null": ("The field is null, which it cannot be.", "Leave it out, or send a value."),
    "blank": ("The field is empty.", "Send a value, or leave it out."),
    "empty": ("The list or object is empty.", "Send at least one entry."),
    "unknown_field": (
        "There is no such field.",
        "Leave it out; the sentence names those there are.",
    ),
    "unknown_filter": (
        "There is no such query parameter.",
        "Leave it out; the sentence names those there are.",
    ),
    "repeated": ("Something is given twice.", "Give it once."),
    # Forms.
    "invalid": ("The value has not the form of this field.", "The sentence says what it takes."),
    "invalid_type": (
        "The value is of another JSON type.",
        "Send the type that the sentence names.",
    ),
    "invalid_choice": ("The value is none of those allowed.", "Send one of those named."),
    "invalid_value": ("A filter compares with a value that it cannot.", "See the sentence."),
    "invalid_number": ("The value is no decimal number.", "Send one such as 12.50 or its string."),
    "invalid_time": ("The value is no time with its zone.", "Write ISO 8601 with Z or an offset."),
    "invalid_period": ("The value is no month.", "Write it as YYYY-MM."),
    "invalid_network": (
        "The text is no IP address and no network.",
        "Write 203.0.113.7 or 203.0.113.0/24, without host bits.",
    ),
    "invalid_page_size": ("The page size is no number from 1 to 500.", "Send one that is."),
    "invalid_cursor": (
        "The cursor is not of this list in this order.",
        "Follow `next` as it was answered.",
    ),
    "date": ("A time was sent where a day is taken, or the other way round.", "Send a day."),
    "datetime": ("A day was sent where a time is taken.", "Send a time with its zone."),
    "not_a_list": ("The value is no list.", "Send a list."),
    "not_a_dict": ("The value is no object.", "Send an object."),
    "control_characters": ("The text has control characters.", "Send one line of text."),
    "null_characters_not_allowed": ("The text has a NUL character.", "Send it without."),
    "surrogate_characters_not_allowed": (
        "The text has half of a surrogate pair, which is no character.",
        "Send valid Unicode.",
    ),
    "unreadable": ("A line of a file of events cannot be read.", "Mend the line."),
    "unsupported": ("A CloudEvent is of a kind that cannot be metered.", "See the sentence."),
    # Lengths and bounds.
    "max_length": ("The text is too long.", "Shorten it."),
    "min_length": ("The text or list is too short.", "Lengthen it."),
    "max_value": ("The number is too large.", "Send at most what the sentence names."),
    "min_value": ("The number is too small.", "Send at least what the sentence names."),
    "max_string_length": ("The number has too many characters.", "Send a shorter one."),
    "too_long": ("A line of a file of events is too long.", "Send the event in fewer bytes."),
    "too_large": ("The number is too large.", "Send one within the bound that is named."),
    "too_small": ("The number is too small.", "Send one within the bound that is named."),
    "too_many": ("The list or object has too many members.", "Send fewer at once."),
    "too_many_rows": ("The report has too many rows for a workbook.", "Ask for it as CSV."),
    "too_many_cells": ("A line of receipts has more than two cells.", "Mend the line."),
    "too_many_groups": (
        "An attribute has more values than an answer has room for.",
        "Ask for less time, or for one value.",
    ),
    "too_many_members": ("An event has too many properties.", "Send fewer."),
    "too_many_decimals": ("The number has too many decimals.", "Round it before."),
    "too_many_budgets": (
        "The customer has as many budgets as it can.",
        "End one, or count one per value of an attribute.",
    ),
    "not_countable": (
        "The metric is not one of which a budget can count each event alone.",
        "Take one that sums quantities or counts events, without filters.",
    ),
    "too_deep": ("Properties are nested too deep.", "Nest them less."),
    "number_too_long": ("A property to be added up has too many digits.", "Round it before."),
    "out_of_range": ("The value lies outside what can be reckoned with.", "See the sentence."),
    "out_of_bounds": ("The number lies outside its bounds.", "Send one within them."),
    "negative": ("The number is below zero.", "Send zero or more."),
    "not_positive": ("The number is not above zero.", "Send more than zero."),
    "not_payable": (
        "The amount has more decimals than its currency can pay.",
        "Round it to the currency's decimals.",
    ),
    # Times that do not go together.
    "in_the_future": ("The time is later than now allows.", "Send an earlier one."),
    "in_the_past": ("The time is over.", "Send a later one."),
    "too_early": ("The subscription would start too far back.", "Start it later."),
    "too_late": ("The subscription would start too far ahead.", "Start it sooner."),
    "period_settled": (
        "The time lies in a cycle that is settled.",
        "Use a later time; late usage in arrears goes to /v1/ingest.",
    ),
    "before_start": ("The end lies before the start.", "Send a later end."),
    "before_end": ("Credits would expire before the campaign ends.", "Let them live longer."),
    "before_from": ("`to` is not later than `from`.", "Send a later `to`."),
    "not_after_from": ("`to` is not later than `from`.", "Send a later `to`."),
    "two_expiries": ("Two ways of expiring are given.", "Give one."),
    # Attributes that a list is asked by.
    "invalid_attributes": ("The attributes are no JSON object of texts.", "Write them so."),
    # Fields that do not go together.
    "conflict": ("Two fields exclude each other.", "Give one of them."),
    "ambiguous": ("The same thing is said twice, in two ways.", "Say it once."),
    "not_combinable": ("The field has no meaning beside another one.", "Leave one of them out."),
    "bonus_only": ("A top-up campaign grants BONUS credits.", "Set `kind` to BONUS."),
    "below_minimum": ("The amount is below the minimum.", "Raise it."),
    "below_amount": ("A cap is below the amount of one refill.", "Raise the cap."),
    "above_maximum": ("The amount is above the maximum.", "Lower it."),
    "minimum_above_maximum": (
        "A minimum is above its maximum.",
        "Lower the one or raise the other.",
    ),
    "above_limit": ("The correction is above the policy's limit.", "Split it, or raise the limit."),
    "below_one_grant": ("The budget does not pay for one grant.", "Raise the budget."),
    "not_ascending": ("The bounds of tiers do not ascend.", "Order them."),
    "open_end_missing": ("The last tier has an end.", "Set its `up_to` to null."),
    "open_end_not_last": ("A tier before the last one has no end.", "Give it an `up_to`."),
    "unknown_mode": ("There is no such mode of rollover.", "Send one of those named."),
    "unknown_model": ("There is no such pricing model.", "Send one of those named."),
    "not_in_advance": ("Only fees are charged in advance.", "Set `timing` to ARREARS."),
    "not_monthly": ("An anchor day belongs to months and years.", "Leave it out."),
    "not_for_everybody": ("Only a campaign for everybody has a run.", "Use its own trigger."),
    "not_for_generic": ("The generic export has no clearing account.", "Leave it out."),
    "insufficient_balance": (
        "The correction takes more from an account than the customer has there.",
        "The sentence says what the customer has; take no more.",
    ),
    "month_closed": (
        "The month of the accrual is closed.",
        "Have it opened again, by two people, and accrue then.",
    ),
    "month_not_over": (
        "The month of the accrual is not over.",
        "Accrue once it is; it is taken back on the first of the next month.",
    ),
    "customer_required": (
        "The account is kept by customer, and none is named.",
        "Name the customer whom the correction is about.",
    ),
    "not_allowed": ("The accounts are no pair that a correction may move.", "Use another pair."),
    # Objects that are named and are not there.
    "code_taken": ("The code is taken.", "Choose another one."),
    "reserved": ("The code is an address of the API.", "Choose another one."),
    "reserved_id": ("The id is an address of the API.", "Choose another one."),
    "reused": ("The external id was used for another balance.", "Use one id for one balance."),
    "unknown_customer": ("There is no such customer.", "Create it first."),
    "unknown_metric": ("There is no such metric.", "Define it first, by POST /v1/metrics."),
    "unknown_offering": ("There is no such offering.", "Take one of GET /v1/offerings."),
    "unknown_rate_plan": ("There is no such rate plan.", "Take one of GET /v1/rate-plans."),
    "unknown_coupon": ("There is no such coupon.", "Take one of GET /v1/coupons."),
    "coupon_over": ("The coupon has ended.", "Use another coupon."),
    "unknown_top_up": ("The customer has no such top-up.", "Take one of its top-ups."),
    "unknown_code": ("No campaign has this redemption code.", "Check its spelling."),
    "unknown_currency": (
        "The currency is not supported, and no credit unit either.",
        "Use an ISO 4217 code in use, or one of GET /v1/credit-units where credits are meant.",
    ),
    "inactive_unit": ("No new credits of the unit are made.", "Use another unit."),
    "no_rate": (
        "The credit unit is not sold in this currency.",
        "Pay in one of the currencies that the sentence names.",
    ),
    "no_price": (
        "The pack has no price in this currency.",
        "Pay in one of the currencies that the sentence names.",
    ),
    "not_available": ("The pack is not sold at this time.", "Take one that is offered now."),
    "pack_limit": ("The customer has bought the pack as often as it may.", "Take another one."),
    "unknown_pack": ("There is no such pack.", "Take one of GET /v1/packs."),
    "buys_no_credit": ("The amount is less than one credit costs.", "Pay more."),
    "paid_currencies": (
        "The credits were paid in several currencies.",
        "Name the purchase that is refunded: `top_up`.",
    ),
    "unknown_timezone": ("There is no such time zone.", "Write one such as Europe/Madrid."),
    "unknown_payment_method": (
        "There is no such payment method.",
        "In the sandbox use test_ok, test_declined, test_delayed or test_delayed_declined.",
    ),
    "invalid_tax_id": (
        "The number is no VAT number of its state of the European Union.",
        "The sentence says what is wrong with it: its form, its length or its check digits.",
    ),
    "invalid_url": (
        "The address cannot be sent to.",
        "Write one such as https://example.com/hook.",
    ),
    "https_required": ("In live mode webhooks go over TLS only.", "Write an address with https."),
    "unresolvable": ("The host of the address has no address.", "Check its spelling."),
    "address_refused": (
        "The host is, or leads to, an address that is not of the public internet.",
        "Take a host that is reachable from outside.",
    ),
    "unknown_event_type": ("No such event is ever told.", "Take one of those named."),
    "unknown_journal": ("The journal is not in the batch.", "Take its id from the export."),
    "missing_rate": (
        "An amount in another currency has no exchange rate of its day.",
        "Record it: `manage.py import_rates`, or Exchange rates in the back office.",
    ),
    "own_currency": ("The company's own currency has no rate.", "Leave it out."),
    "rate_stands": ("The currency has another rate on that day.", "Rates are kept: check both."),
    "unmapped_account": ("An account has no place in the general ledger.", "Map it first."),
    "offering_not_active": ("The offering is not sold.", "Activate it, or choose another one."),
    "currency_required": ("The currency cannot be known.", "Send `currency`."),
    "currency_differs": ("Both sides are sold in different currencies.", "Choose the same one."),
    "wrong_currency": ("The coupon is of another currency.", "Use another coupon."),
    "payment_required": ("Credits on account are not sold here.", "Send `payment`."),
    "unit_price_required": ("Units given with a top-up need their worth.", "Send it."),
    # Idempotency keys.
    "idempotency_key_required": (
        "What moves credits or money needs an idempotency key.",
        "Send `Idempotency-Key`, or `idempotency_key` in the body.",
    ),
    "key_mismatch": ("The keys of header and body differ.", "Send one, or the same twice."),
    "key_reused": (
        "The content differs from what was sent under this key before.",
        "Send what is new under a key of its own.",
    ),
    # What is left of something.
    "exceeds_debit": ("More is to be reversed than was burned.", "Reverse at most what is left."),
    "exceeds_credit": (
        "More is asked for than is owed to the customer.",
        "Ask for less; GET /v1/customers/{id}/credit says how much there is.",
    ),
    "exceeds_invoice": ("More is asked for than the invoice has.", "Ask for less."),
    "exceeds_line": (
        "The credit note is over more than is left of the line.",
        "Credit less of it.",
    ),
    "unknown_line": (
        "The invoice has no such line that can be credited; tax and discount follow by themselves.",
        "Name a line by its `position`.",
    ),
    "exceeds_settlement": ("The correction returns more than was charged.", "Return less."),
    "held_too_long": (
        "An extension would hold a reservation for more than 7 days in all.",
        "Capture it, and reserve anew.",
    ),
    "units_refuse": (
        "A reservation of units has another `over_capture` than REFUSE.",
        "Leave it out; units are neither owed nor left uncovered.",
    ),
    "prepaid_only": (
        "DEBT is asked for of a customer, or in an offering, that is not PREPAID.",
        "Take REFUSE or AVAILABLE; what credits do not cover is overage there.",
    ),
    "nothing_left": ("Nothing is left to capture.", "Void the reservation."),
    "nothing_to_adjust": ("The lines sum to zero.", "Send lines that change something."),
    "not_reservable": ("Usage of the past cannot be reserved.", "Debit it."),
    "billing_mode_differs": (
        "A change of plan keeps the billing mode.",
        "Cancel, and subscribe to it.",
    ),
    "interval_differs": ("A change of plan keeps the interval.", "Cancel, and subscribe to it."),
    "interval_count_differs": (
        "A change of plan keeps the interval.",
        "Cancel, and subscribe to it.",
    ),
}
