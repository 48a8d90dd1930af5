"""The settings of the back office's looks and menu, a part of `aforo.settings`."""

from __future__ import annotations

from django.templatetags.static import static
from django.urls import reverse_lazy


def _page(title: str, icon: str, url: str, permission: str) -> dict[str, object]:
    """Return the menu entry of a page of the back office, for who may see it."""
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(url),
        "permission": lambda request: request.user.has_perm(permission),
    }


def _list(title: str, icon: str, model: str) -> dict[str, object]:
    """Return the menu entry of the list of a model, `app_model`."""
    app, _, name = model.partition("_")
    return _page(title, icon, f"admin:{model}_changelist", f"{app}.view_{name}")


UNFOLD = {
    "SITE_TITLE": "Aforo",
    "SITE_HEADER": "Aforo",
    "SITE_SUBHEADER": "Prepaid credits and their books",
    "SITE_SYMBOL": "account_balance_wallet",
    # Without one, browsers ask for /favicon.ico, which is not there.
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": lambda request: static("aforo/favicon.svg"),
        }
    ],
    "STYLES": [lambda request: static("aforo/admin.css")],
    "LOGIN": {"form": "aforo.access.login_form.LoginForm"},
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "SIDEBAR": {
        "show_search": True,
        "show_all_applications": True,
        "navigation": [
            {
                "title": "Finance",
                "items": [
                    _page("Reports", "table_chart", "reports", "ledger.view_entry"),
                    _page("Exports", "upload_file", "exports", "ledger.view_exportbatch"),
                    _list("Entries", "menu_book", "ledger_entry"),
                    _list("Months", "event_available", "ledger_accountingperiod"),
                    _list("Close packs", "inventory_2", "ledger_closepack"),
                    _list("Adjustments", "edit_note", "ledger_manualadjustment"),
                    _page("Approvals", "approval", "approvals", "ledger.view_approvalrequest"),
                    _list("Audit trail", "history", "access_configurationchange"),
                    _list("Invoices", "receipt_long", "billing_invoice"),
                    _list("Top-ups", "payments", "wallets_topup"),
                ],
            },
            {
                "title": "Customers",
                "items": [
                    _list("Customers", "group", "billing_customer"),
                    _list("Wallets", "wallet", "wallets_wallet"),
                    _list("Credit lots", "toll", "wallets_creditlot"),
                    _list("Budgets", "speed", "wallets_budget"),
                    _list("Settlements", "calculate", "billing_settlement"),
                    _list("Settlement runs", "sync", "billing_settlementrun"),
                ],
            },
            {
                "title": "Catalogue",
                "items": [
                    _list("Rate plans", "sell", "pricing_rateplan"),
                    _list("Offerings", "storefront", "pricing_offering"),
                    _list("Campaigns", "campaign", "pricing_campaign"),
                ],
            },
        ],
    },
}
