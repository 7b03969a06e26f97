"""One rule of the config: what is watched, how bad it is, and what is done."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, get_args

import msgspec
from msgspec import Meta

from holdfast.alerts.conditions import BadCondition, parse

Severity = Literal["info", "warning", "critical"]
Action = Literal["log", "page", "webhook", "command", "throttle", "restart_recommended"]

SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)
ACTIONS: Final[tuple[Action, ...]] = get_args(Action)
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,39}")


class AlertRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(description="Small letters, digits and '-'.")]
    condition: Annotated[str, Meta(description="Such as `memory_usage_pct > 60 for 30s`.")]
    severity: Annotated[Severity, Meta(description="How bad it is.")] = "warning"
    actions: Annotated[tuple[Action, ...], Meta(description="What is done.")] = ("log",)
    repeat_secs: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(description="How often it is told again; not set: `alerts.repeat_secs`."),
    ] = None


DEFAULT_RULES: Final = (
    AlertRule(
        name="memory-high",
        condition="memory_usage_pct >= 85 for 30s",
        actions=("log", "throttle"),
    ),
    AlertRule(
        name="memory-critical",
        condition="memory_usage_pct >= 95 for 10s",
        severity="critical",
        actions=("log", "page", "restart_recommended"),
    ),
    AlertRule(
        name="work-queue-full",
        condition="work_queue_pct >= 90 for 30s",
        actions=("log", "page"),
    ),
    AlertRule(
        name="connection-leak",
        condition="connections_leaked > 0 for 1m",
        actions=("log", "restart_recommended"),
    ),
)


def fault_of_alert_rule(value: object) -> str | None:
    """What is wrong with a table of the config, in words that follow its place in the list."""
    if isinstance(value, AlertRule):
        value = msgspec.to_builtins(value)
    try:
        rule = msgspec.convert(value, AlertRule)
    except msgspec.ValidationError as error:
        return f"is no rule: {_in_words(str(error))}"
    if not _NAME.fullmatch(rule.name):
        return "has a name that is not made of small letters, digits and '-'"
    if not rule.actions:
        return f"has no actions: give it one of {', '.join(ACTIONS)}"
    try:
        parse(rule.condition)
    except BadCondition as error:
        return f"has a condition that {error}"
    return None


def name_of_alert_rule(value: object) -> str | None:
    """None when it has none, whatever else may be wrong with it."""
    if isinstance(value, AlertRule):
        return value.name
    name = value.get("name") if isinstance(value, dict) else None
    return name if isinstance(name, str) else None


def _in_words(error: str) -> str:
    """msgspec's words, with the choices where a word is none of them."""
    what, _, where = error.partition(" - at ")
    field = where.strip("`").removeprefix("$.")
    choices = {"severity": SEVERITIES, "actions": ACTIONS}.get(field.partition("[")[0])
    about = f"{field}: {what}" if field else what
    return f"{about}; one of {', '.join(choices)}" if choices else about
