"""The roles that are shipped as groups: what each may see and do in the back office.

The permissions of these groups are made anew after each migration, so that they cover what came
with it; a company that wants others makes groups of its own (docs/decisions.md#d582).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from django.contrib.auth.models import Group, Permission
from django.db import transaction

_VERBS: Final = ("add", "change", "delete")
# What people keep, apart from the accounts and the machinery.
_BUSINESS: Final = frozenset({"billing", "ledger", "pricing", "wallets"})


@dataclass(frozen=True, slots=True)
class Role:
    """What a role may do: `reads` whole apps, or `sees` single models; `all_of` names apps and
    models that it adds, changes and deletes. To change what no form edits is to run its actions.
    """

    reads: frozenset[str] = frozenset()
    sees: tuple[str, ...] = ()
    adds: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    all_of: tuple[str, ...] = ()
    reads_everything: bool = False

    def has(self, app: str, codename: str) -> bool:
        """Return whether a permission is the role's."""
        verb, _, model = codename.partition("_")
        name = f"{app}.{model}"
        if verb == "view":
            return self.reads_everything or app in self.reads or name in self.sees
        if verb not in _VERBS:
            return False
        by_verb = {"add": self.adds, "change": self.changes, "delete": ()}[verb]
        return name in by_verb or name in self.all_of or app in self.all_of


PRODUCT = "Product"
FINANCE = "Finance"
FINANCE_APPROVER = "Finance approver"
SUPPORT = "Support"
OPERATOR = "Operator"
AUDITOR = "Auditor"

# What one person proposes and another approves: to add is to propose, to change is to decide.
_PROPOSALS: Final = (
    "ledger.approvallimit",
    "ledger.breakagerate",
    "ledger.manualadjustment",
    "ledger.policy",
    "ledger.provisionmatrix",
    "ledger.reopening",
)

ROLES: Final[Mapping[str, Role]] = {
    PRODUCT: Role(
        reads=_BUSINESS - {"ledger"},
        adds=("billing.backtest",),
        changes=("billing.campaignrun",),
        all_of=("pricing",),
    ),
    FINANCE: Role(
        reads=_BUSINESS,
        sees=("access.configurationchange",),
        adds=(
            *_PROPOSALS,
            "billing.settlementadjustment",
            "ledger.adjustmentline",
            "ledger.exchangerate",
            "ledger.exportbatch",
            "ledger.exportreceipt",
        ),
        changes=(
            "billing.bankpayment",
            "billing.customercredit",
            "billing.invoice",
            "billing.mail",
            "billing.overdueinvoice",
            "ledger.accountingperiod",
        ),
        all_of=(
            "billing.dunningpause",
            "billing.dunningschedule",
            "billing.taxrate",
            "ledger.glmapping",
        ),
    ),
    FINANCE_APPROVER: Role(
        reads=_BUSINESS,
        sees=("access.configurationchange",),
        changes=("ledger.approvalrequest", *_PROPOSALS),
    ),
    SUPPORT: Role(
        reads=_BUSINESS - {"ledger"},
        adds=("billing.settlementadjustment",),
        changes=("billing.customer", "billing.mail", "billing.subscription"),
        all_of=("billing.dunningpause", "wallets.budget"),
    ),
    OPERATOR: Role(
        reads=frozenset({"billing", "django_celery_beat", "sandbox", "webhooks"}),
        sees=("access.apikey", "access.configurationchange", "access.keyedrequest"),
        changes=("billing.settlementrun",),
        all_of=("access.apikey", "django_celery_beat", "sandbox", "webhooks"),
    ),
    AUDITOR: Role(reads_everything=True),
}


@transaction.atomic
def make_groups() -> None:
    """Make the groups of all roles with the permissions that there are; safe to repeat."""
    permissions = list(Permission.objects.select_related("content_type"))
    for name, role in ROLES.items():
        group, _ = Group.objects.get_or_create(name=name)
        group.permissions.set(_of(role, permissions))


def _of(role: Role, permissions: Iterable[Permission]) -> list[Permission]:
    return [each for each in permissions if role.has(each.content_type.app_label, each.codename)]
