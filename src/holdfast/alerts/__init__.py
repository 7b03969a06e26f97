"""Rules over figures of the daemon: what fires, who is told, what is done.

The settings need `rules` and nothing else, and every command reads settings; so what belongs to a
running daemon is loaded when it is first named.
"""

from holdfast.alerts.rules import (
    DEFAULT_RULES,
    AlertRule,
    fault_of_alert_rule,
    name_of_alert_rule,
)

__all__ = [
    "DEFAULT_RULES",
    "AlertDesk",
    "AlertRule",
    "AlertStatus",
    "Alerts",
    "AlertsStatus",
    "Figures",
    "Outbox",
    "Pager",
    "Rooms",
    "fault_of_alert_rule",
    "figures_of",
    "name_of_alert_rule",
]

TYPE_CHECKING = False  # type checkers know this name; `typing` itself costs 8 ms
if TYPE_CHECKING:
    from holdfast.alerts.conditions import Figures
    from holdfast.alerts.desk import AlertDesk, AlertsStatus
    from holdfast.alerts.engine import Alerts, AlertStatus
    from holdfast.alerts.figures import Rooms, figures_of
    from holdfast.alerts.outbox import Outbox
    from holdfast.alerts.paging import Pager

_MODULES = {
    "Figures": "conditions",
    "AlertDesk": "desk",
    "AlertsStatus": "desk",
    "Alerts": "engine",
    "AlertStatus": "engine",
    "Rooms": "figures",
    "figures_of": "figures",
    "Outbox": "outbox",
    "Pager": "paging",
}


def __getattr__(name: str) -> object:
    if name in _MODULES:
        from importlib import import_module

        return getattr(import_module(f"holdfast.alerts.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
