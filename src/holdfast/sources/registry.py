"""Which sources there are. Adding an agent is adding a module to `agents/`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Protocol, cast

from holdfast.sources import agents
from holdfast.sources.base import Source
from holdfast.sources.folders import FolderSource


class Configured(Protocol):
    """What is set for one agent."""

    @property
    def enabled(self) -> bool: ...

    @property
    def roots(self) -> Sequence[str]: ...


def enabled_sources(
    configured: Callable[[str], Configured], environ: Mapping[str, str]
) -> dict[str, Source]:
    return {
        name: cast("Source", _source_class(name).from_environment(logs.roots, environ))
        for name in agents.NAMES
        if (logs := configured(name)).enabled
    }


def every_source(
    configured: Callable[[str], Configured], environ: Mapping[str, str]
) -> list[tuple[Source, bool]]:
    """All of them, and whether each is enabled."""
    found = []
    for name in agents.NAMES:
        logs = configured(name)
        source = cast("Source", _source_class(name).from_environment(logs.roots, environ))
        found.append((source, logs.enabled))
    return found


def roots_variables() -> tuple[str, ...]:
    """The variables that agents read their roots from."""
    return tuple(name for agent in agents.NAMES for name in _source_class(agent).variables)


@cache
def source_by_agent(agent: str) -> Source:
    """A source that parses but does not search: for import children, who are told what to read."""
    return cast("Source", _source_class(agent)([]))


@cache
def spoken_name(agent: str) -> str:
    """How an agent is called where it speaks: "OpenCode", "Claude"; "" for one that is unknown.

    The first word of its source's name; the second is "Code" or "CLI" with all that have one.
    """
    return _source_class(agent).name.partition(" ")[0] if agent in agents.NAMES else ""


def _source_class(agent: str) -> type[FolderSource]:
    if agent not in agents.NAMES:
        raise KeyError(agent)
    found: type[FolderSource] = import_module(f"{agents.__name__}.{agent}").Agent
    return found
