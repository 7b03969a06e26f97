"""Which alerts fire: rules and figures in, changes out. No clock, no thread, no network in here.

A rule is `pending` while its condition holds and has not held long enough, then `firing`. It ends
when the condition was untrue for as long as it had to be true: a figure that dances on its line
tells people once, not forty times. While it fires it is told again every `repeat_secs`; a silenced
rule goes on being watched and shown, and nobody is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal

import msgspec

from holdfast.alerts.conditions import Condition, Figures, parse
from holdfast.alerts.rules import Action, AlertRule, Severity

State = Literal["quiet", "pending", "firing"]
What = Literal["began", "goes on", "ended"]


class Notice(msgspec.Struct, frozen=True):
    """Something to tell, and how."""

    rule: str
    what: What
    severity: Severity
    condition: str
    values: dict[str, float | None]
    for_s: float  # since the condition began to hold
    actions: tuple[Action, ...]


class AlertStatus(msgspec.Struct, frozen=True):
    name: str
    state: State
    severity: Severity
    condition: str
    actions: tuple[Action, ...]
    values: dict[str, float | None]
    for_s: float  # how long it has been in this state; 0 when quiet
    told: int  # how often somebody was told since the start
    silenced_s: float  # how much longer nobody is told


class _Watched:
    """A rule and how it stands."""

    def __init__(self, rule: AlertRule, repeat_s: float) -> None:
        self.rule: Final = rule
        self.condition: Final[Condition] = parse(rule.condition)
        self.repeat_s: Final = repeat_s if rule.repeat_secs is None else rule.repeat_secs
        self.held_since_s: float | None = None
        self.untrue_since_s: float | None = None
        self.is_firing = False
        self.told_at_s: float | None = None
        self.told = 0
        self.silenced_until_s = float("-inf")

    def step(self, figures: Figures, now_s: float) -> What | None:
        if self.condition.holds(figures):
            return self._holds(now_s)
        return self._does_not_hold(now_s)

    def _holds(self, now_s: float) -> What | None:
        self.untrue_since_s = None
        if self.held_since_s is None:
            self.held_since_s = now_s
        if self.is_firing:
            return "goes on" if self._repeat_due(now_s) else None
        if now_s - self.held_since_s < self.condition.for_s:
            return None
        self.is_firing = True
        return "began"

    def _does_not_hold(self, now_s: float) -> What | None:
        if not self.is_firing:
            self.held_since_s = None
            return None
        if self.untrue_since_s is None:
            self.untrue_since_s = now_s
        if now_s - self.untrue_since_s < self.condition.for_s:
            return None
        self.is_firing, self.held_since_s, self.untrue_since_s = False, None, None
        return "ended"

    def _repeat_due(self, now_s: float) -> bool:
        if self.told_at_s is None:  # it began while it was silenced
            return True
        return self.repeat_s > 0 and now_s - self.told_at_s >= self.repeat_s

    def state(self) -> State:
        if self.is_firing:
            return "firing"
        return "quiet" if self.held_since_s is None else "pending"


class Alerts:
    def __init__(self, rules: Iterable[AlertRule], *, repeat_s: float) -> None:
        self._watched: Final = {rule.name: _Watched(rule, repeat_s) for rule in rules}
        self._figures: Figures = {}

    def __contains__(self, name: str) -> bool:
        return name in self._watched

    def names(self) -> list[str]:
        return list(self._watched)

    def step(self, figures: Figures, now_s: float, wall_s: float) -> list[Notice]:
        """What is to be told now. Silence alone goes by `wall_s`."""
        self._figures = figures
        notices = []
        for watched in self._watched.values():
            what = watched.step(figures, now_s)
            if what is None:
                continue
            nobody_knows = what == "ended" and watched.told_at_s is None
            silenced = wall_s < watched.silenced_until_s
            if what == "ended":
                watched.told_at_s = None
            elif not silenced:
                watched.told_at_s = now_s
            if not silenced and not nobody_knows:
                watched.told += 1
                notices.append(self._notice(watched, what, now_s))
        return notices

    def silence(self, name: str, until_s: float) -> None:
        """Nobody is told of this rule until then."""
        self._watched[name].silenced_until_s = until_s

    def silenced(self, wall_s: float) -> dict[str, float]:
        """For how much longer, by rule."""
        left = {name: each.silenced_until_s - wall_s for name, each in self._watched.items()}
        return {name: seconds for name, seconds in left.items() if seconds > 0}

    def firing(self, action: Action) -> list[str]:
        """The rules that fire and ask for this action; silence does not hold it back."""
        return [
            name
            for name, each in self._watched.items()
            if each.is_firing and action in each.rule.actions
        ]

    def status(self, now_s: float, wall_s: float) -> list[AlertStatus]:
        return [
            AlertStatus(
                name=name,
                state=watched.state(),
                severity=watched.rule.severity,
                condition=watched.rule.condition,
                actions=watched.rule.actions,
                values=_values(watched.condition, self._figures),
                for_s=0.0 if watched.held_since_s is None else now_s - watched.held_since_s,
                told=watched.told,
                silenced_s=max(0.0, watched.silenced_until_s - wall_s),
            )
            for name, watched in self._watched.items()
        ]

    def example(self, name: str) -> Notice:
        """What would be told if the rule began to fire now: for `holdfast alerts test`."""
        return msgspec.structs.replace(self._notice(self._watched[name], "began", 0.0), for_s=0.0)

    def _notice(self, watched: _Watched, what: What, now_s: float) -> Notice:
        rule = watched.rule
        since_s = watched.held_since_s
        return Notice(
            rule=rule.name,
            what=what,
            severity=rule.severity,
            condition=rule.condition,
            values=_values(watched.condition, self._figures),
            for_s=0.0 if since_s is None else round(now_s - since_s, 1),
            actions=rule.actions,
        )


def _values(condition: Condition, figures: Mapping[str, float | None]) -> dict[str, float | None]:
    return {name: figures.get(name) for name in condition.names()}
