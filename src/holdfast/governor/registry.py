"""The components that the governor knows, and what each of them uses now."""

from __future__ import annotations

from typing import Final

from holdfast.governor.protocol import Bounded, Usage
from holdfast.governor.tracker import Tracker
from holdfast.observe import EventLog

_NOTHING: Final = Usage(bytes=0, items=0, limit_bytes=None)


class Components:
    """By name, in the order in which they came."""

    def __init__(self, tracker: Tracker, log: EventLog) -> None:
        self._tracker: Final = tracker
        self._log: Final = log
        self._components: Final[dict[str, Bounded]] = {}

    def add(self, component: Bounded) -> None:
        name = component.name
        if name in self._components:
            raise ValueError(f"a component named {name!r} is registered already; rename one")
        self._components[name] = component
        self._tracker.observe(name, _NOTHING)

    def all(self) -> tuple[Bounded, ...]:
        return tuple(self._components.values())

    def get(self, name: str) -> Bounded:
        return self._components[name]

    def look(self) -> dict[str, Usage]:
        """What each uses now; the tracker sees it too."""
        return {name: self.usage(name) for name in self._components}

    def largest_first(self) -> list[tuple[str, Usage]]:
        return sorted(self.look().items(), key=lambda item: (-item[1].bytes, item[0]))

    def usage(self, name: str) -> Usage:
        try:
            usage = self._components[name].usage()
        except Exception as error:  # noqa: BLE001 - one blind spot must not blind the governor
            self._log.error("governor.usage_failed", component=name, error=error)
            return _NOTHING
        self._tracker.observe(name, usage)
        return usage
