"""Being run by the system's service manager: what it is told, writing that, and taking it back."""

from holdfast.service.limits import Limits, limits_for
from holdfast.service.managers import Manager, manager_for
from holdfast.service.operating import Done, Status, install, is_for, start, status, uninstall
from holdfast.service.plan import Plan, make_plan

__all__ = [
    "Done",
    "Limits",
    "Manager",
    "Plan",
    "Status",
    "install",
    "is_for",
    "limits_for",
    "make_plan",
    "manager_for",
    "start",
    "status",
    "uninstall",
]
