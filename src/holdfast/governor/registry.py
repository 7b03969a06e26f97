"""The components that the governor knows, and what each of them uses now."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from holdfast.governor.protocol import Bounded, Fleeting, Measured, Usage
from holdfast.governor.readings import TreeMemory
from holdfast.governor.tracker import Tracker
from holdfast.observe import EventLog

_NOTHING: Final = Usage(bytes=0, items=0, limit_bytes=None)
_NONE: Final[Mapping[str, Usage]] = MappingProxyType({})


class Components:
    """By name, in the order in which they came."""

    def __init__(self, tracker: Tracker, log: EventLog) -> None:
        self._tracker: Final = tracker
        self._log: Final = log
        self._components: Final[dict[str, Bounded]] = {}
        self._measured: Final[dict[str, Measured]] = {}
        self._fleeting: Final[list[Fleeting]] = []

    def add(self, component: Bounded) -> None:
        name = component.name
        if name in self._components:
            raise ValueError(f"a component named {name!r} is registered already; rename one")
        self._components[name] = component
        if isinstance(component, Measured):
            self._measured[name] = component
        if isinstance(component, Fleeting):
            self._fleeting.append(component)
        self._tracker.observe(name, _NOTHING)

    def all(self) -> tuple[Bounded, ...]:
        return tuple(self._components.values())

    def get(self, name: str) -> Bounded:
        return self._components[name]

    def reading_begins(self) -> None:
        """The tree is about to be read. For any thread."""
        for component in tuple(self._fleeting):
            try:
                component.reading_begins()
            except Exception as error:  # noqa: BLE001 - as below
                self._failed(component.name, error)

    def measure(self, tree: TreeMemory) -> dict[str, Usage]:
        """Of those that are measured, what they used when the tree was read. For any thread."""
        measured: dict[str, Usage] = {}
        for name, component in tuple(self._measured.items()):
            try:
                measured[name] = component.usage_in(tree)
            except Exception as error:  # noqa: BLE001 - as below
                self._failed(name, error)
        return measured

    def lasting(self, measured: Mapping[str, Usage]) -> dict[str, Usage]:
        """Without those that fill and empty while the tree is read."""
        passing = {component.name for component in self._fleeting}
        return {name: usage for name, usage in measured.items() if name not in passing}

    def look(self, measured: Mapping[str, Usage] = _NONE) -> dict[str, Usage]:
        """What each uses now, or used when it was measured; the tracker sees it too."""
        for name, usage in measured.items():
            self._tracker.observe(name, usage)
        return {name: measured.get(name) or self.usage(name) for name in self._components}

    def largest_first(self) -> list[tuple[str, Usage]]:
        return sorted(self.look().items(), key=lambda item: (-item[1].bytes, item[0]))

    def usage(self, name: str) -> Usage:
        try:
            usage = self._components[name].usage()
        except Exception as error:  # noqa: BLE001 - one blind spot must not blind the governor
            self._failed(name, error)
            return _NOTHING
        self._tracker.observe(name, usage)
        return usage

    def _failed(self, name: str, error: Exception) -> None:
        self._log.error("governor.usage_failed", component=name, error=error)
